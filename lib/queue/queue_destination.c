/* Destinations by name and number, and what becomes of one by its answers. */
#include "base_siphash.h"
#include "queue_internal.h"

#define NAMES_CAP_FIRST 64
#define OWED            12 /* turns for a failure */
#define OWED_MAX        (64 * OWED)
#define IDLE_MAX        1024 /* without mail, kept for what is known of them */

static uint32_t cap_of(const struct queue *q)
{
    return q->config.destination_max != 0 ? q->config.destination_max : UINT32_MAX;
}

static bool names_grow(struct queue *q)
{
    uint32_t cap = q->by_name_cap == 0 ? NAMES_CAP_FIRST : q->by_name_cap * 2;
    struct queue_destination **table = queue_alloc(q, cap * sizeof(struct queue_destination *));
    if (table == NULL)
        return false;
    for (uint32_t i = 0; i < q->by_name_cap; i++)
        for (struct queue_destination *d = q->by_name[i], *next; d != NULL; d = next) {
            next = d->hash_next;
            d->hash_next = table[d->hash & (cap - 1)];
            table[d->hash & (cap - 1)] = d;
        }
    queue_free(q, q->by_name, q->by_name_cap * sizeof(struct queue_destination *));
    q->by_name = table;
    q->by_name_cap = cap;
    return true;
}

/* The tables by number and by time have one size. */
static bool numbers_grow(struct queue *q)
{
    uint32_t cap = q->destination_cap == 0 ? NAMES_CAP_FIRST : q->destination_cap * 2;
    size_t was = q->destination_cap * sizeof(struct queue_destination *);
    struct queue_destination **all = queue_alloc(q, cap * sizeof(struct queue_destination *));
    struct queue_destination **heap = queue_alloc(q, cap * sizeof(struct queue_destination *));
    if (all == NULL || heap == NULL) {
        queue_free(q, all, cap * sizeof(struct queue_destination *));
        queue_free(q, heap, cap * sizeof(struct queue_destination *));
        return false;
    }
    if (was > 0) {
        memcpy(all, q->destinations, was);
        memcpy(heap, q->heap, was);
    }
    queue_free(q, q->destinations, was);
    queue_free(q, q->heap, was);
    q->destinations = all;
    q->heap = heap;
    q->destination_cap = cap;
    if (q->destination_cnt == 0)
        q->destination_cnt = 1; /* number 0 is none */
    return true;
}

static uint32_t number_get(struct queue *q)
{
    for (uint32_t i = q->destination_free; i > 0 && i < q->destination_cnt; i++)
        if (q->destinations[i] == NULL) {
            q->destination_free = i + 1;
            return i;
        }
    q->destination_free = 0;
    return q->destination_cnt++;
}

static struct queue_destination *destination_make(struct queue *q, struct base_span key,
                                                  uint64_t hash)
{
    if ((q->destination_live >= q->by_name_cap && !names_grow(q)) ||
        (q->destination_cnt + 1 >= q->destination_cap && !numbers_grow(q)))
        return NULL;
    struct queue_destination *d = queue_alloc(q, sizeof(*d) + key.len);
    if (d == NULL)
        return NULL;
    base_list_init(&d->turn.node);
    d->hash = hash;
    d->due_ns = BASE_NS_NONE;
    d->heap_at = QUEUE_HEAP_NONE;
    d->standing = QUEUE_STANDING_NEW;
    d->window = 1;
    d->key_len = (uint16_t)key.len;
    if (key.len > 0)
        memcpy(d->key, key.p, key.len);
    d->index = number_get(q);
    q->destinations[d->index] = d;
    d->hash_next = q->by_name[hash & (q->by_name_cap - 1)];
    q->by_name[hash & (q->by_name_cap - 1)] = d;
    q->destination_live++;
    q->idle_cnt++; /* until it has an item */
    base_list_push_back(&q->idle, &d->turn.node);
    d->idle = true;
    queue_group_assign(q, d);
    return d;
}

struct queue_destination *queue_destination_named(struct queue *q, struct base_span name, bool make)
{
    uint8_t key[QUEUE_DESTINATION_MAX];
    size_t len = name.len < sizeof(key) ? name.len : sizeof(key);

