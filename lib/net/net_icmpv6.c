/* ICMPv6 (RFC 4443): echo here; neighbor discovery and errors go on. */
#include "net_internal.h"

#include "net_checksum.h"

#define ICMPV6_BYTES 8
#define HOP_LIMIT    64

enum {
    TYPE_UNREACHABLE = 1,
    TYPE_TOO_BIG = 2,
    TYPE_TIME = 3,
    TYPE_PARAMETER = 4,
    TYPE_LAST_ERROR = 127,
    TYPE_ECHO_REQUEST = 128,
    TYPE_ECHO_REPLY = 129,
    TYPE_MLD_QUERY = 130,
    TYPE_MLD_DONE = 132,
    TYPE_ROUTER_SOLICITATION = 133,
    TYPE_REDIRECT = 137,
    TYPE_MLD2_REPORT = 143,
};

static bool checksum_good(const struct rte_mbuf *m, const struct net_ipv6 *ip)
{
    uint32_t sum = net_checksum_pseudo(&ip->src, &ip->dst, NET_PROTO_ICMPV6, m->pkt_len - ip->at);
    return net_checksum_fold(net_checksum_add(sum, net_checksum_mbuf(m, ip->at))) == 0;
}

/* Turns the request into its reply, in its own mbuf; extension headers stay behind. */
static void make_reply(struct net *n, struct rte_mbuf *m, const struct net_ipv6 *ip)
{
    uint8_t peer_mac[6];

    memcpy(peer_mac, rte_pktmbuf_mtod_offset(m, const uint8_t *, 6), 6);
    uint8_t *frame =
        (uint8_t *)rte_pktmbuf_adj(m, (uint16_t)(ip->at - NET_ETHER_BYTES - NET_IPV6_BYTES));
    base_assert(frame != NULL);
    memcpy(frame, peer_mac, 6);
    memcpy(frame + 6, n->mac, 6);
    base_put_be16(frame + 12, RTE_ETHER_TYPE_IPV6);

    uint8_t *p = frame + NET_ETHER_BYTES;
    base_put_be32(p, UINT32_C(6) << 28);
    base_put_be16(p + 4, (uint16_t)(m->pkt_len - NET_ETHER_BYTES - NET_IPV6_BYTES));
    p[6] = NET_PROTO_ICMPV6;
    p[7] = HOP_LIMIT;
    memcpy(p + 8, ip->dst.b, 16);
    memcpy(p + 24, ip->src.b, 16);

    uint8_t *icmp = p + NET_IPV6_BYTES;
    icmp[0] = TYPE_ECHO_REPLY;
    /* RFC 1624: the type's word went from 128 to 129, all else that is summed stayed. */
    uint32_t sum =
        (uint16_t)~base_le16(icmp + 2) + (uint32_t)(uint16_t)~TYPE_ECHO_REQUEST + TYPE_ECHO_REPLY;
    base_put_le16(icmp + 2, net_checksum_fold(sum));
    m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
}

static int input_echo(struct net *n, struct rte_mbuf *m, const struct net_ipv6 *ip, uint64_t now_ns)
{
    if (net_addr_is_multicast(&ip->dst))
        return net_or_other(n, STATS_NET_DROP_IP_BROADCAST);
    stats_inc(n->stats, STATS_NET_RX_ECHO);
    if (!base_limit_pass(&n->echo_limit, now_ns))
        return STATS_NET_DROP_ICMP_LIMITED;
    make_reply(n, m, ip);
    stats_inc(n->stats, STATS_NET_TX_ECHO);
    net_tx_push(n, m);
    return NET_INPUT_TAKEN;
}

int net_icmpv6_input(struct net *n, struct rte_mbuf *m, const struct net_ipv6 *ip, uint64_t now_ns)
{
    if (m->pkt_len - ip->at < ICMPV6_BYTES)
        return STATS_NET_DROP_ICMP_SHORT;
    if (!net_pull(m, ip->at + ICMPV6_BYTES))
        return STATS_NET_DROP_NO_ROOM;
    if (!checksum_good(m, ip))
        return STATS_NET_DROP_ICMP_CHECKSUM;

    const uint8_t *icmp = rte_pktmbuf_mtod_offset(m, const uint8_t *, ip->at);
    uint8_t type = icmp[0], code = icmp[1];
    if (type >= TYPE_ROUTER_SOLICITATION && type <= TYPE_REDIRECT)
        return net_nd_input(n, m, ip, now_ns);
    if (net_addr_is_none(&ip->src))
        return STATS_NET_DROP_IP_MARTIAN;
    if (type == TYPE_MLD_QUERY)
        return net_or_other(n, net_mld_input(n, m, ip, now_ns));
    if ((type > TYPE_MLD_QUERY && type <= TYPE_MLD_DONE) || type == TYPE_MLD2_REPORT)
        return net_or_other(n, STATS_NET_DROP_MLD);
    /* A router may answer a packet to a group with it; we send none. */
    if (type == TYPE_TOO_BIG && !net_addr_is_multicast(&ip->dst))
        return net_or_other(n, net_icmp_error_input(n, m, ip->at + ICMPV6_BYTES, NET_ICMP_TOO_BIG,
                                                    base_be32(icmp + 4)));
    if ((type == TYPE_UNREACHABLE || type == TYPE_TIME || type == TYPE_PARAMETER) &&
        !net_addr_is_multicast(&ip->dst))
        return net_or_other(
            n, net_icmp_error_input(n, m, ip->at + ICMPV6_BYTES, NET_ICMP_UNREACHABLE, 0));
    if (type <= TYPE_LAST_ERROR)
        return net_or_other(n, STATS_NET_DROP_ICMP_ERROR);
    if (type != TYPE_ECHO_REQUEST || code != 0)
        return net_or_other(n, STATS_NET_DROP_ICMP_TYPE);
    return input_echo(n, m, ip, now_ns);
}
