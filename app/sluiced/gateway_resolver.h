/*
 * The resolver of the running gateway: the thread that has the questions (resolver.h), over the
 * process that asks them (resolver_unbound.h), and how control brings it a process. There is none
 * before the first question. One that ends is replaced at once, but not more than once a second.
 *
 * Threads: gateway_resolver_pass and _deadline by the resolver's; all others by control.
 */
#ifndef GATEWAY_RESOLVER_H
#define GATEWAY_RESOLVER_H

#include "opener.h"
#include "resolver.h"
#include "resolver_unbound.h"

#define GATEWAY_RESOLVER_WHY_CAP 384

/* A process on its way to the thread. */
struct gateway_resolver_supply {
    int socket;
    uint64_t config_no;
    struct resolver_config *config;
};

struct gateway_resolver {
    struct topology *topology;
    struct resolver service;
    struct resolver_unbound *driver; /* NULL: not made */
    struct stats_log log;
    /* The thread stores, control reads (relaxed: each word is all). */
    _Atomic bool wants;    /* a process is missing */
    _Atomic bool attached; /* one is there */
    /* Control stores (release), the thread takes it (acquire). */
    _Atomic(struct gateway_resolver_supply *) supply;
    /* Control's. */
    struct resolver_config *config; /* of the newest configuration */
    uint64_t config_no;             /* that it is */
    bool replace;                   /* the process that is there has an older one */
    uint64_t spawned_ns;            /* 0: never */
};

/* What the process is to be told by conf, but lookups, which are as at the start; the trust anchors
 * are read by open_file. Returns NULL with a sentence in why. */
struct resolver_config *gateway_resolver_prepare(const struct conf *conf, uint64_t lookups,
                                                 int (*open_file)(void *user, const char *path),
                                                 void *user, char why[GATEWAY_RESOLVER_WHY_CAP]);
/* Takes it: for the processes from now on, and in place of the one that is there if it differs. */
void gateway_resolver_use(struct gateway_resolver *g, struct resolver_config *config);

/* Takes config. Returns 0 or -ENOMEM; gateway_resolver_fini is owed in any case. */
int gateway_resolver_init(struct gateway_resolver *g, struct topology *topology, uint32_t lookups,
                          struct resolver_config *config) BASE_WARN_UNUSED;
/* Its thread has stopped, and the askers have their memory still. */
void gateway_resolver_fini(struct gateway_resolver *g);

/* Starts a process where one is missing. Returns its pid when it did, 0 when there was nothing to
 * do, or a negative error: the opener can start none. */
int gateway_resolver_tend(struct gateway_resolver *g, struct opener *opener, uint64_t now_ns);

/* One round. Returns true when it did something. */
bool gateway_resolver_pass(struct gateway_resolver *g, uint64_t now_ns, uint64_t wall_ns);
uint64_t gateway_resolver_deadline(const struct gateway_resolver *g, uint64_t now_ns);
int gateway_resolver_wait_fd(const struct gateway_resolver *g);

#endif
