/*
 * Receive-side scaling in software: to which queue a port's Toeplitz hash brings a TCP segment. For
 * choosing local ports whose answers come back to the lane that asks, and for finding the lane of a
 * segment that came to another. The hash is over addresses and ports of the segment as it arrives,
 * in their order on the wire.
 *
 * Threads: any, after net_rss_init. Memory: 40 KiB, the caller's. Pure.
 */
#ifndef NET_RSS_H
#define NET_RSS_H

#include "net_addr.h"

#define NET_RSS_KEY_BYTES   40 /* of the key, as many as a tuple of IPv6 takes */
#define NET_RSS_TABLE_MAX   2048
#define NET_RSS_TUPLE_BYTES 36

struct net_rss {
    uint32_t table_cnt;
    uint8_t queue[NET_RSS_TABLE_MAX];        /* the port's redirection table */
    uint32_t part[NET_RSS_TUPLE_BYTES][256]; /* what each value of each byte adds to the hash */
};

/* key: NET_RSS_KEY_BYTES of it. queue: the redirection table, of table_cnt entries, a power of two.
 * Returns 0, or -EINVAL. */
int net_rss_init(struct net_rss *r, const uint8_t *key, const uint8_t *queue,
                 uint32_t table_cnt) BASE_WARN_UNUSED;

/* Of a segment from remote to local; both of one family. */
uint32_t net_rss_hash(const struct net_rss *r, const struct net_endpoint *remote,
                      const struct net_endpoint *local);

static inline uint32_t net_rss_queue(const struct net_rss *r, const struct net_endpoint *remote,
                                     const struct net_endpoint *local)
{
    return r->queue[net_rss_hash(r, remote, local) & (r->table_cnt - 1)];
}

#endif
