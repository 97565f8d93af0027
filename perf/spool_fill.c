/*
 * Fills the spool of a gateway that is not running with small messages, each deferred once and due
 * in an hour, so that it finds a long queue when it starts, and leaves it alone.
 *
 * usage: spool_fill DIR MESSAGES BYTES SEGMENT_BYTES [DOMAINS [LIVE]]      prints how long it took
 *
 * Message n is for d(n mod DOMAINS).example.org, 100 if not said; LIVE more, for live.example.org,
 * lie between them, evenly.
 */
#include "base_time.h"
#include "disk_uring.h"
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define UNDER_WAY 1024
#define BYTES_CAP 65536
#define DOMAINS   100 /* if not said */
#define LINE      78

/* A message on its way: its bytes are borrowed by the spool until it is durable. */
struct slot {
    uint8_t envelope[256];
    struct spool_outcome outcome;
    struct slot *next;
};

struct fill {
    struct spool_disk disk;
    struct spool *spool;
    struct stats_block stats;
    uint8_t *body;
    uint32_t body_len;
    uint32_t domain_cnt, total_cnt, live_cnt;
    uint64_t wall_ns;
    uint32_t begun_cnt, done_cnt;
    struct slot *free;
};

__attribute__((noreturn)) static void die(const char *what)
{
    fprintf(stderr, "spool_fill: %s\n", what);
    exit(1);
}

static uint64_t clock_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * BASE_NS_S + (uint64_t)t.tv_nsec;
}

static uint32_t envelope_write(struct fill *f, struct slot *s, uint32_t n)
{
    struct base_buf b = {.p = s->envelope, .cap = sizeof(s->envelope)};
    uint8_t wall[8];
    char text[64];

    base_put_le64(wall, f->wall_ns);
    snprintf(text, sizeof(text), "sender%u@client.example", n % 1000);
    int rc = spool_envelope_put(&b, SPOOL_ENVELOPE_SENDER, base_span_str(text)) |
             spool_envelope_put(&b, SPOOL_ENVELOPE_ARRIVAL, base_span_of(wall, sizeof(wall)));
    /* Live ones are those where the count of live ones, spread over all, goes up. */
    uint64_t total = f->total_cnt;
    uint32_t live = (uint32_t)((uint64_t)(n + 1) * f->live_cnt / total);
    if (live != (uint32_t)((uint64_t)n * f->live_cnt / total))
        snprintf(text, sizeof(text), "recipient%u@live.example.org", n);
    else
        snprintf(text, sizeof(text), "recipient%u@d%u.example.org", n, (n - live) % f->domain_cnt);
    rc |= spool_envelope_put(&b, SPOOL_ENVELOPE_RECIPIENT, base_span_str(text));
    if (rc != 0)
        die("no room for the envelope");
    return (uint32_t)b.len;
}

static void push(struct fill *f, struct spool_entry e)
{
    if (spool_push(f->spool, &e) != 0)
        die("the spool takes no more at a time");
}

static void message_begin(struct fill *f)
{
    struct slot *s = f->free;
    uint32_t n = f->begun_cnt++;
    struct spool_id id = spool_id_make(f->wall_ns + n, 0, 0, n);

    f->free = s->next;
    s->outcome = (struct spool_outcome){.state = SPOOL_OUTCOME_DEFERRED,
                                        .code = 451,
                                        .enhanced = 4002001,
                                        .attempt_cnt = 1,
                                        .next_wall_ns = f->wall_ns + 3600 * BASE_NS_S};
    push(f, (struct spool_entry){
                .id = id, .op = SPOOL_BEGIN, .p = s->envelope, .len = envelope_write(f, s, n)});
    push(f, (struct spool_entry){.id = id,
                                 .op = SPOOL_CHUNK,
                                 .part = SPOOL_PART_BODY,
                                 .p = f->body,
                                 .len = f->body_len});
    push(f, (struct spool_entry){.id = id, .op = SPOOL_COMMIT, .cookie = s});
}

static void take(struct fill *f, const struct spool_done *d)
{
    struct slot *s = d->cookie;

    if (d->op == SPOOL_ARRIVED) {
        spool_arrival_free(d->arrival);
        return;
    }
    if (d->op != SPOOL_COMMIT && d->op != SPOOL_OUTCOME)
        return;
    if (d->status != 0)
        die(strerror(-d->status));
    if (d->op == SPOOL_COMMIT) {
        push(f, (struct spool_entry){.id = d->id,
                                     .op = SPOOL_OUTCOME,
                                     .p = (const uint8_t *)&s->outcome,
                                     .len = sizeof(s->outcome),
                                     .cookie = s});
        return;
    }
    s->next = f->free;
    f->free = s;
    f->done_cnt++;
}

