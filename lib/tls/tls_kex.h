/*
 * X25519 (RFC 7748) for key exchange: what a driver may offer to TLS in place of OpenSSL's own. It
 * is asked from inside a handshake and answers at once; a handshake is never parked for it.
 *
 * A driver that computes several at a time works ahead. Key pairs do not depend on the peer: it
 * keeps some. Shared secrets do: with peek it is shown the ClientHellos of a pass before any of
 * them is answered, and when keygen then asks for the first of the shares seen, it may compute the
 * pairs and the shared secrets for all of them. What it did not see, or could not read, it computes
 * when asked; what it computed and is not asked for (the handshake failed, another group was
 * chosen) it forgets.
 *
 * Threads: the lane's only. Memory: the caller's. Secrets that the driver keeps are used once and
 * wiped.
 */
#ifndef TLS_KEX_H
#define TLS_KEX_H

#include "base_bytes.h"

#include <stdbool.h>
#include <stdint.h>

#define TLS_KEX_BYTES 32

struct tls_kex_ops {
    const char *name;
    /* A new key pair. peer is the share that its secret will be used with, or NULL where that is
     * not known yet: clients, servers of TLS 1.2. Returns false when randomness fails. */
    bool (*keygen)(void *state, const uint8_t *peer, uint8_t secret[TLS_KEX_BYTES],
                   uint8_t share[TLS_KEX_BYTES]);
    /* The shared secret. Returns false when it is all zero (RFC 7748 section 6.1). */
    bool (*derive)(void *state, const uint8_t secret[TLS_KEX_BYTES],
                   const uint8_t peer[TLS_KEX_BYTES], uint8_t shared[TLS_KEX_BYTES]);
    /* The first bytes of a connection from a client, as they came: records with a ClientHello, or a
     * part of it, or anything else. Borrowed for the call. The handshake goes on after all that
     * came in the same pass were shown. May be NULL: then none waits. */
    void (*peek)(void *state, struct base_span bytes);
};

/* ops NULL: OpenSSL's own. */
struct tls_kex_driver {
    const struct tls_kex_ops *ops;
    void *state;
};

#endif
