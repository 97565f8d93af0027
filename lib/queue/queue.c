#include "queue_internal.h"

#include <errno.h>
#include <stdlib.h>

int queue_init(struct queue **out, const struct queue_config *config)
{
    struct queue *q = calloc(1, sizeof(*q));
    if (q == NULL)
        return -ENOMEM;
    q->bytes = sizeof(*q) + QUEUE_MALLOC_EXTRA;
    base_rand_init(&q->rand, config->seed);
    base_put_le64(q->hash_key, base_rand_next(&q->rand));
    base_put_le64(q->hash_key + 8, base_rand_next(&q->rand));
    base_list_init(&q->idle);
    base_list_init(&q->group_waiting);
    q->group_due_ns = BASE_NS_NONE;
    for (uint32_t s = 0; s < QUEUE_STANDING_CNT; s++)
        base_list_init(&q->ring[s]);
    queue_configure(q, config);
    *out = q;
    return 0;
}

void queue_fini(struct queue *q)
{
    queue_words_fini(q);
    queue_status_fini(q);
    for (uint32_t i = 1; i < q->destination_cnt; i++)
        if (q->destinations[i] != NULL)
            queue_destination_free(q, q->destinations[i]);
    queue_group_fini(q);
    size_t bytes = q->destination_cap * sizeof(struct queue_destination *);
    queue_free(q, q->destinations, bytes);
    queue_free(q, q->heap, bytes);
    queue_free(q, q->by_name, q->by_name_cap * sizeof(struct queue_destination *));
    queue_arena_fini(&q->arena);
    base_assert(q->bytes == sizeof(*q) + QUEUE_MALLOC_EXTRA);
    free(q);
}

void queue_clock(struct queue *q, uint64_t now_ns, uint64_t wall_ns)
{
    queue_clock_look(&q->clock, now_ns, wall_ns);
}

/* ---- configuration ---- */

/* The item goes to the destination that is named now. */
static void item_rekey(struct queue *q, struct queue_message *m, uint32_t i)
{
    struct queue_item *item = &m->items[i];
    struct queue_destination *was = queue_item_destination(q, item);
    struct queue_destination *d =
        was != NULL ? queue_destination_get(q, queue_domain(queue_recipient(m, i))) : NULL;
    if (d == NULL || d == was)
        return;
    uint32_t place = item->place;
    queue_place_none(q, item);
    queue_place_count(q, item, -1);
    item->destination = d->index;
    queue_place_count(q, item, 1);
    queue_destination_idle(q, d);
    queue_destination_idle(q, was);
    if (place == QUEUE_PLACE_READY)
        queue_place_ready(q, item);
    else if (place == QUEUE_PLACE_TIMED)
        queue_place_timed(q, item, item->heap, item->timed.due);
}

void queue_configure(struct queue *q, const struct queue_config *config)
{
    static const struct spool_id zero;
    struct queue_walk w;
    struct queue_message *m;
    base_assert(config->backoff_min_ns > 0 && config->backoff_max_ns >= config->backoff_min_ns &&
                config->backoff_max_ns <= QUEUE_WAIT_MAX / 2 &&
                config->lifetime_ns <= QUEUE_AGE_MAX && config->warn_after_ns <= QUEUE_AGE_MAX);
    q->config = *config;
    queue_walk_begin(q, &w, &zero);
    while ((m = queue_walk_next(q, &w)) != NULL) {
        queue_alarm_next(q, m);
        for (uint32_t i = 0; config->destination != NULL && i < m->recipient_cnt; i++)
            item_rekey(q, m, i);
    }
    for (uint32_t i = 1; i < q->destination_cnt; i++) {
        struct queue_destination *d = q->destinations[i];
        if (d == NULL)
            continue;
        if (config->destination_max != 0 && d->window > config->destination_max)
            d->window = config->destination_max;
        queue_group_assign(q, d);
        queue_destination_schedule(q, d);
    }
}

/* ---- arrivals ---- */

/* The item, which is in no place, is counted no more and leaves its destination. */
static void item_over(struct queue *q, struct queue_item *item)
{
    struct queue_destination *d = queue_item_destination(q, item);
    queue_place_count(q, item, -1);
    item->destination = QUEUE_NO_DESTINATION;
    if (d != NULL)
        queue_destination_idle(q, d);
}

