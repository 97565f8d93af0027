#include "gateway_gauges.h"

#include <rte_mempool.h>

/* jemalloc's own, when it is linked in: sanitizer builds have another allocator. */
extern int mallctl(const char *name, void *old, size_t *old_len, void *new_value, size_t new_len)
    __attribute__((weak));

static void read_ports(const struct gateway *g, struct stats_block *b)
{
    struct ethdev_counts sum = {0};

    for (uint32_t i = 0; i < g->open_cnt; i++) {
        struct ethdev_counts c;
        if (!ethdev_count(&g->port[i], &c))
            continue;
        sum.rx_missed += c.rx_missed;
        sum.rx_errors += c.rx_errors;
        sum.rx_no_buffer += c.rx_no_buffer;
        sum.tx_errors += c.tx_errors;
    }
    stats_set(b, STATS_PORT_RX_MISSED, sum.rx_missed);
    stats_set(b, STATS_PORT_RX_ERRORS, sum.rx_errors);
    stats_set(b, STATS_PORT_RX_NO_BUFFER, sum.rx_no_buffer);
    stats_set(b, STATS_PORT_TX_ERRORS, sum.tx_errors);
}

static void read_pools(struct stats_block *b, struct rte_mempool *const *pools, uint32_t cnt,
                       enum stats_id size_id, enum stats_id free_id)
{
    uint64_t size = 0, free_cnt = 0;

    for (uint32_t i = 0; i < cnt && pools[i] != NULL; i++) {
        size += pools[i]->size;
        free_cnt += rte_mempool_avail_count(pools[i]);
    }
    stats_set(b, size_id, size);
    stats_set(b, free_id, free_cnt);
}

static void read_allocator(struct stats_block *b)
{
    static const struct {
        const char *key;
        enum stats_id id;
    } rows[] = {
        {"stats.allocated", STATS_MEMORY_ALLOCATED}, {"stats.active", STATS_MEMORY_ACTIVE},
        {"stats.metadata", STATS_MEMORY_METADATA},   {"stats.resident", STATS_MEMORY_RESIDENT},
        {"stats.mapped", STATS_MEMORY_MAPPED},       {"stats.retained", STATS_MEMORY_RETAINED},
    };
    uint64_t epoch = 1;
    size_t len = sizeof(epoch);

    if (mallctl == NULL)
        return;
    mallctl("epoch", &epoch, &len, &epoch, len); /* refreshes the figures */
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        size_t value = 0;
        len = sizeof(value);
        if (mallctl(rows[i].key, &value, &len, NULL, 0) == 0)
            stats_set(b, rows[i].id, value);
    }
}

/* What others write there, the log for one, is taken from a spool that has not made all of its
 * segments. A disk that does not tell leaves the figure as it was. */
static void read_disks(struct gateway *g)
{
    for (uint32_t i = 0; i < g->topology.spool_cnt; i++) {
        const struct spool_disk *d = &g->spool[i].disk;
        int64_t bytes = d->ops->free_bytes(d->state);
        if (bytes >= 0)
            stats_set(topology_stats(&g->topology, TOPOLOGY_SPOOLER, i),
                      STATS_SPOOL_DISK_FREE_BYTES_NOW, (uint64_t)bytes);
    }
}

void gateway_gauges_read(struct gateway *g)
{
    struct stats_block *b = topology_stats(&g->topology, TOPOLOGY_CONTROL, 0);
    uint32_t cnt = g->topology.lane_cnt;

    read_ports(g, b);
    read_pools(b, g->rx_pool, cnt, STATS_MEMORY_RX_BUFFERS, STATS_MEMORY_RX_FREE);
    read_pools(b, g->data_pool, cnt, STATS_MEMORY_DATA_BUFFERS, STATS_MEMORY_DATA_FREE);
    read_pools(b, g->ctrl_pool, cnt, STATS_MEMORY_CTRL_BUFFERS, STATS_MEMORY_CTRL_FREE);
    read_pools(b, g->frame_pool, cnt, STATS_MEMORY_FRAME_BUFFERS, STATS_MEMORY_FRAME_FREE);
    read_allocator(b);
    read_disks(g);
}
