/*
 * Limits by client on a lane, in virtual time: connections, rates, unknown recipients, the pause
 * before the greeting, commands that come too early, slow messages, and short time-outs while
 * connections are nearly all taken. The client gets its reply, a counter tells, and at the end
 * nothing is counted any more.
 */
#define BENCH_HOST_CONNS 20
#include "conn_bench.h"

#include "policy_limit.h"
#include "policy_tables.h"

static struct policy_limits limits;
static bool limits_made;

static void give_limits(struct lane_config *config)
{
    if (!limits_made)
        assert_int_equal(policy_limits_init(&limits, 64, (const uint8_t[16]){9}), 0);
    limits_made = true;
    config->limits = &limits;
}

static int open_limited(void **state, const char *blocks)
{
    bench_more = blocks;
    bench_lane = give_limits;
    return open_bench(state);
}

static int close_limited(void **state)
{
    int rc = close_bench(state);

    policy_limits_fini(&limits);
    limits_made = false;
    return rc;
}

static struct tcp_conn *connect_to(uint16_t port)
{
    struct net_endpoint any = {0}, to = {.port = port};
    struct tcp_conn *c;

    to.addr = net_addr_v4((const uint8_t[]){10, 0, 0, 1});
    assert_int_equal(tcp_connect(b->tcp, &any, &to, NULL, &c, b->now_ns), 0);
    return c;
}

static void forget(void)
{
    b->got_len = 0;
    b->got[0] = 0;
}

static struct tcp_conn *fresh(void)
{
    forget();
    struct tcp_conn *c = connect_to(25);
    turn(c, 10);
    return c;
}

static void ask(struct tcp_conn *c, const char *line, const char *reply)
{
    forget();
    say(c, line);
    turn(c, 10);
    told(reply);
}

static uint32_t counted(void)
{
    struct net_addr a = net_addr_v4((const uint8_t[]){10, 0, 0, 2});
    struct policy_limit_client c = policy_limit_client(&a, 32, 64);

    return policy_limit_count(&limits, &c);
}

/* ---- connections ---- */

static int open_connections(void **state)
{
    return open_limited(state, "limits { connections_per_client = 2; connection_rate = 6; }\n");
}

static void connections_at_a_time(void **state)
{
    struct tcp_conn *c[3];

    (void)state;
    for (int i = 0; i < 2; i++) {
        c[i] = fresh();
        told("220 gw.example");
    }
    assert_int_equal(counted(), 2);
    c[2] = fresh();
    told("421 4.7.0 gw.example Error: too many connections from unknown[10.0.0.2]\r\n");
    not_told("220");
    assert_int_equal(lane_stat(STATS_LIMIT_CONNECTIONS), 1);
    assert_int_equal(counted(), 2);
    tcp_close(b->tcp, c[2]);
    ask(c[0], "QUIT\r\n", "221 ");
    tcp_close(b->tcp, c[0]);
    turn(NULL, 10);
    assert_int_equal(counted(), 1);
    c[0] = fresh();
    told("220 gw.example");
    tcp_abort(b->tcp, c[0]); /* however it ends */
    tcp_abort(b->tcp, c[1]);
    turn(NULL, 10);
    assert_int_equal(counted(), 0);
    check_home();
}

static void connections_in_a_minute(void **state)
{
    (void)state;
    for (int i = 0; i < 7; i++) {
        struct tcp_conn *c = fresh();
        told(i < 6 ? "220 gw.example" : "421 4.7.0 gw.example Error: too many connections");
        tcp_abort(b->tcp, c);
        turn(NULL, 5);
    }
    assert_int_equal(lane_stat(STATS_LIMIT_CONNECTION_RATE), 1);
    assert_int_equal(counted(), 0);
    skip_time(NULL, 11 * BASE_NS_S); /* one more is due */
    struct tcp_conn *c = fresh();
    told("220 gw.example");
    tcp_abort(b->tcp, c);
    check_home();
}

