/*
 * Private-key operations on cores of their own: a lane hands its operations to threads that do
 * nothing else, each with its own library context and copies of the keys, through a ring for each
 * pair of lane and thread, one way and back.
 *
 * A thread that has had nothing to do for a while sleeps; the lane that hands it the next operation
 * wakes it by a system call, and makes none while it is awake.
 *
 * Threads: open and close by control; keyop_pool_lane's state is that lane's, and its keys are
 * opened and closed by control.
 */
#ifndef KEYOP_POOL_H
#define KEYOP_POOL_H

#include "stats.h"
#include "tls_keyop.h"

#include <sched.h>

#define KEYOP_POOL_THREAD_MAX 64

struct keyop_pool;

struct rte_ring;

struct keyop_pool_settings {
    uint32_t lane_cnt;
    uint32_t thread_cnt; /* up to KEYOP_POOL_THREAD_MAX */
    uint32_t queue_max;  /* operations under way for a lane at one thread */
    const int *cpus;     /* of the threads; NULL: any */
    /* Tells a lane that may sleep that there is something to poll; by a thread of the pool. May be
     * NULL. */
    void (*wake)(void *arg, uint32_t lane);
    void *wake_arg;
    /* Rings of pointers, single producer and consumer, of lane l and thread t: [l * thread_cnt + t]
     * there and [t * lane_cnt + l] back, with room for queue_max; borrowed until close. NULL: the
     * pool makes its own. */
    struct rte_ring *const *to;
    struct rte_ring *const *from;
    struct stats_block *stats; /* of the threads, one after the other; NULL: none */
};

/* Returns NULL when memory, threads or descriptors are short. */
struct keyop_pool *keyop_pool_open(const struct keyop_pool_settings *settings) BASE_WARN_UNUSED;

/* Nothing is under way, every key is closed, every lane has called leave. */
void keyop_pool_close(struct keyop_pool *pool);

/* The state of a lane's driver. */
void *keyop_pool_lane(struct keyop_pool *pool, uint32_t lane);

extern const struct tls_keyop_ops keyop_pool_ops;

#endif
