#include "stats_log.h"

#include <stdlib.h>

#include <rte_ring_elem.h>

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
    log->waiting[log->at + log->cnt++] = *record;
}

void stats_log_push(struct stats_log *log, struct stats_log_record *record)
{
    if (log->ring == NULL)
        return;
    bool kept = !log->unattended && stats_log_kept((enum stats_log_event)record->event);
    uint32_t share = record->event == STATS_LOG_TRACE ? 2 : 4;
    uint32_t spare = log->reserved + (kept ? 0 : rte_ring_get_capacity(log->ring) / share);
    record->thread = log->thread;
    if (!(kept && log->cnt > 0) && rte_ring_free_count(log->ring) > spare &&
        rte_ring_sp_enqueue_elem(log->ring, record, sizeof(*record)) == 0)
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
    if (rte_ring_free_count(log->ring) < log->reserved + cnt)
        return false;
    log->reserved += cnt;
    return true;
}

void stats_log_unreserve(struct stats_log *log, uint32_t cnt)
{
    if (log->ring == NULL || log->unattended)
        return;
    base_assert(log->reserved >= cnt);
    log->reserved -= cnt;
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
        if (rte_ring_sp_enqueue_elem(log->ring, first, sizeof(*first)) != 0)
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

uint32_t stats_log_pop(struct rte_ring *ring, struct stats_log_record *records, uint32_t cap)
{
    return rte_ring_sc_dequeue_burst_elem(ring, records, sizeof(*records), cap, NULL);
}
