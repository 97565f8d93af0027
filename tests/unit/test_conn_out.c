/*
 * Deliveries of a lane: next hops that go away at every step, several messages over one connection,
 * a gateway that goes down. Whatever happens, every recipient has one fate, and every buffer,
 * connection and mbuf is back at the end.
 */
#include "conn_bench.h"
#include "proxy.h"

static void one_delivery(void)
{
    one_message();
    turn(NULL, 10);
    answer("220 sink\r\n");
    assert_non_null(strstr(b->asked, "EHLO gw.example"));
    answer("250 sink\r\n");
    answer("250 ok\r\n");
    answer("250 ok\r\n");
    answer("354 go\r\n");
    assert_non_null(strstr(b->asked, "\r\nbody\r\n.\r\n"));
    answer("250 taken\r\n221 bye, unasked\r\n"); /* more than was asked for */
    turn(NULL, 20);
    assert_int_equal(b->lane->out_cnt, 0); /* it took that for the answer to QUIT */
    tcp_close(b->tcp, b->sink);
    b->sink = NULL;
    turn(NULL, 20);
}

static void delivery(void **state)
{
    (void)state;
    b->courier_off = false;
    one_delivery();
    assert_int_equal(queued().message_cnt, 0);
    check_home();
}

/* A next hop that goes away at each step: the recipient is deferred, nothing is left. */
static void next_hop_goes(void **state)
{
    static const char *const reply[] = {"220 sink\r\n", "250 sink\r\n", "250 ok\r\n", "250 ok\r\n",
                                        "354 go\r\n"};

    (void)state;
    b->courier_off = false;
    for (size_t step = 0; step <= BASE_ARRAY_CNT(reply); step++)
        for (int reset = 0; reset < 2; reset++) {
            uint64_t before = queued().deferred_cnt;
            one_message();
            turn(NULL, 10);
            for (size_t i = 0; i < step; i++)
                answer(reply[i]);
            if (reset)
                tcp_abort(b->tcp, b->sink);
            else
                tcp_close(b->tcp, b->sink);
            b->sink = NULL;
            turn(NULL, 50);
            assert_int_equal(queued().deferred_cnt, before + 1);
            b->got_len = 0;
            one_delivery(); /* or it would be set aside */
            b->got_len = 0;
            check_home();
        }
}

/* A greeting has 5 minutes, whatever TCP had; neither bytes nor lines that trickle in are more. */
static void greeting_in_vain(const char *const trickle[3])
{
    b->courier_off = false;
    one_message();
    turn(NULL, 10);
    for (int i = 0; i < 3; i++) {
        answer(trickle[i]);
        skip_time(NULL, 90 * BASE_NS_S);
        assert_int_equal(lane_stat(STATS_CONN_TIMEOUTS), 0);
    }
    skip_time(NULL, 40 * BASE_NS_S);
    assert_int_equal(lane_stat(STATS_CONN_TIMEOUTS), 1);
    assert_int_equal(queued().deferred_cnt, 1);
    b->sink = NULL; /* reset */
    check_home();
}

static void a_silent_greeting_has_its_time(void **state)
{
    (void)state;
    greeting_in_vain((const char *const[]){"", "", ""});
}

static void bytes_that_trickle_have_their_time(void **state)
{
    (void)state;
    greeting_in_vain((const char *const[]){"2", "2", "0"});
}

static void lines_that_trickle_have_their_time(void **state)
{
    (void)state;
    greeting_in_vain((const char *const[]){"220-a\r\n", "220-b\r\n", "220-c\r\n"});
}

/* O6: a next hop that is never silent for long has its time, too: an hour for a short message. What
 * it has not answered by then is tried again, and what it has said of MAIL and RCPT is no result.
 */
