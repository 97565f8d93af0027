/* Timestamps (RFC 7323) and what goes with options in general. */
#include "tcp_peer.h"

#define TS 5000U /* the peer's first timestamp */

static uint32_t ts_echo; /* the stack's last */

static struct lab_segment ts_segment(uint8_t flags, uint32_t seq, uint32_t timestamp,
                                     const char *data)
{
    return (struct lab_segment){.flags = flags,
                                .seq = seq,
                                .ack = peer_ack,
                                .window = 65535,
                                .has_timestamp = true,
                                .timestamp = timestamp,
                                .timestamp_echo = ts_echo,
                                .data = data,
                                .len = data == NULL ? 0 : (uint32_t)strlen(data),
                                .peer_port = peer_port,
                                .local_port = local_port};
}

static void ts_peer(uint8_t flags, uint32_t seq, uint32_t timestamp, const char *data)
{
    struct lab_segment g = ts_segment(flags, seq, timestamp, data);

    lab_in(&lab, &g);
}

static const struct lab_segment *ts_expect(uint8_t flags, uint32_t echo)
{
    const struct lab_segment *g = expect(flags);

    assert_true(g->has_timestamp);
    assert_int_equal(g->timestamp_echo, echo);
    ts_echo = g->timestamp;
    return g;
}

static struct tcp_conn *ts_accept(void)
{
    struct lab_segment syn = {.flags = SYN,
                              .seq = IRS,
                              .window = 65535,
                              .has_mss = true,
                              .mss = MSS,
                              .has_timestamp = true,
                              .timestamp = TS,
                              .peer_port = peer_port};

    lab_in(&lab, &syn);
    const struct lab_segment *g = ts_expect(SYN | ACK, TS);
    peer_seq = IRS + 1;
    peer_ack = g->seq + 1;
    lab_wait(&lab, 30 * MS);
    ts_peer(ACK, peer_seq, TS + 1, NULL);
    expect_nothing();
    expect_event(TCP_EVENT_ACCEPTED);
    return ev.conn;
}

/* Options of each kind there and back, and lengths that do not fit their kind. */
static void coding(void **state)
{
    (void)state;
    struct tcp_options in = {.has_mss = true,
                             .mss = 1460,
                             .has_wscale = true,
                             .wscale = 7,
                             .sack_permitted = true,
                             .has_timestamp = true,
                             .timestamp = 0x01020304,
                             .timestamp_echo = 0xfffffffe},
                       out;
    uint8_t raw[TCP_OPTION_MAX_BYTES];
    size_t len = tcp_option_write(raw, &in);

    assert_int_equal(len, 20);
    assert_int_equal(tcp_option_parse(&out, base_span_of(raw, len)), 0);
    assert_memory_equal(&in, &out, sizeof(in));
    in = (struct tcp_options){.sack_cnt = 4};
    for (uint32_t i = 0; i < 4; i++)
        in.sack[i] = (struct tcp_sack_block){.left = UINT32_MAX - i, .right = i};
    len = tcp_option_write(raw, &in);
    assert_int_equal(len, 36);
    assert_int_equal(tcp_option_parse(&out, base_span_of(raw, len)), 0);
    assert_memory_equal(&in, &out, sizeof(in));
    in.has_timestamp = true; /* three fit beside it */
    len = tcp_option_write(raw, &in);
    assert_int_equal(len, 40);
    assert_int_equal(tcp_option_parse(&out, base_span_of(raw, len)), 0);
    assert_int_equal(out.sack_cnt, 3);

    static const uint8_t bad[][3] = {{5, 2}, {5, 9}, {5, 11}, {5, 17}, {8, 9}, {8, 11}, {4, 3}};
    for (size_t i = 0; i < BASE_ARRAY_CNT(bad); i++) {
        memset(raw, 0, sizeof(raw));
        memcpy(raw, bad[i], 2);
        assert_int_equal(tcp_option_parse(&out, base_span_of(raw, 40)), -EINVAL);
    }
}

static void timestamps(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = ts_accept();

    assert_in_range(c->srtt_us, 29000, 31000); /* from the SYN-ACK's echo */
    send_zeros(c, 5000);
    assert_int_equal(ts_expect(ACK, TS + 1)->len, MSS - 12);
    while (lab_out(&lab) != NULL)
        continue;
    /* Two segments before one ACK: it echoes the first of them. */
    peer_ack += 5000;
    ts_peer(ACK, peer_seq, TS + 10, "a");
    ts_peer(ACK, peer_seq + 1, TS + 20, "b");
    ts_expect(ACK, TS + 10);
    ts_peer(ACK, peer_seq + 3, TS + 40, "d"); /* early: the echo stays */
    ts_expect(ACK, TS + 10);
    ts_peer(ACK, peer_seq + 2, TS + 50, "c"); /* fills the hole */
    ts_expect(ACK, TS + 50);
    read_all(c, "abcd");
    tcp_abort(lab.s, c);
    assert_true(expect(RST | ACK)->has_timestamp);
    lab_close(&lab);
}

