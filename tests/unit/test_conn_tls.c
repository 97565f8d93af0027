/* TLS as a layer of a lane's connections, in virtual time: deadlines, ends in the middle of
 * something, records that are cut anywhere, caps, and that handshakes starve nobody. */
#include "conn_tls_rig.h"

static const char envelope[] =
    "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n";

/* A ClientHello as the first bytes of a client. */
static size_t client_hello(uint8_t *to, size_t cap)
{
    struct kit_peer p;

    kit_peer_open(&p, rig_tls.client, true, NULL);
    assert_int_equal(kit_peer_step(&p), 0);
    size_t n = kit_peer_take(&p, to, cap);
    kit_peer_close(&p);
    return n;
}

/* ---- deadlines ---- */

/* Connections that are silent at different places of a handshake; each ends at its deadline. */
static void half_open_ones_end(void **state)
{
    uint8_t hello[2048];
    size_t len = client_hello(hello, sizeof(hello));
    const size_t said[] = {0, 1, 5, 6, len - 1, len};

    (void)state;
    for (uint32_t i = 0; i < 6; i++)
        peer_bytes(peer_connect(i, IMPLICIT), hello, said[i]);
    for (uint32_t i = 6; i < 12; i++) { /* the deadline runs from STARTTLS on */
        peer_ask(peer_connect(i, MX), "", "220 ");
        peer_ask(&peers[i], "STARTTLS\r\n", "220 2.0.0");
        peer_bytes(&peers[i], hello, said[i - 6]);
    }
    uint64_t start_ns = b->now_ns;
    run_long(HANDSHAKE_TIMEOUT_NS / 2);
    for (uint32_t i = 0; i < 12; i++)
        assert_true(peers[i].tcp != NULL && !peers[i].reset);
    assert_int_equal(lane_stat(STATS_TLS_HANDSHAKING), 12);
    assert_int_equal(rig_tls.lane.clients.cnt, 12);
    while (b->now_ns < start_ns + HANDSHAKE_TIMEOUT_NS - BASE_NS_S)
        run_long(BASE_NS_S / 10);
    assert_int_equal(lane_stat(STATS_CONN_TLS_TIMEOUTS), 0);
    run_long(3 * BASE_NS_S / 2);
    for (uint32_t i = 0; i < 12; i++)
        assert_true(peers[i].reset);
    assert_int_equal(lane_stat(STATS_CONN_TLS_TIMEOUTS), 12);
    assert_int_equal(lane_stat(STATS_TLS_HANDSHAKING), 0);
    assert_int_equal(rig_tls.lane.clients.cnt, 0);
    peer_quit(peer_session(0, IMPLICIT)); /* and the place is free */
}

/* One byte every now and then does not move the deadline. */
static void slow_ones_end(void **state)
{
    uint8_t hello[2048];
    struct peer *p = peer_connect(0, IMPLICIT);
    uint32_t i = 0;

    (void)state;
    (void)client_hello(hello, sizeof(hello));
    for (; p->tcp != NULL && i < 100; i++) {
        peer_bytes(p, hello + i, 1);
        run_long(BASE_NS_S / 5);
    }
    assert_true(p->reset);
    assert_in_range(i, 20, 27);
    assert_int_equal(lane_stat(STATS_CONN_TLS_TIMEOUTS), 1);
}

/* ---- cut anywhere ---- */

static void cut_hello(void **state)
{
    uint8_t hello[2048];
    size_t len = client_hello(hello, sizeof(hello));

    (void)state;
    for (size_t at = 1; at < len; at += RIG_SANITIZED ? 7 : 1) {
        struct peer *p = peer_connect(at % 8, IMPLICIT);
        p->secure = true;
        p->chunk = at;
        for (int i = 0; i < 4000 && strstr(p->got, "220 ") == NULL; i++) {
            if (lane_stat(STATS_TLS_HANDSHAKING) > 0 && p->chunk == at)
                run_ms(3); /* the first part is there, alone */
            else
                run_ms(1);
            if (p->out_len > 0 && p->out_len < len)
                p->chunk = SIZE_MAX;
        }
        assert_non_null(strstr(p->got, "220 "));
        peer_quit(p);
    }
}

