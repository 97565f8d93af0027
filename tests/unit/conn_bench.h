/*
 * A gateway of one lane with its spooler and courier on a simulated disk, and a host at the other
 * end of a wire that plays client and next hop byte by byte; in virtual time. Each test opens it
 * anew (open_bench, close_bench).
 */
#ifndef CONN_BENCH_H
#define CONN_BENCH_H

#include "unit.h"

#include "base_time.h"
#include "courier.h"
#include "disk_sim.h"
#include "dpdk_eal.h"
#include "lane.h"
#include "spooler.h"
#include "wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#define WALL_NS (UINT64_C(1700000000) * BASE_NS_S)
#define GOT_CAP 65536

static const char config_text[] =
    "gateway { hostname = gw.example; run_dir = /run/x; }\n"
    "port p { device = \"net_wire\"; address = { 10.0.0.1/24 }; }\n"
    "listener mx { kind = mx; port = p; tcp_port = 25; bare_newline_networks = { %s }; }\n"
    "spool { path = /spool; size = 256M; segment_size = 1M; buffers = %u; }\n"
    "smtp { message_size = 50M; header_size = 16M; header_fields = 1000000; recipients = 20000; }\n"
    "tcp { connections = 16; half_open = 16; time_wait = 16; msl = 100ms; }\n"
    "relay { networks = { 10.0.0.0/24 }; }\n"
    "queue { backoff_min = 300s; }\n"
    "route default { host = 10.0.0.2:2525; proxy = %s; }\n";

/* What a test wants besides: blocks of the configuration, and a look at what the lane is made of.
 */
static const char *bench_more = "";
static void (*bench_lane)(struct lane_config *config);

#ifndef BENCH_HOST_CONNS
#define BENCH_HOST_CONNS 4
#endif

/* ---- a gateway, and a host at the other end of the wire ---- */

struct bench {
    struct wire *wire;
    struct settings_hub hub;
    struct topology topology;
    struct spool_disk disk;
    struct spool *spool;
    struct spooler spooler;
    struct courier courier;
    struct lane *lane;
    struct net *net; /* the host's */
    struct tcp_stack *tcp;
    struct stats_block stats;
    struct rte_mempool *pool[6];
    uint64_t now_ns;
    uint32_t buffers;
    const char *proxy; /* of the route, for the next open_gateway; NULL: none */
    bool courier_off;
    bool normalize;        /* set before the gateway is opened */
    struct tcp_conn *sink; /* what the gateway opened to the host; the test plays the server */
    bool client_failed;
    char got[GOT_CAP + 1]; /* what the client under test was told */
    size_t got_len;
    char asked[GOT_CAP + 1]; /* what the sink was told */
    size_t asked_len;
};

static struct bench *b;

static inline struct settings *settings_of_text(void)
{
    struct conf_errors *errors = calloc(1, sizeof(*errors));
    char text[4096];
    int len =
        snprintf(text, sizeof(text), config_text, b->normalize ? "10.0.0.0/24" : "192.0.2.0/24",
                 b->buffers, b->proxy != NULL ? b->proxy : "none");

    snprintf(text + len, sizeof(text) - (size_t)len, "%s", bench_more);
    struct conf *conf = conf_parse("test", base_span_str(text), NULL, NULL, errors);
    if (conf == NULL)
        fail_msg("config: %s %s", errors->error[0].key, errors->error[0].why);
    conf_errors_free(errors);
    free(errors);
    return settings_make(conf);
}

static inline void open_gateway(void)
{
    static unsigned run;
    char err[256], prefix[16];

    assert_int_equal(settings_hub_init(&b->hub, settings_of_text(), 2), 0);
    snprintf(prefix, sizeof(prefix), "c%u", run++);
    assert_int_equal(topology_init(&b->topology, 1, 1, prefix, true), 0);
    struct disk_sim_config d = {.seed = 1, .queue_depth = 16, .sector_bytes = 512};
    assert_int_equal(disk_sim_open(&b->disk, &d), 0);
    struct spool_config sc = {.disk = b->disk,
                              .segment_bytes = 1 << 20,
                              .segment_max = 64,
                              .reserve_segments = 2,
                              .commit_max = 1,
                              .batch_bytes_max = 65536,
                              .stats = topology_stats(&b->topology, TOPOLOGY_SPOOLER, 0),
                              .seed = 1};
    assert_int_equal(spool_open(&b->spool, &sc, b->now_ns, err, sizeof(err)), 0);
    assert_int_equal(spooler_init(&b->spooler, &b->topology, 0, b->spool), 0);
    struct lane_config lc = {.topology = &b->topology,
                             .hub = &b->hub,
                             .port = wire_port(b->wire, 0),
                             .data_pool = b->pool[0],
                             .ctrl_pool = b->pool[1]};
    if (bench_lane != NULL)
        bench_lane(&lc);
    assert_int_equal(lane_init(&b->lane, &lc, b->now_ns, err, sizeof(err)), 0);
    assert_int_equal(courier_init(&b->courier, &b->topology, &b->hub, (const uint8_t[16]){1}), 0);
}

