/* Destinations with limits for all of them together, and suspended ones. */
#include "unit.h"

#include "queue_rig.h"

#include <stdio.h>

#define S    BASE_NS_S
#define MS   BASE_NS_MS
#define WALL (UINT64_C(1700000000) * S)

static struct queue_config config = {.backoff_min_ns = 300 * S,
                                     .backoff_max_ns = 4000 * S,
                                     .lifetime_ns = 5 * 86400 * S,
                                     .warn_after_ns = 4 * 3600 * S,
                                     .destination_max = 20,
                                     .job_max = 40,
                                     .seed = 7};
static struct queue *q;
static uint64_t now;
static uint32_t number; /* of the last message */

/* "g1-a.example": of group 1. */
static uint32_t group_by_name(void *user, struct base_span name, uint32_t group)
{
    (void)user;
    return name.len > 2 && name.p[0] == 'g' && name.p[2] == '-' ? (uint32_t)(name.p[1] - '0')
                                                                : group;
}

static int open_queue(void **state)
{
    static const struct queue_group_limits none;
    (void)state;
    now = S;
    number = 0;
    config.group = group_by_name;
    assert_int_equal(queue_init(&q, &config), 0);
    queue_clock(q, now, WALL);
    assert_int_equal(queue_group_limit(q, 1, &none), 0);
    assert_int_equal(queue_group_limit(q, 2, &none), 0);
    return 0;
}

static int close_queue(void **state)
{
    (void)state;
    queue_fini(q);
    return 0;
}

static void add_to(const char *sender, const char *to, uint32_t cnt)
{
    struct spool_id id = spool_id_make(WALL + number, 1, 0, number);
    struct base_span r[200];
    number++;
    for (uint32_t i = 0; i < cnt; i++)
        r[i] = base_span_str(to);
    struct spool_arrival *a =
        queue_rig_arrival(base_span_str(sender), r, cnt, WALL + now, false, NULL);
    assert_int_equal(queue_add(q, &id, a, now, WALL + now), 0);
}

static void add(const char *sender, const char *to)
{
    add_to(sender, to, 1);
}

static void limit(uint32_t group, struct queue_group_limits limits)
{
    assert_int_equal(queue_group_limit(q, group, &limits), 0);
}

static bool end(struct queue_job *job, uint8_t state, uint16_t code)
{
    struct spool_outcome out[QUEUE_JOB_RCPT_MAX];
    return queue_rig_end(q, job, state, code, now, WALL + now, out);
}

static void delivered(struct queue_job *job)
{
    assert_true(end(job, SPOOL_OUTCOME_DELIVERED, 250));
    assert_int_equal(queue_remove(q, &job->id), 0);
}

/* Jobs that may be out now. */
static uint32_t take_all(struct queue_job *jobs, uint32_t cap)
{
    uint32_t n = 0;
    while (n < cap && queue_next(q, &jobs[n], now))
        n++;
    return n;
}

/* The destinations answer: they have more places than one. */
static void known(const char *const *to, uint32_t cnt)
{
    static struct queue_job job;
    for (uint32_t i = 0; i < cnt; i++)
        add("s@x.org", to[i]);
    while (queue_next(q, &job, now))
        delivered(&job);
}

/* One limit for all; others have their places while it is reached. */
static void limit_holds_for_all(void **state)
{
    (void)state;
    static const char *const to[] = {"r@g1-a.example", "r@g1-b.example", "r@other.example"};
    static struct queue_job job[64];
    uint32_t grouped = 0;
    known(to, 3);
    limit(1, (struct queue_group_limits){.job_max = 3});
    for (int i = 0; i < 30; i++)
        add("s@x.org", to[i % 3]);
    uint32_t n = take_all(job, 64);
    for (uint32_t i = 0; i < n; i++)
        grouped += job[i].domain.p[0] == 'g';
    assert_int_equal(grouped, 3);
    assert_int_equal(n - grouped, QUEUE_WINDOW_START);
    assert_true(queue_deadline(q) > now);
    for (uint32_t i = 0; i < n; i++)
        if (job[i].domain.p[0] == 'g') {
            delivered(&job[i]);
            assert_int_equal(take_all(job, 64), 1); /* one comes for one that goes */
            return;
        }
}

