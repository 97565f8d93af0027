/*
 * The map: rings by their ends, spools by the numbers in ids, and which spool a new message gets
 * while some of them refuse.
 */
#include "unit.h"

#include "dpdk_eal.h"
#include "topology.h"

#include <errno.h>

#include <rte_ring.h>

#define LANES  3
#define SPOOLS 4

static struct topology t;

static int open_map(void **state)
{
    (void)state;
    assert_int_equal(topology_init(&t, LANES, SPOOLS, "map", true), 0);
    return 0;
}

static int close_map(void **state)
{
    (void)state;
    topology_fini(&t);
    return 0;
}

static void refuse(uint32_t spool, const char *why)
{
    atomic_store_explicit(&t.spool[spool].refusal, why, memory_order_relaxed);
}

static void bounds(void **state)
{
    struct topology bad;

    (void)state;
    assert_int_equal(topology_init(&bad, 1, 0, "none", true), -EINVAL);
    assert_int_equal(topology_init(&bad, 1, TOPOLOGY_SPOOL_MAX + 1, "many", true), -EINVAL);
}

/* Each pair of a lane and a spooler has a ring of its own in each direction. */
static void rings_by_their_ends(void **state)
{
    const struct rte_ring *seen[2 * LANES * SPOOLS];
    uint32_t cnt = 0;

    (void)state;
    for (uint32_t lane = 0; lane < LANES; lane++)
        for (uint32_t spool = 0; spool < SPOOLS; spool++) {
            seen[cnt++] = topology_ring_to_spool(&t, lane, spool);
            seen[cnt++] = topology_ring_from_spool(&t, lane, spool);
        }
    for (uint32_t i = 0; i < cnt; i++)
        for (uint32_t k = 0; k < i; k++)
            assert_ptr_not_equal(seen[i], seen[k]);
    assert_int_equal(t.stats_cnt, LANES + SPOOLS + TOPOLOGY_THREAD_CNT - 3);
    assert_ptr_equal(topology_stats(&t, TOPOLOGY_SPOOLER, 3) + 1,
                     topology_stats(&t, TOPOLOGY_COURIER, 0));
    assert_ptr_equal(topology_stats(&t, TOPOLOGY_LOG, 0), &t.stats[t.stats_cnt - 1]);
    assert_null(t.ring[TOPOLOGY_LANE_KEYOP]); /* there are no key threads */
}

static void key_threads(void **state)
{
    struct topology k;

    (void)state;
    assert_int_equal(topology_init_keyop(&k, 2, 1, 3, "key", true), 0);
    assert_int_equal(k.stats_cnt, 2 + 1 + 3 + TOPOLOGY_THREAD_CNT - 3);
    assert_ptr_equal(topology_stats(&k, TOPOLOGY_LOG, 0) + 1,
                     topology_stats(&k, TOPOLOGY_KEYOP, 0));
    assert_ptr_equal(topology_stats(&k, TOPOLOGY_KEYOP, 2), &k.stats[k.stats_cnt - 1]);
    for (uint32_t i = 0; i < 6; i++) {
        assert_non_null(topology_ring(&k, TOPOLOGY_LANE_KEYOP, i));
        assert_non_null(topology_ring(&k, TOPOLOGY_KEYOP_LANE, i));
    }
    topology_fini(&k);
    assert_int_equal(topology_init_keyop(&k, 1, 1, TOPOLOGY_KEYOP_MAX + 1, "keys", true), -EINVAL);
}

static void found_by_number(void **state)
{
    struct spool_id id = spool_id_make(1, 200, 2, 3);

    (void)state;
    assert_int_equal(topology_spool_of(&t, &id), TOPOLOGY_SPOOL_NONE);
    assert_int_equal(topology_number_spool(&t, 2, 200), 0);
    assert_int_equal(topology_number_spool(&t, 0, 0), 0);
    assert_int_equal(topology_number_spool(&t, 1, 200), -EEXIST);
    assert_int_equal(topology_spool_of(&t, &id), 2);
    id = spool_id_make(1, 0, 2, 3);
    assert_int_equal(topology_spool_of(&t, &id), 0);
    id = spool_id_make(1, 255, 2, 3);
    assert_int_equal(topology_spool_of(&t, &id), TOPOLOGY_SPOOL_NONE);
}

/* How many of 48 turns each spool gets. */
static void count(uint32_t got[SPOOLS])
{
    const char *why;

    memset(got, 0, SPOOLS * sizeof(got[0]));
    for (uint32_t turn = 0; turn < 48; turn++)
        got[topology_choose_spool(&t, turn, &why)]++;
}

static void chosen_evenly(void **state)
{
    uint32_t got[SPOOLS];
    const char *why = "unset";

    (void)state;
    count(got);
    for (uint32_t i = 0; i < SPOOLS; i++)
        assert_int_equal(got[i], 12);
    /* Those of one that refuses are spread over the others, whose own stay. */
    refuse(1, "spool is full");
    count(got);
    assert_int_equal(got[1], 0);
    assert_int_equal(got[0] + got[2] + got[3], 48);
    for (uint32_t i = 0; i < SPOOLS; i++)
        assert_true(i == 1 || got[i] == 16);
    assert_int_equal(topology_choose_spool(&t, 0, &why), 0);
    refuse(0, "spool cannot write");
    refuse(3, "spool is full");
    count(got);
    assert_int_equal(got[2], 48);
    refuse(2, "spool is full");
    assert_int_equal(topology_choose_spool(&t, 4, &why), TOPOLOGY_SPOOL_NONE);
    assert_string_equal(why, "spool cannot write"); /* that of its own */
    refuse(0, NULL);
    count(got);
    assert_int_equal(got[0], 48);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds),
        cmocka_unit_test(key_threads),
        cmocka_unit_test_setup_teardown(rings_by_their_ends, open_map, close_map),
        cmocka_unit_test_setup_teardown(found_by_number, open_map, close_map),
        cmocka_unit_test_setup_teardown(chosen_evenly, open_map, close_map),
    };

    dpdk_eal_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
