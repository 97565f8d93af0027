/*
 * A lazy timer wheel: many timers, most of which are moved before they fire.
 *
 * Four levels of 256 slots; a tick is 1 ms, the horizon 2^32 ms (49 days; later deadlines wait at
 * the horizon and are looked at again). A timer is one node inside the caller's object. Lazy:
 * moving a deadline later only writes the node's deadline; the node stays where it is and is put
 * in its new place when its old slot comes up. Moving it earlier re-links it. A timer fires at
 * its deadline or up to one tick after it, never before.
 *
 * Threads: one. Memory: the wheel itself (8 KiB of slot heads) and the nodes, which the caller
 * owns; a node must be stopped before its memory goes. Time never goes back: a now_ns below the
 * last one is taken as the last one.
 */
#ifndef BASE_WHEEL_H
#define BASE_WHEEL_H

#include "base_list.h"

#include <stdbool.h>
#include <stdint.h>

#define BASE_WHEEL_LEVEL_CNT 4
#define BASE_WHEEL_SLOT_CNT  256

struct base_timer {
    struct base_list node;
    uint64_t deadline_ns; /* BASE_NS_NONE while stopped */
    uint64_t linked_tick; /* the tick its slot stands for, <= the deadline's */
};

struct base_wheel {
    uint64_t tick;                                                 /* the last tick that was run */
    uint32_t timer_cnt;                                            /* linked timers */
    uint64_t used[BASE_WHEEL_LEVEL_CNT][BASE_WHEEL_SLOT_CNT / 64]; /* a bit a slot in use */
    struct base_list slot[BASE_WHEEL_LEVEL_CNT][BASE_WHEEL_SLOT_CNT];
};

void base_wheel_init(struct base_wheel *w, uint64_t now_ns);

void base_timer_init(struct base_timer *t);

/* Starts the timer or moves it; deadline_ns in the past fires at the next run. */
void base_wheel_set(struct base_wheel *w, struct base_timer *t, uint64_t deadline_ns);

/* Stops the timer; harmless when it is not running. */
void base_wheel_stop(struct base_wheel *w, struct base_timer *t);

/*
 * Takes one timer that is due at now_ns out of the wheel and returns it, stopped; NULL when there
 * is none left. Call it in a loop; timers set while looping with a deadline <= now_ns are
 * returned by the next round of calls at the latest.
 */
struct base_timer *base_wheel_pop(struct base_wheel *w, uint64_t now_ns);

/* A time at or before the earliest deadline (how early: up to one slot of its level), or
 * BASE_NS_NONE when no timer runs. For choosing how long to sleep. */
uint64_t base_wheel_next(const struct base_wheel *w);

#endif
