#include "dane.h"

#include <errno.h>
#include <stdio.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

/* The whole of data, not a byte more. */
static bool is_certificate(struct base_span data)
{
    const uint8_t *p = data.p;
    X509 *x = d2i_X509(NULL, &p, (long)data.len);
    bool ok = x != NULL && p == data.p + data.len;

    X509_free(x);
    ERR_clear_error();
    return ok;
}

static bool is_key(struct base_span data)
{
    const uint8_t *p = data.p;
    EVP_PKEY *k = d2i_PUBKEY(NULL, &p, (long)data.len);
    bool ok = k != NULL && p == data.p + data.len;

    EVP_PKEY_free(k);
    ERR_clear_error();
    return ok;
}

bool dane_record_usable(const struct dane_record *r)
{
    if (r->usage != DANE_USAGE_TA && r->usage != DANE_USAGE_EE)
        return false;
    if (r->selector != DANE_SELECTOR_CERTIFICATE && r->selector != DANE_SELECTOR_KEY)
        return false;
    switch (r->matching) {
    case DANE_MATCHING_FULL:
        if (r->data.len == 0 || r->data.len > UINT16_MAX)
            return false;
        return r->selector == DANE_SELECTOR_KEY ? is_key(r->data) : is_certificate(r->data);
    case DANE_MATCHING_SHA256:
        return r->data.len == 32;
    case DANE_MATCHING_SHA512:
        return r->data.len == 64;
    default:
        return false;
    }
}

uint32_t dane_select(const struct dane_record *records, uint32_t cnt, struct dane_record *out)
{
    uint8_t strongest[2][2] = {{0}}; /* by usage and selector */
    uint32_t usable_cnt = 0, n = 0;

    for (uint32_t i = 0; i < cnt; i++) {
        const struct dane_record *r = &records[i];
        if (!dane_record_usable(r))
            continue;
        uint8_t *best = &strongest[r->usage - DANE_USAGE_TA][r->selector];
        *best = r->matching > *best ? r->matching : *best;
        out[usable_cnt++] = *r;
    }
    for (uint32_t i = 0; i < usable_cnt; i++) {
        const struct dane_record *r = &out[i];
        if (r->matching == DANE_MATCHING_FULL ||
            r->matching == strongest[r->usage - DANE_USAGE_TA][r->selector])
            out[n++] = *r;
    }
    return n;
}

int dane_publish(char out[DANE_PUBLISH_CAP], struct base_span certificate)
{
    const uint8_t *p = certificate.p;
    X509 *x = d2i_X509(NULL, &p, (long)certificate.len);
    uint8_t *key = NULL, digest[32];
    int len = x != NULL ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &key) : -1;
    bool ok = len > 0 && EVP_Digest(key, (size_t)len, digest, NULL, EVP_sha256(), NULL) == 1;

    if (ok) {
        size_t n = (size_t)snprintf(out, DANE_PUBLISH_CAP, "3 1 1 ");
        for (size_t i = 0; i < sizeof(digest); i++)
            n += (size_t)snprintf(out + n, DANE_PUBLISH_CAP - n, "%02x", digest[i]);
    }
    OPENSSL_free(key);
    X509_free(x);
    ERR_clear_error();
    return ok ? 0 : -EINVAL;
}

const char *dane_result_name(enum dane_result r)
{
    static const char *const names[DANE_RESULT_CNT] = {
        [DANE_MATCH_EE] = "match",
        [DANE_MATCH_TA] = "match of an issuer",
        [DANE_NO_MATCH] = "no match",
        [DANE_NOT_VALID] = "chain not valid",
        [DANE_EXPIRED] = "expired",
        [DANE_NAME_MISMATCH] = "another name",
        [DANE_NO_CERTIFICATE] = "no certificate",
    };

    return r < DANE_RESULT_CNT ? names[r] : "?";
}
