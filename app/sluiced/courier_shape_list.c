#include "courier_shape_list.h"
#include "base_time.h"
#include "courier_print.h"

#define ROW_TEXT_MAX 4096
#define VISIT_MAX    1024

static uint64_t seconds(uint64_t ns)
{
    return (ns + BASE_NS_S - 1) / BASE_NS_S;
}

/* A key with a number behind it: " key=5", or ",\"key\":5". */
static void number(struct courier_request *r, const char *key, uint64_t n)
{
    courier_print(r, r->filter.json ? ",\"%s\":%" PRIu64 : " %s=%" PRIu64, key, n);
}

static void text(struct courier_request *r, const char *key, struct base_span value)
{
    courier_print(r, r->filter.json ? ",\"%s\":" : " %s=", key);
    courier_print_json(r, value);
}

static void rate(struct courier_request *r, const char *key, uint64_t gap_ns)
{
    char value[SHAPE_RATE_TEXT_CAP];

    if (gap_ns == 0)
        return;
    shape_rate_format(value, gap_ns);
    text(r, key, base_span_str(value));
}

static void suspension(const struct courier *c, struct courier_request *r,
                       const struct courier_suspension *s)
{
    if (s == NULL)
        return;
    text(r, "suspended", base_span_str(s->reason));
    if (s->until_ns > c->now_ns)
        number(r, "suspended_s", seconds(s->until_ns - c->now_ns));
    number(r, "suspended_by", s->uid);
}

void courier_shape_list_suspension(const struct courier *c, struct courier_request *r,
                                   const struct queue_entry *e, uint32_t index)
{
    struct base_span name;
    uint32_t group;

    if (queue_entry_suspension(e, index, &name, &group) != QUEUE_SUSPENDED_NOT)
        suspension(c, r, courier_suspend_of(c, name, group));
}

/* ---- providers ---- */

static void head(struct courier_request *r, const char *what, struct base_span name)
{
    courier_print(r, r->filter.json ? "{\"%s\":" : "%s ", what);
    if (r->filter.json)
        courier_print_json(r, name);
    else
        courier_print_span(r, name);
}

static void limits(struct courier_request *r, const struct courier_provider *p)
{
    const struct shape_state *s = &p->state;

    if (s->set.connections > 0)
        number(r, "connections_max", s->set.connections);
    rate(r, "rate_max", s->set.gap_ns);
    rate(r, "recipient_rate_max", p->rcpt_gap_ns);
    if (p->conf != NULL && p->conf->messages_per_connection > 0)
        number(r, "messages_per_connection", p->conf->messages_per_connection);
    if (p->conf != NULL && p->conf->recipients > 0)
        number(r, "recipients_max", p->conf->recipients);
    if (s->now.connections != s->set.connections)
        number(r, "connections_now", s->now.connections);
    if (s->now.gap_ns != s->set.gap_ns)
        rate(r, "rate_now", s->now.gap_ns);
}

static void provider_print(struct courier *c, struct courier_request *r, uint32_t group)
{
    const struct courier_provider *p = c->shape.provider[group];
    struct queue_group_entry e = {0};

    (void)queue_group_look(c->queue, group, &e);
    head(r, p->conf != NULL ? "provider" : "destination", base_span_str(p->name));
    number(r, "destinations", e.destination_cnt);
    number(r, "recipients", e.recipient_cnt);
    number(r, "deliveries", e.job_cnt);
    limits(r, p);
    if (e.wait_ns > 0)
        number(r, "wait_s", seconds(e.wait_ns));
    suspension(c, r, courier_suspend_find(c, base_span_str(p->name)));
    number(r, "replies", p->state.hit_cnt);
    if (p->cause[0] != 0) {
        text(r, "cause", base_span_str(p->cause));
        text(r, "rule", base_span_str(p->rule));
        number(r, "cause_s", p->wall_ns / BASE_NS_S);
    }
    courier_print_text(r, r->filter.json ? "}\n" : "\n");
}

void courier_shape_list_providers(struct courier *c, struct courier_request *r)
{
    for (uint32_t i = r->recipient_at + 1; i < QUEUE_GROUP_MAX; i++) {
        if (c->shape.provider[i] == NULL)
            continue;
        r->more = r->text_cap - r->text_len < ROW_TEXT_MAX;
        if (r->more)
            return;
        provider_print(c, r, i);
        r->recipient_at = i;
    }
}

/* ---- destinations ---- */

struct list {
    struct courier *c;
    struct courier_request *r;
    uint32_t visited_cnt;
};

static bool destination_print(void *user, const struct queue_destination_entry *e)
{
    struct list *l = user;
    struct courier_request *r = l->r;
    const struct courier_provider *p = l->c->shape.provider[e->group];

    if (r->text_cap - r->text_len < ROW_TEXT_MAX)
        return false;
    l->visited_cnt++;
    r->recipient_at = e->number;
    head(r, "destination", e->name);
    number(r, "queued", e->queued_cnt);
    number(r, "deferred", e->deferred_cnt);
    number(r, "failed", e->failed_cnt);
    if (e->held_cnt > 0)
        number(r, "held", e->held_cnt);
    number(r, "deliveries", e->job_cnt);
    number(r, "deliveries_max", e->job_max);
    if (e->aside)
        number(r, "set_aside_s", seconds(e->aside_ns));
    if (p != NULL && p->conf != NULL)
        text(r, "provider", base_span_str(p->name));
    else if (p != NULL)
        limits(r, p);
    if (p != NULL && p->state.until_ns > l->c->now_ns)
        number(r, "wait_s", seconds(p->state.until_ns - l->c->now_ns));
    if (p != NULL && p->state.low && p->cause[0] != 0)
        text(r, "cause", base_span_str(p->cause));
    if (e->suspended || (p != NULL && queue_group_suspended(l->c->queue, e->group)))
        suspension(l->c, r, courier_suspend_of(l->c, e->name, e->group));
    courier_print_text(r, r->filter.json ? "}\n" : "\n");
    return true;
}

void courier_shape_list_destinations(struct courier *c, struct courier_request *r)
{
    struct list l = {.c = c, .r = r};
    uint32_t before = r->recipient_at;

    queue_each_destination(c->queue, before, VISIT_MAX, destination_print, &l);
    r->more = l.visited_cnt == VISIT_MAX || r->text_cap - r->text_len < ROW_TEXT_MAX;
}
