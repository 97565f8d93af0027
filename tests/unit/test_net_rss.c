/*
 * Receive-side scaling in software, against DPDK's and against the published vectors; what a port
 * says of itself (net_null: a table of 128 entries, a key of 40 bytes; net_ring: nothing).
 */
#include "unit.h"

#include "base_rand.h"
#include "dpdk_eal.h"
#include "ethdev.h"
#include "net_rss.h"

#include <errno.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_ip.h>
#include <rte_thash.h>

static struct base_rand rng;

static void endpoint(struct net_endpoint *e, const char *text)
{
    assert_int_equal(net_endpoint_parse(e, base_span_str(text)), 0);
}

/* The verification suite that comes with the specification of RSS. */
static void published_vectors(void **state)
{
    (void)state;
    static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                    0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                    0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                    0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
    static const struct {
        const char *src, *dst;
        uint32_t hash;
    } rows[] = {
        {"66.9.149.187:2794", "161.142.100.80:1766", 0x51ccc178},
        {"199.92.111.2:14230", "65.69.140.83:4739", 0xc626b0ea},
        {"24.19.198.95:12898", "12.22.207.184:38024", 0x5c2b394a},
        {"38.27.205.30:48228", "209.142.163.6:2217", 0xafc7327f},
        {"153.39.163.191:44251", "202.188.127.2:1303", 0x10e828a2},
        {"[3ffe:2501:200:1fff::7]:2794", "[3ffe:2501:200:3::1]:1766", 0x40207d3d},
        {"[3ffe:501:8::260:97ff:fe40:efab]:14230", "[ff02::1]:4739", 0xdde51bbf},
        {"[3ffe:1900:4545:3:200:f8ff:fe21:67cf]:44251", "[fe80::200:f8ff:fe21:67cf]:38024",
         0x02d1feef},
    };
    static const uint8_t queue[2] = {0, 1};
    static struct net_rss r;

    assert_int_equal(net_rss_init(&r, key, queue, 2), 0);
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct net_endpoint src, dst;
        endpoint(&src, rows[i].src);
        endpoint(&dst, rows[i].dst);
        assert_int_equal(net_rss_hash(&r, &src, &dst), rows[i].hash);
    }
}

static void fill(void *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)p)[i] = (uint8_t)base_rand_next(&rng);
}

static void as_dpdk_does_it(void **state)
{
    (void)state;
    static struct net_rss r;
    uint8_t key[40], queue[512];

    for (int round = 0; round < 200; round++) {
        struct net_endpoint src = {0}, dst = {0};
        uint32_t tuple[9] = {0}, len = round % 2 ? 9 : 3, words = round % 2 ? 4 : 1;
        fill(key, sizeof(key));
        fill(queue, sizeof(queue));
        assert_int_equal(net_rss_init(&r, key, queue, 512), 0);
        if (words == 1)
            src.addr.b[10] = src.addr.b[11] = dst.addr.b[10] = dst.addr.b[11] = 0xff;
        fill(src.addr.b + 16 - 4 * words, 4 * words);
        fill(dst.addr.b + 16 - 4 * words, 4 * words);
        fill(&src.port, 2);
        fill(&dst.port, 2);
        for (uint32_t i = 0; i < words; i++) {
            tuple[i] = base_be32(src.addr.b + 16 - 4 * words + 4 * i);
            tuple[words + i] = base_be32(dst.addr.b + 16 - 4 * words + 4 * i);
        }
        tuple[2 * words] = (uint32_t)src.port << 16 | dst.port;
        uint32_t want = rte_softrss(tuple, len, key);
        assert_int_equal(net_rss_hash(&r, &src, &dst), want);
        assert_int_equal(net_rss_queue(&r, &src, &dst), queue[want % 512]);
    }
}

static void bad_tables(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 3, 96, 4096};
    static uint8_t key[40], queue[4096];
    static struct net_rss r;

    for (size_t i = 0; i < BASE_ARRAY_CNT(sizes); i++)
        assert_int_equal(net_rss_init(&r, key, queue, sizes[i]), -EINVAL);
}

/* ---- ports ---- */

static struct rte_mempool *pool;
static struct stats_block stats;

static int tell(const char *name, uint16_t queue_cnt, uint8_t first, struct net_rss *r)
{
    struct ethdev_config c = {.name = name, .queue_cnt = queue_cnt, .rss_key = {first, 1, 2, 3}};
    struct net_port p;
    char err[256] = "";

    for (uint16_t q = 0; q < queue_cnt; q++)
        c.queue[q] = (struct ethdev_queue){.rx_pool = pool, .stats = &stats};
    if (ethdev_open(&p, &c, err, sizeof(err)) != 0)
        fail_msg("%s", err);
    assert_int_equal(ethdev_tell_rss(&p, r), -ENOTSUP); /* not before the start */
    if (ethdev_start(&p, err, sizeof(err)) != 0)
        fail_msg("%s", err);
    int rc = ethdev_tell_rss(&p, r);
    ethdev_stop(&p);
    ethdev_close(&p);
    return rc;
}

static void a_port_with_a_table(void **state)
{
    (void)state;
    static struct net_rss r, other;
    uint32_t share[5] = {0};
    struct net_endpoint src, dst;

    assert_int_equal(tell("net_null0", 5, 0x40, &r), 0);
    assert_int_equal(r.table_cnt, 128);
    for (uint32_t i = 0; i < r.table_cnt; i++)
        share[r.queue[i]]++;
    for (int q = 0; q < 5; q++)
        assert_in_range(share[q], 25, 26);
    /* The key is the one that it was given. */
    assert_int_equal(r.part[0][0x80], 0x40010203);
    assert_int_equal(tell("net_null1", 5, 0x41, &other), 0);
    endpoint(&src, "10.0.0.1:1000");
    endpoint(&dst, "10.0.0.2:25");
    assert_int_not_equal(r.part[0][0x80], other.part[0][0x80]);
    assert_in_range(net_rss_queue(&r, &src, &dst), 0, 4);
}

static void ports_that_say_nothing(void **state)
{
    (void)state;
    static struct net_rss r;

    assert_int_equal(tell("net_null2", 1, 1, &r), -ENOTSUP); /* one queue: nothing to spread */
    assert_int_equal(tell("net_ring0", 1, 1, &r), -ENOTSUP);
}

int main(void)
{
    static const char *const vdevs[] = {"net_null0", "net_null1", "net_null2", "net_ring0", NULL};

    base_rand_init(&rng, 7);
    dpdk_eal_init_vdevs(vdevs);
    pool = dpdk_pool("rss", 16384, 0);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(as_dpdk_does_it),
        cmocka_unit_test(bad_tables),
        cmocka_unit_test(a_port_with_a_table),
        cmocka_unit_test(ports_that_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
