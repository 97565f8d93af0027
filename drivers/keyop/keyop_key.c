#include "keyop_key.h"

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

static const char *const digest_names[TLS_KEYOP_DIGEST_CNT] = {
    [TLS_KEYOP_SHA256] = "SHA256",
    [TLS_KEYOP_SHA384] = "SHA384",
    [TLS_KEYOP_SHA512] = "SHA512",
};

static EVP_PKEY_CTX *make_ready(const struct keyop_key *k, OSSL_LIB_CTX *libctx,
                                enum tls_keyop_algorithm algorithm, enum tls_keyop_digest digest)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(libctx, k->pkey, NULL);
    EVP_MD *md = EVP_MD_fetch(libctx, digest_names[digest], NULL);
    int padding = algorithm == TLS_KEYOP_RSA_PSS ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING;
    bool ok = ctx != NULL && md != NULL && EVP_PKEY_sign_init(ctx) == 1;

    if (ok && algorithm != TLS_KEYOP_ECDSA)
        ok = EVP_PKEY_CTX_set_rsa_padding(ctx, padding) == 1;
    ok = ok && EVP_PKEY_CTX_set_signature_md(ctx, md) == 1;
    if (ok && algorithm == TLS_KEYOP_RSA_PSS)
        ok = EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
    EVP_MD_free(md);
    if (ok)
        return ctx;
    EVP_PKEY_CTX_free(ctx);
    return NULL;
}

int keyop_key_open(struct keyop_key *k, OSSL_LIB_CTX *libctx, struct base_span pkcs8)
{
    const unsigned char *at = pkcs8.p;
    int first = TLS_KEYOP_ECDSA, last = TLS_KEYOP_ECDSA;

    memset(k, 0, sizeof(*k));
    k->pkey = d2i_AutoPrivateKey_ex(NULL, &at, (long)pkcs8.len, libctx, NULL);
    if (k->pkey != NULL && EVP_PKEY_is_a(k->pkey, "RSA")) {
        first = TLS_KEYOP_RSA_PKCS1;
        last = TLS_KEYOP_RSA_PSS;
    } else if (k->pkey == NULL || !EVP_PKEY_is_a(k->pkey, "EC")) {
        goto failed;
    }
    if (EVP_PKEY_get_size(k->pkey) > TLS_KEYOP_OUTPUT_MAX)
        goto failed;
    for (int a = first; a <= last; a++)
        for (int d = 0; d < TLS_KEYOP_DIGEST_CNT; d++)
            if ((k->ready[a][d] = make_ready(k, libctx, a, d)) == NULL)
                goto failed;
    return 0;
failed:
    ERR_clear_error();
    keyop_key_close(k);
    return -1;
}

void keyop_key_close(struct keyop_key *k)
{
    for (int a = 0; a < TLS_KEYOP_ALGORITHM_CNT; a++)
        for (int d = 0; d < TLS_KEYOP_DIGEST_CNT; d++)
            EVP_PKEY_CTX_free(k->ready[a][d]);
    EVP_PKEY_free(k->pkey);
    memset(k, 0, sizeof(*k));
}

void keyop_key_sign(struct keyop_key *k, struct tls_keyop *op)
{
    EVP_PKEY_CTX *ctx = op->algorithm < TLS_KEYOP_ALGORITHM_CNT && op->digest < TLS_KEYOP_DIGEST_CNT
                            ? k->ready[op->algorithm][op->digest]
                            : NULL;
    size_t len = sizeof(op->output);
    bool ok = ctx != NULL && EVP_PKEY_sign(ctx, op->output, &len, op->input, op->input_len) == 1;

    op->output_len = ok ? (uint16_t)len : 0;
    op->status = ok ? TLS_KEYOP_OK : TLS_KEYOP_FAILED;
    if (!ok)
        ERR_clear_error();
}
