/* Loss recovery by the sender: RFC 6675, 6937, and blocks that lie. */
#include "tcp_peer.h"

static struct tcp_conn *sack_accept(void)
{
    struct lab_segment syn = {.flags = SYN,
                              .seq = IRS,
                              .window = 65535,
                              .has_mss = true,
                              .mss = MSS,
                              .sack_permitted = true};

    lab_in(&lab, &syn);
    const struct lab_segment *g = expect(SYN | ACK);
    peer_seq = IRS + 1;
    peer_ack = g->seq + 1;
    peer(ACK, peer_seq, peer_ack, NULL, 0);
    expect_event(TCP_EVENT_ACCEPTED);
    return ev.conn;
}

/* An ACK of the first ack full segments, with blocks given in full segments. */
static void sack(uint32_t ack, uint32_t cnt, const uint32_t *blocks)
{
    struct lab_segment g = {.flags = ACK,
                            .seq = peer_seq,
                            .ack = peer_ack + ack * MSS,
                            .window = 65535,
                            .sack_cnt = (uint8_t)cnt};

    lab_wait(&lab, MS); /* transmissions differ by their time */
    for (uint32_t i = 0; i < cnt; i++)
        g.sack[i] = (struct tcp_sack_block){.left = peer_ack + blocks[2 * i] * MSS,
                                            .right = peer_ack + blocks[2 * i + 1] * MSS};
    lab_in(&lab, &g);
}

#define SACK(ack, ...)                                                                             \
    do {                                                                                           \
        const uint32_t blocks[] = {__VA_ARGS__};                                                   \
        sack(ack, BASE_ARRAY_CNT(blocks) / 2, blocks);                                             \
    } while (0)

static void expect_segment(uint32_t number)
{
    const struct lab_segment *g = expect(ACK);

    assert_int_equal((g->seq - peer_ack) / MSS, number);
    assert_int_equal((g->seq - peer_ack) % MSS, 0);
    assert_int_equal(g->len, MSS);
}

/* Ten segments in flight, plenty behind them. */
static struct tcp_conn *ten_in_flight(void)
{
    struct tcp_conn *c;

    open_lab();
    c = sack_accept();
    send_zeros(c, 40 * MSS);
    for (uint32_t i = 0; i < 10; i++)
        expect_segment(i);
    expect_nothing();
    return c;
}

static void one_loss(void **state)
{
    (void)state;
    struct tcp_conn *c = ten_in_flight();

    SACK(0, 1, 2); /* each lets out a new segment: limited transmit */
    expect_segment(10);
    SACK(0, 1, 3);
    expect_segment(11);
    expect_nothing();
    SACK(0, 1, 4); /* the third */
    expect_segment(0);
    expect_nothing();
    assert_int_equal(count(STATS_TCP_FAST_RETRANSMITS), 1);
    assert_int_equal(c->ssthresh,
                     5 * MSS);         /* without limited transmit's two: RFC 5681 section 3.2 */
    for (uint32_t i = 5; i <= 12; i++) /* the others arrive: PRR sends for about half of them */
        SACK(0, 1, i);
    uint32_t sent = 0;
    while (lab_out(&lab) != NULL)
        sent++;
    assert_in_range(sent, 3, 6);
    SACK(12, 12, 12);
    assert_false(tcp_recover_is_busy(lab.s, c));
    assert_int_equal(c->cwnd, 5 * MSS);
    assert_int_equal(count(STATS_TCP_TIMEOUTS), 0);
    assert_int_equal(count(STATS_TCP_RETRANSMITS), 1);
    tcp_abort(lab.s, c);
    check_drained();
    lab_close(&lab);
}

/* A recovery right behind another: what the peer holds meanwhile is no load, so the window is
 * smaller again, however much is unacknowledged. */
