#include "lane.h"
#include "base_time.h"
#include "client_limits.h"
#include "conn_tls_out.h"
#include "conn_trace.h"
#include "resolver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#define RECV_WINDOW_START_BYTES (64 << 10)
#define LISTEN_MAX              1024

/* ---- start and end ---- */

static int open_net(struct lane_port *on, const struct lane_config *config,
                    const struct conf_port *port, uint64_t now_ns)
{
    struct lane *l = on->lane;
    struct net_config n = {
        .port = on->port,
        .queue = (uint16_t)config->number,
        .ctrl_pool = config->ctrl_pool,
        .stats = l->stats,
        .log = &l->log,
        .seed = base_le64(config->secret),
        .heard = l->lane_cnt > 1 ? lane_heard : NULL,
        .heard_arg = on,
        .too_big = lane_too_big,
        .unreachable = lane_unreachable,
        .icmp_arg = l,
        .vlan = (uint16_t)port->vlan,
        .leave = lane_watch_leaving,
        .leave_arg = on,
        .dad_cnt = 1,
    };

    if (l->to_host != NULL && l->host_port == on) {
        n.other = lane_host_give;
        n.other_arg = l;
        n.other_per_s = (uint32_t)port->host_rate;
        n.other_burst = (uint32_t)port->host_burst;
    }
    for (uint32_t i = 0; i < port->address.cnt && i < NET_ADDRESS_MAX; i++) {
        struct net_prefix *p = &n.addresses[n.address_cnt++];
        struct base_span text = base_span_str(port->address.item[i]);
        const uint8_t *slash = memchr(text.p, '/', text.len);
        base_assert(slash != NULL); /* conf_parse has checked */
        if (net_addr_parse(&p->addr, base_span_of(text.p, (size_t)(slash - text.p))) != 0)
            return -EINVAL;
        p->prefix_len =
            (uint8_t)(atoi((const char *)slash + 1) + (net_addr_is_v4(&p->addr) ? 96 : 0));
    }
    if (port->gateway != NULL && port->gateway[0] != 0 &&
        net_addr_parse(&n.gateway, base_span_str(port->gateway)) != 0)
        return -EINVAL;
    if (port->gateway6 != NULL && port->gateway6[0] != 0 &&
        net_addr_parse(&n.gateway6, base_span_str(port->gateway6)) != 0)
        return -EINVAL;
    return net_init(&on->net, &n, now_ns);
}

static int open_nets(struct lane *l, const struct lane_config *config, uint64_t now_ns)
{
    struct net *nets[NET_JOIN_MAX];

    for (uint32_t i = 0; i < l->port_cnt; i++) {
        int error = open_net(&l->ports[i], config, &l->settings->conf->port[i], now_ns);
        if (error != 0)
            return error;
        nets[i] = l->ports[i].net;
    }
    net_join(nets, l->port_cnt);
    l->net = nets[0];
    return 0;
}

static uint32_t slice_start(const struct lane *l, uint32_t lane)
{
    return l->port_min + lane * l->steer_stride;
}

/* What connections may hold of the lane's RX buffers: the others are for the card's ring, for the
 * bursts on their way and for what a pool keeps in its caches. */
static uint32_t recv_mbuf_max(const struct conf *conf)
{
    uint32_t all = (uint32_t)conf->tcp.packet_buffers;
    uint32_t rest = 4 * LANE_BURST + 512;

    for (uint32_t i = 0; i < conf->port_cnt; i++)
        rest += (uint32_t)conf->port[i].rx_descriptors;

    return all > 2 * rest ? all - rest : all / 2;
}

