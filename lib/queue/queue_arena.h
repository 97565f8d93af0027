/*
 * Memory of the queue's messages: blocks in steps of 16 bytes without a header, named by handles of
 * 4 bytes, so that links cost half of a pointer's. Each step of a block has a handle of its own
 * (that of the block plus its number). 0 is no handle.
 *
 * Blocks of up to 4 KiB come from chunks of 64 KiB with a free list for each size; a chunk that is
 * empty goes back. Larger ones have an allocation of their own. 64 GiB in all.
 *
 * Threads: one; pointers stay where they are until queue_arena_put, so others may read what they
 * were given. Memory: malloc. Errors: NULL without memory.
 */
#ifndef QUEUE_ARENA_H
#define QUEUE_ARENA_H

#include "base_assert.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUEUE_STEP_BYTES   16
#define QUEUE_CHUNK_BITS   12 /* steps of a chunk */
#define QUEUE_CHUNK_STEPS  (1U << QUEUE_CHUNK_BITS)
#define QUEUE_SMALL_STEPS  256
#define QUEUE_CHUNK_MAX    (1U << (32 - QUEUE_CHUNK_BITS))
#define QUEUE_MALLOC_EXTRA 16 /* what malloc takes for itself, about */

enum queue_chunk_kind {
    QUEUE_CHUNK_NONE,
    QUEUE_CHUNK_SMALL, /* blocks are cut from it */
    QUEUE_CHUNK_LARGE, /* a large block begins here */
    QUEUE_CHUNK_PART   /* and goes on here */
};

struct queue_chunk {
    uint8_t *p;
    uint16_t live; /* SMALL: steps in use */
    uint16_t used; /* steps that were ever given out */
    uint8_t kind;  /* enum queue_chunk_kind */
};

struct queue_arena {
    struct queue_chunk *chunks; /* number 0 is never used */
    uint32_t chunk_cnt, chunk_cap;
    uint32_t current;                     /* the chunk that new blocks are cut from; 0: none */
    uint32_t vacant;                      /* numbers below chunk_cnt that are free again */
    uint32_t lowest;                      /* no vacant number is below this one */
    uint32_t free[QUEUE_SMALL_STEPS + 1]; /* by size in steps */
    uint64_t bytes;                       /* that malloc gave */
};

static inline uint32_t queue_arena_steps(size_t bytes)
{
    return (uint32_t)((bytes + QUEUE_STEP_BYTES - 1) / QUEUE_STEP_BYTES);
}

/* Where the handle's step is. */
static inline void *queue_arena_at(const struct queue_arena *a, uint32_t handle)
{
    base_debug_assert(handle >> QUEUE_CHUNK_BITS < a->chunk_cnt && handle != 0);
    return a->chunks[handle >> QUEUE_CHUNK_BITS].p +
           (size_t)(handle & (QUEUE_CHUNK_STEPS - 1)) * QUEUE_STEP_BYTES;
}

/* A block of so many steps (>= 1), not cleared. Returns its handle, or 0. */
uint32_t queue_arena_get(struct queue_arena *a, uint32_t steps) BASE_WARN_UNUSED;
/* Gives it back; steps as it was got. */
void queue_arena_put(struct queue_arena *a, uint32_t handle, uint32_t steps);
/* Frees all. */
void queue_arena_fini(struct queue_arena *a);

#endif