/* It has used up nothing of the rate, and nobody else's row is let go at its end. */
static void connections_while_busy(void **state)
{
    uint32_t free_cnt = b->lane->bufs.free_cnt, many = b->lane->bufs.buf_cnt;
    struct tcp_conn *c[6];

    (void)state;
    c[0] = fresh();
    told("220 gw.example");
    assert_int_equal(counted(), 1);
    for (int i = 0; i < 20; i++) {
        b->lane->busy.short_ns = LANE_BUSY_SHORT_NS;
        b->lane->bufs.free_cnt = 0;
        b->lane->commit_cnt += many;
        struct tcp_conn *refused = fresh();
        told("421 4.3.2 All server ports are busy\r\n");
        tcp_abort(b->tcp, refused);
        turn(NULL, 5);
        b->lane->bufs.free_cnt = free_cnt;
        b->lane->commit_cnt -= many;
        turn(NULL, 5);
    }
    assert_int_equal(lane_stat(STATS_CONN_REFUSED_BUSY), 20);
    assert_int_equal(counted(), 1);
    for (int i = 1; i < 6; i++) {
        c[i] = fresh();
        told("220 gw.example");
        tcp_abort(b->tcp, c[i]);
        turn(NULL, 5);
    }
    assert_int_equal(lane_stat(STATS_LIMIT_CONNECTION_RATE), 0);
    assert_int_equal(counted(), 1);
    tcp_abort(b->tcp, c[0]);
    turn(NULL, 5);
    assert_int_equal(counted(), 0);
    check_home();
}

/* ---- messages and recipients ---- */

static int open_rates(void **state)
{
    return open_limited(state, "limits { message_rate = 2; recipient_rate = 3; "
                               "login_message_rate = 1; login_recipient_rate = 1; }\n");
}

static void messages_and_recipients(void **state)
{
    (void)state;
    struct tcp_conn *c = client("EHLO c.example\r\n");
    ask(c, "MAIL FROM:<a@b.example>\r\n", "250 2.1.0");
    for (int i = 0; i < 3; i++)
        ask(c, "RCPT TO:<c@d.example>\r\n", "250 2.1.5");
    ask(c, "RCPT TO:<c@d.example>\r\n",
        "450 4.7.1 Error: too many recipients from unknown[10.0.0.2]\r\n");
    ask(c, "RSET\r\n", "250 ");
    ask(c, "MAIL FROM:<a@b.example>\r\n", "250 2.1.0");
    ask(c, "RSET\r\n", "250 ");
    ask(c, "MAIL FROM:<a@b.example>\r\n",
        "450 4.7.1 Error: too much mail from unknown[10.0.0.2]\r\n");
    assert_int_equal(lane_stat(STATS_LIMIT_MESSAGES), 1);
    assert_int_equal(lane_stat(STATS_LIMIT_RECIPIENTS), 1);
    skip_time(c, 31 * BASE_NS_S);
    ask(c, "MAIL FROM:<a@b.example>\r\n", "250 2.1.0");
    ask(c, "RCPT TO:<c@d.example>\r\n", "250 2.1.5");
    tcp_abort(b->tcp, c);
    check_home();
}

static void logins(void **state)
{
    (void)state;
    struct tcp_conn *c = client("EHLO c.example\r\n");
    struct conn *in = base_container_of(b->lane->open.next, struct conn, place);
    in->in.login = base_span_str("ann");
    ask(c, "MAIL FROM:<a@b.example>\r\n", "250 2.1.0");
    ask(c, "RCPT TO:<c@d.example>\r\n", "250 2.1.5");
    ask(c, "RCPT TO:<c@d.example>\r\n", "450 4.7.1 Error: too many recipients");
    ask(c, "RSET\r\n", "250 ");
    ask(c, "MAIL FROM:<a@b.example>\r\n", "450 4.7.1 Error: too much mail");
    assert_int_equal(lane_stat(STATS_LIMIT_LOGIN_MESSAGES), 1);
    assert_int_equal(lane_stat(STATS_LIMIT_LOGIN_RECIPIENTS), 1);
    tcp_abort(b->tcp, c);
    check_home();
}

/* ---- recipients that nobody has ---- */

static int open_unknown(void **state)
{
    static struct base_span domain;
    struct policy_notes notes;
    int rc =
        open_limited(state, "limits { unknown_recipients = 3; unknown_recipient_rate = 5; }\n");
    struct policy_tables *t = policy_tables_make();
    struct policy_map *m = policy_map_read("map", POLICY_FORM_TEXT, POLICY_ROLE_RECIPIENTS,
                                           base_span_str("known@a.test x\n"), base_span_of(NULL, 0),
                                           (const uint8_t[16]){3}, &notes);

    assert_non_null(t);
    assert_non_null(m);
    assert_int_equal(policy_tables_add(t, POLICY_ROLE_RECIPIENTS, m), 0);
    settings_publish_tables(&b->hub, t);
    domain = base_span_str("a.test");
    b->hub.started->policy.relay_domains = &domain;
    b->hub.started->policy.relay_domain_cnt = 1;
    return rc;
}

