/*
 * When a message's age matters while it waits without attempts: each has a time in the heap of
 * alarms at which it is looked at.
 */
#include "queue_internal.h"

#define ALARMS_MAX 16 /* looked at in one call */

void queue_alarm_end(struct queue *q, struct queue_message *m)
{
    if (m->alarmed)
        queue_heap_remove(&q->arena, &q->alarm, m->handle);
    m->alarmed = false;
}

void queue_alarm_set(struct queue *q, struct queue_message *m, uint64_t due_ns)
{
    queue_alarm_end(q, m);
    m->clock.due = queue_tick_after(due_ns);
    m->alarmed = true;
    queue_heap_push(&q->arena, &q->alarm, m->handle);
}

/* The time at which a message is so old; when it is already, that is looked at from time to time
 * (it may have come to wait for a destination set aside). */
static uint64_t age_time(const struct queue *q, const struct queue_message *m, uint64_t age_ns)
{
    uint64_t now = q->clock.now_ns;
    uint64_t age = queue_message_age(q, m);
    return age < age_ns ? now + (age_ns - age) : now + q->config.backoff_max_ns;
}

void queue_alarm_next(struct queue *q, struct queue_message *m)
{
    if (m->open_cnt == 0 || m->held || m->deleted)
        return queue_alarm_end(q, m);
    uint64_t next = q->clock.now_ns + QUEUE_NOTE_NS;
    uint64_t over = age_time(q, m, q->config.lifetime_ns + QUEUE_TICK_NS);
    next = over < next ? over : next;
    if (q->config.warn_after_ns > 0 && m->warned == QUEUE_WARNED_NOT) {
        uint64_t warn = age_time(q, m, q->config.warn_after_ns);
        next = warn < next ? warn : next;
    }
    queue_alarm_set(q, m, next);
}

bool queue_message_old(const struct queue *q, const struct queue_message *m)
{
    return m->damaged || queue_message_age(q, m) > q->config.lifetime_ns;
}

/* What waits for a destination that is set aside and was tried in this epoch can grow old there; or
 * lost bytes, which no attempt brings back. */
static bool item_waits_aside(const struct queue *q, const struct queue_message *m,
                             const struct queue_item *item)
{
    const struct queue_destination *d = queue_item_destination(q, item);
    return item->place != QUEUE_PLACE_NONE && d->aside && !queue_destination_suspended(q, d) &&
           (m->damaged || d->epoch == q->clock.epoch);
}

/* What waits for one that is suspended is only looked at: it does not expire. */
static bool item_waits_suspended(const struct queue *q, const struct queue_message *m,
                                 const struct queue_item *item)
{
    const struct queue_destination *d = queue_item_destination(q, item);
    (void)m;
    return item->place != QUEUE_PLACE_NONE && queue_destination_suspended(q, d);
}

static void take_waiting(struct queue *q, struct queue_job *out, struct queue_message *m,
                         bool (*waits)(const struct queue *q, const struct queue_message *m,
                                       const struct queue_item *item))
{
    for (uint32_t i = 0; i < m->recipient_cnt && out->recipient_cnt < QUEUE_JOB_RCPT_MAX; i++)
        if (waits(q, m, &m->items[i]))
            queue_job_take(q, out, &m->items[i]);
}

bool queue_alarm_job(struct queue *q, struct queue_job *out)
{
    for (uint32_t n = 0; n < ALARMS_MAX && q->alarm != 0; n++) {
        struct queue_message *m = queue_message_at(q, q->alarm);
        if (!queue_tick_due(m->clock.due, q->clock.now_ns))
            return false;
        queue_job_fill(q, out, m);
        take_waiting(q, out, m, item_waits_aside);
        if (out->recipient_cnt == 0) {
            take_waiting(q, out, m, item_waits_suspended);
            out->suspended = out->recipient_cnt > 0;
            out->epoch = 0; /* of no clock's */
        }
        /* A full job: there may be more of it. */
        if (out->recipient_cnt < QUEUE_JOB_RCPT_MAX)
            queue_alarm_next(q, m);
        out->set_aside = true;
        if (out->recipient_cnt > 0)
            return true;
    }
    return false;
}
