/*
 * Header sections: what they say of TLS-Required does not depend on where they are cut, and is what
 * a slow reader of whole lines makes of them.
 */
#include "base_assert.h"
#include "mail_tls_required.h"

#include <string.h>
#include <strings.h>

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* One field, unfolded: returns 1 when it is the one with the value "no", 0 when another value, -1
 * when it is another field. */
static int field(const char *p, size_t len)
{
    static const char name[] = "tls-required";
    size_t at = sizeof(name) - 1;

    if (len < at || strncasecmp(p, name, at) != 0)
        return -1;
    while (at < len && (p[at] == ' ' || p[at] == '\t' || p[at] == '\r'))
        at++;
    if (at == len || p[at] != ':')
        return -1;
    for (at++; at < len && blank(p[at]); at++)
        ;
    while (len > at && blank(p[len - 1]))
        len--;
    return len - at == 2 && strncasecmp(p + at, "no", 2) == 0;
}

static bool slowly(const char *p, size_t size)
{
    int cnt = 0, no = 0;

    for (size_t at = 0; at < size && p[at] != '\r' && p[at] != '\n';) {
        size_t end = at;
        do {
            const char *lf = memchr(p + end, '\n', size - end);
            end = lf != NULL ? (size_t)(lf - p) + 1 : size;
        } while (end < size && (p[end] == ' ' || p[end] == '\t'));
        /* A name that is cut by its line's end is none. */
        const char *line = memchr(p + at, '\n', end - at);
        const char *colon = memchr(p + at, ':', end - at);
        int got = colon != NULL && (line == NULL || colon < line) ? field(p + at, end - at) : -1;
        cnt += got >= 0;
        no += got == 1;
        at = end;
    }
    return cnt == 1 && no == 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mail_tls_required whole, cut;
    static const char begin[] = "TLS-Required:";
    char text[600];

    if (size < 2 || size > 500)
        return 0;
    /* Most of what a fuzzer makes would not have the field. */
    size_t len = data[0] & 1 ? sizeof(begin) - 1 : 0;
    memcpy(text, begin, len);
    memcpy(text + len, data + 2, size - 2);
    len += size - 2;
    mail_tls_required_init(&whole);
    mail_tls_required_push(&whole, base_span_of(text, len));
    base_assert(mail_tls_required_no(&whole) == slowly(text, len));
    mail_tls_required_init(&cut);
    size_t step = data[1] % 7 + 1U;
    for (size_t at = 0; at < len; at += step)
        mail_tls_required_push(&cut, base_span_of(text + at, step < len - at ? step : len - at));
    base_assert(mail_tls_required_no(&cut) == mail_tls_required_no(&whole));
    return 0;
}