static void replies_that_trickle_have_their_time(void **state)
{
    struct tcp_conn *c = client("EHLO c\r\nMAIL FROM:<a@b.example>\r\n");
    uint64_t begun;
    uint32_t n = 0;

    (void)state;
    b->courier_off = false;
    for (int i = 0; i < 20; i++)
        say(c, "RCPT TO:<c@d.example>\r\n");
    say(c, "DATA\r\n");
    turn(c, 20);
    say(c, "Subject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n");
    turn(c, 20);
    told("queued as");
    tcp_close(b->tcp, c);
    turn(NULL, 10);
    begun = b->now_ns;
    answer("220 sink\r\n");
    answer("250 sink\r\n");
    for (; n < 20 && lane_stat(STATS_CONN_TIMEOUTS) == 0; n++) {
        answer("250 ok\r\n");
        skip_time(NULL, 290 * BASE_NS_S);
    }
    assert_in_range(n, 12, 13);
    assert_in_range((b->now_ns - begun) / BASE_NS_S, 3600, 3600 + 300);
    assert_int_equal(lane_stat(STATS_CONN_OUT_TOO_SLOW), 1);
    assert_int_equal(queued().deferred_cnt, 20);
    b->sink = NULL; /* reset */
    check_home();
}

/* A delivery that a lane could not begin costs no attempt, and nothing is journalled. */
static void a_drained_lane_spends_no_attempt(void **state)
{
    (void)state;
    one_message();
    lane_drain(b->lane);
    b->courier_off = false;
    turn(NULL, 20);
    assert_null(b->sink);
    assert_int_equal(queued().message_cnt, 1);
    assert_int_equal(queued().deferred_cnt, 0);
    assert_int_equal(stats_get(b->courier.stats, STATS_COURIER_DEFERRED), 0);
    assert_true(courier_idle(&b->courier));
    check_home();
}

/* A next hop that does not answer QUIT does not hold the drain. */
static void a_drain_waits_for_no_answer_to_quit(void **state)
{
    static const char *const reply[] = {"220 sink\r\n", "250 sink\r\n", "250 ok\r\n",
                                        "250 ok\r\n",   "354 go\r\n",   "250 taken\r\n"};

    (void)state;
    b->courier_off = false;
    one_message();
    turn(NULL, 10);
    for (size_t i = 0; i < BASE_ARRAY_CNT(reply); i++)
        answer(reply[i]);
    assert_int_equal(b->lane->out_cnt, 1);
    assert_int_equal(queued().message_cnt, 0);
    lane_drain(b->lane);
    turn(NULL, 5);
    assert_int_equal(b->lane->out_cnt, 0);
    assert_non_null(strstr(b->asked, "QUIT\r\n"));
    tcp_close(b->tcp, b->sink);
    b->sink = NULL;
    check_home();
}

/* ---- several messages over one connection ---- */

static const char *const hello[] = {"220 sink\r\n", "250 sink\r\n"};
static const char *const message[] = {"250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 taken\r\n"};

/* A message for the next hop, up to where it is asked for the first reply. */
static void next_message(void)
{
    b->asked_len = b->got_len = 0;
    one_message();
    turn(NULL, 10);
}

static void take_message(bool fresh)
{
    for (size_t i = 0; fresh && i < BASE_ARRAY_CNT(hello); i++)
        answer(hello[i]);
    for (size_t i = 0; i < BASE_ARRAY_CNT(message); i++)
        answer(message[i]);
    assert_int_equal(queued().message_cnt, 0);
}

static void a_further_message_needs_no_connection(void **state)
{
    (void)state;
    b->courier_off = false;
    next_message();
    take_message(true);
    assert_int_equal(b->lane->idle.cnt, 1);
    struct tcp_conn *first = b->sink;
    for (int i = 0; i < 3; i++) {
        next_message();
        assert_memory_equal(b->asked, "MAIL FROM:", 10);
        take_message(false);
        assert_ptr_equal(b->sink, first);
    }
    b->asked_len = 0;
    skip_time(NULL, 3 * BASE_NS_S); /* smtp: client_idle */
    assert_string_equal(b->asked, "QUIT\r\n");
    answer("221 bye\r\n");
    tcp_close(b->tcp, b->sink);
    b->sink = NULL;
    assert_int_equal(lane_stat(STATS_CONN_OPENED), 1);
    assert_int_equal(lane_stat(STATS_CONN_REUSED), 3);
    assert_int_equal(lane_stat(STATS_CONN_IDLE_CLOSED), 1);
    check_home();
}

/* The next hop ends the session between two messages: the second is delivered all the same, over
 * a fresh connection and without a failure. */
