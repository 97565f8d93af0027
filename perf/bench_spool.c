/*
 * Durable records a second: the spool over disk/uring, beside a bare io_uring program that writes
 * as many bytes at a time into a file written before, and beside one file a message with fsync, on
 * the same disk. And how long a start takes that finds many messages.
 *
 * usage: bench_spool spool|bare|files DIR BYTES AT_A_TIME     prints lines "metric value unit"
 *        bench_spool recover DIR BYTES MESSAGES              a start that finds so many of them
 *        bench_spool live DIR BYTES PERCENT                  written bytes for each byte taken in,
 * while so much of what a spool takes is queued
 *
 * What this wrote stays in DIR, whoever calls removes it (a spool that is there is used again).
 * Each load ends after RUN_NS or BYTES_MAX.
 */
#include "base_rand.h"
#include "base_time.h"
#include "disk_uring.h"
#include "queue.h"
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define RUN_NS          (2 * BASE_NS_S)
#define BYTES_MAX       (3ull << 30)
#define SEGMENT_BYTES   (64ull << 20)
#define LATENCY_MAX     (1u << 20)
#define WEAR_IN_BYTES   (8ull << 20) /* outstanding */
#define OUTSTANDING_MAX 4096
#define KEEP_FREE_BYTES (10ull << 30)

static const char usage[] = "usage: bench_spool spool|bare|files DIR BYTES AT_A_TIME\n"
                            "       bench_spool recover DIR BYTES MESSAGES\n"
                            "       bench_spool live DIR BYTES PERCENT\n";

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * BASE_NS_S + (uint64_t)t.tv_nsec;
}

