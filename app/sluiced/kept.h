/*
 * What the courier knows and control keeps on disk (state_dir.h): a whole text of it goes from one
 * to the other by one pointer. The courier makes another only when the last was taken, so that one
 * waits at most and none is skipped that is newer.
 *
 * Threads: one that gives, one that takes; either may do the other's part once that one has
 * stopped. Memory: a text is its holder's.
 */
#ifndef KEPT_H
#define KEPT_H

#include "base_assert.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct kept_text {
    size_t len;
    char *bytes; /* owned */
};

struct kept {
    /* The giver stores (release), the taker exchanges (acquire). */
    _Atomic(struct kept_text *) text;
};

/* Takes bytes, malloc'ed. NULL without memory, also where bytes is NULL. */
struct kept_text *kept_text_of(char *bytes, size_t len);
void kept_text_free(struct kept_text *t); /* NULL: nothing */

/* The last one was taken. */
bool kept_free(const struct kept *k);
/* Takes t; only while kept_free. */
void kept_give(struct kept *k, struct kept_text *t);
/* NULL: there is none. The caller frees it. */
struct kept_text *kept_take(struct kept *k);

#endif
