/*
 * BDAT: RFC 3030. A chunk's bytes follow its command at once, so whatever is said of the command
 * they have to be taken off the input; they are never looked at as commands. Where their number
 * cannot be known, or is more than is worth skipping, the session ends.
 */
#include "smtp_internal.h"
#include "smtp_line.h"

#include <stdio.h>

/* "SIZE [LAST]". */
static bool parse_chunk(struct base_span argument, uint64_t *size, bool *last)
{
    const uint8_t *space = argument.len > 0 ? memchr(argument.p, ' ', argument.len) : NULL;
    size_t digits = space != NULL ? (size_t)(space - argument.p) : argument.len;

    if (!smtp_number_parse(base_span_of(argument.p, digits), size) || *size > INT64_MAX)
        return false;
    while (digits < argument.len && argument.p[digits] == ' ')
        digits++;
    struct base_span rest = base_span_of(argument.p + digits, argument.len - digits);
    *last = base_span_caseeq(rest, base_span_str("LAST"));
    return *last || rest.len == 0;
}

/* Why this chunk is not taken; SMTP_REASON_CNT: it is. */
static enum smtp_reason chunk_reason(const struct smtp_server *s)
{
    if (s->tls == SMTP_TLS_REQUIRED)
        return SMTP_REASON_TLS_FIRST;
    if (!smtp_server_offers(s, SMTP_EXTENSION_CHUNKING))
        return SMTP_REASON_NOT_OFFERED;
    if (s->chunk_failed)
        return SMTP_REASON_CHUNK_FAILED;
    if (s->state == SMTP_SESSION_MAIL)
        return SMTP_REASON_NO_RCPT;
    if (s->state != SMTP_SESSION_RCPT && s->state != SMTP_SESSION_CHUNKS)
        return SMTP_REASON_NO_MAIL;
    return SMTP_REASON_CNT;
}

/* More than this is not skipped: what a message may have twice. */
static bool is_endless(const struct smtp_server *s, uint64_t size)
{
    uint64_t max = s->settings->message_size_max;
    uint64_t before = s->state == SMTP_SESSION_CHUNKS ? s->message_bytes : 0;

    return max != 0 && (before + size) / 2 > max;
}

size_t smtp_server_discard(struct smtp_server *s, struct base_span in, struct base_buf *out)
{
    size_t n = in.len < s->discard_left ? in.len : (size_t)s->discard_left;

    s->discard_left -= n;
    if (s->discard_left == 0)
        smtp_server_refuse(s, s->discard_reason, out);
    return n;
}

enum smtp_server_event smtp_server_bdat(struct smtp_server *s, struct base_span argument,
                                        struct base_buf *out)
{
    uint64_t size;
    bool last;

    if (!parse_chunk(argument, &size, &last)) {
        smtp_server_refuse(s, SMTP_REASON_BDAT_SYNTAX, out);
        smtp_server_close(s, "malformed BDAT");
        return SMTP_SERVER_CLOSE;
    }
    enum smtp_reason reason = chunk_reason(s);
    if (is_endless(s, size)) {
        smtp_server_refuse(s, reason == SMTP_REASON_CNT ? SMTP_REASON_CHUNK_SIZE : reason, out);
        stats_inc(s->stats, STATS_SMTP_CLOSED_SIZE);
        smtp_server_close(s, "chunk over twice the limit");
        return SMTP_SERVER_CLOSE;
    }
    if (reason != SMTP_REASON_CNT) {
        s->discard_left = size;
        s->discard_reason = (uint8_t)reason;
        if (size == 0)
            smtp_server_refuse(s, reason, out);
        return SMTP_SERVER_MORE;
    }
    s->chunk_bytes = s->chunk_left = size;
    s->chunk_last = last;
    if (s->state == SMTP_SESSION_RCPT) {
        s->chunked = true;
        s->asked = SMTP_SERVER_DATA;
        return SMTP_SERVER_DATA;
    }
    smtp_server_set_state(s, SMTP_SESSION_BODY);
    return SMTP_SERVER_BODY;
}

void smtp_server_chunk_taken(struct smtp_server *s, struct base_buf *out)
{
    char text[40];

    snprintf(text, sizeof(text), "Ok: %llu bytes", (unsigned long long)s->chunk_bytes);
    smtp_reply_write(out, &(struct smtp_reply){.code = 250, .enhanced = "2.0.0", .text = text});
    smtp_server_set_state(s, SMTP_SESSION_CHUNKS);
}
