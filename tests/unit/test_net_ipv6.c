/* IPv6 in and out; neighbor discovery has a test of its own. */
#include "net_rig.h"

#include "net_checksum.h"

#include <errno.h>

static struct rig r;

static void start(void)
{
    memset(&r, 0, sizeof(r));
    r.v6 = true;
    rig_open(&r);
}

/* ---- every reason to drop ---- */

static const uint8_t pad[264] = {[2] = 1, [3] = 4}; /* an options header of 8 bytes: PadN */

static void ip_short(uint8_t *f, size_t *len)
{
    (void)f;
    *len = 53;
}
static void ip_version(uint8_t *f, size_t *len)
{
    (void)len;
    f[14] = 0x40;
}
static void ip_truncated(uint8_t *f, size_t *len)
{
    (void)f;
    *len -= 1;
}
static void set_source(uint8_t *f, size_t len, const char *text)
{
    struct net_addr a = rig_addr6(text);
    memcpy(f + 22, a.b, 16);
    frame6_fix(f, len);
}
static void source_none(uint8_t *f, size_t *len)
{
    set_source(f, *len, "::");
}
static void source_loopback(uint8_t *f, size_t *len)
{
    set_source(f, *len, "::1");
}
static void source_multicast(uint8_t *f, size_t *len)
{
    set_source(f, *len, "ff02::1");
}
static void source_mapped(uint8_t *f, size_t *len)
{
    set_source(f, *len, "::ffff:10.1.0.2");
}
static void source_ours(uint8_t *f, size_t *len)
{
    set_source(f, *len, "fd00:1::1");
}
static void source_link_local_ours(uint8_t *f, size_t *len)
{
    set_source(f, *len, "fe80::ff:fe00:1");
}
static void set_target(uint8_t *f, size_t len, const char *text)
{
    struct net_addr a = rig_addr6(text);
    memcpy(f + 38, a.b, 16);
    frame6_fix(f, len);
}
static void target_other(uint8_t *f, size_t *len)
{
    set_target(f, *len, "fd00:1::9");
}
static void target_mapped(uint8_t *f, size_t *len)
{
    set_target(f, *len, "::ffff:10.1.0.1"); /* our IPv4 address */
}
static void target_other_group(uint8_t *f, size_t *len)
{
    set_target(f, *len, "ff02::2");
}
static void target_all_nodes(uint8_t *f, size_t *len)
{
    set_target(f, *len, "ff02::1");
}
static void multicast_frame(uint8_t *f, size_t *len)
{
    (void)len;
    memcpy(f, (uint8_t[]){0x33, 0x33, 0xff, 0, 0, 1}, 6);
}
static void fragment(uint8_t *f, size_t *len)
{
    *len = frame6_extend(f, *len, 44, pad, 8);
}
static void fragment_behind_options(uint8_t *f, size_t *len)
{
    fragment(f, len);
    *len = frame6_extend(f, *len, 60, pad, 8);
}
static void routing(uint8_t *f, size_t *len)
{
    *len = frame6_extend(f, *len, 43, pad, 24);
}
static void hop_by_hop_second(uint8_t *f, size_t *len)
{
    *len = frame6_extend(f, *len, 0, pad, 8);
    *len = frame6_extend(f, *len, 60, pad, 8);
}
static void extensions_too_long(uint8_t *f, size_t *len)
{
    uint8_t ext[264];
    memset(ext, 0, sizeof(ext));
    *len = frame6_extend(f, *len, 60, ext, 264);
}
static void extension_beyond_end(uint8_t *f, size_t *len)
{
    *len = frame6_extend(f, *len, 60, pad, 8);
    f[55] = 20;
}
static void extension_cut(uint8_t *f, size_t *len)
{
    f[20] = 60;
    base_put_be16(f + 18, 7);
    *len = 61;
}
static void option_unknown(uint8_t *f, size_t *len)
{
    *len = frame6_extend(f, *len, 60, (uint8_t[]){0, 0, 0x45, 4, 0, 0, 0, 0}, 8);
}
static void option_jumbo(uint8_t *f, size_t *len)
{
    *len = frame6_extend(f, *len, 0, (uint8_t[]){0, 0, 0xc2, 4, 0, 1, 0, 0}, 8);
}
static void option_beyond_header(uint8_t *f, size_t *len)
{
    *len = frame6_extend(f, *len, 60, (uint8_t[]){0, 0, 1, 5, 0, 0, 0, 0}, 8);
}
static void option_without_length(uint8_t *f, size_t *len)
{
    *len = frame6_extend(f, *len, 60, (uint8_t[]){0, 0, 1, 3, 0, 0, 0, 5}, 8);
}
static void protocol_udp(uint8_t *f, size_t *len)
{
    (void)len;
    f[20] = 17;
}
static void protocol_none(uint8_t *f, size_t *len)
{
    (void)len;
    f[20] = 59;
}
static void protocol_icmp_v4(uint8_t *f, size_t *len)
{
    (void)len;
    f[20] = 1;
}
static void tcp_short(uint8_t *f, size_t *len)
{
    (void)len;
    base_put_be16(f + 18, 19);
}
static void tcp_checksum(uint8_t *f, size_t *len)
{
    f[*len - 1] ^= 0x40;
}
static void icmp_short(uint8_t *f, size_t *len)
{
    *len = frame6_icmp(f, &rig_peer6, 128, 0, 0);
    base_put_be16(f + 18, 7);
}
static void icmp_checksum(uint8_t *f, size_t *len)
{
    *len = frame6_icmp(f, &rig_peer6, 128, 0, 10);
    f[65] ^= 1;
}
static void icmp_unreachable(uint8_t *f, size_t *len)
{
    *len = frame6_icmp(f, &rig_peer6, 1, 0, 60);
}
static void icmp_error_unknown(uint8_t *f, size_t *len)
{
    *len = frame6_icmp(f, &rig_peer6, 100, 0, 60);
}
static void icmp_reply(uint8_t *f, size_t *len)
{
    *len = frame6_icmp(f, &rig_peer6, 129, 0, 12);
}
static void icmp_code(uint8_t *f, size_t *len)
{
    *len = frame6_icmp(f, &rig_peer6, 128, 1, 12);
}
static void icmp_echo_to_group(uint8_t *f, size_t *len)
{
    *len = frame6_icmp(f, &rig_peer6, 128, 0, 12);
    target_all_nodes(f, len);
}
static void icmp_echo_from_none(uint8_t *f, size_t *len)
{
    icmp_echo_to_group(f, len);
    set_source(f, *len, "::");
}
static void mld_query(uint8_t *f, size_t *len)
{
    *len = frame6_icmp(f, &rig_peer6, 130, 0, 16);
    target_all_nodes(f, len);
    *len = frame6_extend(f, *len, 0, (uint8_t[]){0, 0, 5, 2, 0, 0, 1, 0}, 8);
}
static void router_advertisement(uint8_t *f, size_t *len)
{
    *len = frame6_icmp(f, &rig_peer6, 134, 0, 8);
    target_all_nodes(f, len);
}
static void redirect(uint8_t *f, size_t *len)
{
    *len = frame6_icmp(f, &rig_peer6, 137, 0, 32);
}
static void too_big_foreign(uint8_t *f, size_t *len)
{
    *len = frame6_icmp(f, &rig_peer6, 2, 0, 60); /* what it quotes is not IPv6 */
}

