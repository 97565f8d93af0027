#include "tcp_peer.h"

/* ---- receiving ---- */

static void delayed_ack(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = accept_one();

    peer(ACK, peer_seq, peer_ack, "a", 1);
    expect_nothing();
    lab_wait(&lab, 39 * MS);
    expect_nothing();
    lab_wait(&lab, 3 * MS);
    assert_int_equal(expect(ACK)->ack, peer_seq + 1);
    peer(ACK, peer_seq + 1, peer_ack, "b", 1);
    expect_nothing();
    peer(ACK, peer_seq + 2, peer_ack, "c", 1); /* the second: at once */
    assert_int_equal(expect(ACK)->ack, peer_seq + 3);
    for (int i = 0; i < 10; i++) { /* a burst gets one */
        struct lab_segment g = {.flags = ACK,
                                .seq = peer_seq + 3 + (uint32_t)i,
                                .ack = peer_ack,
                                .window = 65535,
                                .data = "x",
                                .len = 1};
        lab_push(&lab, &g);
    }
    tcp_flush(lab.s, lab.now_ns);
    assert_int_equal(expect(ACK)->ack, peer_seq + 13);
    expect_nothing();
    read_all(c, "abcxxxxxxxxxx");
    lab_close(&lab);
}

/* A full segment's payload, in two mbufs; returns the first, at its TCP header. */
static struct rte_mbuf *chain_of(uint32_t seq, uint16_t first_len, uint16_t second_len)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(lab.rx_pool), *more = rte_pktmbuf_alloc(lab.rx_pool);

    uint8_t *h = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(20 + first_len));
    assert_non_null(rte_pktmbuf_append(more, second_len));
    memset(h, 0, 20);
    base_put_be16(h, LAB_PEER_PORT);
    base_put_be16(h + 2, LAB_LOCAL_PORT);
    base_put_be32(h + 4, seq);
    base_put_be32(h + 8, peer_ack);
    h[12] = 5 << 4;
    h[13] = ACK;
    base_put_be16(h + 14, 65535);
    assert_int_equal(rte_pktmbuf_chain(m, more), 0);
    return m;
}

/* Bulk is not copied: what the reader is shown are the bytes in the very mbufs that came, chained
 * or not, and consuming gives them back. */
static void bulk_in_place(void **state)
{
    (void)state;
    struct base_span span[8];
    struct net_segment in[4];
    const uint8_t *at[8];
    open_lab();
    struct tcp_conn *c = accept_one();

    for (uint32_t i = 0; i < 4; i++) {
        struct rte_mbuf *m = chain_of(peer_seq + i * 1460, 800, 660);
        at[2 * i] = rte_pktmbuf_mtod_offset(m, uint8_t *, 20);
        at[2 * i + 1] = rte_pktmbuf_mtod(m->next, uint8_t *);
        in[i] = (struct net_segment){.mbuf = m,
                                     .src = net_addr_v4((uint8_t[]){10, 0, 0, 2}),
                                     .dst = net_addr_v4((uint8_t[]){10, 0, 0, 1}),
                                     .protocol = NET_PROTO_TCP};
    }
    tcp_push(lab.s, in, 4, lab.now_ns);
    tcp_flush(lab.s, lab.now_ns);
    assert_int_equal(expect(ACK)->ack, peer_seq + 4 * 1460); /* one for the burst */
    expect_nothing();
    assert_int_equal(tcp_recv_view(c, span, 8), 8);
    for (uint32_t i = 0; i < 8; i++) {
        assert_ptr_equal(span[i].p, at[i]);
        assert_int_equal(span[i].len, i % 2 == 0 ? 800 : 660);
    }
    tcp_recv_consume(lab.s, c, 800 + 600); /* into the middle of the second */
    assert_int_equal(tcp_recv_view(c, span, 8), 7);
    assert_ptr_equal(span[0].p, at[1] + 600);
    tcp_recv_consume(lab.s, c, tcp_recv_len(c));
    lab_close(&lab);
}

