/*
 * The spool on a disk that forgets: random transactions, outcomes, frees and reads, power fails at
 * a random moment, the spool recovers, and what it tells is compared with a ledger. Each seed is a
 * disk with its own faults that goes through several crashes.
 *
 *   sim_spool [FIRST_SEED [SEED_CNT]]   one seed alone replays it
 */
#include "base_rand.h"
#include "base_time.h"
#include "disk_sim.h"
#include "spool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { MESSAGE_MAX = 600, LIVE_MAX = 40, CRASH_CNT = 12, BUF_CNT = 8, RECIPIENT_MAX = 3 };

enum ledger_state { UNUSED, SENDING, ACKED, REFUSED, FREEING, FREED, ABORTED };

struct ledger {
    struct spool_id id;
    enum ledger_state state;
    bool maybe_freed; /* FREE was pushed and not answered when the power failed */
    bool told;        /* ARRIVED since the last start */
    bool reading;
    uint32_t seed;
    uint32_t len;
    uint32_t header_len;
    uint32_t pushed;
    bool committed; /* COMMIT was pushed */
    uint32_t recipient_cnt;
    uint8_t outcome_acked[RECIPIENT_MAX]; /* attempts known to be durable */
    uint8_t outcome_sent[RECIPIENT_MAX];
    bool outcome_under_way;
    struct spool_outcome outcome; /* its payload */
    uint8_t envelope[128];
    uint32_t envelope_len;
    uint8_t *body;
};

struct sim {
    uint64_t seed;
    struct base_rand rand;
    struct spool_disk disk;
    struct disk_sim_config disk_config;
    struct spool_config config;
    struct spool *spool;
    struct stats_block *stats;
    struct spool_buf_pool pool;
    struct ledger m[MESSAGE_MAX];
    uint32_t cnt;
    uint64_t now_ns;
    uint64_t crash_cnt, acked_cnt, recovered_cnt, freed_cnt, read_cnt, refused_cnt;
    bool write_faults;
};

#define CHECK(x, ...)                                                                              \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            printf("FAILED seed %llu crash %llu: %s: ", (unsigned long long)g->seed,               \
                   (unsigned long long)g->crash_cnt, #x);                                          \
            printf(__VA_ARGS__);                                                                   \
            printf("\n");                                                                          \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static uint64_t below(struct sim *g, uint64_t n)
{
    return base_rand_below(&g->rand, n);
}

static void message_make(struct sim *g)
{
    struct ledger *l = &g->m[g->cnt];
    memset(l, 0, sizeof(*l));
    l->id = spool_id_make(1000 + g->cnt, 1, 2, g->cnt);
    l->state = SENDING;
    l->len = below(g, 4) == 0 ? (uint32_t)below(g, 60000) : (uint32_t)below(g, 6000);
    l->header_len = l->len == 0 ? 0 : (uint32_t)below(g, l->len < 500 ? l->len : 500);
    l->body = malloc(l->len + 1);
    for (uint32_t i = 0; i < l->len; i++)
        l->body[i] = (uint8_t)(g->cnt * 31 + i * 7 + (i >> 8));
    l->recipient_cnt = 1 + (uint32_t)below(g, RECIPIENT_MAX);
    struct base_buf e = {.p = l->envelope, .cap = sizeof(l->envelope)};
    char text[32];
    snprintf(text, sizeof(text), "sender%u@example.org", g->cnt);
    int rc = spool_envelope_put(&e, SPOOL_ENVELOPE_SENDER, base_span_str(text));
    for (uint32_t i = 0; i < l->recipient_cnt; i++) {
        snprintf(text, sizeof(text), "r%u@example.net", i);
        rc |= spool_envelope_put(&e, SPOOL_ENVELOPE_RECIPIENT, base_span_str(text));
    }
    CHECK(rc == 0, "envelope");
    l->envelope_len = (uint32_t)e.len;
    struct spool_entry begin = {
        .id = l->id, .op = SPOOL_BEGIN, .from = 1, .p = l->envelope, .len = l->envelope_len};
    if (spool_push(g->spool, &begin) == 0)
        g->cnt++;
    else
        free(l->body);
}

