/*
 * Recovery: see FORMAT.md. Everything here blocks; it runs before anything else does. Nothing is
 * written before all was found good.
 */
#include "spool_recovery.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define READ_BYTES (1U << 20)

int spool_recovery_corrupt(struct spool_recovery *r, uint32_t slot, uint64_t offset,
                           const char *format, ...)
{
    char text[STATS_LOG_TEXT_CAP];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    if (r->err_cap > 0 && r->corrupt_cnt == 0)
        snprintf(r->err, r->err_cap, "%s", text);
    r->corrupt_cnt++;
    stats_inc(r->s->config.stats, STATS_SPOOL_CORRUPT);
    spool_log_event(r->s, STATS_LOG_SPOOL_ERROR, 0, EBADMSG, text);
    if (r->tell != NULL)
        r->tell(r->tell_arg, slot == SPOOL_SLOT_NONE ? 0 : r->s->segments[slot].number, offset,
                text);
    return r->s->config.accept_corruption ? 0 : -EBADMSG;
}

/* Takes completions until the one of io_blocking is among them. */
static bool blocking_poll(struct spool_recovery *r, int64_t *result)
{
    const struct spool_disk *d = &r->s->config.disk;
    struct spool_io_done done;
    while (d->ops->poll(d->state, &done, 1) == 1) {
        if (done.cookie >> 32 == SPOOL_IO_BLOCKING) {
            *result = done.result;
            return true;
        }
        spool_ahead_done(r, (uint32_t)done.cookie, done.result);
    }
    return false;
}

static int io_blocking(struct spool_recovery *r, enum spool_io_op op, uint32_t slot,
                       uint64_t offset, void *data, uint32_t len)
{
    const struct spool_disk *d = &r->s->config.disk;
    struct spool_io io = {.op = (uint8_t)op,
                          .segment = r->s->segments[slot].number,
                          .offset = offset,
                          .data = data,
                          .len = len,
                          .cookie = spool_cookie(SPOOL_IO_BLOCKING, 0)};
    int64_t result = 0;
    int rc;
    while ((rc = d->ops->submit(d->state, &io)) == -EAGAIN)
        if (blocking_poll(r, &result))
            return -EIO;
    if (rc < 0)
        return rc;
    while (!blocking_poll(r, &result))
        if ((rc = d->ops->wait(d->state)) < 0)
            return rc;
    return result == (int64_t)len ? 0 : result < 0 ? (int)result : -EIO;
}

/* Inspection passes what cannot be read: it becomes zeros, which no checksum fits. */
static int fetch_blocks(struct spool_recovery *r)
{
    for (uint32_t at = 0; at < r->len; at += SPOOL_BLOCK_BYTES) {
        uint64_t offset = r->offset + at;
        int rc = io_blocking(r, SPOOL_IO_READ, r->slot, offset, r->data + at, SPOOL_BLOCK_BYTES);
        if (rc == 0)
            continue;
        memset(r->data + at, 0, SPOOL_BLOCK_BYTES);
        if (r->unreadable_slot == r->slot && r->unreadable_offset >= offset)
            continue; /* told before */
        r->unreadable_slot = r->slot;
        r->unreadable_offset = offset;
        rc = spool_recovery_corrupt(r, r->slot, offset, "%u bytes cannot be read: %s",
                                    SPOOL_BLOCK_BYTES, strerror(-rc));
        if (rc < 0)
            return rc;
    }
    return 0;
}

int spool_recovery_fetch(struct spool_recovery *r, uint32_t slot, uint64_t offset, uint32_t want,
                         bool again)
{
    uint64_t left = r->s->segments[slot].bytes - offset;
    /* Whole blocks: what is wanted (a summary) may end within one, requests may not. */
    want = (want + SPOOL_BLOCK_BYTES - 1) & ~(uint32_t)(SPOOL_BLOCK_BYTES - 1);
    if (want > left)
        want = (uint32_t)left;
    if (!again && r->slot == slot && offset >= r->offset && offset + want <= r->offset + r->len)
        return 0;
    if (want > r->cap) {
        uint8_t *data = aligned_alloc(SPOOL_BLOCK_BYTES, want);
        if (data == NULL)
            return -ENOMEM;
        free(r->data);
        r->data = data;
        r->cap = want;
    }
    r->slot = slot;
    r->offset = offset;
    r->len = r->exact ? want : left < r->cap ? (uint32_t)left : r->cap;
    int rc = -EIO;
    for (int try = 0; rc < 0 && try < 3; try++)
        rc = io_blocking(r, SPOOL_IO_READ, slot, offset, r->data, r->len);
    if (rc == -EIO && r->tell != NULL)
        rc = fetch_blocks(r);
    if (rc < 0) {
        r->len = 0;
        if (r->err_cap > 0)
            snprintf(r->err, r->err_cap, "segment %u cannot be read: %s",
                     r->s->segments[slot].number, strerror(-rc));
    }
    return rc;
}

