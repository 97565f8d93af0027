/* The delivery queue in virtual time. */
#include "unit.h"

#include "base_rand.h"
#include "base_time.h"
#include "queue.h"
#include "queue_filter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define S    BASE_NS_S
#define WALL (UINT64_C(1700000000) * S)

static const struct queue_config config = {
    .backoff_min_ns = 300 * S, .backoff_max_ns = 4000 * S, .lifetime_ns = 5 * 86400 * S, .seed = 7};

static struct spool_id id_of(uint32_t n)
{
    return spool_id_make(WALL + n, 1, 0, n);
}

/* Like the spool makes it, in one allocation. */
static struct spool_arrival *arrival_of(const char *sender, const char *const *recipients,
                                        uint32_t cnt)
{
    size_t cap = 96 + 100 * (cnt + 1);
    uint8_t *p = calloc(1, sizeof(struct spool_arrival) + cnt * sizeof(struct spool_outcome) + cap);
    assert_non_null(p);
    struct spool_arrival *a = (struct spool_arrival *)(void *)p;
    a->outcomes = (struct spool_outcome *)(void *)(p + sizeof(*a));
    a->envelope = p + sizeof(*a) + cnt * sizeof(struct spool_outcome);
    a->recipient_cnt = cnt;
    a->content_bytes = 1234;
    struct base_buf b = {.p = a->envelope, .cap = cap};
    uint8_t wall[8];
    base_put_le64(wall, WALL);
    assert_int_equal(spool_envelope_put(&b, SPOOL_ENVELOPE_SENDER, base_span_str(sender)), 0);
    assert_int_equal(spool_envelope_put(&b, SPOOL_ENVELOPE_ARRIVAL, base_span_of(wall, 8)), 0);
    assert_int_equal(spool_envelope_put(&b, SPOOL_ENVELOPE_BODY_8BIT, base_span_of(NULL, 0)), 0);
    const uint8_t ret = SPOOL_ENVELOPE_RET_HDRS, notify = SPOOL_ENVELOPE_NOTIFY_DELAY;
    assert_int_equal(spool_envelope_put(&b, SPOOL_ENVELOPE_RET, base_span_of(&ret, 1)), 0);
    assert_int_equal(spool_envelope_put(&b, SPOOL_ENVELOPE_ENVID, base_span_str("Q+2B")), 0);
    assert_int_equal(spool_envelope_put(&b, SPOOL_ENVELOPE_SMTPUTF8, base_span_of(NULL, 0)), 0);
    assert_int_equal(spool_envelope_put(&b, SPOOL_ENVELOPE_REQUIRETLS, base_span_of(NULL, 0)), 0);
    assert_int_equal(spool_envelope_check(base_buf_span(&b)), -EINVAL); /* no recipient yet */
    for (uint32_t i = 0; i < cnt; i++) { /* NOTIFY for each second one, ORCPT for each third */
        a->outcomes[i].recipient = i;
        int rc = spool_envelope_put(&b, SPOOL_ENVELOPE_RECIPIENT, base_span_str(recipients[i]));
        if (i % 2 == 0)
            rc |= spool_envelope_put(&b, SPOOL_ENVELOPE_NOTIFY, base_span_of(&notify, 1));
        if (i % 3 == 0)
            rc |= spool_envelope_put(&b, SPOOL_ENVELOPE_ORCPT, base_span_str("rfc822;x"));
        assert_int_equal(rc, 0);
    }
    a->envelope_len = (uint32_t)b.len;
    return a;
}

static struct queue *queue_make(void)
{
    struct queue *q;
    assert_int_equal(queue_init(&q, &config), 0);
    return q;
}

static void add(struct queue *q, uint32_t n, const char *const *recipients, uint32_t cnt,
                uint64_t now)
{
    struct spool_id id = id_of(n);
    assert_int_equal(queue_add(q, &id, arrival_of("s@x.org", recipients, cnt), now, WALL + now), 0);
}

/* Times are kept in steps. */
#define STEP (UINT64_C(1) << 24)

static void assert_due(const struct queue *q, uint64_t ns)
{
    assert_in_range(queue_deadline(q), ns, ns + STEP);
}

