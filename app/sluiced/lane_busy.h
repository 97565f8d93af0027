/*
 * Whether a lane has more to do than it can: then whoever connects is told so at once (421), and
 * those who are in are served as fast as ever. Else all would wait, until clients send again what
 * waits already, and the lane works for that: half of the mail that it could take.
 *
 * It is busy while messages under way hold most of the spool's buffers, or some of them and frames
 * have waited in the port for LANE_BUSY_NS, in each pass more than it took. Idle connections cost
 * nothing and do not count, nor does a flood without mail.
 *
 * Threads: the lane's only.
 */
#ifndef LANE_BUSY_H
#define LANE_BUSY_H

#include <stdbool.h>
#include <stdint.h>

#define LANE_BUSY_NS                                                                               \
    UINT64_C(20000000) /* shorter than any client's time-out, longer than a burst */

struct lane;

struct lane_busy {
    uint64_t waits_since_ns; /* frames wait in the port without a pause; 0: they do not */
    bool full;               /* a port had a whole burst in this pass */
    bool buffers;            /* few are left */
    bool refuses;            /* it is busy */
};

/* A port has given so many frames in this pass. */
void lane_busy_burst(struct lane_busy *b, uint32_t cnt);

/* Once a pass, behind all bursts. */
void lane_busy_pass(struct lane *l);

#endif
