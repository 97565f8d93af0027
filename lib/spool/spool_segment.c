#include "spool_internal.h"

#include <errno.h>

void spool_segment_set_state(struct spool *s, struct spool_segment *g,
                             enum spool_segment_state state)
{
    s->state_cnt[g->state]--;
    s->state_cnt[state]++;
    g->state = (uint8_t)state;
}

void spool_segments_count(struct spool *s)
{
    memset(s->state_cnt, 0, sizeof(s->state_cnt));
    for (uint32_t i = 0; i < s->segment_cap; i++)
        s->state_cnt[s->segments[i].state]++;
}

struct spool_segment *spool_active(struct spool *s)
{
    if (s->log_cnt == 0)
        return NULL;
    struct spool_segment *g = spool_log_at(s, s->log_cnt - 1);
    return g->state == SPOOL_SEGMENT_ACTIVE ? g : NULL;
}

void spool_segment_ready(struct spool *s, uint32_t slot)
{
    base_assert(s->ready_cnt < s->segment_cap);
    spool_segment_set_state(s, &s->segments[slot], SPOOL_SEGMENT_READY);
    s->ready[(s->ready_head + s->ready_cnt++) % s->segment_cap] = slot;
}

void spool_log_append(struct spool *s, uint32_t slot)
{
    base_assert(s->log_cnt < s->segment_cap);
    s->log[(s->log_head + s->log_cnt++) % s->segment_cap] = slot;
}

static uint32_t segment_cnt(const struct spool *s)
{
    return s->segment_cap - s->state_cnt[SPOOL_SEGMENT_ABSENT] - s->state_cnt[SPOOL_SEGMENT_ASIDE];
}

/*
 * How much may be live, so that moving always ends: the log without the reserve and the active
 * segment holds all of it with a quarter to spare for padding and summaries. While files cannot be
 * made, only those that are there count.
 */
uint64_t spool_live_limit(const struct spool *s)
{
    uint32_t cnt = segment_cnt(s);
    if (s->create_retry_ns == 0 && cnt < s->config.segment_max)
        cnt = s->config.segment_max;
    if (cnt <= s->config.reserve_segments + 1)
        return 0;
    uint64_t bytes = s->config.segment_bytes - SPOOL_SEGMENT_HEADER_LEN;
    return (cnt - s->config.reserve_segments - 1) * (bytes - bytes / 4);
}

bool spool_full(const struct spool *s)
{
    uint64_t limit = spool_live_limit(s);
    uint64_t bytes = s->live_bytes;
    for (uint32_t i = 0; i < spool_batch_cnt(s); i++)
        bytes += s->batches[(s->batch_head + i) % s->batch_cap].used;
    return limit == 0 || bytes > limit;
}

bool spool_reclaimable(const struct spool *s)
{
    if (s->log_cnt < 2)
        return false;
    uint32_t slot = spool_log_slot(s, 0);
    const struct spool_segment *g = &s->segments[slot];
    bool moving = s->mover.slot == slot &&
                  (s->mover.state == SPOOL_MOVE_READING || s->mover.state == SPOOL_MOVE_SCAN ||
                   s->mover.state == SPOOL_MOVE_SALVAGE);
    return g->state == SPOOL_SEGMENT_SEALED && g->live_bytes == 0 && g->state_refs == 0 &&
           g->read_refs == 0 && !moving;
}

void spool_segment_damaged(struct spool *s, uint32_t slot)
{
    s->damaged_cnt += !s->segments[slot].damaged;
    s->segments[slot].damaged = true;
}

/* A damaged segment is kept for the operator, and its place in the spool is made anew; not before a
 * header is written that does not count it to the log any more. */
static void set_aside(struct spool *s, struct spool_segment *g)
{
    const struct spool_disk *d = &s->config.disk;
    bool gone = d->ops->segment_set_aside(d->state, g->number) == 0;
    stats_inc(s->config.stats, STATS_SPOOL_SET_ASIDE);
    spool_log_event(s, STATS_LOG_SPOOL_ERROR, g->number, EBADMSG,
                    gone ? "damaged, put into quarantine/" : "damaged, left where it is");
    spool_segment_set_state(s, g, gone ? SPOOL_SEGMENT_ABSENT : SPOOL_SEGMENT_ASIDE);
}

