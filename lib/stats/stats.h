/*
 * Counters: one table (stats_table.h), one block for each thread.
 *
 * A counter is a row: group, name, unit, help. Code, telemetry, text and documentation come from
 * the row; a name never changes its meaning. Names use [a-z0-9_]; telemetry shows group/name.
 *
 * A histogram is a row, too (STATS_HISTOGRAM): how many values lay below each of some bounds, which
 * double from one to the next, and their sum. Its cost is two relaxed stores.
 *
 * Threads: a block has one writer, its thread; anyone may read at any time and sees each counter
 * whole, though not all of one instant. Memory: the caller owns the block. Counters only grow,
 * apart from gauges (unit ends in "now", stats_is_gauge), which the owner sets; but
 * spool/disk_free_bytes_now of a spooler is control's, and no other's: the system call may wait.
 */
#ifndef STATS_H
#define STATS_H

#include "base_assert.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define STATS(id, group, name, unit, help) STATS_##id,
enum stats_id {
#include "stats_table.h"
    STATS_CNT
};

#define STATS_HISTOGRAM(id, group, name, unit, help, shift, bounds) STATS_HISTOGRAM_##id,
enum stats_histogram_id {
#include "stats_table.h"
    STATS_HISTOGRAM_CNT
};

#define STATS_LISTENER(id, name, unit, help) STATS_LISTENER_##id,
enum stats_listener_id {
#include "stats_table.h"
    STATS_LISTENER_CNT
};

#define STATS_BOUND_MAX 24

struct stats_row {
    const char *group;
    const char *name;
    const char *unit;
    const char *help;
};

/* The bounds are 2^shift, 2^(shift + 1) and so on; a value belongs to the first that is not less;
 * what is over the last one has a place behind them. */
struct stats_histogram_row {
    struct stats_row row;
    uint8_t shift;
    uint8_t bound_cnt;
};

/* The table, by enum stats_id, and its histograms by enum stats_histogram_id. */
extern const struct stats_row stats_rows[STATS_CNT];
extern const struct stats_histogram_row stats_histogram_rows[STATS_HISTOGRAM_CNT];
/* By enum stats_listener_id; the group is "listener". */
extern const struct stats_row stats_listener_rows[STATS_LISTENER_CNT];

/* Whether it is what there is now: it may fall, and a sum over time means nothing. */
bool stats_is_gauge(const struct stats_row *row);

struct stats_histogram {
    _Atomic uint64_t cnt[STATS_BOUND_MAX + 1];
    _Atomic uint64_t sum;
};

/* Written by its own thread alone, with relaxed order: readers need each value, no order. */
struct stats_block {
    _Atomic uint64_t v[STATS_CNT];
    struct stats_histogram h[STATS_HISTOGRAM_CNT];
} BASE_CACHE_ALIGNED;

/* Of one listener and one lane, which writes it. */
struct stats_listener {
    _Atomic uint64_t v[STATS_LISTENER_CNT];
} BASE_CACHE_ALIGNED;

static inline void stats_add(struct stats_block *b, enum stats_id id, uint64_t n)
{
    uint64_t v = atomic_load_explicit(&b->v[id], memory_order_relaxed);
    atomic_store_explicit(&b->v[id], v + n, memory_order_relaxed);
}

static inline void stats_inc(struct stats_block *b, enum stats_id id)
{
    stats_add(b, id, 1);
}

static inline void stats_set(struct stats_block *b, enum stats_id id, uint64_t value)
{
    atomic_store_explicit(&b->v[id], value, memory_order_relaxed);
}

static inline uint64_t stats_get(const struct stats_block *b, enum stats_id id)
{
    return atomic_load_explicit(&b->v[id], memory_order_relaxed);
}

static inline void stats_grow(_Atomic uint64_t *word, uint64_t n)
{
    uint64_t v = atomic_load_explicit(word, memory_order_relaxed);
    atomic_store_explicit(word, v + n, memory_order_relaxed);
}

/* The place of a value among the counts of a histogram. */
static inline uint32_t stats_bucket(const struct stats_histogram_row *row, uint64_t value)
{
    /* Bits of value - 1: 2^n is the first bound that is not less than value. */
    uint32_t bits = value <= 1 ? 0 : 64 - (uint32_t)__builtin_clzll(value - 1);
    uint32_t at = bits > row->shift ? bits - row->shift : 0;

    return at < row->bound_cnt ? at : row->bound_cnt;
}

static inline void stats_record(struct stats_block *b, enum stats_histogram_id id, uint64_t value)
{
    stats_grow(&b->h[id].cnt[stats_bucket(&stats_histogram_rows[id], value)], 1);
    stats_grow(&b->h[id].sum, value);
}

#endif
