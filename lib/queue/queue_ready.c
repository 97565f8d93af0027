/*
 * What is due at one destination. Items of one sender are a round in order of their coming; the
 * first of each round stands in a treap by the hash of the sender, and senders have their turns in
 * the order of these hashes, beginning behind the one who had the last.
 */
#include "queue_internal.h"

static uint64_t key_of(const struct queue *q, uint32_t handle)
{
    return queue_message_of(queue_item_at(q, handle))->sender_hash;
}

/* The hash is as good as chance; this makes another one of it. */
static uint64_t priority(uint64_t key)
{
    uint64_t x = key * UINT64_C(0x9e3779b97f4a7c15);
    return x ^ (x >> 29);
}

/* Where the handle of the key's node stands, or belongs if there is none. */
static uint32_t *find(const struct queue *q, struct queue_destination *d, uint64_t key)
{
    uint32_t *at = &d->ready;
    while (*at != 0) {
        uint64_t other = key_of(q, *at);
        if (other == key)
            break;
        struct queue_ready_links *l = &queue_item_at(q, *at)->ready;
        at = key < other ? &l->left : &l->right;
    }
    return at;
}

static void node_add(struct queue *q, struct queue_destination *d, uint32_t handle, uint64_t key)
{
    uint32_t *at = &d->ready;
    struct queue_ready_links *own = &queue_item_at(q, handle)->ready;
    while (*at != 0) {
        uint64_t other = key_of(q, *at);
        if (priority(other) < priority(key))
            break;
        struct queue_ready_links *l = &queue_item_at(q, *at)->ready;
        at = key < other ? &l->left : &l->right;
    }
    uint32_t *below = &own->left, *above = &own->right;
    for (uint32_t rest = *at; rest != 0;) {
        struct queue_ready_links *l = &queue_item_at(q, rest)->ready;
        if (key_of(q, rest) < key) {
            *below = rest;
            below = &l->right;
            rest = l->right;
        } else {
            *above = rest;
            above = &l->left;
            rest = l->left;
        }
    }
    *below = 0;
    *above = 0;
    *at = handle;
}

static void node_remove(struct queue *q, uint32_t *at)
{
    struct queue_ready_links *own = &queue_item_at(q, *at)->ready;
    uint32_t a = own->left, b = own->right;
    while (a != 0 && b != 0) {
        struct queue_ready_links *x = &queue_item_at(q, a)->ready;
        struct queue_ready_links *y = &queue_item_at(q, b)->ready;
        if (priority(key_of(q, a)) >= priority(key_of(q, b))) {
            *at = a;
            at = &x->right;
            a = x->right;
        } else {
            *at = b;
            at = &y->left;
            b = y->left;
        }
    }
    *at = a + b;
}

void queue_ready_push(struct queue *q, struct queue_destination *d, uint32_t handle)
{
    uint64_t key = key_of(q, handle);
    struct queue_item *item = queue_item_at(q, handle);
    uint32_t first = *find(q, d, key);
    item->first = first == 0;
    if (first == 0) {
        item->ready = (struct queue_ready_links){.next = handle, .prev = handle};
        node_add(q, d, handle, key);
        return;
    }
    struct queue_ready_links *l = &queue_item_at(q, first)->ready;
    item->ready = (struct queue_ready_links){.next = first, .prev = l->prev};
    queue_item_at(q, l->prev)->ready.next = handle;
    l->prev = handle;
}

void queue_ready_remove(struct queue *q, struct queue_destination *d, uint32_t handle)
{
    struct queue_item *item = queue_item_at(q, handle);
    struct queue_ready_links l = item->ready;
    if (item->first) {
        uint32_t *at = find(q, d, key_of(q, handle));
        base_assert(*at == handle);
        if (l.next == handle) {
            node_remove(q, at);
        } else { /* the next one of the sender takes its node */
            struct queue_item *next = queue_item_at(q, l.next);
            next->first = 1;
            next->ready.left = l.left;
            next->ready.right = l.right;
            *at = l.next;
        }
        item->first = 0;
    }
    queue_item_at(q, l.prev)->ready.next = l.next;
    queue_item_at(q, l.next)->ready.prev = l.prev;
}

uint32_t queue_ready_first(const struct queue *q, const struct queue_destination *d)
{
    uint32_t best = 0, least = 0;
    for (uint32_t at = d->ready; at != 0;) {
        const struct queue_ready_links *l = &queue_item_at(q, at)->ready;
        bool later = key_of(q, at) > d->cursor;
        if (later)
            best = at;
        at = later ? l->left : l->right;
    }
    if (best != 0)
        return best;
    for (uint32_t at = d->ready; at != 0; at = queue_item_at(q, at)->ready.left)
        least = at;
    return least;
}
