#include "spool_id.h"

#include <errno.h>

/* Crockford's alphabet: no i, l, o, u, and in ASCII order, so that texts sort as the ids do. */
static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

struct spool_id spool_id_make(uint64_t wall_ns, uint8_t spool, uint8_t lane, uint32_t counter)
{
    struct spool_id id;
    base_put_be32(id.b, (uint32_t)(wall_ns >> 32));
    base_put_be32(id.b + 4, (uint32_t)wall_ns);
    id.b[8] = spool;
    id.b[9] = lane;
    id.b[10] = 0;
    id.b[11] = 0;
    base_put_be32(id.b + 12, counter);
    return id;
}

/* 26 digits hold 130 bits: the first digit has only the top 3 bits of the id. */
void spool_id_format(char out[SPOOL_ID_TEXT_LEN + 1], const struct spool_id *id)
{
    uint32_t acc = 0;
    uint32_t bits = 2;
    size_t n = 0;
    for (size_t i = 0; i < 16; i++) {
        acc = acc << 8 | id->b[i];
        bits += 8;
        while (bits >= 5) {
            bits -= 5;
            out[n++] = digits[acc >> bits & 31];
        }
    }
    out[n] = '\0';
}

static int digit_value(uint8_t c)
{
    for (int i = 0; i < 32; i++)
        if (digits[i] == (char)c)
            return i;
    return -1;
}

int spool_id_parse(struct spool_id *out, struct base_span text)
{
    if (text.len != SPOOL_ID_TEXT_LEN)
        return -EINVAL;
    struct spool_id id;
    uint32_t acc = 0;
    uint32_t bits = 0;
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        int v = digit_value(text.p[i]);
        if (v < 0 || (i == 0 && v > 7))
            return -EINVAL;
        acc = acc << 5 | (uint32_t)v;
        bits += i == 0 ? 3 : 5;
        if (bits >= 8) {
            bits -= 8;
            id.b[n++] = (uint8_t)(acc >> bits);
        }
    }
    *out = id;
    return 0;
}
