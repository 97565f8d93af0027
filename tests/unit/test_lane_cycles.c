/* Cycles of a lane by part: their sum is that of the busy passes, whichever were looked at. */
#include "unit.h"

#include "base_time.h"
#include "lane_cycles.h"

#include <string.h>

static struct lane_cycles c;
static struct stats_block stats;
static uint64_t now_ns;

static void reset(void)
{
    memset(&c, 0, sizeof(c));
    memset(&stats, 0, sizeof(stats));
    now_ns = LANE_CYCLES_SHARE_NS;
}

static void spend(uint64_t cycles)
{
    for (uint64_t from = rte_rdtsc(); rte_rdtsc() - from < cycles;)
        ;
}

/* TLS within a connection, which was called by what came by a ring. */
static void pass(bool worked)
{
    lane_cycles_begin(&c);
    lane_cycles_enter(&c, LANE_PART_RINGS);
    enum lane_part rings = lane_cycles_enter(&c, LANE_PART_CONN);
    assert_int_equal(rings, LANE_PART_RINGS);
    enum lane_part conn = lane_cycles_enter(&c, LANE_PART_TLS);
    assert_int_equal(conn, LANE_PART_CONN);
    spend(1000);
    assert_int_equal(lane_cycles_enter(&c, conn), LANE_PART_TLS);
    assert_int_equal(lane_cycles_enter(&c, rings), LANE_PART_CONN);
    lane_cycles_end(&c, &stats, worked, now_ns);
}

static uint64_t parts(void)
{
    return stats_get(&stats, STATS_LANE_CYCLES_RX) + stats_get(&stats, STATS_LANE_CYCLES_NET_TCP) +
           stats_get(&stats, STATS_LANE_CYCLES_CONN) + stats_get(&stats, STATS_LANE_CYCLES_TLS) +
           stats_get(&stats, STATS_LANE_CYCLES_RINGS) +
           stats_get(&stats, STATS_LANE_CYCLES_TIMERS) + stats_get(&stats, STATS_LANE_CYCLES_TX);
}

static void test_sum(void **state)
{
    (void)state;
    reset();
    uint64_t begin = rte_rdtsc();
    for (int i = 0; i < 1000; i++) {
        pass(i % 3 != 0);
        now_ns += BASE_NS_MS;
    }
    uint64_t busy = stats_get(&stats, STATS_LANE_CYCLES_BUSY);
    assert_int_equal(busy, parts() + c.left);
    now_ns += LANE_CYCLES_SHARE_NS;
    pass(false); /* the next one shares out the rest, whatever it is itself */
    assert_int_equal(c.left, 0);
    assert_int_equal(stats_get(&stats, STATS_LANE_CYCLES_BUSY), busy);
    assert_int_equal(parts(), busy);
    assert_true(busy + stats_get(&stats, STATS_LANE_CYCLES_IDLE) <= rte_rdtsc() - begin);
    assert_true(busy >= 600 * 1000);
    assert_int_equal(stats_get(&stats, STATS_LANE_CYCLES_RX), 0);
    assert_int_equal(stats_get(&stats, STATS_LANE_CYCLES_NET_TCP), 0);
    assert_int_equal(stats_get(&stats, STATS_LANE_CYCLES_TX), 0);
    assert_true(stats_get(&stats, STATS_LANE_CYCLES_TLS) > 0);
}

/* In the ratio of what was seen, to the last cycle. */
static void test_ratio(void **state)
{
    (void)state;
    reset();
    lane_cycles_begin(&c);
    c.looked = false;
    c.seen[LANE_PART_CONN] = 2000;
    c.seen[LANE_PART_TLS] = 1000;
    c.left = 3000000001;
    lane_cycles_end(&c, &stats, false, now_ns);
    assert_int_equal(stats_get(&stats, STATS_LANE_CYCLES_CONN), 2000000000);
    assert_int_equal(stats_get(&stats, STATS_LANE_CYCLES_TLS), 1000000000);
    assert_int_equal(parts(), 3000000001);
    assert_int_equal(c.seen[LANE_PART_CONN], 1000); /* the past weighs half */
    c.left = UINT64_MAX / 2;                        /* no overflow */
    now_ns += LANE_CYCLES_SHARE_NS;
    lane_cycles_begin(&c);
    lane_cycles_end(&c, &stats, false, now_ns);
    assert_true(parts() == 3000000001 + UINT64_MAX / 2);
}

/* One pass of LANE_CYCLES_EACH is looked at, once one was seen that did something. */
static void test_looked(void **state)
{
    uint32_t looked = 0;

    (void)state;
    reset();
    for (int i = 0; i < 50; i++) {
        pass(false);
        assert_true(c.looked);
    }
    pass(true);
    for (int i = 0; i < 10 * LANE_CYCLES_EACH; i++) {
        pass(true);
        looked += c.looked;
    }
    assert_int_equal(looked, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sum),
        cmocka_unit_test(test_ratio),
        cmocka_unit_test(test_looked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
