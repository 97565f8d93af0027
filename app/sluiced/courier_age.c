#include "courier_age.h"
#include "base_time.h"
#include "courier.h"

#define PIECE       256
#define PAUSE_NS    (10 * BASE_NS_S)
#define PER_MESSAGE 20000 /* ns of pause: walking stays below a percent of the courier's time */

static bool look(void *user, const struct queue_entry *e)
{
    static const uint64_t below_s[COURIER_AGE_CNT - 1] = {300, 3600, 6 * 3600, 86400};
    struct courier_age *a = user;
    uint32_t i = 0;

    while (i < COURIER_AGE_CNT - 1 && e->age_ns >= below_s[i] * BASE_NS_S)
        i++;
    a->cnt[i]++;
    a->held_cnt += e->held;
    if (e->age_ns > a->oldest_ns)
        a->oldest_ns = e->age_ns;
    a->after = e->id;
    return true;
}

static uint64_t seen(const struct courier_age *a)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < COURIER_AGE_CNT; i++)
        n += a->cnt[i];
    return n;
}

static void tell(struct courier *c)
{
    struct courier_age *a = &c->age;

    stats_set(c->stats, STATS_QUEUE_HELD, a->held_cnt);
    stats_set(c->stats, STATS_QUEUE_OLDEST_S, a->oldest_ns / BASE_NS_S);
    stats_set(c->stats, STATS_QUEUE_AGE_MINUTES, a->cnt[0]);
    stats_set(c->stats, STATS_QUEUE_AGE_HOUR, a->cnt[1]);
    stats_set(c->stats, STATS_QUEUE_AGE_HOURS, a->cnt[2]);
    stats_set(c->stats, STATS_QUEUE_AGE_DAY, a->cnt[3]);
    stats_set(c->stats, STATS_QUEUE_AGE_DAYS, a->cnt[4]);
    uint64_t next_ns = c->now_ns + PAUSE_NS + seen(a) * PER_MESSAGE;
    *a = (struct courier_age){.next_ns = next_ns};
}

void courier_age_pass(struct courier *c)
{
    struct courier_age *a = &c->age;
    struct queue_usage u;

    queue_usage(c->queue, &u);
    if (u.message_cnt == 0) {
        if (a->walking || stats_get(c->stats, STATS_QUEUE_AGE_MINUTES) > 0 ||
            stats_get(c->stats, STATS_QUEUE_OLDEST_S) > 0) {
            *a = (struct courier_age){0};
            tell(c);
        }
        a->next_ns = c->now_ns;
        return;
    }
    if (!a->walking && c->now_ns < a->next_ns)
        return;
    a->walking = true;
    uint64_t before = seen(a);
    queue_each(c->queue, &a->after, PIECE, look, a);
    if (seen(a) - before < PIECE)
        tell(c);
}

uint64_t courier_age_deadline(const struct courier *c)
{
    struct queue_usage u;

    queue_usage(c->queue, &u);
    if (u.message_cnt == 0)
        return BASE_NS_NONE;
    return c->age.walking ? c->now_ns + BASE_NS_MS : c->age.next_ns;
}
