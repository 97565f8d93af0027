/*
 * Pieces come from malloc one by one, in sizes that leave none of it unused: glibc's chunks are
 * multiples of 16 with 8 bytes of its own, so that sizes are 24, 40, 56...; jemalloc rounds up to
 * its own classes. Which list a piece belongs to is told by malloc_usable_size, so that it needs no
 * header, and pieces from before or from elsewhere do no harm.
 */
#include "tls_memory.h"

#include "base_assert.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/ssl.h>

#define STEP_BYTES  16
#define FIRST_BYTES 24
#define CLASS_CNT   128         /* up to 2 KiB: what is larger is rare, or a record buffer */
#define LIST_BYTES  (32 * 1024) /* held of each class: 4 MiB in all, at worst */
#define LIST_MIN    4
#define WIDE_STEP   1024 /* from there to 16 KiB: handshake buffers, SSL itself, lists of names */
#define WIDE_CNT    16
#define WIDE_MAX    16
/* Record buffers: one list for what is longer. */
#define BIG_LAST (24 * 1024)
#define BIG_MAX  8

struct piece {
    struct piece *next;
};

struct list {
    struct piece *first;
    uint32_t cnt;
};

struct cache {
    struct list lists[CLASS_CNT];
    struct list wide[WIDE_CNT + 1]; /* by KiB */
    struct list big;
};

/* OpenSSL gives its allocator no argument of ours, so that a thread's lists have to be found by the
 * thread itself. */
static _Thread_local struct cache cache;

static size_t wide_bytes(size_t kib)
{
    return kib * WIDE_STEP + 8; /* as above: nothing is left over */
}

static uint32_t class_bytes(uint32_t class)
{
    return FIRST_BYTES + class * STEP_BYTES;
}

/* Few of the large ones, many of the small ones. */
static uint32_t list_max(uint32_t class)
{
    uint32_t n = LIST_BYTES / class_bytes(class);

    return n < LIST_MIN ? LIST_MIN : n;
}

static void *pop(struct list *l)
{
    struct piece *p = l->first;

    if (p == NULL)
        return NULL;
    l->first = p->next;
    l->cnt--;
    return p;
}

static void push(struct list *l, void *memory)
{
    struct piece *p = memory;

    p->next = l->first;
    l->first = p;
    l->cnt++;
}

/* The list a request is served from: pieces in it are long enough. */
static struct list *list_for(size_t bytes, size_t *take)
{
    uint32_t class =
        bytes <= FIRST_BYTES ? 0 : (uint32_t)((bytes - FIRST_BYTES + STEP_BYTES - 1) / STEP_BYTES);

    *take = bytes;
    if (bytes <= class_bytes(CLASS_CNT - 1)) {
        *take = class_bytes(class);
        return &cache.lists[class];
    }
    if (bytes <= wide_bytes(WIDE_CNT)) {
        size_t kib = (bytes - 8 + WIDE_STEP - 1) / WIDE_STEP;
        *take = wide_bytes(kib);
        return &cache.wide[kib];
    }
    if (bytes <= BIG_LAST) {
        *take = BIG_LAST;
        return &cache.big;
    }
    return NULL;
}

void *tls_memory_take(size_t bytes, const char *file, int line)
{
    size_t take;
    struct list *l = list_for(bytes, &take);
    void *p;

    (void)file, (void)line;
    if (bytes == 0)
        return NULL;
    /* Not zeroed: OpenSSL wipes what was secret before it gives it back. */
    if (l != NULL && (p = pop(l)) != NULL)
        return p;
    return malloc(take);
}

void tls_memory_give(void *p, const char *file, int line)
{
    size_t bytes;
    uint32_t class;

    (void)file, (void)line;
    if (p == NULL)
        return;
    bytes = malloc_usable_size(p);
    class = (uint32_t)((bytes - FIRST_BYTES) / STEP_BYTES);
    if (bytes >= FIRST_BYTES && bytes < class_bytes(CLASS_CNT)) {
        if (cache.lists[class].cnt < list_max(class))
            return push(&cache.lists[class], p);
    } else if (bytes >= wide_bytes(2) && bytes < wide_bytes(WIDE_CNT + 1)) {
        size_t kib = (bytes - 8) / WIDE_STEP;
        if (cache.wide[kib].cnt < WIDE_MAX)
            return push(&cache.wide[kib], p);
    } else if (bytes >= BIG_LAST && bytes < BIG_LAST + BIG_LAST / 4 && cache.big.cnt < BIG_MAX) {
        return push(&cache.big, p);
    }
    free(p);
}

void *tls_memory_resize(void *p, size_t bytes, const char *file, int line)
{
    size_t held;
    void *other;

    if (p == NULL)
        return tls_memory_take(bytes, file, line);
    if (bytes == 0) {
        tls_memory_give(p, file, line);
        return NULL;
    }
    held = malloc_usable_size(p);
    if (bytes <= held)
        return p;
    other = tls_memory_take(bytes, file, line);
    if (other == NULL)
        return NULL;
    memcpy(other, p, held);
    tls_memory_give(p, file, line);
    return other;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

bool tls_memory_use(void)
{
    bool ours = true;

#ifndef SANITIZED
    ours = CRYPTO_set_mem_functions(tls_memory_take, tls_memory_resize, tls_memory_give) == 1;
#endif
    ours = tls_memory_short_names() && ours;
    return OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL) == 1 &&
           ours;
}

static void trim(struct list *l)
{
    void *p;

    while ((p = pop(l)) != NULL)
        free(p);
}

void tls_memory_trim(void)
{
    for (uint32_t i = 0; i < CLASS_CNT; i++)
        trim(&cache.lists[i]);
    for (uint32_t i = 0; i <= WIDE_CNT; i++)
        trim(&cache.wide[i]);
    trim(&cache.big);
}

size_t tls_memory_held_bytes(void)
{
    size_t n = (size_t)cache.big.cnt * BIG_LAST;

    for (uint32_t i = 0; i < CLASS_CNT; i++)
        n += (size_t)cache.lists[i].cnt * class_bytes(i);
    for (uint32_t i = 0; i <= WIDE_CNT; i++)
        n += cache.wide[i].cnt * wide_bytes(i);
    return n;
}
