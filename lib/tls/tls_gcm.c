/*
 * AES-128-GCM and AES-256-GCM for records, by libipsec-mb (VAES and AVX-512): OpenSSL 3.0 works on
 * a few blocks at a time, and what it does around them costs as much as a small record.
 *
 * It does what libssl asks for and no more. TLS 1.3 (RFC 8446 section 5.2): an IV of 12 bytes for
 * each record, the header as AAD, then all of the text in one piece. TLS 1.2 (RFC 5288): the AAD by
 * a parameter, then the whole record in place, its explicit nonce in front and the tag behind. Text
 * in several pieces is refused. The explicit nonce counts from 0, as section 3 there has it; a
 * context seals with one key only.
 */
#include "tls_internal.h"

#include <intel-ipsec-mb.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#define IV_BYTES       12
#define FIXED_BYTES    4 /* of the IV in TLS 1.2 */
#define EXPLICIT_BYTES 8
#define TAG_BYTES      16
#define HEADER_MAX     32
#define KEY_ALIGN      64

struct gcm {
    const struct IMB_MGR *mb;
    uint8_t key_bytes;
    bool sealing, keyed;
    bool done;    /* all of the text has been worked on */
    bool records; /* of TLS 1.2: a record at a call */
    bool tag_set;
    uint8_t header_len;
    uint8_t header[HEADER_MAX]; /* the AAD */
    uint8_t iv[IV_BYTES];
    uint8_t tag[TAG_BYTES];        /* computed, or that of the peer before */
    struct gcm_key_data *expanded; /* in space */
    uint8_t space[sizeof(struct gcm_key_data) + KEY_ALIGN];
};

static void *gcm_new(void *provctx, uint8_t key_bytes)
{
    const struct tls_provider *p = provctx;
    struct gcm *g = OPENSSL_zalloc(sizeof(*g));

    if (g == NULL)
        return NULL;
    g->mb = p->domain->lane->mb;
    g->key_bytes = key_bytes;
    g->expanded = (struct gcm_key_data *)(((uintptr_t)g->space + KEY_ALIGN - 1) &
                                          ~(uintptr_t)(KEY_ALIGN - 1));
    return g;
}

static void *gcm_new_128(void *provctx)
{
    return gcm_new(provctx, 16);
}

static void *gcm_new_256(void *provctx)
{
    return gcm_new(provctx, 32);
}

static void gcm_free(void *ctx)
{
    OPENSSL_clear_free(ctx, sizeof(struct gcm));
}

static int set_params(void *ctx, const OSSL_PARAM params[]);

static int init(struct gcm *g, bool sealing, const uint8_t *key, size_t key_len, const uint8_t *iv,
                size_t iv_len, const OSSL_PARAM params[])
{
    g->sealing = sealing;
    if (iv != NULL) {
        if (iv_len != IV_BYTES)
            return 0;
        memcpy(g->iv, iv, IV_BYTES);
        g->done = g->tag_set = false;
        g->header_len = 0;
    }
    if (key != NULL) {
        if (key_len != g->key_bytes)
            return 0;
        if (g->key_bytes == 16)
            IMB_AES128_GCM_PRE(g->mb, key, g->expanded);
        else
            IMB_AES256_GCM_PRE(g->mb, key, g->expanded);
        g->keyed = true;
    }
    return set_params(g, params);
}

static int init_seal(void *ctx, const unsigned char *key, size_t key_len, const unsigned char *iv,
                     size_t iv_len, const OSSL_PARAM params[])
{
    return init(ctx, true, key, key_len, iv, iv_len, params);
}

static int init_open(void *ctx, const unsigned char *key, size_t key_len, const unsigned char *iv,
                     size_t iv_len, const OSSL_PARAM params[])
{
    return init(ctx, false, key, key_len, iv, iv_len, params);
}

/* Leaves the tag of what is (or was) encrypted. */
static void work(struct gcm *g, uint8_t *out, const uint8_t *in, size_t len, uint8_t *tag)
{
    struct gcm_context_data state;

    if (g->key_bytes == 16 && g->sealing)
        IMB_AES128_GCM_ENC(g->mb, g->expanded, &state, out, in, len, g->iv, g->header,
                           g->header_len, tag, TAG_BYTES);
    else if (g->key_bytes == 16)
        IMB_AES128_GCM_DEC(g->mb, g->expanded, &state, out, in, len, g->iv, g->header,
                           g->header_len, tag, TAG_BYTES);
    else if (g->sealing)
        IMB_AES256_GCM_ENC(g->mb, g->expanded, &state, out, in, len, g->iv, g->header,
                           g->header_len, tag, TAG_BYTES);
    else
        IMB_AES256_GCM_DEC(g->mb, g->expanded, &state, out, in, len, g->iv, g->header,
                           g->header_len, tag, TAG_BYTES);
}

