/*
 * A port of DPDK outside the gateway, for the tools of perf/ that run our own stack: EAL with
 * ordinary pages and a prefix of its own, the port with a queue pair for each lane, and its link.
 *
 * Threads: main's, before the lanes run. Memory: pools are the caller's to free, after the port.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include "base_bytes.h"
#include "ethdev.h"
#include "stats.h"

#define DEVICE_LANE_MAX 16
#define DEVICE_LANE_MB  256 /* of the pools that a lane of usual size takes */

struct device {
    const char *name;                           /* of the tool: EAL's file prefix begins with it */
    const char *device;                         /* as EAL's --vdev or --allow has it */
    uint32_t lane_cnt;                          /* 1 to DEVICE_LANE_MAX; lane n is lcore n + 1 */
    uint32_t cpu[DEVICE_LANE_MAX];              /* of each */
    uint32_t memory_mb;                         /* of all lanes' pools; 0: DEVICE_LANE_MB each */
    uint32_t rx_cnt;                            /* packet buffers of each queue; 0: 8191 */
    struct stats_block *stats[DEVICE_LANE_MAX]; /* borrowed: each lane's */

    /* What device_open makes. */
    struct net_port port;
    struct rte_mempool *rx_pool[DEVICE_LANE_MAX];
};

/* Returns 0, or -1: DPDK has said why on stderr. */
int device_start_eal(const struct device *d, char *program) BASE_WARN_UNUSED;

/* Opens the port and waits for its link, ten seconds at most or until stop. Returns 0, or -1 with a
 * sentence in err. */
int device_open(struct device *d, const _Atomic bool *stop, char *err, size_t cap) BASE_WARN_UNUSED;

/* Frees the pools; EAL's end closes the port. */
void device_close(struct device *d);

/* Whether it is one of those that are no hardware: what is sent is copied. */
bool device_copies(const char *device);

/* A pool of packet buffers with so much room, headroom included, named by its lane. NULL: no
 * memory. */
struct rte_mempool *device_pool(const char *name, uint32_t lane, uint32_t cnt, uint16_t room_bytes);

/* The last processors, one for each lane, from the end: the server under load has the first. */
void device_default_cpus(uint32_t cpu[DEVICE_LANE_MAX]);

/* CLOCK_MONOTONIC. */
uint64_t device_clock_ns(void);

#endif
