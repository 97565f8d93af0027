/*
 * Connections of a lane with everything around them: clients that go away at the worst moment,
 * disks that fail, resets that come with something else, a gateway that goes down. Whatever
 * happens, every buffer, connection and mbuf is back at the end, and what was not durable has no
 * 250.
 */
#include "unit.h"

#include "base_time.h"
#include "courier.h"
#include "disk_sim.h"
#include "dpdk_eal.h"
#include "lane.h"
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
    "listener mx { kind = mx; port = p; tcp_port = 25; }\n"
    "spool { path = /spool; size = 256M; segment_size = 1M; buffers = %u; }\n"
    "smtp { message_size = 50M; header_size = 16M; recipients = 20000; }\n"
    "tcp { connections = 16; half_open = 16; time_wait = 16; msl = 100ms; }\n"
    "relay { networks = { 10.0.0.0/24 }; }\n"
    "queue { backoff_min = 300s; }\n"
    "route default { host = 10.0.0.2:2525; }\n";

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
    bool courier_off;
    struct tcp_conn *sink; /* what the gateway opened to the host; the test plays the server */
    bool client_failed;
    char got[GOT_CAP + 1]; /* what the client under test was told */
    size_t got_len;
    char asked[GOT_CAP + 1]; /* what the sink was told */
    size_t asked_len;
};

static struct bench *b;

static struct settings *settings_of_text(void)
{
    struct conf_errors *errors = calloc(1, sizeof(*errors));
    char text[1024];

    snprintf(text, sizeof(text), config_text, b->buffers);
    struct conf *conf = conf_parse("test", base_span_str(text), NULL, NULL, errors);
    if (conf == NULL)
        fail_msg("config: %s %s", errors->error[0].key, errors->error[0].why);
    conf_errors_free(errors);
    free(errors);
    return settings_make(conf);
}

static void open_gateway(void)
{
    static unsigned run;
    char err[256], prefix[16];

    assert_int_equal(settings_hub_init(&b->hub, settings_of_text(), 2), 0);
    snprintf(prefix, sizeof(prefix), "c%u", run++);
    assert_int_equal(topology_init(&b->topology, 1, prefix, true), 0);
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
    assert_int_equal(spooler_init(&b->spooler, &b->topology, b->spool), 0);
    struct lane_config lc = {.topology = &b->topology,
                             .hub = &b->hub,
                             .spooler = &b->spooler,
                             .port = wire_port(b->wire, 0),
                             .data_pool = b->pool[0],
                             .ctrl_pool = b->pool[1]};
    assert_int_equal(lane_init(&b->lane, &lc, b->now_ns, err, sizeof(err)), 0);
    assert_int_equal(courier_init(&b->courier, &b->topology, &b->hub, (const uint8_t[16]){1}), 0);
}

static void open_host(void)
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
                           .conn_max = 4,
                           .syn_max = 4,
                           .time_wait_max = 4,
                           .listen_max = 1,
                           .port_min = 20000,
                           .port_max = 20100,
                           .msl_ns = 100 * BASE_NS_MS,
                           .recv_window_bytes = 65536,
                           .send_buffer_bytes = 262144};
    assert_int_equal(tcp_init(&b->tcp, &t, b->now_ns), 0);
    assert_int_equal(tcp_listen(b->tcp, &sink, NULL), 0);
}

static int open_with(void **state, uint32_t buffers)
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

static int open_bench(void **state)
{
    return open_with(state, 64);
}

static void gateway_pass(void)
{
    lane_pass(b->lane, b->now_ns, WALL_NS + b->now_ns);
}

static void disk_pass(void)
{
    spooler_pass(&b->spooler, b->now_ns);
    if (!b->courier_off)
        courier_pass(&b->courier, b->now_ns, WALL_NS + b->now_ns);
}

static void take(struct tcp_conn *c, char *text, size_t *len)
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
static void host_pass(struct tcp_conn *c)
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

static void turn(struct tcp_conn *c, uint32_t ms)
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
static void skip_time(struct tcp_conn *c, uint64_t ns)
{
    for (uint64_t end = b->now_ns + ns; b->now_ns < end; b->now_ns += BASE_NS_S / 2)
        turn(c, 2);
    turn(c, 20);
}

/* Everything is where it came from. */
static void check_home(void)
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

static int close_bench(void **state)
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

static struct tcp_conn *connect_client(void)
{
    struct net_endpoint any = {0}, to = {.port = 25};
    struct tcp_conn *c;

    to.addr = net_addr_v4((const uint8_t[]){10, 0, 0, 1});
    assert_int_equal(tcp_connect(b->tcp, &any, &to, NULL, &c, b->now_ns), 0);
    return c;
}

