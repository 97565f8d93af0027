/*
 * Numbers modulo 2^255 - 19 are five limbs of 51 bits, each a vector of eight: one lane, one
 * number. The processor multiplies 52 bits by 52 and adds the lower or the upper 52 bits of the
 * product. Limbs i and j meet at bit 51 (i + j); the upper half belongs 52 bits above, which is
 * twice what limb i + j + 1 counts.
 *
 * Bounds: "tight" limbs are below 2^51 + 2^15, which is what carry() leaves of limbs below 2^62.
 * Sums of two tight ones, and differences with 2p added, are below 2^53, and are carried before
 * they are multiplied, as a factor has to be below 2^52. A product's sums: five times 2^52 and
 * twice five times 2^52, below 2^56; folded by 19, with itself, below 2^61.
 */
#include "tls_x25519_ifma.h"

#include <immintrin.h>
#include <openssl/crypto.h>
#include <string.h>

#define LIMB_CNT  5
#define LIMB_BITS 51
#define A24       121665 /* RFC 7748 section 5 */
#define TARGET    __attribute__((target("avx512f,avx512dq,avx512vl,avx512ifma")))
#define TARGET_IN TARGET __attribute__((always_inline)) static inline

typedef __m512i lanes;

struct number {
    lanes limb[LIMB_CNT];
};

bool tls_x25519_ifma_possible(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512ifma");
}

/* 19 = 16 + 2 + 1 */
TARGET_IN lanes times_19(lanes x)
{
    return _mm512_add_epi64(_mm512_add_epi64(_mm512_slli_epi64(x, 4), _mm512_slli_epi64(x, 1)), x);
}

TARGET_IN void carry(struct number *n)
{
    const lanes mask = _mm512_set1_epi64((1LL << LIMB_BITS) - 1);
    lanes over[LIMB_CNT];

    for (int i = 0; i < LIMB_CNT; i++) {
        over[i] = _mm512_srli_epi64(n->limb[i], LIMB_BITS);
        n->limb[i] = _mm512_and_si512(n->limb[i], mask);
    }
    n->limb[0] = _mm512_add_epi64(n->limb[0], times_19(over[LIMB_CNT - 1]));
    for (int i = 1; i < LIMB_CNT; i++)
        n->limb[i] = _mm512_add_epi64(n->limb[i], over[i - 1]);
}

TARGET_IN struct number add(const struct number *a, const struct number *b)
{
    struct number r;

    for (int i = 0; i < LIMB_CNT; i++)
        r.limb[i] = _mm512_add_epi64(a->limb[i], b->limb[i]);
    carry(&r);
    return r;
}

TARGET_IN struct number subtract(const struct number *a, const struct number *b)
{
    struct number r;

    for (int i = 0; i < LIMB_CNT; i++) { /* 2p, so that no limb is below zero */
        lanes twice_p = _mm512_set1_epi64((1LL << (LIMB_BITS + 1)) - (i == 0 ? 38 : 2));
        r.limb[i] = _mm512_sub_epi64(_mm512_add_epi64(a->limb[i], twice_p), b->limb[i]);
    }
    carry(&r);
    return r;
}

/* low[k] counts at limb k, high[k] twice at limb k + 1. */
TARGET_IN struct number fold(const lanes low[2 * LIMB_CNT - 1], const lanes high[2 * LIMB_CNT - 1])
{
    lanes sum[2 * LIMB_CNT];
    struct number r;

    sum[0] = low[0];
    for (int k = 1; k < 2 * LIMB_CNT - 1; k++)
        sum[k] = _mm512_add_epi64(low[k], _mm512_slli_epi64(high[k - 1], 1));
    sum[2 * LIMB_CNT - 1] = _mm512_slli_epi64(high[2 * LIMB_CNT - 2], 1);
    for (int k = 0; k < LIMB_CNT; k++) /* 2^255 = 19 */
        r.limb[k] = _mm512_add_epi64(sum[k], times_19(sum[k + LIMB_CNT]));
    carry(&r);
    return r;
}

TARGET_IN struct number multiply(const struct number *a, const struct number *b)
{
    lanes low[2 * LIMB_CNT - 1], high[2 * LIMB_CNT - 1];

    for (int k = 0; k < 2 * LIMB_CNT - 1; k++)
        low[k] = high[k] = _mm512_setzero_si512();
    for (int i = 0; i < LIMB_CNT; i++)
        for (int j = 0; j < LIMB_CNT; j++) {
            low[i + j] = _mm512_madd52lo_epu64(low[i + j], a->limb[i], b->limb[j]);
            high[i + j] = _mm512_madd52hi_epu64(high[i + j], a->limb[i], b->limb[j]);
        }
    return fold(low, high);
}

