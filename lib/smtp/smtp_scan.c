#include "smtp_scan.h"
#include "base_assert.h"

#include <immintrin.h>

/*
 * One byte: whether a run stops before it, by the byte before. The vectors ask the same of each
 * byte of a block.
 */
static bool is_event(uint8_t before, uint8_t c, enum smtp_scan_mode mode)
{
    if (c == 0 || (before == '\r') != (c == '\n'))
        return true;
    return before == '\n' && (mode == SMTP_SCAN_LINE || (mode == SMTP_SCAN_DATA && c == '.'));
}

/* Goes on with the byte behind a dot that is dropped; false: the run stops here. */
static inline bool drop_dot(struct smtp_scan_run *r, uint8_t *dst, const uint8_t *src, size_t n,
                            enum smtp_scan_mode mode)
{
    if (mode != SMTP_SCAN_DATA || src[(ptrdiff_t)r->used - 1] != '\n' ||
        !smtp_scan_drops(src, r->used, n))
        return false;
    if (dst != NULL)
        dst[r->made] = src[r->used + 1];
    r->used += 2;
    r->made++;
    return true;
}

/* Single bytes, from where a vector has come to. */
static inline struct smtp_scan_run run_bytes(struct smtp_scan_run r, uint8_t *dst,
                                             const uint8_t *src, size_t n, enum smtp_scan_mode mode)
{
    while (r.used < n) {
        uint8_t c = src[r.used];
        if (is_event(src[(ptrdiff_t)r.used - 1], c, mode)) {
            if (!drop_dot(&r, dst, src, n, mode))
                break;
            continue;
        }
        if (dst != NULL)
            dst[r.made] = c;
        r.used++;
        r.made++;
    }
    return r;
}

struct smtp_scan_run smtp_scan_scalar(uint8_t *dst, const uint8_t *src, size_t n,
                                      enum smtp_scan_mode mode)
{
    return run_bytes((struct smtp_scan_run){0, 0}, dst, src, n, mode);
}

/* The byte that is looked for at the start of a line. An LF there is an event anyway. */
static inline char stop_byte(enum smtp_scan_mode mode)
{
    return mode == SMTP_SCAN_DATA ? '.' : '\n';
}

/* ---- 16 bytes ---- */

static inline __m128i load16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline struct smtp_scan_run run16(struct smtp_scan_run r, uint8_t *dst, const uint8_t *src,
                                         size_t n, enum smtp_scan_mode mode)
{
    const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n');
    const __m128i stop = _mm_set1_epi8(stop_byte(mode));
    const __m128i all = _mm_set1_epi8(mode == SMTP_SCAN_LINE ? -1 : 0);

    while (n - r.used >= 16) {
        __m128i now = load16(src + r.used), before = load16(src + (ptrdiff_t)r.used - 1);
        __m128i starts =
            _mm_and_si128(_mm_cmpeq_epi8(before, lf), _mm_or_si128(_mm_cmpeq_epi8(now, stop), all));
        __m128i torn = _mm_xor_si128(_mm_cmpeq_epi8(before, cr), _mm_cmpeq_epi8(now, lf));
        __m128i nul = _mm_cmpeq_epi8(now, _mm_setzero_si128());
        unsigned events =
            (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(starts, torn), nul));
        if (dst != NULL)
            _mm_storeu_si128((__m128i *)(void *)(dst + r.made), now);
        size_t taken = events == 0 ? 16 : (size_t)__builtin_ctz(events);
        r.used += taken;
        r.made += taken;
        if (events != 0 && !drop_dot(&r, dst, src, n, mode))
            return r;
    }
    return run_bytes(r, dst, src, n, mode);
}

static struct smtp_scan_run run_sse2(uint8_t *dst, const uint8_t *src, size_t n,
                                     enum smtp_scan_mode mode)
{
    return run16((struct smtp_scan_run){0, 0}, dst, src, n, mode);
}

/* ---- 32 bytes ---- */

