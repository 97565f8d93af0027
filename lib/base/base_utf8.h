/*
 * UTF-8 as data from strangers: one character at a time, which ones may be shown, and bytes as text
 * for people.
 *
 * Threads: any. Memory: none. Pure.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base_bytes.h"

/* The character at the start of text (RFC 3629: no overlong form, no surrogate, at most U+10FFFF).
 * Returns its length, 1 to 4, or 0 when there is none. */
size_t base_utf8_next(struct base_span text, uint32_t *character);

/* True for what neither ends a line nor steers a terminal or the direction of text: no C0 and C1
 * control, no line or paragraph separator, no mark or override of direction, no byte order mark. */
bool base_utf8_printable(uint32_t character);

/* Length of the printable character at the start of text, 1 to 4, or 0 when there is none. */
size_t base_utf8_shown(struct base_span text);

/* True when every octet is below 128. */
bool base_utf8_ascii(struct base_span text);

#define BASE_UTF8_ESCAPE_CAP 4

/* Takes from the front of text, of one octet at least, what goes next into a word of a line for
 * people, and moves text behind it: a stretch that stands as it is, or the form \xNN, in escape, of
 * one octet that is not shown, or a space or a backslash. The span lives as long as text's bytes
 * and escape. At most four octets for one. */
struct base_span base_utf8_take(struct base_span *text, char escape[BASE_UTF8_ESCAPE_CAP]);

#endif
