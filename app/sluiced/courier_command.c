#include "courier_command.h"
#include "base_time.h"
#include "courier_control.h"
#include "courier_print.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_ring.h>

struct walk {
    struct courier *c;
    struct courier_request *r;
    uint32_t visited_cnt;
};

/* In the log and the counters. */
static void count_change(struct courier *c, const struct courier_request *r,
                         const struct spool_id *id)
{
    static const enum stats_log_event event[] = {[COURIER_QUEUE_HOLD] = STATS_LOG_HELD,
                                                 [COURIER_QUEUE_RELEASE] = STATS_LOG_RELEASED,
                                                 [COURIER_QUEUE_REQUEUE] = STATS_LOG_REQUEUED,
                                                 [COURIER_QUEUE_DELETE] = STATS_LOG_DELETED};
    struct stats_log_record log = {
        .wall_ns = c->wall_ns, .event = (uint16_t)event[r->kind], .n = r->uid};

    if (r->kind == COURIER_QUEUE_DELETE)
        stats_inc(c->stats, STATS_COURIER_DELETED);
    else if (r->kind == COURIER_QUEUE_REQUEUE)
        stats_inc(c->stats, STATS_COURIER_REQUEUED);
    memcpy(log.id, id->b, sizeof(log.id));
    stats_log_push(&c->log, &log);
}

static int hold_one(struct courier *c, const struct queue_entry *e, bool held)
{
    struct spool_outcome o = {.recipient = SPOOL_OUTCOME_MESSAGE, .state = held};

    if (e->held == held)
        return -EALREADY;
    int rc = queue_hold(c->queue, &e->id, held);
    if (rc == 0)
        courier_change(c, &e->id, SPOOL_OUTCOME, &o, 1);
    return rc;
}

static int requeue_one(struct courier *c, const struct queue_entry *e)
{
    uint32_t cnt = 0;
    struct spool_outcome *rows = calloc((size_t)e->recipient_cnt + 1, sizeof(*rows));

    base_assert(rows != NULL); /* as without memory for the journal */
    int rc = queue_requeue(c->queue, &e->id, c->now_ns);
    for (uint32_t i = 0; rc == 0 && i < e->recipient_cnt; i++) {
        const struct spool_outcome o = queue_entry_outcome(e, i);
        if (o.state == SPOOL_OUTCOME_QUEUED)
            rows[cnt++] = o;
    }
    if (rc == 0 && e->held)
        rows[cnt++] = (struct spool_outcome){.recipient = SPOOL_OUTCOME_MESSAGE};
    if (rc == 0 && cnt == 0)
        rc = -ENOENT; /* nobody is left to be tried */
    if (cnt > 0)
        courier_change(c, &e->id, SPOOL_OUTCOME, rows, cnt);
    free(rows);
    return rc;
}

static void count_deleted(struct courier *c, const struct queue_entry *e)
{
    for (uint32_t i = 0; i < e->recipient_cnt; i++) {
        uint8_t state = queue_entry_outcome(e, i).state;
        if (state != SPOOL_OUTCOME_DELIVERED && state != SPOOL_OUTCOME_FAILED)
            stats_inc(c->stats, STATS_COURIER_RECIPIENTS_DELETED);
    }
}

static int change_one(struct courier *c, const struct courier_request *r,
                      const struct queue_entry *e)
{
    int rc;

    switch (r->kind) {
    case COURIER_QUEUE_HOLD:
    case COURIER_QUEUE_RELEASE:
        return hold_one(c, e, r->kind == COURIER_QUEUE_HOLD);
    case COURIER_QUEUE_REQUEUE:
        return requeue_one(c, e);
    case COURIER_QUEUE_DELETE:
        rc = queue_delete(c->queue, &e->id);
        if (rc == 0) {
            count_deleted(c, e);
            courier_change(c, &e->id, SPOOL_FREE, NULL, 0);
        }
        return rc;
    default:
        return queue_flush_entry(c->queue, e, c->now_ns);
    }
}

