/* Frames in and packets out; the neighbor cache has a test of its own. */
#include "net_rig.h"

#include "net_checksum.h"

#include <errno.h>

#include <rte_ring_elem.h>

static struct rig r;

static void start(void)
{
    memset(&r, 0, sizeof(r));
    rig_open(&r);
}

/* ---- every reason to drop ---- */

static void short_ether(uint8_t *f, size_t *len)
{
    (void)f;
    *len = 13;
}
static void source_group(uint8_t *f, size_t *len)
{
    (void)len;
    f[6] |= 1;
}
static void source_own(uint8_t *f, size_t *len)
{
    (void)len;
    memcpy(f + 6, f, 6);
}
static void foreign(uint8_t *f, size_t *len)
{
    (void)len;
    f[5] ^= 1;
}
static void type_vlan(uint8_t *f, size_t *len)
{
    (void)len;
    f[12] = 0x81;
}
static void type_ipv6(uint8_t *f, size_t *len)
{
    (void)len;
    base_put_be16(f + 12, 0x86dd);
}
static void arp_short(uint8_t *f, size_t *len)
{
    base_put_be16(f + 12, 0x0806);
    *len = 41;
}
static void arp_hardware(uint8_t *f, size_t *len)
{
    *len = frame_arp(f, &rig_peer, 1);
    f[15] = 6;
}
static void arp_op(uint8_t *f, size_t *len)
{
    *len = frame_arp(f, &rig_peer, 3);
}
static void arp_sender_group(uint8_t *f, size_t *len)
{
    *len = frame_arp(f, &rig_peer, 1);
    f[22] |= 1;
}
static void arp_sender_loopback(uint8_t *f, size_t *len)
{
    *len = frame_arp(f, &rig_peer, 1);
    f[28] = 127;
}
static void arp_other(uint8_t *f, size_t *len)
{
    *len = frame_arp(f, &rig_peer, 1);
    f[41] = 99;
}
static void arp_unasked(uint8_t *f, size_t *len)
{
    *len = frame_arp(f, &rig_peer, 2);
}
static void arp_conflict(uint8_t *f, size_t *len)
{
    *len = frame_arp(f, &rig_peer, 1);
    f[31] = 1;
}
static void ip_short(uint8_t *f, size_t *len)
{
    (void)f;
    *len = 33;
}
static void ip_version(uint8_t *f, size_t *len)
{
    (void)len;
    f[14] = 0x65;
}
static void ip_ihl_low(uint8_t *f, size_t *len)
{
    (void)len;
    f[14] = 0x44;
}
static void ip_ihl_high(uint8_t *f, size_t *len)
{
    f[14] = 0x4f;
    *len = 60;
}
static void ip_total_low(uint8_t *f, size_t *len)
{
    (void)len;
    base_put_be16(f + 16, 19);
}
static void ip_truncated(uint8_t *f, size_t *len)
{
    (void)f;
    *len -= 1;
}
static void ip_checksum(uint8_t *f, size_t *len)
{
    (void)len;
    f[25] ^= 1;
}
static void set_source(uint8_t *f, uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    memcpy(f + 26, (uint8_t[]){a, b, c, d}, 4);
    frame_fix_ip(f);
    frame_fix_tcp(f);
}
static void source_0(uint8_t *f, size_t *len)
{
    (void)len;
    set_source(f, 0, 0, 0, 0);
}
static void source_127(uint8_t *f, size_t *len)
{
    (void)len;
    set_source(f, 127, 0, 0, 1);
}
static void source_multicast(uint8_t *f, size_t *len)
{
    (void)len;
    set_source(f, 224, 0, 0, 1);
}
static void source_class_e(uint8_t *f, size_t *len)
{
    (void)len;
    set_source(f, 240, 1, 1, 1);
}
static void source_broadcast(uint8_t *f, size_t *len)
{
    (void)len;
    set_source(f, 255, 255, 255, 255);
}
static void source_subnet_broadcast(uint8_t *f, size_t *len)
{
    (void)len;
    set_source(f, 10, 1, 255, 255);
}
static void source_ours(uint8_t *f, size_t *len)
{
    (void)len;
    set_source(f, 10, 1, 0, 1);
}
static void ip_other(uint8_t *f, size_t *len)
{
    (void)len;
    f[33] = 9;
    frame_fix_ip(f);
}
static void ip_broadcast_frame(uint8_t *f, size_t *len)
{
    (void)len;
    memset(f, 0xff, 6);
}
static void fragment_first(uint8_t *f, size_t *len)
{
    (void)len;
    f[20] = 0x20;
    frame_fix_ip(f);
}
static void fragment_last(uint8_t *f, size_t *len)
{
    (void)len;
    f[21] = 1;
    frame_fix_ip(f);
}
static void protocol_udp(uint8_t *f, size_t *len)
{
    (void)len;
    f[23] = 17;
    frame_fix_ip(f);
}
static void tcp_short(uint8_t *f, size_t *len)
{
    (void)len;
    base_put_be16(f + 16, 39);
    frame_fix_ip(f);
}
static void tcp_checksum(uint8_t *f, size_t *len)
{
    f[*len - 1] ^= 0x40;
}
static void icmp_short(uint8_t *f, size_t *len)
{
    *len = frame_icmp(f, &rig_peer, 8, 0);
    base_put_be16(f + 16, 27);
    frame_fix_ip(f);
}
static void icmp_checksum(uint8_t *f, size_t *len)
{
    *len = frame_icmp(f, &rig_peer, 8, 10);
    f[45] ^= 1;
}
static void icmp_unreachable(uint8_t *f, size_t *len)
{
    *len = frame_icmp(f, &rig_peer, 3, 28);
}
static void icmp_redirect(uint8_t *f, size_t *len)
{
    *len = frame_icmp(f, &rig_peer, 5, 28);
}
static void icmp_timestamp(uint8_t *f, size_t *len)
{
    *len = frame_icmp(f, &rig_peer, 13, 12);
}
static void icmp_code(uint8_t *f, size_t *len)
{
    *len = frame_icmp(f, &rig_peer, 8, 12);
    f[35] = 1;
    frame_fix_icmp(f);
}