/* Within the group destinations take turns, and so do their senders. */
static void turns_within(void **state)
{
    (void)state;
    static const char *const to[] = {"r@g1-a.example", "r@g1-b.example", "r@g1-c.example"};
    struct queue_job job;
    char seen[7] = "";
    known(to, 3);
    limit(1, (struct queue_group_limits){.job_max = 1});
    for (int i = 0; i < 300; i++)
        add("bulk@x.org", to[0]);
    for (int i = 0; i < 3; i++) {
        add("bulk@x.org", to[1]);
        add("bulk@x.org", to[2]);
    }
    add("one@x.org", to[0]);
    bool one = false;
    for (int i = 0; i < 6; i++) {
        assert_true(queue_next(q, &job, now));
        seen[i] = (char)job.domain.p[3];
        one |= base_span_eq(job.sender, base_span_str("one@x.org"));
        delivered(&job);
    }
    assert_memory_equal(seen, seen + 3, 3);
    assert_true(seen[0] != seen[1] && seen[1] != seen[2] && seen[0] != seen[2]);
    assert_true(one);
}

/* With many domains of one provider each has as many turns as one of its own. */
static void turns_beside(void **state)
{
    (void)state;
    static const char *const to[] = {"r@g1-a.example", "r@g1-b.example", "r@g1-c.example",
                                     "r@alone.example"};
    struct queue_job job;
    uint32_t alone = 0;
    known(to, 4);
    for (int i = 0; i < 100; i++)
        for (int k = 0; k < 4; k++)
            add("s@x.org", to[k]);
    for (int i = 0; i < 80; i++) {
        assert_true(queue_next(q, &job, now));
        alone += job.domain.p[0] == 'a';
        delivered(&job);
    }
    assert_in_range(alone, 19, 21);
}

static void pace_of_jobs(void **state)
{
    (void)state;
    static const char *const to[] = {"r@g2-a.example"};
    static struct queue_job job[300];
    known(to, 1);
    for (int i = 0; i < 300; i++)
        add("s@x.org", to[0]);
    limit(2, (struct queue_group_limits){.job_gap_ns = 6 * S}); /* 10 a minute */
    for (int i = 0; i < 5; i++) {
        assert_true(queue_next(q, &job[0], now));
        assert_false(queue_next(q, &job[1], now));
        assert_int_equal(queue_deadline(q), now + 6 * S);
        delivered(&job[0]);
        now += 6 * S;
    }
    now += 600 * S; /* what was missed is not made up for */
    assert_true(queue_next(q, &job[0], now));
    assert_false(queue_next(q, &job[1], now));
    delivered(&job[0]);
    uint32_t cnt = 0;
    limit(2, (struct queue_group_limits){.job_gap_ns = 2 * MS}); /* 500 a second */
    for (now += 10 * S; cnt < 250; now += 10 * MS)
        for (int n = 0; queue_next(q, &job[0], now); n++, cnt++) {
            assert_in_range(n, 0, 55);
            delivered(&job[0]);
        }
}

/* A job goes whole, the next one waits for its recipients; none has more than it may. */
static void recipients(void **state)
{
    (void)state;
    struct queue_job job;
    limit(1, (struct queue_group_limits){.rcpt_max = 30, .rcpt_gap_ns = S});
    add_to("s@x.org", "r@g1-a.example", 50);
    assert_true(queue_next(q, &job, now));
    assert_int_equal(job.recipient_cnt, 30);
    assert_false(end(&job, SPOOL_OUTCOME_DELIVERED, 250));
    now += 30 * S - 1;
    assert_false(queue_next(q, &job, now));
    now += 1;
    assert_true(queue_next(q, &job, now));
    assert_int_equal(job.recipient_cnt, 20);
    delivered(&job);
}

/* The group is known by the first job only: what was begun counts, and waits if it has no place. */
static void joins_later(void **state)
{
    (void)state;
    struct queue_job first, second, third;
    struct queue_group_entry e;
    limit(1, (struct queue_group_limits){.job_max = 1});
    add("s@x.org", "r@a.example");
    add("s@x.org", "r@b.example");
    assert_true(queue_next(q, &first, now) && queue_next(q, &second, now));
    assert_true(queue_group_join(q, &first, 1));
    assert_true(queue_group_join(q, &first, 1)); /* again: nothing */
    assert_false(queue_group_join(q, &second, 1));
    queue_put_back(q, &second, now);
    assert_false(queue_next(q, &third, now));
    assert_true(queue_group_look(q, 1, &e));
    assert_true(e.destination_cnt == 2 && e.job_cnt == 1 && e.recipient_cnt == 2);
    delivered(&first);
    assert_true(queue_next(q, &third, now));
    assert_int_equal(third.group, 1);
    assert_true(queue_group_join(q, &third, 1));
    queue_group_dissolve(q, 1);
    assert_false(queue_group_look(q, 1, &e));
    delivered(&third);
    assert_false(queue_group_look(q, QUEUE_GROUP_MAX, &e));
}

static struct queue_destination_entry entry;
static bool take_entry(void *user, const struct queue_destination_entry *e)
{
    (void)user;
    entry = *e;
    return true;
}

