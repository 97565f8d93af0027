/*
 * Bytes: spans (borrowed views, never terminated by NUL) and big/little-endian access to unaligned
 * memory. Pure functions; any thread.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A borrowed view of len bytes at p; p may be NULL only when len is 0. */
struct base_span {
    const uint8_t *p;
    size_t len;
};

/* Bytes to be written by the callee: len are used of cap at p, which the caller owns. */
struct base_buf {
    uint8_t *p;
    size_t len;
    size_t cap;
};

static inline struct base_span base_span_of(const void *p, size_t len)
{
    return (struct base_span){.p = p, .len = len};
}

static inline struct base_span base_span_str(const char *s)
{
    return base_span_of(s, strlen(s));
}

static inline bool base_span_eq(struct base_span a, struct base_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* ASCII case-insensitive equality; bytes over 127 compare as they are. */
static inline bool base_span_caseeq(struct base_span a, struct base_span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        uint8_t x = a.p[i], y = b.p[i];
        x = (uint8_t)(x - 'A') < 26 ? (uint8_t)(x | 0x20) : x;
        y = (uint8_t)(y - 'A') < 26 ? (uint8_t)(y | 0x20) : y;
        if (x != y)
            return false;
    }
    return true;
}

/* Appends n bytes. Returns 0, or -1 with the buffer untouched when they do not fit. */
static inline int base_buf_put(struct base_buf *b, const void *p, size_t n)
{
    if (n > b->cap - b->len)
        return -1;
    if (n > 0)
        memcpy(b->p + b->len, p, n);
    b->len += n;
    return 0;
}

static inline int base_buf_puts(struct base_buf *b, const char *s)
{
    return base_buf_put(b, s, strlen(s));
}

static inline int base_buf_put_span(struct base_buf *b, struct base_span s)
{
    return base_buf_put(b, s.p, s.len);
}

static inline struct base_span base_buf_span(const struct base_buf *b)
{
    return base_span_of(b->p, b->len);
}

static inline uint16_t base_be16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return __builtin_bswap16(v);
}

static inline uint32_t base_be32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}

static inline void base_put_be16(void *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, 2);
}

static inline void base_put_be32(void *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, 4);
}

static inline uint16_t base_le16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return v;
}

static inline void base_put_be64(void *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
}

static inline uint32_t base_le32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static inline uint64_t base_le64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

static inline void base_put_le16(void *p, uint16_t v)
{
    memcpy(p, &v, 2);
}

static inline void base_put_le32(void *p, uint32_t v)
{
    memcpy(p, &v, 4);
}

static inline void base_put_le64(void *p, uint64_t v)
{
    memcpy(p, &v, 8);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "x86 only: loads above are plain");

#endif
