#include "spool_internal.h"

#include "base_crc32c.h"

#include <errno.h>

static void batch_submit(struct spool *s, struct spool_batch *b)
{
    struct spool_io io = {
        .op = SPOOL_IO_WRITE,
        .segment = s->segments[b->slot].number,
        .offset = b->offset,
        .data = b->data,
        .len = b->len,
        .cookie = spool_cookie(SPOOL_IO_BATCH, (uint32_t)(b - s->batches)),
        .buffer = 1,
    };
    if (s->config.disk.ops->submit(s->config.disk.state, &io) < 0)
        return;
    b->state = SPOOL_BATCH_WRITING;
    b->submit_ns = s->now_ns;
    s->batch_under_way++;
}

/* The oldest ones that are durable and were not yet taken out. */
static uint32_t durable_cnt(struct spool *s)
{
    uint32_t cnt = 0;
    while (cnt < s->batch_cnt && spool_batch_at(s, cnt)->state == SPOOL_BATCH_OK)
        cnt++;
    return cnt;
}

void spool_batch_place(struct spool *s, struct spool_batch *b)
{
    struct spool_segment *g = spool_active(s);
    b->len = spool_blocks(b->used);
    base_assert(g != NULL && b->len <= g->bytes - g->offset);
    memset(b->data + b->used, 0, b->len - b->used);
    b->slot = spool_log_slot(s, s->log_cnt - 1);
    b->offset = g->offset;
    b->lsn = s->next_lsn++;
    b->state = SPOOL_BATCH_FILLED;
    g->offset += b->len;
    for (uint32_t i = 0; i < b->effect_cnt; i++)
        spool_record_seal(b->data + b->effects[i].offset, g->header.salt,
                          b->offset + b->effects[i].offset);
    base_stream_fence(); /* the records' bytes are all there for the disk */
    struct spool_batch_header h = {
        .len = b->len,
        .sequence = g->header.sequence,
        .salt = g->header.salt,
        .lsn = b->lsn,
        .committed_lsn = s->durable_lsn + durable_cnt(s),
        .record_cnt = b->effect_cnt,
        .used = b->used,
        .previous_crc = s->previous_crc,
    };
    spool_batch_header_write(b->data, &h);
    s->previous_crc = h.crc;
    batch_submit(s, b);
}

void spool_batch_done(struct spool *s, uint32_t index, int64_t result)
{
    struct spool_batch *b = &s->batches[index];
    base_assert(b->state == SPOOL_BATCH_WRITING);
    s->batch_under_way--;
    b->state = result == (int64_t)b->len ? SPOOL_BATCH_OK : SPOOL_BATCH_BAD;
    if (b->state == SPOOL_BATCH_OK)
        return;
    s->failed = true;
    stats_inc(s->config.stats, STATS_SPOOL_WRITE_ERRORS);
    spool_log_event(s, STATS_LOG_SPOOL_ERROR, s->segments[b->slot].number,
                    (uint32_t)(result < 0 ? -result : EIO), "batch not written");
}

/* The transaction is whole and on stable storage: from now on the message exists. */
static void message_arrived(struct spool *s, struct spool_message *m)
{
    m->state = SPOOL_MESSAGE_QUEUED;
    s->open_cnt--;
    s->queued_cnt++;
    stats_inc(s->config.stats, STATS_SPOOL_COMMITTED);
    struct spool_done *d = spool_done_add(s);
    d->id = m->id;
    d->op = SPOOL_ARRIVED;
    d->to = SPOOL_TO_COURIER;
    d->arrival = m->coming->arrival;
    m->coming->arrival = NULL;
    spool_message_settled(m);
}

