/*
 * Recipients whose reply waits: for DNS lists about their client, with a resolver that answers from
 * a table, and for the next hop's word, which the test says itself. In virtual time.
 */
#define BENCH_HOST_CONNS 16
#include "conn_bench.h"

#include "resolver.h"
#include "resolver_table.h"

static struct resolver resolver;
static struct resolver_table *table;
static struct base_span ours;

static const char lists_text[] =
    "dns_list bad { zone = bad.example; weight = 2; }\n"
    "dns_list worse { zone = worse.example; weight = 3; answers = { \"127.0.0.[4..7;10]\" }; }\n"
    "dns_list good { zone = good.example; weight = -4; }\n"
    "limits { dns_list_threshold = 2; dns_list_timeout = 2s; }\n";
static const char verify_text[] =
    "recipient { verify = next_hop; verify_timeout = 4s; verify_negative_refresh = 10m; "
    "verify_negative_expire = 1h; }\n";

/* The client is nobody's friend, and a.test is ours. */
static int open_rcpt(void **state, const char *more)
{
    bench_more = more;
    assert_int_equal(open_bench(state), 0);
    struct settings *s = b->hub.started;
    ours = base_span_str("a.test");
    s->policy.relay_network_cnt = 0;
    s->policy.relay_domains = &ours;
    s->policy.relay_domain_cnt = 1;
    table = resolver_table_open(false);
    assert_non_null(table);
    resolver_init(&resolver, &b->topology, resolver_table_driver(table));
    return 0;
}

static int open_lists(void **state)
{
    return open_rcpt(state, lists_text);
}

static int open_verify(void **state)
{
    int status = open_rcpt(state, verify_text);

    b->courier_off = false;
    return status;
}

static int close_rcpt(void **state)
{
    resolver_table_close(table);
    return close_bench(state);
}

/* ---- lists ---- */

static void put(const char *zone, uint16_t type, const void *data, size_t len, uint64_t delay_ns)
{
    char name[64];

    snprintf(name, sizeof(name), "2.0.0.10.%s", zone);
    struct resolver_table_entry e = {.name = name,
                                     .type = type,
                                     .status = DNS_OK,
                                     .ttl_s = 300,
                                     .record = {base_span_of(data, len)},
                                     .delay_ns = delay_ns};
    assert_int_equal(resolver_table_put(table, &e), 0);
}

static void list(const char *zone, uint8_t last, uint64_t delay_ns)
{
    put(zone, DNS_TYPE_A, (const uint8_t[]){127, 0, 0, last}, 4, delay_ns);
}

static void turns(struct tcp_conn *c, uint32_t ms)
{
    while (ms-- > 0) {
        resolver_pass(&resolver, b->now_ns);
        turn(c, 1);
    }
}

static void forget(void)
{
    b->got_len = 0;
    b->got[0] = 0;
}

static struct tcp_conn *client_of(const char *text)
{
    forget();
    struct tcp_conn *c = connect_client();
    turns(c, 5);
    say(c, text);
    turns(c, 15);
    return c;
}

static void leave(struct tcp_conn *c)
{
    tcp_close(b->tcp, c);
    turns(NULL, 50);
}

#define TO_US "EHLO c.example\r\nMAIL FROM:<x@y.test>\r\nRCPT TO:<who@a.test>\r\n"
#define OK    "250 2.1.5"

static void listed(void **state)
{
    (void)state;
    list("bad.example", 2, 0);
    put("bad.example", DNS_TYPE_TXT, "\7because\2 \1", 11, 0);
    struct tcp_conn *c = client_of(TO_US "RCPT TO:<who@elsewhere.test>\r\nQUIT\r\n");
    told("554 5.7.1 Service unavailable; Client host [10.0.0.2] blocked using bad.example; because "
         "?\r\n");
    told("Relay access denied");
    told("221 2.0.0");
    not_told(OK);
    assert_int_equal(lane_stat(STATS_LIST_ASKED), 3);
    assert_int_equal(lane_stat(STATS_LIST_HIT), 1);
    assert_int_equal(lane_stat(STATS_LIST_MISS), 2);
    leave(c);
    /* It is known now. */
    c = client_of(TO_US);
    told("blocked using bad.example; because ?");
    assert_int_equal(lane_stat(STATS_LIST_ASKED), 3);
    assert_int_equal(lane_stat(STATS_LIST_CACHED), 1);
    leave(c);
    /* Until its time is over: then it has been taken off the list. */
    skip_time(NULL, 301 * BASE_NS_S);
    list("bad.example", 2, 0);
    struct resolver_table_entry gone = {
        .name = "2.0.0.10.bad.example", .type = DNS_TYPE_A, .status = DNS_NXDOMAIN, .ttl_s = 60};
    assert_int_equal(resolver_table_put(table, &gone), 0);
    c = client_of(TO_US);
    told(OK);
    leave(c);
    check_home();
}

