#include "spooler.h"
#include "base_time.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

int spooler_init(struct spooler *s, struct topology *topology, uint32_t index, struct spool *spool)
{
    memset(s, 0, sizeof(*s));
    s->topology = topology;
    s->spool = spool;
    s->index = index;
    s->stats = topology_stats(topology, TOPOLOGY_SPOOLER, index);
    if (topology_number_spool(topology, index, spool_number(spool)) != 0)
        return -EEXIST;
    s->source_cnt = topology->lane_cnt + 1;
    s->source = aligned_alloc(64, s->source_cnt * sizeof(s->source[0]));
    if (s->source == NULL)
        return -ENOMEM;
    memset(s->source, 0, s->source_cnt * sizeof(s->source[0]));
    for (uint32_t i = 0; i < topology->lane_cnt; i++)
        s->source[i].ring = topology_ring_to_spool(topology, i, index);
    s->source[topology->lane_cnt].ring = topology_ring(topology, TOPOLOGY_COURIER_SPOOLER, index);
    return 0;
}

static const char closed_why[] = "spool takes no new mail: spool: accept = no";

void spooler_close(struct spooler *s)
{
    s->closed = true;
    atomic_store_explicit(&s->topology->spool[s->index].refusal, closed_why, memory_order_relaxed);
}

void spooler_fini(struct spooler *s)
{
    /* Arrivals that nobody took: the messages are on disk. */
    for (uint32_t i = s->done_next; i < s->done_cnt; i++)
        if (s->done[i].op == SPOOL_ARRIVED)
            spool_arrival_free(s->done[i].arrival);
    free(s->source);
    s->source = NULL;
}

/* Moves what has come into the spool. Returns the number of entries it took; stops when the spool
 * has enough. */
static uint32_t drain(struct spooler *s)
{
    uint32_t taken = 0;

    uint32_t first = s->first;

    base_assert(s->source_cnt > 0);
    s->first = (first + 1) % s->source_cnt; /* also when the spool has enough before the last one */
    for (uint32_t i = 0; i < s->source_cnt; i++) {
        struct spooler_source *src = &s->source[(first + i) % s->source_cnt];
        if (src->next == src->cnt) {
            src->next = 0;
            src->cnt = rte_ring_sc_dequeue_burst_elem(src->ring, src->entry, sizeof(src->entry[0]),
                                                      SPOOLER_BURST, NULL);
        }
        for (; src->next < src->cnt; src->next++, taken++)
            if (spool_push(s->spool, &src->entry[src->next]) != 0) {
                stats_inc(s->stats, STATS_SPOOLER_BACKPRESSURE);
                return taken;
            }
    }
    return taken;
}

static struct rte_ring *target(struct spooler *s, const struct spool_done *done,
                               struct doorbell **bell)
{
    struct topology *t = s->topology;

    if (done->to == SPOOL_TO_COURIER) {
        *bell = &t->courier_bell;
        return topology_ring(t, TOPOLOGY_SPOOLER_COURIER, s->index);
    }
    base_assert(done->to < t->lane_cnt);
    *bell = &t->lane_bell[done->to];
    return topology_ring_from_spool(t, done->to, s->index);
}

/* Carries completions out, in order; one whose ring is full holds up those behind it. */
static uint32_t tell(struct spooler *s)
{
    uint32_t told = 0;
    struct doorbell *last = NULL, *bell;

    for (;;) {
        if (s->done_next == s->done_cnt) {
            s->done_next = 0;
            s->done_cnt = spool_poll(s->spool, s->done, SPOOLER_BURST);
            if (s->done_cnt == 0)
                break;
        }
        struct rte_ring *ring = target(s, &s->done[s->done_next], &bell);
        if (rte_ring_sp_enqueue_elem(ring, &s->done[s->done_next], sizeof(s->done[0])) != 0)
            break;
        if (last != NULL && last != bell)
            doorbell_ring(last);
        last = bell;
        s->done_next++;
        told++;
    }
    if (last != NULL)
        doorbell_ring(last);
    return told;
}

bool spooler_pass(struct spooler *s, uint64_t now_ns)
{
    const char *why = NULL;
    uint32_t work = drain(s);

    s->now_ns = now_ns;
    spool_run(s->spool, now_ns);
    work += tell(s);
    if (spool_accepting(s->spool, &why))
        why = s->closed ? closed_why : NULL;
    if (topology_spool_refusal(s->topology, s->index) != why)
        atomic_store_explicit(&s->topology->spool[s->index].refusal, why, memory_order_relaxed);
    return work > 0;
}

uint64_t spooler_deadline(const struct spooler *s)
{
    uint64_t at = spool_deadline(s->spool);

    /* A completion whose ring is full: its reader rings no bell for the room it makes. */
    if (s->done_next < s->done_cnt && s->now_ns + BASE_NS_MS < at)
        at = s->now_ns + BASE_NS_MS;
    return at;
}

bool spooler_settled(const struct spooler *s)
{
    for (uint32_t i = 0; i < s->source_cnt; i++)
        if (s->source[i].next < s->source[i].cnt || rte_ring_count(s->source[i].ring) > 0)
            return false;
    return spool_settled(s->spool);
}

bool spooler_idle(const struct spooler *s)
{
    return spooler_settled(s) && s->done_next == s->done_cnt && spool_idle(s->spool);
}
