/*
 * OpenSSL with few names. Whenever OpenSSL 3.0 makes a context for a key (seven times and more in a
 * handshake) it goes through all names of algorithms that the library context knows, 400 as a rule:
 * a tenth of what it does besides the arithmetic. So a domain's context has, instead of the default
 * provider, one of ours that offers the part of it that TLS has a use for. The functions are the
 * default provider's own, and get its context: it is loaded into a second library context, in which
 * it finds whatever it needs itself.
 *
 * OpenSSL's lists of names from before 3.0, which each library context copies, are kept short, too:
 * what stands in them is what certificates are signed and keys are encrypted with: X509_verify and
 * the reader of PEM ask there.
 */
#include "tls_internal.h"

#include "tls_memory.h"

#include <openssl/core_dispatch.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#define OPERATION_CNT 32 /* OSSL_OP_... are below */
#define LIST_MAX      512

/* By their first names, for all operations. */
static const char *const kept[] = {
    "SHA1", "SHA2-256", "SHA2-384", "SHA2-512",
    /* records */
    "AES-128-GCM", "AES-256-GCM", "AES-128-CCM", "AES-256-CCM", "ChaCha20-Poly1305", "AES-128-CBC",
    "AES-256-CBC", "AES-128-CBC-HMAC-SHA1", "AES-256-CBC-HMAC-SHA1", "AES-128-CBC-HMAC-SHA256",
    "AES-256-CBC-HMAC-SHA256",
    /* secrets; the random generators */
    "HMAC", "HKDF", "TLS13-KDF", "TLS1-PRF", "CTR-DRBG", "SEED-SRC",
    /* keys, signatures, key exchange */
    "RSA", "RSA-PSS", "EC", "ECDSA", "ECDH", "X25519", "X448", "ED25519", "ED448", "DH"};

/* OpenSSL passes a provider no argument of ours. What it offers is the same in all domains: filled
 * in by control when it builds the first one, before a lane has seen any. */
static struct {
    bool filled;
    const OSSL_ALGORITHM *of[OPERATION_CNT]; /* in list, each with an empty one behind it */
    OSSL_ALGORITHM list[LIST_MAX];
} tables;

/* The default provider behind the one of the domain that control is building. */
static _Thread_local OSSL_PROVIDER *building;

/* Those that only exchange keys are in no certificate, as it needs one that can sign. */
static const char *const certified[] = {"RSA", "RSA-PSS", "EC", "ED25519", "ED448"};

static bool has(const char *const *list, size_t cnt, const char *names)
{
    size_t len = strcspn(names, ":");

    for (size_t i = 0; i < cnt; i++)
        if (strlen(list[i]) == len && OPENSSL_strncasecmp(names, list[i], len) == 0)
            return true;
    return false;
}

/* All that peers bring are certificates. For the key in each of them OpenSSL looks at every decoder
 * there is, several times, and builds chains of those that may follow each other: what reads
 * private keys, parameters and PKCS #8 in all their forms is only in its way, and so is what finds
 * out which kind of key it has, as a certificate says that. Our own keys are read in the library
 * context behind this one. */
static bool reads_public_keys(const OSSL_ALGORITHM *a)
{
    return has(certified, BASE_ARRAY_CNT(certified), a->algorithm_names) &&
           strstr(a->property_definition, "input=der") != NULL &&
           strstr(a->property_definition, "structure=SubjectPublicKeyInfo") != NULL;
}

static bool fill(OSSL_PROVIDER *provider)
{
    int no_cache = 0;
    uint32_t n = 0;

    if (tables.filled)
        return true;
    for (int operation = 1; operation < OPERATION_CNT; operation++) {
        const OSSL_ALGORITHM *all = OSSL_PROVIDER_query_operation(provider, operation, &no_cache);
        tables.of[operation] = all != NULL ? &tables.list[n] : NULL;
        for (const OSSL_ALGORITHM *a = all; a != NULL && a->algorithm_names != NULL; a++) {
            if (!has(kept, BASE_ARRAY_CNT(kept), a->algorithm_names) ||
                (operation == OSSL_OP_DECODER && !reads_public_keys(a)))
                continue;
            tables.list[n++] = *a;
            if (n == LIST_MAX)
                return false;
        }
        OSSL_PROVIDER_unquery_operation(provider, operation, all);
        if (all != NULL && ++n == LIST_MAX)
            return false;
    }
    return tables.filled = true;
}

static const OSSL_ALGORITHM *query(void *provctx, int operation, int *no_cache)
{
    (void)provctx;
    *no_cache = 0;
    return operation > 0 && operation < OPERATION_CNT ? tables.of[operation] : NULL;
}

/* Groups for key exchange: libssl asks when a SSL_CTX is made. */
static int capabilities(void *provctx, const char *capability, OSSL_CALLBACK *tell, void *arg)
{
    (void)provctx;
    return building == NULL || OSSL_PROVIDER_get_capabilities(building, capability, tell, arg);
}

static const OSSL_DISPATCH dispatch[] = {
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query},
    {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))capabilities},
    {0, NULL},
};

static int init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                void **provctx)
{
    (void)handle, (void)in;
    *out = dispatch;
    *provctx = building != NULL ? OSSL_PROVIDER_get0_provider_ctx(building) : NULL;
    return *provctx != NULL;
}

bool tls_thin_load(struct tls_domain *d)
{
    d->backing = OSSL_LIB_CTX_new();
    if (d->backing == NULL)
        return false;
    d->provider_default = OSSL_PROVIDER_load(d->backing, "default");
    if (d->provider_default == NULL || !fill(d->provider_default))
        return false;
    building = d->provider_default;
    if (!OSSL_PROVIDER_add_builtin(d->libctx, "sluice-default", init))
        return false;
    d->provider_thin = OSSL_PROVIDER_load(d->libctx, "sluice-default");
    return d->provider_thin != NULL;
}

void tls_thin_loaded(void)
{
    building = NULL;
}

void tls_thin_unload(struct tls_domain *d)
{
    if (d->provider_thin != NULL)
        OSSL_PROVIDER_unload(d->provider_thin);
    OSSL_LIB_CTX_free(d->libctx); /* its random generators are functions of the default provider */
    if (d->provider_default != NULL)
        OSSL_PROVIDER_unload(d->provider_default);
    OSSL_LIB_CTX_free(d->backing);
}

void tls_thin_stop(struct tls_domain *d)
{
    OPENSSL_thread_stop_ex(d->libctx);
    OPENSSL_thread_stop_ex(d->backing);
}

bool tls_memory_short_names(void)
{
    return OPENSSL_init_crypto(OPENSSL_INIT_NO_ADD_ALL_CIPHERS | OPENSSL_INIT_NO_ADD_ALL_DIGESTS |
                                   OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT,
                               NULL) == 1 &&
           EVP_add_digest(EVP_sha1()) && EVP_add_digest(EVP_sha256()) &&
           EVP_add_digest(EVP_sha384()) && EVP_add_digest(EVP_sha512()) &&
           EVP_add_cipher(EVP_aes_128_cbc()) && EVP_add_cipher(EVP_aes_256_cbc());
}
