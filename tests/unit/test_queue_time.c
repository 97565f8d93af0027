/* Ages, and clocks that jump. */
#include "unit.h"

#include "queue_rig.h"

#include <errno.h>

#define S    BASE_NS_S
#define H    (3600 * S)
#define D    (24 * H)
#define Y    (365 * D)
#define WALL (UINT64_C(1700000000) * S)

static struct queue_config config = {.backoff_min_ns = 300 * S,
                                     .backoff_max_ns = 4000 * S,
                                     .lifetime_ns = 5 * D,
                                     .warn_after_ns = 4 * H,
                                     .seed = 7};
static struct queue *q;
static uint64_t now, wall;
static struct queue_job job;
static struct spool_outcome out[QUEUE_JOB_RCPT_MAX];

static void start(uint64_t start_wall)
{
    now = S;
    wall = start_wall;
    assert_int_equal(queue_init(&q, &config), 0);
    queue_clock(q, now, wall);
}

static void pass(uint64_t ns)
{
    now += ns;
    wall += ns;
    queue_clock(q, now, wall);
}

static struct spool_id add(uint32_t n, uint64_t arrival_wall, const struct spool_outcome *outcome)
{
    struct spool_id id = spool_id_make(WALL + n, 1, 0, n);
    struct base_span to = base_span_str("r@one.example");
    struct spool_arrival *a =
        queue_rig_arrival(base_span_str("s@x.org"), &to, 1, arrival_wall, false, outcome);
    assert_int_equal(queue_add(q, &id, a, now, wall), 0);
    return id;
}

/* One attempt that is answered with a 4xx. Returns its outcome. */
static const struct spool_outcome *attempt(void)
{
    assert_true(queue_next(q, &job, now));
    assert_false(job.set_aside);
    queue_rig_end(q, &job, SPOOL_OUTCOME_DEFERRED, 450, now, wall, out);
    return out;
}

/* Runs until it failed; returns how long that took. */
static uint64_t until_failed(void)
{
    uint64_t from = now;
    while (attempt()->state == SPOOL_OUTCOME_DEFERRED) {
        assert_true(out[0].next_wall_ns > wall);
        pass(out[0].next_wall_ns - wall);
    }
    return now - from;
}

static void jumps_do_not_expire(void **state)
{
    (void)state;
    static const int64_t jump[] = {0,      2 * H,   -2 * H, 3 * D,       -3 * D,
                                   30 * D, -30 * D, 20 * Y, -20 * Y + 0, 59 * 60 * S};
    for (size_t i = 0; i < BASE_ARRAY_CNT(jump); i++) {
        struct queue_usage u;
        start(WALL);
        add(1, wall, NULL);
        assert_int_equal(attempt()->state, SPOOL_OUTCOME_DEFERRED);
        pass(10 * S);
        wall += (uint64_t)jump[i];
        pass(0);
        queue_usage(q, &u);
        assert_int_equal(u.jump_cnt, jump[i] != 0 && jump[i] != 59 * 60 * (int64_t)S);
        pass(600 * S); /* its next attempt comes when it was to */
        assert_in_range(until_failed(), 5 * D - H, 5 * D + 5000 * S);
        queue_fini(q);
    }
}

/* What became known before the stop, and the time of the wall clock at the start. */
static void age_over_a_start(void **state)
{
    (void)state;
    static const struct {
        uint64_t age, next_wall, start_wall, left; /* running time that is left to it */
    } rows[] = {
        {0, 0, WALL, 5 * D},                         /* nothing known: the arrival, now */
        {0, 0, WALL + D, 4 * D},                     /* a day of downtime */
        {0, 0, WALL + 10 * Y, 5 * D / 2},            /* not plausible */
        {0, 0, WALL - 10 * Y, 5 * D},                /* nor that */
        {2 * D, WALL + 2 * D, WALL + 2 * D, 3 * D},  /* no downtime */
        {2 * D, WALL + 2 * D, WALL + 3 * D, 2 * D},  /* a day of it */
        {2 * D, WALL + 2 * D, WALL + 99 * D, D / 2}, /* no more than half of the lifetime */
        {2 * D, WALL + 2 * D, 0, 3 * D},             /* a clock without battery */
        {5 * D, WALL + 5 * D, WALL + 5 * D, 0},      /* one attempt */
        {40 * D, WALL + 5 * D, WALL + 10 * Y, 0},
    };
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct spool_outcome o = {.state = SPOOL_OUTCOME_DEFERRED,
                                  .attempt_cnt = 3,
                                  .code = 450,
                                  .age_min = (uint16_t)(rows[i].age / (60 * S)),
                                  .next_wall_ns = rows[i].next_wall};
        start(rows[i].start_wall);
        struct spool_id id = add(1, WALL, rows[i].next_wall != 0 ? &o : NULL);
        assert_int_equal(queue_flush_message(q, &id, now), 0);
        uint64_t ran = until_failed();
        assert_in_range(ran, rows[i].left, rows[i].left + 4500 * S + 60 * S);
        assert_int_equal(out[0].state, SPOOL_OUTCOME_FAILED);
        queue_fini(q);
    }
}

