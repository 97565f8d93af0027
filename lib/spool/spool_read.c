/*
 * Reading: one record after the other, each whole and with its checksum, so that no byte that is
 * not as it was written leaves the spool.
 */
#include "spool_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { TRY_CNT = 3 };

static bool extent_wanted(const struct spool_reader *r, const struct spool_extent *e, int pass)
{
    if (r->pending == NULL)
        return e->part == SPOOL_PART_ENVELOPE;
    return e->part == (pass == 0 ? SPOOL_PART_HEADER : SPOOL_PART_BODY);
}

/* The extent that holds the wanted offset, and where in it. False: the end. */
static bool extent_find(const struct spool_reader *r, uint32_t *index, uint64_t *within)
{
    const struct spool_message *m = r->message;
    uint64_t at = r->offset;
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < m->extent_cnt; i++) {
            const struct spool_extent *e = spool_extent_of(m, i);
            if (!extent_wanted(r, e, pass))
                continue;
            if (at < e->len) {
                *index = i;
                *within = at;
                return true;
            }
            at -= e->len;
        }
    return false;
}

void spool_damage_tell(struct spool *s, const struct spool_message *m)
{
    struct spool_done *d = spool_done_add(s);
    d->id = m->id;
    d->op = SPOOL_DAMAGED;
    d->to = SPOOL_TO_COURIER;
    d->status = -EBADMSG;
    stats_inc(s->config.stats, STATS_SPOOL_DAMAGED);
}

static void arrival_tell(struct spool *s, const struct spool_message *m, struct spool_arrival *a)
{
    struct spool_done *d = spool_done_add(s);
    d->id = m->id;
    d->op = SPOOL_ARRIVED;
    d->to = SPOOL_TO_COURIER;
    d->arrival = a;
    if (m->status == -EBADMSG)
        spool_damage_tell(s, m);
}

static void envelope_tell(struct spool *s, const struct spool_message *m, int status,
                          const char *what)
{
    char text[STATS_LOG_TEXT_CAP], id[SPOOL_ID_TEXT_LEN + 1];
    spool_id_format(id, &m->id);
    snprintf(text, sizeof(text), "message %s: its envelope %s", id, what);
    spool_log_event(s, STATS_LOG_SPOOL_ERROR, 0, (uint32_t)-status, text);
}

/*
 * A message whose envelope is lost has nobody that could be told, and nowhere to go. It ends, and
 * all segments that hold something of it go into quarantine as they are, for the operator: so its
 * bytes are not gone. False: there is no room for that now.
 */
static bool envelope_give_up(struct spool *s, const struct spool_message *m)
{
    struct spool_entry e = {.id = m->id, .op = SPOOL_FREE, .from = SPOOL_TO_NOBODY};
    if (spool_push(s, &e) != 0)
        return false;
    for (uint32_t i = 0; i < m->extent_cnt; i++)
        if (spool_extent_of(m, i)->offset_8 != 0)
            spool_segment_damaged(s, spool_extent_of(m, i)->slot);
    spool_segment_damaged(s, spool_place_slot(m->commit_place));
    stats_inc(s->config.stats, STATS_SPOOL_ENVELOPES_LOST);
    envelope_tell(s, m, -EBADMSG, "is damaged: not delivered, what is left goes to quarantine/");
    return true;
}

static void reader_end(struct spool *s, struct spool_reader *r, int status)
{
    struct spool_message *m = r->message;
    if (r->pending != NULL) {
        if (status == 0)
            r->pending->entry.buf->len = r->filled;
        spool_finish(s, r->pending, status, status == 0 ? r->filled : 0);
    } else if (status == 0 && m->state == SPOOL_MESSAGE_QUEUED) {
        arrival_tell(s, m, r->arrival);
        r->arrival = NULL;
    } else if (status == -EBADMSG && m->state == SPOOL_MESSAGE_QUEUED) {
        r->waits = !envelope_give_up(s, m);
        if (r->waits)
            return;
    } else if (m->state == SPOOL_MESSAGE_QUEUED) {
        stats_inc(s->config.stats, STATS_SPOOL_ENVELOPES_UNREAD);
        envelope_tell(s, m, status, "cannot be read: it stays for the next start");
    }
    spool_arrival_free(r->arrival);
    r->arrival = NULL;
    r->message = NULL;
    s->reader_cnt--;
    spool_message_unref(s, m);
}

