/* Neighbor discovery: questions and answers, the cache's states by them, duplicates of our own
 * addresses. */
#include "net_rig.h"

#include <errno.h>

#define SOLICITATION  135
#define ADVERTISEMENT 136
#define SOLICITED     0x40
#define OVERRIDE      0x20

static struct rig r;
static uint8_t frame[1700];
static struct net_segment segment;

static void start(uint8_t dad_cnt)
{
    memset(&r, 0, sizeof(r));
    r.v6 = true;
    r.dad_cnt = dad_cnt;
    rig_open(&r);
}

static void pass(uint64_t ns)
{
    r.now_ns += ns;
    net_run(r.net, r.now_ns);
    net_flush(r.net);
}

static int state_of(const char *text)
{
    struct net_addr a = rig_addr6(text);
    return net_neighbor_state(r.net, &a);
}

static int out_to(const char *text, uint32_t seq)
{
    struct net_addr a = rig_addr6(text);
    int rc = rig_out(&r, &a, 1, seq);
    net_flush(r.net);
    return rc;
}

static bool whole(const uint8_t *f, size_t len)
{
    uint8_t copy[256];
    memcpy(copy, f, len);
    frame6_fix(copy, len);
    return memcmp(copy, f, len) == 0 && f[21] == 255 && base_be16(f + 18) == len - 54;
}

/* A solicitation of ours for the address; multicast, or to mac when that is given. */
static bool is_solicitation(const uint8_t *f, const char *target, const uint8_t *mac)
{
    struct net_addr t = rig_addr6(target);
    uint8_t group[16], group_mac[6];

    frame6_solicited_node(group, t.b);
    frame6_group_mac(group_mac, group);
    return base_be16(f + 12) == 0x86dd && f[54] == SOLICITATION && whole(f, 86) &&
           memcmp(f, mac != NULL ? mac : group_mac, 6) == 0 &&
           memcmp(f + 38, mac != NULL ? t.b : group, 16) == 0 && memcmp(f + 62, t.b, 16) == 0 &&
           f[78] == 1 && f[79] == 1 && memcmp(f + 80, rig_peer6.dst_mac, 6) == 0;
}

/* The peer with the last byte given advertises itself. */
static void advertise(uint8_t last, uint8_t mac, uint8_t flags, bool option)
{
    struct frame6_ends e = rig_peer6;
    e.src[15] = last;
    e.src_mac[5] = mac;
    size_t len = frame6_nd(frame, &e, ADVERTISEMENT, flags, e.src, option ? 2 : 0);
    assert_int_equal(rig_in(&r, frame, len, 0, &segment), 0);
}

/* ---- answers ---- */

static void solicitations_are_answered(void **state)
{
    (void)state;
    struct frame6_ends group = rig_peer6;

    start(0);
    frame6_solicited_node(group.dst, rig_peer6.dst);
    frame6_group_mac(group.dst_mac, group.dst);
    for (size_t split = 0; split < 80; split += 13) {
        for (int unicast = 0; unicast < 2; unicast++) {
            size_t len = frame6_nd(frame, unicast ? &rig_peer6 : &group, SOLICITATION, 0,
                                   rig_peer6.dst, unicast ? 0 : 1);
            assert_int_equal(rig_in(&r, frame, len, split, &segment), 0);
            const uint8_t *f = rig_last(&r);
            assert_int_equal(r.sent_len[r.sent_cnt - 1], 86);
            assert_memory_equal(f, rig_peer6.src_mac, 6);
            assert_memory_equal(f + 22, rig_peer6.dst, 16);
            assert_memory_equal(f + 38, rig_peer6.src, 16);
            assert_int_equal(f[54], ADVERTISEMENT);
            assert_int_equal(f[58], SOLICITED | OVERRIDE);
            assert_memory_equal(f + 62, rig_peer6.dst, 16);
            assert_int_equal(f[78], 2);
            assert_memory_equal(f + 80, rig_peer6.dst_mac, 6);
            assert_true(whole(f, 86));
        }
    }
    assert_int_equal(state_of("fd00:1::2"), NET_NEIGHBOR_STALE);

    /* One that tests whether the address is free hears no by all nodes, and is not learned. */
    memset(group.src, 0, 16);
    rig_in(&r, frame, frame6_nd(frame, &group, SOLICITATION, 0, rig_peer6.dst, 0), 0, &segment);
    const uint8_t *f = rig_last(&r);
    assert_memory_equal(f, ((uint8_t[]){0x33, 0x33, 0, 0, 0, 1}), 6);
    assert_memory_equal(f + 38, net_all_nodes.b, 16);
    assert_int_equal(f[58], OVERRIDE);
    assert_true(whole(f, 86));
    assert_int_equal(rig_stat(&r, STATS_NET_NEIGHBORS), 1);
    assert_int_equal(rig_stat(&r, STATS_NET_RX_ND), 13 + 2);
    rig_close(&r);
}