/* Gives each item its destination and its place. Returns 0 or -ENOMEM with nothing changed. */
static int items_place(struct queue *q, struct queue_message *m, const struct spool_arrival *a)
{
    for (uint32_t i = 0; i < m->recipient_cnt; i++) {
        if (m->items[i].state == SPOOL_OUTCOME_DELIVERED)
            continue;
        struct queue_destination *d = queue_destination_get(q, queue_domain(queue_recipient(m, i)));
        if (d == NULL) {
            for (; i > 0; i--)
                item_over(q, &m->items[i - 1]);
            return -ENOMEM;
        }
        m->items[i].destination = d->index;
        /* Held on to before the next one is made, which may free an idle one. */
        queue_place_count(q, &m->items[i], 1);
        queue_destination_idle(q, d);
    }
    for (uint32_t i = 0; i < m->recipient_cnt; i++) {
        struct queue_item *item = &m->items[i];
        uint64_t due = q->clock.now_ns;
        if (item->state == SPOOL_OUTCOME_DEFERRED) {
            /* A wall clock that jumped back must not hold mail for longer than back-off may. */
            uint64_t at = a->outcomes[i].next_wall_ns, longest = queue_backoff_longest(&q->config);
            uint64_t wait = at > q->clock.wall_ns ? at - q->clock.wall_ns : 0;
            due += wait < longest ? wait : longest;
        } else if (item->state != SPOOL_OUTCOME_QUEUED) {
            continue;
        }
        queue_place_due(q, item, queue_status_code(q, item) == 0 ? QUEUE_HEAP_DOWN : QUEUE_HEAP_OWN,
                        due);
    }
    return 0;
}

int queue_add(struct queue *q, const struct spool_id *id, struct spool_arrival *arrival,
              uint64_t now_ns, uint64_t wall_ns)
{
    int cnt = spool_envelope_check(base_span_of(arrival->envelope, arrival->envelope_len));
    struct queue_message *m = NULL;
    int rc = cnt < 0 || (uint32_t)cnt != arrival->recipient_cnt ? -EINVAL : 0;
    queue_clock_look(&q->clock, now_ns, wall_ns);
    if (rc == 0 && queue_index_find(q, id) != NULL)
        rc = -EEXIST;
    if (rc == 0 && (m = queue_message_make(q, id, arrival)) == NULL)
        rc = -ENOMEM;
    if (rc == 0 && (rc = items_place(q, m, arrival)) != 0)
        queue_message_free(q, m);
    if (rc == 0) {
        if (m->arrival_wall_ns == 0)
            m->arrival_wall_ns = wall_ns;
        uint64_t age = queue_age_at_start(&q->clock, &q->config, arrival, m->arrival_wall_ns);
        m->born_ns = (int64_t)q->clock.now_ns - (int64_t)age;
        queue_index_add(q, m);
        queue_alarm_next(q, m);
    }
    spool_arrival_free(arrival);
    return rc;
}

struct base_span queue_domain(struct base_span mailbox)
{
    size_t at = mailbox.len;
    while (at > 0 && mailbox.p[at - 1] != '@')
        at--;
    /* Without an @ it is local: no domain. */
    return at == 0 ? base_span_of(mailbox.p, 0) : base_span_of(mailbox.p + at, mailbox.len - at);
}

int queue_remove(struct queue *q, const struct spool_id *id)
{
    struct queue_message *m = queue_index_find(q, id);
    if (m == NULL)
        return -ENOENT;
    if (m->active_cnt > 0)
        return -EBUSY;
    for (uint32_t i = 0; i < m->recipient_cnt; i++) {
        queue_place_none(q, &m->items[i]);
        item_over(q, &m->items[i]);
    }
    queue_alarm_end(q, m);
    queue_index_remove(q, m);
    queue_message_free(q, m);
    return 0;
}

uint64_t queue_deadline(const struct queue *q)
{
    uint64_t first = q->heap_cnt > 0 ? q->heap[0]->due_ns : BASE_NS_NONE;
    if (queue_destination_any(q))
        return q->clock.now_ns;
    first = q->group_due_ns < first ? q->group_due_ns : first;
    if (q->alarm != 0) {
        uint64_t alarm = queue_tick_ns(queue_message_at(q, q->alarm)->clock.due, q->clock.now_ns);
        first = alarm < first ? alarm : first;
    }
    return first;
}

void queue_usage(const struct queue *q, struct queue_usage *out)
{
    *out = q->usage;
    out->message_cnt = q->message_cnt;
    out->bytes = q->bytes + q->arena.bytes;
    out->destination_cnt = q->destination_live - q->idle_cnt;
    out->aside_cnt = q->aside_cnt;
    out->jump_cnt = q->clock.jump_cnt;
}
