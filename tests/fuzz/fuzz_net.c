/*
 * Frames into lib/net, with time passing and packets going out between them.
 *
 * The input is a byte of settings, then steps: a byte that says what, two of length (little
 * endian), and as many bytes. What goes up and what goes out is checked; at the end every mbuf is
 * back in its pool.
 */
#include "base_time.h"
#include "dpdk_eal.h"
#include "frames.h"
#include "net.h"

#include <stdlib.h>
#include <string.h>

#include <rte_mbuf.h>

#define FRAME_MAX 2048
#define STEP_MAX  64

/* The low bits of a step's first byte; the others choose how the frame is cut in pieces. */
enum {
    STEP_FRAME,
    STEP_POLISHED,          /* with our addresses and right checksums, where the lengths allow */
    STEP_CHANGED,           /* a good frame with some bytes changed */
    STEP_CHANGED_AND_FIXED, /* the same, and right checksums again */
    STEP_TIME,
    STEP_OUTPUT,
    STEP_CNT,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t own_mac[6] = {2, 0, 0, 0, 0, 1};
/* fd00:1::1 and the link-local address that the MAC makes. */
static const uint8_t own6[16] = {0xfd, 0, 0, 1, [15] = 1};
static const uint8_t own6_local[16] = {0xfe, 0x80, [11] = 0xff, [12] = 0xfe, [15] = 1};
static struct rte_mempool *pool, *ctrl_pool;
static uint32_t accept_cnt; /* of a tx_burst */
static uint16_t vlan;
static struct net *too_big_net;
static bool with_other;

static uint16_t tx_burst(void *state, uint16_t queue, struct rte_mbuf **pkts, uint16_t cnt)
{
    const struct net_port *port = state;

    base_assert(queue == 0);
    cnt = cnt < accept_cnt ? cnt : (uint16_t)accept_cnt;
    for (uint16_t i = 0; i < cnt; i++) {
        const struct rte_mbuf *m = pkts[i];
        rte_mbuf_sanity_check(m, 1);
        base_assert(m->pkt_len >= 42 && m->pkt_len <= 18u + port->caps.mtu);
        base_assert(vlan == 0 ||
                    base_be32(rte_pktmbuf_mtod_offset(m, const uint8_t *, 12)) == 0x81000005);
        base_assert(m->nb_segs == 1 || port->caps.tx_multi_segs);
        base_assert(m->data_len >= 14);
        base_assert(memcmp(rte_pktmbuf_mtod_offset(m, const uint8_t *, 6), own_mac, 6) == 0);
        rte_pktmbuf_free(pkts[i]);
    }
    return cnt;
}

static uint16_t rx_burst(void *state, uint16_t queue, struct rte_mbuf **pkts, uint16_t cap)
{
    (void)state;
    (void)queue;
    (void)pkts;
    (void)cap;
    return 0;
}

static const struct net_port_ops ops = {.name = "fuzz", .rx_burst = rx_burst, .tx_burst = tx_burst};

/* Likewise: a destination of ours (by the last byte which), and the checksum. */
static void polish6(uint8_t *f, size_t len)
{
    if (len < FRAME6_AT)
        return;
    switch (f[53] & 7) {
    case 0:
    case 1:
        memcpy(f + 38, own6, 16);
        break;
    case 2:
        memcpy(f + 38, own6_local, 16);
        break;
    case 3:
        frame6_solicited_node(f + 38, own6);
        break;
    default:
        break;
    }
    frame6_fix(f, len);
}

/* Makes what is right at random rarely right: addresses and checksums, where the lengths allow. */
static void polish(uint8_t *f, size_t len)
{
    if (len < 34)
        return;
    if ((f[0] & 1) == 0)
        memcpy(f, own_mac, 6);
    f[6] &= 0xfe;
    if (base_be16(f + 12) == 0x86dd)
        polish6(f, len);
    if (base_be16(f + 12) != 0x0800)
        return;
    uint32_t ip_len = (f[14] & 0xfu) * 4, total = base_be16(f + 16);
    if (ip_len < 20 || 14 + ip_len > len || total < ip_len || total > len - 14)
        return;
    if (f[33] != 2)
        memcpy(f + 30, (uint8_t[]){10, 1, 0, 1}, 4);
    frame_fix_ip(f);
    if (f[23] == 6 && total >= ip_len + 20)
        frame_fix_tcp(f);
    if (f[23] == 1 && total >= ip_len + 8)
        frame_fix_icmp(f);
}

/* A good frame of IPv6, chosen by the byte. */
static size_t make6(uint8_t *f, uint8_t kind)
{
    struct frame6_ends e = {
        .src_mac = {2, 0, 0, 0, 0, 2},
        .dst_mac = {2, 0, 0, 0, 0, 1},
        .src = {0xfd, 0, 0, 1, [15] = 2},
    };
    static const uint8_t pad[16] = {[2] = 1, [3] = 12};
    size_t len;

    memcpy(e.dst, own6, 16);
    switch (kind & 7) {
    case 0: /* who tests whether an address is free, for ours */
        memset(e.src, 0, 16);
        frame6_solicited_node(e.dst, own6);
        len = frame6_nd(f, &e, 135, 0, own6, 0);
        break;
    case 1:
        len = frame6_nd(f, &e, 135, 0, own6, 1);
        break;
    case 2:
        len = frame6_nd(f, &e, 136, 0x60, e.src, 2);
        break;
    case 3:
        len = frame6_icmp(f, &e, 128, 0, (kind >> 4) * 40u);
        break;
    case 4: /* a segment of ours in a packet too big */
        len = frame6_icmp(f, &e, 2, 0, 60);
        base_put_be32(f + FRAME6_AT + 4, 1300);
        memset(f + FRAME6_AT + 8, 0, 60);
        memcpy(f + FRAME6_AT + 8, (uint8_t[]){0x60, 0, 0, 0, 5, 100, 6, 64}, 8);
        memcpy(f + FRAME6_AT + 16, own6, 16);
        memcpy(f + FRAME6_AT + 32, e.src, 16);
        break;
    default:
        len = frame6_tcp(f, &e, 1000, 25, (kind >> 4) * 40u);
    }
    if ((kind & 8) != 0)
        len = frame6_extend(f, len, (kind & 16) != 0 ? 60 : 0, pad, 16);
    frame6_fix(f, len);
    return len;
}

/* Puts a tag behind the MACs; number 5 is that of the fuzzed port when it has one. */
static size_t tag(uint8_t *f, size_t len, uint16_t tci)
{
    memmove(f + 16, f + 12, len - 12);
    base_put_be16(f + 12, 0x8100);
    base_put_be16(f + 14, tci);
    return len + 4;
}

/* A good frame, chosen by the first byte of p; the rest are pairs of a place and a change. Returns
 * its length. */
static size_t change(uint8_t *f, const uint8_t *p, size_t len)
{
    struct frame_ends e = {
        .src_mac = {2, 0, 0, 0, 0, 2},
        .dst_mac = {2, 0, 0, 0, 0, 1},
        .src = {10, 1, 0, 2},
        .dst = {10, 1, 0, 1},
    };
    uint8_t kind = len > 0 ? p[0] : 0;
    size_t data_len = (size_t)(kind >> 3) * 40;
    size_t frame_len;

    switch (kind & 7) {
    case 0:
        frame_len = frame_arp(f, &e, (uint16_t)(1 + (kind >> 3 & 1)));
        break;
    case 1:
    case 2:
        frame_len = make6(f, len > 1 ? p[1] : 0);
        break;
    case 3:
        frame_len = frame_icmp(f, &e, 3, data_len);
        break;
    case 4:
        frame_len = frame_icmp(f, &e, 8, data_len);
        break;
    default:
        frame_len = frame_tcp(f, &e, 1000, 25, data_len);
    }
    for (size_t i = 2; i + 1 < len; i += 2)
        f[p[i] % frame_len] ^= p[i + 1];
    return frame_len;
}

static void input(struct net *n, const uint8_t *p, size_t len, int step, size_t split,
                  uint64_t now_ns)
{
    uint8_t frame[FRAME_MAX + 8];
    struct net_segment s;

    if (step == STEP_CHANGED || step == STEP_CHANGED_AND_FIXED)
        len = change(frame, p, len);
    else
        memcpy(frame, p, len);
    if (step == STEP_POLISHED || step == STEP_CHANGED_AND_FIXED)
        polish(frame, len);
    if (vlan != 0 && len >= 12 && len <= FRAME_MAX - 4 && step != STEP_FRAME)
        len = tag(frame, len, vlan);
    struct rte_mbuf *m = frame_mbuf(pool, frame, len, split);
    m->ol_flags |= split == 7 ? RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_IP_CKSUM_GOOD : 0;
    if (net_input(n, &m, 1, &s, now_ns) == 0)
        return;
    rte_mbuf_sanity_check(s.mbuf, 1);
    base_assert(s.protocol == NET_PROTO_TCP && s.mbuf->pkt_len >= 20 && s.mbuf->data_len >= 20);
    base_assert(s.mbuf->pkt_len <= len - 34);
    uint32_t sum = 0;
    for (const struct rte_mbuf *piece = s.mbuf; piece != NULL; piece = piece->next) {
        base_assert(piece->data_off + piece->data_len <= piece->buf_len);
        sum += piece->data_len;
    }
    base_assert(sum == s.mbuf->pkt_len);
    uint32_t header = (rte_pktmbuf_mtod(s.mbuf, const uint8_t *)[12] >> 4) * 4u;
    base_assert(header > s.mbuf->pkt_len || header <= s.mbuf->data_len);
    if (!with_other) {
        rte_pktmbuf_free(s.mbuf);
        return;
    }
    base_assert(rte_pktmbuf_prepend(s.mbuf, s.frame_bytes) != NULL);
    net_other(n, s.mbuf, now_ns);
}

static void output(struct net *n, const uint8_t *p, size_t len, uint64_t now_ns)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
    struct net_addr dst = net_addr_v4((uint8_t[]){10, 1, 0, 2}), src;