static void groups_are_told(void **state)
{
    (void)state;
    uint8_t mac[NET_GROUP_MAX][6];
    static const uint8_t want[2][6] = {{0x33, 0x33, 0, 0, 0, 1}, {0x33, 0x33, 0xff, 0, 0, 1}};

    start(0);
    /* fd00:1::1 and fe80::ff:fe00:1 have one group. */
    assert_int_equal(net_groups(r.net, mac, NET_GROUP_MAX), 2);
    assert_memory_equal(mac, want, 12);
    assert_int_equal(net_groups(r.net, mac, 1), 2);
    rig_close(&r);
    memset(&r, 0, sizeof(r));
    rig_open(&r);
    assert_int_equal(net_groups(r.net, mac, NET_GROUP_MAX), 0);
    rig_close(&r);
}

/* ---- bad ones ---- */

static struct frame6_ends ends;

static size_t nd(uint8_t type, uint8_t flags, uint8_t option)
{
    const uint8_t *target = type == SOLICITATION ? rig_peer6.dst : rig_peer6.src;
    return frame6_nd(frame, &ends, type, flags, target, option);
}
static size_t hop_limit(void)
{
    size_t len = nd(SOLICITATION, 0, 1);
    frame[21] = 254;
    return len;
}
static size_t hop_limit_advertisement(void)
{
    size_t len = nd(ADVERTISEMENT, SOLICITED | OVERRIDE, 2);
    frame[21] = 64;
    return len;
}
static size_t code(void)
{
    size_t len = nd(SOLICITATION, 0, 1);
    frame[55] = 1;
    return len;
}
static size_t too_short(void)
{
    size_t len = nd(SOLICITATION, 0, 0) - 1;
    base_put_be16(frame + 18, 23);
    return len;
}
static size_t option_length_0(void)
{
    size_t len = nd(SOLICITATION, 0, 1);
    frame[79] = 0;
    return len;
}
static size_t option_beyond(void)
{
    size_t len = nd(SOLICITATION, 0, 1);
    frame[79] = 2;
    return len;
}
static size_t option_crumbs(void)
{
    size_t len = nd(SOLICITATION, 0, 1) - 2;
    base_put_be16(frame + 18, 30);
    return len;
}
static size_t option_other_length_0(void)
{
    size_t len = nd(ADVERTISEMENT, SOLICITED, 2);
    frame[78] = 14;
    frame[79] = 0;
    return len;
}
static size_t option_group_mac(void)
{
    size_t len = nd(SOLICITATION, 0, 1);
    frame[80] |= 1;
    return len;
}
static size_t option_zero_mac(void)
{
    size_t len = nd(ADVERTISEMENT, SOLICITED, 2);
    memset(frame + 80, 0, 6);
    return len;
}
static size_t target_group(void)
{
    size_t len = nd(SOLICITATION, 0, 1);
    frame[62] = 0xff;
    return len;
}
static size_t probe_with_option(void)
{
    memset(ends.src, 0, 16);
    frame6_solicited_node(ends.dst, rig_peer6.dst);
    return nd(SOLICITATION, 0, 1);
}
static size_t probe_to_all_nodes(void)
{
    memset(ends.src, 0, 16);
    memcpy(ends.dst, net_all_nodes.b, 16);
    return nd(SOLICITATION, 0, 0);
}
static size_t asker_beyond_the_link(void)
{
    ends.src[1] = 9;
    return nd(SOLICITATION, 0, 1);
}
static size_t solicited_to_a_group(void)
{
    memcpy(ends.dst, net_all_nodes.b, 16);
    return nd(ADVERTISEMENT, SOLICITED | OVERRIDE, 2);
}
static size_t target_beyond_the_link(void)
{
    size_t len = nd(ADVERTISEMENT, SOLICITED | OVERRIDE, 2);
    frame[63] = 9;
    return len;
}
static size_t advertised_by_none(void)
{
    memset(ends.src, 0, 16);
    memcpy(ends.dst, net_all_nodes.b, 16);
    size_t len = nd(ADVERTISEMENT, OVERRIDE, 2);
    return len;
}
static size_t too_long(void)
{
    size_t len = frame6_icmp(frame, &ends, SOLICITATION, 0, 1100);
    memcpy(frame + 62, rig_peer6.dst, 16);
    return len;
}
static size_t for_another(void)
{
    size_t len = nd(SOLICITATION, 0, 1);
    frame[77] = 99;
    return len;
}
static size_t unasked(void)
{
    return nd(ADVERTISEMENT, SOLICITED | OVERRIDE, 2);
}
static size_t our_address_advertised(void)
{
    size_t len = nd(ADVERTISEMENT, OVERRIDE, 2);
    memcpy(frame + 62, rig_peer6.dst, 16);
    return len;
}

