/*
 * What an operator asks of a lane: each connection is told of as it is, in pieces; one that is
 * kicked at any moment gives everything back; and questions come and go while connections do. Under
 * the thread sanitizer, too (suite tsan).
 */
#include "conn_bench.h"

#include <pthread.h>
#include <sched.h>

#define ROWS 4

static struct conn_row row[ROWS];
static struct lane_ask question;

static void send_question(struct lane_ask *ask)
{
    assert_int_equal(
        rte_ring_sp_enqueue(topology_ring(&b->topology, TOPOLOGY_CONTROL_LANE, 0), ask), 0);
}

static bool have_answer(void)
{
    struct lane_ask *got;

    if (rte_ring_sc_dequeue(topology_ring(&b->topology, TOPOLOGY_LANE_CONTROL, 0), (void **)&got) !=
        0)
        return false;
    base_assert(got == &question);
    return true;
}

/* Asks once, and waits for the answer. */
static void ask(enum lane_ask_kind kind, const char *words)
{
    struct base_span bad;

    question = (struct lane_ask){.kind = kind, .row = row, .row_cap = ROWS};
    assert_int_equal(conn_filter_parse(&question.filter, base_span_str(words), &bad), 0);
    send_question(&question);
    gateway_pass();
    assert_true(have_answer());
    assert_false(question.more);
}

static const char *const part[] = {
    "",
    "EHLO c.example\r\n",
    "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n",
    "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n",
    ENVELOPE,
    ENVELOPE "Subject: x\r\n\r\nbody",
};

static void each_state_has_a_name(void **state)
{
    static const char *const name[] = {"greeted", "ready", "mail", "rcpt", "data", "data"};

    (void)state;
    for (size_t p = 0; p < BASE_ARRAY_CNT(part); p++) {
        struct tcp_conn *c = client(part[p]);
        ask(LANE_ASK_LIST, "");
        assert_int_equal(question.row_cnt, 1);
        assert_string_equal(row[0].state, name[p]);
        assert_string_equal(row[0].tcp_state, "ESTABLISHED");
        assert_string_equal(row[0].listener, "mx");
        assert_int_equal(row[0].in_bytes, strlen(part[p]));
        assert_int_equal(row[0].out_bytes, b->got_len);
        assert_true(row[0].inbound);
        assert_int_equal(row[0].local.port, 25);
        tcp_abort(b->tcp, c);
        turn(NULL, 20);
        ask(LANE_ASK_LIST, "");
        assert_int_equal(question.row_cnt, 0);
        b->got_len = 0;
        check_home();
    }
}

/* After each part of a session: 421, and nothing is kept. */
static void kicked_at_any_moment(void **state)
{
    (void)state;
    for (size_t p = 0; p < BASE_ARRAY_CNT(part); p++) {
        struct tcp_conn *c = client(part[p]);
        ask(LANE_ASK_KICK, "--out");
        assert_int_equal(question.closed_cnt + question.spared_cnt, 0);
        ask(LANE_ASK_KICK, "--in");
        assert_int_equal(question.closed_cnt, 1);
        turn(c, 20);
        told("421 4.3.2 Connection closed by the operator");
        not_told("queued as");
        tcp_close(b->tcp, c);
        b->got_len = 0;
        check_home();
    }
    assert_int_equal(lane_stat(STATS_CONN_MESSAGES), 0);
}

/* A message that is whole is answered before the 421. */
static void kicked_while_it_is_stored(void **state)
{
    (void)state;
    struct tcp_conn *c = client(ENVELOPE);
    say(c, "Subject: x\r\n\r\nbody\r\n.\r\n");
    host_pass(c);
    b->now_ns += BASE_NS_MS;
    wire_advance(b->wire, b->now_ns);
    gateway_pass();
    ask(LANE_ASK_LIST, "--state commit");
    assert_int_equal(question.row_cnt, 1);
    ask(LANE_ASK_KICK, "--all");
    assert_int_equal(question.closed_cnt, 1);
    turn(c, 20);
    told("queued as");
    const char *queued_at = strstr(b->got, "queued as");
    assert_non_null(strstr(queued_at, "421 4.3.2 Connection closed"));
    tcp_close(b->tcp, c);
    check_home();
}

/* A delivery that is kicked is tried again; but where the next hop has the whole message it is left
 * alone. */