static double cpu_s(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           1e-6 * (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

__attribute__((noreturn)) static void die(const char *what, int error)
{
    fprintf(stderr, "bench_spool: %s: %s\n", what, strerror(error < 0 ? -error : error));
    exit(1);
}

/* Waiting times, and what they come to. */
struct tally {
    uint32_t *us;
    uint32_t cnt;
    uint64_t done;
    uint64_t start_ns;
    double start_cpu_s;
};

static void tally_begin(struct tally *t)
{
    memset(t, 0, sizeof(*t));
    t->us = calloc(LATENCY_MAX, sizeof(*t->us));
    if (t->us == NULL)
        die("memory", ENOMEM);
    t->start_ns = now_ns();
    t->start_cpu_s = cpu_s();
}

static void tally_add(struct tally *t, uint64_t ns)
{
    if (t->cnt < LATENCY_MAX)
        t->us[t->cnt++] = (uint32_t)(ns / 1000);
    t->done++;
}

static bool tally_over(const struct tally *t, uint64_t bytes)
{
    return now_ns() - t->start_ns >= RUN_NS || t->done * bytes >= BYTES_MAX;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void tally_end(struct tally *t)
{
    double s = (double)(now_ns() - t->start_ns) / 1e9;
    double cpu = cpu_s() - t->start_cpu_s;
    if (t->cnt == 0)
        die("nothing was done", ENODATA);
    qsort(t->us, t->cnt, sizeof(*t->us), by_value);
    printf("records_per_s %.0f records/s\n", (double)t->done / s);
    printf("p50_us %u us\n", t->us[t->cnt / 2]);
    printf("p99_us %u us\n", t->us[(uint64_t)t->cnt * 99 / 100]);
    printf("cpu_us_per_record %.2f us\n", cpu * 1e6 / (double)t->done);
    free(t->us);
}

/* ---- the spool ---- */

struct bench {
    struct spool_disk disk;
    struct spool *spool;
    struct stats_block stats;
    int dir_fd;
    uint8_t *body;
    uint8_t envelope[128];
    uint32_t envelope_len;
    uint32_t bytes;
    uint32_t piece_bytes;
    uint32_t id_next;
    struct spool_id *live; /* messages that stay, when some do */
    uint32_t live_cnt;
    uint32_t live_max;
    struct base_rand rand;
    uint32_t arrived_cnt;
    uint64_t now_ns; /* of this pass */
    uint64_t sent_ns[OUTSTANDING_MAX];
};

static void spool_start(struct bench *b, uint64_t room_bytes)
{
    char err[256];
    uint32_t segment_max = (uint32_t)(room_bytes / SEGMENT_BYTES) + 8;
    struct disk_uring_config disk = {
        .dir_fd = b->dir_fd, .queue_depth = 64, .segment_max = segment_max};
    if (disk_uring_open(&b->disk, &disk, err, sizeof(err)) < 0) {
        fprintf(stderr, "bench_spool: %s\n", err);
        exit(1);
    }
    struct spool_config c = {.disk = b->disk,
                             .segment_bytes = SEGMENT_BYTES,
                             .segment_max = segment_max,
                             .reserve_segments = 2,
                             .commit_max = 2,
                             .batch_bytes_max = 1 << 20,
                             .memory_bytes = 64 << 20,
                             .stats = &b->stats,
                             .seed = now_ns()};
    if (spool_open(&b->spool, &c, now_ns(), err, sizeof(err)) < 0) {
        fprintf(stderr, "bench_spool: %s\n", err);
        exit(1);
    }
}

static void spool_stop(struct bench *b)
{
    spool_close(b->spool);
    disk_uring_close(&b->disk);
}

static void bench_make(struct bench *b, const char *dir, uint32_t bytes)
{
    memset(b, 0, sizeof(*b));
    b->bytes = bytes;
    b->piece_bytes = SPOOL_BUF_BYTES;
    b->now_ns = now_ns();
    b->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    b->body = malloc(bytes);
    if (b->dir_fd < 0 || b->body == NULL)
        die(dir, errno);
    for (uint32_t i = 0; i < bytes; i++)
        b->body[i] = (uint8_t)(i * 2654435761U >> 11);
    struct base_buf e = {.p = b->envelope, .cap = sizeof(b->envelope)};
    if (spool_envelope_put(&e, SPOOL_ENVELOPE_SENDER, base_span_str("alice@example.org")) != 0 ||
        spool_envelope_put(&e, SPOOL_ENVELOPE_RECIPIENT, base_span_str("bob@example.net")) != 0)
        die("envelope", EINVAL);
    b->envelope_len = (uint32_t)e.len;
}

/* Whether the whole message went in: all of its entries or none. */
static void spool_put(struct bench *b, const struct spool_entry *e)
{
    while (spool_push(b->spool, e) != 0)
        spool_run(b->spool, now_ns());
}

static void message_send(struct bench *b, uint32_t slot)
{
    uint32_t n = b->id_next++;
    struct spool_entry e = {.id = spool_id_make(b->now_ns, 0, 0, n),
                            .op = SPOOL_BEGIN,
                            .p = b->envelope,
                            .len = b->envelope_len,
                            .cookie = (void *)(uintptr_t)slot};
    b->sent_ns[slot] = b->now_ns;
    spool_put(b, &e);
    e.op = SPOOL_CHUNK;
    e.part = SPOOL_PART_BODY;
    for (uint32_t at = 0; at < b->bytes; at += e.len) {
        e.p = b->body + at;
        e.len = b->bytes - at < b->piece_bytes ? b->bytes - at : b->piece_bytes;
        spool_put(b, &e);
    }
    e.op = SPOOL_COMMIT;
    e.p = NULL;
    e.len = 0;
    spool_put(b, &e);
}

/* Sleeps until the disk has news. */
static void spool_wait(struct bench *b)
{
    struct pollfd p = {.fd = b->disk.ops->wait_fd(b->disk.state), .events = POLLIN};
    uint64_t now = now_ns(), at = spool_deadline(b->spool);
    /* As the bare program does: one call, when the disk alone can have news. */
    if (at == BASE_NS_NONE && b->disk.ops->wait(b->disk.state) == 0)
        return;
    if (at > now)
        poll(&p, 1, at - now > BASE_NS_S ? 1000 : (int)((at - now) / BASE_NS_MS));
}

/* With as many as may stay, one of them goes, whichever: the worst case for reclaiming. */
static void live_add(struct bench *b, const struct spool_id *id)
{
    uint32_t at = b->live_cnt;
    if (b->live_cnt < b->live_max) {
        b->live_cnt++;
    } else {
        at = (uint32_t)base_rand_below(&b->rand, b->live_cnt);
        spool_put(b, &(struct spool_entry){.id = b->live[at], .op = SPOOL_FREE});
    }
    b->live[at] = *id;
}

static void spool_pass(struct bench *b, struct tally *t, uint32_t *ready, uint32_t *ready_cnt,
                       bool keep)
{
    struct spool_done done[64];
    uint32_t cnt;
    b->now_ns = now_ns();
    spool_run(b->spool, b->now_ns);
    b->now_ns = now_ns(); /* as a lane does: one look at the clock for all that came */
    while ((cnt = spool_poll(b->spool, done, 64)) > 0)
        for (uint32_t i = 0; i < cnt; i++) {
            if (done[i].op == SPOOL_ARRIVED) {
                spool_arrival_free(done[i].arrival);
                b->arrived_cnt++;
            }
            if (done[i].op != SPOOL_COMMIT)
                continue;
            if (done[i].status != 0)
                die("not durable", done[i].status);
            uint32_t slot = (uint32_t)(uintptr_t)done[i].cookie;
            tally_add(t, b->now_ns - b->sent_ns[slot]);
            ready[(*ready_cnt)++] = slot;
            if (!keep)
                spool_put(b, &(struct spool_entry){.id = done[i].id, .op = SPOOL_FREE});
            else if (b->live != NULL)
                live_add(b, &done[i].id);
        }
}

static void settle(struct bench *b)
{
    struct spool_done d;
    while (!spool_idle(b->spool)) {
        spool_run(b->spool, now_ns());
        while (spool_poll(b->spool, &d, 1) == 1)
            if (d.op == SPOOL_ARRIVED) {
                spool_arrival_free(d.arrival);
                b->arrived_cnt++;
            }
        spool_wait(b);
    }
}

/* Until all that was sent is durable, and freed. */
static void outstanding_free(struct bench *b, struct tally *t, uint32_t *ready, uint32_t *ready_cnt,
                             uint32_t outstanding)
{
    while (*ready_cnt < outstanding) {
        spool_pass(b, t, ready, ready_cnt, false);
        spool_wait(b);
    }
    settle(b);
}

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
    tally_begin(&t);
    for (uint32_t i = 0; i < WEAR_IN_BYTES / b->bytes && i < 256; i++)
        ready[ready_cnt++] = i;
    outstanding = ready_cnt;
    do {
        while (ready_cnt > 0)
            message_send(b, ready[--ready_cnt]);
        spool_pass(b, &t, ready, &ready_cnt, false);
        if (ready_cnt == 0)
            spool_wait(b);
        spool_usage(b->spool, &u);
        turn = stats_get(&b->stats, STATS_SPOOL_BATCH_BYTES) / SEGMENT_BYTES;
    } while (turn < u.segment_cnt + 1);
    outstanding_free(b, &t, ready, &ready_cnt, outstanding);
    free(t.us);
    b->bytes = bytes;
}

static uint64_t written(const struct bench *b)
{
    return stats_get(&b->stats, STATS_SPOOL_BATCH_BYTES) +
           stats_get(&b->stats, STATS_SPOOL_SUMMARY_BYTES);
}

static void load_spool(const char *dir, uint32_t bytes, uint32_t at_a_time)
{
    static uint32_t ready[OUTSTANDING_MAX];
    static struct bench b;
    struct tally t;
    uint32_t ready_cnt = 0;
    bench_make(&b, dir, bytes);
    spool_start(&b, 2 * SEGMENT_BYTES);
    segments_wear_in(&b);
    uint64_t before = written(&b);
    uint64_t batches = stats_get(&b.stats, STATS_SPOOL_BATCHES);
    uint32_t sent = b.id_next;
    tally_begin(&t);
    /* Two commits under way, of so many records each, and the next one gathers meanwhile: it must
     * not wait for the answer to the last one, as senders do not wait for each other. */
    for (uint32_t commit = 0; commit < 3; commit++) {
        for (uint32_t i = 0; i < at_a_time; i++)
            message_send(&b, commit * at_a_time + i);
        spool_run(b.spool, now_ns());
    }
    while (!tally_over(&t, bytes)) {
        while (ready_cnt > 0)
            message_send(&b, ready[--ready_cnt]);
        spool_pass(&b, &t, ready, &ready_cnt, false);
        if (ready_cnt == 0)
            spool_wait(&b);
    }
    tally_end(&t);
    tally_begin(&t);
    outstanding_free(&b, &t, ready, &ready_cnt, 3 * at_a_time);
    free(t.us);
    sent = b.id_next - sent;
    batches = stats_get(&b.stats, STATS_SPOOL_BATCHES) - batches;
    printf("written_per_byte %.3f times\n",
           (double)(written(&b) - before) / ((double)sent * (bytes + b.envelope_len)));
    printf("records_per_commit %.1f records\n", (double)sent / (double)batches);
    spool_stop(&b);
}

/* Refuses to fill up the disk. */
static uint64_t room_check(const struct bench *b, uint64_t bytes)
{
    struct statvfs v;
    if (fstatvfs(b->dir_fd, &v) != 0)
        die("statvfs", errno);
    if (v.f_bavail * v.f_frsize < bytes + KEEP_FREE_BYTES) {
        fprintf(stderr, "bench_spool: needs %llu MB, and leaves %llu MB free\n",
                (unsigned long long)(bytes >> 20), KEEP_FREE_BYTES >> 20);
        exit(1);
    }
    return bytes;
}

/* Takes what a start tells; with a queue, into it. */
static void told_take(struct bench *b, struct queue *q, uint32_t cnt, uint64_t *queue_ns)
{
    struct spool_done done[64];
    uint32_t n;
    while (b->arrived_cnt < cnt) {
        spool_run(b->spool, now_ns());
        n = spool_poll(b->spool, done, 64);
        uint64_t start = now_ns();
        for (uint32_t i = 0; i < n; i++)
            if (done[i].op == SPOOL_ARRIVED) {
                b->arrived_cnt++;
                if (queue_add(q, &done[i].id, done[i].arrival, start, start) != 0)
                    die("queue", ENOMEM);
            }
        *queue_ns += now_ns() - start;
        if (n == 0)
            spool_wait(b);
        if (n == 0 && spool_idle(b->spool))
            die("messages are missing", ENODATA);
    }
}

static void recover(const char *dir, uint32_t bytes, uint32_t cnt)
{
    static uint32_t ready[OUTSTANDING_MAX];
    static struct bench b;
    struct tally t;
    struct queue *q;
    struct queue_config queue_config = {
        .backoff_min_ns = BASE_NS_S, .backoff_max_ns = BASE_NS_S, .lifetime_ns = 86400 * BASE_NS_S};
    uint32_t ready_cnt = 0, sent = 0;
    uint64_t queue_ns = 0;
    bench_make(&b, dir, bytes);
    /* Three quarters of a spool may be live. */
    b.piece_bytes = (bytes + 3) / 4 < SPOOL_BUF_BYTES ? (bytes + 3) / 4 : SPOOL_BUF_BYTES;
    uint64_t room = room_check(&b, (uint64_t)cnt * (bytes + 1024) / 10 * 11);
    spool_start(&b, room / 3 * 4);
    for (uint32_t i = 0; i < 64; i++)
        ready[ready_cnt++] = i;
    tally_begin(&t);
    while (t.done < cnt) {
        while (ready_cnt > 0 && sent < cnt) {
            message_send(&b, ready[--ready_cnt]);
            sent++;
        }
        spool_pass(&b, &t, ready, &ready_cnt, true);
        spool_wait(&b);
    }
    free(t.us);
    spool_stop(&b);
    memset(&b.stats, 0, sizeof(b.stats));
    b.arrived_cnt = 0;
    if (queue_init(&q, &queue_config) != 0)
        die("queue", ENOMEM);
    double cpu = cpu_s();
    uint64_t start = now_ns();
    spool_start(&b, room / 3 * 4);
    uint64_t opened = now_ns();
    told_take(&b, q, cnt, &queue_ns);
    uint64_t told = now_ns();
    printf("recover_messages %u messages\n", cnt);
    printf("recover_open_s %.3f s\n", (double)(opened - start) / 1e9);
    printf("recover_told_s %.3f s\n", (double)(told - start - queue_ns) / 1e9);
    printf("recover_queue_s %.3f s\n", (double)queue_ns / 1e9);
    printf("recover_cpu_s %.3f s\n", cpu_s() - cpu);
    printf("recover_us_per_message %.2f us\n", (double)(told - start) / 1e3 / cnt);
    spool_stop(&b);
    queue_fini(q);
}

/* Sends cnt messages, all of which stay for now. */
static void live_send(struct bench *b, struct tally *t, uint32_t *ready, uint32_t *ready_cnt,
                      uint32_t cnt)
{
    uint32_t sent = 0;
    uint64_t until = t->done + cnt;
    while (t->done < until) {
        while (*ready_cnt > 0 && sent < cnt) {
            message_send(b, ready[--*ready_cnt]);
            sent++;
        }
        spool_pass(b, t, ready, ready_cnt, true);
        spool_wait(b);
    }
}

static void load_live(const char *dir, uint32_t bytes, uint32_t percent)
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
        die("memory", ENOMEM);
    base_rand_init(&b.rand, 1);
    room_check(&b, SEGMENTS * SEGMENT_BYTES);
    spool_start(&b, (SEGMENTS - 8) * SEGMENT_BYTES);
    for (uint32_t i = 0; i < OUTSTANDING; i++)
        ready[ready_cnt++] = i;
    tally_begin(&t);
    /* Once around first, so that the log has its wonted mixture of old and new. */
    live_send(&b, &t, ready, &ready_cnt, b.live_max + (uint32_t)(takes / bytes));
    free(t.us);
    uint64_t before = written(&b);
    uint64_t moved = stats_get(&b.stats, STATS_SPOOL_MOVED_BYTES);
    uint32_t cnt = (uint32_t)(2 * takes / bytes);
    tally_begin(&t);
    live_send(&b, &t, ready, &ready_cnt, cnt);
    uint64_t taken = (uint64_t)cnt * (bytes + b.envelope_len);
    printf("live_%u%%_written_per_byte %.3f times\n", percent,
           (double)(written(&b) - before) / (double)taken);
    printf("live_%u%%_moved_per_byte %.3f times\n", percent,
           (double)(stats_get(&b.stats, STATS_SPOOL_MOVED_BYTES) - moved) / (double)taken);
    printf("live_%u%%_records_per_s %.0f records/s\n", percent,
           (double)cnt * 1e9 / (double)(now_ns() - t.start_ns));
    free(t.us);
    free(b.live);
    spool_stop(&b);
}

/* ---- a bare program: two writes under way, each of so many records ---- */

static void load_bare(const char *dir, uint32_t bytes, uint32_t at_a_time)
{
    enum { UNDER_WAY = 2 };
    char path[512];
    struct io_uring ring;
    struct tally t;
    uint64_t start[UNDER_WAY], offset = 0;
    uint32_t len = (bytes + 4095) / 4096 * 4096 * at_a_time;
    uint64_t file_bytes = 4 * SEGMENT_BYTES / len * len;
    uint8_t *data = aligned_alloc(4096, len);
    uint8_t *ones = aligned_alloc(4096, 1 << 20);
    snprintf(path, sizeof(path), "%s/bare", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_DSYNC | O_CLOEXEC, 0600);
    if (fd < 0 || data == NULL || ones == NULL || file_bytes == 0)
        die(path, fd < 0 ? errno : ENOMEM);
    memset(data, 1, len);
    memset(ones, 1, 1 << 20);
    for (uint64_t at = 0; at < 4 * SEGMENT_BYTES; at += 1 << 20)
        if (pwrite(fd, ones, 1 << 20, (off_t)at) != 1 << 20)
            die(path, errno);
    free(ones);
    struct iovec v = {.iov_base = data, .iov_len = len};
    int rc = io_uring_queue_init(8, &ring, 0);
    if (rc < 0 || (rc = io_uring_register_files(&ring, &fd, 1)) < 0 ||
        (rc = io_uring_register_buffers(&ring, &v, 1)) < 0)
        die("io_uring", rc);
    tally_begin(&t);
    for (uint32_t i = 0; i < UNDER_WAY; i++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
        io_uring_prep_write_fixed(sqe, 0, data, len, offset, 0);
        sqe->flags |= IOSQE_FIXED_FILE;
        io_uring_sqe_set_data64(sqe, i);
        start[i] = now_ns();
        offset = (offset + len) % file_bytes;
    }
    while (!tally_over(&t, bytes)) {
        struct io_uring_cqe *cqe;
        if ((rc = io_uring_submit_and_wait(&ring, 1)) < 0 ||
            (rc = io_uring_wait_cqe(&ring, &cqe)) < 0)
            die("io_uring", rc);
        uint32_t i = (uint32_t)cqe->user_data;
        if (cqe->res != (int)len)
            die("write", cqe->res);
        io_uring_cqe_seen(&ring, cqe);
        uint64_t now = now_ns();
        for (uint32_t k = 0; k < at_a_time; k++)
            tally_add(&t, now - start[i]);
        struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
        io_uring_prep_write_fixed(sqe, 0, data, len, offset, 0);
        sqe->flags |= IOSQE_FIXED_FILE;
        io_uring_sqe_set_data64(sqe, i);
        start[i] = now;
        offset = (offset + len) % file_bytes;
    }
    tally_end(&t);
    io_uring_queue_exit(&ring);
    close(fd);
    unlink(path);
    free(data);
}

/* ---- one file a message, as Postfix does it: create, write, fsync ---- */

struct writer {
    pthread_t thread;
    const char *dir;
    uint32_t number;
    uint32_t bytes;
    struct tally tally;
};

static void *files_write(void *arg)
{
    struct writer *w = arg;
    char path[512];
    uint8_t *data = malloc(w->bytes);
    if (data == NULL)
        die("memory", ENOMEM);
    memset(data, 1, w->bytes);
    while (!tally_over(&w->tally, w->bytes)) {
        uint64_t start = now_ns();
        snprintf(path, sizeof(path), "%s/%u-%u", w->dir, w->number, (uint32_t)w->tally.done);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, data, w->bytes) != (ssize_t)w->bytes || fsync(fd) != 0)
            die(path, errno);
        close(fd);
        tally_add(&w->tally, now_ns() - start);
    }
    free(data);
    return NULL;
}

