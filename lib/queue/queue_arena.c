#include "queue_arena.h"
#include "base_poison.h"

#include <stdlib.h>
#include <string.h>

/* In the first step of a free block. */
struct free_block {
    uint32_t next, prev; /* of its size; prev 0: the first */
    uint32_t steps;
};

static uint32_t handle_of(uint32_t chunk, uint32_t step)
{
    return chunk << QUEUE_CHUNK_BITS | step;
}

static void free_push(struct queue_arena *a, uint32_t handle, uint32_t steps)
{
    struct free_block *b = queue_arena_at(a, handle);
    *b = (struct free_block){.next = a->free[steps], .steps = steps};
    if (b->next != 0)
        ((struct free_block *)queue_arena_at(a, b->next))->prev = handle;
    a->free[steps] = handle;
    base_poison((uint8_t *)b + sizeof(*b), (size_t)steps * QUEUE_STEP_BYTES - sizeof(*b));
}

static void free_remove(struct queue_arena *a, uint32_t handle)
{
    struct free_block *b = queue_arena_at(a, handle);
    if (b->prev != 0)
        ((struct free_block *)queue_arena_at(a, b->prev))->next = b->next;
    else
        a->free[b->steps] = b->next;
    if (b->next != 0)
        ((struct free_block *)queue_arena_at(a, b->next))->prev = b->prev;
    base_unpoison(b, (size_t)b->steps * QUEUE_STEP_BYTES);
}

/* Makes room for cnt numbers in a row. Returns the first, or 0. */
static uint32_t numbers_get(struct queue_arena *a, uint32_t cnt)
{
    if (a->vacant > 0 && cnt == 1)
        for (uint32_t i = a->lowest; i < a->chunk_cnt; i++)
            if (a->chunks[i].kind == QUEUE_CHUNK_NONE) {
                a->vacant--;
                a->lowest = i + 1;
                return i;
            }
    uint32_t first = a->chunk_cnt == 0 ? 1 : a->chunk_cnt;
    if (cnt > QUEUE_CHUNK_MAX - first)
        return 0;
    if (first + cnt > a->chunk_cap) {
        uint32_t cap = a->chunk_cap < 32 ? 32 : a->chunk_cap + a->chunk_cap / 2;
        cap = cap < first + cnt ? first + cnt : cap;
        struct queue_chunk *chunks = realloc(a->chunks, cap * sizeof(*chunks));
        if (chunks == NULL)
            return 0;
        a->bytes += (cap - a->chunk_cap) * sizeof(*chunks);
        memset(chunks + a->chunk_cap, 0, (cap - a->chunk_cap) * sizeof(*chunks));
        a->chunks = chunks;
        a->chunk_cap = cap;
    }
    a->chunk_cnt = first + cnt;
    return first;
}

static void numbers_put(struct queue_arena *a, uint32_t first, uint32_t cnt)
{
    memset(&a->chunks[first], 0, cnt * sizeof(a->chunks[0]));
    a->lowest = a->vacant == 0 || first < a->lowest ? first : a->lowest;
    a->vacant += cnt;
    while (a->chunk_cnt > 1 && a->chunks[a->chunk_cnt - 1].kind == QUEUE_CHUNK_NONE) {
        a->chunk_cnt--;
        a->vacant--;
    }
}

static uint32_t large_get(struct queue_arena *a, uint32_t steps)
{
    uint32_t cnt = (steps + QUEUE_CHUNK_STEPS - 1) >> QUEUE_CHUNK_BITS;
    size_t bytes = (size_t)steps * QUEUE_STEP_BYTES;
    uint8_t *p = malloc(bytes);
    uint32_t first = p != NULL ? numbers_get(a, cnt) : 0;
    if (first == 0) {
        free(p);
        return 0;
    }
    a->chunks[first] = (struct queue_chunk){.p = p, .kind = QUEUE_CHUNK_LARGE};
    for (uint32_t i = 1; i < cnt; i++)
        a->chunks[first + i] = (struct queue_chunk){
            .p = p + ((size_t)i << QUEUE_CHUNK_BITS) * QUEUE_STEP_BYTES,
            .kind = QUEUE_CHUNK_PART,
        };
    a->bytes += bytes + QUEUE_MALLOC_EXTRA;
    return handle_of(first, 0);
}

