/*
 * The spooler: the one thread of a disk. Drains the rings of the lanes and the courier into the
 * spool in bursts, and carries its completions back, each to its own ring, in the log's order. Its
 * word on whether new messages are taken stands in the topology, for all to read.
 *
 * Threads: spooler_pass by its own thread.
 */
#ifndef SPOOLER_H
#define SPOOLER_H

#include "spool.h"
#include "topology.h"

#define SPOOLER_BURST 64

/* Entries taken from one ring that the spool did not take yet. */
struct spooler_source {
    struct rte_ring *ring;
    uint32_t next, cnt;
    struct spool_entry entry[SPOOLER_BURST];
};

struct spooler {
    struct topology *topology;
    struct spool *spool;
    struct spooler_source *source; /* lanes, then the courier */
    uint32_t source_cnt;
    bool closed;     /* to new mail; see spooler_close */
    uint32_t index;  /* of the spool, in the topology */
    uint32_t first;  /* round robin: where the next pass begins */
    uint64_t now_ns; /* of the last pass */
    uint32_t done_next, done_cnt;
    struct spool_done done[SPOOLER_BURST]; /* not yet in their rings */
    struct stats_block *stats;
};

/* What is there is delivered, no new mail is taken; before any thread runs. */
void spooler_close(struct spooler *s);

/* The spool is borrowed; its number is told to the topology. Returns 0, -ENOMEM, or -EEXIST:
 * another spool has that number. */
int spooler_init(struct spooler *s, struct topology *topology, uint32_t index,
                 struct spool *spool) BASE_WARN_UNUSED;
void spooler_fini(struct spooler *s);

/* One round. Returns true when it did something. */
bool spooler_pass(struct spooler *s, uint64_t now_ns);
uint64_t spooler_deadline(const struct spooler *s);

/* True when all that lanes and courier gave is written or has failed; whether they were told does
 * not matter any more. */
bool spooler_settled(const struct spooler *s);

/* True when nothing is left to write or to tell. */
bool spooler_idle(const struct spooler *s);

#endif
