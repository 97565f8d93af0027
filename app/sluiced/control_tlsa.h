/*
 * Our own certificates against the TLSA records that are published for us (RFC 7672): servers that
 * check DANE deliver no mail here when none matches, and tell nobody but their own operator. So
 * control asks as they do, at the start, after certificates were loaded, each hour, and sooner
 * after a failure or while none fits, and warns with what to publish.
 *
 * Left out: records at other ports than 25, where other servers do not connect; the chain of
 * aliases before our name.
 *
 * Threads: control's. Memory: room for the records, 90 KiB.
 */
#ifndef CONTROL_TLSA_H
#define CONTROL_TLSA_H

#include "dane.h"
#include "dns.h"
#include "tls.h"

struct control;

enum control_tlsa_state {
    CONTROL_TLSA_UNASKED,  /* not yet, or of a certificate that other servers do not see */
    CONTROL_TLSA_UNKNOWN,  /* the lookup failed */
    CONTROL_TLSA_NONE,     /* nothing is published */
    CONTROL_TLSA_UNSIGNED, /* records without DNSSEC: nobody heeds them */
    CONTROL_TLSA_UNUSABLE, /* signed, but none of them means anything for mail */
    CONTROL_TLSA_MISMATCH,
    CONTROL_TLSA_MATCH,
};

struct control_tlsa {
    struct dns_query query;
    bool asking;
    bool again;                         /* certificates or names have changed while it was out */
    uint64_t next_ns;                   /* when to ask; 0: at once */
    uint8_t state[TLS_CERTIFICATE_MAX]; /* enum control_tlsa_state */
    uint8_t told; /* the state of the records themselves that the log knows of */
    uint8_t room[DNS_DATA_MAX];
    struct dane_record records[DNS_RECORDS_MAX]; /* of room, those that count */
};

/* The certificates in use are others than before: all is asked, and told, anew. */
void control_tlsa_restart(struct control *c);
/* Now and then. */
void control_tlsa_tend(struct control *c);
/* "match", "none", ... for the conf's certificate i. */
const char *control_tlsa_word(const struct control *c, uint32_t i);

#endif
