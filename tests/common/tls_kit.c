#include "tls_kit.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#define MUST(expr)                                                                                 \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            fprintf(stderr, "tls_kit: %s failed, line %d\n", #expr, __LINE__);                     \
            ERR_print_errors_fp(stderr);                                                           \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static EVP_PKEY *make_key(const char *kind)
{
    EVP_PKEY *k = strcmp(kind, "EC") == 0        ? EVP_EC_gen("P-256")
                  : strcmp(kind, "EC384") == 0   ? EVP_EC_gen("P-384")
                  : strcmp(kind, "RSA") == 0     ? EVP_RSA_gen(2048)
                  : strcmp(kind, "RSA1024") == 0 ? EVP_RSA_gen(1024)
                                                 : EVP_PKEY_Q_keygen(NULL, NULL, kind);

    MUST(k != NULL);
    return k;
}

static X509 *make_certificate(EVP_PKEY *key, const char *subject, EVP_PKEY *issuer_key,
                              const char *issuer, const char *alternatives, int from_days,
                              int to_days)
{
    X509 *x = X509_new();
    X509_NAME *name;
    uint64_t serial = 0;

    MUST(x != NULL && X509_set_version(x, X509_VERSION_3));
    RAND_bytes((unsigned char *)&serial, 7);
    MUST(ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial));
    MUST(X509_gmtime_adj(X509_getm_notBefore(x), from_days * 86400L));
    MUST(X509_gmtime_adj(X509_getm_notAfter(x), to_days * 86400L));
    name = X509_get_subject_name(x);
    MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)subject, -1,
                                    -1, 0));
    name = X509_NAME_new();
    MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)issuer, -1, -1,
                                    0));
    MUST(X509_set_issuer_name(x, name));
    X509_NAME_free(name);
    MUST(X509_set_pubkey(x, key));
    if (alternatives[0] != '\0') {
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alternatives);
        MUST(e != NULL && X509_add_ext(x, e, -1));
        X509_EXTENSION_free(e);
    }
    MUST(X509_sign(x, issuer_key, EVP_PKEY_is_a(issuer_key, "ED25519") ? NULL : EVP_sha256()) > 0);
    return x;
}

static char *text_of(BIO *b)
{
    char *bytes, *copy;
    long len = BIO_get_mem_data(b, &bytes);

    MUST((copy = calloc(1, (size_t)len + 1)) != NULL);
    memcpy(copy, bytes, (size_t)len);
    BIO_free(b);
    return copy;
}

void kit_certificate_make(struct kit_certificate *c, const char *kind, const char *const *names,
                          uint32_t name_cnt, int from_days, int to_days)
{
    char list[32 * 1024] = "";
    size_t len = 0;
    EVP_PKEY *above = make_key("EC");
    BIO *b;

    for (uint32_t i = 0; i < name_cnt; i++)
        len += (size_t)snprintf(list + len, sizeof(list) - len, "%sDNS:%s", i > 0 ? "," : "",
                                names[i]);
    c->key = make_key(kind);
    c->leaf = make_certificate(c->key, "leaf", above, "intermediate", list, from_days, to_days);
    c->intermediate = make_certificate(above, "intermediate", above, "root", "", -1, 3650);
    EVP_PKEY_free(above);
    MUST((b = BIO_new(BIO_s_mem())) != NULL && PEM_write_bio_X509(b, c->leaf) &&
         PEM_write_bio_X509(b, c->intermediate));
    c->chain_pem = text_of(b);
    MUST((b = BIO_new(BIO_s_mem())) != NULL &&
         PEM_write_bio_PrivateKey(b, c->key, NULL, NULL, 0, NULL, NULL));
    c->key_pem = text_of(b);
}

void kit_certificate_free(struct kit_certificate *c)
{
    free(c->chain_pem);
    free(c->key_pem);
    X509_free(c->leaf);
    X509_free(c->intermediate);
    EVP_PKEY_free(c->key);
    memset(c, 0, sizeof(*c));
}

struct tls_certificate_spec kit_spec(const struct kit_certificate *c, const char *label)
{
    return (struct tls_certificate_spec){.label = label,
                                         .chain_pem = base_span_str(c->chain_pem),
                                         .key_pem = base_span_str(c->key_pem)};
}

static SSL_CTX *context(const SSL_METHOD *method, int version)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    char groups[] = "X25519:P-256:P-384";

    MUST(ctx != NULL);
    if (version != 0)
        MUST(SSL_CTX_set_min_proto_version(ctx, version) &&
             SSL_CTX_set_max_proto_version(ctx, version));
    MUST(SSL_CTX_ctrl(ctx, SSL_CTRL_SET_GROUPS_LIST, 0, groups));
    MUST(SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"));
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    return ctx;
}

SSL_CTX *kit_client_context(int version)
{
    return context(TLS_client_method(), version);
}

SSL_CTX *kit_server_context(int version, const struct kit_certificate *c)
{
    SSL_CTX *ctx = context(TLS_server_method(), version);

    MUST(SSL_CTX_use_certificate(ctx, c->leaf) && SSL_CTX_use_PrivateKey(ctx, c->key) &&
         SSL_CTX_add1_chain_cert(ctx, c->intermediate));
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    return ctx;
}

void kit_peer_open(struct kit_peer *p, SSL_CTX *ctx, bool client, const char *name)
{
    p->ssl = SSL_new(ctx);
    p->in = BIO_new(BIO_s_mem());
    p->out = BIO_new(BIO_s_mem());
    MUST(p->ssl != NULL && p->in != NULL && p->out != NULL);
    BIO_set_mem_eof_return(p->in, -1);
    BIO_set_mem_eof_return(p->out, -1);
    SSL_set_bio(p->ssl, p->in, p->out);
    if (name != NULL)
        MUST(SSL_ctrl(p->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                      (void *)(uintptr_t)name));
    if (client)
        SSL_set_connect_state(p->ssl);
    else
        SSL_set_accept_state(p->ssl);
}

void kit_peer_close(struct kit_peer *p)
{
    SSL_free(p->ssl);
    p->ssl = NULL;
}

int kit_peer_step(struct kit_peer *p)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(p->ssl);
    if (rc == 1)
        return 1;
    int error = SSL_get_error(p->ssl, rc);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

size_t kit_peer_take(struct kit_peer *p, uint8_t *to, size_t cap)
{
    int n = BIO_read(p->out, to, (int)cap);

    return n > 0 ? (size_t)n : 0;
}

void kit_peer_give(struct kit_peer *p, const uint8_t *from, size_t len)
{
    if (len > 0)
        MUST(BIO_write(p->in, from, (int)len) == (int)len);
}
