/* Sessions with servers: kept under a key, used once or as long as they are good, bounded. */
#include "tls_rig.h"

#include "dane.h"
#include "tls_memory.h"

#include <time.h>

#define KEPT    6 /* in a lane of these tests */
#define DAY     86400
#define PER_KEY 32 /* tls_session.c: of one key */

static struct kit_certificate ec, large;
static struct rig rig;
static struct rig_link link;
static SSL_CTX *server;
static struct tls_domain *domain;
static int64_t now_s;

static const struct tls_policy_spec out = {
    .label = "out", .client = true, .version_min = TLS_VERSION_12};

static SSL_CTX *server_of(const struct kit_certificate *c, int version)
{
    SSL_CTX *ctx = kit_server_context(version, c);

    SSL_CTX_clear_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(ctx, 1);
    return ctx;
}

static void open_rig(int version, uint32_t session_max)
{
    struct tls_lane_settings s = rig_settings(&rig);

    s.session_max = session_max;
    rig_open_with(&rig, RIG_INLINE, s);
    domain = rig_domain(&rig, NULL, 0, &out, 1);
    server = server_of(&ec, version);
    now_s = time(NULL);
}

static void close_rig(void)
{
    if (domain != NULL)
        rig_domain_drop(domain);
    SSL_CTX_free(server);
    rig_close(&rig);
}

/* A connection under key; whether it was resumed. Either way it shows the certificate of from. */
static bool resumed_of(SSL_CTX *ctx, uint64_t key, const struct kit_certificate *from)
{
    struct tls_facts facts;
    struct dane_chain chain;
    int len = i2d_X509(from->leaf, NULL);
    uint8_t *der = malloc((size_t)len), *end = der;

    assert_int_equal(i2d_X509(from->leaf, &end), len);
    rig_connect(&link, &rig, domain, 0, ctx, "mx.example.org");
    tls_conn_offer(link.conn, key, now_s);
    assert_int_equal(rig_handshake(&link), TLS_OPEN);
    rig_talk(&link);
    tls_conn_facts(link.conn, &facts);
    assert_int_equal(SSL_session_reused(link.peer.ssl), facts.resumed);
    assert_int_equal(tls_conn_chain(link.conn, &chain), 0);
    assert_int_equal(chain.cnt, 2);
    assert_int_equal(chain.der[0].len, len);
    assert_memory_equal(chain.der[0].p, der, len);
    dane_chain_free(&chain);
    free(der);
    SSL_shutdown(link.peer.ssl);
    rig_end(&link);
    return facts.resumed;
}

static bool resumed(uint64_t key)
{
    return resumed_of(server, key, &ec);
}

static uint64_t kept(void)
{
    return stats_get(&rig.stats, STATS_TLS_SESSIONS);
}

static void by_key(void **state)
{
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        open_rig(version, KEPT);
        assert_false(resumed(1));
        assert_int_equal(kept(), 1);
        assert_false(resumed(2)); /* who asks something else of the same server */
        assert_int_equal(kept(), 2);
        for (int i = 0; i < 5; i++) {
            assert_true(resumed(1));
            assert_true(resumed(2));
        }
        assert_false(resumed(0)); /* no key: nothing is offered, nothing kept */
        assert_true(kept() >= 2);
        assert_int_equal(stats_get(&rig.stats, STATS_TLS_OFFERED), 10);
        assert_int_equal(stats_get(&rig.stats, STATS_TLS_RESUMED), 10);
        close_rig();
    }
}

/* In TLS 1.3 no ticket is shown twice, were the connection it was shown on never to come about. */
static void once(void **state)
{
    (void)state;
    open_rig(TLS1_3_VERSION, KEPT);
    assert_false(resumed(1));
    rig_connect(&link, &rig, domain, 0, server, "mx.example.org");
    tls_conn_offer(link.conn, 1, now_s);
    assert_int_equal(kept(), 0);
    rig_pass(&link);
    rig_end(&link);
    assert_false(resumed(1));
    assert_true(resumed(1));
    close_rig();
}

/* A server that has lost its keys, or is another one by now, is as one never met: and what it shows
 * is its own. */
static void strangers(void **state)
{
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct kit_certificate other;
        static const char *const name = "other.example.org";
        kit_certificate_make(&other, "EC", &name, 1, -1, 30);
        SSL_CTX *second = server_of(&other, version);
        open_rig(version, KEPT);
        assert_false(resumed(1));
        assert_false(resumed_of(second, 1, &other));
        assert_int_equal(stats_get(&rig.stats, STATS_TLS_OFFERED), 1);
        assert_true(resumed_of(second, 1, &other));
        SSL_CTX_free(second);
        kit_certificate_free(&other);
        close_rig();
    }
}

