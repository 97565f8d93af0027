/*
 * The running gateway: composition only. Makes the pools, the port, the spool, the lanes, spooler
 * and courier, and the threads that run them, from one configuration; ends them in order.
 *
 * Threads: gateway_start, gateway_stop and the phase by control (the main thread).
 */
#ifndef GATEWAY_H
#define GATEWAY_H

#include "base_time.h"
#include "courier.h"
#include "disk_uring.h"
#include "ethdev.h"
#include "gateway_auth.h"
#include "gateway_https.h"
#include "gateway_resolver.h"
#include "gateway_stream.h"
#include "gateway_shape.h"
#include "gateway_sts.h"
#include "gateway_tls.h"
#include "host.h"
#include "lane.h"
#include "loop.h"
#include "maps.h"
#include "opener.h"
#include "policy_limit.h"
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
    GATEWAY_STOP,         /* the spoolers, when all is written; and who serves others */
};

/* Its loop is written in each round, and the next thread's lies behind it: on lines of its own. */
struct gateway_thread {
    struct gateway *gateway;
    struct loop loop;
    uint32_t number; /* of the lane or the spooler */
    bool started;
    pthread_t pthread; /* spoolers, courier, host, resolver, auth */
} BASE_CACHE_ALIGNED;
base_static_assert(sizeof(struct gateway_thread) % 64 == 0, "no line of two threads");

struct gateway_spool {
    int dir; /* descriptor from the opener; owned while dir_open */
    bool dir_open, disk_open;
    struct spool_disk disk;
    struct stats_log log;
    struct spool *spool;
    struct spooler spooler;
    struct gateway_thread thread;
};

struct gateway {
    _Atomic uint32_t phase; /* control writes (release), all threads read each pass (acquire) */
    uint64_t end_ns;        /* written before GATEWAY_STOP_LANES: no work is done after it */
    struct settings_hub hub;
    struct maps_notes maps; /* of the map files as they were last read; control's */
    uint64_t maps_seen;     /* what they looked like then */
    struct topology topology;
    /* By port block. */
    struct net_port port[NET_JOIN_MAX];
    uint32_t open_cnt;                /* of them */
    struct net_rss rss[NET_JOIN_MAX]; /* how the port spreads segments, where rss_known */
    bool rss_known[NET_JOIN_MAX];
    const struct net_port *host_port; /* that the machine shares; NULL: none */
    struct net_port host_tap;         /* state NULL: the machine has no traffic of its own here */
    struct rte_mempool *host_pool;
    struct host host;
    uint16_t port_min, port_max; /* ephemeral ports of the lanes; 0: as lane.h has it */
    /* Of each lane: none takes from or waits for another's. */
    struct rte_mempool *rx_pool[TOPOLOGY_LANE_MAX];
    struct rte_mempool *data_pool[TOPOLOGY_LANE_MAX];
    struct rte_mempool *ctrl_pool[TOPOLOGY_LANE_MAX];
    struct rte_mempool *frame_pool[TOPOLOGY_LANE_MAX];
    struct gateway_tls tls;
    struct gateway_auth auth;
    /* Of clients, all lanes, which read it at each connection; auth above is written. */
    struct policy_limits limits BASE_CACHE_ALIGNED;
    struct lane *lane[TOPOLOGY_LANE_MAX];
    bool accept_corruption;
    struct gateway_spool spool[TOPOLOGY_SPOOL_MAX];
    struct courier courier;
    struct gateway_shape shape;
    int source_dir;           /* descriptor; -1: there is none */
    char source_warning[256]; /* of the start, to be logged */
    struct gateway_thread lane_thread[TOPOLOGY_LANE_MAX];
    struct gateway_thread courier_thread;
    struct gateway_thread host_thread;
    struct gateway_resolver resolver;
    struct gateway_thread resolver_thread;
    struct gateway_https https;
    struct gateway_sts sts;
    struct gateway_thread auth_thread;
    struct gateway_stream stream;
    struct gateway_thread stream_thread;
};

#define GATEWAY_ERROR_CAP 512

/* EAL is up. Takes conf. Everything is made and every thread runs when it returns 0; otherwise a
 * negative error with one line in err, and gateway_stop is still owed.
 * accept_corruption: spools start past what is damaged in them. */
int gateway_start(struct gateway *g, struct conf *conf, struct opener *opener,
                  bool accept_corruption, char *err, size_t err_cap) BASE_WARN_UNUSED;

/* Gives the spools' folders to the user that the process becomes. Returns 0, or a negative error
 * with one line in err. */
int gateway_give_spool(struct gateway *g, const char *user, char *err,
                       size_t err_cap) BASE_WARN_UNUSED;

struct gateway_end {
    uint64_t cut_cnt; /* connections that had not ended in time */
    uint32_t
        unwritten_cnt; /* outcomes that could not be journalled: these deliveries are made again */
    bool unfinished;   /* a spool had not written all that it had been given */
};

/* Takes nothing new, and lets what is under way end, for at most drain_ns; then what the lanes have
 * told is journalled and written, for at most GATEWAY_END_NS more, and every thread stops but the
 * log's. */
#define GATEWAY_END_NS (3 * BASE_NS_S)
void gateway_drain(struct gateway *g, uint64_t drain_ns, struct gateway_end *end);

/* Stops the threads if they run, and frees everything. */
void gateway_stop(struct gateway *g);

/* The machine's own traffic, where the configuration wants it: opens the interface behind the port,
 * and finds ephemeral ports for the lanes that the kernel leaves. Returns 0, or a negative error
 * with one line in err. */
int gateway_host_open(struct gateway *g, const struct conf *conf, char *err,
                      size_t err_cap) BASE_WARN_UNUSED;
/* The lanes' buffers are back. */
void gateway_host_close(struct gateway *g);

#endif
