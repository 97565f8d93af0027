/* The pool of key operations: two lanes, each a thread, with bursts of operations at threads that
 * come and go to sleep. Under the thread sanitizer, too (suite tsan). */
#include "unit.h"

#include "keyop_inline.h"
#include "keyop_pool.h"
#include "tls_kit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#define LANES  2
#define ROUNDS 60
#define BURST  12

static struct kit_certificate ec, rsa;
static struct keyop_pool *pool;
static _Atomic uint32_t wakes;

struct lane {
    pthread_t thread;
    uint32_t index;
    uint32_t done_cnt, wrong_cnt;
    void *keys[2];
};

static void wake(void *arg, uint32_t lane)
{
    (void)lane;
    atomic_fetch_add_explicit((_Atomic uint32_t *)arg, 1, memory_order_relaxed);
}

static bool verify(const struct kit_certificate *c, const struct tls_keyop *op)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(c->key, NULL);
    bool ok = EVP_PKEY_verify_init(ctx) == 1;

    if (op->algorithm == TLS_KEYOP_RSA_PSS)
        ok = ok && EVP_PKEY_CTX_set_rsa_padding(ctx, 6) == 1;
    ok = ok && EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
         EVP_PKEY_verify(ctx, op->output, op->output_len, op->input, op->input_len) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static void *run_lane(void *arg)
{
    struct lane *l = arg;
    void *state = keyop_pool_lane(pool, l->index);
    struct tls_keyop *all = calloc(BURST, sizeof(*all)), *ops[BURST], *back[BURST];

    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t sent = 0, got = 0;
        for (uint32_t i = 0; i < BURST; i++) {
            bool is_rsa = i % 4 == 3;
            all[i] = (struct tls_keyop){.key = l->keys[is_rsa],
                                        .algorithm = is_rsa ? TLS_KEYOP_RSA_PSS : TLS_KEYOP_ECDSA,
                                        .digest = TLS_KEYOP_SHA256,
                                        .input_len = 32};
            memset(all[i].input, (int)(round + i + l->index), 32);
            ops[i] = &all[i];
        }
        while (got < BURST) {
            uint32_t n;
            sent += keyop_pool_ops.submit(state, ops + sent, BURST - sent);
            n = keyop_pool_ops.poll(state, back, BURST);
            for (uint32_t i = 0; i < n; i++)
                if (back[i]->status != TLS_KEYOP_OK ||
                    (round % 20 == 0 &&
                     !verify(back[i]->algorithm == TLS_KEYOP_ECDSA ? &ec : &rsa, back[i])))
                    l->wrong_cnt++;
            got += n;
            if (n == 0)
                sched_yield();
        }
        l->done_cnt += got;
        /* One on the spot, while the threads go to sleep. */
        all[0].status = TLS_KEYOP_PENDING;
        for (int i = 0; i < (int)(round % 3) * 5; i++) {
            keyop_pool_ops.execute(state, &all[0]);
            if (all[0].status != TLS_KEYOP_OK)
                l->wrong_cnt++;
        }
    }
    keyop_pool_ops.leave(state);
    free(all);
    return NULL;
}

static void *open_key(void *state, const struct kit_certificate *c)
{
    PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(c->key);
    uint8_t *der = NULL;
    int len = i2d_PKCS8_PRIV_KEY_INFO(p8, &der);
    void *key = keyop_pool_ops.key_open(state, base_span_of(der, (size_t)len));

    OPENSSL_free(der);
    PKCS8_PRIV_KEY_INFO_free(p8);
    return key;
}

static void lanes(void **state)
{
    struct keyop_pool_settings s = {.lane_cnt = LANES,
                                    .thread_cnt = 2,
                                    .queue_max = 4, /* less than a burst: some wait */
                                    .wake = wake,
                                    .wake_arg = &wakes};
    static struct lane lane[LANES];

    (void)state;
    pool = keyop_pool_open(&s);
    assert_non_null(pool);
    for (uint32_t i = 0; i < LANES; i++) {
        lane[i].index = i;
        lane[i].keys[0] = open_key(keyop_pool_lane(pool, i), &ec);
        lane[i].keys[1] = open_key(keyop_pool_lane(pool, i), &rsa);
        assert_non_null(lane[i].keys[0]);
        assert_non_null(lane[i].keys[1]);
    }
    for (uint32_t i = 0; i < LANES; i++)
        assert_int_equal(pthread_create(&lane[i].thread, NULL, run_lane, &lane[i]), 0);
    for (int i = 0; i < 20; i++) { /* a reload, meanwhile */
        void *key = open_key(keyop_pool_lane(pool, 0), &ec);
        assert_non_null(key);
        keyop_pool_ops.key_close(keyop_pool_lane(pool, 0), key);
    }
    for (uint32_t i = 0; i < LANES; i++) {
        assert_int_equal(pthread_join(lane[i].thread, NULL), 0);
        assert_int_equal(lane[i].wrong_cnt, 0);
        assert_int_equal(lane[i].done_cnt, ROUNDS * BURST);
        keyop_pool_ops.key_close(keyop_pool_lane(pool, i), lane[i].keys[0]);
        keyop_pool_ops.key_close(keyop_pool_lane(pool, i), lane[i].keys[1]);
    }
    assert_true(atomic_load(&wakes) > 0);
    keyop_pool_close(pool);
}

static void bad_keys(void **state)
{
    static const char *const kinds[] = {"ED25519", "X25519"};
    struct keyop_inline *k = keyop_inline_open(false, 1);

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(kinds); i++) {
        EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, kinds[i]);
        PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(key);
        uint8_t *der = NULL;
        int len = i2d_PKCS8_PRIV_KEY_INFO(p8, &der);
        assert_null(keyop_inline_ops.key_open(k, base_span_of(der, (size_t)len)));
        OPENSSL_free(der);
        PKCS8_PRIV_KEY_INFO_free(p8);
        EVP_PKEY_free(key);
    }
    assert_null(keyop_inline_ops.key_open(k, base_span_str("nonsense")));
    assert_null(keyop_inline_ops.key_open(k, base_span_of(NULL, 0)));
    keyop_inline_close(k);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(lanes), cmocka_unit_test(bad_keys)};

    return cmocka_run_group_tests(tests, setup, teardown);
}
