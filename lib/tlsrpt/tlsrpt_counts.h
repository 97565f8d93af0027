/*
 * Counts of TLS sessions by UTC day, policy domain, policy and kind of failure: what a report is
 * made of (RFC 8460 section 4). A table of them is filled by one thread and handed over whole.
 *
 * Bounds: bytes_max for all that a table holds; TLSRPT_POLICIES_MAX policies of a domain in a day;
 * TLSRPT_DETAILS_MAX details of a policy, beyond which a detail is counted by its result alone.
 *
 * Threads: whoever has the table. Memory: malloc, for what was not there before.
 */
#ifndef TLSRPT_COUNTS_H
#define TLSRPT_COUNTS_H

#include "base_list.h"
#include "tlsrpt_words.h"

#define TLSRPT_POLICIES_MAX 32
#define TLSRPT_DETAILS_MAX  64
#define TLSRPT_DOMAIN_MAX   255
#define TLSRPT_DAY_S        86400

struct tlsrpt_detail {
    struct tlsrpt_detail *next;
    uint64_t cnt;
    uint32_t len;
    uint8_t text[];
};

struct tlsrpt_policy {
    struct tlsrpt_policy *next;
    uint64_t success_cnt, failure_cnt;
    struct tlsrpt_detail *details; /* in the order in which they came */
    uint32_t detail_cnt, len;
    uint8_t text[];
};

/* One domain's day. */
struct tlsrpt_domain {
    struct base_list node;
    struct tlsrpt_domain *hash_next;
    struct tlsrpt_policy *policies; /* in the order in which they came */
    uint32_t policy_cnt, day, len;
    uint8_t name[]; /* A-labels, in lower case; followed by NUL */
};

struct tlsrpt_counts {
    struct base_list domains; /* in the order in which they came */
    struct tlsrpt_domain **buckets;
    uint32_t bucket_cnt, domain_cnt;
    size_t bytes, bytes_max;
    uint64_t dropped_cnt; /* sessions that no room was left for */
    uint8_t key[16];
};

/* bucket_cnt: a power of 2. Returns 0 or -ENOMEM. */
int tlsrpt_counts_init(struct tlsrpt_counts *c, uint32_t bucket_cnt, size_t bytes_max,
                       const uint8_t key[16]) BASE_WARN_UNUSED;
void tlsrpt_counts_fini(struct tlsrpt_counts *c);

/* Counts n sessions; detail.len 0: successful ones. Returns 0, or -ENOSPC: dropped, and counted
 * there. */
int tlsrpt_counts_add(struct tlsrpt_counts *c, uint32_t day, struct base_span domain,
                      struct base_span policy, struct base_span detail, uint64_t n);
/* Adds all of from for days after closed; what is older is left out. Returns how many sessions
 * that, and want of room, has cost. */
uint64_t tlsrpt_counts_merge(struct tlsrpt_counts *c, const struct tlsrpt_counts *from,
                             uint32_t closed);

struct tlsrpt_domain *tlsrpt_counts_find(const struct tlsrpt_counts *c, uint32_t day,
                                         struct base_span domain);
void tlsrpt_counts_remove(struct tlsrpt_counts *c, struct tlsrpt_domain *d);

static inline struct base_span tlsrpt_domain_name(const struct tlsrpt_domain *d)
{
    return base_span_of(d->name, d->len);
}

/* Of all its policies. */
uint64_t tlsrpt_domain_success(const struct tlsrpt_domain *d);
uint64_t tlsrpt_domain_failure(const struct tlsrpt_domain *d);

#endif
