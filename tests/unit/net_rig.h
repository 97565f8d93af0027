/* One struct net on a port that records what it is given; for the tests of lib/net. */
#ifndef NET_RIG_H
#define NET_RIG_H

#include "unit.h"

#include "counted.h"
#include "dpdk_eal.h"
#include "frames.h"
#include "net_internal.h"

#include <string.h>

#define RIG_SENT_MAX 2048
#define RIG_START    (1000 * BASE_NS_S)

static struct rte_mempool *rig_pool, *rig_ctrl_pool;

struct rig {
    struct net_port port;
    struct net *net;
    struct stats_block stats;
    struct stats_log log;
    uint64_t now_ns;
    uint16_t accept; /* how many a tx_burst takes */

    /* To be set before rig_open. */
    bool v6;         /* with fd00:1::1/64, gateway fe80::fe */
    uint8_t link;    /* 10.link.0.0/16 in place of 10.1.0.0/16 */
    bool no_gateway; /* of IPv4 */
    uint8_t dad_cnt;
    uint16_t vlan;
    uint32_t other_per_s; /* > 0: there is a rest of the machine */
    uint32_t other_burst;

    /* What the rest of the machine got: how many frames, and the last of them. */
    uint32_t other_cnt;
    uint32_t other_len;
    uint8_t other[2048];

    /* What came up by too_big. */
    uint32_t too_big_cnt;
    uint16_t too_big_mtu;
    struct net_addr too_big_dst;
    uint32_t too_big_seq;
    uint32_t unreachable_cnt; /* likewise by unreachable */
    uint32_t unreachable_seq;

    /* The last RIG_SENT_MAX frames' beginnings. */
    uint32_t sent_cnt;
    uint32_t sent_len[RIG_SENT_MAX];
    uint64_t sent_flags[RIG_SENT_MAX];
    uint16_t sent_segs[RIG_SENT_MAX];
    uint16_t sent_l2_len[RIG_SENT_MAX];
    uint8_t sent[RIG_SENT_MAX][1600];
};

/* 10.1.0.1/16 with gateway 10.1.0.254; the peer is 10.1.0.2. */
static const struct frame_ends rig_peer = {
    .src_mac = {2, 0, 0, 0, 1, 2},
    .dst_mac = {2, 0, 0, 0, 0, 1},
    .src = {10, 1, 0, 2},
    .dst = {10, 1, 0, 1},
};

/* The peer at fd00:1::2, us at fd00:1::1. */
static const struct frame6_ends rig_peer6 = {
    .src_mac = {2, 0, 0, 0, 1, 2},
    .dst_mac = {2, 0, 0, 0, 0, 1},
    .src = {0xfd, 0, 0, 1, [15] = 2},
    .dst = {0xfd, 0, 0, 1, [15] = 1},
};

static uint16_t rig_tx(void *state, uint16_t queue, struct rte_mbuf **pkts, uint16_t cnt)
{
    struct rig *r = state;

    (void)queue;
    cnt = cnt < r->accept ? cnt : r->accept;
    for (uint16_t i = 0; i < cnt; i++) {
        uint32_t slot = r->sent_cnt++ % RIG_SENT_MAX;
        uint32_t at = 0;
        rte_mbuf_sanity_check(pkts[i], 1);
        r->sent_len[slot] = pkts[i]->pkt_len;
        r->sent_flags[slot] = pkts[i]->ol_flags;
        r->sent_segs[slot] = pkts[i]->nb_segs;
        r->sent_l2_len[slot] = pkts[i]->l2_len;
        for (struct rte_mbuf *m = pkts[i]; m != NULL; m = m->next) {
            memcpy(r->sent[slot] + at, rte_pktmbuf_mtod(m, void *), m->data_len);
            at += m->data_len;
        }
        assert_int_equal(at, pkts[i]->pkt_len);
        rte_pktmbuf_free(pkts[i]);
    }
    return cnt;
}

static uint16_t rig_rx(void *state, uint16_t queue, struct rte_mbuf **pkts, uint16_t cap)
{
    (void)state;
    (void)queue;
    (void)pkts;
    (void)cap;
    return 0;
}

static const struct net_port_ops rig_ops = {.name = "rig", .rx_burst = rig_rx, .tx_burst = rig_tx};

static struct net_addr rig_addr(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    return net_addr_v4((uint8_t[]){a, b, c, d});
}

static inline struct net_addr rig_addr6(const char *text)
{
    struct net_addr a;
    assert_int_equal(net_addr_parse(&a, base_span_str(text)), 0);
    return a;
}

static inline void rig_too_big(void *arg, const struct net_addr *src, const struct net_addr *dst,
                               uint16_t mtu, const uint8_t *quoted, uint32_t quoted_len)
{
    struct rig *r = arg;

    assert_true(quoted_len >= 8);
    assert_int_equal(net_addr_is_v4(src), net_addr_is_v4(dst));
    r->too_big_cnt++;
    r->too_big_mtu = mtu;
    r->too_big_dst = *dst;
    r->too_big_seq = base_be32(quoted + 4);
}

