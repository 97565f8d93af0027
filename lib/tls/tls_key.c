/*
 * Private keys behind the keyop driver, as OpenSSL keys: EVP_PKEY objects of ours carry the public
 * half (a key of the default provider, asked for everything that concerns it) and a pointer to
 * struct tls_key. There is no export of them, so that nobody signs past the driver.
 *
 * An object without a private half exists for a moment when OpenSSL compares a certificate's key
 * with ours: it imports the public one here.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* SHA-2 without a look-up: see tls_kdf.c */
#include "tls_internal.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>

/* The one parameter of ours at import: pointers of this process. */
#define PARAM_WRAPPED "sluice-key"

struct wrapped {
    struct tls_key *key; /* NULL: a public half alone */
    EVP_PKEY *public;
};

struct object {
    struct tls_provider *provider;
    struct wrapped w; /* public is owned */
    uint8_t kind;
};

/* ---- key management ---- */

static void *object_new(void *provctx, uint8_t kind)
{
    struct object *o = OPENSSL_zalloc(sizeof(*o));

    if (o == NULL)
        return NULL;
    o->provider = provctx;
    o->kind = kind;
    return o;
}

static void *rsa_new(void *provctx)
{
    return object_new(provctx, TLS_KIND_RSA);
}

static void *ec_new(void *provctx)
{
    return object_new(provctx, TLS_KIND_EC);
}

static void object_free(void *keydata)
{
    struct object *o = keydata;

    if (o == NULL)
        return;
    EVP_PKEY_free(o->w.public);
    OPENSSL_free(o);
}

static int object_has(const void *keydata, int selection)
{
    const struct object *o = keydata;

    if (o == NULL || o->w.public == NULL)
        return 0;
    return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 || o->w.key != NULL;
}

static int object_match(const void *a, const void *b, int selection)
{
    const struct object *x = a, *y = b;

    (void)selection; /* a pair is the same when its public half is */
    return x->w.public != NULL && y->w.public != NULL && EVP_PKEY_eq(x->w.public, y->w.public) == 1;
}

static int object_import(void *keydata, int selection, const OSSL_PARAM params[])
{
    struct object *o = keydata;
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, PARAM_WRAPPED);
    OSSL_LIB_CTX *libctx = o->provider->domain->libctx;
    EVP_PKEY_CTX *ctx;
    int ok;

    if (p != NULL) {
        if (p->data_size != sizeof(o->w))
            return 0;
        memcpy(&o->w, p->data, sizeof(o->w));
        return EVP_PKEY_up_ref(o->w.public);
    }
    if (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY)
        return 0;
    ctx = EVP_PKEY_CTX_new_from_name(libctx, o->kind == TLS_KIND_RSA ? "RSA" : "EC", NULL);
    ok = ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
         EVP_PKEY_fromdata(ctx, &o->w.public, EVP_PKEY_PUBLIC_KEY,
                           (OSSL_PARAM *)(uintptr_t)params) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static const OSSL_PARAM import_types[] = {
    OSSL_PARAM_octet_string(PARAM_WRAPPED, NULL, 0),
    OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
    OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
    OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
    OSSL_PARAM_END,
};

static const OSSL_PARAM *object_import_types(int selection)
{
    (void)selection;
    return import_types;
}

static int object_get_params(void *keydata, OSSL_PARAM params[])
{
    const struct object *o = keydata;

    return o->w.public != NULL && EVP_PKEY_get_params(o->w.public, params) == 1;
}

static const OSSL_PARAM *object_gettable(void *provctx)
{
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)provctx;
    return list;
}

static const char *rsa_operation(int operation)
{
    return operation == OSSL_OP_SIGNATURE ? "SLUICE-RSA" : NULL;
}

static const char *ec_operation(int operation)
{
    return operation == OSSL_OP_SIGNATURE ? "SLUICE-ECDSA" : NULL;
}

#define KEYMGMT(new, operation)                                                                    \
    {                                                                                              \
        {OSSL_FUNC_KEYMGMT_NEW, (void (*)(void))(new)},                                            \
            {OSSL_FUNC_KEYMGMT_FREE, (void (*)(void))object_free},                                 \
            {OSSL_FUNC_KEYMGMT_HAS, (void (*)(void))object_has},                                   \
            {OSSL_FUNC_KEYMGMT_MATCH, (void (*)(void))object_match},                               \
            {OSSL_FUNC_KEYMGMT_IMPORT, (void (*)(void))object_import},                             \
            {OSSL_FUNC_KEYMGMT_IMPORT_TYPES, (void (*)(void))object_import_types},                 \
            {OSSL_FUNC_KEYMGMT_GET_PARAMS, (void (*)(void))object_get_params},                     \
            {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (void (*)(void))object_gettable},                  \
            {OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, (void (*)(void))(operation)},                 \
        {                                                                                          \
            0, NULL                                                                                \
        }                                                                                          \
    }

const OSSL_DISPATCH tls_keymgmt_rsa[] = KEYMGMT(rsa_new, rsa_operation);
const OSSL_DISPATCH tls_keymgmt_ec[] = KEYMGMT(ec_new, ec_operation);

EVP_PKEY *tls_key_wrap(struct tls_domain *d, struct tls_key *key, EVP_PKEY *public)
{
    struct wrapped w = {.key = key, .public = public};
    OSSL_PARAM params[] = {OSSL_PARAM_octet_string(PARAM_WRAPPED, &w, sizeof(w)), OSSL_PARAM_END};
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(
        d->libctx, key->kind == TLS_KIND_RSA ? "RSA" : "EC", "sluice.sign=yes");
    EVP_PKEY *pkey = NULL;

    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    return pkey;
}

/* ---- signatures ---- */

