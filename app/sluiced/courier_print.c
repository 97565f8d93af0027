#include "courier_print.h"
#include "base_time.h"

#include <stdarg.h>
#include <stdio.h>

/* Lists are long: characters are put one by one, without printf. */
static void put(struct courier_request *r, const char *p, size_t len)
{
    if (len > r->text_cap - r->text_len)
        return;
    memcpy(r->text + r->text_len, p, len);
    r->text_len += len;
}

void courier_print(struct courier_request *r, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n > 0)
        put(r, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

void courier_print_text(struct courier_request *r, const char *text)
{
    put(r, text, strlen(text));
}

void courier_print_number(struct courier_request *r, uint64_t n)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    put(r, digits + at, sizeof(digits) - at);
}

/* Bytes that pass are gathered; each other one becomes prefix and two hexadecimal digits. */
static void put_escaped(struct courier_request *r, struct base_span s, const char *prefix,
                        uint8_t lowest, uint8_t quote)
{
    static const char hex[] = "0123456789abcdef";
    size_t from = 0;

    for (size_t i = 0; i < s.len; i++) {
        uint8_t b = s.p[i];
        if (b >= lowest && b < 127 && b != '\\' && b != quote)
            continue;
        char digits[2] = {hex[b >> 4], hex[b & 15]};
        put(r, (const char *)s.p + from, i - from);
        courier_print_text(r, prefix);
        put(r, digits, sizeof(digits));
        from = i + 1;
    }
    if (s.len > from)
        put(r, (const char *)s.p + from, s.len - from);
}

void courier_print_span(struct courier_request *r, struct base_span s)
{
    put_escaped(r, s, "\\x", 33, 0);
}

void courier_print_json(struct courier_request *r, struct base_span s)
{
    courier_print_text(r, "\"");
    put_escaped(r, s, "\\u00", 32, '"');
    courier_print_text(r, "\"");
}

void courier_print_time(struct courier_request *r, uint64_t wall_ns)
{
    char text[BASE_TIME_RFC3339_CAP];

    base_time_rfc3339(text, wall_ns);
    courier_print_text(r, text);
}
