/*
 * Deliveries of a lane by LMTP, over a stream of the kernel's in memory: each recipient its own
 * reply, fields of final delivery, loops, sockets that are not there or busy, sessions that end
 * amid the replies. Afterwards nothing is held: no slot, buffer or connection.
 */
#include "conn_bench.h"
#include "stream_memory.h"
#include "stream_service.h"

static struct stream_memory memory;
static struct stream_service service;
static uint32_t end_at; /* of the stream that was opened last */

static const char routes[] =
    "route box.example { via = lmtp; host = unix:/store; }\n"
    "route shared.example { via = lmtp; host = unix:/shared; delivered_to = no; }\n"
    "route local.example { host = 127.0.0.1:2525; }\n";

static int open_store(void **state)
{
    bench_more = routes;
    memset(&memory, 0, sizeof(memory));
    open_bench(state);
    b->courier_off = false;
    return stream_service_init(&service, &b->topology,
                               (struct net_stream_driver){&memory_ops, &memory});
}

static int close_store(void **state)
{
    stream_service_fini(&service);
    bench_more = "";
    return close_bench(state);
}

static void both(uint32_t ms)
{
    for (; ms > 0; ms--) {
        turn(NULL, 1);
        (void)stream_service_pass(&service, b->now_ns);
    }
}

/* Time in which the streams are served, too. */
static void pass_time(uint64_t ns)
{
    for (uint64_t end = b->now_ns + ns; b->now_ns < end; b->now_ns += BASE_NS_S / 2)
        both(2);
    both(20);
}

/* The server says this; then it is seen what comes. */
static void store_says(const char *text)
{
    struct stream_memory_end *e = &memory.end[end_at];
    size_t len = strlen(text);

    memcpy(e->in + e->in_len, text, len);
    e->in_len += len;
    both(10);
}

static void wait_for_store(void)
{
    both(10);
    for (end_at = 0; end_at < STREAM_MEMORY_CNT && !memory.end[end_at].open; end_at++)
        ;
    assert_in_range(end_at, 0, STREAM_MEMORY_CNT - 1);
}

/* What was sent there since the last time. */
static void store_got(const char *text)
{
    struct stream_memory_end *e = &memory.end[end_at];

    e->out[e->out_len] = 0;
    if (strcmp((char *)e->out, text) != 0)
        print_error("got:\n%s\n", (char *)e->out);
    assert_string_equal((char *)e->out, text);
    e->out_len = 0;
}

static void submit(const char *recipients, const char *content)
{
    struct tcp_conn *c = client("EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n");

    say(c, recipients);
    say(c, "DATA\r\n");
    both(10);
    say(c, content);
    say(c, ".\r\nQUIT\r\n");
    turn(c, 20);
    told("250 2.0.0");
    tcp_close(b->tcp, c);
    b->got_len = 0;
    turn(NULL, 10);
}

static void all_back(void)
{
    pass_time(10 * BASE_NS_S);
    assert_true((b->lane->streams.open | b->lane->streams.closing) == 0);
    assert_int_equal(memory.opened_cnt, memory.closed_cnt);
    check_home();
}

#define GREETED            "250-store\r\n250 PIPELINING\r\n"
#define STORE_ENVELOPE(to) "MAIL FROM:<a@c.example>\r\nRCPT TO:<" to ">\r\nDATA\r\n"
#define RECEIVED           "Received: from c.example"

static void begins(const char *domain)
{
    (void)domain;
    wait_for_store();
    store_got("");
    store_says("220 store\r\n");
    store_got("LHLO gw.example\r\n");
    store_says(GREETED);
}

/* Our own fields stand first, then what the message has without what it brought. */
static void message_is(const char *before, const char *without, const char *end)
{
    struct stream_memory_end *e = &memory.end[end_at];
    char *text = (char *)e->out;

    e->out[e->out_len] = 0;
    assert_int_equal(strncmp(text, before, strlen(before)), 0);
    assert_int_equal(strncmp(text + strlen(before), RECEIVED, strlen(RECEIVED)), 0);
    assert_null(strstr(text + strlen(before), without));
    assert_true(e->out_len >= strlen(end));
    assert_string_equal(text + e->out_len - strlen(end), end);
    e->out_len = 0;
}

