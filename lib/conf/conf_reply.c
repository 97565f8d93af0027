/* Patterns of SMTP replies. */
#include "conf.h"

#include <ctype.h>
#include <stdio.h>

/* "421", "4xx": returns what follows, or NULL. */
static const char *read_code(struct conf_reply *out, const char *p)
{
    if ((p[0] != '4' && p[0] != '5') || !(isdigit((uint8_t)p[1]) || p[1] == 'x') ||
        !(isdigit((uint8_t)p[2]) || p[2] == 'x') || (p[3] != 0 && p[3] != ' '))
        return NULL;
    memcpy(out->code, p, 3);
    return p + 3;
}

/* One part of an enhanced code: digits, or x. */
static const char *read_part(int16_t *out, const char *p)
{
    int n = 0, digits = 0;

    if (*p == 'x') {
        *out = CONF_REPLY_ANY;
        return p + 1;
    }
    for (; isdigit((uint8_t)*p) && digits < 3; p++, digits++)
        n = n * 10 + (*p - '0');
    *out = (int16_t)n;
    return digits > 0 ? p : NULL;
}

/* "4.7.28", "x.7.1": returns what follows, or NULL. */
static const char *read_enhanced(int16_t out[3], const char *p)
{
    for (int i = 0; i < 3; i++) {
        if (i > 0 && *p++ != '.')
            return NULL;
        p = read_part(&out[i], p);
        if (p == NULL)
            return NULL;
    }
    return *p == 0 || *p == ' ' ? p : NULL;
}

bool conf_reply_parse(struct conf_reply *out, const char *text)
{
    int16_t parts[3];
    const char *rest;

    *out = (struct conf_reply){.words = ""};
    while (*text == ' ')
        text++;
    rest = read_code(out, text);
    if (rest != NULL)
        text = rest + strspn(rest, " ");
    rest = read_enhanced(parts, text);
    if (rest != NULL) {
        if (parts[0] != 4 && parts[0] != 5 && parts[0] != CONF_REPLY_ANY)
            return false;
        out->enhanced = true;
        memcpy(out->part, parts, sizeof(out->part));
        text = rest + strspn(rest, " ");
    }
    out->words = text;
    size_t len = strlen(text);
    bool codes = out->enhanced || out->code[0] != 0;
    return len > 0 ? len >= CONF_REPLY_WORDS_MIN : codes;
}

/* Without case, anywhere. */
static bool has_words(struct base_span text, const char *words)
{
    size_t len = strlen(words);

    for (size_t at = 0; at + len <= text.len; at++)
        if (base_span_caseeq(base_span_of(text.p + at, len), base_span_of(words, len)))
            return true;
    return len == 0;
}

bool conf_reply_match(const struct conf_reply *r, uint16_t code, const char *enhanced,
                      struct base_span text)
{
    char digits[6];
    int16_t parts[3];

    snprintf(digits, sizeof(digits), "%03u", code);
    for (int i = 0; i < 3 && r->code[0] != 0; i++)
        if (r->code[i] != 'x' && r->code[i] != digits[i])
            return false;
    if (r->enhanced && read_enhanced(parts, enhanced) == NULL)
        return false;
    for (int i = 0; i < 3 && r->enhanced; i++)
        if (r->part[i] != CONF_REPLY_ANY && r->part[i] != parts[i])
            return false;
    return has_words(text, r->words);
}