/* The oldest segments that hold nothing live. Strictly in order: what a record takes back is never
 * younger than it. */
static void reclaim(struct spool *s)
{
    while (spool_reclaimable(s)) {
        uint32_t slot = spool_log_slot(s, 0);
        s->log_head = (s->log_head + 1) % s->segment_cap;
        s->log_cnt--;
        if (s->segments[slot].damaged) {
            spool_segment_set_state(s, &s->segments[slot], SPOOL_SEGMENT_LEAVING);
            s->damaged_cnt--;
            s->need_segment = true;
            continue;
        }
        stats_inc(s->config.stats, STATS_SPOOL_RECYCLED);
        spool_segment_ready(s, slot);
    }
}

static void create_failed(struct spool *s, int error)
{
    s->create_backoff_ns =
        s->create_backoff_ns == 0 ? SPOOL_RETRY_MIN_NS : s->create_backoff_ns * 2;
    if (s->create_backoff_ns > SPOOL_RETRY_MAX_NS)
        s->create_backoff_ns = SPOOL_RETRY_MAX_NS;
    s->create_retry_ns = s->now_ns + s->create_backoff_ns;
    stats_inc(s->config.stats, STATS_SPOOL_CREATE_ERRORS);
    if (error != -ENOSPC)
        spool_log_event(s, STATS_LOG_SPOOL_ERROR, 0, (uint32_t)-error, "segment not created");
}

static uint32_t unused_number(const struct spool *s)
{
    for (uint32_t n = 1;; n++) {
        bool used = false;
        for (uint32_t i = 0; i < s->segment_cap && !used; i++)
            used = s->segments[i].state != SPOOL_SEGMENT_ABSENT && s->segments[i].number == n;
        if (!used)
            return n;
    }
}

/* Nothing can be written, not even to move: the active segment was lost to an error, or filled up.
 */
static bool stuck(const struct spool *s)
{
    if (s->ready_cnt > 0 || s->log_cnt == 0 || s->opening_slot != SPOOL_SLOT_NONE)
        return false;
    const struct spool_segment *g = &s->segments[spool_log_slot(s, s->log_cnt - 1)];
    return g->state != SPOOL_SEGMENT_ACTIVE || g->bytes - g->offset < 2 * SPOOL_PIECE_BYTES_MAX;
}

bool spool_spare_wanted(const struct spool *s)
{
    uint32_t cnt = segment_cnt(s);
    return s->zeroing_slot == SPOOL_SLOT_NONE &&
           ((s->ready_cnt <= s->config.reserve_segments + 1 && cnt < s->config.segment_max) ||
            (stuck(s) && cnt < s->config.segment_max + SPOOL_SEGMENT_EXTRA));
}

/* Mail comes faster than segments are made: from now on more of them are kept ready. */
static void want_more(struct spool *s)
{
    uint32_t least = s->config.reserve_segments + 2;

    if (s->ready_cnt > s->config.reserve_segments)
        return;
    s->ready_want = s->ready_want < least / 2 ? least : 2 * s->ready_want;
    if (s->ready_want > SPOOL_AHEAD_MAX)
        s->ready_want = SPOOL_AHEAD_MAX;
}

/* One ahead of the need; not where the file system gets short of room for others, or of any. */
static bool ahead_wanted(struct spool *s)
{
    const struct spool_config *c = &s->config;

    if (s->ready_cnt >= s->ready_want || s->zeroing_slot != SPOOL_SLOT_NONE ||
        s->create_retry_ns != 0 || segment_cnt(s) >= c->segment_max)
        return false;
    int64_t bytes = c->disk.ops->free_bytes(c->disk.state);
    if (bytes >= (int64_t)(SPOOL_AHEAD_FREE * c->segment_bytes))
        return true;
    s->ready_want = 0; /* until mail has used them up again */
    return false;
}

/* One that was made for the need is tried again later; what mail there may be is counted
 * accordingly meanwhile. Of one ahead nothing depends. */
static void not_made(struct spool *s, int error)
{
    if (!s->zeroing_ahead) {
        create_failed(s, error);
        return;
    }
    stats_inc(s->config.stats, STATS_SPOOL_CREATE_ERRORS);
    s->ready_want = 0;
}

