/*
 * Where a lane's cycles go: counters lane/cycles_rx to cycles_tx, whose sum is cycles_busy.
 *
 * A pass is always in one part; it changes by lane_cycles_enter, in the lane's own pass and where a
 * connection's layers call each other. A look at the processor's clock at each change would cost a
 * small pass some percents, so one pass of LANE_CYCLES_EACH is looked at, and what all have taken
 * is shared out in the ratio of those, every LANE_CYCLES_SHARE_NS. Until then it lacks in the sum.
 *
 * Threads: the lane's. Memory: the lane's own, begins as zeros.
 */
#ifndef LANE_CYCLES_H
#define LANE_CYCLES_H

#include "stats.h"

#include <rte_cycles.h>

enum lane_part {
    LANE_PART_RX,      /* the ports' queues, and frames that other threads pass on */
    LANE_PART_NET_TCP, /* lib/net and lib/tcp, both ways */
    LANE_PART_CONN,    /* connections: PROXY header, SMTP, policy, buffers of messages, log */
    LANE_PART_TLS,     /* records and handshakes */
    LANE_PART_RINGS,   /* from and to other threads, doorbells */
    LANE_PART_TIMERS,  /* and what is looked after once a pass */
    LANE_PART_TX,      /* the ports' queues */
    LANE_PART_CNT
};

#define LANE_CYCLES_EACH     64
#define LANE_CYCLES_SHARE_NS (100 * BASE_NS_MS)

struct lane_cycles {
    bool looked;  /* at this pass */
    uint8_t part; /* enum lane_part: now */
    uint32_t turn;
    uint64_t from, since;         /* when the pass began, and its part */
    uint64_t pass[LANE_PART_CNT]; /* of this pass, as far as it is looked at */
    uint64_t seen[LANE_PART_CNT]; /* of those looked at that did something; older ones weigh less */
    uint64_t left;                /* of all that did something: not yet shared out */
    uint64_t shared_ns;
};

/* The pass is in part from now on. Returns the one that it was in, to go back to. */
static inline enum lane_part lane_cycles_enter(struct lane_cycles *c, enum lane_part part)
{
    enum lane_part before = (enum lane_part)c->part;

    c->part = (uint8_t)part;
    if (c->looked) {
        uint64_t now = rte_rdtsc();
        c->pass[before] += now - c->since;
        c->since = now;
    }
    return before;
}

/* A pass begins, in LANE_PART_TIMERS. */
void lane_cycles_begin(struct lane_cycles *c);

/* It ends: it is counted as busy or idle. */
void lane_cycles_end(struct lane_cycles *c, struct stats_block *stats, bool worked,
                     uint64_t now_ns);

#endif
