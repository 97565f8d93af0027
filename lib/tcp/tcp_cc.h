/*
 * What a congestion control decides: the size of the window. When a loss is detected and what is
 * sent again is not its business (tcp_ack.c: RFC 6582).
 */
#ifndef TCP_CC_H
#define TCP_CC_H

#include <stdint.h>

struct tcp_conn;

struct tcp_cc_ops {
    const char *name;
    void (*open)(struct tcp_conn *c);                     /* the handshake is done: first window */
    void (*acked)(struct tcp_conn *c, uint32_t bytes);    /* new data acknowledged, no recovery */
    void (*lost)(struct tcp_conn *c, uint32_t in_flight); /* recovery begins: sets ssthresh */
    void (*timeout)(struct tcp_conn *c, uint32_t in_flight); /* the first timeout of a segment */
    void (*idle)(struct tcp_conn *c);                        /* sending again after a pause */
};

extern const struct tcp_cc_ops tcp_cc_newreno;

#endif
