/*
 * Memory and windows of a server under pressure, by seed, in virtual time.
 *
 * A flood: 200,000 segments a second from random sources, nine SYNs for each forged ACK, while
 * clients behind a link with delay and a little loss open connections. The server speaks first, as
 * SMTP's does; each client answers with some data, takes the reply and closes. 99 % must come
 * through, no forged connection, what the server holds is bounded all the time, and afterwards
 * nothing is missing from any pool.
 *
 * Windows: a transfer over a link of 100 ms, with the window that a connection begins with, with
 * one that may grow, and with one that may but for want of memory.
 *
 *     sim_flood [SEED]
 */
#include "sim_pair.h"

#include "base_rand.h"
#include "base_time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>

#define START_NS     (5 * BASE_NS_S)
#define TICK_NS      (100 * BASE_NS_US)
#define FLOOD_PER_S  200000U
#define CLIENT_PER_S 200U
#define SERVER_PORT  25
#define SYN_MAX      1024
#define CONN_MAX     2048
#define BANNER_BYTES 60
#define ASK_BYTES    5000
#define REPLY_BYTES  300
#define PATIENCE_NS  (20 * BASE_NS_S)

struct client {
    struct tcp_conn *conn;
    uint32_t received;
    bool asked;
};

/* What the server knows of a connection; user of its handle. */
struct served {
    uint32_t received;
    bool used;
};

struct flood {
    struct sim_pair pair;
    struct base_rand rand;
    struct client client[CONN_MAX];
    struct served served[CONN_MAX];
    uint32_t opened_cnt, done_cnt, failed_cnt;
    uint32_t mbuf_most, conn_most, rx_most;
    const char *failure;
};

static const uint8_t zeros[ASK_BYTES];

static void fail(struct flood *f, const char *why)
{
    if (f->failure == NULL)
        f->failure = why;
}

/* ---- the attack ---- */

static struct net_addr random_source(struct flood *f, bool v6)
{
    uint64_t r = base_rand_next(&f->rand);
    struct net_addr a = {.b = {0x20, 0x01, 0x0d, 0xb8}};

    if (v6) {
        memcpy(a.b + 8, &r, sizeof(r));
        return a;
    }
    return net_addr_v4((uint8_t[]){203, 0, (uint8_t)(r >> 8), (uint8_t)r});
}

static void attack(struct flood *f, uint32_t cnt, bool v6)
{
    struct sim_host *h = &f->pair.host[1];
    struct net_segment segments[64];
    uint32_t n = 0;

    for (; n < cnt && n < 64; n++) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(h->rx_pool);
        uint64_t r = base_rand_next(&f->rand);
        if (m == NULL) {
            fail(f, "the flood uses up the port's pool");
            break;
        }
        uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, 24);
        bool ack = r % 10 == 0;
        memset(p, 0, 24);
        base_put_be16(p, (uint16_t)(1024 + (r >> 8) % 60000));
        base_put_be16(p + 2, SERVER_PORT);
        base_put_be32(p + 4, (uint32_t)(r >> 32));
        base_put_be32(p + 8, ack ? (uint32_t)base_rand_next(&f->rand) : 0);
        p[12] = 6 << 4;
        p[13] = ack ? 16 : 2;
        base_put_be16(p + 14, 65535);
        p[20] = 2; /* MSS 1460 */
        p[21] = 4;
        base_put_be16(p + 22, 1460);
        segments[n] = (struct net_segment){
            .mbuf = m, .src = random_source(f, v6), .dst = h->addr, .protocol = NET_PROTO_TCP};
    }
    tcp_push(h->tcp, segments, n, f->pair.now_ns);
}

/* ---- those who mean well ---- */

static void open_one(struct flood *f)
{
    struct net_endpoint any = {0};
    struct net_endpoint to = {.addr = f->pair.host[1].addr, .port = SERVER_PORT};

    for (uint32_t i = 0; i < CONN_MAX; i++) {
        struct client *c = &f->client[i];
        if (c->conn != NULL)
            continue;
        *c = (struct client){0};
        if (tcp_connect(f->pair.host[0].tcp, &any, &to, c, &c->conn, f->pair.now_ns) < 0)
            fail(f, "connect");
        f->opened_cnt++;
        return;
    }
    fail(f, "too many clients at a time");
}