static void out_of_order(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = accept_one();

    peer(ACK, peer_seq + 4, peer_ack, "4567", 4); /* each early one is answered at once */
    assert_int_equal(expect(ACK)->ack, peer_seq);
    peer(ACK | FIN, peer_seq + 10, peer_ack, "AB", 2);
    assert_int_equal(expect(ACK)->ack, peer_seq);
    peer(ACK, peer_seq + 2, peer_ack, "xxXXXXx", 7); /* overlaps: the first byte wins */
    expect(ACK);
    expect_no_event();
    assert_int_equal(tcp_recv_len(c), 0);
    peer(ACK, peer_seq, peer_ack, "01", 2);
    assert_int_equal(expect(ACK)->ack, peer_seq + 9); /* what lies beyond is kept */
    expect_event(TCP_EVENT_READABLE);
    read_all(c, "01xx4567x");
    peer(ACK, peer_seq + 6, peer_ack, "???9??", 6); /* old at the front, known at the end */
    expect_event(TCP_EVENT_READABLE | TCP_EVENT_PEER_CLOSED);
    assert_int_equal(expect(ACK)->ack, peer_seq + 13);
    read_all(c, "9AB");
    assert_true(tcp_recv_ended(c));
    tcp_close(lab.s, c);
    lab_close(&lab);
}

/* Bytes one by one must hold few buffers, in order or not. */
static void dribble(void **state)
{
    (void)state;
    struct tcp_usage u;
    open_lab();
    struct tcp_conn *c = accept_one();

    for (uint32_t i = 0; i < 3000; i++)
        peer(ACK, peer_seq + i, peer_ack, "z", 1);
    tcp_usage(lab.s, &u);
    assert_int_equal(tcp_recv_len(c), 3000);
    assert_true(u.mbuf_cnt <= 3);
    for (uint32_t i = 0; i < 600; i++)
        peer(ACK, peer_seq + 3001 + 2 * i, peer_ack, "z", 1);
    tcp_usage(lab.s, &u);
    assert_true(u.mbuf_cnt <= 3 + 64);
    assert_int_equal(count(STATS_TCP_DROP_OUT_OF_ORDER), 600 - 64);
    tcp_abort(lab.s, c);
    check_drained();
    lab_close(&lab);
}

static void receive_window(void **state)
{
    (void)state;
    struct tcp_config g = lab_config();
    static uint8_t zeros[1000];

    g.recv_window_bytes = 4000;
    lab_open(&lab, &g);
    peer_port = local_port = 0;
    assert_int_equal(tcp_listen(lab.s, &any_25, NULL), 0);
    struct tcp_conn *c = accept_one();

    for (uint32_t i = 0; i < 4; i++)
        peer(ACK, peer_seq + i * 1000, peer_ack, zeros, 1000);
    expect(ACK);
    assert_int_equal(expect(ACK)->window, 0);
    peer(ACK, peer_seq + 4000, peer_ack, zeros, 1); /* beyond: the ACK is taken, the byte is not */
    const struct lab_segment *o = expect(ACK);
    assert_int_equal(o->ack, peer_seq + 4000);
    assert_int_equal(o->window, 0);
    assert_int_equal(tcp_recv_len(c), 4000);
    tcp_recv_consume(lab.s, c, 500); /* too little to tell */
    lab_wait(&lab, MS);
    expect_nothing();
    peer(ACK, peer_seq + 3999, peer_ack, NULL, 0); /* a probe */
    assert_int_equal(expect(ACK)->window, 0);
    tcp_recv_consume(lab.s, c, 1500);
    lab_wait(&lab, MS);
    assert_int_equal(expect(ACK)->window, 2000);
    tcp_recv_consume(lab.s, c, 2000);
    lab_wait(&lab, MS);
    assert_int_equal(expect(ACK)->window, 4000);
    lab_close(&lab);
}

/* ---- sending ---- */

