/*
 * Connections of a lane with everything around them: clients that go away at the worst moment,
 * disks that fail, resets that come with something else, a gateway that goes down. Whatever
 * happens, every buffer, connection and mbuf is back at the end, and what was not durable has no
 * 250.
 */
#include "conn_bench.h"

/* ---- the ends of a message ---- */

enum ending { END_RSET, END_QUIT, END_RESET, END_HALF_CLOSE, END_TIMEOUT };

/* Each ending after each part of a session. */
static void every_ending_gives_everything_back(void **state)
{
    static const char *const part[] = {
        "",
        "EHLO c.example\r\n",
        "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n",
        "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n",
        ENVELOPE,
        ENVELOPE "Subject: x\r\n",
        ENVELOPE "Subject: x\r\n\r\nbody",
        ENVELOPE "Subject: x\r\n\r\nbody\r\n.\r\n",
        ENVELOPE "Subject: x\r\n\r\nbare\nnewline\r\n.\r\nMAIL FROM:<a@b.example>\r\n",
    };
    static char filler[40000];

    (void)state;
    memset(filler, 'x', sizeof(filler));
    for (size_t i = 78; i + 1 < sizeof(filler); i += 80)
        memcpy(filler + i, "\r\n", 2);
    for (size_t p = 0; p < BASE_ARRAY_CNT(part); p++)
        for (int big = 0; big < 2; big++)
            for (int e = END_RSET; e <= END_TIMEOUT; e++) {
                struct tcp_conn *c = client(part[p]);
                bool in_body = p >= 4 && p <= 6;
                if (big && !in_body)
                    say(c, "NOOP\r\n");
                else if (big)
                    say_bytes(c, filler, sizeof(filler));
                turn(c, 10);
                if (e == END_RSET)
                    say(c, in_body ? "\r\n.\r\nRSET\r\n" : "RSET\r\n");
                else if (e == END_QUIT)
                    say(c, in_body ? "\r\n.\r\nQUIT\r\n" : "QUIT\r\n");
                else if (e == END_HALF_CLOSE)
                    tcp_shutdown(b->tcp, c);
                else if (e == END_RESET)
                    tcp_abort(b->tcp, c), c = NULL;
                turn(c, 20);
                if (e == END_TIMEOUT)
                    skip_time(c, 301 * BASE_NS_S);
                if (c != NULL)
                    tcp_close(b->tcp, c);
                b->got_len = 0;
                b->got[0] = 0;
                check_home();
            }
}

/* A reset in the same burst as the end of the handshake. */
static void reset_with_the_handshake(void **state)
{
    (void)state;
    struct tcp_conn *c = connect_client();
    for (int i = 0; i < 10 && tcp_send_pending(c) == 0; i++) {
        b->now_ns += BASE_NS_MS;
        wire_advance(b->wire, b->now_ns);
        struct tcp_usage u;
        tcp_usage(b->lane->tcp, &u);
        host_pass(NULL); /* the ACK that makes it ESTABLISHED lies in the wire */
        if (u.syn_cnt == 1)
            break;
        gateway_pass();
    }
    tcp_abort(b->tcp, c);
    tcp_flush(b->tcp, b->now_ns);
    net_flush(b->net);
    turn(NULL, 5);
    check_home();
    assert_int_equal(lane_stat(STATS_CONN_ACCEPTED), 1);
}

/* A reset in the same burst as the spooler's word on the message. */
static void reset_with_durable(void **state)
{
    (void)state;
    struct tcp_conn *c = client(ENVELOPE);
    say(c, "Subject: x\r\n\r\nbody\r\n.\r\n");
    host_pass(c);
    b->now_ns += BASE_NS_MS;
    wire_advance(b->wire, b->now_ns);
    gateway_pass();
    assert_int_equal(b->lane->in_cnt, 1);
    for (int i = 0; i < 20; i++) /* durable, and told to the lane's ring */
        disk_pass();
    tcp_abort(b->tcp, c);
    host_pass(NULL);
    b->now_ns += BASE_NS_MS;
    wire_advance(b->wire, b->now_ns);
    turn(NULL, 5);
    assert_int_equal(lane_stat(STATS_CONN_MESSAGES), 1);
    check_home();
}

/* Bytes behind QUIT do not cost the client the replies before it. */
static void replies_survive_bytes_behind_quit(void **state)
{
    (void)state;
    struct tcp_conn *c = client(ENVELOPE);
    say(c, "Subject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n\r\nmore\r\n");
    turn(c, 20);
    told("250 2.0.0 Ok: queued as");
    told("221 ");
    assert_false(b->client_failed);
    tcp_close(b->tcp, c);
    check_home();
}

