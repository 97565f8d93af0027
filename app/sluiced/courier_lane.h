/*
 * Which lane carries out a delivery. Idle connections to next hops stay with the lane that opened
 * them, so a destination's deliveries have to come back to the lanes that had them before: a
 * destination starts at a lane of its own (by hash), and goes over to the next only while that one
 * has more of its deliveries than others. So one delivery at a time uses one lane, many use all of
 * them evenly, and a delivery that follows another's end goes to the lane whose connection has just
 * become idle. Many destinations spread over the lanes by their hashes. Where a lane could not even
 * try (no connection left, say), the destination starts at the next one from then on.
 *
 * Threads: the courier's. Memory: COURIER_LANE_ROWS rows of a counter for each lane; destinations
 * that share a row only miss idle connections.
 */
#ifndef COURIER_LANE_H
#define COURIER_LANE_H

#include "delivery.h"

#define COURIER_LANE_ROWS 4096

struct courier_lanes {
    uint32_t lane_cnt;
    uint8_t key[16];
    uint16_t *active; /* by row, then lane: deliveries that are out; behind them the row's shift */
};

int courier_lanes_init(struct courier_lanes *t, uint32_t lane_cnt,
                       const uint8_t secret[16]) BASE_WARN_UNUSED;
void courier_lanes_fini(struct courier_lanes *t);

/* Chooses d->lane by d->host and d->policy; owed a courier_lanes_put when the lane has given it
 * back (d->unattempted tells whether it tried), or did not get it. */
void courier_lanes_take(struct courier_lanes *t, struct delivery *d);
void courier_lanes_put(struct courier_lanes *t, const struct delivery *d);

#endif
