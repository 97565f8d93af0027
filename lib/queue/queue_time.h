/*
 * Time in the queue: ticks of 17 ms in 32 bits, which may wrap (comparisons hold over a year), and
 * the age of messages.
 *
 * Age is what expires a message, and no clock on the wall may make it jump (promise G8). So it is
 * counted by now_ns while the queue runs, and journalled with each outcome, in minutes. A start
 * takes the age that was journalled last and adds the time since the recipient was due, by the wall
 * clock: that was downtime, if it is plausible. A clock that is wrong at the start may tell any
 * number, so at most half of a lifetime is believed. A message of which nothing is journalled has
 * its arrival instead, with the same bound; therefore the age of those that wait long without an
 * attempt is journalled every QUEUE_NOTE_NS.
 *
 * A jump is a change by over an hour, between two looks, of the difference of the clocks. It begins
 * an epoch, as a start does; an attempt expires messages in the epoch in which it began.
 */
#ifndef QUEUE_TIME_H
#define QUEUE_TIME_H

#include "base_time.h"
#include "queue.h"

#define QUEUE_TICK_BITS 24
#define QUEUE_TICK_NS   (UINT64_C(1) << QUEUE_TICK_BITS)
#define QUEUE_JUMP_NS   (3600 * BASE_NS_S)
#define QUEUE_NOTE_NS   (12 * 3600 * BASE_NS_S)
#define QUEUE_WAIT_MAX  (30 * 86400 * BASE_NS_S)
#define QUEUE_AGE_MAX   (100 * 86400 * BASE_NS_S)

struct queue_clock {
    uint64_t now_ns;  /* of the last look */
    uint64_t wall_ns; /* and the wall clock then */
    uint64_t start_now_ns, start_wall_ns;
    bool running;      /* there was a look */
    uint16_t epoch;    /* of starts and jumps; never 0 */
    uint64_t jump_cnt; /* seen */
};

/* The first tick at or after ns, and the one that is over or now. */
static inline uint32_t queue_tick_after(uint64_t ns)
{
    return (uint32_t)((ns + QUEUE_TICK_NS - 1) >> QUEUE_TICK_BITS);
}
static inline uint32_t queue_tick_of(uint64_t ns)
{
    return (uint32_t)(ns >> QUEUE_TICK_BITS);
}
/* tick <= that of now_ns */
static inline bool queue_tick_due(uint32_t tick, uint64_t now_ns)
{
    return (int32_t)(tick - queue_tick_of(now_ns)) <= 0;
}
/* Back to ns: the time nearest to now_ns. */
static inline uint64_t queue_tick_ns(uint32_t tick, uint64_t now_ns)
{
    uint64_t now = now_ns >> QUEUE_TICK_BITS;
    int64_t at = (int64_t)now + (int32_t)(tick - (uint32_t)now);
    return at < 0 ? 0 : (uint64_t)at << QUEUE_TICK_BITS;
}

/* now_ns alone: it never goes back. */
void queue_clock_now(struct queue_clock *c, uint64_t now_ns);
/* Both clocks: sees jumps. */
void queue_clock_look(struct queue_clock *c, uint64_t now_ns, uint64_t wall_ns);
/* The wall clock at now_ns, by the last look. */
uint64_t queue_clock_wall(const struct queue_clock *c, uint64_t now_ns);

/* The age of a message that comes in. */
uint64_t queue_age_at_start(const struct queue_clock *c, const struct queue_config *config,
                            const struct spool_arrival *a, uint64_t arrival_wall_ns);

/* What attempt_cnt failures in a row wait, without jitter. */
uint64_t queue_backoff(const struct queue_config *config, uint32_t attempt_cnt);
/* The longest wait with jitter. */
uint64_t queue_backoff_longest(const struct queue_config *config);

#endif
