/*
 * The stream thread's work: connects, reads and writes for the lanes over a driver; see stream.h.
 *
 * Threads: its own. Memory: the struct and 24 bytes a slot. Bounded: a stream that is to be closed
 * has STREAM_LINGER_NS for what is still to be written.
 */
#ifndef STREAM_SERVICE_H
#define STREAM_SERVICE_H

#include "stats.h"
#include "stream.h"

#define STREAM_LINGER_NS UINT64_C(30000000000)
#define STREAM_RETRY_NS  UINT64_C(20000000) /* of a listener that was busy */

struct topology;
struct stream_one;

struct stream_service {
    struct topology *topology;
    struct net_stream_driver driver; /* for STREAM_CNT streams a lane */
    struct stats_block *stats;
    struct stream_one *one; /* by lane and slot */
    uint64_t rung;          /* lanes that have news, by bit */
    uint64_t now_ns;
};

/* Returns 0 or -ENOMEM. */
int stream_service_init(struct stream_service *s, struct topology *topology,
                        struct net_stream_driver driver) BASE_WARN_UNUSED;
/* Ends what is open. The lanes' slots are as they were. */
void stream_service_fini(struct stream_service *s);

/* One round; rings the bells of lanes that have news. Returns true when it did something. */
bool stream_service_pass(struct stream_service *s, uint64_t now_ns);
/* When it wants to go on though nothing comes. */
uint64_t stream_service_deadline(const struct stream_service *s);

#endif