static void old_duplicates(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = ts_accept();

    ts_peer(ACK, peer_seq, TS + 100, "new");
    lab_wait(&lab, 50 * MS);
    ts_expect(ACK, TS + 100);
    ts_peer(ACK, peer_seq + 3, TS + 99, "old"); /* right numbers, a wrapped age ago */
    assert_int_equal(ts_expect(ACK, TS + 100)->ack, peer_seq + 3);
    assert_int_equal(count(STATS_TCP_DROP_PAWS), 1);
    read_all(c, "new");
    struct lab_segment none = ts_segment(ACK, peer_seq + 3, 0, "bare"); /* leaves them away */
    none.has_timestamp = false;
    lab_in(&lab, &none);
    read_all(c, "bare");
    lab_wait(&lab, 50 * MS);
    ts_expect(ACK, TS + 100);
    ts_peer(RST, peer_seq + 7, TS - 100, NULL); /* RSTs are exempt */
    assert_int_equal(tcp_error(c), TCP_ERROR_RESET);
    tcp_close(lab.s, c);

    while (tcp_poll(lab.s, &ev, 1) > 0)
        continue;
    c = ts_accept();
    lab_wait(&lab, UINT64_C(25) * 86400 * BASE_NS_S); /* longer than the clock can tell */
    ts_peer(ACK, peer_seq, TS - 5, "late");
    read_all(c, "late");
    tcp_abort(lab.s, c);
    lab_close(&lab);
}

/* Karn's rule gives no sample from what was sent twice; the echo does. */
static void echo_after_retransmission(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = ts_accept();

    send_text(c, "hello");
    ts_expect(ACK, TS + 1);
    lab_wait(&lab, 1200 * MS);
    ts_expect(ACK, TS + 1); /* again */
    uint32_t before = c->srtt_us;
    lab_wait(&lab, 70 * MS);
    peer_ack += 5;
    ts_peer(ACK, peer_seq, TS + 2, NULL);
    assert_true(c->srtt_us > before);
    assert_true(c->srtt_us < 60000);
    ts_echo += 99999999; /* nothing that we sent */
    before = c->srtt_us;
    ts_peer(ACK, peer_seq, TS + 3, NULL);
    assert_int_equal(c->srtt_us, before);
    tcp_abort(lab.s, c);
    lab_close(&lab);
}

static void active_open_with_options(void **state)
{
    (void)state;
    uint32_t iss, first;
    struct tcp_config g = lab_config();
    open_lab();
    struct tcp_conn *c;

    assert_int_equal(tcp_connect(lab.s, &any, &peer_25, NULL, &c, lab.now_ns), 0);
    tcp_flush(lab.s, lab.now_ns);
    const struct lab_segment *o = expect(SYN);
    assert_true(o->has_timestamp && o->timestamp_echo == 0);
    first = o->timestamp;
    ts_echo = o->timestamp;
    iss = o->seq;
    local_port = o->local_port;
    peer_port = 25;
    peer_ack = iss + 1;
    ts_peer(SYN | ACK, IRS, TS, NULL);
    ts_expect(ACK, TS);
    expect_event(TCP_EVENT_CONNECTED);
    assert_int_equal(c->mss, 536 - 12);
    tcp_abort(lab.s, c);
    lab_close(&lab);

    open_lab(); /* the offset is the 4-tuple's */
    struct net_endpoint fixed = {.port = local_port};
    assert_int_equal(tcp_connect(lab.s, &fixed, &peer_25, NULL, &c, lab.now_ns), 0);
    tcp_flush(lab.s, lab.now_ns);
    assert_int_equal(expect(SYN)->timestamp, first);
    fixed.port++;
    assert_int_equal(tcp_connect(lab.s, &fixed, &peer_25, NULL, &c, lab.now_ns), 0);
    tcp_flush(lab.s, lab.now_ns);
    assert_int_not_equal(expect(SYN)->timestamp, first);
    lab_close(&lab);

    g.timestamps_off = true;
    lab_open(&lab, &g);
    assert_int_equal(tcp_connect(lab.s, &any, &peer_25, NULL, &c, lab.now_ns), 0);
    tcp_flush(lab.s, lab.now_ns);
    assert_false(expect(SYN)->has_timestamp);
    lab_close(&lab);
}

/* RFC 6191: a SYN whose numbers are not beyond, but whose timestamp is. */
static void time_wait_reuse_by_timestamp(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = ts_accept();

    tcp_close(lab.s, c);
    tcp_flush(lab.s, lab.now_ns);
    ts_expect(ACK | FIN, TS + 1);
    peer_ack++;
    ts_peer(ACK | FIN, peer_seq, TS + 5, NULL);
    ts_expect(ACK, TS + 5);
    ts_peer(SYN, IRS - 100, TS + 5, NULL); /* not newer */
    ts_expect(ACK, TS + 5);
    ts_peer(SYN, IRS - 100, TS + 6, NULL);
    ts_expect(SYN | ACK, TS + 6);
    assert_int_equal(count(STATS_TCP_TIME_WAIT_REUSED), 1);
    lab_close(&lab);
}

