/* X25519 in eight lanes: RFC 7748's vectors, edge points and random ones against OpenSSL, and key
 * pairs made ahead or one by one. Where the processor cannot, it says so. */
#include "tls_rig.h"

#include "tls_internal.h"
#include "tls_memory.h"
#include "tls_x25519_ifma.h"

#include <stdio.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#define CNT TLS_X25519_IFMA_CNT

struct eight {
    uint8_t secret[CNT][32], point[CNT][32], out[CNT][32];
};

static struct rig rig;
static struct rig_link link;

static bool possible(const char *name)
{
    if (tls_x25519_ifma_possible())
        return true;
    printf("skip %s: the processor has no AVX-512 IFMA\n", name);
    return false;
}

/* What OpenSSL says; all zero where it refuses. */
static void reference(const uint8_t secret[32], const uint8_t point[32], uint8_t out[32])
{
    EVP_PKEY *own = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, 32);
    EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, point, 32);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
    size_t n = 32;

    assert_int_equal(EVP_PKEY_derive_init(ctx), 1);
    assert_int_equal(EVP_PKEY_derive_set_peer(ctx, peer), 1);
    if (EVP_PKEY_derive(ctx, out, &n) != 1)
        memset(out, 0, 32);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(own);
    EVP_PKEY_free(peer);
}

static void compare(struct eight *e)
{
    uint8_t expected[32];

    tls_x25519_ifma(e->out, e->secret, e->point);
    for (int i = 0; i < CNT; i++) {
        reference(e->secret[i], e->point[i], expected);
        assert_memory_equal(e->out[i], expected, 32);
    }
}

/* RFC 7748 section 5.2: k = u = 9, then k is the result and u what k was. */
static void iterated(void **state)
{
    static const uint8_t once[32] = {0x42, 0x2c, 0x8e, 0x7a, 0x62, 0x27, 0xd7, 0xbc,
                                     0xa1, 0x35, 0x0b, 0x3e, 0x2b, 0xb7, 0x27, 0x9f,
                                     0x78, 0x97, 0xb8, 0x7b, 0xb6, 0x85, 0x4b, 0x78,
                                     0x3c, 0x60, 0xe8, 0x03, 0x11, 0xae, 0x30, 0x79};
    static const uint8_t thousand[32] = {0x68, 0x4c, 0xf5, 0x9b, 0xa8, 0x33, 0x09, 0x55,
                                         0x28, 0x00, 0xef, 0x56, 0x6f, 0x2f, 0x4d, 0x3c,
                                         0x1c, 0x38, 0x87, 0xc4, 0x93, 0x60, 0xe3, 0x87,
                                         0x5f, 0x2e, 0xb9, 0x4d, 0x99, 0x53, 0x2c, 0x51};
    static struct eight e;

    (void)state;
    if (!possible("iterated"))
        return;
    for (int i = 0; i < CNT; i++)
        e.secret[i][0] = e.point[i][0] = 9;
    for (int round = 1; round <= 1000; round++) {
        tls_x25519_ifma(e.out, e.secret, e.point);
        memcpy(e.point, e.secret, sizeof(e.point));
        memcpy(e.secret, e.out, sizeof(e.secret));
        for (int i = 0; i < CNT && (round == 1 || round == 1000); i++)
            assert_memory_equal(e.out[i], round == 1 ? once : thousand, 32);
    }
}