static inline void rig_unreachable(void *arg, const struct net_addr *src,
                                   const struct net_addr *dst, const uint8_t *quoted,
                                   uint32_t quoted_len)
{
    struct rig *r = arg;

    assert_true(quoted_len >= 8);
    assert_int_equal(net_addr_is_v4(src), net_addr_is_v4(dst));
    r->unreachable_cnt++;
    r->unreachable_seq = base_be32(quoted + 4);
}

static inline void rig_other(void *arg, struct rte_mbuf *frame)
{
    struct rig *r = arg;

    rte_mbuf_sanity_check(frame, 1);
    assert_true(frame->pkt_len <= sizeof(r->other));
    const uint8_t *p = rte_pktmbuf_read(frame, 0, frame->pkt_len, r->other);
    assert_non_null(p);
    if (p != r->other)
        memcpy(r->other, p, frame->pkt_len);
    r->other_cnt++;
    r->other_len = frame->pkt_len;
    rte_pktmbuf_free(frame);
}

/* r->port.caps may be set before; what is zero is filled in. */
static inline void rig_open(struct rig *r)
{
    struct net_config c = {
        .port = &r->port,
        .addresses[0] = {.addr = rig_addr(10, r->link > 0 ? r->link : 1, 0, 1), .prefix_len = 112},
        .address_cnt = 1,
        .ctrl_pool = rig_ctrl_pool,
        .stats = &r->stats,
        .log = r->log.ring != NULL ? &r->log : NULL,
        .seed = 42,
        .too_big = rig_too_big,
        .unreachable = rig_unreachable,
        .icmp_arg = r,
        .dad_cnt = r->dad_cnt,
        .vlan = r->vlan,
        .other = r->other_per_s > 0 ? rig_other : NULL,
        .other_arg = r,
        .other_per_s = r->other_per_s,
        .other_burst = r->other_burst,
    };

    if (!r->no_gateway)
        c.gateway = rig_addr(10, r->link > 0 ? r->link : 1, 0, 254);
    if (r->v6) {
        c.addresses[c.address_cnt++] =
            (struct net_prefix){.addr = rig_addr6("fd00:1::1"), .prefix_len = 64};
        c.gateway6 = rig_addr6("fe80::fe");
    }

    r->port.ops = &rig_ops;
    r->port.state = r;
    r->port.caps.mtu = r->port.caps.mtu > 0 ? r->port.caps.mtu : 1500;
    r->port.caps.queue_cnt = 1;
    memcpy(r->port.caps.mac, rig_peer.dst_mac, 6);
    r->now_ns = RIG_START;
    r->accept = UINT16_MAX;
    assert_int_equal(net_init(&r->net, &c, r->now_ns), 0);
}

static inline void rig_close(struct rig *r)
{
    counted_add(&r->stats);
    net_fini(r->net);
    assert_true(dpdk_pool_full(rig_pool));
    assert_true(dpdk_pool_full(rig_ctrl_pool));
}

/* One frame in; returns how many segments came out (0 or 1). */
static inline uint32_t rig_in(struct rig *r, const uint8_t *frame, size_t len, size_t split,
                              struct net_segment *out)
{
    struct rte_mbuf *m = frame_mbuf(rig_pool, frame, len, split);
    uint32_t cnt = net_input(r->net, &m, 1, out, r->now_ns);
    net_flush(r->net);
    if (cnt > 0)
        rte_mbuf_sanity_check(out->mbuf, 1);
    return cnt;
}

static inline uint64_t rig_stat(const struct rig *r, enum stats_id id)
{
    return stats_get(&r->stats, id);
}

/* The last frame sent. */
static inline const uint8_t *rig_last(const struct rig *r)
{
    assert_true(r->sent_cnt > 0);
    return r->sent[(r->sent_cnt - 1) % RIG_SENT_MAX];
}

/* The peer (its last two address bytes and MAC byte given) says by ARP where it is. */
static inline void rig_arp(struct rig *r, uint16_t op, uint8_t c, uint8_t d, uint8_t mac)
{
    uint8_t frame[64];
    struct net_segment s;
    struct frame_ends e = rig_peer;

    e.src[2] = c;
    e.src[3] = d;
    e.src_mac[5] = mac;
    assert_int_equal(rig_in(r, frame, frame_arp(frame, &e, op), 0, &s), 0);
}

/* Sends a TCP header with payload to dst; returns net_output's result. */
static inline int rig_out(struct rig *r, const struct net_addr *dst, uint16_t payload_len,
                          uint32_t seq)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(rig_pool);
    struct net_addr src = net_addr_is_v4(dst)           ? rig_addr(10, 1, 0, 1)
                          : net_addr_is_link_local(dst) ? rig_addr6("fe80::ff:fe00:1")
                                                        : rig_addr6("fd00:1::1");
    uint8_t *tcp = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(20 + payload_len));

    memset(tcp, 0, 20u + payload_len);
    base_put_be32(tcp + 4, seq);
    tcp[12] = 0x50;
    return net_output(r->net, m, &src, dst, NET_PROTO_TCP, 0, r->now_ns);
}

#endif
