/* The batch: handshakes that wait for their private-key operation, for a job or for their turn, and
 * connections that go away meanwhile. The driver here does what each test says. Also what the
 * engine makes of failing memory, and another X25519. */
#include "keyop_slow.h"
#include "tls_rig.h"

#include "tls_memory.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#define LINKS 12

static struct kit_certificate ec, rsa;
static struct rig rig;
static struct rig_link links[LINKS];
static SSL_CTX *client;

static const struct tls_policy_spec policies[] = {
    {.label = "mx", .version_min = TLS_VERSION_12},
    {.label = "out", .version_min = TLS_VERSION_12, .client = true},
};

struct kex {
    uint32_t keygens, derives, told, batches, answers;
    uint32_t leave; /* the answer of a batch that is not made */
} kex;

static bool kex_keygen(void *state, const uint8_t *peer, uint8_t secret[TLS_KEX_BYTES],
                       uint8_t share[TLS_KEX_BYTES])
{
    EVP_PKEY *k = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    size_t n = TLS_KEX_BYTES, m = TLS_KEX_BYTES;
    bool ok = EVP_PKEY_get_raw_private_key(k, secret, &n) == 1 &&
              EVP_PKEY_get_raw_public_key(k, share, &m) == 1;

    ((struct kex *)state)->keygens++;
    ((struct kex *)state)->told += peer != NULL;
    EVP_PKEY_free(k);
    return ok;
}

static bool kex_derive(void *state, const uint8_t secret[TLS_KEX_BYTES],
                       const uint8_t peer[TLS_KEX_BYTES], uint8_t shared[TLS_KEX_BYTES])
{
    EVP_PKEY *own = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, TLS_KEX_BYTES);
    EVP_PKEY *far = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, peer, TLS_KEX_BYTES);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
    size_t n = TLS_KEX_BYTES;
    bool ok = EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, far) == 1 &&
              EVP_PKEY_derive(ctx, shared, &n) == 1;

    ((struct kex *)state)->derives++;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(own);
    EVP_PKEY_free(far);
    return ok;
}

static void kex_batch(void *state, struct tls_kex_answer *const *answers, uint32_t cnt)
{
    struct kex *k = state;

    assert_in_range(cnt, 2, TLS_KEX_BATCH_MAX);
    k->batches++;
    k->answers += cnt;
    for (uint32_t i = 0; i < cnt; i++) {
        struct tls_kex_answer *a = answers[i];
        assert_false(a->made);
        if (i == k->leave)
            continue;
        a->made = kex_keygen(state, a->peer, a->secret, a->share) &&
                  kex_derive(state, a->secret, a->peer, a->shared);
    }
}

static const struct tls_kex_ops kex_ops = {
    .name = "test", .keygen = kex_keygen, .derive = kex_derive};
static const struct tls_kex_ops kex_ops_batch = {
    .name = "test", .keygen = kex_keygen, .derive = kex_derive, .batch = kex_batch};

static bool built_in; /* its X25519 is used, where a test gives no other */

static struct tls_domain *open_slow(struct tls_lane_settings settings,
                                    const struct kit_certificate *key)
{
    struct tls_certificate_spec c = kit_spec(key, "file");

    memset(&slow, 0, sizeof(slow));
    slow.inner = keyop_inline_open(false, 1);
    slow.take_max = 64;
    settings.keyop = (struct tls_keyop_driver){&slow_ops, &slow};
    if (settings.kex.ops == NULL &&
        !built_in) /* the built-in one makes connections wait on some processors */
        settings.kex = (struct tls_kex_driver){&kex_ops, &kex};
    rig_open_with(&rig, RIG_GIVEN, settings);
    client = kit_client_context(0);
    return rig_domain(&rig, &c, 1, policies, 2);
}

static void close_slow(struct tls_domain *d)
{
    rig_domain_drop(d);
    rig_close(&rig);
    keyop_inline_close(slow.inner);
    SSL_CTX_free(client);
}

static uint64_t counted(enum stats_id id)
{
    return stats_get(&rig.stats, id);
}

/* cnt connections that have shown their ClientHello, all in one pass. */
static void open_links(struct tls_domain *d, uint32_t cnt)
{
    for (uint32_t i = 0; i < cnt; i++) {
        rig_accept(&links[i], &rig, d, 0, client, NULL);
        rig_peer(&links[i]);
        rig_decode(&links[i]);
    }
}

