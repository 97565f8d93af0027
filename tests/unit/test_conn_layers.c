/*
 * The stack of layers of a connection, with two toys: one that XORs every byte, and one that frames
 * bytes by a length. The same SMTP session over none, either and both of them, cut at random: the
 * replies must be the same, and a frame that is no frame must end the connection.
 */
#include "unit.h"

#include "base_rand.h"
#include "base_time.h"
#include "courier.h"
#include "disk_sim.h"
#include "dpdk_eal.h"
#include "lane.h"
#include "spooler.h"
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>

#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

static const char config_text[] =
    "gateway { hostname = gw.example; run_dir = /run/x; }\n"
    "port p { device = \"net_wire\"; address = { 10.0.0.1/24 }; }\n"
    "listener mx { kind = mx; port = p; tcp_port = 25; }\n"
    "spool { path = /spool; size = 256M; segment_size = 1M; buffers = 64; }\n"
    "smtp { message_size = 10M; }\n"
    "tcp { connections = 16; half_open = 16; time_wait = 16; }\n"
    "relay { networks = { 10.0.0.0/24 }; }\n"
    "route default { host = 10.0.0.2:2525; }\n";

/* ---- the toys ---- */

static enum conn_layer_result xor_bytes(struct base_span in, size_t *consumed, struct base_buf *out)
{
    size_t n = in.len < out->cap - out->len ? in.len : out->cap - out->len;

    for (size_t i = 0; i < n; i++)
        out->p[out->len++] = in.p[i] ^ 0x5a;
    *consumed = n;
    return CONN_LAYER_OK;
}

static enum conn_layer_result xor_code(void *state, struct base_span in, size_t *consumed,
                                       struct base_buf *out)
{
    (void)state;
    return xor_bytes(in, consumed, out);
}

static enum conn_layer_result xor_decode(void *state, struct base_span in, size_t *consumed,
                                         struct base_buf *out, struct base_buf *down)
{
    (void)down;
    return xor_code(state, in, consumed, out);
}

static const struct conn_layer_ops xor_layer = {
    .name = "xor", .decode = xor_decode, .encode = xor_code};

#define FRAME_MAX 1000

/* A frame that has not come whole is kept inside. */
struct framer {
    uint8_t frame[2 + FRAME_MAX];
    size_t have;
};

static enum conn_layer_result unframe(void *state, struct base_span in, size_t *consumed,
                                      struct base_buf *out)
{
    struct framer *f = state;

    *consumed = 0;
    for (;;) {
        size_t want = f->have < 2 ? 2 : 2 + (size_t)base_be16(f->frame);
        if (want > sizeof(f->frame))
            return CONN_LAYER_BAD;
        if (f->have >= 2 && f->have == want) {
            if (base_buf_put(out, f->frame + 2, want - 2) != 0)
                return CONN_LAYER_OK; /* no room above: later */
            f->have = 0;
            continue;
        }
        if (*consumed == in.len)
            return CONN_LAYER_OK;
        f->frame[f->have++] = in.p[(*consumed)++];
    }
}

static enum conn_layer_result unframe_layer(void *state, struct base_span in, size_t *consumed,
                                            struct base_buf *out, struct base_buf *down)
{
    (void)down;
    return unframe(state, in, consumed, out);
}

static enum conn_layer_result frame(void *state, struct base_span in, size_t *consumed,
                                    struct base_buf *out)
{
    (void)state;
    *consumed = 0;
    while (*consumed < in.len) {
        uint8_t head[2];
        size_t n = in.len - *consumed < FRAME_MAX ? in.len - *consumed : FRAME_MAX;
        base_put_be16(head, (uint16_t)n);
        if (base_buf_put(out, head, 2) != 0 || base_buf_put(out, in.p + *consumed, n) != 0)
            return CONN_LAYER_BAD;
        *consumed += n;
    }
    return CONN_LAYER_OK;
}

static const struct conn_layer_ops frame_layer = {
    .name = "frame", .decode = unframe_layer, .encode = frame, .close = free, .overhead_bytes = 64};

enum { USE_XOR = 1, USE_FRAME = 2 };

static void push_xor(struct conn *c, bool outbound)
{
    (void)outbound;
    conn_push_layer(c, &xor_layer, NULL);
}

static void push_frame(struct conn *c, bool outbound)
{
    (void)outbound;
    conn_push_layer(c, &frame_layer, calloc(1, sizeof(struct framer)));
}

