/*
 * The spool on a disk that forgets: random transactions, outcomes, frees and reads, power fails at
 * a random moment, the spool recovers, and what it tells is compared with a ledger. Each seed is a
 * disk with its own faults that goes through several crashes.
 *
 *   sim_spool [FIRST_SEED [SEED_CNT]]   one seed alone replays it
 */
#include "sim_spool_bench.h"

#include <string.h>

/* Everything under way comes to an end, whatever the faults. (But for one pair: a disk that is full
 * for good, and write errors that cost the last free segment: then moving waits for space or a
 * start.) */
static void drain(struct sim *g)
{
    for (uint32_t i = 0; i < 5000 && !spool_idle(g->spool); i++)
        bench_run(g, 1);
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

static void simulate(struct sim *g, uint64_t seed)
{
    bench_begin(g, seed);
    if (disk_sim_open(&g->disk, &g->disk_config) < 0)
        abort();
    recover(g);
    while (g->crash_cnt < CRASH_CNT && g->cnt < MESSAGE_MAX) {
        uint64_t act_cnt = bench_below(g, 400);
        for (uint64_t i = 0; i < act_cnt; i++) {
            bench_act(g);
            bench_run(g, (uint32_t)bench_below(g, 3));
        }
        if (bench_below(g, 4) == 0)
            drain(g);
        disk_sim_crash(&g->disk);
        spool_close(g->spool);
        disk_sim_restart(&g->disk);
        g->crash_cnt++;
        /* The lanes die too: their buffers come home with them. */
        bench_bufs_home(g);
        recover(g);
    }
    spool_close(g->spool);
    disk_sim_close(&g->disk);
    bench_end(g);
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
