/*
 * The power fails after every operation of a run. While a spool is used (sim_spool_bench.h), after
 * each write submitted or completed and each file made or gone, the disk is crashed in many ways:
 * what was under way all lost, all kept, one write alone, each sector of each write torn (512 and
 * 4096 bytes), and random subsets. Another spool recovers each of these disks and is compared with
 * the ledger of that moment, message by message and byte by byte; then the disk is as before, and
 * the run goes on. Some of the recoveries are crashed too: at a random moment, or one after the
 * other at each of their own first operations, and recovered from.
 *
 * In the end bits of the disk rot: sim_spool_rot.c.
 *
 *   sim_spool_crash [FIRST_SEED [SEED_CNT [CRASH]]]   one seed alone replays it; CRASH: only that
 */
#include "sim_spool_probe.h"

#include <string.h>

enum {
    TEARS_PER_LEN = 64, /* of longer writes (zeroing), only some sectors are torn */
    INNER_EVERY = 40,   /* crashes whose recovery is crashed at each of its operations */
    INNER_MAX = 40,
    WHOLE_EVERY = 10,
    WHOLE_ACTS = 120,
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

/* Recovery is no exception: the power fails again, and all that was there is there. */
static void crash_again(struct probe *p, struct base_rand *rand)
{
    struct sim *g = p->g;
    bool before[MESSAGE_MAX];
    memcpy(before, p->told, sizeof(before));
    for (uint64_t n = base_rand_below(rand, 60); n > 0; n--)
        probe_pass(p);
    disk_sim_crash(&g->disk);
    spool_close(p->spool);
    disk_sim_restart(&g->disk);
    probe_recover(p, base_rand_next(rand));
    CHECK(memcmp(before, p->told, sizeof(before)) == 0, "the second start differs");
    p->again_cnt++;
}

/* The disk as the crash leaves it, until restore. Returns the numbers that the rest is chosen by.
 */
static struct base_rand crash_begin(struct probe *p, struct tear *t)
{
    struct sim *g = p->g;
    struct base_rand rand;
    base_rand_init(&rand, g->seed << 20 | g->crash_cnt);
    t->rand = rand;
    disk_sim_snapshot(&g->disk);
    disk_sim_crash_keep(&g->disk, t->sector_bytes, keep, t);
    disk_sim_restart(&g->disk);
    probe_quiet(g, &rand);
    p->now_ns = g->now_ns;
    return rand;
}

/* The same crash again and again; the nth operation of its recovery is the last one, for each n. */
static void crash_inside(struct probe *p, struct tear *t)
{
    struct sim *g = p->g;
    bool died = true;
    for (uint64_t n = 1; died && n <= INNER_MAX; n++) {
        struct base_rand rand = crash_begin(p, t);
        disk_sim_crash_in(&g->disk, n);
        if (probe_open(p, base_rand_next(&rand)) == 0) {
            for (int i = 0; i < 60 && !disk_sim_dead(&g->disk); i++)
                probe_pass(p);
            died = disk_sim_dead(&g->disk);
            disk_sim_crash(&g->disk);
            spool_close(p->spool);
        }
        disk_sim_restart(&g->disk);
        probe_recover(p, base_rand_next(&rand));
        spool_close(p->spool);
        disk_sim_restore(&g->disk);
        p->inner_cnt++;
    }
}

static void crash(struct probe *p, struct tear *t)
{
    struct sim *g = p->g;
    if (g->crash_cnt >= p->crash_max)
        return;
    g->crash_cnt++;
    if (p->only != 0 && g->crash_cnt != p->only)
        return;
    struct base_rand rand = crash_begin(p, t);
    probe_recover(p, base_rand_next(&rand));
    if (base_rand_below(&rand, 8) == 0)
        crash_again(p, &rand);
    spool_close(p->spool);
    disk_sim_restore(&g->disk);
    if (g->crash_cnt % INNER_EVERY == 0)
        crash_inside(p, t);
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
    if (p->op_cnt++ < p->skip_ops || g->crash_cnt >= p->crash_max)
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

static void simulate(struct probe *p, uint64_t seed)
{
    struct sim *g = p->g;
    bench_begin(g, seed);
    p->op_cnt = 0;
    /* A whole short run, operation by operation; or a part of a long one. */
    bool whole = seed % WHOLE_EVERY == 0;
    p->crash_max = whole ? 100 * CRASHES_PER_SEED : CRASHES_PER_SEED;
    p->tears = !whole && seed % 2 == 1;
    p->skip_ops = whole ? 0 : bench_below(g, 700);
    if (disk_sim_open(&g->disk, &g->disk_config) < 0)
        abort();
    g->config.disk = g->disk;
    g->config.seed = seed;
    disk_sim_watch(&g->disk, operation, p);
    char err[256] = "";
    int rc = spool_open(&g->spool, &g->config, g->now_ns, err, sizeof(err));
    CHECK(rc == 0, "open: %d %s", rc, err);
    for (uint32_t i = 0; i < 4000 && g->cnt < MESSAGE_MAX; i++) {
        if (whole ? i == WHOLE_ACTS : g->crash_cnt >= p->crash_max && i > 900)
            break;
        bench_act(g);
        bench_run(g, (uint32_t)bench_below(g, 3));
    }
    disk_sim_watch(&g->disk, NULL, NULL);
    for (uint32_t i = 0; i < 5000 && !spool_idle(g->spool); i++)
        bench_run(g, 1);
    spool_close(g->spool);
    rot_run(p);
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
    printf("seeds %llu..%llu: %llu crashes, %llu messages compared; %llu recoveries crashed at a "
           "random "
           "moment, %llu at one operation after the other\n",
           (unsigned long long)first, (unsigned long long)(first + cnt - 1),
           (unsigned long long)crash_cnt, (unsigned long long)p.told_sum,
           (unsigned long long)p.again_cnt, (unsigned long long)p.inner_cnt);
    printf("rot: %llu, refused %llu, accepted %llu, damage told %llu, segments put aside %llu\n",
           (unsigned long long)p.rot_cnt, (unsigned long long)p.refused_cnt,
           (unsigned long long)p.accepted_cnt, (unsigned long long)p.damaged_cnt,
           (unsigned long long)p.aside_cnt);
    return 0;
}
