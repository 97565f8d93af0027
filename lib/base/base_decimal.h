/*
 * A number in decimal digits, for texts that are written where printf would cost more than all
 * else of them. Pure; any thread.
 */
#ifndef BASE_DECIMAL_H
#define BASE_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

#define BASE_DECIMAL_CAP 20 /* digits of UINT64_MAX */

/* Writes v without leading zeros and without a NUL. Returns how many digits, 1 to
 * BASE_DECIMAL_CAP. */
static inline size_t base_decimal(char out[BASE_DECIMAL_CAP], uint64_t v)
{
    size_t cnt = 1;

    for (uint64_t rest = v; rest > 9; rest /= 10)
        cnt++;
    for (size_t i = cnt; i-- > 0; v /= 10)
        out[i] = (char)('0' + v % 10);
    return cnt;
}

#endif
