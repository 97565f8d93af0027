/*
 * Salvage: the oldest segment has to be emptied and its batches can't be read. So the index is
 * walked, and each thing that still lies in the segment is written again on its own: outcomes and
 * commits from memory, pieces that can be read from the disk. A message with a piece that can't is
 * damaged: told, and what is left of it stays until it is freed. The segment then goes aside, for
 * the operator.
 *
 * One thing at a time, as fast as commits go: this is rare, and the way to make it sure is to make
 * it simple.
 */
#include "spool_internal.h"

#include <errno.h>
#include <stdio.h>

enum { TRY_CNT = 3 };

void spool_salvage_begin(struct spool *s)
{
    struct spool_mover *v = &s->mover;
    v->state = SPOOL_MOVE_SALVAGE;
    v->job = SPOOL_SALVAGE_NONE;
    v->job_message = NULL;
    v->bucket = 0;
    v->submitted = false;
    spool_segment_damaged(s, v->slot);
    spool_log_event(s, STATS_LOG_SPOOL_ERROR, s->segments[v->slot].number, EBADMSG,
                    "is damaged: what can be read of it is saved");
}

/* What of the message lies in the segment: fills in the job. */
static bool job_of(struct spool *s, struct spool_message *m)
{
    struct spool_mover *v = &s->mover;
    v->job_message = m;
    v->try_cnt = 0;
    if (m->state == SPOOL_MESSAGE_COMMITTING || m->state == SPOOL_MESSAGE_FREEING)
        return false; /* in a moment it is something else, or gone */
    if (m->state_slot == v->slot && !m->state_moving) {
        v->job = SPOOL_SALVAGE_STATE;
        return true;
    }
    if (m->commit_place != 0 && spool_place_slot(m->commit_place) == v->slot) {
        v->job = SPOOL_SALVAGE_COMMIT;
        return true;
    }
    for (uint32_t i = 0; i < m->extent_cnt; i++)
        if (spool_extent_of(m, i)->offset_8 != 0 && spool_extent_of(m, i)->slot == v->slot) {
            v->job = SPOOL_SALVAGE_PIECE;
            v->job_extent = i;
            return true;
        }
    return false;
}

static void job_find(struct spool *s)
{
    struct spool_mover *v = &s->mover;
    for (uint32_t step = 0; step < 4096; step++) {
        if (v->bucket > s->table_mask) {
            v->bucket = 0;
            return; /* what is left was in between: once more */
        }
        for (struct spool_message *m = s->table[v->bucket]; m != NULL; m = m->hash_next)
            if (job_of(s, m)) {
                m->ref_cnt++;
                return;
            }
        v->bucket++;
    }
}

static void job_end(struct spool *s)
{
    struct spool_mover *v = &s->mover;
    v->job = SPOOL_SALVAGE_NONE;
    spool_message_unref(s, v->job_message);
    v->job_message = NULL;
}

static void read_submit(struct spool *s)
{
    struct spool_mover *v = &s->mover;
    const struct spool_extent *e = spool_extent_of(v->job_message, v->job_extent);
    uint64_t offset = spool_place_offset(spool_extent_place(e));
    uint64_t start = offset & ~(uint64_t)(SPOOL_BLOCK_BYTES - 1);
    uint64_t end = (offset + spool_record_bytes(e->len) + SPOOL_BLOCK_BYTES - 1) &
                   ~(uint64_t)(SPOOL_BLOCK_BYTES - 1);
    struct spool_io io = {
        .op = SPOOL_IO_READ,
        .segment = s->segments[v->slot].number,
        .offset = start,
        .data = v->data,
        .len = (uint32_t)(end - start),
        .cookie = spool_cookie(SPOOL_IO_MOVE, 0),
    };
    base_assert(io.len <= v->cap);
    v->len = io.len;
    v->offset = start;
    v->submitted = s->config.disk.ops->submit(s->config.disk.state, &io) == 0;
}

/* The piece can't be read: the message is without it from now on. */
static void piece_lost(struct spool *s, struct spool_message *m, uint32_t index)
{
    char text[STATS_LOG_TEXT_CAP], id[SPOOL_ID_TEXT_LEN + 1];
    spool_message_unplace(s, m, index);
    spool_id_format(id, &m->id);
    snprintf(text, sizeof(text), "message %s lost %u bytes", id,
             (uint32_t)spool_extent_of(m, index)->len);
    spool_log_event(s, STATS_LOG_SPOOL_ERROR, s->segments[s->mover.slot].number, EBADMSG, text);
    if (m->status != 0)
        return;
    m->status = m->state == SPOOL_MESSAGE_OPEN ? -EIO : -EBADMSG;
    if (m->state != SPOOL_MESSAGE_QUEUED)
        return;
    spool_damage_tell(s, m);
}

