#include "conn_group.h"
#include "base_time.h"
#include "conn_out_internal.h"

#define LINGER_NS (5 * BASE_NS_S)

/* One of the group that is idle begins to end. */
static void close_idle(struct lane *l, uint32_t group)
{
    base_list_each (node, &l->idle.by_age) {
        struct conn *c = base_container_of(node, struct conn, out.by_age);
        if (c->out.group != group)
            continue;
        conn_out_leave(c);
        conn_deadline(c, LINGER_NS);
        conn_resume(c);
        return;
    }
}

bool conn_group_enter(struct lane *l, struct delivery *d)
{
    struct conn_groups *g = &l->groups;

    if (d->group == 0 || d->group_connections == 0 || l->draining ||
        g->open_cnt[d->group] < d->group_connections)
        return true;
    d->next = NULL;
    if (g->first[d->group] == NULL)
        g->first[d->group] = d;
    else
        g->last[d->group]->next = d;
    g->last[d->group] = d;
    g->waiting_cnt++;
    stats_inc(l->stats, STATS_CONN_OUT_WAITED);
    close_idle(l, d->group);
    return false;
}

void conn_group_opened(struct conn *c, const struct delivery *d)
{
    c->out.group = d->group;
    c->lane->groups.open_cnt[d->group] += d->group != 0;
}

void conn_group_carries(struct conn *c, const struct delivery *d)
{
    c->out.message_max = d->connection_messages;
    c->out.group_max = d->group_connections;
}

void conn_group_closed(struct conn *c)
{
    uint32_t *open_cnt = &c->lane->groups.open_cnt[c->out.group];

    if (c->out.group == 0)
        return;
    base_assert(*open_cnt > 0);
    --*open_cnt;
}

void conn_group_run(struct lane *l)
{
    struct conn_groups *g = &l->groups;

    for (uint32_t i = 1; i < QUEUE_GROUP_MAX && g->waiting_cnt > 0; i++)
        while (g->first[i] != NULL &&
               (l->draining || g->open_cnt[i] < g->first[i]->group_connections)) {
            struct delivery *d = g->first[i];
            g->first[i] = d->next;
            g->waiting_cnt--;
            conn_out_start_fresh(l, d);
        }
}

bool conn_group_keeps(const struct conn *c)
{
    const struct conn_groups *g = &c->lane->groups;
    const struct conn_out *o = &c->out;

    if (o->message_max != 0 && o->job_cnt >= o->message_max)
        return false;
    return o->group == 0 || (g->first[o->group] == NULL &&
                             (o->group_max == 0 || g->open_cnt[o->group] <= o->group_max));
}

bool conn_group_lingers(struct conn *c)
{
    if (c->out.group == 0 || c->peer_closed || c->out.lingers || c->lane->draining)
        return false;
    c->out.lingers = true;
    conn_deadline(c, LINGER_NS);
    return true;
}
