/* The rest of the machine behind our port: what it gets, whole and in measure; and what it sends.
 */
#include "net_rig.h"

#include <errno.h>

static struct rig r;

static void start(uint16_t vlan, bool v6, uint32_t per_s, uint32_t burst)
{
    memset(&r, 0, sizeof(r));
    r.vlan = vlan;
    r.v6 = v6;
    r.other_per_s = per_s;
    r.other_burst = burst;
    rig_open(&r);
}

static size_t tag(uint8_t *frame, size_t len, uint16_t tci)
{
    memmove(frame + 16, frame + 12, len - 12);
    base_put_be16(frame + 12, 0x8100);
    base_put_be16(frame + 14, tci);
    return len + 4;
}

/* ---- frames ---- */

static struct frame_ends to(uint8_t last)
{
    struct frame_ends e = rig_peer;
    e.dst[3] = last;
    return e;
}

static size_t udp(uint8_t *f, uint8_t last)
{
    struct frame_ends e = to(last);
    size_t len = frame_icmp(f, &e, 8, 40);
    f[23] = 17;
    frame_fix_ip(f);
    return len;
}

static size_t udp_to_us(uint8_t *f)
{
    return udp(f, 1);
}
static size_t udp_to_another(uint8_t *f)
{
    return udp(f, 7);
}
static size_t echo_to_us(uint8_t *f)
{
    return frame_icmp(f, &rig_peer, 8, 40);
}
static size_t echo_reply(uint8_t *f)
{
    return frame_icmp(f, &rig_peer, 0, 40);
}
static size_t unreachable(uint8_t *f)
{
    return frame_icmp(f, &rig_peer, 3, 40);
}
static size_t arp_reply(uint8_t *f)
{
    return frame_arp(f, &rig_peer, 2);
}
static size_t arp_for_us(uint8_t *f)
{
    return frame_arp(f, &rig_peer, 1);
}

static size_t bad_icmp(uint8_t *f)
{
    size_t len = echo_reply(f);
    f[FRAME_ICMP_AT + 9] ^= 1;
    return len;
}

static size_t arp_for_another(uint8_t *f)
{
    struct frame_ends e = to(7);
    return frame_arp(f, &e, 1);
}

static size_t tcp_to_another(uint8_t *f)
{
    struct frame_ends e = to(7);
    return frame_tcp(f, &e, 1000, 22, 30);
}

/* Not even its addresses have to be possible: that is the kernel's to judge. */
static size_t dhcp(uint8_t *f)
{
    size_t len = udp(f, 1);
    memset(f, 0xff, 6);
    memset(f + 26, 0, 4);
    memset(f + 30, 0xff, 4);
    frame_fix_ip(f);
    return len;
}

static size_t fragment(uint8_t *f, uint8_t protocol, uint8_t last)
{
    size_t len = udp(f, last);
    f[23] = protocol;
    base_put_be16(f + 20, 0x2000);
    frame_fix_ip(f);
    return len;
}

static size_t udp_fragment(uint8_t *f)
{
    return fragment(f, 17, 1);
}
static size_t tcp_fragment(uint8_t *f)
{
    return fragment(f, 6, 1);
}
static size_t tcp_fragment_to_another(uint8_t *f)
{
    return fragment(f, 6, 7);
}

static size_t broken_ip(uint8_t *f)
{
    size_t len = udp_to_us(f);
    f[24] ^= 1;
    return len;
}

static size_t lldp(uint8_t *f)
{
    size_t len = udp_to_us(f);
    memcpy(f, (uint8_t[]){1, 0x80, 0xc2, 0, 0, 0x0e}, 6);
    base_put_be16(f + 12, 0x88cc);
    return len;
}

static size_t foreign_mac(uint8_t *f)
{
    size_t len = udp_to_another(f);
    f[5] ^= 8;
    return len;
}

static size_t our_own_mac(uint8_t *f)
{
    size_t len = udp_to_another(f);
    memcpy(f + 6, f, 6);
    return len;
}