__attribute__((target("avx2"))) static inline __m256i load32(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

__attribute__((target("avx2"))) static struct smtp_scan_run run_avx2(uint8_t *dst,
                                                                     const uint8_t *src, size_t n,
                                                                     enum smtp_scan_mode mode)
{
    const __m256i cr = _mm256_set1_epi8('\r'), lf = _mm256_set1_epi8('\n');
    const __m256i stop = _mm256_set1_epi8(stop_byte(mode));
    const __m256i all = _mm256_set1_epi8(mode == SMTP_SCAN_LINE ? -1 : 0);
    struct smtp_scan_run r = {0, 0};

    while (n - r.used >= 32) {
        __m256i now = load32(src + r.used), before = load32(src + (ptrdiff_t)r.used - 1);
        __m256i starts = _mm256_and_si256(_mm256_cmpeq_epi8(before, lf),
                                          _mm256_or_si256(_mm256_cmpeq_epi8(now, stop), all));
        __m256i torn = _mm256_xor_si256(_mm256_cmpeq_epi8(before, cr), _mm256_cmpeq_epi8(now, lf));
        __m256i nul = _mm256_cmpeq_epi8(now, _mm256_setzero_si256());
        uint32_t events =
            (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(starts, torn), nul));
        if (dst != NULL)
            _mm256_storeu_si256((__m256i *)(void *)(dst + r.made), now);
        size_t taken = events == 0 ? 32 : (size_t)__builtin_ctz(events);
        r.used += taken;
        r.made += taken;
        if (events != 0 && !drop_dot(&r, dst, src, n, mode))
            return r;
    }
    return run16(r, dst, src, n, mode);
}

/* ---- 64 bytes ---- */

#define TARGET_512 __attribute__((target("avx512f,avx512bw")))

/* What stops a run in this block, as run16 has it. */
TARGET_512 static inline __mmask64 events64(__m512i now, __m512i before, __m512i stop,
                                            __mmask64 all)
{
    __mmask64 behind_cr = _mm512_cmpeq_epi8_mask(before, _mm512_set1_epi8('\r'));
    __mmask64 behind_lf = _mm512_cmpeq_epi8_mask(before, _mm512_set1_epi8('\n'));
    __mmask64 torn = behind_cr ^ _mm512_cmpeq_epi8_mask(now, _mm512_set1_epi8('\n'));
    __mmask64 starts = behind_lf & (_mm512_cmpeq_epi8_mask(now, stop) | all);

    return torn | starts | _mm512_testn_epi8_mask(now, now);
}

/* The last block, of fewer than 64 bytes: only they are read and written. */
TARGET_512 static inline struct smtp_scan_run run64_rest(struct smtp_scan_run r, uint8_t *dst,
                                                         const uint8_t *src, size_t n,
                                                         enum smtp_scan_mode mode)
{
    while (r.used < n) {
        size_t taken = n - r.used;
        __mmask64 in = UINT64_MAX >> (64 - taken);
        __m512i now = _mm512_maskz_loadu_epi8(in, src + r.used);
        __m512i before = _mm512_maskz_loadu_epi8(in, src + (ptrdiff_t)r.used - 1);
        __mmask64 events = in & events64(now, before, _mm512_set1_epi8(stop_byte(mode)),
                                         mode == SMTP_SCAN_LINE ? UINT64_MAX : 0);
        if (dst != NULL)
            _mm512_mask_storeu_epi8(dst + r.made, in, now);
        if (events != 0)
            taken = (size_t)__builtin_ctzll(events);
        r.used += taken;
        r.made += taken;
        if (events != 0 && !drop_dot(&r, dst, src, n, mode))
            return r;
    }
    return r;
}

TARGET_512 static struct smtp_scan_run run_avx512(uint8_t *dst, const uint8_t *src, size_t n,
                                                  enum smtp_scan_mode mode)
{
    const __m512i stop = _mm512_set1_epi8(stop_byte(mode));
    const __mmask64 all = mode == SMTP_SCAN_LINE ? UINT64_MAX : 0;
    struct smtp_scan_run r = {0, 0};

    while (n - r.used >= 64) {
        __m512i now = _mm512_loadu_si512(src + r.used);
        __m512i before = _mm512_loadu_si512(src + (ptrdiff_t)r.used - 1);
        __mmask64 events = events64(now, before, stop, all);
        if (dst != NULL)
            _mm512_storeu_si512(dst + r.made, now);
        size_t taken = events == 0 ? 64 : (size_t)__builtin_ctzll(events);
        r.used += taken;
        r.made += taken;
        if (events != 0 && !drop_dot(&r, dst, src, n, mode))
            return r;
    }
    return run64_rest(r, dst, src, n, mode);
}

/* ---- the choice ---- */

static const struct smtp_scan scans[] = {
    {"scalar", smtp_scan_scalar},
    {"sse2", run_sse2},
    {"avx2", run_avx2},
    {"avx512", run_avx512},
};

/* How many of them run here: each is for processors that have all before it. */
static size_t scan_cnt(void)
{
    if (!__builtin_cpu_supports("avx2"))
        return 2;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") ? 4 : 3;
}

const struct smtp_scan *smtp_scan_at(size_t i)
{
    return i < scan_cnt() ? &scans[i] : NULL;
}

const struct smtp_scan *smtp_scan_best(void)
{
    return &scans[scan_cnt() - 1];
}
