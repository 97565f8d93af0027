/*
 * SipHash-2-4 (Aumasson and Bernstein 2012): a keyed hash for what an attacker may choose, such as
 * table keys, and for initial sequence numbers (RFC 6528). Pure; any thread.
 */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t base_siphash(const uint8_t key[16], const void *p, size_t len);

#endif
