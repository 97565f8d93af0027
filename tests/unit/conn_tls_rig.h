/*
 * The bench of conn_bench.h with TLS on its lane, and clients at the host that speak it by plain
 * OpenSSL; in virtual time. A client's bytes go out as many a millisecond as the test says.
 */
#ifndef CONN_TLS_RIG_H
#define CONN_TLS_RIG_H

#define BENCH_HOST_CONNS 32
#include "conn_bench.h"

#include "keyop_slow.h"
#include "tls_kit.h"
#include "tls_rig.h"

#define HANDSHAKE_TIMEOUT_NS (5 * BASE_NS_S)
#define PEERS                16
#define MX                   25
#define IMPLICIT             465
#define PROXIED              466

static const char tls_blocks[] =
    "certificate c { chain = /x/c.pem; key = /x/c.key; }\n"
    "listener s { kind = submissions; port = p; tcp_port = 465; }\n"
    "listener x { kind = submissions; port = p; tcp_port = 466; proxy = required;\n"
    "             proxy_from = { 10.0.0.2/32 }; }\n"
    "tls { handshakes = 16; handshakes_per_client = 14; handshake_timeout = 5s; }\n";

static struct {
    struct lane_tls lane;
    struct tls_domain *domain;
    struct kit_certificate certificate;
    SSL_CTX *client;
    bool held;         /* keys' operations wait for slow.release_cnt */
    uint32_t step_max; /* of a pass */
    uint32_t job_max;  /* parked at a time */
    uint32_t handshake_max;
} rig_tls;

/* ---- the gateway's side ---- */

static inline struct tls_domain *build_domain(void)
{
    static const struct tls_policy_spec policies[] = {
        {.label = "mx", .version_min = TLS_VERSION_12},
        {.label = "s", .version_min = TLS_VERSION_12},
        {.label = "x", .version_min = TLS_VERSION_12},
    };
    struct tls_certificate_spec c = kit_spec(&rig_tls.certificate, "c");
    struct tls_domain_spec spec = {
        .certificates = &c, .certificate_cnt = 1, .policies = policies, .policy_cnt = 3};
    char why[256];
    struct tls_domain *d = tls_domain_build(rig_tls.lane.engine, &spec, why, sizeof(why));

    if (d == NULL)
        fail_msg("%s", why);
    return d;
}

static inline void make_tls(struct lane_config *config)
{
    memset(&slow, 0, sizeof(slow));
    slow.inner = keyop_inline_open(false, 1);
    slow.take_max = 64;
    struct tls_lane_settings s = {.connection_max = 16,
                                  .handshake_max = rig_tls.handshake_max,
                                  .parked_max = rig_tls.held ? rig_tls.job_max : 0,
                                  .step_max = rig_tls.step_max,
                                  .keyop = {&slow_ops, &slow},
                                  .keyop_wakes = true,
                                  .stats = topology_stats(config->topology, TOPOLOGY_LANE, 0)};
    memset(&rig_tls.lane, 0, sizeof(rig_tls.lane));
    assert_int_equal(lane_tls_init(&rig_tls.lane, rig_tls.handshake_max, (const uint8_t[16]){7}),
                     0);
    rig_tls.lane.engine = tls_lane_init(&s);
    assert_non_null(rig_tls.lane.engine);
    rig_tls.domain = rig_tls.lane.domain = build_domain();
    rig_tls.lane.accepts = true;
    config->tls = &rig_tls.lane;
}

/* ---- clients ---- */

struct peer {
    struct tcp_conn *tcp; /* NULL: closed */
    struct kit_peer tls;
    bool secure;   /* its bytes go through OpenSSL from now on */
    bool held;     /* nothing is sent */
    bool reset;    /* by the gateway */
    bool ended;    /* FIN came */
    bool notified; /* close_notify came */
    int done;      /* of kit_peer_step */
    size_t chunk;  /* bytes a millisecond */
    uint8_t out[16384];
    size_t out_len;
    char got[16384];
    size_t got_len;
};

static struct peer peers[PEERS];