static void say_bytes(struct tcp_conn *c, const char *text, size_t len)
{
    assert_int_equal(tcp_send(b->tcp, c, text, len), len);
}

static void say(struct tcp_conn *c, const char *text)
{
    say_bytes(c, text, strlen(text));
}

/* A client that was greeted and has said all this; forgets what it was told. */
static struct tcp_conn *client(const char *text)
{
    struct tcp_conn *c = connect_client();

    turn(c, 5);
    assert_non_null(strstr(b->got, "220 gw.example"));
    say(c, text);
    turn(c, 10);
    return c;
}

static void told(const char *text)
{
    if (strstr(b->got, text) == NULL)
        fail_msg("no \"%s\" in: %s", text, b->got);
}

static void not_told(const char *text)
{
    if (strstr(b->got, text) != NULL)
        fail_msg("\"%s\" in: %s", text, b->got);
}

#define ENVELOPE "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"

static uint64_t lane_stat(enum stats_id id)
{
    return stats_get(b->lane->stats, id);
}

/* ---- the ends of a message ---- */

enum ending { END_RSET, END_QUIT, END_RESET, END_HALF_CLOSE, END_TIMEOUT };

/* Each ending after each part of a session. */
static void every_ending_gives_everything_back(void **state)
{
    static const char *const part[] = {
        "",
        "EHLO c.example\r\n",
        "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n",
        "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n",
        ENVELOPE,
        ENVELOPE "Subject: x\r\n",
        ENVELOPE "Subject: x\r\n\r\nbody",
        ENVELOPE "Subject: x\r\n\r\nbody\r\n.\r\n",
        ENVELOPE "Subject: x\r\n\r\nbare\nnewline\r\n.\r\nMAIL FROM:<a@b.example>\r\n",
    };
    static char filler[40000];

    (void)state;
    memset(filler, 'x', sizeof(filler));
    for (size_t i = 78; i + 1 < sizeof(filler); i += 80)
        memcpy(filler + i, "\r\n", 2);
    for (size_t p = 0; p < BASE_ARRAY_CNT(part); p++)
        for (int big = 0; big < 2; big++)
            for (int e = END_RSET; e <= END_TIMEOUT; e++) {
                struct tcp_conn *c = client(part[p]);
                bool in_body = p >= 4 && p <= 6;
                if (big && !in_body)
                    say(c, "NOOP\r\n");
                else if (big)
                    say_bytes(c, filler, sizeof(filler));
                turn(c, 10);
                if (e == END_RSET)
                    say(c, in_body ? "\r\n.\r\nRSET\r\n" : "RSET\r\n");
                else if (e == END_QUIT)
                    say(c, in_body ? "\r\n.\r\nQUIT\r\n" : "QUIT\r\n");
                else if (e == END_HALF_CLOSE)
                    tcp_shutdown(b->tcp, c);
                else if (e == END_RESET)
                    tcp_abort(b->tcp, c), c = NULL;
                turn(c, 20);
                if (e == END_TIMEOUT)
                    skip_time(c, 301 * BASE_NS_S);
                if (c != NULL)
                    tcp_close(b->tcp, c);
                b->got_len = 0;
                b->got[0] = 0;
                check_home();
            }
}

/* A reset in the same burst as the end of the handshake. */
static void reset_with_the_handshake(void **state)
{
    (void)state;
    struct tcp_conn *c = connect_client();
    for (int i = 0; i < 10 && tcp_send_pending(c) == 0; i++) {
        b->now_ns += BASE_NS_MS;
        wire_advance(b->wire, b->now_ns);
        struct tcp_usage u;
        tcp_usage(b->lane->tcp, &u);
        host_pass(NULL); /* the ACK that makes it ESTABLISHED lies in the wire */
        if (u.syn_cnt == 1)
            break;
        gateway_pass();
    }
    tcp_abort(b->tcp, c);
    tcp_flush(b->tcp, b->now_ns);
    net_flush(b->net);
    turn(NULL, 5);
    check_home();
    assert_int_equal(lane_stat(STATS_CONN_ACCEPTED), 1);
}

/* A reset in the same burst as the spooler's word on the message. */
static void reset_with_durable(void **state)
{
    (void)state;
    struct tcp_conn *c = client(ENVELOPE);
    say(c, "Subject: x\r\n\r\nbody\r\n.\r\n");
    host_pass(c);
    b->now_ns += BASE_NS_MS;
    wire_advance(b->wire, b->now_ns);
    gateway_pass();
    assert_int_equal(b->lane->in_cnt, 1);
    for (int i = 0; i < 20; i++) /* durable, and told to the lane's ring */
        disk_pass();
    tcp_abort(b->tcp, c);
    host_pass(NULL);
    b->now_ns += BASE_NS_MS;
    wire_advance(b->wire, b->now_ns);
    turn(NULL, 5);
    assert_int_equal(lane_stat(STATS_CONN_MESSAGES), 1);
    check_home();
}

