/*
 * What becomes of a body, written down from the definition line by line, for tests to compare with:
 * where it ends, what is stored, why it is refused.
 */
#ifndef SMTP_REFERENCE_H
#define SMTP_REFERENCE_H

#include "smtp_harness.h"

struct reference {
    bool ended;  /* CRLF.CRLF is there */
    size_t used; /* through it */
    enum smtp_refusal refusal;
    bool lf_first;
    bool long_too; /* may be closed before its end: over twice the size */
    size_t header_len;
    struct base_buf body; /* the caller's room; valid when nothing is refused */
};

static inline bool reference_is_received(const uint8_t *line, size_t len)
{
    size_t i = 8;

    if (len < 9 || !base_span_caseeq(base_span_of(line, 8), base_span_str("received")))
        return false;
    while (i < len && (line[i] == ' ' || line[i] == '\t'))
        i++;
    return i < len && line[i] == ':';
}

/* Bare newlines and NUL of the bytes 2 to stop. */
static inline void reference_bytes(struct reference *e, const uint8_t *p, size_t stop,
                                   bool normalize)
{
    bool bare = false, nul = false;

    for (size_t i = 2; i < stop; i++) {
        bool lf = !normalize && p[i] == '\n' && p[i - 1] != '\r';
        bool cr = p[i] == '\r' && p[i + 1] != '\n';
        if ((lf || cr) && !bare)
            e->lf_first = lf;
        bare = bare || lf || cr;
        nul = nul || p[i] == 0;
    }
    e->refusal = bare ? SMTP_REFUSAL_BARE_NEWLINE : nul ? SMTP_REFUSAL_NUL : SMTP_REFUSAL_NONE;
}

/* The lines of the bytes 2 to stop, which end in LF. dots: they are stuffed. */
static inline void reference_lines(struct reference *e, const uint8_t *p, size_t stop, bool dots,
                                   const struct smtp_server_settings *settings)
{
    size_t hops = 0, fields = 0, longest = 0;
    bool in_header = true;

    for (size_t i = 2; i < stop;) {
        const uint8_t *lf = memchr(p + i, '\n', stop - i);
        size_t next = (size_t)(lf - p) + 1;
        size_t len = next - 1 - i - (lf[-1] == '\r' && next - 1 > i);
        bool lone = len == 1; /* a dot that could not end the message */
        size_t skip = dots && len > 0 && p[i] == '.' && !lone;
        harness_put(&e->body, p + i + skip, len - skip);
        harness_puts(&e->body, "\r\n");
        longest = len - skip > longest ? len - skip : longest;
        if (in_header) {
            e->header_len = e->body.len;
            hops += reference_is_received(p + i + skip, len - skip);
            fields += len > skip && p[i + skip] != ' ' && p[i + skip] != '\t';
        }
        in_header = in_header && len - skip > 0;
        i = next;
    }
    if (e->body.len > settings->message_size_max)
        e->refusal = SMTP_REFUSAL_SIZE;
    else if (e->header_len > settings->header_bytes_max)
        e->refusal = SMTP_REFUSAL_HEADER_SIZE;
    else if (settings->header_field_max != 0 && fields > settings->header_field_max)
        e->refusal = SMTP_REFUSAL_HEADER_FIELDS;
    else if (hops > settings->hop_max)
        e->refusal = SMTP_REFUSAL_HOPS;
    else if (settings->line_max != 0 && longest > settings->line_max)
        e->refusal = SMTP_REFUSAL_LINE;
}

/* p holds a CRLF before the body, so that the body's first line starts as all others. */
static inline void reference_data(struct reference *e, const uint8_t *p, size_t len, bool normalize,
                                  const struct smtp_server_settings *settings)
{
    const uint8_t *end = memmem(p, len, "\r\n.\r\n", 5);

    e->ended = end != NULL;
    e->long_too = len > settings->message_size_max;
    if (!e->ended)
        return;
    size_t stop = (size_t)(end - p) + 2; /* the dot */
    e->used = stop + 3 - 2;
    e->long_too = 2 * stop > 2 * settings->message_size_max;
    reference_bytes(e, p, stop, normalize);
    if (e->refusal == SMTP_REFUSAL_NONE)
        reference_lines(e, p, stop, true, settings);
}

/* How the reply begins. */
static inline const char *reference_reply(const struct reference *e)
{
    switch (e->refusal) {
    case SMTP_REFUSAL_BARE_NEWLINE:
        return e->lf_first ? "550 5.5.2 Error: bare <LF>" : "550 5.5.2 Error: bare <CR>";
    case SMTP_REFUSAL_NUL:
        return "550 5.6.0 ";
    case SMTP_REFUSAL_HOPS:
        return "554 5.4.6 ";
    case SMTP_REFUSAL_SIZE:
    case SMTP_REFUSAL_HEADER_SIZE:
    case SMTP_REFUSAL_HEADER_FIELDS:
        return "552 5.3.4 ";
    case SMTP_REFUSAL_LINE:
        return "500 5.5.2 Error: message line too long";
    default:
        return "250 2.0.0 ";
    }
}

#endif