static void one_loss_after_another(void **state)
{
    (void)state;
    struct tcp_conn *c = ten_in_flight();

    SACK(0, 1, 10);
    expect_segment(0);
    assert_int_equal(c->ssthresh, 5 * MSS);
    for (int i = 0; i < 5; i++) { /* segment 10 is lost, too; the retransmission takes its time */
        while (lab_out(&lab) != NULL)
            continue;
        SACK(0, 11, (c->snd_max - c->snd_una) / MSS, 1, 10);
    }
    assert_true(c->snd_max - c->snd_una > 20 * MSS);
    assert_int_equal(count(STATS_TCP_FAST_RETRANSMITS), 1);
    SACK(10, 11,
         (c->snd_max - c->snd_una) / MSS); /* the first recovery is over, the second begins */
    assert_int_equal(count(STATS_TCP_FAST_RETRANSMITS), 2);
    assert_int_equal(c->ssthresh, 5 * MSS / 2);
    tcp_abort(lab.s, c);
    check_drained();
    lab_close(&lab);
}

/* Several holes: each is sent once, in order, without waiting for partial ACKs. */
static void holes(void **state)
{
    (void)state;
    struct tcp_conn *c = ten_in_flight();

    SACK(0, 6, 10);                  /* 0..5 are lost */
    for (uint32_t i = 0; i < 4; i++) /* as many as have arrived */
        expect_segment(i);
    expect_nothing();
    assert_int_equal(tcp_recovery_of(lab.s, c)->lost_bytes, 2 * MSS);
    for (uint32_t i = 1; i <= 4; i++) {
        SACK(i, 6, 10);
        while (lab_out(&lab) != NULL)
            continue;
    }
    SACK(5, 6, 10);
    SACK(10, 10, 10);
    assert_int_equal(count(STATS_TCP_RETRANSMITS), 6);
    assert_int_equal(count(STATS_TCP_FAST_RETRANSMITS), 1);
    tcp_abort(lab.s, c);
    check_drained();
    lab_close(&lab);
}

static void timeout_keeps_what_was_sacked(void **state)
{
    (void)state;
    struct tcp_conn *c = ten_in_flight();

    SACK(0, 4, 6);
    expect_segment(10);
    expect_segment(11);
    while (count(STATS_TCP_TIMEOUTS) == 0) { /* what is sent again before is lost, too */
        while (lab_out(&lab) != NULL)
            continue;
        lab_wait(&lab, 100 * MS);
    }
    expect_segment(0);
    expect_nothing();
    assert_int_equal(c->cwnd, MSS);
    SACK(1, 4, 6); /* slow start */
    expect_segment(1);
    expect_segment(2);
    expect_nothing();
    SACK(3, 4, 6);
    expect_segment(3);
    expect_segment(6); /* not 4 and 5 */
    expect_segment(7);
    expect_segment(8);
    expect_nothing();
    SACK(12, 12, 12);
    assert_false(tcp_recover_is_busy(lab.s, c));
    assert_false(c->flags & TCP_CONN_LOSS);
    expect_segment(12);
    tcp_abort(lab.s, c);
    check_drained();
    lab_close(&lab);
}

static void reneging(void **state)
{
    (void)state;
    struct tcp_conn *c = ten_in_flight();

    SACK(0, 1, 10);
    expect_segment(0);
    while (lab_out(&lab) != NULL)
        continue;
    SACK(1, 40, 41); /* it has 0 now, and nothing else any more (the block is nonsense) */
    assert_int_equal(count(STATS_TCP_SACK_RENEGED), 1);
    assert_int_equal(count(STATS_TCP_BAD_SACKS), 1);
    for (uint32_t i = 1; i < 40 && tcp_send_pending(c) > 0; i++) {
        lab_wait(&lab, 3 * BASE_NS_S);
        while (lab_out(&lab) != NULL)
            continue;
        SACK(i + 1, i + 1, i + 1);
    }
    assert_int_equal(tcp_send_pending(c), 0);
    assert_false(tcp_recover_is_busy(lab.s, c));
    lab_close(&lab);
}

