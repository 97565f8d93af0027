/*
 * A lane's flood: forged frames at a rate, straight to the port, beside the lane's connections or
 * alone. What a lane could not send in time it sends later; with a rate, what the port does not
 * take is counted and not tried again, so that a slow receiver shows.
 *
 * Threads: the lane's. Memory: a pool of its own, so that it can not starve the stack.
 */
#ifndef FLOOD_H
#define FLOOD_H

#include "flood_frame.h"

#include <stdbool.h>

struct lane;
struct options;
struct rte_mbuf;
struct rte_mempool;

struct flood {
    enum flood_kind kind;
    struct flood_target target;
    struct base_rand rand;
    struct rte_mempool *pool;
    double per_ns; /* frames; 0: as many as go */
    uint64_t begin_ns, tried_cnt, max;
    uint8_t next_hop[4], own[4];
    uint64_t ask_ns; /* when to ask for the next hop's MAC again */
    bool known;      /* its answer has come */
};

/* mac and own are the lane's. Returns 0, or -ENOMEM. */
int flood_open(struct flood *f, const struct options *o, const uint8_t mac[6], const uint8_t own[4],
               uint32_t lane);
void flood_close(struct flood *f);

/* The next load: kind, rate and count of o, for this lane of o's. */
void flood_load(struct flood *f, const struct options *o, uint32_t lane);

/* Before the load, until known: asks by ARP, and looks for the answer in what has come. */
void flood_ask(struct lane *l);
void flood_look(struct flood *f, struct rte_mbuf *const *pkts, uint32_t cnt);

/* Sends what is due. Returns false when nothing more will be. */
bool flood_run(struct lane *l);

#endif
