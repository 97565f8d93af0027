/*
 * How a thread of the data path waits: spin, arm, look once more, sleep (policy adaptive), or never
 * (poll). One epoll set holds its doorbell and its devices' descriptors; the next timer is the
 * timeout. A lane with a device that has no descriptor (shared memory, uio) naps instead: it looks
 * at the device every LOOP_NAP_MIN_NS, seldomer the longer nothing comes, and its bell still wakes
 * it at once.
 */
#ifndef LOOP_H
#define LOOP_H

#include "doorbell.h"
#include "stats.h"

#include <stdatomic.h>
#include <stdbool.h>

/* Empty passes before a sleep. A lane's next packet is worth more of them than another thread's
 * next entry: with 50 us there, too, a third of the CPU of deliveries was waiting (perf/run
 * delivery). */
#define LOOP_SPIN_LANE_NS UINT64_C(50000)
#define LOOP_SPIN_NS      UINT64_C(5000)
#define LOOP_NAP_MIN_NS   UINT64_C(20000)
#define LOOP_NAP_MAX_NS   UINT64_C(500000)

struct loop {
    int epoll;
    struct doorbell *bell;
    struct stats_block *stats;
    uint64_t idle_since_ns; /* 0: busy */
    uint64_t spin_ns;       /* LOOP_SPIN_NS from loop_init */
    uint64_t nap_ns;        /* the next one; 0: all can be waited for */
    /* Of the last round; 0: none yet. The thread writes, control reads (relaxed: it is a clock). */
    _Atomic uint64_t beat_ns;
    bool sleeps; /* policy adaptive */
};

/* Returns 0, or a negative error. fds may hold -1: then the thread naps. */
int loop_init(struct loop *l, struct doorbell *bell, const int *fds, unsigned fd_cnt, bool sleeps,
              struct stats_block *stats) BASE_WARN_UNUSED;
void loop_fini(struct loop *l);

/* One more descriptor, or one less, by the loop's thread. loop_watch returns 0 or a negative error.
 */
int loop_watch(struct loop *l, int fd) BASE_WARN_UNUSED;
void loop_unwatch(struct loop *l, int fd);

/* What to do after a pass: returns true when the thread should now arm its devices, look once more
 * and call loop_sleep if there is still nothing. */
bool loop_idle(struct loop *l, bool worked, uint64_t now_ns);

/* Sleeps until a descriptor, the bell, the deadline or the nap's end; the bell must be armed. */
void loop_sleep(struct loop *l, uint64_t now_ns, uint64_t deadline_ns);

uint64_t loop_now_ns(void);  /* CLOCK_MONOTONIC */
uint64_t loop_wall_ns(void); /* CLOCK_REALTIME */

#endif
