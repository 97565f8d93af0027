#include "net_internal.h"

/* The port takes no chains: one piece, in the first mbuf or in a fresh one. NULL: dropped. */
static struct rte_mbuf *make_linear(struct net *n, struct rte_mbuf *m)
{
    if (rte_mbuf_refcnt_read(m) == 1 && RTE_MBUF_DIRECT(m) && rte_pktmbuf_linearize(m) == 0)
        return m;

    struct rte_mbuf *copy = rte_pktmbuf_alloc(n->config.ctrl_pool);
    if (copy == NULL || rte_pktmbuf_tailroom(copy) < m->pkt_len) {
        rte_pktmbuf_free(copy);
        rte_pktmbuf_free(m);
        stats_inc(n->stats, STATS_NET_DROP_TX_LINEAR);
        return NULL;
    }
    uint8_t *to = (uint8_t *)rte_pktmbuf_append(copy, (uint16_t)m->pkt_len);
    for (const struct rte_mbuf *from = m; from != NULL; from = from->next) {
        memcpy(to, rte_pktmbuf_mtod(from, const void *), from->data_len);
        to += from->data_len;
    }
    copy->ol_flags = m->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK;
    copy->tx_offload = m->tx_offload;
    rte_pktmbuf_free(m);
    return copy;
}

bool net_tx_put_tag(struct rte_mbuf *m, uint16_t tci)
{
    uint8_t *frame = (uint8_t *)rte_pktmbuf_prepend(m, NET_VLAN_BYTES);

    if (frame == NULL)
        return false;
    memmove(frame, frame + NET_VLAN_BYTES, 12);
    base_put_be16(frame + 12, RTE_ETHER_TYPE_VLAN);
    base_put_be16(frame + 14, tci);
    return true;
}

void net_tx_push_raw(struct net *n, struct rte_mbuf *m)
{
    if (n->tx_cnt == NET_TX_QUEUE_CNT) {
        net_flush(n);
        if (n->tx_cnt == NET_TX_QUEUE_CNT) {
            rte_pktmbuf_free(n->tx[n->tx_head]);
            n->tx_head = (n->tx_head + 1) % NET_TX_QUEUE_CNT;
            n->tx_cnt--;
            n->tx_told = n->tx_told > 0 ? n->tx_told - 1 : 0;
            stats_inc(n->stats, STATS_NET_DROP_TX_FULL);
        }
    }
    n->tx[(n->tx_head + n->tx_cnt) % NET_TX_QUEUE_CNT] = m;
    n->tx_cnt++;
}

void net_tx_push(struct net *n, struct rte_mbuf *m)
{
    if (m->nb_segs > 1 && !n->port->caps.tx_multi_segs &&
        (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) == 0) {
        m = make_linear(n, m);
        if (m == NULL)
            return;
    }
    if (n->config.vlan != 0) {
        if (!net_tx_put_tag(m, n->config.vlan)) {
            rte_pktmbuf_free(m);
            stats_inc(n->stats, STATS_NET_DROP_TX_LINEAR);
            return;
        }
        m->l2_len = NET_ETHER_BYTES + NET_VLAN_BYTES;
    }
    net_tx_push_raw(n, m);
}

void net_watch(struct net *n, bool on)
{
    n->watched = on && n->config.leave != NULL;
    n->tx_told = 0;
}

/* Those of the next burst that were not told of before: the port may have refused them. */
static void tell(struct net *n, struct rte_mbuf **pkts, uint32_t cnt)
{
    if (n->tx_told < cnt)
        n->config.leave(n->config.leave_arg, pkts + n->tx_told, cnt - n->tx_told);
    n->tx_told = n->tx_told > cnt ? n->tx_told : cnt;
}

void net_flush(struct net *n)
{
    uint64_t packets = 0, bytes = 0;

    while (n->tx_cnt > 0) {
        uint32_t run = NET_TX_QUEUE_CNT - n->tx_head; /* up to the end of the circle */
        run = run < n->tx_cnt ? run : n->tx_cnt;
        uint16_t cnt = (uint16_t)(run < NET_PORT_BURST_MAX ? run : NET_PORT_BURST_MAX);
        struct rte_mbuf **pkts = &n->tx[n->tx_head];
        uint32_t len[NET_PORT_BURST_MAX]; /* read before the port owns them */
        for (uint16_t i = 0; i < cnt; i++)
            len[i] = pkts[i]->pkt_len;
        if (n->watched)
            tell(n, pkts, cnt);
        uint16_t took = n->port->ops->tx_burst(n->port->state, n->config.queue, pkts, cnt);
        base_assert(took <= cnt);
        if (took > 0)
            stats_record(n->stats, STATS_HISTOGRAM_LANE_TX_BURST, took);
        for (uint16_t i = 0; i < took; i++)
            bytes += len[i];
        packets += took;
        n->tx_told = n->tx_told > took ? n->tx_told - took : 0;
        n->tx_head = (n->tx_head + took) % NET_TX_QUEUE_CNT;
        n->tx_cnt -= took;
        if (took < cnt)
            break;
    }
    if (packets > 0) {
        stats_add(n->stats, STATS_NET_TX_PACKETS, packets);
        stats_add(n->stats, STATS_NET_TX_BYTES, bytes);
    }
}

void net_tx_fini(struct net *n)
{
    for (; n->tx_cnt > 0; n->tx_cnt--) {
        rte_pktmbuf_free(n->tx[n->tx_head]);
        n->tx_head = (n->tx_head + 1) % NET_TX_QUEUE_CNT;
    }
}
