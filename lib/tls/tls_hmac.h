/*
 * SHA-256, SHA-384 and their HMAC (RFC 2104) without a look-up: private to lib/tls. The functions
 * called are deprecated in favor of EVP, whose fetch costs more than the hashing of what a
 * handshake hashes.
 */
#ifndef TLS_HMAC_H
#define TLS_HMAC_H

#include "base_bytes.h"

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#define TLS_HASH_MAX SHA384_DIGEST_LENGTH

struct tls_hash {
    bool wide; /* SHA-384 */
    union {
        SHA256_CTX narrow;
        SHA512_CTX broad;
    };
};

struct tls_hmac {
    struct tls_hash hash;
    uint8_t block[SHA512_CBLOCK]; /* the key, padded and combined with the outer pad */
};

static inline size_t tls_hash_bytes(bool wide)
{
    return wide ? SHA384_DIGEST_LENGTH : SHA256_DIGEST_LENGTH;
}

static inline size_t tls_hash_block_bytes(bool wide)
{
    return wide ? SHA512_CBLOCK : SHA256_CBLOCK;
}

/* "SHA256", "SHA2-384" and so on. Returns false for other names. */
bool tls_hash_named(const char *name, bool *wide);

void tls_hash_start(struct tls_hash *h, bool wide);
void tls_hash_add(struct tls_hash *h, struct base_span bytes);
void tls_hash_end(struct tls_hash *h, uint8_t *out); /* tls_hash_bytes of it */

void tls_hmac_start(struct tls_hmac *h, bool wide, struct base_span key);
void tls_hmac_add(struct tls_hmac *h, struct base_span bytes);
void tls_hmac_end(struct tls_hmac *h, uint8_t *out); /* wipes h */

#endif
