#include "capture.h"
#include "base_lines.h"
#include "lane.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_ring.h>

int lane_watch_init(struct lane *l)
{
    l->watch.word_cnt = (l->conns.object_cnt + 63) / 64;
    l->watch.used = base_lines_new(l->watch.word_cnt * sizeof(uint64_t));
    return l->watch.used != NULL ? 0 : -ENOMEM;
}

void lane_watch_fini(struct lane *l)
{
    free(l->watch.used);
    l->watch.used = NULL;
}

void lane_watch_enter(struct lane *l, struct conn *c)
{
    uint32_t i = base_pool_index(&l->conns, c);

    base_assert((l->watch.used[i / 64] >> (i % 64) & 1) == 0);
    l->watch.used[i / 64] |= UINT64_C(1) << (i % 64);
    if (++l->watch.serial == 0)
        l->watch.serial = 1;
    c->serial = l->watch.serial;
    c->opened_ns = l->now_ns;
}

void lane_watch_leave(struct lane *l, const struct conn *c)
{
    uint32_t i = base_pool_index(&l->conns, c);

    base_assert((l->watch.used[i / 64] >> (i % 64) & 1) != 0);
    l->watch.used[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

static void look(struct lane_ask *ask, struct conn *c)
{
    struct conn_known known;

    if (c->link == NULL)
        return; /* it has ended, and waits for the spool alone */
    conn_known_fill(&known, c);
    if (!conn_filter_match(&ask->filter, &known))
        return;
    if (ask->kind == LANE_ASK_LIST)
        conn_row_fill(&ask->row[ask->row_cnt++], c);
    else if (conn_kick(c))
        ask->closed_cnt++;
    else
        ask->spared_cnt++;
}

/* The next connection from the place on, within some words of the bitmap; NULL: none there. */
static struct conn *next(struct lane *l, struct lane_ask *ask, uint32_t *words)
{
    struct lane_watch *w = &l->watch;

    while (*words > 0 && ask->slot / 64 < w->word_cnt) {
        uint64_t rest = w->used[ask->slot / 64] >> (ask->slot % 64);
        if (rest == 0) {
            ask->slot = (ask->slot / 64 + 1) * 64;
            (*words)--;
            continue;
        }
        ask->slot += (uint32_t)__builtin_ctzll(rest);
        return base_pool_at(&l->conns, ask->slot++);
    }
    return NULL;
}

static void answer(struct lane *l, bool more)
{
    struct lane_ask *ask = l->watch.ask;

    l->watch.ask = NULL;
    ask->more = more;
    /* Control has fewer questions than the ring has places. */
    base_assert(rte_ring_sp_enqueue(topology_ring(l->topology, TOPOLOGY_LANE_CONTROL, l->number),
                                    ask) == 0);
    doorbell_ring(&l->topology->control_bell);
}

void lane_watch_frames(struct lane *l, struct rte_mbuf *const *frames, uint32_t cnt, uint8_t port,
                       bool outbound)
{
    for (uint32_t i = 0; i < cnt; i++)
        switch (capture_ring_put(l->watch.capture, frames[i], port, outbound, l->wall_ns)) {
        case CAPTURE_NOT_MEANT:
            break;
        case CAPTURE_COPIED:
            stats_inc(l->stats, STATS_LANE_CAPTURED);
            break;
        case CAPTURE_DROPPED:
            stats_inc(l->stats, STATS_LANE_CAPTURE_DROPPED);
        }
}

void lane_watch_leaving(void *arg, struct rte_mbuf *const *frames, uint32_t cnt)
{
    const struct lane_port *on = arg;

    lane_watch_frames(on->lane, frames, cnt, (uint8_t)on->number, true);
}

static void take_capture(struct lane *l)
{
    l->watch.capture = l->watch.ask->capture;
    stats_set(l->stats, STATS_LANE_CAPTURING, l->watch.capture != NULL);
    for (uint32_t i = 0; i < l->port_cnt; i++)
        net_watch(l->ports[i].net, l->watch.capture != NULL);
    answer(l, false);
}

uint32_t lane_watch_pass(struct lane *l)
{
    struct rte_ring *ring = topology_ring(l->topology, TOPOLOGY_CONTROL_LANE, l->number);
    uint32_t words = LANE_WATCH_WORDS;

    if (l->watch.ask == NULL && rte_ring_sc_dequeue(ring, (void **)&l->watch.ask) != 0)
        return 0;
    struct lane_ask *ask = l->watch.ask;
    if (ask->kind == LANE_ASK_CAPTURE) {
        take_capture(l);
        return 1;
    }
    for (uint32_t looks = LANE_WATCH_LOOKS; looks > 0; looks--) {
        if (ask->kind == LANE_ASK_LIST && ask->row_cnt == ask->row_cap) {
            answer(l, true);
            return 1;
        }
        struct conn *c = next(l, ask, &words);
        if (c == NULL)
            break;
        look(ask, c);
    }
    if (ask->slot / 64 >= l->watch.word_cnt)
        answer(l, false);
    return 1;
}
