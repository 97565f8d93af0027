/*
 * Streams by the kernel's sockets, non-blocking, in one epoll set (edge triggered: what was told is
 * the caller's to remember). Unix sockets are connected with the rights of this process: whoever
 * listens there decides by the socket's mode and its directories' who may.
 *
 * Threads: one, but for open and close of the driver. Memory: 4 bytes a stream.
 */
#ifndef STREAM_EPOLL_H
#define STREAM_EPOLL_H

#include "base_assert.h"
#include "net_stream.h"

struct stream_epoll;

/* For streams numbered 0..cnt-1. Returns 0 or a negative error. */
int stream_epoll_open(struct stream_epoll **out, uint32_t cnt) BASE_WARN_UNUSED;
/* Closes all that are open. NULL: nothing is done. */
void stream_epoll_close(struct stream_epoll *s);

struct net_stream_driver stream_epoll_driver(struct stream_epoll *s);

#endif