/* What goes to the journal brings the age over many starts without a clock. */
static void age_is_kept_over_starts(void **state)
{
    (void)state;
    struct spool_outcome o = {0};
    uint64_t ran = 0;
    int starts = 0;
    do {
        start(starts == 0 ? WALL : 0);
        struct spool_id id = add(1, WALL, starts > 0 ? &o : NULL);
        uint64_t from = now;
        assert_int_equal(queue_flush_message(q, &id, now), 0);
        while (now < from + 10 * H && attempt()->state == SPOOL_OUTCOME_DEFERRED)
            pass(out[0].next_wall_ns - wall);
        o = out[0];
        ran += now - from;
        queue_fini(q);
        starts++;
    } while (o.state == SPOOL_OUTCOME_DEFERRED);
    assert_in_range(starts, 10, 15);
    assert_in_range(ran, 5 * D, 5 * D + 15 * 5000 * S);
}

static bool take_outcome(void *user, const struct queue_entry *e)
{
    *(struct spool_outcome *)user = queue_entry_outcome(e, 0);
    return false;
}

/* A requeue makes nothing younger, over a start neither; what is past its lifetime has one more
 * attempt. */
static void age_after_requeue(void **state)
{
    (void)state;
    static const struct spool_id zero;
    struct spool_outcome o = {.state = SPOOL_OUTCOME_DEFERRED,
                              .code = 450,
                              .attempt_cnt = 30,
                              .age_min = 3 * 24 * 60,
                              .next_wall_ns = WALL};
    start(WALL);
    struct spool_id id = add(1, WALL - 3 * D, &o);
    pass(H);
    assert_int_equal(queue_requeue(q, &id, now), 0);
    queue_each(q, &zero, 1, take_outcome, &o);
    assert_int_equal(o.state, SPOOL_OUTCOME_QUEUED);
    assert_int_equal(o.attempt_cnt, 0);
    assert_int_equal(o.age_min, (3 * D + H) / (60 * S));
    queue_fini(q);
    start(WALL + H + D); /* the day of downtime counts */
    id = add(1, WALL - 3 * D, &o);
    assert_in_range(until_failed(), D - 2 * H, D + 4500 * S);
    assert_int_equal(queue_remove(q, &id), 0);
    o.age_min = 6 * 24 * 60;
    id = add(2, WALL - 6 * D, &o);
    assert_int_equal(queue_requeue(q, &id, now), 0);
    assert_int_equal(attempt()->state, SPOOL_OUTCOME_FAILED);
    assert_int_equal(queue_requeue(q, &id, now), -ENOENT);
    queue_fini(q);
}

/* It is attempted, though its destination is set aside. */
static void requeue_while_set_aside(void **state)
{
    (void)state;
    start(WALL);
    struct spool_id id = add(1, WALL, NULL);
    for (int i = 0; i < QUEUE_FAILS_MAX; i++) {
        assert_true(queue_next(q, &job, now));
        queue_rig_end(q, &job, SPOOL_OUTCOME_DEFERRED, 0, now, wall, out);
        pass(i < QUEUE_FAILS_MAX - 1 ? 2 * H : S);
    }
    assert_false(queue_next(q, &job, now));
    assert_int_equal(queue_requeue(q, &id, now), 0);
    assert_int_equal(attempt()->attempt_cnt, 1);
    queue_fini(q);
}

/* Young in this run, whatever the wall clock has done since it was stamped. */
static void an_arrival_amid_a_jump(void **state)
{
    (void)state;
    start(WALL);
    pass(60 * S);
    uint64_t stamp = wall;
    wall += 3 * Y;
    pass(S);
    add(1, stamp, NULL);
    assert_in_range(until_failed(), 5 * D - H, 5 * D + 5000 * S);
    queue_fini(q);
}

/* An attempt that was under way over a jump is not yet the one that fails it. */
static void one_attempt_after_a_jump(void **state)
{
    (void)state;
    struct spool_outcome o = {
        .state = SPOOL_OUTCOME_DEFERRED, .age_min = 6 * 24 * 60, .next_wall_ns = WALL};
    start(WALL);
    add(1, WALL, &o);
    assert_true(queue_next(q, &job, now));
    wall += D;
    pass(S);
    queue_rig_end(q, &job, SPOOL_OUTCOME_DEFERRED, 450, now, wall, out);
    assert_int_equal(out[0].state, SPOOL_OUTCOME_DEFERRED);
    pass(out[0].next_wall_ns - wall);
    assert_int_equal(attempt()->state, SPOOL_OUTCOME_FAILED);
    queue_fini(q);
}