    if (len > 0 && (p[0] & 1) != 0) {
        dst = (struct net_addr){.b = {0xfd, 0, 0, 1, [15] = 2}};
        memcpy(dst.b, p, len < 16 ? len : 16);
    } else {
        memcpy(dst.b + 12, p, len < 4 ? len : 4);
    }
    if (net_source(n, &dst, &src) != 0)
        src = net_addr_v4((uint8_t[]){10, 1, 0, 1});
    base_assert(net_addr_is_v4(&src) || memcmp(src.b, own6, 16) == 0 ||
                memcmp(src.b, own6_local, 16) == 0);
    memset(rte_pktmbuf_append(m, 20), 0, 20);
    (void)net_output(n, m, &src, &dst, NET_PROTO_TCP, 0, now_ns);
}

static void too_big(void *arg, const struct net_addr *src, const struct net_addr *dst, uint16_t mtu,
                    const uint8_t *quoted, uint32_t quoted_len)
{
    struct net **net = arg;

    base_assert(net == &too_big_net && quoted_len >= 8 &&
                net_addr_is_v4(src) == net_addr_is_v4(dst));
    base_assert(mtu >= (net_addr_is_v4(src) ? 552 : 1280));
    base_assert(memchr(quoted, 0, quoted_len) != quoted + quoted_len); /* all of it is there */
}

