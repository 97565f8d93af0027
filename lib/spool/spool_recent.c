/*
 * The memory of batches is a ring, larger than what is under way: a batch that became durable stays
 * where it was composed until the ring comes around. A message is read for its first delivery soon
 * after it came, so its records are found here as a rule.
 *
 * A record is looked for by its segment's sequence, which is never used twice, and its offset: a
 * segment that was freed and written again, or a batch that was written again elsewhere, is another
 * key. The reader checks what it finds like what comes from the disk.
 */
#include "spool_internal.h"

#include <errno.h>
#include <stdlib.h>

#define HUGE_PAGE_BYTES (UINT64_C(2) << 20)

int spool_recent_init(struct spool *s)
{
    struct spool_recent *q = &s->recent;
    uint64_t max = s->config.batch_bytes_max;
    /* Those in the ring of batches, and what is left at this one's end. */
    uint64_t least = (s->batch_cap + 1) * max;
    q->cap = s->config.memory_bytes < least ? least : s->config.memory_bytes;
    q->cap = q->cap / SPOOL_BLOCK_BYTES * SPOOL_BLOCK_BYTES;
    bool huge =
        q->cap >= 4 * HUGE_PAGE_BYTES; /* aligned, so that a driver may ask for such pages */
    if (huge)
        q->cap = (q->cap + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    q->batch_cap = (uint32_t)(q->cap / SPOOL_BLOCK_BYTES);
    q->data = aligned_alloc(huge ? HUGE_PAGE_BYTES : SPOOL_BLOCK_BYTES, q->cap);
    q->batch = calloc(q->batch_cap, sizeof(*q->batch));
    if (q->data == NULL || q->batch == NULL)
        return -ENOMEM;
    return 0;
}

void spool_recent_fini(struct spool *s)
{
    free(s->recent.data);
    free(s->recent.batch);
}

static struct spool_recent_batch *batch_at(const struct spool_recent *q, uint32_t i)
{
    return &q->batch[(q->batch_head + i) % q->batch_cap];
}

static void oldest_forget(struct spool_recent *q)
{
    q->batch_head = (q->batch_head + 1) % q->batch_cap;
    q->batch_cnt--;
}

uint8_t *spool_recent_take(struct spool *s)
{
    struct spool_recent *q = &s->recent;
    uint64_t max = s->config.batch_bytes_max;
    if (q->cap - q->head < max) {
        /* What lies behind here is older than what lies at the front. */
        while (q->batch_cnt > 0 && batch_at(q, 0)->at >= q->head)
            oldest_forget(q);
        q->head = 0;
    }
    while (q->batch_cnt > 0 && batch_at(q, 0)->at < q->head + max &&
           batch_at(q, 0)->at + batch_at(q, 0)->len > q->head)
        oldest_forget(q);
    for (uint32_t i = 0; i < s->batch_cnt; i++) {
        const struct spool_batch *b = spool_batch_at(s, i);
        uint64_t at = (uint64_t)(b->data - q->data);
        base_assert(at >= q->head + max || at + b->len <= q->head);
    }
    return q->data + q->head;
}

void spool_recent_end(struct spool *s, const struct spool_batch *b)
{
    base_assert(b->data == s->recent.data + s->recent.head);
    s->recent.head += b->len;
}

void spool_recent_add(struct spool *s, const struct spool_batch *b)
{
    struct spool_recent *q = &s->recent;
    if (s->config.memory_bytes == 0)
        return;
    struct spool_recent_batch r = {.sequence = s->segments[b->slot].header.sequence,
                                   .offset = b->offset,
                                   .at = (uint64_t)(b->data - q->data),
                                   .len = b->len};
    if (q->batch_cnt == q->batch_cap)
        oldest_forget(q);
    if (q->batch_cnt > 0) {
        const struct spool_recent_batch *last = batch_at(q, q->batch_cnt - 1);
        base_assert(last->sequence < r.sequence ||
                    (last->sequence == r.sequence && last->offset + last->len <= r.offset));
    }
    q->batch_cnt++;
    *batch_at(q, q->batch_cnt - 1) = r;
}

const uint8_t *spool_recent_find(const struct spool *s, uint64_t place, uint32_t len)
{
    const struct spool_recent *q = &s->recent;
    uint64_t sequence = s->segments[spool_place_slot(place)].header.sequence;
    uint64_t offset = spool_place_offset(place);
    uint32_t low = 0, high = q->batch_cnt; /* the last one that begins at or before the place */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct spool_recent_batch *r = batch_at(q, middle);
        if (r->sequence < sequence || (r->sequence == sequence && r->offset <= offset))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return NULL;
    const struct spool_recent_batch *r = batch_at(q, low - 1);
    if (r->sequence != sequence || offset + len > r->offset + r->len)
        return NULL;
    return q->data + r->at + (offset - r->offset);
}
