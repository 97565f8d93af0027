/*
 * Certificates of clients: asked for where a policy names authorities, verified against these
 * alone, and turned into the mail address that they are for. A client without one, or with one that
 * does not hold, goes on like any other: what it may do without is not TLS's to say.
 *
 * There are no tickets on such a policy: what a certificate proves is proved in each handshake, by
 * the authorities of today.
 */
#include "tls_internal.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define CHAIN_DEPTH      4           /* intermediate authorities */
#define CHAIN_LIST_BYTES (32 * 1024) /* that a client may send as its chain */

/* The handshake goes on, whatever comes of it: OpenSSL keeps the verdict. */
static int on_chain(X509_STORE_CTX *store, void *arg)
{
    (void)arg;
    if (X509_verify_cert(store) != 1 && X509_STORE_CTX_get_error(store) == X509_V_OK)
        X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED);
    ERR_clear_error();
    return 1;
}

/* Whether it is the end of the text, and no error. */
static bool at_end(void)
{
    bool end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;

    ERR_clear_error();
    return end;
}

/* Adds the certificate to the store, and its name to those that the client is told. */
static bool add(SSL_CTX *ctx, X509 *authority)
{
    return X509_check_ca(authority) != 0 &&
           X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), authority) == 1 &&
           SSL_CTX_add_client_CA(ctx, authority) == 1;
}

const char *tls_client_ca_set(SSL_CTX *ctx, OSSL_LIB_CTX *libctx, struct base_span pem)
{
    BIO *bio = pem.len <= INT_MAX ? BIO_new_mem_buf(pem.p, (int)pem.len) : NULL;
    const char *wrong = bio != NULL ? NULL : "memory is short";
    uint32_t cnt = 0;

    while (wrong == NULL) {
        X509 *authority = X509_new_ex(libctx, NULL);
        if (authority == NULL || PEM_read_bio_X509(bio, &authority, NULL, NULL) == NULL) {
            X509_free(authority);
            if (!at_end())
                wrong = "tls_client_ca has a certificate that cannot be read";
            break;
        }
        if (!add(ctx, authority))
            wrong = "tls_client_ca has a certificate that is no authority's";
        X509_free(authority);
        cnt++;
    }
    BIO_free(bio);
    ERR_clear_error();
    if (wrong != NULL || cnt == 0)
        return wrong != NULL ? wrong : "tls_client_ca has no certificate in it";
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_verify_depth(ctx, CHAIN_DEPTH);
    SSL_CTX_set_cert_verify_callback(ctx, on_chain, NULL);
    SSL_CTX_set_max_cert_list(ctx, CHAIN_LIST_BYTES);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    return SSL_CTX_set_num_tickets(ctx, 0) == 1 ? NULL : "tickets could not be turned off";
}

/* The one rfc822Name (RFC 5280 section 4.2.1.6). Who has several would have to say which, and who
 * has none is nobody here. */
static size_t address_of(const GENERAL_NAMES *names, char *out, size_t cap)
{
    const ASN1_IA5STRING *address = NULL;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_EMAIL)
            continue;
        if (address != NULL)
            return 0;
        address = name->d.rfc822Name;
    }
    int len = address != NULL ? ASN1_STRING_length(address) : 0;
    const unsigned char *text = address != NULL ? ASN1_STRING_get0_data(address) : NULL;
    if (len <= 0 || (size_t)len >= cap || memchr(text, '@', (size_t)len) == NULL)
        return 0;
    for (int i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return 0;
    memcpy(out, text, (size_t)len);
    out[len] = 0;
    return (size_t)len;
}

size_t tls_conn_identity(const struct tls_conn *c, char *out, size_t cap)
{
    X509 *shown = SSL_get0_peer_certificate(c->ssl);
    size_t len = 0;

    if (shown != NULL && !c->client && c->domain->policy[c->policy].client_ca &&
        SSL_get_verify_result(c->ssl) == X509_V_OK) {
        GENERAL_NAMES *names = X509_get_ext_d2i(shown, NID_subject_alt_name, NULL, NULL);
        if (names != NULL)
            len = address_of(names, out, cap);
        GENERAL_NAMES_free(names);
    }
    ERR_clear_error();
    return len;
}
