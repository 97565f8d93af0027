#include "spool_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void spool_log_event(struct spool *s, enum stats_log_event event, uint64_t n, uint32_t m,
                     const char *text)
{
    struct stats_log_record r = {.event = (uint16_t)event, .n = n, .m = m};
    const char *name = s->config.name;
    char full[STATS_LOG_TEXT_CAP];
    if (s->config.log == NULL)
        return;
    if (name != NULL) {
        snprintf(full, sizeof(full), "spool %s%s%s", name, text[0] != 0 ? ": " : "", text);
        text = full;
    }
    stats_log_text(&r, base_span_str(text));
    stats_log_push(s->config.log, &r);
}

struct spool_done *spool_done_add(struct spool *s)
{
    base_assert(s->done_cnt < SPOOL_DONE_CAP);
    struct spool_done *d = &s->done[(s->done_head + s->done_cnt++) % SPOOL_DONE_CAP];
    memset(d, 0, sizeof(*d));
    return d;
}

/* Which entries end with a completion: see struct spool_done. */
static bool wants_done(const struct spool_entry *e)
{
    if (e->from == SPOOL_TO_NOBODY)
        return false;
    return e->buf != NULL || e->op == SPOOL_COMMIT || e->op == SPOOL_OUTCOME ||
           e->op == SPOOL_FREE || e->op == SPOOL_READ;
}

void spool_finish(struct spool *s, struct spool_pending *p, int status, uint32_t len)
{
    const struct spool_entry *e = &p->entry;
    if (wants_done(e)) {
        struct spool_done *d = spool_done_add(s);
        bool piece = e->op == SPOOL_BEGIN || e->op == SPOOL_CHUNK || e->op == SPOOL_ABORT;
        d->id = e->id;
        d->op = piece ? (uint8_t)SPOOL_RELEASE : e->op;
        d->to = e->from;
        d->status = status;
        d->buf = e->buf;
        d->cookie = e->cookie;
        d->len = len;
    }
    p->next = s->pending_free;
    s->pending_free = p;
    s->pending_cnt--;
}

static void *block_alloc(size_t bytes)
{
    return aligned_alloc(SPOOL_BLOCK_BYTES, bytes);
}

static int memory_init(struct spool *s)
{
    const struct spool_config *c = &s->config;
    uint32_t effects = c->batch_bytes_max / SPOOL_RECORD_HEADER_LEN;

    s->pendings = calloc(SPOOL_PENDING_MAX, sizeof(*s->pendings));
    s->done = aligned_alloc(64, SPOOL_DONE_CAP * sizeof(*s->done));
    s->zeros = block_alloc(SPOOL_ZERO_BYTES);
    s->header_block = block_alloc(SPOOL_BLOCK_BYTES);
    s->mover.cap = c->batch_bytes_max;
    s->mover.data = block_alloc(s->mover.cap);
    if (s->pendings == NULL || s->done == NULL || s->zeros == NULL || s->header_block == NULL ||
        s->mover.data == NULL || spool_index_init(s) < 0)
        return -ENOMEM;
    memset(s->zeros, 0, SPOOL_ZERO_BYTES);
    for (uint32_t i = 0; i < SPOOL_PENDING_MAX; i++) {
        s->pendings[i].next = s->pending_free;
        s->pending_free = &s->pendings[i];
    }
    for (uint32_t i = 0; i < s->batch_cap; i++) {
        s->batches[i].effects = calloc(effects, sizeof(struct spool_effect));
        if (s->batches[i].effects == NULL)
            return -ENOMEM;
    }
    if (spool_recent_init(s) < 0)
        return -ENOMEM;
    for (uint32_t i = 0; i < SPOOL_READER_CNT; i++) {
        s->readers[i].scratch = block_alloc(SPOOL_READ_SCRATCH_BYTES);
        if (s->readers[i].scratch == NULL)
            return -ENOMEM;
    }
    return 0;
}

