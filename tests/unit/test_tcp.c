#include "tcp_peer.h"

/* ---- opening ---- */

static void passive_open_and_data(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = accept_one();

    peer(ACK | PSH, peer_seq, peer_ack, "HELO", 4);
    expect_event(TCP_EVENT_READABLE);
    expect_nothing(); /* the ACK is delayed */
    send_text(c, "250");
    const struct lab_segment *g = expect(ACK);
    assert_int_equal(g->len, 3);
    assert_memory_equal(g->data, "250", 3);
    assert_int_equal(g->ack, peer_seq + 4);
    assert_true((g->flags & PSH) != 0);
    read_all(c, "HELO");
    assert_int_equal(tcp_send_pending(c), 3);
    peer(ACK, peer_seq + 4, peer_ack + 3, NULL, 0);
    assert_int_equal(tcp_send_pending(c), 0);
    tcp_abort(lab.s, c);
    expect(RST | ACK);
    check_drained();
    lab_close(&lab);
}

static void active_open(void **state)
{
    (void)state;
    uint32_t iss;
    open_lab();
    struct tcp_conn *c = connect_one(&iss);

    send_text(c, "early");
    expect_nothing();
    struct lab_segment g = {.flags = SYN | ACK,
                            .seq = IRS,
                            .ack = iss + 1,
                            .window = 1000,
                            .peer_port = 25,
                            .local_port = local_port,
                            .has_wscale = true,
                            .wscale = 2,
                            .data = "220",
                            .len = 3};
    lab_in(&lab, &g);
    expect_event(TCP_EVENT_CONNECTED | TCP_EVENT_READABLE);
    read_all(c, "220");
    const struct lab_segment *out = expect(ACK);
    assert_int_equal(out->seq, iss + 1);
    assert_int_equal(out->ack, IRS + 4);
    assert_memory_equal(out->data, "early", 5);
    tcp_abort(lab.s, c);
    lab_close(&lab);
}

static void active_open_fails(void **state)
{
    (void)state;
    uint32_t iss;
    open_lab();
    struct tcp_conn *c = connect_one(&iss);

    peer(RST | ACK, 0, iss, NULL, 0); /* not our SYN's number: blind */
    expect_no_event();
    peer(RST, 0, iss + 1, NULL, 0); /* no ACK */
    expect_no_event();
    peer(ACK, 7, iss + 9, NULL, 0); /* an old connection's */
    assert_int_equal(expect(RST)->seq, iss + 9);
    peer(RST | ACK, 0, iss + 1, NULL, 0);
    expect_event(TCP_EVENT_FAILED);
    assert_int_equal(tcp_error(c), TCP_ERROR_REFUSED);
    assert_string_equal(tcp_error_name(tcp_error(c)), "refused");
    assert_int_equal(tcp_send(lab.s, c, "x", 1), -EPIPE);
    tcp_close(lab.s, c);

    c = connect_one(&iss); /* silence: SYN at 1, 3, 7, 15 s, then the timeout */
    for (int i = 0; i < 4; i++) {
        lab_wait(&lab, (BASE_NS_S << i) - 10 * MS);
        expect_nothing();
        lab_wait(&lab, 20 * MS);
        assert_int_equal(expect(SYN)->seq, iss);
    }
    for (int i = 0; i < 20; i++)
        lab_wait(&lab, BASE_NS_S);
    expect_event(TCP_EVENT_FAILED);
    assert_int_equal(tcp_error(c), TCP_ERROR_TIMEOUT);
    tcp_close(lab.s, c);

    lab.output_result = -EHOSTUNREACH;
    assert_int_equal(tcp_connect(lab.s, &any, &peer_25, NULL, &c, lab.now_ns), 0);
    tcp_flush(lab.s, lab.now_ns);
    expect_event(TCP_EVENT_FAILED);
    assert_int_equal(tcp_error(c), TCP_ERROR_UNREACHABLE);
    tcp_close(lab.s, c);
    check_drained();
    lab_close(&lab);
}

