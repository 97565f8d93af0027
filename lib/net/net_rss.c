#include "net_rss.h"

#include "base_bytes.h"

#include <errno.h>

/* The 32 bits of the key that begin at bit at: what a set bit there adds to the hash. */
static uint32_t window(const uint8_t *key, uint32_t at)
{
    uint64_t bits = 0;

    for (uint32_t i = 0; i < 5; i++)
        bits = bits << 8 | (at / 8 + i < NET_RSS_KEY_BYTES ? key[at / 8 + i] : 0);
    return (uint32_t)(bits >> (8 - at % 8));
}

int net_rss_init(struct net_rss *r, const uint8_t *key, const uint8_t *queue, uint32_t table_cnt)
{
    if (table_cnt == 0 || table_cnt > NET_RSS_TABLE_MAX || (table_cnt & (table_cnt - 1)) != 0)
        return -EINVAL;
    r->table_cnt = table_cnt;
    memcpy(r->queue, queue, table_cnt);
    for (uint32_t i = 0; i < NET_RSS_TUPLE_BYTES; i++) {
        r->part[i][0] = 0;
        for (uint32_t value = 1; value < 256; value++) {
            uint32_t low = value & -value; /* the others are known already */
            uint32_t bit = 7 - (uint32_t)__builtin_ctz(low);
            r->part[i][value] = r->part[i][value ^ low] ^ window(key, i * 8 + bit);
        }
    }
    return 0;
}

uint32_t net_rss_hash(const struct net_rss *r, const struct net_endpoint *remote,
                      const struct net_endpoint *local)
{
    uint8_t tuple[NET_RSS_TUPLE_BYTES];
    bool v4 = net_addr_is_v4(&remote->addr);
    uint32_t len = v4 ? 4 : 16, hash = 0;

    memcpy(tuple, remote->addr.b + 16 - len, len);
    memcpy(tuple + len, local->addr.b + 16 - len, len);
    base_put_be16(tuple + 2 * len, remote->port);
    base_put_be16(tuple + 2 * len + 2, local->port);
    for (uint32_t i = 0; i < 2 * len + 4; i++)
        hash ^= r->part[i][tuple[i]];
    return hash;
}