static const struct {
    void (*spoil)(uint8_t *frame, size_t *len);
    enum stats_id why;
} drops[] = {
    {short_ether, STATS_NET_DROP_ETHER_SHORT},
    {source_group, STATS_NET_DROP_ETHER_SOURCE},
    {source_own, STATS_NET_DROP_ETHER_SOURCE},
    {foreign, STATS_NET_DROP_ETHER_FOREIGN},
    {type_vlan, STATS_NET_DROP_VLAN},
    {type_ipv6, STATS_NET_DROP_IPV6},
    {arp_short, STATS_NET_DROP_ARP_INVALID},
    {arp_hardware, STATS_NET_DROP_ARP_INVALID},
    {arp_op, STATS_NET_DROP_ARP_INVALID},
    {arp_sender_group, STATS_NET_DROP_ARP_INVALID},
    {arp_sender_loopback, STATS_NET_DROP_ARP_INVALID},
    {arp_other, STATS_NET_DROP_ARP_OTHER},
    {arp_unasked, STATS_NET_DROP_ARP_OTHER},
    {arp_conflict, STATS_NET_DROP_ARP_CONFLICT},
    {ip_short, STATS_NET_DROP_IP_SHORT},
    {ip_version, STATS_NET_DROP_IP_VERSION},
    {ip_ihl_low, STATS_NET_DROP_IP_HEADER},
    {ip_ihl_high, STATS_NET_DROP_IP_HEADER},
    {ip_total_low, STATS_NET_DROP_IP_LENGTH},
    {ip_truncated, STATS_NET_DROP_IP_LENGTH},
    {ip_checksum, STATS_NET_DROP_IP_CHECKSUM},
    {source_0, STATS_NET_DROP_IP_MARTIAN},
    {source_127, STATS_NET_DROP_IP_MARTIAN},
    {source_multicast, STATS_NET_DROP_IP_MARTIAN},
    {source_class_e, STATS_NET_DROP_IP_MARTIAN},
    {source_broadcast, STATS_NET_DROP_IP_MARTIAN},
    {source_subnet_broadcast, STATS_NET_DROP_IP_MARTIAN},
    {source_ours, STATS_NET_DROP_IP_LAND},
    {ip_other, STATS_NET_DROP_IP_OTHER},
    {ip_broadcast_frame, STATS_NET_DROP_IP_BROADCAST},
    {fragment_first, STATS_NET_DROP_IP_FRAGMENT},
    {fragment_last, STATS_NET_DROP_IP_FRAGMENT},
    {protocol_udp, STATS_NET_DROP_IP_PROTOCOL},
    {tcp_short, STATS_NET_DROP_TCP_SHORT},
    {tcp_checksum, STATS_NET_DROP_TCP_CHECKSUM},
    {icmp_short, STATS_NET_DROP_ICMP_SHORT},
    {icmp_checksum, STATS_NET_DROP_ICMP_CHECKSUM},
    {icmp_unreachable, STATS_NET_DROP_ICMP_QUOTED},
    {icmp_redirect, STATS_NET_DROP_ICMP_ERROR},
    {icmp_timestamp, STATS_NET_DROP_ICMP_TYPE},
    {icmp_code, STATS_NET_DROP_ICMP_TYPE},
};

