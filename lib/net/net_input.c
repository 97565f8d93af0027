#include "net_internal.h"

#include "net_checksum.h"

#include <rte_prefetch.h>

#define HEADERS_BYTES (NET_ETHER_BYTES + NET_IPV4_BYTES)

static void log_hint(struct net *n)
{
    if (n->config.log == NULL)
        return;
    struct stats_log_record r = {.event = STATS_LOG_CHECKSUM_HINT, .n = n->tcp_checked_cnt};
    stats_log_text(&r, base_span_str("every TCP checksum is wrong: the sender leaves them to its "
                                     "network card; run on its side: ethtool -K <client-if> tx "
                                     "off"));
    stats_log_push(n->config.log, &r);
}

/* Watches the first segments: when not one of them is right, it is not the line's fault. */
static void watch_checksums(struct net *n, bool good)
{
    if (n->tcp_checksum_seen_good || good) {
        n->tcp_checksum_seen_good = true;
        return;
    }
    if (n->tcp_checked_cnt > NET_HINT_AGAIN_CNT)
        return;
    n->tcp_checked_cnt++;
    if (n->tcp_checked_cnt == NET_HINT_FIRST_CNT || n->tcp_checked_cnt == NET_HINT_AGAIN_CNT)
        log_hint(n);
}

static bool ip_checksum_good(const struct net *n, const struct rte_mbuf *m, const uint8_t *ip,
                             uint32_t ip_len)
{
    uint64_t flags = m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;

    /* NONE: not in the packet, but whoever handed it over vouches for it (virtio). */
    if (n->port->caps.rx_ip_checksum && flags != RTE_MBUF_F_RX_IP_CKSUM_UNKNOWN)
        return flags != RTE_MBUF_F_RX_IP_CKSUM_BAD;
    return net_checksum_fold(net_checksum_sum_scalar(ip, ip_len)) == 0;
}

/* m starts at the TCP header. */
static bool tcp_checksum_good(const struct net *n, const struct rte_mbuf *m,
                              const struct net_segment *s)
{
    uint64_t flags = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

    if (n->port->caps.rx_tcp_checksum && flags != RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN)
        return flags != RTE_MBUF_F_RX_L4_CKSUM_BAD;
    uint32_t sum = net_checksum_pseudo(&s->src, &s->dst, NET_PROTO_TCP, m->pkt_len);
    return net_checksum_fold(net_checksum_add(sum, net_checksum_mbuf(m, 0))) == 0;
}

/* The frame's mbuf has been cut to the IP packet; fills in out and moves its start to TCP. */
int net_tcp_input(struct net *n, struct rte_mbuf *m, uint32_t at, struct net_segment *out)
{
    if (m->pkt_len < at + NET_TCP_BYTES)
        return STATS_NET_DROP_TCP_SHORT;
    if (!net_pull(m, at + NET_TCP_BYTES))
        return STATS_NET_DROP_NO_ROOM;
    /* The whole header in one piece, as far as its length is possible; TCP judges it. */
    uint32_t tcp_len = (rte_pktmbuf_mtod_offset(m, const uint8_t *, at)[12] >> 4) * 4u;
    if (at + tcp_len <= m->pkt_len && !net_pull(m, at + tcp_len))
        return STATS_NET_DROP_NO_ROOM;

    out->mbuf = m;
    out->protocol = NET_PROTO_TCP;
    out->frame_bytes = (uint16_t)at;
    rte_pktmbuf_adj(m, (uint16_t)at);
    bool good = tcp_checksum_good(n, m, out);
    if (!n->tcp_checksum_seen_good)
        watch_checksums(n, good);
    return good ? (int)NET_INPUT_SEGMENT : (int)STATS_NET_DROP_TCP_CHECKSUM;
}

/* A source that is ours by another port is as forged as one that is ours by this. */
static bool is_joined(const struct net *n, const uint8_t *raw)
{
    struct net_addr src = net_addr_v4(raw);

    return net_join_of(n, &src) != NULL;
}