/* The memory of requests, told to the disk: that of batches, then readers. */
static void buffers_tell(struct spool *s)
{
    const struct spool_disk *d = &s->config.disk;
    struct spool_io_buffer v[1 + SPOOL_READER_CNT];
    uint32_t cnt = 0;
    if (d->ops->buffers_set == NULL)
        return;
    v[cnt++] = (struct spool_io_buffer){s->recent.data, (uint32_t)s->recent.cap};
    for (uint32_t i = 0; i < SPOOL_READER_CNT; i++)
        v[cnt++] = (struct spool_io_buffer){s->readers[i].scratch, SPOOL_READ_SCRATCH_BYTES};
    d->ops->buffers_set(d->state, v, cnt);
}

static void memory_free(struct spool *s)
{
    for (uint32_t i = 0; i < SPOOL_READER_CNT; i++) {
        free(s->readers[i].scratch);
        free(s->readers[i].arrival);
    }
    for (uint32_t i = 0; i < BASE_ARRAY_CNT(s->batches); i++)
        free(s->batches[i].effects);
    spool_recent_fini(s);
    if (s->table != NULL)
        spool_index_fini(s);
    free(s->mover.data);
    free(s->summary.data);
    free(s->header_block);
    free(s->zeros);
    for (uint32_t i = 0; i < s->done_cnt; i++)
        free(s->done[(s->done_head + i) % SPOOL_DONE_CAP].arrival);
    free(s->done);
    free(s->pendings);
    free(s->segments);
    free(s->log);
    free(s->ready);
    free(s);
}

static const char *const is_full = "spool is full";
static const char *const cannot_write = "spool cannot write";
static const char *const no_answer = "spool's disk does not answer";

/* When the oldest write that mail waits for was submitted; BASE_NS_NONE: there is none. (Zeroing is
 * none: a disk that hangs does so with the others, too.) */
static uint64_t oldest_write_ns(const struct spool *s)
{
    uint64_t at = BASE_NS_NONE;
    for (uint32_t i = 0; i < s->batch_cap && s->batch_under_way > 0; i++)
        if (s->batches[i].state == SPOOL_BATCH_WRITING && s->batches[i].submit_ns < at)
            at = s->batches[i].submit_ns;
    if (s->header_under_way && s->header_submit_ns < at)
        at = s->header_submit_ns;
    if (s->summary.state == SPOOL_SUMMARY_WRITING && s->summary.submit_ns < at)
        at = s->summary.submit_ns;
    return at;
}

/* When the disk is taken to hang unless a write ends before. */
static uint64_t write_deadline(const struct spool *s)
{
    uint64_t at = s->config.write_timeout_ns == 0 ? BASE_NS_NONE : oldest_write_ns(s);
    return at == BASE_NS_NONE ? at : at + s->config.write_timeout_ns;
}

static const char *refusal_of(const struct spool *s)
{
    uint64_t limit = spool_live_limit(s);
    /* A little earlier than what is on the way fails; and taken up again only with more room, so
     * that a few messages that come and go do not change it each time. */
    uint64_t spare = limit / (s->refusal == is_full ? 8 : 16);
    if (s->broken)
        return cannot_write;
    if (s->now_ns >= write_deadline(s))
        return no_answer;
    return spool_full(s) || s->live_bytes > limit - spare ? is_full : NULL;
}

