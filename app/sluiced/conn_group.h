/*
 * Connections to a provider that may have so many at a time, open ones in all: busy, idle, or said
 * QUIT and not closed by the other side yet. All deliveries of such a provider come to one lane
 * (courier_lane.h), which counts. A delivery that would need one too many has an idle one closed
 * and waits here until one is gone; connections of a provider for which somebody waits are not
 * kept.
 *
 * Threads: its lane's only. Memory: none of its own. Bounded: waiting ones are deliveries, and each
 * connection ends by its own deadlines.
 */
#ifndef CONN_GROUP_H
#define CONN_GROUP_H

#include "delivery.h"

struct conn;
struct lane;

struct conn_groups {
    uint32_t open_cnt[QUEUE_GROUP_MAX];
    struct delivery *first[QUEUE_GROUP_MAX], *last[QUEUE_GROUP_MAX]; /* waiting, by next */
    uint32_t waiting_cnt;
};

/* Whether a connection may be opened for it; else it waits here, and conn_out_start_fresh has it
 * when it may. */
bool conn_group_enter(struct lane *l, struct delivery *d) BASE_WARN_UNUSED;
/* A connection was opened for the delivery, or is no more; it carries this one. */
void conn_group_opened(struct conn *c, const struct delivery *d);
void conn_group_closed(struct conn *c);
void conn_group_carries(struct conn *c, const struct delivery *d);
/* Each pass: those that need wait no longer go on. */
void conn_group_run(struct lane *l);
/* Whether it may stay for another message. */
bool conn_group_keeps(const struct conn *c);
/* The session is over; whether to wait for the other side to close, which is what counts there. */
bool conn_group_lingers(struct conn *c);

#endif
