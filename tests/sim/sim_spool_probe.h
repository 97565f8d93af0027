/*
 * A spool that recovers what another one left, told to nobody but the ledger of that one: what it
 * tells and what can be read of it is compared, message by message and byte by byte.
 *
 * Threads: one. A check that fails prints the seed and the crash, and ends the program.
 */
#ifndef SIM_SPOOL_PROBE_H
#define SIM_SPOOL_PROBE_H

#include "sim_spool_bench.h"

enum { CRASHES_PER_SEED = 250 };

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
    bool loose[MESSAGE_MAX];   /* rot: what was known of it last may be forgotten, or all of it */
    bool damaged[MESSAGE_MAX]; /* told */
    uint32_t read_at[MESSAGE_MAX];
    bool read_over[MESSAGE_MAX];
    bool reading[MESSAGE_MAX];
    bool accept;   /* corruption: start past it */
    uint64_t only; /* 0: all crashes */
    uint64_t op_cnt, told_sum, again_cnt, inner_cnt, rot_cnt, refused_cnt, damaged_cnt, aside_cnt,
        accepted_cnt;
    uint64_t crash_max; /* of this seed */
    uint64_t skip_ops;  /* the window begins after these */
    bool tears;         /* each sector; else more operations, with subsets */
};

/* The ledger's row of a message. */
uint32_t probe_row(struct probe *p, const struct spool_id *id);
/* Runs the spool once; what it tells is compared. */
void probe_pass(struct probe *p);
/* Asks for the next bytes of all messages that were not read to their end. */
void probe_read(struct probe *p);
/* Only opens it: its result. */
int probe_open(struct probe *p, uint64_t seed);
/* Opens, takes all that is told and reads it, finds nothing missing. False: the spool refused, for
 * rot. */
bool probe_recover(struct probe *p, uint64_t seed);
/* The faults of the disk while it is recovered from. */
void probe_quiet(struct sim *g, struct base_rand *rand);
/* Bits of the disk that the bench left behind rot, one after the other. */
void rot_run(struct probe *p);

#endif