static void a_delivery_is_kicked(void **state)
{
    static const char *const reply[] = {"220 sink\r\n", "250 sink\r\n", "250 ok\r\n", "250 ok\r\n",
                                        "354 go\r\n"};
    static const char *const name[] = {"greeting", "ehlo",     "envelope",
                                       "envelope", "envelope", "end"};

    (void)state;
    b->courier_off = false;
    for (size_t step = 0; step <= BASE_ARRAY_CNT(reply); step++) {
        bool whole = step == BASE_ARRAY_CNT(reply);
        one_message();
        turn(NULL, 10);
        for (size_t i = 0; i < step; i++)
            answer(reply[i]);
        ask(LANE_ASK_LIST, "--out");
        assert_int_equal(question.row_cnt, 1);
        assert_string_equal(row[0].state, name[step]);
        ask(LANE_ASK_KICK, "--out");
        assert_int_equal(question.closed_cnt, !whole);
        assert_int_equal(question.spared_cnt, whole);
        if (whole)
            answer("250 taken\r\n");
        turn(NULL, 20);
        tcp_abort(b->tcp, b->sink);
        b->sink = NULL;
        turn(NULL, 50);
        assert_int_equal(queued().deferred_cnt, !whole);
        b->got_len = 0;
        check_home();
        courier_fini(&b->courier); /* what is deferred would go first, and set the host aside */
        assert_int_equal(courier_init(&b->courier, &b->topology, &b->hub, (const uint8_t[16]){1}),
                         0);
    }
}

/* A lane looks at a bounded number of connections in a pass, and goes on where it was. */
static void in_pieces(void **state)
{
    (void)state;
    struct tcp_conn *c[BENCH_HOST_CONNS];
    for (int i = 0; i < BENCH_HOST_CONNS; i++)
        c[i] = connect_client();
    turn(NULL, 20);
    assert_int_equal(b->lane->in_cnt, BENCH_HOST_CONNS);
    question = (struct lane_ask){.kind = LANE_ASK_LIST, .row = row, .row_cap = 3};
    send_question(&question);
    gateway_pass();
    assert_true(have_answer() && question.more && question.row_cnt == 3);
    question.row_cnt = 0;
    send_question(&question);
    gateway_pass();
    assert_true(have_answer() && !question.more);
    assert_int_equal(question.row_cnt, BENCH_HOST_CONNS - 3);
    for (int i = 0; i < BENCH_HOST_CONNS; i++)
        tcp_abort(b->tcp, c[i]);
    turn(NULL, 20);
    check_home();
}

/* ---- under load ---- */

struct watcher {
    _Atomic bool stop;
    uint32_t answer_cnt, row_cnt;
};

static void *watch_main(void *arg)
{
    struct watcher *w = arg;
    bool fresh = true;

    while (!atomic_load_explicit(&w->stop, memory_order_acquire)) {
        if (fresh)
            question =
                (struct lane_ask){.kind = w->answer_cnt % 64 == 63 ? LANE_ASK_KICK : LANE_ASK_LIST,
                                  .row = row,
                                  .row_cap = 2};
        question.row_cnt = 0;
        send_question(&question);
        while (!have_answer()) {
            if (atomic_load_explicit(&w->stop, memory_order_acquire))
                return NULL;
            sched_yield();
        }
        w->answer_cnt++;
        w->row_cnt += question.row_cnt;
        for (uint32_t i = 0; i < question.row_cnt; i++)
            base_assert(row[i].number > 0 && row[i].serial > 0 && row[i].state[0] != 0);
        fresh = !question.more;
    }
    return NULL;
}

static void while_connections_come_and_go(void **state)
{
    struct watcher w = {0};
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, watch_main, &w), 0);
    for (int i = 0; i < 100; i++) {
        struct tcp_conn *c = connect_client();
        turn(c, 5);
        if (!b->client_failed)
            say(c, part[i % BASE_ARRAY_CNT(part)]);
        turn(c, 10);
        sched_yield();
        tcp_abort(b->tcp, c);
        turn(NULL, 5);
        b->got_len = 0;
        b->client_failed = false;
    }
    /* Until something was told of. */
    struct tcp_conn *c = connect_client();
    for (int i = 0; i < 10000 && b->lane->watch.serial < 101; i++)
        turn(c, 1);
    for (int i = 0; i < 1000; i++) {
        turn(c, 1);
        sched_yield();
    }
    atomic_store_explicit(&w.stop, true, memory_order_release);
    pthread_join(thread, NULL);
    turn(NULL, 1);
    (void)have_answer();
    assert_true(w.answer_cnt > 0);
    tcp_abort(b->tcp, c);
    turn(NULL, 20);
    check_home();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_state_has_a_name, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(kicked_at_any_moment, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(kicked_while_it_is_stored, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(a_delivery_is_kicked, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(in_pieces, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(while_connections_come_and_go, open_bench, close_bench),
    };

    b = aligned_alloc(64, (sizeof(*b) + 63) & ~(size_t)63);
    memset(b, 0, sizeof(*b));
    dpdk_eal_init();
    int status = cmocka_run_group_tests_name("lane_watch", tests, NULL, NULL);
    free(b);
    return status;
}
