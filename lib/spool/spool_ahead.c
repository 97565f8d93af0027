/*
 * Recovery reads many summaries, which lie far apart, and works on each: those that come next are
 * asked for meanwhile. What fails here is read again by whoever wants it.
 */
#include "spool_recovery.h"

#include <stdlib.h>

enum { BYTES_MAX = 32 << 20 }; /* asked for at a time, when it is more than one */

static struct spool_ahead_read *read_at(struct spool_recovery *r, uint32_t i)
{
    return &r->ahead.read[i % SPOOL_AHEAD_CNT];
}

/* The summary of the i-th segment of the log; false: the disk takes no more now. */
static bool ask(struct spool_recovery *r, uint32_t i)
{
    struct spool *s = r->s;
    const struct spool_disk *d = &s->config.disk;
    const struct spool_segment *g = spool_log_at(s, i);
    const struct spool_segment_header *next = &spool_log_at(s, i + 1)->header;
    uint64_t at = next->previous_summary_offset;
    uint32_t len = spool_blocks(next->previous_summary_len);
    struct spool_ahead_read *a = read_at(r, i);

    a->len = 0;
    if (at == 0 || at % SPOOL_BLOCK_BYTES != 0 || at >= g->bytes || len == 0 || len > g->bytes - at)
        return true; /* it has none, or a wrong one: told by whoever wants it */
    if (r->ahead.bytes > 0 && r->ahead.bytes + len > BYTES_MAX)
        return false;
    a->data = aligned_alloc(SPOOL_BLOCK_BYTES, len);
    if (a->data == NULL)
        return true;
    struct spool_io io = {.op = SPOOL_IO_READ,
                          .segment = g->number,
                          .offset = at,
                          .data = a->data,
                          .len = len,
                          .cookie = spool_cookie(SPOOL_IO_AHEAD, i % SPOOL_AHEAD_CNT)};
    if (d->ops->submit(d->state, &io) < 0) {
        free(a->data);
        a->data = NULL;
        return false;
    }
    a->len = len;
    a->under_way = true;
    r->ahead.bytes += len;
    return true;
}

static void forget(struct spool_recovery *r, struct spool_ahead_read *a)
{
    base_assert(!a->under_way);
    free(a->data);
    a->data = NULL;
    r->ahead.bytes -= a->len;
    a->len = 0;
}

void spool_ahead_run(struct spool_recovery *r, uint32_t i)
{
    if (r->ahead.next < i)
        r->ahead.next = i;
    while (r->ahead.next + 1 < r->s->log_cnt && r->ahead.next < i + SPOOL_AHEAD_CNT &&
           ask(r, r->ahead.next))
        r->ahead.next++;
}

void spool_ahead_done(struct spool_recovery *r, uint32_t index, int64_t result)
{
    struct spool_ahead_read *a = &r->ahead.read[index];
    base_assert(a->under_way);
    a->under_way = false;
    a->good = result == (int64_t)a->len;
}

/* Waits for it. Returns false when the disk does not answer any more. */
static bool finish(struct spool_recovery *r, const struct spool_ahead_read *a)
{
    const struct spool_disk *d = &r->s->config.disk;
    struct spool_io_done done;
    while (a->under_way) {
        if (d->ops->poll(d->state, &done, 1) == 1) {
            base_assert(done.cookie >> 32 == SPOOL_IO_AHEAD);
            spool_ahead_done(r, (uint32_t)done.cookie, done.result);
        } else if (d->ops->wait(d->state) < 0) {
            return false;
        }
    }
    return true;
}

const uint8_t *spool_ahead_find(struct spool_recovery *r, uint32_t i, uint64_t *len)
{
    const struct spool_ahead_read *a = read_at(r, i);
    if (i >= r->ahead.next || a->data == NULL || !finish(r, a) || !a->good)
        return NULL;
    *len = a->len;
    return a->data;
}

void spool_ahead_end(struct spool_recovery *r, uint32_t i)
{
    struct spool_ahead_read *a = read_at(r, i);
    if (i < r->ahead.next && a->data != NULL && finish(r, a))
        forget(r, a);
}

void spool_ahead_fini(struct spool_recovery *r)
{
    for (uint32_t i = 0; i < SPOOL_AHEAD_CNT; i++) {
        struct spool_ahead_read *a = &r->ahead.read[i];
        if (a->data != NULL && finish(r, a))
            forget(r, a); /* else the disk may still write there */
    }
}
