/*
 * The instruction takes 3 cycles and starts each cycle, so long inputs go as three streams, which
 * are put together by a carry-less multiplication: a checksum moved over n bytes of zeros is its
 * product with x^(8n - 33) modulo the polynomial (the instruction itself multiplies by x^32, and
 * the product of reflected numbers lies one bit off).
 */
#include "base_crc32c.h"

#include <immintrin.h>
#include <string.h>

#define TARGET       __attribute__((target("sse4.2,pclmul")))
#define STREAM_BYTES 1024
#define OVER_1024    0x170076fa /* x^(8 * 1024 - 33), reflected */
#define OVER_2048    0xa51b6135

static inline uint64_t load(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

static inline uint64_t load_copy(uint8_t *to, const uint8_t *p)
{
    uint64_t word = load(p);
    memcpy(to, &word, 8);
    return word;
}

static inline uint64_t load_stream(uint8_t *to, const uint8_t *p)
{
    uint64_t word = load(p);
    _mm_stream_si64((long long *)(void *)to, (long long)word);
    return word;
}

TARGET static inline uint64_t shift(uint64_t crc, uint32_t over)
{
    __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc), _mm_cvtsi32_si128((int)over), 0);
    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

TARGET static inline uint64_t join(uint64_t a, uint64_t b, uint64_t c)
{
    return shift(a, OVER_2048) ^ shift(b, OVER_1024) ^ c;
}

TARGET uint32_t base_crc32c(uint32_t seed, const void *p, size_t len)
{
    const uint8_t *at = p;
    uint64_t crc = (uint32_t)~seed;

    for (; len >= 3 * STREAM_BYTES; len -= 3 * STREAM_BYTES, at += 3 * STREAM_BYTES) {
        uint64_t b = 0, c = 0;
        for (size_t i = 0; i < STREAM_BYTES; i += 8) {
            crc = _mm_crc32_u64(crc, load(at + i));
            b = _mm_crc32_u64(b, load(at + STREAM_BYTES + i));
            c = _mm_crc32_u64(c, load(at + 2 * STREAM_BYTES + i));
        }
        crc = join(crc, b, c);
    }
    for (; len >= 8; len -= 8, at += 8)
        crc = _mm_crc32_u64(crc, load(at));
    uint32_t tail = (uint32_t)crc;
    for (; len > 0; len--, at++)
        tail = _mm_crc32_u8(tail, *at);
    return ~tail;
}

TARGET uint32_t base_crc32c_copy(void *to, const void *p, size_t len)
{
    const uint8_t *at = p;
    uint8_t *dest = to;
    uint64_t crc = UINT32_MAX;

    for (; len >= 3 * STREAM_BYTES; len -= 3 * STREAM_BYTES) {
        uint64_t b = 0, c = 0;
        for (size_t i = 0; i < STREAM_BYTES; i += 8) {
            crc = _mm_crc32_u64(crc, load_copy(dest + i, at + i));
            b = _mm_crc32_u64(b, load_copy(dest + STREAM_BYTES + i, at + STREAM_BYTES + i));
            c = _mm_crc32_u64(c, load_copy(dest + 2 * STREAM_BYTES + i, at + 2 * STREAM_BYTES + i));
        }
        crc = join(crc, b, c);
        at += 3 * STREAM_BYTES;
        dest += 3 * STREAM_BYTES;
    }
    if (len > 0)
        memcpy(dest, at, len);
    return base_crc32c(~(uint32_t)crc, at, len);
}

TARGET uint32_t base_crc32c_stream(void *to, const void *p, size_t len)
{
    const uint8_t *at = p;
    uint8_t *dest = to;
    uint64_t crc = UINT32_MAX;

    if ((uintptr_t)dest % 8 != 0)
        return base_crc32c_copy(to, p, len);
    for (; len >= 3 * STREAM_BYTES; len -= 3 * STREAM_BYTES) {
        uint64_t b = 0, c = 0;
        for (size_t i = 0; i < STREAM_BYTES; i += 8) {
            crc = _mm_crc32_u64(crc, load_stream(dest + i, at + i));
            b = _mm_crc32_u64(b, load_stream(dest + STREAM_BYTES + i, at + STREAM_BYTES + i));
            c = _mm_crc32_u64(c,
                              load_stream(dest + 2 * STREAM_BYTES + i, at + 2 * STREAM_BYTES + i));
        }
        crc = join(crc, b, c);
        at += 3 * STREAM_BYTES;
        dest += 3 * STREAM_BYTES;
    }
    _mm_sfence(); /* such stores keep no order by themselves */
    if (len > 0)
        memcpy(dest, at, len);
    return base_crc32c(~(uint32_t)crc, at, len);
}
