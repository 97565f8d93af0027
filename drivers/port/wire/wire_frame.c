#include "wire_internal.h"

#include "net_checksum.h"
#include "net_rss.h"

#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

bool wire_is_ip(const uint8_t *frame, size_t len)
{
    if (len < WIRE_ETHER_BYTES + sizeof(struct rte_ipv4_hdr))
        return false;
    return base_be16(frame + 12) == 0x0800 || base_be16(frame + 12) == 0x86dd;
}

/* Mixes so that both directions of a flow come out equal. */
static uint32_t symmetric_hash(const uint8_t *addresses, uint32_t address_bytes, uint32_t ports)
{
    uint32_t h = 0;

    for (uint32_t i = 0; i < 2 * address_bytes; i += 4)
        h ^= base_be32(addresses + i);
    h += 0x9e3779b9u * ((ports >> 16) ^ (ports & 0xffff));
    h ^= h >> 16;
    h *= 0x85ebca6bu;
    h ^= h >> 13;
    h *= 0xc2b2ae35u;
    return h ^ (h >> 16);
}

/* The lengths of the headers and of the IP packet; false when it is no such packet. */
static bool parse_ip(struct wire_tcp *out, const uint8_t *ip, size_t len, uint32_t *total)
{
    if (out->v6) {
        out->ip_len = sizeof(struct rte_ipv6_hdr);
        if (len < out->ip_len || ip[6] != 6)
            return false;
        *total = out->ip_len + base_be16(ip + 4);
    } else {
        out->ip_len = (ip[0] & 0xfu) * 4;
        *total = base_be16(ip + 2);
        if (out->ip_len < 20 || ip[9] != 6 || (base_be16(ip + 6) & 0x3fff) != 0)
            return false;
    }
    return *total <= len && *total >= out->ip_len + 20;
}

bool wire_parse_tcp(struct wire_tcp *out, const uint8_t *frame, size_t len)
{
    const uint8_t *ip = frame + WIRE_ETHER_BYTES;
    uint32_t total;

    if (!wire_is_ip(frame, len))
        return false;
    *out = (struct wire_tcp){.v6 = base_be16(frame + 12) == 0x86dd};
    if (!parse_ip(out, ip, len - WIRE_ETHER_BYTES, &total))
        return false;

    const uint8_t *tcp = ip + out->ip_len;
    uint32_t tcp_len = (tcp[12] >> 4) * 4u;
    if (tcp_len < 20 || tcp_len > total - out->ip_len)
        return false;
    out->l4_offset = WIRE_ETHER_BYTES + out->ip_len;
    out->l4_len = total - out->ip_len;
    out->payload_len = out->l4_len - tcp_len;
    out->seq = base_be32(tcp + 4);
    out->ports = base_be32(tcp);
    out->flow =
        out->v6 ? symmetric_hash(ip + 8, 16, out->ports) : symmetric_hash(ip + 12, 4, out->ports);
    out->flags = tcp[13];
    return true;
}

uint32_t wire_queue(const struct wire_tcp *t, const uint8_t *frame, const struct net_rss *rss)
{
    const uint8_t *ip = frame + WIRE_ETHER_BYTES;
    struct net_endpoint src = {.port = (uint16_t)(t->ports >> 16)};
    struct net_endpoint dst = {.port = (uint16_t)t->ports};

    if (rss == NULL)
        return t->flow;
    if (t->v6) {
        memcpy(src.addr.b, ip + 8, 16);
        memcpy(dst.addr.b, ip + 24, 16);
    } else {
        src.addr = net_addr_v4(ip + 12);
        dst.addr = net_addr_v4(ip + 16);
    }
    return net_rss_queue(rss, &src, &dst);
}

static uint16_t ip_checksum(const uint8_t *ip)
{
    return net_checksum_fold(net_checksum_sum_scalar(ip, (ip[0] & 0xfu) * 4u));
}

/* Over the segment and the pseudo-header: 0 when the field in it is right. */
static uint16_t tcp_checksum(const uint8_t *frame, const struct wire_tcp *t)
{
    const uint8_t *ip = frame + WIRE_ETHER_BYTES;
    struct net_addr src, dst;

    if (t->v6) {
        memcpy(src.b, ip + 8, 16);
        memcpy(dst.b, ip + 24, 16);
    } else {
        src = net_addr_v4(ip + 12);
        dst = net_addr_v4(ip + 16);
    }
    uint32_t sum = net_checksum_pseudo(&src, &dst, 6, t->l4_len);

    return net_checksum_fold(
        net_checksum_add(sum, net_checksum_sum_scalar(frame + t->l4_offset, t->l4_len)));
}

void wire_offload_tx(uint8_t *frame, size_t len, uint64_t ol_flags)
{
    struct wire_tcp t;

    if (!wire_parse_tcp(&t, frame, len))
        return;
    if ((ol_flags & RTE_MBUF_F_TX_IP_CKSUM) != 0 && !t.v6) {
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
    uint64_t tcp_flag =
        tcp_checksum(frame, &t) == 0 ? RTE_MBUF_F_RX_L4_CKSUM_GOOD : RTE_MBUF_F_RX_L4_CKSUM_BAD;
    if (t.v6)
        return tcp_flag;
    bool ip_good = ip_checksum(frame + WIRE_ETHER_BYTES) == 0;
    return tcp_flag | (ip_good ? RTE_MBUF_F_RX_IP_CKSUM_GOOD : RTE_MBUF_F_RX_IP_CKSUM_BAD);
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
