#include "flood_frame.h"

#include "net.h"
#include "net_checksum.h"

#include <string.h>

#define ETHER_BYTES 14
#define IP_BYTES    20
#define TCP_BYTES   20
#define UDP_BYTES   8
#define DATA_BYTES  16
#define PROTO_UDP   17

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

/* MSS 1460, SACK permitted, timestamps, window scale 7. */
static const uint8_t syn_options[20] = {2, 4, 5, 0xb4, 4, 2, 8, 10, [16] = 1, 3, 3, 7};

/* 11.0.0.0 to 90.255.255.255: neither private nor martian. */
static void put_source(uint8_t *p, uint64_t random)
{
    p[0] = (uint8_t)(11 + (random & 0xff) % 80);
    p[1] = (uint8_t)(random >> 8);
    p[2] = (uint8_t)(random >> 16);
    p[3] = (uint8_t)(random >> 24);
}

/* The transport's checksum over len bytes at l4 of the IP packet at ip; its field is zero. */
static uint16_t checksum(const uint8_t *ip, const uint8_t *l4, uint32_t len)
{
    struct net_addr src = net_addr_v4(ip + 12), dst = net_addr_v4(ip + 16);

    return net_checksum_fold(net_checksum_add(net_checksum_pseudo(&src, &dst, ip[9], len),
                                              net_checksum_sum_scalar(l4, len)));
}

static uint32_t write_tcp(uint8_t *ip, enum flood_kind kind, uint16_t port, uint64_t random,
                          uint64_t sequence)
{
    static const uint8_t flags[FLOOD_KIND_CNT] = {
        [FLOOD_SYN] = SYN,
        [FLOOD_ACK] = PSH | ACK,
        [FLOOD_RST] = RST,
    };
    uint8_t *tcp = ip + IP_BYTES;
    uint32_t len = TCP_BYTES;

    memset(tcp, 0, TCP_BYTES);
    base_put_be16(tcp, (uint16_t)(1024 + (random >> 32) % 64512));
    base_put_be16(tcp + 2, port);
    base_put_be32(tcp + 4, (uint32_t)sequence);
    if (kind != FLOOD_SYN)
        base_put_be32(tcp + 8, (uint32_t)(sequence >> 32));
    tcp[13] = flags[kind];
    base_put_be16(tcp + 14, 64240);
    if (kind == FLOOD_SYN) {
        memcpy(tcp + len, syn_options, sizeof(syn_options));
        base_put_be32(tcp + len + 8, (uint32_t)(sequence >> 32)); /* the timestamp */
        len += sizeof(syn_options);
    }
    tcp[12] = (uint8_t)(len / 4 << 4);
    if (kind == FLOOD_ACK) {
        memset(tcp + len, 'x', DATA_BYTES);
        len += DATA_BYTES;
    }
    uint16_t sum = checksum(ip, tcp, len);
    memcpy(tcp + 16, &sum, 2);
    return len;
}

static uint32_t write_udp(uint8_t *ip, uint16_t port, uint64_t random)
{
    uint8_t *udp = ip + IP_BYTES;
    uint32_t len = UDP_BYTES + DATA_BYTES;

    base_put_be16(udp, (uint16_t)(1024 + (random >> 32) % 64512));
    base_put_be16(udp + 2, port);
    base_put_be16(udp + 4, (uint16_t)len);
    base_put_be16(udp + 6, 0);
    memset(udp + UDP_BYTES, 'x', DATA_BYTES);
    uint16_t sum = checksum(ip, udp, len);
    memcpy(udp + 6, &sum, 2);
    return len;
}

/* A third each: the first piece of a datagram, one amid it, the last. */
static uint32_t write_fragment(uint8_t *ip, uint64_t sequence)
{
    static const uint16_t place[] = {0x2000, 0x2000 | 185, 370}; /* MF, offset in 8 bytes */

    base_put_be16(ip + 6, place[sequence % 3]);
    memset(ip + IP_BYTES, 'x', DATA_BYTES);
    return DATA_BYTES;
}

uint32_t flood_frame_write(uint8_t *p, enum flood_kind kind, const struct flood_target *to,
                           struct base_rand *rand)
{
    uint64_t random = base_rand_next(rand), sequence = base_rand_next(rand);
    uint8_t *ip = p + ETHER_BYTES;
    uint32_t len;

    memcpy(p, to->dst_mac, 6);
    memcpy(p + 6, to->src_mac, 6);
    base_put_be16(p + 12, 0x0800);
    memset(ip, 0, IP_BYTES);
    ip[0] = 0x45;
    base_put_be16(ip + 4, (uint16_t)(sequence >> 16)); /* identification */
    ip[8] = 64;
    ip[9] = kind == FLOOD_UDP ? PROTO_UDP : NET_PROTO_TCP;
    put_source(ip + 12, random);
    memcpy(ip + 16, to->dst, 4);
    if (kind == FLOOD_UDP)
        len = write_udp(ip, to->port, random);
    else if (kind == FLOOD_FRAG)
        len = write_fragment(ip, sequence);
    else
        len = write_tcp(ip, kind, to->port, random, sequence);
    base_put_be16(ip + 2, (uint16_t)(IP_BYTES + len));
    uint16_t sum = net_checksum_fold(net_checksum_sum_scalar(ip, IP_BYTES));
    memcpy(ip + 10, &sum, 2);
    return ETHER_BYTES + IP_BYTES + len;
}