static const struct {
    void (*spoil)(uint8_t *frame, size_t *len);
    enum stats_id why;
} drops[] = {
    {ip_short, STATS_NET_DROP_IP_SHORT},
    {ip_version, STATS_NET_DROP_IP_VERSION},
    {ip_truncated, STATS_NET_DROP_IP_LENGTH},
    {source_none, STATS_NET_DROP_IP_MARTIAN},
    {source_loopback, STATS_NET_DROP_IP_MARTIAN},
    {source_multicast, STATS_NET_DROP_IP_MARTIAN},
    {source_mapped, STATS_NET_DROP_IP_MARTIAN},
    {source_ours, STATS_NET_DROP_IP_LAND},
    {source_link_local_ours, STATS_NET_DROP_IP_LAND},
    {target_other, STATS_NET_DROP_IP_OTHER},
    {target_mapped, STATS_NET_DROP_IP_OTHER},
    {target_other_group, STATS_NET_DROP_IP_OTHER},
    {target_all_nodes, STATS_NET_DROP_IP_BROADCAST},
    {multicast_frame, STATS_NET_DROP_IP_BROADCAST},
    {fragment, STATS_NET_DROP_IP_FRAGMENT},
    {fragment_behind_options, STATS_NET_DROP_IP_FRAGMENT},
    {routing, STATS_NET_DROP_IP_ROUTING},
    {hop_by_hop_second, STATS_NET_DROP_IP_EXTENSION},
    {extensions_too_long, STATS_NET_DROP_IP_EXTENSION},
    {extension_beyond_end, STATS_NET_DROP_IP_EXTENSION},
    {extension_cut, STATS_NET_DROP_IP_EXTENSION},
    {option_unknown, STATS_NET_DROP_IP_OPTION},
    {option_jumbo, STATS_NET_DROP_IP_OPTION},
    {option_beyond_header, STATS_NET_DROP_IP_OPTION},
    {option_without_length, STATS_NET_DROP_IP_OPTION},
    {protocol_udp, STATS_NET_DROP_IP_PROTOCOL},
    {protocol_none, STATS_NET_DROP_IP_PROTOCOL},
    {protocol_icmp_v4, STATS_NET_DROP_IP_PROTOCOL},
    {tcp_short, STATS_NET_DROP_TCP_SHORT},
    {tcp_checksum, STATS_NET_DROP_TCP_CHECKSUM},
    {icmp_short, STATS_NET_DROP_ICMP_SHORT},
    {icmp_checksum, STATS_NET_DROP_ICMP_CHECKSUM},
    {icmp_unreachable, STATS_NET_DROP_ICMP_QUOTED},
    {icmp_error_unknown, STATS_NET_DROP_ICMP_ERROR},
    {icmp_reply, STATS_NET_DROP_ICMP_TYPE},
    {icmp_code, STATS_NET_DROP_ICMP_TYPE},
    {icmp_echo_to_group, STATS_NET_DROP_IP_BROADCAST},
    {icmp_echo_from_none, STATS_NET_DROP_IP_MARTIAN},
    {mld_query, STATS_NET_DROP_MLD},
    {router_advertisement, STATS_NET_DROP_ND_ROUTER},
    {redirect, STATS_NET_DROP_ND_ROUTER},
    {too_big_foreign, STATS_NET_DROP_ICMP_QUOTED},
};

