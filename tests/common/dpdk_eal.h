/*
 * DPDK for tests and fuzz targets: EAL once a process, without huge pages, devices, files or
 * rights, and mempools. Failures abort: a test can do nothing about them.
 */
#ifndef DPDK_EAL_H
#define DPDK_EAL_H

#include <stdbool.h>
#include <stdint.h>

struct rte_mempool;

/* Starts EAL on the core the process runs on; later calls do nothing. */
void dpdk_eal_init(void);

/* The same with devices, e.g. "net_ring0"; a NULL ends the list. Only the first call counts. */
void dpdk_eal_init_vdevs(const char *const *vdevs);

/* A pool of mbufs with data_bytes of room behind the usual headroom; 0 takes 2048. No cache, so
 * that its free count is exact. */
struct rte_mempool *dpdk_pool(const char *name, uint32_t mbuf_cnt, uint16_t data_bytes);

/* All mbufs of the pool are back. */
bool dpdk_pool_full(const struct rte_mempool *pool);

#endif