static void push_both(struct conn *c, bool outbound)
{
    push_xor(c, outbound); /* next to TCP */
    push_frame(c, outbound);
}

/* ---- a gateway and a client that speaks through the same toys ---- */

struct bench {
    struct wire *wire;
    struct settings_hub hub;
    struct topology topology;
    struct spool_disk disk;
    struct spool *spool;
    struct spooler spooler;
    struct lane *lane;
    struct net *net;
    struct tcp_stack *tcp;
    struct stats_block stats;
    struct rte_mempool *pool[6];
    uint64_t now_ns;
};

static struct bench *b;

static void open_bench(unsigned use)
{
    static const char *const name[6] = {"ld", "lc", "lr", "cd", "cc", "cr"};
    static unsigned run;
    struct conf_errors *errors = calloc(1, sizeof(*errors));
    char err[256], prefix[16];

    b->now_ns = BASE_NS_S;
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
    struct settings *first =
        settings_make(conf_parse("test", base_span_str(config_text), NULL, NULL, errors));
    conf_errors_free(errors);
    free(errors);
    assert_int_equal(settings_hub_init(&b->hub, first, 2), 0);
    snprintf(prefix, sizeof(prefix), "t%u", run++);
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
                             .ctrl_pool = b->pool[1],
                             .push_layers = use == 0           ? NULL
                                            : use == USE_XOR   ? push_xor
                                            : use == USE_FRAME ? push_frame
                                                               : push_both};
    assert_int_equal(lane_init(&b->lane, &lc, b->now_ns, err, sizeof(err)), 0);
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
                           .recv_window_bytes = 65536,
                           .send_buffer_bytes = 262144};
    assert_int_equal(tcp_init(&b->tcp, &t, b->now_ns), 0);
}

static void close_bench(void)
{
    struct spool_done done;

    while (spool_poll(b->spool, &done, 1) == 1)
        if (done.op == SPOOL_ARRIVED)
            spool_arrival_free(done.arrival);
    /* Arrivals that no courier took. */
    while (rte_ring_count(topology_ring(&b->topology, TOPOLOGY_SPOOLER_COURIER, 0)) > 0) {
        rte_ring_sc_dequeue_elem(topology_ring(&b->topology, TOPOLOGY_SPOOLER_COURIER, 0), &done,
                                 sizeof(done));
        spool_arrival_free(done.arrival);
    }
    spool_close(b->spool);
    tcp_fini(b->tcp);
    net_fini(b->net);
    lane_fini(b->lane);
    spooler_fini(&b->spooler);
    topology_fini(&b->topology);
    settings_hub_fini(&b->hub);
    disk_sim_close(&b->disk);
    wire_close(b->wire);
}

/* One millisecond of everything; the client's bytes are appended to got. */
static void turn(struct tcp_conn *c, struct base_buf *got)
{
    struct rte_mbuf *pkts[32];
    struct net_segment segments[32];
    struct base_span span;

    b->now_ns += BASE_NS_MS;
    wire_advance(b->wire, b->now_ns);
    for (int i = 0; i < 8; i++) {
        lane_pass(b->lane, b->now_ns, b->now_ns);
        spooler_pass(&b->spooler, b->now_ns);
    }
    uint32_t n = wire_port(b->wire, 1)->ops->rx_burst(wire_port(b->wire, 1)->state, 0, pkts, 32);
    n = net_input(b->net, pkts, n, segments, b->now_ns);
    tcp_push(b->tcp, segments, n, b->now_ns);
    tcp_run(b->tcp, b->now_ns);
    net_run(b->net, b->now_ns);
    while (tcp_recv_view(c, &span, 1) == 1) {
        assert_int_equal(base_buf_put_span(got, span), 0);
        tcp_recv_consume(b->tcp, c, (uint32_t)span.len);
    }
    tcp_flush(b->tcp, b->now_ns);
    net_flush(b->net);
}

static struct tcp_conn *connect_client(void)
{
    struct net_endpoint any = {0}, to = {.port = 25};
    struct tcp_conn *c;

    to.addr = net_addr_v4((const uint8_t[]){10, 0, 0, 1});
    assert_int_equal(tcp_connect(b->tcp, &any, &to, NULL, &c, b->now_ns), 0);
    return c;
}

#define GOT_CAP 65536

