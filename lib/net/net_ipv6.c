/* IPv6 in (RFC 8200): the header, and the extension headers that may stand before TCP and ICMPv6.
 */
#include "net_internal.h"

#define HEADERS_BYTES (NET_ETHER_BYTES + NET_IPV6_BYTES)

/* Extension headers of a packet, all together. Hosts send none before TCP; 8 bytes of a router
 * alert stand before MLD. */
#define EXTENSION_MAX_BYTES 256

enum {
    NEXT_HOP_BY_HOP = 0,
    NEXT_ROUTING = 43,
    NEXT_FRAGMENT = 44,
    NEXT_DESTINATION = 60,
};

enum { OPTION_PAD1 = 0 };

/* RFC 8200 section 4.2: options that we do not know are skipped when their type says so, else the
 * packet is dropped. We know none but the padding. */
static bool options_are_good(const uint8_t *p, uint32_t len)
{
    for (uint32_t i = 2; i < len;) {
        if (p[i] == OPTION_PAD1) {
            i++;
            continue;
        }
        if (len - i < 2 || p[i + 1] > len - i - 2 || p[i] >> 6 != 0)
            return false;
        i += 2u + p[i + 1];
    }
    return true;
}

/* Moves over the extension headers from ip->at on. Returns a reason to drop, or STATS_CNT. */
static int skip_extensions(struct rte_mbuf *m, struct net_ipv6 *ip)
{
    const uint32_t first = ip->at;

    for (;;) {
        switch (ip->protocol) {
        case NEXT_HOP_BY_HOP:
            if (ip->at != first)
                return STATS_NET_DROP_IP_EXTENSION;
            break;
        case NEXT_DESTINATION:
            break;
        case NEXT_ROUTING:
            return STATS_NET_DROP_IP_ROUTING;
        case NEXT_FRAGMENT:
            return STATS_NET_DROP_IP_FRAGMENT;
        default:
            return STATS_CNT;
        }
        if (m->pkt_len - ip->at < 8)
            return STATS_NET_DROP_IP_EXTENSION;
        if (!net_pull(m, ip->at + 8))
            return STATS_NET_DROP_NO_ROOM;
        uint32_t len = (rte_pktmbuf_mtod_offset(m, const uint8_t *, ip->at)[1] + 1u) * 8;
        if (len > m->pkt_len - ip->at || ip->at + len - first > EXTENSION_MAX_BYTES)
            return STATS_NET_DROP_IP_EXTENSION;
        if (!net_pull(m, ip->at + len))
            return STATS_NET_DROP_NO_ROOM;
        const uint8_t *p = rte_pktmbuf_mtod_offset(m, const uint8_t *, ip->at);
        if (!options_are_good(p, len))
            return STATS_NET_DROP_IP_OPTION;
        ip->protocol = p[0];
        ip->at += len;
    }
}

/* A packet to one of our groups: there only neighbor discovery speaks. */
static int input_group(struct net *n, struct rte_mbuf *m, const struct net_ipv6 *ip,
                       uint64_t now_ns)
{
    if (!net_v6_is_group(n, &ip->dst))
        return STATS_NET_DROP_IP_OTHER;
    if (ip->protocol != NET_PROTO_ICMPV6)
        return net_or_other(n, STATS_NET_DROP_IP_BROADCAST);
    return net_icmpv6_input(n, m, ip, now_ns);
}

static int input_packet(struct net *n, struct rte_mbuf *m, const struct net_ipv6 *ip, bool group,
                        struct net_segment *out, uint64_t now_ns)
{
    bool multicast = net_addr_is_multicast(&ip->dst);

    /* Only who looks for an address has none yet. */
    if (net_v6_is_martian(&ip->src) &&
        !(multicast && ip->protocol == NET_PROTO_ICMPV6 && net_addr_is_none(&ip->src)))
        return STATS_NET_DROP_IP_MARTIAN;
    if (multicast)
        return input_group(n, m, ip, now_ns);
    const struct net_own *own = net_v6_own(n, &ip->dst);
    if (own == NULL)
        return STATS_NET_DROP_IP_OTHER;
    if (own->state != NET_OWN_VALID)
        return STATS_NET_DROP_IP_TENTATIVE;
    if (net_v6_own(n, &ip->src) != NULL || net_join_of(n, &ip->src) != NULL)
        return STATS_NET_DROP_IP_LAND;
    if (group)
        return STATS_NET_DROP_IP_BROADCAST;
    if (ip->protocol == NET_PROTO_ICMPV6)
        return net_icmpv6_input(n, m, ip, now_ns);
    if (ip->protocol != NET_PROTO_TCP)
        return net_or_other(n, STATS_NET_DROP_IP_PROTOCOL);
    out->src = ip->src;
    out->dst = ip->dst;
    out->ecn = ip->ecn;
    return net_tcp_input(n, m, ip->at, out);
}

/* ip->at is at the fragment header, whose first byte tells what is in pieces. */
static int input_fragment(const struct net *n, struct rte_mbuf *m, const struct net_ipv6 *ip)
{
    if (ip->at >= m->pkt_len || !net_pull(m, ip->at + 1) ||
        *rte_pktmbuf_mtod_offset(m, const uint8_t *, ip->at) == NET_PROTO_TCP)
        return STATS_NET_DROP_IP_FRAGMENT;
    return net_or_other(n, STATS_NET_DROP_IP_FRAGMENT);
}

int net_ipv6_input(struct net *n, struct rte_mbuf *m, struct net_segment *out, uint64_t now_ns)
{
    if (n->v6_cnt == 0)
        return net_or_other(n, STATS_NET_DROP_IPV6);
    if (m->pkt_len < HEADERS_BYTES)
        return STATS_NET_DROP_IP_SHORT;
    if (!net_pull(m, HEADERS_BYTES))
        return STATS_NET_DROP_NO_ROOM;
    const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
    const uint8_t *p = frame + NET_ETHER_BYTES;
    if (p[0] >> 4 != 6)
        return STATS_NET_DROP_IP_VERSION;
    uint32_t payload_len = base_be16(p + 4);
    if (payload_len > m->pkt_len - HEADERS_BYTES)
        return STATS_NET_DROP_IP_LENGTH;
    if (HEADERS_BYTES + payload_len < m->pkt_len)
        net_cut(m, HEADERS_BYTES + payload_len);

    bool group = (frame[0] & 1) != 0;
    struct net_ipv6 ip = {
        .at = HEADERS_BYTES,
        .protocol = p[6],
        .hop_limit = p[7],
        .ecn = (p[1] >> 4) & 3,
    };
    memcpy(ip.src.b, p + 8, 16);
    memcpy(ip.dst.b, p + 24, 16);
    if (n->config.other != NULL &&
        !(net_addr_is_multicast(&ip.dst) ? net_v6_is_group(n, &ip.dst)
                                         : net_v6_own(n, &ip.dst) != NULL))
        return NET_INPUT_OTHER;
    int why = skip_extensions(m, &ip);
    if (why == (int)STATS_NET_DROP_IP_FRAGMENT)
        return input_fragment(n, m, &ip);
    return why != (int)STATS_CNT ? why : input_packet(n, m, &ip, group, out, now_ns);
}