static void each_its_own(void **state)
{
    (void)state;
    submit("RCPT TO:<u1@box.example>\r\nRCPT TO:<u2@box.example>\r\nRCPT TO:<u3@box.example>\r\n",
           "Return-Path: <x@evil.example>\r\nDelivered-To: U2@box.example\r\n\r\n..x\r\n");
    begins("box.example");
    assert_string_equal(memory.end[end_at].target.path, "/store");
    both(20);
    store_got(STORE_ENVELOPE("u1@box.example"));
    store_says("250 1\r\n250 2\r\n354 go\r\n");
    message_is("Return-Path: <a@c.example>\r\nDelivered-To: u1@box.example\r\n", "evil",
               "Delivered-To: U2@box.example\r\n\r\n..x\r\n.\r\n");
    store_says("250 2.0.0 first\r\n");
    /* The second has had it. */
    store_got(STORE_ENVELOPE("u3@box.example"));
    store_says("250 1\r\n452 4.2.2 full\r\n503 nobody\r\n");
    store_got("RSET\r\n");
    store_says("250 ok\r\n");
    assert_int_equal(stats_get(b->lane->stats, STATS_SMTP_CLIENT_LOOPED), 1);
    assert_int_equal(stats_get(b->courier.stats, STATS_COURIER_DELIVERED), 1);
    assert_int_equal(stats_get(b->courier.stats, STATS_COURIER_DEFERRED), 1);
}

/* In one transaction; the session ends amid the replies, and who had none comes again. */
static void lost_between_replies(void **state)
{
    static const char three[] = "MAIL FROM:<a@c.example>\r\nRCPT TO:<u1@shared.example>\r\n"
                                "RCPT TO:<u2@shared.example>\r\nRCPT TO:<u3@shared.example>\r\n"
                                "DATA\r\n";

    (void)state;
    submit("RCPT TO:<u1@shared.example>\r\nRCPT TO:<u2@shared.example>\r\n"
           "RCPT TO:<u3@shared.example>\r\n",
           "Delivered-To: u1@shared.example\r\n\r\nx\r\n");
    begins("shared.example");
    store_got(three);
    store_says("250 1\r\n250 2\r\n250 3\r\n250 4\r\n354 go\r\n");
    message_is("Return-Path: <a@c.example>\r\n", "evil",
               "Delivered-To: u1@shared.example\r\n\r\nx\r\n.\r\n");
    memory.end[end_at].ended = true;
    store_says("250 2.0.0 first\r\n550 5.2.1 second\r\n25");
    both(50);
    assert_int_equal(stats_get(b->courier.stats, STATS_COURIER_DELIVERED), 1);
    assert_int_equal(stats_get(b->courier.stats, STATS_COURIER_DEFERRED), 1);
    for (int i = 0; i < 1000 && memory.opened_cnt < 2; i++)
        pass_time(BASE_NS_S);
    wait_for_store();
    store_says("220 store\r\n");
    store_got("LHLO gw.example\r\n");
    store_says(GREETED);
    store_got(STORE_ENVELOPE("u3@shared.example"));
    store_says("250 1\r\n250 2\r\n354 go\r\n");
    store_says("250 2.0.0 third\r\n");
    assert_int_equal(stats_get(b->courier.stats, STATS_COURIER_DELIVERED), 2);
}

