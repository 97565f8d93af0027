#include "tlsrpt_text.h"
#include "base_decimal.h"

#include <errno.h>
#include <stdlib.h>

void tlsrpt_text_free(struct tlsrpt_text *t)
{
    free(t->p);
    *t = (struct tlsrpt_text){0};
}

void tlsrpt_put(struct tlsrpt_text *t, const void *p, size_t len)
{
    if (t->cap - t->len < len) {
        size_t cap = 2 * (t->cap + len) + 64;
        t->p = realloc(t->p, cap);
        base_assert(t->p != NULL);
        t->cap = cap;
    }
    if (len > 0)
        memcpy(t->p + t->len, p, len);
    t->len += len;
}

void tlsrpt_puts(struct tlsrpt_text *t, const char *s)
{
    tlsrpt_put(t, s, strlen(s));
}

void tlsrpt_put_span(struct tlsrpt_text *t, struct base_span s)
{
    tlsrpt_put(t, s.p, s.len);
}

void tlsrpt_put_number(struct tlsrpt_text *t, uint64_t n)
{
    char digits[BASE_DECIMAL_CAP];

    tlsrpt_put(t, digits, base_decimal(digits, n));
}

void tlsrpt_put_field(struct tlsrpt_text *t, struct base_span s)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.len; i++) {
        uint8_t b = s.p[i];
        if (b >= 0x20 && b < 0x7f && b != '%') {
            tlsrpt_put(t, &b, 1);
            continue;
        }
        const char escape[3] = {'%', hex[b >> 4], hex[b & 15]};
        tlsrpt_put(t, escape, sizeof(escape));
    }
}

bool tlsrpt_field(struct base_span *rest, struct base_span *out)
{
    if (rest->p == NULL)
        return false;
    const uint8_t *tab = rest->len > 0 ? memchr(rest->p, '\t', rest->len) : NULL;
    *out = *rest;
    if (tab == NULL) {
        *rest = base_span_of(NULL, 0);
        return true;
    }
    out->len = (size_t)(tab - rest->p);
    *rest = base_span_of(tab + 1, rest->len - out->len - 1);
    return true;
}

static int nibble(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int tlsrpt_unescape(uint8_t *out, struct base_span f)
{
    int n = 0;

    for (size_t i = 0; i < f.len; i++) {
        if (f.p[i] != '%') {
            out[n++] = f.p[i];
            continue;
        }
        int high = f.len - i > 2 ? nibble(f.p[i + 1]) : -1;
        int low = f.len - i > 2 ? nibble(f.p[i + 2]) : -1;
        if (high < 0 || low < 0)
            return -EINVAL;
        out[n++] = (uint8_t)(high << 4 | low);
        i += 2;
    }
    return n;
}

int tlsrpt_number(uint64_t *out, struct base_span f)
{
    uint64_t n = 0;

    if (f.len == 0 || f.len > 19)
        return -EINVAL;
    for (size_t i = 0; i < f.len; i++) {
        if (f.p[i] < '0' || f.p[i] > '9')
            return -EINVAL;
        n = n * 10 + (uint64_t)(f.p[i] - '0');
    }
    *out = n;
    return 0;
}
