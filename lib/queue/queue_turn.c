/* Whose turn it is among destinations, and the end of their waiting. */
#include "queue_internal.h"

#define ADVANCE_MAX 64 /* items in one call */
#define HURRY_MAX   16

static void heap_put(struct queue *q, uint32_t at, struct queue_destination *d)
{
    q->heap[at] = d;
    d->heap_at = at;
}

static void sift(struct queue *q, uint32_t at, struct queue_destination *d)
{
    while (at > 0 && d->due_ns < q->heap[(at - 1) / 2]->due_ns) {
        heap_put(q, at, q->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < q->heap_cnt && q->heap[child + 1]->due_ns < q->heap[child]->due_ns)
            child++;
        if (child >= q->heap_cnt || q->heap[child]->due_ns >= d->due_ns)
            break;
        heap_put(q, at, q->heap[child]);
        at = child;
    }
    heap_put(q, at, d);
}

static void heap_set(struct queue *q, struct queue_destination *d, uint64_t due_ns)
{
    uint32_t at = d->heap_at;
    if (due_ns == d->due_ns)
        return;
    d->due_ns = due_ns;
    if (due_ns != BASE_NS_NONE) {
        sift(q, at == QUEUE_HEAP_NONE ? q->heap_cnt++ : at, d);
        return;
    }
    d->heap_at = QUEUE_HEAP_NONE;
    struct queue_destination *last = q->heap[--q->heap_cnt];
    if (last != d)
        sift(q, at, last);
}

static uint64_t root_ns(const struct queue *q, uint32_t root)
{
    if (root == 0)
        return BASE_NS_NONE;
    const struct queue_node *n = queue_arena_at(&q->arena, root);
    return queue_tick_ns(n->due, q->clock.now_ns);
}

static uint64_t due_of(const struct queue *q, const struct queue_destination *d)
{
    uint64_t own = root_ns(q, d->timed[QUEUE_HEAP_OWN]);
    uint64_t down = root_ns(q, d->timed[QUEUE_HEAP_DOWN]);
    uint64_t first = own < down ? own : down;
    if (!d->aside)
        return first;
    return first != BASE_NS_NONE || d->ready != 0 ? d->aside_until_ns : BASE_NS_NONE;
}

void queue_destination_schedule(struct queue *q, struct queue_destination *d)
{
    bool runs = !d->aside && !d->suspended && d->job_cnt < d->window &&
                (d->ready != 0 || (d->hurry && d->timed[QUEUE_HEAP_DOWN] != 0));
    heap_set(q, d, due_of(q, d));
    if (d->idle)
        return;
    if (runs && base_list_linked(&d->turn.node) && d->ring_standing == d->standing &&
        d->ring_group == d->group)
        return;
    queue_ring_leave(q, d);
    if (runs)
        queue_ring_enter(q, d);
}

static void end_waiting(struct queue *q, struct queue_destination *d, uint32_t *budget)
{
    for (int k = 0; k < QUEUE_HEAP_CNT; k++)
        while (*budget > 0 && d->timed[k] != 0) {
            struct queue_item *item = queue_item_at(q, d->timed[k]);
            if (!queue_tick_due(item->timed.due, q->clock.now_ns))
                break;
            queue_place_none(q, item);
            queue_place_ready(q, item);
            --*budget;
        }
}

void queue_destination_advance(struct queue *q)
{
    uint32_t budget = ADVANCE_MAX;
    while (budget > 0 && q->heap_cnt > 0 && q->heap[0]->due_ns <= q->clock.now_ns) {
        struct queue_destination *d = q->heap[0];
        budget--;
        if (d->aside)
            queue_destination_wake(q, d);
        else
            end_waiting(q, d, &budget);
    }
}

/* ---- turns ---- */

static bool may_run(const struct queue *q, uint32_t standing)
{
    uint32_t max = q->config.job_max;
    uint32_t failing = q->job_cnt[QUEUE_STANDING_FAILING];
    uint32_t silent = q->job_cnt[QUEUE_STANDING_NEW] + failing;
    if (base_list_empty(&q->ring[standing]))
        return false;
    if (max == 0)
        return true;
    if (q->job_cnt[QUEUE_STANDING_ANSWERS] + silent >= max)
        return false;
    if (standing == QUEUE_STANDING_ANSWERS)
        return true;
    return silent < (max < 4 ? max : max - max / 4) &&
           (standing == QUEUE_STANDING_NEW || failing < (max < 4 ? 1 : max / 4));
}

bool queue_destination_any(const struct queue *q)
{
    for (uint32_t s = 0; s < QUEUE_STANDING_CNT; s++)
        if (may_run(q, s))
            return true;
    return false;
}

/* Standings come by turns; but whatever becomes of a job costs as much, and one that is refused
 * makes room at once for the next: so each failure is paid for by turns of those that answer. */
static uint32_t first_standing(const struct queue *q)
{
    if (q->owed_cnt > 0 && may_run(q, QUEUE_STANDING_ANSWERS))
        return QUEUE_STANDING_ANSWERS;
    return (q->turn + 1) % QUEUE_STANDING_CNT;
}

struct queue_destination *queue_destination_turn(struct queue *q)
{
    uint32_t first = first_standing(q);

    for (uint32_t i = 0; i < QUEUE_STANDING_CNT; i++) {
        uint32_t s = (first + i) % QUEUE_STANDING_CNT;
        if (!may_run(q, s))
            continue;
        q->owed_cnt -= q->owed_cnt > 0 && s == QUEUE_STANDING_ANSWERS;
        q->turn = s;
        struct queue_turn *t = base_container_of(q->ring[s].next, struct queue_turn, node);
        struct queue_destination *d = t->is_group
                                          ? queue_group_turn(q, t, s)
                                          : base_container_of(t, struct queue_destination, turn);
        queue_ring_leave(q, d); /* to the end, if it has more */
        for (uint32_t n = 0; n < HURRY_MAX && d->hurry && d->timed[QUEUE_HEAP_DOWN] != 0; n++) {
            struct queue_item *item = queue_item_at(q, d->timed[QUEUE_HEAP_DOWN]);
            queue_place_none(q, item);
            queue_place_ready(q, item);
        }
        d->hurry = d->hurry && d->timed[QUEUE_HEAP_DOWN] != 0;
        queue_ring_leave(q, d);
        base_assert(d->ready != 0);
        return d;
    }
    return NULL;
}