static void simultaneous_open(void **state)
{
    (void)state;
    uint32_t iss;
    open_lab();
    struct tcp_conn *c = connect_one(&iss);

    peer(SYN, IRS, 0, NULL, 0);
    const struct lab_segment *g = expect(SYN | ACK);
    assert_int_equal(g->seq, iss);
    assert_int_equal(g->ack, IRS + 1);
    expect_no_event();
    peer(SYN | ACK, IRS, iss + 1, NULL, 0);
    expect_event(TCP_EVENT_CONNECTED);
    assert_int_equal(expect(ACK)->ack, IRS + 1);
    peer(ACK, IRS + 1, iss + 1, "hi", 2);
    expect_event(TCP_EVENT_READABLE);
    read_all(c, "hi");
    tcp_abort(lab.s, c);
    lab_close(&lab);
}

static void limits_of_opens(void **state)
{
    (void)state;
    struct tcp_conn *c[5];
    struct net_endpoint fixed = {.port = 40001};
    open_lab();

    assert_int_equal(tcp_listen(lab.s, &any_25, NULL), -EADDRINUSE);
    assert_int_equal(tcp_listen(lab.s, &(struct net_endpoint){.port = 26}, NULL), 0);
    assert_int_equal(tcp_listen(lab.s, &(struct net_endpoint){.port = 27}, NULL), -ENOSPC);
    assert_int_equal(tcp_connect(lab.s, &fixed, &peer_25, NULL, &c[0], lab.now_ns), 0);
    assert_int_equal(tcp_connect(lab.s, &fixed, &peer_25, NULL, &c[1], lab.now_ns), -EADDRNOTAVAIL);
    for (int i = 1; i < 4; i++)
        assert_int_equal(tcp_connect(lab.s, &any, &peer_25, NULL, &c[i], lab.now_ns), 0);
    assert_int_equal(tcp_connect(lab.s, &any, &peer_25, NULL, &c[4], lab.now_ns), -ENFILE);
    for (int i = 0; i < 4; i++)
        tcp_close(lab.s, c[i]);
    check_drained();
    lab_close(&lab);
}

static void ports_run_out(void **state)
{
    (void)state;
    struct tcp_config g = lab_config();
    struct tcp_conn *c[9];
    uint32_t seen = 0;

    g.conn_max = 16;
    lab_open(&lab, &g);
    for (int i = 0; i < 8; i++) {
        struct net_endpoint local;
        assert_int_equal(tcp_connect(lab.s, &any, &peer_25, NULL, &c[i], lab.now_ns), 0);
        tcp_local(c[i], &local);
        assert_in_range(local.port, g.port_min, g.port_max);
        seen |= 1U << (local.port - g.port_min);
    }
    assert_int_equal(seen, 0xff);
    assert_int_equal(tcp_connect(lab.s, &any, &peer_25, NULL, &c[8], lab.now_ns), -EADDRNOTAVAIL);
    lab_close(&lab);
}

static void mss_extremes(void **state)
{
    (void)state;
    static const struct {
        bool has;
        uint16_t mss;
        uint32_t sends;
    } row[] = {{true, 0, 216},     {true, 1, 216},     {true, 8, 216},  {true, 48, 216},
               {true, 215, 216},   {true, 217, 217},   {false, 0, 536}, {true, 1460, 1460},
               {true, 1461, 1460}, {true, 65535, 1460}};

    open_lab();
    for (size_t i = 0; i < BASE_ARRAY_CNT(row); i++) {
        peer_port = (uint16_t)(6000 + i);
        struct lab_segment syn = {.flags = SYN,
                                  .seq = IRS,
                                  .window = 65535,
                                  .peer_port = peer_port,
                                  .has_mss = row[i].has,
                                  .mss = row[i].mss};
        lab_in(&lab, &syn);
        const struct lab_segment *g = expect(SYN | ACK);
        assert_true(g->has_mss && g->mss == 1460);
        peer(ACK, IRS + 1, g->seq + 1, NULL, 0);
        expect_event(TCP_EVENT_ACCEPTED);
        send_zeros(ev.conn, 4000);
        assert_int_equal(expect(ACK)->len, row[i].sends);
        tcp_abort(lab.s, ev.conn);
        while (lab_out(&lab) != NULL)
            continue;
    }
    assert_int_equal(count(STATS_TCP_TINY_MSS), 5);
    lab_close(&lab);
}

