/*
 * What a connection stands on: the lane's own TCP, or a stream of the kernel's (lane_stream.h), a
 * unix socket for one. conn.c knows both by this table alone, which has what it needs of TCP, with
 * TCP's meanings (tcp.h); events come as TCP's do, too (TCP_EVENT_...).
 *
 * A link that has failed takes bytes and loses them, until its event is heard.
 *
 * Threads: the lane's. Memory: views are borrowed until the next call on the same link.
 */
#ifndef CONN_LINK_H
#define CONN_LINK_H

#include "base_bytes.h"

struct lane;

struct conn_link_ops {
    const char *name;
    /* Returns how many bytes were taken, or a negative error. */
    int64_t (*send)(struct lane *l, void *link, const void *p, size_t len);
    uint32_t (*send_space)(const void *link);
    uint32_t (*send_pending)(const void *link);
    uint32_t (*recv_view)(const void *link, struct base_span *spans, uint32_t cap);
    uint32_t (*recv_len)(const void *link);
    void (*recv_consume)(struct lane *l, void *link, uint32_t n);
    /* What has come gets no answer, and its peer may wait for an acknowledgment. NULL: has none. */
    void (*recv_acknowledge)(struct lane *l, void *link);
    bool (*recv_ended)(const void *link);     /* no byte waits, and none will come */
    const char *(*failure)(const void *link); /* static text; NULL: it has not failed */
    /* Gives it up: when what was sent is out, or at once. */
    void (*close)(struct lane *l, void *link);
    void (*abort)(struct lane *l, void *link);
};

extern const struct conn_link_ops conn_link_tcp;
extern const struct conn_link_ops conn_link_stream; /* lane_stream.c */

#endif
