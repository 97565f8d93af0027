/* ARP and the neighbor cache. */
#include "net_rig.h"

#include <errno.h>

static struct rig r;

static void start(void)
{
    memset(&r, 0, sizeof(r));
    rig_open(&r);
}

/* Time passes and timers run. */
static void pass(uint64_t ns)
{
    r.now_ns += ns;
    net_run(r.net, r.now_ns);
    net_flush(r.net);
}

static int state_of(uint8_t c, uint8_t d)
{
    struct net_addr a = rig_addr(10, 1, c, d);
    return net_neighbor_state(r.net, &a);
}

static int out_to(uint8_t c, uint8_t d, uint32_t seq)
{
    struct net_addr a = rig_addr(10, 1, c, d);
    int rc = rig_out(&r, &a, 1, seq);
    net_flush(r.net);
    return rc;
}

static bool is_request(const uint8_t *f, bool broadcast, uint8_t d)
{
    static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    return base_be16(f + 12) == 0x0806 && base_be16(f + 20) == 1 &&
           (memcmp(f, all, 6) == 0) == broadcast && f[41] == d;
}

static void requests_are_answered(void **state)
{
    (void)state;
    uint8_t frame[64];
    struct net_segment s;

    start();
    for (size_t split = 0; split < 40; split += 13) {
        size_t len = frame_arp(frame, &rig_peer, 1);
        memset(frame, 0xff, 6);
        assert_int_equal(rig_in(&r, frame, len, split, &s), 0);
        const uint8_t *reply = rig_last(&r);
        assert_int_equal(r.sent_len[r.sent_cnt - 1], 42);
        assert_memory_equal(reply, rig_peer.src_mac, 6);
        assert_int_equal(base_be16(reply + 20), 2);
        assert_memory_equal(reply + 22, rig_peer.dst_mac, 6);
        assert_memory_equal(reply + 28, rig_peer.dst, 4);
        assert_memory_equal(reply + 32, rig_peer.src_mac, 6);
        assert_memory_equal(reply + 38, rig_peer.src, 4);
    }
    assert_int_equal(state_of(0, 2), NET_NEIGHBOR_STALE);

    /* A probe (sender 0.0.0.0) and a host of another link are answered, but not believed. */
    struct frame_ends e = rig_peer;
    memset(e.src, 0, 4);
    uint32_t before = r.sent_cnt;
    rig_in(&r, frame, frame_arp(frame, &e, 1), 0, &s);
    memcpy(e.src, (uint8_t[]){172, 16, 0, 1}, 4);
    rig_in(&r, frame, frame_arp(frame, &e, 1), 0, &s);
    assert_int_equal(r.sent_cnt, before + 2);
    assert_int_equal(rig_stat(&r, STATS_NET_NEIGHBORS), 1);
    rig_close(&r);
}

/* The states one after the other, as in the picture in net_internal.h. */
static void walk(void **state)
{
    (void)state;

    start();
    assert_int_equal(state_of(0, 2), -1);
    assert_true(net_deadline(r.net) == BASE_NS_NONE);
    assert_int_equal(out_to(0, 2, 1), 0);
    assert_int_equal(state_of(0, 2), NET_NEIGHBOR_INCOMPLETE);
    assert_int_equal(r.sent_cnt, 1);
    assert_true(is_request(rig_last(&r), true, 2));
    assert_true(net_deadline(r.net) <= r.now_ns + BASE_NS_S + BASE_NS_MS);

    rig_arp(&r, 2, 0, 2, 2);
    assert_int_equal(state_of(0, 2), NET_NEIGHBOR_REACHABLE);
    assert_int_equal(r.sent_cnt, 2);
    assert_int_equal(base_be32(rig_last(&r) + 38), 1); /* what was held */

    pass(14 * BASE_NS_S);
    assert_int_equal(state_of(0, 2), NET_NEIGHBOR_REACHABLE);
    pass(32 * BASE_NS_S);
    assert_int_equal(state_of(0, 2), NET_NEIGHBOR_STALE);
    assert_int_equal(out_to(0, 2, 2), 0);
    assert_int_equal(r.sent_cnt, 3);
    assert_int_equal(state_of(0, 2), NET_NEIGHBOR_DELAY);

    pass(6 * BASE_NS_S);
    assert_int_equal(state_of(0, 2), NET_NEIGHBOR_PROBE);
    assert_int_equal(r.sent_cnt, 4);
    assert_true(is_request(rig_last(&r), false, 2));
    assert_int_equal(out_to(0, 2, 3), 0); /* packets go on meanwhile */
    rig_arp(&r, 2, 0, 2, 2);
    assert_int_equal(state_of(0, 2), NET_NEIGHBOR_REACHABLE);

    /* Another MAC, unasked: taken, but to be proved. */
    rig_arp(&r, 2, 0, 2, 3);
    assert_int_equal(state_of(0, 2), NET_NEIGHBOR_STALE);
    assert_int_equal(rig_stat(&r, STATS_NET_NEIGHBOR_CHANGED), 1);
    assert_int_equal(out_to(0, 2, 4), 0);
    assert_int_equal(rig_last(&r)[5], 3);

    uint32_t before = r.sent_cnt;
    for (int i = 0; i < 9; i++)
        pass(BASE_NS_S + BASE_NS_MS);
    assert_int_equal(r.sent_cnt, before + 3);
    assert_int_equal(state_of(0, 2), NET_NEIGHBOR_FAILED);
    assert_int_equal(out_to(0, 2, 5), -EHOSTUNREACH);
    assert_int_equal(rig_stat(&r, STATS_NET_NEIGHBOR_FAILED), 1);
    pass(6 * BASE_NS_S);
    assert_int_equal(state_of(0, 2), -1);
    assert_true(net_deadline(r.net) == BASE_NS_NONE);
    assert_int_equal(out_to(0, 2, 6), 0); /* forgotten: asked afresh */
    assert_int_equal(state_of(0, 2), NET_NEIGHBOR_INCOMPLETE);
    rig_close(&r);
}