static int open_tcp(struct lane *l, const struct lane_config *config, uint64_t now_ns)
{
    static const enum tcp_ecn ecn_of[] = {[CONF_ECN_ANSWER] = TCP_ECN_ANSWER,
                                          [CONF_ECN_ASK] = TCP_ECN_ASK,
                                          [CONF_ECN_OFF] = TCP_ECN_OFF};
    const struct conf *conf = l->settings->conf;
    struct tcp_config t = {
        .net = l->net,
        .data_pool = config->data_pool,
        .ctrl_pool = config->ctrl_pool,
        .frame_pool = config->frame_pool,
        .stats = l->stats,
        .conn_max = (uint32_t)conf->tcp.connections,
        .syn_max = (uint32_t)conf->tcp.half_open,
        .time_wait_max = (uint32_t)conf->tcp.time_wait,
        .listen_max = LISTEN_MAX,
        .port_min = (uint16_t)slice_start(l, l->rss_known ? 0 : l->number),
        .port_max = (uint16_t)(slice_start(l, l->rss_known ? l->lane_cnt : l->number + 1) - 1),
        .port_fits = l->rss_known ? lane_port_fits : NULL,
        .port_fits_arg = l,
        .recv_window_bytes = (uint32_t)conf->tcp.receive_window_bytes,
        .recv_window_start_bytes = RECV_WINDOW_START_BYTES,
        .recv_mbuf_max = recv_mbuf_max(conf),
        .send_mbuf_max = (uint32_t)conf->tcp.packet_buffers,
        .send_buffer_bytes = (uint32_t)conf->tcp.send_buffer_bytes,
        .msl_ns = conf->tcp.msl_ns,
        .keepalive_ns = conf->tcp.keepalive_ns,
        .keepalive_interval_ns = conf->tcp.keepalive_interval_ns,
        .keepalive_cnt = (uint32_t)conf->tcp.keepalive_probes,
        .user_timeout_ns = conf->tcp.user_timeout_ns,
        .fin_timeout_ns = conf->tcp.close_timeout_ns,
        .rto_min_ns = conf->tcp.rto_min_ns,
        .congestion = conf->tcp.congestion == CONF_CONGESTION_NEWRENO ? TCP_NEWRENO : TCP_CUBIC,
        .ecn = ecn_of[conf->tcp.ecn],
        .timestamps_off = !conf->tcp.timestamps,
        .sack_off = !conf->tcp.sack,
        .stray = l->to_host != NULL || l->rss_known ? lane_stray : NULL,
        .stray_arg = l,
        .watch = conn_trace_tcp,
        .watch_arg = l,
    };

    memcpy(t.secret, config->secret, sizeof(t.secret));
    return tcp_init(&l->tcp, &t, now_ns);
}

/* On one address, or on all of the listener's port: without saying which, where there is but that
 * port. */
static int listen_on(struct lane *l, const struct conf_listener *c, struct settings_listener *user)
{
    struct net_addr addr[NET_ADDRESS_MAX + 1] = {0};
    uint32_t cnt = 1;
    int error = 0;

    if (c->address != NULL && c->address[0] != 0)
        base_assert(net_addr_parse(&addr[0], base_span_str(c->address)) == 0);
    else if (l->port_cnt > 1)
        for (uint32_t i = 0; i < l->port_cnt; i++)
            if (strcmp(l->settings->conf->port[i].name, c->port) == 0)
                cnt = net_addresses(l->ports[i].net, addr, BASE_ARRAY_CNT(addr));
    for (uint32_t i = 0; i < cnt && error == 0; i++) {
        struct net_endpoint local = {.addr = addr[i], .port = (uint16_t)c->tcp_port};
        error = tcp_listen(l->tcp, &local, user);
    }
    return error;
}

static int listen_all(struct lane *l, char *err, size_t err_cap)
{
    const struct conf *conf = l->settings->conf;

    for (uint32_t i = 0; i < conf->listener_cnt; i++) {
        const struct conf_listener *c = &conf->listener[i];
        int error = listen_on(l, c, &l->settings->listeners[i]);
        if (error != 0) {
            snprintf(err, err_cap, "%s:%u: listener %s: port %u is in use by another listener",
                     c->file, c->line, c->name, (unsigned)c->tcp_port);
            return error;
        }
    }
    return 0;
}