/* A record with a command in two segments, cut at every byte of it. */
static void cut_record(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        struct peer *p = peer_session(i, i == 0 ? MX : IMPLICIT);
        size_t len = 0;
        for (size_t at = 1; at == 1 || at < len; at++) {
            peer_say(p, "NOOP\r\n");
            len = p->out_len;
            assert_in_range(len, 20, 100);
            p->chunk = at;
            run_ms(1);
            p->held = true;
            p->got_len = 0;
            run_ms(3);
            assert_int_equal(p->got_len, 0);
            p->held = false;
            p->chunk = SIZE_MAX;
            peer_ask(p, "", "250 2.0.0");
        }
        peer_quit(p);
    }
}

/* Whole sessions, one byte a segment both in and before TLS. */
static void one_byte_a_segment(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    SSL_CTX *either = rig_tls.client;

    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        rig_tls.client = kit_client_context(versions[i / 2]);
        struct peer *p = peer_connect(i, i % 2 == 0 ? MX : IMPLICIT);
        p->chunk = 1;
        if (i % 2 == 0) {
            peer_ask(p, "", "220 ");
            peer_ask(p, "EHLO c.example\r\n", "STARTTLS");
            peer_ask(p, "STARTTLS\r\n", "220 2.0.0");
        }
        peer_secure(p);
        peer_ask(p, envelope, "354 ");
        peer_ask(p, "Subject: x\r\n\r\nbody\r\n.\r\n", "queued as");
        peer_ask(p, "QUIT\r\n", "221 ");
        run_ms(10);
        assert_true(p->notified && p->ended && !p->reset);
        peer_quit(p);
        SSL_CTX_free(rig_tls.client);
    }
    rig_tls.client = either;
    assert_int_equal(lane_stat(STATS_CONN_MESSAGES), 4);
    assert_int_equal(lane_stat(STATS_TLS_VERSION_12), 2);
}

/* ---- ends in the middle ---- */

static void bytes_behind_starttls(void **state)
{
    static const char *const behind[] = {"\n", "NOOP\r\n", "EHLO x\r\nMAIL FROM:<a@b.example>\r\n",
                                         "\x16\x03\x01\x02"};

    (void)state;
    for (uint32_t i = 0; i < 8; i++) {
        struct peer *p = peer_connect(i, MX);
        peer_ask(p, "", "220 ");
        p->got_len = 0;
        if (i < 4) { /* in one segment */
            peer_bytes(p, "STARTTLS\r\n", 10);
            peer_bytes(p, behind[i], strlen(behind[i]));
        } else { /* in two, which come at once */
            assert_int_equal(tcp_send(b->tcp, p->tcp, "STARTTLS\r\n", 10), 10);
            tcp_flush(b->tcp, b->now_ns);
            net_flush(b->net);
            assert_int_equal(tcp_send(b->tcp, p->tcp, behind[i - 4], strlen(behind[i - 4])),
                             strlen(behind[i - 4]));
            tcp_flush(b->tcp, b->now_ns);
            net_flush(b->net);
        }
        run_ms(20);
        assert_non_null(strstr(p->got, "554 5.5.0"));
        assert_null(strstr(p->got, "250"));
        assert_true(p->ended || p->reset);
        peer_quit(p);
    }
    assert_int_equal(lane_stat(STATS_CONN_STARTTLS_INJECTED), 8);
    assert_int_equal(lane_stat(STATS_TLS_ACCEPTED), 0);
}

enum end { CLOSE_NOTIFY, CLEAR_BYTES, FIN, END_CNT };

/* TLS ends in the middle of something, and what would complete it follows in clear. */
static void end_tls(struct peer *p, enum end end, const char *rest)
{
    static const enum stats_id counters[END_CNT] = {
        STATS_TLS_CLOSE_NOTIFIES, STATS_TLS_FAILED_NOT_TLS, STATS_TLS_FAILED_TRUNCATED};
    uint64_t before = lane_stat(counters[end]);

    run_ms(5);
    p->got_len = 0;
    p->got[0] = 0;
    if (end == CLOSE_NOTIFY) {
        (void)SSL_shutdown(p->tls.ssl);
        drive_tls(p);
    }
    if (end != FIN)
        peer_bytes(p, rest, strlen(rest));
    run_ms(1);
    if (end == FIN)
        tcp_shutdown(b->tcp, p->tcp);
    run_ms(50);
    assert_true(p->ended || p->reset);
    assert_string_equal(p->got, "");
    peer_quit(p);
    assert_int_equal(lane_stat(counters[end]), before + 1);
    assert_int_equal(lane_stat(STATS_CONN_MESSAGES), 0);
    assert_int_equal(b->lane->transaction_cnt, 0);
}

