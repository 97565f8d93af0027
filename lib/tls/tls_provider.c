/*
 * Our OpenSSL provider, built in and loaded beside the default one (tls_thin.c) into each domain's
 * library context. It has what a lane wants done its own way: RSA, EC     private keys whose
 * signatures go through the keyop driver. They take part only by the key: a key made here is bound
 * to this provider, while fetches by name (peers' keys, P-256 key exchange) go to the default one.
 * Hence the property sluice.sign. TLS13-KDF, TLS1-PRF, HMAC   without a fetch of a digest (and a
 * MAC) for each of the many calls a handshake makes. AES-GCM     of libipsec-mb, on processors that
 * make it the faster one. X25519      by the lane's driver, or past the layers of EVP. libssl takes
 * a group only from the provider whose key management wins the fetch, so that it is told of here,
 * too. RFC 8446 section 4.2.7 has the number of the group.
 */
#include "tls_internal.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

const char tls_provider_name[] = "sluice";

#define SIGN "sluice.sign=yes"
#define FAST "provider=sluice"

static const OSSL_ALGORITHM keymgmts[] = {
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", SIGN, tls_keymgmt_rsa, NULL},
    {"EC:id-ecPublicKey:1.2.840.10045.2.1", SIGN, tls_keymgmt_ec, NULL},
    {NULL, NULL, NULL, NULL},
};
static const OSSL_ALGORITHM keymgmts_kex[] = {
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", SIGN, tls_keymgmt_rsa, NULL},
    {"EC:id-ecPublicKey:1.2.840.10045.2.1", SIGN, tls_keymgmt_ec, NULL},
    {"X25519:1.3.101.110", FAST, tls_keymgmt_x25519, NULL},
    {NULL, NULL, NULL, NULL},
};
static const OSSL_ALGORITHM signatures[] = {
    {"SLUICE-RSA", SIGN, tls_signature_rsa, NULL},
    {"SLUICE-ECDSA", SIGN, tls_signature_ec, NULL},
    {NULL, NULL, NULL, NULL},
};
static const OSSL_ALGORITHM keyexchs[] = {
    {"X25519:1.3.101.110", FAST, tls_keyexch_x25519, NULL},
    {NULL, NULL, NULL, NULL},
};
static const OSSL_ALGORITHM kdfs[] = {
    {"TLS13-KDF", FAST, tls_kdf_tls13, NULL},
    {"TLS1-PRF", FAST, tls_kdf_prf, NULL},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM macs[] = {
    {"HMAC", FAST, tls_mac_hmac, NULL},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM ciphers[] = {
    {"AES-128-GCM:id-aes128-GCM:2.16.840.1.101.3.4.1.6", FAST, tls_cipher_gcm_128, NULL},
    {"AES-256-GCM:id-aes256-GCM:2.16.840.1.101.3.4.1.46", FAST, tls_cipher_gcm_256, NULL},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM *query(void *provctx, int operation, int *no_cache)
{
    const struct tls_provider *p = provctx;
    bool kex;

    *no_cache = p->domain == NULL;
    if (p->domain == NULL)
        return NULL;
    kex = p->domain->kex.ops != NULL;
    switch (operation) {
    case OSSL_OP_KEYMGMT:
        return kex ? keymgmts_kex : keymgmts;
    case OSSL_OP_SIGNATURE:
        return signatures;
    case OSSL_OP_KEYEXCH:
        return kex ? keyexchs : NULL;
    case OSSL_OP_KDF:
        return kdfs;
    case OSSL_OP_MAC:
        return macs;
    case OSSL_OP_CIPHER:
        return p->domain->lane->mb != NULL ? ciphers : NULL;
    default:
        return NULL;
    }
}

static const unsigned group_id = 0x001d, group_bits = 128;
static const int group_first = TLS1_VERSION, group_last = 0, group_never = -1;
static const OSSL_PARAM group_x25519[] = {
    OSSL_PARAM_utf8_string(OSSL_CAPABILITY_TLS_GROUP_NAME, (char *)(uintptr_t) "x25519", 7),
    OSSL_PARAM_utf8_string(OSSL_CAPABILITY_TLS_GROUP_NAME_INTERNAL, (char *)(uintptr_t) "X25519",
                           7),
    OSSL_PARAM_utf8_string(OSSL_CAPABILITY_TLS_GROUP_ALG, (char *)(uintptr_t) "X25519", 7),
    OSSL_PARAM_uint(OSSL_CAPABILITY_TLS_GROUP_ID, (unsigned *)(uintptr_t)&group_id),
    OSSL_PARAM_uint(OSSL_CAPABILITY_TLS_GROUP_SECURITY_BITS, (unsigned *)(uintptr_t)&group_bits),
    OSSL_PARAM_int(OSSL_CAPABILITY_TLS_GROUP_MIN_TLS, (int *)(uintptr_t)&group_first),
    OSSL_PARAM_int(OSSL_CAPABILITY_TLS_GROUP_MAX_TLS, (int *)(uintptr_t)&group_last),
    OSSL_PARAM_int(OSSL_CAPABILITY_TLS_GROUP_MIN_DTLS, (int *)(uintptr_t)&group_never),
    OSSL_PARAM_int(OSSL_CAPABILITY_TLS_GROUP_MAX_DTLS, (int *)(uintptr_t)&group_never),
    OSSL_PARAM_END,
};

static int capabilities(void *provctx, const char *capability, OSSL_CALLBACK *tell, void *arg)
{
    const struct tls_provider *p = provctx;

    if (strcmp(capability, "TLS-GROUP") != 0 || p->domain->kex.ops == NULL)
        return 1;
    return tell(group_x25519, arg);
}

static void teardown(void *provctx)
{
    OPENSSL_free(provctx);
}

static const OSSL_DISPATCH dispatch[] = {
    {OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))teardown},
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query},
    {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))capabilities},
    {0, NULL},
};

/* OpenSSL passes no argument of ours here: the cell is told its domain right after loading, before
 * anything is fetched. */
static int init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                void **provctx)
{
    (void)handle, (void)in;
    *out = dispatch;
    return (*provctx = OPENSSL_zalloc(sizeof(struct tls_provider))) != NULL;
}

bool tls_provider_load(struct tls_domain *d)
{
    struct tls_provider *p;

    if (!tls_thin_load(d) || !OSSL_PROVIDER_add_builtin(d->libctx, tls_provider_name, init))
        return false;
    d->kex = d->lane->settings.kex;
    if (d->kex.ops == NULL)
        d->kex = tls_kex_plain_open(&d->kex_plain, d->libctx, d->provider_default);
    d->provider_own = OSSL_PROVIDER_load(d->libctx, tls_provider_name);
    if (d->provider_own == NULL)
        return false;
    p = OSSL_PROVIDER_get0_provider_ctx(d->provider_own);
    p->domain = d;
    /* The first clause takes what is ours where there is a choice, the second keeps everything but
     * our own keys away from our kinds of keys. */
    return EVP_set_default_properties(d->libctx, "?provider=sluice,?sluice.sign=no") == 1;
}
