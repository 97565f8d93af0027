/*
 * What a spool is to the others, on the simulated disk: its number, and whether it takes mail.
 */
#include "unit.h"

#include "base_time.h"
#include "disk_sim.h"
#include "spool.h"

#include <errno.h>
#include <stdlib.h>

struct bench {
    struct spool_disk disk;
    struct spool_config config;
    struct spool *spool;
    struct stats_block stats;
    uint64_t now_ns;
};

static uint8_t body[50000];

static void bench_open(struct bench *b)
{
    char err[256] = "";

    b->config.disk = b->disk;
    b->config.stats = &b->stats;
    b->config.seed++;
    assert_int_equal(spool_open(&b->spool, &b->config, b->now_ns, err, sizeof(err)), 0);
}

static struct bench *bench_make(uint64_t capacity_bytes)
{
    struct bench *b = aligned_alloc(64, (sizeof(*b) + 63) & ~(size_t)63);
    struct disk_sim_config d = {.seed = 1,
                                .queue_depth = 32,
                                .sector_bytes = 512,
                                .delay_max = 3,
                                .capacity_bytes = capacity_bytes};

    assert_non_null(b);
    memset(b, 0, sizeof(*b));
    b->now_ns = BASE_NS_S;
    b->config = (struct spool_config){.segment_bytes = 1 << 20,
                                      .segment_max = 8,
                                      .reserve_segments = 2,
                                      .commit_max = 4,
                                      .batch_bytes_max = 128 << 10};
    assert_int_equal(disk_sim_open(&b->disk, &d), 0);
    return b;
}

static void bench_free(struct bench *b)
{
    spool_close(b->spool);
    disk_sim_close(&b->disk);
    free(b);
}

/* Runs until all is quiet. Time passes. */
static void settle(struct bench *b)
{
    struct spool_done d;

    for (int i = 0; i < 20000; i++) {
        b->now_ns += BASE_NS_MS;
        spool_run(b->spool, b->now_ns);
        while (spool_poll(b->spool, &d, 1) == 1)
            spool_arrival_free(d.arrival);
        if (spool_idle(b->spool))
            return;
    }
    fail_msg("never idle");
}

static void push(struct bench *b, uint32_t n, enum spool_op op, const uint8_t *p, size_t len)
{
    struct spool_entry e = {.id = spool_id_make(1000, 1, 0, n),
                            .op = (uint8_t)op,
                            .part = SPOOL_PART_BODY,
                            .p = p,
                            .len = (uint32_t)len};

    assert_int_equal(spool_push(b->spool, &e), 0);
}

static void send(struct bench *b, uint32_t n, uint32_t len)
{
    static uint8_t envelope[64];
    struct base_buf e = {.p = envelope, .cap = sizeof(envelope)};

    assert_int_equal(spool_envelope_put(&e, SPOOL_ENVELOPE_SENDER, base_span_str("a@b")), 0);
    assert_int_equal(spool_envelope_put(&e, SPOOL_ENVELOPE_RECIPIENT, base_span_str("c@d")), 0);
    push(b, n, SPOOL_BEGIN, envelope, e.len);
    push(b, n, SPOOL_CHUNK, body, len);
    push(b, n, SPOOL_COMMIT, NULL, 0);
}

static void free_message(struct bench *b, uint32_t n)
{
    push(b, n, SPOOL_FREE, NULL, 0);
}

/* The number is given once, lies on disk from the first segment on, and stays. */
static void test_number(void **state)
{
    (void)state;
    struct bench *b = bench_make(0);
    bench_open(b);
    assert_false(spool_is_numbered(b->spool));
    spool_set_number(b->spool, 201);
    spool_close(b->spool);
    bench_open(b); /* nothing was written: it has none yet */
    assert_false(spool_is_numbered(b->spool));
    spool_set_number(b->spool, 77);
    send(b, 1, 1000);
    settle(b);
    uint8_t uuid[16];
    memcpy(uuid, spool_uuid(b->spool), 16);
    for (int i = 0; i < 2; i++) {
        spool_close(b->spool);
        bench_open(b);
        assert_true(spool_is_numbered(b->spool));
        assert_int_equal(spool_number(b->spool), 77);
        assert_memory_equal(spool_uuid(b->spool), uuid, 16);
        send(b, 2 + (uint32_t)i, 1000);
        settle(b);
    }
    bench_free(b);
}

/* A spool that is refused for want of room is not taken up again for a few bytes, and one that
 * cannot write is tried less and less often, whatever single writes it takes in between. */
static void test_states_are_kept(void **state)
{
    (void)state;
    const char *why;
    struct bench *b = bench_make(5 << 20);
    uint32_t n = 1;
    bench_open(b);
    for (; n < 200 && spool_accepting(b->spool, &why); n++) {
        send(b, n, 50000);
        settle(b);
    }
    assert_string_equal(why, "spool is full");
    assert_int_equal(stats_get(&b->stats, STATS_SPOOL_REFUSES_FULL_NOW), 1);
    free_message(b, 1);
    settle(b);
    assert_false(spool_accepting(b->spool, &why));
    for (uint32_t i = 2; i < n; i++) {
        free_message(b, i);
        settle(b);
    }
    assert_true(spool_accepting(b->spool, &why));
    assert_int_equal(stats_get(&b->stats, STATS_SPOOL_REFUSES_FULL_NOW), 0);
    assert_true(stats_get(&b->stats, STATS_SPOOL_WRITTEN_BYTES) >
                stats_get(&b->stats, STATS_SPOOL_TAKEN_BYTES));
    assert_true(stats_get(&b->stats, STATS_SPOOL_SEGMENTS_NOW) == 5);
    disk_sim_fail_writes(&b->disk, 0, UINT64_MAX, -EROFS);
    send(b, 500, 1000);
    settle(b);
    assert_false(spool_accepting(b->spool, &why));
    assert_string_equal(why, "spool cannot write");
    assert_int_equal(stats_get(&b->stats, STATS_SPOOL_REFUSES_WRITE_NOW), 1);
    uint64_t first = spool_deadline(b->spool) - b->now_ns;
    for (int i = 0; i < 3; i++) { /* headers are written, batches are not */
        disk_sim_fail_writes(&b->disk, 1, UINT64_MAX, -EROFS);
        b->now_ns = spool_deadline(b->spool);
        settle(b);
        send(b, 600 + (uint32_t)i, 1000);
        settle(b);
    }
    assert_false(spool_accepting(b->spool, &why));
    assert_true(spool_deadline(b->spool) - b->now_ns > 2 * first);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_number),
                                       cmocka_unit_test(test_states_are_kept)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
