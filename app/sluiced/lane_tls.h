/*
 * TLS on a lane: the engine, the contexts that new connections are opened with, how control hands
 * new ones over, and who may have how many handshakes.
 *
 * Control posts an update, which says all: contexts and ticket keys. The lane takes it at the start
 * of a pass, retires the contexts before (their connections go on) and marks it as taken; then it
 * is control's again. One that was not taken yet is replaced by the next.
 *
 * Handshakes that are not done are in a list, the oldest first, and counted for each client. While
 * more than seven of eight that a lane may have are taken, those that wait longest for their client
 * are dropped: a flood of half-open ones drives out itself, while a client that answers within the
 * time in which the lane's share fills gets through. Whole ClientHellos may come faster than they
 * are answered: where fifteen of sixteen places are taken, those whose turn has not come give way,
 * too, if their clients have many; and only then clients that have few.
 *
 * Threads: next and taken are written by both sides, see there; the rest is the lane's while it
 * runs. Memory: all is control's (gateway_tls.c) and outlives the lane.
 */
#ifndef LANE_TLS_H
#define LANE_TLS_H

#include "base_list.h"
#include "client_table.h"
#include "tls.h"

#include <stdatomic.h>

struct conn;
struct dane_trust;
struct lane;

struct lane_tls_update {
    struct tls_domain *domain; /* NULL: there is no TLS */
    struct dane_trust *trust;  /* lives as long as domain; NULL: there is none */
    uint32_t client_policy;    /* of it, for next hops; the one behind it has the small message */
    bool accepts;              /* it has the listeners' policies */
    struct tls_ticket_key ticket[2];
    uint32_t ticket_cnt;
    /* Set by the lane (release) when it holds nothing of this struct; control reads (acquire). */
    _Atomic bool taken;
};

struct lane_tls {
    struct tls_lane *engine;
    struct tls_domain *domain; /* the lane's; NULL: none */
    struct dane_trust *trust;  /* as in the update */
    uint32_t client_policy;    /* likewise */
    bool accepts;              /* likewise */
    struct base_list unproved; /* connections to next hops (conn.handshake) whose certificate is to
                                  be judged, the oldest first */
    uint32_t handshake_max;
    struct base_list handshakes; /* of connections (conn.handshake), the oldest first */
    struct client_table clients; /* how many each has of these */
    bool stepping;               /* lane_tls_pass holds some whose turn it is */
    /* Control stores (release), the lane exchanges for NULL (acquire); control may, too. */
    _Atomic(struct lane_tls_update *) next;
} BASE_CACHE_ALIGNED;

/* By control, before the lane runs; the engine is made by the caller. key: random, for the table.
 * Returns 0 or -ENOMEM. */
int lane_tls_init(struct lane_tls *t, uint32_t handshake_max,
                  const uint8_t key[16]) BASE_WARN_UNUSED;
void lane_tls_fini(struct lane_tls *t);

/* Takes what control has posted. */
void lane_tls_take(struct lane_tls *t);

/* Once a pass, after input: handshakes go on. Returns how many did. */
uint32_t lane_tls_pass(struct lane *l);

/* Whether a server's certificate waits to be judged. */
static inline bool lane_tls_judges(const struct lane_tls *t)
{
    return !base_list_empty(&t->unproved);
}

/* Whether the connection's client may begin another handshake. */
bool lane_tls_allows(const struct conn *c);
/* It begins: the engine has taken it, so that there are no more than it allows. */
void lane_tls_begin(struct conn *c);
/* It is done, or will never be; nothing when none has begun. */
void lane_tls_end(struct conn *c);

/* Each pass: drops handshakes when too many places are taken. Their places are free
 * at once, their connections' structs at the lane's next turn of the stalled. */
void lane_tls_relieve(struct lane *l);
/* Before the connection's begins, amid its event: likewise, when all places are taken and its
 * client has few. A pass may bring more than the last one has left places for. */
void lane_tls_make_room(struct conn *c);

/* The lane's thread ends: closes TLS on all connections, which are not used any more. */
void lane_tls_leave(struct lane *l);

#endif