static void window_scale(void **state)
{
    (void)state;
    struct tcp_config g = lab_config();
    struct lab_segment syn = {.flags = SYN,
                              .seq = IRS,
                              .window = 8192,
                              .has_wscale = true,
                              .wscale = 200,
                              .has_mss = true,
                              .mss = MSS};

    g.recv_window_bytes = 1 << 20;
    lab_open(&lab, &g);
    peer_port = local_port = 0;
    assert_int_equal(tcp_listen(lab.s, &any_25, NULL), 0);
    lab_in(&lab, &syn);
    const struct lab_segment *o = expect(SYN | ACK);
    assert_true(o->has_wscale && o->wscale == 5);
    assert_int_equal(o->window, 65535); /* never scaled in a SYN */
    assert_int_equal(count(STATS_TCP_LARGE_WSCALE), 1);
    peer_ack = o->seq + 1;
    peer(ACK, IRS + 1, peer_ack, NULL, 0);
    expect_event(TCP_EVENT_ACCEPTED);
    peer(ACK, IRS + 1, peer_ack, "ab", 2);
    lab_wait(&lab, 50 * MS);
    assert_int_equal((uint32_t)expect(ACK)->window << 5, (1 << 20) - 32);
    tcp_abort(lab.s, ev.conn);
    lab_close(&lab);
}

static void syn_flood(void **state)
{
    (void)state;
    struct tcp_usage u;
    open_lab();

    for (uint32_t i = 0; i < 1000; i++) {
        struct lab_segment syn = {.flags = SYN, .seq = i, .peer_port = (uint16_t)(1000 + i)};
        lab_in(&lab, &syn);
        assert_int_equal(expect(SYN | ACK)->ack, i + 1);
    }
    tcp_usage(lab.s, &u);
    assert_int_equal(u.syn_cnt, 4);
    assert_int_equal(count(STATS_TCP_COOKIES_SENT), 996);
    peer_port = 1999; /* the newest still completes */
    struct lab_segment again = {.flags = SYN, .seq = 999, .peer_port = 1999};
    lab_in(&lab, &again);
    uint32_t iss = expect(SYN | ACK)->seq;
    peer(ACK, 1000, iss + 1, NULL, 0);
    expect_event(TCP_EVENT_ACCEPTED);
    tcp_abort(lab.s, ev.conn);
    expect(RST | ACK);
    /* The first ones have entries: SYN-ACK after 1, 2, 4, 8, 16 s, gone 32 s later. */
    uint32_t again_cnt = 0;
    for (int i = 0; i < 70; i++) {
        lab_wait(&lab, BASE_NS_S);
        while (lab_out(&lab) != NULL)
            again_cnt++;
    }
    assert_int_equal(again_cnt, 4 * 5);
    assert_int_equal(count(STATS_TCP_SYN_TIMEOUTS), 4);
    check_drained();
    lab_close(&lab);
}