static void each_drop_has_its_reason(void **state)
{
    (void)state;
    static const size_t splits[] = {0, 1, 5, 14, 53, 60, 90};

    for (size_t i = 0; i < BASE_ARRAY_CNT(drops); i++) {
        for (size_t k = 0; k < BASE_ARRAY_CNT(splits); k++) {
            uint8_t frame[512];
            struct net_segment s;
            start();
            size_t len = frame6_tcp(frame, &rig_peer6, 1000, 25, 30);
            drops[i].spoil(frame, &len);
            assert_int_equal(rig_in(&r, frame, len, splits[k], &s), 0);
            for (int id = STATS_NET_DROP_ETHER_SHORT; id <= STATS_NET_DROP_TX_LINEAR; id++) {
                if (rig_stat(&r, id) != (id == (int)drops[i].why))
                    fail_msg("row %zu split %zu: %s is %lu", i, splits[k], stats_rows[id].name,
                             rig_stat(&r, id));
            }
            assert_int_equal(r.sent_cnt, 0);
            rig_close(&r);
        }
    }
}

static void without_an_address_it_is_not_spoken(void **state)
{
    (void)state;
    uint8_t frame[128];
    struct net_segment s;

    memset(&r, 0, sizeof(r));
    rig_open(&r);
    size_t len = frame6_tcp(frame, &rig_peer6, 1000, 25, 10);
    assert_int_equal(rig_in(&r, frame, len, 0, &s), 0);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_IPV6), 1);
    struct net_addr peer = rig_addr6("fd00:1::2"), src;
    assert_int_equal(net_source(r.net, &peer, &src), -EHOSTUNREACH);
    assert_int_equal(rig_out(&r, &peer, 1, 1), -EHOSTUNREACH);
    rig_close(&r);
}

