/*
 * UTF-8 as data from strangers: one character at a time, and which ones may be shown. Pure; any
 * thread. Private to lib/mail.
 */
#ifndef MAIL_UTF8_H
#define MAIL_UTF8_H

#include "base_bytes.h"

/* The character at the start of text (RFC 3629: no overlong form, no surrogate, at most U+10FFFF).
 * Returns its length, 1 to 4, or 0 when there is none. */
size_t mail_utf8_next(struct base_span text, uint32_t *character);

/* True for what neither ends a line nor steers a terminal or the direction of text: no C0 and C1
 * control, no line or paragraph separator, no mark or override of direction, no byte order mark. */
bool mail_utf8_printable(uint32_t character);

/* True when every octet is below 128. */
bool mail_ascii(struct base_span text);

#endif
