#include "stack.h"

#include "base_time.h"
#include "device.h"
#include "lane.h"

#include <errno.h>
#include <sys/random.h>

#include <rte_cycles.h>
#include <rte_mbuf.h>

#define DATA_CNT  16383
#define CTRL_CNT  16383
#define FRAME_CNT 16383
#define BUFFER    (256u << 10) /* of a connection, each way */

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
        .frame_pool = s->frame_pool,
        .copy_max_bytes = device_copies(o->device) ? UINT16_MAX : 0,
        .stats = &l->stats,
        .conn_max = 2 * l->session_max + 1024, /* those that are closed live on for a while */
        .syn_max = 1,
        .time_wait_max = 4096, /* the server closes first */
        .listen_max = 1,
        .port_min = 1024,
        .port_max = 65535,
        .recv_window_bytes = BUFFER,
        .send_buffer_bytes = BUFFER,
        .send_mbuf_max = DATA_CNT / 4 * 3, /* each frame takes one more */
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
    s->data_pool = device_pool("data", l->number, DATA_CNT, RTE_MBUF_DEFAULT_BUF_SIZE);
    s->ctrl_pool = device_pool("ctrl", l->number, CTRL_CNT, RTE_MBUF_DEFAULT_BUF_SIZE);
    s->frame_pool = device_pool("frame", l->number, FRAME_CNT, RTE_MBUF_DEFAULT_BUF_SIZE);
    if (s->data_pool == NULL || s->ctrl_pool == NULL || s->frame_pool == NULL)
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
    rte_mempool_free(s->frame_pool);
}
