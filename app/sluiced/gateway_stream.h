/*
 * The stream thread's part of the gateway: the kernel's sockets for the lanes (stream_service.h).
 *
 * Threads: open and close by control, while the thread does not run.
 */
#ifndef GATEWAY_STREAM_H
#define GATEWAY_STREAM_H

#include "stream_epoll.h"
#include "stream_service.h"

struct gateway_stream {
    struct stream_epoll *driver;
    struct stream_service service;
};

/* Returns 0 or a negative error; gateway_stream_close is owed in any case. */
int gateway_stream_open(struct gateway_stream *g, struct topology *topology) BASE_WARN_UNUSED;
void gateway_stream_close(struct gateway_stream *g);
/* Readable when a socket has news. */
int gateway_stream_wait_fd(const struct gateway_stream *g);

#endif
