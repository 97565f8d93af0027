#include "lane_busy.h"

#include "base_time.h"
#include "conn.h"
#include "lane.h"

void lane_busy_burst(struct lane_busy *b, uint32_t cnt)
{
    b->full = b->full || cnt >= LANE_BURST;
}

/* Begins with a quarter of them, ends with three eighths: not in and out by turns. */
static bool buffers_short(const struct lane *l)
{
    uint32_t few = l->bufs.buf_cnt / 4;

    return l->bufs.free_cnt < (l->busy.short_ns > 0 ? few + few / 2 : few);
}

/* Ends with a quarter less. */
static bool is_many(const struct lane *l, uint32_t cnt, bool was)
{
    uint32_t many = l->bufs.buf_cnt / 16;

    return cnt > (was ? many - many / 4 : many);
}

static uint64_t at_most(uint64_t ns, uint64_t most_ns)
{
    return ns < most_ns ? ns : most_ns;
}

void lane_busy_pass(struct lane *l)
{
    struct lane_busy *b = &l->busy;
    uint64_t since_ns = l->now_ns - b->pass_ns;
    bool was = b->why != NULL;

    b->pass_ns = l->now_ns;
    b->waits_ns = b->full ? b->waits_ns + at_most(since_ns, LANE_BUSY_STEP_NS) : 0;
    b->short_ns = buffers_short(l) ? b->short_ns + at_most(since_ns, LANE_BUSY_LOOK_NS) : 0;
    b->full = false;
    b->many = is_many(l, l->transaction_cnt + l->commit_cnt, b->many);
    b->many_ended = is_many(l, l->commit_cnt, b->many_ended);
    b->why = NULL;
    if (b->many_ended && b->short_ns >= LANE_BUSY_SHORT_NS)
        b->why = "busy: few spool buffers are left";
    else if (b->many && b->waits_ns >= LANE_BUSY_WAITS_NS)
        b->why = "busy: frames wait";
    if (b->why != NULL && !was)
        stats_inc(l->stats, STATS_CONN_BUSY_BEGUN);
    stats_set(l->stats, STATS_CONN_BUSY, b->why != NULL);
}

uint64_t lane_busy_deadline(const struct lane *l)
{
    return l->busy.short_ns > 0 ? l->now_ns + LANE_BUSY_LOOK_NS / 2 : BASE_NS_NONE;
}

const char *lane_busy_refuses(const struct conn *c)
{
    const char *why = c->lane->busy.why;

    if (why == NULL || c->listener->conf->kind != CONF_KIND_MX)
        return NULL;
    stats_inc(c->lane->stats, STATS_CONN_REFUSED_BUSY);
    return why;
}