static void fill(struct fill *f, uint32_t cnt)
{
    struct spool_done done[256];
    struct pollfd p = {.fd = f->disk.ops->wait_fd(f->disk.state), .events = POLLIN};
    uint32_t got;

    while (f->done_cnt < cnt) {
        while (f->begun_cnt < cnt && f->free != NULL)
            message_begin(f);
        spool_run(f->spool, clock_ns(CLOCK_MONOTONIC));
        bool any = false;
        while ((got = spool_poll(f->spool, done, BASE_ARRAY_CNT(done))) > 0) {
            any = true;
            for (uint32_t i = 0; i < got; i++)
                take(f, &done[i]);
        }
        if (!any && spool_deadline(f->spool) > clock_ns(CLOCK_MONOTONIC))
            (void)poll(&p, 1, 100);
    }
}

static void start(struct fill *f, const char *dir, uint64_t segment_bytes, uint64_t total_bytes)
{
    char err[256] = "";
    uint32_t segment_max = (uint32_t)(2 * total_bytes / segment_bytes) + 8;
    struct disk_uring_config d = {.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                                  .queue_depth = 64,
                                  .segment_max = segment_max};

    if (d.dir_fd < 0)
        die(strerror(errno));
    if (disk_uring_open(&f->disk, &d, err, sizeof(err)) != 0)
        die(err);
    struct spool_config c = {.disk = f->disk,
                             .segment_bytes = segment_bytes,
                             .segment_max = segment_max,
                             .reserve_segments = 2,
                             .commit_max = 2,
                             .batch_bytes_max = 1 << 20,
                             .stats = &f->stats,
                             .seed = clock_ns(CLOCK_MONOTONIC)};
    if (spool_open(&f->spool, &c, clock_ns(CLOCK_MONOTONIC), err, sizeof(err)) != 0)
        die(err);
}

int main(int argc, char **argv)
{
    static struct fill f;

    if (argc < 5 || argc > 7)
        die("usage: spool_fill DIR MESSAGES BYTES SEGMENT_BYTES [DOMAINS [LIVE]]");
    uint32_t cnt = (uint32_t)strtoul(argv[2], NULL, 10);
    f.body_len = (uint32_t)strtoul(argv[3], NULL, 10);
    f.domain_cnt = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 10) : DOMAINS;
    f.live_cnt = argc > 6 ? (uint32_t)strtoul(argv[6], NULL, 10) : 0;
    if (cnt == 0 || cnt > 10000000 || f.body_len < LINE || f.body_len > BYTES_CAP)
        die("1 to 10000000 messages of 78 to 65536 bytes");
    if (f.domain_cnt == 0 || f.domain_cnt > cnt || f.live_cnt > 10000000)
        die("1 to MESSAGES domains, up to 10000000 live messages");
    cnt += f.live_cnt;
    f.body_len -= f.body_len % LINE == 1; /* no room for a line end */
    f.total_cnt = cnt;
    f.wall_ns = clock_ns(CLOCK_REALTIME);
    f.body = malloc(f.body_len);
    struct slot *slots = calloc(UNDER_WAY, sizeof(*slots));
    if (f.body == NULL || slots == NULL)
        die("no memory");
    memset(f.body, 'x', f.body_len);
    for (uint32_t i = LINE; i <= f.body_len; i += LINE)
        memcpy(f.body + i - 2, "\r\n", 2);
    memcpy(f.body + f.body_len - 2, "\r\n", 2);
    for (uint32_t i = 0; i < UNDER_WAY; i++) {
        slots[i].next = f.free;
        f.free = &slots[i];
    }
    start(&f, argv[1], strtoull(argv[4], NULL, 10), (uint64_t)cnt * (f.body_len + 700));
    uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
    fill(&f, cnt);
    printf("%u messages in %.2f s\n", cnt,
           (double)(clock_ns(CLOCK_MONOTONIC) - begin_ns) / (double)BASE_NS_S);
    spool_close(f.spool);
    disk_uring_close(&f.disk);
    free(slots);
    free(f.body);
    return 0;
}
