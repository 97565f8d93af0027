/* Writes a report in pieces of given sizes, and says what is wrong with its lines. For the unit
 * tests, the printer and the fuzz target. */
#ifndef DSN_RIG_H
#define DSN_RIG_H

#include "mail_dsn.h"

#include <stdlib.h>

/* The whole report into out; pieces of at most out_piece and in_piece octets. Returns false when
 * out is too small. */
static inline bool dsn_write(struct mail_dsn *dsn, struct base_buf *out, struct base_span original,
                             size_t out_piece, size_t in_piece)
{
    for (;;) {
        size_t room = out->cap - out->len;
        /* Copies of their exact size, so that a sanitizer sees an octet too many. */
        size_t in_len = original.len < in_piece ? original.len : in_piece;
        size_t out_len = room < out_piece ? room : out_piece;
        uint8_t *in = malloc(in_len + 1), *piece = malloc(out_len + 1);
        base_assert(in != NULL && piece != NULL);
        if (in_len > 0)
            memcpy(in, original.p, in_len);
        struct base_span rest = base_span_of(in, in_len);
        struct base_buf b = {.p = piece, .cap = out_len};
        enum mail_dsn_next next = mail_dsn_write(dsn, &b, &rest, in_len == original.len);
        base_assert(b.len <= out_len && rest.len <= in_len && rest.p + rest.len == in + in_len);
        base_assert(next != MAIL_DSN_INPUT || (rest.len == 0 && in_len < original.len));
        base_assert(next != MAIL_DSN_ROOM || b.len == b.cap);
        original.p += in_len - rest.len;
        original.len -= in_len - rest.len;
        int failed = base_buf_put_span(out, base_buf_span(&b));
        base_assert(failed == 0);
        free(in);
        free(piece);
        if (next == MAIL_DSN_DONE)
            return true;
        if (next == MAIL_DSN_ROOM && out->len == out->cap)
            return false;
    }
}

/* NULL, or what is wrong: lines of at most 998 octets, CRLF and nothing else, no NUL, no octet over
 * 127 unless announced, the boundary's lines parts + 1 times at a line's start. */
static inline const char *dsn_fault(struct base_span text, const struct mail_dsn *dsn,
                                    unsigned parts)
{
    unsigned found = 0;
    size_t line = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.p[i];
        if (c == 0)
            return "NUL";
        if (c > 127 && !mail_dsn_is_8bit(dsn->report))
            return "eight bits";
        if (i == line && text.len - i >= dsn->delimiter_len &&
            memcmp(text.p + i, dsn->delimiter, dsn->delimiter_len) == 0)
            found++;
        if (c == '\n' && (i == line || text.p[i - 1] != '\r'))
            return "bare LF";
        if (c == '\r' && (i + 1 == text.len || text.p[i + 1] != '\n'))
            return "bare CR";
        if (c == '\n') {
            if (i - 1 - line > 998)
                return "long line";
            line = i + 1;
        }
    }
    if (line != text.len)
        return "no end of line at the end";
    return found == parts + 1 ? NULL : "boundaries";
}

#endif