/* ---- what passes ---- */

static void segments_pass_whole(void **state)
{
    (void)state;
    static const size_t payloads[] = {0, 1, 5, 100, 1440};
    static const size_t splits[] = {0, 3, 14, 54, 74, 100};

    start();
    for (size_t i = 0; i < BASE_ARRAY_CNT(payloads); i++) {
        for (size_t k = 0; k < BASE_ARRAY_CNT(splits); k++) {
            for (size_t padding = 0; padding < 80; padding += 39) {
                uint8_t frame[1700], got[1600];
                struct net_segment s;
                size_t len = frame6_tcp(frame, &rig_peer6, 1000, 25, payloads[i]);
                frame[15] = 0x2f; /* ECT(0), and a flow label */
                memset(frame + len, 0xee, padding);
                assert_int_equal(rig_in(&r, frame, len + padding, splits[k], &s), 1);
                assert_int_equal(s.mbuf->pkt_len, 20 + payloads[i]);
                assert_true(s.mbuf->data_len >= 20);
                assert_int_equal(s.ecn, 2);
                assert_int_equal(s.protocol, NET_PROTO_TCP);
                assert_memory_equal(s.src.b, rig_peer6.src, 16);
                assert_memory_equal(s.dst.b, rig_peer6.dst, 16);
                const void *p = rte_pktmbuf_read(s.mbuf, 0, s.mbuf->pkt_len, got);
                assert_non_null(p);
                assert_memory_equal(p, frame + FRAME6_AT, 20 + payloads[i]);
                rte_pktmbuf_free(s.mbuf);
            }
        }
    }
    rig_close(&r);
}

static void options_headers_are_skipped(void **state)
{
    (void)state;
    uint8_t frame[512], options[256] = {[2] = 0x1e, [3] = 100, [104] = 1, [105] = 150};
    struct net_segment s;

    start();
    for (size_t split = 0; split < 100; split += 7) {
        size_t len = frame6_tcp(frame, &rig_peer6, 1000, 25, 10);
        len = frame6_extend(frame, len, 60, pad, 8);
        len = frame6_extend(frame, len, 60, pad, 16);
        len = frame6_extend(frame, len, 0, (uint8_t[]){0, 0, 5, 2, 0, 0, 0, 0}, 8);
        assert_int_equal(rig_in(&r, frame, len, split, &s), 1);
        assert_int_equal(s.mbuf->pkt_len, 30);
        assert_memory_equal(rte_pktmbuf_mtod(s.mbuf, void *), frame + len - 30, 20);
        rte_pktmbuf_free(s.mbuf);
    }
    /* As much as there may be. */
    size_t len = frame6_tcp(frame, &rig_peer6, 1000, 25, 10);
    len = frame6_extend(frame, len, 60, options, 256);
    assert_int_equal(rig_in(&r, frame, len, 0, &s), 1);
    rte_pktmbuf_free(s.mbuf);
    rig_close(&r);
}

static void a_ports_word_counts(void **state)
{
    (void)state;
    static const struct {
        bool caps;
        uint64_t flags;
        bool pass;
    } rows[] = {
        {false, RTE_MBUF_F_RX_L4_CKSUM_GOOD, false},   {true, RTE_MBUF_F_RX_L4_CKSUM_GOOD, true},
        {true, RTE_MBUF_F_RX_L4_CKSUM_NONE, true},     {true, RTE_MBUF_F_RX_L4_CKSUM_BAD, false},
        {true, RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN, false},
    };

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        uint8_t frame[128];
        struct net_segment s;
        start();
        r.port.caps.rx_tcp_checksum = rows[i].caps;
        size_t len = frame6_tcp(frame, &rig_peer6, 1000, 25, 10);
        frame[len - 1] ^= 1;
        struct rte_mbuf *m = frame_mbuf(rig_pool, frame, len, 0);
        m->ol_flags |= rows[i].flags;
        assert_int_equal(net_input(r.net, &m, 1, &s, r.now_ns), rows[i].pass);
        if (rows[i].pass)
            rte_pktmbuf_free(s.mbuf);
        rig_close(&r);
    }
}

