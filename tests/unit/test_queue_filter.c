/* Words of an operator's command: which are filters, what each means, which messages it hits. */
#include "unit.h"

#include "base_time.h"
#include "queue_filter.h"
#include "spool_status.h"

#include <errno.h>
#include <stdlib.h>

#define S    BASE_NS_S
#define WALL (UINT64_C(1700000000) * S)

static const struct queue_config config = {
    .backoff_min_ns = 300 * S, .backoff_max_ns = 4000 * S, .lifetime_ns = 5 * 86400 * S, .seed = 7};

static struct spool_id id_of(uint32_t n)
{
    return spool_id_make(WALL + n, 1, 0, n);
}

/* From "two words"@x.org to a@one.org (delivered), b@two.org (451 4.2.1, words), c@three.org (450
 * 4.7.13), d@four.org (no reply, 4.4.1). */
static struct spool_arrival *arrival_make(void)
{
    static const struct spool_outcome outcomes[] = {
        {.recipient = 0, .state = SPOOL_OUTCOME_DELIVERED, .code = 250, .enhanced = 2000000},
        {.recipient = 1, .state = SPOOL_OUTCOME_QUEUED},
        {.recipient = 2,
         .state = SPOOL_OUTCOME_DEFERRED,
         .code = 450,
         .enhanced = 4007013,
         .attempt_cnt = 3,
         .next_wall_ns = WALL + 900 * S},
        {.recipient = 3,
         .state = SPOOL_OUTCOME_DEFERRED,
         .enhanced = 4004001,
         .attempt_cnt = 1,
         .next_wall_ns = WALL + 900 * S},
    };
    static const char *const to[] = {"a@one.org", "b@two.org", "c@three.org", "d@four.org"};
    struct spool_arrival *a = calloc(1, sizeof(*a) + sizeof(outcomes) + 512);
    assert_non_null(a);
    a->outcomes = (struct spool_outcome *)(void *)(a + 1);
    a->envelope = (uint8_t *)(a->outcomes + 4);
    a->recipient_cnt = 4;
    a->held = true;
    memcpy(a->outcomes, outcomes, sizeof(outcomes));
    struct base_buf b = {.p = a->envelope, .cap = 512};
    uint8_t wall[8];
    base_put_le64(wall, WALL);
    int rc = spool_envelope_put(&b, SPOOL_ENVELOPE_SENDER, base_span_str("\"two words\"@x.org")) |
             spool_envelope_put(&b, SPOOL_ENVELOPE_ARRIVAL, base_span_of(wall, 8));
    for (int i = 0; i < 4; i++)
        rc |= spool_envelope_put(&b, SPOOL_ENVELOPE_RECIPIENT, base_span_str(to[i]));
    assert_int_equal(rc, 0);
    a->envelope_len = (uint32_t)b.len;
    return a;
}

static struct queue *queue_make(void)
{
    struct queue *q;
    struct queue_job job;
    struct spool_outcome out[1];
    struct spool_id id = id_of(1);
    struct queue_result result = {
        .recipient = 1, .code = 451, .enhanced = 4002001, .state = SPOOL_OUTCOME_DEFERRED};
    assert_int_equal(queue_init(&q, &config), 0);
    assert_int_equal(queue_add(q, &id, arrival_make(), 0, WALL), 0);
    assert_false(queue_next(q, &job, 1)); /* held since it arrived */
    assert_int_equal(queue_hold(q, &id, false), 0);
    assert_true(queue_next(q, &job, 1));
    assert_int_equal(job.recipient_cnt, 1);
    queue_note(q, job.message, 1, base_span_str("4.2.1 mailbox ASLEEP"));
    assert_false(queue_done(q, &job, &result, out, 1, WALL));
    assert_int_equal(out[0].enhanced, 4002001);
    return q;
}

struct row {
    const char *words;
    int hits; /* 0 or 1; -1: wrong */
};