static int headers_read(struct spool_recovery *r, const uint32_t *numbers, uint32_t cnt)
{
    struct spool *s = r->s;
    for (uint32_t i = 0; i < cnt; i++) {
        struct spool_segment *g = &s->segments[i];
        int64_t bytes = s->config.disk.ops->segment_open(s->config.disk.state, numbers[i]);
        if (bytes < 0) {
            if (r->err_cap > 0)
                snprintf(r->err, r->err_cap, "segment %u cannot be opened: %s", numbers[i],
                         strerror((int)-bytes));
            return (int)bytes;
        }
        g->number = numbers[i];
        g->bytes = (uint64_t)bytes & ~(uint64_t)(SPOOL_BLOCK_BYTES - 1);
        g->state = SPOOL_SEGMENT_ZEROING;
        if (g->bytes < 2 * SPOOL_BLOCK_BYTES || g->bytes > SPOOL_SEGMENT_BYTES_MAX) {
            g->state = SPOOL_SEGMENT_ASIDE;
            continue;
        }
        for (int try = 0; try < 3 && g->state == SPOOL_SEGMENT_ZEROING; try++) {
            int rc = spool_recovery_fetch(r, i, 0, SPOOL_BLOCK_BYTES, true);
            if (rc < 0)
                return rc;
            rc = spool_segment_header_read(r->data, &g->header);
            if (rc == -EPROTO) {
                snprintf(r->err, r->err_cap, "segment %u has format version %u, not %u", numbers[i],
                         g->header.version, SPOOL_FORMAT_VERSION);
                return rc;
            }
            if (rc == 0)
                g->state = SPOOL_SEGMENT_READY;
        }
        if (g->state != SPOOL_SEGMENT_READY)
            memset(&g->header, 0, sizeof(g->header));
    }
    return 0;
}

static uint32_t slot_of(const struct spool *s, uint32_t cnt, uint64_t sequence)
{
    for (uint32_t i = 0; i < cnt; i++)
        if (s->segments[i].state == SPOOL_SEGMENT_READY &&
            s->segments[i].header.sequence == sequence)
            return i;
    return SPOOL_SLOT_NONE;
}

/* The segment of the log with the highest sequence below the given one. */
static uint32_t slot_below(const struct spool *s, uint32_t cnt, uint64_t sequence, uint64_t tail)
{
    uint32_t best = SPOOL_SLOT_NONE;
    for (uint32_t i = 0; i < cnt; i++) {
        uint64_t at = s->segments[i].header.sequence;
        if (s->segments[i].state == SPOOL_SEGMENT_READY && at < sequence && at >= tail &&
            (best == SPOOL_SLOT_NONE || at > s->segments[best].header.sequence))
            best = i;
    }
    return best;
}

/* The first batch of a segment whose header is damaged: 1, 0 (there is none) or an error. */
static int headless_read(struct spool_recovery *r, uint32_t slot, struct spool_batch_header *h)
{
    int rc = spool_recovery_fetch(r, slot, SPOOL_SEGMENT_HEADER_LEN, SPOOL_BLOCK_BYTES, true);
    if (rc < 0)
        return rc;
    return spool_batch_header_read(r->data, h) == 0;
}

