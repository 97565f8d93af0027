#include "sim_pair.h"

#include "dpdk_eal.h"

#include "base_rand.h"
#include "base_time.h"

#include <stdio.h>
#include <stdlib.h>

#define DATA_MBUF_CNT  4095
#define CTRL_MBUF_CNT  8191
#define RX_MBUF_CNT    8191
#define FRAME_MBUF_CNT 8191

static struct rte_mempool *pool[2][4];

static void must(int result, const char *what)
{
    if (result == 0)
        return;
    fprintf(stderr, "%s: %d\n", what, result);
    abort();
}

void sim_pair_start(void)
{
    char name[32];

    dpdk_eal_init();
    if (pool[0][0] != NULL)
        return;
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof(name), "data%d", i);
        pool[i][0] = dpdk_pool(name, DATA_MBUF_CNT, 0);
        snprintf(name, sizeof(name), "ctrl%d", i);
        pool[i][1] = dpdk_pool(name, CTRL_MBUF_CNT, 0);
        snprintf(name, sizeof(name), "rx%d", i);
        pool[i][2] = dpdk_pool(name, RX_MBUF_CNT, 0);
        snprintf(name, sizeof(name), "frame%d", i);
        pool[i][3] = dpdk_pool(name, FRAME_MBUF_CNT, 512);
    }
}

static void open_pair(struct sim_pair *p, struct wire_config *wire, struct tcp_config *tcp,
                      uint64_t now_ns, bool v6, bool routed)
{
    struct base_rand rand;

    *p = (struct sim_pair){.now_ns = now_ns};
    base_rand_init(&rand, wire->seed);
    wire->now_ns = now_ns;
    for (unsigned i = 0; i < 2; i++) {
        wire->end[i].rx_pool[0] = pool[i][2];
        wire->end[i].mac[0] = 2;
        wire->end[i].mac[5] = (uint8_t)(i + 1);
    }
    must(wire_open(&p->wire, wire), "wire_open");
    for (unsigned i = 0; i < 2; i++) {
        struct sim_host *h = &p->host[i];
        uint8_t raw[4] = {10, 0, 0, (uint8_t)(i + 1)};
        h->addr = v6 ? (struct net_addr){.b = {0xfd, [15] = (uint8_t)(i + 1)}} : net_addr_v4(raw);
        h->data_pool = pool[i][0];
        h->ctrl_pool = pool[i][1];
        h->rx_pool = pool[i][2];
        h->frame_pool = pool[i][3];
        struct net_config net = {
            .port = wire_port(p->wire, i),
            .addresses = {{.addr = h->addr, .prefix_len = v6 ? 64 : 120}},
            .address_cnt = 1,
            .ctrl_pool = h->ctrl_pool,
            .stats = &h->stats,
            .seed = base_rand_next(&rand),
        };
        if (routed && i == 1 && v6)
            net.gateway6 = p->host[0].addr;
        else if (routed && i == 1)
            net.gateway = p->host[0].addr;
        must(net_init(&h->net, &net, now_ns), "net_init");
        tcp[i].net = h->net;
        tcp[i].data_pool = h->data_pool;
        tcp[i].ctrl_pool = h->ctrl_pool;
        tcp[i].frame_pool = h->frame_pool;
        tcp[i].stats = &h->stats;
        for (size_t b = 0; b < sizeof(tcp[i].secret); b++)
            tcp[i].secret[b] = (uint8_t)base_rand_next(&rand);
        must(tcp_init(&h->tcp, &tcp[i], now_ns), "tcp_init");
    }
}

void sim_pair_open(struct sim_pair *p, struct wire_config *wire, struct tcp_config *tcp,
                   uint64_t now_ns)
{
    open_pair(p, wire, tcp, now_ns, false, false);
}

void sim_pair_open_v6(struct sim_pair *p, struct wire_config *wire, struct tcp_config *tcp,
                      uint64_t now_ns)
{
    open_pair(p, wire, tcp, now_ns, true, false);
}

void sim_pair_open_routed(struct sim_pair *p, struct wire_config *wire, struct tcp_config *tcp,
                          uint64_t now_ns, bool v6)
{
    open_pair(p, wire, tcp, now_ns, v6, true);
}

void sim_pair_close(struct sim_pair *p)
{
    for (unsigned i = 0; i < 2; i++) {
        tcp_fini(p->host[i].tcp);
        net_fini(p->host[i].net);
    }
    wire_close(p->wire);
}

void sim_pair_receive(struct sim_pair *p, unsigned host)
{
    struct sim_host *h = &p->host[host];
    struct net_port *port = wire_port(p->wire, host);
    struct rte_mbuf *pkts[NET_PORT_BURST_MAX];
    struct net_segment segments[NET_PORT_BURST_MAX];
    uint16_t cnt;

    while ((cnt = port->ops->rx_burst(port->state, 0, pkts, NET_PORT_BURST_MAX)) > 0) {
        uint32_t segment_cnt = net_input(h->net, pkts, cnt, segments, p->now_ns);
        tcp_push(h->tcp, segments, segment_cnt, p->now_ns);
    }
    net_run(h->net, p->now_ns);
    tcp_run(h->tcp, p->now_ns);
}

void sim_pair_flush(struct sim_pair *p, unsigned host)
{
    tcp_flush(p->host[host].tcp, p->now_ns);
    net_flush(p->host[host].net);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t sim_pair_next(const struct sim_pair *p)
{
    uint64_t next = wire_next_ns(p->wire);

    for (unsigned i = 0; i < 2; i++)
        next = earlier(next, earlier(net_deadline(p->host[i].net), tcp_deadline(p->host[i].tcp)));
    return next;
}

void sim_pair_advance(struct sim_pair *p, uint64_t now_ns)
{
    if (now_ns <= p->now_ns)
        now_ns = p->now_ns + BASE_NS_US;
    p->now_ns = now_ns;
    wire_advance(p->wire, now_ns);
}

bool sim_pair_drained(const struct sim_pair *p)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct sim_host *h = &p->host[i];
        struct tcp_usage u;
        tcp_usage(h->tcp, &u);
        if (u.conn_cnt + u.syn_cnt + u.time_wait_cnt + u.mbuf_cnt > 0 ||
            !dpdk_pool_full(h->data_pool) || !dpdk_pool_full(h->ctrl_pool) ||
            !dpdk_pool_full(h->rx_pool) || !dpdk_pool_full(h->frame_pool))
            return false;
    }
    return true;
}
