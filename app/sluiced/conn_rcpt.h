/*
 * RCPT: what becomes of a recipient, from limits and policy by way of DNS lists, aliases, SRS and
 * the next hop's word to the message's envelope. Steps that have to wait (lists, next hop) put the
 * recipient into a job; the session reads nothing until it has its reply.
 *
 * Threads: the lane's.
 */
#ifndef CONN_RCPT_H
#define CONN_RCPT_H

#include "base_pool.h"
#include "conn.h"

struct rcpt_job;
struct rte_ring;

/* Of a lane. */
struct lane_rcpt {
    struct base_pool jobs;
    struct rte_ring *to, *from; /* the courier's, both ways */
};

/* Returns 0 or -ENOMEM. */
int conn_rcpt_init(struct lane *l) BASE_WARN_UNUSED;
/* The courier has stopped. */
void conn_rcpt_fini(struct lane *l);

/* The event RCPT: answers, and returns true; or the session waits (c->in.asking). */
bool conn_rcpt_answer(struct conn *c, struct base_buf *out) BASE_WARN_UNUSED;

/* What it waited for is there. */
void conn_rcpt_wake(struct rcpt_job *job);

/* Its time is up, while it waits for that: 450 for what the next hop did not say in time. Returns
 * false when it waits for something else. */
bool conn_rcpt_timeout(struct conn *c) BASE_WARN_UNUSED;

/* The connection is over. */
void conn_rcpt_leave(struct conn *c);

/* Answers of the courier that have come. Returns how many. */
uint32_t conn_rcpt_pass(struct lane *l);

#endif
