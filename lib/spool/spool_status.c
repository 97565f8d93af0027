#include "spool_status.h"

#include <stdio.h>

/* One to three digits; -1: there are none, or more. */
static int number_take(struct base_span *rest)
{
    int n = 0;
    size_t len = 0;
    while (len < rest->len && rest->p[len] >= '0' && rest->p[len] <= '9') {
        if (len == 3)
            return -1;
        n = n * 10 + (rest->p[len++] - '0');
    }
    rest->p += len;
    rest->len -= len;
    return len == 0 ? -1 : n;
}

static bool dot_take(struct base_span *rest)
{
    if (rest->len == 0 || rest->p[0] != '.')
        return false;
    rest->p++;
    rest->len--;
    return true;
}

uint32_t spool_status_parse(struct base_span text)
{
    int class = number_take(&text);
    if ((class != 2 && class != 4 && class != 5) || !dot_take(&text))
        return 0;
    int subject = number_take(&text);
    if (subject < 0 || !dot_take(&text))
        return 0;
    int detail = number_take(&text);
    if (detail < 0 || text.len > 0)
        return 0;
    return (uint32_t)(class * 1000000 + subject * 1000 + detail);
}

void spool_status_format(char out[SPOOL_STATUS_TEXT_CAP], uint32_t status)
{
    uint32_t class = status / 1000000;
    out[0] = '\0';
    if (class == 2 || class == 4 || class == 5)
        snprintf(out, SPOOL_STATUS_TEXT_CAP, "%u.%u.%u", class, status / 1000 % 1000,
                 status % 1000);
}
