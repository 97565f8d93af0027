/*
 * Groups of destinations. A group stands in the queue's rings, one for each standing, in place of
 * its destinations, and only while it may have another job: so one at its limit costs the others no
 * place and no look. Its turn is as long as it has destinations in that ring, so that mail to one
 * of many domains of a provider has as many turns as mail to a domain of its own.
 *
 * The pace is that of a bucket with one token, by running time: the next job is due a gap after the
 * last one was, and what was missed is made up for as far as QUEUE_GROUP_BURST_NS goes.
 */
#include "queue_internal.h"

#include <errno.h>

static struct queue_group *group_of(const struct queue *q, const struct queue_destination *d)
{
    return d->group != 0 ? q->group[d->group] : NULL;
}

/* ---- its turns ---- */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t pace_ns(uint64_t gap_ns, uint64_t next_ns)
{
    uint64_t early = gap_ns < QUEUE_GROUP_BURST_NS ? QUEUE_GROUP_BURST_NS - gap_ns : 0;

    return gap_ns == 0 || next_ns <= early ? 0 : next_ns - early;
}

/* The time from which on it may have a job, as far as time tells. */
static uint64_t open_ns(const struct queue_group *g)
{
    uint64_t at = later(pace_ns(g->limits.job_gap_ns, g->job_next_ns),
                        pace_ns(g->limits.rcpt_gap_ns, g->rcpt_next_ns));
    return g->suspended ? BASE_NS_NONE : later(at, g->pause_ns);
}

static bool has_room(const struct queue_group *g)
{
    return g->limits.job_max == 0 || g->job_cnt < g->limits.job_max;
}

static void group_schedule(struct queue *q, struct queue_group *g)
{
    uint64_t at = open_ns(g);
    bool room = has_room(g), opens = room && at <= q->clock.now_ns, any = false;

    for (uint32_t s = 0; s < QUEUE_STANDING_CNT; s++) {
        struct base_list *node = &g->turn[s].node;
        bool runs = opens && g->ring_cnt[s] > 0;
        any |= g->ring_cnt[s] > 0;
        if (runs == base_list_linked(node))
            continue;
        base_list_remove(node);
        if (runs)
            base_list_push_back(&q->ring[s], node);
        g->left[s] = g->ring_cnt[s];
    }
    bool waits = any && room && !opens && at != BASE_NS_NONE;
    if (waits != base_list_linked(&g->waiting)) {
        base_list_remove(&g->waiting);
        if (waits)
            base_list_push_back(&q->group_waiting, &g->waiting);
    }
    if (waits && at < q->group_due_ns)
        q->group_due_ns = at;
    if (base_list_empty(&q->group_waiting))
        q->group_due_ns = BASE_NS_NONE;
}

void queue_group_advance(struct queue *q)
{
    struct base_list due;
    struct base_list *node;

    if (q->group_due_ns > q->clock.now_ns)
        return;
    base_list_init(&due);
    while ((node = base_list_pop_front(&q->group_waiting)) != NULL)
        base_list_push_back(&due, node);
    q->group_due_ns = BASE_NS_NONE;
    while ((node = base_list_pop_front(&due)) != NULL)
        group_schedule(q, base_container_of(node, struct queue_group, waiting));
}

void queue_ring_enter(struct queue *q, struct queue_destination *d)
{
    struct queue_group *g = group_of(q, d);

    d->ring_standing = d->standing;
    d->ring_group = d->group;
    base_list_push_back(g != NULL ? &g->ring[d->standing] : &q->ring[d->standing], &d->turn.node);
    if (g == NULL)
        return;
    g->ring_cnt[d->standing]++;
    group_schedule(q, g);
}

void queue_ring_leave(struct queue *q, struct queue_destination *d)
{
    struct queue_group *g = d->ring_group != 0 ? q->group[d->ring_group] : NULL;

    base_list_remove(&d->turn.node);
    d->ring_group = 0;
    if (g == NULL)
        return;
    g->ring_cnt[d->ring_standing]--;
    group_schedule(q, g);
}

struct queue_destination *queue_group_turn(struct queue *q, struct queue_turn *t, uint32_t standing)
{
    struct queue_group *g =
        base_container_of(t - standing, struct queue_group, turn[0]); /* turn[0] of it */