int spool_open(struct spool **out, const struct spool_config *config, uint64_t now_ns, char *err,
               size_t err_cap)
{
    base_assert(config->segment_bytes >= 1 << 20 && config->segment_bytes % (1 << 20) == 0 &&
                config->segment_bytes <= SPOOL_SEGMENT_BYTES_MAX);
    base_assert(config->segment_max >= 4 && config->segment_max < 1 << 20);
    base_assert(config->reserve_segments >= 2);
    base_assert(config->commit_max >= 1 && config->commit_max <= SPOOL_COMMIT_CNT_MAX);
    base_assert(config->batch_bytes_max >= 64 << 10 &&
                config->batch_bytes_max % SPOOL_BLOCK_BYTES == 0 &&
                config->batch_bytes_max < config->segment_bytes &&
                config->batch_bytes_max <= SPOOL_BATCH_BYTES_LIMIT);
    base_assert(config->memory_bytes <= UINT64_C(1) << 30);
    struct spool *s = aligned_alloc(64, (sizeof(*s) + 63) & ~(size_t)63);
    if (s == NULL)
        return -ENOMEM;
    memset(s, 0, sizeof(*s));
    s->config = *config;
    s->batch_cap = config->commit_max + 2;
    s->now_ns = now_ns;
    s->zeroing_slot = SPOOL_SLOT_NONE;
    s->ready_want = config->reserve_segments + 2;
    s->opening_slot = SPOOL_SLOT_NONE;
    s->next_sequence = 1;
    s->next_lsn = 1;
    base_rand_init(&s->rand, config->seed);
    if (err_cap > 0)
        err[0] = '\0';
    int rc = memory_init(s);
    if (rc == 0)
        buffers_tell(s);
    if (rc == 0)
        rc = spool_recover(s, err, err_cap);
    if (rc < 0) {
        if (err_cap > 0 && err[0] == '\0')
            snprintf(err, err_cap, "%s",
                     rc == -ENOMEM ? "out of memory" : "spool cannot be opened");
        memory_free(s);
        return rc;
    }
    s->refusal = refusal_of(s);
    *out = s;
    return 0;
}

static bool io_under_way(const struct spool *s)
{
    bool any = s->batch_under_way > 0 || s->summary.state == SPOOL_SUMMARY_WRITING ||
               s->header_under_way || s->zero_under_way || s->mover.submitted;
    for (uint32_t i = 0; i < SPOOL_READER_CNT; i++)
        any |= s->readers[i].under_way;
    return any;
}

static void io_poll(struct spool *s)
{
    struct spool_io_done done[64];
    uint32_t cnt;
    while ((cnt = s->config.disk.ops->poll(s->config.disk.state, done, BASE_ARRAY_CNT(done))) > 0)
        for (uint32_t i = 0; i < cnt; i++) {
            uint32_t index = (uint32_t)done[i].cookie;
            switch ((enum spool_io_kind)(done[i].cookie >> 32)) {
            case SPOOL_IO_BATCH:
                spool_batch_done(s, index, done[i].result);
                break;
            case SPOOL_IO_HEADER:
                spool_header_done(s, done[i].result);
                break;
            case SPOOL_IO_ZERO:
                spool_zero_done(s, done[i].result);
                break;
            case SPOOL_IO_MOVE:
                spool_move_read_done(s, done[i].result);
                break;
            case SPOOL_IO_READER:
                spool_reader_done(s, index, done[i].result);
                break;
            case SPOOL_IO_SUMMARY:
                spool_summary_done(s, done[i].result);
                break;
            case SPOOL_IO_BLOCKING:
            case SPOOL_IO_AHEAD:
            default:
                base_assert(false); /* of nothing that was asked */
            }
        }
}

void spool_close(struct spool *s)
{
    if (s == NULL)
        return;
    while (io_under_way(s)) {
        if (s->config.disk.ops->wait(s->config.disk.state) < 0)
            break;
        io_poll(s);
    }
    /* References keep messages that left the table: those of batches and readers. */
    for (uint32_t i = 0; i < spool_batch_cnt(s); i++) {
        struct spool_batch *b = spool_batch_at(s, i);
        for (uint32_t k = 0; k < b->effect_cnt; k++)
            spool_message_unref(s, b->effects[k].message);
    }
    for (uint32_t i = 0; i < SPOOL_READER_CNT; i++)
        if (s->readers[i].message != NULL)
            spool_message_unref(s, s->readers[i].message);
    if (s->mover.job_message != NULL)
        spool_message_unref(s, s->mover.job_message);
    while (s->recovered != NULL) {
        struct spool_message *m = s->recovered;
        s->recovered = m->coming->next;
        spool_message_unref(s, m);
    }
    memory_free(s);
}

