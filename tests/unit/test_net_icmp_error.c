/* ICMP errors about packets of ours, of both families: what comes up, and what is refused. */
#include "net_rig.h"

static struct rig r;

static void start(void)
{
    memset(&r, 0, sizeof(r));
    r.v6 = true;
    rig_open(&r);
}

/* An ICMP error with a TCP segment of ours (total bytes of IP) to dst in it. */
static size_t too_big6(uint8_t *f, uint32_t mtu, uint16_t total, const char *src, const char *dst)
{
    struct net_addr s = rig_addr6(src), d = rig_addr6(dst);
    size_t len = frame6_icmp(f, &rig_peer6, 2, 0, 60);
    uint8_t *icmp = f + FRAME6_AT, *ip = icmp + 8;

    base_put_be32(icmp + 4, mtu);
    memset(ip, 0, 60);
    ip[0] = 0x60;
    base_put_be16(ip + 4, (uint16_t)(total - 40));
    ip[6] = 6;
    memcpy(ip + 8, s.b, 16);
    memcpy(ip + 24, d.b, 16);
    base_put_be32(ip + 44, 4711);
    frame6_fix(f, len);
    return len;
}

static void too_big_v6(void **state)
{
    (void)state;
    static const struct {
        const char *src, *dst;
        uint32_t mtu;
        uint16_t total;
        bool good;
    } rows[] = {
        {"fd00:1::1", "2001:db8::7", 1400, 1500, true},
        {"fd00:1::1", "2001:db8::7", 1280, 1281, true},
        {"fd00:1::1", "2001:db8::7", 1279, 1500, false}, /* below the floor */
        {"fd00:1::1", "2001:db8::7", 0, 1500, false},
        {"fd00:1::1", "2001:db8::7", 1500, 1500, false}, /* it fitted */
        {"fd00:1::1", "2001:db8::7", 70000, 1500, false},
        {"fd00:1::1", "2001:db8::7", 1400, 1501, false}, /* we never send that much */
        {"fd00:1::9", "2001:db8::7", 1400, 1500, false}, /* not ours */
        {"fd00:1::1", "fd00:1::1", 1400, 1500, false},
        {"fd00:1::1", "ff02::1", 1400, 1500, false},
        {"fd00:1::1", "::ffff:1.2.3.4", 1400, 1500, false},
    };
    uint8_t frame[256];
    struct net_segment s;

    start();
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        for (size_t split = 0; split < 100; split += 33) {
            uint32_t before = r.too_big_cnt;
            size_t len = too_big6(frame, rows[i].mtu, rows[i].total, rows[i].src, rows[i].dst);
            assert_int_equal(rig_in(&r, frame, len, split, &s), 0);
            assert_int_equal(r.too_big_cnt - before, rows[i].good);
            if (rows[i].good) {
                struct net_addr dst = rig_addr6(rows[i].dst);
                assert_int_equal(r.too_big_mtu, rows[i].mtu);
                assert_memory_equal(&r.too_big_dst, &dst, 16);
                assert_int_equal(r.too_big_seq, 4711);
            }
        }
    }
    assert_int_equal(rig_stat(&r, STATS_NET_RX_TOO_BIG), r.too_big_cnt);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_ICMP_QUOTED), 4 * 9);
    /* Too little quoted. */
    size_t len = too_big6(frame, 1400, 1500, "fd00:1::1", "2001:db8::7");
    base_put_be16(frame + 18, 8 + 47);
    frame6_fix(frame, len);
    rig_in(&r, frame, len, 0, &s);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_ICMP_QUOTED), 4 * 9 + 1);
    rig_close(&r);
}