/* Checks the record at p and takes what is wanted of it. Returns 0 or -EBADMSG. */
static int record_take(struct spool *s, struct spool_reader *r, const uint8_t *p)
{
    const struct spool_segment *g = &s->segments[spool_place_slot(r->place)];
    uint64_t offset = spool_place_offset(r->place);
    const struct spool_extent *e = spool_extent_of(r->message, r->extent);
    struct spool_record rec;
    uint32_t index;
    uint64_t within;

    if (spool_record_read(p, spool_record_bytes(e->len), g->header.salt, offset, &rec) < 0 ||
        rec.type != SPOOL_RECORD_PIECE || rec.len != e->len || rec.part != e->part ||
        rec.sequence != r->extent || !spool_id_eq(&rec.id, &r->message->id))
        return -EBADMSG;
    if (!extent_find(r, &index, &within))
        return -EBADMSG;
    base_assert(index == r->extent);
    uint32_t n = rec.len - (uint32_t)within;
    if (n > r->wanted - r->filled)
        n = r->wanted - r->filled;
    memcpy(r->dest + r->filled, rec.payload + within, n);
    r->filled += n;
    r->offset += n;
    return 0;
}

/* The record that comes next is still in memory, and was taken. */
static bool memory_take(struct spool *s, struct spool_reader *r)
{
    const uint8_t *p = spool_recent_find(
        s, r->place, spool_record_bytes(spool_extent_of(r->message, r->extent)->len));
    if (p == NULL)
        return false;
    if (record_take(s, r, p) < 0) { /* memory that rots: the disk has it, too */
        stats_inc(s->config.stats, STATS_SPOOL_READ_BAD);
        return false;
    }
    stats_inc(s->config.stats, STATS_SPOOL_READS_MEMORY);
    return true;
}

static void record_submit(struct spool *s, struct spool_reader *r)
{
    uint32_t len = spool_extent_of(r->message, r->extent)->len;
    uint64_t offset = spool_place_offset(r->place);
    uint64_t start = offset & ~(uint64_t)(SPOOL_BLOCK_BYTES - 1);
    uint64_t end = (offset + spool_record_bytes(len) + SPOOL_BLOCK_BYTES - 1) &
                   ~(uint64_t)(SPOOL_BLOCK_BYTES - 1);
    r->slot = spool_place_slot(r->place);
    struct spool_io io = {
        .op = SPOOL_IO_READ,
        .segment = s->segments[r->slot].number,
        .offset = start,
        .data = r->scratch,
        .len = (uint32_t)(end - start),
        .cookie = spool_cookie(SPOOL_IO_READER, (uint32_t)(r - s->readers)),
        .buffer = (uint16_t)(2 + (uint32_t)(r - s->readers)),
    };
    base_assert(io.len <= SPOOL_READ_SCRATCH_BYTES);
    r->waits = s->config.disk.ops->submit(s->config.disk.state, &io) < 0;
    if (r->waits)
        return;
    s->segments[r->slot].read_refs++;
    r->under_way = true;
    stats_inc(s->config.stats, STATS_SPOOL_READS);
}

/* Takes what is in memory, asks for the record that comes next, or ends. */
static void reader_step(struct spool *s, struct spool_reader *r)
{
    uint64_t within;
    do {
        if (r->message->state == SPOOL_MESSAGE_GONE) {
            reader_end(s, r, -ENOENT);
            return;
        }
        if (r->filled == r->wanted || !extent_find(r, &r->extent, &within)) {
            reader_end(s, r, 0);
            return;
        }
        r->place = spool_extent_place(spool_extent_of(r->message, r->extent));
        if (r->place == 0) {
            reader_end(s, r, -EBADMSG); /* lost: see spool_salvage.c */
            return;
        }
    } while (memory_take(s, r));
    record_submit(s, r);
}

