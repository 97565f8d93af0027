/* Names of hosts, rates and times as they are written. */
#include "shape.h"

#include <stdio.h>
#include <string.h>

#define GAP_MIN_NS 1000

static uint8_t fold(char c)
{
    return (uint8_t)(c - 'A') < 26 ? (uint8_t)(c | 0x20) : (uint8_t)c;
}

bool shape_host_check(const char *pattern)
{
    size_t len = strlen(pattern);
    bool any = false;

    for (size_t i = 0; i < len; i++) {
        uint8_t c = fold(pattern[i]);
        bool fits = (uint8_t)(c - 'a') < 26 || (uint8_t)(c - '0') < 10 || c == '-' || c == '_' ||
                    c == '.' || c == '*';
        if (!fits)
            return false;
        any |= c != '*' && c != '.';
    }
    return any && len <= 255;
}

bool shape_host_match(const char *pattern, const char *host)
{
    const char *p = pattern, *h = host, *star = NULL, *from = NULL;
    size_t len = strlen(host);
    const char *end = host + len - (len > 0 && host[len - 1] == '.');

    /* Where it fails behind a star, that one takes a byte more: quadratic at worst. */
    while (h < end) {
        if (*p == '*') {
            star = p++;
            from = h;
        } else if (*p != 0 && fold(*p) == fold(*h)) {
            p++;
            h++;
        } else if (star != NULL) {
            p = star + 1;
            h = ++from;
        } else {
            return false;
        }
    }
    while (*p == '*')
        p++;
    return *p == 0;
}

/* Digits at the start of text, not all of which need be. Returns how many. */
static size_t number(struct base_span text, uint64_t *out)
{
    size_t i = 0;

    *out = 0;
    for (; i < text.len && i < 12 && (uint8_t)(text.p[i] - '0') < 10; i++)
        *out = *out * 10 + (uint64_t)(text.p[i] - '0');
    return i;
}

bool shape_rate_parse(uint64_t *gap_ns, const char *text)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } unit[] = {{"/s", BASE_NS_S},         {"/sec", BASE_NS_S},        {"/m", 60 * BASE_NS_S},
                {"/min", 60 * BASE_NS_S},  {"/h", 3600 * BASE_NS_S},   {"/hour", 3600 * BASE_NS_S},
                {"/d", 86400 * BASE_NS_S}, {"/day", 86400 * BASE_NS_S}};
    uint64_t n;
    size_t len = number(base_span_str(text), &n);

    *gap_ns = 0;
    if (len > 0 && n == 0 && text[len] == 0)
        return true;
    if (len == 0 || n == 0)
        return false;
    for (size_t i = 0; i < BASE_ARRAY_CNT(unit); i++)
        if (strcmp(text + len, unit[i].name) == 0) {
            *gap_ns = unit[i].ns / n;
            return *gap_ns >= GAP_MIN_NS;
        }
    return false;
}

void shape_rate_format(char out[SHAPE_RATE_TEXT_CAP], uint64_t gap_ns)
{
    uint64_t gap = gap_ns > 0 ? gap_ns : 1;

    if (gap <= BASE_NS_S / 10 || (gap <= BASE_NS_S && BASE_NS_S % gap == 0))
        snprintf(out, SHAPE_RATE_TEXT_CAP, "%llu/s",
                 (unsigned long long)((BASE_NS_S + gap / 2) / gap));
    else if (gap <= 6 * BASE_NS_S || (gap <= 60 * BASE_NS_S && 60 * BASE_NS_S % gap == 0))
        snprintf(out, SHAPE_RATE_TEXT_CAP, "%llu/m",
                 (unsigned long long)((60 * BASE_NS_S + gap / 2) / gap));
    else if (gap <= 3600 * BASE_NS_S)
        snprintf(out, SHAPE_RATE_TEXT_CAP, "%llu/h",
                 (unsigned long long)((3600 * BASE_NS_S + gap / 2) / gap));
    else
        snprintf(out, SHAPE_RATE_TEXT_CAP, "%llu/d",
                 (unsigned long long)((86400 * BASE_NS_S + gap / 2) / gap));
}

bool shape_time_parse(uint64_t *ns, struct base_span text)
{
    static const char units[] = "smhdw";
    static const uint64_t factor[] = {1, 60, 3600, 86400, 7 * 86400};
    size_t len = number(text, ns);
    const char *at = len > 0 && len + 1 == text.len ? strchr(units, text.p[len]) : NULL;

    if (at == NULL || *at == 0 || *ns > SHAPE_TIME_MAX_NS / BASE_NS_S)
        return false;
    *ns *= factor[at - units] * BASE_NS_S;
    return *ns > 0 && *ns <= SHAPE_TIME_MAX_NS;
}
