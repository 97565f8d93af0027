/*
 * Questions to the DNS and their answers, as mail wants them: what the records are, and above all
 * what an answer without records means. Security is decided by a validating resolver (RFC 4035
 * section 4.3); here its word is put into a form in which an error can not be taken for "there is
 * none": that mistake turns required TLS into none (RFC 7672 section 2.1.1).
 *
 * Left out: class other than IN, wire packets (a resolver's business), zones.
 *
 * Threads: pure; any. Memory: a query is one object of whoever asks, with room for the answer's
 * records; nothing is allocated. Times are CLOCK_MONOTONIC ns.
 */
#ifndef DNS_H
#define DNS_H

#include "base_wheel.h"
#include "dns_name.h"

enum dns_type {
    DNS_TYPE_A = 1,
    DNS_TYPE_CNAME = 5,
    DNS_TYPE_PTR = 12,
    DNS_TYPE_MX = 15,
    DNS_TYPE_TXT = 16,
    DNS_TYPE_AAAA = 28,
    DNS_TYPE_TLSA = 52,
};

/* Those that may be asked for. */
bool dns_type_known(uint16_t type);
/* "TLSA"; "?" for others. */
const char *dns_type_name(uint16_t type);

enum dns_status {
    DNS_OK,       /* records; aliases (CNAME) were followed */
    DNS_NODATA,   /* the name exists, without records of this type */
    DNS_NXDOMAIN, /* there is no such name */
    /* From here on nothing is known: never to be taken for "none". */
    DNS_BOGUS,    /* validation failed: forged, expired or wrongly signed */
    DNS_SERVFAIL, /* servers refuse, fail or contradict each other */
    DNS_TIMEOUT,  /* no answer in time */
    DNS_FAILED,   /* here: no resolver, an answer over our limits, a malformed one */
    DNS_STATUS_CNT
};

/* "nxdomain"; never NULL. */
const char *dns_status_name(enum dns_status status);

#define DNS_RECORDS_MAX 1024  /* more are DNS_FAILED (O3) */
#define DNS_DATA_MAX    65536 /* bytes of all records, each with its length: more likewise */
#define DNS_WHY_CAP     128

/* Records lie in data one behind the other: two bytes of length (big endian), then RDATA with
 * uncompressed names. */
struct dns_answer {
    uint8_t status; /* enum dns_status */
    bool secure;    /* validated; only where status is no error. Holds for what is denied, too */
    uint8_t rcode;  /* for the log */
    uint32_t ttl_s; /* of the records, or of their absence */
    uint32_t record_cnt, data_len;
    uint8_t *data; /* of the one who asks */
    uint32_t data_cap;
    char canonical[DNS_NAME_CAP]; /* the end of the chain of aliases; "": the name was none */
    char why[DNS_WHY_CAP];        /* of errors: a sentence for the log, or "" */
};

/* What the tables of DANE go by. */
enum dns_security { DNS_SECURE, DNS_INSECURE, DNS_ERROR };
static inline bool dns_status_is_error(enum dns_status status)
{
    return status >= DNS_BOGUS;
}
static inline enum dns_security dns_answer_security(const struct dns_answer *a)
{
    return dns_status_is_error(a->status) ? DNS_ERROR : a->secure ? DNS_SECURE : DNS_INSECURE;
}

/* Empties it for a new question; data and data_cap stay. */
void dns_answer_clear(struct dns_answer *a);
/* An error, or a denial, without records. why may be NULL. */
void dns_answer_set(struct dns_answer *a, enum dns_status status, const char *why);
/* Appends a record. Returns 0, or -ENOSPC: then the answer has become DNS_FAILED. */
int dns_answer_add(struct dns_answer *a, struct base_span rdata) BASE_WARN_UNUSED;
/* Takes all records as they lie in data, checked ones; without room for them the answer becomes
 * DNS_FAILED. */
void dns_answer_fill(struct dns_answer *a, struct base_span data, uint32_t cnt);
/* Goes over the records: *at is 0 first. Returns false behind the last. */
bool dns_answer_next(const struct dns_answer *a, size_t *at, struct base_span *rdata);
/* The lengths of cnt records fill data exactly. */
bool dns_records_valid(struct base_span data, uint32_t cnt);

/* ---- what a validating resolver says ---- */

struct dns_outcome {
    bool failed; /* it could not ask at all */
    int rcode;
    bool has_data;
    bool secure;
    bool bogus;
};

/* The order matters: bogus answers come with rcode 0 and their forged records, failures (SERVFAIL,
 * REFUSED, no server that answers) with neither records nor a mark. */
enum dns_status dns_outcome_status(const struct dns_outcome *o);

/* ---- a question ---- */

struct dns_query {
    /* By the one who asks. */
    char name[DNS_NAME_CAP];
    uint16_t type;                     /* enum dns_type */
    uint64_t timeout_ns;               /* from being asked until it comes back, at most */
    void (*done)(struct dns_query *q); /* see app/sluiced/resolver.h; drivers do not call it */
    void *user;
    struct dns_answer answer;
    /* The resolver's, from submit until poll has returned it. */
    uint64_t deadline_ns;
    struct base_timer timer;
    struct base_list node;
    uint32_t slot;
    uint8_t asked_cnt;
    uint16_t owner; /* this and the next: of the service between threads */
    uint64_t taken_ns;
};

/* Sets the question up with the buffer for its records. Returns 0, or -EINVAL: no name, or a type
 * that is not known. */
int dns_query_init(struct dns_query *q, struct base_span name, uint16_t type, uint64_t timeout_ns,
                   void *data, uint32_t data_cap) BASE_WARN_UNUSED;

#endif