/* ---- echo ---- */

static bool checksum_good(const uint8_t *frame, size_t len)
{
    uint8_t copy[1700];
    memcpy(copy, frame, len);
    frame6_fix(copy, len);
    return memcmp(copy, frame, len) == 0;
}

static void echo_comes_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 56, 57, 1452};

    start();
    for (size_t i = 0; i < BASE_ARRAY_CNT(sizes); i++) {
        for (size_t split = 0; split < 200; split += 37) {
            uint8_t frame[1700];
            struct net_segment s;
            r.port.caps.tx_multi_segs = split % 2 == 0;
            r.now_ns += BASE_NS_S;
            size_t plain = frame6_icmp(frame, &rig_peer6, 128, 0, sizes[i]), len = plain;
            if (split == 74 && sizes[i] < 1000)
                len = frame6_extend(frame, plain, 60, pad, 8);
            assert_int_equal(rig_in(&r, frame, len, split, &s), 0);
            const uint8_t *reply = rig_last(&r);
            assert_int_equal(r.sent_len[(r.sent_cnt - 1) % RIG_SENT_MAX], plain);
            assert_memory_equal(reply, frame + 6, 6);
            assert_memory_equal(reply + 6, frame, 6);
            assert_int_equal(base_be16(reply + 12), 0x86dd);
            assert_memory_equal(reply + 22, frame + 38, 16);
            assert_memory_equal(reply + 38, frame + 22, 16);
            assert_int_equal(reply[54], 129);
            assert_memory_equal(reply + 58, frame + len - sizes[i] - 4, 4 + sizes[i]);
            assert_true(checksum_good(reply, plain));
        }
    }
    assert_int_equal(rig_stat(&r, STATS_NET_TX_ECHO), r.sent_cnt);
    rig_close(&r);
}

static void echo_is_limited(void **state)
{
    (void)state;
    uint8_t frame[128];
    struct net_segment s;

    start();
    size_t len = frame6_icmp(frame, &rig_peer6, 128, 0, 10);
    for (int i = 0; i < 200; i++)
        rig_in(&r, frame, len, 0, &s);
    assert_int_equal(r.sent_cnt, 100);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_ICMP_LIMITED), 100);
    rig_close(&r);
}

/* ---- output ---- */

/* The peer asks where we are, and so tells where it is. */
static void meet(void)
{
    uint8_t frame[128];
    struct net_segment s;
    rig_in(&r, frame, frame6_nd(frame, &rig_peer6, 135, 0, rig_peer6.dst, 1), 0, &s);
    assert_int_equal(rig_stat(&r, STATS_NET_TX_ND_ADVERTISEMENTS), 1);
}

static void output_is_whole(void **state)
{
    (void)state;
    struct net_addr peer = rig_addr6("fd00:1::2");

    for (int offload = 0; offload < 2; offload++) {
        memset(&r, 0, sizeof(r));
        r.v6 = true;
        r.port.caps.tx_ip_checksum = r.port.caps.tx_tcp_checksum = offload;
        rig_open(&r);
        meet();
        for (uint16_t payload = 0; payload <= 1440; payload = (uint16_t)(payload + 360)) {
            assert_int_equal(rig_out(&r, &peer, payload, 7), 0);
            net_flush(r.net);
            const uint8_t *f = rig_last(&r);
            uint32_t last = (r.sent_cnt - 1) % RIG_SENT_MAX;
            assert_int_equal(r.sent_len[last], 74 + payload);
            assert_memory_equal(f, rig_peer6.src_mac, 6);
            assert_memory_equal(f + 6, rig_peer6.dst_mac, 6);
            assert_int_equal(base_be16(f + 12), 0x86dd);
            assert_int_equal(base_be32(f + 14), 0x60000000);
            assert_int_equal(base_be16(f + 18), 20 + payload);
            assert_int_equal(f[20], 6);
            assert_int_equal(f[21], 64);
            uint64_t want = RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_TCP_CKSUM;
            assert_int_equal(r.sent_flags[last] & RTE_MBUF_F_TX_OFFLOAD_MASK, offload ? want : 0);
            if (!offload) {
                assert_true(checksum_good(f, 74u + payload));
                continue;
            }
            /* The pseudo-header's sum is in the field, for the port to add the rest. */
            struct net_addr src = rig_addr6("fd00:1::1");
            uint32_t sum = net_checksum_pseudo(&src, &peer, 6, 20u + payload);
            assert_int_equal(base_le16(f + 70), (uint16_t)~net_checksum_fold(sum));
        }
        assert_int_equal(rig_out(&r, &peer, 1441, 7), -ENOBUFS);
        assert_int_equal(rig_stat(&r, STATS_NET_DROP_TX_GIANT), 1);
        assert_int_equal(net_segment_max(r.net, &peer), 1460);
        rig_close(&r);
    }
}

