/*
 * Deliveries over TLS: next hops that speak it by plain OpenSSL, prove themselves or do not, and go
 * away at every step; in virtual time. Whatever happens each message has one fate at a time, no
 * byte of one goes to a server that has not proved what it had to, and all memory is back at the
 * end.
 */
#define BENCH_HOST_CONNS 16
#include "conn_bench.h"

#include "conn_tls_out.h"
#include "keyop_inline.h"
#include "tls_kit.h"

#include "base_rand.h"

#define HOPS     8
#define LINE_CAP 8192

static struct {
    struct kit_certificate certificate, other;
    SSL_CTX *server, *other_server;
    struct keyop_inline *driver;
    struct lane_tls lane;
    struct tls_domain *domain;
} rig;

/* A connection that the gateway has opened. */
struct hop {
    struct tcp_conn *tcp;
    struct kit_peer tls;
    bool secure; /* bytes go through OpenSSL */
    bool body;
    int done; /* of kit_peer_step */
    char line[LINE_CAP];
    size_t len;
    uint32_t said; /* replies, and flights of the handshake */
    uint32_t mail_cnt, clear_cnt;
};

static struct {
    struct hop hop[HOPS];
    uint32_t cnt;
    bool no_offer, other; /* STARTTLS is not offered; the other certificate is shown */
    bool mute;            /* no answer to a ClientHello */
    bool inject;          /* bytes behind the 220 */
    bool no_resumption;   /* goes away when a session is resumed */
    uint32_t die_at;      /* of hop.said; 0: never */
    bool reset;
    uint32_t taken_cnt, clear_cnt; /* messages */
    uint32_t hello_cnt;
    uint32_t unproved_most; /* judged in a pass */
} far;

static struct tls_domain *build_domain(void)
{
    static const struct tls_policy_spec policies[] = {
        {.label = "out", .version_min = TLS_VERSION_12, .client = true},
        {.label = "out", .version_min = TLS_VERSION_12, .client = true, .small = true},
    };
    struct tls_domain_spec spec = {.policies = policies, .policy_cnt = 2};
    char why[256];
    struct tls_domain *d = tls_domain_build(rig.lane.engine, &spec, why, sizeof(why));

    if (d == NULL)
        fail_msg("%s", why);
    return d;
}

static void make_tls(struct lane_config *config)
{
    rig.driver = keyop_inline_open(false, 1);
    struct tls_lane_settings s = {.connection_max = 16,
                                  .handshake_max = 16,
                                  .step_max = 8,
                                  .session_max = 8,
                                  .keyop = {&keyop_inline_ops, rig.driver},
                                  .stats = topology_stats(config->topology, TOPOLOGY_LANE, 0)};
    memset(&rig.lane, 0, sizeof(rig.lane));
    assert_int_equal(lane_tls_init(&rig.lane, 16, (const uint8_t[16]){7}), 0);
    rig.lane.engine = tls_lane_init(&s);
    assert_non_null(rig.lane.engine);
    rig.domain = rig.lane.domain = build_domain();
    config->tls = &rig.lane;
}

/* ---- the next hop ---- */

static void hop_send(struct hop *h, const void *bytes, size_t len)
{
    h->said++;
    if (far.die_at != 0 && h->said >= far.die_at) {
        if (far.reset)
            tcp_abort(b->tcp, h->tcp);
        else
            tcp_close(b->tcp, h->tcp);
        h->tcp = NULL;
        return;
    }
    assert_int_equal(tcp_send(b->tcp, h->tcp, bytes, len), len);
}

static void hop_flush(struct hop *h)
{
    uint8_t out[16384];
    size_t n = kit_peer_take(&h->tls, out, sizeof(out));

    if (n > 0 && h->tcp != NULL)
        hop_send(h, out, n);
}

static void hop_say(struct hop *h, const char *text)
{
    size_t n;

    if (h->tcp == NULL)
        return;
    if (!h->secure)
        return hop_send(h, text, strlen(text));
    assert_int_equal(SSL_write_ex(h->tls.ssl, text, strlen(text), &n), 1);
    hop_flush(h);
}

