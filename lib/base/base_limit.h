/*
 * A rate limit: burst at once, then one each interval_ns (the virtual scheduling algorithm of ITU-T
 * I.371: one number instead of a bucket that is filled). interval_ns and burst are at least 1.
 */
#ifndef BASE_LIMIT_H
#define BASE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct base_limit {
    uint64_t interval_ns;
    uint64_t burst;
    uint64_t due_ns; /* when all of the burst is there again; 0 at the start */
};

/* How many may pass now. */
static inline uint64_t base_limit_room(const struct base_limit *l, uint64_t now_ns)
{
    uint64_t used_ns = l->due_ns > now_ns ? l->due_ns - now_ns : 0;
    uint64_t most_ns = l->interval_ns * (l->burst - 1);

    return used_ns > most_ns ? 0 : (most_ns - used_ns) / l->interval_ns + 1;
}

/* cnt of them pass; there is room. */
static inline void base_limit_use(struct base_limit *l, uint64_t now_ns, uint64_t cnt)
{
    l->due_ns = (l->due_ns > now_ns ? l->due_ns : now_ns) + cnt * l->interval_ns;
}

static inline bool base_limit_pass(struct base_limit *l, uint64_t now_ns)
{
    uint64_t due = l->due_ns > now_ns ? l->due_ns : now_ns;

    if (due - now_ns > l->interval_ns * (l->burst - 1))
        return false;
    l->due_ns = due + l->interval_ns;
    return true;
}

#endif
