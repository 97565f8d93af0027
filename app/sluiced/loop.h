/*
 * How a thread of the data path waits: spin, arm, look once more, sleep (policy adaptive), or never
 * (poll). One epoll set holds its doorbell and its devices' descriptors; the next timer is the
 * timeout. A lane with a device that has no descriptor (shared memory, uio) naps instead: it looks
 * at the device every LOOP_NAP_MIN_NS, and after LOOP_NAP_SHORT_CNT of those seldomer the longer
 * nothing comes. The short naps are not worth a bell, which costs whoever rings it a system call;
 * from the longer ones the bell wakes it at once. Likewise a thread that nobody waits for rests
 * once before it arms its bell: under load it then finds many entries at a time.
 */
#ifndef LOOP_H
#define LOOP_H

#include "doorbell.h"
#include "stats.h"

#include <stdatomic.h>
#include <stdbool.h>

/* Empty passes before a sleep. A lane that its ports can wake spins for LOOP_SPIN_LANE_NS, as its
 * next packet is worth more of them than another thread's next entry: with 50 us there, too, a
 * third of the CPU of deliveries was waiting (perf/run delivery). One that naps spins for
 * LOOP_SPIN_NS, as the other threads do: its naps are short, and who fills such a port may want the
 * processor. */
#define LOOP_SPIN_LANE_NS  UINT64_C(50000)
#define LOOP_SPIN_NS       UINT64_C(1000)
#define LOOP_NAP_MIN_NS    UINT64_C(30000)
#define LOOP_NAP_MAX_NS    UINT64_C(500000)
#define LOOP_NAP_SHORT_CNT 8
#define LOOP_REST_NS       UINT64_C(200000)

struct loop {
    int epoll;
    struct doorbell *bell;
    struct stats_block *stats;
    uint64_t idle_since_ns; /* 0: busy */
    uint64_t spin_ns;       /* LOOP_SPIN_NS from loop_init; LOOP_SPIN_LANE_NS: above */
    uint64_t nap_ns;        /* the next one; 0: all can be waited for */
    uint64_t rest_ns;       /* before the bell is armed; 0: none, as after loop_init */
    uint32_t nap_cnt;       /* naps, or rests, since it was busy */
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
 * and call loop_sleep if there is still nothing, else loop_worked. */
bool loop_idle(struct loop *l, bool worked, uint64_t now_ns);

/* The second look has found something: it spins, naps and rests from the beginning. */
void loop_worked(struct loop *l, uint64_t now_ns);

/* Whether the bell is to be armed for the sleep that loop_idle has asked for. */
static inline bool loop_arms(const struct loop *l)
{
    uint32_t unarmed = l->nap_ns != 0 ? LOOP_NAP_SHORT_CNT : l->rest_ns != 0 ? 1 : 0;

    return l->nap_cnt >= unarmed;
}

/* Sleeps until a descriptor, the bell (armed, where loop_arms), the deadline or the end of the nap
 * or rest. */
void loop_sleep(struct loop *l, uint64_t now_ns, uint64_t deadline_ns);

uint64_t loop_now_ns(void);  /* CLOCK_MONOTONIC */
uint64_t loop_wall_ns(void); /* CLOCK_REALTIME */

#endif
