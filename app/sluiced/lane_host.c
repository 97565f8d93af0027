/*
 * The lane's side of the machine's own traffic (host.h): what lib/net and TCP find to be nobody's
 * of ours goes to the host's thread; what the kernel sends goes out by lane 0.
 */
#include "lane.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

#define SEND_MAX 32 /* frames of the kernel's in a pass: mail comes first */

bool lane_host_wanted(const struct conf_port *port)
{
    return port->host_device != NULL && port->host_device[0] != 0;
}

void lane_host_init(struct lane *l, const struct conf *conf)
{
    uint32_t at = 0;

    while (at < conf->port_cnt && !lane_host_wanted(&conf->port[at]))
        at++;
    if (at == conf->port_cnt)
        return;
    l->host_port = &l->ports[at];
    l->to_host = topology_ring(l->topology, TOPOLOGY_LANE_HOST, l->number);
    l->host_free = topology_ring(l->topology, TOPOLOGY_HOST_FREE, l->number);
    if (l->number == 0)
        l->from_host = topology_ring(l->topology, TOPOLOGY_HOST_LANE, 0);
}

void lane_host_fini(struct lane *l)
{
    struct rte_ring *const rings[] = {l->to_host, l->host_free, l->from_host};
    void *m;

    for (uint32_t i = 0; i < BASE_ARRAY_CNT(rings); i++)
        while (rings[i] != NULL && rte_ring_sc_dequeue(rings[i], &m) == 0)
            rte_pktmbuf_free(m);
}

void lane_host_give(void *arg, struct rte_mbuf *frame)
{
    struct lane *l = arg;

    if (rte_ring_sp_enqueue(l->to_host, frame) != 0) {
        stats_inc(l->stats, STATS_NET_DROP_TO_HOST_FULL);
        rte_pktmbuf_free(frame);
        return;
    }
    stats_inc(l->stats, STATS_NET_TO_HOST);
    l->host_rung = true;
}

uint32_t lane_host_pass(struct lane *l)
{
    struct rte_mbuf *m[LANE_BURST];
    uint32_t cnt = 0;

    if (l->host_free == NULL)
        return 0;
    /* The buffers of the lane's pool are freed by the lane alone. */
    uint32_t freed = rte_ring_sc_dequeue_burst(l->host_free, (void **)m, LANE_BURST, NULL);
    if (freed > 0)
        rte_pktmbuf_free_bulk(m, freed);
    if (l->from_host != NULL)
        cnt = rte_ring_sc_dequeue_burst(l->from_host, (void **)m, SEND_MAX, NULL);
    for (uint32_t i = 0; i < cnt; i++)
        net_forward(l->host_port->net, m[i]);
    return cnt;
}