static void message_send(struct sim *g, struct ledger *l)
{
    struct spool_entry e = {.id = l->id, .from = 1, .cookie = l};
    if (l->pushed < l->len) {
        uint32_t end = l->pushed < l->header_len ? l->header_len : l->len;
        e.op = SPOOL_CHUNK;
        e.part = l->pushed < l->header_len ? SPOOL_PART_HEADER : SPOOL_PART_BODY;
        e.p = l->body + l->pushed;
        e.len = end - l->pushed;
        if (e.len > 16384 && below(g, 8) != 0)
            e.len = 16384;
        if (spool_push(g->spool, &e) == 0)
            l->pushed += e.len;
    } else if (!l->committed) {
        e.op = below(g, 20) == 0 ? SPOOL_ABORT : SPOOL_COMMIT;
        if (spool_push(g->spool, &e) != 0)
            return;
        l->committed = e.op == SPOOL_COMMIT;
        if (e.op == SPOOL_ABORT)
            l->state = ABORTED;
    }
}

static void message_read(struct sim *g, struct ledger *l)
{
    struct spool_buf *buf = l->reading ? NULL : spool_buf_get(&g->pool);
    if (buf == NULL)
        return;
    struct spool_entry e = {.id = l->id, .op = SPOOL_READ, .from = 1, .cookie = l, .buf = buf};
    e.offset = below(g, l->len + 2);
    e.len = 1 + (uint32_t)below(g, SPOOL_BUF_BYTES);
    if (spool_push(g->spool, &e) != 0) {
        spool_buf_put(&g->pool, buf);
        return;
    }
    buf->hold_cnt = 0;
    l->reading = true;
    memcpy(buf->data, &e.offset, sizeof(e.offset));
    l->seed = (uint32_t)e.offset;
    l->pushed = e.len; /* what was wanted, once the message is whole */
}

static void message_outcome(struct sim *g, struct ledger *l)
{
    uint32_t r = (uint32_t)below(g, l->recipient_cnt);
    if (l->outcome_under_way || l->outcome_sent[r] == 250)
        return;
    l->outcome = (struct spool_outcome){.recipient = r,
                                        .state = SPOOL_OUTCOME_DEFERRED,
                                        .code = 451,
                                        .attempt_cnt = l->outcome_sent[r] + 1U};
    struct spool_entry e = {.id = l->id,
                            .op = SPOOL_OUTCOME,
                            .from = 1,
                            .cookie = l,
                            .p = (const uint8_t *)&l->outcome,
                            .len = sizeof(l->outcome)};
    if (spool_push(g->spool, &e) == 0) {
        l->outcome_sent[r]++;
        l->outcome_under_way = true;
    }
}

static void message_free(struct sim *g, struct ledger *l)
{
    struct spool_entry e = {.id = l->id, .op = SPOOL_FREE, .from = 1, .cookie = l};
    if (!l->outcome_under_way && spool_push(g->spool, &e) == 0)
        l->state = FREEING;
}

static void arrived(struct sim *g, const struct spool_done *d)
{
    struct spool_arrival *a = d->arrival;
    uint32_t i = base_be32(d->id.b + 12);
    CHECK(i < g->cnt, "unknown id");
    struct ledger *l = &g->m[i];
    CHECK(spool_id_eq(&l->id, &d->id), "id");
    CHECK(l->committed, "message %u was never whole", i);
    CHECK(!l->told, "message %u twice", i);
    CHECK(l->state != FREED, "message %u is back", i);
    CHECK(a->content_bytes == l->len, "message %u has %llu", i,
          (unsigned long long)a->content_bytes);
    CHECK(a->envelope_len == l->envelope_len &&
              memcmp(a->envelope, l->envelope, l->envelope_len) == 0,
          "envelope of %u", i);
    CHECK(a->recipient_cnt == l->recipient_cnt, "recipients of %u", i);
    for (uint32_t r = 0; r < a->recipient_cnt; r++) {
        uint32_t got = a->outcomes[r].attempt_cnt;
        CHECK(a->outcomes[r].recipient == r, "outcome's recipient");
        CHECK(got >= l->outcome_acked[r] && got <= l->outcome_sent[r],
              "message %u recipient %u: %u attempts, %u..%u", i, r, got, l->outcome_acked[r],
              l->outcome_sent[r]);
        l->outcome_sent[r] = l->outcome_acked[r] = (uint8_t)got;
    }
    l->told = true;
    if (l->state == SENDING)
        l->state = ACKED;
    spool_arrival_free(a);
}

static void read_done(struct sim *g, const struct spool_done *d, struct ledger *l)
{
    uint32_t offset = l->seed;
    uint32_t left = offset < l->len ? l->len - offset : 0;
    uint32_t want = left < l->pushed ? left : l->pushed;
    l->reading = false;
    if (d->status == 0) {
        CHECK(d->len == want, "read %u of %u at %u", d->len, want, offset);
        CHECK(memcmp(d->buf->data, l->body + offset, d->len) == 0, "bytes differ");
        g->read_cnt++;
    } else {
        CHECK(d->status == -ENOENT ? l->state == FREED || l->state == FREEING
                                   : g->disk_config.read_error_ppm > 0,
              "read says %d", d->status);
    }
    spool_buf_put(&g->pool, d->buf);
}

