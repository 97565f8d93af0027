/*
 * The resolvers' drivers in the caller's time: the table, and the gateway's side of the resolver
 * process against a process that is played by hand: that answers, is late, ends, hangs, and sends
 * what is no message.
 */
#include "unit.h"

#include "resolver_table.h"
#include "resolver_unbound.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define S BASE_NS_S

static struct stats_block stats;
static uint64_t now;

struct question {
    struct dns_query q;
    uint8_t room[512];
};

static struct question *question(const char *name, uint16_t type, uint64_t timeout_ns)
{
    struct question *x = calloc(1, sizeof(*x));

    assert_non_null(x);
    assert_int_equal(
        dns_query_init(&x->q, base_span_str(name), type, timeout_ns, x->room, sizeof(x->room)), 0);
    return x;
}

static struct question *submit(struct dns_resolver r, const char *name, uint64_t timeout_ns)
{
    struct question *x = question(name, DNS_TYPE_A, timeout_ns);

    r.ops->submit(r.state, &x->q, now);
    return x;
}

/* The one that is done, which is freed; its status. NULL: any. */
static enum dns_status take(struct dns_resolver r, struct question *wanted)
{
    struct dns_query *done = NULL;

    assert_int_equal(r.ops->poll(r.state, &done, 1, now), 1);
    struct question *x = base_container_of(done, struct question, q);
    if (wanted != NULL)
        assert_ptr_equal(x, wanted);
    enum dns_status status = x->q.answer.status;
    free(x);
    return status;
}

static void nothing(struct dns_resolver r)
{
    struct dns_query *done[4];

    assert_int_equal(r.ops->poll(r.state, done, 4, now), 0);
}

/* ---- the table ---- */

static void table(void **state)
{
    static const uint8_t address[4] = {192, 0, 2, 1};
    struct resolver_table *t = resolver_table_open(true);
    struct dns_resolver r = resolver_table_driver(t);
    struct resolver_table_entry e = {.name = "a.example",
                                     .type = DNS_TYPE_A,
                                     .status = DNS_OK,
                                     .secure = true,
                                     .ttl_s = 60,
                                     .record = {{address, 4}},
                                     .delay_ns = 2 * S};

    (void)state;
    now = 100 * S;
    assert_int_equal(resolver_table_put(t, &e), 0);
    struct question *a = submit(r, "a.example", 10 * S), *b = submit(r, "b.example", 10 * S);
    assert_int_equal(take(r, b), DNS_NXDOMAIN);
    nothing(r);
    assert_int_equal(r.ops->deadline(r.state), now + 2 * S);
    now += 2 * S;
    struct dns_query *done;
    assert_int_equal(r.ops->poll(r.state, &done, 1, now), 1);
    assert_ptr_equal(done, &a->q);
    assert_true(dns_answer_security(&done->answer) == DNS_SECURE && done->answer.record_cnt == 1 &&
                done->answer.ttl_s == 60);
    free(a);
    /* Later than the question's time; fails first; the name is there without the type. */
    a = submit(r, "a.example", S);
    now += S;
    assert_int_equal(take(r, a), DNS_TIMEOUT);
    e.delay_ns = 0;
    e.fail_cnt = 1;
    assert_int_equal(resolver_table_put(t, &e), -EINVAL);
    e.fail_status = DNS_SERVFAIL;
    assert_int_equal(resolver_table_put(t, &e), 0);
    assert_int_equal(take(r, submit(r, "a.example", S)), DNS_SERVFAIL);
    assert_int_equal(take(r, submit(r, "a.example", S)), DNS_OK);
    a = question("a.example", DNS_TYPE_MX, S);
    r.ops->submit(r.state, &a->q, now);
    assert_int_equal(take(r, a), DNS_NODATA);
    e.delay_ns = BASE_NS_NONE;
    assert_int_equal(resolver_table_put(t, &e), 0);
    a = submit(r, "a.example", S);
    assert_int_equal(r.ops->deadline(r.state), now + S);
    now += S;
    assert_int_equal(take(r, a), DNS_TIMEOUT);
    assert_int_equal(resolver_table_asked(t), 7);
    assert_int_equal(resolver_table_open_cnt(t), 0);
    assert_int_equal(r.ops->deadline(r.state), BASE_NS_NONE);
    resolver_table_close(t);
}

/* ---- a process played by hand ---- */

static struct resolver_unbound *u;
static struct dns_resolver r;
static int far = -1;
static uint8_t room[DNS_WIRE_MAX];

static void far_close(void)
{
    if (far >= 0)
        close(far);
    far = -1;
}

static void far_send(const void *p, size_t len)
{
    assert_int_equal(send(far, p, len, MSG_NOSIGNAL), len);
}

static struct dns_wire_message far_receive(void)
{
    struct dns_wire_message m;
    ssize_t n = recv(far, room, sizeof(room), MSG_DONTWAIT);

    assert_true(n > 0);
    assert_int_equal(dns_wire_read(&m, base_span_of(room, (size_t)n)), 0);
    return m;
}

