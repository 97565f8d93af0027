/*
 * What is due first: a pairing heap of nodes that stand in the arena at the first step of what they
 * are of, a message or a recipient. Due times are ticks (queue_time.h); of those due at one tick
 * the lower handle comes first, so that what lies together goes together.
 *
 * Threads: one. Memory: none of its own. push is O(1), remove and pop O(log n) amortised.
 */
#ifndef QUEUE_HEAP_H
#define QUEUE_HEAP_H

#include "queue_arena.h"

struct queue_node {
    uint32_t due; /* tick; kept while the node is in no heap */
    uint32_t child, next;
    uint32_t prev; /* the one before it among its siblings, or the parent of the first */
};
base_static_assert(sizeof(struct queue_node) == QUEUE_STEP_BYTES, "one step");

/* *root: 0 when the heap is empty. The node, whose due is set, is in no heap. */
void queue_heap_push(const struct queue_arena *a, uint32_t *root, uint32_t handle);
/* Takes out one that is in it. */
void queue_heap_remove(const struct queue_arena *a, uint32_t *root, uint32_t handle);

#endif