static void ecn_goes_out(void **state)
{
    (void)state;
    struct net_addr peer = rig_addr6("fd00:1::2"), src = rig_addr6("fd00:1::1");

    start();
    meet();
    struct rte_mbuf *m = rte_pktmbuf_alloc(rig_pool);
    memset(rte_pktmbuf_append(m, 20), 0, 20);
    assert_int_equal(net_output(r.net, m, &src, &peer, NET_PROTO_TCP, 2, r.now_ns), 0);
    net_flush(r.net);
    assert_int_equal(base_be32(rig_last(&r) + 14), 0x60200000);
    m = rte_pktmbuf_alloc(rig_pool);
    memset(rte_pktmbuf_append(m, 20), 0, 20);
    src = rig_addr(10, 1, 0, 1); /* not of one family */
    assert_int_equal(net_output(r.net, m, &src, &peer, NET_PROTO_TCP, 2, r.now_ns), -EHOSTUNREACH);
    rig_close(&r);
}

static void routes(void **state)
{
    (void)state;
    struct net_addr src, to;
    static const char *const none[] = {
        "fd00:1::1", "::1", "::", "ff02::1", "ff0e::5", "::1.2.3.4", "fe80::ff:fe00:1"};
    static const struct {
        const char *to, *src, *hop;
    } rows[] = {
        {"fd00:1::77", "fd00:1::1", "fd00:1::77"},
        {"2001:db8::1", "fd00:1::1", "fe80::fe"},
        {"fe80::5", "fe80::ff:fe00:1", "fe80::5"},
        {"fd00:2::1", "fd00:1::1", "fe80::fe"},
    };

    start();
    for (size_t i = 0; i < BASE_ARRAY_CNT(none); i++) {
        to = rig_addr6(none[i]);
        assert_int_equal(rig_out(&r, &to, 1, 1), -EHOSTUNREACH);
        assert_int_equal(net_source(r.net, &to, &src), -EHOSTUNREACH);
    }
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_TX_NO_ROUTE), BASE_ARRAY_CNT(none));
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct net_addr want = rig_addr6(rows[i].src), hop = rig_addr6(rows[i].hop), got;
        to = rig_addr6(rows[i].to);
        assert_int_equal(net_source(r.net, &to, &src), 0);
        assert_memory_equal(&src, &want, 16);
        assert_true(net_route(r.net, &to, &got));
        assert_memory_equal(&got, &hop, 16);
        assert_int_equal(rig_out(&r, &to, 1, 1), 0); /* waits for its neighbor */
    }
    to = rig_addr(10, 1, 0, 3); /* the other family goes on */
    assert_int_equal(net_source(r.net, &to, &src), 0);
    assert_memory_equal(src.b + 12, rig_peer.dst, 4);
    rig_close(&r);
}