static size_t other_vlan(uint8_t *f)
{
    return tag(f, udp_to_us(f), 9);
}
static size_t other_vlan_foreign(uint8_t *f)
{
    return tag(f, foreign_mac(f), 9);
}

static size_t udp6(uint8_t *f, uint8_t last)
{
    struct frame6_ends e = rig_peer6;
    e.dst[15] = last;
    size_t len = frame6_icmp(f, &e, 128, 0, 40);
    f[20] = 17;
    return len;
}

static size_t udp6_to_us(uint8_t *f)
{
    return udp6(f, 1);
}
static size_t udp6_to_another(uint8_t *f)
{
    return udp6(f, 7);
}
static size_t echo6_to_us(uint8_t *f)
{
    return frame6_icmp(f, &rig_peer6, 128, 0, 40);
}
static size_t echo6_reply(uint8_t *f)
{
    return frame6_icmp(f, &rig_peer6, 129, 0, 40);
}
static size_t too_big6(uint8_t *f)
{
    return frame6_icmp(f, &rig_peer6, 2, 0, 60);
}
static size_t router6(uint8_t *f)
{
    return frame6_icmp(f, &rig_peer6, 134, 0, 40);
}
static size_t asks_for_us(uint8_t *f)
{
    return frame6_nd(f, &rig_peer6, 135, 0, rig_peer6.dst, 1);
}
static size_t advertises(uint8_t *f)
{
    return frame6_nd(f, &rig_peer6, 136, 0x60, rig_peer6.src, 2);
}

static size_t asks_for_another(uint8_t *f)
{
    struct frame6_ends e = rig_peer6;
    uint8_t target[16];
    memcpy(target, rig_peer6.dst, 16);
    target[15] = 7;
    frame6_solicited_node(e.dst, target);
    frame6_group_mac(e.dst_mac, e.dst);
    return frame6_nd(f, &e, 135, 0, target, 1);
}

static size_t fragment6(uint8_t *f, uint8_t protocol)
{
    static const uint8_t ext[8] = {0};
    size_t len = udp6_to_us(f);
    f[20] = protocol;
    return frame6_extend(f, len, 44, ext, 8);
}

static size_t udp6_fragment(uint8_t *f)
{
    return fragment6(f, 17);
}
static size_t tcp6_fragment(uint8_t *f)
{
    return fragment6(f, 6);
}

static const struct {
    const char *name;
    size_t (*make)(uint8_t *f);
    bool other;
} rows[] = {
    {"UDP to us", udp_to_us, true},
    {"UDP to another address", udp_to_another, true},
    {"echo request", echo_to_us, false},
    {"echo reply", echo_reply, true},
    {"ICMP error", unreachable, true},
    {"ICMP with a bad checksum", bad_icmp, false},
    {"ARP reply", arp_reply, true},
    {"ARP request for us", arp_for_us, false},
    {"ARP request for another", arp_for_another, true},
    {"TCP to another address", tcp_to_another, true},
    {"DHCP", dhcp, true},
    {"fragment of UDP", udp_fragment, true},
    {"fragment of TCP", tcp_fragment, false},
    {"fragment of TCP to another address", tcp_fragment_to_another, true},
    {"broken IP", broken_ip, false},
    {"another type to a group", lldp, true},
    {"foreign MAC", foreign_mac, false},
    {"from our own MAC", our_own_mac, false},
    {"another VLAN", other_vlan, true},
    {"foreign MAC in another VLAN", other_vlan_foreign, false},
    {"UDP6 to us", udp6_to_us, true},
    {"UDP6 to another address", udp6_to_another, true},
    {"echo request 6", echo6_to_us, false},
    {"echo reply 6", echo6_reply, true},
    {"packet too big 6", too_big6, true},
    {"router advertisement", router6, true},
    {"solicitation for us", asks_for_us, false},
    {"solicitation for another", asks_for_another, true},
    {"advertisement", advertises, true},
    {"fragment of UDP6", udp6_fragment, true},
    {"fragment of TCP6", tcp6_fragment, false},
};

/* Each comes out as it came in, in pieces or not, with the tag of our VLAN or without one; and
 * without a rest of the machine none does. */
