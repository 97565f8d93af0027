#include "mail_dsn_internal.h"
#include "base_time.h"
#include "base_utf8.h"

#include <stdio.h>

static void stage(struct mail_dsn *dsn, uint8_t c)
{
    base_assert(dsn->stage_len < MAIL_DSN_STAGE_BYTES);
    dsn->stage[dsn->stage_len++] = c;
}

void mail_dsn_put_octet(struct mail_dsn *dsn, uint8_t c)
{
    if (c == '\r' || c == '\n') {
        stage(dsn, c);
        dsn->column = 0;
        return;
    }
    /* Only an address in \x{...} is this long without a blank. A character of UTF-8 stays whole. */
    if (dsn->column > MAIL_DSN_LINE_MAX - 5 && (c & 0xc0) != 0x80) {
        stage(dsn, '\r');
        stage(dsn, '\n');
        stage(dsn, ' ');
        dsn->column = 1;
    }
    stage(dsn, c);
    dsn->column++;
}

void mail_dsn_puts(struct mail_dsn *dsn, const char *text)
{
    mail_dsn_put_span(dsn, base_span_str(text));
}

void mail_dsn_put_span(struct mail_dsn *dsn, struct base_span text)
{
    for (size_t i = 0; i < text.len; i++)
        mail_dsn_put_octet(dsn, text.p[i]);
}