static inline void open_host(void)
{
    struct net_endpoint sink = {.port = 2525};
    struct net_config n = {.port = wire_port(b->wire, 1),
                           .address_cnt = 1,
                           .ctrl_pool = b->pool[4],
                           .stats = &b->stats};

    n.addresses[0] = (struct net_prefix){net_addr_v4((const uint8_t[]){10, 0, 0, 2}), 120};
    assert_int_equal(net_init(&b->net, &n, b->now_ns), 0);
    struct tcp_config t = {.net = b->net,
                           .data_pool = b->pool[3],
                           .ctrl_pool = b->pool[4],
                           .stats = &b->stats,
                           .conn_max = BENCH_HOST_CONNS,
                           .syn_max = BENCH_HOST_CONNS,
                           .time_wait_max = BENCH_HOST_CONNS,
                           .listen_max = 1,
                           .port_min = 20000,
                           .port_max = 20100,
                           .msl_ns = 100 * BASE_NS_MS,
                           .recv_window_bytes = 65536,
                           .send_buffer_bytes = 262144};
    assert_int_equal(tcp_init(&b->tcp, &t, b->now_ns), 0);
    assert_int_equal(tcp_listen(b->tcp, &sink, NULL), 0);
}

static inline int open_with(void **state, uint32_t buffers)
{
    static const char *const name[6] = {"ld", "lc", "lr", "cd", "cc", "cr"};

    (void)state;
    b->now_ns = BASE_NS_S;
    b->buffers = buffers;
    b->courier_off = true;
    b->client_failed = false;
    b->sink = NULL;
    b->got_len = b->asked_len = 0;
    b->got[0] = b->asked[0] = 0;
    for (int i = 0; i < 6; i++)
        if (b->pool[i] == NULL)
            b->pool[i] = dpdk_pool(name[i], 1024, 0);
    struct wire_config w = {.seed = 1, .now_ns = b->now_ns};
    memcpy(w.end[0].mac, "\2\0\0\0\0\1", 6);
    memcpy(w.end[1].mac, "\2\0\0\0\0\2", 6);
    w.end[0].rx_pool[0] = b->pool[2];
    w.end[1].rx_pool[0] = b->pool[5];
    w.end[0].tx_multi_segs = w.end[1].tx_multi_segs = true;
    assert_int_equal(wire_open(&b->wire, &w), 0);
    open_gateway();
    open_host();
    return 0;
}

static inline int open_bench(void **state)
{
    return open_with(state, 64);
}

static inline void gateway_pass(void)
{
    lane_pass(b->lane, b->now_ns, WALL_NS + b->now_ns);
}

static inline void disk_pass(void)
{
    spooler_pass(&b->spooler, b->now_ns);
    if (!b->courier_off)
        courier_pass(&b->courier, b->now_ns, WALL_NS + b->now_ns);
}

static inline void take(struct tcp_conn *c, char *text, size_t *len)
{
    struct base_span span;

    while (tcp_recv_view(c, &span, 1) == 1) {
        assert_true(*len + span.len <= GOT_CAP);
        memcpy(text + *len, span.p, span.len);
        *len += span.len;
        text[*len] = 0;
        tcp_recv_consume(b->tcp, c, (uint32_t)span.len);
    }
}

/* The host's side of a pass; c may be NULL. */
static inline void host_pass(struct tcp_conn *c)
{
    struct rte_mbuf *pkts[32];
    struct net_segment segments[32];
    struct tcp_event ev[8];

    uint32_t n = wire_port(b->wire, 1)->ops->rx_burst(wire_port(b->wire, 1)->state, 0, pkts, 32);
    n = net_input(b->net, pkts, n, segments, b->now_ns);
    tcp_push(b->tcp, segments, n, b->now_ns);
    tcp_run(b->tcp, b->now_ns);
    net_run(b->net, b->now_ns);
    n = tcp_poll(b->tcp, ev, 8);
    for (uint32_t i = 0; i < n; i++) {
        if (ev[i].flags & TCP_EVENT_ACCEPTED)
            b->sink = ev[i].conn;
        if (ev[i].conn == c && ev[i].flags & TCP_EVENT_FAILED)
            b->client_failed = true;
    }
    if (c != NULL)
        take(c, b->got, &b->got_len);
    if (b->sink != NULL)
        take(b->sink, b->asked, &b->asked_len);
    tcp_flush(b->tcp, b->now_ns);
    net_flush(b->net);
}

