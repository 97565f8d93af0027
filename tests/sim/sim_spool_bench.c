#include "sim_spool_bench.h"

#include <errno.h>

uint64_t bench_below(struct sim *g, uint64_t n)
{
    return base_rand_below(&g->rand, n);
}

static void message_make(struct sim *g)
{
    struct ledger *l = &g->m[g->cnt];
    memset(l, 0, sizeof(*l));
    l->id = spool_id_make(1000 + g->cnt, 1, 2, g->cnt);
    l->state = SENDING;
    l->len =
        bench_below(g, 4) == 0 ? (uint32_t)bench_below(g, 60000) : (uint32_t)bench_below(g, 6000);
    l->header_len = l->len == 0 ? 0 : (uint32_t)bench_below(g, l->len < 500 ? l->len : 500);
    l->body = malloc(l->len + 1);
    for (uint32_t i = 0; i < l->len; i++)
        l->body[i] = (uint8_t)(g->cnt * 31 + i * 7 + (i >> 8));
    l->recipient_cnt = 1 + (uint32_t)bench_below(g, RECIPIENT_MAX);
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
        if (e.len > 16384 && bench_below(g, 8) != 0)
            e.len = 16384;
        if (spool_push(g->spool, &e) == 0)
            l->pushed += e.len;
    } else if (!l->committed) {
        e.op = bench_below(g, 20) == 0 ? SPOOL_ABORT : SPOOL_COMMIT;
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
    e.offset = bench_below(g, l->len + 2);
    e.len = 1 + (uint32_t)bench_below(g, SPOOL_BUF_BYTES);
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
    uint32_t r = (uint32_t)bench_below(g, l->recipient_cnt + 1U);
    bool own = r == l->recipient_cnt; /* the operator holds it, or lets it go */
    uint8_t *sent = own ? &l->own_sent : &l->outcome_sent[r];
    if (l->outcome_under_way || *sent == 250)
        return;
    l->outcome = (struct spool_outcome){
        .recipient = r, .state = SPOOL_OUTCOME_DEFERRED, .code = 451, .attempt_cnt = *sent + 1U};
    if (own)
        l->outcome =
            (struct spool_outcome){.recipient = SPOOL_OUTCOME_MESSAGE, .state = (*sent + 1U) % 2};
    struct spool_entry e = {.id = l->id,
                            .op = SPOOL_OUTCOME,
                            .from = 1,
                            .cookie = l,
                            .p = (const uint8_t *)&l->outcome,
                            .len = sizeof(l->outcome)};
    if (spool_push(g->spool, &e) == 0) {
        ++*sent;
        l->outcome_under_way = true;
    }
}

static void message_free(struct sim *g, struct ledger *l)
{
    struct spool_entry e = {.id = l->id, .op = SPOOL_FREE, .from = 1, .cookie = l};
    if (!l->outcome_under_way && spool_push(g->spool, &e) == 0)
        l->state = FREEING;
}

struct ledger *bench_arrival_check(struct sim *g, const struct spool_done *d)
{
    const struct spool_arrival *a = d->arrival;
    uint32_t i = base_be32(d->id.b + 12);
    CHECK(i < g->cnt, "unknown id");
    struct ledger *l = &g->m[i];
    CHECK(spool_id_eq(&l->id, &d->id), "id");
    CHECK(l->committed, "message %u was never whole", i);
    CHECK(l->state != ABORTED, "message %u was given up and is there", i);
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
    }
    CHECK(l->own_sent != l->own_acked || a->held == l->own_acked % 2,
          "message %u held: %d, after %u changes", i, a->held, l->own_acked);
    return l;
}

static void arrived(struct sim *g, const struct spool_done *d)
{
    struct ledger *l = bench_arrival_check(g, d);
    CHECK(!l->told, "message twice");
    for (uint32_t r = 0; r < d->arrival->recipient_cnt; r++)
        l->outcome_sent[r] = l->outcome_acked[r] = (uint8_t)d->arrival->outcomes[r].attempt_cnt;
    l->own_sent = l->own_acked = d->arrival->held;
    l->told = true;
    if (l->state == SENDING)
        l->state = ACKED;
    spool_arrival_free(d->arrival);
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
        if (d->status == 0 && l->outcome.recipient == SPOOL_OUTCOME_MESSAGE)
            l->own_acked = l->own_sent;
        else if (d->status == 0)
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

void bench_run(struct sim *g, uint32_t pass_cnt)
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

void bench_act(struct sim *g)
{
    uint32_t live = 0;
    for (uint32_t i = 0; i < g->cnt; i++)
        live += g->m[i].state == SENDING || g->m[i].state == ACKED;
    if (live < LIVE_MAX && g->cnt < MESSAGE_MAX && bench_below(g, 3) == 0)
        message_make(g);
    for (uint32_t k = 0; k < 6 && g->cnt > 0; k++) {
        struct ledger *l =
            &g->m[bench_below(g, 2) == 0 && g->cnt > 50 ? g->cnt - 50 + bench_below(g, 50)
                                                        : bench_below(g, g->cnt)];
        if (l->state == SENDING)
            message_send(g, l);
        if (l->state != ACKED || !l->told)
            continue;
        uint64_t what = bench_below(g, 10);
        if (what < 4)
            message_read(g, l);
        else if (what < 7)
            message_outcome(g, l);
        else if (what == 7 || live > LIVE_MAX / 2)
            message_free(g, l);
    }
}

static void faults_choose(struct sim *g)
{
    struct disk_sim_config *d = &g->disk_config;
    uint64_t kind = bench_below(g, 4);
    d->sector_bytes = bench_below(g, 2) == 0 ? 512 : 4096;
    d->delay_max = (uint32_t)bench_below(g, 12);
    d->queue_depth = 2 + (uint32_t)bench_below(g, 40);
    d->again_ppm = kind == 0 ? 0 : 20000;
    g->write_faults = kind == 2;
    d->write_error_ppm = g->write_faults ? 8000 : 0;
    d->write_short_ppm = g->write_faults ? 8000 : 0;
    d->write_ghost_ppm = g->write_faults ? 8000 : 0;
    d->read_flip_ppm = kind == 3 ? 3000 : 0;
    d->read_error_ppm = kind == 1 ? 500 : 0;
    d->capacity_bytes = bench_below(g, 3) == 0 ? (5 + bench_below(g, 3)) << 20 : 0;
    d->seed = g->seed;
}

void bench_begin(struct sim *g, uint64_t seed)
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
        .segment_max = 6 + (uint32_t)bench_below(g, 3),
        .reserve_segments = 2,
        .commit_max = 1 + (uint32_t)bench_below(g, 8),
        .batch_bytes_max = (1U + (uint32_t)bench_below(g, 3)) * 65536,
        .memory_bytes = bench_below(g, 2) == 0 ? 0 : (1 + bench_below(g, 4)) << 20,
        .stats = g->stats,
    };
}

void bench_end(struct sim *g)
{
    for (uint32_t i = 0; i < g->cnt; i++)
        free(g->m[i].body);
}

void bench_bufs_home(struct sim *g)
{
    g->pool.free_cnt = 0;
    g->pool.free = NULL;
    for (uint32_t i = 0; i < BUF_CNT; i++)
        spool_buf_put(&g->pool, &g->pool.bufs[i]);
}
