#include "base_crc32c.h"

#include <nmmintrin.h>
#include <string.h>

__attribute__((target("sse4.2"))) uint32_t base_crc32c(uint32_t seed, const void *p, size_t len)
{
    const uint8_t *b = p;
    uint64_t crc = (uint32_t)~seed;

    for (; len >= 8; len -= 8, b += 8) {
        uint64_t word;
        memcpy(&word, b, 8);
        crc = _mm_crc32_u64(crc, word);
    }
    uint32_t tail = (uint32_t)crc;
    for (; len > 0; len--, b++)
        tail = _mm_crc32_u8(tail, *b);
    return ~tail;
}