static int open_pools(struct lane *l, const uint8_t secret[16])
{
    const struct conf *conf = l->settings->conf;
    uint32_t buf_cnt = 0;

    for (uint32_t i = 0; i < conf->spool_cnt; i++)
        buf_cnt += (uint32_t)conf->spool[i].buffers;
    if (conn_auth_init(l) != 0 || conn_rcpt_init(l) != 0 || client_lists_init(l, secret) != 0)
        return -ENOMEM;
    if (base_pool_init(&l->conns, (uint32_t)conf->tcp.connections, sizeof(struct conn), 64,
                       sizeof(struct conn)) != 0 ||
        lane_watch_init(l) != 0)
        return -ENOMEM;
    return spool_buf_pool_init(&l->bufs, buf_cnt, (uint16_t)l->number);
}

static void set_ports(struct lane *l, const struct lane_config *config)
{
    l->port_cnt = l->settings->conf->port_cnt;
    for (uint32_t i = 0; i < l->port_cnt; i++) {
        const struct net_rss *rss = i == 0 ? config->rss : config->more_rss[i - 1];
        l->ports[i] = (struct lane_port){
            .lane = l, .port = &config->port[i], .rss = l->lane_cnt > 1 ? rss : NULL, .number = i};
        l->rss_known |= l->ports[i].rss != NULL;
    }
}

int lane_init(struct lane **out, const struct lane_config *config, uint64_t now_ns, char *err,
              size_t err_cap)
{
    struct lane *l = aligned_alloc(64, (sizeof(*l) + 63) & ~(size_t)63);
    int error;

    if (l == NULL)
        return -ENOMEM;
    memset(l, 0, sizeof(*l));
    l->number = config->number;
    l->topology = config->topology;
    l->hub = config->hub;
    l->push_layers = config->push_layers;
    l->tls = config->tls;
    l->limits = config->limits;
    l->lane_cnt = config->topology->lane_cnt;
    l->port_min = config->port_min != 0 ? config->port_min : LANE_PORT_MIN;
    l->steer_stride =
        ((config->port_max != 0 ? config->port_max : LANE_PORT_MAX) + 1u - l->port_min) /
        l->lane_cnt;
    l->settings = settings_current(l->hub);
    set_ports(l, config);
    l->tables = settings_tables(l->hub);
    l->policy_work = policy_work_open();
    l->stats = topology_stats(l->topology, TOPOLOGY_LANE, l->number);
    l->log = topology_log(l->topology, TOPOLOGY_LANE, l->number);
    l->spool_turn = l->number;
    for (uint32_t i = 0; i < l->topology->spool_cnt; i++) {
        l->to_spooler[i] = topology_ring_to_spool(l->topology, l->number, i);
        l->from_spooler[i] = topology_ring_from_spool(l->topology, l->number, i);
    }
    l->to_courier = topology_ring(l->topology, TOPOLOGY_LANE_COURIER, l->number);
    l->from_courier = topology_ring(l->topology, TOPOLOGY_COURIER_LANE, l->number);
    base_list_init(&l->open);
    base_list_init(&l->stalled);
    base_wheel_init(&l->wheel, now_ns);
    conn_login_init(&l->login, config->secret);
    lane_stream_init(&l->streams, &l->topology->streams[l->number],
                     l->settings->conf->gateway.user);
    conn_cache_init(&l->idle, (uint32_t)l->settings->conf->tcp.connections, config->secret);
    snprintf(err, err_cap, "lane %u: no memory", l->number);
    lane_host_init(l, l->settings->conf);
    error = l->policy_work != NULL ? open_pools(l, config->secret) : -ENOMEM;
    if (error == 0)
        error = open_nets(l, config, now_ns);
    if (error == 0)
        error = open_tcp(l, config, now_ns);
    if (error == 0)
        error = listen_all(l, err, err_cap);
    if (error != 0) {
        lane_fini(l);
        return error;
    }
    for (uint32_t i = 0; i < l->port_cnt && l->number == 0; i++)
        net_announce(l->ports[i].net, now_ns);
    *out = l;
    return 0;
}

