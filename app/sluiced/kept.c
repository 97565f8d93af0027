#include "kept.h"

#include <stdlib.h>

struct kept_text *kept_text_of(char *bytes, size_t len)
{
    struct kept_text *t = bytes != NULL ? malloc(sizeof(*t)) : NULL;

    if (t == NULL) {
        free(bytes);
        return NULL;
    }
    *t = (struct kept_text){.len = len, .bytes = bytes};
    return t;
}

void kept_text_free(struct kept_text *t)
{
    if (t == NULL)
        return;
    free(t->bytes);
    free(t);
}

bool kept_free(const struct kept *k)
{
    /* Acquire: what the taker did with the last one is behind us. */
    return atomic_load_explicit(&k->text, memory_order_acquire) == NULL;
}

void kept_give(struct kept *k, struct kept_text *t)
{
    struct kept_text *last = atomic_exchange_explicit(&k->text, t, memory_order_acq_rel);

    base_assert(last == NULL);
}

struct kept_text *kept_take(struct kept *k)
{
    if (atomic_load_explicit(&k->text, memory_order_relaxed) == NULL)
        return NULL;
    return atomic_exchange_explicit(&k->text, NULL, memory_order_acq_rel);
}
