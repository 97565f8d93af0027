#include "top_times.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SHIFT_MAX 40 /* with STATS_BOUND_MAX bounds the last is 2^63 */

/* The number at *p, which moves behind it. strtoull alone would take blanks and line ends, too. */
static bool read_number(const char **p, uint64_t *out)
{
    char *end;

    if (**p < '0' || **p > '9')
        return false;
    *out = strtoull(*p, &end, 10);
    *p = end;
    return true;
}

bool top_times_read(struct top_times *out, const char *text)
{
    struct top_times t = {0};
    const char *p = text;
    uint64_t shift;
    uint32_t cnt = 0;

    if (!read_number(&p, &shift) || *p != ' ' || shift > SHIFT_MAX)
        return false;
    do {
        p++;
        if (cnt > STATS_BOUND_MAX || !read_number(&p, &t.cnt[cnt]))
            return false;
        cnt++;
    } while (*p == ',');
    if ((*p != '\n' && *p != 0) || cnt < 2)
        return false;
    t.shift = (uint32_t)shift;
    t.bound_cnt = cnt - 1;
    *out = t;
    return true;
}

struct top_times top_times_since(const struct top_times *before, const struct top_times *now)
{
    struct top_times t = *now;

    if (before->shift != now->shift || before->bound_cnt != now->bound_cnt)
        return t;
    for (uint32_t i = 0; i <= now->bound_cnt; i++)
        if (before->cnt[i] > now->cnt[i])
            return *now;
        else
            t.cnt[i] -= before->cnt[i];
    return t;
}

uint64_t top_times_cnt(const struct top_times *t)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; t->bound_cnt > 0 && i <= t->bound_cnt; i++)
        sum += t->cnt[i];
    return sum;
}

uint64_t top_times_bound_ns(const struct top_times *t, uint32_t permille)
{
    uint64_t all = top_times_cnt(t), seen = 0;
    /* The place of the value, from 1: rounded up, so that a p99 of few values is their last. */
    uint64_t place = all / 1000 * permille + (all % 1000 * permille + 999) / 1000;

    if (all == 0)
        return 0;
    for (uint32_t i = 0; i < t->bound_cnt; i++) {
        seen += t->cnt[i];
        if (seen >= place)
            return UINT64_C(1) << (t->shift + i);
    }
    return UINT64_MAX;
}

void top_times_tell(char out[TOP_TIME_CAP], const struct top_times *t, uint32_t permille)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"s", 1000000000}, {"ms", 1000000}, {"us", 1000}};
    uint64_t ns = top_times_bound_ns(t, permille);
    bool over = ns == UINT64_MAX;
    size_t u = 0;

    if (ns == 0) {
        snprintf(out, TOP_TIME_CAP, "none");
        return;
    }
    if (over)
        ns = UINT64_C(1) << (t->shift + t->bound_cnt - 1);
    while (u + 1 < BASE_ARRAY_CNT(units) && ns < units[u].ns)
        u++;
    uint64_t tenth_ns = units[u].ns / 10, tenths = (over ? ns : ns + tenth_ns - 1) / tenth_ns;
    snprintf(out, TOP_TIME_CAP, "%s %" PRIu64 ".%u %s", over ? ">" : "<=", tenths / 10,
             (unsigned)(tenths % 10), units[u].name);
}
