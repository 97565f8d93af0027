/*
 * A ClientHello of TLS 1.3 (RFC 8446 section 4.1.2), looked at before OpenSSL is: whether a shared
 * secret of X25519 can be made ahead for it. Strict: what is not as the RFC says, or not whole in
 * one record, has no share here, and OpenSSL has the word about it.
 *
 * Threads: no state.
 */
#ifndef TLS_HELLO_H
#define TLS_HELLO_H

#include "base_bytes.h"

#include <stdbool.h>

#define TLS_HELLO_SHARE_BYTES 32

/* in: the first bytes of a connection, of which the first record is looked at. Returns the client's
 * share (sections 4.2.8 and 4.2.8.2) within in when it offers TLS 1.3 with one, otherwise NULL. */
const uint8_t *tls_hello_share(struct base_span in);

#endif
