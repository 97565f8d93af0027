/*
 * What the parts of sim_gateway.c share: the simulation of one seed, and what all seeds add up to.
 * One thread; for these files alone.
 */
#ifndef SIM_GATEWAY_H
#define SIM_GATEWAY_H

#include "base_rand.h"
#include "courier.h"
#include "disk_sim.h"
#include "lane.h"
#include "resolver.h"
#include "sim_sts.h"
#include "spooler.h"
#include "stream_service.h"

#include <stdio.h>
#include <stdlib.h>

struct rte_mempool;
struct sim_lmtp;
struct wire;
struct world;

#define LANE_MAX      3
#define SPOOL_CNT_MAX 3
#define POOL_CNT      6

struct sim {
    uint64_t seed;
    uint64_t now_ns;
    struct base_rand rand;
    struct base_rand wall_rand; /* jumps of the wall clock, in some seeds */
    int64_t wall_off_ns;
    bool wall_jumps;
    enum shaping { SHAPING_NONE, SHAPING_LIMIT, SHAPING_421 } shaping;
    uint32_t shaping_max;                    /* connections */
    uint64_t shaping_waits, shaping_refused; /* of all seeds */
    uint64_t jump_cnt;                       /* of all seeds */
    struct wire *wire;
    struct world *world;
    struct sim_lmtp *lmtp; /* NULL: none */
    struct stream_service streams;
    uint64_t boxed_cnt, cut_cnt; /* of all seeds: recipients in mail boxes, sessions cut there */
    /* By disk, which keep their places here while their spools change theirs. */
    struct spool_disk disk[SPOOL_CNT_MAX];
    uint32_t spool_cnt;
    struct trouble {
        enum trouble_kind {
            TROUBLE_NONE,
            TROUBLE_FOR_GOOD,
            TROUBLE_A_WHILE,
            TROUBLE_RANDOM,
            TROUBLE_SMALL,
            TROUBLE_ALL,
            TROUBLE_CNT
        } kind;
        uint32_t disk;
        uint64_t begin_ns, end_ns;
        bool began, ended;
    } trouble;
    uint64_t refused_cnt[TROUBLE_CNT];  /* messages, of all seeds */
    uint64_t moved_cnt;                 /* messages taken while a spool refused, of all seeds */
    struct rte_mempool *pool[POOL_CNT]; /* the gateway's first */
    /* the gateway: made anew after each power failure */
    struct settings_hub hub;
    struct topology topology;
    struct spool *spool[SPOOL_CNT_MAX];
    struct spooler spooler[SPOOL_CNT_MAX];
    struct courier courier;
    struct resolver_table *names;
    struct resolver resolver;
    struct lane *lane[LANE_MAX];
    uint32_t lane_cnt;
    struct stats_log log[SPOOL_CNT_MAX];
    uint32_t start_cnt;
    bool sources; /* mail leaves by two, one of them not wanted */
    uint64_t source_refused_cnt, source_aside_cnt, source_again_cnt; /* of all seeds */
    bool bounce; /* the next hop refuses recipients for good */
    uint64_t report_cnt, told_cnt;
    /* Mail goes where a table says, with troubles of its own until the calm. */
    bool by_mx, names_bad;
    struct sim_sts *sts;                       /* NULL: none; with by_mx alone */
    struct sim_sts_counts sts_counts;          /* of all seeds */
    uint64_t sts_tested_cnt, sts_enforced_cnt; /* deliveries by a policy in mode testing; held */
    uint64_t plan_cnt, plan_deferred_cnt, next_host_cnt; /* of all seeds */
    /* How the port spreads segments over the lanes. */
    enum spread { SPREAD_UNKNOWN, SPREAD_KNOWN, SPREAD_WRONG, SPREAD_CNT } spread;
    struct net_rss rss;
    uint64_t steered_cnt[SPREAD_CNT]; /* of all seeds, with several lanes */
    uint64_t reused_cnt, untried_cnt; /* of all seeds */
    /* What is wrong with the disk, and what came of it in all seeds. */
    enum fault { FAULT_WRITES, FAULT_READS, FAULT_SMALL, FAULT_OUTAGE, FAULT_NONE } fault;
    uint64_t outage_ns;
    uint64_t write_error_cnt, read_error_cnt, full_cnt, broken_cnt, kept_out_cnt;
};

#define FAIL(sim, ...)                                                                             \
    do {                                                                                           \
        fprintf(stderr, "sim_gateway: seed %lu: ", (unsigned long)(sim)->seed);                    \
        fprintf(stderr, __VA_ARGS__);                                                              \
        fprintf(stderr, "\n");                                                                     \
        exit(1);                                                                                   \
    } while (0)

/* ---- disks in trouble: sim_gateway_disk.c ---- */

/* By the seed, spools first: how many there are, and what is wrong with them or with the one. */
void sim_choose_spools(struct sim *s);
void sim_choose_fault(struct sim *s);

/* Of disk i; trouble: with the one of sim_choose_spools, if it is this disk's. */
struct disk_sim_config sim_disk_config(const struct sim *s, uint32_t i, bool trouble);

/* Begins and ends it. A disk that failed for good is well again only when all mail is through, so
 * that what lies on it can be freed. */
void sim_run_trouble(struct sim *s);

/* Of a run in which one spool of several could not be written to. */
void sim_count_moved(struct sim *s, uint32_t acked_before);

/* ---- what all seeds add up to: sim_gateway_totals.c ---- */

/* Add what a gateway has counted, before it ends. */
void sim_count_steered(struct sim *s);
void sim_count_faults(struct sim *s);
void sim_count_policies(struct sim *s);

/* What the seeds were to try has happened. */
void sim_check_all(struct sim *s);

/* Print, of cnt seeds; the first fails where there were many and no disk was in trouble. */
void sim_tell_faults(const struct sim *s, uint64_t cnt);
void sim_tell_totals(const struct sim *s, uint64_t cnt);

#endif
