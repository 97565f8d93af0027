/*
 * How long things took between two looks at a histogram (stats.h of lib/stats), by the bounds of
 * its buckets: what is told is a bound that no less than so many values kept to, never a value.
 *
 * Threads: none of its own. Memory: the caller's. Pure.
 */
#ifndef TOP_TIMES_H
#define TOP_TIMES_H

#include "stats.h"

#include <stddef.h>

#define TOP_TIME_CAP 32

/* Counts of a histogram of nanoseconds, of all threads. bound_cnt 0: nothing is known of it. */
struct top_times {
    uint32_t shift, bound_cnt; /* at most 40 and STATS_BOUND_MAX */
    uint64_t cnt[STATS_BOUND_MAX + 1];
};

/* Reads "SHIFT C,C,..." up to the line's end. Returns false, and leaves *out, where it is not
 * that. */
bool top_times_read(struct top_times *out, const char *text) BASE_WARN_UNUSED;

/* What came after before. Where a count is lower than it was, or the bounds are others, the gateway
 * has begun anew: then it is all of now. */
struct top_times top_times_since(const struct top_times *before, const struct top_times *now);

uint64_t top_times_cnt(const struct top_times *t);

/* The least bound in ns that at least permille (1..1000) of 1000 values did not exceed; UINT64_MAX:
 * the last bound was exceeded; 0: there are no values. */
uint64_t top_times_bound_ns(const struct top_times *t, uint32_t permille);

/* That in words: "<= 2.1 ms", never less than the bound is, "> 34.3 s", never more; "none". */
void top_times_tell(char out[TOP_TIME_CAP], const struct top_times *t, uint32_t permille);

#endif
