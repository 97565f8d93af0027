/*
 * Time: units, and the one text form that mail needs. Engines get time as an argument and never
 * read a clock. now_ns is monotonic (its zero means nothing, 0 is never used as "now");
 * wall_ns is nanoseconds since 1970 UTC. Pure functions; any thread.
 */
#ifndef BASE_TIME_H
#define BASE_TIME_H

#include <stddef.h>
#include <stdint.h>

#define BASE_NS_US   UINT64_C(1000)
#define BASE_NS_MS   UINT64_C(1000000)
#define BASE_NS_S    UINT64_C(1000000000)
#define BASE_NS_NONE UINT64_MAX /* "never", as a deadline */

#define BASE_TIME_RFC5322_CAP 40 /* enough for any result of base_time_rfc5322, with its NUL */

/* Writes the date-time of RFC 5322 section 3.3, in UTC ("Mon, 2 Jan 2006 15:04:05 +0000").
 * Years 1970-9999; later times are written as the last second of 9999. Returns its length. */
size_t base_time_rfc5322(char out[BASE_TIME_RFC5322_CAP], uint64_t wall_ns);

/* Writes "2006-01-02T15:04:05.123456Z" (RFC 3339), 27 bytes and a NUL. */
#define BASE_TIME_RFC3339_CAP 32
size_t base_time_rfc3339(char out[BASE_TIME_RFC3339_CAP], uint64_t wall_ns);

#endif