static void a_lost_idle_connection_costs_no_attempt(void **state)
{
    enum { CLOSES, RESETS, SAYS_421, CASE_CNT };

    (void)state;
    b->courier_off = false;
    for (int i = 0; i < 2 * CASE_CNT; i++) {
        bool idle = i < CASE_CNT; /* else after MAIL */
        uint64_t lost = lane_stat(STATS_CONN_IDLE_LOST);
        next_message();
        take_message(true);
        if (!idle)
            next_message();
        struct tcp_conn *old = b->sink;
        b->sink = NULL;
        if (i % CASE_CNT == CLOSES)
            tcp_close(b->tcp, old);
        else if (i % CASE_CNT == RESETS)
            tcp_abort(b->tcp, old);
        else
            say(old, "421 4.3.2 enough\r\n");
        turn(NULL, 20);
        assert_int_equal(lane_stat(STATS_CONN_IDLE_LOST), lost + idle);
        if (i % CASE_CNT == SAYS_421)
            tcp_close(b->tcp, old);
        if (idle)
            next_message();
        take_message(true);
        tcp_close(b->tcp, b->sink);
        b->sink = NULL;
        check_home();
    }
    assert_int_equal(lane_stat(STATS_SMTP_CLIENT_UNTRIED), CASE_CNT);
    assert_int_equal(stats_get(b->courier.stats, STATS_COURIER_DEFERRED), 0);
}

/* Idle connections go at once when the gateway does, and when connections are short. */
static void idle_connections_make_room(void **state)
{
    void *taken[16];
    uint32_t cnt = 0;

    (void)state;
    b->courier_off = false;
    for (int drain = 0; drain < 2; drain++) {
        next_message();
        take_message(true);
        assert_int_equal(b->lane->idle.cnt, 1);
        while (!drain && b->lane->conns.free_cnt > 0)
            taken[cnt++] = base_pool_get(&b->lane->conns);
        if (drain)
            lane_drain(b->lane);
        turn(NULL, 5);
        assert_int_equal(b->lane->idle.cnt + b->lane->out_cnt, 0);
        assert_non_null(strstr(b->asked, "QUIT\r\n"));
        while (cnt > 0)
            base_pool_put(&b->lane->conns, taken[--cnt]);
        tcp_close(b->tcp, b->sink);
        b->sink = NULL;
        check_home();
    }
}

/* ---- the client, told to the next hop ---- */

static int open_v1(void **state)
{
    b->proxy = "v1";
    int rc = open_bench(state);
    b->proxy = NULL;
    return rc;
}

static int open_v2(void **state)
{
    b->proxy = "v2";
    int rc = open_bench(state);
    b->proxy = NULL;
    return rc;
}

/* The header that the sink was told, and nothing behind it: it is the next hop that greets. */
static struct proxy_header header_asked(void)
{
    struct proxy_header h;
    enum proxy_fault fault;
    size_t consumed;

    if (proxy_parse(&h, &consumed, &fault, base_span_of(b->asked, b->asked_len)) != PROXY_OK)
        fail_msg("%s: %zu bytes", proxy_fault_text(fault), b->asked_len);
    assert_int_equal(consumed, b->asked_len);
    return h;
}

static struct net_endpoint v4(uint8_t last, uint16_t port)
{
    struct net_endpoint e = {.port = port};

    e.addr = net_addr_v4((const uint8_t[]){10, 0, 0, last});
    return e;
}

static void assert_endpoint(const struct net_endpoint *e, struct net_endpoint want)
{
    assert_int_equal(e->port, want.port);
    assert_memory_equal(e->addr.b, want.addr.b, sizeof(want.addr.b));
}

/* From a client's greeting to the acceptance of a message, and another one when it is asked for. */
static void messages_of_one_client(int cnt, struct net_endpoint *who)
{
    b->asked_len = b->got_len = 0;
    struct tcp_conn *c = connect_client();
    turn(c, 5);
    tcp_local(c, who);
    for (int i = 0; i < cnt; i++) {
        say(c, ENVELOPE);
        turn(c, 10);
        b->got_len = 0;
        say(c, "Subject: x\r\n\r\nbody\r\n.\r\n");
        turn(c, 10);
        told("queued as");
        if (i + 1 < cnt) {
            take_message(i == 0);
            b->asked_len = 0;
        }
    }
    tcp_close(b->tcp, c);
    turn(NULL, 10);
}

