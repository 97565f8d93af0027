#include "spool_internal.h"

#include <errno.h>
#include <stdlib.h>

enum step { STEP_DONE, STEP_NO_ROOM, STEP_NO_SPACE };

void spool_batch_add(struct spool *s, struct spool_batch *b, const struct spool_record *r,
                     struct spool_message *m, struct spool_pending *p, bool moved)
{
    base_assert(spool_batch_fits(b, r->len));
    spool_record_write(b->data + b->used, r);
    b->effects[b->effect_cnt++] = (struct spool_effect){
        .message = m,
        .pending = p,
        .offset = b->used,
        .len = r->len,
        .sequence = r->sequence,
        .type = r->type,
        .part = r->part,
        .moved = moved,
    };
    b->used += spool_record_bytes(r->len);
    m->ref_cnt++;
    if (moved) {
        s->mover.under_way++;
        stats_add(s->config.stats, STATS_SPOOL_MOVED_BYTES, r->len);
    }
}

static void message_fail(struct spool_message *m, int status)
{
    if (m->status == 0)
        m->status = status;
}

/* The envelope is kept until COMMIT, for the courier. */
static int envelope_keep(struct spool_message *m, const uint8_t *p, uint32_t len)
{
    if (len > SPOOL_ENVELOPE_BYTES_MAX - m->envelope_len)
        return -E2BIG;
    if (spool_coming_keep(m->coming, m->envelope_len, p, len) < 0)
        return -ENOMEM;
    m->envelope_len += len;
    return 0;
}

/* Once for each BEGIN and CHUNK: finds or makes the transaction. */
static struct spool_message *piece_start(struct spool *s, const struct spool_entry *e)
{
    struct spool_message *m = spool_message_find(s, &e->id);
    if (e->op == SPOOL_BEGIN) {
        if (m != NULL) {
            if (m->state == SPOOL_MESSAGE_OPEN)
                message_fail(m, -EEXIST);
            return NULL;
        }
        m = spool_message_add(s, &e->id, e->len);
    }
    if (m == NULL || m->state != SPOOL_MESSAGE_OPEN)
        return NULL;
    if (e->op == SPOOL_BEGIN || e->part == SPOOL_PART_ENVELOPE) {
        int rc = envelope_keep(m, e->p, e->len);
        if (rc < 0)
            message_fail(m, rc);
    } else if (e->part != SPOOL_PART_HEADER && e->part != SPOOL_PART_BODY) {
        message_fail(m, -EINVAL);
    }
    return m;
}

static enum step piece_compose(struct spool *s, struct spool_batch *b, struct spool_pending *p)
{
    const struct spool_entry *e = &p->entry;
    struct spool_message *m = p->started ? spool_message_find(s, &e->id) : piece_start(s, e);
    p->started = true;
    if (m != NULL && m->status == 0 && e->len > 0 && (b == NULL || spool_full(s)))
        message_fail(m, b == NULL ? -EIO : -ENOSPC);
    while (m != NULL && m->status == 0 && p->done_bytes < e->len) {
        uint32_t left = e->len - p->done_bytes;
        struct spool_record r = {
            .type = SPOOL_RECORD_PIECE,
            .part = e->op == SPOOL_BEGIN ? (uint8_t)SPOOL_PART_ENVELOPE : e->part,
            .len = left < SPOOL_PIECE_BYTES_MAX ? left : SPOOL_PIECE_BYTES_MAX,
            .sequence = m->extent_cnt,
            .id = e->id,
            .payload = e->p + p->done_bytes,
        };
        if (s->ready_cnt < s->config.reserve_segments)
            return STEP_NO_SPACE;
        if (!spool_batch_fits(b, r.len))
            return STEP_NO_ROOM;
        int rc = spool_message_extents(m, r.sequence);
        if (rc < 0) {
            message_fail(m, rc);
            break;
        }
        struct spool_extent *x = spool_extent_at(m, r.sequence);
        x->len = (uint16_t)r.len;
        x->part = r.part;
        m->content_bytes += r.part == SPOOL_PART_ENVELOPE ? 0 : r.len;
        p->done_bytes += r.len;
        spool_batch_add(s, b, &r, m, p->done_bytes == e->len ? p : NULL, false);
        if (p->done_bytes == e->len) {
            spool_fifo_pop(&s->data);
            return STEP_DONE;
        }
    }
    spool_fifo_pop(&s->data);
    spool_finish(s, p, m == NULL ? -ENOENT : m->status, 0);
    return STEP_DONE;
}

/* Whether records that set space free, or end what is there, may use the segment. */
static bool state_has_space(const struct spool *s)
{
    return s->ready_cnt >= 1 || s->log_cnt <= 1;
}

static void commit_pop(struct spool *s)
{
    spool_fifo_pop(&s->data);
    s->commit_waits--;
}

