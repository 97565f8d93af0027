/* The table that finds connections of all kinds by their 4-tuple. Not for others than lib/tcp. */
#ifndef TCP_TABLE_H
#define TCP_TABLE_H

#include <stdint.h>

#include "base_assert.h"

enum tcp_kind { TCP_KIND_NONE, TCP_KIND_CONN, TCP_KIND_SYN, TCP_KIND_TIME_WAIT };

/* kind in the top two bits, pool index below; 0 is empty */
typedef uint32_t tcp_ref;

#define TCP_BUCKET_SLOTS 8
struct tcp_bucket {
    uint16_t tag[TCP_BUCKET_SLOTS];
    tcp_ref ref[TCP_BUCKET_SLOTS];
    uint32_t passed_cnt; /* entries that belong here or before and sit in a later bucket */
} BASE_CACHE_ALIGNED;
base_static_assert(sizeof(struct tcp_bucket) == 64, "one cache line a look-up");

struct tcp_table {
    struct tcp_bucket *bucket; /* owned */
    uint32_t mask;
};

static inline tcp_ref tcp_ref_make(enum tcp_kind kind, uint32_t index)
{
    return (uint32_t)kind << 30 | index;
}
static inline enum tcp_kind tcp_ref_kind(tcp_ref ref)
{
    return (enum tcp_kind)(ref >> 30);
}
static inline uint32_t tcp_ref_index(tcp_ref ref)
{
    return ref & ((1U << 30) - 1);
}

#endif