void lane_fini(struct lane *l)
{
    struct spool_done done;
    struct delivery *d;

    /* Threads have stopped: what lies in the rings to us is ours. */
    for (uint32_t i = 0; i < l->topology->spool_cnt; i++)
        while (l->from_spooler[i] != NULL &&
               rte_ring_sc_dequeue_elem(l->from_spooler[i], &done, sizeof(done)) == 0)
            if (done.buf != NULL)
                spool_buf_put(&l->bufs, done.buf);
    while (rte_ring_sc_dequeue(l->from_courier, (void **)&d) == 0)
        lane_deliver_back(l, d);
    lane_steer_fini(l);
    lane_host_fini(l);
    if (l->tcp != NULL)
        tcp_fini(l->tcp);
    for (uint32_t i = 0; i < l->port_cnt; i++)
        if (l->ports[i].net != NULL)
            net_fini(l->ports[i].net);
    /* Connections die with the process; their objects and buffers go with the pools. */
    l->conns.free_cnt = l->conns.object_cnt;
    l->bufs.free_cnt = l->bufs.buf_cnt;
    base_pool_fini(&l->conns);
    lane_watch_fini(l);
    conn_auth_fini(l);
    conn_rcpt_fini(l);
    client_lists_fini(l);
    spool_buf_pool_fini(&l->bufs);
    policy_work_close(l->policy_work);
    conn_login_fini(&l->login);
    free(l);
}

/* ---- for its connections ---- */

/* Each lane has a spool of its own where there are lanes enough; fewer lanes take turns. */
uint32_t lane_choose_spool(struct lane *l, const char **why)
{
    uint32_t turn = l->spool_turn;

    if (l->lane_cnt < l->topology->spool_cnt)
        l->spool_turn += l->lane_cnt;
    return topology_choose_spool(l->topology, turn, why);
}

bool lane_spool_room(const struct lane *l, const struct spool_id *id, uint32_t n)
{
    return rte_ring_free_count(l->to_spooler[topology_spool_of(l->topology, id)]) >= n;
}

void lane_spool_push(struct lane *l, struct spool_entry *entry)
{
    entry->from = (uint16_t)l->number;
    uint32_t spool = topology_spool_of(l->topology, &entry->id);
    base_assert(spool < l->topology->spool_cnt);
    base_assert(rte_ring_sp_enqueue_elem(l->to_spooler[spool], entry, sizeof(*entry)) == 0);
    bool piece = entry->op == SPOOL_BEGIN || entry->op == SPOOL_CHUNK;
    if (piece && ++l->pieces[spool] < LANE_PIECES_EACH) {
        l->spoolers_owed |= 1U << spool;
        return;
    }
    l->pieces[spool] = 0;
    l->spoolers_rung |= 1U << spool;
}

void lane_deliver_back(struct lane *l, struct delivery *d)
{
    base_assert(rte_ring_sp_enqueue(l->to_courier, d) == 0);
    l->courier_rung = true;
}

void lane_drain(struct lane *l)
{
    l->draining = true;
    l->refusing = true;
    l->told = false;
}

/* ---- one pass ---- */

static void input(struct lane *l, const struct lane_port *p, struct rte_mbuf **pkts, uint32_t n)
{
    struct net_segment segments[LANE_BURST];

    if (n == 0)
        return;
    enum lane_part part = lane_cycles_enter(&l->cycles, LANE_PART_NET_TCP);
    uint32_t cnt = net_input(p->net, pkts, n, segments, l->now_ns);
    tcp_push(l->tcp, segments, cnt, l->now_ns);
    lane_cycles_enter(&l->cycles, part);
}

/* What other lanes have passed on, as far as pkts has room: n of it is taken. Returns how many
 * there are now. */
static uint32_t take_passed(struct lane *l, struct rte_mbuf **pkts, uint32_t n)
{
    for (uint32_t from = 0; from < l->lane_cnt && n < LANE_BURST; from++) {
        struct rte_ring *ring =
            topology_ring(l->topology, TOPOLOGY_LANE_LANE, from * l->lane_cnt + l->number);
        n += rte_ring_sc_dequeue_burst(ring, (void **)(pkts + n), LANE_BURST - n, NULL);
    }
    return n;
}

static void count_burst(struct lane *l, uint32_t n)
{
    lane_busy_burst(&l->busy, n);
    if (n > 0)
        stats_record(l->stats, STATS_HISTOGRAM_LANE_RX_BURST, n);
}

/* Of several ports each has its burst in every pass, so that a flood on one leaves the others
 * theirs. A frame tells its port: other lanes pass it on without. */
