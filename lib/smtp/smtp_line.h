/*
 * Lines of both sides of the protocol: they end in CRLF and nothing else (RFC 5321 section 2.3.8).
 * Pure; any thread. Private to lib/smtp.
 */
#ifndef SMTP_LINE_H
#define SMTP_LINE_H

#include "base_bytes.h"

enum smtp_line {
    SMTP_LINE_WHOLE, /* *len is set, CRLF included */
    SMTP_LINE_MORE,  /* no end yet, and the limit is not reached */
    SMTP_LINE_BARE,  /* a CR without its LF or an LF without its CR comes before the end */
    SMTP_LINE_LONG,  /* no end in the first max bytes */
};

/* The first line of in. The answer depends on the bytes alone, not on how much of what follows is
 * there already. */
enum smtp_line smtp_line_find(struct base_span in, size_t max, size_t *len);

/* Bytes of in to throw away until the end of an overlong line; *ended tells whether it is among
 * them. A CR at the end of in is left, as its LF may come. */
size_t smtp_line_discard(struct base_span in, bool *ended);

/* Reads a decimal number, the whole span, 1 to 20 digits; values over 64 bits become UINT64_MAX.
 * Returns false when it is none. */
bool smtp_number_parse(struct base_span text, uint64_t *value);

#endif
