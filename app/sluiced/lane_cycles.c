#include "lane_cycles.h"
#include "base_time.h"

#include <string.h>

static const enum stats_id counters[LANE_PART_CNT] = {
    [LANE_PART_RX] = STATS_LANE_CYCLES_RX,       [LANE_PART_NET_TCP] = STATS_LANE_CYCLES_NET_TCP,
    [LANE_PART_CONN] = STATS_LANE_CYCLES_CONN,   [LANE_PART_TLS] = STATS_LANE_CYCLES_TLS,
    [LANE_PART_RINGS] = STATS_LANE_CYCLES_RINGS, [LANE_PART_TIMERS] = STATS_LANE_CYCLES_TIMERS,
    [LANE_PART_TX] = STATS_LANE_CYCLES_TX,
};

static uint64_t sum(const uint64_t *of)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < LANE_PART_CNT; i++)
        n += of[i];
    return n;
}

void lane_cycles_begin(struct lane_cycles *c)
{
    c->from = c->since = rte_rdtsc();
    c->part = LANE_PART_TIMERS;
    /* Until a pass was seen that did something, all are looked at. */
    c->looked = c->turn++ % LANE_CYCLES_EACH == 0 || sum(c->seen) == 0;
    if (c->looked)
        memset(c->pass, 0, sizeof(c->pass));
}

/* All that is left goes to some counter, what is lost by rounding to one of them. */
static void share_out(struct lane_cycles *c, struct stats_block *stats)
{
    uint64_t total = sum(c->seen), rest = c->left;

    if (total == 0)
        return;
    for (uint32_t i = 0; i < LANE_PART_CNT; i++) {
        uint64_t share = (uint64_t)((unsigned __int128)c->left * c->seen[i] / total);
        stats_add(stats, counters[i], share);
        rest -= share;
        c->seen[i] -= c->seen[i] / 2;
    }
    stats_add(stats, STATS_LANE_CYCLES_TIMERS, rest);
    c->left = 0;
}

void lane_cycles_end(struct lane_cycles *c, struct stats_block *stats, bool worked, uint64_t now_ns)
{
    lane_cycles_enter(c, LANE_PART_TIMERS);
    uint64_t took = (c->looked ? c->since : rte_rdtsc()) - c->from;

    stats_add(stats, worked ? STATS_LANE_CYCLES_BUSY : STATS_LANE_CYCLES_IDLE, took);
    if (worked) {
        c->left += took;
        for (uint32_t i = 0; i < LANE_PART_CNT && c->looked; i++)
            c->seen[i] += c->pass[i];
    }
    if (c->left > 0 && now_ns - c->shared_ns >= LANE_CYCLES_SHARE_NS) {
        share_out(c, stats);
        c->shared_ns = now_ns;
    }
}
