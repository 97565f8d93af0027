#include "unit.h"

#include "dpdk_eal.h"
#include "net_checksum.h"
#include "wire.h"

#include "base_time.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

#define START_NS  BASE_NS_S
#define HEAD_LEN  54 /* Ethernet, IPv4, TCP */
#define POOL_MBUF 512

/* One link with a sending pool; both receiving pools are checked by each test's end. */
struct rig {
    struct wire *wire;
    struct wire_config config;
    uint64_t now_ns;
};

static struct rte_mempool *tx_pool, *rx_pool[2];

static void rig_open(struct rig *r)
{
    r->config.now_ns = START_NS;
    r->config.seed = r->config.seed != 0 ? r->config.seed : 1;
    for (int e = 0; e < 2; e++) {
        for (int q = 0; q < WIRE_QUEUE_MAX; q++)
            r->config.end[e].rx_pool[q] = rx_pool[e];
        memcpy(r->config.end[e].mac, (uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(e + 1)}, 6);
    }
    r->now_ns = START_NS;
    assert_int_equal(wire_open(&r->wire, &r->config), 0);
}

static void rig_close(struct rig *r)
{
    wire_close(r->wire);
    assert_true(dpdk_pool_full(tx_pool));
    assert_true(dpdk_pool_full(rx_pool[0]));
    assert_true(dpdk_pool_full(rx_pool[1]));
}

/* A TCP segment with payload bytes that count up from seq; checksums are right. */
static struct rte_mbuf *segment(uint32_t seq, uint16_t payload_len, uint16_t src_port,
                                uint16_t dst_port, bool swapped)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(tx_pool);
    uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(HEAD_LEN + payload_len));
    static const uint8_t pair[2][4] = {{10, 0, 0, 1}, {10, 0, 0, 2}};

    assert_non_null(p);
    memset(p, 0, HEAD_LEN);
    memcpy(p, (uint8_t[]){2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0}, 14);
    uint8_t *ip = p + 14, *tcp = p + 34;
    ip[0] = 0x45;
    base_put_be16(ip + 2, (uint16_t)(40 + payload_len));
    ip[8] = 64;
    ip[9] = 6;
    memcpy(ip + 12, pair[swapped], 4);
    memcpy(ip + 16, pair[!swapped], 4);
    base_put_le16(ip + 10, net_checksum_fold(net_checksum_sum_scalar(ip, 20)));
    base_put_be16(tcp, src_port);
    base_put_be16(tcp + 2, dst_port);
    base_put_be32(tcp + 4, seq);
    tcp[12] = 0x50;
    tcp[13] = 0x10;
    for (uint16_t i = 0; i < payload_len; i++)
        p[HEAD_LEN + i] = (uint8_t)(seq + i);
    struct net_addr src = net_addr_v4(ip + 12), dst = net_addr_v4(ip + 16);
    uint32_t sum = net_checksum_pseudo(&src, &dst, 6, 20u + payload_len);
    sum = net_checksum_add(sum, net_checksum_sum_scalar(tcp, 20u + payload_len));
    base_put_le16(tcp + 16, net_checksum_fold(sum));
    return m;
}

static void send_one(struct rig *r, unsigned end, struct rte_mbuf *m)
{
    struct net_port *p = wire_port(r->wire, end);
    assert_int_equal(p->ops->tx_burst(p->state, 0, &m, 1), 1);
}

static uint16_t recv_some(struct rig *r, unsigned end, uint16_t queue, struct rte_mbuf **pkts,
                          uint16_t cap)
{
    struct net_port *p = wire_port(r->wire, end);
    return p->ops->rx_burst(p->state, queue, pkts, cap);
}

static uint32_t seq_of(const struct rte_mbuf *m)
{
    return base_be32(rte_pktmbuf_mtod_offset(m, const uint8_t *, 38));
}