/* TLS 1.2: a record in place. */
static int work_record(struct gcm *g, uint8_t *record, size_t len, size_t *done)
{
    uint8_t *explicit_iv = g->iv + FIXED_BYTES;
    uint8_t computed[TAG_BYTES];

    g->records = false; /* the next one has an AAD of its own */
    if (len < EXPLICIT_BYTES + TAG_BYTES)
        return 0;
    size_t text = len - EXPLICIT_BYTES - TAG_BYTES;
    uint8_t *tag = record + EXPLICIT_BYTES + text;
    *done = len;
    if (g->sealing) {
        memcpy(record, explicit_iv, EXPLICIT_BYTES);
        work(g, record + EXPLICIT_BYTES, record + EXPLICIT_BYTES, text, tag);
        for (int i = EXPLICIT_BYTES - 1; i >= 0 && ++explicit_iv[i] == 0; i--)
            ;
        return 1;
    }
    *done = text;
    memcpy(explicit_iv, record, EXPLICIT_BYTES);
    work(g, record + EXPLICIT_BYTES, record + EXPLICIT_BYTES, text, computed);
    if (CRYPTO_memcmp(computed, tag, TAG_BYTES) == 0)
        return 1;
    OPENSSL_cleanse(record + EXPLICIT_BYTES, text);
    return 0;
}

static int update(void *ctx, unsigned char *out, size_t *done, size_t cap, const unsigned char *in,
                  size_t len)
{
    struct gcm *g = ctx;
    uint8_t tag[TAG_BYTES];

    *done = 0;
    if (!g->keyed)
        return 0;
    if (g->records)
        return out == in && cap >= len && work_record(g, out, len, done);
    if (out == NULL) {
        if (g->done || len > (size_t)(HEADER_MAX - g->header_len))
            return 0;
        memcpy(g->header + g->header_len, in, len);
        g->header_len = (uint8_t)(g->header_len + len);
        return 1;
    }
    if (len == 0)
        return 1;
    if (g->done || cap < len || (!g->sealing && !g->tag_set))
        return 0;
    g->done = true;
    *done = len;
    work(g, out, in, len, tag);
    if (g->sealing)
        memcpy(g->tag, tag, TAG_BYTES);
    else
        g->tag_set = CRYPTO_memcmp(tag, g->tag, TAG_BYTES) == 0; /* final tells */
    return 1;
}

static int final(void *ctx, unsigned char *out, size_t *done, size_t cap)
{
    struct gcm *g = ctx;

    (void)out, (void)cap;
    *done = 0;
    return g->done && (g->sealing || g->tag_set);
}

/* ---- parameters ---- */

static int get_constants(OSSL_PARAM params[], size_t key_bytes)
{
    static const struct {
        const char *name;
        size_t value;
    } constants[] = {
        {OSSL_CIPHER_PARAM_MODE, EVP_CIPH_GCM_MODE},
        {OSSL_CIPHER_PARAM_BLOCK_SIZE, 1},
        {OSSL_CIPHER_PARAM_IVLEN, IV_BYTES},
        {OSSL_CIPHER_PARAM_AEAD, 1},
        {OSSL_CIPHER_PARAM_CUSTOM_IV, 1},
    };
    OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_CIPHER_PARAM_KEYLEN);

    if (p != NULL && !OSSL_PARAM_set_size_t(p, key_bytes))
        return 0;
    for (size_t i = 0; i < BASE_ARRAY_CNT(constants); i++) {
        p = OSSL_PARAM_locate(params, constants[i].name);
        if (p != NULL && !(p->data_size == sizeof(size_t)
                               ? OSSL_PARAM_set_size_t(p, constants[i].value)
                               : OSSL_PARAM_set_uint(p, (unsigned)constants[i].value)))
            return 0;
    }
    return 1;
}

static int get_params_128(OSSL_PARAM params[])
{
    return get_constants(params, 16);
}

static int get_params_256(OSSL_PARAM params[])
{
    return get_constants(params, 32);
}

static int get_ctx_params(void *ctx, OSSL_PARAM params[])
{
    const struct gcm *g = ctx;

    for (OSSL_PARAM *p = params; p->key != NULL; p++) {
        int ok = 1;
        if (strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TAG) == 0)
            ok = g->sealing && g->done && p->data_size <= TAG_BYTES &&
                 OSSL_PARAM_set_octet_string(p, g->tag, p->data_size);
        else if (strcmp(p->key, OSSL_CIPHER_PARAM_IVLEN) == 0)
            ok = OSSL_PARAM_set_size_t(p, IV_BYTES);
        else if (strcmp(p->key, OSSL_CIPHER_PARAM_KEYLEN) == 0)
            ok = OSSL_PARAM_set_size_t(p, g->key_bytes);
        else if (strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TAGLEN) == 0 ||
                 strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TLS1_AAD_PAD) == 0)
            ok = OSSL_PARAM_set_size_t(p, TAG_BYTES);
        if (!ok)
            return 0;
    }
    return 1;
}

