#include "queue_time.h"

void queue_clock_now(struct queue_clock *c, uint64_t now_ns)
{
    if (now_ns <= c->now_ns)
        return;
    c->wall_ns += c->running ? now_ns - c->now_ns : 0;
    c->now_ns = now_ns;
}

void queue_clock_look(struct queue_clock *c, uint64_t now_ns, uint64_t wall_ns)
{
    if (!c->running) {
        *c = (struct queue_clock){.now_ns = now_ns,
                                  .wall_ns = wall_ns,
                                  .start_now_ns = now_ns,
                                  .start_wall_ns = wall_ns,
                                  .running = true,
                                  .epoch = 1};
        return;
    }
    queue_clock_now(c, now_ns);
    uint64_t off = wall_ns > c->wall_ns ? wall_ns - c->wall_ns : c->wall_ns - wall_ns;
    if (off > QUEUE_JUMP_NS) {
        c->jump_cnt++;
        c->epoch = c->epoch == UINT16_MAX ? 1 : (uint16_t)(c->epoch + 1);
    }
    c->wall_ns = wall_ns;
}

uint64_t queue_clock_wall(const struct queue_clock *c, uint64_t now_ns)
{
    if (now_ns >= c->now_ns)
        return c->wall_ns + (now_ns - c->now_ns);
    return c->wall_ns > c->now_ns - now_ns ? c->wall_ns - (c->now_ns - now_ns) : 0;
}

/* As much of it as may have been downtime. */
static uint64_t plausible(const struct queue_config *config, uint64_t from_wall_ns,
                          uint64_t wall_ns)
{
    uint64_t ns = wall_ns > from_wall_ns ? wall_ns - from_wall_ns : 0;
    return ns < config->lifetime_ns / 2 ? ns : config->lifetime_ns / 2;
}

uint64_t queue_age_at_start(const struct queue_clock *c, const struct queue_config *config,
                            const struct spool_arrival *a, uint64_t arrival_wall_ns)
{
    uint64_t age = 0;
    bool journalled = false;
    for (uint32_t i = 0; i < a->recipient_cnt; i++) {
        const struct spool_outcome *o = &a->outcomes[i];
        if (o->state == SPOOL_OUTCOME_QUEUED && o->next_wall_ns == 0 && o->age_min == 0)
            continue; /* nothing was journalled of it: requeued ones have their time */
        uint64_t of = o->age_min * 60 * BASE_NS_S;
        if (o->state == SPOOL_OUTCOME_DEFERRED || o->state == SPOOL_OUTCOME_QUEUED)
            of += plausible(config, o->next_wall_ns, c->wall_ns);
        age = of > age ? of : age;
        journalled = true;
    }
    if (!journalled) {
        age = plausible(config, arrival_wall_ns, c->wall_ns);
        /* What came in this run is no older than the run, whatever the wall clock did. */
        uint64_t run = c->now_ns - c->start_now_ns;
        if (arrival_wall_ns >= c->start_wall_ns && age > run)
            age = run;
    }
    return age < QUEUE_AGE_MAX ? age : QUEUE_AGE_MAX;
}

uint64_t queue_backoff(const struct queue_config *config, uint32_t attempt_cnt)
{
    uint64_t wait = config->backoff_min_ns;
    for (uint32_t i = 1; i < attempt_cnt && wait < config->backoff_max_ns; i++)
        wait *= 2;
    return wait < config->backoff_max_ns ? wait : config->backoff_max_ns;
}

uint64_t queue_backoff_longest(const struct queue_config *config)
{
    return config->backoff_max_ns + config->backoff_max_ns / 8;
}
