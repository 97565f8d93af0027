#include "arguments.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int arguments_number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    char *end;

    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != 0 || errno != 0 || v < min || v > max)
        return -EINVAL;
    *out = v;
    return 0;
}

int arguments_number32(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
    uint64_t v = 0;
    int error = arguments_number(text, min, max, &v);

    *out = (uint32_t)v;
    return error;
}

int arguments_fail(char *err, size_t cap, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(err, cap, format, args);
    va_end(args);
    return -EINVAL;
}

int arguments_seconds(const char *text, uint64_t *out_ns)
{
    char *end;
    double v = strtod(text, &end);

    if (end == text || *end != 0 || !(v >= 0.001) || !(v <= 86400))
        return -EINVAL;
    *out_ns = (uint64_t)(v * 1e9);
    return 0;
}

int arguments_cpus(const char *text, uint32_t *cpu, uint32_t cap)
{
    uint32_t cnt = 0;

    for (const char *p = text; cnt < cap; p++) {
        char *end;
        unsigned long v = strtoul(p, &end, 10);
        if (end == p || v > 1023)
            return -EINVAL;
        cpu[cnt++] = (uint32_t)v;
        if (*end == 0)
            return 0;
        if (*end != ',')
            return -EINVAL;
        p = end;
    }
    return -EINVAL;
}