static void end_in_data(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2 * END_CNT; i++) {
        struct peer *p = peer_session(i, i % 2 == 0 ? MX : IMPLICIT);
        peer_ask(p, envelope, "354 ");
        peer_say(p, "Subject: cut\r\n\r\nhalf");
        end_tls(p, i / 2, "\r\n.\r\nMAIL FROM:<x@y.example>\r\nQUIT\r\n");
    }
}

/* In a chunk, the last one or not; between two; before the first byte of one; in the line of a
 * command. What follows in clear is longer than a record's header: less would be waited with. */
static void end_in_chunk(void **state)
{
    static const struct {
        const char *ask, *answer, *say, *rest;
    } rows[] = {
        {"", "", "BDAT 20 LAST\r\nSubject: x\r\n", "\r\nbody\r\nQUIT\r\n"},
        {"", "", "BDAT 20 LAST\r\n", "Subject: x\r\n\r\nbody\r\nQUIT\r\n"},
        {"", "", "BDAT 20\r\nSubject: x\r\n", "\r\nbody\r\nBDAT 0 LAST\r\n"},
        {"BDAT 12\r\nSubject: x\r\n", "250 ", "", "BDAT 0 LAST\r\n"},
        {"BDAT 12\r\nSubject: x\r\n", "250 ", "BDAT 8 LAST\r\n\r\nbo", "dy\r\nQUIT\r\n"},
        {"BDAT 12\r\nSubject: x\r\n", "250 ", "BDAT 0 LA", "ST\r\nQUIT\r\n"},
    };

    (void)state;
    for (uint32_t i = 0; i < BASE_ARRAY_CNT(rows) * END_CNT; i++) {
        struct peer *p = peer_session(i % PEERS, i % 2 == 0 ? MX : IMPLICIT);
        peer_ask(p, "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n", "250 2.1.0");
        peer_ask(p, "RCPT TO:<c@d.example>\r\n", "250 2.1.5");
        if (rows[i / END_CNT].ask[0] != 0)
            peer_ask(p, rows[i / END_CNT].ask, rows[i / END_CNT].answer);
        if (rows[i / END_CNT].say[0] != 0)
            peer_say(p, rows[i / END_CNT].say);
        end_tls(p, i % END_CNT, rows[i / END_CNT].rest);
    }
}

/* ---- starvation ---- */

/* Twelve ClientHellos and a command of an established connection come in one pass. */
static void established_are_served(void **state)
{
    struct peer *old = peer_session(0, IMPLICIT);
    struct tcp_usage u;

    (void)state;
    for (uint32_t i = 1; i <= 12; i++) {
        peer_connect(i, IMPLICIT)->held = true;
        run_ms(2);
        peers[i].secure = true;
    }
    old->held = true;
    peer_say(old, "NOOP\r\n");
    old->got_len = 0;
    run_ms(2);
    for (uint32_t i = 0; i <= 12; i++) /* his bytes are the last */
        peers[(i + 1) % 13].held = false;
    for (uint32_t i = 1; i <= 12; i++)
        drive(&peers[i]);
    drive(old);
    tcp_flush(b->tcp, b->now_ns);
    net_flush(b->net);
    b->now_ns += BASE_NS_MS;
    wire_advance(b->wire, b->now_ns);
    uint64_t keyops = lane_stat(STATS_TLS_KEYOPS);
    gateway_pass();
    assert_in_range(lane_stat(STATS_TLS_KEYOPS), keyops + 1, keyops + 4); /* of before and after */
    /* Two are begun as they come where a ClientHello does not wait for others. */
    assert_in_range(lane_stat(STATS_TLS_WAITING), 8, 10);
    peers_pass(); /* the reply has left in that pass */
    tcp_usage(b->tcp, &u);
    assert_non_null(strstr(old->got, "250 2.0.0"));
    /* No pass makes more steps than it may, and he is served all the while. */
    for (int i = 0; i < 100 && lane_stat(STATS_TLS_HANDSHAKING) > 0; i++) {
        keyops = lane_stat(STATS_TLS_KEYOPS);
        gateway_pass();
        assert_true(lane_stat(STATS_TLS_KEYOPS) - keyops <= 2);
        b->now_ns += BASE_NS_MS / 10;
        wire_advance(b->wire, b->now_ns);
        peers_pass();
    }
    run_ms(20);
    for (uint32_t i = 1; i <= 12; i++)
        assert_non_null(strstr(peers[i].got, "220 "));
}

