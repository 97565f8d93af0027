/* A spool on a simulated disk, driven by one message number at a time. */
#ifndef SPOOL_RIG_H
#define SPOOL_RIG_H

#include "base_crc32c.h"
#include "spool_format.h"
#include "unit.h"

#include "base_time.h"
#include "disk_sim.h"
#include "spool_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { BODY_MAX = 200000, DONE_CAP = 8192 };

struct bench {
    struct spool_disk disk;
    struct disk_sim_config disk_config;
    struct spool_config config;
    struct spool *spool;
    struct stats_block stats;
    uint64_t now_ns;
    struct spool_done done[DONE_CAP];
    uint32_t done_cnt;
    struct spool_buf_pool pool;
};

static uint8_t body[BODY_MAX];
static uint8_t envelope[64];
static uint32_t envelope_len;

static inline struct spool_id id_of(uint32_t n)
{
    return spool_id_make(1000, 1, 0, n);
}

static inline int bench_open_rc(struct bench *b, char *err, size_t cap)
{
    b->config.disk = b->disk;
    b->config.stats = &b->stats;
    b->config.seed++;
    b->done_cnt = 0;
    return spool_open(&b->spool, &b->config, b->now_ns, err, cap);
}

static inline void bench_open(struct bench *b)
{
    char err[256] = "";
    int rc = bench_open_rc(b, err, sizeof(err));
    if (rc != 0)
        print_error("%s\n", err);
    assert_int_equal(rc, 0);
}

static inline struct bench *bench_make(uint64_t capacity_bytes)
{
    struct bench *b = aligned_alloc(64, (sizeof(*b) + 63) & ~(size_t)63);
    assert_non_null(b);
    memset(b, 0, sizeof(*b));
    b->now_ns = BASE_NS_S;
    b->disk_config = (struct disk_sim_config){.seed = 1,
                                              .queue_depth = 32,
                                              .sector_bytes = 512,
                                              .delay_max = 3,
                                              .capacity_bytes = capacity_bytes};
    b->config = (struct spool_config){.segment_bytes = 1 << 20,
                                      .segment_max = 8,
                                      .reserve_segments = 2,
                                      .commit_max = 4,
                                      .batch_bytes_max = 128 << 10};
    assert_int_equal(disk_sim_open(&b->disk, &b->disk_config), 0);
    assert_int_equal(spool_buf_pool_init(&b->pool, 4, 0), 0);
    struct base_buf e = {.p = envelope, .cap = sizeof(envelope)};
    assert_int_equal(spool_envelope_put(&e, SPOOL_ENVELOPE_SENDER, base_span_str("a@b")), 0);
    assert_int_equal(spool_envelope_put(&e, SPOOL_ENVELOPE_RECIPIENT, base_span_str("c@d")), 0);
    assert_int_equal(spool_envelope_put(&e, SPOOL_ENVELOPE_RECIPIENT, base_span_str("e@f")), 0);
    envelope_len = (uint32_t)e.len;
    for (uint32_t i = 0; i < BODY_MAX; i++)
        body[i] = (uint8_t)(i * 2654435761U >> 11);
    return b;
}

static inline void bench_free(struct bench *b)
{
    spool_close(b->spool);
    disk_sim_close(&b->disk);
    spool_buf_pool_fini(&b->pool);
    free(b);
}

/* Runs until all is quiet; completions are kept, arrivals freed. Time passes. */
static inline void settle(struct bench *b)
{
    b->done_cnt = 0;
    for (int i = 0; i < 20000; i++) {
        struct spool_done d;
        b->now_ns += BASE_NS_MS;
        spool_run(b->spool, b->now_ns);
        while (spool_poll(b->spool, &d, 1) == 1) {
            spool_arrival_free(d.arrival);
            d.arrival = NULL;
            assert_true(b->done_cnt < DONE_CAP);
            b->done[b->done_cnt++] = d;
        }
        if (spool_idle(b->spool))
            return;
    }
    fail_msg("never idle");
}

static inline void push(struct bench *b, struct spool_entry e)
{
    assert_int_equal(spool_push(b->spool, &e), 0);
}

static inline void send_parts(struct bench *b, uint32_t n, uint32_t len)
{
    struct spool_id id = id_of(n);
    push(b, (struct spool_entry){.id = id, .op = SPOOL_BEGIN, .p = envelope, .len = envelope_len});
    for (uint32_t at = 0; at < len; at += 16384)
        push(b, (struct spool_entry){.id = id,
                                     .op = SPOOL_CHUNK,
                                     .part = SPOOL_PART_BODY,
                                     .p = body + at,
                                     .len = len - at < 16384 ? len - at : 16384});
}

static inline void send(struct bench *b, uint32_t n, uint32_t len)
{
    send_parts(b, n, len);
    push(b, (struct spool_entry){.id = id_of(n), .op = SPOOL_COMMIT, .from = 3});
}

static inline void free_message(struct bench *b, uint32_t n)
{
    push(b, (struct spool_entry){.id = id_of(n), .op = SPOOL_FREE, .from = 3});
}

/* The status of the one completion of that kind for that message. */
static inline int status_of(const struct bench *b, uint32_t n, enum spool_op op)
{
    struct spool_id id = id_of(n);
    int status = 1;
    for (uint32_t i = 0; i < b->done_cnt; i++)
        if (b->done[i].op == op && spool_id_eq(&b->done[i].id, &id)) {
            assert_int_equal(status, 1);
            status = b->done[i].status;
        }
    return status;
}

static inline int read_status(struct bench *b, uint32_t n, uint64_t offset, uint32_t want,
                              uint32_t *len)
{
    struct spool_buf *buf = spool_buf_get(&b->pool);
    push(b, (struct spool_entry){
                .id = id_of(n), .op = SPOOL_READ, .offset = offset, .len = want, .buf = buf});
    settle(b);
    const struct spool_done *d = NULL;
    for (uint32_t i = 0; i < b->done_cnt; i++)
        if (b->done[i].op == SPOOL_READ) {
            assert_null(d);
            d = &b->done[i];
        }
    assert_non_null(d);
    assert_ptr_equal(d->buf, buf);
    if (d->status == 0)
        assert_memory_equal(buf->data, body + offset, d->len);
    *len = d->len;
    spool_buf_put(&b->pool, buf);
    return d->status;
}

static inline void read_whole(struct bench *b, uint32_t n, uint32_t bytes)
{
    uint32_t at = 0, len;
    do {
        assert_int_equal(read_status(b, n, at, SPOOL_BUF_BYTES, &len), 0);
        assert_int_equal(len, bytes - at < SPOOL_BUF_BYTES ? bytes - at : SPOOL_BUF_BYTES);
        at += len;
    } while (len > 0);
}

static inline void crash(struct bench *b)
{
    disk_sim_crash(&b->disk);
    spool_close(b->spool);
    disk_sim_restart(&b->disk);
}

#endif