static inline void drive_tls(struct peer *p)
{
    size_t n;

    if (p->done == 0)
        p->done = kit_peer_step(&p->tls);
    while (p->done == 1 &&
           SSL_read_ex(p->tls.ssl, p->got + p->got_len, sizeof(p->got) - 1 - p->got_len, &n) == 1)
        p->got_len += n;
    p->got[p->got_len] = 0;
    p->notified = SSL_get_shutdown(p->tls.ssl) & SSL_RECEIVED_SHUTDOWN;
    p->out_len += kit_peer_take(&p->tls, p->out + p->out_len, sizeof(p->out) - p->out_len);
}

static inline void drive(struct peer *p)
{
    struct base_span span;

    while (p->tcp != NULL && tcp_recv_view(p->tcp, &span, 1) == 1) {
        if (p->secure) {
            kit_peer_give(&p->tls, span.p, span.len);
        } else {
            assert_true(p->got_len + span.len < sizeof(p->got));
            memcpy(p->got + p->got_len, span.p, span.len);
            p->got_len += span.len;
            p->got[p->got_len] = 0;
        }
        tcp_recv_consume(b->tcp, p->tcp, (uint32_t)span.len);
    }
    if (p->secure)
        drive_tls(p);
    if (p->tcp == NULL || p->held || p->out_len == 0)
        return;
    size_t n = p->out_len < p->chunk ? p->out_len : p->chunk;
    int64_t sent = tcp_send(b->tcp, p->tcp, p->out, n);
    if (sent > 0)
        memmove(p->out, p->out + sent, p->out_len -= (size_t)sent);
}

static inline void peers_event(const struct tcp_event *ev)
{
    struct peer *p = ev->user;

    if (p == NULL || p->tcp == NULL)
        return;
    if (ev->flags & TCP_EVENT_PEER_CLOSED)
        p->ended = true;
    if (!(ev->flags & TCP_EVENT_FAILED))
        return;
    p->reset = true;
    tcp_abort(b->tcp, p->tcp);
    p->tcp = NULL;
}

static inline void peers_pass(void)
{
    struct net_port *port = wire_port(b->wire, 1);
    struct rte_mbuf *pkts[64];
    struct net_segment segments[64];
    struct tcp_event ev[32];
    uint32_t n = port->ops->rx_burst(port->state, 0, pkts, 64);

    n = net_input(b->net, pkts, n, segments, b->now_ns);
    tcp_push(b->tcp, segments, n, b->now_ns);
    tcp_run(b->tcp, b->now_ns);
    net_run(b->net, b->now_ns);
    n = tcp_poll(b->tcp, ev, 32);
    for (uint32_t i = 0; i < n; i++)
        peers_event(&ev[i]);
    for (size_t i = 0; i < PEERS; i++)
        drive(&peers[i]);
    tcp_flush(b->tcp, b->now_ns);
    net_flush(b->net);
}

static inline void run_ms(uint32_t ms)
{
    while (ms-- > 0) {
        b->now_ns += BASE_NS_MS;
        wire_advance(b->wire, b->now_ns);
        for (int i = 0; i < 4; i++) {
            gateway_pass();
            disk_pass();
        }
        peers_pass();
    }
}

static inline void run_long(uint64_t ns)
{
    for (uint64_t end = b->now_ns + ns; b->now_ns < end; b->now_ns += BASE_NS_S / 10)
        run_ms(2);
}

static inline struct peer *peer_connect(uint32_t i, uint16_t port)
{
    struct net_endpoint any = {0}, to = {.port = port};
    struct peer *p = &peers[i];

    assert_null(p->tcp);
    if (p->tls.ssl != NULL)
        kit_peer_close(&p->tls);
    memset(p, 0, sizeof(*p));
    p->chunk = SIZE_MAX;
    kit_peer_open(&p->tls, rig_tls.client, true, NULL);
    to.addr = net_addr_v4((const uint8_t[]){10, 0, 0, 1});
    assert_int_equal(tcp_connect(b->tcp, &any, &to, p, &p->tcp, b->now_ns), 0);
    return p;
}

/* Bytes as they are. */
static inline void peer_bytes(struct peer *p, const void *bytes, size_t len)
{
    assert_true(p->out_len + len <= sizeof(p->out));
    memcpy(p->out + p->out_len, bytes, len);
    p->out_len += len;
}

static inline void peer_say(struct peer *p, const char *text)
{
    size_t n;

    if (!p->secure)
        return peer_bytes(p, text, strlen(text));
    assert_int_equal(SSL_write_ex(p->tls.ssl, text, strlen(text), &n), 1);
    drive_tls(p);
}