    g->left[standing] -= g->left[standing] > 0;
    if (g->left[standing] == 0) {
        base_list_remove(&t->node);
        base_list_push_back(&q->ring[standing], &t->node);
        g->left[standing] = g->ring_cnt[standing];
    }
    return base_container_of(g->ring[standing].next, struct queue_destination, turn.node);
}

/* ---- jobs ---- */

void queue_group_count(struct queue *q, const struct queue_destination *d, int sign)
{
    struct queue_group *g = group_of(q, d);

    if (g == NULL)
        return;
    g->job_cnt += (uint32_t)sign;
    group_schedule(q, g);
}

void queue_group_take(struct queue *q, uint32_t group, uint32_t rcpt_cnt)
{
    struct queue_group *g = group != 0 ? q->group[group] : NULL;

    if (g == NULL)
        return;
    g->job_next_ns = later(g->job_next_ns, q->clock.now_ns) + g->limits.job_gap_ns;
    g->rcpt_next_ns = later(g->rcpt_next_ns, q->clock.now_ns) + g->limits.rcpt_gap_ns * rcpt_cnt;
    group_schedule(q, g);
}

uint32_t queue_group_rcpt_max(const struct queue *q, const struct queue_destination *d)
{
    const struct queue_group *g = group_of(q, d);
    uint32_t max = g != NULL ? g->limits.rcpt_max : 0;

    return max == 0 || max > QUEUE_JOB_RCPT_MAX ? QUEUE_JOB_RCPT_MAX : max;
}

/* ---- members ---- */

static void become(struct queue *q, struct queue_destination *d, uint32_t group)
{
    struct queue_group *was = group_of(q, d);

    if (d->group == group)
        return;
    if (!d->idle)
        queue_ring_leave(q, d);
    d->group = (uint8_t)group;
    if (was != NULL) {
        was->destination_cnt--;
        was->job_cnt -= d->job_cnt;
        group_schedule(q, was);
    }
    struct queue_group *g = group_of(q, d);
    if (g != NULL) {
        g->destination_cnt++;
        g->job_cnt += d->job_cnt;
        group_schedule(q, g);
    }
    queue_destination_schedule(q, d);
}

void queue_group_assign(struct queue *q, struct queue_destination *d)
{
    if (q->config.group == NULL)
        return;
    uint32_t group = q->config.group(q->config.user, base_span_of(d->key, d->key_len), d->group);
    base_assert(group < QUEUE_GROUP_MAX);
    become(q, d, q->group[group] != NULL ? group : 0);
}

void queue_group_leave(struct queue *q, struct queue_destination *d)
{
    struct queue_group *g = group_of(q, d);

    if (g != NULL)
        g->destination_cnt--;
    d->group = 0;
    (void)q;
}

bool queue_group_join(struct queue *q, struct queue_job *job, uint32_t group)
{
    base_assert(group < QUEUE_GROUP_MAX && !job->answered);
    struct queue_group *g = q->group[group];
    if (job->standing == QUEUE_STANDING_NONE)
        return true;
    become(q, q->destinations[job->destination], g != NULL ? group : 0);
    if (g == NULL || job->group == group)
        return true;
    if (open_ns(g) > q->clock.now_ns || (g->limits.job_max != 0 && g->job_cnt > g->limits.job_max))
        return false;
    if (job->recipient_cnt > queue_group_rcpt_max(q, q->destinations[job->destination]))
        return false;
    job->group = (uint16_t)group;
    queue_group_take(q, group, job->recipient_cnt);
    return true;
}

/* ---- groups ---- */

static struct queue_group *group_make(struct queue *q, uint32_t group)
{
    struct queue_group *g = queue_alloc(q, sizeof(*g));

    if (g == NULL)
        return NULL;
    *g = (struct queue_group){0};
    base_list_init(&g->waiting);
    for (uint32_t s = 0; s < QUEUE_STANDING_CNT; s++) {
        base_list_init(&g->turn[s].node);
        g->turn[s].is_group = true;
        base_list_init(&g->ring[s]);
    }
    q->group[group] = g;
    return g;
}

int queue_group_limit(struct queue *q, uint32_t group, const struct queue_group_limits *limits)
{
    base_assert(group > 0 && group < QUEUE_GROUP_MAX);
    struct queue_group *g = q->group[group];
    if (g == NULL)
        g = group_make(q, group);
    if (g == NULL)
        return -ENOMEM;
    g->limits = *limits;
    group_schedule(q, g);
    return 0;
}

