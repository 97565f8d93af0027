/*
 * How many failures something may have: a client, a login, a pair of both. A table of fixed size by
 * a keyed hash of the thing, four places each; who has failed least makes room. A burst of failures
 * is allowed, and comes back evenly over a period.
 *
 * Pure but for its memory; one thread.
 */
#ifndef AUTH_LIMIT_H
#define AUTH_LIMIT_H

#include "base_assert.h"
#include "base_limit.h"

#include <stdint.h>

struct auth_limit_place;

struct auth_limit {
    struct auth_limit_place *places; /* owned */
    uint32_t place_cnt;              /* a power of two */
    uint64_t interval_ns;            /* after which one failure is forgotten */
    uint64_t burst;                  /* 0: there is no limit */
};

/* burst failures a period; 0: no limit. Returns 0 or -ENOMEM. */
int auth_limit_init(struct auth_limit *l, uint32_t place_cnt, uint64_t burst,
                    uint64_t period_ns) BASE_WARN_UNUSED;
void auth_limit_fini(struct auth_limit *l);

/* One more failure. Returns true when that was over the limit. */
bool auth_limit_count(struct auth_limit *l, uint64_t key, uint64_t now_ns);

/* Whether another failure would be over the limit. */
bool auth_limit_reached(const struct auth_limit *l, uint64_t key, uint64_t now_ns);

/* Whether there was any within the period: auth_limit as a memory of what has been seen. */
bool auth_limit_seen(const struct auth_limit *l, uint64_t key, uint64_t now_ns);

#endif