/* One connection carries what one client sends, and nothing of another one. */
static void told_the_client(unsigned version)
{
    struct net_endpoint who;

    b->courier_off = false;
    for (uint64_t i = 1; i <= 3; i++) {
        b->sink = NULL;
        messages_of_one_client(1, &who);
        struct proxy_header h = header_asked();
        assert_int_equal(h.version, version);
        assert_true(h.addressed);
        assert_endpoint(&h.source, who);
        assert_endpoint(&h.destination, v4(1, 25));
        take_message(true);
        assert_int_equal(lane_stat(STATS_CONN_OPENED), i);
        tcp_close(b->tcp, b->sink);
        b->sink = NULL;
        turn(NULL, 20);
    }
    assert_int_equal(lane_stat(STATS_CONN_REUSED), 0);
    messages_of_one_client(2, &who);
    assert_memory_equal(b->asked, "MAIL FROM:", 10); /* no second header */
    take_message(false);
    assert_int_equal(lane_stat(STATS_CONN_REUSED), 1);
    assert_int_equal(lane_stat(STATS_PROXY_SENT), 4);
    tcp_close(b->tcp, b->sink);
    b->sink = NULL;
    turn(NULL, 20);
    check_home();
}

static void version_1_tells_the_client(void **state)
{
    (void)state;
    told_the_client(1);
}

static void version_2_tells_the_client(void **state)
{
    (void)state;
    told_the_client(2);
}

/* A connection that was found dead: the fresh one begins with the header, too. */
static void a_fresh_one_begins_with_the_header(void **state)
{
    struct net_endpoint who;

    (void)state;
    b->courier_off = false;
    messages_of_one_client(2, &who);
    struct tcp_conn *old = b->sink;
    b->sink = NULL;
    b->asked_len = 0;
    tcp_abort(b->tcp, old);
    turn(NULL, 20);
    struct proxy_header h = header_asked();
    assert_endpoint(&h.source, who);
    take_message(true);
    tcp_close(b->tcp, b->sink);
    b->sink = NULL;
    turn(NULL, 20);
    check_home();
}

/* A report of ours has no client. */
static void a_report_has_no_client(void **state)
{
    struct net_endpoint who;

    (void)state;
    b->courier_off = false;
    messages_of_one_client(1, &who);
    for (size_t i = 0; i < BASE_ARRAY_CNT(hello); i++)
        answer(hello[i]);
    answer("250 ok\r\n");
    answer("550 no such user\r\n");
    struct tcp_conn *old = b->sink;
    b->sink = NULL;
    b->asked_len = 0;
    tcp_close(b->tcp, old);
    turn(NULL, 50);
    struct proxy_header h = header_asked();
    assert_false(h.addressed);
    assert_int_equal(h.local, h.version == 2);
    take_message(true);
    assert_int_equal(lane_stat(STATS_PROXY_SENT_LOCAL), 1);
    tcp_close(b->tcp, b->sink);
    b->sink = NULL;
    turn(NULL, 20);
    check_home();
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_bench, close_bench)
    const struct CMUnitTest tests[] = {
        CASE(delivery),
        CASE(next_hop_goes),
        CASE(a_silent_greeting_has_its_time),
        CASE(bytes_that_trickle_have_their_time),
        CASE(lines_that_trickle_have_their_time),
        CASE(replies_that_trickle_have_their_time),
        CASE(a_drained_lane_spends_no_attempt),
        CASE(a_drain_waits_for_no_answer_to_quit),
        CASE(a_further_message_needs_no_connection),
        CASE(a_lost_idle_connection_costs_no_attempt),
        CASE(idle_connections_make_room),
#define CASE_OF(name, open) cmocka_unit_test_setup_teardown(name, open, close_bench)
        CASE_OF(version_1_tells_the_client, open_v1),
        CASE_OF(version_2_tells_the_client, open_v2),
        CASE_OF(a_fresh_one_begins_with_the_header, open_v1),
        CASE_OF(a_report_has_no_client, open_v1),
        CASE_OF(a_report_has_no_client, open_v2),
    };

    b = aligned_alloc(64, (sizeof(*b) + 63) & ~(size_t)63);
    memset(b, 0, sizeof(*b));
    dpdk_eal_init();
    int status = cmocka_run_group_tests_name("conn_out", tests, NULL, NULL);
    free(b);
    return status;
}
