#include "dpdk_eal.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#define ARG_MAX_CNT 40

void dpdk_eal_init(void)
{
    dpdk_eal_init_vdevs(NULL);
}

void dpdk_eal_init_vdevs(const char *const *vdevs)
{
    static bool done;
    static char core[16];
    /* Without huge pages EAL refuses --in-memory; --no-shconf keeps it from leaving files. */
    const char *argv[ARG_MAX_CNT] = {
        "test",
        "--no-huge",
        "--no-shconf",
        "--no-pci",
        "--no-telemetry",
        "--log-level=*:error",
        "--iova-mode=va",
        "-m",
        "256", /* MiB */
        "-l",
        core,
    };
    int argc = 11;

    if (done)
        return;
    done = true;
    /* Core 0 need not be ours: take the one we run on. */
    int cpu = sched_getcpu();
    snprintf(core, sizeof(core), "%d", cpu >= 0 ? cpu : 0);
    for (; vdevs != NULL && *vdevs != NULL && argc + 2 < ARG_MAX_CNT; vdevs++) {
        argv[argc++] = "--vdev";
        argv[argc++] = *vdevs;
    }
    /* EAL pins the thread to its core; tests run side by side, so the mask is put back. */
    cpu_set_t mask;
    bool masked = sched_getaffinity(0, sizeof(mask), &mask) == 0;
    /* EAL reorders its arguments but does not write to the strings. */
    if (rte_eal_init(argc, (char **)(uintptr_t)argv) < 0) {
        fprintf(stderr, "EAL does not start: %s\n", rte_strerror(rte_errno));
        abort();
    }
    if (masked)
        sched_setaffinity(0, sizeof(mask), &mask);
}

struct rte_mempool *dpdk_pool(const char *name, uint32_t mbuf_cnt, uint16_t data_bytes)
{
    uint16_t room = (uint16_t)((data_bytes > 0 ? data_bytes : 2048) + RTE_PKTMBUF_HEADROOM);
    struct rte_mempool *pool = rte_pktmbuf_pool_create(name, mbuf_cnt, 0, 0, room, SOCKET_ID_ANY);

    if (pool == NULL) {
        fprintf(stderr, "no mempool %s of %u mbufs: %s\n", name, mbuf_cnt, rte_strerror(rte_errno));
        abort();
    }
    return pool;
}

bool dpdk_pool_full(const struct rte_mempool *pool)
{
    return rte_mempool_full(pool) == 1;
}
