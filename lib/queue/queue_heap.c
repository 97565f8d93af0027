#include "queue_heap.h"
#include "queue_time.h"

static struct queue_node *at(const struct queue_arena *a, uint32_t handle)
{
    return queue_arena_at(a, handle);
}

/* Two heaps become one; returns its root, whose siblings are the caller's to set. */
static uint32_t meld(const struct queue_arena *a, uint32_t x, uint32_t y)
{
    if (x == 0 || y == 0)
        return x + y;
    struct queue_node *p = at(a, x), *c = at(a, y);
    int32_t later = (int32_t)(p->due - c->due);
    if (later > 0 || (later == 0 && x > y)) {
        struct queue_node *swap = p;
        uint32_t handle = x;
        p = c;
        c = swap;
        x = y;
        y = handle;
    }
    c->next = p->child;
    if (p->child != 0)
        at(a, p->child)->prev = y;
    c->prev = x;
    p->child = y;
    return x;
}

void queue_heap_push(const struct queue_arena *a, uint32_t *root, uint32_t handle)
{
    struct queue_node *n = at(a, handle);
    n->child = n->next = n->prev = 0;
    *root = meld(a, *root, handle);
}

/* The children of a node as one heap: by twos from the left, then those from the right. */
static uint32_t gather(const struct queue_arena *a, uint32_t child)
{
    uint32_t pairs = 0; /* melded ones, the last first, linked by next */
    while (child != 0) {
        uint32_t x = child;
        uint32_t y = at(a, x)->next;
        child = y != 0 ? at(a, y)->next : 0;
        at(a, x)->next = at(a, x)->prev = 0;
        if (y != 0)
            at(a, y)->next = at(a, y)->prev = 0;
        x = meld(a, x, y);
        at(a, x)->next = pairs;
        pairs = x;
    }
    uint32_t root = 0;
    while (pairs != 0) {
        uint32_t next = at(a, pairs)->next;
        at(a, pairs)->next = 0;
        root = meld(a, root, pairs);
        pairs = next;
    }
    if (root != 0)
        at(a, root)->next = at(a, root)->prev = 0;
    return root;
}

void queue_heap_remove(const struct queue_arena *a, uint32_t *root, uint32_t handle)
{
    struct queue_node *n = at(a, handle);
    if (*root == handle) {
        *root = gather(a, n->child);
    } else {
        struct queue_node *before = at(a, n->prev);
        if (before->child == handle)
            before->child = n->next;
        else
            before->next = n->next;
        if (n->next != 0)
            at(a, n->next)->prev = n->prev;
        *root = meld(a, *root, gather(a, n->child));
    }
    n->child = n->next = n->prev = 0;
}
