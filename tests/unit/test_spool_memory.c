/*
 * What the spool holds in memory: what was written last, so that a first delivery reads no disk;
 * transactions that are open; the index. And what it reads of long summaries.
 */
#include "unit.h"

#include "base_time.h"
#include "disk_sim.h"
#include "spool_internal.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

enum { BODY_BYTES = 60000, PIECE_BYTES = SPOOL_BUF_BYTES };

struct bench {
    struct spool_disk disk;
    struct spool_config config;
    struct spool *spool;
    struct stats_block stats;
    uint64_t now_ns;
    struct spool_buf_pool pool;
    uint32_t commit_cnt; /* completions of these kinds since settle began */
    uint32_t free_cnt;
    uint32_t arrived_cnt;
    uint32_t failed_cnt; /* completions with a status */
    struct spool_done read;
};

static uint8_t body[BODY_BYTES];
static uint8_t envelope[64];
static uint32_t envelope_len;

static struct spool_id id_of(uint32_t n)
{
    return spool_id_make(1000, 1, 0, n);
}

static void bench_open(struct bench *b)
{
    char err[256] = "";
    b->config.disk = b->disk;
    b->config.stats = &b->stats;
    b->config.seed++;
    int rc = spool_open(&b->spool, &b->config, b->now_ns, err, sizeof(err));
    if (rc != 0)
        print_error("%s\n", err);
    assert_int_equal(rc, 0);
}

static struct bench *bench_make(const struct spool_config *config)
{
    struct bench *b = aligned_alloc(64, (sizeof(*b) + 63) & ~(size_t)63);
    struct disk_sim_config disk = {
        .seed = 1, .queue_depth = 32, .sector_bytes = 512, .delay_max = 3};
    assert_non_null(b);
    memset(b, 0, sizeof(*b));
    b->now_ns = BASE_NS_S;
    b->config = *config;
    assert_int_equal(disk_sim_open(&b->disk, &disk), 0);
    assert_int_equal(spool_buf_pool_init(&b->pool, 2, 0), 0);
    struct base_buf e = {.p = envelope, .cap = sizeof(envelope)};
    assert_int_equal(spool_envelope_put(&e, SPOOL_ENVELOPE_SENDER, base_span_str("a@b")), 0);
    assert_int_equal(spool_envelope_put(&e, SPOOL_ENVELOPE_RECIPIENT, base_span_str("c@d")), 0);
    envelope_len = (uint32_t)e.len;
    for (uint32_t i = 0; i < BODY_BYTES; i++)
        body[i] = (uint8_t)(i * 2654435761U >> 11);
    bench_open(b);
    return b;
}

static void bench_free(struct bench *b)
{
    spool_close(b->spool);
    disk_sim_close(&b->disk);
    spool_buf_pool_fini(&b->pool);
    free(b);
}

static void run_once(struct bench *b)
{
    struct spool_done d;
    b->now_ns += BASE_NS_MS;
    spool_run(b->spool, b->now_ns);
    while (spool_poll(b->spool, &d, 1) == 1) {
        b->commit_cnt += d.op == SPOOL_COMMIT;
        b->free_cnt += d.op == SPOOL_FREE;
        b->arrived_cnt += d.op == SPOOL_ARRIVED;
        b->failed_cnt += d.status != 0;
        if (d.op == SPOOL_READ)
            b->read = d;
        spool_arrival_free(d.arrival);
    }
}

static void settle(struct bench *b)
{
    for (int i = 0; i < 200000; i++) {
        run_once(b);
        if (spool_idle(b->spool))
            return;
    }
    fail_msg("never idle");
}

static void push(struct bench *b, struct spool_entry e)
{
    while (spool_push(b->spool, &e) != 0)
        run_once(b);
}

