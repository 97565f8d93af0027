/*
 * The sink over our own stack (lib/net, lib/tcp) on a port of DPDK: one lane, which sleeps a little
 * when nothing has come for a while, so that it does not take the processor of whom it serves.
 */
#include "base_time.h"
#include "device.h"
#include "nap.h"
#include "tcp.h"
#include "transport.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#define POOL_CNT   16383
#define WINDOW     (256u << 10) /* of a connection, each way */
#define SETTLE_MAX (5 * BASE_NS_S)
#define SPANS      8
#define CONN_BYTES 2048 /* of the stack's, for each connection: more than it takes */

struct connection {
    struct session session;
    struct base_list place; /* of all */
    struct tcp_conn *tcp;
};

static struct {
    struct sink *sink;
    const struct options *options;
    struct device device;
    struct rte_mempool *data_pool, *ctrl_pool;
    struct net *net;
    struct tcp_stack *tcp;
    struct stats_block stats;
    struct base_list all;
    uint64_t now_ns;
    _Atomic bool stop;
    bool runs;
} stack;

static bool send_all(struct session *s, const void *p, size_t len)
{
    struct connection *c = base_container_of(s, struct connection, session);

    /* Replies are small: a client that reads none is not waited for. */
    return tcp_send(stack.tcp, c->tcp, p, len) == (int64_t)len;
}

/* ---- connections ---- */

static void end(struct connection *c, bool failed)
{
    if (failed)
        tcp_abort(stack.tcp, c->tcp);
    else
        tcp_close(stack.tcp, c->tcp);
    base_list_remove(&c->place);
    session_close(&c->session);
    free(c);
}

/* Takes what is there, unless the session waits; ends it when it is over. */
static void take(struct connection *c)
{
    struct base_span spans[SPANS];
    struct session *s = &c->session;
    uint32_t n;

    while (!s->waits && !s->ends && (n = tcp_recv_view(c->tcp, spans, SPANS)) > 0) {
        uint32_t len = 0;
        for (uint32_t i = 0; i < n && !s->waits; i++) {
            session_feed(s, spans[i].p, spans[i].len);
            len += (uint32_t)spans[i].len;
        }
        tcp_recv_consume(stack.tcp, c->tcp, len);
    }
    if (s->ends || (!s->waits && tcp_recv_ended(c->tcp)))
        end(c, false);
}

static void accept_one(struct tcp_conn *tcp)
{
    struct connection *c = malloc(sizeof(*c));

    if (c == NULL)
        abort(); /* a tool on a machine without memory */
    c->tcp = tcp;
    base_list_push_back(&stack.all, &c->place);
    tcp_set_user(tcp, c);
    session_open(&c->session, stack.sink);
}

/* Returns whether there were any. */
static bool events(void)
{
    struct tcp_event ev[NET_PORT_BURST_MAX];
    uint32_t n = tcp_poll(stack.tcp, ev, NET_PORT_BURST_MAX);
    struct session *s;

    for (uint32_t i = 0; i < n; i++) {
        struct connection *c = ev[i].user;
        if (ev[i].flags & TCP_EVENT_FAILED) {
            if (c != NULL)
                end(c, true);
            else
                tcp_abort(stack.tcp, ev[i].conn);
            continue;
        }
        if (ev[i].flags & TCP_EVENT_ACCEPTED) {
            accept_one(ev[i].conn);
            c = base_container_of(stack.all.prev, struct connection, place);
        }
        take(c);
    }
    while ((s = sink_due(stack.sink)) != NULL) {
        session_resume(s);
        take(base_container_of(s, struct connection, session));
    }
    return n > 0;
}

/* ---- the lane ---- */

/* Returns whether something has come. */
static bool pass(void)
{
    struct rte_mbuf *pkts[NET_PORT_BURST_MAX];
    struct net_segment segments[NET_PORT_BURST_MAX];
    struct net_port *port = &stack.device.port;

    stack.now_ns = stack.sink->now_ns = device_clock_ns();
    uint16_t n = port->ops->rx_burst(port->state, 0, pkts, NET_PORT_BURST_MAX);
    if (n > 0)
        tcp_push(stack.tcp, segments, net_input(stack.net, pkts, n, segments, stack.now_ns),
                 stack.now_ns);
    tcp_run(stack.tcp, stack.now_ns);
    net_run(stack.net, stack.now_ns);
    bool news = events() || n > 0;
    tcp_flush(stack.tcp, stack.now_ns);
    net_flush(stack.net);
    return news;
}

static int run(void *arg)
{
    struct nap nap;

    (void)arg;
    nap_init(&nap, stack.options->poll, stack.now_ns);
    while (!atomic_load_explicit(&stack.stop, memory_order_relaxed)) {
        bool news = pass();
        nap_pass(&nap, news, stack.now_ns, UINT64_MAX);
    }
    return 0;
}