static void effect_durable(struct spool *s, const struct spool_batch *b,
                           const struct spool_effect *e)
{
    struct spool_message *m = e->message;
    uint64_t place = spool_place(b->slot, b->offset + e->offset);
    bool commits = false;

    if (m->state == SPOOL_MESSAGE_GONE)
        return;
    switch ((enum spool_record_type)e->type) {
    case SPOOL_RECORD_PIECE:
        spool_message_place(s, m, e->sequence, place);
        break;
    case SPOOL_RECORD_COMMIT:
        spool_message_place_commit(s, m, place);
        commits = !e->moved;
        break;
    case SPOOL_RECORD_OUTCOME:
        spool_message_state_at(s, m, b->slot, false);
        break;
    case SPOOL_RECORD_STATE:
        spool_message_state_at(s, m, b->slot, true);
        m->state_moving = false;
        break;
    case SPOOL_RECORD_FREE:
        spool_message_drop(s, m);
        stats_inc(s->config.stats, STATS_SPOOL_FREED);
        break;
    }
    if (e->pending != NULL)
        spool_finish(s, e->pending, 0, 0);
    if (commits)
        message_arrived(s, m);
}

static void effect_failed(struct spool *s, const struct spool_effect *e, int status)
{
    struct spool_message *m = e->message;
    if (m->state == SPOOL_MESSAGE_GONE)
        return;
    if (e->type == SPOOL_RECORD_STATE)
        m->state_moving = false;
    if (e->moved)
        return;
    if (m->status == 0 && m->state < SPOOL_MESSAGE_QUEUED)
        m->status = status;
    if (e->type == SPOOL_RECORD_COMMIT)
        spool_message_drop(s, m);
    else if (e->type == SPOOL_RECORD_FREE)
        m->state = SPOOL_MESSAGE_QUEUED;
}

/* Ends the oldest batch, with all that it carried. */
static void batch_end(struct spool *s, int status)
{
    struct spool_batch *b = spool_batch_at(s, 0);
    for (uint32_t i = 0; i < b->effect_cnt; i++) {
        struct spool_effect *e = &b->effects[i];
        struct spool_pending *p = e->pending;
        bool gone = e->message->state == SPOOL_MESSAGE_GONE;
        if (status == 0)
            effect_durable(s, b, e);
        else
            effect_failed(s, e, status);
        if (p != NULL && (gone || status != 0))
            spool_finish(s, p, status, 0);
        if (e->moved)
            s->mover.under_way--;
        spool_message_unref(s, e->message);
    }
    s->batch_head = (s->batch_head + 1) % s->batch_cap;
    s->batch_cnt--;
}

/* Of the records that came from outside. */
static uint64_t taken_bytes(const struct spool_batch *b)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < b->effect_cnt; i++)
        bytes += b->effects[i].moved ? 0 : spool_record_bytes(b->effects[i].len);
    return bytes;
}

/* Gives up the batch that is being composed; those before it ended. */
static void open_fail(struct spool *s)
{
    base_assert(s->batch_cnt == 0);
    if (!s->batch_open)
        return;
    s->batch_open = false;
    s->batch_cnt = 1;
    batch_end(s, -EIO);
    spool_move_restart(s);
}

static void durable_pop(struct spool *s)
{
    while (s->batch_cnt > 0 && spool_batch_at(s, 0)->state == SPOOL_BATCH_OK) {
        struct spool_batch *b = spool_batch_at(s, 0);
        base_assert(b->lsn == s->durable_lsn + 1);
        s->durable_lsn = b->lsn;
        s->segments[b->slot].durable_end = b->offset + b->len;
        s->failure_cnt = 0;
        s->probe_backoff_ns = 0;
        stats_inc(s->config.stats, STATS_SPOOL_BATCHES);
        stats_record(s->config.stats, STATS_HISTOGRAM_SPOOL_SYNC, s->now_ns - b->submit_ns);
        stats_record(s->config.stats, STATS_HISTOGRAM_SPOOL_BATCH_RECORDS, b->effect_cnt);
        stats_add(s->config.stats, STATS_SPOOL_BATCH_BYTES, b->len);
        stats_add(s->config.stats, STATS_SPOOL_RECORDS, b->effect_cnt);
        stats_add(s->config.stats, STATS_SPOOL_WRITTEN_BYTES, b->len);
        stats_add(s->config.stats, STATS_SPOOL_TAKEN_BYTES, taken_bytes(b));
        spool_summary_add(s, b);
        spool_recent_add(s, b);
        batch_end(s, 0);
    }
}