static void who_gets_what(void **state)
{
    (void)state;
    static const size_t splits[] = {0, 14, 20, 37};

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        for (size_t k = 0; k < BASE_ARRAY_CNT(splits) * 3; k++) {
            uint8_t frame[256];
            struct net_segment s;
            bool on = k % 3 != 2;
            uint16_t vlan = k % 3 == 1 ? 5 : 0;
            start(vlan, true, on ? 1000 : 0, 100);
            size_t len = rows[i].make(frame);
            if (vlan != 0 && base_be16(frame + 12) != 0x8100)
                len = tag(frame, len, vlan);
            assert_int_equal(rig_in(&r, frame, len, splits[k / 3], &s), 0);
            if (r.other_cnt != (on && rows[i].other))
                fail_msg("%s: %u frames", rows[i].name, r.other_cnt);
            if (r.other_cnt > 0) {
                assert_int_equal(r.other_len, len);
                assert_memory_equal(r.other, frame, len);
            }
            rig_close(&r);
        }
    }
}

/* Without an address of ours in its family, all of IPv6 is the machine's. */
static void a_family_that_we_do_not_speak(void **state)
{
    (void)state;
    uint8_t frame[256];
    struct net_segment s;

    start(0, false, 1000, 100);
    rig_in(&r, frame, echo6_to_us(frame), 0, &s);
    rig_in(&r, frame, asks_for_us(frame), 0, &s);
    assert_int_equal(r.other_cnt, 2);
    rig_close(&r);
}

/* We have heeded what the machine gets, too. */
static void neighbors_are_told_to_both(void **state)
{
    (void)state;
    struct net_addr peer = rig_addr(10, 1, 0, 2);
    uint8_t frame[256];
    struct net_segment s;

    start(0, true, 1000, 100);
    assert_int_equal(rig_out(&r, &peer, 10, 1), 0); /* we ask */
    rig_in(&r, frame, arp_reply(frame), 0, &s);
    assert_int_equal(r.other_cnt, 1);
    assert_int_equal(net_neighbor_state(r.net, &peer), NET_NEIGHBOR_REACHABLE);
    net_flush(r.net);
    assert_int_equal(r.sent_cnt, 2);
    rig_close(&r);
}

static void a_segment_goes_back(void **state)
{
    (void)state;

    for (int kind = 0; kind < 4; kind++) {
        uint16_t vlan = kind % 2 ? 5 : 0;
        uint8_t frame[256];
        struct net_segment s;
        start(vlan, true, 1000, 100);
        size_t len = kind < 2 ? frame_tcp(frame, &rig_peer, 1000, 22, 30)
                              : frame6_tcp(frame, &rig_peer6, 1000, 22, 30);
        len = vlan != 0 ? tag(frame, len, vlan) : len;
        assert_int_equal(rig_in(&r, frame, len, 0, &s), 1);
        assert_int_equal(s.frame_bytes, kind < 2 ? 34 : 54);
        rte_pktmbuf_adj(s.mbuf, 20);
        assert_non_null(rte_pktmbuf_prepend(s.mbuf, (uint16_t)(s.frame_bytes + 20)));
        net_other(r.net, s.mbuf, r.now_ns);
        assert_int_equal(r.other_cnt, 1);
        assert_int_equal(r.other_len, len);
        assert_memory_equal(r.other, frame, len);
        rig_close(&r);
    }
}

/* ---- in measure ---- */

static uint32_t many(size_t (*make)(uint8_t *f), uint32_t cnt)
{
    uint32_t before = r.other_cnt;

    for (uint32_t i = 0; i < cnt; i++) {
        uint8_t frame[256];
        struct net_segment s;
        rig_in(&r, frame, make(frame), 0, &s);
    }
    return r.other_cnt - before;
}

static size_t syn_to_another(uint8_t *f)
{
    struct frame_ends e = to(7);
    return frame_tcp(f, &e, 1000, 22, 0);
}

