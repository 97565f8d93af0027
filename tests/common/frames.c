#include "frames.h"

#include "net_checksum.h"

#include <stdlib.h>
#include <string.h>

#include <rte_mbuf.h>

static size_t ether(uint8_t *out, const struct frame_ends *e, uint16_t type)
{
    memcpy(out, e->dst_mac, 6);
    memcpy(out + 6, e->src_mac, 6);
    base_put_be16(out + 12, type);
    return FRAME_ETHER_BYTES;
}

static uint8_t *ipv4(uint8_t *out, const struct frame_ends *e, uint8_t protocol, size_t len)
{
    uint8_t *ip = out + ether(out, e, 0x0800);

    memset(ip, 0, FRAME_IP_BYTES);
    ip[0] = 0x45;
    base_put_be16(ip + 2, (uint16_t)(FRAME_IP_BYTES + len));
    ip[8] = 64;
    ip[9] = protocol;
    memcpy(ip + 12, e->src, 4);
    memcpy(ip + 16, e->dst, 4);
    frame_fix_ip(out);
    return ip + FRAME_IP_BYTES;
}

static void pattern(uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(i * 7 + 3);
}

size_t frame_tcp(uint8_t *out, const struct frame_ends *e, uint16_t src_port, uint16_t dst_port,
                 size_t payload_len)
{
    uint8_t *tcp = ipv4(out, e, 6, 20 + payload_len);

    memset(tcp, 0, 20);
    base_put_be16(tcp, src_port);
    base_put_be16(tcp + 2, dst_port);
    base_put_be32(tcp + 4, 1000);
    tcp[12] = 0x50;
    tcp[13] = payload_len > 0 ? 0x18 : 0x02;
    base_put_be16(tcp + 14, 65535);
    pattern(tcp + 20, payload_len);
    frame_fix_tcp(out);
    return FRAME_TCP_AT + 20 + payload_len;
}

size_t frame_icmp(uint8_t *out, const struct frame_ends *e, uint8_t type, size_t data_len)
{
    uint8_t *icmp = ipv4(out, e, 1, 8 + data_len);

    memset(icmp, 0, 8);
    icmp[0] = type;
    base_put_be16(icmp + 4, 77);
    base_put_be16(icmp + 6, 1);
    pattern(icmp + 8, data_len);
    frame_fix_icmp(out);
    return FRAME_ICMP_AT + 8 + data_len;
}

size_t frame_arp(uint8_t *out, const struct frame_ends *e, uint16_t op)
{
    uint8_t *arp = out + ether(out, e, 0x0806);

    memcpy(arp, (uint8_t[]){0, 1, 8, 0, 6, 4, 0, (uint8_t)op}, 8);
    memcpy(arp + 8, e->src_mac, 6);
    memcpy(arp + 14, e->src, 4);
    memset(arp + 18, 0, 6);
    if (op == 2)
        memcpy(arp + 18, e->dst_mac, 6);
    memcpy(arp + 24, e->dst, 4);
    return FRAME_ETHER_BYTES + 28;
}

void frame_fix_ip(uint8_t *frame)
{
    uint8_t *ip = frame + FRAME_ETHER_BYTES;

    memset(ip + 10, 0, 2);
    base_put_le16(ip + 10, net_checksum_fold(net_checksum_sum_scalar(ip, (ip[0] & 0xfu) * 4u)));
}

void frame_fix_tcp(uint8_t *frame)
{
    uint8_t *ip = frame + FRAME_ETHER_BYTES, *tcp = ip + (ip[0] & 0xf) * 4;
    struct net_addr src = net_addr_v4(ip + 12), dst = net_addr_v4(ip + 16);
    uint32_t len = base_be16(ip + 2) - (ip[0] & 0xfu) * 4;

    memset(tcp + 16, 0, 2);
    uint32_t sum = net_checksum_add(net_checksum_pseudo(&src, &dst, 6, len),
                                    net_checksum_sum_scalar(tcp, len));
    base_put_le16(tcp + 16, net_checksum_fold(sum));
}

void frame_fix_icmp(uint8_t *frame)
{
    uint8_t *ip = frame + FRAME_ETHER_BYTES, *icmp = ip + (ip[0] & 0xf) * 4;
    uint32_t len = base_be16(ip + 2) - (ip[0] & 0xfu) * 4;

    memset(icmp + 2, 0, 2);
    base_put_le16(icmp + 2, net_checksum_fold(net_checksum_sum_scalar(icmp, len)));
}

/* ---- IPv6 ---- */

static uint8_t *ipv6(uint8_t *out, const struct frame6_ends *e, uint8_t protocol, size_t len)
{
    memcpy(out, e->dst_mac, 6);
    memcpy(out + 6, e->src_mac, 6);
    base_put_be16(out + 12, 0x86dd);
    uint8_t *ip = out + FRAME_ETHER_BYTES;
    base_put_be32(ip, 0x60000000);
    base_put_be16(ip + 4, (uint16_t)len);
    ip[6] = protocol;
    ip[7] = 255;
    memcpy(ip + 8, e->src, 16);
    memcpy(ip + 24, e->dst, 16);
    return ip + FRAME6_IP_BYTES;
}