/* Makes one more file when spares run low, or shall not. */
static void create_spare(struct spool *s)
{
    const struct spool_config *c = &s->config;
    bool need = spool_spare_wanted(s);

    if (need ? s->now_ns < s->create_retry_ns : !ahead_wanted(s))
        return;
    s->zeroing_ahead = !need;
    uint32_t slot = 0;
    while (slot < s->segment_cap && s->segments[slot].state != SPOOL_SEGMENT_ABSENT)
        slot++;
    if (slot == s->segment_cap)
        return;
    uint32_t number = unused_number(s);
    int rc = c->disk.ops->segment_create(c->disk.state, number, c->segment_bytes);
    if (rc < 0) {
        not_made(s, rc);
        return;
    }
    s->segments[slot] = (struct spool_segment){
        .number = number, .bytes = c->segment_bytes, .state = SPOOL_SEGMENT_ABSENT};
    spool_segment_set_state(s, &s->segments[slot], SPOOL_SEGMENT_ZEROING);
    s->zeroing_slot = slot;
    stats_inc(c->stats, STATS_SPOOL_CREATED);
}

/* A file that was there, but never used, may be half zeroed. */
static void zero_again(struct spool *s)
{
    if (s->state_cnt[SPOOL_SEGMENT_ZEROING] == 0)
        return;
    for (uint32_t i = 0; i < s->segment_cap && s->zeroing_slot == SPOOL_SLOT_NONE; i++)
        if (s->segments[i].state == SPOOL_SEGMENT_ZEROING)
            s->zeroing_slot = i;
}

static void zero_step(struct spool *s)
{
    if (s->zeroing_slot == SPOOL_SLOT_NONE || s->zero_under_way)
        return;
    /* From one segment to the next all mail waits, for a summary of megabytes and a header: the
     * disk is theirs. */
    if (s->opening_slot != SPOOL_SLOT_NONE || (s->need_segment && s->ready_cnt > 0))
        return;
    const struct spool_segment *g = &s->segments[s->zeroing_slot];
    uint64_t left = g->bytes - g->offset;
    bool low = s->ready_cnt <= s->config.reserve_segments + 1;
    uint32_t len = low ? SPOOL_ZERO_BYTES : SPOOL_ZERO_CALM_BYTES;
    s->zero_len = left < len ? (uint32_t)left : len;
    struct spool_io io = {
        .op = SPOOL_IO_WRITE,
        .segment = g->number,
        .offset = g->offset,
        .data = s->zeros,
        .len = s->zero_len,
        .cookie = spool_cookie(SPOOL_IO_ZERO, 0),
    };
    s->zero_under_way = s->config.disk.ops->submit(s->config.disk.state, &io) == 0;
}

void spool_zero_done(struct spool *s, int64_t result)
{
    struct spool_segment *g = &s->segments[s->zeroing_slot];
    s->zero_under_way = false;
    if (result != s->zero_len) {
        spool_segment_set_state(s, g, SPOOL_SEGMENT_ABSENT);
        s->zeroing_slot = SPOOL_SLOT_NONE;
        not_made(s, result < 0 ? (int)result : -EIO);
        if (s->config.disk.ops->segment_remove(s->config.disk.state, g->number) < 0) {
            /* Its number stays taken; a later start looks at it again. */
            spool_segment_set_state(s, g, SPOOL_SEGMENT_ASIDE);
        }
        return;
    }
    g->offset += (uint64_t)result;
    if (g->offset < g->bytes)
        return;
    spool_segment_ready(s, s->zeroing_slot);
    s->zeroing_slot = SPOOL_SLOT_NONE;
    s->create_retry_ns = 0;
    s->create_backoff_ns = 0;
}

void spool_segment_seal(struct spool *s)
{
    struct spool_segment *g = spool_active(s);
    if (g == NULL)
        return;
    spool_segment_set_state(s, g, SPOOL_SEGMENT_SEALED);
    g->offset = g->durable_end;
    spool_summary_give_up(s);
    if (g->durable_end > SPOOL_SEGMENT_HEADER_LEN)
        return;
    uint32_t slot = spool_log_slot(s, s->log_cnt - 1);
    s->log_cnt--;
    spool_segment_ready(s, slot);
}

