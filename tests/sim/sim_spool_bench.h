/*
 * A spool on a simulated disk and who uses it: random transactions, outcomes, frees and reads, and
 * the ledger of what was sent and what was answered. Shared by the simulations of the spool.
 *
 * Threads: one. A check that fails prints the seed and the crash, and ends the program.
 */
#ifndef SIM_SPOOL_BENCH_H
#define SIM_SPOOL_BENCH_H

#include "base_rand.h"
#include "base_time.h"
#include "disk_sim.h"
#include "spool.h"

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
    uint8_t own_acked; /* of the message itself: odd numbers are held */
    uint8_t own_sent;
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

/* A number below n, from the seed. */
uint64_t bench_below(struct sim *g, uint64_t n);
/* Forgets all messages and chooses, by the seed, how the disk fails and how large the spool is. */
void bench_begin(struct sim *g, uint64_t seed);
/* Frees the bodies. */
void bench_end(struct sim *g);
/* Some of what lanes and courier may do at a moment. */
void bench_act(struct sim *g);
/* Runs the spool; completions go to the ledger. */
void bench_run(struct sim *g, uint32_t pass_cnt);
/* A recovered message is one that the ledger allows. Borrows the arrival. Returns its row. */
struct ledger *bench_arrival_check(struct sim *g, const struct spool_done *d);
/* All buffers come home, after their spool died. */
void bench_bufs_home(struct sim *g);

#endif