/* What a server was found wanting with is not met again by a session. */
static void forgotten(void **state)
{
    (void)state;
    open_rig(TLS1_3_VERSION, KEPT);
    assert_false(resumed(1));
    assert_false(resumed(2));
    rig_connect(&link, &rig, domain, 0, server, "mx.example.org");
    tls_conn_offer(link.conn, 3, now_s);
    assert_int_equal(rig_handshake(&link), TLS_OPEN);
    assert_false(tls_conn_forget(link.conn));
    rig_talk(&link);
    rig_end(&link);
    assert_false(resumed(3));
    rig_connect(&link, &rig, domain, 0, server, "mx.example.org");
    tls_conn_offer(link.conn, 1, now_s);
    assert_true(tls_conn_forget(link.conn));
    rig_end(&link);
    assert_false(resumed(1));
    assert_true(resumed(2));
    close_rig();
}

/* By dates: the certificate of these has 30 days; no session is older than two hours. */
static void dates(void **state)
{
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        open_rig(version, KEPT);
        assert_false(resumed(1));
        now_s += 7199;
        assert_true(resumed(1));
        now_s += 7201;
        assert_false(resumed(1));
        now_s = time(NULL) + 30 * DAY - 60; /* the clock jumps: a minute is left of it */
        assert_false(resumed(2));
        assert_true(resumed(2));
        now_s += 3600;
        assert_false(resumed(2));
        assert_false(resumed(2)); /* nothing more is kept of it */
        close_rig();
    }
}

static void bounds(void **state)
{
    (void)state;
    open_rig(TLS1_2_VERSION, KEPT);
    for (uint64_t key = 1; key <= KEPT; key++)
        assert_false(resumed(key));
    assert_true(resumed(1)); /* used just now */
    assert_false(resumed(KEPT + 1));
    assert_int_equal(kept(), KEPT);
    assert_true(resumed(1));
    assert_false(resumed(2)); /* it has given way */
    close_rig();

    open_rig(TLS1_3_VERSION, 0);
    assert_false(resumed(1));
    assert_false(resumed(1));
    assert_int_equal(kept(), 0);
    close_rig();
}

/* Handshakes that are under way together give one each, up to what a key may have. */
static void side_by_side(void **state)
{
    static struct rig_link links[PER_KEY - 2];
    (void)state;
    open_rig(TLS1_3_VERSION, 2 * PER_KEY);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < BASE_ARRAY_CNT(links); i++) {
            rig_connect(&links[i], &rig, domain, 0, server, NULL);
            tls_conn_offer(links[i].conn, 1, now_s);
        }
        for (size_t i = 0; i < BASE_ARRAY_CNT(links); i++) {
            struct tls_facts facts;
            assert_int_equal(rig_handshake(&links[i]), TLS_OPEN);
            rig_talk(&links[i]);
            tls_conn_facts(links[i].conn, &facts);
            assert_int_equal(facts.resumed, round > 0);
            rig_end(&links[i]);
        }
        assert_int_equal(kept(), BASE_ARRAY_CNT(links));
    }
    close_rig();
}

/* A server makes us keep 16 KiB for a session at most. */
static void large_ones(void **state)
{
    (void)state;
    open_rig(TLS1_3_VERSION, KEPT);
    SSL_CTX *second = server_of(&large, TLS1_3_VERSION);
    assert_true(i2d_X509(large.leaf, NULL) > 16384);
    assert_false(resumed_of(second, 1, &large));
    assert_false(resumed_of(second, 1, &large));
    assert_int_equal(kept(), 0);
    SSL_CTX_free(second);
    close_rig();
}

/* Another configuration: nothing of the old one's is used, or kept any more. */
static void reload(void **state)
{
    (void)state;
    open_rig(TLS1_3_VERSION, KEPT);
    assert_false(resumed(1));
    rig_connect(&link, &rig, domain, 0, server, "mx.example.org");
    tls_conn_offer(link.conn, 2, now_s);
    tls_domain_retire(domain);
    assert_int_equal(kept(), 0);
    assert_int_equal(rig_handshake(&link), TLS_OPEN);
    rig_talk(&link);
    assert_int_equal(kept(), 0);
    assert_false(tls_domain_released(domain));
    rig_end(&link);
    assert_true(tls_domain_released(domain));
    tls_domain_free(domain);
    domain = rig_domain(&rig, NULL, 0, &out, 1);
    assert_false(resumed(1));
    assert_true(resumed(1));
    close_rig();
}

static int setup(void **state)
{
    static const char *const name = "mx.example.org";
    static char text[400][80];
    static const char *names[400];

    (void)state;
    kit_certificate_make(&ec, "EC", &name, 1, -1, 30);
    for (size_t i = 0; i < BASE_ARRAY_CNT(names); i++) {
        snprintf(text[i], sizeof(text[i]), "a-name-that-is-longer-than-needed-%zu.example.org", i);
        names[i] = text[i];
    }
    kit_certificate_make(&large, "EC", names, BASE_ARRAY_CNT(names), -1, 30);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_certificate_free(&ec);
    kit_certificate_free(&large);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_key),       cmocka_unit_test(once),       cmocka_unit_test(strangers),
        cmocka_unit_test(forgotten),    cmocka_unit_test(dates),      cmocka_unit_test(bounds),
        cmocka_unit_test(side_by_side), cmocka_unit_test(large_ones), cmocka_unit_test(reload),
    };

    if (!tls_memory_use())
        return 1;
    return cmocka_run_group_tests(tests, setup, teardown);
}
