/* Certificates made on the spot, of a given time, and chains of them. */
#ifndef DANE_RIG_H
#define DANE_RIG_H

#include "unit.h"

#include "dane.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define NOW_S INT64_C(1700000000)
#define DAY_S 86400
#define HOST  "mx.example.org"

struct authority {
    EVP_PKEY *key;
    X509 *x;
    uint8_t *der;
    size_t len;
};

static inline void add_extension(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

/* issuer NULL: signed by itself. basic: its basicConstraints, NULL: none. san: NULL: none. */
static inline void make(struct authority *a, const char *cn, struct authority *issuer,
                        const char *basic, const char *san, int64_t from_s, int64_t to_s)
{
    static long serial;

    *a = (struct authority){0};
    a->key = EVP_EC_gen("P-256");
    a->x = X509_new();
    assert_true(a->key != NULL && a->x != NULL);
    X509_set_version(a->x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(a->x), ++serial);
    X509_NAME *name = X509_get_subject_name(a->x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)cn, -1, -1, 0);
    X509_set_issuer_name(a->x, X509_get_subject_name(issuer != NULL ? issuer->x : a->x));
    ASN1_TIME_set(X509_getm_notBefore(a->x), from_s);
    ASN1_TIME_set(X509_getm_notAfter(a->x), to_s);
    X509_set_pubkey(a->x, a->key);
    if (basic != NULL)
        add_extension(a->x, NID_basic_constraints, basic);
    if (san != NULL)
        add_extension(a->x, NID_subject_alt_name, san);
    assert_true(X509_sign(a->x, issuer != NULL ? issuer->key : a->key, EVP_sha256()) > 0);
    int len = i2d_X509(a->x, &a->der);
    assert_true(len > 0);
    a->len = (size_t)len;
}

static inline struct dane_chain chain_of(uint32_t cnt, ...)
{
    struct dane_chain c = {.cnt = cnt};
    va_list args;

    va_start(args, cnt);
    for (uint32_t i = 0; i < cnt; i++) {
        const struct authority *a = va_arg(args, const struct authority *);
        c.der[i] = base_span_of(a->der, a->len);
    }
    va_end(args);
    return c;
}

#endif
