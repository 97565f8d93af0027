/*
 * X25519 (RFC 7748) for key exchange: what a driver may offer to TLS in place of OpenSSL's own. It
 * is asked from inside a handshake and answers at once. A driver that computes several at a time
 * keeps what it has computed ahead: key pairs do not depend on the peer, and the shared secrets of
 * a burst of ClientHellos can be computed when their key shares are known.
 *
 * Threads: the lane's only. Memory: the caller's. Secrets that the driver keeps are used once and
 * wiped.
 */
#ifndef TLS_KEX_H
#define TLS_KEX_H

#include <stdbool.h>
#include <stdint.h>

#define TLS_KEX_BYTES 32

struct tls_kex_ops {
    const char *name;
    /* A new key pair. Returns false when randomness fails. */
    bool (*keygen)(void *state, uint8_t secret[TLS_KEX_BYTES], uint8_t share[TLS_KEX_BYTES]);
    /* The shared secret. Returns false when it is all zero (RFC 7748 section 6.1). */
    bool (*derive)(void *state, const uint8_t secret[TLS_KEX_BYTES],
                   const uint8_t peer[TLS_KEX_BYTES], uint8_t shared[TLS_KEX_BYTES]);
};

/* ops NULL: OpenSSL's own. */
struct tls_kex_driver {
    const struct tls_kex_ops *ops;
    void *state;
};

#endif
