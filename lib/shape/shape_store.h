/*
 * What has become of limits, as text, so that a restart begins with it: a line for each group of
 * destinations whose limits have fallen or that waits, with its times as seconds since 1970.
 *
 *   group NAME CONFIGURED now CONNECTIONS GAP_US was CONNECTIONS GAP_US falls N low 0|1
 *         fell S step S until S hits N cause S RULE CAUSE        (all in one line)
 *
 * Names and words are of any bytes: what is not a letter, a digit or one of ".-_@:/" is %XX; "-" is
 * nothing.
 *
 * Threads: pure; any. Memory: the caller's. Times: now_ns is running time, by which limits grow and
 * waits end; wall_ns tells how much of a wait is over. A wall clock that jumped makes a wait
 * shorter, or leaves it as long as it could have been at most: SHAPE_TIME_MAX_NS.
 */
#ifndef SHAPE_STORE_H
#define SHAPE_STORE_H

#include "shape.h"

#define SHAPE_STORE_NAME_CAP  257
#define SHAPE_STORE_CAUSE_CAP 128
#define SHAPE_STORE_LINE_MAX  2304 /* bytes of one, its end included */

struct shape_stored {
    char name[SHAPE_STORE_NAME_CAP];
    bool configured; /* a provider of the configuration; else a destination of its own */
    struct shape_state state;
    char rule[SHAPE_RULE_TEXT_CAP];
    char cause[SHAPE_STORE_CAUSE_CAP];
    uint64_t cause_wall_ns;
};

/* Anything that a restart has to know. */
bool shape_store_wanted(const struct shape_state *s, uint64_t now_ns);

/* The first line, and one for each. Return false without room. */
bool shape_store_begin(struct base_buf *out) BASE_WARN_UNUSED;
bool shape_store_put(struct base_buf *out, const struct shape_stored *s, uint64_t now_ns,
                     uint64_t wall_ns) BASE_WARN_UNUSED;

/* Reads the next line of *text, which becomes the rest; *begun is false first. Returns 1; 0 at the
 * end; -EINVAL: a line that is none, to be counted and passed over; or the head is another's, and
 * nothing is left. Of state, set is no limit: shape_state_set follows where there is one. */
int shape_store_get(struct shape_stored *s, struct base_span *text, bool *begun, uint64_t now_ns,
                    uint64_t wall_ns) BASE_WARN_UNUSED;

#endif