static bool end(struct queue *q, const struct queue_job *job, uint8_t state, uint64_t now,
                uint64_t wall, struct spool_outcome *outcomes)
{
    struct queue_result results[QUEUE_JOB_RCPT_MAX];
    for (uint32_t i = 0; i < job->recipient_cnt; i++)
        results[i] =
            (struct queue_result){.recipient = job->recipients[i], .state = state, .code = 250};
    struct queue_job copy = *job;
    queue_judge(q, &copy, results);
    return queue_done(q, &copy, results, outcomes, now, wall);
}

/* Where a message came from, in each family, and from a spool that did not keep all of it. */
static void test_client(void **state)
{
    static const uint8_t four[18] = {[10] = 0xff, 0xff, 192, 0, 2, 1, 0x39, 0x30},
                         other[18] = {[10] = 0xff, 0xff, 198, 51, 100, 2, 25, 0},
                         six[18] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1, 0x39, 0x30}, none[18];
    static const uint8_t *const rows[][2] = {{NULL, NULL}, {four, NULL}, {six, NULL}, {four, other},
                                             {six, six},   {four, six},  {six, four}};
    static const char *const to[] = {"a@one.example"};
    struct queue *q = queue_make();

    (void)state;
    for (uint32_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct spool_arrival *a = arrival_of("s@x.org", to, 1);
        struct base_buf b = {.p = a->envelope, .len = a->envelope_len, .cap = a->envelope_len + 42};
        static const uint8_t type[2] = {SPOOL_ENVELOPE_CLIENT_ADDRESS,
                                        SPOOL_ENVELOPE_CLIENT_DESTINATION};
        uint8_t got[2][18];
        uint32_t cnt = 0;
        struct spool_id id = id_of(i + 1);
        struct queue_job job;
        for (int k = 0; k < 2; k++)
            if (rows[i][k] != NULL) {
                assert_int_equal(spool_envelope_put(&b, type[k], base_span_of(rows[i][k], 18)), 0);
                cnt++;
            }
        a->envelope_len = (uint32_t)b.len;
        assert_int_equal(queue_add(q, &id, a, 100, WALL + 100), 0);
        assert_true(queue_next(q, &job, 100));
        assert_int_equal(queue_client(job.message, got[0], got[1]), cnt);
        for (int k = 0; k < 2; k++)
            assert_memory_equal(got[k], rows[i][k] != NULL ? rows[i][k] : none, 18);
        assert_true(base_span_eq(job.sender, base_span_str("s@x.org")));
        assert_true(base_span_eq(job.envid, base_span_str("Q+2B")));
        assert_true(base_span_eq(queue_recipient(job.message, 0), base_span_str(to[0])));
        struct spool_outcome out[QUEUE_JOB_RCPT_MAX];
        assert_true(end(q, &job, SPOOL_OUTCOME_DELIVERED, 100, WALL, out));
    }
    queue_fini(q);
}

