/*
 * A resolver: what a driver (drivers/resolver/...) offers. It takes questions, and gives each one
 * back exactly once, with its answer, by its deadline at the latest: there is no way to withdraw
 * one, the deadline is the bound.
 *
 * Threads: one, that of the state. Memory: a query belongs to the resolver from submit until poll
 * returns it.
 */
#ifndef DNS_RESOLVER_H
#define DNS_RESOLVER_H

#include "dns.h"

struct dns_resolver_ops {
    const char *name;
    /* Takes the question; its answer is cleared. Always takes it: those that can't be asked now
     * wait inside, until their deadline. */
    void (*submit)(void *state, struct dns_query *q, uint64_t now_ns);
    /* Takes back up to cap that are answered or late, in any order. Never blocks. */
    uint32_t (*poll)(void *state, struct dns_query **done, uint32_t cap, uint64_t now_ns);
    /* When poll has something to do at the latest, whatever comes from outside; BASE_NS_NONE. */
    uint64_t (*deadline)(void *state);
    /* Readable when poll has something to do; the same one for good. -1: by deadline alone. */
    int (*wait_fd)(void *state);
};

struct dns_resolver {
    const struct dns_resolver_ops *ops;
    void *state;
};

#endif