/* RFC 1122 section 3.2.1: each check stands on those before it. */
static int input_ipv4(struct net *n, struct rte_mbuf *m, struct net_segment *out, uint64_t now_ns)
{
    if (m->pkt_len < HEADERS_BYTES)
        return STATS_NET_DROP_IP_SHORT;
    if (!net_pull(m, HEADERS_BYTES))
        return STATS_NET_DROP_NO_ROOM;
    const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
    const uint8_t *ip = frame + NET_ETHER_BYTES;
    if (ip[0] >> 4 != 4)
        return STATS_NET_DROP_IP_VERSION;
    uint32_t ip_len = (ip[0] & 0xfu) * 4;
    if (ip_len < NET_IPV4_BYTES || NET_ETHER_BYTES + ip_len > m->pkt_len)
        return STATS_NET_DROP_IP_HEADER;
    uint32_t total = base_be16(ip + 2);
    if (total < ip_len || total > m->pkt_len - NET_ETHER_BYTES)
        return STATS_NET_DROP_IP_LENGTH;
    if (NET_ETHER_BYTES + total < m->pkt_len)
        net_cut(m, NET_ETHER_BYTES + total);
    if (!net_pull(m, NET_ETHER_BYTES + ip_len))
        return STATS_NET_DROP_NO_ROOM;
    if (!ip_checksum_good(n, m, ip, ip_len))
        return STATS_NET_DROP_IP_CHECKSUM;

    uint32_t src = base_be32(ip + 12), dst = base_be32(ip + 16);
    if (n->config.other != NULL && !net_v4_is_own(n, dst))
        return NET_INPUT_OTHER;
    if (net_v4_is_martian(n, src))
        return STATS_NET_DROP_IP_MARTIAN;
    if (net_v4_is_own(n, src))
        return STATS_NET_DROP_IP_LAND;
    if (!net_v4_is_own(n, dst))
        return STATS_NET_DROP_IP_OTHER;
    if (n->joined_cnt > 0 && is_joined(n, ip + 12))
        return STATS_NET_DROP_IP_LAND;
    if ((frame[0] & 1) != 0)
        return STATS_NET_DROP_IP_BROADCAST;
    if ((base_be16(ip + 6) & (RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)) != 0)
        return ip[9] == NET_PROTO_TCP ? (int)STATS_NET_DROP_IP_FRAGMENT
                                      : net_or_other(n, STATS_NET_DROP_IP_FRAGMENT);
    if (ip[9] == NET_PROTO_TCP) {
        out->src = net_addr_v4(ip + 12);
        out->dst = net_addr_v4(ip + 16);
        out->ecn = ip[1] & 3;
        return net_tcp_input(n, m, NET_ETHER_BYTES + ip_len, out);
    }
    if (ip[9] == NET_PROTO_ICMP)
        return net_icmp_input(n, m, ip_len, now_ns);
    return net_or_other(n, STATS_NET_DROP_IP_PROTOCOL);
}

/* Takes the 802.1Q tag off. Returns a reason to drop, or STATS_CNT: the frame is of our VLAN.
 * Number 0 is none: such a tag carries but a priority. */