/* Bytes behind QUIT do not cost the client the replies before it. */
static void replies_survive_bytes_behind_quit(void **state)
{
    (void)state;
    struct tcp_conn *c = client(ENVELOPE);
    say(c, "Subject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n\r\nmore\r\n");
    turn(c, 20);
    told("250 2.0.0 Ok: queued as");
    told("221 ");
    assert_false(b->client_failed);
    tcp_close(b->tcp, c);
    check_home();
}

/* ---- disks ---- */

static void a_failing_disk_gives_no_250(void **state)
{
    static const int error[] = {EIO, ENOSPC};

    (void)state;
    for (uint64_t nth = 0; nth < 3; nth++)
        for (size_t i = 0; i < BASE_ARRAY_CNT(error); i++) {
            struct tcp_conn *c = client(ENVELOPE);
            disk_sim_fail_writes(&b->disk, nth, 100, -error[i]);
            say(c, "Subject: x\r\n\r\nbody\r\n.\r\n");
            turn(c, 50);
            if (nth == 0)
                not_told("queued as");
            disk_sim_fail_writes(&b->disk, 0, 0, 0);
            skip_time(c, 30 * BASE_NS_S);
            say(c, "RSET\r\n" /* the session is usable */);
            turn(c, 10);
            told("250 2.0.0 ");
            say(c, "QUIT\r\n");
            turn(c, 10);
            tcp_close(b->tcp, c);
            b->got_len = 0;
            check_home();
        }
}

/* A header section of 10 MiB, far more entries than a few: it is held whole, and taken. */
static void long_headers(void **state)
{
    static char text[1 << 14];
    size_t len = 0;

    (void)state;
    close_bench(NULL);
    open_with(NULL, 1024);
    struct tcp_conn *c = client(ENVELOPE);
    for (int i = 0; i < 200; i++)
        len += (size_t)sprintf(text + len, "X-Filler: %060d\r\n", i);
    for (int i = 0; i < 700; i++) {
        say_bytes(c, text, len);
        while (tcp_send_pending(c) > 100000)
            turn(c, 1);
    }
    turn(c, 200);
    struct spool_entry none = {.op = SPOOL_ABORT}; /* of a message that is not there: no effect */
    while (lane_spool_room(b->lane, 200))
        lane_spool_push(b->lane, &none);
    say(c, "\r\nbody\r\n.\r\n");
    host_pass(c);
    b->now_ns += BASE_NS_MS;
    wire_advance(b->wire, b->now_ns);
    gateway_pass(); /* the ring has no room for it now */
    turn(c, 500);
    told("queued as");
    assert_true(lane_stat(STATS_CONN_MESSAGES) == 1);
    tcp_close(b->tcp, c);
    check_home();
}

/* ---- settings ---- */

/* A session that slept over a reload and then runs into its time-out. */
static void timeout_after_a_reload(void **state)
{
    (void)state;
    for (int body = 0; body < 2; body++) {
        struct tcp_conn *c = client(body ? ENVELOPE : "EHLO c.example\r\n");
        for (int i = 0; i < 2; i++) {
            settings_publish(&b->hub, settings_of_text());
            turn(c, 2);
            assert_int_equal(settings_reclaim(&b->hub), 0); /* nobody is online: freed */
        }
        skip_time(c, 301 * BASE_NS_S);
        told("421 4.4.2 gw.example");
        tcp_close(b->tcp, c);
        b->got_len = 0;
        check_home();
    }
}

/* ---- the way out ---- */

static void answer(const char *text)
{
    assert_non_null(b->sink);
    b->asked_len = 0;
    say(b->sink, text);
    turn(NULL, 10);
}

static void one_message(void)
{
    struct tcp_conn *c = client(ENVELOPE);

    say(c, "Subject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n");
    turn(c, 20);
    told("queued as");
    tcp_close(b->tcp, c);
}

static struct queue_usage queued(void)
{
    struct queue_usage u;

    queue_usage(b->courier.queue, &u);
    return u;
}

static void one_delivery(void)
{
    one_message();
    turn(NULL, 10);
    answer("220 sink\r\n");
    assert_non_null(strstr(b->asked, "EHLO gw.example"));
    answer("250 sink\r\n");
    answer("250 ok\r\n");
    answer("250 ok\r\n");
    answer("354 go\r\n");
    assert_non_null(strstr(b->asked, "\r\nbody\r\n.\r\n"));
    answer("250 taken\r\n221 bye, unasked\r\n"); /* more than was asked for */
    turn(NULL, 20);
    assert_int_equal(b->lane->out_cnt, 0); /* it took that for the answer to QUIT */
    tcp_close(b->tcp, b->sink);
    b->sink = NULL;
    turn(NULL, 20);
}