static void delay_and_order(void **state)
{
    (void)state;
    struct rig r = {.config.end[0].faults = {.delay_ns = 1000, .jitter_ns = 500}};
    struct rte_mbuf *m[32];

    rig_open(&r);
    assert_true(wire_next_ns(r.wire) == BASE_NS_NONE);
    for (uint32_t i = 0; i < 20; i++)
        send_one(&r, 0, segment(i, 10, 1000, 25, false));
    assert_true(dpdk_pool_full(tx_pool));
    assert_true(wire_next_ns(r.wire) >= START_NS + 1000);
    wire_advance(r.wire, START_NS + 999);
    assert_int_equal(recv_some(&r, 1, 0, m, 32), 0);
    wire_advance(r.wire, START_NS + 1500);
    assert_int_equal(recv_some(&r, 0, 0, m, 32), 0);
    assert_int_equal(recv_some(&r, 1, 0, m, 32), 20);
    for (uint32_t i = 0; i < 20; i++) {
        assert_int_equal(seq_of(m[i]), i);
        assert_int_equal(m[i]->pkt_len, HEAD_LEN + 10);
        rte_pktmbuf_free(m[i]);
    }
    assert_true(wire_next_ns(r.wire) == BASE_NS_NONE);
    rig_close(&r);
}

static void bandwidth_and_queue(void **state)
{
    (void)state;
    /* 1000 bytes a ms; the queue holds three frames of 1000. */
    struct rig r = {.config.end[0].faults = {.bytes_per_s = 1000000, .queue_bytes = 3000}};
    struct rte_mbuf *m[8];
    struct wire_counters c;

    rig_open(&r);
    for (uint32_t i = 0; i < 5; i++)
        send_one(&r, 0, segment(i, 1000 - HEAD_LEN, 1000, 25, false));
    wire_count(r.wire, 0, &c);
    assert_int_equal(c.frame_cnt[WIRE_SENT], 5);
    assert_int_equal(c.frame_cnt[WIRE_DROPPED_QUEUE], 2);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(wire_next_ns(r.wire), START_NS + (i + 1) * BASE_NS_MS);
        wire_advance(r.wire, wire_next_ns(r.wire));
        assert_int_equal(recv_some(&r, 1, 0, m, 8), 1);
        rte_pktmbuf_free(m[0]);
    }
    rig_close(&r);
}

/* Sends cnt frames and takes all that come; returns how many came. digest tells what came. */
static uint32_t run_faults(struct rig *r, uint32_t cnt, uint64_t *digest)
{
    struct rte_mbuf *m[64];
    uint32_t got = 0;

    *digest = 1;
    for (uint32_t i = 0; i < cnt; i++) {
        send_one(r, 0, segment(i, 100, 1000, 25, false));
        r->now_ns += 10000;
        wire_advance(r->wire, r->now_ns + (i + 1 == cnt ? BASE_NS_S : 0));
        uint16_t n;
        while ((n = recv_some(r, 1, 0, m, 64)) > 0) {
            for (uint16_t k = 0; k < n; k++) {
                *digest = *digest * 31 + seq_of(m[k]) + m[k]->ol_flags;
                rte_pktmbuf_free(m[k]);
            }
            got += n;
        }
    }
    return got;
}

static uint64_t tapped[WIRE_FATE_CNT];

static void tap(void *arg, const struct wire_tap_frame *frame)
{
    assert_ptr_equal(arg, tapped);
    assert_int_equal(frame->from, 0);
    assert_true(frame->len >= HEAD_LEN);
    assert_int_equal(base_be16(frame->bytes + 12), 0x0800);
    tapped[frame->fate]++;
}