/* The one that weighs most is told; only answers that count do; lists of friends outweigh. */
static void weighed(void **state)
{
    (void)state;
    list("bad.example", 2, 0);
    list("worse.example", 6, 0);
    put("bad.example", DNS_TYPE_TXT, "\3one", 4, 0);
    struct tcp_conn *c = client_of(TO_US);
    told("blocked using worse.example\r\n");
    leave(c);
    skip_time(NULL, 301 * BASE_NS_S);
    list("worse.example", 8, 0);
    c = client_of(TO_US);
    told("blocked using bad.example; one\r\n");
    leave(c);
    skip_time(NULL, 301 * BASE_NS_S);
    list("good.example", 9, 0);
    c = client_of(TO_US);
    told(OK);
    leave(c);
    skip_time(NULL, 301 * BASE_NS_S);
    put("good.example", DNS_TYPE_A, (const uint8_t[]){192, 0, 2, 1}, 4, 0);
    put("bad.example", DNS_TYPE_A, (const uint8_t[]){127, 255, 255, 254}, 4, 0);
    c = client_of(TO_US);
    told(OK);
    leave(c);
    check_home();
}

/* RCPT waits, what is pipelined behind it too; a list that never answers weighs nothing. */
static void late(void **state)
{
    (void)state;
    list("bad.example", 2, 500 * BASE_NS_MS);
    list("worse.example", 4, BASE_NS_NONE);
    struct tcp_conn *c = client_of(TO_US "NOOP\r\n");
    told("250 2.1.0");
    not_told("554");
    turns(c, 600);
    not_told("554");
    turns(c, 1600);
    told("554 5.7.1 Service unavailable; Client host [10.0.0.2] blocked using bad.example\r\n250 "
         "2.0.0");
    assert_int_equal(lane_stat(STATS_LIST_FAILED), 1);
    assert_int_equal(lane_stat(STATS_LIST_WAITED), 1);
    leave(c);
    /* An error is not kept for long. */
    skip_time(NULL, 61 * BASE_NS_S);
    list("bad.example", 2, BASE_NS_NONE);
    c = client_of(TO_US);
    turns(c, 2100);
    told(OK);
    leave(c);
    check_home();
}

/* A client that leaves while it waits, and one that is exempt. */
static void not_waited_for(void **state)
{
    (void)state;
    list("bad.example", 2, BASE_NS_S);
    struct tcp_conn *c = client_of(TO_US), *d = client_of(TO_US);
    tcp_abort(b->tcp, c);
    turns(d, 1200);
    told("554 5.7.1 Service unavailable");
    leave(d);
    b->hub.started->policy.relay_network_cnt = 1;
    c = client_of(TO_US);
    told(OK);
    leave(c);
    assert_int_equal(b->lane->rcpt.jobs.free_cnt, b->lane->rcpt.jobs.object_cnt);
    assert_int_equal(b->lane->lists.questions.free_cnt, b->lane->lists.questions.object_cnt);
    check_home();
}

/* ---- the next hop ---- */

/* The next hop says each of these in its turn. */
static void hop(struct tcp_conn *c, const char *first, const char *second)
{
    assert_non_null(b->sink);
    say(b->sink, first);
    turn(c, 10);
    if (second[0] == 0)
        return;
    say(b->sink, second);
    turn(c, 10);
}

static void greet(struct tcp_conn *c)
{
    hop(c, "220 sink\r\n", "250-sink\r\n250-PIPELINING\r\n250 SIZE 1000000\r\n");
}

static struct tcp_conn *ask_for(const char *who)
{
    char text[256];

    forget();
    struct tcp_conn *c = connect_client();
    turn(c, 5);
    snprintf(text, sizeof(text),
             "EHLO c.example\r\nMAIL FROM:<x@y.test>\r\nRCPT TO:<%s>\r\nNOOP\r\n", who);
    say(c, text);
    turn(c, 20);
    return c;
}

static void verified(void **state)
{
    (void)state;
    struct tcp_conn *c = ask_for("who@a.test");
    told("250 2.1.0");
    not_told(OK);
    greet(c);
    assert_non_null(strstr(b->asked, "MAIL FROM:<>\r\nRCPT TO:<who@a.test>\r\n"));
    assert_null(strstr(b->asked, "DATA"));
    hop(c, "250 2.1.0 ok\r\n250 2.1.5 ok\r\n", "");
    told(OK " Ok\r\n250 2.0.0");
    assert_non_null(strstr(b->asked, "RSET\r\n"));
    hop(c, "250 2.0.0 ok\r\n", "");
    tcp_close(b->tcp, c);
    /* The same address, spelled otherwise: the next hop is not asked again. */
    c = ask_for("\"WHO\"@A.Test");
    told(OK);
    assert_int_equal(stats_get(b->courier.stats, STATS_VERIFY_PROBES), 1);
    tcp_close(b->tcp, c);
    tcp_abort(b->tcp, b->sink);
    b->sink = NULL;
    turn(NULL, 20);
    check_home();
}