static void retransmission(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = accept_one();
    uint64_t rto = BASE_NS_S; /* no sample yet */

    send_text(c, "hello");
    assert_int_equal(expect(ACK)->len, 5);
    for (int i = 0; i < 4; i++) {
        lab_wait(&lab, rto - 2 * MS);
        expect_nothing();
        lab_wait(&lab, 5 * MS);
        const struct lab_segment *g = expect(ACK);
        assert_int_equal(g->seq, peer_ack);
        assert_memory_equal(g->data, "hello", 5);
        rto *= 2;
    }
    peer(ACK, peer_seq, peer_ack + 5, NULL, 0);
    assert_int_equal(c->srtt_us, 0); /* Karn: no sample from what was sent twice */
    assert_int_equal(count(STATS_TCP_TIMEOUTS), 4);
    send_text(c, "again");
    expect(ACK);
    lab_wait(&lab, 100 * MS);
    peer(ACK, peer_seq, peer_ack + 10, NULL, 0);
    assert_in_range(c->srtt_us, 99000, 101000);
    send_text(c, "third"); /* 100 ms + 4 * 50 ms */
    expect(ACK);
    lab_wait(&lab, 298 * MS);
    expect_nothing();
    lab_wait(&lab, 5 * MS);
    assert_memory_equal(expect(ACK)->data, "third", 5);
    for (int i = 0; i < 400; i++)
        lab_wait(&lab, BASE_NS_S);
    expect_event(TCP_EVENT_FAILED);
    assert_int_equal(tcp_error(c), TCP_ERROR_TIMEOUT);
    tcp_close(lab.s, c);
    check_drained();
    lab_close(&lab);
}

static void fast_retransmit(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = accept_one();
    uint32_t sent = 0;

    send_zeros(c, 30000);
    while (lab_out(&lab) != NULL)
        sent++;
    assert_int_equal(sent, 10); /* RFC 6928 */
    peer(ACK, peer_seq, peer_ack, NULL, 0);
    assert_int_equal(expect(ACK)->seq, peer_ack + 10 * MSS); /* RFC 3042 */
    peer(ACK, peer_seq, peer_ack, NULL, 0);
    assert_int_equal(expect(ACK)->seq, peer_ack + 11 * MSS);
    expect_nothing();
    peer(ACK, peer_seq, peer_ack, NULL, 0);
    assert_int_equal(expect(ACK)->seq, peer_ack); /* the third */
    assert_int_equal(c->ssthresh, 5 * MSS);       /* limited transmit does not count */
    expect_nothing();
    /* A partial ACK: the next hole at once, and only that. */
    peer(ACK, peer_seq, peer_ack + 2 * MSS, NULL, 0);
    assert_int_equal(expect(ACK)->seq, peer_ack + 2 * MSS);
    assert_int_equal(count(STATS_TCP_FAST_RETRANSMITS), 1);
    peer(ACK, peer_seq, peer_ack + 12 * MSS, NULL, 0); /* all of it: recovery is over */
    assert_true(c->cwnd <= 5 * MSS);
    assert_int_equal(count(STATS_TCP_TIMEOUTS), 0);
    lab_close(&lab);
}

/* Acknowledging what was not sent gains nothing (optimistic ACKs). */
static void ack_of_the_future(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = accept_one();

    send_zeros(c, 3000);
    while (lab_out(&lab) != NULL)
        continue;
    uint32_t cwnd = c->cwnd;
    peer(ACK, peer_seq, peer_ack + 3001, NULL, 0);
    expect(ACK);
    assert_int_equal(c->cwnd, cwnd);
    assert_int_equal(tcp_send_pending(c), 3000);
    peer(ACK, peer_seq, peer_ack - 70000, "x", 1); /* far in the past: its data neither */
    expect(ACK);
    assert_int_equal(tcp_recv_len(c), 0);
    assert_int_equal(count(STATS_TCP_DROP_ACK), 2);
    lab_close(&lab);
}

