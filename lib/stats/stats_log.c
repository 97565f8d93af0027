#include "stats_log.h"

#include <stdlib.h>

#include <rte_ring_elem.h>
#include <rte_ring_peek_zc.h>

#define ROW(id, level, name, format) {level, name, format},
const struct stats_log_row stats_log_rows[STATS_LOG_EVENT_CNT] = {STATS_LOG_EVENTS(ROW)};
#undef ROW

bool stats_log_kept(enum stats_log_event event)
{
    switch (event) {
    case STATS_LOG_MESSAGE:
    case STATS_LOG_ACCEPTED:
    case STATS_LOG_NOT_STORED:
    case STATS_LOG_QUEUED:
    case STATS_LOG_DELIVERED:
    case STATS_LOG_DEFERRED:
    case STATS_LOG_FAILED:
    case STATS_LOG_BOUNCED:
    case STATS_LOG_NOTIFIED:
    case STATS_LOG_FINISHED:
    case STATS_LOG_HELD:
    case STATS_LOG_RELEASED:
    case STATS_LOG_REQUEUED:
    case STATS_LOG_DELETED:
    case STATS_LOG_GAP: /* the writer's own */
        return true;
    default:
        return false;
    }
}

static void lose(struct stats_log *log, uint16_t event)
{
    stats_inc(log->stats, STATS_LOG_DROPPED);
    if (log->lost == NULL)
        return;
    _Atomic uint64_t *cnt = &log->lost->cnt[event];
    atomic_store_explicit(cnt, atomic_load_explicit(cnt, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* What waits goes first. Without memory the promise cannot be kept: asserted. */
static void wait_for_room(struct stats_log *log, const struct stats_log_record *record)
{
    if (log->at > 0 && log->at + log->cnt == log->cap) {
        memmove(log->waiting, log->waiting + log->at, log->cnt * sizeof(*record));
        log->at = 0;
    }
    if (log->at + log->cnt == log->cap) {
        log->cap = log->cap > 0 ? 2 * log->cap : 64;
        log->waiting = realloc(log->waiting, log->cap * sizeof(*record));
        base_assert(log->waiting != NULL);
    }
    stats_log_copy(&log->waiting[log->at + log->cnt++], record);
}

/* ---- cells ---- */

/* In the ring this bit of text_len says that the 16 bytes from part on lie there, too. */
#define HAS_PARTS   0x8000u
#define PARTS_BYTES (offsetof(struct stats_log_record, text) - STATS_LOG_CELL_BYTES)

base_static_assert(STATS_LOG_TEXT_CAP < HAS_PARTS, "text_len has room for the bit");
base_static_assert(PARTS_BYTES == 16, "no gap before the text");

static bool has_parts(const struct stats_log_record *r)
{
    uint64_t half[2];

    memcpy(half, r->part, sizeof(half));
    return (half[0] | half[1]) != 0;
}

/* Cells of a record whose text_len, with the bit, is so. */
static uint32_t cell_cnt(uint16_t text_len)
{
    size_t bytes = (text_len & HAS_PARTS) != 0 ? PARTS_BYTES : 0;

    bytes += text_len & ~HAS_PARTS;
    return 1 + (uint32_t)((bytes + STATS_LOG_CELL_BYTES - 1) / STATS_LOG_CELL_BYTES);
}

/* The cells' bytes, which lie in a row but where the ring begins anew. */
static uint8_t *cell(const struct rte_ring_zc_data *z, uint32_t i)
{
    uint8_t *begin = i < z->n1 ? z->ptr1 : z->ptr2;

    return begin + STATS_LOG_CELL_BYTES * (size_t)(i < z->n1 ? i : i - z->n1);
}

/* Whether there was room for it, and for spare cells besides. */
static bool put(struct stats_log *log, const struct stats_log_record *r, uint32_t spare)
{
    struct rte_ring *ring = log->ring;
    struct rte_ring_zc_data z;
    uint32_t left;
    uint16_t text_len = r->text_len;
    const uint8_t *from = r->text;

    if (has_parts(r)) {
        text_len |= HAS_PARTS;
        from = (const uint8_t *)r->part;
    }
    uint32_t cnt = cell_cnt(text_len);
    if (rte_ring_enqueue_zc_bulk_elem_start(ring, STATS_LOG_CELL_BYTES, cnt, &z, &left) == 0)
        return false;
    if (left < spare) {
        rte_ring_enqueue_zc_elem_finish(ring, 0);
        return false;
    }
    memcpy(z.ptr1, r, STATS_LOG_CELL_BYTES - sizeof(text_len));
    memcpy((uint8_t *)z.ptr1 + STATS_LOG_CELL_BYTES - sizeof(text_len), &text_len,
           sizeof(text_len));
    const uint8_t *end = r->text + r->text_len;
    for (uint32_t i = 1; i < cnt; i++, from += STATS_LOG_CELL_BYTES) {
        size_t rest = (size_t)(end - from);
        memcpy(cell(&z, i), from, rest < STATS_LOG_CELL_BYTES ? rest : STATS_LOG_CELL_BYTES);
    }
    rte_ring_enqueue_zc_elem_finish(ring, cnt);
    log->free_cnt = left;
    return true;
}

/* A record from cell i on. Returns how many it had. */
static uint32_t take(const struct rte_ring_zc_data *z, uint32_t i, struct stats_log_record *r)
{
    memcpy(r, cell(z, i), STATS_LOG_CELL_BYTES);
    uint32_t cnt = cell_cnt(r->text_len);
    uint8_t *to = (r->text_len & HAS_PARTS) != 0 ? (uint8_t *)r->part : r->text;
    memset(r->part, 0, PARTS_BYTES);
    r->text_len &= (uint16_t)~HAS_PARTS;
    base_assert(r->text_len <= STATS_LOG_TEXT_CAP);
    const uint8_t *end = r->text + r->text_len;
    for (uint32_t k = 1; k < cnt; k++, to += STATS_LOG_CELL_BYTES) {
        size_t rest = (size_t)(end - to);
        memcpy(to, cell(z, i + k), rest < STATS_LOG_CELL_BYTES ? rest : STATS_LOG_CELL_BYTES);
    }
    return cnt;
}

/* ---- the producer's side ---- */

void stats_log_push(struct stats_log *log, struct stats_log_record *record)
{
    if (log->ring == NULL)
        return;
    bool kept = !log->unattended && stats_log_kept((enum stats_log_event)record->event);
    uint32_t share = record->event == STATS_LOG_TRACE ? 2 : 4;
    uint32_t spare = log->reserved + (kept ? 0 : rte_ring_get_capacity(log->ring) / share);
    record->thread = log->thread;
    if (!(kept && log->cnt > 0) && put(log, record, spare))
        return;
    if (kept && log->keep)
        wait_for_room(log, record);
    else
        lose(log, record->event);
}

bool stats_log_reserve(struct stats_log *log, uint32_t cnt)
{
    if (log->ring == NULL || log->unattended)
        return true;
    uint32_t wanted = log->reserved + cnt * STATS_LOG_CELLS_MAX;
    if (log->free_cnt < wanted) /* the reader's word is only looked at where it matters */
        log->free_cnt = rte_ring_free_count(log->ring);
    if (log->free_cnt < wanted)
        return false;
    log->reserved = wanted;
    return true;
}

void stats_log_unreserve(struct stats_log *log, uint32_t cnt)
{
    if (log->ring == NULL || log->unattended)
        return;
    base_assert(log->reserved >= cnt * STATS_LOG_CELLS_MAX);
    log->reserved -= cnt * STATS_LOG_CELLS_MAX;
}

uint32_t stats_log_room(const struct stats_log *log)
{
    if (log->ring == NULL)
        return UINT32_MAX;
    uint32_t room = rte_ring_free_count(log->ring);
    return room > log->reserved ? (room - log->reserved) / STATS_LOG_CELLS_MAX : 0;
}

void stats_log_push_reserved(struct stats_log *log, struct stats_log_record *record)
{
    stats_log_unreserve(log, 1);
    stats_log_push(log, record);
}

void stats_log_flush(struct stats_log *log)
{
    while (log->cnt > 0) {
        struct stats_log_record *first = &log->waiting[log->at];
        if (!put(log, first, 0))
            return;
        log->at++;
        log->cnt--;
    }
    log->at = 0;
}

void stats_log_free(struct stats_log *log)
{
    free(log->waiting);
    log->waiting = NULL;
    log->at = log->cnt = log->cap = 0;
}

/* ---- the consumer's side ---- */

uint32_t stats_log_cells(const struct rte_ring *ring)
{
    return rte_ring_count(ring);
}

uint32_t stats_log_pop_cells(struct rte_ring *ring, struct stats_log_record *records, uint32_t cap,
                             uint32_t *cells)
{
    struct rte_ring_zc_data z;
    uint32_t n = 0, at = 0;
    uint32_t there =
        rte_ring_dequeue_zc_burst_elem_start(ring, STATS_LOG_CELL_BYTES, *cells, &z, NULL);

    if (there == 0)
        return 0;
    while (n < cap && at < there)
        at += take(&z, at, &records[n++]);
    base_assert(at <= there);
    rte_ring_dequeue_zc_elem_finish(ring, at);
    *cells -= at;
    return n;
}

uint32_t stats_log_pop(struct rte_ring *ring, struct stats_log_record *records, uint32_t cap)
{
    uint32_t cells = UINT32_MAX;

    return stats_log_pop_cells(ring, records, cap, &cells);
}
