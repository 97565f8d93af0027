#include "queue_internal.h"

#include <errno.h>
#include <stdlib.h>

static int id_cmp(const struct spool_id *a, const struct spool_id *b)
{
    return memcmp(a->b, b->b, sizeof(a->b));
}

struct queue_message *queue_index_find(const struct queue *q, const struct spool_id *id)
{
    struct queue_message *m = q->root;
    while (m != NULL) {
        int c = id_cmp(id, &m->id);
        if (c == 0)
            return m;
        m = c < 0 ? m->left : m->right;
    }
    return NULL;
}

struct queue_message *queue_index_next(const struct queue *q, const struct spool_id *id)
{
    struct queue_message *m = q->root;
    struct queue_message *best = NULL;
    while (m != NULL) {
        if (id_cmp(&m->id, id) > 0) {
            best = m;
            m = m->left;
        } else {
            m = m->right;
        }
    }
    return best;
}

/* Splits the tree into what is below id and what is above. */
static void split(struct queue_message *m, const struct spool_id *id, struct queue_message **below,
                  struct queue_message **above)
{
    while (m != NULL) {
        if (id_cmp(&m->id, id) < 0) {
            *below = m;
            below = &m->right;
            m = m->right;
        } else {
            *above = m;
            above = &m->left;
            m = m->left;
        }
    }
    *below = NULL;
    *above = NULL;
}

void queue_index_add(struct queue *q, struct queue_message *m)
{
    struct queue_message **at = &q->root;
    m->priority = base_rand_next(&q->rand);
    while (*at != NULL && (*at)->priority >= m->priority)
        at = id_cmp(&m->id, &(*at)->id) < 0 ? &(*at)->left : &(*at)->right;
    split(*at, &m->id, &m->left, &m->right);
    *at = m;
    q->message_cnt++;
}

void queue_index_remove(struct queue *q, struct queue_message *m)
{
    struct queue_message **at = &q->root;
    struct queue_message *a = m->left;
    struct queue_message *b = m->right;
    while (*at != m)
        at = id_cmp(&m->id, &(*at)->id) < 0 ? &(*at)->left : &(*at)->right;
    while (a != NULL && b != NULL) {
        if (a->priority >= b->priority) {
            *at = a;
            at = &a->right;
            a = a->right;
        } else {
            *at = b;
            at = &b->left;
            b = b->left;
        }
    }
    *at = a != NULL ? a : b;
    q->message_cnt--;
}

int queue_heap_reserve(struct queue *q)
{
    if (q->message_cnt < q->heap_cap)
        return 0;
    uint32_t cap = q->heap_cap == 0 ? 256 : q->heap_cap * 2;
    struct queue_message **heap = realloc(q->heap, (size_t)cap * sizeof(struct queue_message *));
    if (heap == NULL)
        return -ENOMEM;
    q->heap = heap;
    q->heap_cap = cap;
    return 0;
}

/* Oldest due first; of those due at one time the older message. */
static bool sooner(const struct queue_message *a, const struct queue_message *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : id_cmp(&a->id, &b->id) < 0;
}

static void heap_put(struct queue *q, uint32_t at, struct queue_message *m)
{
    q->heap[at] = m;
    m->heap_at = at;
}

static void sift(struct queue *q, uint32_t at, struct queue_message *m)
{
    while (at > 0 && sooner(m, q->heap[(at - 1) / 2])) {
        heap_put(q, at, q->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < q->heap_cnt && sooner(q->heap[child + 1], q->heap[child]))
            child++;
        if (child >= q->heap_cnt || !sooner(q->heap[child], m))
            break;
        heap_put(q, at, q->heap[child]);
        at = child;
    }
    heap_put(q, at, m);
}

void queue_heap_set(struct queue *q, struct queue_message *m)
{
    uint32_t at = m->heap_at;
    if (m->due_ns != BASE_NS_NONE) {
        base_assert(at != QUEUE_HEAP_NONE || q->heap_cnt < q->heap_cap);
        sift(q, at == QUEUE_HEAP_NONE ? q->heap_cnt++ : at, m);
        return;
    }
    if (at == QUEUE_HEAP_NONE)
        return;
    m->heap_at = QUEUE_HEAP_NONE;
    struct queue_message *last = q->heap[--q->heap_cnt];
    if (last != m)
        sift(q, at, last);
}
