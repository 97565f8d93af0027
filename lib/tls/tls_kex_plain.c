/*
 * X25519 where the lane has no driver for it: OpenSSL's, by the functions of its default provider
 * (OSSL_PROVIDER_query_operation), without the layers of EVP above them.
 *
 * A key pair is made as RFC 7748 section 6.1 says it, the secret times the base point, by the same
 * ladder as the shared secret: OpenSSL's own generation of pairs, with a table of the Edwards
 * curve, is slower than that on processors with MULX and ADX. Pairs do not depend on the peer:
 * where the processor has AVX-512 IFMA eight are made at once, in the time of one
 * (tls_x25519_ifma.h), and kept until they are asked for. Each is used once.
 */
#include "tls_internal.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

static const uint8_t base_point[TLS_KEX_BYTES] = {9};

/* RFC 7748 section 6.1: Alice's. */
static const uint8_t known_secret[TLS_KEX_BYTES] = {
    0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45,
    0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a};
static const uint8_t known_share[TLS_KEX_BYTES] = {
    0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e, 0xf7, 0x5a,
    0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b, 0x4e, 0x6a};

/* The implementation of a name, in a list of the default provider's. */
static const OSSL_DISPATCH *find(OSSL_PROVIDER *provider, int operation, const char *name)
{
    int no_cache = 0;
    const OSSL_ALGORITHM *list = OSSL_PROVIDER_query_operation(provider, operation, &no_cache);
    const OSSL_DISPATCH *found = NULL;
    size_t len = strlen(name);

    for (const OSSL_ALGORITHM *a = list; a != NULL && a->algorithm_names != NULL; a++)
        if (found == NULL && OPENSSL_strncasecmp(a->algorithm_names, name, len) == 0 &&
            (a->algorithm_names[len] == ':' || a->algorithm_names[len] == '\0'))
            found = a->implementation;
    OSSL_PROVIDER_unquery_operation(provider, operation, list);
    return found;
}

static void look_up(struct tls_kex_plain *k, OSSL_PROVIDER *provider)
{
    const OSSL_DISPATCH *keys = find(provider, OSSL_OP_KEYMGMT, "X25519");
    const OSSL_DISPATCH *exchange = find(provider, OSSL_OP_KEYEXCH, "X25519");

    for (; keys != NULL && keys->function_id != 0; keys++) {
        if (keys->function_id == OSSL_FUNC_KEYMGMT_NEW)
            k->key_new = OSSL_FUNC_keymgmt_new(keys);
        else if (keys->function_id == OSSL_FUNC_KEYMGMT_FREE)
            k->key_free = OSSL_FUNC_keymgmt_free(keys);
        else if (keys->function_id == OSSL_FUNC_KEYMGMT_IMPORT)
            k->key_import = OSSL_FUNC_keymgmt_import(keys);
    }
    for (; exchange != NULL && exchange->function_id != 0; exchange++) {
        if (exchange->function_id == OSSL_FUNC_KEYEXCH_NEWCTX)
            k->exchange_new = OSSL_FUNC_keyexch_newctx(exchange);
        else if (exchange->function_id == OSSL_FUNC_KEYEXCH_FREECTX)
            k->exchange_free = OSSL_FUNC_keyexch_freectx(exchange);
        else if (exchange->function_id == OSSL_FUNC_KEYEXCH_INIT)
            k->exchange_init = OSSL_FUNC_keyexch_init(exchange);
        else if (exchange->function_id == OSSL_FUNC_KEYEXCH_SET_PEER)
            k->exchange_set_peer = OSSL_FUNC_keyexch_set_peer(exchange);
        else if (exchange->function_id == OSSL_FUNC_KEYEXCH_DERIVE)
            k->exchange_derive = OSSL_FUNC_keyexch_derive(exchange);
    }
}

/* secret NULL: a public key. With one the public half is given, too, though nothing looks at it:
 * otherwise OpenSSL computes it. */
static void *make_key(const struct tls_kex_plain *k, const uint8_t *secret, const uint8_t *share)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)share, TLS_KEX_BYTES),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, (void *)(uintptr_t)secret, TLS_KEX_BYTES),
        OSSL_PARAM_END,
    };
    void *key = k->key_new(k->provctx);

    if (secret == NULL)
        params[1] = (OSSL_PARAM)OSSL_PARAM_END;
    if (key != NULL &&
        k->key_import(key,
                      secret != NULL ? OSSL_KEYMGMT_SELECT_KEYPAIR : OSSL_KEYMGMT_SELECT_PUBLIC_KEY,
                      params) == 1)
        return key;
    if (key != NULL)
        k->key_free(key);
    return NULL;
}

static bool multiply(const struct tls_kex_plain *k, const uint8_t *secret, void *point,
                     uint8_t *out)
{
    void *key = make_key(k, secret, base_point);
    void *exchange = key != NULL ? k->exchange_new(k->provctx) : NULL;
    size_t len = 0;
    bool ok = exchange != NULL && k->exchange_init(exchange, key, NULL) == 1 &&
              k->exchange_set_peer(exchange, point) == 1 &&
              k->exchange_derive(exchange, out, &len, TLS_KEX_BYTES) == 1 && len == TLS_KEX_BYTES;

    if (exchange != NULL)
        k->exchange_free(exchange);
    if (key != NULL)
        k->key_free(key); /* wipes it */
    return ok;
}

static void make_shares(struct tls_kex_plain *k)
{
    static const uint8_t base[TLS_X25519_IFMA_CNT][TLS_KEX_BYTES] = {{9}, {9}, {9}, {9},
                                                                     {9}, {9}, {9}, {9}};

    tls_x25519_ifma(k->share, k->secret, base);
}

