/*
 * One SSL_CTX: a policy with a set of certificates, and the questions OpenSSL asks during a
 * handshake: name, protocol, ticket key. Everything is set in so many words, because a library
 * context of our own reads no openssl.cnf.
 */
#include "tls_internal.h"

#include <stdio.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#define SECURITY_LEVEL       2 /* 112 bits: no SHA-1 in signatures, no RSA below 2048 */
#define CLIENT_LEVEL         1 /* with servers, where the choice may be clear text: RSA from 1024 */
#define TICKET_S             3600
#define CERTIFICATE_LIST_MAX (32 * 1024) /* bytes that a client may send as its chain */
#define SERVER_LIST_MAX      (64 * 1024) /* likewise, a server */

static const char default_ciphers[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA";
static const char default_ciphersuites[] =
    "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
static const char default_groups[] = "X25519:P-256:P-384";
/* What our keys sign: the list is gone through several times in each handshake. */
static const char server_signatures[] =
    "ECDSA+SHA256:ECDSA+SHA384:rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"
    "RSA+SHA256:RSA+SHA384:RSA+SHA512";
/* What a small client asks for: about 200 bytes, with a name. Some that stand between are known to
 * lose longer messages. */
static const char small_ciphers[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384";
static const char small_ciphersuites[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";
static const char small_groups[] = "X25519:P-256";
static const char small_signatures[] = "ECDSA+SHA256:rsa_pss_rsae_sha256:RSA+SHA256";
static const unsigned char session_context[] = "sluice";

static struct tls_conn *conn_of(SSL *ssl)
{
    return BIO_get_data(SSL_get_rbio(ssl));
}

/* Whether the client can check a signature by one of the certificates of a set. One that names no
 * kinds (RFC 5246 section 7.4.1.4.1) is asked nothing. */
static bool can_check(SSL *ssl, const struct tls_name *n)
{
    int cnt = SSL_get_sigalgs(ssl, -1, NULL, NULL, NULL, NULL, NULL);

    for (int i = 0; i < cnt; i++) {
        int sign = NID_undef;
        SSL_get_sigalgs(ssl, i, &sign, NULL, NULL, NULL, NULL);
        if (n->certificate[TLS_KIND_EC] >= 0 && sign == EVP_PKEY_EC)
            return true;
        if (n->certificate[TLS_KIND_RSA] >= 0 && (sign == EVP_PKEY_RSA || sign == EVP_PKEY_RSA_PSS))
            return true;
    }
    return cnt <= 0;
}

/* RFC 6066 section 3: an unknown name gets the default certificate, and so does a client that can
 * do nothing with the kind of key that a name has: never an alert. */
static int on_name(SSL *ssl, int *alert, void *arg)
{
    const char *text = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct tls_conn *c = conn_of(ssl);
    const struct tls_name *n;

    (void)alert, (void)arg;
    if (text == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    n = tls_name_find(c->domain, text);
    if (n->set != 0 && !can_check(ssl, n))
        n = &c->domain->fallback;
    if (n->set != 0 && SSL_set_SSL_CTX(ssl, c->domain->policy[c->policy].context[n->set]) == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    return n == &c->domain->fallback ? SSL_TLSEXT_ERR_NOACK : SSL_TLSEXT_ERR_OK;
}

/* RFC 7301. A client that speaks HTTP, or what else a page in a browser can make it speak, has
 * nothing to say to a mail server (the ALPACA attack). */
static int on_protocols(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                        const unsigned char *list, unsigned len, void *arg)
{
    const struct tls_policy *policy = arg;

    (void)ssl;
    for (unsigned at = 0; at < len && list[at] < len - at; at += 1U + list[at]) {
        struct base_span name = base_span_of(list + at + 1, list[at]);
        if (base_span_eq(name, base_span_str("smtp")) ||
            base_span_eq(name, base_span_str("esmtp"))) {
            *out = name.p;
            *out_len = (unsigned char)name.len;
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return policy->alpn == TLS_ALPN_STRICT ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_NOACK;
}

/* RFC 5077. Returns 1: key found, 2: likewise, and the client is to get a new one; 0: not ours, a
 * full handshake follows; negative: failure. A client of TLS 1.3 uses each ticket once (RFC 8446
 * section C.4), so that it needs another each time; one of TLS 1.2 goes on with what it has. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int making)
{
    const struct tls_conn *c = conn_of(ssl);
    struct tls_lane *l = c->lane;
    struct tls_ticket_key *key = NULL;

    for (uint32_t i = 0; i < l->ticket_cnt && key == NULL; i++)
        if (making || CRYPTO_memcmp(name, l->ticket[i].name, sizeof(l->ticket[i].name)) == 0)
            key = &l->ticket[i];
    if (key == NULL)
        return 0;
    OSSL_PARAM params[] = {
        OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
        OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 6),
        OSSL_PARAM_END,
    };
    if (EVP_MAC_CTX_set_params(mac, params) != 1)
        return -1;
    if (!making) {
        int found = SSL_version(ssl) >= TLS1_3_VERSION ? 2 : 1;
        return EVP_DecryptInit_ex2(cipher, c->domain->ticket_cipher, key->cipher, iv, NULL) == 1
                   ? found
                   : -1;
    }
    memcpy(name, key->name, sizeof(key->name));
    if (RAND_bytes_ex(c->domain->libctx, iv, 16, 0) != 1)
        return -1;
    return EVP_EncryptInit_ex2(cipher, c->domain->ticket_cipher, key->cipher, iv, NULL) == 1 ? 1
                                                                                             : -1;
}

/* Of TLS 1.2: without a cache nobody is told it, so that it needs no random bytes. */
static int on_session_id(SSL *ssl, unsigned char *id, unsigned *len)
{
    (void)ssl;
    memset(id, 0, *len);
    return 1;
}

/* Whatever chain the peer shows is taken: it costs no verification here. A client's ("ask") is as
 * good as none, a server's is judged after the handshake. */
static int on_chain(X509_STORE_CTX *store, void *arg)
{
    (void)store, (void)arg;
    return 1;
}

/* What OpenSSL's macros for lists do, whose cast drops a const. */
static bool set_list(SSL_CTX *ctx, int command, const char *list)
{
    return SSL_CTX_ctrl(ctx, command, 0, (void *)(uintptr_t)list) == 1;
}

static const char *given(const char *text, const char *otherwise)
{
    return text != NULL ? text : otherwise;
}

const char *tls_context_set_algorithms(SSL_CTX *ctx, const struct tls_policy_spec *spec)
{
    const char *groups = given(spec->groups, spec->small ? small_groups : default_groups);
    const char *ciphers = given(spec->ciphers, spec->small ? small_ciphers : default_ciphers);
    const char *suites =
        given(spec->ciphersuites, spec->small ? small_ciphersuites : default_ciphersuites);

    SSL_CTX_set_security_level(ctx, spec->client ? CLIENT_LEVEL : SECURITY_LEVEL);
    if ((spec->version_min != TLS_VERSION_12 && spec->version_min != TLS_VERSION_13) ||
        SSL_CTX_set_min_proto_version(ctx, spec->version_min) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, spec->version_max != 0 ? spec->version_max
                                                                  : TLS1_3_VERSION) != 1)
        return "the lowest version must be 1.2 or 1.3";
    if (SSL_CTX_set_cipher_list(ctx, ciphers) != 1)
        return "the list of ciphers names none that is known";
    if (SSL_CTX_set_ciphersuites(ctx, suites) != 1 || suites[0] == '\0')
        return "the list of TLS 1.3 cipher suites names an unknown one";
    if (!set_list(ctx, SSL_CTRL_SET_GROUPS_LIST, groups))
        return "the list of groups names an unknown one";
    if (!spec->client && !set_list(ctx, SSL_CTRL_SET_SIGALGS_LIST, server_signatures))
        return "the kinds of signatures are unknown";
    if (spec->small && !set_list(ctx, SSL_CTRL_SET_SIGALGS_LIST, small_signatures))
        return "the kinds of signatures are unknown";
    return NULL;
}

static const char *set_server(SSL_CTX *ctx, struct tls_domain *d, struct tls_policy *policy,
                              const struct tls_policy_spec *spec, const struct tls_name *set)
{
    for (uint32_t kind = 0; kind < TLS_KIND_CNT; kind++) {
        const struct tls_certificate *c;
        if (set->certificate[kind] < 0)
            continue;
        c = &d->certificate[set->certificate[kind]];
        if (SSL_CTX_use_cert_and_key(ctx, c->leaf, c->pkey, c->chain, 1) != 1)
            return "a certificate could not be used: it is weaker than the policy allows";
    }
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
    SSL_CTX_set_alpn_select_cb(ctx, on_protocols, policy);
    if (spec->tickets > 1)
        return "there can be 0 or 1 tickets";
    if (spec->tickets == 0)
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    else if (SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) != 1)
        return "tickets could not be set up";
    if (SSL_CTX_set_num_tickets(ctx, spec->tickets) != 1 ||
        SSL_CTX_set_session_id_context(ctx, session_context, sizeof(session_context) - 1) != 1)
        return "sessions could not be set up";
    SSL_CTX_set_generate_session_id(ctx, on_session_id);
    SSL_CTX_set_timeout(ctx, TICKET_S);
    if (spec->ask_certificate) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_cert_verify_callback(ctx, on_chain, NULL);
        SSL_CTX_set_max_cert_list(ctx, CERTIFICATE_LIST_MAX);
    }
    if (policy->client_ca)
        return tls_client_ca_set(ctx, d->libctx, spec->client_ca_pem);
    return NULL;
}

static void set_client(SSL_CTX *ctx)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET); /* but for those of tls_conn_offer */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, tls_session_given);
    SSL_CTX_set_cert_verify_callback(ctx, on_chain, NULL);
    SSL_CTX_set_max_cert_list(ctx, SERVER_LIST_MAX);
}

SSL_CTX *tls_context_new(struct tls_domain *d, const struct tls_policy_spec *spec,
                         struct tls_policy *policy, const struct tls_name *set, char *why,
                         size_t cap)
{
    SSL_CTX *ctx =
        SSL_CTX_new_ex(d->libctx, NULL, spec->client ? TLS_client_method() : TLS_server_method());
    const char *wrong = "memory is short";

    if (ctx != NULL) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
        SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        wrong = tls_context_set_algorithms(ctx, spec);
    }
    if (wrong == NULL && spec->client)
        set_client(ctx);
    if (wrong == NULL && !spec->client)
        wrong = set_server(ctx, d, policy, spec, set);
    ERR_clear_error();
    if (wrong == NULL)
        return ctx;
    SSL_CTX_free(ctx);
    snprintf(why, cap, "%s: %s", spec->label, wrong);
    return NULL;
}