/* ---- SACK, the receiver's side ---- */

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
    assert_true(g->sack_permitted);
    peer_seq = IRS + 1;
    peer_ack = g->seq + 1;
    peer(ACK, peer_seq, peer_ack, NULL, 0);
    expect_event(TCP_EVENT_ACCEPTED);
    return ev.conn;
}

/* Ten bytes from the peer at an offset. */
static void ten(uint32_t offset)
{
    static const char zeros[10];

    peer(ACK, peer_seq + offset, peer_ack, zeros, 10);
}

/* An ACK up to ack with exactly these blocks, pairs of offsets. */
static void expect_sack(uint32_t ack, uint32_t cnt, const uint32_t *blocks)
{
    const struct lab_segment *g = expect(ACK);

    assert_int_equal(g->ack - peer_seq, ack);
    assert_int_equal(g->sack_cnt, cnt);
    for (uint32_t i = 0; i < cnt; i++) {
        assert_int_equal(g->sack[i].left - peer_seq, blocks[2 * i]);
        assert_int_equal(g->sack[i].right - peer_seq, blocks[2 * i + 1]);
    }
}

#define EXPECT_SACK(ack, ...)                                                                      \
    do {                                                                                           \
        const uint32_t blocks[] = {0, ##__VA_ARGS__};                                              \
        expect_sack(ack, BASE_ARRAY_CNT(blocks) / 2, blocks + 1);                                  \
    } while (0)

static void sack_blocks(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = sack_accept();

    ten(20);
    EXPECT_SACK(0, 20, 30);
    ten(40);
    EXPECT_SACK(0, 40, 50, 20, 30); /* the latest first */
    ten(80);
    EXPECT_SACK(0, 80, 90, 40, 50, 20, 30);
    ten(30); /* joins two */
    EXPECT_SACK(0, 20, 50, 80, 90);
    ten(100);
    ten(120);
    ten(140);
    (void)lab_out(&lab);
    (void)lab_out(&lab);
    EXPECT_SACK(0, 140, 150, 120, 130, 100, 110, 20, 50); /* no more fit */
    ten(0);
    assert_int_equal(expect(ACK)->ack - peer_seq, 10);
    ten(10);
    EXPECT_SACK(50, 140, 150, 120, 130, 100, 110, 80, 90);
    assert_true(count(STATS_TCP_TX_SACKS) >= 8);
    tcp_abort(lab.s, c);
    lab_close(&lab);
}

static void sack_duplicates(void **state)
{
    (void)state;
    open_lab();
    struct tcp_conn *c = sack_accept();

    ten(0);
    ten(10);
    expect(ACK);
    ten(0); /* all of it old */
    EXPECT_SACK(20, 0, 10);
    ten(15); /* half of it */
    EXPECT_SACK(25, 15, 20);
    ten(40);
    ten(60);
    expect(ACK);
    expect(ACK);
    ten(40); /* among the early ones: the block that holds it follows */
    EXPECT_SACK(25, 40, 50, 40, 50, 60, 70);
    ten(55); /* its end is known */
    EXPECT_SACK(25, 60, 65, 55, 70, 40, 50);
    ten(65); /* its front */
    EXPECT_SACK(25, 65, 70, 55, 75, 40, 50);
    assert_int_equal(count(STATS_TCP_TX_DSACKS), 5);
    tcp_abort(lab.s, c);
    lab_close(&lab);
}

static void sack_not_agreed(void **state)
{
    (void)state;
    struct tcp_config g = lab_config();
    struct lab_segment syn = {.flags = SYN, .seq = IRS, .sack_permitted = true};

    open_lab();
    struct tcp_conn *c = accept_one();
    ten(20);
    EXPECT_SACK(0);
    tcp_abort(lab.s, c);
    lab_close(&lab);
    g.sack_off = true;
    lab_open(&lab, &g);
    assert_int_equal(tcp_listen(lab.s, &any_25, NULL), 0);
    lab_in(&lab, &syn);
    assert_false(expect(SYN | ACK)->sack_permitted);
    lab_close(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coding),
        cmocka_unit_test(timestamps),
        cmocka_unit_test(old_duplicates),
        cmocka_unit_test(echo_after_retransmission),
        cmocka_unit_test(active_open_with_options),
        cmocka_unit_test(time_wait_reuse_by_timestamp),
        cmocka_unit_test(sack_blocks),
        cmocka_unit_test(sack_duplicates),
        cmocka_unit_test(sack_not_agreed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
