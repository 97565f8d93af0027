/*
 * A certificate, its chain and its key: from PEM (RFC 7468) to what a context takes, with a
 * sentence about what is wrong. The private key goes to the keyop driver; what stays here is a key
 * of our provider that points to it.
 */
#include "tls_internal.h"

#include "dane_trust.h"

#include <stdio.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define CHAIN_MAX    8
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 4096

static bool fail(char *why, size_t cap, const struct tls_certificate_spec *spec, const char *what)
{
    ERR_clear_error();
    snprintf(why, cap, "%s: %s", spec->label, what);
    return false;
}

/* Called for an encrypted key only: no passphrase is known here. */
static int no_passphrase(char *buf, int size, int rwflag, void *asked)
{
    (void)buf, (void)size, (void)rwflag;
    *(bool *)asked = true;
    return -1;
}

static EVP_PKEY *read_key(OSSL_LIB_CTX *libctx, struct base_span pem, bool *encrypted)
{
    BIO *b = BIO_new_mem_buf(pem.p, (int)pem.len);
    EVP_PKEY *k = NULL;

    *encrypted = false;
    if (b != NULL)
        k = PEM_read_bio_PrivateKey_ex(b, NULL, no_passphrase, encrypted, libctx, NULL);
    BIO_free(b);
    return k;
}

static X509 *read_one(OSSL_LIB_CTX *libctx, BIO *b)
{
    X509 *x = X509_new_ex(libctx, NULL);

    if (x != NULL && PEM_read_bio_X509(b, &x, NULL, NULL) == NULL) {
        X509_free(x);
        return NULL;
    }
    return x;
}

/* Returns NULL, or what is wrong. */
static const char *read_chain(OSSL_LIB_CTX *libctx, struct tls_certificate *c, struct base_span pem)
{
    BIO *b = pem.len > 0 ? BIO_new_mem_buf(pem.p, (int)pem.len) : NULL;
    const char *wrong = NULL;
    X509 *x;
    unsigned long error;

    if (b == NULL)
        return "holds no certificate";
    c->chain = sk_X509_new_null();
    c->leaf = read_one(libctx, b);
    if (c->leaf == NULL || c->chain == NULL) {
        error = ERR_peek_last_error();
        wrong = ERR_GET_REASON(error) == PEM_R_NO_START_LINE ? "holds no certificate"
                                                             : "a certificate in it is damaged";
    }
    while (wrong == NULL && (x = read_one(libctx, b)) != NULL) {
        if (sk_X509_num(c->chain) >= CHAIN_MAX || sk_X509_push(c->chain, x) == 0) {
            X509_free(x);
            wrong = "holds too many certificates";
        }
    }
    if (wrong == NULL && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        wrong = "a certificate in it is damaged";
    ERR_clear_error();
    BIO_free(b);
    return wrong;
}

/* Returns NULL, or what is wrong; tells the kind. */
static const char *check_kind(EVP_PKEY *k, uint8_t *kind, struct tls_certificate_info *info)
{
    char group[32] = "";
    int bits = EVP_PKEY_get_bits(k);

    if (EVP_PKEY_is_a(k, "RSA")) {
        *kind = TLS_KIND_RSA;
        if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
            return "an RSA key must have 2048 to 4096 bits";
        snprintf(info->key, sizeof(info->key), "RSA %d", bits);
        return NULL;
    }
    if (!EVP_PKEY_is_a(k, "EC"))
        return "the key must be an EC or an RSA key";
    *kind = TLS_KIND_EC;
    if (EVP_PKEY_get_group_name(k, group, sizeof(group), NULL) != 1)
        return "the curve of the key has no name";
    if (strcmp(group, "prime256v1") != 0 && strcmp(group, "secp384r1") != 0)
        return "the curve of the key must be P-256 or P-384";
    snprintf(info->key, sizeof(info->key), "EC P-%d", bits);
    return NULL;
}

bool tls_name_normalize(char *to, struct base_span from)
{
    if (from.len > 0 && from.p[from.len - 1] == '.')
        from.len--;
    if (from.len == 0 || from.len >= TLS_NAME_BYTES)
        return false;
    for (size_t i = 0; i < from.len; i++) {
        uint8_t b = from.p[i];
        if (b <= ' ' || b >= 127)
            return false;
        to[i] = (char)(b >= 'A' && b <= 'Z' ? b | 0x20 : b);
    }
    to[from.len] = '\0';
    return true;
}

static void add_name(struct tls_certificate_info *info, struct base_span name)
{
    if (info->name_cnt < TLS_NAME_MAX && tls_name_normalize(info->name[info->name_cnt], name))
        info->name_cnt++;
}

/* The dNSNames of subjectAltName; the common name is no host name any more (RFC 9525). */
static void names_inside(struct tls_certificate *c)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(c->leaf, NID_subject_alt_name, NULL, NULL);

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        int type;
        const ASN1_STRING *s = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
        if (type == GEN_DNS)
            add_name(&c->info,
                     base_span_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)));
    }
    GENERAL_NAMES_free(names);
}