/* T7: whatever blocks say, they are taken within what was sent, or not at all. */
static void hostile_blocks(void **state)
{
    (void)state;
    static const struct tcp_sack_block bad[] = {
        {5 * MSS, 4 * MSS},    {4 * MSS, 4 * MSS},
        {9 * MSS, 41 * MSS},   {1, 0x7fffffff},
        {1, 0x80000001},       {0x80000000, MSS},
        {(uint32_t)-70000, 5}, {40 * MSS + 1, 40 * MSS + 2},
        {42 * MSS, 43 * MSS},  {2 * MSS, UINT32_MAX},
    };
    struct tcp_conn *c = ten_in_flight();
    uint32_t cwnd = c->cwnd;

    for (size_t i = 0; i < BASE_ARRAY_CNT(bad); i++) {
        struct lab_segment g = {.flags = ACK,
                                .seq = peer_seq,
                                .ack = peer_ack,
                                .window = 65535,
                                .sack_cnt = 1,
                                .sack = {{peer_ack + bad[i].left, peer_ack + bad[i].right}}};
        lab_in(&lab, &g);
        c->dup_acks = 0;
        while (lab_out(&lab) != NULL)
            continue;
    }
    assert_int_equal(count(STATS_TCP_BAD_SACKS), BASE_ARRAY_CNT(bad));
    assert_false(tcp_recover_is_busy(lab.s, c));
    assert_int_equal(c->cwnd, cwnd);
    /* Ten thousand distinct holes in the numbers: no more state than mbufs. */
    for (uint32_t i = 0; i < 10000; i++) {
        struct lab_segment g = {.flags = ACK,
                                .seq = peer_seq,
                                .ack = peer_ack,
                                .window = 65535,
                                .sack_cnt = 1,
                                .sack = {{peer_ack + 2 + i, peer_ack + 3 + i}}};
        lab_in(&lab, &g);
    }
    assert_int_equal(c->recovery == 0 ? 0 : tcp_recovery_of(lab.s, c)->sacked_bytes, 0);
    tcp_abort(lab.s, c);
    check_drained();
    lab_close(&lab);
}

/* An ACK of all that still carries blocks. */
static void blocks_with_a_full_ack(void **state)
{
    (void)state;
    struct tcp_conn *c = ten_in_flight();

    SACK(10, 5, 10);
    assert_int_equal(count(STATS_TCP_RX_DSACKS), 1);
    assert_false(tcp_recover_is_busy(lab.s, c));
    tcp_abort(lab.s, c);
    lab_close(&lab);
}

static void scoreboards_run_out(void **state)
{
    (void)state;
    struct tcp_conn *c = ten_in_flight();
    void *taken[16];
    uint32_t cnt = 0;

    while ((taken[cnt] = base_pool_get(&lab.s->recovery_pool)) != NULL)
        cnt++;
    SACK(0, 1, 2);
    SACK(0, 1, 3);
    expect_segment(10);
    expect_segment(11);
    SACK(0, 1, 4); /* by RFC 6582 then */
    expect_segment(0);
    assert_true(count(STATS_TCP_NO_SCOREBOARD) >= 3);
    while (cnt > 0)
        base_pool_put(&lab.s->recovery_pool, taken[--cnt]);
    SACK(0, 1, 5); /* it goes on as it began */
    assert_false(tcp_recover_is_busy(lab.s, c));
    SACK(12, 12, 12);
    while (lab_out(&lab) != NULL)
        continue;
    SACK(12, 13, 14);
    assert_true(tcp_recover_is_busy(lab.s, c));
    tcp_abort(lab.s, c);
    check_drained();
    lab_close(&lab);
}

/* A FIN behind lost data is sent again with it. */
static void lost_fin(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = sack_accept();

    send_zeros(c, 2 * MSS);
    tcp_close(lab.s, c);
    tcp_flush(lab.s, lab.now_ns);
    while (lab_out(&lab) != NULL)
        continue;
    lab_wait(&lab, 1100 * MS);
    expect_segment(0);
    SACK(1, 1, 1);
    const struct lab_segment *g = expect(ACK | FIN);
    assert_int_equal(g->seq, peer_ack + MSS);
    assert_int_equal(g->len, MSS);
    peer(ACK | FIN, peer_seq, peer_ack + 2 * MSS, NULL, 0); /* all but the FIN */
    expect(ACK);
    for (int i = 0; i < 4; i++)
        lab_wait(&lab, BASE_NS_S);
    assert_int_equal(expect(ACK | FIN)->seq, peer_ack + 2 * MSS);
    lab_close(&lab);
}