static void faults_add_up(void **state)
{
    (void)state;
    uint64_t digest[3];

    for (int round = 0; round < 3; round++) {
        struct rig r = {.config.seed = round < 2 ? 7 : 8,
                        .config.end[1].rx_checksum = true,
                        .config.end[0].faults = {.delay_ns = 50000,
                                                 .jitter_ns = 20000,
                                                 .loss_ppm = 50000,
                                                 .burst_ppm = 5000,
                                                 .burst_len = 5,
                                                 .reorder_ppm = 50000,
                                                 .reorder_ns = 40000,
                                                 .duplicate_ppm = 20000,
                                                 .corrupt_ppm = 20000}};
        struct wire_counters c;

        rig_open(&r);
        memset(tapped, 0, sizeof(tapped));
        wire_set_tap(r.wire, tap, tapped);
        uint32_t got = run_faults(&r, 10000, &digest[round]);
        wire_count(r.wire, 0, &c);
        assert_memory_equal(tapped, c.frame_cnt, sizeof(tapped));
        assert_int_equal(c.frame_cnt[WIRE_SENT], 10000);
        assert_int_equal(c.frame_cnt[WIRE_DELIVERED], got);
        assert_int_equal(c.frame_cnt[WIRE_SENT] + c.frame_cnt[WIRE_DUPLICATED],
                         c.frame_cnt[WIRE_DELIVERED] + c.frame_cnt[WIRE_LOST] +
                             c.frame_cnt[WIRE_LOST_BURST]);
        for (int f = 0; f < WIRE_FATE_CNT; f++) {
            bool none = f == WIRE_DROPPED_PATH || f == WIRE_DROPPED_RULE ||
                        f == WIRE_DROPPED_QUEUE || f == WIRE_DROPPED_GIANT ||
                        f == WIRE_DROPPED_NO_MBUF;
            assert_true(none ? c.frame_cnt[f] == 0 : c.frame_cnt[f] > 50);
        }
        rig_close(&r);
    }
    assert_true(digest[0] == digest[1]); /* the seed decides, nothing else */
    assert_true(digest[0] != digest[2]);
}

static void drop_rules(void **state)
{
    (void)state;
    struct rig r = {0};
    struct wire_counters c;
    /* The third payload segment is dropped twice, with its retransmission. */
    static const uint32_t sent[] = {0, 100, 200, 300, 200, 200}, come[] = {0, 100, 300, 200};
    struct rte_mbuf *m[8];

    rig_open(&r);
    assert_int_equal(wire_drop_segment(r.wire, 0, WIRE_MATCH_PAYLOAD, 3, 2), 0);
    for (uint32_t i = 0; i < 6; i++) {
        send_one(&r, 0, segment(sent[i], 100, 1000, 25, false));
        if (i == 1) /* does not count: no payload */
            send_one(&r, 0, segment(999, 0, 1000, 25, false));
    }
    assert_int_equal(recv_some(&r, 1, 0, m, 8), 5);
    for (uint32_t i = 0, k = 0; i < 5; i++) {
        if (i == 2)
            assert_int_equal(seq_of(m[i]), 999);
        else
            assert_int_equal(seq_of(m[i]), come[k++]);
        rte_pktmbuf_free(m[i]);
    }
    wire_count(r.wire, 0, &c);
    assert_int_equal(c.frame_cnt[WIRE_DROPPED_RULE], 2);
    for (uint32_t i = 0; i < WIRE_DROP_RULE_MAX; i++)
        assert_int_equal(wire_drop_segment(r.wire, 0, WIRE_MATCH_SYN, 1, 1), 0);
    assert_int_equal(wire_drop_segment(r.wire, 0, WIRE_MATCH_SYN, 1, 1), -ENOSPC);
    rig_close(&r);
}

static void queues_are_symmetric(void **state)
{
    (void)state;
    struct rig r = {.config.end[0].queue_cnt = 4, .config.end[1].queue_cnt = 4};
    uint32_t used = 0;

    rig_open(&r);
    for (uint16_t port = 2000; port < 2064; port++) {
        send_one(&r, 0, segment(1, 1, port, 25, false));
        send_one(&r, 1, segment(1, 1, 25, port, true));
        for (uint16_t q = 0; q < 4; q++) {
            struct rte_mbuf *a[2], *b[2];
            uint16_t an = recv_some(&r, 1, q, a, 2), bn = recv_some(&r, 0, q, b, 2);
            assert_int_equal(an, bn);
            rte_pktmbuf_free_bulk(a, an);
            rte_pktmbuf_free_bulk(b, bn);
            used |= an > 0 ? 1u << q : 0;
        }
    }
    assert_int_equal(used, 0xf);
    rig_close(&r);
}

