/* 802.1Q tags, in and out. */
#include "net_rig.h"

static struct rig r;

static void start(uint16_t vlan)
{
    memset(&r, 0, sizeof(r));
    r.vlan = vlan;
    r.v6 = true;
    rig_open(&r);
}

static size_t tag(uint8_t *frame, size_t len, uint16_t tci)
{
    memmove(frame + 16, frame + 12, len - 12);
    base_put_be16(frame + 12, 0x8100);
    base_put_be16(frame + 14, tci);
    return len + 4;
}

static void only_ours_pass(void **state)
{
    (void)state;
    static const struct {
        uint16_t vlan;
        int tci; /* -1: no tag */
        bool pass;
    } rows[] = {
        {0, -1, true},  {0, 0, true},      {0, 0xe000, true},  {0, 7, false},
        {7, -1, false}, {7, 0, false},     {7, 7, true},       {7, 0xf007, true},
        {7, 8, false},  {7, 0x107, false}, {4094, 4094, true}, {4094, 4095, false},
    };
    static const size_t splits[] = {0, 1, 13, 14, 16, 18, 40};

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        for (size_t k = 0; k < BASE_ARRAY_CNT(splits); k++) {
            for (int v6 = 0; v6 < 2; v6++) {
                uint8_t frame[256];
                struct net_segment s;
                start(rows[i].vlan);
                size_t len = v6 ? frame6_tcp(frame, &rig_peer6, 1000, 25, 30)
                                : frame_tcp(frame, &rig_peer, 1000, 25, 30);
                len = rows[i].tci >= 0 ? tag(frame, len, (uint16_t)rows[i].tci) : len;
                assert_int_equal(rig_in(&r, frame, len, splits[k], &s), rows[i].pass);
                assert_int_equal(rig_stat(&r, STATS_NET_DROP_VLAN), !rows[i].pass);
                if (rows[i].pass) {
                    assert_int_equal(s.mbuf->pkt_len, 50);
                    rte_pktmbuf_free(s.mbuf);
                }
                rig_close(&r);
            }
        }
    }
}

/* Some ports take the tag off, whether asked or not. */
static void a_tag_that_the_port_took_off(void **state)
{
    (void)state;

    for (uint16_t tci = 7; tci < 9; tci++) {
        uint8_t frame[128];
        struct net_segment s;
        start(7);
        struct rte_mbuf *m =
            frame_mbuf(rig_pool, frame, frame_tcp(frame, &rig_peer, 1000, 25, 30), 0);
        m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
        m->vlan_tci = tci;
        assert_int_equal(net_input(r.net, &m, 1, &s, r.now_ns), tci == 7);
        if (tci == 7)
            rte_pktmbuf_free(s.mbuf);
        rig_close(&r);
    }
}

static void two_tags_are_too_many(void **state)
{
    (void)state;
    uint8_t frame[128];
    struct net_segment s;

    start(7);
    size_t len = tag(frame, frame_tcp(frame, &rig_peer, 1000, 25, 30), 7);
    assert_int_equal(rig_in(&r, frame, tag(frame, len, 7), 0, &s), 0);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_ETHER_TYPE), 1);
    assert_int_equal(rig_in(&r, frame, 17, 0, &s), 0);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_ETHER_SHORT), 1);
    rig_close(&r);
}

/* Whatever goes out has the tag: replies in the request's mbuf, questions, segments, announcements;
 * at each offload setting. */
static void everything_out_is_tagged(void **state)
{
    (void)state;

    for (int offload = 0; offload < 2; offload++) {
        uint8_t frame[256];
        struct net_segment s;
        struct net_addr known = rig_addr(10, 1, 0, 2), unknown = rig_addr(10, 1, 0, 3);
        struct net_addr unknown6 = rig_addr6("fd00:1::3");

        memset(&r, 0, sizeof(r));
        r.vlan = 42;
        r.v6 = true;
        r.port.caps.tx_ip_checksum = r.port.caps.tx_tcp_checksum = offload;
        rig_open(&r);
        net_announce(r.net, r.now_ns);
        rig_in(&r, frame, tag(frame, frame_arp(frame, &rig_peer, 1), 42), 0, &s);
        rig_in(&r, frame, tag(frame, frame_icmp(frame, &rig_peer, 8, 30), 42), 0, &s);
        rig_in(&r, frame, tag(frame, frame6_icmp(frame, &rig_peer6, 128, 0, 30), 42), 0, &s);
        rig_in(&r, frame, tag(frame, frame6_nd(frame, &rig_peer6, 135, 0, rig_peer6.dst, 1), 42), 0,
               &s);
        assert_int_equal(rig_out(&r, &known, 100, 1), 0);
        assert_int_equal(rig_out(&r, &unknown, 100, 1), 0);
        assert_int_equal(rig_out(&r, &unknown6, 100, 1), 0);
        net_flush(r.net);
        assert_int_equal(r.sent_cnt, 4 + 4 + 3);
        for (uint32_t i = 0; i < r.sent_cnt; i++) {
            assert_int_equal(base_be16(r.sent[i] + 12), 0x8100);
            assert_int_equal(base_be16(r.sent[i] + 14), 42);
            assert_memory_equal(r.sent[i] + 6, rig_peer.dst_mac, 6);
        }
        const uint8_t *segment = r.sent[8]; /* the one to the peer that we know */
        assert_memory_equal(segment, rig_peer.src_mac, 6);
        assert_int_equal(base_be16(segment + 16), 0x0800);
        assert_int_equal(r.sent_len[8], 18 + 20 + 20 + 100);
        assert_int_equal(r.sent_l2_len[8], 18);
        rig_close(&r);
    }
}

int main(void)
{
    dpdk_eal_init();
    rig_pool = dpdk_pool("rig", 2048, 0);
    rig_ctrl_pool = dpdk_pool("ctrl", 1024, 0);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_ours_pass),
        cmocka_unit_test(a_tag_that_the_port_took_off),
        cmocka_unit_test(two_tags_are_too_many),
        cmocka_unit_test(everything_out_is_tagged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