static const struct {
    size_t (*make)(void);
    enum stats_id why;
} bad[] = {
    {hop_limit, STATS_NET_DROP_ND_INVALID},
    {hop_limit_advertisement, STATS_NET_DROP_ND_INVALID},
    {code, STATS_NET_DROP_ND_INVALID},
    {too_short, STATS_NET_DROP_ND_INVALID},
    {option_length_0, STATS_NET_DROP_ND_INVALID},
    {option_beyond, STATS_NET_DROP_ND_INVALID},
    {option_crumbs, STATS_NET_DROP_ND_INVALID},
    {option_other_length_0, STATS_NET_DROP_ND_INVALID},
    {option_group_mac, STATS_NET_DROP_ND_INVALID},
    {option_zero_mac, STATS_NET_DROP_ND_INVALID},
    {target_group, STATS_NET_DROP_ND_INVALID},
    {probe_with_option, STATS_NET_DROP_ND_INVALID},
    {probe_to_all_nodes, STATS_NET_DROP_ND_INVALID},
    {asker_beyond_the_link, STATS_NET_DROP_ND_INVALID},
    {solicited_to_a_group, STATS_NET_DROP_ND_INVALID},
    {target_beyond_the_link, STATS_NET_DROP_ND_INVALID},
    {advertised_by_none, STATS_NET_DROP_ND_INVALID},
    {too_long, STATS_NET_DROP_ND_INVALID},
    {for_another, STATS_NET_DROP_ND_OTHER},
    {unasked, STATS_NET_DROP_ND_OTHER},
    {our_address_advertised, STATS_NET_DROP_ND_CONFLICT},
};

static void each_bad_one_has_its_reason(void **state)
{
    (void)state;
    static const size_t splits[] = {0, 1, 60, 80};

    for (size_t i = 0; i < BASE_ARRAY_CNT(bad); i++) {
        for (size_t k = 0; k < BASE_ARRAY_CNT(splits); k++) {
            start(0);
            ends = rig_peer6;
            size_t len = bad[i].make();
            frame6_fix(frame, len);
            assert_int_equal(rig_in(&r, frame, len, splits[k], &segment), 0);
            for (int id = STATS_NET_DROP_ETHER_SHORT; id <= STATS_NET_DROP_TX_LINEAR; id++) {
                if (rig_stat(&r, id) != (id == (int)bad[i].why))
                    fail_msg("row %zu split %zu: %s is %lu", i, splits[k], stats_rows[id].name,
                             rig_stat(&r, id));
            }
            assert_int_equal(rig_stat(&r, STATS_NET_NEIGHBORS), 0);
            assert_int_equal(r.sent_cnt, bad[i].why == STATS_NET_DROP_ND_CONFLICT);
            rig_close(&r);
        }
    }
}