/* ---- operations that take their time ---- */

static void open_held(uint32_t from, uint32_t end)
{
    for (uint32_t i = from; i < end; i++) {
        peer_connect(i, IMPLICIT)->secure = true;
        peers[i].held = true;
    }
    run_ms(3);
    for (uint32_t i = from; i < end; i++)
        peers[i].held = false;
    run_ms(3);
}

static void one_burst_a_pass(void **state)
{
    (void)state;
    open_held(0, 6);
    assert_int_equal(slow.held_cnt, 6);
    assert_int_equal(slow.bursts, 1);
    assert_int_equal(lane_stat(STATS_TLS_KEYOP_BURSTS), 1);
    assert_int_equal(lane_stat(STATS_TLS_KEYOP_GATHERED), 6);
    assert_int_equal(lane_stat(STATS_TLS_KEYOP_BURST_MAX), 6);
    assert_int_equal(lane_stat(STATS_TLS_PARKED), 6);
    assert_int_equal(lane_stat(STATS_TLS_WAITING), 0);
    /* The lane may sleep: who has the operations wakes it. */
    assert_true(lane_deadline(b->lane) > b->now_ns);
    slow.take_max = 2; /* full: what does not fit stays, and goes later */
    open_held(6, 10);
    assert_int_equal(slow.held_cnt, 10);
    assert_true(lane_stat(STATS_TLS_KEYOP_FULL) > 0);
    slow.release_cnt = 100;
    run_ms(20);
    for (uint32_t i = 0; i < 10; i++)
        assert_non_null(strstr(peers[i].got, "220 "));
    assert_int_equal(lane_stat(STATS_TLS_ACCEPTED), 10);
}

/* Their deadline ends parked ones, too; what comes back later is nobody's. */
static void parked_ones_end(void **state)
{
    (void)state;
    open_held(0, 4);
    peer_quit(&peers[3]); /* one goes away by itself */
    run_long(HANDSHAKE_TIMEOUT_NS + BASE_NS_S);
    assert_int_equal(lane_stat(STATS_CONN_TLS_TIMEOUTS), 3);
    assert_int_equal(rig_tls.lane.clients.cnt, 0);
    assert_int_equal(slow.held_cnt, 4);
    slow.release_cnt = 100;
    run_ms(5);
    assert_int_equal(lane_stat(STATS_TLS_PARKED), 0);
    peer_quit(peer_session(4, IMPLICIT));
}

/* Certificates are changed while handshakes are parked on the old key. */
static void reload_while_parked(void **state)
{
    struct lane_tls_update update = {.accepts = true};
    struct tls_domain *old = rig_tls.domain;

    (void)state;
    open_held(0, 3);
    update.domain = rig_tls.domain = build_domain();
    atomic_store(&rig_tls.lane.next, &update);
    run_ms(2);
    assert_true(atomic_load(&update.taken));
    assert_false(tls_domain_released(old));
    open_held(3, 5); /* by the new one */
    peer_quit(&peers[1]);
    assert_false(tls_domain_released(old));
    slow.release_cnt = 100;
    run_ms(20);
    for (uint32_t i = 0; i < 5; i++)
        assert_true(i == 1 || strstr(peers[i].got, "220 ") != NULL);
    assert_false(tls_domain_released(old)); /* established connections have it */
    peer_quit(&peers[0]);
    peer_quit(&peers[2]);
    assert_true(tls_domain_released(old));
    tls_domain_free(old);
    assert_int_equal(lane_stat(STATS_TLS_ACCEPTED), 4);
}