static void test_jobs_by_domain(void **state)
{
    (void)state;
    static const char *const to[] = {"a@One.example", "b@two.example", "c@one.EXAMPLE", "d"};
    struct queue *q = queue_make();
    struct queue_job job;
    struct spool_outcome out[QUEUE_JOB_RCPT_MAX];
    struct queue_usage u;
    struct spool_id id = id_of(1);

    assert_false(queue_next(q, &job, 10));
    assert_true(queue_deadline(q) == BASE_NS_NONE);
    add(q, 1, to, 4, 100);
    assert_int_equal(queue_deadline(q), 100);
    assert_true(queue_next(q, &job, 100));
    assert_int_equal(job.recipient_cnt, 2);
    assert_int_equal(job.recipients[0], 0);
    assert_int_equal(job.recipients[1], 2);
    assert_true(base_span_eq(job.domain, base_span_str("One.example")));
    assert_true(base_span_eq(job.sender, base_span_str("s@x.org")));
    assert_true(base_span_eq(queue_recipient(job.message, 2), base_span_str("c@one.EXAMPLE")));
    assert_true(job.body_8bit);
    assert_true(job.smtputf8);
    assert_true(job.requiretls);
    assert_int_equal(job.ret, SPOOL_ENVELOPE_RET_HDRS);
    assert_true(base_span_eq(job.envid, base_span_str("Q+2B")));
    for (uint32_t i = 0; i < 4; i++) { /* what is of the next one is not of this one */
        struct spool_envelope_recipient p = queue_recipient_params(job.message, i);
        assert_int_equal(p.notify, i % 2 == 0 ? SPOOL_ENVELOPE_NOTIFY_DELAY : 0);
        assert_int_equal(p.orcpt.len, i % 3 == 0 ? 8 : 0);
    }
    assert_int_equal(job.content_bytes, 1234);
    assert_int_equal(queue_remove(q, &id), -EBUSY);
    assert_false(end(q, &job, SPOOL_OUTCOME_DELIVERED, 100, WALL, out));
    assert_int_equal(out[1].recipient, 2);
    assert_int_equal(out[1].state, SPOOL_OUTCOME_DELIVERED);
    assert_int_equal(out[1].attempt_cnt, 1);
    assert_true(queue_next(q, &job, 100));
    assert_true(base_span_eq(job.domain, base_span_str("two.example")));
    struct queue_job local;
    assert_true(queue_next(q, &local, 100));
    assert_int_equal(local.domain.len, 0);
    assert_false(queue_next(q, &local, 100));
    queue_usage(q, &u);
    assert_int_equal(u.recipient_cnt, 2);
    assert_int_equal(u.active_cnt, 2);
    assert_false(end(q, &job, SPOOL_OUTCOME_DELIVERED, 100, WALL, out));
    assert_true(end(q, &local, SPOOL_OUTCOME_DELIVERED, 100, WALL, out));
    assert_int_equal(queue_remove(q, &id), 0);
    assert_int_equal(queue_remove(q, &id), -ENOENT);
    queue_usage(q, &u);
    assert_int_equal(u.message_cnt + u.recipient_cnt + u.active_cnt, 0);
    queue_fini(q);
}

/* Doubling from min to max with up to an eighth added; expiry only after an attempt. */
static void test_backoff(void **state)
{
    (void)state;
    static const char *const to[] = {"a@one.example"};
    struct queue *q = queue_make();
    struct queue_job job;
    struct spool_outcome out[1];
    uint64_t now = S, wall = WALL;

    add(q, 1, to, 1, now);
    for (uint32_t i = 1; i < 200; i++) {
        uint64_t base = i < 5 ? (300 * S) << (i - 1) : 4000 * S;
        assert_true(queue_next(q, &job, now));
        bool over = end(q, &job, SPOOL_OUTCOME_DEFERRED, now, wall, out);
        assert_int_equal(over, out[0].state == SPOOL_OUTCOME_FAILED);
        assert_int_equal(out[0].attempt_cnt, i);
        if (out[0].state == SPOOL_OUTCOME_FAILED)
            break;
        uint64_t wait = out[0].next_wall_ns - wall;
        assert_in_range(wait, base, base + base / 8 + STEP);
        assert_true(queue_deadline(q) <= now + wait);
        assert_false(queue_next(q, &job, now + wait - 1));
        now += wait;
        wall += wait;
    }
    assert_int_equal(out[0].state, SPOOL_OUTCOME_FAILED);
    assert_true(wall - WALL > 5 * 86400 * S);
    assert_true(queue_deadline(q) == BASE_NS_NONE);
    struct queue_usage u;
    queue_usage(q, &u);
    assert_int_equal(u.failed_cnt, 1);
    assert_int_equal(u.message_cnt, 1);
    queue_fini(q);
}