/* ---- RACK-TLP ---- */

/* Ten in flight with a known round trip of 100 ms; number 0 is the first of them. */
static struct tcp_conn *ten_with_rtt(void)
{
    struct tcp_conn *c;

    open_lab();
    c = sack_accept();
    send_zeros(c, MSS);
    expect_segment(0);
    lab_wait(&lab, 100 * MS);
    peer_ack += MSS;
    peer(ACK, peer_seq, peer_ack, NULL, 0);
    assert_in_range(c->min_rtt_us, 99000, 101000);
    send_zeros(c, 10 * MSS);
    for (uint32_t i = 0; i < 10; i++)
        expect_segment(i);
    expect_nothing();
    return c;
}

/* A lost retransmission is found by what was sent after it. */
static void lost_retransmission(void **state)
{
    (void)state;
    struct tcp_conn *c = ten_with_rtt();

    send_zeros(c, 10 * MSS);
    while (lab_out(&lab) != NULL)
        continue;
    lab_wait(&lab, 100 * MS);
    SACK(0, 1, 4);
    expect_segment(0);
    while (lab_out(&lab) != NULL)
        continue;
    for (uint32_t i = 5; i <= 10; i++)
        SACK(0, 1, i);
    uint32_t last = 0;
    const struct lab_segment *g;
    while ((g = lab_out(&lab)) != NULL)
        last = (g->seq - peer_ack) / MSS + 1;
    assert_true(last > 11);
    lab_wait(&lab, 95 * MS);
    SACK(0, 1, last); /* sent after the retransmission, and there */
    expect_segment(0);
    assert_int_equal(count(STATS_TCP_TIMEOUTS), 0);
    tcp_abort(lab.s, c);
    check_drained();
    lab_close(&lab);
}

/* Few duplicates, and nothing follows: the reordering window's end is enough. */
static void two_duplicates(void **state)
{
    (void)state;
    struct tcp_conn *c = ten_with_rtt();

    lab_wait(&lab, 50 * MS);
    SACK(0, 1, 2);
    expect_nothing();
    lab_wait(&lab, 20 * MS);
    expect_nothing();
    lab_wait(&lab, 20 * MS);
    expect_segment(0); /* a quarter of the round trip later */
    assert_int_equal(count(STATS_TCP_REORDER_TIMEOUTS), 1);
    assert_int_equal(count(STATS_TCP_TIMEOUTS), 0);
    tcp_abort(lab.s, c);
    lab_close(&lab);
}

/* What was sent again turns out to have arrived before: the window is as it was (tcp_undo.c). */
static void needless(void **state)
{
    (void)state;
    struct tcp_conn *c = ten_with_rtt();
    uint32_t cwnd = c->cwnd, ssthresh = c->ssthresh;

    lab_wait(&lab, 50 * MS);
    SACK(0, 1, 4);
    expect_segment(0);
    while (lab_out(&lab) != NULL)
        continue;
    assert_true(c->flags & TCP_CONN_RECOVERY && c->ssthresh < ssthresh);
    lab_wait(&lab, 90 * MS); /* no sooner than an answer to what was sent again may come */
    sack(4, 0, NULL);
    assert_true(c->flags & TCP_CONN_RECOVERY);
    assert_int_equal(count(STATS_TCP_UNDONE), 0);
    SACK(4, 0, 1); /* it came twice */
    assert_int_equal(count(STATS_TCP_UNDONE), 1);
    assert_false(c->flags & TCP_CONN_RECOVERY);
    assert_true(c->flags & TCP_CONN_REORDERED);
    assert_true(c->cwnd >= cwnd);
    assert_int_equal(c->ssthresh, ssthresh);
    tcp_abort(lab.s, c);
    check_drained();
    lab_close(&lab);
}

