/*
 * TLS on a lane: the engine, the contexts that new connections are opened with, and how control
 * hands new ones over.
 *
 * Control posts an update, which says all: contexts and ticket keys. The lane takes it at the start
 * of a pass, retires the contexts before (their connections go on) and marks it as taken; then it
 * is control's again. One that was not taken yet is replaced by the next.
 *
 * Threads: next and taken are written by both sides, see there; the rest is the lane's while it
 * runs. Memory: all is control's (gateway_tls.c) and outlives the lane.
 */
#ifndef LANE_TLS_H
#define LANE_TLS_H

#include "tls.h"

#include <stdatomic.h>

struct lane;

struct lane_tls_update {
    struct tls_domain *domain; /* NULL: there is no TLS */
    struct tls_ticket_key ticket[2];
    uint32_t ticket_cnt;
    /* Set by the lane (release) when it holds nothing of this struct; control reads (acquire). */
    _Atomic bool taken;
};

struct lane_tls {
    struct tls_lane *engine;
    struct tls_domain *domain; /* the lane's; NULL: none */
    /* Control stores (release), the lane exchanges for NULL (acquire); control may, too. */
    _Atomic(struct lane_tls_update *) next;
};

/* Takes what control has posted. */
void lane_tls_take(struct lane_tls *t);

/* Once a pass, after input: handshakes go on. Returns how many did. */
uint32_t lane_tls_pass(struct lane *l);

/* The lane's thread ends: closes TLS on all connections, which are not used any more. */
void lane_tls_leave(struct lane *l);

#endif