static void each_drop_has_its_reason(void **state)
{
    (void)state;
    static const size_t splits[] = {0, 1, 5, 14, 33, 60};

    for (size_t i = 0; i < BASE_ARRAY_CNT(drops); i++) {
        for (size_t k = 0; k < BASE_ARRAY_CNT(splits); k++) {
            uint8_t frame[256];
            struct net_segment s;
            start();
            size_t len = frame_tcp(frame, &rig_peer, 1000, 25, 30);
            drops[i].spoil(frame, &len);
            assert_int_equal(rig_in(&r, frame, len, splits[k], &s), 0);
            for (int id = STATS_NET_DROP_ETHER_SHORT; id <= STATS_NET_DROP_TX_LINEAR; id++) {
                if (rig_stat(&r, id) != (id == (int)drops[i].why))
                    fail_msg("row %zu split %zu: %s is %lu", i, splits[k], stats_rows[id].name,
                             rig_stat(&r, id));
            }
            rig_close(&r);
        }
    }
}

/* The headers lie in pieces and the first mbuf has no room to join them. */
static void no_room_to_join(void **state)
{
    (void)state;
    struct rte_mempool *tight = dpdk_pool("tight", 16, 20);
    uint8_t frame[128];
    struct net_segment s;

    start();
    size_t len = frame_tcp(frame, &rig_peer, 1000, 25, 30);
    struct rte_mbuf *m = frame_mbuf(tight, frame, len, 20);
    assert_int_equal(net_input(r.net, &m, 1, &s, r.now_ns), 0);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_NO_ROOM), 1);
    assert_true(dpdk_pool_full(tight));
    rig_close(&r);
    rte_mempool_free(tight);
}

/* ---- what passes ---- */

static void segments_pass_whole(void **state)
{
    (void)state;
    static const size_t payloads[] = {0, 1, 5, 100, 1460};
    static const size_t splits[] = {0, 3, 14, 34, 54, 100};

    start();
    for (size_t i = 0; i < BASE_ARRAY_CNT(payloads); i++) {
        for (size_t k = 0; k < BASE_ARRAY_CNT(splits); k++) {
            for (size_t padding = 0; padding < 80; padding += 39) {
                uint8_t frame[1700], got[1600];
                struct net_segment s;
                size_t len = frame_tcp(frame, &rig_peer, 1000, 25, payloads[i]);
                frame[15] = 0x02; /* ECT(0) */
                frame_fix_ip(frame);
                memset(frame + len, 0xee, padding);
                assert_int_equal(rig_in(&r, frame, len + padding, splits[k], &s), 1);
                assert_int_equal(s.mbuf->pkt_len, 20 + payloads[i]);
                assert_true(s.mbuf->data_len >= 20);
                assert_int_equal(s.ecn, 2);
                assert_memory_equal(s.src.b + 12, rig_peer.src, 4);
                assert_memory_equal(s.dst.b + 12, rig_peer.dst, 4);
                const void *p = rte_pktmbuf_read(s.mbuf, 0, s.mbuf->pkt_len, got);
                assert_non_null(p);
                assert_memory_equal(p, frame + FRAME_TCP_AT, 20 + payloads[i]);
                rte_pktmbuf_free(s.mbuf);
            }
        }
    }
    rig_close(&r);
}