/* Products of two different limbs come twice: added to themselves, as twice a limb has 53 bits. */
TARGET_IN struct number square(const struct number *a)
{
    lanes low[2 * LIMB_CNT - 1], high[2 * LIMB_CNT - 1];

    for (int k = 0; k < 2 * LIMB_CNT - 1; k++)
        low[k] = high[k] = _mm512_setzero_si512();
    for (int i = 0; i < LIMB_CNT; i++)
        for (int j = i + 1; j < LIMB_CNT; j++) {
            low[i + j] = _mm512_madd52lo_epu64(low[i + j], a->limb[i], a->limb[j]);
            high[i + j] = _mm512_madd52hi_epu64(high[i + j], a->limb[i], a->limb[j]);
        }
    for (int k = 0; k < 2 * LIMB_CNT - 1; k++) {
        low[k] = _mm512_slli_epi64(low[k], 1);
        high[k] = _mm512_slli_epi64(high[k], 1);
    }
    for (int i = 0; i < LIMB_CNT; i++) {
        low[2 * i] = _mm512_madd52lo_epu64(low[2 * i], a->limb[i], a->limb[i]);
        high[2 * i] = _mm512_madd52hi_epu64(high[2 * i], a->limb[i], a->limb[i]);
    }
    return fold(low, high);
}

TARGET_IN struct number times_a24(const struct number *a)
{
    const lanes factor = _mm512_set1_epi64(A24);
    lanes low[2 * LIMB_CNT - 1], high[2 * LIMB_CNT - 1];

    for (int k = 0; k < 2 * LIMB_CNT - 1; k++)
        low[k] = high[k] = _mm512_setzero_si512();
    for (int i = 0; i < LIMB_CNT; i++) {
        low[i] = _mm512_madd52lo_epu64(low[i], a->limb[i], factor);
        high[i] = _mm512_madd52hi_epu64(high[i], a->limb[i], factor);
    }
    return fold(low, high);
}

TARGET_IN void swap(struct number *a, struct number *b, __mmask8 where)
{
    for (int i = 0; i < LIMB_CNT; i++) {
        lanes x = a->limb[i], y = b->limb[i];
        a->limb[i] = _mm512_mask_blend_epi64(where, x, y);
        b->limb[i] = _mm512_mask_blend_epi64(where, y, x);
    }
}

TARGET static struct number square_times(struct number a, int times)
{
    for (int i = 0; i < times; i++)
        a = square(&a);
    return a;
}

TARGET static struct number product(const struct number *a, const struct number *b)
{
    return multiply(a, b);
}

/* To the power of p - 2 = 2^255 - 21. xN is z to the power of 2^N - 1. */
TARGET static struct number invert(const struct number *z)
{
    struct number z2 = square_times(*z, 1), z8 = square_times(z2, 2), z9 = product(&z8, z);
    struct number z11 = product(&z9, &z2), t = square_times(z11, 1);
    struct number x5 = product(&t, &z9);

    t = square_times(x5, 5);
    struct number x10 = product(&t, &x5);
    t = square_times(x10, 10);
    struct number x20 = product(&t, &x10);
    t = square_times(x20, 20);
    struct number x40 = product(&t, &x20);
    t = square_times(x40, 10);
    struct number x50 = product(&t, &x10);
    t = square_times(x50, 50);
    struct number x100 = product(&t, &x50);
    t = square_times(x100, 100);
    struct number x200 = product(&t, &x100);
    t = square_times(x200, 50);
    struct number x250 = product(&t, &x50);
    t = square_times(x250, 5);
    return product(&t, &z11);
}

/* ---- bytes ---- */

