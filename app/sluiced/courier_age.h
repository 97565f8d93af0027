/*
 * How old the messages of the queue are, and how many are held: gauges of the group queue. The
 * whole queue is walked a piece at a pass, and begun anew some seconds after its end; an empty
 * queue is known at once.
 *
 * Threads: the courier's. Memory: none of its own.
 */
#ifndef COURIER_AGE_H
#define COURIER_AGE_H

#include "base_assert.h"
#include "spool_id.h"

#include <stdbool.h>
#include <stdint.h>

struct courier;

#define COURIER_AGE_CNT 5 /* the rows age_minutes to age_days */

struct courier_age {
    struct spool_id after; /* the walk has come so far */
    bool walking;
    uint64_t next_ns; /* when the next one begins */
    uint64_t held_cnt;
    uint64_t oldest_ns;
    uint64_t cnt[COURIER_AGE_CNT];
};

void courier_age_pass(struct courier *c);
/* When courier_age_pass is due; BASE_NS_NONE: not before something arrives. */
uint64_t courier_age_deadline(const struct courier *c);

#endif
