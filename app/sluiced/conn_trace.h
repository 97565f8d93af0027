/*
 * The lines of connections that an operator follows (trace.h): what each layer sees and says.
 * Never in them: what a client or we say to log in (AUTH and what follows it), and content.
 *
 * Threads: the lane's. While nobody follows anything (lane.tracing is 0) each of these is one
 * branch.
 */
#ifndef CONN_TRACE_H
#define CONN_TRACE_H

#include "lane.h"

/* Whether the connection is followed; asked again, as wishes come and go, at each line. */
bool conn_trace_wanted(struct conn *c);

__attribute__((format(printf, 3, 4))) void conn_trace_line(struct conn *c, const char *layer,
                                                           const char *format, ...);
void conn_trace_dialog(struct conn *c, bool ours, struct base_span bytes, bool secret);
void conn_trace_mailbox(struct conn *c, struct base_span mailbox);
void conn_trace_id(struct conn *c, const uint8_t id[16]);

/* One line of a layer. */
#define CONN_TRACE(c, ...)                                                                         \
    do {                                                                                           \
        if (__builtin_expect((c)->lane->tracing != 0, 0) && conn_trace_wanted(c))                  \
            conn_trace_line(c, __VA_ARGS__);                                                       \
    } while (0)

/* Whole lines of a session: ours, or the peer's. secret: the first of them is said to log in. */
static inline void conn_trace_said(struct conn *c, bool ours, struct base_span bytes, bool secret)
{
    if (__builtin_expect(c->lane->tracing != 0, 0) && bytes.len > 0 && conn_trace_wanted(c))
        conn_trace_dialog(c, ours, bytes, secret);
}

/* An address of a message that comes in: the connection may be followed for it from now on. */
static inline void conn_trace_address(struct conn *c, struct base_span mailbox)
{
    if (__builtin_expect(c->lane->tracing != 0, 0))
        conn_trace_mailbox(c, mailbox);
}

/* The message that the connection has open is followed with it. */
static inline void conn_trace_message(struct conn *c, const uint8_t id[16])
{
    if (__builtin_expect(c->lane->tracing != 0, 0) && conn_trace_wanted(c))
        conn_trace_id(c, id);
}

/* The connection ends. */
void conn_trace_end(struct conn *c);

/* tcp_config's watch; arg: the lane; user: the connection. */
void conn_trace_tcp(void *arg, void *user, const struct net_endpoint *local,
                    const struct net_endpoint *remote, const char *what, const char *was);

#endif