static void client_event(struct flood *f, const struct tcp_event *ev)
{
    struct tcp_stack *s = f->pair.host[0].tcp;
    struct client *c = ev->user;

    if (ev->flags & TCP_EVENT_FAILED) {
        f->failed_cnt++;
        tcp_close(s, c->conn);
        c->conn = NULL;
        return;
    }
    uint32_t len = tcp_recv_len(c->conn);
    c->received += len;
    tcp_recv_consume(s, c->conn, len);
    if (!c->asked && c->received >= BANNER_BYTES) {
        c->asked = true;
        if (tcp_send(s, c->conn, zeros, ASK_BYTES) != ASK_BYTES)
            fail(f, "the client cannot send");
    }
    if (c->received == BANNER_BYTES + REPLY_BYTES) {
        f->done_cnt++;
        tcp_close(s, c->conn);
        c->conn = NULL;
    }
}

static struct served *serve(struct flood *f, struct tcp_conn *conn)
{
    for (uint32_t i = 0; i < CONN_MAX; i++) {
        struct served *v = &f->served[i];
        if (v->used)
            continue;
        *v = (struct served){.used = true};
        tcp_set_user(conn, v);
        if (tcp_send(f->pair.host[1].tcp, conn, zeros, BANNER_BYTES) != BANNER_BYTES)
            fail(f, "no banner");
        return v;
    }
    fail(f, "accepted more than there can be");
    return NULL;
}

static void server_event(struct flood *f, const struct tcp_event *ev)
{
    struct tcp_stack *s = f->pair.host[1].tcp;
    struct served *v = ev->flags & TCP_EVENT_ACCEPTED ? serve(f, ev->conn) : ev->user;

    if (v == NULL)
        return;
    uint32_t len = tcp_recv_len(ev->conn), before = v->received;
    v->received += len;
    tcp_recv_consume(s, ev->conn, len);
    if (before < ASK_BYTES && v->received == ASK_BYTES &&
        tcp_send(s, ev->conn, zeros, REPLY_BYTES) != REPLY_BYTES)
        fail(f, "no reply");
    if (ev->flags & (TCP_EVENT_PEER_CLOSED | TCP_EVENT_FAILED)) {
        v->used = false;
        tcp_close(s, ev->conn);
    }
}

static void poll_host(struct flood *f, unsigned host)
{
    struct tcp_event ev[16];
    uint32_t cnt;

    do {
        cnt = tcp_poll(f->pair.host[host].tcp, ev, BASE_ARRAY_CNT(ev));
        for (uint32_t i = 0; i < cnt; i++)
            (host == 0 ? client_event : server_event)(f, &ev[i]);
    } while (cnt == BASE_ARRAY_CNT(ev));
}

static void pass(struct flood *f)
{
    struct tcp_usage u;

    for (unsigned h = 0; h < 2; h++) {
        sim_pair_receive(&f->pair, h);
        poll_host(f, h);
        sim_pair_flush(&f->pair, h);
    }
    tcp_usage(f->pair.host[1].tcp, &u);
    uint32_t rx = rte_mempool_in_use_count(f->pair.host[1].rx_pool);
    f->mbuf_most = u.mbuf_cnt > f->mbuf_most ? u.mbuf_cnt : f->mbuf_most;
    f->conn_most = u.conn_cnt > f->conn_most ? u.conn_cnt : f->conn_most;
    f->rx_most = rx > f->rx_most ? rx : f->rx_most;
    if (u.syn_cnt > SYN_MAX)
        fail(f, "more half-open connections than there may be");
}

static void open_flood(struct flood *f, uint64_t seed, bool timestamps, bool v6)
{
    struct wire_config wire = {.seed = seed, .frame_cap = 32768};
    struct tcp_config tcp[2];
    struct net_endpoint at = {.port = SERVER_PORT};

    base_rand_init(&f->rand, seed);
    for (int h = 0; h < 2; h++) {
        wire.end[h].tx_multi_segs = true;
        wire.end[h].faults = (struct wire_faults){
            .delay_ns = 10 * BASE_NS_MS, .jitter_ns = 2 * BASE_NS_MS, .loss_ppm = 1000};
        tcp[h] = (struct tcp_config){.conn_max = CONN_MAX,
                                     .syn_max = SYN_MAX,
                                     .time_wait_max = 4096,
                                     .listen_max = 1,
                                     .port_min = 1024,
                                     .port_max = 65000,
                                     .recv_window_bytes = 1 << 20,
                                     .recv_window_start_bytes = 1 << 16,
                                     .send_buffer_bytes = 1 << 16,
                                     .recv_mbuf_max = 4000,
                                     .send_mbuf_max = 4000,
                                     .msl_ns = BASE_NS_S,
                                     .keepalive_ns = 10 * BASE_NS_S,
                                     .keepalive_interval_ns = BASE_NS_S,
                                     .keepalive_cnt = 5,
                                     .timestamps_off = !timestamps};
    }
    sim_pair_open_routed(&f->pair, &wire, tcp, START_NS, v6);
    if (tcp_listen(f->pair.host[1].tcp, &at, NULL) < 0)
        fail(f, "listen");
}