void spool_reader_done(struct spool *s, uint32_t index, int64_t result)
{
    struct spool_reader *r = &s->readers[index];
    int status = 0;
    s->segments[r->slot].read_refs--;
    r->under_way = false;
    if (r->message->state == SPOOL_MESSAGE_GONE) {
        reader_end(s, r, -ENOENT);
        return;
    }
    const struct spool_extent *e = spool_extent_of(r->message, r->extent);
    uint64_t end = spool_place_offset(r->place) % SPOOL_BLOCK_BYTES + spool_record_bytes(e->len);
    if (result < (int64_t)end)
        status = -EIO;
    else
        status = record_take(s, r, r->scratch + spool_place_offset(r->place) % SPOOL_BLOCK_BYTES);
    if (status == 0) {
        r->try_cnt = 0;
        reader_step(s, r);
        return;
    }
    stats_inc(s->config.stats, status == -EIO ? STATS_SPOOL_READ_ERRORS : STATS_SPOOL_READ_BAD);
    /* What was flipped on its way is right the next time; what is wrong on disk stays wrong. */
    if (++r->try_cnt < TRY_CNT) {
        reader_step(s, r);
        return;
    }
    if (status == -EBADMSG && r->message->status == 0) {
        r->message->status = status;
        spool_damage_tell(s, r->message);
        spool_segment_damaged(s, r->slot);
    }
    reader_end(s, r, status);
}

static struct spool_reader *reader_idle(struct spool *s)
{
    for (uint32_t i = 0; i < SPOOL_READER_CNT; i++)
        if (s->readers[i].message == NULL)
            return &s->readers[i];
    return NULL;
}

static void reader_start(struct spool *s, struct spool_reader *r, struct spool_message *m,
                         struct spool_pending *p)
{
    r->message = m;
    r->pending = p;
    r->filled = 0;
    r->try_cnt = 0;
    r->offset = 0;
    m->ref_cnt++;
    s->reader_cnt++;
    if (p != NULL) {
        r->offset = p->entry.offset;
        r->wanted = p->entry.len;
        r->dest = p->entry.buf->data;
    } else {
        r->wanted = m->envelope_len;
        r->dest = r->arrival->envelope;
    }
    reader_step(s, r);
}

/* The next recovered message: told at once when its envelope is at hand, else after reading it.
 * False when memory is short. */
static bool recovered_next(struct spool *s)
{
    struct spool_message *m = s->recovered;
    struct spool_message *next = m->coming->next;
    if (m->state != SPOOL_MESSAGE_GONE) {
        struct spool_arrival *a = spool_arrival_make(m, m->coming->envelope);
        if (a == NULL)
            return false;
        if (m->coming->envelope != NULL) {
            arrival_tell(s, m, a);
        } else {
            struct spool_reader *r = reader_idle(s);
            r->arrival = a;
            reader_start(s, r, m, NULL);
        }
    }
    s->recovered = next;
    spool_message_settled(m);
    spool_message_unref(s, m); /* the list's */
    return true;
}

/* Ids of the time 0 are no mail's, and come first in the order of ids: all of them are told before
 * any other. */
static bool goes_first(const struct spool_message *m)
{
    static const uint8_t zero[8];
    return memcmp(m->id.b, zero, sizeof(zero)) == 0;
}

static bool first_is_read(const struct spool *s)
{
    for (uint32_t i = 0; i < SPOOL_READER_CNT && s->reader_cnt > 0; i++)
        if (s->readers[i].message != NULL && s->readers[i].pending == NULL &&
            goes_first(s->readers[i].message))
            return true;
    return false;
}

/* Recovered messages are told only as fast as they are taken. */
static void recovered_run(struct spool *s)
{
    while (s->recovered != NULL && s->reader_cnt < SPOOL_READER_CNT / 2 &&
           s->done_cnt < SPOOL_TELL_MAX && (goes_first(s->recovered) || !first_is_read(s)))
        if (!recovered_next(s))
            return;
}

void spool_readers_run(struct spool *s)
{
    for (uint32_t i = 0; i < SPOOL_READER_CNT && s->reader_cnt > 0; i++)
        if (s->readers[i].message != NULL && s->readers[i].waits)
            reader_step(s, &s->readers[i]);
    recovered_run(s);
    while (s->reads.head != NULL && s->reader_cnt < SPOOL_READER_CNT) {
        struct spool_pending *p = spool_fifo_pop(&s->reads);
        struct spool_message *m = spool_message_find(s, &p->entry.id);
        if (m == NULL || m->state < SPOOL_MESSAGE_QUEUED)
            spool_finish(s, p, -ENOENT, 0);
        else if (m->lacks_parts)
            spool_finish(s, p, -EBADMSG, 0);
        else
            reader_start(s, reader_idle(s), m, p);
    }
}