static void zero_window(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = accept_one();
    uint64_t wait = BASE_NS_S;

    peer_window(peer_ack, 0);
    send_zeros(c, 5000);
    expect_nothing();
    for (int i = 0; i < 5; i++) { /* probes, further and further apart; each is answered */
        lab_wait(&lab, wait - 2 * MS);
        expect_nothing();
        lab_wait(&lab, 5 * MS);
        const struct lab_segment *g = expect(ACK);
        assert_int_equal(g->seq, peer_ack - 1);
        assert_int_equal(g->len, 0);
        peer_window(peer_ack, 0);
        wait *= 2;
    }
    assert_int_equal(count(STATS_TCP_ZERO_WINDOW_PROBES), 5);
    peer_window(peer_ack, 100); /* silly: it waits */
    expect_nothing();
    lab_wait(&lab, 1100 * MS); /* but not for ever */
    assert_int_equal(expect(ACK)->len, 100);
    peer_window(peer_ack + 100, 65535);
    assert_int_equal(expect(ACK)->len, MSS);
    lab_close(&lab);
}

/* A window that closes on what is in flight, and opens long after. */
static void window_shrinks(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = accept_one();

    send_zeros(c, 3000);
    while (lab_out(&lab) != NULL)
        continue;
    peer_window(peer_ack, 0);
    for (int i = 0; i < 40; i++) {
        lab_wait(&lab, BASE_NS_S);
        while (lab_out(&lab) != NULL)
            peer_window(peer_ack, 0);
    }
    expect_no_event();
    peer_window(peer_ack, 65535); /* the first segment at once */
    const struct lab_segment *g = expect(ACK);
    assert_int_equal(g->seq, peer_ack);
    assert_int_equal(g->len, MSS);
    peer(ACK, peer_seq, peer_ack + 3000, NULL, 0);
    assert_int_equal(tcp_send_pending(c), 0);
    lab_close(&lab);
}

static void zero_window_ends(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = accept_one();

    lab_wait(&lab, 1000 * BASE_NS_S); /* idle time does not count */
    peer_window(peer_ack, 0);
    send_zeros(c, 10);
    for (int i = 0; i < 290; i++) {
        lab_wait(&lab, BASE_NS_S);
        if (lab_out(&lab) != NULL)
            peer_window(peer_ack, 0);
    }
    expect_no_event();
    for (int i = 0; i < 100; i++)
        lab_wait(&lab, BASE_NS_S);
    expect_event(TCP_EVENT_FAILED);
    assert_int_equal(tcp_error(c), TCP_ERROR_TIMEOUT);
    tcp_close(lab.s, c);
    check_drained();
    lab_close(&lab);
}

static void send_buffer(void **state)
{
    (void)state;
    static uint8_t big[70000];
    struct tcp_usage u;
    open_lab();
    struct tcp_conn *c = accept_one();

    assert_int_equal(tcp_send_space(c), 65536);
    assert_int_equal(tcp_send(lab.s, c, big, sizeof(big)), 65536);
    assert_int_equal(tcp_send(lab.s, c, big, 1), 0);
    tcp_flush(lab.s, lab.now_ns);
    expect_no_event();
    peer(ACK, peer_seq, peer_ack + 10 * MSS, NULL, 0);
    expect_no_event(); /* a quarter of it must be free */
    peer(ACK, peer_seq, peer_ack + 20 * MSS, NULL, 0);
    expect_event(TCP_EVENT_WRITABLE);
    peer(ACK, peer_seq, peer_ack + 30 * MSS, NULL, 0);
    expect_no_event(); /* told once */
    tcp_usage(lab.s, &u);
    assert_int_equal(u.mbuf_cnt, 45 - 30);
    /* Took all, but left less than half: told as well. */
    assert_int_equal(tcp_send(lab.s, c, big, 20000), 20000);
    tcp_flush(lab.s, lab.now_ns);
    expect_no_event();
    peer(ACK, peer_seq, peer_ack + 40 * MSS, NULL, 0);
    expect_event(TCP_EVENT_WRITABLE);
    tcp_abort(lab.s, c);
    check_drained();
    lab_close(&lab);
}