/* Writes fail until a header could be written: tried now and then. */
static void set_broken(struct spool *s)
{
    open_fail(s);
    s->broken = true;
    s->need_segment = false;
    s->probe_backoff_ns = s->probe_backoff_ns == 0 ? SPOOL_RETRY_MIN_NS : s->probe_backoff_ns * 2;
    if (s->probe_backoff_ns > SPOOL_RETRY_MAX_NS)
        s->probe_backoff_ns = SPOOL_RETRY_MAX_NS;
    s->probe_ns = s->now_ns + s->probe_backoff_ns;
}

/* All batches from the oldest on are given up: a later one may depend on an earlier one. */
static void batches_fail(struct spool *s)
{
    while (s->batch_cnt > 0) {
        stats_inc(s->config.stats, STATS_SPOOL_BATCHES_FAILED);
        batch_end(s, -EIO);
    }
    open_fail(s);
    s->next_lsn = s->durable_lsn + 1;
    s->failed = false;
    s->rewriting = false;
    spool_move_restart(s);
    spool_segment_seal(s);
}

void spool_header_failed(struct spool *s)
{
    s->failure_cnt++;
    if (s->batch_cnt > 0)
        batches_fail(s);
    if (s->failure_cnt >= 2 || s->broken)
        set_broken(s);
}

/* A write failed and nothing is under way: the oldest batch is one that failed, or was not yet
 * submitted behind one. */
static void failure_handle(struct spool *s)
{
    bool again = false;
    for (uint32_t i = 0; i < s->batch_cnt; i++) {
        struct spool_batch *b = spool_batch_at(s, i);
        if (b->state == SPOOL_BATCH_BAD && ++b->failure_cnt >= 2)
            again = true;
    }
    s->failure_cnt++;
    if (again) {
        batches_fail(s);
        set_broken(s);
        return;
    }
    stats_inc(s->config.stats, STATS_SPOOL_REWRITES);
    spool_segment_seal(s);
    s->rewriting = true;
    if (s->ready_cnt == 0)
        batches_fail(s);
}

void spool_rewrite(struct spool *s)
{
    struct spool_segment *g = spool_active(s);
    s->rewriting = false;
    s->failed = false;
    for (uint32_t i = 0; i < s->batch_cnt; i++) {
        struct spool_batch *b = spool_batch_at(s, i);
        if (b->len > g->bytes - g->offset) {
            /* Batches larger than the segment together: the rest is given up. */
            uint32_t keep = i;
            uint32_t cnt = s->batch_cnt;
            uint32_t head = s->batch_head;
            s->batch_head = (head + keep) % s->batch_cap;
            s->batch_cnt = cnt - keep;
            while (s->batch_cnt > 0)
                batch_end(s, -EIO);
            open_fail(s);
            s->batch_head = head;
            s->batch_cnt = keep;
            spool_move_restart(s);
            return;
        }
        spool_batch_place(s, b);
    }
}

bool spool_waiting(const struct spool *s)
{
    return s->data.head != NULL || s->state.head != NULL || s->mover.state == SPOOL_MOVE_SCAN ||
           spool_salvage_waits(s);
}

/* What the active segment has left for the batch that is being composed. */
static uint32_t open_room(struct spool *s)
{
    const struct spool_segment *g = spool_active(s);
    uint64_t room = g == NULL ? 0 : g->bytes - g->offset;
    uint64_t summary = spool_summary_room(s);
    /* Unless segments are so short that only what frees space is written, some of this one is for
     * its summary. */
    if (s->ready_cnt >= s->config.reserve_segments || s->zeroing_slot != SPOOL_SLOT_NONE)
        room = room > summary ? room - summary : 0;
    /* While the disk takes more than one, copying all that waits into one would let it stand still
     * meanwhile. */
    uint64_t max = s->config.batch_bytes_max;
    if (s->batch_cnt < s->config.commit_max && max > SPOOL_BATCH_START_BYTES)
        max = SPOOL_BATCH_START_BYTES;
    return (uint32_t)(room < max ? room : max);
}

