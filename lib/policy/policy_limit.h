/*
 * What each client may have and do: how many connections it has at a time, and how often in a
 * minute it does something. One table for all lanes; a client is a prefix of addresses (an IPv4
 * address or a /24, an IPv6 /64 as a rule), or a login.
 *
 * Concurrency is exact over all lanes: a connection is counted by one atomic change of its client's
 * row when it begins and by another when it ends. Two lanes that see a client for the first time at
 * the same instant may make two rows of it; the sum of both is what counts, so the limit holds, and
 * at worst both are refused where one would have fitted. Rates are one word a row and kind: when,
 * at the allowed pace, all that was done would have been done by (a token bucket as a time, of the
 * size of a minute's worth). They are exact, too, but for such a second row, which has a bucket of
 * its own.
 *
 * The table has a fixed size. A key has two sets of eight rows each (the hash is keyed: addresses
 * are chosen by others). A row is pinned while a connection is counted in it; one that is not and
 * whose rates have run out says nothing any more and is given to the next client. Where both sets
 * are pinned throughout the connection goes uncounted; where rates have to be forgotten early those
 * nearest to their end are. Both are told. A row knows its client by 40 bits of the keyed hash.
 *
 * Threads: all, at the same time, without locks. Memory: taken at init. Times are of one clock that
 * all threads share, ns; a lane's view of it may be a pass old.
 */
#ifndef POLICY_LIMIT_H
#define POLICY_LIMIT_H

#include "base_assert.h"
#include "base_bytes.h"
#include "net_addr.h"

#include <stdatomic.h>

#define POLICY_LIMIT_NONE     UINT32_MAX /* no row */
#define POLICY_LIMIT_RATE_MAX 200000     /* a minute */
#define POLICY_LIMIT_WAYS     8

enum policy_limit_rate {
    POLICY_LIMIT_CONNECTIONS,
    POLICY_LIMIT_MESSAGES,
    POLICY_LIMIT_RECIPIENTS,
    POLICY_LIMIT_UNKNOWN, /* recipients that nobody has */
    POLICY_LIMIT_RATE_CNT
};

struct policy_limit_set {
    /* 40 bits of the hash, 24 bits of how many connections; 0: never used. All threads write both
     * lines (seq_cst where sums over rows need one order, else relaxed: a word is all). */
    _Atomic uint64_t row[POLICY_LIMIT_WAYS];
    _Atomic uint64_t until_ns[POLICY_LIMIT_WAYS][POLICY_LIMIT_RATE_CNT];
};

struct policy_limits {
    struct policy_limit_set *set; /* on cache lines, in memory */
    void *memory;
    uint32_t mask; /* sets less one */
    uint8_t key[16];
};

/* Who: 17 bytes at most are hashed. */
struct policy_limit_client {
    uint8_t kind; /* 4, 6, or 'L' of a login */
    uint8_t b[16];
};

enum policy_limit_result {
    POLICY_LIMIT_FITS,
    POLICY_LIMIT_OVER,
    POLICY_LIMIT_UNCOUNTED, /* no row was to be had: it is let through */
};

/* For so many clients that are remembered at a time, connections of different ones included.
 * Returns 0 or -ENOMEM. */
int policy_limits_init(struct policy_limits *t, uint32_t client_max,
                       const uint8_t key[16]) BASE_WARN_UNUSED;
void policy_limits_fini(struct policy_limits *t);

/* The client of an address; prefix lengths 0..32 and 0..128. */
struct policy_limit_client policy_limit_client(const struct net_addr *addr, uint32_t prefix4,
                                               uint32_t prefix6);
/* That of a login, whose case does not matter. */
struct policy_limit_client policy_limit_login(const struct policy_limits *t,
                                              struct base_span login);

/*
 * One connection more; conn_max 0: no limit. With FITS *row is where it is counted, for
 * policy_limit_close, else POLICY_LIMIT_NONE. *forgot: another client's rates were dropped early.
 */
enum policy_limit_result policy_limit_open(struct policy_limits *t,
                                           const struct policy_limit_client *client,
                                           uint32_t conn_max, uint64_t now_ns, uint32_t *row,
                                           bool *forgot) BASE_WARN_UNUSED;
/* It ends. row may be POLICY_LIMIT_NONE. */
void policy_limit_close(struct policy_limits *t, uint32_t row);

/* Does it once, if so many a minute allow it; per_minute 0: no limit, row NONE: likewise. The row
 * is pinned by a connection of the caller. Returns false when it is over. */
bool policy_limit_charge(struct policy_limits *t, uint32_t row, enum policy_limit_rate rate,
                         uint32_t per_minute, uint64_t now_ns) BASE_WARN_UNUSED;
/* Whether it could be done now; nothing is charged. */
bool policy_limit_allows(const struct policy_limits *t, uint32_t row, enum policy_limit_rate rate,
                         uint32_t per_minute, uint64_t now_ns);
/* Likewise for one that has no connection counted: a login. */
bool policy_limit_charge_client(struct policy_limits *t, const struct policy_limit_client *client,
                                enum policy_limit_rate rate, uint32_t per_minute, uint64_t now_ns,
                                bool *forgot) BASE_WARN_UNUSED;

/* How many connections it has now. */
uint32_t policy_limit_count(const struct policy_limits *t,
                            const struct policy_limit_client *client);

#endif