/* A pool that is empty for a while stops nothing for good. */
static void pools_run_dry(void **state)
{
    (void)state;
    struct rte_mbuf *taken[2100];
    uint32_t cnt = 0;
    open_lab();
    struct tcp_conn *c = accept_one();

    while ((taken[cnt] = rte_pktmbuf_alloc(lab.data_pool)) != NULL)
        cnt++;
    assert_int_equal(tcp_send(lab.s, c, "abc", 3), 0);
    tcp_flush(lab.s, lab.now_ns);
    rte_pktmbuf_free_bulk(taken, cnt);
    expect_no_event();
    lab_wait(&lab, 20 * MS);
    expect_event(TCP_EVENT_WRITABLE);

    for (cnt = 0; (taken[cnt] = rte_pktmbuf_alloc(lab.ctrl_pool)) != NULL;)
        cnt++;
    while ((taken[cnt] = rte_pktmbuf_alloc(lab.frame_pool)) != NULL)
        cnt++;
    send_text(c, "abc");
    peer(ACK, peer_seq, peer_ack, "1", 1);
    peer(ACK, peer_seq + 1, peer_ack, "2", 1);
    lab_wait(&lab, 20 * MS);
    expect_nothing();
    rte_pktmbuf_free_bulk(taken, cnt);
    lab_wait(&lab, 20 * MS);
    const struct lab_segment *g = expect(ACK);
    assert_memory_equal(g->data, "abc", 3);
    assert_int_equal(g->ack, peer_seq + 2);
    tcp_abort(lab.s, c);
    lab_close(&lab);
}

/* What a driver holds stays as it was given, whatever happens to the queue. */
static void held_segments_stay(void **state)
{
    (void)state;
    char text[2000];
    open_lab();
    struct tcp_conn *c = accept_one();

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + i % 26);
    lab.hold = true;
    assert_int_equal(tcp_send(lab.s, c, text, 1000), 1000);
    tcp_flush(lab.s, lab.now_ns);
    assert_int_equal(tcp_send(lab.s, c, text, 1000), 1000);
    tcp_flush(lab.s, lab.now_ns);
    lab_wait(&lab, 1100 * MS); /* sent again, now as one */
    peer(ACK, peer_seq, peer_ack + 1500, NULL, 0);
    peer(ACK, peer_seq, peer_ack + 2000, NULL, 0);
    assert_int_equal(tcp_send_pending(c), 0);
    memset(text + 1000, 0, 1000);
    assert_true(lab.held_cnt >= 3);
    for (uint32_t i = 0; i < 2; i++) {
        char copy[1000];
        assert_int_equal(lab.held[i]->pkt_len, 1020);
        const char *p = rte_pktmbuf_read(lab.held[i], 20, 1000, copy);
        assert_memory_equal(p, text, 1000);
    }
    tcp_abort(lab.s, c);
    check_drained();
    lab_close(&lab);
}

/* Our numbers wrap within a transfer. */
static void sequence_wrap(void **state)
{
    (void)state;
    struct tcp_key key = {.local = net_addr_v4((uint8_t[]){10, 0, 0, 1}),
                          .remote = net_addr_v4((uint8_t[]){10, 0, 0, 2}),
                          .local_port = LAB_LOCAL_PORT,
                          .remote_port = LAB_PEER_PORT};
    open_lab();
    lab_wait(&lab, (UINT32_MAX - 20000 - tcp_isn(lab.s, &key)) * UINT64_C(4000));
    struct tcp_conn *c = accept_one();
    uint32_t sent = 0, first = peer_ack;
    uint8_t chunk[5000];

    assert_true(first > UINT32_MAX - 25000);
    for (int round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < sizeof(chunk); i++)
            chunk[i] = (uint8_t)((sent + i) * 31 >> 3);
        assert_int_equal(tcp_send(lab.s, c, chunk, sizeof(chunk)), sizeof(chunk));
        tcp_flush(lab.s, lab.now_ns);
        const struct lab_segment *g;
        while ((g = lab_out(&lab)) != NULL) {
            assert_int_equal(g->seq, first + sent);
            for (uint32_t i = 0; i < g->len; i++)
                assert_int_equal(((const uint8_t *)g->data)[i], (uint8_t)((sent + i) * 31 >> 3));
            sent += g->len;
        }
        peer(ACK, peer_seq, first + sent, NULL, 0);
    }
    assert_int_equal(sent, 50000);
    assert_true(c->snd_una < 50000);
    lab_close(&lab);
}

