/*
 * TLS13-KDF: HKDF of RFC 5869 with the labels of RFC 8446 section 7.1, as libssl asks for it. The
 * hash functions are called directly: a key schedule makes fifteen of these calls, and looking up a
 * digest and a MAC for each costs more than the hashing. SHA-256 and SHA-384 are all that the
 * suites of TLS 1.3 use.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* the direct functions; their replacement is the look-up */
#include "tls_internal.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/sha.h>

#define HASH_MAX  SHA384_DIGEST_LENGTH
#define LABEL_MAX 249 /* RFC 8446: opaque label<7..255>, with the prefix */

struct kdf {
    bool wide;                                       /* SHA-384 */
    int mode;                                        /* EVP_KDF_HKDF_MODE_..., -1: not set */
    struct base_span key, salt, prefix, label, data; /* borrowed during derive */
};

struct hash {
    bool wide;
    union {
        SHA256_CTX narrow;
        SHA512_CTX broad;
    };
};

static size_t hash_bytes(bool wide)
{
    return wide ? SHA384_DIGEST_LENGTH : SHA256_DIGEST_LENGTH;
}

static void hash_start(struct hash *h, bool wide)
{
    h->wide = wide;
    if (wide)
        SHA384_Init(&h->broad);
    else
        SHA256_Init(&h->narrow);
}

static void hash_add(struct hash *h, const void *p, size_t len)
{
    if (len == 0)
        return;
    if (h->wide)
        SHA384_Update(&h->broad, p, len);
    else
        SHA256_Update(&h->narrow, p, len);
}

static void hash_end(struct hash *h, uint8_t *out)
{
    if (h->wide)
        SHA384_Final(out, &h->broad);
    else
        SHA256_Final(out, &h->narrow);
}

/* HMAC, RFC 2104, of up to two pieces. Keys are hashes here, at most a block long; longer ones are
 * hashed first. */
static void hmac(bool wide, struct base_span key, struct base_span a, struct base_span b,
                 uint8_t *out)
{
    uint8_t block[SHA512_CBLOCK], inner[HASH_MAX], *pad = block;
    size_t block_bytes = wide ? SHA512_CBLOCK : SHA256_CBLOCK;
    struct hash h;

    memset(block, 0, sizeof(block));
    if (key.len > block_bytes) {
        hash_start(&h, wide);
        hash_add(&h, key.p, key.len);
        hash_end(&h, block);
    } else if (key.len > 0) {
        memcpy(block, key.p, key.len);
    }
    for (size_t i = 0; i < block_bytes; i++)
        pad[i] ^= 0x36;
    hash_start(&h, wide);
    hash_add(&h, block, block_bytes);
    hash_add(&h, a.p, a.len);
    hash_add(&h, b.p, b.len);
    hash_end(&h, inner);
    for (size_t i = 0; i < block_bytes; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    hash_start(&h, wide);
    hash_add(&h, block, block_bytes);
    hash_add(&h, inner, hash_bytes(wide));
    hash_end(&h, out);
    OPENSSL_cleanse(block, sizeof(block));
    OPENSSL_cleanse(inner, sizeof(inner));
    OPENSSL_cleanse(&h, sizeof(h));
}

/* HKDF-Expand-Label of at most one block of output per round. */
static bool expand(bool wide, struct base_span key, struct base_span prefix, struct base_span label,
                   struct base_span data, uint8_t *out, size_t len)
{
    uint8_t info[2 + 1 + 255 + 1 + 255 + 1], block[HASH_MAX];
    struct base_buf text = {.p = info, .cap = sizeof(info) - 1};
    size_t hash = hash_bytes(wide), filled = 0;
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
    static const uint8_t zeros[HASH_MAX] = {0};
    uint8_t empty[HASH_MAX], salt[HASH_MAX];
    size_t hash = hash_bytes(k->wide);
    struct base_span from = base_span_of(salt, hash), key = k->key;
    struct hash h;

    if (len != hash)
        return false;
    if (key.p == NULL)
        key = base_span_of(zeros, hash);
    if (k->salt.p == NULL) {
        from = base_span_of(zeros, hash);
    } else {
        hash_start(&h, k->wide);
        hash_end(&h, empty);
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

static bool set_digest(struct kdf *k, const OSSL_PARAM *p)
{
    const char *name = p->data;

    if (p->data_type != OSSL_PARAM_UTF8_STRING)
        return false;
    if (OPENSSL_strcasecmp(name, "SHA256") == 0 || OPENSSL_strcasecmp(name, "SHA2-256") == 0)
        k->wide = false;
    else if (OPENSSL_strcasecmp(name, "SHA384") == 0 || OPENSSL_strcasecmp(name, "SHA2-384") == 0)
        k->wide = true;
    else
        return false;
    return true;
}

static int kdf_set(void *ctx, const OSSL_PARAM params[])
{
    struct kdf *k = ctx;

    for (const OSSL_PARAM *p = params; p != NULL && p->key != NULL; p++) {
        struct base_span *bytes = strcmp(p->key, OSSL_KDF_PARAM_KEY) == 0      ? &k->key
                                  : strcmp(p->key, OSSL_KDF_PARAM_SALT) == 0   ? &k->salt
                                  : strcmp(p->key, OSSL_KDF_PARAM_PREFIX) == 0 ? &k->prefix
                                  : strcmp(p->key, OSSL_KDF_PARAM_LABEL) == 0  ? &k->label
                                  : strcmp(p->key, OSSL_KDF_PARAM_DATA) == 0   ? &k->data
                                                                               : NULL;
        if (bytes != NULL)
            *bytes = base_span_of(p->data, p->data_size);
        else if (strcmp(p->key, OSSL_KDF_PARAM_MODE) == 0) {
            if (!OSSL_PARAM_get_int(p, &k->mode))
                return 0;
        } else if (strcmp(p->key, OSSL_KDF_PARAM_DIGEST) == 0 && !set_digest(k, p)) {
            return 0;
        }
    }
    return 1;
}

/* All parameters come with the call, as libssl does it: none of them is kept. */
static int kdf_derive(void *ctx, unsigned char *out, size_t len, const OSSL_PARAM params[])
{
    struct kdf *k = ctx;
    bool ok = kdf_set(k, params);

    if (ok && k->mode == EVP_KDF_HKDF_MODE_EXTRACT_ONLY)
        ok = extract(k, out, len);
    else
        ok = ok && k->mode == EVP_KDF_HKDF_MODE_EXPAND_ONLY && k->key.p != NULL &&
             expand(k->wide, k->key, k->prefix, k->label, k->data, out, len);
    kdf_reset(k);
    return ok;
}

const OSSL_DISPATCH tls_kdf_tls13[] = {
    {OSSL_FUNC_KDF_NEWCTX, (void (*)(void))kdf_new},
    {OSSL_FUNC_KDF_FREECTX, (void (*)(void))kdf_free},
    {OSSL_FUNC_KDF_RESET, (void (*)(void))kdf_reset},
    {OSSL_FUNC_KDF_DERIVE, (void (*)(void))kdf_derive},
    {0, NULL},
};