/* What an operator should know, though it is used. */
static void warn(struct tls_certificate *c, const struct tls_certificate_spec *spec, int64_t now_s)
{
    struct tls_certificate_info *info = &c->info;
    char *to = info->warning;

    if (now_s != 0 && now_s >= info->not_after_s) {
        snprintf(to, sizeof(info->warning), "the certificate has expired");
        return;
    }
    if (now_s != 0 && now_s < info->not_before_s) {
        snprintf(to, sizeof(info->warning), "the certificate is not valid yet");
        return;
    }
    for (int i = 0; i < sk_X509_num(c->chain); i++) {
        const X509 *x = sk_X509_value(c->chain, i);
        if (now_s != 0 && now_s >= dane_unix_time(X509_get0_notAfter(x))) {
            snprintf(to, sizeof(info->warning), "certificate %d of the chain has expired", i + 2);
            return;
        }
    }
    for (uint32_t i = 0; i < spec->name_cnt; i++) {
        if (X509_check_host(c->leaf, spec->names[i], strlen(spec->names[i]), 0, NULL) != 1) {
            snprintf(to, sizeof(info->warning), "the certificate is not for %.100s",
                     spec->names[i]);
            return;
        }
    }
    if (info->name_cnt == 0)
        snprintf(to, sizeof(info->warning), "the certificate names no host");
}

/* Gives the private key to the driver. */
static bool hand_over(struct tls_domain *d, struct tls_certificate *c, EVP_PKEY *private)
{
    const struct tls_keyop_driver *driver = &d->lane->settings.keyop;
    PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(private);
    uint8_t *der = NULL;
    int len = p8 != NULL ? i2d_PKCS8_PRIV_KEY_INFO(p8, &der) : -1;

    if (len > 0)
        c->key.handle = driver->ops->key_open(driver->state, base_span_of(der, (size_t)len));
    if (der != NULL)
        OPENSSL_clear_free(der, (size_t)(len > 0 ? len : 0));
    PKCS8_PRIV_KEY_INFO_free(p8);
    return c->key.handle != NULL;
}

enum tls_check tls_certificate_read(OSSL_LIB_CTX *libctx, OSSL_LIB_CTX *keys,
                                    struct tls_certificate *c,
                                    const struct tls_certificate_spec *spec, int64_t now_s,
                                    EVP_PKEY **private, const char **wrong)
{
    bool encrypted = false;

    *private = NULL;
    *wrong = read_chain(libctx, c, spec->chain_pem);
    if (*wrong == NULL && X509_get0_pubkey(c->leaf) == NULL)
        *wrong = "the certificate's key could not be read";
    if (*wrong != NULL)
        return TLS_CHECK_CHAIN;
    *private = read_key(keys, spec->key_pem, &encrypted);
    if (*private == NULL)
        *wrong = encrypted ? "the key is encrypted" : "no private key could be read";
    if (*wrong == NULL)
        *wrong = check_kind(*private, &c->key.kind, &c->info);
    if (*wrong == NULL && X509_check_private_key(c->leaf, *private) != 1)
        *wrong = "the key does not belong to the certificate";
    if (*wrong != NULL)
        return TLS_CHECK_KEY;
    c->info.not_before_s = dane_unix_time(X509_get0_notBefore(c->leaf));
    c->info.not_after_s = dane_unix_time(X509_get0_notAfter(c->leaf));
    c->info.chain_cnt = 1 + (uint32_t)sk_X509_num(c->chain);
    for (uint32_t i = 0; i < spec->name_cnt; i++)
        add_name(&c->info, base_span_str(spec->names[i]));
    if (spec->name_cnt == 0)
        names_inside(c);
    warn(c, spec, now_s);
    return TLS_CHECK_OK;
}

bool tls_certificate_open(struct tls_domain *d, struct tls_certificate *c,
                          const struct tls_certificate_spec *spec, int64_t now_s, char *why,
                          size_t cap)
{
    EVP_PKEY *private;
    const char *wrong;

    c->key.domain = d;
    if (tls_certificate_read(d->libctx, d->backing, c, spec, now_s, &private, &wrong) ==
            TLS_CHECK_OK &&
        !hand_over(d, c, private))
        wrong = "the driver of key operations does not take the key";
    EVP_PKEY_free(private);
    if (wrong == NULL && (c->pkey = tls_key_wrap(d, &c->key, X509_get0_pubkey(c->leaf))) == NULL)
        wrong = "memory is short";
    if (wrong != NULL)
        return fail(why, cap, spec, wrong);
    ERR_clear_error();
    return true;
}

void tls_certificate_close(struct tls_certificate *c)
{
    const struct tls_keyop_driver *driver;

    EVP_PKEY_free(c->pkey);
    X509_free(c->leaf);
    sk_X509_pop_free(c->chain, X509_free);
    if (c->key.handle != NULL) {
        driver = &c->key.domain->lane->settings.keyop;
        driver->ops->key_close(driver->state, c->key.handle);
    }
}
