/* A line that is being written; private to drivers/log. What is appended has a bounded size, and
 * LOG_LINE_CAP has room for all of it: asserted. */
#ifndef LOG_LINE_H
#define LOG_LINE_H

#include "log_format.h"

#define LOG_LINE_PATH 2 /* the part that is a socket's path, where the record has one */

struct log_line {
    char *p;
    size_t len;
    const struct log_style *style;
    const struct stats_log_record *record;
};

/* Inline: most pieces are a few bytes, and of a length that the compiler knows. */
static inline void log_line_put(struct log_line *l, const void *p, size_t n)
{
    base_assert(n <= LOG_LINE_CAP - l->len);
    if (n > 0)
        memcpy(l->p + l->len, p, n);
    l->len += n;
}

static inline void log_line_text(struct log_line *l, const char *s)
{
    log_line_put(l, s, strlen(s));
}

void log_line_number(struct log_line *l, uint64_t v);
/* The message's id; "-" without one. Returns whether there is one. */
bool log_line_id(struct log_line *l);
/* The record's address: with its port, if there is one, or alone. "-" without one. */
void log_line_address(struct log_line *l, bool with_port);
bool log_line_has_id(const struct log_line *l);
bool log_line_has_address(const struct log_line *l);
/* "5.7.1" of 5007001. */
void log_line_status(struct log_line *l, uint64_t status);

/* Bytes from outside, as each form escapes them. */
void log_line_escape(struct log_line *l, struct base_span s);
void log_line_escape_json(struct log_line *l, struct base_span s);
enum log_line_kind { LOG_LINE_WORDS, LOG_LINE_MAILBOX };
void log_line_escape_postfix(struct log_line *l, struct base_span s, enum log_line_kind kind);

/* The fields of the record by its row: "a=b c=d", or members of a JSON object, each behind a comma.
 */
void log_line_fields(struct log_line *l, bool json);
/* Postfix's words, and the program that says them. It has none for a message that is durable: what
 * tells of that is the line by which it is queued. */
const char *log_line_postfix_program(const struct stats_log_record *r, uint32_t line);
void log_line_postfix(struct log_line *l, uint32_t line);
uint32_t log_line_postfix_cnt(const struct stats_log_record *r);

#endif