static void hop_line(struct hop *h, const char *line)
{
    if (h->body) {
        h->body = strcmp(line, ".") != 0;
        if (h->body)
            return;
        far.taken_cnt++;
        far.clear_cnt += !h->secure;
        return hop_say(h, "250 taken\r\n");
    }
    if (strncmp(line, "EHLO", 4) == 0)
        return hop_say(h, !h->secure && !far.no_offer ? "250-x\r\n250 STARTTLS\r\n" : "250 x\r\n");
    if (strcmp(line, "STARTTLS") == 0) {
        hop_say(h, far.inject ? "220 go\r\n250 x\r\n" : "220 go\r\n");
        h->secure = true;
        kit_peer_open(&h->tls, far.other ? rig.other_server : rig.server, false, NULL);
        return;
    }
    h->mail_cnt += strncmp(line, "MAIL", 4) == 0;
    h->body = strcmp(line, "DATA") == 0;
    hop_say(h, h->body ? "354 go\r\n" : "250 ok\r\n");
}

static void hop_lines(struct hop *h)
{
    char *end;

    while (h->tcp != NULL && (end = strstr(h->line, "\r\n")) != NULL) {
        char one[LINE_CAP];
        *end = 0;
        snprintf(one, sizeof(one), "%s", h->line);
        h->len -= (size_t)(end + 2 - h->line);
        memmove(h->line, end + 2, h->len + 1);
        hop_line(h, one);
    }
}

static void hop_read(struct hop *h, const uint8_t *bytes, size_t len)
{
    size_t n;

    if (!h->secure) {
        assert_true(h->len + len < LINE_CAP);
        memcpy(h->line + h->len, bytes, len);
        h->len += len;
    } else if (!far.mute) {
        kit_peer_give(&h->tls, bytes, len);
        if (h->done == 0) {
            h->done = kit_peer_step(&h->tls);
            if (far.no_resumption && SSL_session_reused(h->tls.ssl)) {
                tcp_abort(b->tcp, h->tcp);
                h->tcp = NULL;
                return;
            }
            hop_flush(h);
        }
        while (h->done == 1 && h->len + 1 < LINE_CAP &&
               SSL_read_ex(h->tls.ssl, h->line + h->len, LINE_CAP - 1 - h->len, &n) == 1)
            h->len += n;
    } else if (len > 5 && bytes[0] == 22) {
        far.hello_cnt++;
    }
    h->line[h->len] = 0;
    hop_lines(h);
}

static void hops_pass(void)
{
    struct net_port *port = wire_port(b->wire, 1);
    struct rte_mbuf *pkts[32];
    struct net_segment segments[32];
    struct tcp_event ev[32];
    struct base_span span;
    uint32_t n = port->ops->rx_burst(port->state, 0, pkts, 32);

    n = net_input(b->net, pkts, n, segments, b->now_ns);
    tcp_push(b->tcp, segments, n, b->now_ns);
    tcp_run(b->tcp, b->now_ns);
    net_run(b->net, b->now_ns);
    n = tcp_poll(b->tcp, ev, 32);
    for (uint32_t i = 0; i < n; i++) {
        struct hop *h = ev[i].user;
        if (ev[i].flags & TCP_EVENT_ACCEPTED) {
            h = &far.hop[far.cnt++ % HOPS];
            assert_null(h->tcp);
            if (h->tls.ssl != NULL)
                kit_peer_close(&h->tls);
            memset(h, 0, sizeof(*h));
            h->tcp = ev[i].conn;
            tcp_set_user(h->tcp, h);
            hop_say(h, "220 far\r\n");
        }
        if (h == NULL || h->tcp != ev[i].conn)
            continue;
        while (h->tcp != NULL && tcp_recv_view(h->tcp, &span, 1) == 1) {
            uint8_t copy[2048];
            size_t len = span.len < sizeof(copy) ? span.len : sizeof(copy);
            memcpy(copy, span.p, len);
            tcp_recv_consume(b->tcp, h->tcp, (uint32_t)len);
            hop_read(h, copy, len);
        }
        if (h->tcp != NULL && ev[i].flags & TCP_EVENT_FAILED) {
            tcp_abort(b->tcp, h->tcp);
            h->tcp = NULL;
        } else if (h->tcp != NULL && ev[i].flags & TCP_EVENT_PEER_CLOSED) {
            tcp_close(b->tcp, h->tcp);
            h->tcp = NULL;
        }
    }
    tcp_flush(b->tcp, b->now_ns);
    net_flush(b->net);
}

static uint32_t unproved_cnt(void)
{
    uint32_t n = 0;

    for (struct base_list *at = rig.lane.unproved.next; at != &rig.lane.unproved; at = at->next)
        n++;
    return n;
}

