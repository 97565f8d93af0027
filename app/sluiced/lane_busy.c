#include "lane_busy.h"

#include "base_time.h"
#include "conn_message.h"
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
static bool is_many(uint32_t cnt, uint32_t many, bool was)
{
    return cnt > (was ? many - many / 4 : many);
}

static void next_slot(struct lane_busy *b)
{
    uint32_t *oldest = &b->young[++b->slot % LANE_BUSY_YOUNG_CNT];

    b->young_cnt -= *oldest;
    *oldest = 0;
    b->admitted -= (b->admitted + 7) / 8;
    b->brought -= (b->brought + 7) / 8;
}

/* How many of the young will bring a message, going by those before them. */
static uint32_t promised(const struct lane_busy *b)
{
    return b->brought >= b->admitted ? b->young_cnt
                                     : (uint32_t)(b->young_cnt * b->brought / b->admitted);
}

/* Who has been in for long is young no more. */
static void age(struct lane_busy *b, uint64_t now_ns)
{
    uint64_t gone = (now_ns - b->slot_ns) / LANE_BUSY_YOUNG_NS;

    if (gone == 0)
        return;
    b->slot_ns += gone * LANE_BUSY_YOUNG_NS;
    for (uint64_t i = 0; i < gone && i < LANE_BUSY_SLOT_MAX; i++)
        next_slot(b);
}

void lane_busy_admit(struct conn *c)
{
    struct lane_busy *b = &c->lane->busy;

    c->in.let_in = b->slot;
    b->young[b->slot % LANE_BUSY_YOUNG_CNT]++;
    b->young_cnt++;
    b->admitted += LANE_BUSY_ONE;
}

void lane_busy_settle(struct conn *c, bool begins)
{
    struct lane_busy *b = &c->lane->busy;
    uint32_t slot = c->in.let_in;

    c->in.let_in = 0;
    if (slot != 0 && begins)
        b->brought += LANE_BUSY_ONE;
    if (slot == 0 || b->slot - slot >= LANE_BUSY_YOUNG_CNT)
        return;
    b->young[slot % LANE_BUSY_YOUNG_CNT]--;
    b->young_cnt--;
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
    if (b->full)
        b->waits_ns = at_most(b->waits_ns + at_most(since_ns, LANE_BUSY_STEP_NS),
                              LANE_BUSY_WAITS_NS + LANE_BUSY_STAYS_NS);
    else
        b->waits_ns -= at_most(since_ns, b->waits_ns);
    b->waited = b->waits_ns >= LANE_BUSY_WAITS_NS || (b->waited && b->waits_ns > 0);
    age(b, l->now_ns);
    b->short_ns = buffers_short(l) ? b->short_ns + at_most(since_ns, LANE_BUSY_LOOK_NS) : 0;
    b->full = false;
    uint32_t begun = l->transaction_cnt + promised(b);
    b->many = is_many(begun + l->commit_cnt, l->bufs.buf_cnt / 8 * 3, b->many);
    b->many_ended = is_many(l->commit_cnt, l->bufs.buf_cnt / 16, b->many_ended);
    b->why = NULL;
    if (b->many_ended && b->short_ns >= LANE_BUSY_SHORT_NS)
        b->why = "busy: few spool buffers are left";
    else if (b->many && b->waited)
        b->why = "busy: frames wait";
    else if (b->waited && begun >= conn_message_max(l))
        b->why = "busy: no room for another message";
    if (b->why != NULL && !was)
        stats_inc(l->stats, STATS_CONN_BUSY_BEGUN);
    stats_set(l->stats, STATS_CONN_BUSY, b->why != NULL);
}

uint64_t lane_busy_deadline(const struct lane *l)
{
    const struct lane_busy *b = &l->busy;
    uint64_t end_ns = b->waited ? l->now_ns + b->waits_ns : BASE_NS_NONE;
    uint64_t look_ns = b->short_ns > 0 ? l->now_ns + LANE_BUSY_LOOK_NS / 2 : BASE_NS_NONE;

    return look_ns < end_ns ? look_ns : end_ns;
}

const char *lane_busy_refuses(const struct conn *c)
{
    const char *why = c->lane->busy.why;

    if (why == NULL || c->listener->conf->kind != CONF_KIND_MX)
        return NULL;
    stats_inc(c->lane->stats, STATS_CONN_REFUSED_BUSY);
    return why;
}