static void offloads(void **state)
{
    (void)state;
    struct rig r = {
        .config.end[0] = {.tx_checksum = true, .tx_multi_segs = true},
        .config.end[1] = {.rx_checksum = true, .rx_split_bytes = 60},
    };
    struct rte_mbuf *m = segment(5, 301, 1000, 25, false), *got, *tail;
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);

    rig_open(&r);
    /* What a driver leaves in the fields for the NIC; the payload in a second mbuf. */
    struct net_addr src = net_addr_v4(p + 26), dst = net_addr_v4(p + 30);
    uint16_t pseudo = (uint16_t)~net_checksum_fold(net_checksum_pseudo(&src, &dst, 6, 321));
    base_put_le16(p + 24, 0);
    base_put_le16(p + 50, pseudo);
    m->l2_len = 14;
    m->l3_len = 20;
    m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM;
    tail = rte_pktmbuf_alloc(tx_pool);
    memcpy(rte_pktmbuf_append(tail, 301), p + HEAD_LEN, 301);
    rte_pktmbuf_trim(m, 301);
    assert_int_equal(rte_pktmbuf_chain(m, tail), 0);
    send_one(&r, 0, m);
    assert_int_equal(recv_some(&r, 1, 0, &got, 1), 1);
    assert_int_equal(got->nb_segs, 6); /* 355 bytes in pieces of 60 */
    assert_int_equal(got->pkt_len, HEAD_LEN + 301);
    assert_true((got->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD);
    assert_true((got->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD);
    rte_pktmbuf_free(got);

    m = segment(5, 301, 1000, 25, false);
    rte_pktmbuf_mtod(m, uint8_t *)[100] ^= 1;
    send_one(&r, 0, m);
    assert_int_equal(recv_some(&r, 1, 0, &got, 1), 1);
    assert_true((got->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_BAD);
    rte_pktmbuf_free(got);
    rig_close(&r);
}

static void bounds(void **state)
{
    (void)state;
    struct rig r = {.config = {.mtu = 576, .frame_cap = 4}};
    struct rte_mbuf *m[8];
    struct wire_counters c;

    rig_open(&r);
    send_one(&r, 0, segment(0, 577 - 40, 1000, 25, false));
    for (uint32_t i = 0; i < 6; i++)
        send_one(&r, 0, segment(i, 576 - 40, 1000, 25, false));
    wire_count(r.wire, 0, &c);
    assert_int_equal(c.frame_cnt[WIRE_DROPPED_GIANT], 1);
    assert_int_equal(c.frame_cnt[WIRE_DROPPED_QUEUE], 2);

    /* An empty receiving pool loses frames, it does not hold them. */
    static struct rte_mbuf *all[POOL_MBUF];
    assert_int_equal(rte_pktmbuf_alloc_bulk(rx_pool[1], all, POOL_MBUF), 0);
    assert_int_equal(recv_some(&r, 1, 0, m, 8), 0);
    rte_pktmbuf_free_bulk(all, POOL_MBUF);
    wire_count(r.wire, 0, &c);
    assert_int_equal(c.frame_cnt[WIRE_DROPPED_NO_MBUF], 4);
    assert_true(wire_next_ns(r.wire) == BASE_NS_NONE);

    /* A full port takes a part. */
    struct wire_faults full = {.full_ppm = 1000000};
    wire_set_faults(r.wire, 0, &full);
    for (uint32_t i = 0; i < 8; i++)
        m[i] = segment(i, 1, 1000, 25, false);
    struct net_port *p = wire_port(r.wire, 0);
    uint16_t took = p->ops->tx_burst(p->state, 0, m, 8);
    assert_true(took < 8);
    rte_pktmbuf_free_bulk(m + took, 8u - took);
    rig_close(&r);
}

int main(void)
{
    dpdk_eal_init();
    tx_pool = dpdk_pool("tx", POOL_MBUF, 0);
    rx_pool[0] = dpdk_pool("rx0", POOL_MBUF, 0);
    rx_pool[1] = dpdk_pool("rx1", POOL_MBUF, 0);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delay_and_order),
        cmocka_unit_test(bandwidth_and_queue),
        cmocka_unit_test(faults_add_up),
        cmocka_unit_test(drop_rules),
        cmocka_unit_test(queues_are_symmetric),
        cmocka_unit_test(offloads),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
