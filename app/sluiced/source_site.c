#include "source_site.h"

#include <stdio.h>
#include <string.h>

/* Where the label before at begins; host itself when there is none. */
static const char *label_before(const char *host, const char *at)
{
    while (at > host && at[-1] != '.')
        at--;
    return at;
}

static bool is_second_level(const char *label, size_t len)
{
    static const char *const longer[] = {"gouv", "govt", "asso", "info", "name"};

    for (size_t i = 0; i < sizeof(longer) / sizeof(longer[0]); i++)
        if (strlen(longer[i]) == len && memcmp(longer[i], label, len) == 0)
            return true;
    return len <= 3;
}

void source_site(char out[SOURCE_SITE_CAP], const char *host)
{
    const char *end = host + strlen(host);
    const char *top = label_before(host, end), *second = host, *from = host;
    bool address = strchr(host, ':') != NULL || strspn(top, "0123456789") == strlen(top);

    if (!address && top > host) {
        second = label_before(host, top - 1);
        from = second;
        bool country = end - top == 2;
        if (second > host && country && is_second_level(second, (size_t)(top - 1 - second)))
            from = label_before(host, second - 1);
    }
    /* What is too long loses its beginning. */
    size_t len = (size_t)(end - from);
    if (len > SOURCE_SITE_CAP - 1)
        from = end - (SOURCE_SITE_CAP - 1);
    snprintf(out, SOURCE_SITE_CAP, "%s", len > 0 ? from : "-");
    for (char *c = out; *c != 0; c++) /* it is shown, and stands in a line of words */
        if (*c <= ' ' || *c > '~')
            *c = '?';
}