/* The frame with eight bytes of IP options put in; returns its new length. */
static size_t add_options(uint8_t *frame, const uint8_t *plain, size_t len)
{
    memcpy(frame, plain, 34);
    memset(frame + 34, 1, 8); /* eight times no operation */
    memcpy(frame + 42, plain + 34, len - 34);
    frame[14] = 0x47;
    base_put_be16(frame + 16, (uint16_t)(len - 14 + 8));
    frame_fix_ip(frame);
    return len + 8;
}

static void tcp_options_lie_in_one_piece(void **state)
{
    (void)state;
    uint8_t frame[256];
    struct net_segment s;
    size_t len = frame_tcp(frame, &rig_peer, 1000, 25, 100);

    start();
    frame[46] = 0xf0;
    frame_fix_tcp(frame);
    for (size_t split = 0; split < 100; split += 7) {
        assert_int_equal(rig_in(&r, frame, len, split, &s), 1);
        assert_true(s.mbuf->data_len >= 60);
        assert_int_equal(s.mbuf->pkt_len, 120);
        rte_pktmbuf_free(s.mbuf);
    }
    rig_close(&r);
}

static void ip_options_are_skipped(void **state)
{
    (void)state;
    uint8_t plain[128], frame[128];
    struct net_segment s;
    size_t len = frame_tcp(plain, &rig_peer, 1000, 25, 10);

    start();
    size_t long_len = add_options(frame, plain, len);
    for (size_t split = 0; split < 60; split += 7) {
        assert_int_equal(rig_in(&r, frame, long_len, split, &s), 1);
        assert_int_equal(s.mbuf->pkt_len, 30);
        assert_memory_equal(rte_pktmbuf_mtod(s.mbuf, void *), plain + 34, 20);
        rte_pktmbuf_free(s.mbuf);
    }
    rig_close(&r);
}

static void a_ports_word_counts(void **state)
{
    (void)state;
    /* The frame's TCP checksum is wrong; what the port says decides when it can tell. */
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
        size_t len = frame_tcp(frame, &rig_peer, 1000, 25, 10);
        frame[len - 1] ^= 1;
        struct rte_mbuf *m = frame_mbuf(rig_pool, frame, len, 0);
        m->ol_flags |= rows[i].flags;
        assert_int_equal(net_input(r.net, &m, 1, &s, r.now_ns), rows[i].pass);
        if (rows[i].pass)
            rte_pktmbuf_free(s.mbuf);
        rig_close(&r);
    }
}

static void bursts_are_counted(void **state)
{
    (void)state;
    struct rte_mbuf *m[64];
    struct net_segment s[64];
    uint8_t frame[128];

    start();
    for (int i = 0; i < 64; i++) {
        size_t len = frame_tcp(frame, &rig_peer, (uint16_t)(1000 + i), 25, 10);
        if (i % 4 == 3)
            frame[len - 1] ^= 1;
        m[i] = frame_mbuf(rig_pool, frame, len, 0);
    }
    assert_int_equal(net_input(r.net, m, 64, s, r.now_ns), 48);
    assert_int_equal(rig_stat(&r, STATS_NET_RX_PACKETS), 64);
    assert_int_equal(rig_stat(&r, STATS_NET_RX_BYTES), 64 * 64);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_TCP_CHECKSUM), 16);
    for (int i = 0, k = 0; i < 64; i++) {
        if (i % 4 == 3)
            continue;
        assert_int_equal(base_be16(rte_pktmbuf_mtod(s[k].mbuf, void *)), 1000 + i);
        rte_pktmbuf_free(s[k++].mbuf);
    }
    rig_close(&r);
}

/* ---- echo ---- */