static enum queue_suspension told;
static bool take_told(void *user, const struct queue_entry *e)
{
    struct base_span name;
    uint32_t group;
    (void)user;
    told = queue_entry_suspension(e, 0, &name, &group);
    return true;
}

/* Nothing goes there, nothing of it expires; the sender hears of the delay; then there is a try. */
static void suspended(void **state)
{
    (void)state;
    static const struct spool_id zero;
    struct queue_job job;
    struct queue_result r = {.state = SPOOL_OUTCOME_DEFERRED};
    struct spool_outcome out;
    bool warned = false;
    assert_int_equal(queue_suspend(q, base_span_str("One.Example"), true), 0);
    queue_each_destination(q, 0, 10, take_entry, NULL);
    assert_true(entry.suspended && entry.queued_cnt == 0);
    add("s@x.org", "r@one.example");
    add("s@x.org", "r@two.example");
    assert_true(queue_next(q, &job, now));
    assert_int_equal(job.domain.p[0], 't');
    delivered(&job);
    assert_false(queue_next(q, &job, now));
    queue_each(q, &zero, 1, take_told, NULL);
    assert_int_equal(told, QUEUE_SUSPENDED_ITSELF);
    for (uint64_t until = now + 6 * 86400 * S; now < until; now = queue_deadline(q)) {
        if (!queue_next(q, &job, now))
            continue;
        assert_true(job.set_aside && job.suspended);
        r.state = SPOOL_OUTCOME_DEFERRED;
        queue_judge(q, &job, &r);
        warned |= job.warn;
        assert_int_equal(r.state, SPOOL_OUTCOME_DEFERRED);
        assert_false(queue_done(q, &job, &r, &out, now, WALL + now));
    }
    assert_true(warned && out.age_min >= 5 * 24 * 60);
    assert_int_equal(queue_suspend(q, base_span_str("one.example"), false), 0);
    assert_true(queue_next(q, &job, now));
    assert_false(job.set_aside);
    queue_judge(q, &job, &r);
    assert_int_equal(r.state, SPOOL_OUTCOME_FAILED); /* by an attempt */
    assert_true(queue_done(q, &job, &r, &out, now, WALL + now));
    assert_int_equal(queue_remove(q, &job.id), 0);
}

static void group_suspended(void **state)
{
    (void)state;
    static const struct spool_id zero;
    struct queue_job job;
    struct queue_group_entry e;
    queue_group_suspend(q, 1, true);
    add("s@x.org", "r@g1-a.example");
    assert_false(queue_next(q, &job, now));
    queue_each(q, &zero, 1, take_told, NULL);
    assert_int_equal(told, QUEUE_SUSPENDED_GROUP);
    assert_true(queue_group_look(q, 1, &e) && e.suspended);
    queue_group_suspend(q, 1, false);
    queue_group_pause(q, 1, now + 20 * S);
    assert_false(queue_next(q, &job, now));
    assert_int_equal(queue_deadline(q), now + 20 * S);
    now += 20 * S;
    assert_true(queue_next(q, &job, now));
    delivered(&job);
}

/* A failure's own time in place of the back-off. */
static void own_wait(void **state)
{
    (void)state;
    struct queue_job job;
    struct spool_outcome out;
    add("s@x.org", "r@one.example");
    assert_true(queue_next(q, &job, now));
    struct queue_result r = {.state = SPOOL_OUTCOME_DEFERRED, .code = 421, .wait_ns = 10 * S};
    assert_false(queue_done(q, &job, &r, &out, now, WALL + now));
    assert_in_range(queue_deadline(q), now + 9 * S, now + 13 * S);
}

/* Destinations that refuse at once would have two of three turns: a failure is paid for. */
static void failures_are_paid_for(void **state)
{
    (void)state;
    static const char *const to[] = {"r@live.example"};
    struct queue_job job;
    uint32_t live = 0, dead = 0;
    char name[32];
    known(to, 1);
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "r@dead%d.example", i);
        add("s@x.org", name);
        add("s@x.org", to[0]);
    }
    while (live < 500) {
        assert_true(queue_next(q, &job, now));
        if (job.domain.p[0] == 'l') {
            live++;
            delivered(&job);
        } else {
            dead++;
            assert_false(end(&job, SPOOL_OUTCOME_DEFERRED, 0));
        }
    }
    assert_in_range(dead, 10, 60);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_queue, close_queue)
    const struct CMUnitTest tests[] = {
        CASE(limit_holds_for_all),
        CASE(turns_within),
        CASE(turns_beside),
        CASE(pace_of_jobs),
        CASE(recipients),
        CASE(joins_later),
        CASE(suspended),
        CASE(group_suspended),
        CASE(own_wait),
        CASE(failures_are_paid_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
