#include "base_siphash.h"

#include <string.h>

struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static void round1(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

static void compress(struct sip *s, uint64_t m)
{
    s->v3 ^= m;
    round1(s);
    round1(s);
    s->v0 ^= m;
}

uint64_t base_siphash(const uint8_t key[16], const void *p, size_t len)
{
    const uint8_t *b = p;
    uint64_t k0, k1, m;
    uint64_t last = (uint64_t)len << 56;

    memcpy(&k0, key, 8);
    memcpy(&k1, key + 8, 8);
    struct sip s = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                    k1 ^ 0x7465646279746573u};
    for (; len >= 8; len -= 8, b += 8) {
        memcpy(&m, b, 8);
        compress(&s, m);
    }
    for (size_t i = 0; i < len; i++)
        last |= (uint64_t)b[i] << (8 * i);
    compress(&s, last);
    s.v2 ^= 0xff;
    for (int i = 0; i < 4; i++)
        round1(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