void queue_group_pause(struct queue *q, uint32_t group, uint64_t until_ns)
{
    struct queue_group *g = q->group[group];

    if (g == NULL)
        return;
    g->pause_ns = until_ns;
    group_schedule(q, g);
}

void queue_group_suspend(struct queue *q, uint32_t group, bool suspended)
{
    struct queue_group *g = q->group[group];

    if (g == NULL)
        return;
    g->suspended = suspended;
    group_schedule(q, g);
}

void queue_group_dissolve(struct queue *q, uint32_t group)
{
    struct queue_group *g = q->group[group];

    if (g == NULL)
        return;
    for (uint32_t i = 1; i < q->destination_cnt; i++)
        if (q->destinations[i] != NULL && q->destinations[i]->group == group)
            become(q, q->destinations[i], 0);
    base_assert(g->destination_cnt == 0 && g->job_cnt == 0);
    base_list_remove(&g->waiting);
    q->group[group] = NULL;
    queue_free(q, g, sizeof(*g));
    if (base_list_empty(&q->group_waiting))
        q->group_due_ns = BASE_NS_NONE;
}

void queue_group_fini(struct queue *q)
{
    for (uint32_t i = 1; i < QUEUE_GROUP_MAX; i++)
        if (q->group[i] != NULL)
            queue_free(q, q->group[i], sizeof(*q->group[i]));
}

bool queue_group_suspended(const struct queue *q, uint32_t group)
{
    return group < QUEUE_GROUP_MAX && q->group[group] != NULL && q->group[group]->suspended;
}

uint32_t queue_group_job_cnt(const struct queue *q, uint32_t group)
{
    const struct queue_group *g = group < QUEUE_GROUP_MAX ? q->group[group] : NULL;

    return g != NULL ? g->job_cnt : 0;
}

bool queue_group_look(const struct queue *q, uint32_t group, struct queue_group_entry *out)
{
    const struct queue_group *g = group < QUEUE_GROUP_MAX ? q->group[group] : NULL;

    if (g == NULL)
        return false;
    *out = (struct queue_group_entry){
        .destination_cnt = g->destination_cnt, .job_cnt = g->job_cnt, .suspended = g->suspended};
    uint64_t at = g->suspended ? 0 : open_ns(g);
    out->wait_ns = at > q->clock.now_ns ? at - q->clock.now_ns : 0;
    for (uint32_t i = 1; i < q->destination_cnt; i++) {
        const struct queue_destination *d = q->destinations[i];
        if (d != NULL && d->group == group)
            out->recipient_cnt +=
                d->state_cnt[SPOOL_OUTCOME_QUEUED] + d->state_cnt[SPOOL_OUTCOME_DEFERRED];
    }
    return true;
}

/* ---- suspension ---- */

bool queue_destination_suspended(const struct queue *q, const struct queue_destination *d)
{
    const struct queue_group *g = group_of(q, d);

    return d->suspended || (g != NULL && g->suspended);
}

int queue_suspend(struct queue *q, struct base_span name, bool suspended)
{
    struct queue_destination *d = queue_destination_named(q, name, suspended);

    if (d == NULL)
        return suspended ? -ENOMEM : 0;
    if (d->suspended == suspended)
        return 0;
    d->suspended = suspended;
    queue_destination_idle(q, d);
    if (suspended || !d->idle)
        queue_destination_schedule(q, d);
    return 0;
}

enum queue_suspension queue_entry_suspension(const struct queue_entry *e, uint32_t index,
                                             struct base_span *name, uint32_t *group)
{
    base_assert(index < e->message->recipient_cnt);
    const struct queue_item *item = &e->message->items[index];
    const struct queue_destination *d = queue_item_destination(e->queue, item);
    if (d == NULL || item->state > SPOOL_OUTCOME_DEFERRED ||
        !queue_destination_suspended(e->queue, d))
        return QUEUE_SUSPENDED_NOT;
    *name = base_span_of(d->key, d->key_len);
    *group = d->group;
    return d->suspended ? QUEUE_SUSPENDED_ITSELF : QUEUE_SUSPENDED_GROUP;
}