/* ---- the cache by it ---- */

static void walk(void **state)
{
    (void)state;

    start(0);
    assert_int_equal(out_to("fd00:1::2", 1), 0);
    assert_int_equal(state_of("fd00:1::2"), NET_NEIGHBOR_INCOMPLETE);
    assert_int_equal(r.sent_cnt, 1);
    assert_true(is_solicitation(rig_last(&r), "fd00:1::2", NULL));
    assert_memory_equal(rig_last(&r) + 22, rig_peer6.dst, 16);

    advertise(2, 2, SOLICITED, false); /* an answer without an address is of no use yet */
    assert_int_equal(state_of("fd00:1::2"), NET_NEIGHBOR_INCOMPLETE);
    advertise(2, 2, SOLICITED | OVERRIDE, true);
    assert_int_equal(state_of("fd00:1::2"), NET_NEIGHBOR_REACHABLE);
    assert_int_equal(r.sent_cnt, 2);
    assert_int_equal(base_be32(rig_last(&r) + 58), 1); /* what was held */

    pass(46 * BASE_NS_S);
    assert_int_equal(state_of("fd00:1::2"), NET_NEIGHBOR_STALE);
    assert_int_equal(out_to("fd00:1::2", 2), 0);
    assert_int_equal(state_of("fd00:1::2"), NET_NEIGHBOR_DELAY);
    pass(6 * BASE_NS_S);
    assert_int_equal(state_of("fd00:1::2"), NET_NEIGHBOR_PROBE);
    assert_true(is_solicitation(rig_last(&r), "fd00:1::2", rig_peer6.src_mac));
    advertise(2, 2, SOLICITED, false); /* as Linux answers a probe to it alone */
    assert_int_equal(state_of("fd00:1::2"), NET_NEIGHBOR_REACHABLE);

    /* Another MAC: without override only a doubt, with it taken but to be proved. */
    advertise(2, 3, 0, true);
    assert_int_equal(state_of("fd00:1::2"), NET_NEIGHBOR_STALE);
    assert_int_equal(out_to("fd00:1::2", 3), 0);
    assert_int_equal(rig_last(&r)[5], 2);
    advertise(2, 3, OVERRIDE, true);
    assert_int_equal(state_of("fd00:1::2"), NET_NEIGHBOR_STALE);
    assert_int_equal(rig_stat(&r, STATS_NET_NEIGHBOR_CHANGED), 1);
    assert_int_equal(out_to("fd00:1::2", 4), 0);
    assert_int_equal(rig_last(&r)[5], 3);

    pass(6 * BASE_NS_S);
    for (int i = 0; i < 4; i++)
        pass(BASE_NS_S + BASE_NS_MS);
    assert_int_equal(state_of("fd00:1::2"), NET_NEIGHBOR_FAILED);
    assert_int_equal(out_to("fd00:1::2", 5), -EHOSTUNREACH);
    rig_close(&r);
}

static void the_gateway_is_asked_for(void **state)
{
    (void)state;

    start(0);
    assert_int_equal(out_to("2001:db8::1", 1), 0);
    assert_true(is_solicitation(rig_last(&r), "fe80::fe", NULL));
    assert_memory_equal(rig_last(&r) + 22, rig_addr6("fe80::ff:fe00:1").b, 16);
    struct frame6_ends e = rig_peer6;
    struct net_addr gateway = rig_addr6("fe80::fe"), own = rig_addr6("fe80::ff:fe00:1");
    memcpy(e.src, gateway.b, 16);
    memcpy(e.dst, own.b, 16);
    e.src_mac[5] = 0x77;
    rig_in(&r, frame, frame6_nd(frame, &e, ADVERTISEMENT, 0x80 | SOLICITED | OVERRIDE, e.src, 2), 0,
           &segment);
    assert_int_equal(state_of("fe80::fe"), NET_NEIGHBOR_REACHABLE);
    assert_int_equal(rig_last(&r)[5], 0x77);
    assert_memory_equal(rig_last(&r) + 38, rig_addr6("2001:db8::1").b, 16);
    rig_close(&r);
}

