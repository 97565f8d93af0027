/*
 * Latencies in buckets of constant relative width, as HDR histograms have them: 64 buckets an
 * octave, so that a percentile is at most 1.6 % too high. From 1 ns to 18 minutes; what is longer
 * counts as that.
 *
 * Threads: one writer; anyone may read at any time and sees each bucket whole.
 */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_SUB_BITS   6
#define HISTOGRAM_OCTAVES    40
#define HISTOGRAM_BUCKET_CNT ((HISTOGRAM_OCTAVES - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
    _Atomic uint64_t bucket[HISTOGRAM_BUCKET_CNT];
};

/* Counts that are one's own: sums and differences of histograms. */
struct histogram_sum {
    uint64_t bucket[HISTOGRAM_BUCKET_CNT];
};

uint32_t histogram_bucket(uint64_t ns);

/* The largest value that falls into the bucket. */
uint64_t histogram_top_ns(uint32_t bucket);

static inline void histogram_add(struct histogram *h, uint64_t ns)
{
    _Atomic uint64_t *b = &h->bucket[histogram_bucket(ns)];

    /* One writer: no locked instruction is needed. */
    atomic_store_explicit(b, atomic_load_explicit(b, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

void histogram_clear(struct histogram *h);

void histogram_join(struct histogram_sum *sum, const struct histogram *h);

/* The value that share (0..1) of all counts do not exceed, by the tops of buckets; 0 when there
 * are none. before, which may be NULL, is taken off: the percentile of what came since. */
uint64_t histogram_percentile_ns(const struct histogram_sum *sum,
                                 const struct histogram_sum *before, double share);

#endif