int spool_push(struct spool *s, const struct spool_entry *entry)
{
    /* An entry gives at most two completions (COMMIT and ARRIVED), so these always have room. */
    if (s->pending_free == NULL ||
        2 * (s->pending_cnt + 1) + s->done_cnt + SPOOL_TELL_EXTRA > SPOOL_DONE_CAP)
        return -EAGAIN;
    struct spool_pending *p = s->pending_free;
    s->pending_free = p->next;
    s->pending_cnt++;
    p->entry = *entry;
    p->done_bytes = 0;
    p->started = false;
    switch (entry->op) {
    case SPOOL_OUTCOME:
    case SPOOL_FREE:
        spool_fifo_push(&s->state, p);
        break;
    case SPOOL_READ:
        base_assert(entry->buf != NULL && entry->len <= SPOOL_BUF_BYTES);
        spool_fifo_push(&s->reads, p);
        break;
    default:
        base_assert(entry->op >= SPOOL_BEGIN && entry->op <= SPOOL_ABORT);
        s->commit_waits += entry->op == SPOOL_COMMIT;
        if (entry->op == SPOOL_BEGIN) { /* composed when the others of this burst are here */
            spool_message_expect(s, &entry->id);
            __builtin_prefetch(entry->p);
        } else if (entry->op == SPOOL_COMMIT) {
            spool_message_expect_more(s, &entry->id);
        }
        spool_fifo_push(&s->data, p);
    }
    return 0;
}

static void tell_refusal(struct spool *s)
{
    const char *now = refusal_of(s);
    if (now == s->refusal)
        return;
    if (now == no_answer)
        stats_inc(s->config.stats, STATS_SPOOL_WRITES_SLOW);
    s->refusal = now;
    int64_t bytes = s->config.disk.ops->free_bytes(s->config.disk.state);
    spool_log_event(s, now != NULL ? STATS_LOG_SPOOL_REFUSES : STATS_LOG_SPOOL_ACCEPTS,
                    bytes < 0 ? 0 : (uint64_t)bytes, 0, now != NULL ? now : "takes mail again");
}

static void tell_stats(struct spool *s)
{
    struct stats_block *b = s->config.stats;
    uint32_t making = s->zeroing_slot != SPOOL_SLOT_NONE;
    uint32_t opening = s->opening_slot != SPOOL_SLOT_NONE;
    stats_set(b, STATS_SPOOL_MESSAGES_NOW, s->queued_cnt);
    stats_set(b, STATS_SPOOL_LIVE_BYTES_NOW, s->live_bytes);
    uint64_t limit = spool_live_limit(s);
    stats_set(b, STATS_SPOOL_FREE_BYTES_NOW, limit > s->live_bytes ? limit - s->live_bytes : 0);
    stats_set(b, STATS_SPOOL_READY_NOW, s->ready_cnt);
    stats_set(b, STATS_SPOOL_SEGMENTS_NOW, s->log_cnt + s->ready_cnt + making + opening);
    stats_set(b, STATS_SPOOL_REFUSES_FULL_NOW, s->refusal == is_full);
    stats_set(b, STATS_SPOOL_REFUSES_WRITE_NOW, s->refusal == cannot_write);
    stats_set(b, STATS_SPOOL_REFUSES_SLOW_NOW, s->refusal == no_answer);
}

