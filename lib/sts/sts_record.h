/*
 * The TXT records at _mta-sts.DOMAIN (RFC 8461 section 3.1): whether there is a policy, and which
 * one. Case counts; fields that are not known are passed over.
 *
 * Threads: pure; any. Memory: the caller's.
 */
#ifndef STS_RECORD_H
#define STS_RECORD_H

#include "dns.h"

#define STS_ID_CAP 33

enum sts_record {
    STS_RECORD_NONE,    /* no record of this kind */
    STS_RECORD_INVALID, /* several, or one that breaks the grammar: as none */
    STS_RECORD_ERROR,   /* they could not be looked up: as none */
    STS_RECORD_VALID
};

/* One record's strings put together. Returns 0, or -EINVAL. */
int sts_record_parse(char id[STS_ID_CAP], struct base_span text) BASE_WARN_UNUSED;

/* All of an answer: id where it is STS_RECORD_VALID, else "". */
enum sts_record sts_record_read(char id[STS_ID_CAP], const struct dns_answer *a);

#endif