static bool visit(void *user, const struct queue_entry *e)
{
    struct walk *w = user;
    struct courier_request *r = w->r;

    w->visited_cnt++;
    r->after = e->id;
    if (queue_filter_match(&r->filter, e, w->c->wall_ns)) {
        int rc = change_one(w->c, r, e);
        if (rc == 0 && r->kind != COURIER_QUEUE_FLUSH)
            count_change(w->c, r, &e->id);
        r->busy_cnt += rc == -EBUSY;
        r->done_cnt += rc == 0 || rc == -EALREADY;
    }
    return !r->filter.by_id;
}

static void answer(struct courier *c, bool timed_out)
{
    static const char *const done[] = {[COURIER_QUEUE_FLUSH] = "flushed",
                                       [COURIER_QUEUE_HOLD] = "held",
                                       [COURIER_QUEUE_RELEASE] = "released",
                                       [COURIER_QUEUE_REQUEUE] = "requeued",
                                       [COURIER_QUEUE_DELETE] = "deleted"};
    struct courier_changes *h = &c->changes;
    struct courier_request *r = courier_request_pop(&h->requests);

    courier_print(r, "%s %" PRIu64 "\n", done[r->kind], r->done_cnt);
    if (r->busy_cnt > 0)
        courier_print(r, "not %s, being delivered at this moment: %" PRIu64 "\n", done[r->kind],
                      r->busy_cnt);
    if (timed_out && !h->walked)
        r->error = "the spool takes no writes: not all were looked at, and what was done is not "
                   "on disk yet; see sluicectl status";
    else if (timed_out)
        r->error =
            "the spool takes no writes: it is done, but not on disk yet; see sluicectl status";
    h->number++;
    h->write_cnt = 0;
    h->walked = false;
    h->end_ns = 0;
    courier_control_answer(c, r);
}

/* Room for what one piece journals and logs. */
static bool may_walk(const struct courier *c, const struct courier_request *r)
{
    bool logs = stats_log_room(&c->log) >= 2 * COURIER_COMMAND_VISIT_MAX;

    return r->kind == COURIER_QUEUE_FLUSH || (courier_may_change(c) && logs);
}

uint32_t courier_command_run(struct courier *c)
{
    struct courier_changes *h = &c->changes;
    struct courier_request *r = h->requests.head;

    if (r == NULL)
        return 0;
    if (h->end_ns == 0)
        h->end_ns = c->now_ns + COURIER_COMMAND_WAIT_NS;
    if (!h->walked && may_walk(c, r)) {
        struct walk w = {.c = c, .r = r};
        struct spool_id after = r->after;
        queue_each(c->queue, &after, COURIER_COMMAND_VISIT_MAX, visit, &w);
        h->walked = w.visited_cnt < COURIER_COMMAND_VISIT_MAX || r->filter.by_id;
        h->end_ns = c->now_ns + COURIER_COMMAND_WAIT_NS;
        if (!h->walked)
            return 1;
    }
    if ((!h->walked || h->write_cnt > 0) && c->now_ns < h->end_ns)
        return 0;
    answer(c, !h->walked || h->write_cnt > 0);
    return 1;
}

void courier_command_journalled(struct courier *c, uint32_t change_no)
{
    struct courier_changes *h = &c->changes;

    if (change_no != h->number || h->write_cnt == 0)
        return;
    h->write_cnt--;
    h->end_ns = c->now_ns + COURIER_COMMAND_WAIT_NS;
}

uint64_t courier_command_deadline(const struct courier *c)
{
    const struct courier_changes *h = &c->changes;

    if (h->requests.head == NULL)
        return BASE_NS_NONE;
    /* Room in the log makes no bell ring. */
    return h->walked || !courier_may_change(c) ? h->end_ns : c->now_ns + BASE_NS_MS;
}