struct signing {
    const struct object *object; /* borrowed: EVP holds the key */
    uint8_t digest;
    bool digest_set;
    bool pss;
};

static void *signing_new(void *provctx, const char *propq)
{
    (void)provctx, (void)propq;
    return OPENSSL_zalloc(sizeof(struct signing));
}

static void signing_free(void *ctx)
{
    OPENSSL_free(ctx);
}

static void *signing_dup(void *ctx)
{
    return OPENSSL_memdup(ctx, sizeof(struct signing));
}

static bool set_digest(struct signing *s, const char *name)
{
    static const struct {
        const char *name;
        uint8_t digest;
    } names[] = {
        {"SHA256", TLS_KEYOP_SHA256}, {"SHA2-256", TLS_KEYOP_SHA256},
        {"SHA384", TLS_KEYOP_SHA384}, {"SHA2-384", TLS_KEYOP_SHA384},
        {"SHA512", TLS_KEYOP_SHA512}, {"SHA2-512", TLS_KEYOP_SHA512},
    };

    for (size_t i = 0; i < BASE_ARRAY_CNT(names); i++) {
        if (OPENSSL_strcasecmp(name, names[i].name) == 0) {
            s->digest = names[i].digest;
            return s->digest_set = true;
        }
    }
    return false;
}

static int signing_set(void *ctx, const OSSL_PARAM params[])
{
    struct signing *s = ctx;
    const OSSL_PARAM *p;
    int mode;

    if (params == NULL)
        return 1;
    p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
    if (p != NULL && p->data_type == OSSL_PARAM_UTF8_STRING) {
        s->pss = strcmp(p->data, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
        if (!s->pss && strcmp(p->data, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) != 0)
            return 0;
    } else if (p != NULL) {
        if (!OSSL_PARAM_get_int(p, &mode) ||
            (mode != RSA_PKCS1_PADDING && mode != RSA_PKCS1_PSS_PADDING))
            return 0;
        s->pss = mode == RSA_PKCS1_PSS_PADDING;
    }
    /* TLS's only choice: as long as the digest. */
    p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);
    if (p != NULL && p->data_type == OSSL_PARAM_UTF8_STRING)
        return strcmp(p->data, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST) == 0 ||
               strcmp(p->data, "-1") == 0;
    return p == NULL || (OSSL_PARAM_get_int(p, &mode) && mode == RSA_PSS_SALTLEN_DIGEST);
}

static const OSSL_PARAM *signing_settable(void *ctx, void *provctx)
{
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)ctx, (void)provctx;
    return list;
}

static int signing_init(void *ctx, const char *mdname, void *keydata, const OSSL_PARAM params[])
{
    struct signing *s = ctx;

    if (keydata != NULL)
        s->object = keydata;
    if (s->object == NULL || s->object->w.key == NULL || mdname == NULL || !set_digest(s, mdname))
        return 0;
    return signing_set(s, params);
}

static size_t make_digest(uint8_t digest, struct base_span text, uint8_t *out)
{
    SHA256_CTX narrow;
    SHA512_CTX wide;

    switch (digest) {
    case TLS_KEYOP_SHA256:
        SHA256_Init(&narrow);
        SHA256_Update(&narrow, text.p, text.len);
        SHA256_Final(out, &narrow);
        return SHA256_DIGEST_LENGTH;
    case TLS_KEYOP_SHA384:
        SHA384_Init(&wide);
        SHA384_Update(&wide, text.p, text.len);
        SHA384_Final(out, &wide);
        return SHA384_DIGEST_LENGTH;
    default:
        SHA512_Init(&wide);
        SHA512_Update(&wide, text.p, text.len);
        SHA512_Final(out, &wide);
        return SHA512_DIGEST_LENGTH;
    }
}

static int signing_sign(void *ctx, unsigned char *out, size_t *out_len, size_t cap,
                        const unsigned char *text, size_t text_len)
{
    struct signing *s = ctx;
    const struct object *o = s->object;
    uint8_t input[TLS_KEYOP_INPUT_MAX];
    struct base_buf signature = {.p = out, .cap = cap};
    uint8_t algorithm = o->kind == TLS_KIND_EC ? TLS_KEYOP_ECDSA
                        : s->pss               ? TLS_KEYOP_RSA_PSS
                                               : TLS_KEYOP_RSA_PKCS1;
    size_t input_len;

    if (out == NULL) {
        *out_len = (size_t)EVP_PKEY_get_size(o->w.public);
        return 1;
    }
    if (!s->digest_set)
        return 0;
    input_len = make_digest(s->digest, base_span_of(text, text_len), input);
    if (!tls_lane_sign(o->w.key, algorithm, s->digest, base_span_of(input, input_len), &signature))
        return 0;
    *out_len = signature.len;
    return 1;
}

#define SIGNATURE                                                                                  \
    {                                                                                              \
        {OSSL_FUNC_SIGNATURE_NEWCTX, (void (*)(void))signing_new},                                 \
            {OSSL_FUNC_SIGNATURE_FREECTX, (void (*)(void))signing_free},                           \
            {OSSL_FUNC_SIGNATURE_DUPCTX, (void (*)(void))signing_dup},                             \
            {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (void (*)(void))signing_init},                  \
            {OSSL_FUNC_SIGNATURE_DIGEST_SIGN, (void (*)(void))signing_sign},                       \
            {OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, (void (*)(void))signing_set},                     \
            {OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, (void (*)(void))signing_settable},           \
        {                                                                                          \
            0, NULL                                                                                \
        }                                                                                          \
    }

const OSSL_DISPATCH tls_signature_rsa[] = SIGNATURE;
const OSSL_DISPATCH tls_signature_ec[] = SIGNATURE;