static uint32_t run(void)
{
    struct tls_conn *ready[LINKS];
    uint32_t n = tls_lane_run(rig.lane, ready, LINKS);

    for (uint32_t i = 0; i < n; i++)
        rig_decode(tls_conn_cookie(ready[i]));
    return n;
}

static void finish_links(uint32_t from, uint32_t cnt)
{
    for (uint32_t i = from; i < cnt; i++) {
        assert_int_equal(rig_handshake(&links[i]), TLS_OPEN);
        rig_talk(&links[i]);
        rig_end(&links[i]);
    }
}

/* ---- parking ---- */

static void bursts(void **state)
{
    struct tls_domain *d;

    (void)state;
    d = open_slow(rig_settings(&rig), &rsa);
    open_links(d, 6);
    for (int i = 0; i < 6; i++)
        assert_int_equal(tls_conn_wants(links[i].conn), TLS_WANT_KEYOP);
    assert_int_equal(slow.held_cnt, 0);
    assert_true(tls_lane_busy(rig.lane));
    slow.take_max = 4; /* the driver is full: the rest is handed over later, and none twice */
    assert_int_equal(run(), 0);
    assert_int_equal(slow.held_cnt, 4);
    rig_decode(&links[0]); /* a byte more, or a timer: nothing happens */
    assert_int_equal(tls_conn_wants(links[0].conn), TLS_WANT_KEYOP);
    assert_int_equal(run(), 0);
    assert_int_equal(slow.held_cnt, 6);
    assert_int_equal(slow.bursts, 2);
    assert_int_equal(counted(STATS_TLS_PARKED), 6);
    slow.release_cnt = 2;
    assert_int_equal(run(), 2);
    assert_int_equal(tls_conn_wants(links[5].conn), TLS_WANT_INPUT);
    assert_int_equal(tls_conn_wants(links[0].conn), TLS_WANT_KEYOP);
    slow.release_cnt = 100;
    finish_links(0, 6);
    assert_false(tls_lane_busy(rig.lane));
    assert_int_equal(counted(STATS_TLS_KEYOPS), 6);
    assert_int_equal(counted(STATS_TLS_KEYOP_BURSTS), 2);
    close_slow(d);
}

/* Closed before it was handed over, while the driver has it, and after it came back. */
static void disconnects(void **state)
{
    struct tls_domain *d;

    (void)state;
    d = open_slow(rig_settings(&rig), &ec);
    open_links(d, 6);
    rig_end(&links[0]);
    assert_int_equal(run(), 0);
    assert_int_equal(slow.held_cnt, 5);
    rig_end(&links[1]);
    rig_end(&links[5]);
    slow.release_cnt = 1; /* nobody's */
    assert_int_equal(run(), 0);
    assert_int_equal(slow.held_cnt, 4);
    slow.release_cnt = 2;
    struct tls_conn *ready[LINKS];
    assert_int_equal(tls_lane_run(rig.lane, ready, 0), 0);
    assert_int_equal(slow.held_cnt, 2);
    rig_end(&links[4]); /* it is ready, and never hears of it */
    /* The stream ends while it waits. */
    assert_int_equal(tls_conn_ended(links[3].conn), TLS_FAILED);
    assert_int_equal(tls_conn_reason(links[3].conn), TLS_REASON_TRUNCATED);
    slow.release_cnt = 100;
    run();
    rig_end(&links[3]);
    finish_links(2, 3);
    assert_int_equal(counted(STATS_TLS_CONNECTIONS), 0);
    assert_int_equal(counted(STATS_TLS_ACCEPTED), 1);
    close_slow(d);
}

/* A domain is not done with while an operation of it is under way. */
static void retired_early(void **state)
{
    struct tls_domain *d;

    (void)state;
    d = open_slow(rig_settings(&rig), &ec);
    open_links(d, 1);
    assert_int_equal(run(), 0);
    rig_end(&links[0]);
    tls_domain_retire(d);
    assert_false(tls_domain_released(d));
    slow.release_cnt = 1;
    assert_int_equal(run(), 0);
    assert_true(tls_domain_released(d));
    tls_domain_free(d);
    rig_close(&rig);
    keyop_inline_close(slow.inner);
    SSL_CTX_free(client);
}

