/*
 * Enhanced status codes (RFC 3463) as one number, so that they are kept in an outcome and compared:
 * class * 1000000 + subject * 1000 + detail. 0 is none. Pure.
 */
#ifndef SPOOL_STATUS_H
#define SPOOL_STATUS_H

#include "base_bytes.h"

#define SPOOL_STATUS_TEXT_CAP 12 /* "5.999.999" and a NUL */

/* Reads "5.1.1": class 2, 4 or 5, subject and detail of one to three digits (RFC 3463 section 2).
 * Returns 0 for anything else. */
uint32_t spool_status_parse(struct base_span text);

/* Writes it, or "" for none; a number that no text gives is none. */
void spool_status_format(char out[SPOOL_STATUS_TEXT_CAP], uint32_t status);

#endif