/* One connection's window is not sent in one go. */
static void long_flush_takes_turns(void **state)
{
    (void)state;
    uint32_t sent = 0;
    open_lab();
    struct tcp_conn *c = accept_one();

    c->mss = 256;
    c->cwnd = 65536;
    send_zeros(c, 60000);
    while (lab_out(&lab) != NULL)
        sent++;
    assert_int_equal(sent, 64);
    assert_true(tcp_deadline(lab.s) <= lab.now_ns);
    tcp_flush(lab.s, lab.now_ns);
    assert_int_equal(expect(ACK)->seq, peer_ack + 64 * 256);
    tcp_abort(lab.s, c);
    lab_close(&lab);
}

/* ---- closing ---- */

static void half_close(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = accept_one();

    tcp_shutdown(lab.s, c);
    tcp_flush(lab.s, lab.now_ns);
    assert_int_equal(expect(ACK | FIN)->seq, peer_ack);
    assert_int_equal(tcp_send(lab.s, c, "x", 1), -EPIPE);
    peer(ACK, peer_seq, peer_ack + 1, NULL, 0);
    peer(ACK, peer_seq, peer_ack + 1, "more", 4); /* receiving goes on */
    expect_event(TCP_EVENT_READABLE);
    read_all(c, "more");
    assert_false(tcp_recv_ended(c));
    lab_wait(&lab, 1000 * BASE_NS_S); /* for as long as the caller likes */
    expect_no_event();
    expect(ACK);
    peer(ACK | FIN, peer_seq + 4, peer_ack + 1, NULL, 0);
    expect_event(TCP_EVENT_PEER_CLOSED);
    expect(ACK);
    assert_true(tcp_recv_ended(c));
    tcp_close(lab.s, c);
    struct tcp_usage u;
    tcp_usage(lab.s, &u);
    assert_int_equal(u.conn_cnt, 0);
    assert_int_equal(u.time_wait_cnt, 1);
    lab_wait(&lab, 59 * BASE_NS_S);
    tcp_usage(lab.s, &u);
    assert_int_equal(u.time_wait_cnt, 1);
    lab_wait(&lab, 2 * BASE_NS_S);
    check_drained();
    assert_true(tcp_deadline(lab.s) == BASE_NS_NONE);
    lab_close(&lab);
}

static void peer_closes_first(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = accept_one();

    peer(ACK | FIN, peer_seq, peer_ack, "bye", 3);
    expect_event(TCP_EVENT_READABLE | TCP_EVENT_PEER_CLOSED);
    assert_int_equal(expect(ACK)->ack, peer_seq + 4);
    assert_false(tcp_recv_ended(c));
    read_all(c, "bye");
    send_text(c, "221");
    expect(ACK);
    tcp_close(lab.s, c);
    tcp_flush(lab.s, lab.now_ns);
    assert_int_equal(expect(ACK | FIN)->seq, peer_ack + 3);
    peer(ACK, peer_seq + 4, peer_ack + 3, NULL, 0);
    peer(ACK, peer_seq + 4, peer_ack + 4, NULL, 0);
    check_drained(); /* no TIME-WAIT on this side */
    lab_close(&lab);
}

