/*
 * AUTH on a lane: what a session may offer, and the way of a login to the auth thread and back.
 *
 * Nothing of mechanisms or passwords is done here: bytes are copied, once, and a ring is pushed.
 * The connection waits meanwhile, the lane does not.
 *
 * Threads: the lane's.
 */
#ifndef CONN_AUTH_H
#define CONN_AUTH_H

#include "base_pool.h"
#include "conn.h"

struct policy_client;
struct rte_ring;

/* Of a lane. */
struct lane_auth {
    struct base_pool jobs; /* object_cnt 0: there are no users */
    struct rte_ring *to, *from;
    bool rung; /* pushed something this pass */
};

/* Returns 0 or -ENOMEM. */
int conn_auth_init(struct lane *l) BASE_WARN_UNUSED;
void conn_auth_fini(struct lane *l);

/* TLS stands: whether a certificate says who the client is. */
void conn_auth_secured(struct conn *c);

/* What the session offers now, by its listener, TLS and the settings. */
void conn_auth_offer(struct conn *c);

/* The event AUTH: asks, and the connection waits (c->in.asking); or the reply to give now. */
const struct smtp_reply *conn_auth_ask(struct conn *c);

/* The exchange is over without an answer: the client gave up, or is gone. */
void conn_auth_leave(struct conn *c);

/* Nobody is logged in any more. */
void conn_auth_forget(struct conn *c);

/* Whether MAIL is refused because nobody is logged in. */
bool conn_auth_missing(const struct conn *c, const struct policy_client *client);

/* Answers that have come. Returns how many. */
uint32_t conn_auth_pass(struct lane *l);

/* An answer that was waited for (conn_in.c): the session goes on. */
void conn_in_answer(struct conn *c, const struct smtp_reply *reply, struct base_span challenge);

#endif
