#include "base_time.h"

#include <string.h>

struct civil {
    int year;
    unsigned month, day, hour, minute, second, weekday, micro;
};

#define LAST_SECOND UINT64_C(253402300799) /* 9999-12-31T23:59:59Z */

/* Days since 1970-01-01 to a date of the Gregorian calendar: 400-year eras counted from 1 March
 * of year 0, so that the leap day ends a year. */
static struct civil civil_from_wall(uint64_t wall_ns)
{
    uint64_t seconds = wall_ns / BASE_NS_S;
    struct civil c = {.micro = (unsigned)(wall_ns % BASE_NS_S / BASE_NS_US)};

    if (seconds > LAST_SECOND)
        seconds = LAST_SECOND;
    uint64_t days = seconds / 86400;
    unsigned rest = (unsigned)(seconds % 86400);
    uint64_t shifted = days + 719468;
    uint64_t era = shifted / 146097;
    unsigned day_of_era = (unsigned)(shifted % 146097);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned march_month = (5 * day_of_year + 2) / 153;

    c.day = day_of_year - (153 * march_month + 2) / 5 + 1;
    c.month = march_month < 10 ? march_month + 3 : march_month - 9;
    c.year = (int)(year_of_era + era * 400) + (c.month <= 2);
    c.hour = rest / 3600;
    c.minute = rest / 60 % 60;
    c.second = rest % 60;
    c.weekday = (unsigned)((days + 4) % 7);
    return c;
}

/* printf costs as much as all else of a line of the log. */
static char *put(char *to, const char *text, size_t len)
{
    memcpy(to, text, len);
    return to + len;
}

/* Two decimal digits of v below 100. */
static char *put_two(char *to, unsigned v)
{
    static const char two[] = "00010203040506070809101112131415161718192021222324"
                              "25262728293031323334353637383940414243444546474849"
                              "50515253545556575859606162636465666768697071727374"
                              "75767778798081828384858687888990919293949596979899";

    return put(to, two + 2 * (size_t)v, 2);
}

static char *put_year(char *to, int year)
{
    to = put_two(to, (unsigned)year / 100);
    return put_two(to, (unsigned)year % 100);
}

static char *put_clock(char *to, const struct civil *c)
{
    to = put_two(to, c->hour);
    *to++ = ':';
    to = put_two(to, c->minute);
    *to++ = ':';
    return put_two(to, c->second);
}

size_t base_time_rfc5322(char out[BASE_TIME_RFC5322_CAP], uint64_t wall_ns)
{
    static const char day[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char month[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct civil c = civil_from_wall(wall_ns);
    char *to = put(out, day[c.weekday], 3);

    to = put(to, ", ", 2);
    if (c.day > 9)
        to = put_two(to, c.day);
    else
        *to++ = (char)('0' + c.day);
    *to++ = ' ';
    to = put(to, month[c.month - 1], 3);
    *to++ = ' ';
    to = put_year(to, c.year);
    *to++ = ' ';
    to = put_clock(to, &c);
    to = put(to, " +0000", 7); /* with its end */
    return (size_t)(to - out) - 1;
}

size_t base_time_rfc3339(char out[BASE_TIME_RFC3339_CAP], uint64_t wall_ns)
{
    struct civil c = civil_from_wall(wall_ns);
    char *to = put_year(out, c.year);

    *to++ = '-';
    to = put_two(to, c.month);
    *to++ = '-';
    to = put_two(to, c.day);
    *to++ = 'T';
    to = put_clock(to, &c);
    *to++ = '.';
    to = put_two(to, c.micro / 10000);
    to = put_two(to, c.micro / 100 % 100);
    to = put_two(to, c.micro % 100);
    to = put(to, "Z", 2); /* with its end */
    return (size_t)(to - out) - 1;
}