static const struct row rows[] = {
    {"", 1},
    {"   ", 1},
    {"--all --json", 1},
    {"--sender '\"two words\"@X.org'", 1},
    {"--sender '<\"two words\"@x.org>'", 1},
    {"--sender s@x.org", 0},
    {"--sender <>", 0},
    {"--recipient b@two.org", 1},
    {"--recipient <B@TWO.org>", 1},
    {"--recipient a@one.org", 0}, /* delivered */
    {"--recipient two.org", 0},
    {"--recipient b@two.org --code 4.7.13", 0},
    {"--recipient b@two.org --domain two.org", 1},
    {"--recipient b@two.org --domain three.org", 0},
    {"--recipient", -1},
    {"--limit 1", 1},
    {"--limit 999999999", 1},
    {"--limit 0", -1},
    {"--limit x", -1},
    {"--limit", -1},
    {"--after 01234567890123456789012345", 1}, /* where to begin is no condition */
    {"--after 0123456789012345678901234", -1},
    {"--after", -1},
    {"--domain two.org", 1},
    {"--domain TWO.org", 1},
    {"--domain one.org", 0}, /* delivered */
    {"--older 99", 1},
    {"--older 101", 0},
    {"--state deferred", 1},
    {"--state failed", 0},
    {"--state held", 0},
    {"--code 451", 1},
    {"--code 45x", 1},
    {"--code 4XX", 1},
    {"--code 2xx", 0}, /* of the delivered one alone */
    {"--code 452", 0},
    {"--code 44x", 0},
    {"--code 4.2.1", 1},
    {"--code 4.2.x", 1},
    {"--code 4.x.x", 1},
    {"--code 4.7.13", 1},
    {"--code 4.7.1", 0},
    {"--code 5.x.x", 0},
    {"--code 4.7.13 --domain three.org", 1},
    {"--code 4.7.13 --domain two.org", 0}, /* one recipient has to meet both */
    {"--code 450 --code 451", 1},          /* the last one holds */
    {"--reason asleep", 1},
    {"--reason \"mailbox asleep\"", 1},
    {"--reason 'x asl'", 1},
    {"--reason asleepy", 0},
    {"--reason asleep --domain three.org", 0}, /* words are about the second */
    {"--reason 4.7.13", 1},
    {"--reason 450", 1},
    {"--reason '450 4.7'", 1},
    {"--reason 4.4.1 --domain four.org", 1},
    {"--reason 000 --domain four.org", 0}, /* no reply is no code */
    {"--reason '-x'", 0},
    {"--older", -1},
    {"--older 1x", -1},
    {"--older 1234567890", -1},
    {"--state x", -1},
    {"--code", -1},
    {"--code 4", -1},
    {"--code 4x1", -1},
    {"--code 199", -1},
    {"--code xxx", -1},
    {"--code 4512", -1},
    {"--code 4.7", -1},
    {"--code 4.7.", -1},
    {"--code 4.x.1", -1},
    {"--code 4.7.1x", -1},
    {"--code 4.7.1.1", -1},
    {"--code 44.7.1", -1},
    {"--code 0.0.0", -1},
    {"--code x.7.1", -1},
    {"--code 4.7.1234", -1},
    {"--reason", -1},
    {"--reason ''", -1},
    {"--reason 'open", -1},
    {"--reason \"a\"b", -1},
    {"--reason '", -1},
    {"'--all'", -1}, /* in quotes it is no option */
    {"nonsense", -1},
    {"--what 1", -1},
    {"''", -1},
};

static const struct row *row_now;

static bool look(void *user, const struct queue_entry *e)
{
    struct queue_filter *f = user;
    if (queue_filter_match(f, e, WALL + 100 * S) != row_now->hits)
        fail_msg("%s", row_now->words);
    return true;
}

static void test_rows(void **state)
{
    (void)state;
    struct queue *q = queue_make();
    struct queue_filter f;
    struct base_span bad;
    struct spool_id none = {{0}};
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        row_now = &rows[i];
        int rc = queue_filter_parse(&f, base_span_str(rows[i].words), &bad);
        if (rc != (rows[i].hits < 0 ? -EINVAL : 0))
            fail_msg("%s: %d", rows[i].words, rc);
        if (rc == 0)
            queue_each(q, &none, 9, look, &f);
    }
    queue_fini(q);
}

static void test_id(void **state)
{
    (void)state;
    struct queue_filter f;
    struct base_span bad;
    struct spool_id id = id_of(256);
    char text[SPOOL_ID_TEXT_LEN + 1];
    spool_id_format(text, &id);
    assert_int_equal(queue_filter_parse(&f, base_span_str(text), &bad), 0);
    assert_true(f.by_id && queue_filter_narrows(&f) && spool_id_eq(&f.id, &id));
    struct spool_id start = queue_filter_start(&f);
    assert_int_equal(memcmp(start.b, id.b, 14), 0);
    assert_int_equal(start.b[15], 255);
    assert_int_equal(start.b[14], id.b[14] - 1);
    static const char *const narrow[] = {"--sender <>", "--older 1",  "--state held",
                                         "--reason x",  "--code 4xx", "--code 4.x.x"};
    for (size_t i = 0; i < BASE_ARRAY_CNT(narrow); i++) {
        assert_int_equal(queue_filter_parse(&f, base_span_str(narrow[i]), &bad), 0);
        assert_true(queue_filter_narrows(&f));
    }
    assert_int_equal(queue_filter_parse(&f, base_span_str("--all"), &bad), 0);
    assert_true(f.all && !queue_filter_narrows(&f) && !queue_filter_pages(&f));
}

