/* What an operator sees and does; and messages that lost bytes. */
#include "queue_internal.h"

#include <errno.h>

struct spool_outcome queue_outcome(const struct queue *q, const struct queue_message *m,
                                   uint32_t index)
{
    base_assert(index < m->recipient_cnt);
    const struct queue_item *item = &m->items[index];
    const struct queue_destination *d = queue_item_destination(q, item);
    uint64_t now = q->clock.now_ns, minutes = queue_message_age(q, m) / (60 * BASE_NS_S);
    struct spool_outcome o = {
        .recipient = index,
        .state = item->state,
        .flags = m->warned == QUEUE_WARNED ? SPOOL_OUTCOME_WARNED : 0,
        .code = queue_status_code(q, item),
        .attempt_cnt = item->attempt_cnt,
        .age_min = minutes < UINT16_MAX ? (uint16_t)minutes : UINT16_MAX,
        .enhanced = queue_status_enhanced(q, item),
    };
    if (item->state != SPOOL_OUTCOME_DEFERRED && item->state != SPOOL_OUTCOME_QUEUED)
        return o;
    uint64_t due = now;
    if (item->place != QUEUE_PLACE_READY && !item->active)
        due = queue_tick_ns(item->timed.due, now);
    if (d->aside && due < d->aside_until_ns)
        due = d->aside_until_ns;
    o.next_wall_ns = queue_clock_wall(&q->clock, due);
    return o;
}

struct spool_outcome queue_entry_outcome(const struct queue_entry *e, uint32_t index)
{
    return queue_outcome(e->queue, e->message, index);
}

/* Idle items are due now; one that waits for its destination makes that try again. */
static void message_due(struct queue *q, struct queue_message *m)
{
    for (uint32_t i = 0; i < m->recipient_cnt; i++) {
        struct queue_item *item = &m->items[i];
        bool open = item->state == SPOOL_OUTCOME_QUEUED || item->state == SPOOL_OUTCOME_DEFERRED;
        if (item->active || !open || item->place == QUEUE_PLACE_READY)
            continue;
        queue_place_none(q, item);
        queue_place_due(q, item, item->heap, q->clock.now_ns);
    }
}

/* Destinations of its recipients that are set aside try again. */
static void message_wake(struct queue *q, struct queue_message *m)
{
    for (uint32_t i = 0; i < m->recipient_cnt && !m->held; i++) {
        struct queue_destination *d = queue_item_destination(q, &m->items[i]);
        if (d != NULL && d->aside)
            queue_destination_wake(q, d);
    }
}

static int flush(struct queue *q, struct queue_message *m, uint64_t now_ns)
{
    if (m == NULL || m->deleted)
        return -ENOENT;
    queue_clock_now(&q->clock, now_ns);
    message_due(q, m);
    message_wake(q, m);
    return 0;
}

int queue_flush_message(struct queue *q, const struct spool_id *id, uint64_t now_ns)
{
    return flush(q, queue_index_find(q, id), now_ns);
}

int queue_flush_entry(struct queue *q, const struct queue_entry *e, uint64_t now_ns)
{
    base_assert(e->queue == q); /* it is one of ours: we may write to it */
    return flush(q, (struct queue_message *)(uintptr_t)e->message, now_ns);
}

int queue_damaged(struct queue *q, const struct spool_id *id, uint64_t now_ns)
{
    struct queue_message *m = queue_index_find(q, id);
    if (m == NULL)
        return -ENOENT;
    queue_clock_now(&q->clock, now_ns);
    m->damaged = true;
    message_due(q, m);
    if (m->alarmed)
        queue_alarm_set(q, m, q->clock.now_ns);
    return 0;
}

int queue_hold(struct queue *q, const struct spool_id *id, bool held)
{
    struct queue_message *m = queue_index_find(q, id);
    if (m == NULL || m->deleted)
        return -ENOENT;
    if (m->held == held)
        return 0;
    for (uint32_t i = 0; i < m->recipient_cnt; i++) {
        queue_place_none(q, &m->items[i]);
        queue_place_count(q, &m->items[i], -1);
    }
    m->held = held;
    for (uint32_t i = 0; i < m->recipient_cnt; i++) {
        struct queue_item *item = &m->items[i];
        queue_place_count(q, item, 1);
        if (!item->active && item->state <= SPOOL_OUTCOME_DEFERRED)
            queue_place_due(q, item, item->heap, queue_tick_ns(item->timed.due, q->clock.now_ns));
    }
    queue_alarm_next(q, m);
    return 0;
}