static void send(struct bench *b, uint32_t n, uint32_t len)
{
    struct spool_id id = id_of(n);
    push(b, (struct spool_entry){.id = id, .op = SPOOL_BEGIN, .p = envelope, .len = envelope_len});
    for (uint32_t at = 0; at < len; at += PIECE_BYTES)
        push(b, (struct spool_entry){.id = id,
                                     .op = SPOOL_CHUNK,
                                     .part = SPOOL_PART_BODY,
                                     .p = body + at,
                                     .len = len - at < PIECE_BYTES ? len - at : PIECE_BYTES});
    push(b, (struct spool_entry){.id = id, .op = SPOOL_COMMIT});
}

static void read_whole(struct bench *b, uint32_t n, uint32_t len)
{
    struct spool_buf *buf = spool_buf_get(&b->pool);
    for (uint32_t at = 0; at < len; at += b->read.len) {
        b->read = (struct spool_done){.status = 1};
        push(b, (struct spool_entry){
                    .id = id_of(n), .op = SPOOL_READ, .offset = at, .len = 10000, .buf = buf});
        settle(b);
        assert_int_equal(b->read.status, 0);
        assert_int_equal(b->read.len, len - at < 10000 ? len - at : 10000);
        assert_memory_equal(buf->data, body + at, b->read.len);
    }
    spool_buf_put(&b->pool, buf);
}

static const struct spool_config small = {.segment_bytes = 1 << 20,
                                          .segment_max = 16,
                                          .reserve_segments = 2,
                                          .commit_max = 2,
                                          .batch_bytes_max = 128 << 10,
                                          .memory_bytes = 1 << 20};

/* The last megabyte is read from memory alone, what is older from the disk, and nothing of another
 * message, when segments are freed and written again. */
static void test_first_delivery(void **state)
{
    (void)state;
    struct bench *b = bench_make(&small);
    for (uint32_t n = 1; n <= 200; n++) {
        send(b, n, BODY_BYTES);
        settle(b);
        uint64_t disk = stats_get(&b->stats, STATS_SPOOL_READS);
        read_whole(b, n, BODY_BYTES);
        assert_int_equal(stats_get(&b->stats, STATS_SPOOL_READS), disk);
        if (n <= 50)
            continue;
        read_whole(b, n - 50, BODY_BYTES); /* too long ago */
        assert_true(stats_get(&b->stats, STATS_SPOOL_READS) >= disk + 4);
        push(b, (struct spool_entry){.id = id_of(n - 50), .op = SPOOL_FREE});
        settle(b);
    }
    assert_true(stats_get(&b->stats, STATS_SPOOL_RECYCLED) >= 5);
    assert_true(stats_get(&b->stats, STATS_SPOOL_READS_MEMORY) >= 800);
    assert_int_equal(stats_get(&b->stats, STATS_SPOOL_READ_BAD), 0);
    disk_sim_crash(&b->disk);
    spool_close(b->spool);
    disk_sim_restart(&b->disk);
    bench_open(b); /* remembers nothing */
    uint64_t memory = stats_get(&b->stats, STATS_SPOOL_READS_MEMORY);
    read_whole(b, 200, BODY_BYTES);
    assert_int_equal(stats_get(&b->stats, STATS_SPOOL_READS_MEMORY), memory);
    bench_free(b);
}

/* What waits while the disk stands still is spread over the writes it takes; one goes at once. */
static void test_spread(void **state)
{
    (void)state;
    struct bench *b = bench_make(&small);
    uint32_t n = 1;
    send(b, n++, 100);
    settle(b);
    assert_int_equal(small.commit_max, 2);
    for (uint32_t cnt = 1; cnt <= 9; cnt++) {
        for (uint32_t i = 0; i < cnt; i++)
            send(b, n++, 100);
        uint64_t batches = stats_get(&b->stats, STATS_SPOOL_BATCHES);
        uint32_t commits = b->commit_cnt;
        spool_run(b->spool, b->now_ns);
        assert_int_equal(b->spool->batch_under_way, cnt == 1 ? 1 : 2);
        assert_int_equal(spool_batch_at(b->spool, 0)->commit_cnt, (cnt + 1) / 2);
        assert_int_equal(b->spool->commit_waits, 0);
        while (!spool_idle(b->spool))
            run_once(b);
        assert_int_equal(stats_get(&b->stats, STATS_SPOOL_BATCHES) - batches, cnt == 1 ? 1 : 2);
        assert_int_equal(b->commit_cnt - commits, cnt);
    }
    bench_free(b);
}