static void half_open_segments(void **state)
{
    (void)state;
    struct lab_segment syn = {.flags = SYN, .seq = IRS, .window = 100};
    open_lab();

    lab_in(&lab, &syn);
    uint32_t iss = expect(SYN | ACK)->seq;
    lab_in(&lab, &syn); /* again: the same answer */
    assert_int_equal(expect(SYN | ACK)->seq, iss);
    peer(SYN, IRS + 77, 0, NULL, 0); /* another SYN: a challenge */
    assert_int_equal(expect(ACK)->ack, IRS + 1);
    peer(ACK, IRS + 1, iss + 2, NULL, 0); /* acknowledges what we did not send */
    assert_int_equal(expect(RST)->seq, iss + 2);
    peer(RST, IRS + 2, 0, NULL, 0); /* in the window */
    expect(ACK);
    peer(RST, IRS + 1000000, 0, NULL, 0);
    expect_nothing();
    peer(FIN, IRS + 1, 0, NULL, 0); /* no ACK */
    expect_nothing();
    expect_no_event();
    peer(RST, IRS + 1, 0, NULL, 0);
    check_drained();

    lab_in(&lab, &syn);
    expect(SYN | ACK);
    tcp_unlisten(lab.s, &any_25);
    check_drained();
    lab_in(&lab, &syn);
    expect(RST | ACK);
    lab_close(&lab);
}

/* Ports that differ by a multiple of what the lookup goes by. */
static void listeners_beside_each_other(void **state)
{
    (void)state;
    struct tcp_config c = lab_config();
    struct net_endpoint at = any_25;

    c.listen_max = 4;
    lab_open(&lab, &c);
    peer_port = local_port = 0;
    assert_int_equal(tcp_listen(lab.s, &any_25, NULL), 0);
    for (uint32_t i = 1; i <= 3; i++) {
        at.port = (uint16_t)(25 + 64 * i);
        assert_int_equal(tcp_listen(lab.s, &at, &at), 0);
    }
    at.port = 25 + 64;
    assert_int_equal(tcp_listen(lab.s, &at, &at), -EADDRINUSE);
    tcp_unlisten(lab.s, &at);
    assert_int_equal(tcp_listen(lab.s, &at, &at), 0);
    struct lab_segment syn = {.flags = SYN, .seq = IRS, .window = 100};
    lab_in(&lab, &syn);
    expect(SYN | ACK);
    tcp_unlisten(lab.s, &any_25);
    lab_in(&lab, &syn);
    expect(RST | ACK);
    lab_close(&lab);
}

/* ---- each kind of segment in each state ---- */

enum place {
    IN_LISTEN,
    IN_SYN_SENT,
    IN_ESTABLISHED,
    IN_FIN_WAIT_1,
    IN_FIN_WAIT_2,
    IN_CLOSE_WAIT,
    IN_CLOSING,
    IN_LAST_ACK,
    IN_TIME_WAIT,
    PLACE_CNT
};

enum kind {
    K_SYN,
    K_SYN_ACK,
    K_RST_EXACT,
    K_RST_WINDOW,
    K_RST_OUTSIDE,
    K_OLD_DATA,
    K_BEYOND,
    K_ACK_FUTURE,
    K_NO_ACK,
    K_SYN_FIN,
    K_NULL,
    K_XMAS,
    KIND_CNT
};

/* Brings a fresh lab's only connection to the place; NULL where the caller holds none. */
static struct tcp_conn *go(enum place p)
{
    uint32_t iss;

    if (p == IN_LISTEN) {
        peer_seq = IRS + 1;
        peer_ack = 77;
        return NULL;
    }
    if (p == IN_SYN_SENT) {
        struct tcp_conn *c = connect_one(&iss);
        peer_seq = IRS;
        peer_ack = iss + 1;
        return c;
    }
    struct tcp_conn *c = accept_one();
    if (p == IN_ESTABLISHED)
        return c;
    if (p == IN_CLOSE_WAIT || p == IN_LAST_ACK) {
        peer(ACK | FIN, peer_seq++, peer_ack, NULL, 0);
        expect(ACK);
        expect_event(TCP_EVENT_PEER_CLOSED);
        if (p == IN_CLOSE_WAIT)
            return c;
    }
    tcp_shutdown(lab.s, c);
    tcp_flush(lab.s, lab.now_ns);
    assert_int_equal(expect(ACK | FIN)->seq, peer_ack);
    if (p == IN_FIN_WAIT_1 || p == IN_LAST_ACK) {
        peer_ack++;
        return c;
    }
    if (p == IN_CLOSING) {
        peer(ACK | FIN, peer_seq++, peer_ack++, NULL, 0);
        expect(ACK);
        expect_event(TCP_EVENT_PEER_CLOSED);
        return c;
    }
    peer(ACK, peer_seq, ++peer_ack, NULL, 0);
    if (p == IN_FIN_WAIT_2)
        return c;
    peer(ACK | FIN, peer_seq++, peer_ack, NULL, 0);
    expect(ACK);
    expect_event(TCP_EVENT_PEER_CLOSED);
    tcp_close(lab.s, c);
    return NULL;
}

