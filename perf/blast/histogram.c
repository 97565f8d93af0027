#include "histogram.h"

#include <math.h>
#include <stddef.h>

#define SUB_CNT (1u << HISTOGRAM_SUB_BITS)

/* The first SUB_CNT values have a bucket each; after them each octave is cut into SUB_CNT. */
uint32_t histogram_bucket(uint64_t ns)
{
    if (ns < SUB_CNT)
        return (uint32_t)ns;
    if (ns >> HISTOGRAM_OCTAVES != 0)
        return HISTOGRAM_BUCKET_CNT - 1;
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(ns) - HISTOGRAM_SUB_BITS;
    return ((shift + 1) << HISTOGRAM_SUB_BITS) + (uint32_t)(ns >> shift) - SUB_CNT;
}

uint64_t histogram_top_ns(uint32_t bucket)
{
    if (bucket < SUB_CNT)
        return bucket;
    uint32_t shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
    return ((uint64_t)((bucket & (SUB_CNT - 1)) + SUB_CNT + 1) << shift) - 1;
}

void histogram_clear(struct histogram *h)
{
    for (uint32_t i = 0; i < HISTOGRAM_BUCKET_CNT; i++)
        atomic_store_explicit(&h->bucket[i], 0, memory_order_relaxed);
}

void histogram_join(struct histogram_sum *sum, const struct histogram *h)
{
    for (uint32_t i = 0; i < HISTOGRAM_BUCKET_CNT; i++)
        sum->bucket[i] += atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
}

static uint64_t since(const struct histogram_sum *sum, const struct histogram_sum *before,
                      uint32_t i)
{
    return sum->bucket[i] - (before != NULL ? before->bucket[i] : 0);
}

uint64_t histogram_percentile_ns(const struct histogram_sum *sum,
                                 const struct histogram_sum *before, double share)
{
    uint64_t total = 0, seen = 0;

    for (uint32_t i = 0; i < HISTOGRAM_BUCKET_CNT; i++)
        total += since(sum, before, i);
    if (total == 0)
        return 0;
    double rank = ceil(share * (double)total);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKET_CNT; i++) {
        seen += since(sum, before, i);
        if (seen > 0 && (double)seen >= rank)
            return histogram_top_ns(i);
    }
    return histogram_top_ns(HISTOGRAM_BUCKET_CNT - 1);
}