/* RFC 5246 section 6.2.3.3: the length in it is that of the text. */
static bool set_record_header(struct gcm *g, const OSSL_PARAM *p)
{
    size_t extra = EXPLICIT_BYTES + (g->sealing ? 0 : TAG_BYTES), len;

    if (p->data_type != OSSL_PARAM_OCTET_STRING || p->data_size != EVP_AEAD_TLS1_AAD_LEN)
        return false;
    memcpy(g->header, p->data, EVP_AEAD_TLS1_AAD_LEN);
    g->header_len = EVP_AEAD_TLS1_AAD_LEN;
    len = base_be16(g->header + EVP_AEAD_TLS1_AAD_LEN - 2);
    if (len < extra)
        return false;
    base_put_be16(g->header + EVP_AEAD_TLS1_AAD_LEN - 2, (uint16_t)(len - extra));
    return g->records = true;
}

static bool set_one(struct gcm *g, const OSSL_PARAM *p)
{
    size_t n;

    if (strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TAG) == 0) {
        if (p->data_type != OSSL_PARAM_OCTET_STRING || p->data_size != TAG_BYTES || g->sealing)
            return false;
        if (p->data != NULL)
            memcpy(g->tag, p->data, TAG_BYTES);
        g->tag_set = p->data != NULL;
        return true;
    }
    if (strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TLS1_AAD) == 0)
        return set_record_header(g, p);
    if (strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED) == 0) {
        if (p->data_type != OSSL_PARAM_OCTET_STRING || p->data_size != FIXED_BYTES)
            return false;
        memset(g->iv, 0, sizeof(g->iv));
        memcpy(g->iv, p->data, FIXED_BYTES);
        return true;
    }
    if (strcmp(p->key, OSSL_CIPHER_PARAM_IVLEN) == 0)
        return OSSL_PARAM_get_size_t(p, &n) && n == IV_BYTES;
    if (strcmp(p->key, OSSL_CIPHER_PARAM_KEYLEN) == 0)
        return OSSL_PARAM_get_size_t(p, &n) && n == g->key_bytes;
    return true;
}

static int set_params(void *ctx, const OSSL_PARAM params[])
{
    for (const OSSL_PARAM *p = params; p != NULL && p->key != NULL; p++)
        if (!set_one(ctx, p))
            return 0;
    return 1;
}

static const OSSL_PARAM *gettable(void *ctx, void *provctx)
{
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_KEYLEN, NULL),
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_IVLEN, NULL),
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_AEAD_TAGLEN, NULL),
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, NULL, 0),
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_AEAD_TLS1_AAD_PAD, NULL),
        OSSL_PARAM_END,
    };

    (void)ctx, (void)provctx;
    return list;
}

static const OSSL_PARAM *settable(void *ctx, void *provctx)
{
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_KEYLEN, NULL),
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_IVLEN, NULL),
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TLS1_AAD, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)ctx, (void)provctx;
    return list;
}

#define CIPHER(new, constants)                                                                     \
    {                                                                                              \
        {OSSL_FUNC_CIPHER_NEWCTX, (void (*)(void))(new)},                                          \
            {OSSL_FUNC_CIPHER_FREECTX, (void (*)(void))gcm_free},                                  \
            {OSSL_FUNC_CIPHER_ENCRYPT_INIT, (void (*)(void))init_seal},                            \
            {OSSL_FUNC_CIPHER_DECRYPT_INIT, (void (*)(void))init_open},                            \
            {OSSL_FUNC_CIPHER_UPDATE, (void (*)(void))update},                                     \
            {OSSL_FUNC_CIPHER_FINAL, (void (*)(void)) final},                                      \
            {OSSL_FUNC_CIPHER_GET_PARAMS, (void (*)(void))(constants)},                            \
            {OSSL_FUNC_CIPHER_GET_CTX_PARAMS, (void (*)(void))get_ctx_params},                     \
            {OSSL_FUNC_CIPHER_GETTABLE_CTX_PARAMS, (void (*)(void))gettable},                      \
            {OSSL_FUNC_CIPHER_SET_CTX_PARAMS, (void (*)(void))set_params},                         \
            {OSSL_FUNC_CIPHER_SETTABLE_CTX_PARAMS, (void (*)(void))settable},                      \
        {                                                                                          \
            0, NULL                                                                                \
        }                                                                                          \
    }

const OSSL_DISPATCH tls_cipher_gcm_128[] = CIPHER(gcm_new_128, get_params_128);
const OSSL_DISPATCH tls_cipher_gcm_256[] = CIPHER(gcm_new_256, get_params_256);

/* ---- the library ---- */

struct IMB_MGR *tls_gcm_open(void)
{
    const uint64_t wanted = IMB_FEATURE_AVX512_SKX | IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ;
    struct IMB_MGR *mb = alloc_mb_mgr(0);

    if (mb == NULL)
        return NULL;
    init_mb_mgr_auto(mb, NULL);
    if ((mb->features & wanted) == wanted && mb->gcm128_enc != NULL)
        return mb;
    free_mb_mgr(mb);
    return NULL;
}

void tls_gcm_close(struct IMB_MGR *mb)
{
    if (mb != NULL)
        free_mb_mgr(mb);
}
