#include "lane.h"

#include "base_time.h"
#include "device.h"
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#include <rte_cycles.h>
#include <rte_mbuf.h>

#define DATA_CNT    16383
#define CTRL_CNT    16383
#define PREPARE_MAX (5 * BASE_NS_S) /* what must be known before the load */
#define BUFFER      (256u << 10)    /* of a connection, each way */
#define START_MAX   64              /* connections a pass */

const char *const lane_counter_names[LANE_COUNTER_CNT] = {
    [LANE_STARTED] = "started",
    [LANE_CONNECTIONS] = "connections",
    [LANE_UNITS] = "units",
    [LANE_BYTES] = "bytes",
    [LANE_FLOOD_SENT] = "flood_sent",
    [LANE_FLOOD_FULL] = "flood_port_full",
    [LANE_FLOOD_NO_MBUF] = "flood_no_buffer",
    [LANE_FLOOD_ARP] = "flood_arp",
    [LANE_FAIL_NO_PORT] = "failed_no_port",
    [LANE_FAIL_REFUSED] = "failed_refused",
    [LANE_FAIL_RESET] = "failed_reset",
    [LANE_FAIL_TIMEOUT] = "failed_timeout",
    [LANE_FAIL_UNREACHABLE] = "failed_unreachable",
    [LANE_FAIL_NO_BUFFERS] = "failed_no_buffers",
    [LANE_FAIL_SILENT] = "failed_silent",
    [LANE_FAIL_CLOSED] = "failed_closed",
    [LANE_FAIL_REPLY] = "failed_reply",
    [LANE_FAIL_UNFINISHED] = "failed_unfinished",
    [LANE_REFUSED_4XX] = "refused_4xx",
    [LANE_REFUSED_5XX] = "refused_5xx",
};

/* ---- start and end ---- */

static void read_clock(struct lane *l)
{
    l->now_ns = BASE_NS_S + (uint64_t)((double)(rte_rdtsc() - l->tsc_start) * l->ns_per_tick);
}

/* A share of n for this lane; the first lanes take what is left over. */
static uint64_t share(const struct lane *l, uint64_t n)
{
    return n / l->options->lane_cnt + (l->number < n % l->options->lane_cnt ? 1 : 0);
}

static int open_stack(struct lane *l, const uint8_t secret[16])
{
    const struct options *o = l->options;
    struct net_config n = {
        .port = l->port,
        .queue = (uint16_t)l->number,
        .ctrl_pool = l->ctrl_pool,
        .stats = &l->stats,
        .seed = base_le64(secret),
    };
    struct tcp_config t = {
        .data_pool = l->data_pool,
        .ctrl_pool = l->ctrl_pool,
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
    /* Each lane has addresses of its own, so that what comes back is for its stack. */
    for (uint32_t i = l->number; i < o->from_cnt; i += o->lane_cnt) {
        n.addresses[n.address_cnt++] = o->from[i];
        l->address[l->address_cnt++] = o->from[i].addr;
    }
    memcpy(t.secret, secret, sizeof(t.secret));
    int error = net_init(&l->net, &n, l->now_ns);
    t.net = l->net;
    return error != 0 ? error : tcp_init(&l->tcp, &t, l->now_ns);
}

int lane_open(struct lane *l, const struct options *o, struct net_port *port, uint32_t number)
{
    uint8_t secret[16];

    if (getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret))
        return -EIO;
    l->options = o;
    l->port = port;
    l->number = number;
    l->session_max = (uint32_t)share(l, o->connection_cnt);
    l->ns_per_tick = 1e9 / (double)rte_get_tsc_hz();
    l->tsc_start = rte_rdtsc();
    read_clock(l);
    base_list_init(&l->open);
    base_wheel_init(&l->wheel, l->now_ns);
    l->data_pool = device_pool("data", number, DATA_CNT);
    l->ctrl_pool = device_pool("ctrl", number, CTRL_CNT);
    if (l->data_pool == NULL || l->ctrl_pool == NULL)
        return -ENOMEM;
    int error = base_pool_init(&l->sessions, l->session_max + 1, sizeof(struct session), 64, 0);
    if (error == 0)
        error = open_stack(l, secret);
    return error == 0 ? flood_open(&l->flood, o, port->caps.mac, l->address[0].b + 12, number)
                      : error;
}

void lane_load(struct lane *l, const struct options *o, struct base_span message)
{
    l->options = o;
    l->message = message.p;
    l->message_bytes = message.len;
    l->session_max = (uint32_t)share(l, o->connection_cnt);
    l->units_left = o->mode == NULL ? 0 : o->unit_max > 0 ? share(l, o->unit_max) : UINT64_MAX;
    l->interval_ns = o->rate > 0 ? BASE_NS_S * o->lane_cnt / o->rate : 0;
    l->next_ns = 0;
    l->ending = false;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKET_CNT; i++)
        atomic_store_explicit(&l->latency.bucket[i], 0, memory_order_relaxed);
    for (int i = 0; i < LANE_COUNTER_CNT; i++)
        atomic_store_explicit(&l->counter[i], 0, memory_order_relaxed);
    atomic_store_explicit(&l->begin_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&l->end_ns, 0, memory_order_relaxed);
    l->tx_before = stats_get(&l->stats, STATS_NET_TX_PACKETS);
    l->rx_before = stats_get(&l->stats, STATS_NET_RX_PACKETS);
    l->retransmits_before = stats_get(&l->stats, STATS_TCP_RETRANSMITS);
    flood_load(&l->flood, o, l->number);
}

