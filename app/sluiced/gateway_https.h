/*
 * HTTPS of the running gateway: what the courier asks by https.h goes to a process (https_curl.h),
 * and this is how control brings it one. There is none before the first request; one that ends
 * with requests open is replaced, but not more than once a second; one that had nothing to do for
 * a while is let go.
 *
 * Threads: the client of gateway_https_client by the courier; all others by control.
 */
#ifndef GATEWAY_HTTPS_H
#define GATEWAY_HTTPS_H

#include "https_curl.h"
#include "opener.h"
#include "topology.h"

/* A process on its way to the courier. */
struct gateway_https_supply {
    int socket;
    int authorities; /* the file; -1: none */
};

struct gateway_https {
    struct topology *topology;
    struct https_curl *driver; /* NULL: not made */
    struct stats_log log;
    /* The courier stores, control reads (relaxed: each word is all). */
    _Atomic bool wants;    /* a process is missing */
    _Atomic bool attached; /* one is there */
    /* Control stores (release), the courier takes it (acquire). */
    _Atomic(struct gateway_https_supply *) supply;
    /* Control's. */
    bool replace;        /* the process that is there has other authorities */
    uint64_t spawned_ns; /* 0: never */
};

/* Returns 0 or -ENOMEM; gateway_https_fini is owed in any case. */
int gateway_https_init(struct gateway_https *g, struct topology *topology) BASE_WARN_UNUSED;
/* The courier has stopped, and the askers have their memory still. */
void gateway_https_fini(struct gateway_https *g);

/* For https_use. */
struct https_client gateway_https_client(struct gateway_https *g);

/* Other settings: the process that is there, if any, is replaced. */
void gateway_https_reload(struct gateway_https *g);

/* Starts a process where one is missing, with the authorities of that file (NULL or "": none).
 * Returns its pid when it did, 0 when there was nothing to do, or a negative error: the opener can
 * start none. *unread: the file could not be opened, by this error; else 0. */
int gateway_https_tend(struct gateway_https *g, struct opener *opener, const char *ca_file,
                       uint64_t now_ns, int *unread);

#endif