static void unreachable(void *arg, const struct net_addr *src, const struct net_addr *dst,
                        const uint8_t *quoted, uint32_t quoted_len)
{
    too_big(arg, src, dst, 1500, quoted, quoted_len);
}

/* A whole frame, whose first MAC is ours or a group's. */
static void other(void *arg, struct rte_mbuf *frame)
{
    rte_mbuf_sanity_check(frame, 1);
    base_assert(arg == &too_big_net && frame->pkt_len >= 14 && frame->data_len >= 14);
    const uint8_t *p = rte_pktmbuf_mtod(frame, const uint8_t *);
    base_assert((p[0] & 1) != 0 || memcmp(p, own_mac, 6) == 0);
    rte_pktmbuf_free(frame);
}

static struct net *open_net(struct net_port *port, struct stats_block *stats, uint8_t dad_cnt)
{
    struct net_config c = {
        .port = port,
        .addresses[0] = {.addr = net_addr_v4((uint8_t[]){10, 1, 0, 1}), .prefix_len = 112},
        .addresses[1] = {.addr = {.b = {0xfd, 0, 0, 1, [15] = 1}}, .prefix_len = 64},
        .address_cnt = 2,
        .gateway = net_addr_v4((uint8_t[]){10, 1, 0, 254}),
        .gateway6 = {.b = {0xfe, 0x80, [15] = 0xfe}},
        .vlan = vlan,
        .dad_cnt = dad_cnt,
        .too_big = too_big,
        .unreachable = unreachable,
        .icmp_arg = &too_big_net,
        .ctrl_pool = ctrl_pool,
        .stats = stats,
        .other = with_other ? other : NULL,
        .other_arg = &too_big_net,
        .other_per_s = 100000,
        .other_burst = 50,
    };
    struct net *n;