static void test_restart_and_clock(void **state)
{
    (void)state;
    static const struct {
        uint64_t next_wall, wall, wait;
    } rows[] = {
        {WALL + 100 * S, WALL, 100 * S},
        {WALL + 100 * S, WALL + 100 * S, 0},
        {WALL + 100 * S, WALL + 900 * S, 0},
        /* The clock jumped back by a year: no longer than the longest back-off. */
        {WALL, WALL - UINT64_C(31536000) * S, 4500 * S},
    };
    static const char *const to[] = {"a@one.example", "b@one.example", "c@one.example"};
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct queue *q = queue_make();
        struct spool_arrival *a = arrival_of("", to, 3);
        struct spool_id id = id_of(1);
        a->outcomes[0].state = SPOOL_OUTCOME_DELIVERED;
        a->outcomes[1].state = SPOOL_OUTCOME_DEFERRED;
        a->outcomes[1].next_wall_ns = rows[i].next_wall;
        a->outcomes[2].state = SPOOL_OUTCOME_FAILED;
        assert_int_equal(queue_add(q, &id, a, S, rows[i].wall), 0);
        assert_due(q, S + rows[i].wait);
        struct queue_job job;
        assert_int_equal(queue_flush_message(q, &id, S), 0);
        assert_true(queue_next(q, &job, S));
        assert_int_equal(job.recipient_cnt, 1);
        assert_int_equal(job.recipients[0], 1);
        queue_put_back(q, &job, 5 * S);
        assert_due(q, 5 * S);
        queue_fini(q);
    }
}

/* A message that lost bytes is due at once, and its next failure is final. */
static void test_damaged(void **state)
{
    (void)state;
    static const char *const to[] = {"a@one.example"};
    struct queue *q = queue_make();
    struct queue_job job;
    struct spool_outcome out[1];
    struct spool_id id = id_of(1), other = id_of(2);

    add(q, 1, to, 1, S);
    assert_true(queue_next(q, &job, S));
    assert_false(end(q, &job, SPOOL_OUTCOME_DEFERRED, S, WALL, out));
    assert_int_equal(out[0].state, SPOOL_OUTCOME_DEFERRED);
    assert_false(queue_next(q, &job, 2 * S));
    assert_int_equal(queue_damaged(q, &other, 2 * S), -ENOENT);
    assert_int_equal(queue_damaged(q, &id, 2 * S), 0);
    assert_true(queue_next(q, &job, 2 * S));
    assert_true(end(q, &job, SPOOL_OUTCOME_DEFERRED, 2 * S, WALL, out));
    assert_int_equal(out[0].state, SPOOL_OUTCOME_FAILED);
    assert_true(queue_deadline(q) == BASE_NS_NONE);
    queue_fini(q);
}

static void test_bad_arrivals(void **state)
{
    (void)state;
    static const char *const to[] = {"a@one.example"};
    struct queue *q = queue_make();
    struct spool_id id = id_of(1);
    struct spool_arrival *a = arrival_of("s", to, 1);
    a->envelope_len--;
    assert_int_equal(queue_add(q, &id, a, 1, WALL), -EINVAL);
    a = arrival_of("s", to, 1);
    a->recipient_cnt = 2;
    assert_int_equal(queue_add(q, &id, a, 1, WALL), -EINVAL);
    assert_int_equal(queue_add(q, &id, arrival_of("s", to, 1), 1, WALL), 0);
    assert_int_equal(queue_add(q, &id, arrival_of("s", to, 1), 1, WALL), -EEXIST);
    queue_fini(q);
}

static void test_many_recipients(void **state)
{
    (void)state;
    enum { CNT = 250 };
    static char text[CNT][32];
    static const char *to[CNT];
    bool seen[CNT] = {false};
    struct queue *q = queue_make();
    struct queue_job job[3];
    for (int i = 0; i < CNT; i++) {
        snprintf(text[i], sizeof(text[i]), "r%d@one.example", i);
        to[i] = text[i];
    }
    add(q, 1, to, CNT, 1);
    for (int k = 0; k < 3; k++) {
        assert_true(queue_next(q, &job[k], 1));
        queue_answer(q, &job[k], QUEUE_ANSWER_YES);
        for (uint32_t i = 0; i < job[k].recipient_cnt; i++) {
            assert_false(seen[job[k].recipients[i]]);
            seen[job[k].recipients[i]] = true;
        }
    }
    assert_int_equal(job[0].recipient_cnt, 100);
    assert_int_equal(job[2].recipient_cnt, 50);
    assert_false(queue_next(q, &job[0], 1));
    queue_fini(q);
}

