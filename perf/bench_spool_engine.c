#include "bench_spool.h"

#include "disk_uring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define KEEP_FREE_BYTES (10ull << 30)

void bench_start(struct bench *b, uint64_t room_bytes)
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
                             .seed = bench_now_ns()};
    if (spool_open(&b->spool, &c, bench_now_ns(), err, sizeof(err)) < 0) {
        fprintf(stderr, "bench_spool: %s\n", err);
        exit(1);
    }
}

void bench_stop(struct bench *b)
{
    spool_close(b->spool);
    disk_uring_close(&b->disk);
}

void bench_make(struct bench *b, const char *dir, uint32_t bytes)
{
    memset(b, 0, sizeof(*b));
    b->bytes = bytes;
    b->piece_bytes = SPOOL_BUF_BYTES;
    b->now_ns = bench_now_ns();
    b->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    b->body = malloc(bytes);
    if (b->dir_fd < 0 || b->body == NULL)
        bench_die(dir, errno);
    for (uint32_t i = 0; i < bytes; i++)
        b->body[i] = (uint8_t)(i * 2654435761U >> 11);
    struct base_buf e = {.p = b->envelope, .cap = sizeof(b->envelope)};
    if (spool_envelope_put(&e, SPOOL_ENVELOPE_SENDER, base_span_str("alice@example.org")) != 0 ||
        spool_envelope_put(&e, SPOOL_ENVELOPE_RECIPIENT, base_span_str("bob@example.net")) != 0)
        bench_die("envelope", EINVAL);
    b->envelope_len = (uint32_t)e.len;
}

/* Whether the whole message went in: all of its entries or none. */
void bench_put(struct bench *b, const struct spool_entry *e)
{
    while (spool_push(b->spool, e) != 0)
        spool_run(b->spool, bench_now_ns());
}

void bench_send(struct bench *b, uint32_t slot)
{
    uint32_t n = b->id_next++;
    struct spool_entry e = {.id = spool_id_make(b->now_ns, 0, 0, n),
                            .op = SPOOL_BEGIN,
                            .p = b->envelope,
                            .len = b->envelope_len,
                            .cookie = (void *)(uintptr_t)slot};
    b->sent_ns[slot] = b->now_ns;
    bench_put(b, &e);
    e.op = SPOOL_CHUNK;
    e.part = SPOOL_PART_BODY;
    for (uint32_t at = 0; at < b->bytes; at += e.len) {
        e.p = b->body + at;
        e.len = b->bytes - at < b->piece_bytes ? b->bytes - at : b->piece_bytes;
        bench_put(b, &e);
    }
    e.op = SPOOL_COMMIT;
    e.p = NULL;
    e.len = 0;
    bench_put(b, &e);
}

/* Sleeps until the disk has news. */
void bench_wait(struct bench *b)
{
    struct pollfd p = {.fd = b->disk.ops->wait_fd(b->disk.state), .events = POLLIN};
    uint64_t now = bench_now_ns(), at = spool_deadline(b->spool);
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
        bench_put(b, &(struct spool_entry){.id = b->live[at], .op = SPOOL_FREE});
    }
    b->live[at] = *id;
}

void bench_pass(struct bench *b, struct tally *t, uint32_t *ready, uint32_t *ready_cnt, bool keep)
{
    struct spool_done done[64];
    uint32_t cnt;
    b->now_ns = bench_now_ns();
    spool_run(b->spool, b->now_ns);
    b->now_ns = bench_now_ns(); /* as a lane does: one look at the clock for all that came */
    while ((cnt = spool_poll(b->spool, done, 64)) > 0)
        for (uint32_t i = 0; i < cnt; i++) {
            if (done[i].op == SPOOL_ARRIVED) {
                spool_arrival_free(done[i].arrival);
                b->arrived_cnt++;
            }
            if (done[i].op != SPOOL_COMMIT)
                continue;
            if (done[i].status != 0)
                bench_die("not durable", done[i].status);
            uint32_t slot = (uint32_t)(uintptr_t)done[i].cookie;
            bench_tally_add(t, b->now_ns - b->sent_ns[slot]);
            ready[(*ready_cnt)++] = slot;
            if (!keep)
                bench_put(b, &(struct spool_entry){.id = done[i].id, .op = SPOOL_FREE});
            else if (b->live != NULL)
                live_add(b, &done[i].id);
        }
}

static void settle(struct bench *b)
{
    struct spool_done d;
    while (!spool_idle(b->spool)) {
        spool_run(b->spool, bench_now_ns());
        while (spool_poll(b->spool, &d, 1) == 1)
            if (d.op == SPOOL_ARRIVED) {
                spool_arrival_free(d.arrival);
                b->arrived_cnt++;
            }
        bench_wait(b);
    }
}

/* Until all that was sent is durable, and freed. */
void bench_drain(struct bench *b, struct tally *t, uint32_t *ready, uint32_t *ready_cnt,
                 uint32_t outstanding)
{
    while (*ready_cnt < outstanding) {
        bench_pass(b, t, ready, ready_cnt, false);
        bench_wait(b);
    }
    settle(b);
}

/* Refuses to fill up the disk. */
uint64_t bench_room_check(const struct bench *b, uint64_t bytes)
{
    struct statvfs v;
    if (fstatvfs(b->dir_fd, &v) != 0)
        bench_die("statvfs", errno);
    if (v.f_bavail * v.f_frsize < bytes + KEEP_FREE_BYTES) {
        fprintf(stderr, "bench_spool: needs %llu MB, and leaves %llu MB free\n",
                (unsigned long long)(bytes >> 20), KEEP_FREE_BYTES >> 20);
        exit(1);
    }
    return bytes;
}
