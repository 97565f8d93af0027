#include "sim_spool_probe.h"

#include <errno.h>
#include <string.h>

uint32_t probe_row(struct probe *p, const struct spool_id *id)
{
    struct sim *g = p->g;
    uint32_t i = base_be32(id->b + 12);
    CHECK(i < g->cnt && spool_id_eq(&g->m[i].id, id), "unknown id");
    return i;
}

static void read_done(struct probe *p, const struct spool_done *d)
{
    struct sim *g = p->g;
    uint32_t i = probe_row(p, &d->id);
    const struct ledger *l = &g->m[i];
    uint32_t left = l->len - p->read_at[i];
    uint32_t want = left < SPOOL_BUF_BYTES ? left : SPOOL_BUF_BYTES;
    p->reading[i] = false;
    if (d->status == 0) {
        CHECK(d->len == want, "message %u at %u: %u bytes", i, p->read_at[i], d->len);
        CHECK(memcmp(d->buf->data, l->body + p->read_at[i], want) == 0, "message %u differs", i);
        p->read_at[i] += want;
    } else {
        CHECK(d->status == -EBADMSG && p->hit[i], "read of %u says %d", i, d->status);
        p->read_at[i] = l->len;
    }
    if (p->read_at[i] == l->len) {
        p->read_over[i] = true;
        p->read_cnt++;
    }
    spool_buf_put(&p->pool, d->buf);
}

/* Of a message whose last records are lost: it may be as it was before them. */
static void loose_check(struct probe *p, const struct spool_done *d, const struct ledger *l)
{
    struct sim *g = p->g;
    const struct spool_arrival *a = d->arrival;
    CHECK(l->committed && l->state != ABORTED, "a message that was never whole");
    CHECK(a->content_bytes == l->len && a->recipient_cnt == l->recipient_cnt &&
              a->envelope_len == l->envelope_len &&
              memcmp(a->envelope, l->envelope, l->envelope_len) == 0,
          "another's envelope");
}

static void completion(struct probe *p, const struct spool_done *d)
{
    struct sim *g = p->g;
    uint32_t i = probe_row(p, &d->id);
    switch (d->op) {
    case SPOOL_ARRIVED:
        if (p->loose[i])
            loose_check(p, d, &g->m[i]);
        else
            bench_arrival_check(g, d);
        CHECK(!p->told[i], "message %u twice", i);
        p->told[i] = true;
        p->told_cnt++;
        spool_arrival_free(d->arrival);
        break;
    case SPOOL_DAMAGED:
        CHECK(p->hit[i], "message %u is said to be damaged", i);
        CHECK(!p->damaged[i], "damage of %u told twice", i);
        p->damaged[i] = true;
        p->damaged_cnt++;
        break;
    case SPOOL_FREE:
        CHECK(p->hit[i] && d->status == 0, "free says %d", d->status);
        break;
    case SPOOL_READ:
        read_done(p, d);
        break;
    default:
        CHECK(false, "completion %d", d->op);
    }
}

void probe_pass(struct probe *p)
{
    struct spool_done done[16];
    uint32_t n;
    p->now_ns += 5 * BASE_NS_MS;
    spool_run(p->spool, p->now_ns);
    while ((n = spool_poll(p->spool, done, 16)) > 0)
        for (uint32_t k = 0; k < n; k++)
            completion(p, &done[k]);
}

void probe_read(struct probe *p)
{
    for (uint32_t i = 0; i < p->g->cnt; i++) {
        struct spool_entry e = {.id = p->g->m[i].id, .op = SPOOL_READ, .from = 1};
        if (!p->told[i] || p->read_over[i] || p->reading[i])
            continue;
        e.buf = spool_buf_get(&p->pool);
        if (e.buf == NULL)
            return;
        e.offset = p->read_at[i];
        e.len = SPOOL_BUF_BYTES;
        if (spool_push(p->spool, &e) < 0) {
            spool_buf_put(&p->pool, e.buf);
            return;
        }
        p->reading[i] = true;
    }
}

int probe_open(struct probe *p, uint64_t seed)
{
    struct sim *g = p->g;
    struct spool_config config = g->config;
    char err[256] = "";
    memset(p->told, 0, sizeof(p->told));
    memset(p->read_at, 0, sizeof(p->read_at));
    memset(p->read_over, 0, sizeof(p->read_over));
    memset(p->reading, 0, sizeof(p->reading));
    memset(p->damaged, 0, sizeof(p->damaged));
    p->told_cnt = p->read_cnt = 0;
    config.seed = seed;
    config.stats = &p->stats;
    config.disk = g->disk;
    config.accept_corruption = p->accept;
    int rc = spool_open(&p->spool, &config, p->now_ns, err, sizeof(err));
    CHECK(rc == 0 || (p->rot && !p->accept && rc == -EBADMSG) || disk_sim_dead(&g->disk),
          "open: %d %s", rc, err);
    CHECK(rc == 0 || err[0] != '\0', "refused without a word");
    return rc;
}

bool probe_recover(struct probe *p, uint64_t seed)
{
    struct sim *g = p->g;
    struct spool_usage u;
    if (probe_open(p, seed) < 0) {
        p->refused_cnt++;
        return false;
    }
    spool_usage(p->spool, &u);
    for (uint32_t i = 0; p->read_cnt < u.message_cnt; i++) {
        CHECK(i < 5000, "%u told and %u read of %llu", p->told_cnt, p->read_cnt,
              (unsigned long long)u.message_cnt);
        probe_pass(p);
        probe_read(p);
    }
    for (uint32_t i = 0; i < g->cnt; i++)
        CHECK(p->told[i] || g->m[i].state != ACKED || g->m[i].maybe_freed || p->loose[i],
              "message %u was acknowledged and is lost", i);
    p->told_sum += p->told_cnt;
    return true;
}

void probe_quiet(struct sim *g, struct base_rand *rand)
{
    struct disk_sim_config c = {.capacity_bytes = g->disk_config.capacity_bytes,
                                .queue_depth = g->disk_config.queue_depth,
                                .sector_bytes = 512,
                                .delay_max = (uint32_t)base_rand_below(rand, 3)};
    c.read_flip_ppm = base_rand_below(rand, 4) == 0 ? 2000 : 0;
    disk_sim_configure(&g->disk, &c);
}
