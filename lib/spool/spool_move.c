/*
 * Moving: the oldest segment is read from its start, batch by batch; each record that is still
 * needed is written again at the head. When all of that is durable nothing in the segment is live,
 * and it is freed like any other. Anything that goes wrong starts the scan again: what has been
 * moved already is seen to lie elsewhere.
 */
#include "spool_internal.h"

#include <errno.h>

enum { SALVAGE_AFTER = 3 }; /* scans that failed in a row */

bool spool_move_wanted(const struct spool *s)
{
    bool can_create = s->create_retry_ns == 0 && spool_spare_wanted(s);
    if (s->log_cnt < 2 || s->broken || s->failed || can_create ||
        s->zeroing_slot != SPOOL_SLOT_NONE || s->now_ns < s->mover.retry_ns)
        return false;
    if (s->ready_cnt < 2 || s->damaged_cnt > 0)
        return true;
    return s->ready_cnt <= s->config.reserve_segments && s->live_bytes <= spool_live_limit(s);
}

static void read_next(struct spool *s)
{
    struct spool_mover *v = &s->mover;
    v->state = SPOOL_MOVE_READING;
    v->submitted = false;
    v->at = 0;
    v->batch_end = 0;
    v->batch_next = 0;
    v->len = 0;
}

static void scan_failed(struct spool *s, int error)
{
    struct spool_mover *v = &s->mover;
    v->state = SPOOL_MOVE_DRAIN;
    v->error_cnt++;
    v->retry_ns = s->now_ns + SPOOL_RETRY_MIN_NS * (v->error_cnt < 64 ? v->error_cnt : 64);
    stats_inc(s->config.stats, STATS_SPOOL_MOVE_ERRORS);
    spool_log_event(s, STATS_LOG_SPOOL_ERROR, s->segments[v->slot].number, (uint32_t)-error,
                    "cannot be moved");
    if (v->error_cnt >= SALVAGE_AFTER)
        v->retry_ns = s->now_ns;
}

void spool_move_restart(struct spool *s)
{
    if (s->mover.state == SPOOL_MOVE_SCAN)
        s->mover.state = SPOOL_MOVE_DRAIN;
}

static void read_submit(struct spool *s)
{
    struct spool_mover *v = &s->mover;
    const struct spool_segment *g = &s->segments[v->slot];
    uint64_t left = g->offset - v->offset;
    struct spool_io io = {
        .op = SPOOL_IO_READ,
        .segment = g->number,
        .offset = v->offset,
        .data = v->data,
        .len = left < v->cap ? (uint32_t)left : v->cap,
        .cookie = spool_cookie(SPOOL_IO_MOVE, 0),
    };
    v->len = io.len;
    v->submitted = s->config.disk.ops->submit(s->config.disk.state, &io) == 0;
}

void spool_move_read_done(struct spool *s, int64_t result)
{
    struct spool_mover *v = &s->mover;
    if (v->state == SPOOL_MOVE_SALVAGE) {
        spool_salvage_read_done(s, result);
        return;
    }
    v->submitted = false;
    if (result == (int64_t)v->len)
        v->state = SPOOL_MOVE_SCAN;
    else
        scan_failed(s, result < 0 ? (int)result : -EIO);
}

int spool_batch_check(const uint8_t *data, uint32_t len, uint64_t offset,
                      const struct spool_segment_header *segment, struct spool_batch_header *out)
{
    if (len < SPOOL_BLOCK_BYTES)
        return 0;
    if (spool_batch_header_read(data, out) < 0 || out->sequence != segment->sequence ||
        out->salt != segment->salt || out->len > segment->bytes - offset)
        return -EBADMSG;
    if (out->len > len)
        return 0;
    uint32_t at = SPOOL_BATCH_HEADER_LEN;
    for (uint32_t i = 0; i < out->record_cnt; i++) {
        struct spool_record r;
        if (spool_record_read(data + at, out->used - at, segment->salt, offset + at, &r) < 0)
            return -EBADMSG;
        at += spool_record_bytes(r.len);
    }
    return at == out->used ? 1 : -EBADMSG;
}

/* Finds the next record of the scan. Returns 1, or 0 when the scan waits or is over. */
static int record_next(struct spool *s, struct spool_record *r)
{
    struct spool_mover *v = &s->mover;
    const struct spool_segment *g = &s->segments[v->slot];
    struct spool_batch_header h;

    while (v->at == v->batch_end) {
        if (v->offset + v->batch_next >= g->offset) {
            v->state = SPOOL_MOVE_DRAIN;
            v->error_cnt = 0;
            v->retry_ns = 0;
            return 0;
        }
        int rc = spool_batch_check(v->data + v->batch_next, v->len - v->batch_next,
                                   v->offset + v->batch_next, &g->header, &h);
        if (rc == 0 && v->batch_next == 0)
            rc = -EMSGSIZE; /* the buffer holds the largest batch that recovery saw */
        if (rc < 0) {
            scan_failed(s, rc);
            return 0;
        }
        if (rc == 0) {
            v->offset += v->batch_next;
            read_next(s);
            return 0;
        }
        v->at = v->batch_next + SPOOL_BATCH_HEADER_LEN;
        v->batch_end = v->batch_next + h.used;
        v->batch_next += h.len;
    }
    int rc = spool_record_read(v->data + v->at, v->batch_end - v->at, g->header.salt,
                               v->offset + v->at, r);
    base_assert(rc == 0); /* checked with its batch */
    return 1;
}