/* Strangers fill at most their share of the table. */
static void a_flood_is_bounded(void **state)
{
    (void)state;
    struct frame6_ends e = rig_peer6;

    start(0);
    assert_int_equal(out_to("fd00:1::2", 1), 0);
    advertise(2, 2, SOLICITED | OVERRIDE, true);
    for (uint32_t i = 0; i < 3000; i++) {
        base_put_be32(e.src + 8, i + 1);
        rig_in(&r, frame, frame6_nd(frame, &e, SOLICITATION, 0, rig_peer6.dst, 1), 0, &segment);
        assert_true(rig_stat(&r, STATS_NET_NEIGHBORS) <= 1 + NET_UNCONFIRMED_MAX);
    }
    assert_int_equal(state_of("fd00:1::2"), NET_NEIGHBOR_REACHABLE);
    for (uint32_t i = 0; i < 200; i++) { /* nor do our own questions flood the link */
        struct net_addr to = rig_addr6("fd00:1::5:0");
        base_put_be16(to.b + 14, (uint16_t)i);
        rig_out(&r, &to, 1, 1);
    }
    net_flush(r.net);
    assert_int_equal(rig_stat(&r, STATS_NET_TX_ND_SOLICITATIONS), 64); /* one came before; */
    assert_int_equal(rig_stat(&r, STATS_NET_ND_LIMITED), 200 - 63);    /* a burst is 64 */
    rig_close(&r);
}

/* ---- groups ---- */

/* One report in at most ten seconds, whatever is asked and how often. */
static void queries_are_answered(void **state)
{
    (void)state;
    struct frame6_ends e = rig_peer6;
    struct net_addr router = rig_addr6("fe80::fe"), own = rig_addr6("fe80::ff:fe00:1");

    start(0);
    memcpy(e.src, router.b, 16);
    memcpy(e.dst, net_all_nodes.b, 16);
    frame6_group_mac(e.dst_mac, e.dst);
    for (int i = 0; i < 20; i++) {
        size_t len = frame6_icmp(frame, &e, 130, 0, 20);
        base_put_be16(frame + FRAME6_AT + 4, i % 2 ? 65535 : 10000);
        frame[21] = 1;
        frame6_fix(frame, len);
        len = frame6_extend(frame, len, 0, (uint8_t[]){0, 0, 5, 2, 0, 0, 1, 0}, 8);
        assert_int_equal(rig_in(&r, frame, len, 0, &segment), 0);
    }
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_MLD), 0);
    assert_int_equal(r.sent_cnt, 0);
    pass(10 * BASE_NS_S + BASE_NS_MS);
    assert_int_equal(r.sent_cnt, 1);
    const uint8_t *f = rig_last(&r);
    assert_int_equal(r.sent_len[0], 62 + 8 + 20); /* both addresses have one group */
    assert_memory_equal(f, ((uint8_t[]){0x33, 0x33, 0, 0, 0, 0x16}), 6);
    assert_int_equal(f[20], 0); /* hop-by-hop: a router alert */
    assert_int_equal(f[21], 1);
    assert_memory_equal(f + 22, own.b, 16);
    assert_memory_equal(f + 54, ((uint8_t[]){58, 0, 5, 2, 0, 0, 1, 0}), 8);
    assert_int_equal(f[62], 143);
    assert_int_equal(base_be16(f + 68), 1);
    assert_int_equal(f[70], 2);
    assert_memory_equal(f + 74, rig_addr6("ff02::1:ff00:1").b, 16);
    uint8_t copy[256];
    memcpy(copy, f, r.sent_len[0]);
    frame6_fix(copy, r.sent_len[0]);
    assert_memory_equal(copy, f, r.sent_len[0]);
    rig_close(&r);
}

/* ---- our own addresses ---- */

static bool is_probe(const uint8_t *f, const struct net_addr *target)
{
    static const uint8_t zero[16];
    uint8_t group[16], mac[6];

    frame6_solicited_node(group, target->b);
    frame6_group_mac(mac, group);
    return f[54] == SOLICITATION && whole(f, 78) && memcmp(f + 22, zero, 16) == 0 &&
           memcmp(f, mac, 6) == 0 && memcmp(f + 38, group, 16) == 0 &&
           memcmp(f + 62, target->b, 16) == 0;
}

