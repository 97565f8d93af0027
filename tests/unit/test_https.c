/*
 * HTTPS requests in the caller's time: URLs and types, the messages between the two processes, the
 * table, and the gateway's side against a process that is played by hand: that answers, is late,
 * ends, hangs, and sends what is no message.
 */
#include "unit.h"

#include "https_curl.h"
#include "https_table.h"
#include "https_wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define S BASE_NS_S

static struct stats_block stats;
static uint64_t now;

/* ---- texts ---- */

static void urls(void **state)
{
    static const struct {
        const char *url, *host, *path; /* host NULL: refused */
        uint16_t port;
    } rows[] = {
        {"https://reports.example/v1/tls?x=1", "reports.example", "/v1/tls?x=1", 443},
        {"HTTPS://Reports.Example", "reports.example", "/", 443},
        {"https://reports.example:8443/a", "reports.example", "/a", 8443},
        {"http://reports.example/a", NULL, NULL, 0},
        {"mailto:a@reports.example", NULL, NULL, 0},
        {"https://", NULL, NULL, 0},
        {"https:///a", NULL, NULL, 0},
        {"https://user@reports.example/", NULL, NULL, 0},
        {"https://192.0.2.1/", NULL, NULL, 0},
        {"https://[2001:db8::1]/", NULL, NULL, 0},
        {"https://reports.example:0/", NULL, NULL, 0},
        {"https://reports.example:/", NULL, NULL, 0},
        {"https://reports.example:65536/", NULL, NULL, 0},
        {"https://reports.example:4294967739/", NULL, NULL, 0},
        {"https://reports.example/a b", NULL, NULL, 0},
        {"https://reports.example/a\r\nHost: b", NULL, NULL, 0},
        {"https://reports.example/a#b", NULL, NULL, 0},
        {"https://reports.example?x", NULL, NULL, 0},
        {"https://reports.example/\xc3\xa4", NULL, NULL, 0},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct https_request r;
        assert_int_equal(
            https_request_init(&r, base_span_str("a.example"), base_span_str("/"), S, NULL, 0), 0);
        int got = https_request_url(&r, base_span_str(rows[i].url));
        if (got != (rows[i].host != NULL ? 0 : -EINVAL))
            fail_msg("%s: %d", rows[i].url, got);
        if (got != 0)
            continue;
        assert_string_equal(r.host, rows[i].host);
        assert_string_equal(r.path, rows[i].path);
        assert_int_equal(r.port, rows[i].port);
        assert_int_equal(r.method, HTTPS_POST);
    }
}

static void types(void **state)
{
    (void)state;
    assert_true(https_type_is("text/plain", "text/plain"));
    assert_true(https_type_is(" Text/PLAIN; charset=utf-8", "text/plain"));
    assert_true(https_type_is("text/plain ;a", "text/plain"));
    assert_false(https_type_is("", "text/plain"));
    assert_false(https_type_is("text/html", "text/plain"));
    assert_false(https_type_is("text/plainer", "text/plain"));
    assert_false(https_type_is("text", "text/plain"));
}

/* ---- messages ---- */

static struct https_request request_of(const char *host, uint64_t timeout_ns)
{
    static uint8_t room[64];
    struct https_request r;

    assert_int_equal(https_request_init(&r, base_span_str(host), base_span_str("/p"), timeout_ns,
                                        room, sizeof(room)),
                     0);
    assert_int_equal(net_addr_parse(&r.address[0], base_span_str("192.0.2.1")), 0);
    r.address_cnt = 1;
    return r;
}