struct walk {
    uint32_t cnt;
    struct spool_id last;
};

static bool walk_each(void *user, const struct queue_entry *e)
{
    struct walk *w = user;
    assert_true(memcmp(w->last.b, e->id.b, 16) < 0);
    assert_int_equal(e->arrival_wall_ns, WALL);
    w->last = e->id;
    w->cnt++;
    return true;
}

/* Random work against plain counting: order by due time, order by id, counts. */
static void test_random(void **state)
{
    (void)state;
    enum { CNT = 2000 };
    static const char *const to[] = {"a@one.example", "b@two.example"};
    static bool there[CNT];
    struct queue *q = queue_make();
    struct base_rand r;
    struct queue_usage u;
    uint64_t now = S;
    uint32_t cnt = 0;
    base_rand_init(&r, 11);
    for (int i = 0; i < 20000; i++) {
        uint32_t n = (uint32_t)base_rand_below(&r, CNT);
        struct spool_id id = id_of(n);
        uint64_t what = base_rand_below(&r, 4);
        struct queue_job job;
        struct spool_outcome out[2];
        if (what == 0 && !there[n]) {
            add(q, n, to, 2, now);
            there[n] = true;
            cnt++;
        } else if (what == 1) {
            int rc = queue_remove(q, &id);
            assert_int_equal(rc, there[n] ? 0 : -ENOENT);
            cnt -= there[n];
            there[n] = false;
        } else if (what == 2 && queue_next(q, &job, now)) {
            assert_int_equal(job.recipient_cnt, 1);
            if (end(q, &job,
                    base_rand_below(&r, 2) ? SPOOL_OUTCOME_DEFERRED : SPOOL_OUTCOME_DELIVERED, now,
                    WALL, out)) {
                there[base_be32(job.id.b + 12)] = false;
                cnt--;
                assert_int_equal(queue_remove(q, &job.id), 0);
            }
        } else if (what == 3) {
            now += base_rand_below(&r, 20 * S);
        }
    }
    struct walk w = {0};
    struct spool_id zero = {{0}};
    queue_each(q, &zero, UINT32_MAX, walk_each, &w);
    assert_int_equal(w.cnt, cnt);
    w = (struct walk){0};
    queue_each(q, &zero, 10, walk_each, &w);
    assert_int_equal(w.cnt, cnt < 10 ? cnt : 10);
    queue_usage(q, &u);
    assert_int_equal(u.message_cnt, cnt);
    uint64_t left = u.recipient_cnt;
    while (left > 0) {
        struct queue_job job;
        struct spool_outcome out[2];
        assert_true(queue_deadline(q) != BASE_NS_NONE);
        now = queue_deadline(q) > now ? queue_deadline(q) : now;
        if (!queue_next(q, &job, now))
            continue;
        left -= job.recipient_cnt;
        if (end(q, &job, SPOOL_OUTCOME_DELIVERED, now, WALL + now, out))
            assert_int_equal(queue_remove(q, &job.id), 0);
    }
    queue_usage(q, &u);
    assert_int_equal(u.active_cnt + u.message_cnt + u.recipient_cnt + u.destination_cnt, 0);
    queue_fini(q);
}

static bool count_match(void *user, const struct queue_entry *e)
{
    struct queue_filter f;
    struct base_span bad;
    assert_int_equal(queue_filter_parse(&f, base_span_str(*(const char **)user), &bad), 0);
    assert_true(queue_filter_match(&f, e, WALL + 100 * S));
    return true;
}

static bool count_no_match(void *user, const struct queue_entry *e)
{
    struct queue_filter f;
    struct base_span bad;
    assert_int_equal(queue_filter_parse(&f, base_span_str(*(const char **)user), &bad), 0);
    assert_false(queue_filter_match(&f, e, WALL + 100 * S));
    return true;
}