/* Sooner than any round trip: that was the first transmission's answer. */
static void needless_by_time(void **state)
{
    (void)state;
    struct tcp_conn *c = ten_with_rtt();
    uint32_t ssthresh = c->ssthresh;

    lab_wait(&lab, 50 * MS);
    SACK(0, 1, 4);
    expect_segment(0);
    while (lab_out(&lab) != NULL)
        continue;
    sack(4, 0, NULL); /* a millisecond later */
    assert_int_equal(count(STATS_TCP_UNDONE), 1);
    assert_false(c->flags & TCP_CONN_RECOVERY);
    assert_int_equal(c->ssthresh, ssthresh);
    tcp_abort(lab.s, c);
    check_drained();
    lab_close(&lab);
}

/* Small segments share a buffer; what the peer has of it is not sent again. */
static void divided(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = sack_accept();

    for (uint32_t i = 0; i < 5; i++) {
        send_zeros(c, 200);
        assert_int_equal(expect(ACK)->len, 200);
        lab_wait(&lab, MS);
    }
    struct lab_segment g = {
        .flags = ACK, .seq = peer_seq, .ack = peer_ack, .window = 65535, .sack_cnt = 2};
    g.sack[0] = (struct tcp_sack_block){.left = peer_ack + 800, .right = peer_ack + 1000};
    g.sack[1] = (struct tcp_sack_block){.left = peer_ack + 200, .right = peer_ack + 600};
    lab_in(&lab, &g);
    const struct tcp_recovery *r = tcp_recovery_of(lab.s, c);
    assert_non_null(r);
    assert_int_equal(r->sacked_bytes, 600);
    assert_int_equal(r->pipe + r->lost_bytes, 400);
    lab_wait(&lab, 1000 * MS);
    for (uint32_t i = 0; i < 2; i++) {
        const struct lab_segment *again = expect(ACK);
        assert_int_equal(again->seq - peer_ack, i == 0 ? 0 : 600);
        assert_int_equal(again->len, 200);
        if (i == 0) {
            g.ack = peer_ack + 600;
            g.sack_cnt = 1;
            lab_in(&lab, &g);
        }
    }
    tcp_abort(lab.s, c);
    check_drained();
    lab_close(&lab);
}

static void reordering(void **state)
{
    (void)state;
    struct tcp_conn *c = ten_with_rtt();

    lab_wait(&lab, 100 * MS);
    SACK(0, 2, 3);
    SACK(0, 1, 3); /* that one was only late */
    assert_true(c->flags & TCP_CONN_REORDERED);
    assert_int_equal(count(STATS_TCP_REORDERED), 1);
    SACK(0, 1, 6); /* more than three above: patience all the same */
    expect_nothing();
    SACK(6, 6, 6);
    assert_int_equal(count(STATS_TCP_RETRANSMITS), 0);
    /* A needless retransmission makes it more patient. */
    struct lab_segment g = {.flags = ACK,
                            .seq = peer_seq,
                            .ack = peer_ack + 6 * MSS,
                            .window = 65535,
                            .sack_cnt = 1,
                            .sack = {{peer_ack, peer_ack + MSS}}};
    lab_in(&lab, &g);
    lab_in(&lab, &g);
    assert_int_equal(c->reorder & 15, 1);
    assert_int_equal(count(STATS_TCP_RX_DSACKS), 2);
    tcp_abort(lab.s, c);
    lab_close(&lab);
}

/* The last segments are lost: the probe tells, long before the timeout would. */
static void tail_loss(void **state)
{
    (void)state;
    struct tcp_conn *c = ten_with_rtt();

    lab_wait(&lab, 100 * MS);
    SACK(7, 7, 7); /* 7, 8 and 9 are lost */
    lab_wait(&lab, 195 * MS);
    expect_nothing();
    lab_wait(&lab, 15 * MS);
    expect_segment(9);
    expect_nothing();
    assert_int_equal(count(STATS_TCP_TAIL_PROBES), 1);
    lab_wait(&lab, 100 * MS);
    SACK(7, 9, 10);
    expect_segment(7);
    lab_wait(&lab, 100 * MS);
    SACK(8, 9, 10);
    lab_wait(&lab, 100 * MS);
    SACK(10, 10, 10);
    assert_int_equal(count(STATS_TCP_TIMEOUTS), 0);
    assert_int_equal(tcp_send_pending(c), 0);
    assert_false(tcp_recover_is_busy(lab.s, c));
    lab_close(&lab);
}