static void messages(void **state)
{
    uint8_t *out = malloc(HTTPS_WIRE_MAX);
    struct base_buf b = {.p = out, .cap = HTTPS_WIRE_MAX};
    struct https_wire_message m, answer = {.id = 9, .result = HTTPS_OK, .status = 200};
    struct https_request r = request_of("a.example", S);

    (void)state;
    assert_non_null(out);
    r.method = HTTPS_POST;
    r.body = base_span_str("report");
    memcpy(r.type, "a/b", 4);
    assert_int_equal(https_wire_put_ask(&b, 7, &r, 1000), 0);
    assert_int_equal(https_wire_read(&m, base_buf_span(&b)), 0);
    assert_true(m.kind == HTTPS_WIRE_ASK && m.id == 7 && m.port == 443 && m.timeout_ms == 1000 &&
                m.method == HTTPS_POST && m.address_cnt == 1 && m.room_cap == 64);
    assert_string_equal(m.host, "a.example");
    assert_string_equal(m.path, "/p");
    assert_string_equal(m.type, "a/b");
    assert_true(base_span_eq(m.body, r.body));
    /* Every one that is cut is none. */
    for (size_t len = 0; len + r.body.len < b.len; len++)
        assert_int_equal(https_wire_read(&m, base_span_of(out, len)), -EINVAL);
    r.method = HTTPS_GET; /* has neither */
    b.len = 0;
    assert_int_equal(https_wire_put_ask(&b, 7, &r, 1000), -EINVAL);
    /* An answer agrees with itself, or is none. */
    memcpy(answer.type, "text/\001plain", 12);
    answer.body = base_span_str("x");
    b.len = 0;
    assert_int_equal(https_wire_put_answer(&b, &answer), 0);
    assert_int_equal(https_wire_read(&m, base_buf_span(&b)), 0);
    assert_string_equal(m.type, "text/?plain");
    https_wire_answer(&m, &r);
    assert_true(r.result == HTTPS_OK && r.status == 200 && r.len == 1 && r.room[0] == 'x');
    r.room_cap = 0;
    https_wire_answer(&m, &r);
    assert_true(r.result == HTTPS_TOO_LARGE && r.status == 0 && r.len == 0);
    answer.status = 302;
    b.len = 0;
    assert_int_equal(https_wire_put_answer(&b, &answer), 0);
    assert_int_equal(https_wire_read(&m, base_buf_span(&b)), -EINVAL);
    answer.result = HTTPS_TLS;
    answer.status = 0;
    b.len = 0;
    assert_int_equal(https_wire_put_answer(&b, &answer), 0);
    assert_int_equal(https_wire_read(&m, base_buf_span(&b)), -EINVAL);
    free(out);
}

/* ---- the table ---- */

static void table(void **state)
{
    struct https_table *t = https_table_open();
    struct https_client c = https_table_client(t);
    struct https_request a = request_of("a.example", 10 * S), b = request_of("b.example", S);
    struct https_request *done[2];
    struct https_table_entry e = {.host = "a.example",
                                  .path = "/p",
                                  .result = HTTPS_OK,
                                  .status = 200,
                                  .type = "text/plain",
                                  .body = base_span_str("hello"),
                                  .delay_ns = 2 * S};

    (void)state;
    now = 100 * S;
    assert_int_equal(https_table_put(t, &e), 0);
    a.deadline_ns = now + a.timeout_ns;
    b.deadline_ns = now + b.timeout_ns;
    c.ops->submit(c.state, &a, now);
    c.ops->submit(c.state, &b, now);
    assert_int_equal(c.ops->poll(c.state, done, 2, now), 1);
    assert_true(done[0] == &b && b.result == HTTPS_STATUS && b.status == 404);
    assert_int_equal(c.ops->deadline(c.state), now + 2 * S);
    now += 2 * S;
    assert_int_equal(c.ops->poll(c.state, done, 2, now), 1);
    assert_true(done[0] == &a && a.result == HTTPS_OK && a.len == 5);
    e.delay_ns = BASE_NS_NONE;
    assert_int_equal(https_table_put(t, &e), 0);
    a.deadline_ns = now + a.timeout_ns;
    c.ops->submit(c.state, &a, now);
    assert_int_equal(https_table_open_cnt(t), 1);
    now += 10 * S;
    assert_int_equal(c.ops->poll(c.state, done, 2, now), 1);
    assert_int_equal(a.result, HTTPS_TIMEOUT);
    assert_int_equal(https_table_asked(t), 3);
    assert_int_equal(c.ops->deadline(c.state), BASE_NS_NONE);
    https_table_close(t);
}

