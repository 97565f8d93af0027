/*
 * The power fails after every operation of a run. While a spool is used (sim_spool_bench.h), after
 * each write submitted or completed and each file made or gone, the disk is crashed in many ways:
 * what was under way all lost, all kept, one write alone, each sector of each write torn (512 and
 * 4096 bytes), and random subsets. Another spool recovers each of these disks and is compared with
 * the ledger of that moment, message by message and byte by byte; then the disk is as before, and
 * the run goes on. Some of the recoveries are crashed too.
 *
 * In the end bits of the sealed disk rot: the spool refuses, or tells of the messages that were
 * hit, keeps all others, and puts the segment aside.
 *
 *   sim_spool_crash [FIRST_SEED [SEED_CNT [CRASH]]]   one seed alone replays it; CRASH: only that
 */
#include "sim_spool_bench.h"
#include "spool_format.h"

#include <errno.h>
#include <string.h>

enum {
    CRASHES_PER_SEED = 250,
    TEARS_PER_LEN = 64, /* of longer writes (zeroing), only some sectors are torn */
    ROTS_PER_SEED = 6,
};

enum tear_kind { TEAR_LOST, TEAR_KEPT, TEAR_ALONE, TEAR_HOLE, TEAR_ANY };

struct tear {
    enum tear_kind kind;
    uint32_t write;
    uint32_t sector;
    uint32_t sector_bytes;
    bool others; /* HOLE: the other writes are there */
    struct base_rand rand;
};

/* The spool that recovers, of which the ledger knows nothing. */
struct probe {
    struct sim *g;
    struct spool *spool;
    struct stats_block stats;
    struct spool_buf_pool pool;
    uint64_t now_ns;
    uint32_t told_cnt;
    uint32_t read_cnt; /* messages read to their end */
    bool rot;
    bool told[MESSAGE_MAX];
    bool hit[MESSAGE_MAX];     /* rot: bytes of it are wrong */
    bool damaged[MESSAGE_MAX]; /* told */
    uint32_t read_at[MESSAGE_MAX];
    bool read_over[MESSAGE_MAX];
    bool reading[MESSAGE_MAX];
    uint64_t only; /* 0: all crashes */
    uint64_t op_cnt, told_sum, again_cnt, rot_cnt, refused_cnt, damaged_cnt, aside_cnt;
    uint64_t skip_ops; /* the window begins after these */
    bool tears;        /* each sector; else more operations, with subsets */
};

static bool keep(void *arg, uint32_t nth, uint32_t sector)
{
    struct tear *t = arg;
    switch (t->kind) {
    case TEAR_LOST:
        return false;
    case TEAR_KEPT:
        return true;
    case TEAR_ALONE:
        return nth == t->write;
    case TEAR_HOLE:
        return nth == t->write ? sector != t->sector : t->others;
    case TEAR_ANY:
        break;
    }
    return (base_rand_next(&t->rand) & 1) != 0;
}

static uint32_t row_of(struct probe *p, const struct spool_id *id)
{
    struct sim *g = p->g;
    uint32_t i = base_be32(id->b + 12);
    CHECK(i < g->cnt && spool_id_eq(&g->m[i].id, id), "unknown id");
    return i;
}

