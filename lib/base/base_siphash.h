/*
 * Keyed hashes for what an attacker may choose (Aumasson and Bernstein 2012). SipHash-2-4 is for
 * what must not be guessed, such as initial sequence numbers (RFC 6528); SipHash-1-3 is for the
 * places in a table, which nobody gets to see. Pure; any thread.
 */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct base_sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t base_sip_rotate(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static inline void base_sip_rounds(struct base_sip *s, int cnt)
{
    for (int i = 0; i < cnt; i++) {
        s->v0 += s->v1;
        s->v1 = base_sip_rotate(s->v1, 13) ^ s->v0;
        s->v0 = base_sip_rotate(s->v0, 32);
        s->v2 += s->v3;
        s->v3 = base_sip_rotate(s->v3, 16) ^ s->v2;
        s->v0 += s->v3;
        s->v3 = base_sip_rotate(s->v3, 21) ^ s->v0;
        s->v2 += s->v1;
        s->v1 = base_sip_rotate(s->v1, 17) ^ s->v2;
        s->v2 = base_sip_rotate(s->v2, 32);
    }
}

static inline void base_sip_compress(struct base_sip *s, uint64_t word, int round_cnt)
{
    s->v3 ^= word;
    base_sip_rounds(s, round_cnt);
    s->v0 ^= word;
}

/* SipHash with word_rounds for each 8 bytes and end_rounds at the end. */
static inline uint64_t base_sip(const uint8_t key[16], const void *p, size_t len, int word_rounds,
                                int end_rounds)
{
    const uint8_t *b = p;
    uint64_t k0, k1, word, last = (uint64_t)len << 56;

    memcpy(&k0, key, 8);
    memcpy(&k1, key + 8, 8);
    struct base_sip s = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du,
                         k0 ^ 0x6c7967656e657261u, k1 ^ 0x7465646279746573u};
    for (; len >= 8; len -= 8, b += 8) {
        memcpy(&word, b, 8);
        base_sip_compress(&s, word, word_rounds);
    }
    word = 0;
    memcpy(&word, b, len);
    base_sip_compress(&s, last | word, word_rounds);
    s.v2 ^= 0xff;
    base_sip_rounds(&s, end_rounds);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* SipHash-2-4 */
uint64_t base_siphash(const uint8_t key[16], const void *p, size_t len);

/* SipHash-1-3; inline, because with a constant len little is left of it. */
static inline uint64_t base_siphash13(const uint8_t key[16], const void *p, size_t len)
{
    return base_sip(key, p, len, 1, 3);
}

#endif