static uint32_t receive_all(struct lane *l)
{
    struct rte_mbuf *pkts[LANE_BURST], *of[LANE_BURST];
    uint32_t total = 0;

    for (uint32_t i = 0; i < l->port_cnt; i++) {
        const struct lane_port *p = &l->ports[i];
        uint32_t n = p->port->ops->rx_burst(p->port->state, (uint16_t)l->number, pkts, LANE_BURST);
        count_burst(l, n);
        total += n;
        for (uint32_t k = 0; k < n; k++)
            pkts[k]->port = (uint16_t)i;
        if (l->watch.capture != NULL)
            lane_watch_frames(l, pkts, n, (uint8_t)i, false);
        if (l->lane_cnt > 1 && p->rss == NULL)
            n = lane_steer(l, pkts, n);
        input(l, p, pkts, n);
    }
    uint32_t passed = l->lane_cnt > 1 ? take_passed(l, pkts, 0) : 0;
    for (uint32_t i = 0; i < l->port_cnt && passed > 0; i++) {
        uint32_t cnt = 0;
        for (uint32_t k = 0; k < passed; k++)
            if (pkts[k]->port == i)
                of[cnt++] = pkts[k];
        input(l, &l->ports[i], of, cnt);
    }
    return total + passed;
}

static uint32_t receive(struct lane *l)
{
    const struct lane_port *p = &l->ports[0];
    struct rte_mbuf *pkts[LANE_BURST];

    if (l->lane_cnt > 1)
        lane_hear(l);
    if (l->port_cnt > 1)
        return receive_all(l);
    uint32_t n = p->port->ops->rx_burst(p->port->state, (uint16_t)l->number, pkts, LANE_BURST);
    uint32_t total = n;
    if (l->watch.capture != NULL)
        lane_watch_frames(l, pkts, n, 0, false);
    count_burst(l, n);
    if (l->lane_cnt > 1) {
        if (p->rss == NULL)
            n = lane_steer(l, pkts, n);
        uint32_t with = take_passed(l, pkts, n);
        total += with - n;
        n = with;
    }
    input(l, p, pkts, n);
    return total;
}

static uint32_t completions(struct lane *l, struct rte_ring *from)
{
    struct spool_done done[LANE_BURST];
    uint32_t n = rte_ring_sc_dequeue_burst_elem(from, done, sizeof(done[0]), LANE_BURST, NULL);

    for (uint32_t i = 0; i < n; i++) {
        struct conn *c = done[i].cookie;
        if (done[i].op == SPOOL_RELEASE && c == NULL) {
            spool_buf_put(&l->bufs, done[i].buf);
            continue;
        }
        enum lane_part part = lane_cycles_enter(&l->cycles, LANE_PART_CONN);
        conn_spooled(c, &done[i]);
        lane_cycles_enter(&l->cycles, part);
    }
    return n;
}

static uint32_t deliveries(struct lane *l)
{
    uint32_t n = 0;

    /* In its first seconds a lane's IPv6 addresses are not proved yet: no attempt is lost to it. */
    for (uint32_t i = 0; i < l->port_cnt; i++)
        if (!net_is_settled(l->ports[i].net))
            return 0;
    while (n < LANE_BURST) {
        struct delivery *d;
        if (rte_ring_sc_dequeue(l->from_courier, (void **)&d) != 0)
            break;
        enum lane_part part = lane_cycles_enter(&l->cycles, LANE_PART_CONN);
        conn_out_start(l, d);
        lane_cycles_enter(&l->cycles, part);
        n++;
    }
    return n;
}

static struct conn *accept_connection(struct lane *l, struct tcp_conn *tcp,
                                      const struct settings_listener *listener)
{
    struct conn *c = conn_open(l, tcp, &conn_in_ops);

    if (c == NULL) {
        stats_inc(l->stats, STATS_CONN_REFUSED_FULL);
        tcp_abort(l->tcp, tcp);
        return NULL;
    }
    c->listener = listener;
    if (listener->conf->proxy == CONF_PROXY_REQUIRED)
        conn_proxy_start(c);
    else
        conn_in_start(c);
    return c;
}

