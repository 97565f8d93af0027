/*
 * The envelope as it lies in the spool and travels to the courier: type (1 byte), length (le16),
 * value; unknown types are skipped, so that later versions can add. Exactly one SENDER comes
 * first; RECIPIENTs are numbered from 0 in their order. Remote text is data: nothing is a line.
 * Pure; any thread.
 */
#ifndef SPOOL_ENVELOPE_H
#define SPOOL_ENVELOPE_H

#include "base_assert.h"
#include "base_bytes.h"

enum spool_envelope_type {
    SPOOL_ENVELOPE_SENDER = 1,         /* mailbox, empty for <> */
    SPOOL_ENVELOPE_RECIPIENT = 2,      /* mailbox */
    SPOOL_ENVELOPE_ARRIVAL = 3,        /* le64 wall_ns */
    SPOOL_ENVELOPE_BODY_8BIT = 4,      /* no value */
    SPOOL_ENVELOPE_CLIENT_ADDRESS = 5, /* 16 bytes (struct net_addr) and le16 port */
    SPOOL_ENVELOPE_HELO = 6,
};

#define SPOOL_ENVELOPE_VALUE_MAX 1024

/* Appends one field. Returns 0; -ENOSPC when it does not fit; -EINVAL when the value is too long.
 */
int spool_envelope_put(struct base_buf *out, enum spool_envelope_type type,
                       struct base_span value) BASE_WARN_UNUSED;

struct spool_envelope_field {
    uint8_t type;
    struct base_span value; /* view into the envelope */
};

/* Takes the next field off the front of *rest. Returns 1 and the field, 0 at the end, or -EINVAL
 * when the bytes are no envelope. */
int spool_envelope_next(struct base_span *rest, struct spool_envelope_field *out) BASE_WARN_UNUSED;

/* Checks the whole: well formed, SENDER first and once, at least one RECIPIENT. Returns the number
 * of recipients, or -EINVAL. */
int spool_envelope_check(struct base_span envelope) BASE_WARN_UNUSED;

#endif
