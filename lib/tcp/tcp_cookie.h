/* SYN cookies (RFC 4987 section 3.6): tcp_cookie.c. Not for others than lib/tcp. */
#ifndef TCP_COOKIE_H
#define TCP_COOKIE_H

#include "tcp_conn.h"

#include "tcp_option.h"

struct tcp_stack;
struct tcp_segment;

#define TCP_COOKIE_LIFE_MS 64000U /* at most */

enum tcp_cookie {
    TCP_COOKIE_NONE, /* none was sent lately, or the segment is not an ACK of one */
    TCP_COOKIE_GOOD,
    TCP_COOKIE_BAD,
    TCP_COOKIE_EXPIRED,
};

/* Fills in y->iss; y is what a half-open entry would hold and is forgotten after its SYN-ACK. What
 * the cookie cannot carry is taken out of y. */
void tcp_cookie_make(const struct tcp_stack *s, struct tcp_syn *y,
                     const struct tcp_options *options);

/* The timestamp of the SYN-ACK: now, at most 64 ms early, with the options of y in its low bits. */
uint32_t tcp_cookie_timestamp(const struct tcp_syn *y, uint32_t now);

/* Whether seg acknowledges a cookie of ours that is young enough; with GOOD, y is what the entry
 * would have been, but for the listener. */
enum tcp_cookie tcp_cookie_check(struct tcp_stack *s, const struct tcp_segment *seg,
                                 struct tcp_syn *y);

/* A segment for a listener, of no connection: accepts the connection, or refuses and counts, a bad
 * one after config.stray. False when it has nothing to do with cookies. */
bool tcp_cookie_input(struct tcp_stack *s, struct tcp_segment *seg, uint16_t listener);

#endif