static void echo_comes_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 56, 57, 1472};

    start();
    for (size_t i = 0; i < BASE_ARRAY_CNT(sizes); i++) {
        for (size_t split = 0; split < 200; split += 37) {
            uint8_t frame[1600];
            struct net_segment s;
            r.port.caps.tx_multi_segs = split % 2 == 0;
            r.now_ns += BASE_NS_S;
            size_t len = frame_icmp(frame, &rig_peer, 8, sizes[i]);
            assert_int_equal(rig_in(&r, frame, len, split, &s), 0);
            const uint8_t *reply = rig_last(&r);
            assert_int_equal(r.sent_len[(r.sent_cnt - 1) % RIG_SENT_MAX], len);
            assert_memory_equal(reply, frame + 6, 6);
            assert_memory_equal(reply + 6, frame, 6);
            assert_memory_equal(reply + 26, frame + 30, 4);
            assert_memory_equal(reply + 30, frame + 26, 4);
            assert_int_equal(reply[34], 0);
            assert_memory_equal(reply + 38, frame + 38, 4 + sizes[i]);
            assert_int_equal(net_checksum_fold(net_checksum_sum(reply + 14, 20)), 0);
            assert_int_equal(net_checksum_fold(net_checksum_sum(reply + 34, 8 + sizes[i])), 0);
        }
    }
    assert_int_equal(rig_stat(&r, STATS_NET_TX_ECHO), r.sent_cnt);
    rig_close(&r);
}

static void echo_leaves_options_behind(void **state)
{
    (void)state;
    uint8_t plain[128], frame[128];
    struct net_segment s;
    size_t len = frame_icmp(plain, &rig_peer, 8, 33);

    start();
    size_t long_len = add_options(frame, plain, len);
    for (size_t split = 0; split < 90; split += 7) {
        assert_int_equal(rig_in(&r, frame, long_len, split, &s), 0);
        const uint8_t *reply = rig_last(&r);
        assert_int_equal(r.sent_len[r.sent_cnt - 1], len);
        assert_int_equal(base_be16(reply + 12), 0x0800);
        assert_int_equal(reply[14], 0x45);
        assert_int_equal(base_be16(reply + 16), len - 14);
        assert_int_equal(net_checksum_fold(net_checksum_sum(reply + 14, 20)), 0);
        assert_int_equal(net_checksum_fold(net_checksum_sum(reply + 34, 41)), 0);
    }
    rig_close(&r);
}

static void echo_is_limited(void **state)
{
    (void)state;
    uint8_t frame[128];
    struct net_segment s;

    start();
    size_t len = frame_icmp(frame, &rig_peer, 8, 10);
    for (int i = 0; i < 200; i++)
        rig_in(&r, frame, len, 0, &s);
    assert_int_equal(r.sent_cnt, 100);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_ICMP_LIMITED), 100);
    r.now_ns += 10 * BASE_NS_MS; /* ten more in ten ms */
    for (int i = 0; i < 20; i++)
        rig_in(&r, frame, len, 0, &s);
    assert_int_equal(r.sent_cnt, 110);
    rig_close(&r);
}

/* ---- the hint ---- */

static void all_wrong_gives_a_hint(void **state)
{
    (void)state;
    struct rte_ring *ring =
        rte_ring_create_elem("hint", STATS_LOG_CELL_BYTES, 16 * STATS_LOG_CELLS_MAX, SOCKET_ID_ANY,
                             RING_F_SP_ENQ | RING_F_SC_DEQ);
    struct stats_log_record record[4];
    uint8_t frame[128];
    struct net_segment s;

    for (int good_first = 0; good_first < 2; good_first++) {
        memset(&r, 0, sizeof(r));
        r.log = (struct stats_log){.ring = ring, .stats = &r.stats};
        rig_open(&r);
        size_t len = frame_tcp(frame, &rig_peer, 1000, 25, 10);
        if (good_first) {
            assert_int_equal(rig_in(&r, frame, len, 0, &s), 1);
            rte_pktmbuf_free(s.mbuf);
        }
        frame[len - 1] ^= 1;
        for (int i = 0; i < 200; i++)
            assert_int_equal(rig_in(&r, frame, len, 0, &s), 0);
        assert_int_equal(stats_log_pop(ring, record, 4), good_first ? 0 : 2);
        if (!good_first) {
            assert_int_equal(record[0].event, STATS_LOG_CHECKSUM_HINT);
            assert_int_equal(record[0].n, 4);
            assert_int_equal(record[1].n, 64);
            assert_non_null(memmem(record[0].text, record[0].text_len, "ethtool -K", 10));
        }
        rig_close(&r);
    }
    rte_ring_free(ring);
}

/* ---- output ---- */