static void feed(enum kind k)
{
    switch (k) {
    case K_SYN:
        peer(SYN, IRS - 5000, 0, NULL, 0);
        break;
    case K_SYN_ACK:
        peer(SYN | ACK, peer_seq + 10, peer_ack, NULL, 0);
        break;
    case K_RST_EXACT:
        peer(RST | ACK, peer_seq, peer_ack, NULL, 0);
        break;
    case K_RST_WINDOW:
        peer(RST, peer_seq + 100, peer_ack, NULL, 0);
        break;
    case K_RST_OUTSIDE:
        peer(RST, peer_seq - 100, peer_ack, NULL, 0);
        break;
    case K_OLD_DATA:
        peer(ACK, peer_seq - 10, peer_ack, "0123456", 7);
        break;
    case K_BEYOND:
        peer(ACK, peer_seq + 100000, peer_ack, "0123456", 7);
        break;
    case K_ACK_FUTURE:
        peer(ACK, peer_seq, peer_ack + 1000, NULL, 0);
        break;
    case K_NO_ACK:
        peer(PSH, peer_seq, 0, "x", 1);
        break;
    case K_SYN_FIN:
        peer(SYN | FIN, peer_seq, 0, NULL, 0);
        break;
    case K_NULL:
        peer(0, peer_seq, 0, NULL, 0);
        break;
    case K_XMAS:
        peer(FIN | PSH | 0x20, peer_seq, 0, NULL, 0);
        break;
    case KIND_CNT:
        break;
    }
}

static void segments_by_state(void **state)
{
    (void)state;
    /* What comes back: '-' nothing, 'A' an ACK, 'R' RST, 'S' SYN-ACK; '!' the connection ends
     * without a word. */
    static const char table[PLACE_CNT][KIND_CNT + 1] = {
        /*                   SYN S+A R=  Rin Rout old bey fut noA S+F 0  xmas */
        [IN_LISTEN] = "SR---RRR----",
        [IN_SYN_SENT] = "S*!--RRR----", /* SYN: the simultaneous open; *: below */
        [IN_ESTABLISHED] = "AA!A-AAA----",
        [IN_FIN_WAIT_1] = "AA!A-AAA----",
        [IN_FIN_WAIT_2] = "AA!A-AAA----",
        [IN_CLOSE_WAIT] = "AA!A-AAA----",
        [IN_CLOSING] = "AA!A-AAA----",
        [IN_LAST_ACK] = "AA!A-AAA----",
        [IN_TIME_WAIT] = "AA---AA-----",
    };

    for (enum place p = 0; p < PLACE_CNT; p++) {
        for (enum kind k = 0; k < KIND_CNT; k++) {
            open_lab();
            struct tcp_conn *c = go(p);
            feed(k);
            const struct lab_segment *g = lab_out(&lab);
            char got = g == NULL ? '-' : g->flags & RST ? 'R' : g->flags & SYN ? 'S' : 'A';
            struct tcp_usage u;
            tcp_usage(lab.s, &u);
            if (got == '-' && c != NULL && c->state == TCP_CLOSED)
                got = '!';
            char want = table[p][k];
            if (p == IN_SYN_SENT && k >= K_OLD_DATA && k <= K_BEYOND)
                want = '-'; /* an ACK of our SYN without a SYN says nothing */
            if (want == '*')
                want = 'A'; /* the handshake's end */
            if (got != want)
                fail_msg("state %d, segment %d: %c instead of %c", (int)p, (int)k, got, want);
            lab_close(&lab);
        }
    }
}