/* An announcement, unasked for, serves what waits; but it proves nothing. */
static void an_announcement_helps(void **state)
{
    (void)state;
    uint8_t frame[64];
    struct net_segment s;
    struct frame_ends e = rig_peer;

    start();
    memcpy(e.dst, e.src, 4);
    memset(e.dst_mac, 0xff, 6);
    rig_in(&r, frame, frame_arp(frame, &e, 1), 0, &s);
    assert_int_equal(state_of(0, 2), -1);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_ARP_OTHER), 1);
    assert_int_equal(out_to(0, 2, 1), 0);
    rig_in(&r, frame, frame_arp(frame, &e, 1), 0, &s);
    assert_int_equal(state_of(0, 2), NET_NEIGHBOR_DELAY);
    assert_int_equal(r.sent_cnt, 2);
    assert_int_equal(base_be32(rig_last(&r) + 38), 1);
    pass(6 * BASE_NS_S);
    assert_int_equal(state_of(0, 2), NET_NEIGHBOR_PROBE);
    rig_close(&r);
}

static void held_packets_are_few(void **state)
{
    (void)state;

    start();
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(out_to(0, 2, i), 0);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_TX_HELD), 10 - NET_HELD_MAX);
    assert_int_equal(r.sent_cnt, 1); /* one question, not ten */
    rig_arp(&r, 2, 0, 2, 2);
    assert_int_equal(r.sent_cnt, 1 + NET_HELD_MAX);
    for (uint32_t i = 0; i < NET_HELD_MAX; i++) /* the newest, in order */
        assert_int_equal(base_be32(r.sent[1 + i] + 38), 10 - NET_HELD_MAX + i);

    /* Nobody answers: what waits goes, and is counted. */
    assert_int_equal(out_to(0, 3, 1), 0);
    for (int i = 0; i < 4; i++)
        pass(BASE_NS_S + BASE_NS_MS);
    assert_int_equal(state_of(0, 3), NET_NEIGHBOR_FAILED);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_TX_UNREACHABLE), 1);
    /* It comes back by asking us. */
    rig_arp(&r, 1, 0, 3, 3);
    assert_int_equal(state_of(0, 3), NET_NEIGHBOR_STALE);
    assert_int_equal(out_to(0, 3, 1), 0);
    rig_close(&r);
}

/* Neither strangers that ask nor packets to nobody push out the neighbors that answer; questions
 * and held packets stay bounded. */
static void floods_are_bounded(void **state)
{
    (void)state;
    struct net_segment s;

    start();
    assert_int_equal(out_to(0, 254, 1), 0);
    rig_arp(&r, 2, 0, 254, 9);
    for (uint32_t i = 0; i < 3000; i++) {
        uint8_t frame[64];
        struct frame_ends e = rig_peer;
        e.src[2] = (uint8_t)(1 + i / 250);
        e.src[3] = (uint8_t)(1 + i % 250);
        rig_in(&r, frame, frame_arp(frame, &e, 1), 0, &s);
        assert_true(rig_stat(&r, STATS_NET_NEIGHBORS) <= NET_UNCONFIRMED_MAX + 1);
    }
    uint64_t asked = rig_stat(&r, STATS_NET_TX_ARP_REQUESTS);
    for (uint32_t i = 0; i < 3000; i++) {
        out_to((uint8_t)(100 + i / 250), (uint8_t)(1 + i % 250), i);
        assert_true(r.net->held_cnt <= NET_HELD_TOTAL_MAX);
    }
    assert_int_equal(rig_stat(&r, STATS_NET_TX_ARP_REQUESTS) - asked, 64 - 1);
    assert_true(rig_stat(&r, STATS_NET_ARP_LIMITED) > 2900);
    assert_true(rig_stat(&r, STATS_NET_DROP_TX_EVICTED) > 2000);
    assert_int_equal(state_of(0, 254), NET_NEIGHBOR_REACHABLE);

    /* 2000 neighbors that do answer: the one used longest ago goes. */
    for (uint32_t i = 0; i < 2000; i++) {
        r.now_ns += 10 * BASE_NS_MS;
        uint8_t c = (uint8_t)(1 + i / 250), d = (uint8_t)(1 + i % 250);
        out_to(c, d, i);
        rig_arp(&r, 2, c, d, 5);
        assert_int_equal(state_of(c, d), NET_NEIGHBOR_REACHABLE);
        if (i % 100 == 0)
            assert_int_equal(out_to(0, 254, i), 0);
        assert_true(rig_stat(&r, STATS_NET_NEIGHBORS) <= NET_NEIGHBOR_MAX);
    }
    assert_int_equal(state_of(0, 254), NET_NEIGHBOR_REACHABLE);
    assert_int_equal(state_of(1, 1), -1);
    rig_close(&r);
}

