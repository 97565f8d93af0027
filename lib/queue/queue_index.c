/* The order by id: a treap. What stands for chance in it is a hash of the id, so it costs no
 * memory. */
#include "queue_internal.h"

/* As bytes are compared. */
static uint64_t half(const uint8_t *p)
{
    return __builtin_bswap64(base_le64(p));
}

static int id_cmp(const struct spool_id *a, const struct spool_id *b)
{
    uint64_t x = half(a->b), y = half(b->b);

    if (x == y) {
        x = half(a->b + 8);
        y = half(b->b + 8);
    }
    return x < y ? -1 : x > y;
}

static uint64_t priority(const struct queue *q, const struct spool_id *id)
{
    uint64_t x = (base_le64(id->b) ^ base_le64(q->hash_key)) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 32) ^ base_le64(id->b + 8)) * UINT64_C(0xd6e8feb86659fd93);
    return (x ^ (x >> 32)) * UINT64_C(0xd6e8feb86659fd93);
}

struct queue_message *queue_index_find(const struct queue *q, const struct spool_id *id)
{
    uint32_t at = q->root;
    while (at != 0) {
        struct queue_message *m = queue_message_at(q, at);
        int c = id_cmp(id, &m->id);
        if (c == 0)
            return m;
        at = c < 0 ? m->left : m->right;
    }
    return NULL;
}

/* Splits the tree into what is below id and what is above. */
static void split(struct queue *q, uint32_t at, const struct spool_id *id, uint32_t *below,
                  uint32_t *above)
{
    while (at != 0) {
        struct queue_message *m = queue_message_at(q, at);
        if (id_cmp(&m->id, id) < 0) {
            *below = at;
            below = &m->right;
            at = m->right;
        } else {
            *above = at;
            above = &m->left;
            at = m->left;
        }
    }
    *below = 0;
    *above = 0;
}

void queue_index_add(struct queue *q, struct queue_message *m)
{
    uint32_t *at = &q->root;
    uint64_t mine = priority(q, &m->id);
    while (*at != 0) {
        struct queue_message *other = queue_message_at(q, *at);
        if (priority(q, &other->id) < mine)
            break;
        at = id_cmp(&m->id, &other->id) < 0 ? &other->left : &other->right;
    }
    split(q, *at, &m->id, &m->left, &m->right);
    *at = m->handle;
    q->message_cnt++;
}

void queue_index_remove(struct queue *q, struct queue_message *m)
{
    uint32_t *at = &q->root;
    uint32_t a = m->left, b = m->right;
    while (*at != m->handle) {
        struct queue_message *other = queue_message_at(q, *at);
        at = id_cmp(&m->id, &other->id) < 0 ? &other->left : &other->right;
    }
    while (a != 0 && b != 0) {
        struct queue_message *x = queue_message_at(q, a), *y = queue_message_at(q, b);
        if (priority(q, &x->id) >= priority(q, &y->id)) {
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
    q->message_cnt--;
}

static void walk_push(struct queue_walk *w, uint32_t at)
{
    if (w->cnt == QUEUE_WALK_MAX) { /* the lowest ones are what comes last */
        memmove(w->stack, w->stack + 1, sizeof(w->stack) - sizeof(w->stack[0]));
        w->cnt--;
        w->cut = true;
    }
    w->stack[w->cnt++] = at;
}

void queue_walk_begin(const struct queue *q, struct queue_walk *w, const struct spool_id *after)
{
    *w = (struct queue_walk){0};
    for (uint32_t at = q->root; at != 0;) {
        const struct queue_message *m = queue_message_at(q, at);
        bool later = id_cmp(&m->id, after) > 0;
        if (later)
            walk_push(w, at);
        at = later ? m->left : m->right;
    }
}

struct queue_message *queue_walk_next(const struct queue *q, struct queue_walk *w)
{
    if (w->cnt == 0)
        return NULL;
    struct queue_message *m = queue_message_at(q, w->stack[--w->cnt]);
    for (uint32_t at = m->right; at != 0; at = queue_message_at(q, at)->left)
        walk_push(w, at);
    if (w->cnt == 0 && w->cut)
        queue_walk_begin(q, w, &m->id);
    return m;
}
