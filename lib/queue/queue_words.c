/*
 * What was said last about messages. Most deferred mail was told the same, so a text is kept once
 * for all messages that it was said about. Texts of which there are many are not kept: then the
 * code has to do.
 */
#include "base_siphash.h"
#include "queue_internal.h"

#include <stdlib.h>

#define WORDS_CAP_FIRST 256
#define WORDS_FREE      4096 /* so many different ones in any case, and one for 16 messages */

void *queue_alloc(struct queue *q, size_t bytes)
{
    void *p = calloc(1, bytes);
    if (p != NULL)
        q->bytes += bytes + QUEUE_MALLOC_EXTRA;
    return p;
}

void queue_free(struct queue *q, void *p, size_t bytes)
{
    if (p != NULL)
        q->bytes -= bytes + QUEUE_MALLOC_EXTRA;
    free(p);
}

static void grow(struct queue *q)
{
    uint32_t cap = q->words_cap == 0 ? WORDS_CAP_FIRST : q->words_cap * 2;
    struct queue_words **table = queue_alloc(q, cap * sizeof(struct queue_words *));
    if (table == NULL)
        return;
    for (uint32_t i = 0; i < q->words_cap; i++)
        for (struct queue_words *w = q->words[i], *next; w != NULL; w = next) {
            next = w->next;
            w->next = table[w->hash & (cap - 1)];
            table[w->hash & (cap - 1)] = w;
        }
    queue_free(q, q->words, q->words_cap * sizeof(struct queue_words *));
    q->words = table;
    q->words_cap = cap;
}

static struct queue_words *words_get(struct queue *q, struct base_span text)
{
    uint32_t hash = (uint32_t)base_siphash13(q->hash_key, text.p, text.len);
    struct queue_words *w = q->words_cap == 0 ? NULL : q->words[hash & (q->words_cap - 1)];
    while (w != NULL && (w->hash != hash || !base_span_eq(base_span_of(w->text, w->len), text)))
        w = w->next;
    if (w != NULL)
        return w;
    if (q->words_cnt >= WORDS_FREE + q->message_cnt / 16)
        return NULL;
    if (q->words_cnt >= q->words_cap)
        grow(q);
    if (q->words_cap == 0 || (w = queue_alloc(q, sizeof(*w) + text.len)) == NULL)
        return NULL;
    w->hash = hash;
    w->len = (uint8_t)text.len;
    memcpy(w->text, text.p, text.len);
    w->next = q->words[hash & (q->words_cap - 1)];
    q->words[hash & (q->words_cap - 1)] = w;
    q->words_cnt++;
    return w;
}

void queue_words_drop(struct queue *q, struct queue_message *m)
{
    struct queue_words *w = m->words;
    m->words = NULL;
    if (w == NULL || --w->user_cnt > 0)
        return;
    struct queue_words **at = &q->words[w->hash & (q->words_cap - 1)];
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    q->words_cnt--;
    queue_free(q, w, sizeof(*w) + w->len);
}

void queue_note(struct queue *q, struct queue_message *m, uint32_t recipient,
                struct base_span words)
{
    words.len = words.len < QUEUE_WORDS_MAX ? words.len : QUEUE_WORDS_MAX;
    struct queue_words *w = words.len > 0 ? words_get(q, words) : NULL;
    if (w != NULL)
        w->user_cnt++;
    queue_words_drop(q, m);
    m->words = w;
    m->words_recipient = recipient;
}

void queue_words_fini(struct queue *q)
{
    for (uint32_t i = 0; i < q->words_cap; i++)
        for (struct queue_words *w = q->words[i], *next; w != NULL; w = next) {
            next = w->next;
            queue_free(q, w, sizeof(*w) + w->len);
        }
    queue_free(q, q->words, q->words_cap * sizeof(struct queue_words *));
}