/* Points around 0, p and 2^255, with the uppermost bit and without; of small order among them. */
static void edges(void **state)
{
    static const uint8_t low_order[2][32] = {
        {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
         0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
         0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
        {0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1,
         0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c,
         0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57}};
    static struct eight e;

    (void)state;
    if (!possible("edges"))
        return;
    for (int low = 0; low < 256; low += 2) {
        assert_int_equal(RAND_bytes(&e.secret[0][0], sizeof(e.secret)), 1);
        memset(e.secret[6], low, 32);
        memset(e.secret[7], 0xff, 32);
        memset(e.point, 0, sizeof(e.point));
        for (int i = 0; i < CNT; i++) {
            if (i & 1)
                memset(e.point[i], 0xff, 32);
            e.point[i][0] = (uint8_t)(low + (i >> 1 & 1));
            if (i >= 4)
                e.point[i][31] ^= 0x80;
        }
        compare(&e);
        for (int i = 0; i < CNT; i++)
            memcpy(e.point[i], low_order[i & 1], 32);
        compare(&e);
    }
}

static void random_points(void **state)
{
    static struct eight e;

    (void)state;
    if (!possible("random_points"))
        return;
    for (int round = 0; round < 300; round++) {
        assert_int_equal(RAND_bytes(&e.secret[0][0], sizeof(e.secret)), 1);
        assert_int_equal(RAND_bytes(&e.point[0][0], sizeof(e.point)), 1);
        compare(&e);
    }
}

/* Pairs are pairs, none comes twice, and those that are used leave nothing behind. */
static void pairs(struct tls_domain *d)
{
    static uint8_t secret[30][32], share[30][32];
    static const uint8_t base[32] = {9}, zeros[32];
    uint8_t expected[32];

    for (int i = 0; i < 30; i++) {
        bool none = d->kex_plain.secret_cnt == 0;
        if (i < 12) { /* the others are made one by one */
            tls_kex_plain_fill(&d->kex_plain);
            assert_int_equal(d->kex_plain.share_cnt, d->kex_plain.batch ? CNT : 0);
            assert_int_equal(d->kex_plain.secret_cnt == CNT, none && d->kex_plain.batch);
        }
        assert_true(d->kex.ops->keygen(d->kex.state, NULL, secret[i], share[i]));
        reference(secret[i], base, expected);
        assert_memory_equal(share[i], expected, 32);
        for (int k = 0; k < i; k++)
            assert_memory_not_equal(secret[i], secret[k], 32);
        for (uint32_t k = d->kex_plain.secret_cnt; k < CNT; k++)
            assert_memory_equal(d->kex_plain.secret[k], zeros, 32);
    }
}

/* Answers are what OpenSSL says; one to a point of small order is left to it to refuse. */
static void answers(struct tls_domain *d)
{
    static const uint8_t base[32] = {9}, zeros[32];
    struct tls_kex_answer a[CNT], *p[CNT];
    uint8_t expected[32];

    for (uint32_t cnt = 2; cnt <= CNT; cnt++) {
        for (uint32_t i = 0; i < CNT; i++) {
            memset(&a[i], 0, sizeof(a[i]));
            p[i] = &a[i];
            if (i != 1)
                assert_int_equal(RAND_bytes(a[i].peer, sizeof(a[i].peer)), 1);
        }
        d->kex.ops->batch(d->kex.state, p, cnt);
        for (uint32_t i = 0; i < CNT; i++) {
            assert_int_equal(a[i].made, i < cnt && i != 1);
            if (i >= cnt) {
                assert_memory_equal(a[i].secret, zeros, 32);
                continue;
            }
            reference(a[i].secret, base, expected);
            assert_memory_equal(a[i].share, expected, 32);
            reference(a[i].secret, a[i].peer, expected);
            assert_memory_equal(a[i].shared, expected, 32);
        }
    }
    assert_false(d->kex.ops->derive(d->kex.state, a[1].secret, a[1].peer, expected));
}

/* Handshakes in one pass, each with an answer of its own, which is gone behind it. */
static void together(struct tls_domain *d, SSL_CTX *client)
{
    static struct rig_link links[CNT + 1];
    struct tls_conn *ready[CNT + 1];
    uint32_t cnt = CNT + 1;

    for (uint32_t i = 0; i < cnt; i++) {
        rig_accept(&links[i], &rig, d, 0, client, NULL);
        rig_peer(&links[i]);
        rig_decode(&links[i]);
        assert_int_equal(tls_conn_wants(links[i].conn) == TLS_WANT_TURN, d->kex.ops->batch != NULL);
        assert_int_equal(links[i].conn->answer != NULL, d->kex.ops->batch != NULL);
    }
    if (d->kex.ops->batch != NULL)
        assert_int_equal(tls_lane_run(rig.lane, ready, cnt), cnt);
    for (uint32_t i = 0; d->kex.ops->batch != NULL && i < cnt; i++) {
        assert_int_equal(ready[i]->answer->made, i < CNT); /* the last one is alone */
        if (i == 3) /* not what the answer was made to: it is computed */
            ready[i]->answer->peer[0] ^= 1;
        rig_decode(tls_conn_cookie(ready[i]));
        assert_null(ready[i]->answer);
    }
    for (uint32_t i = 0; i < cnt; i++) {
        assert_int_equal(rig_handshake(&links[i]), TLS_OPEN);
        rig_talk(&links[i]);
        SSL_shutdown(links[i].peer.ssl);
        rig_end(&links[i]);
    }
    assert_int_equal(rig.lane->answers.free_cnt, rig.lane->answers.object_cnt);
}

static void key_pairs(void **state)
{
    struct tls_certificate_spec c;
    static const char *const names[] = {"mx.example.org"};
    static struct kit_certificate ec;
    SSL_CTX *client = kit_client_context(TLS1_3_VERSION);

    (void)state;
    kit_certificate_make(&ec, "EC", names, 1, -1, 90);
    c = kit_spec(&ec, "ec");
    for (int batch = 0; batch < 2; batch++) {
        struct tls_policy_spec mx = {.label = "mx", .version_min = TLS_VERSION_12};
        rig_open(&rig, RIG_INLINE);
        struct tls_domain *d = rig_domain(&rig, &c, 1, &mx, 1);
        assert_int_equal(d->kex_plain.batch, tls_x25519_ifma_possible());
        struct tls_kex_ops alone = *d->kex.ops;
        assert_int_equal(alone.batch != NULL, d->kex_plain.batch);
        if (batch == 0) {
            d->kex_plain.batch = false;
            alone.batch = NULL;
            d->kex.ops = &alone;
        }
        pairs(d);
        if (d->kex.ops->batch != NULL)
            answers(d);
        together(d, client);
        rig_accept(&link, &rig, d, 0, client, "mx.example.org");
        assert_int_equal(rig_handshake(&link), TLS_OPEN);
        rig_talk(&link);
        SSL_shutdown(link.peer.ssl);
        rig_end(&link);
        rig_domain_drop(d);
        rig_close(&rig);
    }
    SSL_CTX_free(client);
    kit_certificate_free(&ec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iterated),
        cmocka_unit_test(edges),
        cmocka_unit_test(random_points),
        cmocka_unit_test(key_pairs),
    };

    if (!tls_memory_use())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