static void simultaneous_close(void **state)
{
    (void)state;
    struct tcp_usage u;
    open_lab();
    struct tcp_conn *c = accept_one();

    tcp_close(lab.s, c);
    tcp_flush(lab.s, lab.now_ns);
    expect(ACK | FIN);
    peer(ACK | FIN, peer_seq, peer_ack, NULL, 0); /* crossed ours */
    expect(ACK);
    peer(ACK, peer_seq + 1, peer_ack + 1, NULL, 0);
    tcp_usage(lab.s, &u);
    assert_int_equal(u.time_wait_cnt, 1);
    peer(ACK | FIN, peer_seq, peer_ack + 1, NULL, 0); /* our ACK was lost: again, and it restarts */
    assert_int_equal(expect(ACK)->ack, peer_seq + 1);
    peer(RST, peer_seq + 1, 0, NULL, 0); /* RFC 1337 */
    tcp_usage(lab.s, &u);
    assert_int_equal(u.time_wait_cnt, 1);
    lab_wait(&lab, 61 * BASE_NS_S);
    check_drained();
    lab_close(&lab);
}

static void close_with_unread_data(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = accept_one();

    peer(ACK, peer_seq, peer_ack, "unread", 6);
    tcp_close(lab.s, c);
    assert_int_equal(expect(RST | ACK)->seq, peer_ack);
    check_drained();

    c = accept_one(); /* data after the close */
    tcp_close(lab.s, c);
    tcp_flush(lab.s, lab.now_ns);
    expect(ACK | FIN);
    peer(ACK, peer_seq, peer_ack + 1, "more", 4);
    expect(RST | ACK);
    assert_int_equal(count(STATS_TCP_DATA_AFTER_CLOSE), 1);
    check_drained();
    expect_no_event();
    lab_close(&lab);
}

static void reset_keeps_what_came(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = accept_one();

    peer(ACK, peer_seq, peer_ack, "QUIT", 4);
    send_text(c, "221 unsent?");
    peer(RST, peer_seq + 4, 0, NULL, 0);
    expect_event(TCP_EVENT_READABLE | TCP_EVENT_FAILED);
    assert_int_equal(tcp_error(c), TCP_ERROR_RESET);
    assert_int_equal(tcp_send_pending(c), 0);
    read_all(c, "QUIT");
    tcp_close(lab.s, c);
    check_drained();
    lab_close(&lab);
}

static void time_wait_reuse(void **state)
{
    (void)state;
    struct tcp_usage u;
    open_lab();

    for (uint16_t i = 0; i < 6; i++) { /* six into four entries */
        peer_port = (uint16_t)(6000 + i);
        struct tcp_conn *c = accept_one();
        tcp_close(lab.s, c);
        tcp_flush(lab.s, lab.now_ns);
        expect(ACK | FIN);
        peer(ACK | FIN, peer_seq, peer_ack + 1, NULL, 0);
        expect(ACK);
    }
    tcp_usage(lab.s, &u);
    assert_int_equal(u.time_wait_cnt, 4);
    assert_int_equal(count(STATS_TCP_TIME_WAIT_RECYCLED), 2);
    peer(SYN, IRS - 10, 0, NULL, 0); /* an old SYN */
    assert_int_equal(expect(ACK)->ack, peer_seq + 1);
    peer(SYN, peer_seq + 1000, 0, NULL, 0); /* a new connection */
    const struct lab_segment *g = expect(SYN | ACK);
    assert_true(tcp_seq_gt(g->seq, peer_ack + 1));
    peer(ACK, peer_seq + 1001, g->seq + 1, NULL, 0);
    expect_event(TCP_EVENT_ACCEPTED);
    assert_int_equal(count(STATS_TCP_TIME_WAIT_REUSED), 1);
    tcp_abort(lab.s, ev.conn);
    lab_wait(&lab, 61 * BASE_NS_S);
    check_drained();
    lab_close(&lab);
}

