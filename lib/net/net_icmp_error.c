/*
 * Errors of ICMP and ICMPv6; "fragmentation needed" (RFC 1191) and "packet too big" (RFC 8201)
 * among them. Anybody can send one; here it is made sure that what it quotes can be a packet of
 * ours (RFC 5927 section 4.1 tells what TCP then has to look at).
 */
#include "net_internal.h"

#define QUOTED_TCP_BYTES 8 /* ports and sequence number: what every router quotes */

/* The next-hop MTU is never below these. IPv6: RFC 8201 section 4. IPv4 could go down to 68;
 * nothing real does, and an attacker would make us send crumbs. */
#define MTU_MIN_V4    552
#define MTU_MIN_V6    1280
#define MTU_UNTOLD_V4 576 /* routers from before RFC 1191 tell none */
#define QUOTED_TCP    NET_PROTO_TCP
#define QUOTED_V4     0x45 /* our packets have no options */

static int tell(struct net *n, const struct net_addr *src, const struct net_addr *dst,
                enum net_icmp_error error, uint32_t mtu, const uint8_t *tcp, uint32_t tcp_len)
{
    if (error == NET_ICMP_TOO_BIG) {
        stats_inc(n->stats, STATS_NET_RX_TOO_BIG);
        n->config.too_big(n->config.icmp_arg, src, dst, (uint16_t)mtu, tcp, tcp_len);
    } else {
        stats_inc(n->stats, STATS_NET_RX_UNREACHABLE);
        n->config.unreachable(n->config.icmp_arg, src, dst, tcp, tcp_len);
    }
    return NET_INPUT_DONE;
}

/* Whether a packet of total bytes, quoted by the error, can have been sent by us. */
static bool can_be_ours(const struct net *n, enum net_icmp_error error, uint32_t total,
                        uint32_t mtu)
{
    return total <= n->port->caps.mtu && (error != NET_ICMP_TOO_BIG || total > mtu);
}

static int input_v4(struct net *n, const uint8_t *ip, uint32_t len, enum net_icmp_error error,
                    uint32_t mtu)
{
    if (ip[0] != QUOTED_V4 || ip[9] != QUOTED_TCP ||
        (base_be16(ip + 6) & (RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)) != 0)
        return STATS_NET_DROP_ICMP_QUOTED;
    uint32_t total = base_be16(ip + 2), dst_raw = base_be32(ip + 16);
    mtu = mtu == 0 ? MTU_UNTOLD_V4 : mtu;
    if (!can_be_ours(n, error, total, mtu) || !net_v4_is_own(n, base_be32(ip + 12)) ||
        net_v4_is_own(n, dst_raw) || net_v4_is_martian(n, dst_raw))
        return STATS_NET_DROP_ICMP_QUOTED;
    struct net_addr src = net_addr_v4(ip + 12), dst = net_addr_v4(ip + 16);
    return tell(n, &src, &dst, error, mtu < MTU_MIN_V4 ? MTU_MIN_V4 : mtu, ip + NET_IPV4_BYTES,
                len - NET_IPV4_BYTES);
}

static int input_v6(struct net *n, const uint8_t *ip, uint32_t len, enum net_icmp_error error,
                    uint32_t mtu)
{
    struct net_addr src, dst;
    uint32_t total = NET_IPV6_BYTES + base_be16(ip + 4);

    memcpy(src.b, ip + 8, 16);
    memcpy(dst.b, ip + 24, 16);
    const struct net_own *own = net_v6_own(n, &src);
    if (ip[6] != QUOTED_TCP || (error == NET_ICMP_TOO_BIG && mtu < MTU_MIN_V6) ||
        !can_be_ours(n, error, total, mtu) || own == NULL || own->state != NET_OWN_VALID ||
        net_v6_own(n, &dst) != NULL || net_v6_is_martian(&dst))
        return STATS_NET_DROP_ICMP_QUOTED;
    return tell(n, &src, &dst, error, mtu, ip + NET_IPV6_BYTES, len - NET_IPV6_BYTES);
}

int net_icmp_error_input(struct net *n, struct rte_mbuf *m, uint32_t at, enum net_icmp_error error,
                         uint32_t mtu)
{
    if (error == NET_ICMP_TOO_BIG ? n->config.too_big == NULL : n->config.unreachable == NULL)
        return STATS_NET_DROP_ICMP_ERROR;
    const uint32_t most = NET_IPV6_BYTES + QUOTED_TCP_BYTES;
    uint32_t len = m->pkt_len - at;
    len = len < most ? len : most;
    if (len < NET_IPV4_BYTES + QUOTED_TCP_BYTES)
        return STATS_NET_DROP_ICMP_QUOTED;
    if (!net_pull(m, at + len))
        return STATS_NET_DROP_NO_ROOM;
    const uint8_t *ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, at);
    bool v4 = base_be16(rte_pktmbuf_mtod_offset(m, const uint8_t *, 12)) == RTE_ETHER_TYPE_IPV4;
    if (v4)
        return input_v4(n, ip, len, error, mtu);
    if (ip[0] >> 4 != 6 || len < most)
        return STATS_NET_DROP_ICMP_QUOTED;
    return input_v6(n, ip, len, error, mtu);
}