static void our_address_is_defended(void **state)
{
    (void)state;

    start();
    for (int i = 0; i < 5; i++)
        rig_arp(&r, 1, 0, 1, 66);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_ARP_CONFLICT), 5);
    assert_int_equal(r.sent_cnt, 1);
    assert_true(is_request(rig_last(&r), true, 1));
    pass(11 * BASE_NS_S);
    rig_arp(&r, 1, 0, 1, 66);
    assert_int_equal(r.sent_cnt, 2);
    rig_close(&r);
}

static void announced_twice(void **state)
{
    (void)state;

    start();
    net_announce(r.net, r.now_ns);
    net_flush(r.net);
    assert_int_equal(r.sent_cnt, 1);
    assert_true(is_request(rig_last(&r), true, 1));
    assert_memory_equal(rig_last(&r) + 28, rig_peer.dst, 4);
    pass(BASE_NS_S);
    assert_int_equal(r.sent_cnt, 1);
    pass(BASE_NS_S + BASE_NS_MS);
    assert_int_equal(r.sent_cnt, 2);
    pass(100 * BASE_NS_S);
    assert_int_equal(r.sent_cnt, 2);
    rig_close(&r);
}

static uint32_t heard_cnt;
static bool heard_answer;

static void on_heard(void *arg, const struct net_addr *addr, const uint8_t mac[6], bool answer)
{
    (void)arg;
    (void)addr;
    assert_int_equal(mac[5], 2);
    heard_cnt++;
    heard_answer = answer;
}

/* The answer comes to the one lane, the question was another's. */
static void lanes_tell_each_other(void **state)
{
    (void)state;
    struct net_addr peer = rig_addr(10, 1, 0, 2);

    start();
    r.net->config.heard = on_heard;
    rig_arp(&r, 1, 0, 2, 2); /* a question is each lane's own to learn from */
    assert_int_equal(heard_cnt, 0);
    rig_arp(&r, 2, 0, 2, 2);
    assert_int_equal(heard_cnt, 1);
    assert_true(heard_answer);
    rig_close(&r);

    start();
    net_hear(r.net, &peer, rig_peer.src_mac, true, r.now_ns); /* not asked for: not learned */
    assert_int_equal(state_of(0, 2), -1);
    assert_int_equal(out_to(0, 2, 1), 0);
    net_hear(r.net, &peer, rig_peer.src_mac, true, r.now_ns);
    net_flush(r.net);
    assert_int_equal(state_of(0, 2), NET_NEIGHBOR_REACHABLE);
    assert_int_equal(r.sent_cnt, 2);
    rig_close(&r);
}

static void an_empty_pool_only_delays(void **state)
{
    (void)state;
    static struct rte_mbuf *all[1024];

    start();
    assert_int_equal(rte_pktmbuf_alloc_bulk(rig_ctrl_pool, all, 1024), 0);
    assert_int_equal(out_to(0, 2, 1), 0);
    assert_int_equal(r.sent_cnt, 0);
    assert_int_equal(rig_stat(&r, STATS_NET_NO_MBUF), 1);
    rte_pktmbuf_free_bulk(all, 1024);
    pass(BASE_NS_S + BASE_NS_MS);
    assert_int_equal(r.sent_cnt, 1);
    rig_close(&r);
}

int main(void)
{
    dpdk_eal_init();
    rig_pool = dpdk_pool("rig", 2048, 0);
    rig_ctrl_pool = dpdk_pool("ctrl", 1024, 0);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_answered),     cmocka_unit_test(walk),
        cmocka_unit_test(an_announcement_helps),     cmocka_unit_test(held_packets_are_few),
        cmocka_unit_test(floods_are_bounded),        cmocka_unit_test(our_address_is_defended),
        cmocka_unit_test(announced_twice),           cmocka_unit_test(lanes_tell_each_other),
        cmocka_unit_test(an_empty_pool_only_delays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
