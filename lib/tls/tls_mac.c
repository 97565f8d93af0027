/*
 * HMAC for libssl: the Finished messages of TLS 1.3 and the MAC of tickets, with SHA-256 and
 * SHA-384 done directly. Everything else is handed on to the default provider's: other digests, and
 * above all the MAC of received CBC records, which has to take the same time whatever the padding
 * (libssl tells by tls-data-size).
 */
#include "tls_internal.h"

#include "tls_hmac.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

struct mac {
    struct tls_provider *provider;
    EVP_MAC_CTX *other; /* set: does it all */
    bool wide;
    bool digest_set;
    bool started;
    size_t key_len;
    uint8_t key[SHA512_CBLOCK];
    struct tls_hmac hmac;
};

static void *mac_new(void *provctx)
{
    struct mac *m = OPENSSL_zalloc(sizeof(*m));

    if (m != NULL)
        m->provider = provctx;
    return m;
}

static void mac_free(void *ctx)
{
    struct mac *m = ctx;

    if (m == NULL)
        return;
    EVP_MAC_CTX_free(m->other);
    OPENSSL_clear_free(m, sizeof(*m));
}

static void *mac_dup(void *ctx)
{
    const struct mac *m = ctx;
    struct mac *copy = OPENSSL_memdup(m, sizeof(*m));

    if (copy != NULL && m->other != NULL && (copy->other = EVP_MAC_CTX_dup(m->other)) == NULL) {
        mac_free(copy);
        return NULL;
    }
    return copy;
}

/* From here on the default provider does it. Nothing has been hashed yet. */
static bool hand_on(struct mac *m)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST,
                               (char *)(uintptr_t)(m->wide ? "SHA384" : "SHA256"), 6),
        OSSL_PARAM_END,
    };
    EVP_MAC *mac;

    if (m->other != NULL)
        return true;
    mac = EVP_MAC_fetch(m->provider->domain->libctx, "HMAC", "provider=default");
    m->other = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac);
    if (m->other == NULL)
        return false;
    if (m->digest_set && EVP_MAC_CTX_set_params(m->other, params) != 1)
        return false;
    return !m->started || EVP_MAC_init(m->other, m->key, m->key_len, NULL) == 1;
}

static bool start(struct mac *m, struct base_span key)
{
    if (m->other == NULL && key.len > sizeof(m->key) && !hand_on(m))
        return false;
    if (m->other != NULL)
        return EVP_MAC_init(m->other, key.p, key.len, NULL) == 1;
    if (key.len > 0)
        memcpy(m->key, key.p, key.len);
    m->key_len = key.len;
    tls_hmac_start(&m->hmac, m->wide, key);
    return m->started = true;
}

static int mac_set(void *ctx, const OSSL_PARAM params[])
{
    struct mac *m = ctx;
    const OSSL_PARAM *p;

    if (params == NULL || params->key == NULL)
        return 1;
    p = OSSL_PARAM_locate_const(params, OSSL_MAC_PARAM_DIGEST);
    if (m->other == NULL && p != NULL) {
        m->digest_set = p->data_type == OSSL_PARAM_UTF8_STRING && tls_hash_named(p->data, &m->wide);
        if (!m->digest_set && !hand_on(m))
            return 0;
    }
    if (OSSL_PARAM_locate_const(params, OSSL_MAC_PARAM_TLS_DATA_SIZE) != NULL && !hand_on(m))
        return 0;
    if (m->other != NULL)
        return EVP_MAC_CTX_set_params(m->other, params);
    p = OSSL_PARAM_locate_const(params, OSSL_MAC_PARAM_KEY);
    if (p == NULL)
        return 1;
    return m->digest_set && p->data_type == OSSL_PARAM_OCTET_STRING &&
           start(m, base_span_of(p->data, p->data_size));
}

static const OSSL_PARAM *mac_settable(void *ctx, void *provctx)
{
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_PROPERTIES, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY, NULL, 0),
        OSSL_PARAM_size_t(OSSL_MAC_PARAM_TLS_DATA_SIZE, NULL),
        OSSL_PARAM_END,
    };

    (void)ctx, (void)provctx;
    return list;
}

static int mac_get(void *ctx, OSSL_PARAM params[])
{
    struct mac *m = ctx;
    OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_MAC_PARAM_SIZE);

    if (m->other != NULL)
        return EVP_MAC_CTX_get_params(m->other, params);
    if (p != NULL && !OSSL_PARAM_set_size_t(p, tls_hash_bytes(m->wide)))
        return 0;
    p = OSSL_PARAM_locate(params, OSSL_MAC_PARAM_BLOCK_SIZE);
    return p == NULL || OSSL_PARAM_set_size_t(p, tls_hash_block_bytes(m->wide));
}

static const OSSL_PARAM *mac_gettable(void *ctx, void *provctx)
{
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_size_t(OSSL_MAC_PARAM_SIZE, NULL),
        OSSL_PARAM_size_t(OSSL_MAC_PARAM_BLOCK_SIZE, NULL),
        OSSL_PARAM_END,
    };

    (void)ctx, (void)provctx;
    return list;
}

static int mac_init(void *ctx, const unsigned char *key, size_t len, const OSSL_PARAM params[])
{
    struct mac *m = ctx;

    if (!mac_set(ctx, params))
        return 0;
    if (m->other == NULL && !m->digest_set)
        return 0;
    if (key != NULL)
        return start(m, base_span_of(key, len));
    if (m->other != NULL)
        return EVP_MAC_init(m->other, NULL, 0, NULL);
    return m->started && start(m, base_span_of(m->key, m->key_len)); /* once more, the same key */
}

static int mac_update(void *ctx, const unsigned char *p, size_t len)
{
    struct mac *m = ctx;

    if (m->other != NULL)
        return EVP_MAC_update(m->other, p, len);
    if (!m->started)
        return 0;
    tls_hmac_add(&m->hmac, base_span_of(p, len));
    return 1;
}

static int mac_final(void *ctx, unsigned char *out, size_t *len, size_t cap)
{
    struct mac *m = ctx;

    if (m->other != NULL)
        return EVP_MAC_final(m->other, out, len, cap);
    if (!m->started || cap < tls_hash_bytes(m->wide))
        return 0;
    *len = tls_hash_bytes(m->wide);
    tls_hmac_end(&m->hmac, out);
    return 1;
}

const OSSL_DISPATCH tls_mac_hmac[] = {
    {OSSL_FUNC_MAC_NEWCTX, (void (*)(void))mac_new},
    {OSSL_FUNC_MAC_DUPCTX, (void (*)(void))mac_dup},
    {OSSL_FUNC_MAC_FREECTX, (void (*)(void))mac_free},
    {OSSL_FUNC_MAC_INIT, (void (*)(void))mac_init},
    {OSSL_FUNC_MAC_UPDATE, (void (*)(void))mac_update},
    {OSSL_FUNC_MAC_FINAL, (void (*)(void))mac_final},
    {OSSL_FUNC_MAC_GET_CTX_PARAMS, (void (*)(void))mac_get},
    {OSSL_FUNC_MAC_GETTABLE_CTX_PARAMS, (void (*)(void))mac_gettable},
    {OSSL_FUNC_MAC_SET_CTX_PARAMS, (void (*)(void))mac_set},
    {OSSL_FUNC_MAC_SETTABLE_CTX_PARAMS, (void (*)(void))mac_settable},
    {0, NULL},
};
