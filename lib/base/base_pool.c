#include "base_pool.h"
#include "base_lines.h"
#include "base_poison.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Modulo 2^64: odd is its own inverse modulo 8, and each step doubles the bits that are right. */
static uint64_t inverse(uint64_t odd)
{
    uint64_t x = odd;

    for (int bits = 3; bits < 64; bits *= 2)
        x *= 2 - odd * x;
    return x;
}

int base_pool_init(struct base_pool *p, uint32_t object_cnt, size_t object_bytes, size_t align,
                   size_t zero_bytes)
{
    base_assert(object_cnt > 0 && align >= sizeof(void *) && (align & (align - 1)) == 0);
    base_assert(zero_bytes <= object_bytes && object_bytes >= sizeof(void *));
    object_bytes = (object_bytes + align - 1) & ~(align - 1);
    if (object_bytes > (SIZE_MAX - BASE_LINE_BYTES) / object_cnt)
        return -ENOMEM;
    /* Whole cache lines: another thread's memory may lie beside it. */
    size_t lines = align < BASE_LINE_BYTES ? BASE_LINE_BYTES : align;
    size_t bytes = (object_bytes * object_cnt + lines - 1) & ~(lines - 1);
    *p = (struct base_pool){
        .memory = aligned_alloc(lines, bytes),
        .object_bytes = object_bytes,
        .zero_bytes = zero_bytes,
        .object_cnt = object_cnt,
        .shift = (uint32_t)__builtin_ctzll(object_bytes),
    };
    p->odd_inverse = inverse(object_bytes >> p->shift);
    if (p->memory == NULL)
        return -ENOMEM;
    for (uint32_t i = object_cnt; i-- > 0;)
        base_pool_put(p, p->memory + i * object_bytes);
    return 0;
}

void base_pool_fini(struct base_pool *p)
{
    base_assert(p->free_cnt == p->object_cnt);
    if (p->memory != NULL)
        base_unpoison(p->memory, p->object_bytes * p->object_cnt);
    free(p->memory);
    *p = (struct base_pool){0};
}

void *base_pool_get(struct base_pool *p)
{
    void *object = p->free;

    if (object == NULL)
        return NULL;
    base_unpoison(object, p->object_bytes);
    memcpy(&p->free, object, sizeof(void *));
    p->free_cnt--;
    memset(object, 0, p->zero_bytes);
    return object;
}

void base_pool_put(struct base_pool *p, void *object)
{
    base_debug_assert(base_pool_index(p, object) < p->object_cnt);
    memcpy(object, &p->free, sizeof(void *));
    p->free = object;
    p->free_cnt++;
    base_poison(object, p->object_bytes);
}
