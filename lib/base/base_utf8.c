#include "base_utf8.h"
#include "base_assert.h"

size_t base_utf8_next(struct base_span text, uint32_t *character)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};

    if (text.len == 0)
        return 0;
    uint32_t c = text.p[0];
    size_t len = c < 0x80 ? 1 : c < 0xc0 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf8 ? 4 : 0;
    if (len == 0 || len > text.len)
        return 0;
    if (len > 1)
        c &= 0x7fU >> len;
    for (size_t i = 1; i < len; i++) {
        if ((text.p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (text.p[i] & 0x3f);
    }
    if (c < smallest[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *character = c;
    return len;
}

bool base_utf8_printable(uint32_t c)
{
    if (c < 0x20 || (c >= 0x7f && c < 0xa0))
        return false;
    if (c == 0x61c || c == 0x200e || c == 0x200f || c == 0xfeff)
        return false;
    return !((c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069));
}

size_t base_utf8_shown(struct base_span text)
{
    uint32_t c = 0;
    size_t len = base_utf8_next(text, &c);

    return len > 0 && base_utf8_printable(c) ? len : 0;
}

bool base_utf8_ascii(struct base_span text)
{
    uint8_t all = 0;

    for (size_t i = 0; i < text.len; i++)
        all |= text.p[i];
    return all < 0x80;
}

struct base_span base_utf8_take(struct base_span *text, char escape[BASE_UTF8_ESCAPE_CAP])
{
    static const char hex[] = "0123456789abcdef";
    struct base_span rest = *text;

    base_assert(rest.len > 0);
    while (rest.len > 0) {
        size_t len = rest.p[0] == ' ' || rest.p[0] == '\\' ? 0 : base_utf8_shown(rest);
        if (len == 0)
            break;
        rest = base_span_of(rest.p + len, rest.len - len);
    }
    struct base_span piece = base_span_of(text->p, text->len - rest.len);
    if (piece.len == 0) {
        memcpy(escape, (char[]){'\\', 'x', hex[rest.p[0] >> 4], hex[rest.p[0] & 15]}, 4);
        piece = base_span_of(escape, 4);
        rest = base_span_of(rest.p + 1, rest.len - 1);
    }
    *text = rest;
    return piece;
}