/* Runs the bytes through a gateway with these layers, cut at random; decodes what comes back. */
static size_t session(unsigned use, struct base_span bytes, uint64_t seed, char *out)
{
    static uint8_t wire_bytes[400000], raw[GOT_CAP], plain[GOT_CAP];
    struct base_buf sent = {.p = wire_bytes, .cap = sizeof(wire_bytes)};
    struct base_buf got = {.p = raw, .cap = sizeof(raw)};
    struct base_rand r;
    struct framer f = {.have = 0};
    size_t used;

    base_rand_init(&r, seed);
    if (use & USE_FRAME) {
        while (bytes.len > 0) { /* frames of all lengths */
            size_t n = 1 + base_rand_below(&r, FRAME_MAX);
            n = n < bytes.len ? n : bytes.len;
            assert_int_equal(frame(NULL, base_span_of(bytes.p, n), &used, &sent), CONN_LAYER_OK);
            bytes = base_span_of(bytes.p + n, bytes.len - n);
        }
    } else {
        assert_int_equal(base_buf_put_span(&sent, bytes), 0);
    }
    for (size_t i = 0; use & USE_XOR && i < sent.len; i++)
        wire_bytes[i] ^= 0x5a;
    open_bench(use);
    struct tcp_conn *c = connect_client();
    size_t at = 0;
    for (int ms = 0; ms < 3000 && !tcp_recv_ended(c); ms++) {
        size_t n = 1 + base_rand_below(&r, ms < 500 ? 200 : 20000);
        n = n < sent.len - at ? n : sent.len - at;
        if (n > 0 && ms > 2) {
            int64_t took = tcp_send(b->tcp, c, wire_bytes + at, n);
            at += took > 0 ? (size_t)took : 0;
        }
        turn(c, &got);
    }
    assert_true(tcp_recv_ended(c));
    tcp_close(b->tcp, c);
    got.len = got.len < sizeof(plain) ? got.len : sizeof(plain);
    for (size_t i = 0; use & USE_XOR && i < got.len; i++)
        raw[i] ^= 0x5a;
    struct base_buf text = {.p = plain, .cap = sizeof(plain)};
    if (use & USE_FRAME)
        assert_int_equal(unframe(&f, base_buf_span(&got), &used, &text), CONN_LAYER_OK);
    else
        assert_int_equal(base_buf_put_span(&text, base_buf_span(&got)), 0);
    memcpy(out, text.p, text.len);
    out[text.len] = 0;
    struct base_buf rest = {.p = raw, .cap = sizeof(raw)};
    for (int i = 0; i < 20; i++) { /* the gateway's side closes, too */
        b->now_ns += BASE_NS_MS;
        wire_advance(b->wire, b->now_ns);
        lane_pass(b->lane, b->now_ns, b->now_ns);
    }
    (void)rest;
    assert_int_equal(b->lane->bufs.free_cnt, b->lane->bufs.buf_cnt);
    close_bench();
    return text.len;
}

/* Ids differ from run to run. */
static void mask_ids(char *text)
{
    for (char *p = text; (p = strstr(p, "queued as ")) != NULL; p += 10)
        memset(p + 10, '#', strcspn(p + 10, "\r"));
}

static void same_replies_through_layers(void **state)
{
    static char script[200000], plain[GOT_CAP], layered[GOT_CAP];
    size_t len = 0;

    (void)state;
    len += (size_t)sprintf(script, "EHLO client.example\r\nNOOP\r\nBOGUS\r\n");
    for (int m = 0; m < 3; m++) {
        len += (size_t)sprintf(script + len,
                               "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
                               "DATA\r\nSubject: %d\r\n\r\n..dots\r\n",
                               m);
        for (int line = 0; line < m * 500; line++)
            len += (size_t)sprintf(script + len, "line %d of the message, long enough\r\n", line);
        len += (size_t)sprintf(script + len, ".\r\n");
    }
    /* Chunks, one of them without bytes, whose ends lie anywhere in segments and frames; and ends
     * of data that are none, with commands behind them. */
    len += (size_t)sprintf(script + len,
                           "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
                           "BDAT 24\r\nSubject: x\r\n\r\n.\r\nQUIT\r\n\rBDAT 5000\r\n\n");
    for (int line = 0; line < 119; line++)
        len += (size_t)sprintf(script + len, "%040d\r\n", line);
    len +=
        (size_t)sprintf(script + len, "xBDAT 0 LAST\r\nBDAT 6\r\nQUIT\r\n"
                                      "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"
                                      "x\n.\nQUIT\r\n\n.\r\nQUIT\r\n\r\n.\nQUIT\r\n\r\n.\r\n");
    len += (size_t)sprintf(script + len, "QUIT\r\n");
    session(0, base_span_of(script, len), 1, plain);
    mask_ids(plain);
    assert_non_null(strstr(plain, "queued as ##"));
    assert_non_null(strstr(plain, "Ok: 5000 bytes"));
    assert_non_null(strstr(plain, "503 5.5.1 Error: need MAIL command\r\n250 2.1.0 "));
    assert_non_null(strstr(plain, "550 5.5.2 Error: bare <LF> received\r\n221 "));
    for (unsigned use = USE_XOR; use <= (USE_XOR | USE_FRAME); use++)
        for (uint64_t seed = 0; seed < 5; seed++) {
            session(use, base_span_of(script, len), seed, layered);
            mask_ids(layered);
            assert_string_equal(layered, plain);
        }
}

