#include "stack.h"

#include "base_time.h"
#include "ethdev.h"
#include "lane.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_mbuf.h>

#define LINK_MAX_NS (10 * BASE_NS_S)
#define LANE_MB     176 /* of its pools */
#define RX_CNT      8191
#define DATA_CNT    16383
#define CTRL_CNT    16383
#define CACHE_CNT   256
#define BUFFER      (256u << 10) /* of a connection, each way */

/* ---- the port ---- */

int stack_start_eal(const struct options *o, char *program)
{
    static char lcores[512], device[1024], memory[16], prefix[32];
    bool is_virtual = strncmp(o->device, "net_", 4) == 0;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = (size_t)snprintf(lcores, sizeof(lcores), "--lcores=0@(0-%ld)", cpus - 1);

    for (uint32_t i = 0; i < o->lane_cnt; i++)
        n += (size_t)snprintf(lcores + n, sizeof(lcores) - n, ",%u@%u", i + 1, o->cpu[i]);
    snprintf(device, sizeof(device), "--%s=%s", is_virtual ? "vdev" : "allow", o->device);
    snprintf(memory, sizeof(memory), "%u", 64 + o->lane_cnt * LANE_MB);
    snprintf(prefix, sizeof(prefix), "--file-prefix=blast%d", (int)getpid());
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

static uint64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * BASE_NS_S + (uint64_t)t.tv_nsec;
}

static struct rte_mempool *pool(const char *name, uint32_t lane, uint32_t cnt)
{
    char text[32];

    snprintf(text, sizeof(text), "%s%u", name, lane);
    return rte_pktmbuf_pool_create(text, cnt, CACHE_CNT, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
                                   SOCKET_ID_ANY);
}

int stack_open_port(struct net_port *port, const struct options *o, struct lane *const *lane,
                    const _Atomic bool *stop, char *err, size_t cap)
{
    char name[128];
    size_t len = strcspn(o->device, ",");
    struct ethdev_config e = {.name = name, .queue_cnt = (uint16_t)o->lane_cnt};

    snprintf(name, sizeof(name), "%.*s", (int)len, o->device);
    for (uint32_t i = 0; i < o->lane_cnt; i++) {
        lane[i]->stack->port = port;
        lane[i]->stack->rx_pool = pool("rx", i, RX_CNT);
        if (lane[i]->stack->rx_pool == NULL) {
            snprintf(err, cap, "no memory for buffers");
            return -1;
        }
        e.queue[i] =
            (struct ethdev_queue){.rx_pool = lane[i]->stack->rx_pool, .stats = &lane[i]->stats};
    }
    if (ethdev_open(port, &e, err, cap) != 0 || ethdev_start(port, err, cap) != 0)
        return -1;
    uint64_t end_ns = clock_ns() + LINK_MAX_NS;
    while (!ethdev_link_is_up(port)) {
        if (clock_ns() > end_ns || atomic_load(stop)) {
            snprintf(err, cap, "the link of %s does not come up", name);
            return -1;
        }
        usleep(1000);
    }
    return 0;
}

/* ---- a lane's ---- */

static int open_tcp(struct lane *l, const uint8_t secret[16])
{
    const struct options *o = l->options;
    struct stack *s = l->stack;
    struct net_config n = {
        .port = s->port,
        .queue = (uint16_t)l->number,
        .ctrl_pool = s->ctrl_pool,
        .stats = &l->stats,
        .seed = base_le64(secret),
    };
    struct tcp_config t = {
        .data_pool = s->data_pool,
        .ctrl_pool = s->ctrl_pool,
        .stats = &l->stats,
        .conn_max = 2 * l->session_max + 1024, /* those that are closed live on for a while */
        .syn_max = 1,
        .time_wait_max = 65536,
        .listen_max = 1,
        .port_min = 1024,
        .port_max = 65535,
        .recv_window_bytes = BUFFER,
        .send_buffer_bytes = BUFFER,
        .msl_ns = 100 * BASE_NS_MS,
        .fin_timeout_ns = 5 * BASE_NS_S,
    };

    *(net_addr_is_v4(&o->gateway) ? &n.gateway : &n.gateway6) = o->gateway;
    base_assert(l->address_cnt <= NET_ADDRESS_MAX);
    for (uint32_t i = 0; i < l->address_cnt; i++)
        n.addresses[n.address_cnt++] =
            (struct net_prefix){.addr = lane_address(l, i), .prefix_len = o->from_prefix_len};
    memcpy(t.secret, secret, sizeof(t.secret));
    int error = net_init(&s->net, &n, l->now_ns);
    t.net = s->net;
    return error != 0 ? error : tcp_init(&s->tcp, &t, l->now_ns);
}

int stack_open(struct lane *l)
{
    struct stack *s = l->stack;
    struct net_addr own = lane_address(l, 0);
    uint8_t secret[16];

    if (getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret))
        return -EIO;
    s->ns_per_tick = 1e9 / (double)rte_get_tsc_hz();
    s->tsc_start = rte_rdtsc();
    l->now_ns = l->link->clock(l);
    s->data_pool = pool("data", l->number, DATA_CNT);
    s->ctrl_pool = pool("ctrl", l->number, CTRL_CNT);
    if (s->data_pool == NULL || s->ctrl_pool == NULL)
        return -ENOMEM;
    int error = open_tcp(l, secret);
    return error == 0 ? flood_open(&s->flood, l->options, s->port->caps.mac, own.b + 12, l->number)
                      : error;
}

void stack_load(struct lane *l)
{
    struct stack *s = l->stack;

    s->tx_before = stats_get(&l->stats, STATS_NET_TX_PACKETS);
    s->rx_before = stats_get(&l->stats, STATS_NET_RX_PACKETS);
    s->retransmits_before = stats_get(&l->stats, STATS_TCP_RETRANSMITS);
    flood_load(&s->flood, l->options, l->number);
}

void stack_close(struct stack *s)
{
    if (s->tcp != NULL)
        tcp_fini(s->tcp);
    if (s->net != NULL)
        net_fini(s->net);
    flood_close(&s->flood);
    rte_mempool_free(s->data_pool);
    rte_mempool_free(s->ctrl_pool);
    rte_mempool_free(s->rx_pool);
}
