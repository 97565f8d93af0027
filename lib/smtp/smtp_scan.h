/*
 * Search for the bytes that end a run of ordinary text: CR, LF and NUL. Sixteen bytes a step with
 * SSE2, which every x86-64 has. Pure; any thread. Private to lib/smtp.
 */
#ifndef SMTP_SCAN_H
#define SMTP_SCAN_H

#include <emmintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool smtp_scan_is_special(uint8_t c)
{
    return c == '\r' || c == '\n' || c == 0;
}

static inline int smtp_scan_mask(__m128i v)
{
    __m128i cr = _mm_cmpeq_epi8(v, _mm_set1_epi8('\r'));
    __m128i lf = _mm_cmpeq_epi8(v, _mm_set1_epi8('\n'));
    __m128i nul = _mm_cmpeq_epi8(v, _mm_setzero_si128());
    return _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(cr, lf), nul));
}

/* Copies ordinary bytes of the n at src to dst, which has room for n and may be scribbled on up to
 * there; returns how many. dst NULL only counts them. */
static inline size_t smtp_scan_copy(uint8_t *dst, const uint8_t *src, size_t n)
{
    size_t i = 0;

    for (; n - i >= 16; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(src + i));
        int mask = smtp_scan_mask(v);
        if (dst != NULL)
            _mm_storeu_si128((__m128i *)(void *)(dst + i), v);
        if (mask != 0)
            return i + (size_t)__builtin_ctz((unsigned)mask);
    }
    for (; i < n && !smtp_scan_is_special(src[i]); i++)
        if (dst != NULL)
            dst[i] = src[i];
    return i;
}

#endif
