/*
 * X25519 (RFC 7748 section 5) of eight secrets with eight points at once, by AVX-512 IFMA: together
 * they take about as long as one or two by themselves. Works in constant time, and on any point.
 *
 * Threads: no state. Errors: none; a result that is all zero is for the caller to refuse.
 */
#ifndef TLS_X25519_IFMA_H
#define TLS_X25519_IFMA_H

#include <stdbool.h>
#include <stdint.h>

#define TLS_X25519_IFMA_CNT 8

/* Whether this processor can. */
bool tls_x25519_ifma_possible(void);

/* out[i] = X25519(secret[i], point[i]), for all TLS_X25519_IFMA_CNT of them, all borrowed. The
 * last points and the result are wiped where they were kept. Only where it is possible. */
void tls_x25519_ifma(uint8_t (*out)[32], const uint8_t (*secret)[32], const uint8_t (*point)[32]);

#endif