/* ---- disks ---- */

static void a_failing_disk_gives_no_250(void **state)
{
    static const int error[] = {EIO, ENOSPC};

    (void)state;
    for (uint64_t nth = 0; nth < 3; nth++)
        for (size_t i = 0; i < BASE_ARRAY_CNT(error); i++) {
            struct tcp_conn *c = client(ENVELOPE);
            disk_sim_fail_writes(&b->disk, nth, 100, -error[i]);
            say(c, "Subject: x\r\n\r\nbody\r\n.\r\n");
            turn(c, 50);
            if (nth == 0)
                not_told("queued as");
            disk_sim_fail_writes(&b->disk, 0, 0, 0);
            skip_time(c, 30 * BASE_NS_S);
            say(c, "RSET\r\n" /* the session is usable */);
            turn(c, 10);
            told("250 2.0.0 ");
            say(c, "QUIT\r\n");
            turn(c, 10);
            tcp_close(b->tcp, c);
            b->got_len = 0;
            check_home();
        }
}

/* A header section of 10 MiB, far more entries than a few: it is held whole, and taken. */
static void long_headers(void **state)
{
    static char text[1 << 14];
    size_t len = 0;

    (void)state;
    close_bench(NULL);
    open_with(NULL, 1024);
    struct tcp_conn *c = client(ENVELOPE);
    for (int i = 0; i < 200; i++)
        len += (size_t)sprintf(text + len, "X-Filler: %060d\r\n", i);
    for (int i = 0; i < 700; i++) {
        say_bytes(c, text, len);
        while (tcp_send_pending(c) > 100000)
            turn(c, 1);
    }
    turn(c, 200);
    struct spool_entry none = {.op = SPOOL_ABORT}; /* of a message that is not there: no effect */
    while (lane_spool_room(b->lane, &none.id, 200))
        lane_spool_push(b->lane, &none);
    say(c, "\r\nbody\r\n.\r\n");
    host_pass(c);
    b->now_ns += BASE_NS_MS;
    wire_advance(b->wire, b->now_ns);
    gateway_pass(); /* the ring has no room for it now */
    turn(c, 500);
    told("queued as");
    assert_true(lane_stat(STATS_CONN_MESSAGES) == 1);
    tcp_close(b->tcp, c);
    check_home();
}

/* ---- settings ---- */

/* A session that slept over a reload and then runs into its time-out. */
static void timeout_after_a_reload(void **state)
{
    (void)state;
    for (int body = 0; body < 2; body++) {
        struct tcp_conn *c = client(body ? ENVELOPE : "EHLO c.example\r\n");
        for (int i = 0; i < 2; i++) {
            settings_publish(&b->hub, settings_of_text());
            turn(c, 2);
            assert_int_equal(settings_reclaim(&b->hub), 0); /* nobody is online: freed */
        }
        skip_time(c, 301 * BASE_NS_S);
        told("421 4.4.2 gw.example");
        tcp_close(b->tcp, c);
        b->got_len = 0;
        check_home();
    }
}

static void an_idle_client_hears_of_the_drain(void **state)
{
    (void)state;
    struct tcp_conn *c = client("EHLO c.example\r\n");
    lane_drain(b->lane);
    turn(c, 5);
    told("421 4.3.2");
    assert_true(tcp_recv_ended(c));
    tcp_close(b->tcp, c);
    check_home();
}

/* One amid a message ends it, and hears after it. */
static void a_message_ends_before_the_drain(void **state)
{
    (void)state;
    struct tcp_conn *c = client(ENVELOPE "Subject: x\r\n");
    lane_drain(b->lane);
    turn(c, 5);
    not_told("421");
    say(c, "\r\nbody\r\n.\r\n");
    turn(c, 20);
    told("queued as");
    told("421 4.3.2");
    assert_true(tcp_recv_ended(c));
    tcp_close(b->tcp, c);
    check_home();
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_bench, close_bench)
    const struct CMUnitTest tests[] = {
        CASE(every_ending_gives_everything_back),
        CASE(reset_with_the_handshake),
        CASE(reset_with_durable),
        CASE(replies_survive_bytes_behind_quit),
        CASE(a_failing_disk_gives_no_250),
        CASE(long_headers),
        CASE(timeout_after_a_reload),
        CASE(an_idle_client_hears_of_the_drain),
        CASE(a_message_ends_before_the_drain),
    };

    b = aligned_alloc(64, (sizeof(*b) + 63) & ~(size_t)63);
    memset(b, 0, sizeof(*b));
    dpdk_eal_init();
    int status = cmocka_run_group_tests_name("conn", tests, NULL, NULL);
    free(b);
    return status;
}
