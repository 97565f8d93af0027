/* What connections may hold of the port's mbufs, and that it all comes back. */
#include "tcp_peer.h"

#include "base_rand.h"

#include <rte_mempool.h>

#define CONN_CNT 32

static uint32_t acks[CONN_CNT];

static void open_with(uint32_t recv_mbuf_max)
{
    struct tcp_config c = lab_config();

    c.conn_max = CONN_CNT;
    c.recv_mbuf_max = recv_mbuf_max;
    c.send_mbuf_max = recv_mbuf_max;
    lab_open(&lab, &c);
    peer_port = local_port = 0;
    assert_int_equal(tcp_listen(lab.s, &any_25, NULL), 0);
}

static struct tcp_conn *accept_at(uint32_t i)
{
    peer_port = (uint16_t)(6000 + i);
    struct tcp_conn *c = accept_one();
    acks[i] = peer_ack;
    return c;
}

/* RX mbufs that the stack holds. */
static uint32_t pinned(void)
{
    return rte_mempool_in_use_count(lab.rx_pool);
}

static void push_at(uint32_t i, uint32_t offset, uint32_t len, const void *data)
{
    struct lab_segment g = {.flags = ACK,
                            .seq = IRS + 1 + offset,
                            .ack = acks[i],
                            .window = 65535,
                            .data = data,
                            .len = len,
                            .peer_port = (uint16_t)(6000 + i)};

    lab_in(&lab, &g);
    while (lab_out(&lab) != NULL)
        ;
}

/* T8: the bytes are copied; each one costs a small mbuf, and there are at most 64 of them. */
static void early_bytes_pin_nothing(void **state)
{
    (void)state;
    char text[257];
    open_with(0);
    struct tcp_conn *c = accept_at(0);

    for (uint32_t i = 0; i < 600; i++)
        push_at(0, 1 + 2 * i, 1, "x");
    assert_int_equal(pinned(), 0);
    assert_int_equal(rte_mempool_in_use_count(lab.frame_pool), TCP_OOO_SMALL_MAX);
    memset(text, 'a', sizeof(text));
    push_at(0, 3000, TCP_OOO_COPY_MAX_BYTES, text);
    assert_int_equal(pinned(), 0);
    tcp_abort(lab.s, c);
    expect(RST | ACK);
    c = accept_at(1);
    push_at(1, 3000, TCP_OOO_COPY_MAX_BYTES + 1, text); /* more is worth an mbuf */
    assert_int_equal(pinned(), 1);
    push_at(1, 2900, 200, text); /* half of it is there */
    assert_int_equal(pinned(), 1);
    push_at(1, 0, 1, "x");
    assert_int_equal(tcp_recv_len(c), 1);
    tcp_abort(lab.s, c);
    lab_close(&lab);
}

/* What was copied is what was sent. */
static void early_bytes_stay_what_they_were(void **state)
{
    (void)state;
    char text[1000], out[1000];
    struct base_span span[8];
    uint32_t len = 0;
    open_with(0);
    struct tcp_conn *c = accept_at(0);

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + i % 26);
    for (uint32_t i = 9; i > 0; i--)
        push_at(0, 100 * i, 100, text + 100 * i);
    assert_int_equal(pinned(), 0);
    push_at(0, 0, 100, text);
    uint32_t cnt = tcp_recv_view(c, span, 8);
    for (uint32_t i = 0; i < cnt; i++) {
        memcpy(out + len, span[i].p, span[i].len);
        len += (uint32_t)span[i].len;
    }
    assert_int_equal(len, 1000);
    assert_memory_equal(out, text, 1000);
    tcp_recv_consume(lab.s, c, len);
    tcp_abort(lab.s, c);
    lab_close(&lab);
}

/* Early data of all connections has a quarter; a newcomer pushes out another's. */
static void early_data_has_a_share(void **state)
{
    (void)state;
    struct tcp_conn *c[CONN_CNT];
    char text[1000] = {0};
    open_with(64);

    for (uint32_t i = 0; i < CONN_CNT; i++) {
        c[i] = accept_at(i);
        if (i == CONN_CNT - 1)
            break;
        for (uint32_t k = 0; k < 4; k++)
            push_at(i, 1000 + 2000 * k, 1000, text);
        assert_true(pinned() <= 16);
    }
    assert_int_equal(count(STATS_TCP_EARLY_EVICTED), 4 * (CONN_CNT - 1) - 16);
    assert_int_equal(count(STATS_TCP_DROP_OUT_OF_ORDER), 0);
    push_at(CONN_CNT - 1, 1000, 1000, text);
    push_at(CONN_CNT - 1, 0, 1000, text);
    assert_int_equal(tcp_recv_len(c[CONN_CNT - 1]), 2000);
    for (uint32_t i = 0; i < CONN_CNT; i++)
        tcp_abort(lab.s, c[i]);
    lab_close(&lab);
}

/* Thirty connections push all they can, in order and early, and nobody reads: there are always RX
 * mbufs left; when the callers read, all comes back and data flows again. */
static void nobody_reads(void **state)
{
    (void)state;
    struct tcp_conn *c[CONN_CNT];
    struct base_rand rand;
    char text[1400] = {0};
    uint32_t most = 0;
    open_with(100);

    base_rand_init(&rand, 1);
    for (uint32_t i = 0; i < CONN_CNT; i++)
        c[i] = accept_at(i);
    for (uint32_t n = 0; n < 20000; n++) {
        uint32_t i = (uint32_t)base_rand_below(&rand, CONN_CNT);
        uint32_t len = 1 + (uint32_t)base_rand_below(&rand, sizeof(text));
        bool early = base_rand_below(&rand, 3) > 0;
        uint32_t offset = early ? (uint32_t)base_rand_below(&rand, 60000) : 0;
        push_at(i, c[i]->rcv_nxt - IRS - 1 + offset, len, text);
        most = tcp_max(most, pinned());
    }
    assert_int_equal(most, 100);
    assert_true(count(STATS_TCP_DROP_MEMORY) > 0);
    for (uint32_t i = 0; i < CONN_CNT; i++)
        tcp_recv_consume(lab.s, c[i], tcp_recv_len(c[i]));
    assert_true(pinned() <= 25); /* early data's share */
    push_at(0, c[0]->rcv_nxt - IRS - 1, 1000, text);
    assert_true(tcp_recv_len(c[0]) >= 1000);
    for (uint32_t i = 0; i < CONN_CNT; i++)
        tcp_abort(lab.s, c[i]);
    assert_int_equal(pinned(), 0);
    lab_close(&lab);
}

/* Marks and pools that cannot be. */
static void bad_configs(void **state)
{
    (void)state;
    struct tcp_config c = lab_config();
    struct tcp_stack *s;

    c.memory_shrink_pct = 101;
    assert_int_equal(tcp_init(&s, &c, 1), -EINVAL);
    c = lab_config();
    c.memory_refuse_pct = 255;
    assert_int_equal(tcp_init(&s, &c, 1), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(early_bytes_pin_nothing),
        cmocka_unit_test(early_bytes_stay_what_they_were),
        cmocka_unit_test(early_data_has_a_share),
        cmocka_unit_test(nobody_reads),
        cmocka_unit_test(bad_configs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
