/*
 * Bytes as JSON strings (RFC 8259 section 7), the one form for all that we write: UTF-8 stands as
 * it is, quotes and backslashes get a backslash, what base_utf8_printable() does not show becomes
 * \uNNNN, an octet that is no UTF-8 the character of its number (\u00NN).
 *
 * Threads: any. Memory: none.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base_bytes.h"

#include <stdio.h>

#define BASE_JSON_ESCAPE_CAP 6 /* what one octet becomes at most */

/* Takes from the front of text, of one octet at least, what goes next into a string, and moves text
 * behind it: a stretch that stands as it is, or an escape that was written to escape. The span
 * lives as long as text's bytes and escape. */
struct base_span base_json_take(struct base_span *text, char escape[BASE_JSON_ESCAPE_CAP]);

/* Writes a string with its quotes; the stream's errors are the caller's. */
void base_json_print(FILE *out, struct base_span text);

#endif