void spool_run(struct spool *s, uint64_t now_ns)
{
    if (now_ns > s->now_ns)
        s->now_ns = now_ns;
    io_poll(s);
    spool_commit_run(s);
    spool_segments_run(s);
    spool_move_run(s);
    spool_readers_run(s);
    spool_commit_run(s);
    /* What was submitted is started; what is done at once is seen by the next run. */
    struct spool_io_done none;
    uint32_t cnt = s->config.disk.ops->poll(s->config.disk.state, &none, 0);
    base_assert(cnt == 0);
    tell_refusal(s);
    tell_stats(s);
}

uint32_t spool_poll(struct spool *s, struct spool_done *done, uint32_t cap)
{
    uint32_t n = s->done_cnt < cap ? s->done_cnt : cap;
    for (uint32_t i = 0; i < n; i++)
        done[i] = s->done[(s->done_head + i) % SPOOL_DONE_CAP];
    s->done_head = (s->done_head + n) % SPOOL_DONE_CAP;
    s->done_cnt -= n;
    return n;
}

/* Whether the next run does something that no completion of I/O will ask for. */
static bool work_waits(const struct spool *s)
{
    /* What would be moved waits with all else for the next try to write, or to make a segment. */
    bool no_segment = s->ready_cnt == 0 && s->create_retry_ns > s->now_ns && spool_spare_wanted(s);
    bool idle = s->mover.state == SPOOL_MOVE_IDLE;
    bool moves = idle ? spool_move_wanted(s)
                      : !s->broken && !(s->mover.state == SPOOL_MOVE_SCAN && no_segment);
    return moves || s->need_segment || s->failed || s->opening_slot != SPOOL_SLOT_NONE ||
           s->zeroing_slot != SPOOL_SLOT_NONE || spool_batch_cnt(s) > 0 || s->reader_cnt > 0 ||
           s->reads.head != NULL || (s->recovered != NULL && s->done_cnt < SPOOL_TELL_MAX) ||
           spool_reclaimable(s);
}

uint64_t spool_deadline(const struct spool *s)
{
    uint64_t at = BASE_NS_NONE;
    if (!io_under_way(s) && work_waits(s))
        return s->now_ns;
    if (s->create_retry_ns != 0 && spool_spare_wanted(s))
        at = s->create_retry_ns;
    if (s->broken && s->ready_cnt > 0 && s->probe_ns < at)
        at = s->probe_ns;
    if (s->mover.retry_ns != 0 && s->mover.retry_ns < at)
        at = s->mover.retry_ns;
    uint64_t late = write_deadline(s);
    return s->refusal != no_answer && late < at ? late : at;
}

bool spool_accepting(const struct spool *s, const char **why)
{
    *why = s->refusal;
    return *why == NULL;
}

uint8_t spool_number(const struct spool *s)
{
    return s->number;
}

bool spool_is_numbered(const struct spool *s)
{
    return s->uuid_known;
}

void spool_set_number(struct spool *s, uint8_t number)
{
    base_assert(!s->uuid_known);
    s->number = number;
}

const uint8_t *spool_uuid(const struct spool *s)
{
    return s->uuid;
}

bool spool_settled(const struct spool *s)
{
    return s->pending_cnt == 0;
}

bool spool_idle(const struct spool *s)
{
    return s->pending_cnt == 0 && spool_batch_cnt(s) == 0 && s->done_cnt == 0 &&
           s->reader_cnt == 0 && s->recovered == NULL && s->mover.state == SPOOL_MOVE_IDLE &&
           !io_under_way(s);
}

void spool_usage(const struct spool *s, struct spool_usage *out)
{
    memset(out, 0, sizeof(*out));
    out->message_cnt = s->queued_cnt;
    out->open_cnt = s->open_cnt;
    out->live_bytes = s->live_bytes;
    for (uint32_t i = 0; i < s->segment_cap; i++) {
        const struct spool_segment *g = &s->segments[i];
        if (g->state == SPOOL_SEGMENT_ABSENT)
            continue;
        out->segment_cnt++;
        out->segment_free += g->state == SPOOL_SEGMENT_READY || g->state == SPOOL_SEGMENT_ZEROING;
    }
}