static void several_addresses(void **state)
{
    (void)state;
    struct net_config c = {
        .port = &r.port,
        .ctrl_pool = rig_ctrl_pool,
        .stats = &r.stats,
        .gateway = rig_addr(10, 2, 0, 254),
        .gateway6 = rig_addr6("2001:db8:2::fe"),
        .addresses =
            {
                {rig_addr(10, 1, 0, 1), 112},
                {rig_addr6("fe80::1:1"), 64},
                {rig_addr6("2001:db8:1::1"), 64},
                {rig_addr(10, 2, 0, 1), 112},
                {rig_addr6("2001:db8:2::1"), 64},
                {rig_addr6("2001:db8:1::2"), 64},
            },
        .address_cnt = 6,
    };
    static const char *const rows[][2] = {
        {"10.1.0.9", "10.1.0.1"},           {"10.2.0.9", "10.2.0.1"},
        {"192.0.2.1", "10.2.0.1"},          {"2001:db8:1::9", "2001:db8:1::1"},
        {"2001:db8:2::9", "2001:db8:2::1"}, {"2001:db8:3::9", "2001:db8:2::1"},
        {"fe80::9", "fe80::1:1"},
    };

    start();
    net_fini(r.net);
    assert_int_equal(net_init(&r.net, &c, r.now_ns), 0);
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct net_addr to = rig_addr6(rows[i][0]), want = rig_addr6(rows[i][1]), src;
        assert_int_equal(net_source(r.net, &to, &src), 0);
        assert_memory_equal(&src, &want, 16);
    }
    for (uint32_t i = 0; i < c.address_cnt; i++) { /* each of them answers */
        uint8_t frame[128];
        struct net_segment s;
        size_t len;
        if (net_addr_is_v4(&c.addresses[i].addr)) {
            struct frame_ends e = rig_peer;
            memcpy(e.dst, c.addresses[i].addr.b + 12, 4);
            len = frame_tcp(frame, &e, 1000, 25, 3);
        } else {
            struct frame6_ends e = rig_peer6;
            memcpy(e.dst, c.addresses[i].addr.b, 16);
            len = frame6_tcp(frame, &e, 1000, 25, 3);
        }
        assert_int_equal(rig_in(&r, frame, len, 0, &s), 1);
        assert_memory_equal(&s.dst, &c.addresses[i].addr, 16);
        rte_pktmbuf_free(s.mbuf);
    }
    rig_close(&r);
}

static void bad_configurations(void **state)
{
    (void)state;
    struct net_config good = {
        .port = &r.port,
        .ctrl_pool = rig_ctrl_pool,
        .stats = &r.stats,
        .addresses = {{rig_addr6("2001:db8::1"), 64}},
        .address_cnt = 1,
    };
    static const char *const addresses[] = {"ff02::1", "::1", "::1.2.3.4", "::"};
    struct net *n;

    start();
    for (size_t i = 0; i < BASE_ARRAY_CNT(addresses); i++) {
        struct net_config c = good;
        c.addresses[0].addr = rig_addr6(addresses[i]);
        assert_int_equal(net_init(&n, &c, 1), -EINVAL);
        c = good;
        c.gateway6 = rig_addr6(addresses[i]);
        if (i < 3)
            assert_int_equal(net_init(&n, &c, 1), -EINVAL);
    }
    struct net_config c = good;
    c.gateway6 = rig_addr(10, 0, 0, 1);
    assert_int_equal(net_init(&n, &c, 1), -EINVAL);
    c = good;
    c.gateway = rig_addr6("2001:db8::fe");
    assert_int_equal(net_init(&n, &c, 1), -EINVAL);
    c = good;
    c.vlan = 4095;
    assert_int_equal(net_init(&n, &c, 1), -EINVAL);
    r.port.caps.mtu = 1279;
    assert_int_equal(net_init(&n, &good, 1), -EINVAL);
    r.port.caps.mtu = 1280;
    assert_int_equal(net_init(&n, &good, 1), 0);
    net_fini(n);
    rig_close(&r);
}

int main(void)
{
    dpdk_eal_init();
    rig_pool = dpdk_pool("rig", 2048, 0);
    rig_ctrl_pool = dpdk_pool("ctrl", 1024, 0);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_drop_has_its_reason),
        cmocka_unit_test(without_an_address_it_is_not_spoken),
        cmocka_unit_test(segments_pass_whole),
        cmocka_unit_test(options_headers_are_skipped),
        cmocka_unit_test(a_ports_word_counts),
        cmocka_unit_test(echo_comes_back),
        cmocka_unit_test(echo_is_limited),
        cmocka_unit_test(output_is_whole),
        cmocka_unit_test(ecn_goes_out),
        cmocka_unit_test(routes),
        cmocka_unit_test(several_addresses),
        cmocka_unit_test(bad_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
