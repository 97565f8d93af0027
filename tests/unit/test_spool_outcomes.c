/*
 * Outcomes through crashes and moves on the simulated disk: those of recipients with their enhanced
 * codes, and the message's own, which says whether it is held.
 */
#include "unit.h"

#include "base_time.h"
#include "disk_sim.h"
#include "spool.h"

#include <errno.h>
#include <stdlib.h>

enum { RECIPIENT_CNT = 3000, BYTES = 100000 };

struct bench {
    struct spool_disk disk;
    struct disk_sim_config disk_config;
    struct spool_config config;
    struct spool *spool;
    struct stats_block stats;
    uint64_t now_ns;
    struct spool_done last; /* completion of an OUTCOME */
    /* What was told of message watched. */
    struct spool_id watched;
    uint32_t told_cnt;
    bool held;
    uint32_t outcome_cnt;
    struct spool_outcome outcomes[RECIPIENT_CNT];
};

static uint8_t body[BYTES];
static uint8_t small[32], large[16 * RECIPIENT_CNT];
static uint32_t small_len, large_len;

static struct spool_id id_of(uint32_t n)
{
    return spool_id_make(1000, 1, 0, n);
}

static void settle(struct bench *b)
{
    struct spool_done d;
    for (int i = 0; i < 20000; i++) {
        b->now_ns += BASE_NS_MS;
        spool_run(b->spool, b->now_ns);
        while (spool_poll(b->spool, &d, 1) == 1) {
            if (d.op == SPOOL_OUTCOME)
                b->last = d;
            if (d.op == SPOOL_ARRIVED && spool_id_eq(&d.id, &b->watched)) {
                b->told_cnt++;
                b->held = d.arrival->held;
                b->outcome_cnt = d.arrival->recipient_cnt;
                memcpy(b->outcomes, d.arrival->outcomes, b->outcome_cnt * sizeof(b->outcomes[0]));
            }
            spool_arrival_free(d.arrival);
        }
        if (spool_idle(b->spool))
            return;
    }
    fail_msg("never idle");
}

static void bench_open(struct bench *b)
{
    char err[256] = "";
    b->config.seed++;
    if (spool_open(&b->spool, &b->config, b->now_ns, err, sizeof(err)) != 0)
        fail_msg("%s", err);
}

static struct bench *bench_make(void)
{
    struct bench *b = aligned_alloc(64, (sizeof(*b) + 63) & ~(size_t)63);
    assert_non_null(b);
    memset(b, 0, sizeof(*b));
    b->now_ns = BASE_NS_S;
    b->disk_config =
        (struct disk_sim_config){.seed = 1, .queue_depth = 32, .sector_bytes = 512, .delay_max = 3};
    assert_int_equal(disk_sim_open(&b->disk, &b->disk_config), 0);
    b->config = (struct spool_config){.disk = b->disk,
                                      .segment_bytes = 1 << 20,
                                      .segment_max = 8,
                                      .reserve_segments = 2,
                                      .commit_max = 4,
                                      .batch_bytes_max = 128 << 10,
                                      .stats = &b->stats};
    bench_open(b);
    return b;
}

static void bench_free(struct bench *b)
{
    spool_close(b->spool);
    disk_sim_close(&b->disk);
    free(b);
}

static void push(struct bench *b, uint32_t n, enum spool_op op, const void *p, uint32_t len)
{
    struct spool_entry e = {
        .id = id_of(n), .op = (uint8_t)op, .part = SPOOL_PART_BODY, .p = p, .len = len};
    assert_int_equal(spool_push(b->spool, &e), 0);
}

static void send(struct bench *b, uint32_t n, bool many)
{
    push(b, n, SPOOL_BEGIN, many ? large : small, many ? large_len : small_len);
    push(b, n, SPOOL_CHUNK, body, sizeof(body));
    push(b, n, SPOOL_COMMIT, NULL, 0);
    settle(b);
}

static int outcomes(struct bench *b, uint32_t n, const struct spool_outcome *o, uint32_t cnt)
{
    b->last.status = 1;
    push(b, n, SPOOL_OUTCOME, o, cnt * (uint32_t)sizeof(*o));
    settle(b);
    return b->last.status;
}

/* Power fails; what a start tells of message n. */
static void restart(struct bench *b, uint32_t n, bool held)
{
    disk_sim_crash(&b->disk);
    spool_close(b->spool);
    disk_sim_restart(&b->disk);
    b->watched = id_of(n);
    b->told_cnt = 0;
    bench_open(b);
    settle(b);
    assert_int_equal(b->told_cnt, 1);
    assert_int_equal(b->held, held);
    for (uint32_t i = 0; i < b->outcome_cnt; i++)
        assert_int_equal(b->outcomes[i].recipient, i);
}

/* Many times the size of the spool goes through: what stays is moved. */
static void churn(struct bench *b, uint32_t from)
{
    uint64_t moved = stats_get(&b->stats, STATS_SPOOL_MOVED_BYTES);
    for (uint32_t n = from; n < from + 200; n++) {
        send(b, n, false);
        push(b, n, SPOOL_FREE, NULL, 0);
        settle(b);
    }
    assert_true(stats_get(&b->stats, STATS_SPOOL_MOVED_BYTES) > moved);
}

