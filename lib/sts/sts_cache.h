/*
 * Policies by domain, as long as they hold (RFC 8461 sections 3.3 and 5.1): what was fetched stays
 * in force until its max_age is over, whatever becomes of the record and of later fetches; another
 * id in the record asks for a fetch. A fetch that fails is not made again for STS_RETRY_MIN_S,
 * doubling up to STS_RETRY_MAX_S, for the same id; for another one after STS_RETRY_OTHER_S.
 *
 * Threads: one. Memory: malloc for each domain, at most STS_CACHE_MAX of them; the one used longest
 * ago makes room. Times: seconds since 1970, by a clock that may jump: a policy never holds for
 * longer than max_age from now on.
 */
#ifndef STS_CACHE_H
#define STS_CACHE_H

#include "base_list.h"
#include "sts_policy.h"
#include "sts_record.h"

#define STS_CACHE_MAX     16384
#define STS_RETRY_MIN_S   300
#define STS_RETRY_MAX_S   7200
#define STS_RETRY_OTHER_S 60
#define STS_REFRESH_MAX_S 86400        /* fetched anew at the latest, while it is used */
#define STS_REFRESH_MIN_S 300          /* and not more often than this */
#define STS_UNUSED_S      (31 * 86400) /* not refreshed without mail for so long */
#define STS_WHY_CAP       120

/* What a fetch failed of, as far as the domain can do something about it. */
enum sts_failure {
    STS_FAILURE_NONE,
    STS_FAILURE_HERE,        /* of us */
    STS_FAILURE_FETCH,       /* its host gives no policy */
    STS_FAILURE_CERTIFICATE, /* its host is not proved to be its host */
    STS_FAILURE_POLICY       /* what it gives is none */
};

struct sts_entry {
    struct base_list node; /* of all, the one used longest ago first */
    struct sts_entry *hash_next;
    uint64_t hash;
    char domain[DNS_NAME_CAP];
    bool has_policy;
    char id[STS_ID_CAP];      /* of the policy */
    struct sts_policy policy; /* mx owned */
    uint64_t fetched_s, used_s;
    /* The last fetch, where it failed: */
    uint32_t failed_cnt;
    uint8_t failure; /* enum sts_failure */
    char failed_id[STS_ID_CAP], why[STS_WHY_CAP];
    uint64_t failed_s;
    bool asked_for; /* an operator wants it anew; whoever fetches it takes that back */
};

struct sts_cache {
    struct sts_entry **buckets;
    struct base_list entries;
    uint32_t cnt;
    uint8_t key[16];
    bool changed; /* what is worth keeping; whoever keeps it takes it back */
};

int sts_cache_init(struct sts_cache *c, const uint8_t key[16]) BASE_WARN_UNUSED;
void sts_cache_fini(struct sts_cache *c);

/* NULL: nothing is known of the domain, in lower case. */
struct sts_entry *sts_cache_find(const struct sts_cache *c, const char *domain);
/* Finds it or makes it. NULL: memory is short. Others may go by that. */
struct sts_entry *sts_cache_get(struct sts_cache *c, const char *domain);
/* All of them, in no order: *at is 0 first; NULL behind the last. Of those that come or go between
 * two calls some may be left out. */
struct sts_entry *sts_cache_next(const struct sts_cache *c, uint32_t *at);
/* Mail goes by it. */
void sts_cache_touch(struct sts_cache *c, struct sts_entry *e, uint64_t now_s);

/* Until when its policy holds; 0: there is none, or no longer. */
uint64_t sts_entry_expires_s(const struct sts_entry *e, uint64_t now_s);

/* What the record asks for. e may be NULL. id: of a valid record. */
bool sts_entry_wants(const struct sts_entry *e, enum sts_record record, const char *id,
                     uint64_t now_s);
/* When a policy that is used is to be fetched anew, id unchanged or not; UINT64_MAX: never. */
uint64_t sts_entry_refresh_s(const struct sts_entry *e, uint64_t now_s);

/* A fetch has ended. The policy is copied. Returns 0, or -ENOMEM with all as before. */
int sts_cache_store(struct sts_cache *c, struct sts_entry *e, const char *id,
                    const struct sts_policy *policy, uint64_t now_s) BASE_WARN_UNUSED;
void sts_cache_failed(struct sts_cache *c, struct sts_entry *e, const char *id,
                      enum sts_failure failure, const char *why, uint64_t now_s);

/* ---- over restarts (sts_store.c) ---- */

/* Policies that hold, as lines of text with a head and a checksum at the end. Returns a malloc'ed
 * text, the caller's, or NULL. */
char *sts_cache_write(const struct sts_cache *c, uint64_t now_s, size_t *len);

/* Takes what sts_cache_write has written. Returns how many policies, or -EINVAL: it is damaged, and
 * nothing was taken; -ENOMEM. */
int sts_cache_read(struct sts_cache *c, struct base_span text, uint64_t now_s) BASE_WARN_UNUSED;

#endif
