/*
 * A frame on the wrong lane. Where it is known how the port spreads segments, answers to our own
 * connections come to the lane that asked, because it has chosen its port so; what still belongs to
 * nothing here (the card spreads otherwise than it says) goes to the lane that the hash names.
 * Other ports, software ones most of all, spread frames as they like: there answers are recognised
 * by their port before anything else looks at them, as each lane has its slice of the ephemeral
 * ports.
 *
 * What ARP and neighbor discovery tell, which every lane's cache needs, is told to all. So is ICMP
 * about a connection that is not here, unless it is known whose it is.
 */
#include "lane.h"

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <rte_tcp.h>

#define MIN_BYTES (RTE_ETHER_HDR_LEN + sizeof(struct rte_vlan_hdr) + sizeof(struct rte_ipv4_hdr))

/* Where the TCP header begins in the first len bytes of a frame; 0: it can not be seen. Only a
 * hint: lib/net checks. Fragments, which may hold no header and are dropped anyway, stay where they
 * came, and so do segments behind extension headers of IPv6, which nobody sends. */
static uint32_t find_tcp(const uint8_t *p, uint32_t len)
{
    if (len < MIN_BYTES)
        return 0;
    uint32_t at = RTE_ETHER_HDR_LEN;
    uint16_t type = base_be16(p + 12);
    if (type == RTE_ETHER_TYPE_VLAN) {
        type = base_be16(p + 16);
        at += (uint32_t)sizeof(struct rte_vlan_hdr);
    }
    if (type == RTE_ETHER_TYPE_IPV4 && p[at] >> 4 == 4 && p[at + 9] == NET_PROTO_TCP &&
        (base_be16(p + at + 6) & (RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)) == 0)
        return at + (p[at] & 15u) * 4;
    if (type == RTE_ETHER_TYPE_IPV6 && p[at] >> 4 == 6 && p[at + 6] == NET_PROTO_TCP)
        return at + (uint32_t)sizeof(struct rte_ipv6_hdr);
    return 0;
}

/* The lane that one of our ports belongs to; -1: any. */
static int port_owner(const struct lane *l, uint32_t port)
{
    if (port < l->port_min)
        return -1;
    uint32_t lane = (port - l->port_min) / l->steer_stride;
    return lane < l->lane_cnt ? (int)lane : -1;
}

/* The lane that a TCP segment's destination port belongs to; -1: any. */
static int owner(const struct lane *l, const struct rte_mbuf *m)
{
    const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
    uint32_t len = rte_pktmbuf_data_len(m), at = find_tcp(p, len);

    if (at == 0 || len < at + 4)
        return -1;
    return port_owner(l, base_be16(p + at + 2));
}

/* Moves m to the other lane, or drops and counts it when that lane's ring is full. */
static void pass(struct lane *l, uint32_t to, struct rte_mbuf *m)
{
    struct rte_ring *ring =
        topology_ring(l->topology, TOPOLOGY_LANE_LANE, l->number * l->lane_cnt + to);

    if (rte_ring_sp_enqueue(ring, m) != 0) {
        stats_inc(l->stats, STATS_LANE_STEER_DROPPED);
        rte_pktmbuf_free(m);
        return;
    }
    stats_inc(l->stats, STATS_LANE_STEERED);
    doorbell_ring(&l->topology->lane_bell[to]);
}

uint32_t lane_steer(struct lane *l, struct rte_mbuf **pkts, uint32_t cnt)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < cnt; i++) {
        struct rte_mbuf *m = pkts[i];
        int to = owner(l, m);
        if (to >= 0 && (uint32_t)to != l->number) {
            pass(l, (uint32_t)to, m);
            continue;
        }
        pkts[kept++] = m;
    }
    return kept;
}

void lane_heard(void *arg, const struct net_addr *addr, const uint8_t mac[6], bool answer)
{
    const struct lane_port *p = arg;
    struct lane *l = p->lane;
    struct lane_neighbor n = {.addr = *addr, .answer = answer, .port = (uint8_t)p->number};

    memcpy(n.mac, mac, sizeof(n.mac));
    for (uint32_t to = 0; to < l->lane_cnt; to++) {
        if (to == l->number)
            continue;
        /* A full ring loses it: the other lane asks for itself. */
        if (rte_ring_sp_enqueue_elem(
                topology_ring(l->topology, TOPOLOGY_LANE_NEIGHBOR, l->number * l->lane_cnt + to),
                &n, sizeof(n)) == 0)
            doorbell_ring(&l->topology->lane_bell[to]);
        else
            stats_inc(l->stats, STATS_LANE_HEARD_LOST);
    }
}

const struct lane_port *lane_port_of(const struct lane *l, const struct net_addr *addr)
{
    for (uint32_t i = 1; i < l->port_cnt; i++)
        if (net_has_address(l->ports[i].net, addr))
            return &l->ports[i];
    return &l->ports[0];
}

/* False when the connection is not of this lane. */
static bool take_icmp(struct lane *l, const struct lane_icmp *i)
{
    if (i->mtu != 0)
        return tcp_too_big(l->tcp, &i->src, &i->dst, i->mtu, i->quoted, sizeof(i->quoted),
                           l->now_ns);
    return tcp_unreachable(l->tcp, &i->src, &i->dst, i->quoted, sizeof(i->quoted), l->now_ns);
}