static void load_files(const char *dir, uint32_t bytes, uint32_t at_a_time)
{
    struct writer *w = calloc(at_a_time, sizeof(*w));
    struct tally all;
    char path[512];
    if (w == NULL)
        die("memory", ENOMEM);
    tally_begin(&all);
    for (uint32_t i = 0; i < at_a_time; i++) {
        w[i] = (struct writer){.dir = dir, .number = i, .bytes = bytes};
        tally_begin(&w[i].tally);
        if (pthread_create(&w[i].thread, NULL, files_write, &w[i]) != 0)
            die("thread", EAGAIN);
    }
    for (uint32_t i = 0; i < at_a_time; i++) {
        pthread_join(w[i].thread, NULL);
        for (uint32_t k = 0; k < w[i].tally.cnt; k++)
            tally_add(&all, w[i].tally.us[k] * UINT64_C(1000));
    }
    tally_end(&all);
    for (uint32_t i = 0; i < at_a_time; i++) {
        for (uint32_t k = 0; k < w[i].tally.done; k++) {
            snprintf(path, sizeof(path), "%s/%u-%u", dir, i, k);
            unlink(path);
        }
        free(w[i].tally.us);
    }
    free(w);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fputs(usage, stderr);
        return 2;
    }
    uint32_t bytes = (uint32_t)strtoul(argv[3], NULL, 10);
    uint32_t n = (uint32_t)strtoul(argv[4], NULL, 10);
    bool live = strcmp(argv[1], "live") == 0;
    bool many = strcmp(argv[1], "recover") == 0;
    if (bytes == 0 || bytes > 1 << 24 || n == 0 || (!many && n > OUTSTANDING_MAX / 3) ||
        (live && n > 95)) {
        fputs(usage, stderr);
        return 2;
    }
    if (live)
        load_live(argv[2], bytes, n);
    else if (many)
        recover(argv[2], bytes, n);
    else if (strcmp(argv[1], "spool") == 0)
        load_spool(argv[2], bytes, n);
    else if (strcmp(argv[1], "bare") == 0)
        load_bare(argv[2], bytes, n);
    else if (strcmp(argv[1], "files") == 0)
        load_files(argv[2], bytes, n);
    else {
        fputs(usage, stderr);
        return 2;
    }
    return 0;
}