void spool_salvage_read_done(struct spool *s, int64_t result)
{
    struct spool_mover *v = &s->mover;
    struct spool_message *m = v->job_message;
    struct spool_record r;
    v->submitted = false;
    const struct spool_extent *e = spool_extent_of(m, v->job_extent);
    if (m->state == SPOOL_MESSAGE_GONE || e->slot != v->slot) {
        job_end(s);
        return;
    }
    uint64_t offset = spool_place_offset(spool_extent_place(e));
    if (result == (int64_t)v->len &&
        spool_record_read(v->data + (offset - v->offset), spool_record_bytes(e->len),
                          s->segments[v->slot].header.salt, offset, &r) == 0 &&
        r.type == SPOOL_RECORD_PIECE && r.len == e->len && r.sequence == v->job_extent &&
        spool_id_eq(&r.id, &m->id)) {
        v->job = SPOOL_SALVAGE_READ;
        return;
    }
    if (++v->try_cnt < TRY_CNT)
        return;
    if (s->done_cnt + SPOOL_TELL_EXTRA < SPOOL_DONE_CAP)
        piece_lost(s, m, v->job_extent);
    job_end(s);
}

bool spool_salvage_waits(const struct spool *s)
{
    const struct spool_mover *v = &s->mover;
    return v->state == SPOOL_MOVE_SALVAGE &&
           (v->job == SPOOL_SALVAGE_STATE || v->job == SPOOL_SALVAGE_COMMIT ||
            v->job == SPOOL_SALVAGE_READ);
}

/* Composes what was found. False: no room in the batch. */
static bool job_compose(struct spool *s, struct spool_batch *b)
{
    struct spool_mover *v = &s->mover;
    struct spool_message *m = v->job_message;
    uint8_t payload[SPOOL_COMMIT_LEN];
    struct spool_record r = {.id = m->id};
    if (v->job == SPOOL_SALVAGE_STATE)
        return spool_move_state(s, b, m);
    if (v->job == SPOOL_SALVAGE_COMMIT) {
        struct spool_commit c = {.content_bytes = m->content_bytes,
                                 .piece_cnt = m->extent_cnt,
                                 .recipient_cnt = m->recipient_cnt,
                                 .envelope_len = m->envelope_len};
        spool_commit_write(payload, &c);
        r.type = SPOOL_RECORD_COMMIT;
        r.len = SPOOL_COMMIT_LEN;
        r.payload = payload;
    } else {
        const struct spool_extent *e = spool_extent_of(m, v->job_extent);
        uint64_t at =
            spool_place_offset(spool_extent_place(e)) - v->offset + SPOOL_RECORD_HEADER_LEN;
        r.type = SPOOL_RECORD_PIECE;
        r.part = e->part;
        r.len = e->len;
        r.sequence = v->job_extent;
        r.payload = v->data + at;
    }
    if (!spool_batch_fits(b, r.len))
        return false;
    spool_batch_add(s, b, &r, m, NULL, true);
    return true;
}

void spool_salvage_compose(struct spool *s, struct spool_batch *b)
{
    const struct spool_message *m = s->mover.job_message;
    bool over = m->state == SPOOL_MESSAGE_GONE || m->state == SPOOL_MESSAGE_FREEING;
    if (over || job_compose(s, b))
        job_end(s);
    else if (b->effect_cnt == 0 && b->room < s->config.batch_bytes_max && s->ready_cnt > 0)
        s->need_segment = true;
}

void spool_salvage_run(struct spool *s)
{
    struct spool_mover *v = &s->mover;
    const struct spool_segment *g = &s->segments[v->slot];
    if (v->under_way > 0 || v->submitted)
        return;
    if (v->job == SPOOL_SALVAGE_NONE) {
        if (g->live_bytes == 0 && g->state_refs == 0) {
            v->state = SPOOL_MOVE_DRAIN;
            v->error_cnt = 0;
            v->retry_ns = 0;
            return;
        }
        job_find(s);
    }
    if (v->job == SPOOL_SALVAGE_PIECE) {
        const struct spool_message *m = v->job_message;
        if (m->state == SPOOL_MESSAGE_GONE || m->state == SPOOL_MESSAGE_FREEING)
            job_end(s);
        else
            read_submit(s);
    }
}
