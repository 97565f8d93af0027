/*
 * What a stack is asked and told because others stand beside it: segments that belong to nothing of
 * ours (tcp_config.stray has them before they are refused), ports that fit (tcp_config.port_fits).
 */
#include "tcp_peer.h"

#include "dpdk_eal.h"
#include "frames.h"

#define FRAME_BYTES 34
#define MARK        0xa5

static struct {
    uint32_t cnt;
    uint32_t len;
    uint8_t first;
    struct net_endpoint local, remote;
    bool listened;
    bool take;
} seen;

static bool stray(void *arg, struct rte_mbuf *frame, const struct net_endpoint *local,
                  const struct net_endpoint *remote, bool listened)
{
    assert_ptr_equal(arg, &seen);
    rte_mbuf_sanity_check(frame, 1);
    seen.cnt++;
    seen.len = frame->pkt_len;
    seen.first = *rte_pktmbuf_mtod(frame, const uint8_t *);
    seen.local = *local;
    seen.remote = *remote;
    seen.listened = listened;
    if (seen.take)
        rte_pktmbuf_free(frame);
    return seen.take;
}

static void open_config(struct tcp_config *c, bool take)
{
    memset(&seen, 0, sizeof(seen));
    seen.take = take;
    c->stray = stray;
    c->stray_arg = &seen;
    lab_open(&lab, c);
    peer_port = local_port = 0;
    assert_int_equal(tcp_listen(lab.s, &any_25, NULL), 0);
}

static void open_with_stray(bool take)
{
    struct tcp_config c = lab_config();

    open_config(&c, take);
}

/* A segment as lib/net passes it up. first_bytes: of the first mbuf, of 34 + 20 + len. */
static void arrive(uint8_t flags, uint16_t port, uint32_t len, uint32_t first_bytes)
{
    uint8_t bytes[FRAME_BYTES + 20 + 100] = {MARK};
    uint8_t *h = bytes + FRAME_BYTES;

    base_put_be16(h, LAB_PEER_PORT);
    base_put_be16(h + 2, port);
    h[12] = 0x50;
    h[13] = flags;
    struct rte_mbuf *m = frame_mbuf(lab.rx_pool, bytes, FRAME_BYTES + 20 + len, first_bytes);
    rte_pktmbuf_adj(m, FRAME_BYTES);
    struct net_segment in = {.mbuf = m,
                             .src = net_addr_v4((uint8_t[]){10, 0, 0, 2}),
                             .dst = net_addr_v4((uint8_t[]){10, 0, 0, 1}),
                             .protocol = NET_PROTO_TCP,
                             .frame_bytes = FRAME_BYTES};
    tcp_push(lab.s, &in, 1, lab.now_ns);
}

static void whole_frames(void **state)
{
    (void)state;
    static const uint8_t flags[] = {SYN, ACK, RST, ACK | FIN, SYN | ACK, ACK | RST};

    open_with_stray(true);
    for (uint32_t i = 0; i < BASE_ARRAY_CNT(flags); i++) {
        for (uint32_t len = 0; len < 100; len += 33) {
            seen.cnt = 0;
            arrive(flags[i], 22, len, len > 33 ? FRAME_BYTES + 20 + 7 : 0);
            assert_int_equal(seen.cnt, 1);
            assert_int_equal(seen.len, FRAME_BYTES + 20 + len);
            assert_int_equal(seen.first, MARK);
            assert_int_equal(seen.local.port, 22);
            assert_int_equal(seen.remote.port, LAB_PEER_PORT);
            assert_int_equal(seen.local.addr.b[15], 1);
            assert_int_equal(seen.remote.addr.b[15], 2);
            assert_false(seen.listened);
        }
    }
    expect_nothing();
    assert_int_equal(count(STATS_TCP_DROP_UNKNOWN), 0);
    lab_close(&lab);
}

/* A listener's: its SYNs never, the rest is offered as such. */
static void at_a_listener(void **state)
{
    (void)state;

    open_with_stray(true);
    arrive(SYN, LAB_LOCAL_PORT, 0, 0);
    assert_int_equal(seen.cnt, 0);
    expect(SYN | ACK);
    arrive(RST, LAB_LOCAL_PORT, 0, 0);
    arrive(ACK, LAB_LOCAL_PORT + 1, 0, 0);
    assert_int_equal(seen.cnt, 1);
    assert_false(seen.listened);
    for (int i = 0; i < 10; i++) { /* the handshake is given up */
        lab_wait(&lab, 100 * BASE_NS_S);
        while (lab_out(&lab) != NULL)
            ;
    }
    arrive(ACK, LAB_LOCAL_PORT, 10, 0);
    assert_int_equal(seen.cnt, 2);
    assert_true(seen.listened);
    expect_nothing();
    lab_close(&lab);
}

