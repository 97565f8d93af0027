/* Transport segments out: checksums, IP and Ethernet headers. */
#include "net_internal.h"

#include "net_checksum.h"

#include <errno.h>

#define TTL        64 /* also the hop limit */
#define TCP_SUM_AT 16

static int refuse(struct net *n, struct rte_mbuf *m, enum stats_id why, int rc)
{
    rte_pktmbuf_free(m);
    stats_inc(n->stats, why);
    return rc;
}

/* Of the header, as it tells. */
static uint32_t tcp_bytes(const struct rte_mbuf *m)
{
    return (rte_pktmbuf_mtod(m, const uint8_t *)[12] >> 4) * 4u;
}

/* The TCP checksum, or what the port needs to fill it in. */
static void put_tcp_checksum(const struct net *n, struct rte_mbuf *m, const struct net_addr *src,
                             const struct net_addr *dst)
{
    uint8_t *tcp = rte_pktmbuf_mtod(m, uint8_t *);
    bool large = m->tso_segsz > 0; /* the port adds the length of each piece by itself */
    uint32_t sum = net_checksum_pseudo(src, dst, NET_PROTO_TCP, large ? 0 : m->pkt_len);

    base_debug_assert(m->data_len >= NET_TCP_BYTES);
    if (n->port->caps.tx_tcp_checksum) {
        m->ol_flags |= large ? RTE_MBUF_F_TX_TCP_SEG : RTE_MBUF_F_TX_TCP_CKSUM;
        m->ol_flags |= net_addr_is_v4(src) ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
        m->l4_len = tcp_bytes(m) & 0xff;
        base_put_le16(tcp + TCP_SUM_AT, (uint16_t)~net_checksum_fold(sum));
        return;
    }
    memset(tcp + TCP_SUM_AT, 0, 2);
    sum = net_checksum_add(sum, net_checksum_mbuf(m, 0));
    base_put_le16(tcp + TCP_SUM_AT, net_checksum_fold(sum));
}

/* Of a header of these words in host order, addresses in memory order; in host order. */
static uint16_t ipv4_checksum(uint32_t first, uint32_t third, uint32_t src_raw, uint32_t dst_raw)
{
    uint64_t sum = (uint64_t)first + RTE_IPV4_HDR_DF_FLAG + third + rte_be_to_cpu_32(src_raw) +
                   rte_be_to_cpu_32(dst_raw);

    sum = (sum >> 32) + (sum & 0xffffffff);
    return net_checksum_fold(net_checksum_add((uint32_t)sum, (uint32_t)(sum >> 32)));
}

static void put_ipv4(const struct net *n, struct rte_mbuf *m, uint8_t *at,
                     const struct net_addr *src, const struct net_addr *dst, uint8_t protocol,
                     uint8_t ecn)
{
    /* Words, which the checksum needs, too, and not from memory. DF is set, so the identification
     * may be 0 (RFC 6864 section 4.1). */
    uint32_t first =
        UINT32_C(0x45000000) | (uint32_t)(ecn & 3) << 16 | (uint16_t)(m->pkt_len - NET_ETHER_BYTES);
    uint32_t third = (uint32_t)TTL << 24 | (uint32_t)protocol << 16;
    uint32_t src_raw = net_addr_v4_raw(src), dst_raw = net_addr_v4_raw(dst);
    m->l2_len = NET_ETHER_BYTES;
    m->l3_len = NET_IPV4_BYTES;
    if (n->port->caps.tx_ip_checksum)
        m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
    else
        third |= ipv4_checksum(first, third, src_raw, dst_raw);
    base_put_be32(at, first);
    base_put_be32(at + 4, RTE_IPV4_HDR_DF_FLAG);
    base_put_be32(at + 8, third);
    memcpy(at + 12, &src_raw, 4);
    memcpy(at + 16, &dst_raw, 4);
}

static void put_ipv6(struct rte_mbuf *m, uint8_t *at, const struct net_addr *src,
                     const struct net_addr *dst, uint8_t protocol, uint8_t ecn)
{
    base_put_be32(at, UINT32_C(6) << 28 | (uint32_t)(ecn & 3) << 20);
    base_put_be16(at + 4, (uint16_t)(m->pkt_len - NET_ETHER_BYTES - NET_IPV6_BYTES));
    at[6] = protocol;
    at[7] = TTL;
    memcpy(at + 8, src->b, 16);
    memcpy(at + 24, dst->b, 16);
    m->l2_len = NET_ETHER_BYTES;
    m->l3_len = NET_IPV6_BYTES;
}

int net_output(struct net *n, struct rte_mbuf *m, const struct net_addr *src,
               const struct net_addr *dst, uint8_t protocol, uint8_t ecn, uint64_t now_ns)
{
    /* One that was ours when the connection began, and is not any more, goes nowhere. */
    struct net *by = n->joined_cnt > 0 ? net_join_of(n, src) : n;
    struct net_addr hop;
    bool v4 = net_addr_is_v4(dst);
    uint16_t ip_bytes = v4 ? NET_IPV4_BYTES : NET_IPV6_BYTES;

    if (by == NULL || net_addr_is_v4(src) != v4 || !net_route(by, dst, &hop))
        return refuse(n, m, STATS_NET_DROP_TX_NO_ROUTE, -EHOSTUNREACH);
    n = by;
    uint16_t mbuf_max = 0;
    uint32_t most = m->tso_segsz == 0
                        ? net_segment_max(n, src)
                        : net_large_max(n, src, (uint16_t)(tcp_bytes(m) + m->tso_segsz), &mbuf_max);
    if (m->pkt_len > most || (mbuf_max > 0 && m->nb_segs > mbuf_max))
        return refuse(n, m, STATS_NET_DROP_TX_GIANT, -ENOBUFS);
    if (protocol == NET_PROTO_TCP)
        put_tcp_checksum(n, m, src, dst);
    uint8_t *frame = (uint8_t *)rte_pktmbuf_prepend(m, (uint16_t)(NET_ETHER_BYTES + ip_bytes));
    base_assert(frame != NULL);
    memcpy(frame + 6, n->mac, 6);
    base_put_be16(frame + 12, v4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
    if (v4)
        put_ipv4(n, m, frame + NET_ETHER_BYTES, src, dst, protocol, ecn);
    else
        put_ipv6(m, frame + NET_ETHER_BYTES, src, dst, protocol, ecn);
    return net_neighbor_send(n, &hop, m, now_ns);
}