static void failing_key(void **state)
{
    struct tls_domain *d = open_slow(rig_settings(&rig), &ec);

    (void)state;
    slow.fail = true;
    slow.release_cnt = 100;
    open_links(d, 2);
    run();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rig_handshake(&links[i]), TLS_FAILED);
        assert_int_equal(tls_conn_reason(links[i].conn), TLS_REASON_KEYOP);
        assert_int_equal(links[i].peer_done, -1);
        rig_end(&links[i]);
    }
    assert_int_equal(counted(STATS_TLS_FAILED_KEYOP), 2);
    slow.fail = false;
    open_links(d, 1);
    finish_links(0, 1);
    close_slow(d);
}

/* More than may be parked: they wait, in order, and all get there. */
static void no_job(void **state)
{
    struct tls_lane_settings s = rig_settings(&rig);
    struct tls_domain *d;
    uint32_t parked = 0;

    (void)state;
    s.parked_max = 2;
    d = open_slow(s, &ec);
    open_links(d, LINKS);
    for (int i = 0; i < LINKS; i++)
        parked += tls_conn_wants(links[i].conn) == TLS_WANT_KEYOP;
    assert_int_equal(parked, 2);
    for (int i = 0; i < 5; i++)
        run();
    assert_true(counted(STATS_TLS_NO_JOB) > 0);
    assert_in_range(slow.held_cnt, 1, 2);
    slow.release_cnt = 1000;
    finish_links(0, LINKS);
    assert_int_equal(counted(STATS_TLS_ACCEPTED), LINKS);
    close_slow(d);
}

/* ---- turns and limits ---- */

static void turns(void **state)
{
    struct tls_lane_settings s = rig_settings(&rig);
    struct tls_domain *d;

    (void)state;
    s.step_max = 2;
    d = open_slow(s, &ec);
    slow.release_cnt = 1000;
    run(); /* a pass begins */
    open_links(d, 6);
    for (int i = 0; i < 6; i++)
        assert_int_equal(tls_conn_wants(links[i].conn) == TLS_WANT_TURN, i >= 2);
    assert_int_equal(run(), 2); /* to resume one is a step like others */
    assert_true(links[2].to_conn_len > 0);
    assert_int_equal(counted(STATS_TLS_WAITING), 4);
    assert_true(links[2].to_conn_len > 0); /* not consumed */
    rig_decode(&links[5]);                 /* no overtaking */
    assert_int_equal(tls_conn_wants(links[5].conn), TLS_WANT_TURN);
    rig_end(&links[4]); /* one goes away while it waits */
    run();
    assert_int_equal(links[2].to_conn_len, 0);
    assert_int_equal(links[3].to_conn_len, 0);
    assert_true(links[5].to_conn_len > 0);
    assert_int_equal(run(), 2);
    run();
    assert_int_equal(links[5].to_conn_len, 0);
    finish_links(0, 4);
    finish_links(5, 6);
    assert_true(counted(STATS_TLS_TURNS) >= 4);
    assert_int_equal(counted(STATS_TLS_ACCEPTED), 5);
    close_slow(d);
}

static void limits(void **state)
{
    struct tls_lane_settings s = rig_settings(&rig);
    struct tls_domain *d;

    (void)state;
    s.handshake_max = 3;
    s.connection_max = 4;
    d = open_slow(s, &ec);
    slow.release_cnt = 1000;
    open_links(d, 3);
    assert_null(tls_conn_accept(rig.lane, d, 0, NULL));
    assert_null(tls_conn_connect(rig.lane, d, 1, "x", NULL));
    assert_int_equal(counted(STATS_TLS_REFUSED_FULL), 2);
    assert_int_equal(rig_handshake(&links[0]), TLS_OPEN); /* an established one does not count */
    rig_accept(&links[3], &rig, d, 0, client, NULL);
    assert_null(tls_conn_accept(rig.lane, d, 0, NULL));
    assert_int_equal(rig_handshake(&links[1]), TLS_OPEN);
    assert_null(tls_conn_accept(rig.lane, d, 0, NULL)); /* connection_max */
    assert_int_equal(counted(STATS_TLS_REFUSED_FULL), 4);
    for (int i = 0; i < 4; i++)
        rig_end(&links[i]);
    close_slow(d);
}

/* ---- another X25519 ---- */

