/*
 * Whether a lane has more to do than it can: then whoever connects is told so at once (421), and
 * those who are in are served as fast as ever. Else all would wait, until clients send again what
 * waits already, and the lane works for that: half of the mail that it could take.
 *
 * Each of the spool's buffers can carry a message, and a quarter of them may be begun at a time
 * (conn_message_max). A connection that was let in less than LANE_BUSY_YOUNG_CNT slots of
 * LANE_BUSY_YOUNG_NS ago counts as one that is under way, until it has begun its first or has
 * ended, as far as those let in lately did bring mail: what it brings is already promised a place.
 * It is busy when
 *   - frames have waited in a port for LANE_BUSY_WAITS_NS (passes that found a whole burst, less
 *     those that did not, until none is left) and more messages than three eighths of the buffers
 *     are under way, begun or waiting for the disk; or a quarter has begun, so that another one
 *     would hear 452 at its MAIL, which costs both ends more than 421 at once; or
 *   - less than a quarter of the spool's buffers was free for LANE_BUSY_SHORT_NS and messages that
 *     have ended, more than a sixteenth of the buffers, wait for the disk, which does not keep up.
 *     Until then windows close, as they do for a disk that pauses for a moment.
 * It ends by itself: when the port was found empty as long as it was found full (LANE_BUSY_WAITS_NS
 * and LANE_BUSY_STAYS_NS at most), with three eighths of the buffers free, or when few messages are
 * left.
 *
 * Not busy: a lane that lost its core, or whose machine stood still. However long ago the last pass
 * was, one counts for LANE_BUSY_STEP_NS at most while frames wait, so that many passes have to find
 * the same; what a port has kept meanwhile is taken in fewer. While buffers are short it counts for
 * LANE_BUSY_LOOK_NS: the lane may sleep then, and is woken twice as often. Nor messages that fill
 * the buffers and do not end: large ones, or those of clients that fall silent in the middle
 * (windows and data_timeout hold them); nor idle connections, nor a flood that brings no mail.
 *
 * Users at listeners of kind submission and submissions are not turned away: a mail program shows
 * its user an error, where a server comes again. They hear 452 at MAIL like all when buffers are
 * out.
 *
 * Threads: the lane's only.
 */
#ifndef LANE_BUSY_H
#define LANE_BUSY_H

#include <stdbool.h>
#include <stdint.h>

/* Shorter than any client's time-out, longer than a burst. */
#define LANE_BUSY_WAITS_NS UINT64_C(20000000)
/* Longer than a disk's pause. */
#define LANE_BUSY_SHORT_NS UINT64_C(1000000000)
#define LANE_BUSY_STEP_NS  UINT64_C(1000000)
#define LANE_BUSY_LOOK_NS  UINT64_C(100000000)
/* Frames that are turned away are few and quick, so that the port is empty now and then. */
#define LANE_BUSY_STAYS_NS UINT64_C(20000000)
/* Together longer than a client on the same continent takes from SYN to MAIL. */
#define LANE_BUSY_YOUNG_NS  UINT64_C(50000000)
#define LANE_BUSY_YOUNG_CNT 4
#define LANE_BUSY_SLOT_MAX  64 /* by then all that was is forgotten */
#define LANE_BUSY_ONE       64

struct conn;
struct lane;

struct lane_busy {
    uint64_t pass_ns;  /* the last pass */
    uint64_t waits_ns; /* frames have waited in a port so long */
    uint64_t short_ns; /* few buffers are left for so long; 0: there are more */
    bool full;         /* a port had a whole burst in this pass */
    bool waited;       /* that was LANE_BUSY_WAITS_NS, and is not over */
    bool many;         /* messages under way */
    bool many_ended;   /* messages that wait for the disk */
    const char *why;   /* it is busy, in words for the log; NULL: it is not */
    uint64_t slot_ns;  /* the slot's begin */
    uint32_t slot;     /* from 1 on; its place in young: modulo LANE_BUSY_YOUNG_CNT */
    uint32_t young[LANE_BUSY_YOUNG_CNT]; /* connections let in, that have not begun a message */
    uint32_t young_cnt;                  /* all of them */
    uint64_t admitted, brought; /* let in lately, and began a message: each LANE_BUSY_ONE, an eighth
                                 * less with every slot */
};

/* A port has given so many frames in this pass. */
void lane_busy_burst(struct lane_busy *b, uint32_t cnt);

/* Once a pass, behind all bursts. */
void lane_busy_pass(struct lane *l);

/* When it has to be looked at again; BASE_NS_NONE: with the next pass, whenever that is. */
uint64_t lane_busy_deadline(const struct lane *l);

/* The connection is let in; it begins a message, or ends (begins is false then). */
void lane_busy_admit(struct conn *c);
void lane_busy_settle(struct conn *c, bool begins);

/* Why the connection is to be turned away (static, for the log); NULL: it is not. Counts. */
const char *lane_busy_refuses(const struct conn *c);

#endif
