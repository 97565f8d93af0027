/*
 * Wakes a thread that may sleep: an eventfd that is written only when the sleeper has said that it
 * is about to sleep, so that a busy pipeline makes no system call.
 *
 * The sleeper:  doorbell_arm, look at every ring once more, and only then wait on the descriptor;
 *               doorbell_disarm after it.
 * A producer:   enqueue, then doorbell_ring.
 * The full fence on both sides makes one of the two see the other: either the producer sees the
 * bell armed, or the sleeper's second look sees the entry.
 *
 * Threads: one sleeper, any producers. fd -1 (simulations): nobody sleeps, ringing does nothing.
 */
#ifndef DOORBELL_H
#define DOORBELL_H

#include "base_assert.h"
#include "base_fence.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct doorbell {
    _Atomic uint32_t armed; /* written by the sleeper and by the producer that wakes it */
    int fd;
    uint32_t owed; /* the sleeper's: rings of which the descriptor has not told yet */
} BASE_CACHE_ALIGNED;

/* Returns 0, or a negative error. */
int doorbell_init(struct doorbell *d) BASE_WARN_UNUSED;
void doorbell_init_silent(struct doorbell *d);
void doorbell_fini(struct doorbell *d);

void doorbell_arm(struct doorbell *d);
void doorbell_disarm(struct doorbell *d);
void doorbell_wake(struct doorbell *d);

static inline void doorbell_ring(struct doorbell *d)
{
    if (d->fd < 0)
        return;
    base_fence(&d->armed);
    if (atomic_load_explicit(&d->armed, memory_order_relaxed) != 0)
        doorbell_wake(d);
}

#endif
