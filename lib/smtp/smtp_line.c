#include "smtp_line.h"

enum smtp_line smtp_line_find(struct base_span in, size_t max, size_t *len)
{
    size_t seen = in.len < max ? in.len : max;
    if (seen == 0)
        return SMTP_LINE_MORE;
    const uint8_t *cr = memchr(in.p, '\r', seen);
    size_t before = cr != NULL ? (size_t)(cr - in.p) : seen;

    if (before > 0 && memchr(in.p, '\n', before) != NULL)
        return SMTP_LINE_BARE;
    if (cr == NULL || before + 1 == max)
        return seen == max ? SMTP_LINE_LONG : SMTP_LINE_MORE;
    if (before + 1 == in.len)
        return SMTP_LINE_MORE;
    if (cr[1] != '\n')
        return SMTP_LINE_BARE;
    *len = before + 2;
    return SMTP_LINE_WHOLE;
}

size_t smtp_line_discard(struct base_span in, bool *ended)
{
    size_t from = 0;

    *ended = false;
    while (from < in.len) {
        const uint8_t *lf = memchr(in.p + from, '\n', in.len - from);
        if (lf == NULL)
            break;
        from = (size_t)(lf - in.p) + 1;
        if (from > 1 && lf[-1] == '\r') {
            *ended = true;
            return from;
        }
    }
    return in.len > 0 && in.p[in.len - 1] == '\r' ? in.len - 1 : in.len;
}

bool smtp_number_parse(struct base_span text, uint64_t *value)
{
    *value = 0;
    if (text.len == 0 || text.len > 20)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t digit = (uint8_t)(text.p[i] - '0');
        if (digit > 9)
            return false;
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, digit, value))
            *value = UINT64_MAX;
    }
    return true;
}