/* Then whatever is next gets the same answer: nothing is learned about it. */
static void unknown_recipients(void **state)
{
    static const char *const next[] = {"RCPT TO:<known@a.test>\r\n", "RCPT TO:<other@a.test>\r\n"};

    (void)state;
    struct tcp_conn *c = client("EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n");
    ask(c, "RCPT TO:<known@a.test>\r\n", "250 2.1.5");
    for (int i = 0; i < 3; i++)
        ask(c, "RCPT TO:<nobody@a.test>\r\n", "550 5.1.1");
    ask(c, next[0], "421 4.7.0 gw.example Error: too many errors\r\n");
    assert_int_equal(lane_stat(STATS_LIMIT_UNKNOWN_SESSION), 1);
    tcp_close(b->tcp, c);
    turn(NULL, 10);
    forget();
    c = client("EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n"); /* two more of this minute */
    for (int i = 0; i < 2; i++)
        ask(c, "RCPT TO:<nobody@a.test>\r\n", "550 5.1.1");
    for (int i = 0; i < 2; i++) {
        ask(c, next[i], "421 4.7.0 gw.example Error: too many errors\r\n");
        assert_int_equal(lane_stat(STATS_LIMIT_UNKNOWN_CLIENT), i + 1);
        tcp_close(b->tcp, c);
        turn(NULL, 10);
        forget();
        c = client("EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n");
    }
    skip_time(c, 13 * BASE_NS_S);
    ask(c, next[0], "250 2.1.5");
    tcp_abort(b->tcp, c);
    check_home();
}

/* ---- exempt ---- */

static int open_exempt(void **state)
{
    return open_limited(state,
                        "limits { connections_per_client = 1; connection_rate = 1; message_rate = "
                        "1; exempt_networks = { 10.0.0.0/24 }; }\n"
                        "listener slow { port = p; tcp_port = 26; greet_pause = 5s; }\n");
}

static void exempt_networks(void **state)
{
    struct tcp_conn *c[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        c[i] = fresh();
        told("220 gw.example");
    }
    for (int i = 0; i < 3; i++) {
        ask(c[i], "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n", "250 2.1.0");
        tcp_abort(b->tcp, c[i]);
    }
    forget();
    c[0] = connect_to(26);
    turn(c[0], 10);
    told("220 gw.example"); /* at once */
    tcp_abort(b->tcp, c[0]);
    assert_int_equal(counted(), 0);
    check_home();
}

/* ---- the pause before the greeting ---- */

static int open_pause(void **state)
{
    return open_limited(state, "listener slow { port = p; tcp_port = 26; greet_pause = 2s; }\n");
}

static void greet_pause(void **state)
{
    (void)state;
    struct tcp_conn *c = connect_to(26);
    turn(c, 1900);
    not_told("220");
    turn(c, 200);
    told("220 gw.example");
    ask(c, "EHLO c.example\r\n", "250 ENHANCEDSTATUSCODES");
    tcp_abort(b->tcp, c);

    forget();
    c = connect_to(26);
    turn(c, 500);
    say(c, "EHLO c.example\r\n");
    turn(c, 20);
    assert_string_equal(b->got, "521 5.5.1 Protocol error\r\n");
    tcp_close(b->tcp, c);
    assert_int_equal(lane_stat(STATS_LIMIT_PREGREET), 1);

    c = connect_to(26); /* and one that does not wait */
    turn(c, 500);
    tcp_close(b->tcp, c);
    turn(NULL, 50);
    assert_int_equal(lane_stat(STATS_LIMIT_PREGREET_LEFT), 1);
    assert_int_equal(lane_stat(STATS_LIMIT_PREGREET), 1);
    assert_int_equal(counted(), 0);

    forget(); /* the gateway goes down in it */
    c = connect_to(26);
    turn(c, 500);
    lane_drain(b->lane);
    turn(c, 10);
    told("421 4.3.2");
    tcp_close(b->tcp, c);
    check_home();
}

/* ---- too early ---- */

static int open_counting(void **state)
{
    return open_limited(state, "limits { early_commands = count; }\n");
}

static int open_refusing(void **state)
{
    return open_limited(state, "limits { early_commands = refuse; }\n");
}