static const struct spool_outcome hold = {.recipient = SPOOL_OUTCOME_MESSAGE, .state = 1};
static const struct spool_outcome let_go = {.recipient = SPOOL_OUTCOME_MESSAGE};
static const struct spool_outcome deferred = {.recipient = 0,
                                              .state = SPOOL_OUTCOME_DEFERRED,
                                              .code = 451,
                                              .enhanced = 4007001,
                                              .attempt_cnt = 2};

/* Before, behind and without outcomes of recipients; the last word holds. */
static void test_held(void **state)
{
    (void)state;
    struct bench *b = bench_make();
    for (uint32_t n = 0; n < 4; n++)
        send(b, n, false);
    assert_int_equal(outcomes(b, 0, &hold, 1), 0);
    const struct spool_outcome both[] = {hold, deferred};
    assert_int_equal(outcomes(b, 1, both, 2), 0);
    assert_int_equal(outcomes(b, 2, &deferred, 1), 0);
    assert_int_equal(outcomes(b, 2, &hold, 1), 0);
    assert_int_equal(outcomes(b, 2, &let_go, 1), 0);
    const struct spool_outcome wrong = {.recipient = 2};
    assert_int_equal(outcomes(b, 1, &wrong, 1), -EINVAL);
    assert_int_equal(outcomes(b, 99, &hold, 1), -ENOENT);
    for (uint32_t round = 1; round <= 3; round++) {
        restart(b, 0, true);
        assert_int_equal(b->outcomes[0].state, SPOOL_OUTCOME_QUEUED);
        restart(b, 1, true);
        assert_int_equal(b->outcomes[0].enhanced, 4007001);
        assert_int_equal(b->outcomes[1].state, SPOOL_OUTCOME_QUEUED);
        restart(b, 2, false);
        assert_memory_equal(&b->outcomes[0], &deferred, sizeof(deferred));
        restart(b, 3, false);
        churn(b, 1000 * round);
    }
    assert_int_equal(outcomes(b, 0, &let_go, 1), 0);
    restart(b, 0, false);
    /* Freed, held or not. */
    push(b, 1, SPOOL_FREE, NULL, 0);
    settle(b);
    restart(b, 2, false);
    struct spool_usage u;
    spool_usage(b->spool, &u);
    assert_int_equal(u.message_cnt, 3);
    bench_free(b);
}

/* More outcomes than a record takes, with the message's own as the last of them. */
static void test_many(void **state)
{
    (void)state;
    struct bench *b = bench_make();
    struct spool_outcome *all = calloc(RECIPIENT_CNT, sizeof(*all));
    assert_non_null(all);
    for (uint32_t i = 0; i < RECIPIENT_CNT; i++) {
        all[i] = deferred;
        all[i].recipient = i;
        all[i].enhanced = 4000000 + i % 1000;
    }
    send(b, 0, true);
    assert_int_equal(outcomes(b, 0, all, 10), 0);
    assert_int_equal(outcomes(b, 0, &hold, 1), 0);
    assert_int_equal(outcomes(b, 0, all, RECIPIENT_CNT), 0);
    for (uint32_t round = 1; round <= 2; round++) {
        restart(b, 0, true);
        assert_int_equal(b->outcome_cnt, RECIPIENT_CNT);
        assert_memory_equal(b->outcomes, all, RECIPIENT_CNT * sizeof(*all));
        churn(b, 1000 * round);
    }
    restart(b, 0, true);
    assert_memory_equal(b->outcomes, all, RECIPIENT_CNT * sizeof(*all));
    /* Requeued by the operator: as new, and not held. */
    for (uint32_t i = 0; i < RECIPIENT_CNT; i++)
        all[i] = (struct spool_outcome){.recipient = i};
    assert_int_equal(outcomes(b, 0, all, RECIPIENT_CNT), 0);
    assert_int_equal(outcomes(b, 0, &let_go, 1), 0);
    churn(b, 9000);
    restart(b, 0, false);
    assert_memory_equal(b->outcomes, all, RECIPIENT_CNT * sizeof(*all));
    free(all);
    bench_free(b);
}

static int envelopes_make(void **state)
{
    (void)state;
    struct base_buf s = {.p = small, .cap = sizeof(small)};
    struct base_buf l = {.p = large, .cap = sizeof(large)};
    int rc = spool_envelope_put(&s, SPOOL_ENVELOPE_SENDER, base_span_str("a@b")) |
             spool_envelope_put(&s, SPOOL_ENVELOPE_RECIPIENT, base_span_str("c@d")) |
             spool_envelope_put(&s, SPOOL_ENVELOPE_RECIPIENT, base_span_str("e@f")) |
             spool_envelope_put(&l, SPOOL_ENVELOPE_SENDER, base_span_str("a@b"));
    for (uint32_t i = 0; i < RECIPIENT_CNT; i++)
        rc |= spool_envelope_put(&l, SPOOL_ENVELOPE_RECIPIENT, base_span_str("r@many.org"));
    small_len = (uint32_t)s.len;
    large_len = (uint32_t)l.len;
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, envelopes_make, NULL);
}