/* The lane of a connection of ours, src, to dst, whose ports are quoted; -1: not known. */
static int icmp_owner(const struct lane *l, const struct net_addr *src, const struct net_addr *dst,
                      const uint8_t *quoted)
{
    struct net_endpoint local = {.addr = *src, .port = base_be16(quoted)};
    struct net_endpoint remote = {.addr = *dst, .port = base_be16(quoted + 2)};

    if (l->lane_cnt == 1)
        return (int)l->number;
    const struct net_rss *rss = lane_port_of(l, src)->rss;
    if (rss == NULL)
        return port_owner(l, local.port);
    /* One that was accepted may be elsewhere, when the card does not do as it says. */
    return local.port >= l->port_min ? (int)net_rss_queue(rss, &remote, &local) : -1;
}

static void pass_icmp(struct lane *l, const struct net_addr *src, const struct net_addr *dst,
                      uint16_t mtu, const uint8_t *quoted, uint32_t quoted_len)
{
    struct lane_icmp i = {.src = *src, .dst = *dst, .mtu = mtu};

    base_assert(quoted_len >= sizeof(i.quoted));
    memcpy(i.quoted, quoted, sizeof(i.quoted));
    int lane = icmp_owner(l, src, dst, quoted);
    if ((lane < 0 || lane == (int)l->number) && (take_icmp(l, &i) || l->lane_cnt == 1))
        return;
    for (uint32_t to = 0; to < l->lane_cnt; to++) {
        if (to == l->number || (lane >= 0 && to != (uint32_t)lane))
            continue;
        if (rte_ring_sp_enqueue_elem(
                topology_ring(l->topology, TOPOLOGY_LANE_ICMP, l->number * l->lane_cnt + to), &i,
                sizeof(i)) != 0) {
            stats_inc(l->stats, STATS_LANE_ICMP_DROPPED);
            continue;
        }
        stats_inc(l->stats, STATS_LANE_ICMP_PASSED);
        doorbell_ring(&l->topology->lane_bell[to]);
    }
}

void lane_too_big(void *arg, const struct net_addr *src, const struct net_addr *dst, uint16_t mtu,
                  const uint8_t *quoted, uint32_t quoted_len)
{
    pass_icmp(arg, src, dst, mtu, quoted, quoted_len);
}

void lane_unreachable(void *arg, const struct net_addr *src, const struct net_addr *dst,
                      const uint8_t *quoted, uint32_t quoted_len)
{
    pass_icmp(arg, src, dst, 0, quoted, quoted_len);
}

static void hear_icmp(struct lane *l, uint32_t from)
{
    struct lane_icmp i[16];
    uint32_t cnt = rte_ring_sc_dequeue_burst_elem(
        topology_ring(l->topology, TOPOLOGY_LANE_ICMP, from * l->lane_cnt + l->number), i,
        sizeof(i[0]), BASE_ARRAY_CNT(i), NULL);

    for (uint32_t k = 0; k < cnt; k++)
        (void)take_icmp(l, &i[k]);
}

void lane_hear(struct lane *l)
{
    struct lane_neighbor n[16];

    for (uint32_t from = 0; from < l->lane_cnt; from++) {
        hear_icmp(l, from);
        uint32_t cnt = rte_ring_sc_dequeue_burst_elem(
            topology_ring(l->topology, TOPOLOGY_LANE_NEIGHBOR, from * l->lane_cnt + l->number), n,
            sizeof(n[0]), BASE_ARRAY_CNT(n), NULL);
        for (uint32_t i = 0; i < cnt; i++)
            net_hear(l->ports[n[i].port].net, &n[i].addr, n[i].mac, n[i].answer, l->now_ns);
    }
}

void lane_steer_fini(struct lane *l)
{
    void *m;

    for (uint32_t from = 0; from < l->lane_cnt; from++) {
        struct rte_ring *ring =
            topology_ring(l->topology, TOPOLOGY_LANE_LANE, from * l->lane_cnt + l->number);
        while (rte_ring_sc_dequeue(ring, &m) == 0)
            rte_pktmbuf_free(m);
    }
}

bool lane_port_fits(void *arg, const struct net_endpoint *local, const struct net_endpoint *remote)
{
    const struct lane *l = arg;
    const struct net_rss *rss = lane_port_of(l, &local->addr)->rss;

    return rss != NULL ? net_rss_queue(rss, remote, local) == l->number
                       : port_owner(l, local->port) == (int)l->number;
}

bool lane_stray(void *arg, struct rte_mbuf *frame, const struct net_endpoint *local,
                const struct net_endpoint *remote, bool listened)
{
    struct lane *l = arg;
    const struct lane_port *p = lane_port_of(l, &local->addr);
    uint32_t to = p->rss != NULL ? net_rss_queue(p->rss, remote, local) : l->number;

    /* The lane that the hash names keeps it, whatever it finds: nothing goes round in a circle. */
    if (to != l->number && to < l->lane_cnt && net_restore(p->net, frame)) {
        pass(l, to, frame);
        return true;
    }
    if (listened || l->to_host == NULL || p != l->host_port)
        return false;
    net_other(p->net, frame, l->now_ns);
    return true;
}
