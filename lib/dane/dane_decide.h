/*
 * The chain of decision: from what the DNS said about a destination to what a next hop must prove
 * (RFC 7672 section 2). Two mistakes are easy here, and both turn required TLS into none: to take a
 * failed lookup for "there is none", and to look at the TLSA records alone, without the security of
 * the answers that lead to them. The opposite one stops mail for ever: to ask for TLSA records of
 * hosts in unsigned zones, whose servers often can't answer that. So the questions come one after
 * the other from here (dane_next_question), and the decision is made of all answers at once.
 *
 * The order is: DANE where the host has it; else what the domain publishes by MTA-STS (RFC 8461),
 * at the levels may, encrypt and dane; else the level. A policy never overrides what DANE requires
 * or forbids (RFC 8461 section 2). It adds to DANE where that leaves something open: records that
 * are all unusable ask for TLS with whoever it is, and the records of a host that an unsigned MX
 * set has named prove less. The levels that ask for something themselves stand as they are.
 *
 * Left out: the lookups, names and records themselves (whoever delivers), the handshake.
 *
 * Threads: pure; any. Memory: none; texts are static.
 */
#ifndef DANE_DECIDE_H
#define DANE_DECIDE_H

#include "dane_requirement.h"

/* What a lookup came to. The state that is 0 was never asked, or is not there yet. */
enum dane_state {
    DANE_STATE_UNASKED,
    DANE_STATE_RECORDS,
    DANE_STATE_NODATA,
    DANE_STATE_NXDOMAIN,
    DANE_STATE_ERROR, /* bogus, SERVFAIL, REFUSED, no answer, a malformed one, over a limit */
    DANE_STATE_CNT
};
struct dane_lookup {
    uint8_t state; /* enum dane_state */
    bool secure;   /* validated; of what is denied likewise. Without meaning for an error */
};

/* ---- the MX set of a domain ---- */

enum dane_mx {
    DANE_MX_HOSTS,
    DANE_MX_IMPLICIT,  /* none: the domain itself is the host (RFC 5321 section 5.1) */
    DANE_MX_NULL,      /* it takes no mail (RFC 7505): 5.1.10 */
    DANE_MX_NO_DOMAIN, /* there is none: 5.1.2 */
    DANE_MX_UNKNOWN,   /* nothing may be sent now, to its address neither: 4.4.3 */
};
/* null_mx: the records are one with preference 0 and the root as host. */
enum dane_mx dane_decide_mx(struct dane_lookup mx, bool null_mx);

/* ---- one host ---- */

/* What MTA-STS says about a domain. */
enum dane_policy { DANE_POLICY_NONE, DANE_POLICY_TESTING, DANE_POLICY_ENFORCE };

struct dane_facts {
    uint8_t level; /* enum dane_level */
    bool literal;  /* an address stands in place of the host's name */
    /* The MX set, or its absence where the host is the domain itself, is validated. True, too, for
     * a host that the operator has named: RFC 7672 section 2.2.2 takes that for secure. */
    bool mx_secure;
    struct dane_lookup a, aaaa; /* UNASKED: not wanted, as of a family that we do not have */
    bool alias;                 /* the host's name is one: the addresses are of another name */
    struct dane_lookup cname;   /* of the host's name, where that is asked for */
    /* TLSA at the name at the end of the chain of aliases, and at the host's own name. */
    struct dane_lookup tlsa[2];
    bool usable[2]; /* one of the records at least (dane_select) */
    uint8_t policy; /* enum dane_policy, of the domain, in force now */
    bool policy_names_host;
};
#define DANE_EXPANDED 0
#define DANE_ORIGINAL 1

enum dane_question {
    DANE_ASK_NOTHING, /* dane_decide has all that it needs */
    DANE_ASK_CNAME,
    DANE_ASK_EXPANDED, /* TLSA at the end of the chain of aliases */
    DANE_ASK_ORIGINAL, /* TLSA at the host's name */
};
/* The next one, once the addresses are known. */
enum dane_question dane_next_question(const struct dane_facts *f);

enum dane_why {
    DANE_WHY_LEVEL,            /* DANE is not asked for */
    DANE_WHY_ADDRESS_ERROR,    /* no family could be looked up */
    DANE_WHY_NO_ADDRESS,       /* there is none */
    DANE_WHY_LITERAL,          /* an address has no TLSA records */
    DANE_WHY_UNSIGNED_ADDRESS, /* the host's zone is not signed */
    DANE_WHY_UNSIGNED_ALIAS,   /* likewise, the alias's */
    DANE_WHY_ALIAS_ERROR,
    DANE_WHY_TLSA_ERROR,
    DANE_WHY_NO_TLSA,
    DANE_WHY_UNSIGNED_TLSA, /* records, but not validated: nobody heeds them */
    DANE_WHY_UNUSABLE,      /* validated, none of which means anything for mail */
    DANE_WHY_USABLE,
    DANE_WHY_UNSIGNED_MX,  /* dane-only: whoever forges the MX set chooses the host */
    DANE_WHY_POLICY,       /* MTA-STS, enforce: the host is one of its */
    DANE_WHY_POLICY_HOST,  /* enforce: it is none of its */
    DANE_WHY_TESTING,      /* testing: the host is one of its */
    DANE_WHY_TESTING_HOST, /* testing: it is none of its */
    /* Of dane_requiretls.h: */
    DANE_WHY_REQUIRETLS,   /* it asks for more than all others */
    DANE_WHY_NOT_SECURE,   /* REQUIRETLS: likewise */
    DANE_WHY_CLEAR,        /* REQUIRETLS: and the operator wants clear text */
    DANE_WHY_TLS_OPTIONAL, /* TLS-Required: no */
    DANE_WHY_CNT
};
const char *dane_why_text(enum dane_why why); /* a sentence without its end */

struct dane_decision {
    bool next;            /* this host gets nothing now; the next one is tried */
    bool lasting;         /* next: it is not a failure for now, but what the DNS says */
    uint8_t proof;        /* enum dane_proof; unless next */
    uint8_t base;         /* with records: DANE_EXPANDED or DANE_ORIGINAL */
    bool trusted_only;    /* as in struct dane_requirement */
    uint8_t policy;       /* enum dane_policy that has a part in this */
    uint8_t why;          /* enum dane_why */
    const char *enhanced; /* next: "4.7.5"; else "" */
};

/* A policy of the domain may have a part in what dane_decide says: it is to be known before. */
bool dane_wants_policy(const struct dane_facts *f);

/* After the last question. */
struct dane_decision dane_decide(const struct dane_facts *f);

/* "dane-only", as it is written in the configuration; "records". */
const char *dane_level_name(enum dane_level level);
const char *dane_proof_name(enum dane_proof proof);

#endif