static uint32_t events(struct lane *l)
{
    struct tcp_event ev[LANE_BURST];

    lane_cycles_enter(&l->cycles, LANE_PART_NET_TCP);
    uint32_t n = tcp_poll(l->tcp, ev, LANE_BURST);
    lane_cycles_enter(&l->cycles, LANE_PART_CONN);
    for (uint32_t i = 0; i < n; i++) {
        struct conn *c = ev[i].flags & TCP_EVENT_ACCEPTED
                             ? accept_connection(l, ev[i].conn, ev[i].user)
                             : ev[i].user;
        if (c != NULL)
            conn_event(c, ev[i].flags);
    }
    return n;
}

/* Each stalled connection is tried once a pass. */
static void resume(struct lane *l)
{
    struct base_list round;
    struct base_list *node;

    if (base_list_empty(&l->stalled))
        return;
    base_list_init(&round);
    while ((node = base_list_pop_front(&l->stalled)) != NULL)
        base_list_push_back(&round, node);
    while ((node = base_list_pop_front(&round)) != NULL)
        conn_resume(base_container_of(node, struct conn, stall));
}

/* No new mail from now on: each connection has a turn, in which the idle ones of clients end. Those
 * amid a message end after it. */
static void tell_refusing(struct lane *l)
{
    struct base_list round;
    struct base_list *node;

    l->told = true;
    base_list_init(&round);
    while ((node = base_list_pop_front(&l->open)) != NULL)
        base_list_push_back(&round, node);
    while ((node = base_list_pop_front(&round)) != NULL) {
        base_list_push_back(&l->open, node);
        conn_resume(base_container_of(node, struct conn, place));
    }
}

/* The operator may drain the gateway, and take that back. */
static void note_drained(struct lane *l)
{
    bool drained = atomic_load_explicit(&l->topology->drained, memory_order_relaxed);

    if (drained && !l->refusing)
        l->told = false;
    l->refusing = drained || l->draining;
}

/* An operator may follow connections. */
static void note_traced(struct lane *l)
{
    uint32_t on = trace_on(&l->topology->trace);

    if ((on != 0) != (l->tracing != 0))
        tcp_watch(l->tcp, on != 0);
    l->tracing = on;
}

static uint32_t timers(struct lane *l)
{
    struct base_timer *t;
    uint32_t n = 0;

    while (n < LANE_BURST && (t = base_wheel_pop(&l->wheel, l->now_ns)) != NULL) {
        conn_timer(base_container_of(t, struct conn, timer));
        n++;
    }
    return n;
}

/* Gauges: what is in use now. */
static void show_usage(struct lane *l)
{
    struct tcp_usage u;

    tcp_usage(l->tcp, &u);
    stats_set(l->stats, STATS_TCP_CONNECTIONS, u.conn_cnt);
    stats_set(l->stats, STATS_TCP_HALF_OPEN, u.syn_cnt);
    stats_set(l->stats, STATS_TCP_TIME_WAIT, u.time_wait_cnt);
    stats_set(l->stats, STATS_TCP_BUFFERS, u.mbuf_cnt);
    stats_set(l->stats, STATS_CONN_IN, l->in_cnt);
    stats_set(l->stats, STATS_CONN_OUT, l->out_cnt);
    stats_set(l->stats, STATS_CONN_IDLE, l->idle.cnt);
    stats_set(l->stats, STATS_PROXY_WAITING, l->proxy_cnt);
}

/* Someone waits for buffers or for room in a ring, or may soon: what was put off is told now. */
static bool spoolers_wanted(const struct lane *l)
{
    return !base_list_empty(&l->stalled) || l->bufs.free_cnt < l->bufs.buf_cnt / 2;
}

static void ring_bells(struct lane *l)
{
    if (l->spoolers_owed != 0 && spoolers_wanted(l)) {
        l->spoolers_rung |= l->spoolers_owed;
        memset(l->pieces, 0, sizeof(l->pieces));
    }
    l->spoolers_owed &= ~l->spoolers_rung;
    for (uint32_t i = 0; l->spoolers_rung >> i != 0; i++)
        if (l->spoolers_rung >> i & 1)
            doorbell_ring(&l->topology->spool[i].bell);
    l->spoolers_rung = 0;
    if (l->courier_rung)
        doorbell_ring(&l->topology->courier_bell);
    if (l->auth.rung)
        doorbell_ring(&l->topology->auth_bell);
    if (l->streams.rung)
        doorbell_ring(&l->topology->stream_bell);
    if (l->host_rung)
        doorbell_ring(&l->topology->host_bell);
}