/* The lane's thread ends. */
static void stop_while_parked(void **state)
{
    (void)state;
    open_held(0, 3);
    assert_int_equal(slow.held_cnt, 3);
    slow.release_cnt = 100;
    lane_tls_leave(b->lane);
    assert_int_equal(slow.held_cnt, 0);
    assert_int_equal(lane_stat(STATS_TLS_CONNECTIONS), 0);
    assert_int_equal(rig_tls.lane.clients.cnt, 0);
    assert_true(tls_domain_released(rig_tls.domain));
}

/* ---- caps ---- */

static void name_client(uint32_t i, const char *client)
{
    char header[128];

    snprintf(header, sizeof(header), "PROXY TCP%c %s %s 4711 466\r\n",
             strchr(client, ':') != NULL ? '6' : '4', client,
             strchr(client, ':') != NULL ? "2001:db8:f::1" : "203.0.113.1");
    peer_bytes(&peers[i], header, strlen(header));
}

static void behind_proxy(uint32_t i, const char *client)
{
    peer_connect(i, PROXIED);
    name_client(i, client);
    run_ms(3);
}

static void set_per_client(uint64_t max)
{
    struct conf *conf = (struct conf *)(uintptr_t)b->lane->settings->conf;

    conf->tls.handshakes_per_client = max;
}

/* Behind a proxy each true client has a share of its own. */
static void each_client_has_its_share(void **state)
{
    (void)state;
    run_ms(1);
    set_per_client(2);
    static const char *const clients[] = {"198.51.100.7", "2001:db8:1:2::1", "2001:db8:1:3::1"};
    for (uint32_t i = 0; i < 9; i++)
        behind_proxy(i, i == 7 ? "2001:db8:1:2:ffff::" : clients[i % 3]);
    run_ms(5);
    for (uint32_t i = 0; i < 9; i++)
        assert_int_equal(peers[i].reset, i >= 6);
    assert_int_equal(lane_stat(STATS_CONN_TLS_CLIENT_FULL), 3);
    assert_int_equal(rig_tls.lane.clients.cnt, 6);
    behind_proxy(9, "198.51.100.8");
    assert_false(peers[9].reset);
    /* One that is done makes room for another; one that fails likewise. */
    peer_secure(&peers[0]);
    peer_bytes(&peers[3], "EHLO x\r\n", 8);
    run_ms(5);
    for (uint32_t i = 10; i < 12; i++) {
        behind_proxy(i, clients[0]);
        assert_false(peers[i].reset);
    }
    behind_proxy(12, clients[0]);
    assert_true(peers[12].reset);
    /* By STARTTLS it is told, and may go on in clear. */
    set_per_client(1);
    peer_ask(peer_connect(13, MX), "", "220 ");
    peer_ask(&peers[13], "STARTTLS\r\n", "220 2.0.0");
    peer_ask(peer_connect(14, MX), "", "220 ");
    peer_ask(&peers[14], "STARTTLS\r\n", "454 4.7.0");
    peer_ask(&peers[14], "NOOP\r\n", "250 ");
    peer_secure(&peers[13]);
    peer_ask(&peers[14], "STARTTLS\r\n", "220 2.0.0");
}

/* More than fit: the oldest of those that wait for their client give way, and others get on. */
static void old_ones_give_way(void **state)
{
    (void)state;
    run_ms(1);
    set_per_client(0);
    for (uint32_t i = 0; i < 14; i++) {
        peer_connect(i, IMPLICIT);
        run_ms(5);
    }
    assert_int_equal(lane_stat(STATS_CONN_TLS_PRESSED), 0);
    for (uint32_t i = 14; i < 16; i++) {
        peer_connect(i, IMPLICIT);
        run_ms(5);
    }
    assert_int_equal(lane_stat(STATS_CONN_TLS_PRESSED), 2);
    for (uint32_t i = 0; i < 16; i++)
        assert_int_equal(peers[i].reset, i < 2);
    for (uint32_t i = 0; i < 2; i++)
        peer_quit(peer_session(i, IMPLICIT)); /* a client that answers */
    assert_int_equal(lane_stat(STATS_TLS_REFUSED_FULL), 0);
}

