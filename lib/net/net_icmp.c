#include "net_internal.h"

#include "net_checksum.h"

#include <rte_icmp.h>

#define ICMP_BYTES        8
#define ICMP_ECHO_REPLY   0
#define ICMP_UNREACHABLE  3
#define ICMP_TOO_BIG_CODE 4 /* fragmentation needed and DF set */
#define ICMP_QUENCH       4
#define ICMP_REDIRECT     5
#define ICMP_ECHO_REQUEST 8
#define ICMP_TIME         11
#define ICMP_PARAMETER    12

#define REPLY_TTL 64

/* Turns the request into its reply, in its own mbuf. The IP options stay behind (RFC 1122
 * section 3.2.2.6 lets a host leave them when it can not fill them in). */
static void make_reply(struct net *n, struct rte_mbuf *m, uint32_t ip_len)
{
    const uint8_t *old = rte_pktmbuf_mtod(m, const uint8_t *);
    uint8_t peer_mac[6], src[4], dst[4];

    memcpy(peer_mac, old + 6, 6);
    memcpy(src, old + NET_ETHER_BYTES + 16, 4);
    memcpy(dst, old + NET_ETHER_BYTES + 12, 4);
    uint8_t tos = old[NET_ETHER_BYTES + 1];
    uint8_t *frame = (uint8_t *)rte_pktmbuf_adj(m, (uint16_t)(ip_len - NET_IPV4_BYTES));
    base_assert(frame != NULL);

    memcpy(frame, peer_mac, 6);
    memcpy(frame + 6, n->mac, 6);
    base_put_be16(frame + 12, RTE_ETHER_TYPE_IPV4);
    struct rte_ipv4_hdr *ip = (void *)(frame + NET_ETHER_BYTES);
    *ip = (struct rte_ipv4_hdr){
        .version_ihl = 0x45,
        .type_of_service = tos & 0xfc,
        .total_length = rte_cpu_to_be_16((uint16_t)(m->pkt_len - NET_ETHER_BYTES)),
        .fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
        .time_to_live = REPLY_TTL,
        .next_proto_id = NET_PROTO_ICMP,
    };
    memcpy(&ip->src_addr, src, 4);
    memcpy(&ip->dst_addr, dst, 4);
    ip->hdr_checksum = net_checksum_fold(net_checksum_sum_scalar(ip, NET_IPV4_BYTES));

    uint8_t *icmp = frame + NET_ETHER_BYTES + NET_IPV4_BYTES;
    icmp[0] = ICMP_ECHO_REPLY;
    /* RFC 1624: the type's word went from 8 to 0 (code 0), so the sum falls by 8. */
    uint32_t sum = (uint16_t)~base_le16(icmp + 2) + (uint32_t)(uint16_t)~ICMP_ECHO_REQUEST;
    base_put_le16(icmp + 2, net_checksum_fold(sum));
    m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
}

int net_icmp_input(struct net *n, struct rte_mbuf *m, uint32_t ip_len, uint64_t now_ns)
{
    uint32_t at = NET_ETHER_BYTES + ip_len;

    if (m->pkt_len < at + ICMP_BYTES)
        return STATS_NET_DROP_ICMP_SHORT;
    if (!net_pull(m, at + ICMP_BYTES))
        return STATS_NET_DROP_NO_ROOM;
    if (net_checksum_fold(net_checksum_mbuf(m, at)) != 0)
        return STATS_NET_DROP_ICMP_CHECKSUM;

    const uint8_t *icmp = rte_pktmbuf_mtod_offset(m, const uint8_t *, at);
    switch (icmp[0]) {
    case ICMP_ECHO_REQUEST:
        break;
    case ICMP_UNREACHABLE:
        if (icmp[1] == ICMP_TOO_BIG_CODE)
            return net_or_other(n, net_icmp_error_input(n, m, at + ICMP_BYTES, NET_ICMP_TOO_BIG,
                                                        base_be16(icmp + 6)));
        return net_or_other(n,
                            net_icmp_error_input(n, m, at + ICMP_BYTES, NET_ICMP_UNREACHABLE, 0));
    case ICMP_TIME:
    case ICMP_PARAMETER:
        return net_or_other(n,
                            net_icmp_error_input(n, m, at + ICMP_BYTES, NET_ICMP_UNREACHABLE, 0));
    case ICMP_QUENCH: /* RFC 6633 */
    case ICMP_REDIRECT:
        return net_or_other(n, STATS_NET_DROP_ICMP_ERROR);
    default:
        return net_or_other(n, STATS_NET_DROP_ICMP_TYPE);
    }
    if (icmp[1] != 0)
        return STATS_NET_DROP_ICMP_TYPE;
    stats_inc(n->stats, STATS_NET_RX_ECHO);
    if (!base_limit_pass(&n->echo_limit, now_ns))
        return STATS_NET_DROP_ICMP_LIMITED;
    make_reply(n, m, ip_len);
    stats_inc(n->stats, STATS_NET_TX_ECHO);
    net_tx_push(n, m);
    return NET_INPUT_TAKEN;
}
