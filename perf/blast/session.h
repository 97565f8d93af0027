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
struct tls_conn;

struct session {
    struct base_list place; /* in the lane's open */
    struct base_timer timer;
    union { /* the link's */
        struct tcp_conn *tcp;
        struct socket_conn socket;
    };
    struct base_list wait; /* in the lane's waiting */
    struct tls_conn *tls;  /* NULL: in clear, so far */
    uint8_t *keep;         /* plaintext for later, of the lane's; NULL: none */
    uint64_t unit_ns;      /* when the present message or round trip began, or was due to */
    uint64_t handshake_ns; /* when that of TLS began */
    uint64_t message;      /* number of the present one */
    uint64_t body_at;      /* bytes of the message that were sent */
    uint32_t keep_len;
    uint32_t unit_left;      /* of this connection, the present one included */
    uint16_t refused;        /* the first such reply about the present message */
    uint8_t step;            /* the mode's */
    bool begun;              /* the link stands */
    bool secured;            /* TLS stands */
    bool woken;              /* its turn to wait is over */
    bool standing;           /* held until the end */
    bool bye;                /* QUIT is answered: the server's end may come */
    struct smtp_client smtp; /* the last: only in modes that send */
};

/* Of a session for loads like these. */
size_t session_bytes(const struct options *o);

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

/* Begins TLS, of which run is told again when it stands. What the server said so far is consumed.
 */
void session_start_tls(struct lane *l, struct session *s);

/* Whether the next unit may begin now; unit_ns is when it was due. False: it waits, and run will be
 * called again; then this is to be asked again. The end of a load takes all units that are left:
 * then it is true, and unit_left is 0. */
bool session_next(struct lane *l, struct session *s);

/* Waits for the end of the load, whatever the server's silence; run is called again then. */
void session_hold(struct lane *l, struct session *s);

/* It is held no more. */
void session_release(struct lane *l, struct session *s);

/* One unit is done: counts it and its time; the next begins. Refused: by the code of its reply. */
void session_unit_done(struct lane *l, struct session *s);
void session_unit_refused(struct lane *l, struct session *s, uint16_t code);

#endif