static void completion(struct sim *g, const struct spool_done *d)
{
    struct ledger *l = d->cookie;
    switch (d->op) {
    case SPOOL_ARRIVED:
        arrived(g, d);
        break;
    case SPOOL_COMMIT:
        CHECK(l->state == SENDING, "commit of %d", l->state);
        CHECK(d->status == 0 || g->write_faults || d->status == -ENOSPC, "commit says %d",
              d->status);
        l->state = d->status == 0 ? ACKED : REFUSED;
        g->acked_cnt += d->status == 0;
        g->refused_cnt += d->status != 0;
        break;
    case SPOOL_OUTCOME:
        l->outcome_under_way = false;
        CHECK(d->status == 0 || g->write_faults, "outcome says %d", d->status);
        if (d->status == 0)
            l->outcome_acked[l->outcome.recipient] = (uint8_t)l->outcome.attempt_cnt;
        break;
    case SPOOL_FREE:
        CHECK(d->status == 0 || g->write_faults, "free says %d", d->status);
        l->state = d->status == 0 ? FREED : ACKED;
        if (d->status != 0)
            l->maybe_freed = true;
        g->freed_cnt += d->status == 0;
        break;
    case SPOOL_READ:
        read_done(g, d, l);
        break;
    default:
        CHECK(false, "completion %d", d->op);
    }
}

static void run(struct sim *g, uint32_t pass_cnt)
{
    struct spool_done done[16];
    for (uint32_t i = 0; i < pass_cnt; i++) {
        uint32_t n;
        g->now_ns += 5 * BASE_NS_MS;
        spool_run(g->spool, g->now_ns);
        while ((n = spool_poll(g->spool, done, 16)) > 0)
            for (uint32_t k = 0; k < n; k++)
                completion(g, &done[k]);
    }
}

static void act(struct sim *g)
{
    uint32_t live = 0;
    for (uint32_t i = 0; i < g->cnt; i++)
        live += g->m[i].state == SENDING || g->m[i].state == ACKED;
    if (live < LIVE_MAX && g->cnt < MESSAGE_MAX && below(g, 3) == 0)
        message_make(g);
    for (uint32_t k = 0; k < 6 && g->cnt > 0; k++) {
        struct ledger *l =
            &g->m[below(g, 2) == 0 && g->cnt > 50 ? g->cnt - 50 + below(g, 50) : below(g, g->cnt)];
        if (l->state == SENDING)
            message_send(g, l);
        if (l->state != ACKED || !l->told)
            continue;
        uint64_t what = below(g, 10);
        if (what < 4)
            message_read(g, l);
        else if (what < 7)
            message_outcome(g, l);
        else if (what == 7 || live > LIVE_MAX / 2)
            message_free(g, l);
    }
}

/* Everything under way comes to an end, whatever the faults. (But for one pair: a disk that is full
 * for good, and write errors that cost the last free segment: then moving waits for space or a
 * start.) */
static void drain(struct sim *g)
{
    for (uint32_t i = 0; i < 5000 && !spool_idle(g->spool); i++)
        run(g, 1);
    CHECK(spool_idle(g->spool) || (g->write_faults && g->disk_config.capacity_bytes > 0),
          "never idle");
}

/* After the power came back: what lies in the spool is between what was promised and what was sent.
 */
static void recover(struct sim *g)
{
    char err[256] = "";
    for (uint32_t i = 0; i < g->cnt; i++) {
        struct ledger *l = &g->m[i];
        l->told = false;
        l->reading = false;
        l->outcome_under_way = false;
        if (l->state == FREEING || (l->state == ACKED && l->maybe_freed)) {
            l->state = ACKED;
            l->maybe_freed = true;
        }
    }
    /* Buffers that were inside are lost with the process: a new pool. */
    memset(&g->config.seed, 0, sizeof(g->config.seed));
    g->config.seed = base_rand_next(&g->rand);
    g->config.disk = g->disk;
    int rc = spool_open(&g->spool, &g->config, g->now_ns, err, sizeof(err));
    CHECK(rc == 0, "open: %d %s", rc, err);
    struct spool_usage u;
    spool_usage(g->spool, &u);
    drain(g);
    for (uint32_t i = 0; i < g->cnt; i++) {
        struct ledger *l = &g->m[i];
        if (l->state == ACKED && !l->told) {
            CHECK(l->maybe_freed, "message %u was acknowledged and is lost", i);
            l->state = FREED;
        }
        if (!l->told && l->state == SENDING)
            l->state = REFUSED; /* never acknowledged */
        g->recovered_cnt += l->told;
        l->maybe_freed = false;
        /* What was refused and came back anyway is a message like any other (G3). */
        if (l->told && l->state == REFUSED)
            l->state = ACKED;
        if (l->state == ABORTED)
            CHECK(!l->told, "message %u was given up and is there", i);
    }
}

