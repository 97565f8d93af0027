/*
 * A lane's idle outbound connections: sessions whose message is done, kept for a further one to the
 * same next hop under the same policy. Found by that key, the one that was busy last first, so that
 * those not needed any more grow old together; and by age, for those that have to go.
 *
 * Kept are connections (conn.out: cached and in no hurry), never buffers: an idle one holds none.
 * How long one stays is its own deadline; when it is closed decides conn_out_idle.c.
 *
 * Threads: its lane's only. Memory: none of its own but the heads. Bounded: max, a share of the
 * lane's connections.
 */
#ifndef CONN_CACHE_H
#define CONN_CACHE_H

#include "base_list.h"
#include "net_addr.h"

struct conn;

#define CONN_CACHE_BUCKET_CNT 256
#define CONN_CACHE_SHARE      8 /* of the lane's connections, one in so many may be idle */

struct conn_cache {
    struct base_list bucket[CONN_CACHE_BUCKET_CNT];
    struct base_list by_age; /* first: idle for longest */
    uint32_t cnt, max;
    uint8_t key[16]; /* of the hash: next hops are chosen by others as well */
};

/* For a lane with that many connections; borrows nothing. */
void conn_cache_init(struct conn_cache *k, uint32_t conn_cnt, const uint8_t key[16]);

/* There must be room (cnt < max), and c not be in it. Its key: c->remote and c->out.policy. */
void conn_cache_put(struct conn_cache *k, struct conn *c);

/* Takes one out; NULL when there is none for that key. */
struct conn *conn_cache_take(struct conn_cache *k, const struct net_endpoint *host,
                             uint64_t policy);

/* Takes this one out. */
void conn_cache_remove(struct conn_cache *k, struct conn *c);

/* The one idle for longest, which stays in; NULL when all are out. */
struct conn *conn_cache_oldest(const struct conn_cache *k);

#endif