static void test_operator(void **state)
{
    (void)state;
    static const char *yes[] = {"", "--sender s@X.org", "--domain A.org --older 99",
                                "--state held --json"};
    static const char *no[] = {"--sender <>", "--domain b.org", "--older 101", "--state failed",
                               "--state deferred"};
    static const char *const wrong[] = {"--older", "--older 1x", "--state x", "nonsense",
                                        "--what 1"};
    static const char *const to[] = {"r@a.org"};
    struct queue *q = queue_make();
    struct queue_job job;
    struct queue_filter f;
    struct base_span bad;
    struct spool_id id = id_of(1), none = {{0}};
    struct spool_outcome out[1];

    add(q, 1, to, 1, 0);
    assert_int_equal(queue_hold(q, &id, true), 0);
    assert_false(queue_next(q, &job, 9999 * S));
    for (size_t i = 0; i < BASE_ARRAY_CNT(yes); i++)
        queue_each(q, &none, 9, count_match, &yes[i]);
    for (size_t i = 0; i < BASE_ARRAY_CNT(no); i++)
        queue_each(q, &none, 9, count_no_match, &no[i]);
    for (size_t i = 0; i < BASE_ARRAY_CNT(wrong); i++)
        assert_int_equal(queue_filter_parse(&f, base_span_str(wrong[i]), &bad), -EINVAL);
    assert_int_equal(queue_hold(q, &id, false), 0);
    assert_true(queue_next(q, &job, 1));
    assert_int_equal(queue_delete(q, &id), -EBUSY);
    queue_note(q, job.message, 0, base_span_str("later"));
    assert_false(end(q, &job, SPOOL_OUTCOME_DEFERRED, 1, WALL, out));
    assert_true(queue_deadline(q) > 10000 * S);
    assert_int_equal(queue_flush_message(q, &id, 9999 * S), 0);
    assert_int_equal(queue_deadline(q), 9999 * S);
    assert_int_equal(queue_delete(q, &id), 0);
    assert_int_equal(queue_delete(q, &id), -ENOENT);
    assert_false(queue_next(q, &job, 9999 * S));
    assert_int_equal(queue_remove(q, &id), 0);
    queue_fini(q);
}

/* A job ends for some of its recipients first, for the others when their sender is told. */
static void test_done_in_parts(void **state)
{
    (void)state;
    static const char *const to[] = {"a@one.example", "b@one.example", "c@one.example"};
    struct queue *q = queue_make();
    struct queue_job job, part;
    struct queue_usage u;
    struct spool_outcome out[QUEUE_JOB_RCPT_MAX];
    struct spool_id id = id_of(1);

    add(q, 1, to, 3, 0);
    assert_true(queue_next(q, &job, 0));
    assert_int_equal(job.recipient_cnt, 3);
    queue_answer(q, &job, QUEUE_ANSWER_YES);
    part = job;
    part.recipient_cnt = 2;
    job.recipients[0] = job.recipients[2];
    job.recipient_cnt = 1;
    assert_false(end(q, &part, SPOOL_OUTCOME_DELIVERED, 1, WALL, out));
    assert_int_equal(out[1].recipient, 1);
    assert_int_equal(queue_remove(q, &id), -EBUSY);
    queue_put_back(q, &job, 5 * S); /* the sender could not be told yet: as before the attempt */
    assert_due(q, 5 * S);
    assert_true(queue_next(q, &job, queue_deadline(q)));
    assert_int_equal(job.recipient_cnt, 1);
    assert_int_equal(job.recipients[0], 2);
    assert_true(end(q, &job, SPOOL_OUTCOME_FAILED, 6 * S, WALL, out));
    assert_int_equal(out[0].attempt_cnt, 1);
    queue_usage(q, &u);
    assert_int_equal(u.failed_cnt, 1);
    assert_int_equal(u.active_cnt, 0);
    assert_int_equal(queue_delete(q, &id), -ENOENT); /* its FREE is on the way */
    assert_int_equal(queue_remove(q, &id), 0);
    queue_fini(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_done_in_parts),   cmocka_unit_test(test_operator),
        cmocka_unit_test(test_client),          cmocka_unit_test(test_jobs_by_domain),
        cmocka_unit_test(test_backoff),         cmocka_unit_test(test_restart_and_clock),
        cmocka_unit_test(test_bad_arrivals),    cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_many_recipients), cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
