#include "mail_utf8.h"

size_t mail_utf8_next(struct base_span text, uint32_t *character)
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

bool mail_utf8_printable(uint32_t c)
{
    if (c < 0x20 || (c >= 0x7f && c < 0xa0))
        return false;
    if (c == 0x61c || c == 0x200e || c == 0x200f || c == 0xfeff)
        return false;
    return !((c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069));
}

bool mail_ascii(struct base_span text)
{
    uint8_t all = 0;

    for (size_t i = 0; i < text.len; i++)
        all |= text.p[i];
    return all < 0x80;
}