static void early_commands_counted(void **state)
{
    (void)state;
    struct tcp_conn *c = client("EHLO c.example\r\nNOOP\r\n");
    assert_int_equal(lane_stat(STATS_LIMIT_EARLY_COMMANDS), 1);
    say(c, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"); /* as it should be */
    turn(c, 10);
    told("354");
    assert_int_equal(lane_stat(STATS_LIMIT_EARLY_COMMANDS), 1);
    assert_int_equal(lane_stat(STATS_LIMIT_EARLY_REFUSED), 0);
    tcp_abort(b->tcp, c);
    check_home();
}

static void early_commands_refused(void **state)
{
    static const char *const first[] = {"", "EHLO c.example\r\n", "HELO c.example\r\n",
                                        "EHLO c.example\r\n"};
    static const char *const then[] = {
        "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n", "EHLO c.example\r\nQUIT\r\n",
        "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n",
        "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n"};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(first); i++) {
        struct tcp_conn *c = client(first[i]);
        ask(c, then[i], "554 5.5.0 Error: SMTP protocol synchronization\r\n");
        not_told("354");
        not_told("221");
        assert_int_equal(lane_stat(STATS_LIMIT_EARLY_REFUSED), i + 1);
        tcp_close(b->tcp, c);
        forget();
        check_home();
    }
    struct tcp_conn *c = client("EHLO c.ex"); /* a line in two pieces is no second command */
    ask(c, "ample\r\n", "250 ENHANCEDSTATUSCODES");
    tcp_abort(b->tcp, c);
    check_home();
}

/* ---- time ---- */

static int open_slow(void **state)
{
    return open_limited(state, "limits { data_rate_min = 10; }\n"); /* 1800 bytes in 3 minutes */
}

/* One byte every ten seconds is never silent for long. */
static void slow_messages(void **state)
{
    (void)state;
    struct tcp_conn *c = client(ENVELOPE);
    forget();
    for (int i = 0; i < 20 && b->got_len == 0; i++) {
        say(c, "x");
        skip_time(c, 10 * BASE_NS_S);
    }
    told("421 4.4.2 gw.example Error: timeout exceeded");
    assert_int_equal(lane_stat(STATS_LIMIT_DATA_RATE), 1);
    tcp_close(b->tcp, c);
    check_home();

    forget(); /* and 200 bytes in that time are enough */
    c = client(ENVELOPE);
    for (int i = 0; i < 60; i++) {
        char line[201];
        memset(line, 'x', 198);
        memcpy(line + 198, "\r\n", 3);
        say(c, line);
        skip_time(c, 10 * BASE_NS_S);
    }
    ask(c, "\r\n.\r\n", "250 2.0.0 Ok: queued as");
    assert_int_equal(lane_stat(STATS_LIMIT_DATA_RATE), 1);
    tcp_abort(b->tcp, c);
    check_home();
}

static int open_stress(void **state)
{
    return open_limited(state, "limits { stress = 50; stress_timeout = 10s; }\n");
}

static void stress(void **state)
{
    struct tcp_conn *c[8];

    (void)state;
    for (int i = 0; i < 7; i++)
        c[i] = fresh();
    ask(c[0], ENVELOPE, "354"); /* a message that stops, too */
    skip_time(NULL, 20 * BASE_NS_S);
    assert_int_equal(b->lane->in_cnt, 7); /* of 16: all have time */
    assert_int_equal(lane_stat(STATS_LIMIT_STRESS), 0);
    c[7] = fresh();
    assert_int_equal(lane_stat(STATS_LIMIT_STRESS), 1);
    skip_time(c[7], 5 * BASE_NS_S);
    ask(c[7], "NOOP\r\n", "250 ");
    skip_time(c[7], 6 * BASE_NS_S);
    assert_int_equal(b->lane->in_cnt, 1); /* the one that spoke */
    assert_int_equal(lane_stat(STATS_LIMIT_STRESS), 0);
    assert_int_equal(lane_stat(STATS_LIMIT_STRESS_BEGUN), 1);
    assert_int_equal(lane_stat(STATS_LIMIT_STRESS_TIMEOUTS), 7);
    for (int i = 0; i < 8; i++)
        tcp_abort(b->tcp, c[i]);
    check_home();
}

int main(void)
{
#define LIMITED(name, open) cmocka_unit_test_setup_teardown(name, open, close_limited)
    const struct CMUnitTest tests[] = {
        LIMITED(connections_at_a_time, open_connections),
        LIMITED(connections_in_a_minute, open_connections),
        LIMITED(connections_while_busy, open_connections),
        LIMITED(messages_and_recipients, open_rates),
        LIMITED(logins, open_rates),
        LIMITED(unknown_recipients, open_unknown),
        LIMITED(exempt_networks, open_exempt),
        LIMITED(greet_pause, open_pause),
        LIMITED(early_commands_counted, open_counting),
        LIMITED(early_commands_refused, open_refusing),
        LIMITED(slow_messages, open_slow),
        LIMITED(stress, open_stress),
    };

    b = aligned_alloc(64, (sizeof(*b) + 63) & ~(size_t)63);
    memset(b, 0, sizeof(*b));
    dpdk_eal_init();
    int status = cmocka_run_group_tests_name("conn_limits", tests, NULL, NULL);
    free(b);
    return status;
}
