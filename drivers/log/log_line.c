/* What lines are made of: numbers, addresses, and bytes from outside. */
#include "base_json.h"
#include "base_utf8.h"
#include "log_line.h"
#include "net_addr.h"

#include <stdio.h>

void log_line_number(struct log_line *l, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    log_line_put(l, digits + at, sizeof(digits) - at);
}

static bool is_zero(const uint8_t b[16])
{
    static const uint8_t zero[16];
    return memcmp(b, zero, 16) == 0;
}

bool log_line_has_id(const struct log_line *l)
{
    return !is_zero(l->record->id);
}

bool log_line_has_address(const struct log_line *l)
{
    return !is_zero(l->record->address);
}

bool log_line_id(struct log_line *l)
{
    char id[LOG_ID_CAP] = "-";

    if (log_line_has_id(l))
        l->style->id_format(id, l->record->id);
    log_line_text(l, id);
    return log_line_has_id(l);
}

void log_line_address(struct log_line *l, bool with_port)
{
    struct net_endpoint e = {.port = l->record->port};
    char text[NET_ENDPOINT_TEXT_CAP] = "-";

    memcpy(e.addr.b, l->record->address, 16);
    if (with_port && e.port != 0 && log_line_has_address(l))
        net_endpoint_format(text, &e);
    else if (log_line_has_address(l))
        net_addr_format(text, &e.addr);
    log_line_text(l, text);
}

void log_line_status(struct log_line *l, uint64_t status)
{
    log_line_number(l, status / 1000000);
    log_line_text(l, ".");
    log_line_number(l, status / 1000 % 1000);
    log_line_text(l, ".");
    log_line_number(l, status % 1000);
}

void log_line_escape(struct log_line *l, struct base_span s)
{
    static const char hex[] = "0123456789abcdef";
    size_t from = 0;

    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.p[i];
        if (c >= ' ' && c < 0x7f && c != '\\' && c != '"' && c != '\'')
            continue;
        log_line_put(l, s.p + from, i - from);
        log_line_put(l, (char[]){'\\', 'x', hex[c >> 4], hex[c & 15]}, 4);
        from = i + 1;
    }
    log_line_put(l, s.p + from, s.len - from);
}

void log_line_escape_json(struct log_line *l, struct base_span s)
{
    char escape[BASE_JSON_ESCAPE_CAP];

    while (s.len > 0) {
        struct base_span piece = base_json_take(&s, escape);
        log_line_put(l, piece.p, piece.len);
    }
}

/* Whether Postfix's form has "?" instead. */
static bool hidden(uint32_t c, uint8_t before, enum log_line_kind kind)
{
    if (c < 0x20 || (c >= 0x7f && c < 0xa0))
        return true;
    return kind == LOG_LINE_MAILBOX ? c == '<' || c == '>' : c == '<' && before == '=';
}

void log_line_escape_postfix(struct log_line *l, struct base_span s, enum log_line_kind kind)
{
    size_t from = 0;

    for (size_t i = 0, len = 1; i < s.len; i += len) {
        uint32_t c = s.p[i];
        len = 1;
        if (c >= ' ' && c < 0x7f && c != '<' && c != '>')
            continue;
        size_t known = base_utf8_next(base_span_of(s.p + i, s.len - i), &c);
        len = known > 0 ? known : 1;
        if (known > 0 && !hidden(c, i > 0 ? s.p[i - 1] : 0, kind))
            continue;
        log_line_put(l, s.p + from, i - from);
        log_line_text(l, "?");
        from = i + len;
    }
    log_line_put(l, s.p + from, s.len - from);
}
