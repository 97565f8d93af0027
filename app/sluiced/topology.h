/*
 * THE map: the way of a message, the threads, and every ring between two of them with its depth.
 * It is data (topology.c), checked at start; nothing else in the program makes a ring.
 *
 * Each ring has one producer and one consumer (SPSC: a plain MPMC ring stalls everybody when a
 * producer is preempted) and moves ownership of what lies in it. A full ring is backpressure: the
 * producer keeps what it has and tries again on its next pass.
 */
#ifndef TOPOLOGY_H
#define TOPOLOGY_H

#include "doorbell.h"
#include "stats.h"
#include "stats_log.h"

#include <stddef.h>

struct rte_ring;

#define TOPOLOGY_LANE_MAX 64

/* One row of the way of a message: what README's table shows, in its order. */
struct topology_step {
    const char *name;
    const char *where;
};
extern const struct topology_step topology_way[];
extern const size_t topology_way_cnt;

/* Threads of the process main. Control is the main thread. */
enum topology_thread {
    TOPOLOGY_LANE, /* lane_cnt of them */
    TOPOLOGY_SPOOLER,
    TOPOLOGY_COURIER,
    TOPOLOGY_CONTROL,
    TOPOLOGY_HOST, /* the machine's own traffic, where the configuration has it */
    TOPOLOGY_THREAD_CNT
};

enum topology_link_id {
    TOPOLOGY_LANE_SPOOLER,    /* struct spool_entry */
    TOPOLOGY_SPOOLER_LANE,    /* struct spool_done */
    TOPOLOGY_COURIER_SPOOLER, /* struct spool_entry */
    TOPOLOGY_SPOOLER_COURIER, /* struct spool_done */
    TOPOLOGY_COURIER_LANE,    /* struct delivery * */
    TOPOLOGY_LANE_COURIER,    /* struct delivery * */
    TOPOLOGY_LANE_LANE,       /* struct rte_mbuf *: frames that came in on the wrong lane */
    TOPOLOGY_LANE_NEIGHBOR,   /* struct lane_neighbor: what ARP told one lane */
    TOPOLOGY_LANE_ICMP,       /* about connections of others */
    TOPOLOGY_CONTROL_COURIER, /* struct courier_request * */
    TOPOLOGY_COURIER_CONTROL, /* struct courier_request * */
    TOPOLOGY_LANE_HOST,       /* struct rte_mbuf *: frames for the machine's kernel */
    TOPOLOGY_HOST_FREE,       /* struct rte_mbuf *: those that it has got, back to be freed */
    TOPOLOGY_HOST_LANE,       /* struct rte_mbuf *: frames of the kernel's for the port */
    TOPOLOGY_LANE_LOG,        /* struct stats_log_record */
    TOPOLOGY_SPOOLER_LOG,
    TOPOLOGY_COURIER_LOG,
    TOPOLOGY_LINK_CNT
};

struct topology_link {
    const char *name;
    enum topology_thread from;
    enum topology_thread to;
    uint32_t element_bytes; /* multiple of 4 */
    uint32_t depth;         /* power of two */
};

struct topology {
    uint32_t lane_cnt;
    struct rte_ring **ring[TOPOLOGY_LINK_CNT]; /* by link, then by lane (both lanes: from * lane_cnt
                                                  + to) */
    struct doorbell lane_bell[TOPOLOGY_LANE_MAX];
    struct doorbell spooler_bell;
    struct doorbell courier_bell;
    struct doorbell host_bell;
    struct doorbell control_bell; /* not rung by logging: control looks there by itself */
    /* Counters, one block a thread: lanes, then spooler, courier, control,
       host. */
    struct stats_block *stats;
    uint32_t stats_cnt;
};

/* Checks the tables, makes rings, bells and counters. prefix keeps names of several gateways in one
 * process apart; silent: no bells (simulations). Returns 0, -ENOMEM, -EINVAL. */
int topology_init(struct topology *t, uint32_t lane_cnt, const char *prefix,
                  bool silent) BASE_WARN_UNUSED;
void topology_fini(struct topology *t);

/* The ring of a link; lane is ignored where neither end is a lane. */
static inline struct rte_ring *topology_ring(const struct topology *t, enum topology_link_id id,
                                             uint32_t lane)
{
    return t->ring[id][lane];
}

static inline struct stats_block *topology_stats(const struct topology *t,
                                                 enum topology_thread thread, uint32_t lane)
{
    return &t->stats[thread == TOPOLOGY_LANE ? lane : t->lane_cnt + (uint32_t)thread - 1];
}

/* The producer's end of a thread's log. */
struct stats_log topology_log(const struct topology *t, enum topology_thread thread, uint32_t lane);

#endif
