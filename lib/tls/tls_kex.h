/*
 * X25519 (RFC 7748) for key exchange: what a driver may offer to TLS in place of OpenSSL's own. It
 * is asked from inside a handshake and answers at once; a handshake is never parked for it.
 *
 * A driver that computes several at a time works ahead. Key pairs do not depend on the peer: it
 * keeps some. Shared secrets do: with batch it is asked for the answers to several ClientHellos of
 * a pass at once, before the first of them is answered. For the others (one alone, one that came in
 * pieces, TLS 1.2) keygen and derive are asked. What was computed and no handshake took (it failed,
 * another group was chosen) the engine wipes.
 *
 * Threads: the lane's only. Memory: the caller's. Secrets that the driver keeps are used once and
 * wiped.
 */
#ifndef TLS_KEX_H
#define TLS_KEX_H

#include "base_bytes.h"

#include <stdbool.h>
#include <stdint.h>

#define TLS_KEX_BYTES     32
#define TLS_KEX_BATCH_MAX 8

/* The answer to one ClientHello. */
struct tls_kex_answer {
    uint8_t peer[TLS_KEX_BYTES]; /* the share in it */
    uint8_t secret[TLS_KEX_BYTES], share[TLS_KEX_BYTES];
    uint8_t shared[TLS_KEX_BYTES];
    bool made;  /* by the driver: the three above are */
    bool tried; /* the engine's: the driver was asked */
};

struct tls_kex_ops {
    const char *name;
    /* A new key pair. peer is the share that its secret will be used with, or NULL where that is
     * not known yet: clients, servers of TLS 1.2. Returns false when randomness fails. */
    bool (*keygen)(void *state, const uint8_t *peer, uint8_t secret[TLS_KEX_BYTES],
                   uint8_t share[TLS_KEX_BYTES]);
    /* The shared secret. Returns false when it is all zero (RFC 7748 section 6.1). */
    bool (*derive)(void *state, const uint8_t secret[TLS_KEX_BYTES],
                   const uint8_t peer[TLS_KEX_BYTES], uint8_t shared[TLS_KEX_BYTES]);
    /* Makes 2 to TLS_KEX_BATCH_MAX answers: a new key pair for each and the shared secret. What it
     * cannot make, or is all zero, it leaves for keygen and derive. Not called from inside a
     * handshake: on the thread's own stack. May be NULL: then no ClientHello waits for another. */
    void (*batch)(void *state, struct tls_kex_answer *const *answers, uint32_t cnt);
};

/* ops NULL: OpenSSL's own. */
struct tls_kex_driver {
    const struct tls_kex_ops *ops;
    void *state;
};

#endif