static void too_big_v4(void **state)
{
    (void)state;
    static const struct {
        uint8_t first, protocol, src_last;
        uint16_t mtu, total, told; /* 0: dropped */
    } rows[] = {
        {0x45, 6, 1, 1400, 1500, 1400}, {0x45, 6, 1, 100, 1500, 552}, {0x45, 6, 1, 0, 1500, 576},
        {0x45, 6, 1, 1500, 1500, 0},    {0x45, 6, 1, 1400, 1400, 0},  {0x45, 6, 9, 1400, 1500, 0},
        {0x45, 17, 1, 1400, 1500, 0},   {0x46, 6, 1, 1400, 1500, 0},  {0x45, 6, 1, 1400, 1501, 0},
    };
    uint8_t frame[256];
    struct net_segment s;

    start();
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        uint32_t before = r.too_big_cnt;
        size_t len = frame_icmp(frame, &rig_peer, 3, 28);
        uint8_t *icmp = frame + FRAME_ICMP_AT, *ip = icmp + 8;
        icmp[1] = 4;
        base_put_be16(icmp + 4, 0);
        base_put_be16(icmp + 6, rows[i].mtu);
        memset(ip, 0, 28);
        ip[0] = rows[i].first;
        base_put_be16(ip + 2, rows[i].total);
        ip[6] = 0x40;
        ip[9] = rows[i].protocol;
        memcpy(ip + 12, (uint8_t[]){10, 1, 0, rows[i].src_last, 192, 0, 2, 7}, 8);
        base_put_be32(ip + 24, 4712);
        frame_fix_icmp(frame);
        assert_int_equal(rig_in(&r, frame, len, 0, &s), 0);
        assert_int_equal(r.too_big_cnt - before, rows[i].told != 0);
        if (rows[i].told != 0) {
            assert_int_equal(r.too_big_mtu, rows[i].told);
            assert_int_equal(r.too_big_seq, 4712);
            assert_memory_equal(r.too_big_dst.b + 12, ip + 16, 4);
        }
    }
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_ICMP_QUOTED), 6);
    rig_close(&r);
}

/* The other errors come up as one kind; nothing is required of the size. */
static void unreachable(void **state)
{
    (void)state;
    static const struct {
        uint8_t type4, code4, type6; /* 0: none of that family */
        bool good;
    } rows[] = {
        {3, 0, 1, true},  {3, 1, 1, true},  {3, 3, 3, true},  {3, 13, 4, true},
        {11, 0, 3, true}, {12, 0, 4, true}, {4, 0, 5, false}, {5, 0, 100, false},
    };
    uint8_t frame[256];
    struct net_segment s;

    start();
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        uint32_t before = r.unreachable_cnt;
        size_t len = frame_icmp(frame, &rig_peer, rows[i].type4, 28);
        uint8_t *icmp = frame + FRAME_ICMP_AT, *ip = icmp + 8;
        icmp[1] = rows[i].code4;
        memset(ip, 0, 28);
        ip[0] = 0x45;
        base_put_be16(ip + 2, 60);
        ip[9] = 6;
        memcpy(ip + 12, (uint8_t[]){10, 1, 0, 1, 192, 0, 2, 7}, 8);
        base_put_be32(ip + 24, 4713);
        frame_fix_icmp(frame);
        assert_int_equal(rig_in(&r, frame, len, 0, &s), 0);
        assert_int_equal(r.unreachable_cnt - before, rows[i].good);
        len = too_big6(frame, 0, 1500, "fd00:1::1", "2001:db8::7");
        frame[FRAME6_AT] = rows[i].type6;
        frame6_fix(frame, len);
        assert_int_equal(rig_in(&r, frame, len, 0, &s), 0);
        assert_int_equal(r.unreachable_cnt - before, 2 * rows[i].good);
        assert_int_equal(r.unreachable_seq, rows[i].good ? 4711 : r.unreachable_seq);
    }
    assert_int_equal(rig_stat(&r, STATS_NET_RX_UNREACHABLE), r.unreachable_cnt);
    assert_int_equal(rig_stat(&r, STATS_NET_DROP_ICMP_ERROR), 4);
    assert_int_equal(r.too_big_cnt, 0);
    rig_close(&r);
}

int main(void)
{
    dpdk_eal_init();
    rig_pool = dpdk_pool("rig", 2048, 0);
    rig_ctrl_pool = dpdk_pool("ctrl", 1024, 0);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(too_big_v6),
        cmocka_unit_test(too_big_v4),
        cmocka_unit_test(unreachable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