static void other_exchange(void **state)
{
    struct tls_lane_settings s = rig_settings(&rig);
    struct tls_facts facts;
    struct tls_domain *d;
    SSL_CTX *only, *server;

    (void)state;
    s.kex = (struct tls_kex_driver){&kex_ops, &kex};
    d = open_slow(s, &ec);
    slow.release_cnt = 1000;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        memset(&kex, 0, sizeof(kex));
        only = kit_client_context(version);
        rig_accept(&links[0], &rig, d, 0, only, NULL);
        assert_int_equal(rig_handshake(&links[0]), TLS_OPEN);
        tls_conn_facts(links[0].conn, &facts);
        assert_string_equal(facts.group, "x25519");
        assert_int_equal(kex.keygens, 1);
        assert_int_equal(kex.derives, 1);
        assert_int_equal(kex.told, version == TLS1_3_VERSION);
        rig_talk(&links[0]);
        rig_end(&links[0]);
        server = kit_server_context(version, &rsa);
        rig_connect(&links[0], &rig, d, 1, server, NULL);
        assert_int_equal(rig_handshake(&links[0]), TLS_OPEN);
        /* A ClientHello has a share for TLS 1.3 also where 1.2 comes of it. */
        assert_int_equal(kex.keygens, version == TLS1_2_VERSION ? 3 : 2);
        assert_int_equal(kex.derives, 2);
        rig_talk(&links[0]);
        rig_end(&links[0]);
        SSL_CTX_free(server);
        SSL_CTX_free(only);
    }
    /* The other groups are still the default provider's. */
    only = kit_client_context(0);
    char list[] = "P-256";
    SSL_CTX_ctrl(only, SSL_CTRL_SET_GROUPS_LIST, 0, list);
    rig_accept(&links[0], &rig, d, 0, only, NULL);
    assert_int_equal(rig_handshake(&links[0]), TLS_OPEN);
    rig_end(&links[0]);
    SSL_CTX_free(only);
    close_slow(d);
}

/* All ClientHellos of a pass are answered at once; which answers are missing are made one by one,
 * as that to one alone, and those that nobody takes are given back. */
static void batched(void **state)
{
    static const struct {
        int links, leave, closed, batches, answers, keygens;
    } rows[] = {
        {4, -1, 0, 1, 4, 4}, /* each pair and secret is made once */
        {4, 2, 0, 1, 4, 4},  /* the driver leaves one out */
        {1, -1, 0, 0, 0, 1}, /* alone */
        {11, -1, 0, 2, 11, 11}, {9, -1, 0, 1, 8, 9}, {4, -1, 3, 0, 0, 1}, {4, -1, 1, 1, 3, 3},
    };
    struct tls_lane_settings s = rig_settings(&rig);
    struct tls_domain *d;

    (void)state;
    s.parked_max = 16;
    s.kex = (struct tls_kex_driver){&kex_ops_batch, &kex};
    d = open_slow(s, &ec);
    slow.release_cnt = 1000;
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        memset(&kex, 0, sizeof(kex));
        kex.leave = (uint32_t)rows[r].leave;
        open_links(d, (uint32_t)rows[r].links);
        for (int i = 0; i < rows[r].links; i++)
            assert_int_equal(tls_conn_wants(links[i].conn), TLS_WANT_TURN);
        assert_int_equal(kex.batches + kex.keygens, 0);
        assert_true(tls_lane_busy(rig.lane));
        for (int i = 0; i < rows[r].closed; i++)
            rig_end(&links[i]);
        assert_int_equal(run(), rows[r].links - rows[r].closed);
        finish_links((uint32_t)rows[r].closed, (uint32_t)rows[r].links);
        assert_int_equal(kex.batches, rows[r].batches);
        assert_int_equal(kex.answers, rows[r].answers);
        assert_int_equal(kex.keygens, rows[r].keygens);
        assert_int_equal(kex.derives, rows[r].keygens);
        assert_int_equal(kex.told, rows[r].keygens);
    }
    /* Answers that were made and never taken. */
    memset(&kex, 0, sizeof(kex));
    kex.leave = UINT32_MAX;
    open_links(d, 2);
    struct tls_conn *ready[2];
    assert_int_equal(tls_lane_run(rig.lane, ready, 2), 2);
    assert_int_equal(kex.answers, 2);
    rig_end(&links[0]);
    rig_end(&links[1]);
    close_slow(d);
}

/* A client of TLS 1.2, one without a share of X25519, and a policy that prefers another group do
 * not wait. */
