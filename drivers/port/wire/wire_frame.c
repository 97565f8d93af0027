#include "wire_internal.h"

#include "net_checksum.h"

#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

bool wire_is_ipv4(const uint8_t *frame, size_t len)
{
    return len >= WIRE_ETHER_BYTES + sizeof(struct rte_ipv4_hdr) && base_be16(frame + 12) == 0x0800;
}

/* Mixes so that both directions of a flow come out equal. */
static uint32_t symmetric_hash(const uint8_t *addresses, uint32_t ports)
{
    uint32_t a = base_be32(addresses), b = base_be32(addresses + 4);
    uint32_t h = (a ^ b) + 0x9e3779b9u * ((ports >> 16) ^ (ports & 0xffff));

    h ^= h >> 16;
    h *= 0x85ebca6bu;
    h ^= h >> 13;
    h *= 0xc2b2ae35u;
    return h ^ (h >> 16);
}

bool wire_parse_tcp(struct wire_tcp *out, const uint8_t *frame, size_t len)
{
    if (!wire_is_ipv4(frame, len))
        return false;

    const uint8_t *ip = frame + WIRE_ETHER_BYTES;
    uint32_t ip_len = (ip[0] & 0xfu) * 4;
    uint32_t total = base_be16(ip + 2);
    if (ip_len < 20 || total > len - WIRE_ETHER_BYTES || total < ip_len + 20 || ip[9] != 6 ||
        (base_be16(ip + 6) & 0x3fff) != 0)
        return false;

    const uint8_t *tcp = ip + ip_len;
    uint32_t tcp_len = (tcp[12] >> 4) * 4u;
    if (tcp_len < 20 || tcp_len > total - ip_len)
        return false;
    *out = (struct wire_tcp){
        .ip_len = ip_len,
        .l4_offset = WIRE_ETHER_BYTES + ip_len,
        .l4_len = total - ip_len,
        .payload_len = total - ip_len - tcp_len,
        .seq = base_be32(tcp + 4),
        .flow = symmetric_hash(ip + 12, base_be32(tcp)),
        .ports = base_be32(tcp),
        .flags = tcp[13],
    };
    return true;
}

static uint16_t ip_checksum(const uint8_t *ip)
{
    return net_checksum_fold(net_checksum_sum_scalar(ip, (ip[0] & 0xfu) * 4u));
}

/* Over the segment and the pseudo-header: 0 when the field in it is right. */
static uint16_t tcp_checksum(const uint8_t *frame, const struct wire_tcp *t)
{
    struct net_addr src = net_addr_v4(frame + WIRE_ETHER_BYTES + 12);
    struct net_addr dst = net_addr_v4(frame + WIRE_ETHER_BYTES + 16);
    uint32_t sum = net_checksum_pseudo(&src, &dst, 6, t->l4_len);

    return net_checksum_fold(
        net_checksum_add(sum, net_checksum_sum_scalar(frame + t->l4_offset, t->l4_len)));
}

void wire_offload_tx(uint8_t *frame, size_t len, uint64_t ol_flags)
{
    struct wire_tcp t;

    if (!wire_parse_tcp(&t, frame, len))
        return;
    if ((ol_flags & RTE_MBUF_F_TX_IP_CKSUM) != 0) {
        uint8_t *ip = frame + WIRE_ETHER_BYTES;
        memset(ip + 10, 0, 2);
        base_put_le16(ip + 10, ip_checksum(ip));
    }
    if ((ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM) {
        /* As a NIC does: it adds the segment to what the driver left in the field, which has to
         * be the pseudo-header's sum. A wrong one gives a wrong checksum. */
        uint8_t *field = frame + t.l4_offset + 16;
        base_put_le16(field,
                      net_checksum_fold(net_checksum_sum_scalar(frame + t.l4_offset, t.l4_len)));
    }
}

uint64_t wire_offload_rx(const uint8_t *frame, size_t len)
{
    struct wire_tcp t;

    if (!wire_parse_tcp(&t, frame, len))
        return 0;
    bool ip_good = ip_checksum(frame + WIRE_ETHER_BYTES) == 0;
    bool tcp_good = tcp_checksum(frame, &t) == 0;
    return (ip_good ? RTE_MBUF_F_RX_IP_CKSUM_GOOD : RTE_MBUF_F_RX_IP_CKSUM_BAD) |
           (tcp_good ? RTE_MBUF_F_RX_L4_CKSUM_GOOD : RTE_MBUF_F_RX_L4_CKSUM_BAD);
}

size_t wire_copy_out(uint8_t *to, size_t cap, const struct rte_mbuf *m)
{
    size_t len = 0;

    for (; m != NULL; m = m->next) {
        if (m->data_len > cap - len)
            return 0;
        memcpy(to + len, rte_pktmbuf_mtod(m, const void *), m->data_len);
        len += m->data_len;
    }
    return len;
}

struct rte_mbuf *wire_copy_in(struct rte_mempool *pool, const uint8_t *frame, size_t len,
                              uint16_t split_bytes)
{
    struct rte_mbuf *head = rte_pktmbuf_alloc(pool);

    for (struct rte_mbuf *m = head; m != NULL;) {
        size_t room = rte_pktmbuf_tailroom(m);
        size_t n = split_bytes > 0 && split_bytes < room ? split_bytes : room;
        n = n < len ? n : len;
        memcpy(rte_pktmbuf_mtod(m, void *), frame, n);
        m->data_len = (uint16_t)n;
        head->pkt_len += (uint32_t)n;
        frame += n;
        len -= n;
        if (len == 0)
            return head;
        m->next = rte_pktmbuf_alloc(pool);
        m = m->next;
        if (m != NULL)
            head->nb_segs++;
    }
    rte_pktmbuf_free(head);
    return NULL;
}
