#include "courier_command.h"

#include <errno.h>

struct walk {
    struct courier *c;
    struct courier_request *r;
    uint32_t visited_cnt;
};

static void delete_one(struct courier *c, struct courier_request *r, const struct spool_id *id)
{
    int rc = queue_delete(c->queue, id);
    if (rc == -EBUSY)
        r->busy_cnt++;
    if (rc != 0)
        return;
    struct stats_log_record log = {.wall_ns = c->wall_ns, .event = STATS_LOG_DELETED, .n = r->uid};
    memcpy(log.id, id->b, sizeof(log.id));
    stats_log_push(&c->log, &log);
    courier_delete(c, id);
    r->done_cnt++;
}

static bool change_one(void *user, const struct queue_entry *e)
{
    struct walk *w = user;
    struct courier_request *r = w->r;
    int rc = 0;

    w->visited_cnt++;
    r->after = e->id;
    if (!queue_filter_match(&r->filter, e, w->c->wall_ns))
        return !r->filter.by_id;
    if (r->kind == COURIER_QUEUE_DELETE)
        delete_one(w->c, r, &e->id);
    else if (r->kind == COURIER_QUEUE_FLUSH)
        rc = queue_flush_message(w->c->queue, &e->id, w->c->now_ns);
    else
        rc = queue_hold(w->c->queue, &e->id, r->kind == COURIER_QUEUE_HOLD);
    if (r->kind != COURIER_QUEUE_DELETE && rc == 0)
        r->done_cnt++;
    return !r->filter.by_id;
}

bool courier_command_run(struct courier *c, struct courier_request *r)
{
    struct walk w = {.c = c, .r = r};
    struct spool_id after = r->after;

    if (r->kind == COURIER_QUEUE_DELETE && !courier_may_delete(c))
        return false;
    queue_each(c->queue, &after, COURIER_COMMAND_VISIT_MAX, change_one, &w);
    r->more = w.visited_cnt == COURIER_COMMAND_VISIT_MAX && !r->filter.by_id;
    return true;
}

static struct courier_tally *tally_of(struct courier_request *r, struct base_span domain)
{
    struct courier_tally *t;

    if (domain.len > sizeof(t->domain))
        domain.len = sizeof(t->domain);
    for (uint32_t i = 0; i < r->tally_cnt; i++)
        if (base_span_caseeq(base_span_of(r->tally[i].domain, r->tally[i].len), domain))
            return &r->tally[i];
    if (r->tally_cnt >= COURIER_TALLY_MAX - 1) { /* the last one is for the rest */
        t = &r->tally[COURIER_TALLY_MAX - 1];
        r->tally_cnt = COURIER_TALLY_MAX;
        domain = base_span_str("(others)");
    } else {
        t = &r->tally[r->tally_cnt++];
    }
    memcpy(t->domain, domain.p, domain.len);
    t->len = (uint32_t)domain.len;
    return t;
}

static bool tally_one(void *user, const struct queue_entry *e)
{
    struct walk *w = user;

    w->visited_cnt++;
    w->r->after = e->id;
    if (!queue_filter_match(&w->r->filter, e, w->c->wall_ns))
        return true;
    for (uint32_t i = 0; i < e->recipient_cnt; i++) {
        uint8_t state = queue_entry_outcome(e, i).state;
        if (state == SPOOL_OUTCOME_DELIVERED)
            continue;
        struct courier_tally *t = tally_of(w->r, queue_domain(queue_recipient(e->message, i)));
        t->cnt[state == SPOOL_OUTCOME_FAILED     ? COURIER_TALLY_FAILED
               : e->held                         ? COURIER_TALLY_HELD
               : state == SPOOL_OUTCOME_DEFERRED ? COURIER_TALLY_DEFERRED
                                                 : COURIER_TALLY_QUEUED]++;
    }
    return true;
}

void courier_command_tally(struct courier *c, struct courier_request *r)
{
    struct walk w = {.c = c, .r = r};
    struct spool_id after = r->after;

    queue_each(c->queue, &after, COURIER_COMMAND_VISIT_MAX, tally_one, &w);
    r->more = w.visited_cnt == COURIER_COMMAND_VISIT_MAX;
}