static void run_ms(uint32_t ms)
{
    while (ms-- > 0) {
        b->now_ns += BASE_NS_MS;
        wire_advance(b->wire, b->now_ns);
        for (int i = 0; i < 8; i++) {
            uint64_t judged = lane_stat(STATS_CONN_TLS_OUT_JUDGED);
            gateway_pass();
            judged = lane_stat(STATS_CONN_TLS_OUT_JUDGED) - judged;
            assert_true(judged <= 1);
            if (unproved_cnt() > 0)
                assert_int_equal(lane_deadline(b->lane), b->now_ns); /* it does not sleep */
            far.unproved_most =
                unproved_cnt() > far.unproved_most ? unproved_cnt() : far.unproved_most;
            disk_pass();
        }
        hops_pass();
    }
}

static void run_long(uint64_t ns)
{
    for (uint64_t end = b->now_ns + ns; b->now_ns < end; b->now_ns += BASE_NS_S / 4)
        run_ms(2);
}

/* ---- the bench ---- */

static const char *more;

static int open_with_tls(void **state)
{
    bench_more = more;
    bench_lane = make_tls;
    memset(&far, 0, sizeof(far));
    return open_bench(state);
}

#define OPEN(name, text)                                                                           \
    static int open_##name(void **state)                                                           \
    {                                                                                              \
        more = text;                                                                               \
        return open_with_tls(state);                                                               \
    }
OPEN(may, "delivery { tls = may; }\n")
OPEN(encrypt, "delivery { tls = encrypt; }\n")

/* The certificate of the usual next hop, and nothing else will do. */
static int open_pinned(void **state, const char *rest)
{
    static char text[512];
    uint8_t digest[32];
    unsigned len;

    assert_int_equal(X509_digest(rig.certificate.leaf, EVP_sha256(), digest, &len), 1);
    int n = snprintf(text, sizeof(text),
                     "destination d.example { tls = fingerprint; fingerprints = { ");
    for (unsigned i = 0; i < len; i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, "%02x", digest[i]);
    snprintf(text + n, sizeof(text) - (size_t)n, " }; %s}\n", rest);
    more = text;
    return open_with_tls(state);
}

static int open_finger(void **state)
{
    return open_pinned(state, "");
}

static int open_lenient(void **state)
{
    return open_pinned(state, "defer_on_tls_error = no; ");
}

static int close_with_tls(void **state)
{
    for (uint32_t i = 0; i < HOPS; i++) {
        if (far.hop[i].tcp != NULL)
            tcp_abort(b->tcp, far.hop[i].tcp);
        if (far.hop[i].tls.ssl != NULL)
            kit_peer_close(&far.hop[i].tls);
    }
    lane_tls_leave(b->lane);
    close_bench(state);
    assert_true(tls_domain_released(rig.domain));
    tls_domain_free(rig.domain);
    tls_lane_fini(rig.lane.engine);
    lane_tls_fini(&rig.lane);
    keyop_inline_close(rig.driver);
    bench_more = "";
    bench_lane = NULL;
    return 0;
}

/* cnt messages are accepted and due, but the courier has not looked yet. */
static void messages(uint32_t cnt)
{
    b->courier_off = true;
    for (uint32_t i = 0; i < cnt; i++) {
        b->got_len = 0;
        one_message();
    }
    turn(NULL, 300); /* the clients' TIME_WAIT */
    b->courier_off = false;
}

/* Connections are closed by now, and nothing is left of them. */
static void check_all_home(void)
{
    run_long(8 * BASE_NS_S);
    assert_int_equal(b->lane->out_cnt, 0);
    assert_true(base_list_empty(&rig.lane.unproved));
    assert_int_equal(lane_stat(STATS_TLS_CONNECTIONS), 0);
    assert_int_equal(lane_stat(STATS_TLS_HANDSHAKING), 0);
    assert_int_equal(b->lane->conns.free_cnt, b->lane->conns.object_cnt);
    assert_int_equal(b->lane->bufs.free_cnt, b->lane->bufs.buf_cnt);
    for (int i = 0; i < 3; i++)
        assert_true(dpdk_pool_full(b->pool[i]));
}

static uint64_t courier_stat(enum stats_id id)
{
    return stats_get(b->courier.stats, id);
}

/* ---- tests ---- */