/* ---- a process played by hand ---- */

static struct https_curl *u;
static struct https_client c;
static int far = -1;
static uint8_t far_room[HTTPS_WIRE_MAX];

static void far_close(void)
{
    if (far >= 0)
        close(far);
    far = -1;
}

static struct https_wire_message far_receive(void)
{
    struct https_wire_message m;
    ssize_t n = recv(far, far_room, sizeof(far_room), MSG_DONTWAIT);

    assert_true(n > 0);
    assert_int_equal(https_wire_read(&m, base_span_of(far_room, (size_t)n)), 0);
    return m;
}

static void far_send(const struct base_buf *b)
{
    assert_int_equal(send(far, b->p, b->len, MSG_NOSIGNAL), b->len);
}

static void far_open(void)
{
    int pair[2];
    uint8_t out[64];
    struct base_buf b = {.p = out, .cap = sizeof(out)};

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    far_close();
    far = pair[1];
    https_curl_attach(u, pair[0], -1, now);
    assert_int_equal(far_receive().kind, HTTPS_WIRE_START);
    assert_int_equal(https_wire_put_ready(&b), 0);
    far_send(&b);
}

static void far_answer(uint32_t id, enum https_result result, uint16_t status)
{
    uint8_t out[256];
    struct base_buf b = {.p = out, .cap = sizeof(out)};
    struct https_wire_message m = {.id = id, .result = (uint8_t)result, .status = status};

    assert_int_equal(https_wire_put_answer(&b, &m), 0);
    far_send(&b);
}

static struct https_request *ask(const char *host, uint64_t timeout_ns)
{
    struct https_request *r = malloc(sizeof(*r));

    assert_non_null(r);
    *r = request_of(host, timeout_ns);
    r->deadline_ns = now + timeout_ns;
    c.ops->submit(c.state, r, now);
    return r;
}

static void nothing(void)
{
    struct https_request *done[4];

    assert_int_equal(c.ops->poll(c.state, done, 4, now), 0);
}

static enum https_result take(struct https_request *wanted)
{
    struct https_request *done = NULL;

    assert_int_equal(c.ops->poll(c.state, &done, 1, now), 1);
    assert_ptr_equal(done, wanted);
    enum https_result result = done->result;
    free(done);
    return result;
}

static bool told(const char *part)
{
    char news[HTTPS_CURL_NEWS];

    return https_curl_news(u, news) && strstr(news, part) != NULL;
}

static int open_driver(void **state)
{
    (void)state;
    memset(&stats, 0, sizeof(stats));
    now = 1000 * S;
    u = https_curl_open(&stats, now);
    assert_non_null(u);
    c = https_curl_client(u);
    return 0;
}

static int close_driver(void **state)
{
    (void)state;
    far_close();
    https_curl_close(u);
    return 0;
}

static void asks_and_answers(void **state)
{
    struct https_request *r[HTTPS_CURL_SLOTS + 1];

    (void)state;
    assert_false(https_curl_wants(u)); /* nothing to ask: no process */
    for (uint32_t i = 0; i < BASE_ARRAY_CNT(r); i++)
        r[i] = ask("a.example", 10 * S);
    nothing();
    assert_true(https_curl_wants(u));
    far_open();
    nothing();
    assert_false(https_curl_wants(u));
    struct https_wire_message m = {0};
    for (uint32_t i = 0; i < HTTPS_CURL_SLOTS; i++) {
        m = far_receive();
        assert_true(m.kind == HTTPS_WIRE_ASK && m.timeout_ms == 10000);
    }
    assert_int_equal(recv(far, far_room, sizeof(far_room), MSG_DONTWAIT), -1);
    far_answer(m.id, HTTPS_OK, 204);
    assert_int_equal(take(r[HTTPS_CURL_SLOTS - 1]), HTTPS_OK);
    far_answer(far_receive().id, HTTPS_CERTIFICATE, 0); /* the one that waited */
    assert_int_equal(take(r[HTTPS_CURL_SLOTS]), HTTPS_CERTIFICATE);
    for (uint32_t i = 0; i + 1 < HTTPS_CURL_SLOTS; i++)
        free(r[i]);
}

