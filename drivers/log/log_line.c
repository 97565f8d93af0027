/* What lines are made of: numbers, addresses, and bytes from outside. */
#include "log_line.h"
#include "net_addr.h"

#include <stdio.h>

void log_line_put(struct log_line *l, const void *p, size_t n)
{
    base_assert(n <= LOG_LINE_CAP - l->len);
    if (n > 0)
        memcpy(l->p + l->len, p, n);
    l->len += n;
}

void log_line_text(struct log_line *l, const char *s)
{
    log_line_put(l, s, strlen(s));
}

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

/* The character that s begins with (RFC 3629) and its length; or 1 and no character. */
static size_t decode(struct base_span s, uint32_t *character)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t c = s.p[0];
    size_t len = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : 4;

    *character = UINT32_MAX;
    if (c < 0x80) {
        *character = c;
        return 1;
    }
    if (c < 0xc2 || c > 0xf4 || s.len < len)
        return 1;
    uint32_t value = c & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((s.p[i] & 0xc0) != 0x80)
            return 1;
        value = value << 6 | (s.p[i] & 0x3fu);
    }
    if (value < least[len] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
        return 1;
    *character = value;
    return len;
}

static void put_unit(struct log_line *l, uint32_t unit)
{
    char text[8];

    snprintf(text, sizeof(text), "\\u%04x", unit & 0xffff);
    log_line_put(l, text, 6);
}

static void put_json(struct log_line *l, uint32_t c)
{
    if (c == UINT32_MAX) {
        put_unit(l, 0xfffd);
    } else if (c >= 0x10000) {
        put_unit(l, 0xd800 + ((c - 0x10000) >> 10));
        put_unit(l, 0xdc00 + ((c - 0x10000) & 0x3ff));
    } else if (c == '"' || c == '\\') {
        log_line_put(l, (char[]){'\\', (char)c}, 2);
    } else {
        put_unit(l, c);
    }
}

void log_line_escape_json(struct log_line *l, struct base_span s)
{
    size_t from = 0;

    for (size_t i = 0, len = 1; i < s.len; i += len) {
        uint32_t c = s.p[i];
        len = 1;
        if (c >= ' ' && c < 0x7f && c != '"' && c != '\\')
            continue;
        log_line_put(l, s.p + from, i - from);
        len = decode(base_span_of(s.p + i, s.len - i), &c);
        put_json(l, c);
        from = i + len;
    }
    log_line_put(l, s.p + from, s.len - from);
}

/* Whether Postfix's form has "?" instead. */
static bool hidden(uint32_t c, uint8_t before, enum log_line_kind kind)
{
    if (c == UINT32_MAX || c < 0x20 || (c >= 0x7f && c < 0xa0))
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
        len = decode(base_span_of(s.p + i, s.len - i), &c);
        if (!hidden(c, i > 0 ? s.p[i - 1] : 0, kind))
            continue;
        log_line_put(l, s.p + from, i - from);
        log_line_text(l, "?");
        from = i + len;
    }
    log_line_put(l, s.p + from, s.len - from);
}
