/*
 * Streams of the kernel's: connections to sockets of this machine, by a path (unix) or by one of
 * its own addresses (TCP over loopback), which no lane's TCP reaches. One ops table stands for
 * whoever makes them: drivers/stream, or a test.
 *
 * Left out: listening, datagrams, descriptors that are passed, who the peer is (SO_PEERCRED).
 *
 * Threads: one for a driver. Nothing blocks. Streams have numbers that the caller gives, from 0 to
 * one less than what the driver was opened for. Errors are negative errno values.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include "net_addr.h"

#include <sys/types.h>

#define NET_STREAM_PATH_CAP 108 /* of sockaddr_un, with the NUL */

struct net_stream_target {
    char path[NET_STREAM_PATH_CAP]; /* absolute; "": the address */
    struct net_endpoint address;
};

enum net_stream_event_flags {
    NET_STREAM_READABLE = 1, /* bytes, the end, or an error wait */
    NET_STREAM_WRITABLE = 2, /* it is connected, and takes bytes; or it has failed */
};

struct net_stream_event {
    uint32_t number;
    uint32_t flags;
};

struct net_stream_ops {
    /* Begins. Returns 0 (connected, or about to be: WRITABLE tells), -EAGAIN (the listener is busy:
     * try again in a while), or another error. */
    int (*open)(void *state, uint32_t number, const struct net_stream_target *target);
    /* What has become of an open that is WRITABLE: 0 or an error. */
    int (*error)(void *state, uint32_t number);
    /* Bytes taken or given; -EAGAIN: none now, an event tells when; recv 0: the end. */
    ssize_t (*send)(void *state, uint32_t number, const void *p, size_t len);
    ssize_t (*recv)(void *state, uint32_t number, void *p, size_t cap);
    void (*close)(void *state, uint32_t number);
    /* What has changed since the last time, of streams that are open; each change is told once.
     * Does not wait. Returns how many. */
    uint32_t (*poll)(void *state, struct net_stream_event *events, uint32_t cap);
    /* A descriptor that is readable while poll would tell something; -1: none. */
    int (*wait_fd)(void *state);
};

struct net_stream_driver {
    const struct net_stream_ops *ops;
    void *state;
};

#endif