/* ---- start and end ---- */

static int open_tcp(const struct options *o)
{
    uint8_t secret[16];

    if (getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret))
        return -EIO;
    struct net_config n = {
        .port = &stack.device.port,
        .addresses = {{.addr = o->listen.addr,
                       .prefix_len =
                           (uint8_t)(o->prefix_len + (net_addr_is_v4(&o->listen.addr) ? 96 : 0))}},
        .address_cnt = 1,
        .ctrl_pool = stack.ctrl_pool,
        .stats = &stack.stats,
        .seed = base_le64(secret),
    };
    struct tcp_config t = {
        .data_pool = stack.data_pool,
        .ctrl_pool = stack.ctrl_pool,
        .stats = &stack.stats,
        .conn_max = o->connection_cnt + 1024, /* those that are closed live on for a while */
        .syn_max = 4096,
        .time_wait_max = 65536,
        .listen_max = o->port_cnt,
        .port_min = 1024,
        .port_max = 65535,
        .recv_window_bytes = WINDOW,
        .send_buffer_bytes = WINDOW,
        .send_mbuf_max = POOL_CNT / 4 * 3, /* each frame takes one more */
        .msl_ns = 100 * BASE_NS_MS,
        .fin_timeout_ns = 5 * BASE_NS_S,
    };
    *(net_addr_is_v4(&o->gateway) ? &n.gateway : &n.gateway6) = o->gateway;
    memcpy(t.secret, secret, sizeof(t.secret));
    int error = net_init(&stack.net, &n, stack.now_ns);
    t.net = stack.net;
    if (error == 0)
        error = tcp_init(&stack.tcp, &t, stack.now_ns);
    for (uint32_t i = 0; error == 0 && i < o->port_cnt; i++) {
        struct net_endpoint at = {.addr = o->listen.addr, .port = (uint16_t)(o->listen.port + i)};
        error = tcp_listen(stack.tcp, &at, NULL);
    }
    return error;
}

static int open_stack(struct sink *k, const struct options *o, char *program, char *err, size_t cap)
{
    stack.sink = k;
    stack.options = o;
    k->send = send_all;
    base_list_init(&stack.all);
    stack.device = (struct device){
        .name = "sink",
        .device = o->device,
        .lane_cnt = 1,
        .cpu = {o->cpu},
        .memory_mb = DEVICE_LANE_MB + (uint32_t)((uint64_t)o->connection_cnt * CONN_BYTES >> 20),
        .stats = {&stack.stats},
    };
    if (device_start_eal(&stack.device, program) != 0) {
        snprintf(err, cap, "DPDK does not start: see the lines above");
        return -1;
    }
    if (device_open(&stack.device, &stack.stop, err, cap) != 0)
        return -1;
    stack.data_pool = device_pool("data", 0, POOL_CNT, RTE_MBUF_DEFAULT_BUF_SIZE);
    stack.ctrl_pool = device_pool("ctrl", 0, POOL_CNT, RTE_MBUF_DEFAULT_BUF_SIZE);
    stack.now_ns = k->now_ns = device_clock_ns();
    if (stack.data_pool == NULL || stack.ctrl_pool == NULL || open_tcp(o) != 0) {
        snprintf(err, cap, "no memory: fewer --connections, or the stack refuses --listen");
        return -1;
    }
    net_announce(stack.net, stack.now_ns);
    for (uint64_t end_ns = stack.now_ns + SETTLE_MAX; !net_is_settled(stack.net); (void)pass()) {
        if (stack.now_ns > end_ns) {
            snprintf(err, cap, "the address of --listen is taken");
            return -1;
        }
    }
    return 0;
}

static int start_stack(char *err, size_t cap)
{
    if (rte_eal_remote_launch(run, NULL, 1) != 0) {
        snprintf(err, cap, "the lane does not start");
        return -1;
    }
    stack.runs = true;
    return 0;
}

static void pause_stack(void)
{
    if (!stack.runs)
        return;
    atomic_store(&stack.stop, true);
    (void)rte_eal_wait_lcore(1);
    stack.runs = false;
}

static void close_stack(void)
{
    pause_stack();
    base_list_each (node, &stack.all)
        end(base_container_of(node, struct connection, place), true);
    if (stack.tcp != NULL)
        tcp_fini(stack.tcp);
    if (stack.net != NULL)
        net_fini(stack.net);
    rte_mempool_free(stack.data_pool);
    rte_mempool_free(stack.ctrl_pool);
    device_close(&stack.device);
    rte_eal_cleanup();
}

const struct transport stack_transport = {
    .open = open_stack, .start = start_stack, .pause = pause_stack, .close = close_stack};
