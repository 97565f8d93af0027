#include "dns_anchor.h"

#include <errno.h>

const char *const dns_anchor_root[] = {
    ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
    ". IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
    NULL,
};

static bool is_blank(uint8_t b)
{
    return b == ' ' || b == '\t' || b == '\r';
}

static struct base_span take_line(struct base_span *text)
{
    const uint8_t *end = memchr(text->p, '\n', text->len);
    size_t len = end != NULL ? (size_t)(end - text->p) : text->len;
    struct base_span line = base_span_of(text->p, len);
    const uint8_t *comment = len > 0 ? memchr(line.p, ';', len) : NULL;

    *text = base_span_of(text->p + len + (end != NULL), text->len - len - (end != NULL));
    if (comment != NULL)
        line.len = (size_t)(comment - line.p);
    while (line.len > 0 && is_blank(line.p[line.len - 1]))
        line.len--;
    while (line.len > 0 && is_blank(line.p[0]))
        line = base_span_of(line.p + 1, line.len - 1);
    return line;
}

static struct base_span take_word(struct base_span *line)
{
    size_t n = 0;

    while (line->len > 0 && is_blank(line->p[0]))
        *line = base_span_of(line->p + 1, line->len - 1);
    while (n < line->len && !is_blank(line->p[n]))
        n++;
    struct base_span word = base_span_of(line->p, n);
    *line = base_span_of(line->p + n, line->len - n);
    return word;
}

/* Digits alone, up to max. */
static bool is_number(struct base_span word, uint32_t max)
{
    uint32_t v = 0;

    for (size_t i = 0; i < word.len; i++) {
        if ((uint8_t)(word.p[i] - '0') > 9)
            return false;
        v = v * 10 + (uint32_t)(word.p[i] - '0');
        if (v > max)
            return false;
    }
    return word.len > 0;
}

/* Letters of hexadecimal digits or of base64, over all words that are left; how many. */
static size_t count_letters(struct base_span line, bool hex)
{
    size_t n = 0;

    for (size_t i = 0; i < line.len; i++) {
        uint8_t b = line.p[i], l = b | 0x20;
        bool digit = (uint8_t)(b - '0') < 10;
        if (is_blank(b))
            continue;
        bool fits = hex ? digit || (uint8_t)(l - 'a') < 6
                        : digit || (uint8_t)(l - 'a') < 26 || b == '+' || b == '/' || b == '=';
        if (!fits)
            return 0;
        n++;
    }
    return n;
}

static const char *check(struct base_span line)
{
    char owner[DNS_NAME_CAP];
    struct base_span word = take_word(&line);

    if (!base_span_eq(word, base_span_str(".")) && dns_name_copy(owner, word) != 0)
        return "must begin with the name of a zone";
    word = take_word(&line);
    if (is_number(word, INT32_MAX / 10)) /* a TTL */
        word = take_word(&line);
    if (base_span_caseeq(word, base_span_str("IN")))
        word = take_word(&line);
    bool ds = base_span_caseeq(word, base_span_str("DS"));
    if (!ds && !base_span_caseeq(word, base_span_str("DNSKEY")))
        return "must be a DS or DNSKEY record";
    if (!is_number(take_word(&line), UINT16_MAX) || !is_number(take_word(&line), UINT8_MAX) ||
        !is_number(take_word(&line), UINT8_MAX))
        return "must have three numbers behind its type";
    size_t letters = count_letters(line, ds);
    if (letters < 16 || (ds && letters % 2 != 0))
        return ds ? "must end with a digest in hexadecimal digits"
                  : "must end with a key in base64";
    return NULL;
}

int dns_anchor_next(struct base_span *text, uint32_t *line, struct base_span *record,
                    const char **why)
{
    while (text->len > 0) {
        struct base_span l = take_line(text);
        (*line)++;
        if (l.len == 0)
            continue;
        *why = l.len < DNS_ANCHOR_BYTES ? check(l) : "is too long for a record";
        *record = l;
        return *why != NULL ? -EINVAL : 1;
    }
    return 0;
}

void dns_anchor_owner(char out[DNS_NAME_CAP], struct base_span record)
{
    struct base_span word = take_word(&record);

    if (dns_name_copy(out, word) != 0)
        out[0] = 0;
}