static void refused_by_it(void **state)
{
    (void)state;
    struct tcp_conn *c = ask_for("nobody@a.test");
    greet(c);
    hop(c, "250 2.1.0 ok\r\n550 5.1.1 no \x1b such user\r\n", "");
    told("550 5.1.1 <nobody@a.test>: Recipient address rejected: undeliverable address: the next "
         "hop "
         "said: 550 5.1.1 no ? such user\r\n");
    hop(c, "250 2.0.0 ok\r\n", "");
    tcp_close(b->tcp, c);
    turn(NULL, 10);
    c = ask_for("nobody@a.test");
    told("undeliverable address");
    assert_int_equal(stats_get(b->courier.stats, STATS_VERIFY_CACHED), 1);
    tcp_close(b->tcp, c);
    skip_time(NULL, 3 * BASE_NS_S); /* the connection to the next hop ends */
    /* Old, the answer holds still, and is asked for again beside. */
    skip_time(NULL, 601 * BASE_NS_S);
    b->sink = NULL;
    c = ask_for("nobody@a.test");
    told("undeliverable address");
    assert_int_equal(stats_get(b->courier.stats, STATS_VERIFY_REFRESHED), 1);
    greet(c);
    hop(c, "250 2.1.0 ok\r\n250 2.1.5 ok\r\n", "250 2.0.0 ok\r\n");
    tcp_close(b->tcp, c);
    turn(NULL, 10);
    c = ask_for("nobody@a.test");
    told(OK);
    tcp_close(b->tcp, c);
    tcp_abort(b->tcp, b->sink);
    b->sink = NULL;
    turn(NULL, 20);
    check_home();
}

/* No answer in time is 450; when it comes it is kept. A refusal of MAIL is none of the recipient.
 */
static void undecided(void **state)
{
    (void)state;
    struct tcp_conn *c = ask_for("slow@a.test"), *d;
    skip_time(c, 4 * BASE_NS_S);
    told("450 4.1.1 <slow@a.test>: Recipient address rejected: unverified address: Address "
         "verification in progress\r\n250 2.0.0");
    greet(c);
    hop(c, "250 2.1.0 ok\r\n250 2.1.5 ok\r\n", "");
    hop(c, "250 2.0.0 ok\r\n", "");
    tcp_close(b->tcp, c);
    turn(NULL, 10);
    d = ask_for("slow@a.test");
    told(OK);
    tcp_close(b->tcp, d);
    turn(NULL, 10);
    d = ask_for("other@a.test"); /* over the same connection */
    b->asked_len = 0;
    hop(d, "550 5.7.1 no null sender\r\n503 5.5.1 no\r\n", "");
    told("450 4.1.1 <other@a.test>: Recipient address rejected: unverified address: the next hop "
         "said: 550 5.7.1 no null sender\r\n");
    hop(d, "250 2.0.0 ok\r\n", "");
    tcp_close(b->tcp, d);
    /* One who leaves meanwhile; the next hop breaks off. */
    d = ask_for("gone@a.test");
    tcp_abort(b->tcp, d);
    turn(NULL, 10);
    say(b->sink, "421 4.3.2 away\r\n");
    turn(NULL, 10);
    assert_int_equal(b->lane->in_cnt, 0);
    tcp_abort(b->tcp, b->sink);
    b->sink = NULL;
    turn(NULL, 10);
    skip_time(NULL, 60 * BASE_NS_S);
    assert_int_equal(b->lane->rcpt.jobs.free_cnt, b->lane->rcpt.jobs.object_cnt);
}

int main(void)
{
#define LISTS(name)  cmocka_unit_test_setup_teardown(name, open_lists, close_rcpt)
#define VERIFY(name) cmocka_unit_test_setup_teardown(name, open_verify, close_rcpt)
    const struct CMUnitTest tests[] = {
        LISTS(listed),    LISTS(weighed),        LISTS(late),       LISTS(not_waited_for),
        VERIFY(verified), VERIFY(refused_by_it), VERIFY(undecided),
    };

    b = aligned_alloc(64, (sizeof(*b) + 63) & ~(size_t)63);
    memset(b, 0, sizeof(*b));
    dpdk_eal_init();
    int status = cmocka_run_group_tests_name("conn_rcpt", tests, NULL, NULL);
    free(b);
    return status;
}
