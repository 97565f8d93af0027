#include "unit.h"

#include "dpdk_eal.h"
#include "frames.h"
#include "net_checksum.h"

#include "base_rand.h"

#include <string.h>

#include <rte_mbuf.h>

#define LEN_MAX    2000
#define OFFSET_MAX 64

/* RFC 1071 as it is written down there. */
static uint16_t reference(const uint8_t *p, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (uint32_t)(p[i] | p[i + 1] << 8);
    if (len % 2 == 1)
        sum += p[len - 1];
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* +0 and -0 of ones' complement are one value here. */
static void assert_same_sum(uint16_t a, uint16_t b)
{
    assert_int_equal(a % 0xffff, b % 0xffff);
}

static void all_lengths_and_offsets(void **state)
{
    (void)state;
    static uint8_t bytes[LEN_MAX + OFFSET_MAX];
    struct base_rand rand;

    base_rand_init(&rand, 1);
    for (int fill = 0; fill < 3; fill++) {
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = fill == 0 ? 0xff : fill == 1 ? 0 : (uint8_t)base_rand_next(&rand);
        for (size_t offset = 0; offset < OFFSET_MAX; offset++) {
            for (size_t len = 0; len <= LEN_MAX; len += fill == 2 ? 1 : 37) {
                const uint8_t *p = bytes + offset;
                uint32_t scalar = net_checksum_sum_scalar(p, len);
                assert_same_sum(net_checksum_fold(net_checksum_sum(p, len)),
                                net_checksum_fold(scalar));
                if (offset < 2)
                    assert_same_sum(net_checksum_fold(scalar), reference(p, len));
            }
        }
    }
}

/* 64 KiB of the largest words: no carry gets lost. */
static void large(void **state)
{
    (void)state;
    static uint8_t bytes[65536];

    memset(bytes, 0xff, sizeof(bytes));
    bytes[77] = 0x12;
    assert_same_sum(net_checksum_fold(net_checksum_sum(bytes, sizeof(bytes))),
                    reference(bytes, sizeof(bytes)));
    assert_same_sum(net_checksum_fold(net_checksum_sum_scalar(bytes, sizeof(bytes))),
                    reference(bytes, sizeof(bytes)));
}

static void chains_with_odd_pieces(void **state)
{
    (void)state;
    struct rte_mempool *pool = dpdk_pool("chains", 128, 256);
    struct base_rand rand;
    uint8_t bytes[700];

    base_rand_init(&rand, 2);
    for (int round = 0; round < 2000; round++) {
        size_t len = 1 + base_rand_below(&rand, sizeof(bytes));
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)base_rand_next(&rand);
        struct rte_mbuf *head = NULL;
        for (size_t at = 0; at < len;) {
            size_t n = base_rand_below(&rand, 200);
            n = n < len - at ? n : len - at;
            struct rte_mbuf *m = frame_mbuf(pool, bytes + at, n, 0);
            at += n;
            if (head == NULL)
                head = m;
            else
                assert_int_equal(rte_pktmbuf_chain(head, m), 0);
        }
        uint32_t offset = (uint32_t)base_rand_below(&rand, len + 1);
        assert_same_sum(net_checksum_fold(net_checksum_mbuf(head, offset)),
                        reference(bytes + offset, len - offset));
        rte_pktmbuf_free(head);
    }
    assert_true(dpdk_pool_full(pool));
    rte_mempool_free(pool);
}

static void pseudo_headers(void **state)
{
    (void)state;
    struct net_addr a = net_addr_v4((uint8_t[]){10, 0, 0, 1});
    struct net_addr b = net_addr_v4((uint8_t[]){192, 168, 255, 254});
    uint8_t v4[12] = {10, 0, 0, 1, 192, 168, 255, 254, 0, 6, 0x05, 0xdc};
    struct net_addr c, d;
    uint8_t v6[40] = {0};

    assert_same_sum(net_checksum_fold(net_checksum_pseudo(&a, &b, 6, 1500)), reference(v4, 12));
    for (uint8_t i = 0; i < 16; i++) {
        c.b[i] = v6[i] = (uint8_t)(0x20 + i);
        d.b[i] = v6[16 + i] = (uint8_t)(0xf0 - i);
    }
    memcpy(v6 + 32, (uint8_t[]){0, 1, 0x11, 0x70, 0, 0, 0, 6}, 8);
    assert_same_sum(net_checksum_fold(net_checksum_pseudo(&c, &d, 6, 70000)), reference(v6, 40));
}

int main(void)
{
    dpdk_eal_init();

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_lengths_and_offsets),
        cmocka_unit_test(large),
        cmocka_unit_test(chains_with_odd_pieces),
        cmocka_unit_test(pseudo_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
