#include "smtp_base64.h"

#include <errno.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The six bits of a letter; over 63: it is none. */
static uint32_t value_of(uint8_t c)
{
    if ((uint8_t)(c - 'A') < 26)
        return (uint32_t)(c - 'A');
    if ((uint8_t)(c - 'a') < 26)
        return (uint32_t)(c - 'a') + 26;
    if ((uint8_t)(c - '0') < 10)
        return (uint32_t)(c - '0') + 52;
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* The bytes of a group of four letters; 0: it is none. Only the last group may be short. */
static size_t decode_group(uint8_t out[3], const uint8_t *p, bool last)
{
    size_t pad = 0;
    uint32_t bits = 0;

    if (last && p[3] == '=')
        pad = p[2] == '=' ? 2 : 1;
    for (size_t i = 0; i < 4; i++) {
        uint32_t v = i < 4 - pad ? value_of(p[i]) : 0;
        if (v > 63)
            return 0;
        bits = bits << 6 | v;
    }
    if ((pad == 1 && (bits & 0xff) != 0) || (pad == 2 && (bits & 0xffff) != 0))
        return 0;
    out[0] = (uint8_t)(bits >> 16);
    out[1] = (uint8_t)(bits >> 8);
    out[2] = (uint8_t)bits;
    return 3 - pad;
}

bool smtp_base64_valid(struct base_span text)
{
    uint8_t group[3];

    if (text.len % 4 != 0)
        return false;
    for (size_t i = 0; i < text.len; i += 4)
        if (decode_group(group, text.p + i, i + 4 == text.len) == 0)
            return false;
    return true;
}

int smtp_base64_decode(struct base_buf *out, struct base_span text)
{
    size_t start = out->len;
    uint8_t group[3];

    if (text.len % 4 != 0)
        return -EINVAL;
    for (size_t i = 0; i < text.len; i += 4) {
        size_t n = decode_group(group, text.p + i, i + 4 == text.len);
        int error = n == 0 ? -EINVAL : base_buf_put(out, group, n) != 0 ? -ENOSPC : 0;
        if (error != 0) {
            out->len = start;
            return error;
        }
    }
    return 0;
}

int smtp_base64_encode(struct base_buf *out, struct base_span bytes)
{
    if (SMTP_BASE64_LEN(bytes.len) > out->cap - out->len)
        return -ENOSPC;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t bits = (uint32_t)bytes.p[i] << 16;
        bits |= n > 1 ? (uint32_t)bytes.p[i + 1] << 8 : 0;
        bits |= n > 2 ? bytes.p[i + 2] : 0;
        for (size_t k = 0; k < 4; k++)
            out->p[out->len++] = (uint8_t)(k > n ? '=' : letters[bits >> (18 - 6 * k) & 63]);
    }
    return 0;
}
