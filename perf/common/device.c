#include "device.h"

#include "base_time.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_mbuf.h>

#define CACHE_CNT   256
#define RX_CNT      8191
#define BASE_MB     64
#define LINK_MAX_NS (10 * BASE_NS_S)

uint64_t device_clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * BASE_NS_S + (uint64_t)t.tv_nsec;
}

void device_default_cpus(uint32_t cpu[DEVICE_LANE_MAX])
{
    long cnt = sysconf(_SC_NPROCESSORS_ONLN);

    for (long i = 0; i < DEVICE_LANE_MAX; i++)
        cpu[i] = (uint32_t)((cnt - 1 - i % cnt + cnt) % cnt);
}

struct rte_mempool *device_pool(const char *name, uint32_t lane, uint32_t cnt, uint16_t room_bytes)
{
    char text[32];

    snprintf(text, sizeof(text), "%s%u", name, lane);
    /* Last in, first out: what was used last is still in the processor's caches. */
    return rte_pktmbuf_pool_create_by_ops(text, cnt, CACHE_CNT, 0, room_bytes, SOCKET_ID_ANY,
                                          "stack");
}

bool device_copies(const char *device)
{
    return strncmp(device, "net_", 4) == 0;
}

int device_start_eal(const struct device *d, char *program)
{
    static char lcores[512], device[1024], memory[16], prefix[64];
    bool is_virtual = device_copies(d->device);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = (size_t)snprintf(lcores, sizeof(lcores), "--lcores=0@(0-%ld)", cpus - 1);

    for (uint32_t i = 0; i < d->lane_cnt; i++)
        n += (size_t)snprintf(lcores + n, sizeof(lcores) - n, ",%u@%u", i + 1, d->cpu[i]);
    snprintf(device, sizeof(device), "--%s=%s", is_virtual ? "vdev" : "allow", d->device);
    snprintf(memory, sizeof(memory), "%u",
             BASE_MB + (d->memory_mb > 0 ? d->memory_mb : d->lane_cnt * DEVICE_LANE_MB));
    snprintf(prefix, sizeof(prefix), "--file-prefix=%s%d", d->name, (int)getpid());
    char *args[] = {program,
                    lcores,
                    prefix,
                    (char[]){"--no-huge"},
                    (char[]){"--no-shconf"},
                    (char[]){"--iova-mode=va"},
                    (char[]){"--no-telemetry"},
                    (char[]){"--log-level=lib.eal:error"},
                    (char[]){"-m"},
                    memory,
                    device,
                    (char[]){"--no-pci"}};
    int cnt = (int)BASE_ARRAY_CNT(args);

    return rte_eal_init(is_virtual ? cnt : cnt - 1, args) < 0 ? -1 : 0;
}

int device_open(struct device *d, const _Atomic bool *stop, char *err, size_t cap)
{
    char name[128];
    size_t len = strcspn(d->device, ",");
    struct ethdev_config e = {.name = name, .queue_cnt = (uint16_t)d->lane_cnt};

    snprintf(name, sizeof(name), "%.*s", (int)len, d->device);
    for (uint32_t i = 0; i < d->lane_cnt; i++) {
        d->rx_pool[i] =
            device_pool("rx", i, d->rx_cnt > 0 ? d->rx_cnt : RX_CNT, RTE_MBUF_DEFAULT_BUF_SIZE);
        if (d->rx_pool[i] == NULL) {
            snprintf(err, cap, "no memory for buffers");
            return -1;
        }
        e.queue[i] = (struct ethdev_queue){.rx_pool = d->rx_pool[i], .stats = d->stats[i]};
    }
    if (ethdev_open(&d->port, &e, err, cap) != 0 || ethdev_start(&d->port, err, cap) != 0)
        return -1;
    uint64_t end_ns = device_clock_ns() + LINK_MAX_NS;
    while (!ethdev_link_is_up(&d->port)) {
        if (device_clock_ns() > end_ns || atomic_load(stop)) {
            snprintf(err, cap, "the link of %s does not come up", name);
            return -1;
        }
        usleep(1000);
    }
    return 0;
}

void device_close(struct device *d)
{
    for (uint32_t i = 0; i < d->lane_cnt; i++)
        rte_mempool_free(d->rx_pool[i]);
}
