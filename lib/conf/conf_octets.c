/* Patterns of IPv4 addresses, byte by byte. */
#include "conf_internal.h"

static void add(uint64_t values[4], unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to; i++)
        values[i / 64] |= UINT64_C(1) << i % 64;
}

/* 0 to 255, up to three digits. Returns what follows, or NULL. */
static const char *byte_parse(const char *text, unsigned *out)
{
    unsigned v = 0, n = 0;

    for (; (uint8_t)(text[n] - '0') < 10 && n < 3; n++)
        v = v * 10 + (unsigned)(text[n] - '0');
    *out = v;
    return n > 0 && v < 256 ? text + n : NULL;
}

/* "2..11;14]". Returns what follows the bracket, or NULL. */
static const char *set_parse(uint64_t values[4], const char *text)
{
    for (;;) {
        unsigned from, to;
        text = byte_parse(text, &from);
        to = from;
        if (text != NULL && text[0] == '.' && text[1] == '.')
            text = byte_parse(text + 2, &to);
        if (text == NULL || to < from)
            return NULL;
        add(values, from, to);
        if (*text == ']')
            return text + 1;
        if (*text++ != ';')
            return NULL;
    }
}

bool conf_octets_parse(struct conf_octets *out, const char *text)
{
    *out = (struct conf_octets){0};
    for (int i = 0; i < 4 && text != NULL; i++) {
        unsigned v = 0;
        if (i > 0 && *text++ != '.')
            return false;
        if (*text == '[') {
            text = set_parse(out->values[i], text + 1);
        } else {
            text = byte_parse(text, &v);
            if (text != NULL)
                add(out->values[i], v, v);
        }
    }
    return text != NULL && *text == 0;
}

bool conf_octets_match(const struct conf_octets *o, const uint8_t address[4])
{
    for (int i = 0; i < 4; i++)
        if ((o->values[i][address[i] / 64] >> address[i] % 64 & 1) == 0)
            return false;
    return true;
}
