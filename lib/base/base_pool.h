/*
 * A pool of equal objects, taken at start from one allocation. One thread. Free objects are
 * poisoned for the address sanitizer, so that use after put is caught. Objects come out zeroed
 * in their first zero_bytes.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base_assert.h"

#include <stddef.h>
#include <stdint.h>

struct base_pool {
    uint8_t *memory; /* owned */
    void *free;      /* first free object; each holds a pointer to the next */
    size_t object_bytes;
    size_t zero_bytes;
    uint32_t object_cnt;
    uint32_t free_cnt;
    uint64_t odd_inverse; /* of object_bytes >> shift, modulo 2^64 */
    uint32_t shift;
};

/* object_bytes is rounded up to the alignment (a power of two, >= 8). Returns 0, or -ENOMEM. */
int base_pool_init(struct base_pool *p, uint32_t object_cnt, size_t object_bytes, size_t align,
                   size_t zero_bytes) BASE_WARN_UNUSED;

/* Every object must be back: asserted. */
void base_pool_fini(struct base_pool *p);

/* An object, or NULL when all are out. */
void *base_pool_get(struct base_pool *p);
void base_pool_put(struct base_pool *p, void *object);

/* The object's place, 0..object_cnt-1; constant for its life. An offset is a multiple of
 * object_bytes, so it is divided by a shift and a product (Hacker's Delight, 10-16). */
static inline uint32_t base_pool_index(const struct base_pool *p, const void *object)
{
    uint64_t offset = (uint64_t)((const uint8_t *)object - p->memory);

    return (uint32_t)((offset >> p->shift) * p->odd_inverse);
}

static inline void *base_pool_at(const struct base_pool *p, uint32_t index)
{
    base_debug_assert(index < p->object_cnt);
    return p->memory + index * p->object_bytes;
}

#endif
