#include "stats_log.h"

#include <rte_ring_elem.h>

#define ROW(id, level, name, format) {level, name, format},
const struct stats_log_row stats_log_rows[STATS_LOG_EVENT_CNT] = {STATS_LOG_EVENTS(ROW)};
#undef ROW

void stats_log_push(struct stats_log *log, const struct stats_log_record *record)
{
    struct stats_log_record copy = *record;

    if (log->ring == NULL)
        return;
    copy.thread = log->thread;
    if (rte_ring_sp_enqueue_elem(log->ring, &copy, sizeof(copy)) != 0)
        stats_inc(log->stats, STATS_LOG_DROPPED);
}

uint32_t stats_log_pop(struct rte_ring *ring, struct stats_log_record *records, uint32_t cap)
{
    return rte_ring_sc_dequeue_burst_elem(ring, records, sizeof(*records), cap, NULL);
}