static void addresses_are_proved_first(void **state)
{
    (void)state;
    struct net_addr own = rig_addr6("fd00:1::1"), local = rig_addr6("fe80::ff:fe00:1"), src;
    struct net_addr peer = rig_addr6("fd00:1::2");

    start(2);
    assert_false(net_is_settled(r.net));
    net_announce(r.net, r.now_ns);
    net_flush(r.net);
    assert_int_equal(r.sent_cnt, 2); /* ARP, and a report of the groups */
    assert_int_equal(rig_stat(&r, STATS_NET_TX_MLD_REPORTS), 1);
    pass(BASE_NS_S);
    assert_int_equal(r.sent_cnt, 4);
    assert_int_equal(r.sent_len[2], 78);
    assert_true(is_probe(r.sent[2], &own));
    assert_true(is_probe(r.sent[3], &local));

    /* Until then it is neither source nor destination, and not advertised. */
    assert_int_equal(net_source(r.net, &peer, &src), -EHOSTUNREACH);
    size_t len = frame6_tcp(frame, &rig_peer6, 1000, 25, 5);
    assert_int_equal(rig_in(&r, frame, len, 0, &segment), 0);
    struct frame6_ends e = rig_peer6;
    frame6_solicited_node(e.dst, own.b);
    rig_in(&r, frame, frame6_nd(frame, &e, SOLICITATION, 0, own.b, 1), 0, &segment);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_IP_TENTATIVE), 2);
    assert_int_equal(r.sent_cnt, 4);

    pass(BASE_NS_S); /* the second questions, and the second announcement by ARP */
    assert_int_equal(rig_stat(&r, STATS_NET_TX_ND_SOLICITATIONS), 4);
    assert_false(net_is_settled(r.net));
    pass(BASE_NS_S);
    assert_true(net_is_settled(r.net));
    assert_int_equal(rig_stat(&r, STATS_NET_TX_ND_ADVERTISEMENTS), 2);
    assert_int_equal(net_source(r.net, &peer, &src), 0);
    len = frame6_tcp(frame, &rig_peer6, 1000, 25, 5);
    assert_int_equal(rig_in(&r, frame, len, 0, &segment), 1);
    rte_pktmbuf_free(segment.mbuf);
    rig_close(&r);
}

/* Another has the address, or asks for it at the same time. */
static void duplicates_are_not_used(void **state)
{
    (void)state;
    struct net_addr own = rig_addr6("fd00:1::1"), src, peer = rig_addr6("fd00:1::2");
    struct net_addr local_peer = rig_addr6("fe80::2");

    for (int by_probe = 0; by_probe < 2; by_probe++) {
        start(1);
        net_announce(r.net, r.now_ns);
        pass(BASE_NS_S);
        struct frame6_ends e = rig_peer6;
        if (by_probe) {
            memset(e.src, 0, 16);
            frame6_solicited_node(e.dst, own.b);
        } else {
            memcpy(e.src, own.b, 16);
            memcpy(e.dst, net_all_nodes.b, 16);
        }
        size_t len = by_probe ? frame6_nd(frame, &e, SOLICITATION, 0, own.b, 0)
                              : frame6_nd(frame, &e, ADVERTISEMENT, OVERRIDE, own.b, 2);
        rig_in(&r, frame, len, 0, &segment);
        assert_int_equal(rig_stat(&r, STATS_NET_DAD_CONFLICTS), 1);
        assert_int_equal(rig_stat(&r, STATS_NET_DROP_ND_CONFLICT), 1);
        pass(BASE_NS_S + BASE_NS_MS);
        assert_true(net_is_settled(r.net));
        assert_int_equal(net_source(r.net, &peer, &src), -EHOSTUNREACH);
        assert_int_equal(net_source(r.net, &local_peer, &src), 0); /* that one is good */
        assert_int_equal(rig_stat(&r, STATS_NET_TX_ND_ADVERTISEMENTS), 1);
        uint32_t before = r.sent_cnt;
        rig_in(&r, frame, len, 0, &segment);
        len = frame6_tcp(frame, &rig_peer6, 1000, 25, 5);
        assert_int_equal(rig_in(&r, frame, len, 0, &segment), 0);
        assert_int_equal(r.sent_cnt, before);
        assert_int_equal(rig_stat(&r, STATS_NET_DROP_IP_OTHER), 1);
        assert_int_equal(rig_stat(&r, STATS_NET_DAD_CONFLICTS), 1);
        /* It is another host's now, who may talk with us as any other. */
        struct net_addr local = rig_addr6("fe80::ff:fe00:1");
        e = rig_peer6;
        memcpy(e.src, own.b, 16);
        memcpy(e.dst, local.b, 16);
        assert_int_equal(rig_in(&r, frame, frame6_tcp(frame, &e, 1000, 25, 5), 0, &segment), 1);
        rte_pktmbuf_free(segment.mbuf);
        rig_close(&r);
    }
}