/* Takes the next ready segment; its header waits for the disk's queue. */
static void open_next(struct spool *s)
{
    spool_segment_seal(s);
    uint32_t slot = s->ready[s->ready_head];
    struct spool_segment *g = &s->segments[slot];
    s->ready_head = (s->ready_head + 1) % s->segment_cap;
    s->ready_cnt--;
    want_more(s);
    base_assert(g->live_bytes == 0 && g->state_refs == 0 && g->read_refs == 0);
    spool_segment_set_state(s, g, SPOOL_SEGMENT_OPENING);
    g->offset = SPOOL_SEGMENT_HEADER_LEN;
    g->durable_end = SPOOL_SEGMENT_HEADER_LEN;
    memcpy(g->header.uuid, s->uuid, 16);
    g->header.number = s->number;
    g->header.sequence = s->next_sequence++;
    g->header.salt = base_rand_next(&s->rand);
    g->header.bytes = g->bytes;
    g->header.first_lsn = s->durable_lsn + 1;
    const struct spool_segment *last = s->log_cnt == 0 ? NULL : spool_log_at(s, s->log_cnt - 1);
    g->header.previous_sequence = last == NULL ? 0 : last->header.sequence;
    g->header.previous_summary_offset = last == NULL ? 0 : last->summary_offset;
    g->header.previous_summary_len = last == NULL ? 0 : last->summary_len;
    g->summary_offset = 0;
    g->summary_len = 0;
    g->header.tail_sequence =
        s->log_cnt == 0 ? g->header.sequence : spool_log_at(s, 0)->header.sequence;
    spool_segment_header_write(s->header_block, &g->header);
    s->opening_slot = slot;
}

static void header_submit(struct spool *s)
{
    struct spool_io io = {
        .op = SPOOL_IO_WRITE,
        .segment = s->segments[s->opening_slot].number,
        .data = s->header_block,
        .len = SPOOL_BLOCK_BYTES,
        .cookie = spool_cookie(SPOOL_IO_HEADER, 0),
    };
    s->header_under_way = s->config.disk.ops->submit(s->config.disk.state, &io) == 0;
    s->header_submit_ns = s->now_ns;
}

void spool_header_done(struct spool *s, int64_t result)
{
    uint32_t slot = s->opening_slot;
    struct spool_segment *g = &s->segments[slot];
    s->header_under_way = false;
    s->opening_slot = SPOOL_SLOT_NONE;
    if (result != SPOOL_BLOCK_BYTES) {
        stats_inc(s->config.stats, STATS_SPOOL_WRITE_ERRORS);
        spool_log_event(s, STATS_LOG_SPOOL_ERROR, g->number, (uint32_t)(result < 0 ? -result : EIO),
                        "segment header not written");
        spool_segment_ready(s, slot);
        spool_header_failed(s);
        return;
    }
    spool_segment_set_state(s, g, SPOOL_SEGMENT_ACTIVE);
    spool_log_append(s, slot);
    s->next_lsn = s->durable_lsn + 1;
    s->previous_crc = g->header.crc;
    spool_summary_begin(s);
    s->need_segment = false;
    for (uint32_t i = 0; i < s->segment_cap; i++) {
        struct spool_segment *leaving = &s->segments[i];
        if (leaving->state != SPOOL_SEGMENT_LEAVING)
            continue;
        if (leaving->header.sequence < g->header.tail_sequence)
            set_aside(s, leaving);
        else
            s->need_segment = true; /* left while this header was under way, which counts it */
    }
    stats_add(s->config.stats, STATS_SPOOL_WRITTEN_BYTES, SPOOL_BLOCK_BYTES);
    s->broken = false; /* the back-off stays until a batch is durable, too */
    if (s->rewriting)
        spool_rewrite(s);
}

void spool_segments_run(struct spool *s)
{
    bool drained = s->batch_cnt == 0 || (s->rewriting && s->batch_under_way == 0);
    bool probe = s->broken && s->now_ns >= s->probe_ns;
    reclaim(s);
    zero_again(s);
    create_spare(s);
    zero_step(s);
    if (s->opening_slot == SPOOL_SLOT_NONE && drained &&
        (s->broken ? probe : s->need_segment || s->rewriting)) {
        if (s->ready_cnt == 0)
            s->need_segment = false;
        else if (spool_summary_settled(s))
            open_next(s);
    }
    if (s->opening_slot != SPOOL_SLOT_NONE && !s->header_under_way)
        header_submit(s);
}
