/* A disk that hangs and tells no error, in virtual time. */
#include "spool_rig.h"

static void run_until(struct bench *b, uint64_t until_ns)
{
    struct spool_done d;
    for (; b->now_ns < until_ns; b->now_ns += 100 * BASE_NS_MS) {
        spool_run(b->spool, b->now_ns);
        while (spool_poll(b->spool, &d, 1) == 1) {
            spool_arrival_free(d.arrival);
            b->done_cnt += d.op == SPOOL_COMMIT && d.status == 0;
        }
    }
}

/* A disk that hangs and tells no error: no new mail after a while, and again when the write ended.
 * What waited is durable then, and nothing was reported before. */
static void test_disk_hangs(void **state)
{
    (void)state;
    const char *why;
    struct bench *b = bench_make(0);
    b->config.write_timeout_ns = 30 * BASE_NS_S;
    bench_open(b);
    send(b, 1, 1000);
    settle(b);
    for (uint32_t round = 1; round <= 2; round++) {
        b->done_cnt = 0;
        disk_sim_hang(&b->disk, true);
        send(b, 10 * round, 1000);
        uint64_t start = b->now_ns;
        run_until(b, start + 29 * BASE_NS_S);
        assert_true(spool_accepting(b->spool, &why));
        uint64_t at = spool_deadline(b->spool); /* nobody has to look before */
        assert_true(at >= start + 30 * BASE_NS_S && at <= start + 31 * BASE_NS_S);
        send(b, 10 * round + 1, 1000); /* a later one does not hide the first */
        run_until(b, start + 32 * BASE_NS_S);
        assert_false(spool_accepting(b->spool, &why));
        assert_string_equal(why, "spool's disk does not answer");
        assert_int_equal(stats_get(&b->stats, STATS_SPOOL_REFUSES_SLOW_NOW), 1);
        assert_int_equal(stats_get(&b->stats, STATS_SPOOL_WRITES_SLOW), round);
        assert_true(spool_deadline(b->spool) > b->now_ns); /* and it does not spin */
        run_until(b, start + 4000 * BASE_NS_S);
        assert_int_equal(b->done_cnt, 0);
        disk_sim_hang(&b->disk, false);
        run_until(b, b->now_ns + 10 * BASE_NS_S);
        assert_int_equal(b->done_cnt, 2);
        assert_true(spool_accepting(b->spool, &why));
        assert_int_equal(stats_get(&b->stats, STATS_SPOOL_REFUSES_SLOW_NOW), 0);
    }
    assert_int_equal(stats_get(&b->stats, STATS_SPOOL_COMMITTED), 5);
    bench_free(b);
}

/* So does one that hangs with a segment's header or summary: more is sent than one segment holds.
 */
static void test_disk_hangs_between_segments(void **state)
{
    (void)state;
    const char *why;
    uint32_t stopped = 0;
    for (uint32_t passes = 1; passes <= 40; passes++) {
        struct bench *b = bench_make(0);
        b->config.write_timeout_ns = 30 * BASE_NS_S;
        bench_open(b);
        for (uint32_t n = 1; n <= 10; n++) {
            send(b, n, 90000);
            if (n < 10)
                settle(b);
        }
        run_until(b, b->now_ns + passes * 100 * BASE_NS_MS);
        disk_sim_hang(&b->disk, true);
        send(b, 11, 90000);
        run_until(b, b->now_ns + 40 * BASE_NS_S);
        stopped += !spool_accepting(b->spool, &why);
        disk_sim_hang(&b->disk, false);
        settle(b);
        assert_true(spool_accepting(b->spool, &why));
        assert_int_equal(stats_get(&b->stats, STATS_SPOOL_COMMITTED), 11);
        bench_free(b);
    }
    assert_int_equal(stopped, 40); /* there is always a write that the message waits for */
}

/* From one segment to the next all mail waits: the spare one gets no zeros meanwhile, and all of
 * them after it. */
static void test_no_zeros_between_segments(void **state)
{
    (void)state;
    uint32_t held = 0;
    struct bench *b = bench_make(0);
    bench_open(b);
    for (uint32_t n = 1; n <= 40; n++) {
        send(b, n, 90000);
        for (uint32_t pass = 0; pass < 30; pass++) {
            const struct spool *s = b->spool;
            struct spool_done d;
            bool between = s->opening_slot != SPOOL_SLOT_NONE, zeros = s->zero_under_way;
            b->now_ns += BASE_NS_MS;
            spool_run(b->spool, b->now_ns);
            if (between && s->opening_slot != SPOOL_SLOT_NONE && !zeros) {
                assert_false(s->zero_under_way);
                held += s->zeroing_slot != SPOOL_SLOT_NONE;
            }
            while (spool_poll(b->spool, &d, 1) == 1)
                spool_arrival_free(d.arrival);
        }
    }
    settle(b);
    assert_true(held > 0);
    assert_int_equal(stats_get(&b->stats, STATS_SPOOL_COMMITTED), 40);
    assert_true(b->spool->state_cnt[SPOOL_SEGMENT_ZEROING] == 0);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_disk_hangs),
                                       cmocka_unit_test(test_disk_hangs_between_segments),
                                       cmocka_unit_test(test_no_zeros_between_segments)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
