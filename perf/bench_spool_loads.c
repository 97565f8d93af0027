#include "bench_spool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define WEAR_IN_BYTES (8ull << 20) /* outstanding */

/* Segments are made while running, and the first ones are used before they are all zeros: each is
 * written once before time is taken, as in a spool that has run for a while. */
static void segments_wear_in(struct bench *b)
{
    static uint32_t ready[OUTSTANDING_MAX];
    struct spool_usage u;
    struct tally t;
    uint32_t ready_cnt = 0, bytes = b->bytes, outstanding;
    uint64_t turn = 0;
    if (stats_get(&b->stats, STATS_SPOOL_CREATED) == 0)
        return;
    b->bytes = bytes < 1 << 20 ? bytes : 1 << 20; /* of the body that there is */
    bench_tally_begin(&t);
    for (uint32_t i = 0; i < WEAR_IN_BYTES / b->bytes && i < 256; i++)
        ready[ready_cnt++] = i;
    outstanding = ready_cnt;
    do {
        while (ready_cnt > 0)
            bench_send(b, ready[--ready_cnt]);
        bench_pass(b, &t, ready, &ready_cnt, false);
        if (ready_cnt == 0)
            bench_wait(b);
        spool_usage(b->spool, &u);
        turn = stats_get(&b->stats, STATS_SPOOL_BATCH_BYTES) / SEGMENT_BYTES;
    } while (turn < u.segment_cnt + 1);
    bench_drain(b, &t, ready, &ready_cnt, outstanding);
    free(t.us);
    b->bytes = bytes;
}

static uint64_t written(const struct bench *b)
{
    return stats_get(&b->stats, STATS_SPOOL_BATCH_BYTES) +
           stats_get(&b->stats, STATS_SPOOL_SUMMARY_BYTES);
}

void bench_load_spool(const char *dir, uint32_t bytes, uint32_t at_a_time)
{
    static uint32_t ready[OUTSTANDING_MAX];
    static struct bench b;
    struct tally t;
    uint32_t ready_cnt = 0;
    bench_make(&b, dir, bytes);
    bench_start(&b, 2 * SEGMENT_BYTES);
    segments_wear_in(&b);
    uint64_t before = written(&b);
    uint64_t batches = stats_get(&b.stats, STATS_SPOOL_BATCHES);
    uint32_t sent = b.id_next;
    bench_tally_begin(&t);
    /* Two commits under way, of so many records each, and the next one gathers meanwhile: it must
     * not wait for the answer to the last one, as senders do not wait for each other. */
    for (uint32_t commit = 0; commit < 3; commit++) {
        for (uint32_t i = 0; i < at_a_time; i++)
            bench_send(&b, commit * at_a_time + i);
        spool_run(b.spool, bench_now_ns());
    }
    while (!bench_tally_over(&t, bytes)) {
        while (ready_cnt > 0)
            bench_send(&b, ready[--ready_cnt]);
        bench_pass(&b, &t, ready, &ready_cnt, false);
        if (ready_cnt == 0)
            bench_wait(&b);
    }
    bench_tally_end(&t);
    bench_tally_begin(&t);
    bench_drain(&b, &t, ready, &ready_cnt, 3 * at_a_time);
    free(t.us);
    sent = b.id_next - sent;
    batches = stats_get(&b.stats, STATS_SPOOL_BATCHES) - batches;
    printf("written_per_byte %.3f times\n",
           (double)(written(&b) - before) / ((double)sent * (bytes + b.envelope_len)));
    printf("records_per_commit %.1f records\n", (double)sent / (double)batches);
    bench_stop(&b);
}

/* Sends cnt messages, all of which stay for now. */
static void live_send(struct bench *b, struct tally *t, uint32_t *ready, uint32_t *ready_cnt,
                      uint32_t cnt)
{
    uint32_t sent = 0;
    uint64_t until = t->done + cnt;
    while (t->done < until) {
        while (*ready_cnt > 0 && sent < cnt) {
            bench_send(b, ready[--*ready_cnt]);
            sent++;
        }
        bench_pass(b, t, ready, ready_cnt, true);
        bench_wait(b);
    }
}

void bench_load_live(const char *dir, uint32_t bytes, uint32_t percent)
{
    enum { SEGMENTS = 16, OUTSTANDING = 24 };
    static uint32_t ready[OUTSTANDING];
    static struct bench b;
    struct tally t;
    uint32_t ready_cnt = 0;
    bench_make(&b, dir, bytes);
    uint64_t takes = (SEGMENTS - 3) * SEGMENT_BYTES / 4 * 3; /* spool_accepting says no above */
    b.live_max = (uint32_t)(takes / 100 * percent / (bytes + 512));
    b.live = calloc(b.live_max, sizeof(*b.live));
    if (b.live == NULL)
        bench_die("memory", ENOMEM);
    base_rand_init(&b.rand, 1);
    bench_room_check(&b, SEGMENTS * SEGMENT_BYTES);
    bench_start(&b, (SEGMENTS - 8) * SEGMENT_BYTES);
    for (uint32_t i = 0; i < OUTSTANDING; i++)
        ready[ready_cnt++] = i;
    bench_tally_begin(&t);
    /* Once around first, so that the log has its wonted mixture of old and new. */
    live_send(&b, &t, ready, &ready_cnt, b.live_max + (uint32_t)(takes / bytes));
    free(t.us);
    uint64_t before = written(&b);
    uint64_t moved = stats_get(&b.stats, STATS_SPOOL_MOVED_BYTES);
    uint32_t cnt = (uint32_t)(2 * takes / bytes);
    bench_tally_begin(&t);
    live_send(&b, &t, ready, &ready_cnt, cnt);
    uint64_t taken = (uint64_t)cnt * (bytes + b.envelope_len);
    printf("live_%u%%_written_per_byte %.3f times\n", percent,
           (double)(written(&b) - before) / (double)taken);
    printf("live_%u%%_moved_per_byte %.3f times\n", percent,
           (double)(stats_get(&b.stats, STATS_SPOOL_MOVED_BYTES) - moved) / (double)taken);
    printf("live_%u%%_records_per_s %.0f records/s\n", percent,
           (double)cnt * 1e9 / (double)(bench_now_ns() - t.start_ns));
    free(t.us);
    free(b.live);
    bench_stop(&b);
}
