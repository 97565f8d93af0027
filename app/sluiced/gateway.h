/*
 * The running gateway: composition only. Makes the pools, the port, the spool, the lanes, spooler
 * and courier, and the threads that run them, from one configuration; ends them in order.
 *
 * Threads: gateway_start, gateway_stop and the phase by control (the main thread).
 */
#ifndef GATEWAY_H
#define GATEWAY_H

#include "courier.h"
#include "disk_uring.h"
#include "ethdev.h"
#include "host.h"
#include "lane.h"
#include "loop.h"
#include "opener.h"
#include "settings.h"
#include "spooler.h"
#include "topology.h"

#include <pthread.h>

enum gateway_phase {
    GATEWAY_RUN,
    GATEWAY_DRAIN, /* nothing new is taken; what is under way ends */
    /* The end, one after the other, so that what the one has told the next is not lost: a delivery
     * that the next hop took is journalled, or it would be delivered again after the start. */
    GATEWAY_STOP_LANES,
    GATEWAY_STOP_COURIER, /* when what the lanes gave back is journalled */
    GATEWAY_STOP,         /* the spooler, when all is written */
};

struct gateway_thread {
    struct gateway *gateway;
    struct loop loop;
    uint32_t number; /* lanes */
    bool started;
    pthread_t pthread; /* spooler, courier, host */
};

struct gateway {
    _Atomic uint32_t phase; /* control writes (release), all threads read each pass (acquire) */
    struct settings_hub hub;
    struct topology topology;
    struct net_port port;
    bool port_open;
    struct net_port host_tap; /* state NULL: the machine has no traffic of its own here */
    struct rte_mempool *host_pool;
    struct host host;
    struct net_rss rss; /* how the port spreads segments, where rss_known */
    bool rss_known;
    uint16_t port_min, port_max; /* ephemeral ports of the lanes; 0: as lane.h has it */
    /* Of each lane: none takes from or waits for another's. */
    struct rte_mempool *rx_pool[TOPOLOGY_LANE_MAX];
    struct rte_mempool *data_pool[TOPOLOGY_LANE_MAX];
    struct rte_mempool *ctrl_pool[TOPOLOGY_LANE_MAX];
    struct rte_mempool *frame_pool[TOPOLOGY_LANE_MAX];
    struct lane *lane[TOPOLOGY_LANE_MAX];
    struct spool_disk disk;
    bool disk_open;
    struct stats_log spool_log;
    int spool_dir; /* descriptor from the opener; owned */
    struct spool *spool;
    struct spooler spooler;
    struct courier courier;
    struct gateway_thread lane_thread[TOPOLOGY_LANE_MAX];
    struct gateway_thread spooler_thread;
    struct gateway_thread courier_thread;
    struct gateway_thread host_thread;
};

#define GATEWAY_ERROR_CAP 512

/* EAL is up. Takes conf. Everything is made and every thread runs when it returns 0; otherwise a
 * negative error with one line in err, and gateway_stop is still owed. */
int gateway_start(struct gateway *g, struct conf *conf, struct opener *opener, char *err,
                  size_t err_cap) BASE_WARN_UNUSED;

/* Gives the spool's folders to the user that the process becomes. Returns 0, or a negative error
 * with one line in err. */
int gateway_give_spool(struct gateway *g, const char *user, char *err,
                       size_t err_cap) BASE_WARN_UNUSED;

/* Takes nothing new, and lets what is under way end, for at most drain_ns; then every thread stops.
 * tick is called meanwhile, now and then. */
void gateway_drain(struct gateway *g, uint64_t drain_ns, void (*tick)(void *arg), void *arg);

/* Stops the threads if they run, and frees everything. */
void gateway_stop(struct gateway *g);

/* The machine's own traffic, where the configuration wants it: opens the interface behind the port,
 * and finds ephemeral ports for the lanes that the kernel leaves. Returns 0, or a negative error
 * with one line in err. */
int gateway_host_open(struct gateway *g, const struct conf *conf, char *err,
                      size_t err_cap) BASE_WARN_UNUSED;
/* The lanes' buffers are back. */
void gateway_host_close(struct gateway *g);

/* Connections, both ways, that are open now. */
uint64_t gateway_connections(const struct gateway *g);

#endif