/* The operator wants what is left: all that its first batch tells of the header. */
static void header_rebuild(struct spool *s, uint32_t cnt, uint32_t slot,
                           const struct spool_batch_header *h,
                           const struct spool_segment_header *top)
{
    struct spool_segment *g = &s->segments[slot];
    uint32_t below = slot_below(s, cnt, h->sequence, top->tail_sequence);
    g->header = (struct spool_segment_header){
        .version = SPOOL_FORMAT_VERSION,
        .number = top->number,
        .crc = h->previous_crc,
        .sequence = h->sequence,
        .salt = h->salt,
        .bytes = g->bytes,
        .first_lsn = h->lsn,
        .previous_sequence = below == SPOOL_SLOT_NONE ? 0 : s->segments[below].header.sequence,
        .tail_sequence = top->tail_sequence,
    };
    memcpy(g->header.uuid, top->uuid, 16);
    g->state = SPOOL_SEGMENT_READY;
    spool_segment_damaged(s, slot);
}

/* A segment without a header whose first batch is newer than everything: its header was there. */
static int headless_check(struct spool_recovery *r, uint32_t cnt, uint32_t slot,
                          const struct spool_segment_header *top)
{
    struct spool_segment *g = &r->s->segments[slot];
    struct spool_batch_header h;
    int rc = headless_read(r, slot, &h);
    if (rc <= 0 || h.sequence <= top->sequence)
        return rc < 0 ? rc : 0;
    rc = spool_recovery_corrupt(r, slot, 0, "segment %u: its header is damaged", g->number);
    if (rc == 0 && r->tell == NULL)
        header_rebuild(r->s, cnt, slot, &h, top);
    return rc;
}

/* One is missing in the chain: it is there without its header; or those below it are the rest.
 * (Inspection puts the rest together in its own way.) */
static int missing_find(struct spool_recovery *r, uint32_t cnt, uint64_t sequence,
                        const struct spool_segment_header *top, uint32_t *slot)
{
    struct spool *s = r->s;
    int rc =
        spool_recovery_corrupt(r, SPOOL_SLOT_NONE, 0, "the segment with sequence %llu is missing",
                               (unsigned long long)sequence);
    if (rc < 0 || r->tell != NULL)
        return rc;
    for (uint32_t i = 0; i < cnt && rc == 0; i++) {
        struct spool_batch_header h;
        if (s->segments[i].state != SPOOL_SEGMENT_ZEROING)
            continue;
        rc = headless_read(r, i, &h);
        if (rc == 1 && h.sequence == sequence) {
            header_rebuild(s, cnt, i, &h, top);
            *slot = i;
            return 0;
        }
        rc = rc < 0 ? rc : 0;
    }
    *slot = slot_below(s, cnt, sequence, top->tail_sequence);
    return rc;
}

static uint32_t newest_slot(const struct spool *s, uint32_t cnt)
{
    return slot_below(s, cnt, UINT64_MAX, 0);
}

