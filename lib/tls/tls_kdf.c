/*
 * The key derivations of both versions, as libssl asks for them: TLS13-KDF, HKDF of RFC 5869 with
 * the labels of RFC 8446 section 7.1, and TLS1-PRF, RFC 5246 section 5. The hash functions are
 * called directly: a key schedule makes fifteen of these calls, and looking up a digest and a MAC
 * for each costs more than the hashing. SHA-256 and SHA-384 are all that the suites of TLS 1.2
 * and 1.3 use.
 */
#include "tls_internal.h"

#include "tls_hmac.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#define LABEL_MAX 249 /* RFC 8446: opaque label<7..255>, with the prefix */
#define SEED_MAX  6   /* pieces that libssl gives */

struct kdf {
    bool wide; /* SHA-384 */
    bool digest_set;
    int mode;                                        /* EVP_KDF_HKDF_MODE_..., -1: not set */
    struct base_span key, salt, prefix, label, data; /* borrowed during derive, as all of these */
    struct base_span seed[SEED_MAX];
    uint32_t seed_cnt;
};

static void hmac(bool wide, struct base_span key, struct base_span a, struct base_span b,
                 uint8_t *out)
{
    struct tls_hmac h;

    tls_hmac_start(&h, wide, key);
    tls_hmac_add(&h, a);
    tls_hmac_add(&h, b);
    tls_hmac_end(&h, out);
}

/* HKDF-Expand-Label of at most one block of output per round. */
static bool expand(bool wide, struct base_span key, struct base_span prefix, struct base_span label,
                   struct base_span data, uint8_t *out, size_t len)
{
    uint8_t info[2 + 1 + 255 + 1 + 255 + 1], block[TLS_HASH_MAX];
    struct base_buf text = {.p = info, .cap = sizeof(info) - 1};
    size_t hash = tls_hash_bytes(wide), filled = 0;
    uint8_t head[3];

    if (prefix.len + label.len > LABEL_MAX || data.len > 255 || len > 255 * hash || len > 0xffff)
        return false;
    base_put_be16(head, (uint16_t)len);
    head[2] = (uint8_t)(prefix.len + label.len);
    base_assert(base_buf_put(&text, head, 3) == 0 && base_buf_put_span(&text, prefix) == 0 &&
                base_buf_put_span(&text, label) == 0);
    head[0] = (uint8_t)data.len;
    base_assert(base_buf_put(&text, head, 1) == 0 && base_buf_put_span(&text, data) == 0);
    for (uint8_t round = 1; filled < len; round++) {
        size_t n = len - filled < hash ? len - filled : hash;
        info[text.len] = round;
        hmac(wide, key, base_span_of(block, round == 1 ? 0 : hash),
             base_span_of(info, text.len + 1), block);
        memcpy(out + filled, block, n);
        filled += n;
    }
    OPENSSL_cleanse(block, sizeof(block));
    return true;
}

/* The next secret of the schedule: salted by what is derived from the one before. */
static bool extract(const struct kdf *k, uint8_t *out, size_t len)
{
    static const uint8_t zeros[TLS_HASH_MAX] = {0};
    uint8_t empty[TLS_HASH_MAX], salt[TLS_HASH_MAX];
    size_t hash = tls_hash_bytes(k->wide);
    struct base_span from = base_span_of(salt, hash), key = k->key;
    struct tls_hash h;

    if (len != hash)
        return false;
    if (key.p == NULL)
        key = base_span_of(zeros, hash);
    if (k->salt.p == NULL) {
        from = base_span_of(zeros, hash);
    } else {
        tls_hash_start(&h, k->wide);
        tls_hash_end(&h, empty);
        if (!expand(k->wide, k->salt, k->prefix, k->label, base_span_of(empty, hash), salt, hash))
            return false;
    }
    hmac(k->wide, from, key, base_span_of(NULL, 0), out);
    OPENSSL_cleanse(salt, sizeof(salt));
    return true;
}

static void *kdf_new(void *provctx)
{
    struct kdf *k = OPENSSL_zalloc(sizeof(*k));

    (void)provctx;
    if (k != NULL)
        k->mode = -1;
    return k;
}

static void kdf_free(void *ctx)
{
    OPENSSL_free(ctx);
}

static void kdf_reset(void *ctx)
{
    memset(ctx, 0, sizeof(struct kdf));
    ((struct kdf *)ctx)->mode = -1;
}

static bool add_seed(struct kdf *k, const OSSL_PARAM *p)
{
    if (p->data_size == 0)
        return true;
    if (k->seed_cnt == SEED_MAX)
        return false;
    k->seed[k->seed_cnt++] = base_span_of(p->data, p->data_size);
    return true;
}