static void check_flood(struct flood *f, uint64_t flood_ns)
{
    const struct stats_block *b = &f->pair.host[1].stats;
    uint64_t segments = flood_ns / BASE_NS_S * FLOOD_PER_S;

    if (f->done_cnt * 100ull < f->opened_cnt * 99ull)
        fail(f, "fewer than 99 % came through");
    if (stats_get(b, STATS_TCP_TO_ESTABLISHED) > f->opened_cnt)
        fail(f, "a connection that nobody opened");
    if (stats_get(b, STATS_TCP_COOKIES_SENT) < segments * 8 / 10)
        fail(f, "the flood was none: too few cookies");
    if (stats_get(b, STATS_TCP_COOKIES_ACCEPTED) < f->opened_cnt * 9 / 10)
        fail(f, "cookies were not what let clients in");
    if (stats_get(b, STATS_TCP_COOKIES_BAD) < segments / 20)
        fail(f, "forged ACKs were not refused as such");
    if (f->mbuf_most > 1000 || f->rx_most > 2000 || f->conn_most > 500)
        fail(f, "the flood costs memory");
}

static bool run_flood(uint64_t seed, uint64_t flood_ns, bool timestamps, bool v6)
{
    static struct flood flood; /* large */
    struct flood *f = &flood;
    uint64_t next_ns = START_NS + 2 * BASE_NS_S, end_ns = next_ns + flood_ns;

    *f = (struct flood){0};
    open_flood(f, seed, timestamps, v6);
    for (uint32_t tick = 0; f->failure == NULL && f->pair.now_ns < end_ns; tick++) {
        if (f->pair.now_ns >= next_ns) { /* before that, addresses are proved */
            attack(f, FLOOD_PER_S / (BASE_NS_S / TICK_NS), v6);
            if (tick % (BASE_NS_S / TICK_NS / CLIENT_PER_S) == 0 &&
                f->pair.now_ns >= next_ns + 100 * BASE_NS_MS) /* the cache is full by now */
                open_one(f);
        }
        pass(f);
        sim_pair_advance(&f->pair, f->pair.now_ns + TICK_NS);
    }
    while (f->failure == NULL && f->pair.now_ns < end_ns + 200 * BASE_NS_S) {
        uint64_t next = sim_pair_next(&f->pair);
        if (next > end_ns + PATIENCE_NS)
            for (uint32_t i = 0; i < CONN_MAX; i++)
                if (f->client[i].conn != NULL) {
                    tcp_abort(f->pair.host[0].tcp, f->client[i].conn);
                    f->client[i].conn = NULL;
                }
        if (next == BASE_NS_NONE ||
            (f->pair.now_ns > end_ns + PATIENCE_NS && sim_pair_drained(&f->pair)))
            break;
        sim_pair_advance(&f->pair, next);
        pass(f);
    }
    if (f->failure == NULL && !sim_pair_drained(&f->pair))
        fail(f, "something is left after the flood");
    check_flood(f, flood_ns);
    const struct stats_block *b = &f->pair.host[1].stats;
    printf("flood %s, %s: %llu cookies, %llu forged ACKs; %u of %u clients came through, %llu by a "
           "cookie; at most %u connections, %u mbufs held, %u of the port's out\n",
           v6 ? "IPv6" : "IPv4", timestamps ? "timestamps" : "no timestamps",
           (unsigned long long)stats_get(b, STATS_TCP_COOKIES_SENT),
           (unsigned long long)stats_get(b, STATS_TCP_COOKIES_BAD), f->done_cnt, f->opened_cnt,
           (unsigned long long)stats_get(b, STATS_TCP_COOKIES_ACCEPTED), f->conn_most, f->mbuf_most,
           f->rx_most);
    if (f->failure != NULL)
        fprintf(stderr, "seed %llu: %s\n", (unsigned long long)seed, f->failure);
    bool ok = f->failure == NULL;
    sim_pair_close(&f->pair);
    return ok;
}

