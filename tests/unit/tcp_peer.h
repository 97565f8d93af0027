/*
 * The peer of a stack on a bench (tcp_lab.h), for the cmocka programs of lib/tcp: what it sends and
 * what it expects. One lab a program.
 */
#ifndef TCP_PEER_H
#define TCP_PEER_H

#include "unit.h"

#include "tcp_lab.h"

#include <errno.h>

#define FIN TCP_FLAG_FIN
#define SYN TCP_FLAG_SYN
#define RST TCP_FLAG_RST
#define PSH TCP_FLAG_PSH
#define ACK TCP_FLAG_ACK
#define IRS 1000000U /* the peer's first number */
#define MSS 1460
#define MS  BASE_NS_MS

static struct lab lab; /* large */
static struct tcp_event ev;

static const struct net_endpoint any_25 = {.port = LAB_LOCAL_PORT};
static const struct net_endpoint peer_25 = {
    .addr = {.b = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 2}}, .port = 25};
static const struct net_endpoint any;

/* ---- the peer's side ---- */

static uint32_t peer_seq, peer_ack; /* what it sends next, what it has received */
static uint16_t peer_port, local_port;

static inline void peer(uint8_t flags, uint32_t seq, uint32_t ack, const void *data, uint32_t len)
{
    struct lab_segment g = {.flags = flags,
                            .seq = seq,
                            .ack = ack,
                            .window = 65535,
                            .data = data,
                            .len = len,
                            .peer_port = peer_port,
                            .local_port = local_port};
    lab_in(&lab, &g);
}

static inline void peer_window(uint32_t ack, uint16_t window)
{
    struct lab_segment g = {.flags = ACK,
                            .seq = peer_seq,
                            .ack = ack,
                            .window = window,
                            .peer_port = peer_port,
                            .local_port = local_port};
    lab_in(&lab, &g);
}

static inline const struct lab_segment *expect(uint8_t flags)
{
    const struct lab_segment *g = lab_out(&lab);

    assert_non_null(g);
    assert_int_equal(g->flags & ~PSH, flags);
    return g;
}

static inline void expect_nothing(void)
{
    assert_null(lab_out(&lab));
}

static inline void expect_event(uint32_t flags)
{
    assert_int_equal(tcp_poll(lab.s, &ev, 1), 1);
    assert_int_equal(ev.flags, flags);
}

static inline void expect_no_event(void)
{
    assert_int_equal(tcp_poll(lab.s, &ev, 1), 0);
}

static inline uint64_t count(enum stats_id id)
{
    return stats_get(&lab.stats, id);
}

static inline void open_lab(void)
{
    struct tcp_config c = lab_config();

    lab_open(&lab, &c);
    peer_port = local_port = 0;
    assert_int_equal(tcp_listen(lab.s, &any_25, NULL), 0);
}

/* The peer opens; peer_seq and peer_ack are what follows the handshake. */
static inline struct tcp_conn *accept_one(void)
{
    struct lab_segment syn = {.flags = SYN,
                              .seq = IRS,
                              .window = 65535,
                              .has_mss = true,
                              .mss = MSS,
                              .peer_port = peer_port};

    lab_in(&lab, &syn);
    const struct lab_segment *g = expect(SYN | ACK);
    assert_int_equal(g->ack, IRS + 1);
    peer_seq = IRS + 1;
    peer_ack = g->seq + 1;
    peer(ACK, peer_seq, peer_ack, NULL, 0);
    expect_nothing();
    expect_event(TCP_EVENT_ACCEPTED);
    return ev.conn;
}

/* We open to port 25 of the peer. */
static inline struct tcp_conn *connect_one(uint32_t *iss)
{
    struct tcp_conn *c;

    assert_int_equal(tcp_connect(lab.s, &any, &peer_25, NULL, &c, lab.now_ns), 0);
    tcp_flush(lab.s, lab.now_ns);
    const struct lab_segment *g = expect(SYN);
    *iss = g->seq;
    local_port = g->local_port;
    peer_port = 25;
    return c;
}

static inline void check_drained(void)
{
    struct tcp_usage u;

    tcp_usage(lab.s, &u);
    assert_int_equal(u.conn_cnt + u.syn_cnt + u.time_wait_cnt + u.mbuf_cnt, 0);
}

static inline void read_all(struct tcp_conn *c, const char *expected)
{
    struct base_span span[8];
    uint32_t n = tcp_recv_view(c, span, 8), len = 0;
    char text[256];

    for (uint32_t i = 0; i < n; i++) {
        memcpy(text + len, span[i].p, span[i].len);
        len += (uint32_t)span[i].len;
    }
    assert_int_equal(len, tcp_recv_len(c));
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(text, expected, len);
    tcp_recv_consume(lab.s, c, len);
}

static inline void send_text(struct tcp_conn *c, const char *text)
{
    assert_int_equal(tcp_send(lab.s, c, text, strlen(text)), strlen(text));
    tcp_flush(lab.s, lab.now_ns);
}

static inline void send_zeros(struct tcp_conn *c, uint32_t len)
{
    static const uint8_t zeros[65536];
    assert_int_equal(tcp_send(lab.s, c, zeros, len), len);
    tcp_flush(lab.s, lab.now_ns);
}

#endif
