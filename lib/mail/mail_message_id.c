#include "mail_message_id.h"

#include <emmintrin.h>

static const char name[] = "message-id";
#define NAME_LEN (sizeof(name) - 1)

/* The value of the field that begins with p; empty: it is another. */
static struct base_span value_of(const uint8_t *p, size_t len)
{
    size_t at = NAME_LEN;

    if (len <= NAME_LEN || !base_span_caseeq(base_span_of(p, NAME_LEN), base_span_str(name)))
        return base_span_of(NULL, 0);
    while (at < len && (p[at] == ' ' || p[at] == '\t')) /* RFC 5322 section 4.5 */
        at++;
    if (at == len || p[at] != ':')
        return base_span_of(NULL, 0);
    at++;
    const uint8_t *end = memchr(p + at, '\n', len - at);
    size_t to = end != NULL ? (size_t)(end - p) : len;
    while (at < to && (p[at] == ' ' || p[at] == '\t'))
        at++;
    while (to > at && (p[to - 1] == ' ' || p[to - 1] == '\t' || p[to - 1] == '\r'))
        to--;
    return base_span_of(p + at, to - at);
}

/* Most lines are not looked at: only those whose first byte is an M. */
struct base_span mail_message_id_find(struct base_span piece, bool at_line)
{
    const __m128i line_end = _mm_set1_epi8('\n'), small = _mm_set1_epi8(0x20),
                  m = _mm_set1_epi8('m');
    struct base_span found = {0};
    size_t i = 0;

    if (at_line)
        found = value_of(piece.p, piece.len);
    /* Pairs of a line end and what follows it: 16 at a time, of 17 bytes. */
    for (; found.len == 0 && i + 17 <= piece.len; i += 16) {
        __m128i here = _mm_loadu_si128((const __m128i *)(const void *)(piece.p + i));
        __m128i next = _mm_loadu_si128((const __m128i *)(const void *)(piece.p + i + 1));
        __m128i hits = _mm_and_si128(_mm_cmpeq_epi8(here, line_end),
                                     _mm_cmpeq_epi8(_mm_or_si128(next, small), m));
        for (uint32_t mask = (uint32_t)_mm_movemask_epi8(hits); mask != 0 && found.len == 0;
             mask &= mask - 1) {
            size_t at = i + (size_t)__builtin_ctz(mask) + 1;
            found = value_of(piece.p + at, piece.len - at);
        }
    }
    for (; found.len == 0 && i + 1 < piece.len; i++)
        if (piece.p[i] == '\n')
            found = value_of(piece.p + i + 1, piece.len - i - 1);
    return found;
}