static void delivery(void **state)
{
    (void)state;
    b->courier_off = false;
    one_delivery();
    assert_int_equal(queued().message_cnt, 0);
    check_home();
}

/* A next hop that goes away at each step: the recipient is deferred, nothing is left. */
static void next_hop_goes(void **state)
{
    static const char *const reply[] = {"220 sink\r\n", "250 sink\r\n", "250 ok\r\n", "250 ok\r\n",
                                        "354 go\r\n"};

    (void)state;
    b->courier_off = false;
    for (size_t step = 0; step <= BASE_ARRAY_CNT(reply); step++)
        for (int reset = 0; reset < 2; reset++) {
            uint64_t before = queued().deferred_cnt;
            one_message();
            turn(NULL, 10);
            for (size_t i = 0; i < step; i++)
                answer(reply[i]);
            if (reset)
                tcp_abort(b->tcp, b->sink);
            else
                tcp_close(b->tcp, b->sink);
            b->sink = NULL;
            turn(NULL, 50);
            assert_int_equal(queued().deferred_cnt, before + 1);
            b->got_len = 0;
            one_delivery(); /* or it would be set aside */
            b->got_len = 0;
            check_home();
        }
}

static void an_idle_client_hears_of_the_drain(void **state)
{
    (void)state;
    struct tcp_conn *c = client("EHLO c.example\r\n");
    lane_drain(b->lane);
    turn(c, 5);
    told("421 4.3.2");
    assert_true(tcp_recv_ended(c));
    tcp_close(b->tcp, c);
    check_home();
}

/* One amid a message ends it, and hears after it. */
static void a_message_ends_before_the_drain(void **state)
{
    (void)state;
    struct tcp_conn *c = client(ENVELOPE "Subject: x\r\n");
    lane_drain(b->lane);
    turn(c, 5);
    not_told("421");
    say(c, "\r\nbody\r\n.\r\n");
    turn(c, 20);
    told("queued as");
    told("421 4.3.2");
    assert_true(tcp_recv_ended(c));
    tcp_close(b->tcp, c);
    check_home();
}

/* A delivery that a lane could not begin costs no attempt, and nothing is journalled. */
static void a_drained_lane_spends_no_attempt(void **state)
{
    (void)state;
    one_message();
    lane_drain(b->lane);
    b->courier_off = false;
    turn(NULL, 20);
    assert_null(b->sink);
    assert_int_equal(queued().message_cnt, 1);
    assert_int_equal(queued().deferred_cnt, 0);
    assert_int_equal(stats_get(b->courier.stats, STATS_COURIER_DEFERRED), 0);
    assert_true(courier_idle(&b->courier));
    check_home();
}

/* A next hop that does not answer QUIT does not hold the drain. */
static void a_drain_waits_for_no_answer_to_quit(void **state)
{
    static const char *const reply[] = {"220 sink\r\n", "250 sink\r\n", "250 ok\r\n",
                                        "250 ok\r\n",   "354 go\r\n",   "250 taken\r\n"};

    (void)state;
    b->courier_off = false;
    one_message();
    turn(NULL, 10);
    for (size_t i = 0; i < BASE_ARRAY_CNT(reply); i++)
        answer(reply[i]);
    assert_int_equal(b->lane->out_cnt, 1);
    assert_int_equal(queued().message_cnt, 0);
    lane_drain(b->lane);
    turn(NULL, 5);
    assert_int_equal(b->lane->out_cnt, 0);
    assert_non_null(strstr(b->asked, "QUIT\r\n"));
    tcp_close(b->tcp, b->sink);
    b->sink = NULL;
    check_home();
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_bench, close_bench)
    const struct CMUnitTest tests[] = {
        CASE(every_ending_gives_everything_back),
        CASE(reset_with_the_handshake),
        CASE(reset_with_durable),
        CASE(replies_survive_bytes_behind_quit),
        CASE(a_failing_disk_gives_no_250),
        CASE(long_headers),
        CASE(timeout_after_a_reload),
        CASE(delivery),
        CASE(next_hop_goes),
        CASE(an_idle_client_hears_of_the_drain),
        CASE(a_message_ends_before_the_drain),
        CASE(a_drained_lane_spends_no_attempt),
        CASE(a_drain_waits_for_no_answer_to_quit),
    };

    b = aligned_alloc(64, (sizeof(*b) + 63) & ~(size_t)63);
    memset(b, 0, sizeof(*b));
    dpdk_eal_init();
    int status = cmocka_run_group_tests_name("conn", tests, NULL, NULL);
    free(b);
    return status;
}