/* Without memory for it everything is read from the disk. */
static void test_no_memory(void **state)
{
    (void)state;
    struct spool_config c = small;
    c.memory_bytes = 0;
    struct bench *b = bench_make(&c);
    send(b, 1, BODY_BYTES);
    settle(b);
    read_whole(b, 1, BODY_BYTES);
    assert_int_equal(stats_get(&b->stats, STATS_SPOOL_READS_MEMORY), 0);
    assert_true(stats_get(&b->stats, STATS_SPOOL_READS) >= 4);
    bench_free(b);
}

/* More than a megabyte of rows, and not of whole blocks: requests are of whole blocks. */
static void test_long_summary(void **state)
{
    (void)state;
    enum { CNT = 14000 };
    struct spool_config c = {.segment_bytes = 16 << 20,
                             .segment_max = 6,
                             .reserve_segments = 2,
                             .commit_max = 2,
                             .batch_bytes_max = 1 << 20};
    struct bench *b = bench_make(&c);
    settle(b); /* with segments to spare, room is left for the summary */
    for (uint32_t n = 1; n <= CNT; n++)
        send(b, n, 1300);
    settle(b);
    assert_int_equal(b->commit_cnt, CNT);
    assert_true(stats_get(&b->stats, STATS_SPOOL_SUMMARY_BYTES) > 1 << 20);
    spool_close(b->spool);
    b->arrived_cnt = 0;
    bench_open(b);
    assert_true(stats_get(&b->stats, STATS_SPOOL_SUMMARY_READ) > 0);
    settle(b);
    assert_int_equal(b->arrived_cnt, CNT);
    read_whole(b, CNT / 2, 1300);
    bench_free(b);
}

/* ---- a disk that keeps nothing, for more than memory holds ---- */

enum { VOID_DEPTH = 64 };

struct void_disk {
    struct spool_io_done done[VOID_DEPTH];
    uint32_t done_cnt;
};

static int void_submit(void *disk, const struct spool_io *io)
{
    struct void_disk *v = disk;
    if (v->done_cnt == VOID_DEPTH)
        return -EAGAIN;
    assert_int_equal(io->op, SPOOL_IO_WRITE);
    v->done[v->done_cnt++] = (struct spool_io_done){.cookie = io->cookie, .result = io->len};
    return 0;
}

static uint32_t void_poll(void *disk, struct spool_io_done *done, uint32_t cap)
{
    struct void_disk *v = disk;
    uint32_t n = v->done_cnt < cap ? v->done_cnt : cap;
    if (n == 0)
        return 0;
    memcpy(done, v->done, n * sizeof(*done));
    memmove(v->done, v->done + n, (v->done_cnt - n) * sizeof(*done));
    v->done_cnt -= n;
    return n;
}

static int void_wait(void *disk)
{
    (void)disk;
    return 0;
}

static int void_list(void *disk, uint32_t *numbers, uint32_t cap)
{
    (void)disk;
    (void)numbers;
    (void)cap;
    return 0;
}

static int void_create(void *disk, uint32_t segment, uint64_t bytes)
{
    (void)disk;
    (void)segment;
    (void)bytes;
    return 0;
}

static int64_t void_free_bytes(void *disk)
{
    (void)disk;
    return 1 << 30;
}

static const struct spool_disk_ops void_ops = {
    .name = "void",
    .submit = void_submit,
    .poll = void_poll,
    .wait = void_wait,
    .segment_list = void_list,
    .segment_create = void_create,
    .free_bytes = void_free_bytes,
};