/* Says it, and waits until a text comes back. */
static inline void peer_ask(struct peer *p, const char *text, const char *wanted)
{
    p->got_len = 0;
    p->got[0] = 0;
    peer_say(p, text);
    for (int i = 0; i < 4000 && strstr(p->got, wanted) == NULL && p->tcp != NULL && !p->ended; i++)
        run_ms(1);
    if (strstr(p->got, wanted) == NULL)
        fail_msg("\"%s\": no \"%s\" in \"%s\"", text, wanted, p->got);
}

/* The whole way to a session inside TLS. */
static inline void peer_secure(struct peer *p)
{
    p->secure = true;
    for (int i = 0; i < 4000 && p->done == 0 && p->tcp != NULL; i++)
        run_ms(1);
    assert_int_equal(p->done, 1);
}

static inline struct peer *peer_session(uint32_t i, uint16_t port)
{
    struct peer *p = peer_connect(i, port);

    if (port == MX) {
        peer_ask(p, "", "220 ");
        peer_ask(p, "STARTTLS\r\n", "220 2.0.0");
    }
    p->got_len = 0;
    peer_secure(p);
    peer_ask(p, port == MX ? "NOOP\r\n" : "", port == MX ? "250 " : "220 ");
    return p;
}

static inline void peer_quit(struct peer *p)
{
    if (p->tcp != NULL)
        tcp_abort(b->tcp, p->tcp);
    p->tcp = NULL;
    p->out_len = 0;
    run_ms(5);
}

static inline int open_tls_bench(void **state)
{
    bench_more = tls_blocks;
    bench_lane = make_tls;
    if (rig_tls.step_max == 0)
        rig_tls.step_max = 16;
    if (rig_tls.job_max == 0)
        rig_tls.job_max = 16;
    if (rig_tls.handshake_max == 0)
        rig_tls.handshake_max = 16;
    (void)open_bench(state);
    (void)peer_connect(0, MX);
    run_ms(5); /* ARP */
    assert_non_null(strstr(peers[0].got, "220 "));
    peer_quit(&peers[0]);
    return 0;
}

static inline int open_held_bench(void **state)
{
    rig_tls.held = true;
    return open_tls_bench(state);
}

static inline int open_few_jobs_bench(void **state)
{
    rig_tls.job_max = 4;
    rig_tls.handshake_max = 12;
    return open_held_bench(state);
}

static inline int open_two_steps_bench(void **state)
{
    rig_tls.step_max = 2;
    return open_tls_bench(state);
}

/* The lane's thread has ended, with whatever it had open. */
static inline int close_left_bench(void **state)
{
    assert_true(tls_domain_released(rig_tls.domain));
    tls_domain_free(rig_tls.domain);
    tls_lane_fini(rig_tls.lane.engine);
    lane_tls_fini(&rig_tls.lane);
    keyop_inline_close(slow.inner);
    for (uint32_t i = 0; i < PEERS; i++) {
        if (peers[i].tcp != NULL)
            tcp_abort(b->tcp, peers[i].tcp);
        if (peers[i].tls.ssl != NULL)
            kit_peer_close(&peers[i].tls);
        memset(&peers[i], 0, sizeof(peers[i]));
    }
    rig_tls.held = false;
    rig_tls.step_max = rig_tls.job_max = rig_tls.handshake_max = 0;
    return close_bench(state);
}

static inline int close_tls_bench(void **state)
{
    for (uint32_t i = 0; i < PEERS; i++) {
        peer_quit(&peers[i]);
    }
    slow.release_cnt = UINT32_MAX;
    run_long(BASE_NS_S);
    assert_int_equal(rig_tls.lane.clients.cnt, 0);
    assert_true(base_list_empty(&rig_tls.lane.handshakes));
    assert_int_equal(lane_stat(STATS_TLS_CONNECTIONS), 0);
    assert_int_equal(b->lane->conns.free_cnt, b->lane->conns.object_cnt);
    assert_int_equal(b->lane->bufs.free_cnt, b->lane->bufs.buf_cnt);
    lane_tls_leave(b->lane);
    return close_left_bench(state);
}

#endif
