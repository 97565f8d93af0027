#include "bench_spool.h"

#include "queue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t room_of(uint32_t bytes, uint32_t cnt)
{
    return (uint64_t)cnt * (bytes + 1024) / 20 * 21;
}

/* Takes what a start tells; with a queue, into it. */
static void told_take(struct bench *b, struct queue *q, uint32_t cnt, uint64_t *queue_ns)
{
    struct spool_done done[64];
    uint32_t n;
    while (b->arrived_cnt < cnt) {
        spool_run(b->spool, bench_now_ns());
        n = spool_poll(b->spool, done, 64);
        uint64_t start = bench_now_ns();
        for (uint32_t i = 0; i < n; i++)
            if (done[i].op == SPOOL_ARRIVED) {
                b->arrived_cnt++;
                if (queue_add(q, &done[i].id, done[i].arrival, start, start) != 0)
                    bench_die("queue", ENOMEM);
            }
        *queue_ns += bench_now_ns() - start;
        if (n == 0)
            bench_wait(b);
        if (n == 0 && spool_idle(b->spool))
            bench_die("messages are missing", ENODATA);
    }
}

void bench_restart(const char *dir, uint32_t bytes, uint32_t cnt)
{
    static struct bench b;
    struct queue *q;
    struct queue_config queue_config = {
        .backoff_min_ns = BASE_NS_S, .backoff_max_ns = BASE_NS_S, .lifetime_ns = 86400 * BASE_NS_S};
    uint64_t queue_ns = 0;
    bench_make(&b, dir, bytes);
    if (queue_init(&q, &queue_config) != 0)
        bench_die("queue", ENOMEM);
    double cpu = bench_cpu_s();
    uint64_t start = bench_now_ns();
    bench_start(&b, room_of(bytes, cnt) / 3 * 4);
    uint64_t opened = bench_now_ns();
    double open_cpu = bench_cpu_s() - cpu;
    told_take(&b, q, cnt, &queue_ns);
    uint64_t told = bench_now_ns();
    printf("recover_messages %u messages\n", cnt);
    printf("recover_open_s %.3f s\n", (double)(opened - start) / 1e9);
    printf("recover_open_cpu_s %.3f s\n", open_cpu);
    printf("recover_told_s %.3f s\n", (double)(told - start - queue_ns) / 1e9);
    printf("recover_queue_s %.3f s\n", (double)queue_ns / 1e9);
    printf("recover_cpu_s %.3f s\n", bench_cpu_s() - cpu);
    printf("recover_us_per_message %.2f us\n", (double)(told - start) / 1e3 / cnt);
    bench_stop(&b);
    queue_fini(q);
}

void bench_recover(const char *dir, uint32_t bytes, uint32_t cnt)
{
    static uint32_t ready[OUTSTANDING_MAX];
    static struct bench b;
    struct tally t;
    uint32_t ready_cnt = 0, sent = 0;
    bench_make(&b, dir, bytes);
    /* Three quarters of a spool may be live. */
    b.piece_bytes = (bytes + 3) / 4 < SPOOL_BUF_BYTES ? (bytes + 3) / 4 : SPOOL_BUF_BYTES;
    uint64_t room = bench_room_check(&b, room_of(bytes, cnt));
    bench_start(&b, room / 3 * 4);
    for (uint32_t i = 0; i < 64; i++)
        ready[ready_cnt++] = i;
    bench_tally_begin(&t);
    while (t.done < cnt) {
        while (ready_cnt > 0 && sent < cnt) {
            bench_send(&b, ready[--ready_cnt]);
            sent++;
        }
        bench_pass(&b, &t, ready, &ready_cnt, true);
        bench_wait(&b);
    }
    free(t.us);
    bench_stop(&b);
    free(b.body);
    close(b.dir_fd);
    bench_restart(dir, bytes, cnt);
}