/* Once for a message, given back when it could not be told, and known after a start. */
static void warning(void **state)
{
    (void)state;
    struct queue_result r;
    int warned = 0;
    uint64_t at = 0;
    start(WALL);
    add(1, wall, NULL);
    uint64_t from = now;
    while (now < from + 3 * D) {
        assert_true(queue_next(q, &job, now));
        r = (struct queue_result){.state = SPOOL_OUTCOME_DEFERRED, .code = 450};
        queue_answer(q, &job, QUEUE_ANSWER_YES);
        queue_judge(q, &job, &r);
        if (job.warn && warned++ == 0) {
            at = now - from;
            queue_put_back(q, &job, now);
            continue;
        }
        assert_false(queue_done(q, &job, &r, out, now, wall));
        assert_int_equal(out[0].flags, warned > 0 ? SPOOL_OUTCOME_WARNED : 0);
        pass(out[0].next_wall_ns - wall);
    }
    assert_int_equal(warned, 2);
    assert_in_range(at, 4 * H, 4 * H + 4500 * S);
    queue_fini(q);
    start(wall);
    add(1, WALL, out);
    pass(2 * H);
    assert_int_equal(attempt()->flags, SPOOL_OUTCOME_WARNED);
    assert_false(job.warn);
    queue_fini(q);
}

/* What waits for a destination set aside is warned of, has its age journalled, and expires, without
 * a try of its own; but only when the destination was tried since the start. */
static void age_while_set_aside(void **state)
{
    (void)state;
    enum { CNT = 50 };
    uint32_t warned = 0, noted = 0, failed = 0, tried = 0;
    start(WALL);
    for (uint32_t i = 0; i < CNT; i++)
        add(i, wall, NULL);
    uint64_t from = now;
    while (failed < CNT) {
        assert_true(now < from + 6 * D);
        if (!queue_next(q, &job, now)) {
            uint64_t due = queue_deadline(q);
            assert_true(due != BASE_NS_NONE);
            pass(due > now ? due - now : 0);
            continue;
        }
        struct queue_result r = {.state = SPOOL_OUTCOME_DEFERRED};
        if (!job.set_aside)
            queue_answer(q, &job, QUEUE_ANSWER_NO);
        tried += !job.set_aside;
        queue_judge(q, &job, &r);
        warned += job.warn;
        bool over = queue_done(q, &job, &r, out, now, wall);
        assert_int_equal(over, r.state == SPOOL_OUTCOME_FAILED);
        noted += job.set_aside && !over;
        failed += over;
        assert_true(!over || now >= from + 5 * D);
        assert_in_range(out[0].age_min, (now - from) / (60 * S), (now - from) / (60 * S) + 1);
        if (over)
            assert_int_equal(queue_remove(q, &job.id), 0);
    }
    assert_int_equal(warned, CNT);
    assert_in_range(noted, CNT * 5, CNT * 14);
    assert_in_range(tried, 100, 5 * 86400 / 4000 + 10);
    queue_fini(q);
}

/* Bytes are lost: given up even while the destination is set aside. */
static void damaged_while_set_aside(void **state)
{
    (void)state;
    struct spool_id id = {{0}};
    start(WALL);
    for (uint32_t i = 0; i <= QUEUE_FAILS_MAX; i++)
        id = add(i, wall, NULL);
    for (uint32_t i = 0; i < QUEUE_FAILS_MAX; i++) {
        assert_true(queue_next(q, &job, now));
        assert_false(queue_rig_end(q, &job, SPOOL_OUTCOME_DEFERRED, 0, now, wall, out));
    }
    assert_false(queue_next(q, &job, now));
    assert_int_equal(queue_damaged(q, &id, now), 0);
    pass(S);
    assert_true(queue_next(q, &job, now));
    assert_true(job.set_aside);
    assert_memory_equal(&job.id, &id, sizeof(id));
    assert_true(queue_rig_end(q, &job, SPOOL_OUTCOME_DEFERRED, 0, now, wall, out));
    queue_fini(q);
}

/* The monotonic clock may have run for years. */
static void long_uptime(void **state)
{
    (void)state;
    for (uint64_t years = 1; years < 12; years++) {
        start(WALL);
        pass(years * Y + years * 100 * D);
        add(1, wall, NULL);
        assert_in_range(until_failed(), 5 * D - H, 5 * D + 5000 * S);
        queue_fini(q);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jumps_do_not_expire),
        cmocka_unit_test(age_over_a_start),
        cmocka_unit_test(age_is_kept_over_starts),
        cmocka_unit_test(age_after_requeue),
        cmocka_unit_test(requeue_while_set_aside),
        cmocka_unit_test(an_arrival_amid_a_jump),
        cmocka_unit_test(one_attempt_after_a_jump),
        cmocka_unit_test(warning),
        cmocka_unit_test(age_while_set_aside),
        cmocka_unit_test(damaged_while_set_aside),
        cmocka_unit_test(long_uptime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
