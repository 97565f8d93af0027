/* Memory that is freed at once, the list of errors, and the nearest word. */
#include "conf_internal.h"

#include <stdlib.h>

#define CHUNK_BYTES 16384
#define NEAR_LEN    32 /* longer words have no nearest */

struct conf_chunk {
    struct conf_chunk *next;
    size_t used;
    size_t cap;
    _Alignas(16) uint8_t bytes[];
};

static void *take(struct conf_arena *a, size_t bytes, size_t align)
{
    struct conf_chunk *c = a->chunks;
    size_t at = c != NULL ? (c->used + align - 1) & ~(align - 1) : 0;

    if (c == NULL || at > c->cap || bytes > c->cap - at) {
        size_t cap = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        c = calloc(1, sizeof(*c) + cap);
        if (c == NULL) {
            a->failed = true;
            return NULL;
        }
        c->cap = cap;
        c->next = a->chunks;
        a->chunks = c;
        at = 0;
    }
    c->used = at + bytes;
    return c->bytes + at;
}

void *conf_arena_take(struct conf_arena *a, size_t bytes)
{
    return take(a, bytes, 16);
}

const char *conf_arena_text(struct conf_arena *a, struct base_span s)
{
    char *copy = take(a, s.len + 1, 1);

    if (copy == NULL)
        return "";
    if (s.len > 0)
        memcpy(copy, s.p, s.len);
    return copy;
}

void conf_arena_free(struct conf_arena *a)
{
    while (a->chunks != NULL) {
        struct conf_chunk *next = a->chunks->next;
        free(a->chunks);
        a->chunks = next;
    }
}

static uint32_t place(const struct conf_errors *e, const char *file, uint32_t line)
{
    uint32_t first_later = e->cnt;

    for (uint32_t i = e->cnt; i-- > 0;) {
        if (strcmp(e->error[i].file, file) != 0)
            continue;
        if (e->error[i].line <= line)
            return first_later < e->cnt ? first_later : i + 1;
        first_later = i;
    }
    return first_later;
}

void conf_error_addv(struct conf_errors *e, const char *file, uint32_t line, const char *key,
                     const char *format, va_list args)
{
    char why[2 * CONF_WHY_CAP];

    if (conf_errors_full(e))
        return;
    if (e->arena == NULL)
        e->arena = calloc(1, sizeof(struct conf_arena));
    struct conf_arena *a = e->arena;
    uint32_t at = place(e, file, line);
    if (e->cnt == CONF_ERROR_MAX - 1) {
        at = e->cnt;
        key = "";
        snprintf(why, sizeof(why), "too many errors");
    } else {
        vsnprintf(why, sizeof(why), format, args);
    }
    memmove(&e->error[at + 1], &e->error[at], (e->cnt - at) * sizeof(e->error[0]));
    e->cnt++;
    if (a == NULL) { /* no memory even for this: the texts that need none */
        e->error[at] = (struct conf_error){.file = "", .key = "", .why = "out of memory"};
        return;
    }
    /* Names come from the file: nothing of them may reach a terminal as a control character. */
    for (char *c = why; *c != 0; c++)
        *c = (uint8_t)*c < 0x20 || *c == 0x7f ? '?' : *c;
    char clean[CONF_KEY_CAP];
    size_t len = strnlen(key, sizeof(clean) - 1);
    for (size_t i = 0; i < len; i++)
        clean[i] = (uint8_t)key[i] < 0x20 || key[i] == 0x7f ? '?' : key[i];
    e->error[at] = (struct conf_error){.file = conf_arena_text(a, base_span_str(file)),
                                       .line = line,
                                       .key = conf_arena_text(a, base_span_of(clean, len)),
                                       .why = conf_arena_text(a, base_span_str(why))};
}

void conf_error_add(struct conf_errors *e, const char *file, uint32_t line, const char *key,
                    const char *format, ...)
{
    va_list args;

    va_start(args, format);
    conf_error_addv(e, file, line, key, format, args);
    va_end(args);
}

void conf_errors_free(struct conf_errors *e)
{
    if (e->arena != NULL)
        conf_arena_free(e->arena);
    free(e->arena);
    *e = (struct conf_errors){0};
}

/* Levenshtein's distance, both of at most NEAR_LEN bytes. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned row[NEAR_LEN + 1];

    for (unsigned j = 0; j <= b_len; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a_len; i++) {
        unsigned corner = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b_len; j++) {
            unsigned best = corner + (a[i - 1] != b[j - 1]);
            corner = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[b_len];
}

void conf_near_try(struct conf_near *n, const char *candidate)
{
    size_t a = strlen(n->text), b = strlen(candidate);

    if (a == 0 || a > NEAR_LEN || b > NEAR_LEN)
        return;
    unsigned d = distance(n->text, a, candidate, b);
    /* A third of the word may be wrong, or it is another word. */
    if (d > (a + 2) / 3 || (n->best != NULL && d >= n->distance))
        return;
    n->best = candidate;
    n->distance = d;
}

const char *conf_near_text(const struct conf_near *n, char out[CONF_WHY_CAP])
{
    out[0] = 0;
    if (n->best != NULL)
        snprintf(out, CONF_WHY_CAP, "; did you mean %s?", n->best);
    return out;
}
