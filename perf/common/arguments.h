/*
 * Values of options, as the tools of perf/ read them. Pure functions; each returns 0, or -EINVAL.
 */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include <stddef.h>
#include <stdint.h>

/* Decimal, min to max. */
int arguments_number(const char *text, uint64_t min, uint64_t max, uint64_t *out);
int arguments_number32(const char *text, uint32_t min, uint32_t max, uint32_t *out);

/* Seconds, with a point ("0.5"), 1 ms to a day. */
int arguments_seconds(const char *text, uint64_t *out_ns);

/* "1,2": at most cap processors below 1024. */
int arguments_cpus(const char *text, uint32_t *cpu, uint32_t cap);

/* Writes what is wrong into err; returns -EINVAL. */
__attribute__((format(printf, 3, 4))) int arguments_fail(char *err, size_t cap, const char *format,
                                                         ...);

#endif
