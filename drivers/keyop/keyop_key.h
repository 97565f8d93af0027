/*
 * A private key as OpenSSL's plain one, in a library context of its user's: what the drivers share
 * that sign with OpenSSL. For each algorithm and digest a context is kept ready, so that a
 * signature looks nothing up.
 *
 * Threads: open and close by control, sign by the one thread that the library context is for.
 */
#ifndef KEYOP_KEY_H
#define KEYOP_KEY_H

#include "tls_keyop.h"

#include <openssl/evp.h>

struct keyop_key {
    EVP_PKEY *pkey;
    EVP_PKEY_CTX *ready[TLS_KEYOP_ALGORITHM_CNT][TLS_KEYOP_DIGEST_CNT]; /* those that fit the key */
};

/* Returns 0, or -1: not a key that can sign for TLS. */
int keyop_key_open(struct keyop_key *k, OSSL_LIB_CTX *libctx,
                   struct base_span pkcs8) BASE_WARN_UNUSED;
void keyop_key_close(struct keyop_key *k);

/* Sets output and status. */
void keyop_key_sign(struct keyop_key *k, struct tls_keyop *op);

#endif