size_t frame6_tcp(uint8_t *out, const struct frame6_ends *e, uint16_t src_port, uint16_t dst_port,
                  size_t payload_len)
{
    uint8_t *tcp = ipv6(out, e, 6, 20 + payload_len);
    size_t len = FRAME6_AT + 20 + payload_len;

    memset(tcp, 0, 20);
    base_put_be16(tcp, src_port);
    base_put_be16(tcp + 2, dst_port);
    base_put_be32(tcp + 4, 1000);
    tcp[12] = 0x50;
    tcp[13] = payload_len > 0 ? 0x18 : 0x02;
    base_put_be16(tcp + 14, 65535);
    pattern(tcp + 20, payload_len);
    frame6_fix(out, len);
    return len;
}

size_t frame6_icmp(uint8_t *out, const struct frame6_ends *e, uint8_t type, uint8_t code,
                   size_t data_len)
{
    uint8_t *icmp = ipv6(out, e, 58, 8 + data_len);
    size_t len = FRAME6_AT + 8 + data_len;

    memset(icmp, 0, 8);
    icmp[0] = type;
    icmp[1] = code;
    pattern(icmp + 8, data_len);
    frame6_fix(out, len);
    return len;
}

size_t frame6_nd(uint8_t *out, const struct frame6_ends *e, uint8_t type, uint8_t flags,
                 const uint8_t target[16], uint8_t option)
{
    size_t len = frame6_icmp(out, e, type, 0, option != 0 ? 24 : 16);
    uint8_t *icmp = out + FRAME6_AT;

    icmp[4] = flags;
    memcpy(icmp + 8, target, 16);
    if (option != 0) {
        icmp[24] = option;
        icmp[25] = 1;
        memcpy(icmp + 26, e->src_mac, 6);
    }
    frame6_fix(out, len);
    return len;
}

size_t frame6_extend(uint8_t *frame, size_t frame_len, uint8_t type, const uint8_t *ext, size_t len)
{
    uint8_t *ip = frame + FRAME_ETHER_BYTES, *at = frame + FRAME6_AT;

    memmove(at + len, at, frame_len - FRAME6_AT);
    memcpy(at, ext, len);
    at[0] = ip[6];
    at[1] = (uint8_t)(len / 8 - 1);
    ip[6] = type;
    base_put_be16(ip + 4, (uint16_t)(base_be16(ip + 4) + len));
    return frame_len + len;
}

void frame6_fix(uint8_t *frame, size_t frame_len)
{
    uint8_t *ip = frame + FRAME_ETHER_BYTES;
    struct net_addr src, dst;

    if (frame_len < FRAME6_AT || base_be16(ip + 4) > frame_len - FRAME6_AT)
        return;
    uint32_t at = FRAME6_IP_BYTES, end = FRAME6_IP_BYTES + base_be16(ip + 4);
    uint8_t protocol = ip[6];
    while ((protocol == 0 || protocol == 60) && at + 8 <= end) {
        protocol = ip[at];
        at += (ip[at + 1] + 1u) * 8;
    }
    uint32_t sum_at = protocol == 6 ? 16 : 2;
    if ((protocol != 6 && protocol != 58) || at + sum_at + 2 > end)
        return;
    memcpy(src.b, ip + 8, 16);
    memcpy(dst.b, ip + 24, 16);
    memset(ip + at + sum_at, 0, 2);
    uint32_t sum = net_checksum_add(net_checksum_pseudo(&src, &dst, protocol, end - at),
                                    net_checksum_sum_scalar(ip + at, end - at));
    base_put_le16(ip + at + sum_at, net_checksum_fold(sum));
}

void frame6_solicited_node(uint8_t group[16], const uint8_t addr[16])
{
    memcpy(group, (uint8_t[]){0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff}, 13);
    memcpy(group + 13, addr + 13, 3);
}

void frame6_group_mac(uint8_t mac[6], const uint8_t group[16])
{
    mac[0] = mac[1] = 0x33;
    memcpy(mac + 2, group + 12, 4);
}

struct rte_mbuf *frame_mbuf(struct rte_mempool *pool, const uint8_t *frame, size_t len,
                            size_t split)
{
    struct rte_mbuf *head = NULL;

    do {
        size_t n = split > 0 && split < len ? split : len;
        struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
        char *p = m != NULL ? rte_pktmbuf_append(m, (uint16_t)n) : NULL;
        if (p == NULL || (head != NULL && rte_pktmbuf_chain(head, m) != 0))
            abort();
        if (n > 0)
            memcpy(p, frame, n);
        head = head == NULL ? m : head;
        frame += n;
        len -= n;
    } while (len > 0);
    return head;
}
