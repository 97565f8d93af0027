/*
 * How a lane of the tools waits for a port that can only be polled: while nothing comes it looks
 * every NAP_NS, so that it does not take the processor of whom it measures, nor of the kernel's
 * workers by which a server's writes to the disk end.
 *
 * Threads: the lane's.
 */
#ifndef NAP_H
#define NAP_H

#include <stdbool.h>
#include <stdint.h>

#define NAP_AWAKE_NS UINT64_C(5000) /* without news, before the first */
#define NAP_NS       UINT64_C(20000)

struct nap {
    uint64_t news_ns; /* when something came */
    bool never;       /* it spins */
};

/* By the thread itself: its timers become exact. */
void nap_init(struct nap *n, bool never, uint64_t now_ns);

/* After each pass. news: something came in it; most_ns: until the next thing that is due. */
void nap_pass(struct nap *n, bool news, uint64_t now_ns, uint64_t most_ns);

#endif