/* Its time is over wherever it is; the process is given up when it owes the answer for long. */
static void late_and_hung(void **state)
{
    (void)state;
    struct https_request *r = ask("a.example", S);
    now += S;
    assert_int_equal(take(r), HTTPS_TIMEOUT); /* no process ever came */
    far_open();
    r = ask("b.example", S);
    nothing();
    uint32_t id = far_receive().id;
    now += S;
    assert_int_equal(take(r), HTTPS_TIMEOUT);
    far_answer(id, HTTPS_OK, 200);
    nothing();
    assert_true(https_curl_attached(u));
    r = ask("c.example", S);
    nothing();
    struct https_request *other = ask("d.example", 60 * S);
    nothing();
    now += S;
    assert_int_equal(take(r), HTTPS_TIMEOUT);
    now += HTTPS_CURL_HUNG_NS;
    nothing();
    assert_true(told("does not answer; requests to be made again: 1"));
    far_open();
    nothing();
    struct https_wire_message m = far_receive();
    assert_string_equal(m.host, "d.example");
    assert_int_equal(m.timeout_ms, 57000); /* what is left of it */
    far_answer(m.id, HTTPS_BROKEN, 0);
    assert_int_equal(take(other), HTTPS_BROKEN);
}

/* A request that ends process after process is not made for ever. */
static void deadly_request(void **state)
{
    (void)state;
    struct https_request *r = ask("a.example", 60 * S);
    for (int i = 0; i < 3; i++) {
        far_open();
        nothing();
        assert_string_equal(far_receive().host, "a.example");
        far_close();
        if (i < 2)
            nothing();
    }
    assert_int_equal(take(r), HTTPS_FAILED);
    assert_false(https_curl_wants(u));
    assert_int_equal(stats_get(&stats, STATS_HTTPS_PROCESS_LOST), 3);
}

static void bad_messages(void **state)
{
    static const char junk[] = "no message";
    struct base_buf b = {.p = (uint8_t[64]){0}, .cap = 64};

    (void)state;
    far_open();
    nothing();
    assert_int_equal(send(far, junk, sizeof(junk), MSG_NOSIGNAL), sizeof(junk));
    nothing();
    assert_true(told("what is no message"));
    far_open();
    nothing();
    far_answer(3, HTTPS_OK, 200); /* to nothing that was asked */
    nothing();
    assert_false(https_curl_attached(u));
    assert_int_equal(stats_get(&stats, STATS_HTTPS_BAD_MESSAGES), 2);
    /* Refused settings: what waits is told so. */
    struct https_request *r = ask("a.example", 60 * S);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    far_close();
    far = pair[1];
    https_curl_attach(u, pair[0], -1, now);
    assert_int_equal(https_wire_put_refused(&b, "no certificate"), 0);
    far_send(&b);
    assert_int_equal(take(r), HTTPS_FAILED);
    assert_true(told("refused its settings: no certificate"));
}

/* Without anything to do it is let go; which is no loss. */
static void idle(void **state)
{
    (void)state;
    far_open();
    nothing();
    assert_int_equal(c.ops->deadline(c.state), now + HTTPS_CURL_IDLE_NS);
    now += HTTPS_CURL_IDLE_NS;
    nothing();
    assert_false(https_curl_attached(u) || https_curl_wants(u));
    assert_int_equal(stats_get(&stats, STATS_HTTPS_PROCESS_LOST), 0);
    assert_int_equal(c.ops->deadline(c.state), BASE_NS_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(types),
        cmocka_unit_test(messages),
        cmocka_unit_test(table),
        cmocka_unit_test_setup_teardown(asks_and_answers, open_driver, close_driver),
        cmocka_unit_test_setup_teardown(late_and_hung, open_driver, close_driver),
        cmocka_unit_test_setup_teardown(deadly_request, open_driver, close_driver),
        cmocka_unit_test_setup_teardown(bad_messages, open_driver, close_driver),
        cmocka_unit_test_setup_teardown(idle, open_driver, close_driver),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
