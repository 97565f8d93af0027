/*
 * X25519 as OpenSSL keys and key exchange (RFC 7748, RFC 8446 section 7.4.2), computed by the
 * lane's driver: tls_kex.h.
 */
#include "tls_internal.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>

#define BITS          253
#define SECURITY_BITS 128

struct pair {
    struct tls_provider *provider;
    uint8_t share[TLS_KEX_BYTES];
    uint8_t secret[TLS_KEX_BYTES];
    bool has_share;
    bool has_secret;
};

static struct tls_kex_driver *driver(struct tls_provider *p)
{
    return &p->domain->kex;
}

static void *pair_new(void *provctx)
{
    struct pair *k = OPENSSL_zalloc(sizeof(*k));

    if (k != NULL)
        k->provider = provctx;
    return k;
}

static void pair_free(void *keydata)
{
    OPENSSL_clear_free(keydata, sizeof(struct pair));
}

static int pair_has(const void *keydata, int selection)
{
    const struct pair *k = keydata;

    if (k == NULL)
        return 0;
    if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 && !k->has_secret)
        return 0;
    return (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) == 0 || k->has_share;
}

static int pair_match(const void *a, const void *b, int selection)
{
    const struct pair *x = a, *y = b;

    if ((selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0)
        return 1; /* there are no parameters */
    return x->has_share && y->has_share && memcmp(x->share, y->share, TLS_KEX_BYTES) == 0;
}

static void *pair_dup(const void *from, int selection)
{
    const struct pair *k = from;
    struct pair *copy = pair_new(k->provider);

    if (copy == NULL)
        return NULL;
    if ((selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0) {
        memcpy(copy->share, k->share, TLS_KEX_BYTES);
        copy->has_share = k->has_share;
    }
    if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0) {
        memcpy(copy->secret, k->secret, TLS_KEX_BYTES);
        copy->has_secret = k->has_secret;
    }
    return copy;
}

static bool get_number(OSSL_PARAM params[], const char *key, int value)
{
    OSSL_PARAM *p = OSSL_PARAM_locate(params, key);

    return p == NULL || OSSL_PARAM_set_int(p, value);
}

static int pair_get_params(void *keydata, OSSL_PARAM params[])
{
    const struct pair *k = keydata;
    OSSL_PARAM *p;

    if (!get_number(params, OSSL_PKEY_PARAM_BITS, BITS) ||
        !get_number(params, OSSL_PKEY_PARAM_SECURITY_BITS, SECURITY_BITS) ||
        !get_number(params, OSSL_PKEY_PARAM_MAX_SIZE, TLS_KEX_BYTES))
        return 0;
    p = OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY);
    return p == NULL || (k->has_share && OSSL_PARAM_set_octet_string(p, k->share, TLS_KEX_BYTES));
}

static const OSSL_PARAM *pair_gettable(void *provctx)
{
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)provctx;
    return list;
}

static int pair_set_params(void *keydata, const OSSL_PARAM params[])
{
    struct pair *k = keydata;
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY);

    if (p == NULL)
        return 1;
    if (p->data_type != OSSL_PARAM_OCTET_STRING || p->data_size != TLS_KEX_BYTES)
        return 0;
    memcpy(k->share, p->data, TLS_KEX_BYTES);
    OPENSSL_cleanse(k->secret, TLS_KEX_BYTES);
    k->has_share = true;
    k->has_secret = false;
    return 1;
}

static const OSSL_PARAM *pair_settable(void *provctx)
{
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)provctx;
    return list;
}

/* ---- making a pair ---- */

struct generation {
    struct tls_provider *provider;
    int selection;
    const struct pair *peer; /* borrowed: EVP holds it; NULL: not known */
};

/* In TLS 1.3 a server makes its pair with the client's key as the template. */
static int gen_set_template(void *genctx, void *keydata)
{
    struct generation *g = genctx;
    const struct pair *k = keydata;

    g->peer = k->has_share && !k->has_secret ? k : NULL;
    return 1;
}

/* libssl names the group, though there is one only. */
static int gen_set_params(void *genctx, const OSSL_PARAM params[])
{
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_GROUP_NAME);

    (void)genctx;
    return p == NULL ||
           (p->data_type == OSSL_PARAM_UTF8_STRING && OPENSSL_strcasecmp(p->data, "X25519") == 0);
}

static const OSSL_PARAM *gen_settable(void *genctx, void *provctx)
{
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)genctx, (void)provctx;
    return list;
}

static void *gen_init(void *provctx, int selection, const OSSL_PARAM params[])
{
    struct generation *g = OPENSSL_zalloc(sizeof(*g));

    if (g == NULL || !gen_set_params(g, params)) {
        OPENSSL_free(g);
        return NULL;
    }
    g->provider = provctx;
    g->selection = selection;
    return g;
}