static enum step commit_compose(struct spool *s, struct spool_batch *b, struct spool_pending *p)
{
    struct spool_message *m = spool_message_find(s, &p->entry.id);
    if (m == NULL || m->state != SPOOL_MESSAGE_OPEN) {
        commit_pop(s);
        spool_finish(s, p, m == NULL ? -ENOENT : -EEXIST, 0);
        return STEP_DONE;
    }
    if (m->status == 0 && b == NULL)
        message_fail(m, -EIO);
    if (m->status == 0) {
        if (!state_has_space(s))
            return STEP_NO_SPACE;
        if (!spool_batch_fits(b, SPOOL_COMMIT_LEN))
            return STEP_NO_ROOM;
        int cnt = spool_envelope_check(base_span_of(m->coming->envelope, m->envelope_len));
        if (cnt < 0) {
            message_fail(m, -EINVAL);
        } else {
            m->recipient_cnt = (uint32_t)cnt;
            m->coming->arrival = spool_arrival_make(m, m->coming->envelope);
            if (m->coming->arrival == NULL)
                message_fail(m, -ENOMEM);
        }
    }
    commit_pop(s);
    if (m->status != 0) {
        stats_inc(s->config.stats, STATS_SPOOL_REFUSED);
        spool_finish(s, p, m->status, 0);
        spool_message_drop(s, m);
        return STEP_DONE;
    }
    uint8_t payload[SPOOL_COMMIT_LEN];
    struct spool_commit c = {.content_bytes = m->content_bytes,
                             .piece_cnt = m->extent_cnt,
                             .recipient_cnt = m->recipient_cnt,
                             .envelope_len = m->envelope_len};
    spool_commit_write(payload, &c);
    struct spool_record r = {
        .type = SPOOL_RECORD_COMMIT, .len = SPOOL_COMMIT_LEN, .id = m->id, .payload = payload};
    spool_batch_add(s, b, &r, m, p, false);
    b->commit_cnt++;
    m->state = SPOOL_MESSAGE_COMMITTING;
    spool_coming_forget(m->coming);
    return STEP_DONE;
}

static enum step data_compose(struct spool *s, struct spool_batch *b, struct spool_pending *p)
{
    struct spool_message *m;
    switch (p->entry.op) {
    case SPOOL_COMMIT:
        return commit_compose(s, b, p);
    case SPOOL_ABORT:
        m = spool_message_find(s, &p->entry.id);
        if (m != NULL && m->state == SPOOL_MESSAGE_OPEN)
            spool_message_drop(s, m);
        spool_fifo_pop(&s->data);
        spool_finish(s, p, 0, 0);
        return STEP_DONE;
    default:
        return piece_compose(s, b, p);
    }
}

static bool outcomes_valid(const struct spool_message *m, const struct spool_entry *e)
{
    struct spool_outcome o;
    if (e->len == 0 || e->len % sizeof(o) != 0)
        return false;
    for (uint32_t at = 0; at < e->len; at += sizeof(o)) {
        memcpy(&o, e->p + at, sizeof(o));
        if (o.recipient >= m->recipient_cnt && o.recipient != SPOOL_OUTCOME_MESSAGE)
            return false;
    }
    return true;
}

static enum step state_compose(struct spool *s, struct spool_batch *b, struct spool_pending *p)
{
    const struct spool_entry *e = &p->entry;
    struct spool_message *m = spool_message_find(s, &e->id);
    int status = m == NULL || m->state != SPOOL_MESSAGE_QUEUED ? -ENOENT : b == NULL ? -EIO : 0;
    if (status != -ENOENT && e->op == SPOOL_OUTCOME && !outcomes_valid(m, e))
        status = -EINVAL;
    /* Memory learns it in any case: what the next hop said is true, durable or not. */
    if ((status == 0 || status == -EIO) && e->op == SPOOL_OUTCOME && p->done_bytes == 0 &&
        spool_message_outcomes(m, e->p, e->len) < 0)
        status = -ENOMEM;
    if (status != 0) {
        spool_fifo_pop(&s->state);
        spool_finish(s, p, status, 0);
        return STEP_DONE;
    }
    const uint32_t max = SPOOL_PIECE_BYTES_MAX / sizeof(struct spool_outcome) *
                         (uint32_t)sizeof(struct spool_outcome);
    uint32_t left = e->op == SPOOL_OUTCOME ? e->len - p->done_bytes : 0;
    struct spool_record r = {
        .type = e->op == SPOOL_OUTCOME ? SPOOL_RECORD_OUTCOME : SPOOL_RECORD_FREE,
        .len = left < max ? left : max,
        .id = e->id,
        .payload = e->p + p->done_bytes,
    };
    if (!state_has_space(s))
        return STEP_NO_SPACE;
    if (!spool_batch_fits(b, r.len))
        return STEP_NO_ROOM;
    p->done_bytes += r.len;
    bool last = r.len == left;
    spool_batch_add(s, b, &r, m, last ? p : NULL, false);
    if (e->op == SPOOL_FREE)
        m->state = SPOOL_MESSAGE_FREEING;
    if (last)
        spool_fifo_pop(&s->state);
    return STEP_DONE;
}

void spool_compose(struct spool *s, struct spool_batch *b)
{
    enum step step = STEP_DONE;
    while (s->state.head != NULL && (step = state_compose(s, b, s->state.head)) == STEP_DONE)
        ;
    if (step == STEP_NO_ROOM && b->effect_cnt == 0 && (s->ready_cnt >= 2 || s->log_cnt <= 1))
        s->need_segment = s->ready_cnt > 0;
    if (s->mover.state == SPOOL_MOVE_SCAN)
        spool_move_compose(s, b);
    else if (spool_salvage_waits(s))
        spool_salvage_compose(s, b);
    step = STEP_DONE;
    while (s->data.head != NULL && b->commit_cnt < b->commit_max &&
           (step = data_compose(s, b, s->data.head)) == STEP_DONE)
        ;
    bool commit = s->data.head != NULL && s->data.head->entry.op == SPOOL_COMMIT;
    if (step == STEP_NO_ROOM && b->effect_cnt == 0 &&
        (s->ready_cnt > s->config.reserve_segments ||
         (commit && (s->ready_cnt >= 2 || s->log_cnt <= 1))))
        s->need_segment = s->ready_cnt > 0;
}

void spool_fail_waiting(struct spool *s)
{
    while (s->state.head != NULL)
        state_compose(s, NULL, s->state.head);
    while (s->data.head != NULL)
        data_compose(s, NULL, s->data.head);
}