static int take_tag(const struct net *n, struct rte_mbuf *m)
{
    uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
    uint16_t vlan = 0;

    if (base_be16(frame + 12) == RTE_ETHER_TYPE_VLAN) {
        if (m->pkt_len < NET_ETHER_BYTES + NET_VLAN_BYTES)
            return STATS_NET_DROP_ETHER_SHORT;
        if (!net_pull(m, NET_ETHER_BYTES + NET_VLAN_BYTES))
            return STATS_NET_DROP_NO_ROOM;
        frame = rte_pktmbuf_mtod(m, uint8_t *);
        vlan = base_be16(frame + NET_ETHER_BYTES) & 0xfff;
        if (vlan != n->config.vlan)
            return STATS_NET_DROP_VLAN;
        memmove(frame + NET_VLAN_BYTES, frame, 12);
        rte_pktmbuf_adj(m, NET_VLAN_BYTES);
    } else if ((m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0) {
        vlan = m->vlan_tci & 0xfff; /* the port has taken it off */
    }
    return vlan == n->config.vlan ? (int)STATS_CNT : (int)STATS_NET_DROP_VLAN;
}

/* Whether the frame can be for this machine. Returns a reason to drop, or STATS_CNT. */
static int check_macs(const struct net *n, const uint8_t *frame)
{
    if ((frame[0] & 1) == 0 && memcmp(frame, n->mac, 6) != 0)
        return STATS_NET_DROP_ETHER_FOREIGN;
    if ((frame[6] & 1) != 0 || memcmp(frame + 6, n->mac, 6) == 0)
        return STATS_NET_DROP_ETHER_SOURCE;
    return STATS_CNT;
}

static int input_frame(struct net *n, struct rte_mbuf *m, struct net_segment *out, uint64_t now_ns)
{
    if (m->pkt_len < NET_ETHER_BYTES)
        return STATS_NET_DROP_ETHER_SHORT;
    if (!net_pull(m, NET_ETHER_BYTES))
        return STATS_NET_DROP_NO_ROOM;
    int why = n->config.vlan != 0 ||
                      base_be16(rte_pktmbuf_mtod_offset(m, uint8_t *, 12)) == RTE_ETHER_TYPE_VLAN
                  ? take_tag(n, m)
                  : (int)STATS_CNT;
    const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
    bool alien = why == (int)STATS_NET_DROP_VLAN && n->config.other != NULL;
    if (why == (int)STATS_CNT || alien) {
        int bad = check_macs(n, frame);
        if (bad != (int)STATS_CNT)
            return bad;
    }
    if (why != (int)STATS_CNT)
        return alien ? (int)NET_INPUT_OTHER_VLAN : why;
    switch (base_be16(frame + 12)) {
    case RTE_ETHER_TYPE_IPV4:
        return input_ipv4(n, m, out, now_ns);
    case RTE_ETHER_TYPE_ARP:
        return net_arp_input(n, m, now_ns);
    case RTE_ETHER_TYPE_IPV6:
        return net_ipv6_input(n, m, out, now_ns);
    default:
        return net_or_other(n, STATS_NET_DROP_ETHER_TYPE);
    }
}

uint32_t net_input(struct net *n, struct rte_mbuf **pkts, uint32_t cnt, struct net_segment *out,
                   uint64_t now_ns)
{
    uint32_t segment_cnt = 0, handled_cnt = 0;
    uint64_t bytes = 0;

    if (cnt == 0)
        return 0;
    for (uint32_t i = 0; i < cnt; i++)
        rte_prefetch0(rte_pktmbuf_mtod(pkts[i], const void *));
    for (uint32_t i = 0; i < cnt; i++) {
        struct rte_mbuf *m = pkts[i];
        bytes += m->pkt_len;
        int what = input_frame(n, m, &out[segment_cnt], now_ns);
        if (what == NET_INPUT_SEGMENT) {
            segment_cnt++;
            continue;
        }
        if (what == NET_INPUT_TAKEN) {
            handled_cnt++;
            continue;
        }
        if (what >= (int)NET_INPUT_OTHER) {
            net_other_pass(n, m, what == NET_INPUT_OTHER_VLAN, now_ns);
            continue;
        }
        if (what < (int)STATS_CNT)
            stats_inc(n->stats, (enum stats_id)what);
        else
            handled_cnt++;
        rte_pktmbuf_free(m);
    }
    stats_add(n->stats, STATS_NET_RX_HANDLED, handled_cnt);
    stats_add(n->stats, STATS_NET_RX_PACKETS, cnt);
    stats_add(n->stats, STATS_NET_RX_BYTES, bytes);
    return segment_cnt;
}