/* Several messages over one encrypted connection, and an idle one holds no buffer. */
static void one_connection(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        messages(1);
        run_ms(60);
        assert_int_equal(far.taken_cnt, i + 1);
        assert_int_equal(b->lane->idle.cnt, 1);
        assert_int_equal(b->lane->bufs.free_cnt, b->lane->bufs.buf_cnt);
    }
    assert_int_equal(far.cnt, 1);
    assert_int_equal(far.clear_cnt, 0);
    assert_int_equal(courier_stat(STATS_TLS_OUT_MAY_UNTRUSTED), 3);
    assert_int_equal(lane_stat(STATS_TLS_CONNECTED), 1);
    check_all_home();
}

/* A next hop that goes away at each of its replies and flights. */
static void it_goes_away(void **state)
{
    (void)state;
    for (uint32_t at = 1; at <= 14; at++)
        for (int reset = 0; reset < 2; reset++) {
            uint64_t deferred = courier_stat(STATS_COURIER_DEFERRED), taken = far.taken_cnt;
            far.die_at = at;
            far.reset = reset;
            messages(1);
            run_ms(80);
            assert_int_equal(courier_stat(STATS_COURIER_DEFERRED) - deferred +
                                 (far.taken_cnt - taken > 0 && queued().message_cnt == 0),
                             1);
            far.die_at = 0;
            for (int i = 0; i < 40 && queued().message_cnt > 0; i++)
                run_long(60 * BASE_NS_S);
            assert_int_equal(queued().message_cnt, 0);
            check_all_home();
        }
    assert_true(lane_stat(STATS_CONN_TLS_OUT_SMALL) > 0);
}

/* Nobody answers the ClientHello: a short one is tried once, then the message waits. */
static void silence(void **state)
{
    (void)state;
    far.mute = true;
    messages(1);
    run_ms(50);
    assert_int_equal(far.hello_cnt, 1);
    assert_int_equal(lane_stat(STATS_TLS_HANDSHAKING), 1);
    run_long(31 * BASE_NS_S);
    assert_int_equal(far.hello_cnt, 2);
    assert_int_equal(courier_stat(STATS_COURIER_DEFERRED), 0);
    run_long(31 * BASE_NS_S);
    assert_int_equal(courier_stat(STATS_COURIER_DEFERRED), 1);
    assert_int_equal(courier_stat(STATS_TLS_OUT_ENCRYPT_FAILED), 1);
    assert_int_equal(lane_stat(STATS_CONN_TLS_TIMEOUTS), 2);
    assert_int_equal(lane_stat(STATS_CONN_TLS_OUT_CLEAR), 0);
    check_all_home();
}

/* The same, where TLS is optional: in clear once the message has waited. */
static void silence_where_clear_text_will_do(void **state)
{
    (void)state;
    far.mute = true;
    messages(1);
    run_long(65 * BASE_NS_S);
    assert_int_equal(courier_stat(STATS_TLS_OUT_MAY_FAILED), 1);
    assert_int_equal(far.taken_cnt, 0);
    run_long(400 * BASE_NS_S);
    assert_int_equal(far.taken_cnt, 1);
    assert_int_equal(far.clear_cnt, 1);
    assert_int_equal(lane_stat(STATS_CONN_TLS_OUT_CLEAR), 1);
    assert_int_equal(courier_stat(STATS_TLS_OUT_MAY_CLEAR), 1);
    check_all_home();
}

/* Sessions: the next connection resumes, and where that does not help there is another without. */
static void sessions(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        messages(1);
        run_ms(60);
        assert_int_equal(far.taken_cnt, i + 1);
        check_all_home();
        assert_int_equal(lane_stat(STATS_TLS_RESUMED), i);
    }
    far.no_resumption = true;
    messages(1);
    run_ms(80);
    assert_int_equal(far.taken_cnt, 4);
    assert_int_equal(far.clear_cnt, 0);
    assert_int_equal(lane_stat(STATS_CONN_TLS_OUT_FRESH), 1);
    assert_int_equal(lane_stat(STATS_CONN_TLS_OUT_SMALL), 0);
    assert_int_equal(courier_stat(STATS_COURIER_DEFERRED), 0);
    check_all_home();
    messages(1); /* the one without has left none */
    run_ms(60);
    assert_int_equal(lane_stat(STATS_TLS_RESUMED), 2);
    assert_int_equal(far.taken_cnt, 5);
    check_all_home();
    far.mute = true; /* whatever it is offered */
    messages(1);
    run_long(95 * BASE_NS_S);
    assert_int_equal(far.hello_cnt, 3);
    assert_int_equal(lane_stat(STATS_CONN_TLS_OUT_FRESH), 2);
    assert_int_equal(lane_stat(STATS_CONN_TLS_OUT_SMALL), 1);
    assert_int_equal(courier_stat(STATS_COURIER_DEFERRED), 1);
    check_all_home();
}

