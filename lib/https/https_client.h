/*
 * Who makes the requests: what a driver (drivers/https/...) offers. It takes requests, with the
 * addresses of their hosts, and gives each one back exactly once, with its answer, by its deadline
 * at the latest.
 *
 * Threads: one, that of the state. Memory: a request, its body and its room belong to the driver
 * from submit until poll returns it.
 */
#ifndef HTTPS_CLIENT_H
#define HTTPS_CLIENT_H

#include "https_request.h"

struct https_client_ops {
    const char *name;
    /* Takes the request: deadline_ns and addresses, at least one, are set. Always takes it: those
     * that can't be made now wait inside, until their deadline. */
    void (*submit)(void *state, struct https_request *r, uint64_t now_ns);
    /* Takes back up to cap that are done or late, in any order. Never blocks. */
    uint32_t (*poll)(void *state, struct https_request **done, uint32_t cap, uint64_t now_ns);
    /* When poll has something to do at the latest, whatever comes from outside; BASE_NS_NONE. */
    uint64_t (*deadline)(void *state);
    /* Readable when poll has something to do; the same one for good. -1: by deadline alone. */
    int (*wait_fd)(void *state);
};

struct https_client {
    const struct https_client_ops *ops; /* NULL: there is none */
    void *state;
};

#endif
