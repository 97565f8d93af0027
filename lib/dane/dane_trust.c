#include "dane_trust.h"
#include "dane_internal.h"

#include <limits.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#define AUTH_LEVEL 2 /* 112 bits: no SHA-1 in signatures, no RSA below 2048 */

struct dane_trust {
    X509_STORE *store;
    STACK_OF(X509) * authorities; /* all that is in it */
};

static struct dane_trust *make(void)
{
    struct dane_trust *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return NULL;
    t->store = X509_STORE_new();
    t->authorities = sk_X509_new_null();
    if (t->store != NULL && t->authorities != NULL)
        return t;
    dane_trust_free(t);
    return NULL;
}

void dane_trust_free(struct dane_trust *t)
{
    if (t == NULL)
        return;
    X509_STORE_free(t->store);
    sk_X509_pop_free(t->authorities, X509_free);
    free(t);
}

uint32_t dane_trust_count(const struct dane_trust *t)
{
    return (uint32_t)sk_X509_num(t->authorities);
}

static bool add(struct dane_trust *t, X509 *x)
{
    if (X509_STORE_add_cert(t->store, x) != 1 || X509_up_ref(x) != 1)
        return false;
    if (sk_X509_push(t->authorities, x) > 0)
        return true;
    X509_free(x);
    return false;
}

struct dane_trust *dane_trust_read(struct base_span pem)
{
    BIO *b = pem.len > 0 && pem.len <= INT_MAX ? BIO_new_mem_buf(pem.p, (int)pem.len) : NULL;
    struct dane_trust *t = b != NULL ? make() : NULL;
    bool ok = t != NULL;

    while (ok) {
        X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);
        if (x == NULL && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
            break;
        ERR_clear_error(); /* a damaged one is no authority */
        ok = x == NULL || add(t, x);
        X509_free(x);
    }
    ERR_clear_error();
    BIO_free(b);
    if (ok && dane_trust_count(t) > 0)
        return t;
    dane_trust_free(t);
    return NULL;
}

struct dane_trust *dane_trust_share(const struct dane_trust *from)
{
    struct dane_trust *t = make();

    for (int i = 0; t != NULL && i < sk_X509_num(from->authorities); i++)
        if (!add(t, sk_X509_value(from->authorities, i))) {
            dane_trust_free(t);
            t = NULL;
        }
    return t;
}

static enum dane_result judge(int error)
{
    switch (error) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return DANE_NO_MATCH;
    default:
        return dane_work_judge(error);
    }
}

enum dane_result dane_verify(const struct dane_trust *t, const struct dane_chain *chain,
                             const char *const *names, uint32_t name_cnt, int64_t now_s)
{
    struct dane_work w = {.names = names, .name_cnt = name_cnt, .now_s = now_s};
    enum dane_result result = DANE_NO_CERTIFICATE;
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();

    if (dane_work_open(&w, chain) && ctx != NULL) {
        result = DANE_NO_MATCH;
        if (t != NULL && X509_STORE_CTX_init(ctx, t->store, w.leaf, w.others) == 1) {
            X509_VERIFY_PARAM *p = X509_STORE_CTX_get0_param(ctx);
            X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
            X509_VERIFY_PARAM_set_time(p, (time_t)now_s);
            X509_VERIFY_PARAM_set_depth(p, DANE_CHAIN_MAX);
            X509_VERIFY_PARAM_set_auth_level(p, AUTH_LEVEL);
            X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER);
            if (X509_verify_cert(ctx) != 1)
                result = judge(X509_STORE_CTX_get_error(ctx));
            else
                result = dane_work_has_name(&w) ? DANE_MATCH_TA : DANE_NAME_MISMATCH;
        }
    }
    X509_STORE_CTX_free(ctx);
    dane_work_close(&w);
    return result;
}

static bool is_one(const uint8_t *der, int len, const struct base_span *fingerprints, uint32_t cnt)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;

    if (len <= 0 || EVP_Digest(der, (size_t)len, digest, &digest_len, EVP_sha256(), NULL) != 1)
        return false;
    for (uint32_t i = 0; i < cnt; i++)
        if (base_span_eq(fingerprints[i], base_span_of(digest, digest_len)))
            return true;
    return false;
}

bool dane_fingerprint(const struct dane_chain *chain, const struct base_span *fingerprints,
                      uint32_t cnt)
{
    X509 *leaf = chain->cnt > 0 ? dane_certificate_read(chain->der[0]) : NULL;
    uint8_t *key = NULL;
    bool found = false;

    if (leaf != NULL) {
        int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &key);
        found = is_one(chain->der[0].p, (int)chain->der[0].len, fingerprints, cnt) ||
                is_one(key, len, fingerprints, cnt);
    }
    OPENSSL_free(key);
    X509_free(leaf);
    ERR_clear_error();
    return found;
}
