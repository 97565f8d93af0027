#include "queue_internal.h"

void queue_place_count(struct queue *q, struct queue_item *item, int sign)
{
    uint64_t n = (uint64_t)(int64_t)sign;
    uint32_t n32 = (uint32_t)sign;
    struct queue_destination *d = queue_item_destination(q, item);
    if (item->state != SPOOL_OUTCOME_DELIVERED)
        q->usage.recipient_cnt += n;
    if (item->state == SPOOL_OUTCOME_FAILED)
        q->usage.failed_cnt += n;
    if (item->active)
        q->usage.active_cnt += n;
    else if (item->state == SPOOL_OUTCOME_DEFERRED)
        q->usage.deferred_cnt += n;
    if (d == NULL)
        return;
    d->item_cnt += n32;
    d->state_cnt[item->state] += n32;
    if (queue_message_of(item)->held && item->state != SPOOL_OUTCOME_FAILED)
        d->held_cnt += n32;
}

void queue_place_none(struct queue *q, struct queue_item *item)
{
    struct queue_destination *d = queue_item_destination(q, item);
    uint32_t handle = queue_item_handle(queue_message_of(item), item);
    if (item->place == QUEUE_PLACE_NONE)
        return;
    if (item->place == QUEUE_PLACE_TIMED) {
        queue_heap_remove(&q->arena, &d->timed[item->heap], handle);
    } else {
        queue_ready_remove(q, d, handle);
        item->timed = (struct queue_node){.due = queue_tick_of(q->clock.now_ns)};
    }
    item->place = QUEUE_PLACE_NONE;
    queue_destination_schedule(q, d);
}

void queue_place_timed(struct queue *q, struct queue_item *item, enum queue_heap_kind heap,
                       uint32_t tick)
{
    struct queue_destination *d = queue_item_destination(q, item);
    base_assert(item->place == QUEUE_PLACE_NONE && !item->active);
    item->timed.due = tick;
    item->heap = heap == QUEUE_HEAP_DOWN;
    item->place = QUEUE_PLACE_TIMED;
    queue_heap_push(&q->arena, &d->timed[heap], queue_item_handle(queue_message_of(item), item));
    queue_destination_schedule(q, d);
}

void queue_place_ready(struct queue *q, struct queue_item *item)
{
    struct queue_destination *d = queue_item_destination(q, item);
    base_assert(item->place == QUEUE_PLACE_NONE && !item->active);
    item->place = QUEUE_PLACE_READY;
    queue_ready_push(q, d, queue_item_handle(queue_message_of(item), item));
    queue_destination_schedule(q, d);
}

void queue_place_due(struct queue *q, struct queue_item *item, enum queue_heap_kind heap,
                     uint64_t due_ns)
{
    uint64_t now = q->clock.now_ns, longest = now + QUEUE_WAIT_MAX;
    const struct queue_message *m = queue_message_of(item);
    uint32_t tick =
        due_ns <= now ? queue_tick_of(now) : queue_tick_after(due_ns < longest ? due_ns : longest);
    if (m->held || m->deleted) {
        item->timed.due = tick;
        item->heap = heap == QUEUE_HEAP_DOWN;
    } else if (queue_tick_due(tick, now)) {
        queue_place_ready(q, item);
    } else {
        queue_place_timed(q, item, heap, tick);
    }
}
