/* What every line of the log must be, whatever was in it: used by test_log.c and fuzz_log_format.c.
 */
#ifndef LOG_CHECK_H
#define LOG_CHECK_H

#include "base_assert.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* JSON by RFC 8259 and no wider; that its bytes are UTF-8 is log_text_valid's. Each takes what it
 * reads off the front. */
struct log_json {
    const char *p, *end;
};

static inline bool log_json_char(struct log_json *j, char c)
{
    if (j->p == j->end || *j->p != c)
        return false;
    j->p++;
    return true;
}

static inline bool log_json_hex(struct log_json *j, unsigned *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef", *at;
        if (j->p == j->end || *j->p == 0 || (at = strchr(digits, *j->p)) == NULL)
            return false;
        *out = *out << 4 | (unsigned)(at - digits);
        j->p++;
    }
    return true;
}

static inline bool log_json_string(struct log_json *j)
{
    if (!log_json_char(j, '"'))
        return false;
    while (j->p < j->end && *j->p != '"') {
        if ((unsigned char)*j->p < 0x20 || *j->p == 0x7f)
            return false;
        if (*j->p++ != '\\')
            continue;
        if (j->p == j->end)
            return false;
        if (*j->p == '"' || *j->p == '\\') {
            j->p++;
            continue;
        }
        unsigned unit, low;
        if (!log_json_char(j, 'u') || !log_json_hex(j, &unit))
            return false;
        if (unit >= 0xdc00 && unit < 0xe000)
            return false; /* half a character */
        if (unit >= 0xd800 && unit < 0xdc00 &&
            (!log_json_char(j, '\\') || !log_json_char(j, 'u') || !log_json_hex(j, &low) ||
             low < 0xdc00 || low >= 0xe000))
            return false;
    }
    return log_json_char(j, '"');
}

static inline bool log_json_value(struct log_json *j)
{
    const char *first = j->p;

    if (j->p < j->end && *j->p == '"')
        return log_json_string(j);
    if (j->end - j->p >= 4 && memcmp(j->p, "true", 4) == 0) {
        j->p += 4;
        return true;
    }
    while (j->p < j->end && *j->p >= '0' && *j->p <= '9')
        j->p++;
    return j->p > first && (*first != '0' || j->p == first + 1);
}

/* An object of strings, whole numbers and true, with no name twice. */
static inline bool log_json_valid(const char *text, size_t len)
{
    struct log_json j = {text, text + len};
    struct {
        const char *p;
        size_t len;
    } names[32];
    size_t cnt = 0;

    if (!log_json_char(&j, '{'))
        return false;
    do {
        names[cnt].p = j.p;
        if (!log_json_string(&j))
            return false;
        names[cnt].len = (size_t)(j.p - names[cnt].p);
        for (size_t i = 0; i < cnt; i++)
            if (names[i].len == names[cnt].len &&
                memcmp(names[i].p, names[cnt].p, names[i].len) == 0)
                return false;
        if (++cnt == sizeof(names) / sizeof(names[0]) || !log_json_char(&j, ':') ||
            !log_json_value(&j))
            return false;
    } while (log_json_char(&j, ','));
    return log_json_char(&j, '}') && j.p == j.end;
}

/* UTF-8 by RFC 3629 without control characters, C1 neither. */
static inline bool log_text_valid(const char *text, size_t len, bool ascii)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + len;

    while (p < end) {
        unsigned c = *p++, more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        unsigned least = more == 0 ? 0x20 : more == 1 ? 0xa0 : more == 2 ? 0x800 : 0x10000;
        if (more == 0 ? c < 0x20 || c == 0x7f : ascii || c < 0xc2 || c > 0xf4)
            return false;
        if (more > 0)
            c &= 0x7fu >> (more + 1);
        for (; more > 0; more--, p++) {
            if (p == end || (*p & 0xc0) != 0x80)
                return false;
            c = c << 6 | (*p & 0x3fu);
        }
        if (c < least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
            return false;
    }
    return true;
}

#endif