/* ---- windows ---- */

#define BULK_BYTES 16000000U

/* Bytes a virtual second that the server receives; 0 when that failed. */
static double bulk(uint64_t seed, uint32_t window_max, uint32_t recv_mbuf_max)
{
    struct sim_pair pair;
    struct tcp_config tcp[2];
    struct wire_config wire = {.seed = seed, .frame_cap = 16384};
    struct net_endpoint at = {.port = SERVER_PORT}, any = {0};
    struct tcp_conn *out = NULL, *in = NULL;
    uint32_t sent = 0, received = 0;

    for (int h = 0; h < 2; h++) {
        wire.end[h].tx_multi_segs = true;
        wire.end[h].faults = (struct wire_faults){
            .delay_ns = 50 * BASE_NS_MS, .bytes_per_s = 100000000, .queue_bytes = 8000000};
        tcp[h] = (struct tcp_config){.conn_max = 4,
                                     .syn_max = 4,
                                     .time_wait_max = 4,
                                     .listen_max = 1,
                                     .port_min = 40000,
                                     .port_max = 40100,
                                     .recv_window_bytes = window_max,
                                     .recv_window_start_bytes = 1 << 16,
                                     .send_buffer_bytes = 4 << 20,
                                     .recv_mbuf_max = recv_mbuf_max};
    }
    sim_pair_open(&pair, &wire, tcp, START_NS);
    struct net_endpoint to = {.addr = pair.host[1].addr, .port = SERVER_PORT};
    bool ok = tcp_listen(pair.host[1].tcp, &at, NULL) == 0 &&
              tcp_connect(pair.host[0].tcp, &any, &to, NULL, &out, START_NS) == 0;
    while (ok && received < BULK_BYTES && pair.now_ns < START_NS + 120 * BASE_NS_S) {
        struct tcp_event ev[4];
        for (unsigned h = 0; h < 2; h++) {
            sim_pair_receive(&pair, h);
            uint32_t n = tcp_poll(pair.host[h].tcp, ev, 4);
            for (uint32_t i = 0; i < n; i++)
                in = ev[i].flags & TCP_EVENT_ACCEPTED ? ev[i].conn : in;
            while (h == 0 && sent < BULK_BYTES) {
                int64_t took = tcp_send(pair.host[0].tcp, out, zeros, sizeof(zeros));
                sent += took > 0 ? (uint32_t)took : 0;
                if (took < (int64_t)sizeof(zeros))
                    break;
            }
            if (h == 1 && in != NULL) {
                uint32_t len = tcp_recv_len(in);
                received += len;
                tcp_recv_consume(pair.host[1].tcp, in, len);
            }
            sim_pair_flush(&pair, h);
        }
        sim_pair_advance(&pair, sim_pair_next(&pair));
    }
    double rate = (double)received / ((double)(pair.now_ns - START_NS) / 1e9);
    printf("bulk, 100 ms, window 64 KiB to %u KiB, %u mbufs: %.0f bytes a virtual second, %llu "
           "times grown\n",
           window_max >> 10, recv_mbuf_max, rate,
           (unsigned long long)stats_get(&pair.host[1].stats, STATS_TCP_WINDOWS_GROWN));
    sim_pair_close(&pair);
    return ok && received >= BULK_BYTES ? rate : 0;
}

static bool windows(uint64_t seed)
{
    double fixed = bulk(seed, 1 << 16, 6000), grown = bulk(seed, 4 << 20, 8000);
    double poor = bulk(seed, 4 << 20, 100);

    if (fixed > 0 && poor > 0 && grown >= 5 * fixed && poor <= 1.5 * fixed)
        return true;
    fprintf(stderr, "seed %llu: windows\n", (unsigned long long)seed);
    return false;
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    unsigned failed_cnt = 0;

    sim_pair_start();
    failed_cnt += !windows(seed);
    failed_cnt += !run_flood(seed, 3 * BASE_NS_S, true, false);
    failed_cnt += !run_flood(seed, BASE_NS_S, false, false);
    failed_cnt += !run_flood(seed, BASE_NS_S, true, true);
    return failed_cnt > 0;
}
