/*
 * What a next hop must prove before it gets a message: one requirement for each address that is
 * tried, the end of the chain of decision (RFC 7672 section 2.2, RFC 8461 section 5, and the
 * operator's level). Who delivers decides (the courier); who has the connection holds it to this
 * (a lane), and never knows where it came from.
 *
 * Threads: plain data; any. Memory: everything that it points to belongs to whoever made it, and
 * stays as it is until each delivery that points to it has come back.
 */
#ifndef DANE_REQUIREMENT_H
#define DANE_REQUIREMENT_H

#include "dane.h"

/* The setting, for all destinations and by destination. */
enum dane_level {
    DANE_LEVEL_NONE,        /* clear text */
    DANE_LEVEL_MAY,         /* TLS where it is offered, whoever the server is */
    DANE_LEVEL_ENCRYPT,     /* TLS, whoever the server is */
    DANE_LEVEL_DANE,        /* what DNSSEC says; may where it says nothing */
    DANE_LEVEL_DANE_ONLY,   /* usable TLSA records, or no delivery */
    DANE_LEVEL_FINGERPRINT, /* a certificate or key that the operator names */
    DANE_LEVEL_VERIFY,      /* a trusted chain for the name of the MX host */
    DANE_LEVEL_SECURE,      /* a trusted chain for the destination's own name, or listed ones */
    /* No settings, but what holds where a policy of MTA-STS does: for the words. */
    DANE_LEVEL_STS,
    DANE_LEVEL_STS_TESTING,
    DANE_LEVEL_CNT
};

enum dane_proof {
    DANE_PROOF_CLEAR,        /* no TLS */
    DANE_PROOF_OPTIONAL,     /* TLS where it is offered, nothing is looked at */
    DANE_PROOF_ENCRYPTED,    /* TLS; nothing is looked at */
    DANE_PROOF_RECORDS,      /* TLS; records, as dane_match has it */
    DANE_PROOF_FINGERPRINTS, /* TLS; the digest of the certificate or of its key is one of these */
    DANE_PROOF_NAMES,        /* TLS; a chain to the trust store, for one of the names */
    DANE_PROOF_CNT
};

struct dane_requirement {
    uint8_t level; /* enum dane_level: for the words */
    uint8_t proof; /* enum dane_proof */
    /* RECORDS: the MX set was not secure (RFC 7672 section 2.2.1), so that a match proves less: it
     * is called trusted, never verified. */
    bool trusted_only;
    /* NAMES, by a policy of MTA-STS in mode testing: what is not proved is told of and done without
     * (RFC 8461 section 5). */
    bool testing;
    const char *sni; /* A-labels; NULL: none is sent */
    const char *const *names;
    uint32_t name_cnt;
    const struct dane_record *records; /* of dane_select */
    uint32_t record_cnt;
    /* RECORDS: beside a match, a chain to the trust store for this name: MTA-STS asks for it, and
     * an unsigned MX set is no reason to do without. NULL: not asked for. */
    const char *policy_name;
    const struct base_span *fingerprints; /* SHA-256, 32 bytes each */
    uint32_t fingerprint_cnt;
    /* Of all above, records in any order. Connections and sessions are shared only between
     * requirements with the same. */
    uint64_t digest;
};

/* What is to stand in digest, of all else; key: the caller's secret, as destinations are chosen by
 * others as well. */
uint64_t dane_requirement_digest(const struct dane_requirement *r, const uint8_t key[16]);

#endif