bool lane_pass(struct lane *l, uint64_t now_ns, uint64_t wall_ns)
{
    struct lane_cycles *cycles = &l->cycles;
    uint32_t work = 0;

    lane_cycles_begin(cycles);
    l->now_ns = now_ns;
    l->wall_ns = wall_ns;
    l->settings = settings_current(l->hub);
    l->tables = settings_tables(l->hub);
    note_drained(l);
    note_traced(l);
    if (l->tls != NULL)
        lane_tls_take(l->tls);
    l->courier_rung = false;
    l->host_rung = false;
    l->auth.rung = false;
    l->streams.rung = false;
    lane_cycles_enter(cycles, LANE_PART_RX);
    work += receive(l);
    work += lane_host_pass(l);
    lane_cycles_enter(cycles, LANE_PART_RINGS);
    work += resolver_answers(l->topology, TOPOLOGY_LANE, l->number);
    for (uint32_t i = 0; i < l->topology->spool_cnt; i++)
        work += completions(l, l->from_spooler[i]);
    lane_cycles_enter(cycles, LANE_PART_NET_TCP);
    tcp_run(l->tcp, now_ns);
    for (uint32_t i = 0; i < l->port_cnt; i++)
        net_run(l->ports[i].net, now_ns);
    lane_cycles_enter(cycles, LANE_PART_RINGS);
    work += deliveries(l);
    work += conn_auth_pass(l);
    work += conn_rcpt_pass(l);
    work += events(l);
    lane_cycles_enter(cycles, LANE_PART_RINGS);
    work += lane_stream_pass(l);
    work += lane_watch_pass(l);
    lane_cycles_enter(cycles, LANE_PART_TIMERS);
    work += timers(l);
    conn_out_relieve(l);
    client_limits_stress(l);
    lane_busy_pass(l);
    lane_cycles_enter(cycles, LANE_PART_CONN);
    resume(l);
    if (l->tls != NULL) {
        work += lane_tls_pass(l) + conn_tls_out_pass(l);
        lane_tls_relieve(l); /* behind: each has had its turn */
    }
    if (l->refusing && !l->told)
        tell_refusing(l);
    lane_cycles_enter(cycles, LANE_PART_NET_TCP);
    tcp_flush(l->tcp, now_ns);
    lane_cycles_enter(cycles, LANE_PART_TX);
    for (uint32_t i = 0; i < l->port_cnt; i++)
        net_flush(l->ports[i].net);
    lane_cycles_enter(cycles, LANE_PART_RINGS);
    ring_bells(l);
    lane_cycles_enter(cycles, LANE_PART_TIMERS);
    stats_inc(l->stats, work > 0 ? STATS_LANE_PASSES_BUSY : STATS_LANE_PASSES_IDLE);
    show_usage(l);
    lane_cycles_end(cycles, l->stats, work > 0, now_ns);
    return work > 0;
}

uint64_t lane_deadline(const struct lane *l)
{
    uint64_t t = tcp_deadline(l->tcp);
    uint64_t w = base_wheel_next(&l->wheel);

    if (l->watch.ask != NULL)
        return l->now_ns;
    if (l->tls != NULL && (tls_lane_busy(l->tls->engine) || lane_tls_judges(l->tls)))
        return l->now_ns;
    /* What they wait for may come without a ring of our bell. */
    if (!base_list_empty(&l->stalled) || l->groups.waiting_cnt > 0)
        w = l->now_ns + BASE_NS_MS;
    uint64_t busy = lane_busy_deadline(l);
    w = busy < w ? busy : w;
    for (uint32_t i = 0; i < l->port_cnt; i++) {
        uint64_t n = net_deadline(l->ports[i].net);
        t = t < n ? t : n;
    }
    return t < w ? t : w;
}