static inline void turn(struct tcp_conn *c, uint32_t ms)
{
    while (ms-- > 0) {
        b->now_ns += BASE_NS_MS;
        wire_advance(b->wire, b->now_ns);
        for (int i = 0; i < 4; i++) {
            gateway_pass();
            disk_pass();
        }
        host_pass(c);
    }
}

/* A long time in which nothing is on its way. */
static inline void skip_time(struct tcp_conn *c, uint64_t ns)
{
    for (uint64_t end = b->now_ns + ns; b->now_ns < end; b->now_ns += BASE_NS_S / 2)
        turn(c, 2);
    turn(c, 20);
}

/* Everything is where it came from. */
static inline void check_home(void)
{
    struct tcp_usage u;

    skip_time(NULL, 2 * BASE_NS_S); /* TIME_WAIT */
    tcp_usage(b->lane->tcp, &u);
    assert_int_equal(u.conn_cnt + u.syn_cnt + u.time_wait_cnt + u.mbuf_cnt, 0);
    assert_int_equal(b->lane->in_cnt + b->lane->out_cnt, 0);
    assert_int_equal(b->lane->transaction_cnt, 0);
    assert_int_equal(b->lane->conns.free_cnt, b->lane->conns.object_cnt);
    assert_int_equal(b->lane->bufs.free_cnt, b->lane->bufs.buf_cnt);
    for (int i = 0; i < 3; i++)
        assert_true(dpdk_pool_full(b->pool[i]));
}

static inline int close_bench(void **state)
{
    (void)state;
    spool_close(b->spool);
    lane_fini(b->lane);
    courier_fini(&b->courier);
    spooler_fini(&b->spooler);
    tcp_fini(b->tcp);
    net_fini(b->net);
    topology_fini(&b->topology);
    settings_hub_fini(&b->hub);
    disk_sim_close(&b->disk);
    wire_close(b->wire);
    return 0;
}

/* ---- a client ---- */

static inline struct tcp_conn *connect_client(void)
{
    struct net_endpoint any = {0}, to = {.port = 25};
    struct tcp_conn *c;

    to.addr = net_addr_v4((const uint8_t[]){10, 0, 0, 1});
    assert_int_equal(tcp_connect(b->tcp, &any, &to, NULL, &c, b->now_ns), 0);
    return c;
}

static inline void say_bytes(struct tcp_conn *c, const char *text, size_t len)
{
    assert_int_equal(tcp_send(b->tcp, c, text, len), len);
}

static inline void say(struct tcp_conn *c, const char *text)
{
    say_bytes(c, text, strlen(text));
}

/* A client that was greeted and has said all this; forgets what it was told. */
static inline struct tcp_conn *client(const char *text)
{
    struct tcp_conn *c = connect_client();

    turn(c, 5);
    assert_non_null(strstr(b->got, "220 gw.example"));
    say(c, text);
    turn(c, 10);
    return c;
}

static inline void told(const char *text)
{
    if (strstr(b->got, text) == NULL)
        fail_msg("no \"%s\" in: %s", text, b->got);
}

static inline void not_told(const char *text)
{
    if (strstr(b->got, text) != NULL)
        fail_msg("\"%s\" in: %s", text, b->got);
}

#define ENVELOPE "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"

static inline uint64_t lane_stat(enum stats_id id)
{
    return stats_get(b->lane->stats, id);
}

/* ---- a next hop ---- */

static inline void answer(const char *text)
{
    assert_non_null(b->sink);
    b->asked_len = 0;
    say(b->sink, text);
    turn(NULL, 10);
}

static inline void one_message(void)
{
    struct tcp_conn *c = client(ENVELOPE);

    say(c, "Subject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n");
    turn(c, 20);
    told("queued as");
    tcp_close(b->tcp, c);
}

static inline struct queue_usage queued(void)
{
    struct queue_usage u;

    queue_usage(b->courier.queue, &u);
    return u;
}

#endif