static size_t syn6_to_another(uint8_t *f)
{
    struct frame6_ends e = rig_peer6;
    e.dst[15] = 7;
    return frame6_tcp(f, &e, 1000, 22, 0);
}

static void a_flood_has_its_rate(void **state)
{
    (void)state;

    start(0, true, 1000, 100);
    assert_int_equal(many(udp_to_us, 500), 100);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_TO_HOST_LIMITED), 400);
    r.now_ns += 50 * BASE_NS_MS;
    assert_int_equal(many(udp_to_us, 500), 50);
    assert_int_equal(many(arp_reply, 10), 10); /* has a budget of its own */
    assert_int_equal(many(advertises, 200), 90);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_TO_HOST_NEIGHBOR), 110);
    r.now_ns += 10 * BASE_NS_S;
    assert_int_equal(many(udp_to_us, 500), 100);
    rig_close(&r);
}

/* Connections being opened leave three quarters to those that stand. */
static void a_scan_leaves_room(void **state)
{
    (void)state;

    start(0, true, 1000, 100);
    assert_int_equal(many(syn_to_another, 200), 25);
    assert_int_equal(many(syn6_to_another, 200), 0);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_TO_HOST_SYN), 375);
    assert_int_equal(many(tcp_to_another, 500), 75);
    r.now_ns += 40 * BASE_NS_MS;
    assert_int_equal(many(syn6_to_another, 200), 10);
    assert_int_equal(many(tcp_to_another, 500), 30);
    rig_close(&r);
}

static void a_bad_config_is_refused(void **state)
{
    (void)state;
    struct net_config c = {.port = &r.port,
                           .addresses[0] = {.addr = rig_addr(10, 1, 0, 1), .prefix_len = 112},
                           .address_cnt = 1,
                           .ctrl_pool = rig_ctrl_pool,
                           .stats = &r.stats,
                           .other = rig_other};
    struct net *n;

    assert_int_equal(net_init(&n, &c, RIG_START), -EINVAL);
    c.other_per_s = 1;
    assert_int_equal(net_init(&n, &c, RIG_START), -EINVAL);
    c.other_burst = 1;
    assert_int_equal(net_init(&n, &c, RIG_START), 0);
    net_fini(n);
}

/* ---- out ---- */

static void what_the_machine_sends(void **state)
{
    (void)state;
    uint8_t frame[2048];

    start(5, true, 1000, 100);
    size_t len = udp_to_us(frame); /* any bytes */
    net_forward(r.net, frame_mbuf(rig_pool, frame, len, 0));
    net_flush(r.net);
    assert_int_equal(r.sent_cnt, 1);
    assert_int_equal(r.sent_len[0], len); /* no tag is put on */
    assert_memory_equal(r.sent[0], frame, len);
    assert_int_equal(r.sent_flags[0] & RTE_MBUF_F_TX_OFFLOAD_MASK, 0);
    assert_int_equal(rig_stat(&r, STATS_NET_FROM_HOST), 1);
    net_forward(r.net, frame_mbuf(rig_pool, frame, 13, 0));
    net_forward(r.net, frame_mbuf(rig_pool, frame, 1500 + 19, 0));
    net_flush(r.net);
    assert_int_equal(r.sent_cnt, 1);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_FROM_HOST), 2);
    net_forward(r.net, frame_mbuf(rig_pool, frame, 1500 + 18, 0));
    net_flush(r.net);
    assert_int_equal(r.sent_cnt, 2);
    rig_close(&r);
}

int main(void)
{
    dpdk_eal_init();
    rig_pool = dpdk_pool("rig", 2048, 0);
    rig_ctrl_pool = dpdk_pool("ctrl", 1024, 0);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_gets_what),
        cmocka_unit_test(a_family_that_we_do_not_speak),
        cmocka_unit_test(neighbors_are_told_to_both),
        cmocka_unit_test(a_segment_goes_back),
        cmocka_unit_test(a_flood_has_its_rate),
        cmocka_unit_test(a_scan_leaves_room),
        cmocka_unit_test(a_bad_config_is_refused),
        cmocka_unit_test(what_the_machine_sends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