    for (size_t i = 0; i < len; i++)
        key[i] = (uint8_t)(name.p[i] - 'A') < 26 ? name.p[i] | 0x20 : name.p[i];
    uint64_t hash = base_siphash13(q->hash_key, key, len);
    struct queue_destination *d =
        q->by_name_cap == 0 ? NULL : q->by_name[hash & (q->by_name_cap - 1)];
    while (d != NULL && (d->hash != hash || d->key_len != len || memcmp(d->key, key, len) != 0))
        d = d->hash_next;
    return d != NULL || !make ? d : destination_make(q, base_span_of(key, len), hash);
}

struct queue_destination *queue_destination_get(struct queue *q, struct base_span domain)
{
    uint8_t name[QUEUE_DESTINATION_MAX];
    size_t len;

    if (q->config.destination == NULL)
        return queue_destination_named(q, domain, true);
    len = q->config.destination(q->config.user, domain, name);
    base_assert(len <= sizeof(name));
    return queue_destination_named(q, base_span_of(name, len), true);
}

void queue_destination_free(struct queue *q, struct queue_destination *d)
{
    struct queue_destination **at = &q->by_name[d->hash & (q->by_name_cap - 1)];
    while (*at != d)
        at = &(*at)->hash_next;
    *at = d->hash_next;
    queue_ring_leave(q, d);
    queue_group_leave(q, d);
    q->destinations[d->index] = NULL;
    if (q->destination_free == 0 || d->index < q->destination_free)
        q->destination_free = d->index;
    q->destination_live--;
    q->aside_cnt -= d->aside;
    q->idle_cnt -= d->idle;
    queue_free(q, d, sizeof(*d) + d->key_len);
}

void queue_destination_idle(struct queue *q, struct queue_destination *d)
{
    bool idle = d->item_cnt == 0 && d->job_cnt == 0 && !d->suspended;
    if (idle == d->idle)
        return;
    queue_ring_leave(q, d);
    d->idle = idle;
    if (!idle) {
        q->idle_cnt--;
        return;
    }
    q->idle_cnt++;
    base_list_push_back(&q->idle, &d->turn.node);
    if (q->idle_cnt > IDLE_MAX)
        queue_destination_free(
            q, base_container_of(q->idle.next, struct queue_destination, turn.node));
}

/* ---- answers ---- */

static void aside_end(struct queue *q, struct queue_destination *d)
{
    if (!d->aside)
        return;
    d->aside = false;
    q->aside_cnt--;
}

void queue_destination_wake(struct queue *q, struct queue_destination *d)
{
    aside_end(q, d);
    queue_destination_schedule(q, d);
}

void queue_destination_answered(struct queue *q, struct queue_destination *d)
{
    uint32_t cap = cap_of(q);
    aside_end(q, d);
    if (d->standing != QUEUE_STANDING_ANSWERS) {
        d->window = d->window > QUEUE_WINDOW_START ? d->window : QUEUE_WINDOW_START;
        d->credit = 0;
    } else if (++d->credit >= d->window) {
        d->credit = 0;
        d->window++;
    }
    d->window = d->window < cap ? d->window : cap;
    d->hurry |= d->aside_cnt > 0;
    d->standing = QUEUE_STANDING_ANSWERS;
    d->fail_cnt = 0;
    d->aside_cnt = 0;
    d->epoch = 0;
}

void queue_destination_failed(struct queue *q, struct queue_destination *d, uint16_t epoch)
{
    q->owed_cnt = q->owed_cnt + OWED < OWED_MAX ? q->owed_cnt + OWED : OWED_MAX;
    d->standing = QUEUE_STANDING_FAILING;
    d->hurry = false;
    d->credit = 0;
    d->epoch = epoch;
    d->window -= d->window > 1;
    d->fail_cnt = d->fail_cnt < UINT8_MAX ? (uint8_t)(d->fail_cnt + 1) : UINT8_MAX;
    if (d->aside || (d->fail_cnt < QUEUE_FAILS_MAX && d->aside_cnt == 0))
        return;
    d->aside_cnt = d->aside_cnt < UINT8_MAX ? (uint8_t)(d->aside_cnt + 1) : UINT8_MAX;
    uint64_t wait = queue_backoff(&q->config, d->aside_cnt);
    wait += base_rand_below(&q->rand, wait / 8 + 1);
    d->aside_until_ns = q->clock.now_ns + wait;
    d->aside = true;
    d->window = 1; /* the first one afterwards only tries */
    q->aside_cnt++;
}
