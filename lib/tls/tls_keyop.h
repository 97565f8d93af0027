/*
 * Private-key operations: what a driver (drivers/keyop/...) offers to TLS. A handshake needs one
 * signature of the server's key; the engine gathers those of a pass and hands them over as a burst,
 * so that a driver may work on several at once: lanes of a vector unit, other cores, a card.
 *
 * Left out: decryption (there is no RSA key exchange), signatures of data longer than a digest.
 *
 * Threads: key_open and key_close are called by control, for one driver at a time; all others by
 * the lane that the state belongs to, execute also by control before the lane runs. A key may be
 * opened while the lane works with others.
 *
 * Memory: an operation belongs to the driver from submit until poll returns it. A key stays open
 * until no operation with it is under way: the engine sees to that.
 * Operations are ordinary memory: a driver of a card copies input and output, which are small, to
 * where the card reaches them.
 *
 * Not every driver can do everything: what its vector unit or card has no way for (a curve, a
 * length, execute beside a queue that is under way) it does with OpenSSL itself. For that it keeps
 * the key it was given at key_open in both forms, as drivers/keyop/keyop_key.h does.
 */
#ifndef TLS_KEYOP_H
#define TLS_KEYOP_H

#include "base_assert.h"
#include "base_bytes.h"

#include <stdbool.h>
#include <stdint.h>

#define TLS_KEYOP_INPUT_MAX  64  /* bytes: SHA-512 */
#define TLS_KEYOP_OUTPUT_MAX 512 /* bytes: RSA with 4096 bits */

enum tls_keyop_algorithm {
    TLS_KEYOP_RSA_PKCS1, /* RSASSA-PKCS1-v1_5, RFC 8017 section 8.2: TLS 1.2 */
    TLS_KEYOP_RSA_PSS,   /* RSASSA-PSS, salt and MGF1 of the digest's length and kind */
    TLS_KEYOP_ECDSA,     /* the output is DER */
    TLS_KEYOP_ALGORITHM_CNT
};

enum tls_keyop_digest {
    TLS_KEYOP_SHA256,
    TLS_KEYOP_SHA384,
    TLS_KEYOP_SHA512,
    TLS_KEYOP_DIGEST_CNT
};

enum tls_keyop_status { TLS_KEYOP_PENDING, TLS_KEYOP_OK, TLS_KEYOP_FAILED };

struct tls_keyop {
    void *key;         /* of key_open */
    uint8_t algorithm; /* enum tls_keyop_algorithm; fits the key */
    uint8_t digest;    /* enum tls_keyop_digest */
    uint8_t status;    /* enum tls_keyop_status: written by the driver before poll returns it */
    uint8_t input_len;
    uint16_t output_len;                  /* written by the driver */
    uint8_t input[TLS_KEYOP_INPUT_MAX];   /* the digest of what is signed */
    uint8_t output[TLS_KEYOP_OUTPUT_MAX]; /* the signature */
};

struct tls_keyop_ops {
    const char *name;
    /* Takes a private key as PKCS#8 DER (RFC 5958), which the caller wipes afterwards. Returns the
     * driver's handle, or NULL when it cannot work with such a key. */
    void *(*key_open)(void *state, struct base_span pkcs8);
    void (*key_close)(void *state, void *key);
    /* Hands over the first n operations, status PENDING; returns n, fewer than cnt when the queue
     * is full. */
    uint32_t (*submit)(void *state, struct tls_keyop **ops, uint32_t cnt);
    /* Takes back up to cap that are done, in any order, status OK or FAILED. Never blocks. */
    uint32_t (*poll)(void *state, struct tls_keyop **ops, uint32_t cap);
    /* Does one at once, whatever else waits. */
    void (*execute)(void *state, struct tls_keyop *op);
    /* The lane's thread ends: what OpenSSL keeps for it is given up. May be NULL. */
    void (*leave)(void *state);
    /* Whether handshakes are to be parked while their operation is under way. Without, every one
     * is done by execute, and submit and poll are not called. */
    bool (*deferred)(void *state);
};

/* One lane's: the state is not shared. */
struct tls_keyop_driver {
    const struct tls_keyop_ops *ops;
    void *state;
};

#endif
