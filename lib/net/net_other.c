/*
 * The rest of the machine, which shares our port (net_config.other): what it gets is limited by
 * rate, so that what nobody asked for takes nothing from the mail. Three budgets: all frames; of
 * those, segments that open connections a quarter, so that a scan of ports leaves an
 * administrator's session alone; and ARP and neighbor discovery, without which the machine loses
 * its neighbors.
 */
#include "net_internal.h"

#define NEIGHBOR_PER_S 200
#define NEIGHBOR_BURST 100

enum kind { KIND_ORDINARY, KIND_OPEN, KIND_NEIGHBOR };

void net_other_init(struct net *n)
{
    uint64_t per_s = n->config.other_per_s, burst = n->config.other_burst;

    if (n->config.other == NULL)
        return;
    per_s = per_s < BASE_NS_S ? per_s : BASE_NS_S;
    n->other_limit = (struct base_limit){.interval_ns = BASE_NS_S / per_s, .burst = burst};
    n->other_open_limit =
        (struct base_limit){.interval_ns = BASE_NS_S / per_s * 4, .burst = (burst + 3) / 4};
    n->other_neighbor_limit =
        (struct base_limit){.interval_ns = BASE_NS_S / NEIGHBOR_PER_S, .burst = NEIGHBOR_BURST};
}

/* Behind an IPv4 or IPv6 header at ip; false where that can not be seen. */
static bool opens_connection(const uint8_t *ip, uint32_t len, bool v4)
{
    uint32_t at = NET_IPV6_BYTES;

    if (v4) {
        if (len < NET_IPV4_BYTES || ip[9] != NET_PROTO_TCP)
            return false;
        at = (ip[0] & 0xfu) * 4;
    } else if (len < NET_IPV6_BYTES || ip[6] != NET_PROTO_TCP) {
        return false;
    }
    const uint8_t syn = 2, ack = 16;
    return len > at + 13 && (ip[at + 13] & (syn | ack)) == syn;
}

static bool is_discovery(const uint8_t *ip, uint32_t len)
{
    return len > NET_IPV6_BYTES && ip[6] == NET_PROTO_ICMPV6 && ip[NET_IPV6_BYTES] >= 133 &&
           ip[NET_IPV6_BYTES] <= 137;
}

/* Only a hint: nothing of the frame but its first 14 bytes is sure. */
static enum kind kind_of(const struct rte_mbuf *m)
{
    const uint8_t *ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, NET_ETHER_BYTES);
    uint32_t len = (uint32_t)m->data_len - NET_ETHER_BYTES;

    switch (base_be16(ip - 2)) {
    case RTE_ETHER_TYPE_ARP:
        return KIND_NEIGHBOR;
    case RTE_ETHER_TYPE_IPV4:
        return opens_connection(ip, len, true) ? KIND_OPEN : KIND_ORDINARY;
    case RTE_ETHER_TYPE_IPV6:
        if (is_discovery(ip, len))
            return KIND_NEIGHBOR;
        return opens_connection(ip, len, false) ? KIND_OPEN : KIND_ORDINARY;
    default:
        return KIND_ORDINARY;
    }
}

/* Takes it from its budgets. Returns a reason to drop, or STATS_CNT. */
static int take(struct net *n, enum kind kind, uint64_t now_ns)
{
    if (kind == KIND_NEIGHBOR)
        return base_limit_pass(&n->other_neighbor_limit, now_ns)
                   ? (int)STATS_CNT
                   : (int)STATS_NET_DROP_TO_HOST_NEIGHBOR;
    if (kind == KIND_OPEN && base_limit_room(&n->other_open_limit, now_ns) == 0)
        return STATS_NET_DROP_TO_HOST_SYN;
    if (!base_limit_pass(&n->other_limit, now_ns))
        return STATS_NET_DROP_TO_HOST_LIMITED;
    if (kind == KIND_OPEN)
        base_limit_use(&n->other_open_limit, now_ns, 1);
    return STATS_CNT;
}

void net_other_pass(struct net *n, struct rte_mbuf *m, bool tagged, uint64_t now_ns)
{
    base_debug_assert(m->data_len >= NET_ETHER_BYTES);
    int why = take(n, kind_of(m), now_ns);
    bool stripped = (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0;

    /* The tag that was taken off belongs to the frame: the kernel's interface is the whole port. */
    if (why == (int)STATS_CNT && (stripped || (!tagged && n->config.vlan != 0)) &&
        !net_tx_put_tag(m, stripped ? m->vlan_tci : n->config.vlan))
        why = STATS_NET_DROP_NO_ROOM;
    if (why != (int)STATS_CNT) {
        stats_inc(n->stats, (enum stats_id)why);
        rte_pktmbuf_free(m);
        return;
    }
    n->config.other(n->config.other_arg, m);
}

bool net_restore(const struct net *n, struct rte_mbuf *m)
{
    /* A tag that the port took off is still told by the mbuf. */
    return n->config.vlan == 0 || (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0 ||
           net_tx_put_tag(m, n->config.vlan);
}

void net_other(struct net *n, struct rte_mbuf *m, uint64_t now_ns)
{
    net_other_pass(n, m, false, now_ns);
}

void net_forward(struct net *n, struct rte_mbuf *m)
{
    if (m->pkt_len < NET_ETHER_BYTES ||
        m->pkt_len > (uint32_t)n->port->caps.mtu + NET_ETHER_BYTES + NET_VLAN_BYTES) {
        stats_inc(n->stats, STATS_NET_DROP_FROM_HOST);
        rte_pktmbuf_free(m);
        return;
    }
    stats_inc(n->stats, STATS_NET_FROM_HOST);
    net_tx_push_raw(n, m);
}