/* One that is bytes. Returns false for others. */
static bool set_bytes(struct kdf *k, const OSSL_PARAM *p)
{
    struct base_span bytes = base_span_of(p->data, p->data_size);

    if (strcmp(p->key, OSSL_KDF_PARAM_KEY) == 0 || strcmp(p->key, OSSL_KDF_PARAM_SECRET) == 0)
        k->key = bytes;
    else if (strcmp(p->key, OSSL_KDF_PARAM_SALT) == 0)
        k->salt = bytes;
    else if (strcmp(p->key, OSSL_KDF_PARAM_PREFIX) == 0)
        k->prefix = bytes;
    else if (strcmp(p->key, OSSL_KDF_PARAM_LABEL) == 0)
        k->label = bytes;
    else if (strcmp(p->key, OSSL_KDF_PARAM_DATA) == 0)
        k->data = bytes;
    else
        return false;
    return true;
}

static bool set_one(struct kdf *k, const OSSL_PARAM *p)
{
    if (set_bytes(k, p))
        return true;
    if (strcmp(p->key, OSSL_KDF_PARAM_SEED) == 0)
        return add_seed(k, p);
    if (strcmp(p->key, OSSL_KDF_PARAM_MODE) == 0)
        return OSSL_PARAM_get_int(p, &k->mode) == 1;
    if (strcmp(p->key, OSSL_KDF_PARAM_DIGEST) == 0)
        return k->digest_set =
                   p->data_type == OSSL_PARAM_UTF8_STRING && tls_hash_named(p->data, &k->wide);
    return true;
}

static bool set_all(struct kdf *k, const OSSL_PARAM params[])
{
    for (const OSSL_PARAM *p = params; p != NULL && p->key != NULL; p++)
        if (!set_one(k, p))
            return false;
    return k->digest_set;
}

/* All parameters come with the call, as libssl does it: none of them is kept. */
static int kdf_derive(void *ctx, unsigned char *out, size_t len, const OSSL_PARAM params[])
{
    struct kdf *k = ctx;
    bool ok = set_all(k, params);

    if (ok && k->mode == EVP_KDF_HKDF_MODE_EXTRACT_ONLY)
        ok = extract(k, out, len);
    else
        ok = ok && k->mode == EVP_KDF_HKDF_MODE_EXPAND_ONLY && k->key.p != NULL &&
             expand(k->wide, k->key, k->prefix, k->label, k->data, out, len);
    kdf_reset(k);
    return ok;
}

/* P_hash: A(i) = HMAC(secret, A(i-1)), A(0) = seed; the output is HMAC(secret, A(i) + seed)... */
static void prf(const struct kdf *k, uint8_t *out, size_t len)
{
    uint8_t a[TLS_HASH_MAX], block[TLS_HASH_MAX];
    size_t hash = tls_hash_bytes(k->wide), filled = 0;
    struct tls_hmac keyed, h;

    tls_hmac_start(&keyed, k->wide, k->key);
    h = keyed;
    for (uint32_t i = 0; i < k->seed_cnt; i++)
        tls_hmac_add(&h, k->seed[i]);
    tls_hmac_end(&h, a);
    while (filled < len) {
        size_t n = len - filled < hash ? len - filled : hash;
        h = keyed;
        tls_hmac_add(&h, base_span_of(a, hash));
        for (uint32_t i = 0; i < k->seed_cnt; i++)
            tls_hmac_add(&h, k->seed[i]);
        tls_hmac_end(&h, block);
        memcpy(out + filled, block, n);
        filled += n;
        h = keyed;
        tls_hmac_add(&h, base_span_of(a, hash));
        tls_hmac_end(&h, a);
    }
    OPENSSL_cleanse(&keyed, sizeof(keyed));
    OPENSSL_cleanse(a, sizeof(a));
    OPENSSL_cleanse(block, sizeof(block));
}

static int prf_derive(void *ctx, unsigned char *out, size_t len, const OSSL_PARAM params[])
{
    struct kdf *k = ctx;
    bool ok = set_all(k, params) && k->key.p != NULL && k->seed_cnt > 0;

    if (ok)
        prf(k, out, len);
    kdf_reset(k);
    return ok;
}

const OSSL_DISPATCH tls_kdf_prf[] = {
    {OSSL_FUNC_KDF_NEWCTX, (void (*)(void))kdf_new},
    {OSSL_FUNC_KDF_FREECTX, (void (*)(void))kdf_free},
    {OSSL_FUNC_KDF_RESET, (void (*)(void))kdf_reset},
    {OSSL_FUNC_KDF_DERIVE, (void (*)(void))prf_derive},
    {0, NULL},
};

const OSSL_DISPATCH tls_kdf_tls13[] = {
    {OSSL_FUNC_KDF_NEWCTX, (void (*)(void))kdf_new},
    {OSSL_FUNC_KDF_FREECTX, (void (*)(void))kdf_free},
    {OSSL_FUNC_KDF_RESET, (void (*)(void))kdf_reset},
    {OSSL_FUNC_KDF_DERIVE, (void (*)(void))kdf_derive},
    {0, NULL},
};
