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
#define SHORT_BYTES  128
#define OVER_128     0x0d3b6092
#define OVER_256     0xb9e02b86
#define LINE_BYTES   64

static inline uint64_t load(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

TARGET static inline uint64_t shift(uint64_t crc, uint32_t over)
{
    __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc), _mm_cvtsi32_si128((int)over), 0);
    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

/* One checksum of three streams of so many bytes each, the first of which goes on from crc. */
TARGET static inline __attribute__((always_inline)) uint64_t three(uint64_t crc, const uint8_t *at,
                                                                   size_t bytes, uint32_t over_1,
                                                                   uint32_t over_2)
{
    uint64_t b = 0, c = 0;
    for (size_t i = 0; i < bytes; i += 8) {
        crc = _mm_crc32_u64(crc, load(at + i));
        b = _mm_crc32_u64(b, load(at + bytes + i));
        c = _mm_crc32_u64(c, load(at + 2 * bytes + i));
    }
    return shift(crc, over_2) ^ shift(b, over_1) ^ c;
}

TARGET uint32_t base_crc32c(uint32_t seed, const void *p, size_t len)
{
    const uint8_t *at = p;
    uint64_t crc = (uint32_t)~seed;

    for (; len >= 3 * STREAM_BYTES; len -= 3 * STREAM_BYTES, at += 3 * STREAM_BYTES)
        crc = three(crc, at, STREAM_BYTES, OVER_1024, OVER_2048);
    for (; len >= 3 * SHORT_BYTES; len -= 3 * SHORT_BYTES, at += 3 * SHORT_BYTES)
        crc = three(crc, at, SHORT_BYTES, OVER_128, OVER_256);
    for (; len >= 8; len -= 8, at += 8)
        crc = _mm_crc32_u64(crc, load(at));
    uint32_t tail = (uint32_t)crc;
    for (; len > 0; len--, at++)
        tail = _mm_crc32_u8(tail, *at);
    return ~tail;
}

/* Whole lines past the cache; to lies at the start of one. */
static void stream_lines(uint8_t *to, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i += 16) {
        __m128i part = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        _mm_stream_si128((__m128i *)(void *)(to + i), part);
    }
}

void base_stream_fence(void)
{
    _mm_sfence();
}

/* Bytes are read for the checksum and, while they are at hand, again for the copy. Lines that are
 * not covered whole hold what others write with plain stores, so they get plain ones, too. */
uint32_t base_crc32c_stream(void *to, const void *p, size_t len)
{
    const uint8_t *at = p;
    uint8_t *dest = to;
    size_t head = (LINE_BYTES - (uintptr_t)dest % LINE_BYTES) % LINE_BYTES;
    /* Little is written soon after by others, too: its lines stay. */
    size_t done = head < len && len >= STREAM_BYTES ? head : len;
    uint32_t crc = base_crc32c(0, at, done);

    if (done > 0)
        memcpy(dest, at, done);
    while (len - done >= LINE_BYTES) {
        size_t part = len - done < 3 * STREAM_BYTES ? len - done : 3 * STREAM_BYTES;
        part -= part % LINE_BYTES;
        crc = base_crc32c(crc, at + done, part);
        stream_lines(dest + done, at + done, part);
        done += part;
    }
    if (len > done)
        memcpy(dest + done, at + done, len - done);
    return base_crc32c(crc, at + done, len - done);
}
