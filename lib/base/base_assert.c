#include "base_assert.h"

#include <stdio.h>
#include <stdlib.h>

void base_assert_fail(const char *expr, const char *file, int line)
{
    fprintf(stderr, "sluice: bug: %s:%d: assertion failed: %s\n", file, line, expr);
    abort();
}