static void far_silent(void)
{
    assert_int_equal(recv(far, room, sizeof(room), MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

/* A new process: gets its settings, and is ready. */
static void far_open(bool ready)
{
    int pair[2];
    uint8_t out[16];
    struct base_buf b = {.p = out, .cap = sizeof(out)};
    struct resolver_config *config = resolver_config_open();

    assert_int_equal(resolver_config_set(config, DNS_WIRE_SERVER, base_span_str("192.0.2.53")), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    far_close();
    far = pair[1];
    resolver_unbound_attach(u, pair[0], config, now);
    assert_int_equal(far_receive().kind, DNS_WIRE_SET);
    assert_int_equal(far_receive().kind, DNS_WIRE_START);
    assert_int_equal(dns_wire_put_ready(&b), 0);
    if (ready)
        far_send(b.p, b.len);
}

static void far_answer(uint32_t id, enum dns_status status)
{
    uint8_t out[256], data[64];
    struct base_buf b = {.p = out, .cap = sizeof(out)};
    struct dns_answer a = {.data = data, .data_cap = sizeof(data)};

    dns_answer_set(&a, status, NULL);
    if (status == DNS_OK)
        assert_int_equal(dns_answer_add(&a, base_span_of("\1\2\3\4", 4)), 0);
    assert_int_equal(dns_wire_put_answer(&b, id, &a), 0);
    far_send(b.p, b.len);
}

static bool told(const char *part)
{
    char news[RESOLVER_NEWS_CAP];

    return resolver_unbound_news(u, news) && strstr(news, part) != NULL;
}

static int open_driver(void **state)
{
    (void)state;
    memset(&stats, 0, sizeof(stats));
    now = 1000 * S;
    u = resolver_unbound_open(2, &stats, now);
    assert_non_null(u);
    r = resolver_unbound_driver(u);
    return 0;
}

static int close_driver(void **state)
{
    (void)state;
    far_close();
    resolver_unbound_close(u);
    return 0;
}

static void asks_and_answers(void **state)
{
    (void)state;
    assert_false(resolver_unbound_wants(u)); /* nothing to ask: no process */
    struct question *a = submit(r, "a.example", 10 * S);
    nothing(r);
    assert_true(resolver_unbound_wants(u));
    far_open(true);
    nothing(r);
    assert_false(resolver_unbound_wants(u));
    struct dns_wire_message m = far_receive();
    assert_true(m.kind == DNS_WIRE_ASK && m.timeout_ms == 10000 && m.type == DNS_TYPE_A);
    assert_string_equal(m.name, "a.example");
    far_answer(m.id, DNS_OK);
    assert_int_equal(take(r, a), DNS_OK);
    /* Two at a time; the third waits. */
    struct question *x = submit(r, "x.example", S), *y = submit(r, "y.example", S),
                    *z = submit(r, "z.example", S);
    nothing(r);
    uint32_t first = far_receive().id, second = far_receive().id;
    far_silent();
    assert_int_equal(stats_get(&stats, STATS_DNS_WAITING), 1);
    far_answer(second, DNS_NXDOMAIN);
    assert_int_equal(take(r, y), DNS_NXDOMAIN);
    m = far_receive();
    assert_string_equal(m.name, "z.example");
    far_answer(m.id, DNS_BOGUS);
    far_answer(first, DNS_SERVFAIL);
    assert_int_equal(take(r, z), DNS_BOGUS);
    assert_int_equal(take(r, x), DNS_SERVFAIL);
}

/* Its time is over wherever it is; what comes afterwards is known for what it is. */
static void time_is_over(void **state)
{
    (void)state;
    struct question *a = submit(r, "a.example", S);
    nothing(r);
    now += S + BASE_NS_MS;
    assert_int_equal(take(r, a), DNS_TIMEOUT); /* no process ever came */
    far_open(true);
    a = submit(r, "b.example", S);
    nothing(r);
    struct dns_wire_message m = far_receive();
    now += S + BASE_NS_MS;
    assert_int_equal(take(r, a), DNS_TIMEOUT);
    far_answer(m.id, DNS_OK);
    nothing(r);
    assert_int_equal(stats_get(&stats, STATS_DNS_LATE), 1);
    assert_true(resolver_unbound_attached(u));
}

static void ends_and_is_replaced(void **state)
{
    (void)state;
    far_open(true);
    struct question *a = submit(r, "a.example", 10 * S), *b = submit(r, "b.example", 10 * S);
    nothing(r);
    far_answer((far_receive(), far_receive()).id, DNS_OK);
    assert_int_equal(take(r, b), DNS_OK);
    far_close();
    nothing(r);
    assert_true(resolver_unbound_wants(u));
    assert_true(told("process ended; questions to be asked again: 1"));
    assert_int_equal(stats_get(&stats, STATS_DNS_PROCESS_LOST), 1);
    now += S;
    far_open(true);
    nothing(r);
    struct dns_wire_message m = far_receive();
    assert_string_equal(m.name, "a.example");
    assert_int_equal(m.timeout_ms, 9000); /* what is left of it */
    far_answer(m.id, DNS_OK);
    assert_int_equal(take(r, a), DNS_OK);
}

/* A question that ends process after process is not asked for ever. */
static void deadly_question(void **state)
{
    (void)state;
    struct question *a = submit(r, "a.example", 60 * S);
    for (int i = 0; i < 3; i++) {
        far_open(true);
        nothing(r);
        assert_string_equal(far_receive().name, "a.example");
        far_close();
        if (i < 2)
            nothing(r);
    }
    assert_int_equal(take(r, a), DNS_FAILED);
    assert_false(resolver_unbound_wants(u));
}

/* Other settings: the questions go to the new process, which is nobody's fault. */
static void replaced_on_purpose(void **state)
{
    (void)state;
    far_open(true);
    struct question *a = submit(r, "a.example", 60 * S);
    for (int i = 0; i < 5; i++) {
        nothing(r);
        assert_string_equal(far_receive().name, "a.example");
        far_open(true);
    }
    nothing(r);
    far_answer(far_receive().id, DNS_NODATA);
    assert_int_equal(take(r, a), DNS_NODATA);
    assert_int_equal(stats_get(&stats, STATS_DNS_PROCESS_LOST), 0);
}

static void hangs(void **state)
{
    (void)state;
    far_open(true);
    struct question *a = submit(r, "a.example", S), *b = submit(r, "b.example", 60 * S);
    nothing(r);
    now += S + BASE_NS_MS;
    assert_int_equal(take(r, a), DNS_TIMEOUT);
    now += RESOLVER_HUNG_NS + BASE_NS_MS;
    nothing(r);
    assert_true(told("does not answer"));
    assert_true(resolver_unbound_wants(u));
    far_open(true);
    nothing(r);
    struct dns_wire_message m = far_receive();
    far_answer(m.id, DNS_OK);
    assert_int_equal(take(r, b), DNS_OK);
}

static void settings_are_refused(void **state)
{
    uint8_t out[64];
    struct base_buf b = {.p = out, .cap = sizeof(out)};

    (void)state;
    struct question *a = submit(r, "a.example", 10 * S);
    far_open(false);
    assert_int_equal(dns_wire_put_refused(&b, "trust anchor x: syntax"), 0);
    far_send(b.p, b.len);
    assert_int_equal(take(r, a), DNS_FAILED);
    assert_true(told("trust anchor x: syntax"));
    assert_false(resolver_unbound_attached(u));
}

/* The process may have been taken over: what it must not send ends it, and harms nobody. */
static void hostile_process(void **state)
{
    enum { GARBAGE, EMPTY, LONG, QUESTION, STRANGER, TWICE, TOO_EARLY, READY_TWICE, KINDS };
    struct base_buf b = {.p = room, .cap = sizeof(room)};

    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        struct question *a = submit(r, "a.example", 10 * S);
        far_open(kind != TOO_EARLY);
        nothing(r);
        uint32_t id = kind == TOO_EARLY ? 0 : far_receive().id;
        b.len = 0;
        if (kind == GARBAGE) {
            far_send("garbage and no message", 22);
        } else if (kind == EMPTY) {
            far_send("Dr", 2);
        } else if (kind == LONG) {
            static uint8_t large[DNS_WIRE_MAX + 1];
            far_send(large, sizeof(large));
        } else if (kind == QUESTION) {
            assert_int_equal(dns_wire_put_ask(&b, 1, "a", DNS_TYPE_A, 1), 0);
            far_send(b.p, b.len);
        } else if (kind == STRANGER) {
            far_answer(id + 0x10000, DNS_OK);
        } else if (kind == TWICE) {
            far_answer(id, DNS_NODATA);
            assert_int_equal(take(r, a), DNS_NODATA);
            far_answer(id, DNS_OK);
        } else if (kind == TOO_EARLY) {
            far_answer(id, DNS_OK);
        } else {
            assert_int_equal(dns_wire_put_ready(&b), 0);
            far_send(b.p, b.len);
        }
        nothing(r);
        assert_false(resolver_unbound_attached(u));
        assert_int_equal(stats_get(&stats, STATS_DNS_BAD_MESSAGES), kind + 1);
        assert_true(told("no message"));
        if (kind == TWICE)
            continue;
        far_open(true);
        nothing(r);
        far_answer(far_receive().id, DNS_OK);
        assert_int_equal(take(r, a), DNS_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test_setup_teardown(asks_and_answers, open_driver, close_driver),
        cmocka_unit_test_setup_teardown(time_is_over, open_driver, close_driver),
        cmocka_unit_test_setup_teardown(ends_and_is_replaced, open_driver, close_driver),
        cmocka_unit_test_setup_teardown(deadly_question, open_driver, close_driver),
        cmocka_unit_test_setup_teardown(replaced_on_purpose, open_driver, close_driver),
        cmocka_unit_test_setup_teardown(hangs, open_driver, close_driver),
        cmocka_unit_test_setup_teardown(settings_are_refused, open_driver, close_driver),
        cmocka_unit_test_setup_teardown(hostile_process, open_driver, close_driver),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