/* Puts the log together, from the newest back to the oldest that is needed. */
static int chain_find(struct spool_recovery *r, uint32_t cnt)
{
    struct spool *s = r->s;
    uint32_t newest = newest_slot(s, cnt);
    struct spool_segment_header top = {0};
    if (newest != SPOOL_SLOT_NONE)
        top = s->segments[newest].header;
    for (uint32_t i = 0; i < cnt; i++)
        if (s->segments[i].state == SPOOL_SEGMENT_ZEROING) {
            int rc = headless_check(r, cnt, i, &top);
            if (rc < 0)
                return rc;
        }
    newest = newest_slot(s, cnt);
    if (newest == SPOOL_SLOT_NONE)
        return 0;
    top = s->segments[newest].header;
    uint64_t sequence = top.sequence;
    memcpy(s->uuid, top.uuid, 16);
    s->uuid_known = true;
    s->number = top.number;
    s->next_sequence = sequence + 1;
    s->log_head = cnt; /* filled from the back */
    for (uint32_t slot = newest; slot != SPOOL_SLOT_NONE;) {
        struct spool_segment *g = &s->segments[slot];
        if (memcmp(g->header.uuid, s->uuid, 16) != 0) {
            int rc =
                spool_recovery_corrupt(r, slot, 0, "segment %u is of another spool", g->number);
            g->state = SPOOL_SEGMENT_ASIDE;
            if (rc < 0)
                return rc;
            break;
        }
        g->state = SPOOL_SEGMENT_SEALED;
        s->log[--s->log_head] = slot;
        s->log_cnt++;
        sequence = g->header.previous_sequence;
        if (sequence < top.tail_sequence || sequence == 0)
            break;
        slot = slot_of(s, cnt, sequence);
        if (slot == SPOOL_SLOT_NONE) {
            int rc = missing_find(r, cnt, sequence, &top, &slot);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

/* A message's rows in summaries take this much or more: an envelope, a body, a COMMIT. */
enum { SUMMARY_BYTES_PER_MESSAGE = 256 };

static int log_scan(struct spool_recovery *r)
{
    struct spool *s = r->s;
    uint64_t summary_bytes = 0;
    for (uint32_t i = 0; i < s->log_cnt; i++)
        summary_bytes += spool_log_at(s, i)->header.previous_summary_len;
    spool_index_reserve(s, summary_bytes / SUMMARY_BYTES_PER_MESSAGE);
    for (uint32_t i = 0; i < s->log_cnt; i++) {
        const struct spool_segment *next = i + 1 < s->log_cnt ? spool_log_at(s, i + 1) : NULL;
        spool_ahead_run(r, i);
        int rc = next == NULL ? 0 : spool_summary_recover(r, i, &next->header);
        spool_ahead_end(r, i);
        if (rc < 0)
            return rc;
        if (rc > 0)
            continue;
        uint64_t limit = next != NULL ? next->header.first_lsn : UINT64_MAX;
        rc = spool_recovery_scan(r, spool_log_slot(s, i), limit);
        if (rc < 0)
            return rc;
    }
    int rc = spool_recovery_finish(r);
    if (rc < 0)
        return rc;
    if (r->batch_bytes_max > s->mover.cap) {
        uint8_t *data = aligned_alloc(SPOOL_BLOCK_BYTES, r->batch_bytes_max);
        if (data == NULL)
            return -ENOMEM;
        free(s->mover.data);
        s->mover.data = data;
        s->mover.cap = r->batch_bytes_max;
    }
    return 0;
}

/* Zeroing takes a while: without a ready segment beyond the reserve no mail could be taken, so the
 * first ones are used as they are, a little slower on their first turn. */
static void ready_early(struct spool *s, uint32_t slot)
{
    if (s->segments[slot].state == SPOOL_SEGMENT_ZEROING &&
        s->ready_cnt <= s->config.reserve_segments)
        spool_segment_ready(s, slot);
}

/* What is not in the log becomes free. */
static void ready_fill(struct spool *s, uint32_t cnt)
{
    if (s->log_cnt > 0) {
        uint32_t slot = spool_log_slot(s, s->log_cnt - 1);
        struct spool_segment *g = &s->segments[slot];
        if (g->durable_end == SPOOL_SEGMENT_HEADER_LEN) {
            s->log_cnt--;
            g->state = SPOOL_SEGMENT_READY;
        }
    }
    for (uint32_t i = 0; i < cnt; i++) {
        struct spool_segment *g = &s->segments[i];
        bool usable = g->bytes >= s->config.batch_bytes_max + 2 * SPOOL_BLOCK_BYTES;
        bool is_free = g->state == SPOOL_SEGMENT_READY || g->state == SPOOL_SEGMENT_ZEROING;
        if (is_free && !usable)
            g->state = SPOOL_SEGMENT_ASIDE;
        else if (g->state == SPOOL_SEGMENT_READY)
            spool_segment_ready(s, i);
        g->offset = g->state == SPOOL_SEGMENT_ZEROING ? 0 : g->offset;
    }
    for (uint32_t i = 0; i < cnt; i++)
        ready_early(s, i);
}

/* The first files. More are made while running. */
static int first_create(struct spool *s, uint32_t cnt)
{
    const struct spool_config *c = &s->config;
    uint32_t want =
        c->reserve_segments + 2 < c->segment_max ? c->reserve_segments + 2 : c->segment_max;
    uint32_t number = 1;
    for (uint32_t i = cnt; i < want; i++) {
        for (uint32_t k = 0; k < i; k++)
            if (s->segments[k].number >= number)
                number = s->segments[k].number + 1;
        int rc = c->disk.ops->segment_create(c->disk.state, number, c->segment_bytes);
        if (rc < 0)
            return i < 2 ? rc : 0;
        s->segments[i] = (struct spool_segment){
            .number = number, .bytes = c->segment_bytes, .state = SPOOL_SEGMENT_ZEROING};
        stats_inc(c->stats, STATS_SPOOL_CREATED);
        ready_early(s, i);
    }
    return 0;
}

/*
 * Without any free segment (the power failed while the last one was used to empty the oldest) the
 * newest is written on, after what lies behind its last good batch was zeroed: nothing stale may
 * follow a new batch. When that fails the log waits for a file above segment_max.
 */
static void newest_continue(struct spool_recovery *r)
{
    struct spool *s = r->s;
    if (s->ready_cnt > 0 || s->log_cnt == 0)
        return;
    uint32_t slot = spool_log_slot(s, s->log_cnt - 1);
    struct spool_segment *g = &s->segments[slot];
    for (uint64_t at = g->durable_end; at < g->bytes; at += SPOOL_ZERO_BYTES) {
        uint64_t left = g->bytes - at;
        uint32_t len = left < SPOOL_ZERO_BYTES ? (uint32_t)left : SPOOL_ZERO_BYTES;
        if (io_blocking(r, SPOOL_IO_WRITE, slot, at, s->zeros, len) < 0)
            return;
    }
    g->state = SPOOL_SEGMENT_ACTIVE;
    s->previous_crc = r->last_crc;
}

int spool_recovery_chain(struct spool_recovery *r, uint32_t *segment_cnt)
{
    struct spool *s = r->s;
    const struct spool_disk *d = &s->config.disk;
    int cnt = d->ops->segment_list(d->state, NULL, 0);
    if (cnt < 0)
        return cnt;
    *segment_cnt = (uint32_t)cnt;
    uint32_t max = s->config.segment_max;
    s->segment_cap = ((uint32_t)cnt > max ? (uint32_t)cnt : max) + SPOOL_SEGMENT_EXTRA;
    s->segments = calloc(s->segment_cap, sizeof(*s->segments));
    s->log = calloc((size_t)s->segment_cap, sizeof(*s->log));
    s->ready = calloc(s->segment_cap, sizeof(*s->ready));
    uint32_t *numbers = calloc((size_t)cnt + 1, sizeof(*numbers));
    int rc =
        s->segments == NULL || s->log == NULL || s->ready == NULL || numbers == NULL ? -ENOMEM : 0;
    if (rc == 0 && d->ops->segment_list(d->state, numbers, (uint32_t)cnt) != cnt)
        rc = -EIO;
    r->exact = true;
    if (rc == 0)
        rc = headers_read(r, numbers, (uint32_t)cnt);
    free(numbers);
    if (rc == 0)
        rc = chain_find(r, (uint32_t)cnt);
    r->exact = false;
    return rc;
}

static int recover(struct spool_recovery *r)
{
    struct spool *s = r->s;
    uint32_t cnt;
    int rc = spool_recovery_chain(r, &cnt);
    if (rc == 0)
        rc = log_scan(r);
    if (rc < 0)
        return rc;
    ready_fill(s, cnt);
    s->next_lsn = s->durable_lsn + 1;
    if (!s->uuid_known)
        for (int i = 0; i < 2; i++)
            base_put_le64(s->uuid + 8 * i, base_rand_next(&s->rand));
    rc = first_create(s, cnt);
    if (rc == -ENOSPC && r->err_cap > 0)
        snprintf(r->err, r->err_cap, "no space for the first segments");
    if (rc == 0)
        newest_continue(r);
    return rc;
}

int spool_recover(struct spool *s, char *err, size_t err_cap)
{
    struct spool_recovery r = {.s = s, .err = err, .err_cap = err_cap, .cap = READ_BYTES};
    r.slot = SPOOL_SLOT_NONE;
    r.data = aligned_alloc(SPOOL_BLOCK_BYTES, r.cap);
    if (r.data == NULL)
        return -ENOMEM;
    int rc = recover(&r);
    spool_ahead_fini(&r);
    free(r.data);
    if (rc < 0)
        return rc;
    spool_segments_count(s);
    spool_log_event(s, STATS_LOG_RECOVERED, s->queued_cnt, s->log_cnt, "");
    return 0;
}