static void nothing_in_clear(void **state)
{
    (void)state;
    far.no_offer = true;
    messages(1);
    run_ms(60);
    assert_int_equal(courier_stat(STATS_TLS_OUT_ENCRYPT_FAILED), 1);
    assert_int_equal(far.hop[0].mail_cnt, 0);
    check_all_home();
}

static void injected(void **state)
{
    (void)state;
    far.inject = true;
    messages(1);
    run_ms(60);
    assert_int_equal(lane_stat(STATS_SMTP_CLIENT_STARTTLS_INJECTED), 1);
    assert_int_equal(courier_stat(STATS_COURIER_DEFERRED), 1);
    assert_int_equal(far.taken_cnt, 0);
    check_all_home();
}

/* Five at once: one is judged in a pass, the others wait their turn. */
static void one_at_a_time(void **state)
{
    (void)state;
    messages(5);
    run_ms(100);
    assert_int_equal(far.taken_cnt, 5);
    assert_true(far.unproved_most > 0);
    assert_int_equal(lane_stat(STATS_CONN_TLS_OUT_JUDGED), far.cnt);
    assert_int_equal(courier_stat(STATS_TLS_OUT_FINGERPRINT_VERIFIED), 5);
    check_all_home();
}

/* The wrong certificate: MAIL is never said, and no connection stays for others. */
static void not_proved(void **state)
{
    (void)state;
    far.other = true;
    messages(1);
    run_ms(60);
    assert_int_equal(courier_stat(STATS_TLS_OUT_FINGERPRINT_FAILED), 1);
    assert_int_equal(lane_stat(STATS_CONN_TLS_OUT_UNPROVED), 1);
    assert_int_equal(far.hop[0].mail_cnt, 0);
    assert_int_equal(b->lane->idle.cnt, 0);
    far.other = false;
    run_long(320 * BASE_NS_S);
    assert_int_equal(far.taken_cnt, 1);
    check_all_home();
}

static void not_proved_but_sent(void **state)
{
    (void)state;
    far.other = true;
    messages(1);
    run_ms(60);
    assert_int_equal(far.taken_cnt, 1);
    assert_int_equal(far.clear_cnt, 0);
    assert_int_equal(courier_stat(STATS_TLS_OUT_FINGERPRINT_UNTRUSTED), 1);
    check_all_home();
}

/* The lane ends with handshakes, certificates to be judged, and idle connections. */
static void the_end(void **state)
{
    (void)state;
    messages(4);
    run_ms(12);
    assert_true(b->lane->out_cnt > 0);
}

static int setup(void **state)
{
    static const char *const names[] = {"mx.example"}, *const others[] = {"other.example"};

    dpdk_eal_init();
    b = calloc(1, sizeof(*b));
    (void)state;
    kit_certificate_make(&rig.certificate, "EC", names, 1, -9000, 9000);
    kit_certificate_make(&rig.other, "EC", others, 1, -9000, 9000);
    rig.server = kit_server_context(0, &rig.certificate);
    rig.other_server = kit_server_context(0, &rig.other);
    SSL_CTX_clear_options(rig.server, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(rig.server, 1);
    return b != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    SSL_CTX_free(rig.server);
    SSL_CTX_free(rig.other_server);
    kit_certificate_free(&rig.certificate);
    kit_certificate_free(&rig.other);
    free(b);
    return 0;
}

#define TEST(name, opened) cmocka_unit_test_setup_teardown(name, open_##opened, close_with_tls)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_connection, may), TEST(it_goes_away, encrypt),
        TEST(silence, encrypt),    TEST(silence_where_clear_text_will_do, may),
        TEST(sessions, encrypt),   TEST(nothing_in_clear, encrypt),
        TEST(injected, may),       TEST(one_at_a_time, finger),
        TEST(not_proved, finger),  TEST(not_proved_but_sent, lenient),
        TEST(the_end, finger),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
