/*
 * Counters: one table (stats_table.h), one block for each thread.
 *
 * A counter is a row: group, name, unit, help. Code, telemetry, text and documentation come from
 * the row; a name never changes its meaning. Names use [a-z0-9_]; telemetry shows group/name.
 *
 * Threads: a block has one writer, its thread; anyone may read at any time and sees each counter
 * whole, though not all of one instant. Memory: the caller owns the block. Counters only grow,
 * apart from gauges (unit ends in "now"), which the owner sets.
 */
#ifndef STATS_H
#define STATS_H

#include "base_assert.h"

#include <stdatomic.h>
#include <stdint.h>

#define STATS(id, group, name, unit, help) STATS_##id,
enum stats_id {
#include "stats_table.h"
    STATS_CNT
};
#undef STATS

struct stats_row {
    const char *group;
    const char *name;
    const char *unit;
    const char *help;
};

/* The table, by enum stats_id. */
extern const struct stats_row stats_rows[STATS_CNT];

/* Written by its own thread alone, with relaxed order: readers need each value, no order. */
struct stats_block {
    _Atomic uint64_t v[STATS_CNT];
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

#endif
