/*
 * Addresses with their domains as A-labels (IDNA 2008, as in policy_key.h): what a server without
 * SMTPUTF8 can be told, where the local part is ASCII.
 *
 * Pure; any thread. Memory: the caller's; what is not ASCII allocates inside of the library.
 */
#ifndef POLICY_ASCII_H
#define POLICY_ASCII_H

#include "base_assert.h"
#include "base_bytes.h"

/* Appends the mailbox, as it is written but for a domain beyond ASCII. Returns 0; -EINVAL: the
 * local part is beyond ASCII, the domain is no valid name, or has over 255 bytes as A-labels (RFC
 * 5321 section 4.5.3.1.2) or one of over 63; -ENOSPC. */
int policy_ascii_mailbox(struct base_buf *out, struct base_span mailbox) BASE_WARN_UNUSED;

#endif
