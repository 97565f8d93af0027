/* Certificates and policies looked at before there is a lane. */
#include "tls_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>

enum tls_check tls_check_certificate(const struct tls_certificate_spec *spec, int64_t now_s,
                                     struct tls_certificate_info *info, char *why, size_t why_cap)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    struct tls_certificate *c = calloc(1, sizeof(*c));
    EVP_PKEY *private = NULL;
    const char *wrong = "memory is short";
    enum tls_check result = TLS_CHECK_CHAIN;

    if (libctx != NULL && c != NULL) {
        result = tls_certificate_read(libctx, libctx, c, spec, now_s, &private, &wrong);
        *info = c->info;
        EVP_PKEY_free(private);
        tls_certificate_close(c);
    }
    ERR_clear_error();
    free(c);
    OSSL_LIB_CTX_free(libctx);
    snprintf(why, why_cap, "%s", wrong != NULL ? wrong : "");
    return result;
}

bool tls_check_policy(const struct tls_policy_spec *spec, char *why, size_t why_cap)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    SSL_CTX *ctx = libctx != NULL ? SSL_CTX_new_ex(libctx, NULL, TLS_server_method()) : NULL;
    const char *wrong = ctx != NULL ? tls_context_set_algorithms(ctx, spec) : "memory is short";

    if (wrong == NULL && spec->client_ca_pem.len > 0)
        wrong = tls_client_ca_set(ctx, libctx, spec->client_ca_pem);
    ERR_clear_error();
    SSL_CTX_free(ctx);
    OSSL_LIB_CTX_free(libctx);
    snprintf(why, why_cap, "%s", wrong != NULL ? wrong : "");
    return wrong == NULL;
}