/* While there are cookies, an ACK that is of none is offered before it is refused, too. */
static void beside_cookies(void **state)
{
    (void)state;
    const struct net_endpoint any_26 = {.port = 26};

    for (int take = 0; take < 2; take++) {
        struct tcp_config c = lab_config();
        c.syn_max = 1;
        open_config(&c, take);
        assert_int_equal(tcp_listen(lab.s, &any_26, NULL), 0);
        arrive(SYN, LAB_LOCAL_PORT, 0, 0);
        expect(SYN | ACK);
        arrive(SYN, 26, 0, 0);
        expect(SYN | ACK);
        assert_int_equal(count(STATS_TCP_COOKIES_SENT), 1);
        arrive(ACK, 26, 10, 0);
        assert_int_equal(seen.cnt, 1);
        assert_true(seen.listened);
        assert_int_equal(seen.len, FRAME_BYTES + 20 + 10);
        assert_int_equal(count(STATS_TCP_COOKIES_BAD), !take);
        if (!take)
            expect(RST);
        expect_nothing();
        lab_close(&lab);
    }
}

static void refused_when_nobody_wants_it(void **state)
{
    (void)state;

    open_with_stray(false);
    arrive(SYN, 22, 5, 0);
    assert_int_equal(seen.cnt, 1);
    assert_int_equal(expect(RST | ACK)->ack, 6);
    arrive(ACK, 22, 0, 0);
    expect(RST);
    assert_int_equal(count(STATS_TCP_DROP_UNKNOWN), 2);
    /* The first mbuf held nothing but headers, and went with them. */
    arrive(ACK, 22, 20, FRAME_BYTES + 20);
    assert_int_equal(seen.cnt, 2);
    expect(RST);
    lab_close(&lab);
}

/* ---- ports ---- */

static uint32_t asked_cnt, port_mask, port_want;

static bool fits(void *arg, const struct net_endpoint *local, const struct net_endpoint *remote)
{
    assert_ptr_equal(arg, &asked_cnt);
    assert_int_equal(remote->port, 25);
    assert_true(net_addr_eq(&remote->addr, &peer_25.addr));
    assert_false(net_addr_is_none(&local->addr));
    asked_cnt++;
    return (local->port & port_mask) == port_want;
}

static void open_with_ports(uint16_t first, uint16_t last)
{
    struct tcp_config c = lab_config();

    c.port_min = first;
    c.port_max = last;
    c.conn_max = 64;
    c.port_fits = fits;
    c.port_fits_arg = &asked_cnt;
    lab_open(&lab, &c);
    peer_port = local_port = 0;
}

/* All that fit are taken, each once, and none that does not. */
static void ports_that_fit(void **state)
{
    (void)state;
    static bool taken[UINT16_MAX + 1];
    struct tcp_conn *c[32];

    memset(taken, 0, sizeof(taken));
    asked_cnt = 0;
    port_mask = 7;
    port_want = 5;
    open_with_ports(20000, 20255);
    for (uint32_t i = 0; i < 32; i++) {
        uint32_t iss;
        c[i] = connect_one(&iss);
        assert_int_equal(local_port & 7, 5);
        assert_in_range(local_port, 20000, 20255);
        assert_false(taken[local_port]);
        taken[local_port] = true;
    }
    assert_in_range(asked_cnt, 32, 32 * 256);
    struct tcp_conn *none;
    assert_int_equal(tcp_connect(lab.s, &any, &peer_25, NULL, &none, lab.now_ns), -EADDRNOTAVAIL);
    assert_int_equal(count(STATS_TCP_CONNECT_NO_PORT), 1);
    for (uint32_t i = 0; i < 32; i++)
        tcp_abort(lab.s, c[i]);
    lab_close(&lab);
}

static void no_port_fits(void **state)
{
    (void)state;
    struct tcp_conn *none;

    asked_cnt = 0;
    port_mask = 0;
    port_want = 1;
    open_with_ports(20000, 20009);
    assert_int_equal(tcp_connect(lab.s, &any, &peer_25, NULL, &none, lab.now_ns), -EADDRNOTAVAIL);
    assert_int_equal(asked_cnt, 10);
    /* A port that the caller gives is its own affair. */
    struct net_endpoint local = {.port = 20003};
    assert_int_equal(tcp_connect(lab.s, &local, &peer_25, NULL, &none, lab.now_ns), 0);
    assert_int_equal(asked_cnt, 10);
    tcp_abort(lab.s, none);
    lab_close(&lab);
}

int main(void)
{
    dpdk_eal_init();

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_frames),   cmocka_unit_test(at_a_listener),
        cmocka_unit_test(beside_cookies), cmocka_unit_test(refused_when_nobody_wants_it),
        cmocka_unit_test(ports_that_fit), cmocka_unit_test(no_port_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