static void bad_frame_ends_the_connection(void **state)
{
    static uint8_t raw[GOT_CAP];
    struct base_buf got = {.p = raw, .cap = sizeof(raw)};

    (void)state;
    open_bench(USE_FRAME);
    struct tcp_conn *c = connect_client();
    for (int i = 0; i < 5; i++)
        turn(c, &got);
    assert_true(got.len > 0); /* the greeting, framed */
    assert_int_equal(tcp_send(b->tcp, c, "\xff\xff", 2), 2);
    for (int i = 0; i < 5; i++)
        turn(c, &got);
    assert_int_equal(tcp_error(c), TCP_ERROR_RESET);
    tcp_abort(b->tcp, c);
    assert_int_equal(stats_get(b->lane->stats, STATS_CONN_LAYER_BAD), 1);
    assert_int_equal(b->lane->conns.free_cnt, b->lane->conns.object_cnt);
    close_bench();
}

static bool bell_armed_after(enum spool_op op)
{
    struct doorbell *bell = &b->topology.spool[0].bell;
    struct spool_entry e = {.op = (uint8_t)op, .from = 0}, out;

    lane_spool_push(b->lane, &e);
    lane_pass(b->lane, b->now_ns, b->now_ns);
    assert_int_equal(rte_ring_sc_dequeue_elem(b->lane->to_spooler[0], &out, sizeof(out)), 0);
    return atomic_load(&bell->armed) != 0;
}

/* The spooler is woken for pieces of messages eight at a time, for anything else at once, and for
 * all that was put off when buffers run short. */
static void spooler_is_woken(void **state)
{
    (void)state;
    open_bench(0);
    struct doorbell *bell = &b->topology.spool[0].bell, silent = *bell;
    assert_int_equal(doorbell_init(bell), 0);
    doorbell_arm(bell);
    for (int i = 1; i < LANE_PIECES_EACH; i++)
        assert_true(bell_armed_after(i == 1 ? SPOOL_BEGIN : SPOOL_CHUNK));
    assert_false(bell_armed_after(SPOOL_CHUNK));
    doorbell_arm(bell);
    assert_true(bell_armed_after(SPOOL_CHUNK));
    assert_false(bell_armed_after(SPOOL_COMMIT));
    doorbell_arm(bell);
    for (int i = 1; i < LANE_PIECES_EACH; i++)
        assert_true(bell_armed_after(SPOOL_CHUNK));
    uint32_t free_cnt = b->lane->bufs.free_cnt;
    b->lane->bufs.free_cnt = b->lane->bufs.buf_cnt / 2 - 1;
    lane_pass(b->lane, b->now_ns, b->now_ns);
    b->lane->bufs.free_cnt = free_cnt;
    assert_int_equal(atomic_load(&bell->armed), 0);
    doorbell_fini(bell);
    *bell = silent;
    close_bench();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_replies_through_layers),
        cmocka_unit_test(bad_frame_ends_the_connection),
        cmocka_unit_test(spooler_is_woken),
    };

    b = aligned_alloc(64, (sizeof(*b) + 63) & ~(size_t)63);
    memset(b, 0, sizeof(*b));
    dpdk_eal_init();
    int status = cmocka_run_group_tests_name("conn_layers", tests, NULL, NULL);
    free(b);
    return status;
}