/* The probe itself repairs the loss: that is one all the same. Told by a duplicate: it is none. */
static void probe_repairs(void **state)
{
    (void)state;
    for (int needless = 0; needless < 2; needless++) {
        struct tcp_conn *c = ten_with_rtt();

        lab_wait(&lab, 100 * MS);
        c->rttvar_us = 200000; /* or the timeout would come first */
        SACK(9, 9, 9);
        lab_wait(&lab, 450 * MS);
        expect_segment(9);
        uint32_t cwnd = c->cwnd;
        struct lab_segment g = {.flags = ACK,
                                .seq = peer_seq,
                                .ack = peer_ack + 10 * MSS,
                                .window = 65535,
                                .sack_cnt = (uint8_t)needless,
                                .sack = {{peer_ack + 9 * MSS, peer_ack + 10 * MSS}}};
        lab_in(&lab, &g);
        send_zeros(c, 4 * MSS);
        while (lab_out(&lab) != NULL)
            continue;
        SACK(12, 12, 12);
        assert_int_equal(count(STATS_TCP_TAIL_LOSSES), !needless);
        assert_true(needless ? c->cwnd >= cwnd : c->cwnd < cwnd);
        tcp_abort(lab.s, c);
        lab_close(&lab);
    }
}

/* With something new to send, that is the probe. */
static void probe_of_new_data(void **state)
{
    (void)state;
    struct tcp_conn *c = ten_with_rtt();

    c->cwnd = 10 * MSS;
    send_zeros(c, 10 * MSS);
    expect_nothing();
    lab_wait(&lab, 210 * MS);
    expect_segment(10);
    expect_nothing();
    assert_int_equal(count(STATS_TCP_TAIL_PROBES), 1);
    assert_int_equal(count(STATS_TCP_RETRANSMITS), 0);
    while (count(STATS_TCP_TIMEOUTS) == 0) /* one only */
        lab_wait(&lab, 10 * MS);
    expect_segment(0);
    assert_int_equal(count(STATS_TCP_TAIL_PROBES), 1);
    tcp_abort(lab.s, c);
    lab_close(&lab);
}

/* ---- ECN ---- */

static struct tcp_conn *ecn_accept(void)
{
    struct lab_segment syn = {.flags = SYN | TCP_FLAG_ECE | TCP_FLAG_CWR,
                              .seq = IRS,
                              .window = 65535,
                              .has_mss = true,
                              .mss = MSS,
                              .sack_permitted = true};

    lab_in(&lab, &syn);
    const struct lab_segment *g = expect(SYN | ACK | TCP_FLAG_ECE);
    assert_int_equal(g->ecn, 0);
    peer_seq = IRS + 1;
    peer_ack = g->seq + 1;
    peer(ACK, peer_seq, peer_ack, NULL, 0);
    expect_event(TCP_EVENT_ACCEPTED);
    return ev.conn;
}

