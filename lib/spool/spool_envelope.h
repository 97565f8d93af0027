/*
 * The envelope as it lies in the spool and travels to the courier: type (1 byte), length (le16),
 * value; unknown types are skipped, so that later versions can add. Exactly one SENDER comes
 * first; RECIPIENTs are numbered from 0 in their order; what is of one recipient follows it. Remote
 * text is data: nothing is a line. Pure; any thread.
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
    SPOOL_ENVELOPE_SIZE = 7,     /* le64, as MAIL declared it */
    SPOOL_ENVELOPE_SMTPUTF8 = 8, /* no value */
    SPOOL_ENVELOPE_RET = 9,      /* 1 byte, enum spool_envelope_ret */
    SPOOL_ENVELOPE_ENVID = 10,   /* xtext as it was written */
    SPOOL_ENVELOPE_NOTIFY = 11,  /* 1 byte, enum spool_envelope_notify; of the RECIPIENT before */
    SPOOL_ENVELOPE_ORCPT = 12,   /* type ";" xtext as it was written; of the RECIPIENT before */
    SPOOL_ENVELOPE_CLIENT_DESTINATION = 13, /* where it had connected to, as CLIENT_ADDRESS */
    SPOOL_ENVELOPE_REQUIRETLS = 14,         /* no value: RFC 8689 */
    /* Of the RECIPIENT before: the sender for it alone, in place of SENDER (SRS), who is still the
     * one that is told what became of it. */
    SPOOL_ENVELOPE_FROM = 15,
    /* No value; of the RECIPIENT before: an alias whose targets are recipients themselves. Nothing
     * is delivered to it, its sender is told that it was expanded. */
    SPOOL_ENVELOPE_EXPANDED = 16,
    SPOOL_ENVELOPE_TLS_OPTIONAL = 17, /* no value: "TLS-Required: no" (RFC 8689 section 3) */
    /* No message: the RECIPIENT is what mail is kept from, by an operator (the courier's). The id
     * of such a one has the time 0. */
    SPOOL_ENVELOPE_SUSPENSION = 40,
};

/* Parameters of RFC 3461 as numbers: of the format, never to be changed. */
enum spool_envelope_ret { SPOOL_ENVELOPE_RET_FULL = 1, SPOOL_ENVELOPE_RET_HDRS = 2 };
enum spool_envelope_notify { /* bits */
                             SPOOL_ENVELOPE_NOTIFY_NEVER = 1,
                             SPOOL_ENVELOPE_NOTIFY_SUCCESS = 2,
                             SPOOL_ENVELOPE_NOTIFY_FAILURE = 4,
                             SPOOL_ENVELOPE_NOTIFY_DELAY = 8,
};

#define SPOOL_ENVELOPE_VALUE_MAX 1024
#define SPOOL_ENVELOPE_ENVID_MAX 100
#define SPOOL_ENVELOPE_ORCPT_MAX 500

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

/* Checks the whole: well formed, SENDER first, each field of the message or of a recipient at most
 * once, at least one RECIPIENT. Returns the number of recipients, or -EINVAL. */
int spool_envelope_check(struct base_span envelope) BASE_WARN_UNUSED;

/* What follows one RECIPIENT. */
struct spool_envelope_recipient {
    uint8_t notify;         /* bits; 0: not given */
    struct base_span orcpt; /* view; empty: not given */
    struct base_span from;  /* likewise */
    bool expanded;
};

/* Reads the fields behind a RECIPIENT of a checked envelope: rest begins right after it. Bounded by
 * the next RECIPIENT. */
struct spool_envelope_recipient spool_envelope_recipient_read(struct base_span rest);

#endif