static void *gen(void *genctx, OSSL_CALLBACK *progress, void *arg)
{
    struct generation *g = genctx;
    struct pair *k = pair_new(g->provider);

    (void)progress, (void)arg;
    if (k == NULL || (g->selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0)
        return k;
    const struct tls_kex_answer *ahead =
        g->peer != NULL ? tls_ahead_of(g->provider->domain, g->peer->share) : NULL;
    if (ahead != NULL) {
        memcpy(k->secret, ahead->secret, TLS_KEX_BYTES);
        memcpy(k->share, ahead->share, TLS_KEX_BYTES);
    } else if (!driver(g->provider)
                    ->ops->keygen(driver(g->provider)->state,
                                  g->peer != NULL ? g->peer->share : NULL, k->secret, k->share)) {
        pair_free(k);
        return NULL;
    }
    k->has_share = true;
    k->has_secret = true;
    return k;
}

static void gen_cleanup(void *genctx)
{
    OPENSSL_free(genctx);
}

const OSSL_DISPATCH tls_keymgmt_x25519[] = {
    {OSSL_FUNC_KEYMGMT_NEW, (void (*)(void))pair_new},
    {OSSL_FUNC_KEYMGMT_FREE, (void (*)(void))pair_free},
    {OSSL_FUNC_KEYMGMT_HAS, (void (*)(void))pair_has},
    {OSSL_FUNC_KEYMGMT_MATCH, (void (*)(void))pair_match},
    {OSSL_FUNC_KEYMGMT_DUP, (void (*)(void))pair_dup},
    {OSSL_FUNC_KEYMGMT_GET_PARAMS, (void (*)(void))pair_get_params},
    {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (void (*)(void))pair_gettable},
    {OSSL_FUNC_KEYMGMT_SET_PARAMS, (void (*)(void))pair_set_params},
    {OSSL_FUNC_KEYMGMT_SETTABLE_PARAMS, (void (*)(void))pair_settable},
    {OSSL_FUNC_KEYMGMT_GEN_INIT, (void (*)(void))gen_init},
    {OSSL_FUNC_KEYMGMT_GEN_SET_TEMPLATE, (void (*)(void))gen_set_template},
    {OSSL_FUNC_KEYMGMT_GEN_SET_PARAMS, (void (*)(void))gen_set_params},
    {OSSL_FUNC_KEYMGMT_GEN_SETTABLE_PARAMS, (void (*)(void))gen_settable},
    {OSSL_FUNC_KEYMGMT_GEN, (void (*)(void))gen},
    {OSSL_FUNC_KEYMGMT_GEN_CLEANUP, (void (*)(void))gen_cleanup},
    {0, NULL},
};

/* ---- the exchange ---- */

struct exchange {
    struct tls_provider *provider;
    const struct pair *own, *peer; /* borrowed: EVP holds the keys */
};

static void *exchange_new(void *provctx)
{
    struct exchange *e = OPENSSL_zalloc(sizeof(*e));

    if (e != NULL)
        e->provider = provctx;
    return e;
}

static void exchange_free(void *ctx)
{
    OPENSSL_free(ctx);
}

static int exchange_init(void *ctx, void *keydata, const OSSL_PARAM params[])
{
    struct exchange *e = ctx;

    (void)params;
    e->own = keydata;
    return e->own->has_secret;
}

static int exchange_set_peer(void *ctx, void *keydata)
{
    struct exchange *e = ctx;

    e->peer = keydata;
    return e->peer->has_share;
}

static int exchange_derive(void *ctx, unsigned char *out, size_t *len, size_t cap)
{
    struct exchange *e = ctx;

    *len = TLS_KEX_BYTES;
    if (out == NULL)
        return 1;
    if (cap < TLS_KEX_BYTES || e->own == NULL || e->peer == NULL)
        return 0;
    const struct tls_kex_answer *ahead = tls_ahead_of(e->provider->domain, e->peer->share);
    if (ahead != NULL && CRYPTO_memcmp(ahead->secret, e->own->secret, TLS_KEX_BYTES) == 0) {
        memcpy(out, ahead->shared, TLS_KEX_BYTES);
        return 1;
    }
    return driver(e->provider)
        ->ops->derive(driver(e->provider)->state, e->own->secret, e->peer->share, out);
}

const OSSL_DISPATCH tls_keyexch_x25519[] = {
    {OSSL_FUNC_KEYEXCH_NEWCTX, (void (*)(void))exchange_new},
    {OSSL_FUNC_KEYEXCH_FREECTX, (void (*)(void))exchange_free},
    {OSSL_FUNC_KEYEXCH_INIT, (void (*)(void))exchange_init},
    {OSSL_FUNC_KEYEXCH_SET_PEER, (void (*)(void))exchange_set_peer},
    {OSSL_FUNC_KEYEXCH_DERIVE, (void (*)(void))exchange_derive},
    {0, NULL},
};