static void ecn_sender(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = ecn_accept();

    send_zeros(c, 40 * MSS);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(expect(ACK)->ecn, TCP_ECT_0);
    peer(ACK | TCP_FLAG_ECE, peer_seq, peer_ack + 2 * MSS, NULL, 0);
    assert_int_equal(c->ssthresh, 5 * MSS);
    assert_int_equal(c->cwnd, 5 * MSS);
    expect_nothing();
    for (uint32_t i = 3; i <= 6; i++) /* once a window */
        peer(ACK | TCP_FLAG_ECE, peer_seq, peer_ack + i * MSS, NULL, 0);
    assert_int_equal(c->cwnd, 5 * MSS);
    assert_int_equal(expect(ACK | TCP_FLAG_CWR)->ecn, TCP_ECT_0); /* told with the first new data */
    SACK(10, 10, 10);
    const struct lab_segment *g;
    while ((g = lab_out(&lab)) != NULL)
        assert_int_equal(g->flags & TCP_FLAG_CWR, 0);
    assert_int_equal(count(STATS_TCP_ECN_REDUCTIONS), 1);
    while (count(STATS_TCP_TIMEOUTS) == 0) {
        while (lab_out(&lab) != NULL)
            continue;
        lab_wait(&lab, 100 * MS);
    }
    assert_int_equal(expect(ACK)->ecn, TCP_NOT_ECT); /* what is sent again is not marked */
    tcp_abort(lab.s, c);
    lab_close(&lab);
}

static void ecn_receiver(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = ecn_accept();
    struct lab_segment g = {.flags = ACK,
                            .seq = peer_seq,
                            .ack = peer_ack,
                            .window = 65535,
                            .len = 10,
                            .ecn = TCP_ECT_CE};

    lab_in(&lab, &g);
    assert_int_equal(expect(ACK | TCP_FLAG_ECE)->ecn, TCP_NOT_ECT); /* at once */
    g.ecn = TCP_ECT_0;
    for (int i = 0; i < 2; i++) {
        g.seq += 10;
        lab_in(&lab, &g);
    }
    expect(ACK | TCP_FLAG_ECE); /* until the peer has reduced */
    g.flags |= TCP_FLAG_CWR;
    for (int i = 0; i < 2; i++) {
        g.seq += 10;
        lab_in(&lab, &g);
    }
    expect(ACK);
    assert_int_equal(count(STATS_TCP_RX_CE), 1);
    tcp_abort(lab.s, c);
    lab_close(&lab);
}

/* Asking; and asking no more when the SYN was lost. */
static void ecn_active(void **state)
{
    (void)state;
    struct tcp_config config = lab_config();
    struct tcp_conn *c;

    config.ecn = TCP_ECN_ASK;
    for (int lost = 0; lost < 2; lost++) {
        lab_open(&lab, &config);
        assert_int_equal(tcp_connect(lab.s, &any, &peer_25, NULL, &c, lab.now_ns), 0);
        tcp_flush(lab.s, lab.now_ns);
        const struct lab_segment *g = expect(SYN | TCP_FLAG_ECE | TCP_FLAG_CWR);
        struct lab_segment in = {.flags = SYN | ACK | TCP_FLAG_ECE,
                                 .seq = IRS,
                                 .ack = g->seq + 1,
                                 .window = 65535,
                                 .sack_permitted = true,
                                 .peer_port = 25,
                                 .local_port = g->local_port};
        if (lost) {
            lab_wait(&lab, 1100 * MS);
            expect(SYN);
        }
        lab_in(&lab, &in);
        expect(ACK);
        assert_int_equal((c->flags & TCP_CONN_ECN) != 0, !lost);
        tcp_abort(lab.s, c);
        lab_close(&lab);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_loss),
        cmocka_unit_test(one_loss_after_another),
        cmocka_unit_test(holes),
        cmocka_unit_test(timeout_keeps_what_was_sacked),
        cmocka_unit_test(reneging),
        cmocka_unit_test(hostile_blocks),
        cmocka_unit_test(blocks_with_a_full_ack),
        cmocka_unit_test(scoreboards_run_out),
        cmocka_unit_test(lost_fin),
        cmocka_unit_test(lost_retransmission),
        cmocka_unit_test(two_duplicates),
        cmocka_unit_test(reordering),
        cmocka_unit_test(tail_loss),
        cmocka_unit_test(probe_repairs),
        cmocka_unit_test(probe_of_new_data),
        cmocka_unit_test(needless),
        cmocka_unit_test(needless_by_time),
        cmocka_unit_test(divided),
        cmocka_unit_test(ecn_sender),
        cmocka_unit_test(ecn_receiver),
        cmocka_unit_test(ecn_active),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