/* Why it could not be opened is told, and the slot is free again. */
static void no_socket(void **state)
{
    static const struct {
        int open_error, late_error;
        const char *words;
    } rows[] = {
        {-ENOENT, 0, "there is no such socket: is its server running?"},
        {-EACCES, 0, "permission denied: user of this process needs rw"},
        {-ECONNREFUSED, 0, "connection refused: nobody listens at the socket"},
        {0, -ECONNREFUSED, "connection refused: nobody listens at the socket"},
        {0, -ETIMEDOUT, "Connection timed out"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct rte_ring *log = topology_ring(&b->topology, TOPOLOGY_COURIER_LOG, 0);
        struct stats_log_record r;
        bool said = false;
        memory.open_error = rows[i].open_error;
        memory.late_error = rows[i].late_error;
        submit("RCPT TO:<u1@box.example>\r\n", "\r\nx\r\n");
        for (int k = 0; k < 2000 && !said; k++) { /* it may be set aside meanwhile */
            pass_time(BASE_NS_S);
            while (stats_log_pop(log, &r, 1) == 1)
                said |= r.event == STATS_LOG_DEFERRED && r.path &&
                        base_span_eq(stats_log_part_of(&r, 2), base_span_str("unix:/store")) &&
                        memmem(r.text, r.text_len, rows[i].words, strlen(rows[i].words)) != NULL;
        }
        assert_true(said);
    }
    all_back();
}

/* A listener whose queue is full is asked again. */
static void busy(void **state)
{
    (void)state;
    memory.open_error = -EAGAIN;
    submit("RCPT TO:<u1@shared.example>\r\n", "\r\nx\r\n");
    both(50);
    assert_int_equal(memory.opened_cnt, 0);
    memory.open_error = 0;
    both(50);
    assert_int_equal(memory.opened_cnt, 1);
    begins("shared.example");
    store_got(STORE_ENVELOPE("u1@shared.example"));
}

/* A session is kept for the next message to the same socket; by SMTP to an address of this machine.
 */
static void kept(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        submit("RCPT TO:<u1@local.example>\r\n", "Return-Path: <kept@c.example>\r\n\r\nx\r\n");
        if (i == 0) {
            wait_for_store();
            assert_int_equal(memory.end[end_at].target.address.port, 2525);
            store_says("220 filter\r\n");
            store_got("EHLO gw.example\r\n");
            store_says(GREETED);
        }
        both(10);
        store_got(STORE_ENVELOPE("u1@local.example"));
        store_says("250 1\r\n250 2\r\n354 go\r\n");
        message_is("", "Delivered-To", "Return-Path: <kept@c.example>\r\n\r\nx\r\n.\r\n");
        store_says("250 2.0.0 taken\r\n");
    }
    assert_int_equal(memory.opened_cnt, 1);
    pass_time(5 * BASE_NS_S);
    store_got("QUIT\r\n");
    memory.end[end_at].ended = true;
    store_says("221 bye\r\n");
    all_back();
}

/* More than the rings hold, to a server that takes a little at a time. */
static void large(void **state)
{
    static char content[200000], want[220000];
    size_t len = (size_t)sprintf(content, "Return-Path: <a@evil.example>\r\n\r\n"), from = len - 2;

    (void)state;
    while (len < sizeof(content) - 100)
        len += (size_t)sprintf(content + len, "line %zu\r\n", len);
    snprintf(want, sizeof(want), "%s.\r\n", content + from);
    memory.piece = 700;
    struct tcp_conn *c = client("EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n"
                                "RCPT TO:<u1@box.example>\r\nDATA\r\n");
    for (size_t at = 0; at < len; at += 20000) {
        say_bytes(c, content + at, len - at < 20000 ? len - at : 20000);
        turn(c, 30);
    }
    say(c, ".\r\n");
    turn(c, 50);
    told("250 2.0.0");
    tcp_close(b->tcp, c);
    begins("box.example");
    both(20);
    store_got(STORE_ENVELOPE("u1@box.example"));
    store_says("250 1\r\n250 2\r\n354 go\r\n");
    both(600);
    message_is("Return-Path: <a@c.example>\r\nDelivered-To: u1@box.example\r\n", "evil", want);
    store_says("250 2.0.0 taken\r\n");
    assert_int_equal(stats_get(b->courier.stats, STATS_COURIER_DELIVERED), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_its_own, open_store, close_store),
        cmocka_unit_test_setup_teardown(lost_between_replies, open_store, close_store),
        cmocka_unit_test_setup_teardown(no_socket, open_store, close_store),
        cmocka_unit_test_setup_teardown(busy, open_store, close_store),
        cmocka_unit_test_setup_teardown(kept, open_store, close_store),
        cmocka_unit_test_setup_teardown(large, open_store, close_store),
    };
    static struct bench bench;

    b = &bench;
    dpdk_eal_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