/* Bytes from malloc; always 0 under the address sanitizer. */
static size_t memory_used(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static struct bench *void_bench(struct void_disk *v)
{
    struct bench *b = bench_make(&small);
    spool_close(b->spool);
    disk_sim_close(&b->disk);
    b->disk = (struct spool_disk){.ops = &void_ops, .state = v};
    b->config = (struct spool_config){.segment_bytes = 64 << 20,
                                      .segment_max = 128,
                                      .reserve_segments = 2,
                                      .commit_max = 2,
                                      .batch_bytes_max = 1 << 20,
                                      .memory_bytes = 16 << 20};
    bench_open(b);
    return b;
}

static void void_bench_free(struct bench *b)
{
    spool_close(b->spool);
    spool_buf_pool_fini(&b->pool);
    free(b);
}

/* The index: 112 bytes a message of two pieces, 16 at most for its bucket in the table; the rest is
 * this malloc's. */
static void test_index(void **state)
{
    (void)state;
    enum { CNT = 40000, BODY = 4096 };
    struct void_disk v = {.done_cnt = 0};
    struct bench *b = void_bench(&v);
    for (uint32_t n = 1; n <= CNT; n++)
        send(b, n, BODY); /* grows what stays: the summary */
    for (uint32_t n = 1; n <= CNT; n++)
        push(b, (struct spool_entry){.id = id_of(n), .op = SPOOL_FREE});
    settle(b);
    size_t before = memory_used();
    for (uint32_t n = 1; n <= CNT; n++)
        send(b, CNT + n, BODY);
    settle(b);
    struct spool_usage u;
    spool_usage(b->spool, &u);
    assert_int_equal(u.message_cnt, CNT);
    assert_in_range((memory_used() - before) / CNT, 0, 129);
    assert_int_equal(b->failed_cnt, 0);
    void_bench_free(b);
}

/* A hundred connections send 50 MB each, a piece at a time in turns, and then are gone: memory is
 * bounded by what is under way and a few bytes a piece, no message appears, and the space comes
 * back. */
static void test_open_transactions(void **state)
{
    (void)state;
    enum { CNT = 100, ROUNDS = 50 * 1000 * 1000 / PIECE_BYTES };
    struct void_disk v = {.done_cnt = 0};
    struct bench *b = void_bench(&v);
    size_t before = memory_used();
    for (uint32_t n = 1; n <= CNT; n++)
        push(b, (struct spool_entry){
                    .id = id_of(n), .op = SPOOL_BEGIN, .p = envelope, .len = envelope_len});
    for (uint32_t r = 0; r < ROUNDS; r++)
        for (uint32_t n = 1; n <= CNT; n++)
            push(b, (struct spool_entry){.id = id_of(n),
                                         .op = SPOOL_CHUNK,
                                         .part = SPOOL_PART_BODY,
                                         .p = body,
                                         .len = PIECE_BYTES});
    settle(b);
    struct spool_usage u;
    spool_usage(b->spool, &u);
    assert_int_equal(u.open_cnt, CNT);
    assert_int_equal(u.message_cnt, 0);
    assert_true(u.live_bytes >= (uint64_t)ROUNDS * CNT * PIECE_BYTES);
    /* 305,100 places, the vectors grown by doubling; a summary's rows. */
    assert_true(memory_used() < before + (20 << 20));
    for (uint32_t n = 1; n <= CNT; n++)
        push(b, (struct spool_entry){.id = id_of(n), .op = SPOOL_ABORT});
    settle(b);
    spool_usage(b->spool, &u);
    assert_int_equal(u.open_cnt, 0);
    assert_int_equal(u.live_bytes, 0);
    assert_int_equal(u.segment_free + 1, u.segment_cnt);
    assert_true(memory_used() < before + (12 << 20));
    assert_int_equal(b->arrived_cnt + b->failed_cnt, 0);
    void_bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spread),    cmocka_unit_test(test_first_delivery),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_long_summary),
        cmocka_unit_test(test_index),     cmocka_unit_test(test_open_transactions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