    base_assert(net_init(&n, &c, BASE_NS_S) == 0);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct stats_block stats;
    uint64_t now_ns = BASE_NS_S;

    if (size == 0)
        return 0;
    if (pool == NULL) {
        dpdk_eal_init();
        pool = dpdk_pool("fuzz", 4096, FRAME_MAX);
        ctrl_pool = dpdk_pool("ctrl", 256, 0);
    }
    struct net_port port = {
        .ops = &ops,
        .state = &port,
        .caps = {.mtu = 1500,
                 .queue_cnt = 1,
                 .rx_ip_checksum = (data[0] & 1) != 0,
                 .rx_tcp_checksum = (data[0] & 1) != 0,
                 .tx_multi_segs = (data[0] & 2) != 0,
                 .tx_tcp_checksum = (data[0] & 4) != 0,
                 .tx_ip_checksum = (data[0] & 4) != 0},
    };
    memcpy(port.caps.mac, own_mac, 6);
    accept_cnt = (data[0] & 8) != 0 ? 1 : 64;
    vlan = (data[0] & 16) != 0 ? 5 : 0;
    with_other = (data[0] & 128) != 0;
    struct net *n = open_net(&port, &stats, data[0] >> 5 & 1);
    if ((data[0] & 64) != 0)
        net_announce(n, now_ns);
    data++;
    size--;
    for (int step = 0; step < STEP_MAX && size >= 3; step++) {
        uint8_t what = data[0];
        size_t len = base_le16(data + 1) % (FRAME_MAX + 1);
        data += 3;
        size -= 3;
        len = len < size ? len : size;
        if (what % STEP_CNT == STEP_TIME)
            now_ns += BASE_NS_MS * (len == 0 ? what : data[0] * 64u);
        else if (what % STEP_CNT == STEP_OUTPUT)
            output(n, data, len, now_ns);
        else
            input(n, data, len, what % STEP_CNT, what / STEP_CNT, now_ns);
        net_run(n, now_ns);
        net_flush(n);
        data += len;
        size -= len;
    }
    net_fini(n);
    base_assert(dpdk_pool_full(pool) && dpdk_pool_full(ctrl_pool));
    return 0;
}
