/* How a port spreads segments over its queues: set evenly, and read back, because drivers take what
 * they like of what they are given. */
#include "ethdev_internal.h"

#include <errno.h>
#include <string.h>

#define GROUP  RTE_ETH_RETA_GROUP_SIZE
#define GROUPS (NET_RSS_TABLE_MAX / GROUP)

static uint32_t group_cnt(const struct ethdev *e)
{
    return (e->rss_table_cnt + GROUP - 1u) / GROUP;
}

void ethdev_spread(struct ethdev *e)
{
    struct rte_eth_rss_reta_entry64 table[GROUPS];
    struct rte_eth_rss_conf conf = {
        .rss_key = e->rss_key, .rss_key_len = (uint8_t)e->rss_key_len, .rss_hf = e->rss_types};

    if (e->rss_table_cnt == 0 || e->rss_table_cnt > NET_RSS_TABLE_MAX)
        return;
    /* Some drivers take no notice of the key that they are configured with. */
    (void)rte_eth_dev_rss_hash_update(e->port_id, &conf);
    memset(table, 0, sizeof(table));
    for (uint32_t i = 0; i < e->rss_table_cnt; i++) {
        table[i / GROUP].mask |= UINT64_C(1) << i % GROUP;
        table[i / GROUP].reta[i % GROUP] = (uint16_t)(i % e->queue_cnt);
    }
    /* One that does not let itself be told has a table of its own, which is read back below. */
    (void)rte_eth_dev_rss_reta_update(e->port_id, table, e->rss_table_cnt);
}

static bool read_key(const struct ethdev *e, uint8_t key[ETHDEV_RSS_KEY_CAP])
{
    struct rte_eth_rss_conf conf = {.rss_key = key, .rss_key_len = (uint8_t)e->rss_key_len};

    return e->rss_key_len >= NET_RSS_KEY_BYTES &&
           rte_eth_dev_rss_hash_conf_get(e->port_id, &conf) == 0 &&
           (conf.rss_hf & ETHDEV_RSS_TYPES) == ETHDEV_RSS_TYPES;
}

static bool read_table(const struct ethdev *e, uint8_t queue[NET_RSS_TABLE_MAX])
{
    struct rte_eth_rss_reta_entry64 table[GROUPS];

    memset(table, 0, sizeof(table));
    for (uint32_t i = 0; i < group_cnt(e); i++)
        table[i].mask = UINT64_MAX;
    if (rte_eth_dev_rss_reta_query(e->port_id, table, e->rss_table_cnt) != 0)
        return false;
    for (uint32_t i = 0; i < e->rss_table_cnt; i++) {
        uint16_t q = table[i / GROUP].reta[i % GROUP];
        if (q >= e->queue_cnt)
            return false;
        queue[i] = (uint8_t)q;
    }
    return true;
}

int ethdev_tell_rss(const struct net_port *port, struct net_rss *out)
{
    const struct ethdev *e = port->state;
    uint8_t key[ETHDEV_RSS_KEY_CAP] = {0}, queue[NET_RSS_TABLE_MAX];

    if (e->rss_table_cnt == 0 || e->rss_table_cnt > NET_RSS_TABLE_MAX || !e->started ||
        !read_key(e, key) || !read_table(e, queue))
        return -ENOTSUP;
    return net_rss_init(out, key, queue, e->rss_table_cnt) == 0 ? 0 : -ENOTSUP;
}
