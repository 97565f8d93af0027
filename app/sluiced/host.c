#include "host.h"
#include "base_time.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

#define BURST 32

void host_init(struct host *h, const struct host_config *config)
{
    uint64_t rate = config->rate < BASE_NS_S ? config->rate : BASE_NS_S;

    *h = (struct host){
        .topology = config->topology,
        .tap = config->tap,
        .stats = topology_stats(config->topology, TOPOLOGY_HOST, 0),
        .limit = {.interval_ns = BASE_NS_S / rate, .burst = config->burst},
    };
}

/* From one lane to the kernel. The frames' buffers are the lane's to free: here they are only held
 * a second time while the TAP has them. */
static uint32_t to_kernel(struct host *h, uint32_t lane)
{
    struct rte_ring *in = topology_ring(h->topology, TOPOLOGY_LANE_HOST, lane);
    struct rte_ring *back = topology_ring(h->topology, TOPOLOGY_HOST_FREE, lane);
    struct rte_mbuf *m[BURST];
    uint32_t room = rte_ring_free_count(back);
    uint32_t cnt = rte_ring_sc_dequeue_burst(in, (void **)m, room < BURST ? room : BURST, NULL);

    if (cnt == 0)
        return 0;
    for (uint32_t i = 0; i < cnt; i++)
        for (struct rte_mbuf *part = m[i]; part != NULL; part = part->next)
            rte_mbuf_refcnt_update(part, 1);
    uint16_t took = h->tap->ops->tx_burst(h->tap->state, 0, m, (uint16_t)cnt);
    for (uint32_t i = took; i < cnt; i++) {
        rte_pktmbuf_free(m[i]);
        stats_inc(h->stats, STATS_NET_DROP_TO_HOST_REFUSED);
    }
    base_assert(rte_ring_sp_enqueue_bulk(back, (void **)m, cnt, NULL) == cnt);
    return cnt;
}

static uint32_t from_kernel(struct host *h, uint64_t now_ns)
{
    struct rte_ring *out = topology_ring(h->topology, TOPOLOGY_HOST_LANE, 0);
    struct rte_mbuf *m[BURST];
    uint64_t may = base_limit_room(&h->limit, now_ns);
    uint32_t room = rte_ring_free_count(out);

    may = may < room ? may : room;
    if (may == 0 && !h->waits)
        stats_inc(h->stats, STATS_NET_FROM_HOST_LIMITED);
    h->waits = may == 0;
    if (h->waits)
        return 0;
    uint32_t cnt =
        h->tap->ops->rx_burst(h->tap->state, 0, m, (uint16_t)(may < BURST ? may : BURST));
    if (cnt == 0)
        return 0;
    base_limit_use(&h->limit, now_ns, cnt);
    base_assert(rte_ring_sp_enqueue_bulk(out, (void **)m, cnt, NULL) == cnt);
    doorbell_ring(&h->topology->lane_bell[0]);
    return cnt;
}

bool host_pass(struct host *h, uint64_t now_ns)
{
    uint32_t work = 0;

    for (uint32_t lane = 0; lane < h->topology->lane_cnt; lane++)
        work += to_kernel(h, lane);
    work += from_kernel(h, now_ns);
    return work > 0;
}