/* A lane that does not speak for the port waits, hears, and asks nothing. */
static void other_lanes_are_told(void **state)
{
    (void)state;
    struct net_addr own = rig_addr6("fd00:1::1"), src, peer = rig_addr6("fd00:1::2");
    static const uint8_t untold[6];

    start(1);
    pass(BASE_NS_S + BASE_NS_MS);
    assert_false(net_is_settled(r.net));
    pass(BASE_NS_S + BASE_NS_MS);
    assert_true(net_is_settled(r.net));
    assert_int_equal(r.sent_cnt, 0);
    assert_int_equal(out_to("fd00:1::2", 1), 0);
    net_hear(r.net, &peer, untold, true, r.now_ns);
    assert_int_equal(state_of("fd00:1::2"), NET_NEIGHBOR_INCOMPLETE);
    net_hear(r.net, &peer, rig_peer6.src_mac, true, r.now_ns);
    assert_int_equal(state_of("fd00:1::2"), NET_NEIGHBOR_REACHABLE);
    net_hear(r.net, &own, rig_peer6.src_mac, false, r.now_ns); /* too late to give it up */
    assert_int_equal(rig_stat(&r, STATS_NET_DAD_CONFLICTS), 0);
    rig_close(&r);

    start(1);
    net_hear(r.net, &own, rig_peer6.src_mac, false, r.now_ns);
    assert_int_equal(rig_stat(&r, STATS_NET_DAD_CONFLICTS), 1);
    pass(2 * BASE_NS_S + BASE_NS_MS);
    pass(2 * BASE_NS_S + BASE_NS_MS);
    assert_int_equal(net_source(r.net, &peer, &src), -EHOSTUNREACH);
    rig_close(&r);
}

static void a_valid_address_is_defended(void **state)
{
    (void)state;

    start(0);
    for (int i = 0; i < 50; i++) {
        frame6_nd(frame, &rig_peer6, ADVERTISEMENT, OVERRIDE, rig_peer6.dst, 2);
        rig_in(&r, frame, 86, 0, &segment);
    }
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_ND_CONFLICT), 50);
    assert_int_equal(r.sent_cnt, 1); /* not a war */
    assert_int_equal(rig_last(&r)[54], ADVERTISEMENT);
    rig_close(&r);
}

int main(void)
{
    dpdk_eal_init();
    rig_pool = dpdk_pool("rig", 2048, 0);
    rig_ctrl_pool = dpdk_pool("ctrl", 1024, 0);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(solicitations_are_answered),  cmocka_unit_test(groups_are_told),
        cmocka_unit_test(each_bad_one_has_its_reason), cmocka_unit_test(walk),
        cmocka_unit_test(the_gateway_is_asked_for),    cmocka_unit_test(a_flood_is_bounded),
        cmocka_unit_test(queries_are_answered),        cmocka_unit_test(addresses_are_proved_first),
        cmocka_unit_test(duplicates_are_not_used),     cmocka_unit_test(other_lanes_are_told),
        cmocka_unit_test(a_valid_address_is_defended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