/* A piece of a list: no conditions, and the walk begins behind the message that is named. */
static void test_pages(void **state)
{
    (void)state;
    struct queue_filter f;
    struct base_span bad;
    struct spool_id id = id_of(256), none = {{0}}, start;
    char text[64] = "--limit 7 --after ";
    assert_int_equal(queue_filter_parse(&f, base_span_str("--limit 7"), &bad), 0);
    assert_true(f.limit == 7 && queue_filter_pages(&f) && !queue_filter_narrows(&f));
    start = queue_filter_start(&f);
    assert_true(spool_id_eq(&start, &none));
    spool_id_format(text + strlen(text), &id);
    assert_int_equal(queue_filter_parse(&f, base_span_str(text), &bad), 0);
    assert_true(queue_filter_pages(&f) && !queue_filter_narrows(&f));
    start = queue_filter_start(&f);
    assert_true(spool_id_eq(&start, &id));
}

static bool entry_take(void *user, const struct queue_entry *e)
{
    *(struct queue_entry *)user = *e;
    return false;
}

/* As if never tried, but for what is delivered; the hold ends; what is in a job stays as it is. */
static void test_requeue(void **state)
{
    (void)state;
    struct queue *q = queue_make();
    struct queue_entry e;
    struct queue_usage u;
    struct queue_job job;
    struct spool_id id = id_of(1), other = id_of(2), none = {{0}};
    assert_int_equal(queue_hold(q, &id, true), 0);
    queue_usage(q, &u);
    assert_int_equal(u.deferred_cnt, 3);
    assert_int_equal(queue_requeue(q, &other, 50), -ENOENT);
    assert_int_equal(queue_requeue(q, &id, 50), 0);
    queue_usage(q, &u);
    assert_int_equal(u.deferred_cnt, 0);
    assert_int_equal(u.recipient_cnt, 3);
    queue_each(q, &none, 1, entry_take, &e);
    assert_false(e.held);
    assert_int_equal(e.words.len, 0);
    assert_int_equal(queue_entry_outcome(&e, 0).state, SPOOL_OUTCOME_DELIVERED);
    for (uint32_t i = 1; i < 4; i++) {
        const struct spool_outcome is = queue_entry_outcome(&e, i);
        const struct spool_outcome fresh = {.recipient = i, .next_wall_ns = is.next_wall_ns};
        assert_memory_equal(&is, &fresh, sizeof(fresh));
        assert_in_range(is.next_wall_ns, WALL - S, WALL + S); /* due: ages go by it */
    }
    assert_true(queue_deadline(q) <= 50);
    assert_true(queue_next(q, &job, 50));
    assert_int_equal(queue_requeue(q, &id, 60), -EBUSY);
    queue_put_back(q, &job, 70);
    assert_int_equal(queue_delete(q, &id), 0);
    assert_int_equal(queue_requeue(q, &id, 80), -ENOENT);
    assert_int_equal(queue_remove(q, &id), 0);
    queue_fini(q);
}

static void test_status(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t status;
    } table[] = {{"5.1.1", 5001001},
                 {"4.0.0", 4000000},
                 {"2.999.999", 2999999},
                 {"4.007.1", 4007001},
                 {"", 0},
                 {"3.1.1", 0},
                 {"5.1", 0},
                 {"5.1.", 0},
                 {"5.1.1 ", 0},
                 {"5.1.1111", 0},
                 {"5..1", 0},
                 {"55.1.1", 0},
                 {"x.1.1", 0},
                 {"5.1.1.1", 0}};
    char out[SPOOL_STATUS_TEXT_CAP];
    for (size_t i = 0; i < BASE_ARRAY_CNT(table); i++)
        assert_int_equal(spool_status_parse(base_span_str(table[i].text)), table[i].status);
    spool_status_format(out, 5001001);
    assert_string_equal(out, "5.1.1");
    spool_status_format(out, 2999999);
    assert_string_equal(out, "2.999.999");
    spool_status_format(out, 0);
    assert_string_equal(out, "");
    spool_status_format(out, UINT32_MAX);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),    cmocka_unit_test(test_id),     cmocka_unit_test(test_pages),
        cmocka_unit_test(test_requeue), cmocka_unit_test(test_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