/* Those that wait for us are not dropped for it, however old. */
static void parked_ones_stay(void **state)
{
    (void)state;
    set_per_client(0);
    open_held(0, 13);
    for (uint32_t i = 13; i < 16; i++) {
        peer_connect(i, IMPLICIT);
        run_ms(5);
        assert_int_equal(lane_stat(STATS_CONN_TLS_PRESSED), i < 14 ? 0 : i - 13);
        assert_true(i < 14 || peers[i - 1].reset);
    }
    slow.release_cnt = 100;
    run_ms(30);
    for (uint32_t i = 0; i < 13; i++)
        assert_non_null(strstr(peers[i].got, "220 "));
}

/* Whole hellos that come faster than they are answered: the newest of the client with many go, and
 * one that comes from elsewhere gets a place, also amid a pass that has brought more than fit. */
static void unserved_ones_give_way(void **state)
{
    static const bool gone[16] = {
        [0] = true, [9] = true, [10] = true, [11] = true, [13] = true, [14] = true};

    (void)state;
    set_per_client(0);
    for (uint32_t i = 0; i < 13; i++) {
        behind_proxy(i, i < 12 ? "198.51.100.7" : "198.51.100.8");
        peers[i].secure = true;
        run_ms(3);
    }
    assert_int_equal(lane_stat(STATS_TLS_PARKED), 4);
    assert_int_equal(lane_stat(STATS_TLS_WAITING), 7);
    assert_int_equal(lane_stat(STATS_CONN_TLS_PRESSED), 2);
    assert_int_equal(lane_stat(STATS_TLS_REFUSED_FULL), 0);
    for (uint32_t i = 13; i < 16; i++)
        peer_connect(i, PROXIED);
    run_ms(3);
    for (uint32_t i = 13; i < 16; i++) {
        name_client(i, i < 15 ? "198.51.100.7" : "198.51.100.8");
        peers[i].secure = true;
    }
    run_ms(10);
    assert_int_equal(lane_stat(STATS_TLS_REFUSED_FULL), 1);
    assert_int_equal(lane_stat(STATS_CONN_TLS_PRESSED), 4);
    /* The first that is answered waits for its client then, among more than seven of eight. */
    slow.release_cnt = 100;
    run_ms(50);
    for (uint32_t i = 0; i < 16; i++)
        assert_int_equal(strstr(peers[i].got, "220 ") == NULL, gone[i]);
}

static int setup(void **state)
{
    static const char *const names[] = {"gw.example"};

    (void)state;
    dpdk_eal_init();
    b = calloc(1, sizeof(*b));
    kit_certificate_make(&rig_tls.certificate, "EC", names, 1, -1, 90);
    rig_tls.client = kit_client_context(0);
    return b != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    kit_certificate_free(&rig_tls.certificate);
    SSL_CTX_free(rig_tls.client);
    free(b);
    return 0;
}

#define TEST(name)      cmocka_unit_test_setup_teardown(name, open_tls_bench, close_tls_bench)
#define HELD_TEST(name) cmocka_unit_test_setup_teardown(name, open_held_bench, close_tls_bench)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(half_open_ones_end),
        TEST(slow_ones_end),
        TEST(cut_hello),
        TEST(cut_record),
        TEST(one_byte_a_segment),
        TEST(bytes_behind_starttls),
        TEST(end_in_data),
        TEST(end_in_chunk),
        cmocka_unit_test_setup_teardown(established_are_served, open_two_steps_bench,
                                        close_tls_bench),
        HELD_TEST(one_burst_a_pass),
        HELD_TEST(parked_ones_end),
        HELD_TEST(reload_while_parked),
        cmocka_unit_test_setup_teardown(stop_while_parked, open_held_bench, close_left_bench),
        TEST(each_client_has_its_share),
        TEST(old_ones_give_way),
        HELD_TEST(parked_ones_stay),
        cmocka_unit_test_setup_teardown(unserved_ones_give_way, open_few_jobs_bench,
                                        close_tls_bench),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