int queue_requeue(struct queue *q, const struct spool_id *id, uint64_t now_ns)
{
    struct queue_message *m = queue_index_find(q, id);
    if (m == NULL || m->deleted)
        return -ENOENT;
    if (m->active_cnt > 0)
        return -EBUSY;
    if (m->open_cnt == 0)
        return -ENOENT;
    queue_clock_now(&q->clock, now_ns);
    int rc = queue_hold(q, id, false);
    base_assert(rc == 0);
    for (uint32_t i = 0; i < m->recipient_cnt; i++) {
        struct queue_item *item = &m->items[i];
        if (item->state != SPOOL_OUTCOME_QUEUED && item->state != SPOOL_OUTCOME_DEFERRED)
            continue;
        queue_place_none(q, item);
        queue_place_count(q, item, -1);
        item->state = SPOOL_OUTCOME_QUEUED;
        item->attempt_cnt = 0;
        queue_status_drop(q, item);
        queue_place_count(q, item, 1);
        queue_place_due(q, item, QUEUE_HEAP_OWN, q->clock.now_ns);
        if (m->words != NULL && m->words_recipient == i)
            queue_words_drop(q, m);
    }
    message_wake(q, m);
    return 0;
}

int queue_delete(struct queue *q, const struct spool_id *id)
{
    struct queue_message *m = queue_index_find(q, id);
    if (m == NULL || m->deleted)
        return -ENOENT;
    if (m->active_cnt > 0)
        return -EBUSY;
    if (m->open_cnt == 0) /* its FREE is on the way */
        return -ENOENT;
    m->deleted = true;
    for (uint32_t i = 0; i < m->recipient_cnt; i++)
        queue_place_none(q, &m->items[i]);
    queue_alarm_next(q, m);
    return 0;
}

void queue_each(const struct queue *q, const struct spool_id *after, uint32_t cap,
                bool (*each)(void *user, const struct queue_entry *entry), void *user)
{
    struct queue_walk w;
    const struct queue_message *m;
    queue_walk_begin(q, &w, after);
    for (uint32_t n = 0; n < cap && (m = queue_walk_next(q, &w)) != NULL; n++) {
        struct queue_entry e = {
            .queue = q,
            .message = m,
            .id = m->id,
            .sender = queue_message_sender(m),
            .arrival_wall_ns = m->arrival_wall_ns,
            .age_ns = queue_message_age(q, m),
            .content_bytes = m->content_bytes,
            .recipient_cnt = m->recipient_cnt,
            .requiretls = m->requiretls,
            .tls_optional = m->tls_optional,
            .held = m->held,
            .active = m->active_cnt > 0,
        };
        if (m->words != NULL) {
            e.words = base_span_of(m->words->text, m->words->len);
            e.words_recipient = m->words_recipient;
        }
        if (!each(user, &e))
            return;
    }
}

void queue_each_destination(const struct queue *q, uint32_t after, uint32_t cap,
                            bool (*each)(void *user, const struct queue_destination_entry *entry),
                            void *user)
{
    for (uint32_t i = after + 1, n = 0; i < q->destination_cnt && n < cap; i++) {
        const struct queue_destination *d = q->destinations[i];
        if (d == NULL || d->idle)
            continue;
        n++;
        struct queue_destination_entry e = {
            .number = i,
            .name = base_span_of(d->key, d->key_len),
            .queued_cnt = d->state_cnt[SPOOL_OUTCOME_QUEUED],
            .deferred_cnt = d->state_cnt[SPOOL_OUTCOME_DEFERRED],
            .failed_cnt = d->state_cnt[SPOOL_OUTCOME_FAILED],
            .held_cnt = d->held_cnt,
            .job_cnt = d->job_cnt,
            .job_max = d->window,
            .aside = d->aside,
            .suspended = d->suspended,
            .group = d->group,
        };
        if (d->aside && d->aside_until_ns > q->clock.now_ns)
            e.aside_ns = d->aside_until_ns - q->clock.now_ns;
        if (!each(user, &e))
            return;
    }
}
