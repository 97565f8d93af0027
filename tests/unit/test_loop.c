/* How a thread waits: spins, naps, rests, and what begins again behind work. The clock is the
 * test's; the sleeps are real, and short. */
#include "unit.h"

#include "base_time.h"
#include "loop.h"

#include <string.h>
#include <unistd.h>

#include <sys/eventfd.h>

static struct loop loop;
static struct doorbell bell;
static struct stats_block stats;
static int device = -1;
static uint64_t now_ns;

static void begin(const int *fds, unsigned cnt, bool sleeps)
{
    memset(&stats, 0, sizeof(stats));
    now_ns = 1000 * BASE_NS_S;
    assert_int_equal(doorbell_init(&bell), 0);
    assert_int_equal(loop_init(&loop, &bell, fds, cnt, sleeps, &stats), 0);
}

static void end(void)
{
    loop_fini(&loop);
    doorbell_fini(&bell);
}

static uint64_t slept(void)
{
    return stats_get(&stats, STATS_LANE_SLEEPS);
}

/* Looks without work until the loop wants to sleep: how long that took. */
static uint64_t spin(void)
{
    uint64_t from_ns = now_ns;

    while (!loop_idle(&loop, false, now_ns))
        now_ns += 100;
    return now_ns - from_ns;
}

static void sleep_once(void)
{
    uint64_t before = slept();

    loop_sleep(&loop, now_ns, BASE_NS_NONE);
    assert_int_equal(slept(), before + 1);
}

/* Short and unarmed, then armed and longer, up to the most. */
static void go_through_naps(void)
{
    uint64_t nap_ns = LOOP_NAP_MIN_NS;

    assert_int_equal(spin(), LOOP_SPIN_NS);
    for (int i = 0; i < LOOP_NAP_SHORT_CNT; i++) {
        assert_true(loop_idle(&loop, false, now_ns)); /* between naps it does not spin */
        assert_false(loop_arms(&loop));
        assert_int_equal(loop.nap_ns, LOOP_NAP_MIN_NS);
        sleep_once();
    }
    for (int i = 0; i < 10; i++) {
        assert_true(loop_idle(&loop, false, now_ns));
        assert_true(loop_arms(&loop));
        assert_int_equal(loop.nap_ns, nap_ns);
        sleep_once();
        nap_ns = 2 * nap_ns < LOOP_NAP_MAX_NS ? 2 * nap_ns : LOOP_NAP_MAX_NS;
    }
    assert_int_equal(loop.nap_ns, LOOP_NAP_MAX_NS);
}

static void naps(void **state)
{
    const int fds[] = {device, -1}; /* one has none: then all are looked at */

    (void)state;
    begin(fds, 2, true);
    go_through_naps();
    assert_false(loop_idle(&loop, true, now_ns)); /* work in a pass */
    go_through_naps();
    loop_worked(&loop, ++now_ns); /* and in the second look, between arming and sleeping */
    assert_int_equal(atomic_load(&loop.beat_ns), now_ns);
    go_through_naps();
    end();
}

/* Each is over by itself, whether or not anybody rings. */
static void rests(void **state)
{
    (void)state;
    begin(&device, 1, true);
    loop.rest_ns = LOOP_REST_NS;
    for (int turn = 0; turn < 3; turn++) {
        assert_int_equal(spin(), LOOP_SPIN_NS);
        assert_false(loop_arms(&loop));
        sleep_once();
        assert_true(loop_idle(&loop, false, now_ns)); /* at once */
        assert_true(loop_arms(&loop));
        if (turn == 0) {
            assert_false(loop_idle(&loop, true, now_ns));
        } else if (turn == 1) {
            loop_worked(&loop, now_ns);
        } else {
            doorbell_arm(&bell);
            doorbell_ring(&bell);
            sleep_once(); /* the bell ends it: it would last a second */
            doorbell_disarm(&bell);
            assert_false(loop_arms(&loop)); /* the next one is a rest again */
        }
    }
    end();
}

static void without_rests(void **state)
{
    uint64_t one = 1;

    (void)state;
    begin(&device, 1, true);
    assert_int_equal(loop.nap_ns, 0);
    for (int turn = 0; turn < 3; turn++) {
        assert_int_equal(spin(), LOOP_SPIN_NS);
        assert_true(loop_arms(&loop));
        assert_int_equal(write(device, &one, sizeof(one)), sizeof(one));
        sleep_once(); /* the device ends it */
        assert_int_equal(read(device, &one, sizeof(one)), sizeof(one));
    }
    loop.spin_ns = LOOP_SPIN_LANE_NS;
    assert_int_equal(spin(), LOOP_SPIN_LANE_NS);
    loop_worked(&loop, now_ns); /* found by the second look: it spins anew */
    assert_int_equal(spin(), LOOP_SPIN_LANE_NS);
    assert_int_equal(atomic_load(&loop.beat_ns), now_ns);
    end();
}

static void deadlines(void **state)
{
    (void)state;
    begin(&device, 1, true);
    spin();
    loop_sleep(&loop, now_ns, now_ns); /* due */
    loop_sleep(&loop, now_ns, now_ns - 1);
    assert_int_equal(slept(), 0);
    /* Until then, not for a second: a hundred of them are over before the test's time is. */
    uint64_t from_ns = loop_now_ns();
    for (int i = 0; i < 100; i++)
        loop_sleep(&loop, now_ns, now_ns + 100000);
    assert_int_equal(slept(), 100);
    assert_true(loop_now_ns() - from_ns >= 100 * UINT64_C(100000)); /* never early */
    assert_true(loop_now_ns() - from_ns < 90 * BASE_NS_S);
    end();
}

static void never_sleeps(void **state)
{
    const int none = -1;

    (void)state;
    begin(&none, 1, false);
    for (int i = 0; i < 1000; i++, now_ns += BASE_NS_MS) {
        assert_false(loop_idle(&loop, i % 10 == 0, now_ns));
        assert_int_equal(atomic_load(&loop.beat_ns), now_ns);
    }
    end();
}

static int open_device(void **state)
{
    (void)state;
    device = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return device < 0;
}

static int close_device(void **state)
{
    (void)state;
    return close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(naps),          cmocka_unit_test(rests),
        cmocka_unit_test(without_rests), cmocka_unit_test(deadlines),
        cmocka_unit_test(never_sleeps),
    };

    return cmocka_run_group_tests(tests, open_device, close_device);
}
