/*
 * What carries the sink's sessions: the kernel's sockets, or our own stack on a port of DPDK.
 *
 * Threads: all by main, but that between start and pause the sessions live on the transport's own.
 * Errors: a sentence in err.
 */
#ifndef TRANSPORT_H
#define TRANSPORT_H

#include "options.h"

struct transport {
    /* Listens. k and o are borrowed until close. Returns 0, or -1. */
    int (*open)(struct sink *k, const struct options *o, char *program, char *err, size_t cap);
    /* Starts the thread that runs it. Returns 0, or -1. */
    int (*start)(char *err, size_t cap);
    /* Ends it: from then on nothing is taken. May be called twice. */
    void (*pause)(void);
    /* Ends all sessions. */
    void (*close)(void);
};

extern const struct transport kernel_transport, stack_transport;

#endif