void lane_close(struct lane *l)
{
    if (l->tcp != NULL)
        tcp_fini(l->tcp);
    if (l->net != NULL)
        net_fini(l->net);
    if (l->sessions.memory != NULL)
        base_pool_fini(&l->sessions);
    flood_close(&l->flood);
    rte_mempool_free(l->data_pool);
    rte_mempool_free(l->ctrl_pool);
}

/* ---- a pass ---- */

static void receive(struct lane *l)
{
    struct rte_mbuf *pkts[LANE_BURST];
    struct net_segment segments[LANE_BURST];
    uint16_t n =
        l->port->ops->rx_burst(l->port->state, (uint16_t)l->number, pkts, NET_PORT_BURST_MAX);

    if (n == 0)
        return;
    if (!l->flood.known)
        flood_look(&l->flood, pkts, n);
    tcp_push(l->tcp, segments, net_input(l->net, pkts, n, segments, l->now_ns), l->now_ns);
}

static void events(struct lane *l)
{
    struct tcp_event ev[LANE_BURST];
    uint32_t n = tcp_poll(l->tcp, ev, LANE_BURST);
    struct base_timer *t;

    for (uint32_t i = 0; i < n; i++)
        session_event(l, &ev[i]);
    while ((t = base_wheel_pop(&l->wheel, l->now_ns)) != NULL)
        session_timer(l, t);
}

/* Starts the connections that are due. */
static void start(struct lane *l)
{
    for (int i = 0; i < START_MAX; i++) {
        if (l->open_cnt >= l->session_max || l->units_left == 0)
            return;
        if (l->interval_ns == 0) {
            session_start(l, l->now_ns);
            continue;
        }
        if (l->next_ns == 0)
            l->next_ns = l->now_ns;
        if (l->next_ns > l->now_ns)
            return;
        session_start(l, l->next_ns);
        l->next_ns += l->interval_ns;
    }
}

static void pass(struct lane *l, bool load)
{
    read_clock(l);
    receive(l);
    tcp_run(l->tcp, l->now_ns);
    net_run(l->net, l->now_ns);
    events(l);
    if (load)
        start(l);
    tcp_flush(l->tcp, l->now_ns);
    net_flush(l->net);
}

/* ---- the whole load ---- */

/* Our addresses are announced, for the peer may know them from another that was here before; and
 * the flood needs the next hop's MAC. */
static int prepare(struct lane *l, const _Atomic bool *stop)
{
    uint64_t end_ns = l->now_ns + PREPARE_MAX;

    if (!l->announced)
        net_announce(l->net, l->now_ns);
    l->announced = true;
    while (!net_is_settled(l->net) || (l->flood.kind != FLOOD_NONE && !l->flood.known)) {
        pass(l, false);
        flood_ask(l);
        if (l->now_ns > end_ns || atomic_load_explicit(stop, memory_order_relaxed)) {
            snprintf(l->error, sizeof(l->error),
                     "the next hop does not answer ARP, or our addresses are taken");
            return -1;
        }
    }
    return 0;
}

/* Rates are of what was counted until here; what is under way may still succeed. */
static void end_rates(struct lane *l)
{
    if (atomic_load_explicit(&l->end_ns, memory_order_relaxed) != 0)
        return;
    for (int i = 0; i < LANE_COUNTER_CNT; i++)
        atomic_store_explicit(&l->at_end[i], lane_get(l, (enum lane_counter)i),
                              memory_order_relaxed);
    atomic_store_explicit(&l->end_ns, l->now_ns, memory_order_release);
}

static void give_up_rest(struct lane *l)
{
    base_list_each (node, &l->open)
        session_fail(l, base_container_of(node, struct session, place), LANE_FAIL_UNFINISHED);
    /* What was closed or aborted just now leaves the port, and the peer's answers are taken. */
    for (uint64_t end_ns = l->now_ns + 50 * BASE_NS_MS; l->now_ns < end_ns;)
        pass(l, false);
}

int lane_run(struct lane *l, const _Atomic bool *stop)
{
    const struct options *o = l->options;

    read_clock(l);
    if (prepare(l, stop) != 0)
        return -1;
    uint64_t begin_ns = l->now_ns, end_ns = begin_ns + o->duration_ns;
    atomic_store_explicit(&l->begin_ns, begin_ns, memory_order_release);
    for (bool flooding = true; !l->ending;) {
        pass(l, true);
        flooding = flooding && flood_run(l);
        if (l->now_ns >= end_ns || atomic_load_explicit(stop, memory_order_relaxed))
            l->ending = true;
        if (!flooding && l->units_left == 0 && l->open_cnt == 0)
            l->ending = true;
    }
    end_rates(l);
    end_ns = l->now_ns + o->timeout_ns;
    while (l->open_cnt > 0 && l->now_ns < end_ns &&
           !atomic_load_explicit(stop, memory_order_relaxed))
        pass(l, false);
    give_up_rest(l);
    return 0;
}