static void faults_choose(struct sim *g)
{
    struct disk_sim_config *d = &g->disk_config;
    uint64_t kind = below(g, 4);
    d->sector_bytes = below(g, 2) == 0 ? 512 : 4096;
    d->delay_max = (uint32_t)below(g, 12);
    d->queue_depth = 2 + (uint32_t)below(g, 40);
    d->again_ppm = kind == 0 ? 0 : 20000;
    g->write_faults = kind == 2;
    d->write_error_ppm = g->write_faults ? 8000 : 0;
    d->write_short_ppm = g->write_faults ? 8000 : 0;
    d->read_flip_ppm = kind == 3 ? 3000 : 0;
    d->read_error_ppm = kind == 1 ? 500 : 0;
    d->capacity_bytes = below(g, 3) == 0 ? (5 + below(g, 3)) << 20 : 0;
    d->seed = g->seed;
}

static void simulate(struct sim *g, uint64_t seed)
{
    memset(g->m, 0, sizeof(g->m));
    g->seed = seed;
    g->cnt = 0;
    g->crash_cnt = 0;
    g->now_ns = BASE_NS_S;
    base_rand_init(&g->rand, seed);
    faults_choose(g);
    g->config = (struct spool_config){
        .segment_bytes = 1 << 20,
        .segment_max = 6 + (uint32_t)below(g, 3),
        .reserve_segments = 2,
        .commit_max = 1 + (uint32_t)below(g, 8),
        .batch_bytes_max = (1U + (uint32_t)below(g, 3)) * 65536,
        .stats = g->stats,
    };
    if (disk_sim_open(&g->disk, &g->disk_config) < 0)
        abort();
    recover(g);
    while (g->crash_cnt < CRASH_CNT && g->cnt < MESSAGE_MAX) {
        uint64_t act_cnt = below(g, 400);
        for (uint64_t i = 0; i < act_cnt; i++) {
            act(g);
            run(g, (uint32_t)below(g, 3));
        }
        if (below(g, 4) == 0)
            drain(g);
        disk_sim_crash(&g->disk);
        spool_close(g->spool);
        disk_sim_restart(&g->disk);
        g->crash_cnt++;
        /* The lanes die too: their buffers come home with them. */
        g->pool.free_cnt = 0;
        g->pool.free = NULL;
        for (uint32_t i = 0; i < BUF_CNT; i++)
            spool_buf_put(&g->pool, &g->pool.bufs[i]);
        recover(g);
    }
    spool_close(g->spool);
    disk_sim_close(&g->disk);
    for (uint32_t i = 0; i < g->cnt; i++)
        free(g->m[i].body);
}

int main(int argc, char **argv)
{
    static struct sim g;
    static struct stats_block stats;
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    uint64_t cnt = argc > 2 ? strtoull(argv[2], NULL, 0) : argc > 1 ? 1 : 200;
    uint64_t crash_cnt = 0;
    g.stats = &stats;
    if (spool_buf_pool_init(&g.pool, BUF_CNT, 1) < 0)
        return 1;
    for (uint64_t seed = first; seed < first + cnt; seed++) {
        simulate(&g, seed);
        crash_cnt += g.crash_cnt;
    }
    spool_buf_pool_fini(&g.pool);
    printf("seeds %llu..%llu: %llu crashes, %llu acknowledged, %llu refused, %llu freed, "
           "%llu recovered, %llu reads\n",
           (unsigned long long)first, (unsigned long long)(first + cnt - 1),
           (unsigned long long)crash_cnt, (unsigned long long)g.acked_cnt,
           (unsigned long long)g.refused_cnt, (unsigned long long)g.freed_cnt,
           (unsigned long long)g.recovered_cnt, (unsigned long long)g.read_cnt);
    for (int i = STATS_SPOOL_BATCHES; i <= STATS_SPOOL_CORRUPT; i++)
        printf("  %s %llu\n", stats_rows[i].name,
               (unsigned long long)stats_get(&stats, (enum stats_id)i));
    return 0;
}