/* The record at place is what the index means; nothing newer replaces it. */
static bool record_live(const struct spool_message *m, const struct spool_record *r, uint64_t place)
{
    if (m == NULL || m->state == SPOOL_MESSAGE_FREEING)
        return false;
    switch ((enum spool_record_type)r->type) {
    case SPOOL_RECORD_PIECE:
        return r->sequence < m->extent_cnt &&
               spool_extent_place(spool_extent_of(m, r->sequence)) == place;
    case SPOOL_RECORD_COMMIT:
        return m->commit_place == place;
    case SPOOL_RECORD_OUTCOME:
    case SPOOL_RECORD_STATE:
        return m->state_slot == spool_place_slot(place) && !m->state_moving;
    case SPOOL_RECORD_FREE:
        break;
    }
    return false;
}

/* All outcomes of the message, in one record or, for very many, in several; only the last is
 * a STATE, so that the old ones are needed until it is durable. False: no room. */
bool spool_move_state(struct spool *s, struct spool_batch *b, struct spool_message *m)
{
    struct spool_mover *v = &s->mover;
    const uint32_t max = SPOOL_PIECE_BYTES_MAX / sizeof(struct spool_outcome);
    const uint32_t rows = spool_message_rows(m);
    while (v->outcome_at < rows) {
        uint32_t cnt = rows - v->outcome_at;
        if (cnt > max)
            cnt = max;
        struct spool_record r = {
            .type = v->outcome_at + cnt < rows ? SPOOL_RECORD_OUTCOME : SPOOL_RECORD_STATE,
            .len = cnt * (uint32_t)sizeof(struct spool_outcome),
            .id = m->id,
            .payload = (const uint8_t *)(m->outcomes + v->outcome_at),
        };
        if (!spool_batch_fits(b, r.len))
            return false;
        spool_batch_add(s, b, &r, m, NULL, true);
        v->outcome_at += cnt;
    }
    m->state_moving = true;
    v->outcome_at = 0;
    return true;
}

void spool_move_compose(struct spool *s, struct spool_batch *b)
{
    struct spool_mover *v = &s->mover;
    /* Half of the batch is for the clients while they wait. */
    uint32_t room = b->room;
    uint32_t least = SPOOL_BATCH_HEADER_LEN + spool_record_bytes(SPOOL_PIECE_BYTES_MAX);
    if (s->data.head != NULL && s->ready_cnt >= s->config.reserve_segments && b->room / 2 >= least)
        b->room = b->room / 2;
    uint32_t step_cnt = 0;
    while (v->state == SPOOL_MOVE_SCAN && step_cnt++ < 4096) {
        struct spool_record r;
        if (record_next(s, &r) == 0)
            break;
        uint64_t place = spool_place(v->slot, v->offset + v->at);
        struct spool_message *m = spool_message_find(s, &r.id);
        if (record_live(m, &r, place)) {
            bool fits;
            if (r.type == SPOOL_RECORD_OUTCOME || r.type == SPOOL_RECORD_STATE) {
                fits = spool_move_state(s, b, m);
            } else {
                fits = spool_batch_fits(b, r.len);
                if (fits)
                    spool_batch_add(s, b, &r, m, NULL, true);
            }
            if (!fits) {
                if (b->effect_cnt == 0 && room < s->config.batch_bytes_max && s->ready_cnt > 0)
                    s->need_segment = true;
                break;
            }
        } else {
            v->outcome_at = 0; /* its message is gone, if one was half written */
        }
        v->at += spool_record_bytes(r.len);
    }
    b->room = room;
}

void spool_move_run(struct spool *s)
{
    struct spool_mover *v = &s->mover;
    if (v->state == SPOOL_MOVE_DRAIN && v->under_way == 0)
        v->state = SPOOL_MOVE_IDLE;
    if (v->state == SPOOL_MOVE_SCAN && s->segments[v->slot].live_bytes == 0 &&
        s->segments[v->slot].state_refs == 0)
        v->state = SPOOL_MOVE_DRAIN;
    if (v->state == SPOOL_MOVE_IDLE && spool_move_wanted(s)) {
        v->slot = spool_log_slot(s, 0);
        v->offset = SPOOL_SEGMENT_HEADER_LEN;
        v->outcome_at = 0;
        if (v->error_cnt >= SALVAGE_AFTER)
            spool_salvage_begin(s);
        else
            read_next(s);
    }
    if (v->state == SPOOL_MOVE_SALVAGE)
        spool_salvage_run(s);
    if (v->state == SPOOL_MOVE_READING && !v->submitted)
        read_submit(s);
}
