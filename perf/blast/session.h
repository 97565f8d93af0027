/*
 * A connection of blast, from its start to its end or failure, whatever its mode. Threads: its
 * lane. Memory: a pool of the lane's.
 */
#ifndef SESSION_H
#define SESSION_H

#include "base_list.h"
#include "lane.h"
#include "smtp_client.h"
#include "sockets.h"

struct tcp_conn;

struct session {
    struct base_list place; /* in the lane's open */
    struct base_timer timer;
    union { /* the link's */
        struct tcp_conn *tcp;
        struct socket_conn socket;
    };
    uint64_t unit_ns;        /* when the present message or round trip began, or was due to */
    uint64_t body_at;        /* bytes of the message that were sent */
    uint32_t unit_left;      /* of this connection, the present one included */
    uint8_t step;            /* the mode's */
    bool bye;                /* QUIT is answered: the server's end may come */
    struct smtp_client smtp; /* the last: cleared by those that use it */
};

/* Opens the next connection. scheduled_ns: when it was due. */
void session_start(struct lane *l, uint64_t scheduled_ns);

/* News of its link: it stands, bytes have come, or there is room again. ended: no byte follows
 * those that wait. */
void session_event(struct lane *l, struct session *s, bool ended);

void session_timer(struct lane *l, struct base_timer *t);

/* Ends it as failed; the session is gone. */
void session_fail(struct lane *l, struct session *s, enum lane_counter reason);

/* ---- for modes ---- */

/* The code of the next whole reply, which is consumed; 0: it has not come yet. What is no reply
 * gives 999. */
uint32_t session_reply(struct lane *l, struct session *s);

/* The bytes that wait, in up to cap pieces: how many; and the first n of them are done with. */
uint32_t session_view(struct lane *l, struct session *s, struct base_span *spans, uint32_t cap);
void session_consume(struct lane *l, struct session *s, uint32_t n);

/* What can be sent now for certain. */
uint32_t session_space(struct lane *l, struct session *s);

/* Sends all of it, for whose room the caller has looked. */
void session_send(struct lane *l, struct session *s, const void *p, size_t len);

/* Sends as much of it as goes. Returns how much. */
size_t session_send_some(struct lane *l, struct session *s, const void *p, size_t len);

/* One unit is done: counts it and its time; the next begins. */
void session_unit_done(struct lane *l, struct session *s);

#endif
