#include "courier_print.h"
#include "base_decimal.h"
#include "base_json.h"
#include "base_time.h"
#include "base_utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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
    char digits[BASE_DECIMAL_CAP];

    put(r, digits, base_decimal(digits, n));
}

void courier_print_span(struct courier_request *r, struct base_span s)
{
    char escape[BASE_UTF8_ESCAPE_CAP];

    while (s.len > 0) {
        struct base_span piece = base_utf8_take(&s, escape);
        put(r, (const char *)piece.p, piece.len);
    }
}

void courier_print_words(struct courier_request *r, struct base_span s)
{
    while (s.len > 0) {
        const uint8_t *space = memchr(s.p, ' ', s.len);
        size_t len = space != NULL ? (size_t)(space - s.p) : s.len;
        courier_print_span(r, base_span_of(s.p, len));
        if (space != NULL)
            put(r, " ", 1);
        len += space != NULL;
        s = base_span_of(s.p + len, s.len - len);
    }
}

void courier_print_json(struct courier_request *r, struct base_span s)
{
    char escape[BASE_JSON_ESCAPE_CAP];

    courier_print_text(r, "\"");
    while (s.len > 0) {
        struct base_span piece = base_json_take(&s, escape);
        put(r, (const char *)piece.p, piece.len);
    }
    courier_print_text(r, "\"");
}

void courier_print_time(struct courier_request *r, uint64_t wall_ns)
{
    char text[BASE_TIME_RFC3339_CAP];

    base_time_rfc3339(text, wall_ns);
    courier_print_text(r, text);
}
