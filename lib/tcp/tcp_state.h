/*
 * The states of RFC 9293 section 3.3.2 and the one function that changes them.
 *
 * LISTEN, SYN-RECEIVED of a passive open and TIME-WAIT after the caller's close live in objects of
 * their own (tcp_conn.h); a struct tcp_conn is in SYN-RECEIVED only in a simultaneous open, and
 * in TIME-WAIT only while its caller still holds it.
 */
#ifndef TCP_STATE_H
#define TCP_STATE_H

#include <stdbool.h>

struct tcp_conn;
struct tcp_stack;

enum tcp_state {
    TCP_CLOSED,
    TCP_LISTEN,
    TCP_SYN_SENT,
    TCP_SYN_RECEIVED,
    TCP_ESTABLISHED,
    TCP_FIN_WAIT_1,
    TCP_FIN_WAIT_2,
    TCP_CLOSE_WAIT,
    TCP_CLOSING,
    TCP_LAST_ACK,
    TCP_TIME_WAIT,
    TCP_STATE_CNT,
};

/* "SYN-SENT", ... as the RFC writes them. */
const char *tcp_state_name(enum tcp_state state);

/* True where the table of changes has it. */
bool tcp_state_allowed(enum tcp_state from, enum tcp_state to);

/* Changes the state: asserts that the change is allowed, and counts it. */
void tcp_state_change(struct tcp_stack *s, struct tcp_conn *c, enum tcp_state to);

#endif