/* What it computes is compared with a known answer in each lane of the vectors, once. */
static bool batch_works(struct tls_kex_plain *k)
{
    bool same = tls_x25519_ifma_possible();

    if (!same)
        return false;
    for (int i = 0; i < TLS_X25519_IFMA_CNT; i++)
        memcpy(k->secret[i], known_secret, TLS_KEX_BYTES);
    make_shares(k);
    for (int i = 0; i < TLS_X25519_IFMA_CNT; i++)
        same = same && memcmp(k->share[i], known_share, TLS_KEX_BYTES) == 0;
    return same;
}

/* A draw costs as much for one secret as for many. */
static bool draw(struct tls_kex_plain *k)
{
    if (RAND_priv_bytes_ex(k->libctx, &k->secret[0][0], sizeof(k->secret), 0) != 1)
        return false;
    k->secret_cnt = BASE_ARRAY_CNT(k->secret);
    k->share_cnt = 0;
    return true;
}

void tls_kex_plain_fill(struct tls_kex_plain *k)
{
    if (!k->batch || k->secret_cnt > 0 || !draw(k))
        return; /* without randomness keygen fails, and is told so */
    make_shares(k);
    k->share_cnt = k->secret_cnt;
}

static bool keygen(void *state, const uint8_t *peer, uint8_t secret[TLS_KEX_BYTES],
                   uint8_t share[TLS_KEX_BYTES])
{
    struct tls_kex_plain *k = state;

    (void)peer;
    if (k->secret_cnt == 0 && !draw(k))
        return false;
    uint32_t i = --k->secret_cnt;
    memcpy(secret, k->secret[i], TLS_KEX_BYTES);
    OPENSSL_cleanse(k->secret[i], TLS_KEX_BYTES);
    if (i >= k->share_cnt)
        return multiply(k, secret, k->base, share);
    memcpy(share, k->share[i], TLS_KEX_BYTES);
    return true;
}

static bool derive(void *state, const uint8_t secret[TLS_KEX_BYTES],
                   const uint8_t peer[TLS_KEX_BYTES], uint8_t shared[TLS_KEX_BYTES])
{
    const struct tls_kex_plain *k = state;
    void *point = make_key(k, NULL, peer);
    bool ok = point != NULL && multiply(k, secret, point, shared);

    if (point != NULL)
        k->key_free(point);
    return ok;
}

/* Vectors that are left over have the first answer's numbers once more. */
static void batch(void *state, struct tls_kex_answer *const *answers, uint32_t cnt)
{
    static const uint8_t zeros[TLS_KEX_BYTES];
    uint8_t secret[TLS_X25519_IFMA_CNT][TLS_KEX_BYTES], peer[TLS_X25519_IFMA_CNT][TLS_KEX_BYTES];
    uint8_t shared[TLS_X25519_IFMA_CNT][TLS_KEX_BYTES];
    struct tls_kex_plain *k = state;

    for (uint32_t i = 0; i < TLS_X25519_IFMA_CNT; i++) {
        struct tls_kex_answer *a = answers[i < cnt ? i : 0];
        if (i < cnt) {
            tls_kex_plain_fill(k);
            if (!keygen(k, a->peer, a->secret, a->share))
                goto out;
        }
        memcpy(secret[i], a->secret, TLS_KEX_BYTES);
        memcpy(peer[i], a->peer, TLS_KEX_BYTES);
    }
    tls_x25519_ifma(shared, secret, peer);
    for (uint32_t i = 0; i < cnt; i++) {
        memcpy(answers[i]->shared, shared[i], TLS_KEX_BYTES);
        answers[i]->made = CRYPTO_memcmp(shared[i], zeros, TLS_KEX_BYTES) != 0;
    }
out:
    OPENSSL_cleanse(secret, sizeof(secret));
    OPENSSL_cleanse(shared, sizeof(shared));
}

static const struct tls_kex_ops ops = {.name = "openssl", .keygen = keygen, .derive = derive};
static const struct tls_kex_ops ops_batch = {
    .name = "ifma", .keygen = keygen, .derive = derive, .batch = batch};

struct tls_kex_driver tls_kex_plain_open(struct tls_kex_plain *k, OSSL_LIB_CTX *libctx,
                                         OSSL_PROVIDER *provider)
{
    uint8_t share[TLS_KEX_BYTES];

    memset(k, 0, sizeof(*k));
    k->libctx = libctx;
    k->provctx = OSSL_PROVIDER_get0_provider_ctx(provider);
    look_up(k, provider);
    if (k->key_new == NULL || k->key_free == NULL || k->key_import == NULL ||
        k->exchange_new == NULL || k->exchange_free == NULL || k->exchange_init == NULL ||
        k->exchange_set_peer == NULL || k->exchange_derive == NULL)
        return (struct tls_kex_driver){NULL, NULL};
    k->base = make_key(k, NULL, base_point);
    if (k->base == NULL || !multiply(k, known_secret, k->base, share) ||
        memcmp(share, known_share, sizeof(share)) != 0)
        return (struct tls_kex_driver){NULL, NULL};
    k->batch = batch_works(k);
    return (struct tls_kex_driver){k->batch ? &ops_batch : &ops, k};
}

void tls_kex_plain_close(struct tls_kex_plain *k)
{
    if (k->base != NULL)
        k->key_free(k->base);
    k->base = NULL;
    OPENSSL_cleanse(k->secret, sizeof(k->secret));
}
