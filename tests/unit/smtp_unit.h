/* Checks that unit tests of the SMTP server share. */
#ifndef SMTP_UNIT_H
#define SMTP_UNIT_H

#include "smtp_harness.h"
#include "smtp_scan.h"

static inline void unit_expect_text(const struct base_buf *got, const char *want)
{
    if (got->len != strlen(want) || memcmp(got->p, want, got->len) != 0)
        print_error("got:\n%.*s\nwant:\n%s\n", (int)got->len, (const char *)got->p, want);
    assert_int_equal(got->len, strlen(want));
    assert_memory_equal(got->p, want, got->len);
}

/* One of the scanners of this machine, by turns. */
static inline const struct smtp_scan *unit_scanner(size_t turn)
{
    size_t cnt = 1; /* there is always the reference */

    while (smtp_scan_at(cnt) != NULL)
        cnt++;
    return smtp_scan_at(turn % cnt);
}

#endif