static void not_batched(void **state)
{
    static const struct {
        int version;
        const char *groups;
    } rows[] = {{TLS1_2_VERSION, "X25519:P-256"}, {TLS1_3_VERSION, "P-256:X25519"}};
    struct tls_lane_settings s = rig_settings(&rig);
    struct tls_domain *d;

    (void)state;
    s.kex = (struct tls_kex_driver){&kex_ops_batch, &kex};
    d = open_slow(s, &ec);
    slow.release_cnt = 1000;
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        char groups[32];
        SSL_CTX *only = kit_client_context(rows[r].version);
        memset(&kex, 0, sizeof(kex));
        snprintf(groups, sizeof(groups), "%s", rows[r].groups);
        assert_int_equal(SSL_CTX_set1_groups_list(only, groups), 1);
        for (int i = 0; i < 2; i++)
            rig_accept(&links[i], &rig, d, 0, only, NULL);
        for (int i = 0; i < 2; i++)
            assert_int_equal(rig_handshake(&links[i]), TLS_OPEN);
        assert_int_equal(kex.batches, 0);
        for (int i = 0; i < 2; i++)
            rig_end(&links[i]);
        SSL_CTX_free(only);
    }
    close_slow(d);
}

/* ---- memory ---- */

static int64_t allocations_left = INT64_MAX; /* then every one fails, while the engine runs */
static bool inside;

static void *failing_take(size_t bytes, const char *file, int line)
{
    if (inside && allocations_left-- <= 0)
        return NULL;
    return RIG_SANITIZED ? malloc(bytes) : tls_memory_take(bytes, file, line);
}

static void *failing_resize(void *p, size_t bytes, const char *file, int line)
{
    if (inside && allocations_left-- <= 0)
        return NULL;
    return RIG_SANITIZED ? realloc(p, bytes) : tls_memory_resize(p, bytes, file, line);
}

static void give(void *p, const char *file, int line)
{
    (void)file, (void)line;
    free(p);
}

static void guarded_decode(struct rig_link *l)
{
    inside = true;
    rig_decode(l);
    inside = false;
}

/* One handshake with memory for so many allocations. Returns whether it succeeded. */
static bool starved(struct tls_domain *d, int64_t allocations)
{
    struct rig_link *l = &links[0];
    bool ok = false;

    memset(l, 0, sizeof(*l));
    l->rig = &rig;
    l->chunk = l->out_room = RIG_PIPE;
    kit_peer_open(&l->peer, client, true, NULL);
    allocations_left = allocations;
    inside = true;
    l->conn = tls_conn_accept(rig.lane, d, 0, l);
    inside = false;
    for (int i = 0; l->conn != NULL && i < 8 && tls_conn_state(l->conn) == TLS_HANDSHAKE; i++) {
        struct tls_conn *ready[2];
        uint32_t n;
        rig_peer(l);
        guarded_decode(l);
        n = tls_lane_run(rig.lane, ready, 2);
        while (n-- > 0)
            guarded_decode(l);
    }
    if (l->conn != NULL) {
        ok = tls_conn_state(l->conn) == TLS_OPEN;
        tls_conn_close(l->conn);
    }
    kit_peer_close(&l->peer);
    return ok;
}

static void short_memory(void **state)
{
    struct tls_domain *d;
    int64_t enough = 0;

    (void)state;
    built_in = true;
    d = open_slow(rig_settings(&rig), &ec);
    built_in = false;
    slow.release_cnt = UINT32_MAX;
    assert_true(starved(d, INT32_MAX)); /* what is cached once for all */
    while (!starved(d, enough))
        enough += enough < 60 ? 1 : 7;
    assert_in_range(enough, 100, 5000);
    assert_true(starved(d, INT32_MAX));
    assert_int_equal(counted(STATS_TLS_CONNECTIONS), 0);
    assert_int_equal(counted(STATS_TLS_HANDSHAKING), 0);
    close_slow(d);
}

static int setup(void **state)
{
    static const char *const names[] = {"mx.example.org"};

    (void)state;
    kit_certificate_make(&ec, "EC", names, 1, -1, 90);
    kit_certificate_make(&rsa, "RSA", names, 1, -1, 90);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_certificate_free(&ec);
    kit_certificate_free(&rsa);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bursts),        cmocka_unit_test(disconnects),
        cmocka_unit_test(retired_early), cmocka_unit_test(failing_key),
        cmocka_unit_test(no_job),        cmocka_unit_test(turns),
        cmocka_unit_test(limits),        cmocka_unit_test(other_exchange),
        cmocka_unit_test(short_memory),  cmocka_unit_test(batched),
        cmocka_unit_test(not_batched),
    };

    if (CRYPTO_set_mem_functions(failing_take, failing_resize,
                                 RIG_SANITIZED ? give : tls_memory_give) != 1)
        return 1;
    return cmocka_run_group_tests(tests, setup, teardown);
}