static void read_done(struct probe *p, const struct spool_done *d)
{
    struct sim *g = p->g;
    uint32_t i = row_of(p, &d->id);
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

static void completion(struct probe *p, const struct spool_done *d)
{
    struct sim *g = p->g;
    uint32_t i = row_of(p, &d->id);
    switch (d->op) {
    case SPOOL_ARRIVED:
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

static void pass(struct probe *p)
{
    struct spool_done done[16];
    uint32_t n;
    p->now_ns += 5 * BASE_NS_MS;
    spool_run(p->spool, p->now_ns);
    while ((n = spool_poll(p->spool, done, 16)) > 0)
        for (uint32_t k = 0; k < n; k++)
            completion(p, &done[k]);
}

static void reads_push(struct probe *p)
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

/* Opens, takes all that is told and reads it. False: the spool refused. */
static bool recover(struct probe *p, uint64_t seed)
{
    struct sim *g = p->g;
    struct spool_config config = g->config;
    struct spool_usage u;
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
    int rc = spool_open(&p->spool, &config, p->now_ns, err, sizeof(err));
    CHECK(rc == 0 || (p->rot && rc == -EBADMSG), "open: %d %s", rc, err);
    if (rc < 0) {
        p->refused_cnt++;
        return false;
    }
    spool_usage(p->spool, &u);
    for (uint32_t i = 0; p->read_cnt < u.message_cnt; i++) {
        CHECK(i < 5000, "%u told and %u read of %llu", p->told_cnt, p->read_cnt,
              (unsigned long long)u.message_cnt);
        pass(p);
        reads_push(p);
    }
    for (uint32_t i = 0; i < g->cnt; i++)
        CHECK(p->told[i] || g->m[i].state != ACKED || g->m[i].maybe_freed,
              "message %u was acknowledged and is lost", i);
    p->told_sum += p->told_cnt;
    return true;
}

/* Recovery is no exception: the power fails again, and all that was there is there. */
static void crash_again(struct probe *p, struct base_rand *rand)
{
    struct sim *g = p->g;
    bool before[MESSAGE_MAX];
    memcpy(before, p->told, sizeof(before));
    for (uint64_t n = base_rand_below(rand, 60); n > 0; n--)
        pass(p);
    disk_sim_crash(&g->disk);
    spool_close(p->spool);
    disk_sim_restart(&g->disk);
    recover(p, base_rand_next(rand));
    CHECK(memcmp(before, p->told, sizeof(before)) == 0, "the second start differs");
    p->again_cnt++;
}

static void quiet(struct sim *g, struct base_rand *rand)
{
    struct disk_sim_config c = {.capacity_bytes = g->disk_config.capacity_bytes,
                                .queue_depth = g->disk_config.queue_depth,
                                .sector_bytes = 512,
                                .delay_max = (uint32_t)base_rand_below(rand, 3)};
    c.read_flip_ppm = base_rand_below(rand, 4) == 0 ? 2000 : 0;
    disk_sim_configure(&g->disk, &c);
}

static void crash(struct probe *p, struct tear *t)
{
    struct sim *g = p->g;
    if (g->crash_cnt >= CRASHES_PER_SEED)
        return;
    g->crash_cnt++;
    if (p->only != 0 && g->crash_cnt != p->only)
        return;
    struct base_rand rand;
    base_rand_init(&rand, g->seed << 20 | g->crash_cnt);
    t->rand = rand;
    disk_sim_snapshot(&g->disk);
    disk_sim_crash_keep(&g->disk, t->sector_bytes, keep, t);
    disk_sim_restart(&g->disk);
    quiet(g, &rand);
    p->now_ns = g->now_ns;
    recover(p, base_rand_next(&rand));
    if (base_rand_below(&rand, 8) == 0)
        crash_again(p, &rand);
    spool_close(p->spool);
    disk_sim_restore(&g->disk);
}

static void tear_write(struct probe *p, uint32_t write, uint32_t sector_bytes)
{
    struct sim *g = p->g;
    uint32_t len = disk_sim_under_way(&g->disk, write);
    uint32_t cnt = len / sector_bytes;
    uint32_t step = len <= TEARS_PER_LEN * 1024 ? 1 : cnt / 4;
    for (uint32_t s = 0; s < cnt; s += step) {
        struct tear t = {.kind = TEAR_HOLE, .write = write, .sector_bytes = sector_bytes};
        t.sector = s + (uint32_t)(g->crash_cnt % step);
        t.others = g->crash_cnt % 2 == 0;
        crash(p, &t);
    }
}

static void operation(void *arg)
{
    struct probe *p = arg;
    struct sim *g = p->g;
    if (p->op_cnt++ < p->skip_ops || g->crash_cnt >= CRASHES_PER_SEED)
        return;
    struct tear t = {.kind = TEAR_LOST, .sector_bytes = 512};
    crash(p, &t);
    if (disk_sim_under_way(&g->disk, 0) == 0)
        return;
    t.kind = TEAR_KEPT;
    crash(p, &t);
    for (int i = 0; i < 2; i++) {
        t = (struct tear){.kind = TEAR_ANY, .sector_bytes = i == 0 ? 512 : 4096};
        crash(p, &t);
    }
    for (uint32_t w = 0; p->tears && disk_sim_under_way(&g->disk, w) > 0; w++) {
        t = (struct tear){.kind = TEAR_ALONE, .sector_bytes = 512, .write = w};
        crash(p, &t);
        tear_write(p, w, 4096);
        tear_write(p, w, 512);
    }
}

/* A piece of content of a message that is there, and where its payload lies. False: none. */
static bool piece_choose(struct probe *p, const uint8_t *data, uint64_t bytes,
                         struct base_rand *rand, struct spool_record *out, uint64_t *offset)
{
    struct spool_segment_header h;
    uint32_t cnt = 0;
    if (spool_segment_header_read(data, &h) < 0)
        return false;
    for (uint64_t at = SPOOL_BLOCK_BYTES; at + SPOOL_BATCH_HEADER_LEN < bytes;) {
        struct spool_record r;
        if (spool_record_read(data + at, bytes - at, h.salt, at, &r) < 0) {
            at += 8;
            continue;
        }
        if (r.type == SPOOL_RECORD_PIECE && r.part != SPOOL_PART_ENVELOPE &&
            p->g->m[row_of(p, &r.id)].state == ACKED && base_rand_below(rand, ++cnt) == 0) {
            *out = r;
            *offset = at + SPOOL_RECORD_HEADER_LEN;
        }
        at += spool_record_bytes(r.len);
    }
    return cnt > 0;
}

/* Everything but what was hit can be read where it lies now. */
static void read_again(struct probe *p, uint32_t hit)
{
    struct sim *g = p->g;
    memset(p->read_at, 0, sizeof(p->read_at));
    memset(p->read_over, 0, sizeof(p->read_over));
    p->read_over[hit] = true;
    p->read_cnt = 1;
    for (uint32_t i = 0; p->read_cnt < p->told_cnt; i++) {
        CHECK(i < 5000, "not read after salvage");
        reads_push(p);
        pass(p);
    }
}

/* The spool found the damage at run time: the segment is emptied and put aside, the message is
 * given up, and the next start has all others. */
static void salvage_check(struct probe *p, uint32_t segment, uint32_t hit, struct base_rand *rand)
{
    struct sim *g = p->g;
    struct spool_entry e = {.id = g->m[hit].id, .op = SPOOL_FREE, .from = 1};
    enum ledger_state state = g->m[hit].state;
    uint64_t before = stats_get(&p->stats, STATS_SPOOL_SET_ASIDE);
    bool late = base_rand_below(rand, 2) == 0;
    g->m[hit].state = FREEING;
    if (!late)
        CHECK(spool_push(p->spool, &e) == 0, "free");
    uint32_t i = 0;
    for (; i < 5000 && stats_get(&p->stats, STATS_SPOOL_SET_ASIDE) == before; i++)
        pass(p);
    if (late)
        CHECK(spool_push(p->spool, &e) == 0, "free");
    for (uint32_t k = 0; k < 5000 && !spool_idle(p->spool); k++)
        pass(p);
    CHECK(spool_idle(p->spool), "never idle after damage");
    CHECK(i < 5000, "damaged segment %u stays", segment);
    p->aside_cnt++;
    read_again(p, hit);
    g->m[hit].state = FREED;
    if (base_rand_below(rand, 2) == 0)
        disk_sim_crash(&g->disk);
    spool_close(p->spool);
    disk_sim_restart(&g->disk);
    p->rot = false;
    recover(p, base_rand_next(rand));
    g->m[hit].state = state;
}

static void rot_check(struct probe *p, uint32_t segment, uint32_t hit, struct base_rand *rand)
{
    if (!recover(p, base_rand_next(rand)))
        return;
    if (p->damaged[hit])
        salvage_check(p, segment, hit, rand);
    spool_close(p->spool);
}

/* One bit of one piece, at rest. */
static void rot(struct probe *p, struct base_rand *rand)
{
    struct sim *g = p->g;
    uint32_t numbers[64];
    struct spool_record r = {0};
    uint64_t bytes, offset = 0;
    int cnt = g->disk.ops->segment_list(g->disk.state, numbers, 64);
    uint32_t segment = numbers[base_rand_below(rand, (uint64_t)cnt)];
    const uint8_t *data = disk_sim_data(&g->disk, segment, &bytes);
    if (!piece_choose(p, data, bytes, rand, &r, &offset))
        return;
    uint32_t hit = row_of(p, &r.id);
    p->rot_cnt++;
    p->rot = true;
    p->hit[hit] = true;
    disk_sim_snapshot(&g->disk);
    disk_sim_flip(&g->disk, segment, offset * 8 + base_rand_below(rand, (uint64_t)r.len * 8));
    quiet(g, rand);
    p->now_ns = g->now_ns;
    rot_check(p, segment, hit, rand);
    disk_sim_restore(&g->disk);
    p->hit[hit] = false;
    p->rot = false;
}

static void simulate(struct probe *p, uint64_t seed)
{
    struct sim *g = p->g;
    bench_begin(g, seed);
    p->op_cnt = 0;
    p->tears = seed % 2 == 1;
    p->skip_ops = seed % 4 == 0 ? 0 : bench_below(g, 700);
    if (disk_sim_open(&g->disk, &g->disk_config) < 0)
        abort();
    g->config.disk = g->disk;
    g->config.seed = seed;
    disk_sim_watch(&g->disk, operation, p);
    char err[256] = "";
    int rc = spool_open(&g->spool, &g->config, g->now_ns, err, sizeof(err));
    CHECK(rc == 0, "open: %d %s", rc, err);
    for (uint32_t i = 0; i < 4000 && g->cnt < MESSAGE_MAX; i++) {
        if (g->crash_cnt >= CRASHES_PER_SEED && i > 900)
            break;
        bench_act(g);
        bench_run(g, (uint32_t)bench_below(g, 3));
    }
    disk_sim_watch(&g->disk, NULL, NULL);
    for (uint32_t i = 0; i < 5000 && !spool_idle(g->spool); i++)
        bench_run(g, 1);
    spool_close(g->spool);
    struct base_rand rand;
    uint64_t crash_cnt = g->crash_cnt;
    for (uint64_t i = 1; i <= ROTS_PER_SEED; i++) {
        g->crash_cnt = CRASHES_PER_SEED + i; /* its number, to replay it */
        base_rand_init(&rand, ~(seed << 20 | g->crash_cnt));
        if (p->only == 0 || p->only == g->crash_cnt)
            rot(p, &rand);
    }
    g->crash_cnt = crash_cnt;
    disk_sim_close(&g->disk);
    bench_end(g);
    bench_bufs_home(g);
}

int main(int argc, char **argv)
{
    static struct sim g;
    static struct probe p;
    static struct stats_block stats;
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    uint64_t cnt = argc > 2 ? strtoull(argv[2], NULL, 0) : argc > 1 ? 1 : 20;
    uint64_t crash_cnt = 0;
    p.only = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;
    p.g = &g;
    g.stats = &stats;
    if (spool_buf_pool_init(&g.pool, BUF_CNT, 1) < 0 ||
        spool_buf_pool_init(&p.pool, BUF_CNT, 1) < 0)
        return 1;
    for (uint64_t seed = first; seed < first + cnt; seed++) {
        simulate(&p, seed);
        crash_cnt += g.crash_cnt;
    }
    spool_buf_pool_fini(&g.pool);
    spool_buf_pool_fini(&p.pool);
    printf("seeds %llu..%llu: %llu crashes, %llu messages compared, %llu recoveries crashed too\n",
           (unsigned long long)first, (unsigned long long)(first + cnt - 1),
           (unsigned long long)crash_cnt, (unsigned long long)p.told_sum,
           (unsigned long long)p.again_cnt);
    printf("rot: %llu, refused %llu, damage told %llu, segments put aside %llu\n",
           (unsigned long long)p.rot_cnt, (unsigned long long)p.refused_cnt,
           (unsigned long long)p.damaged_cnt, (unsigned long long)p.aside_cnt);
    return 0;
}
