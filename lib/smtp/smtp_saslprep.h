/*
 * SASLprep (RFC 4013) of user names and passwords, as PLAIN (RFC 4616), SCRAM (RFC 5802) and with
 * them LOGIN compare them: one name has one form, whatever keyboard it was typed on. By libidn,
 * which has Unicode 3.2; characters that came later stay as they are.
 *
 * Pure; any thread; it allocates, except for ASCII, and is none of the lanes'.
 */
#ifndef SMTP_SASLPREP_H
#define SMTP_SASLPREP_H

#include "base_assert.h"
#include "base_bytes.h"

#include <stdbool.h>

/* Writes the prepared form and a NUL to out. False: it is no UTF-8, has characters that are not
 * allowed (control characters among them), is empty, or does not fit. in is at most 1,000 bytes. */
bool smtp_saslprep(struct base_span in, char *out, size_t cap, size_t *len) BASE_WARN_UNUSED;

#endif