static void output_is_whole(void **state)
{
    (void)state;
    struct net_addr peer = rig_addr(10, 1, 0, 2);

    for (int offload = 0; offload < 2; offload++) {
        memset(&r, 0, sizeof(r));
        r.port.caps.tx_ip_checksum = r.port.caps.tx_tcp_checksum = offload;
        rig_open(&r);
        rig_arp(&r, 1, 0, 2, 2); /* the peer is known */
        for (uint16_t payload = 0; payload <= 1460; payload = (uint16_t)(payload + 365)) {
            assert_int_equal(rig_out(&r, &peer, payload, 7), 0);
            net_flush(r.net);
            const uint8_t *f = rig_last(&r);
            uint32_t last = (r.sent_cnt - 1) % RIG_SENT_MAX;
            assert_int_equal(r.sent_len[last], 54 + payload);
            assert_memory_equal(f, rig_peer.src_mac, 6);
            assert_memory_equal(f + 6, rig_peer.dst_mac, 6);
            assert_int_equal(base_be16(f + 16), 40 + payload);
            assert_int_equal(base_be16(f + 20), 0x4000);
            uint8_t copy[1600];
            memcpy(copy, f, 54u + payload);
            frame_fix_ip(copy);
            frame_fix_tcp(copy);
            uint64_t want = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM;
            assert_int_equal(r.sent_flags[last] & RTE_MBUF_F_TX_OFFLOAD_MASK, offload ? want : 0);
            if (!offload)
                assert_memory_equal(copy, f, 54u + payload);
        }
        assert_int_equal(rig_out(&r, &peer, 1461, 7), -ENOBUFS);
        assert_int_equal(rig_stat(&r, STATS_NET_DROP_TX_GIANT), 1);
        assert_int_equal(net_segment_max(r.net, &peer), 1480);
        rig_close(&r);
    }
}

static void chains_are_made_linear(void **state)
{
    (void)state;
    struct net_addr peer = rig_addr(10, 1, 0, 2), src = rig_addr(10, 1, 0, 1);

    for (int multi = 0; multi < 2; multi++) {
        start();
        rig_arp(&r, 1, 0, 2, 2);
        r.port.caps.tx_multi_segs = multi;
        uint8_t frame[1600];
        size_t len = frame_tcp(frame, &rig_peer, 1000, 25, 1400);
        struct rte_mbuf *m = frame_mbuf(rig_pool, frame + 34, 20, 0);
        struct rte_mbuf *tail = frame_mbuf(rig_pool, frame + 54, len - 54, 701);
        assert_int_equal(rte_pktmbuf_chain(m, tail), 0);
        if (multi == 0) /* a payload that another mbuf refers to still has to stay as it is */
            rte_pktmbuf_refcnt_update(m, 1);
        assert_int_equal(net_output(r.net, m, &src, &peer, NET_PROTO_TCP, 0, r.now_ns), 0);
        net_flush(r.net);
        if (multi == 0)
            rte_pktmbuf_free(m);
        assert_int_equal(r.sent_segs[r.sent_cnt - 1], multi ? 3 : 1);
        uint8_t copy[1600];
        memcpy(copy, rig_last(&r), len);
        frame_fix_tcp(copy);
        assert_memory_equal(copy, rig_last(&r), len);
        assert_memory_equal(copy + 54, frame + 54, 1400);
        rig_close(&r);
    }
}

/* Nothing to copy a chain into: it is dropped, counted, and its pieces are back. */
static void a_chain_without_room(void **state)
{
    (void)state;
    static struct rte_mbuf *all[1024];
    struct net_addr peer = rig_addr(10, 1, 0, 2), src = rig_addr(10, 1, 0, 1);
    uint8_t frame[1600];

    start();
    rig_arp(&r, 1, 0, 2, 2);
    net_flush(r.net);
    r.port.caps.tx_multi_segs = false;
    size_t len = frame_tcp(frame, &rig_peer, 1000, 25, 1400);
    struct rte_mbuf *m = frame_mbuf(rig_pool, frame + 34, 20, 0);
    assert_int_equal(rte_pktmbuf_chain(m, frame_mbuf(rig_pool, frame + 54, len - 54, 701)), 0);
    rte_pktmbuf_refcnt_update(m, 1);
    uint32_t cnt = rte_mempool_avail_count(rig_ctrl_pool), before = r.sent_cnt;
    assert_int_equal(rte_pktmbuf_alloc_bulk(rig_ctrl_pool, all, cnt), 0);
    (void)net_output(r.net, m, &src, &peer, NET_PROTO_TCP, 0, r.now_ns);
    net_flush(r.net);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_TX_LINEAR), 1);
    assert_int_equal(r.sent_cnt, before);
    rte_pktmbuf_free(m);
    rte_pktmbuf_free_bulk(all, cnt);
    rig_close(&r);
}

