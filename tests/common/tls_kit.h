/*
 * What tests and benchmarks of TLS need beside the engine: keys and certificates made on the spot,
 * and a plain OpenSSL peer (its default library context, memory BIOs) whose bytes the caller moves.
 * Failures end the program with a line on stderr.
 */
#ifndef TLS_KIT_H
#define TLS_KIT_H

#include "base_bytes.h"
#include "tls.h"

#include <openssl/ssl.h>

/* A certificate signed by an intermediate one, as real ones are. */
struct kit_certificate {
    char *chain_pem; /* the leaf, then the intermediate */
    char *key_pem;
    X509 *leaf;
    X509 *intermediate;
    EVP_PKEY *key;
};

/* kind: "EC", "EC384", "RSA" (2048 bits), "RSA1024", "ED25519"; names: dNSNames; validity in days
 * from now. */
void kit_certificate_make(struct kit_certificate *c, const char *kind, const char *const *names,
                          uint32_t name_cnt, int from_days, int to_days);
void kit_certificate_free(struct kit_certificate *c);
struct tls_certificate_spec kit_spec(const struct kit_certificate *c, const char *label);

/* The far end. */
struct kit_peer {
    SSL *ssl;
    BIO *in, *out;
};

SSL_CTX *kit_client_context(int version); /* TLS1_2_VERSION, TLS1_3_VERSION, or 0 for both */
SSL_CTX *kit_server_context(int version, const struct kit_certificate *c);
void kit_peer_open(struct kit_peer *p, SSL_CTX *ctx, bool client, const char *name);
void kit_peer_close(struct kit_peer *p);
/* One step of its handshake. Returns 1 when done, 0 when it needs more, -1 when it failed. */
int kit_peer_step(struct kit_peer *p);
/* Takes up to cap bytes of what it has to send. */
size_t kit_peer_take(struct kit_peer *p, uint8_t *to, size_t cap);
void kit_peer_give(struct kit_peer *p, const uint8_t *from, size_t len);

#endif
