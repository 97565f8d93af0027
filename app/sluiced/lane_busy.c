#include "lane_busy.h"

#include "lane.h"

void lane_busy_burst(struct lane_busy *b, uint32_t cnt)
{
    b->full = b->full || cnt >= LANE_BURST;
}

/* Begins with a quarter of them, ends with three eighths: not in and out by turns. */
static bool buffers_short(const struct lane *l)
{
    uint32_t few = l->bufs.buf_cnt / 4;

    return l->bufs.free_cnt < (l->busy.buffers ? few + few / 2 : few);
}

void lane_busy_pass(struct lane *l)
{
    struct lane_busy *b = &l->busy;

    if (!b->full)
        b->waits_since_ns = 0;
    else if (b->waits_since_ns == 0)
        b->waits_since_ns = l->now_ns;
    b->full = false;
    b->buffers = buffers_short(l);
    /* Not what a flood brings: there is mail under way. */
    bool mail = l->bufs.buf_cnt - l->bufs.free_cnt > l->bufs.buf_cnt / 16;
    bool waits = mail && b->waits_since_ns != 0 && l->now_ns - b->waits_since_ns >= LANE_BUSY_NS;
    bool was = b->refuses;
    b->refuses = b->buffers || waits;
    if (b->refuses && !was)
        stats_inc(l->stats, STATS_CONN_BUSY_BEGUN);
    stats_set(l->stats, STATS_CONN_BUSY, b->refuses);
}