static void routes(void **state)
{
    (void)state;
    struct net_addr src, to;

    start();
    static const uint8_t none[][4] = {{10, 1, 0, 1},  {10, 1, 255, 255},    {127, 0, 0, 1},
                                      {224, 0, 0, 1}, {255, 255, 255, 255}, {0, 0, 0, 0}};
    for (size_t i = 0; i < BASE_ARRAY_CNT(none); i++) {
        to = net_addr_v4(none[i]);
        assert_int_equal(rig_out(&r, &to, 1, 1), -EHOSTUNREACH);
        assert_int_equal(net_source(r.net, &to, &src), -EHOSTUNREACH);
    }
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_TX_NO_ROUTE), BASE_ARRAY_CNT(none));
    to = rig_addr(192, 0, 2, 1); /* by the gateway */
    assert_int_equal(net_source(r.net, &to, &src), 0);
    assert_memory_equal(src.b + 12, rig_peer.dst, 4);
    assert_int_equal(rig_out(&r, &to, 1, 1), 0);
    net_flush(r.net);
    assert_int_equal(base_be16(rig_last(&r) + 12), 0x0806);
    assert_memory_equal(rig_last(&r) + 38, ((uint8_t[]){10, 1, 0, 254}), 4);
    rig_arp(&r, 2, 0, 254, 0x77);
    net_flush(r.net);
    assert_memory_equal(rig_last(&r) + 30, ((uint8_t[]){192, 0, 2, 1}), 4);
    assert_int_equal(rig_last(&r)[5], 0x77);
    rig_close(&r);
}

static void a_full_port_holds_up_to_a_bound(void **state)
{
    (void)state;
    struct net_addr peer = rig_addr(10, 1, 0, 2);

    start();
    rig_arp(&r, 1, 0, 2, 2);
    uint32_t before = r.sent_cnt;
    r.accept = 0;
    for (uint32_t i = 0; i < NET_TX_QUEUE_CNT + 10; i++)
        assert_int_equal(rig_out(&r, &peer, 1, i), 0);
    net_flush(r.net);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_TX_FULL), 10);
    assert_true(net_deadline(r.net) <= r.now_ns);
    r.accept = 7;
    net_flush(r.net);
    assert_int_equal(r.sent_cnt, before + 7);
    r.accept = UINT16_MAX;
    net_flush(r.net);
    assert_int_equal(r.sent_cnt, before + NET_TX_QUEUE_CNT);
    for (uint32_t i = 0; i < NET_TX_QUEUE_CNT; i++) /* the oldest are gone, the rest in order */
        assert_int_equal(base_be32(r.sent[before + i] + 38), i + 10);
    rig_close(&r);
}

int main(void)
{
    dpdk_eal_init();
    rig_pool = dpdk_pool("rig", 2048, 0);
    rig_ctrl_pool = dpdk_pool("ctrl", 1024, 0);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_drop_has_its_reason),
        cmocka_unit_test(no_room_to_join),
        cmocka_unit_test(segments_pass_whole),
        cmocka_unit_test(tcp_options_lie_in_one_piece),
        cmocka_unit_test(ip_options_are_skipped),
        cmocka_unit_test(a_ports_word_counts),
        cmocka_unit_test(bursts_are_counted),
        cmocka_unit_test(echo_comes_back),
        cmocka_unit_test(echo_leaves_options_behind),
        cmocka_unit_test(echo_is_limited),
        cmocka_unit_test(all_wrong_gives_a_hint),
        cmocka_unit_test(output_is_whole),
        cmocka_unit_test(chains_are_made_linear),
        cmocka_unit_test(a_chain_without_room),
        cmocka_unit_test(routes),
        cmocka_unit_test(a_full_port_holds_up_to_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