static void silent_peers(void **state)
{
    (void)state;
    struct tcp_config g = lab_config();
    struct tcp_usage u;

    g.keepalive_ns = 100 * BASE_NS_S;
    g.keepalive_interval_ns = 10 * BASE_NS_S;
    g.keepalive_cnt = 3;
    lab_open(&lab, &g);
    peer_port = local_port = 0;
    assert_int_equal(tcp_listen(lab.s, &any_25, NULL), 0);
    struct tcp_conn *c = accept_one();

    lab_wait(&lab, 99 * BASE_NS_S);
    expect_nothing();
    lab_wait(&lab, 2 * BASE_NS_S);
    assert_int_equal(expect(ACK)->seq, peer_ack - 1);
    peer(ACK, peer_seq, peer_ack, NULL, 0); /* alive */
    lab_wait(&lab, 99 * BASE_NS_S);
    expect_nothing();
    for (int i = 0; i < 3; i++) {
        lab_wait(&lab, 11 * BASE_NS_S);
        expect(ACK);
    }
    expect_no_event();
    lab_wait(&lab, 11 * BASE_NS_S);
    expect(RST | ACK);
    expect_event(TCP_EVENT_FAILED);
    assert_int_equal(tcp_error(c), TCP_ERROR_TIMEOUT);
    tcp_close(lab.s, c);

    c = accept_one(); /* never answers our FIN */
    tcp_close(lab.s, c);
    for (int i = 0; i < 59; i++)
        lab_wait(&lab, BASE_NS_S);
    tcp_usage(lab.s, &u);
    assert_int_equal(u.conn_cnt, 1);
    lab_wait(&lab, 2 * BASE_NS_S);
    assert_int_equal(count(STATS_TCP_ORPHAN_TIMEOUTS), 1);
    check_drained();

    while (lab_out(&lab) != NULL)
        continue;
    c = accept_one(); /* acknowledges it, but never sends its own */
    tcp_close(lab.s, c);
    tcp_flush(lab.s, lab.now_ns);
    peer(ACK, peer_seq, peer_ack + 1, NULL, 0);
    for (int i = 0; i < 62; i++)
        lab_wait(&lab, BASE_NS_S);
    assert_int_equal(count(STATS_TCP_ORPHAN_TIMEOUTS), 2);
    check_drained();
    lab_close(&lab);
}

static void changes_of_state(void **state)
{
    (void)state;

    assert_true(tcp_state_allowed(TCP_CLOSED, TCP_SYN_SENT));
    assert_false(tcp_state_allowed(TCP_CLOSED, TCP_CLOSE_WAIT));
    assert_false(tcp_state_allowed(TCP_TIME_WAIT, TCP_ESTABLISHED));
    for (enum tcp_state from = 0; from < TCP_STATE_CNT; from++) {
        assert_false(tcp_state_allowed(from, from));
        assert_false(tcp_state_allowed(from, TCP_LISTEN));
        assert_int_equal(tcp_state_allowed(from, TCP_CLOSED),
                         from != TCP_CLOSED && from != TCP_LISTEN);
    }
    assert_string_equal(tcp_state_name(TCP_FIN_WAIT_2), "FIN-WAIT-2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delayed_ack),
        cmocka_unit_test(bulk_in_place),
        cmocka_unit_test(out_of_order),
        cmocka_unit_test(dribble),
        cmocka_unit_test(receive_window),
        cmocka_unit_test(retransmission),
        cmocka_unit_test(fast_retransmit),
        cmocka_unit_test(ack_of_the_future),
        cmocka_unit_test(zero_window),
        cmocka_unit_test(window_shrinks),
        cmocka_unit_test(zero_window_ends),
        cmocka_unit_test(send_buffer),
        cmocka_unit_test(pools_run_dry),
        cmocka_unit_test(held_segments_stay),
        cmocka_unit_test(sequence_wrap),
        cmocka_unit_test(long_flush_takes_turns),
        cmocka_unit_test(half_close),
        cmocka_unit_test(peer_closes_first),
        cmocka_unit_test(simultaneous_close),
        cmocka_unit_test(close_with_unread_data),
        cmocka_unit_test(reset_keeps_what_came),
        cmocka_unit_test(time_wait_reuse),
        cmocka_unit_test(silent_peers),
        cmocka_unit_test(changes_of_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
