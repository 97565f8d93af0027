#include "resolver.h"
#include "base_time.h"

#include <rte_ring.h>

#define BURST    32
#define RETRY_NS BASE_NS_MS /* while an asker's ring is full */

/* ---- the askers' side ---- */

static struct rte_ring *asks(const struct topology *t, enum topology_thread thread, uint32_t number)
{
    enum topology_link_id id = thread == TOPOLOGY_LANE      ? TOPOLOGY_LANE_RESOLVER
                               : thread == TOPOLOGY_COURIER ? TOPOLOGY_COURIER_RESOLVER
                                                            : TOPOLOGY_CONTROL_RESOLVER;

    return topology_ring(t, id, number);
}

static struct rte_ring *answers(const struct topology *t, enum topology_thread thread,
                                uint32_t number)
{
    enum topology_link_id id = thread == TOPOLOGY_LANE      ? TOPOLOGY_RESOLVER_LANE
                               : thread == TOPOLOGY_COURIER ? TOPOLOGY_RESOLVER_COURIER
                                                            : TOPOLOGY_RESOLVER_CONTROL;

    return topology_ring(t, id, number);
}

bool resolver_ask(struct topology *t, enum topology_thread thread, uint32_t number,
                  struct dns_query *q)
{
    base_assert(q->done != NULL && q->timeout_ns > 0 && q->name[0] != 0);
    if (rte_ring_sp_enqueue(asks(t, thread, number), q) != 0)
        return false;
    doorbell_ring(&t->resolver_bell);
    return true;
}

uint32_t resolver_answers(struct topology *t, enum topology_thread thread, uint32_t number)
{
    struct dns_query *q[BURST];
    uint32_t n = rte_ring_sc_dequeue_burst(answers(t, thread, number), (void **)q, BURST, NULL);

    for (uint32_t i = 0; i < n; i++)
        q[i]->done(q[i]);
    return n;
}

/* ---- the resolver's ---- */

void resolver_init(struct resolver *r, struct topology *topology, struct dns_resolver driver)
{
    *r = (struct resolver){
        .topology = topology,
        .driver = driver,
        .stats = topology_stats(topology, TOPOLOGY_RESOLVER, 0),
    };
    for (size_t i = 0; i < BASE_ARRAY_CNT(r->back); i++)
        base_list_init(&r->back[i]);
}

/* Lanes, then courier, then control. */
static enum topology_thread thread_of(const struct topology *t, uint32_t owner)
{
    return owner < t->lane_cnt    ? TOPOLOGY_LANE
           : owner == t->lane_cnt ? TOPOLOGY_COURIER
                                  : TOPOLOGY_CONTROL;
}

static uint32_t number_of(const struct topology *t, uint32_t owner)
{
    return owner < t->lane_cnt ? owner : 0;
}

static struct doorbell *bell_of(struct topology *t, uint32_t owner)
{
    return owner < t->lane_cnt    ? &t->lane_bell[owner]
           : owner == t->lane_cnt ? &t->courier_bell
                                  : &t->control_bell;
}

static uint32_t take(struct resolver *r, uint32_t owner, uint64_t now_ns)
{
    const struct topology *t = r->topology;
    struct dns_query *q[BURST];
    uint32_t n = rte_ring_sc_dequeue_burst(asks(t, thread_of(t, owner), number_of(t, owner)),
                                           (void **)q, BURST, NULL);

    for (uint32_t i = 0; i < n; i++) {
        q[i]->owner = (uint16_t)owner;
        q[i]->taken_ns = now_ns;
        stats_inc(r->stats, STATS_DNS_QUERIES);
        r->driver.ops->submit(r->driver.state, q[i], now_ns);
    }
    return n;
}

static void count(struct resolver *r, const struct dns_answer *a)
{
    static const enum stats_id of_error[DNS_STATUS_CNT] = {
        [DNS_BOGUS] = STATS_DNS_BOGUS,
        [DNS_SERVFAIL] = STATS_DNS_SERVFAIL,
        [DNS_TIMEOUT] = STATS_DNS_TIMEOUT,
        [DNS_FAILED] = STATS_DNS_FAILED,
    };

    if (dns_status_is_error(a->status))
        stats_inc(r->stats, of_error[a->status]);
    else
        stats_inc(r->stats, a->secure ? STATS_DNS_SECURE : STATS_DNS_INSECURE);
}

/* As many as its ring has room for. */
static uint32_t give_back(struct resolver *r, uint32_t owner)
{
    struct topology *t = r->topology;
    struct rte_ring *ring = answers(t, thread_of(t, owner), number_of(t, owner));
    struct base_list *node;
    uint32_t n = 0;

    while (!base_list_empty(&r->back[owner]) && rte_ring_free_count(ring) > 0) {
        node = base_list_pop_front(&r->back[owner]);
        struct dns_query *q = base_container_of(node, struct dns_query, node);
        base_assert(rte_ring_sp_enqueue(ring, q) == 0);
        r->back_cnt--;
        n++;
    }
    if (n > 0)
        doorbell_ring(bell_of(t, owner));
    return n;
}

bool resolver_pass(struct resolver *r, uint64_t now_ns)
{
    struct dns_query *done[BURST];
    uint32_t owner_cnt = r->topology->lane_cnt + 2, work = 0;

    for (uint32_t owner = 0; owner < owner_cnt; owner++)
        work += take(r, owner, now_ns);
    uint32_t n = r->driver.ops->poll(r->driver.state, done, BURST, now_ns);
    for (uint32_t i = 0; i < n; i++) {
        count(r, &done[i]->answer);
        stats_record(r->stats, STATS_HISTOGRAM_DNS_ANSWER, now_ns - done[i]->taken_ns);
        base_list_push_back(&r->back[done[i]->owner], &done[i]->node);
        r->back_cnt++;
    }
    for (uint32_t owner = 0; owner < owner_cnt && r->back_cnt > 0; owner++)
        work += give_back(r, owner);
    return work + n > 0;
}

uint64_t resolver_deadline(const struct resolver *r, uint64_t now_ns)
{
    uint64_t next = r->driver.ops->deadline(r->driver.state);

    return r->back_cnt > 0 && next > now_ns + RETRY_NS ? now_ns + RETRY_NS : next;
}