/* A chunk without a live block: all that was cut from it is in the free lists. */
static void chunk_free(struct queue_arena *a, uint32_t n)
{
    struct queue_chunk *c = &a->chunks[n];
    for (uint32_t at = 0; at < c->used;) {
        const struct free_block *b = queue_arena_at(a, handle_of(n, at));
        uint32_t steps = b->steps;
        free_remove(a, handle_of(n, at));
        at += steps;
    }
    free(c->p);
    a->bytes -= (size_t)QUEUE_CHUNK_STEPS * QUEUE_STEP_BYTES + QUEUE_MALLOC_EXTRA;
    numbers_put(a, n, 1);
}

/* What is left of the current chunk becomes free blocks. */
static void current_end(struct queue_arena *a)
{
    uint32_t n = a->current;
    struct queue_chunk *c = &a->chunks[n];
    a->current = 0;
    while (c->used < QUEUE_CHUNK_STEPS) {
        uint32_t steps = QUEUE_CHUNK_STEPS - c->used;
        steps = steps < QUEUE_SMALL_STEPS ? steps : QUEUE_SMALL_STEPS;
        free_push(a, handle_of(n, c->used), steps);
        c->used = (uint16_t)(c->used + steps);
    }
    if (c->live == 0)
        chunk_free(a, n);
}

static bool current_begin(struct queue_arena *a)
{
    size_t bytes = (size_t)QUEUE_CHUNK_STEPS * QUEUE_STEP_BYTES;
    uint8_t *p = malloc(bytes);
    uint32_t n = p != NULL ? numbers_get(a, 1) : 0;
    if (n == 0) {
        free(p);
        return false;
    }
    if (a->current != 0)
        current_end(a);
    a->chunks[n] = (struct queue_chunk){.p = p, .kind = QUEUE_CHUNK_SMALL};
    a->bytes += bytes + QUEUE_MALLOC_EXTRA;
    a->current = n;
    return true;
}

uint32_t queue_arena_get(struct queue_arena *a, uint32_t steps)
{
    if (steps > QUEUE_SMALL_STEPS)
        return large_get(a, steps);
    uint32_t handle = a->free[steps];
    if (handle != 0) {
        free_remove(a, handle);
        struct queue_chunk *of = &a->chunks[handle >> QUEUE_CHUNK_BITS];
        of->live = (uint16_t)(of->live + steps);
        return handle;
    }
    if ((a->current == 0 || a->chunks[a->current].used + steps > QUEUE_CHUNK_STEPS) &&
        !current_begin(a))
        return 0;
    struct queue_chunk *c = &a->chunks[a->current];
    handle = handle_of(a->current, c->used);
    c->used = (uint16_t)(c->used + steps);
    c->live = (uint16_t)(c->live + steps);
    return handle;
}

void queue_arena_put(struct queue_arena *a, uint32_t handle, uint32_t steps)
{
    uint32_t n = handle >> QUEUE_CHUNK_BITS;
    struct queue_chunk *c = &a->chunks[n];
    if (c->kind == QUEUE_CHUNK_LARGE) {
        free(c->p);
        a->bytes -= (size_t)steps * QUEUE_STEP_BYTES + QUEUE_MALLOC_EXTRA;
        numbers_put(a, n, (steps + QUEUE_CHUNK_STEPS - 1) >> QUEUE_CHUNK_BITS);
        return;
    }
    base_assert(c->kind == QUEUE_CHUNK_SMALL && c->live >= steps);
    c->live = (uint16_t)(c->live - steps);
    free_push(a, handle, steps);
    if (c->live == 0 && n != a->current)
        chunk_free(a, n);
}

void queue_arena_fini(struct queue_arena *a)
{
    for (uint32_t i = 1; i < a->chunk_cnt; i++)
        if (a->chunks[i].kind == QUEUE_CHUNK_SMALL || a->chunks[i].kind == QUEUE_CHUNK_LARGE)
            free(a->chunks[i].p);
    free(a->chunks);
    *a = (struct queue_arena){0};
}