void mail_dsn_end_line(struct mail_dsn *dsn)
{
    if (dsn->column > 0)
        mail_dsn_puts(dsn, "\r\n");
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Takes the next word off the front of text; empty at the end. */
static struct base_span next_word(struct base_span *text)
{
    size_t start = 0, end;

    while (start < text->len && is_blank(text->p[start]))
        start++;
    for (end = start; end < text->len && !is_blank(text->p[end]); end++)
        ;
    struct base_span word = base_span_of(text->p + start, end - start);
    text->p += end;
    text->len -= end;
    return word;
}

bool mail_dsn_has_words(struct base_span text)
{
    return text.len > 0 && next_word(&text).len > 0;
}

static void put_printable(struct mail_dsn *dsn, struct base_span text, bool utf8)
{
    uint32_t c;

    for (size_t i = 0, len; i < text.len; i += len) {
        struct base_span rest = base_span_of(text.p + i, text.len - i);
        len = base_utf8_next(rest, &c);
        if (len == 0 || !base_utf8_printable(c) || (len > 1 && !utf8)) {
            mail_dsn_put_octet(dsn, '?');
            len = len == 0 ? 1 : len;
        } else {
            mail_dsn_put_span(dsn, base_span_of(rest.p, len));
        }
    }
}

void mail_dsn_put_words(struct mail_dsn *dsn, struct base_span text, const char *indent, bool utf8)
{
    bool cut = text.len > MAIL_DSN_TEXT_MAX;

    if (cut) {
        text.len = MAIL_DSN_TEXT_MAX;
        while (text.len > MAIL_DSN_TEXT_MAX - 4 && (text.p[text.len] & 0xc0) == 0x80)
            text.len--;
    }
    while (text.len > 0) {
        struct base_span word = next_word(&text);
        if (word.len == 0)
            break;
        if (dsn->column > 0 && dsn->column + 1 + word.len > MAIL_DSN_FOLD_COLUMN)
            mail_dsn_puts(dsn, "\r\n");
        mail_dsn_puts(dsn, dsn->column == 0 ? indent : " ");
        put_printable(dsn, word, utf8);
    }
    if (cut)
        mail_dsn_puts(dsn, "...");
}

void mail_dsn_put_address(struct mail_dsn *dsn, struct base_span address,
                          enum mail_dsn_address form)
{
    uint32_t c;

    for (size_t i = 0, len; i < address.len; i += len) {
        struct base_span rest = base_span_of(address.p + i, address.len - i);
        char encoded[16];
        len = base_utf8_next(rest, &c);
        bool encode = len > 1 && !dsn->report->utf8;
        if (len == 1 && form != MAIL_DSN_ADDRESS_PLAIN)
            encode = c == '+' || c == '=';
        if (len == 1 && form == MAIL_DSN_ADDRESS_ENCODED)
            encode |= c == '\\' || c == ' ';
        if (len == 0 || !base_utf8_printable(c)) {
            mail_dsn_put_octet(dsn, '?');
            len = len == 0 ? 1 : len;
        } else if (encode) {
            snprintf(encoded, sizeof(encoded), "\\x{%02X}", c);
            mail_dsn_puts(dsn, encoded);
        } else {
            mail_dsn_put_span(dsn, base_span_of(rest.p, len));
        }
    }
}

static int hex_digit(uint8_t c)
{
    return (uint8_t)(c - '0') < 10 ? c - '0' : (uint8_t)(c - 'A') < 6 ? c - 'A' + 10 : -1;
}

bool mail_dsn_xtext(struct base_span text, uint8_t out[MAIL_DSN_ADDRESS_MAX], size_t *len)
{
    *len = 0;
    if (text.len == 0 || text.len > MAIL_DSN_ADDRESS_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.p[i];
        if (c == '+') {
            if (text.len - i < 3 || hex_digit(text.p[i + 1]) < 0 || hex_digit(text.p[i + 2]) < 0)
                return false;
            c = (uint8_t)(hex_digit(text.p[i + 1]) << 4 | hex_digit(text.p[i + 2]));
            i += 2;
        } else if (c <= ' ' || c == '=' || c == 0x7f) {
            return false;
        }
        out[(*len)++] = c;
    }
    return true;
}

bool mail_dsn_orcpt(struct base_span orcpt, struct base_span *type,
                    uint8_t out[MAIL_DSN_ADDRESS_MAX], size_t *len)
{
    size_t i = 0;

    while (i < orcpt.len && i < 32 &&
           ((uint8_t)((orcpt.p[i] | 0x20) - 'a') < 26 || (uint8_t)(orcpt.p[i] - '0') < 10 ||
            orcpt.p[i] == '-'))
        i++;
    if (i == 0 || i == orcpt.len || orcpt.p[i] != ';')
        return false;
    *type = base_span_of(orcpt.p, i);
    return mail_dsn_xtext(base_span_of(orcpt.p + i + 1, orcpt.len - i - 1), out, len);
}

/* Length of the \x{...} at the start of text, and what it stands for; 0 when there is none. */
static size_t embedded(struct base_span text, uint32_t *character)
{
    size_t i = 3;

    *character = 0;
    if (text.len < 5 || memcmp(text.p, "\\x{", 3) != 0)
        return 0;
    for (; i < text.len && i < 9 && hex_digit(text.p[i]) >= 0; i++)
        *character = *character << 4 | (uint32_t)hex_digit(text.p[i]);
    return i > 3 && i < text.len && text.p[i] == '}' && *character <= 0x10ffff ? i + 1 : 0;
}

/* Writes at most four octets, fewer than the \x{...} has. */
static size_t put_utf8(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = len; i-- > 1; c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)(0xf00 >> len | c);
    return len;
}

void mail_dsn_unitext(uint8_t *text, size_t *len)
{
    size_t used = 0, n;
    uint32_t c;

    for (size_t i = 0; i < *len; i += n) {
        n = embedded(base_span_of(text + i, *len - i), &c);
        if (n == 0) {
            n = 1;
            text[used++] = text[i];
        } else {
            used += put_utf8(text + used, c);
        }
    }
    *len = used;
}

void mail_dsn_put_date(struct mail_dsn *dsn, const char *name, uint64_t wall_ns)
{
    char date[BASE_TIME_RFC5322_CAP];

    if (wall_ns == 0)
        return;
    base_time_rfc5322(date, wall_ns);
    mail_dsn_puts(dsn, name);
    mail_dsn_puts(dsn, ": ");
    mail_dsn_puts(dsn, date);
    mail_dsn_puts(dsn, "\r\n");
}