static uint64_t word(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

/* The uppermost bit is not looked at (RFC 7748 section 5). */
TARGET static struct number load(const uint8_t (*bytes)[32])
{
    const uint64_t mask = (UINT64_C(1) << LIMB_BITS) - 1;
    uint64_t limb[LIMB_CNT][TLS_X25519_IFMA_CNT];
    struct number n;

    for (int i = 0; i < TLS_X25519_IFMA_CNT; i++) {
        uint64_t w[4];
        for (int k = 0; k < 4; k++)
            w[k] = word(bytes[i] + 8 * k);
        limb[0][i] = w[0] & mask;
        limb[1][i] = (w[0] >> 51 | w[1] << 13) & mask;
        limb[2][i] = (w[1] >> 38 | w[2] << 26) & mask;
        limb[3][i] = (w[2] >> 25 | w[3] << 39) & mask;
        limb[4][i] = w[3] >> 12 & mask;
    }
    for (int k = 0; k < LIMB_CNT; k++)
        n.limb[k] = _mm512_loadu_si512(limb[k]);
    return n;
}

/* Of tight limbs: the number below p that they stand for. */
static void reduce(uint64_t v[LIMB_CNT])
{
    const uint64_t mask = (UINT64_C(1) << LIMB_BITS) - 1;
    uint64_t q = 19;

    for (int round = 0; round < 2; round++) { /* below 2^255 afterwards */
        for (int k = 0; k < LIMB_CNT - 1; k++) {
            v[k + 1] += v[k] >> LIMB_BITS;
            v[k] &= mask;
        }
        v[0] += 19 * (v[LIMB_CNT - 1] >> LIMB_BITS);
        v[LIMB_CNT - 1] &= mask;
    }
    for (int k = 0; k < LIMB_CNT; k++) /* 1 where it is p or more: then 19 more reach 2^255 */
        q = (v[k] + q) >> LIMB_BITS;
    v[0] += 19 * q;
    for (int k = 0; k < LIMB_CNT - 1; k++) {
        v[k + 1] += v[k] >> LIMB_BITS;
        v[k] &= mask;
    }
    v[LIMB_CNT - 1] &= mask;
}

TARGET static void store(uint8_t (*bytes)[32], const struct number *n)
{
    uint64_t limb[LIMB_CNT][TLS_X25519_IFMA_CNT], v[LIMB_CNT];

    for (int k = 0; k < LIMB_CNT; k++)
        _mm512_storeu_si512(limb[k], n->limb[k]);
    for (int i = 0; i < TLS_X25519_IFMA_CNT; i++) {
        for (int k = 0; k < LIMB_CNT; k++)
            v[k] = limb[k][i];
        reduce(v);
        uint64_t w[4] = {v[0] | v[1] << 51, v[1] >> 13 | v[2] << 38, v[2] >> 26 | v[3] << 25,
                         v[3] >> 39 | v[4] << 12};
        memcpy(bytes[i], w, sizeof(w));
        OPENSSL_cleanse(w, sizeof(w));
    }
    OPENSSL_cleanse(limb, sizeof(limb));
    OPENSSL_cleanse(v, sizeof(v));
}

/* ---- the ladder ---- */

/* Two points of a step, each a fraction x / z. */
struct ladder {
    struct number x2, z2, x3, z3;
};

TARGET_IN void step(struct ladder *l, const struct number *x1)
{
    struct number a = add(&l->x2, &l->z2), b = subtract(&l->x2, &l->z2);
    struct number c = add(&l->x3, &l->z3), d = subtract(&l->x3, &l->z3);
    struct number aa = square(&a), bb = square(&b), e = subtract(&aa, &bb);
    struct number da = multiply(&d, &a), cb = multiply(&c, &b);
    struct number sum = add(&da, &cb), difference = subtract(&da, &cb);

    l->x3 = square(&sum);
    difference = square(&difference);
    l->z3 = multiply(x1, &difference);
    l->x2 = multiply(&aa, &bb);
    struct number part = times_a24(&e);
    part = add(&aa, &part);
    l->z2 = multiply(&e, &part);
}

/* Bit t of each scalar, of which bits 0 to 2 and 255 are taken as 0 and bit 254 as 1. */
static uint8_t bits(const uint8_t (*secret)[32], int t)
{
    uint8_t mask = 0;

    for (int i = 0; i < TLS_X25519_IFMA_CNT; i++)
        mask |= (uint8_t)((secret[i][t / 8] >> (t % 8) & 1) << i);
    return t < 3 ? 0 : t == 254 ? 0xff : mask;
}

TARGET void tls_x25519_ifma(uint8_t (*out)[32], const uint8_t (*secret)[32],
                            const uint8_t (*point)[32])
{
    struct number x1 = load(point), zero, one;
    struct ladder l;
    uint8_t swapped = 0;

    for (int k = 0; k < LIMB_CNT; k++) {
        zero.limb[k] = _mm512_setzero_si512();
        one.limb[k] = _mm512_set1_epi64(k == 0);
    }
    l = (struct ladder){.x2 = one, .z2 = zero, .x3 = x1, .z3 = one};
    for (int t = 254; t >= 0; t--) {
        uint8_t now = bits(secret, t);
        swap(&l.x2, &l.x3, now ^ swapped);
        swap(&l.z2, &l.z3, now ^ swapped);
        swapped = now;
        step(&l, &x1);
    }
    /* The last bit is 0: nothing is swapped. */
    struct number inverse = invert(&l.z2), x = multiply(&l.x2, &inverse);
    store(out, &x);
    OPENSSL_cleanse(&l, sizeof(l));
    OPENSSL_cleanse(&inverse, sizeof(inverse));
    OPENSSL_cleanse(&x, sizeof(x));
}