static void challenge_acks_are_limited(void **state)
{
    (void)state;
    uint32_t cnt = 0;
    open_lab();
    accept_one();

    for (int i = 0; i < 100; i++)
        peer(SYN, IRS + (uint32_t)i, 0, NULL, 0);
    while (lab_out(&lab) != NULL)
        cnt++;
    assert_in_range(cnt, 5, 12);
    lab_wait(&lab, 2 * BASE_NS_S);
    peer(SYN, IRS, 0, NULL, 0);
    expect(ACK);
    lab_close(&lab);
}

static void unknown_segments(void **state)
{
    (void)state;
    uint32_t cnt = 0;
    open_lab();

    local_port = 99;
    peer(SYN, 5, 0, NULL, 0);
    const struct lab_segment *g = expect(RST | ACK);
    assert_int_equal(g->seq, 0);
    assert_int_equal(g->ack, 6);
    peer(ACK | FIN, 5, 1234, "abc", 3);
    assert_int_equal(expect(RST)->seq, 1234);
    peer(RST, 5, 0, NULL, 0);
    expect_nothing();
    for (int i = 0; i < 5000; i++) {
        peer(SYN, 5, 0, NULL, 0);
        while (lab_out(&lab) != NULL)
            cnt++;
    }
    assert_in_range(cnt, 900, 1000);
    assert_true(count(STATS_TCP_REPLY_LIMITED) >= 4000);
    lab_close(&lab);
}

static void bad_headers(void **state)
{
    (void)state;
    uint8_t h[60] = {0x13, 0x88, 0, 25, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, SYN, 0xff, 0xff};
    open_lab();

    for (uint32_t len = 0; len < 20; len++)
        lab_in_raw(&lab, h, len);
    assert_int_equal(count(STATS_TCP_DROP_HEADER), 20);
    h[12] = 0x40; /* below 20 bytes */
    lab_in_raw(&lab, h, 20);
    h[12] = 0x60; /* beyond the segment */
    lab_in_raw(&lab, h, 20);
    assert_int_equal(count(STATS_TCP_DROP_HEADER), 22);
    static const uint8_t bad[][4] = {{2, 0, 0, 0}, {2, 1, 0, 0}, {2, 3, 5, 0}, {2, 5, 5, 0},
                                     {3, 4, 5, 0}, {9, 9, 0, 0}, {1, 1, 1, 2}};
    for (size_t i = 0; i < BASE_ARRAY_CNT(bad); i++) {
        memcpy(h + 20, bad[i], 4);
        lab_in_raw(&lab, h, 24);
    }
    assert_int_equal(count(STATS_TCP_DROP_OPTION), BASE_ARRAY_CNT(bad));
    expect_nothing();
    h[12] = 0xf0;
    memset(h + 20, 1, 40); /* forty NOPs are fine */
    lab_in_raw(&lab, h, 60);
    expect(SYN | ACK);
    lab_close(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passive_open_and_data),
        cmocka_unit_test(active_open),
        cmocka_unit_test(active_open_fails),
        cmocka_unit_test(simultaneous_open),
        cmocka_unit_test(limits_of_opens),
        cmocka_unit_test(ports_run_out),
        cmocka_unit_test(mss_extremes),
        cmocka_unit_test(window_scale),
        cmocka_unit_test(syn_flood),
        cmocka_unit_test(half_open_segments),
        cmocka_unit_test(listeners_beside_each_other),
        cmocka_unit_test(segments_by_state),
        cmocka_unit_test(challenge_acks_are_limited),
        cmocka_unit_test(unknown_segments),
        cmocka_unit_test(bad_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