/*
 * How many messages may end in it. While the disk takes several, what waits is spread over as many:
 * all in one would be answered at once, and whoever sends only after an answer would from then on
 * keep one write under way and never two.
 */
static uint32_t open_commits(const struct spool *s, const struct spool_batch *b)
{
    uint32_t slots = s->batch_cnt < s->config.commit_max ? s->config.commit_max - s->batch_cnt : 0;
    if (slots <= 1)
        return UINT32_MAX;
    uint32_t all = b->commit_cnt + s->commit_waits;
    return all / slots + (all % slots != 0) + (all == 0);
}

/* Puts what waits into the open batch. False: there is nothing in it. */
static bool open_fill(struct spool *s)
{
    struct spool_batch *b = spool_batch_at(s, s->batch_cnt);
    bool may = !s->need_segment && s->opening_slot == SPOOL_SLOT_NONE && spool_waiting(s);
    if (!may)
        return s->batch_open;
    if (!s->batch_open) {
        b->state = SPOOL_BATCH_OPEN;
        b->data = spool_recent_take(s);
        b->used = SPOOL_BATCH_HEADER_LEN;
        b->effect_cnt = 0;
        b->commit_cnt = 0;
        b->failure_cnt = 0;
    }
    b->room = open_room(s);
    b->commit_max = open_commits(s, b);
    spool_compose(s, b);
    s->batch_open = b->effect_cnt > 0;
    return s->batch_open;
}

/* The disk begins with what was submitted: what comes next is copied meanwhile. */
static void disk_start(const struct spool *s)
{
    struct spool_io_done none;
    uint32_t cnt = s->config.disk.ops->poll(s->config.disk.state, &none, 0);
    base_assert(cnt == 0);
}

/* After a write error the segment is another one. */
static bool open_fits(struct spool *s)
{
    const struct spool_segment *g = spool_active(s);
    uint64_t room = g == NULL ? 0 : g->bytes - g->offset;
    return room >= spool_blocks(spool_batch_at(s, s->batch_cnt)->used);
}

static void open_close(struct spool *s)
{
    struct spool_batch *b = spool_batch_at(s, s->batch_cnt);
    s->batch_open = false;
    s->batch_cnt++;
    spool_batch_place(s, b);
    spool_recent_end(s, b);
}

/*
 * Records are copied and their checksums made while earlier batches are being written; the batch is
 * closed and gets its place when the disk takes one more. So nothing waits when the disk is idle,
 * and the disk does not wait for copying when it is busy.
 */
static void compose_all(struct spool *s)
{
    while (open_fill(s) && s->batch_cnt < s->config.commit_max &&
           s->opening_slot == SPOOL_SLOT_NONE) {
        if (!open_fits(s)) {
            s->need_segment = s->ready_cnt > 0;
            return;
        }
        open_close(s);
        if (spool_waiting(s))
            disk_start(s);
    }
}

/* What is composed takes the place of what became durable at once: the disk has work again before
 * anyone is told. */
static void follow_up(struct spool *s)
{
    uint32_t durable = durable_cnt(s);
    if (durable == 0 || !s->batch_open || s->opening_slot != SPOOL_SLOT_NONE || !open_fits(s) ||
        s->batch_cnt - durable >= s->config.commit_max)
        return;
    for (uint32_t i = 0; i < s->batch_cnt; i++)
        if (spool_batch_at(s, i)->state == SPOOL_BATCH_FILLED)
            return; /* the disk takes no more */
    open_close(s);
    disk_start(s);
}

void spool_commit_run(struct spool *s)
{
    if (!s->failed && !s->broken)
        follow_up(s);
    durable_pop(s);
    if (s->failed && !s->rewriting && s->batch_under_way == 0)
        failure_handle(s);
    if (s->failed)
        return;
    for (uint32_t i = 0; i < s->batch_cnt; i++)
        if (spool_batch_at(s, i)->state == SPOOL_BATCH_FILLED)
            batch_submit(s, spool_batch_at(s, i));
    if (s->broken)
        spool_fail_waiting(s);
    else
        compose_all(s);
}
