/*
 * The server's own certificate is compared by bytes alone. A trust anchor is first looked for, then
 * the path to it is verified by libcrypto with that one certificate as all that is trusted: names,
 * dates, CA bits and path lengths are libcrypto's to check, what is an anchor is decided here.
 */
#include "dane_internal.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

X509 *dane_certificate_read(struct base_span der)
{
    const uint8_t *p = der.p;
    X509 *x = d2i_X509(NULL, &p, (long)der.len);

    if (x != NULL && p != der.p + der.len) {
        X509_free(x);
        return NULL;
    }
    return x;
}

/* ---- comparing ---- */

static bool same_digest(const struct dane_record *r, const uint8_t *p, size_t len)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    const EVP_MD *md = r->matching == DANE_MATCHING_SHA256 ? EVP_sha256() : EVP_sha512();

    if (r->matching == DANE_MATCHING_FULL)
        return base_span_eq(r->data, base_span_of(p, len));
    return EVP_Digest(p, len, digest, &digest_len, md, NULL) == 1 &&
           base_span_eq(r->data, base_span_of(digest, digest_len));
}

/* The record is of this certificate, or of its key. */
static bool is_of(const struct dane_record *r, X509 *x)
{
    uint8_t *der = NULL;
    int len = r->selector == DANE_SELECTOR_KEY ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der)
                                               : i2d_X509(x, &der);
    bool same = len > 0 && same_digest(r, der, (size_t)len);

    OPENSSL_free(der);
    return same;
}

/* ---- a trust anchor ---- */

enum dane_result dane_work_judge(int error)
{
    switch (error) {
    case X509_V_ERR_CERT_NOT_YET_VALID:
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD:
    case X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD:
        return DANE_EXPIRED;
    default:
        return DANE_NOT_VALID;
    }
}

bool dane_work_has_name(const struct dane_work *w)
{
    for (uint32_t i = 0; i < w->name_cnt; i++) {
        const char *name = w->names[i];
        if (X509_check_host(w->leaf, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1 ||
            X509_check_ip_asc(w->leaf, name, 0) == 1) /* of a name: it is none */
            return true;
    }
    return false;
}

/* With this certificate as all that is trusted. */
static enum dane_result verify(const struct dane_work *w, X509 *anchor)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    enum dane_result result = DANE_NOT_VALID;

    if (store != NULL && ctx != NULL && X509_STORE_add_cert(store, anchor) == 1 &&
        X509_STORE_CTX_init(ctx, store, w->leaf, w->others) == 1) {
        X509_VERIFY_PARAM *p = X509_STORE_CTX_get0_param(ctx);
        X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
        X509_VERIFY_PARAM_set_time(p, (time_t)w->now_s);
        X509_VERIFY_PARAM_set_depth(p, DANE_CHAIN_MAX);
        X509_VERIFY_PARAM_set_auth_level(p, 1);
        X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER);
        if (X509_verify_cert(ctx) != 1)
            result = dane_work_judge(X509_STORE_CTX_get_error(ctx));
        else
            result = dane_work_has_name(w) ? DANE_MATCH_TA : DANE_NAME_MISMATCH;
    }
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return result;
}

/* The certificate that a bare key (2 1 0) has signed stands for it: whoever verifies up to that one
 * has verified up to the key. */
static X509 *signed_by(const struct dane_work *w, const struct dane_record *r)
{
    const uint8_t *p = r->data.p;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)r->data.len);
    X509 *found = NULL;

    for (int i = 0; key != NULL && found == NULL && i <= sk_X509_num(w->others); i++) {
        bool is_leaf = i == sk_X509_num(w->others);
        X509 *x = is_leaf ? w->leaf : sk_X509_value(w->others, i);
        if (is_leaf && is_of(r, x))
            continue; /* its own key: no issuer */
        if (X509_verify(x, key) == 1)
            found = x;
    }
    EVP_PKEY_free(key);
    return found;
}

/* An anchor that the record itself brings: it need not be in the chain. */
static enum dane_result match_brought(const struct dane_work *w, const struct dane_record *r)
{
    enum dane_result result = DANE_NO_MATCH;

    if (r->selector == DANE_SELECTOR_KEY) {
        X509 *x = signed_by(w, r);
        return x != NULL ? verify(w, x) : DANE_NO_MATCH;
    }
    X509 *x = dane_certificate_read(r->data);
    if (x != NULL && X509_cmp(x, w->leaf) != 0) {
        result = verify(w, x);
        if (result == DANE_NOT_VALID) /* of another chain altogether, as a rule */
            result = DANE_NO_MATCH;
    }
    X509_free(x);
    return result;
}

static enum dane_result match_ta(const struct dane_work *w, const struct dane_record *r)
{
    enum dane_result result = DANE_NO_MATCH;

    for (int i = 0; i < sk_X509_num(w->others); i++) {
        X509 *x = sk_X509_value(w->others, i);
        if (!is_of(r, x))
            continue;
        result = verify(w, x);
        if (result == DANE_MATCH_TA)
            return result;
    }
    if (result == DANE_NO_MATCH && r->matching == DANE_MATCHING_FULL)
        result = match_brought(w, r);
    return result;
}

/* ---- all records ---- */

bool dane_work_open(struct dane_work *w, const struct dane_chain *chain)
{
    w->leaf = chain->cnt > 0 ? dane_certificate_read(chain->der[0]) : NULL;
    w->others = sk_X509_new_null();
    for (uint32_t i = 1; i < chain->cnt && w->leaf != NULL && w->others != NULL; i++) {
        X509 *x = dane_certificate_read(chain->der[i]);
        if (x == NULL || X509_cmp(x, w->leaf) == 0 || sk_X509_push(w->others, x) == 0)
            X509_free(x); /* what can't be read is nobody's issuer */
    }
    return w->leaf != NULL && w->others != NULL;
}

void dane_work_close(struct dane_work *w)
{
    sk_X509_pop_free(w->others, X509_free);
    X509_free(w->leaf);
    ERR_clear_error();
}

enum dane_result dane_match(const struct dane_record *records, uint32_t cnt,
                            const struct dane_chain *chain, const char *const *names,
                            uint32_t name_cnt, int64_t now_s, uint32_t *matched)
{
    struct dane_work w = {.names = names, .name_cnt = name_cnt, .now_s = now_s};
    enum dane_result result = DANE_NO_CERTIFICATE;

    if (dane_work_open(&w, chain))
        result = DANE_NO_MATCH;
    for (uint32_t i = 0; i < cnt && result != DANE_NO_CERTIFICATE && !dane_result_ok(result); i++) {
        enum dane_result one = DANE_NO_MATCH;
        if (records[i].usage == DANE_USAGE_TA)
            one = match_ta(&w, &records[i]);
        else if (is_of(&records[i], w.leaf))
            one = DANE_MATCH_EE;
        if (dane_result_ok(one))
            *matched = i;
        if (one != DANE_NO_MATCH)
            result = one;
    }
    dane_work_close(&w);
    return result;
}
