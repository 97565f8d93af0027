#include "courier_start.h"
#include "base_time.h"
#include "courier_plan.h"
#include "courier_proxy.h"
#include "courier_requirement.h"
#include "smtp_client.h"

#include <stdio.h>

#include <rte_ring.h>

#define BURST    64
#define RETRY_NS BASE_NS_S

bool courier_may_start(const struct courier *c)
{
    return !c->draining && c->free != NULL && c->active_cnt < c->limit && !stats_log_waits(&c->log);
}

struct delivery *courier_delivery_get(struct courier *c, const struct queue_job *job)
{
    struct delivery *d = c->free;

    c->free = d->next;
    c->active_cnt++;
    d->job = *job;
    d->host = (struct net_endpoint){0};
    d->host_name = NULL;
    d->plan = NULL;
    d->plan_try = 0;
    d->sent_ns = c->now_ns;
    d->requirement = NULL;
    d->tls = DELIVERY_TLS_NOTHING;
    d->unattempted = false;
    d->refused = false;
    d->next_host = false;
    d->fatal = false;
    d->probe = false;
    d->request = NULL;
    d->verify = NULL;
    d->login = 0;
    d->auth_trouble = SMTP_CLIENT_AUTH_FINE;
    d->dsn_passed_on = false;
    d->result_cnt = 0;
    return d;
}

/* All recipients get the same words of ours. */
static void end_all(struct courier *c, struct delivery *d, const char *enhanced, const char *words)
{
    struct delivery_result r = {0};
    int n = snprintf(r.text, sizeof(r.text), "%s", words);

    r.text_len = (uint8_t)((size_t)n < sizeof(r.text) ? (size_t)n : sizeof(r.text) - 1);
    snprintf(r.enhanced, sizeof(r.enhanced), "%s", enhanced);
    d->result_cnt = d->job.recipient_cnt;
    for (uint32_t i = 0; i < d->result_cnt; i++)
        d->result[i] = r;
    courier_finish(c, d);
}

/* The hosts that are as good as each other come by turns, from one of chance on; the rest in their
 * order. */
static const struct plan_target *target_of(const struct delivery *d)
{
    const struct courier_plan *p = d->plan;
    uint32_t i = d->plan_try;

    return &p->target[i < p->even_cnt ? (d->plan_start + i) % p->even_cnt : i];
}

/* Nothing was tried: later then. Who asked hears that there is no answer. */
static void try_later(struct courier *c, struct delivery *d, uint64_t wait_ns)
{
    if (d->verify != NULL) {
        d->unattempted = true;
        courier_verify_done(c, d);
    } else {
        queue_put_back(c->queue, &d->job, c->now_ns + wait_ns);
    }
    courier_delivery_put(c, d);
}

static void send(struct courier *c, struct delivery *d)
{
    const struct plan_target *target = target_of(d);
    const struct dane_requirement *r = &target->host->requirement;

    d->host = target->endpoint;
    d->host_name = target->host->name[0] != 0 ? target->host->name : NULL;
    d->requirement = r;
    const struct settings_route *route = settings_route_find(c->settings, d->job.domain);
    courier_requirement_fill(c, d, route);
    courier_proxy_fill(c, d, route->proxy);
    courier_lanes_take(&c->lanes, d);
    d->sent_ns = c->now_ns;
    struct rte_ring *ring = topology_ring(c->topology, TOPOLOGY_COURIER_LANE, d->lane);
    if (rte_ring_sp_enqueue(ring, d) != 0) {
        d->unattempted = true;
        courier_lanes_put(&c->lanes, d);
        return try_later(c, d, BASE_NS_MS);
    }
    if (d->verify == NULL)
        stats_inc(c->stats, STATS_COURIER_DELIVERIES);
    doorbell_ring(&c->topology->lane_bell[d->lane]);
}

/* It has a plan that is made, or that will not be in time. */
static void go(struct courier *c, struct delivery *d)
{
    const struct courier_plan *p = d->plan;

    switch ((enum plan_outcome)p->outcome) {
    case PLAN_READY:
        d->plan_start = (uint32_t)base_rand_below(&c->plans.rand, p->even_cnt);
        return send(c, d);
    case PLAN_FAIL:
        d->fatal = true;
        stats_inc(c->stats, STATS_COURIER_PLAN_FAILED);
        return end_all(c, d, p->enhanced, p->words);
    case PLAN_DEFER:
        stats_inc(c->stats, STATS_COURIER_PLAN_DEFERRED);
        return end_all(c, d, p->enhanced, p->words);
    default: /* the gateway goes down, or has other settings */
        try_later(c, d, c->draining ? RETRY_NS : 0);
    }
}

bool courier_start_next(struct courier *c, struct delivery *d)
{
    if (d->plan == NULL || c->draining || d->plan_try + 1 >= d->plan->target_cnt)
        return false;
    d->plan_try++;
    stats_inc(c->stats, STATS_COURIER_NEXT_HOST);
    send(c, d);
    return true;
}

static void start(struct courier *c, const struct queue_job *job)
{
    /* Deliveries whose outcomes could not be journalled for long would all be made again after a
     * crash: there is a bound. */
    if (courier_journal_full(c, &job->id))
        return queue_put_back(c->queue, job, c->now_ns + RETRY_NS);
    struct delivery *d = courier_delivery_get(c, job);
    if (courier_plan_take(c, d))
        go(c, d);
}

void courier_start_verify(struct courier *c, const struct queue_job *job,
                          struct policy_verify_entry *entry, struct base_span mailbox)
{
    struct delivery *d = courier_delivery_get(c, job);

    base_assert(job->message == NULL && job->recipient_cnt == 1);
    d->verify = entry;
    d->verify_mailbox = mailbox;
    if (!courier_plan_take(c, d))
        return;
    d->next = c->plans.ready;
    c->plans.ready = d;
}

/* An alias whose targets are recipients of their own: all there is to do is to tell its sender. */
static void expanded(struct courier *c, const struct queue_job *job)
{
    static const char words[] = "expanded: its targets are recipients of their own";
    struct delivery *d = courier_delivery_get(c, job);

    d->result_cnt = job->recipient_cnt;
    for (uint32_t i = 0; i < d->result_cnt; i++) {
        d->result[i] = (struct delivery_result){.code = 250, .text_len = sizeof(words) - 1};
        memcpy(d->result[i].text, words, sizeof(words) - 1);
    }
    courier_finish(c, d);
}

/* The next hop is set aside, and what waits for it has to hear of that: an end without a try. */
static void not_started(struct courier *c, const struct queue_job *job)
{
    struct delivery *d = courier_delivery_get(c, job);

    d->host = settings_route_find(c->settings, job->domain)->host;
    end_all(c, d, "", "the next hop does not answer, and waits to be tried again");
}

static uint32_t send_ready(struct courier *c)
{
    uint32_t n = 0;

    if (c->draining)
        courier_plans_flush(c);
    for (; c->plans.ready != NULL; n++) {
        struct delivery *d = c->plans.ready;
        c->plans.ready = d->next;
        go(c, d);
    }
    return n;
}

uint32_t courier_start_due(struct courier *c)
{
    uint32_t n = 0, ready = courier_plans_run(c) + send_ready(c);
    struct queue_job job;

    for (; n < BURST && courier_may_start(c); n++) {
        if (!queue_next(c->queue, &job, c->now_ns))
            break;
        if (job.set_aside)
            not_started(c, &job);
        else if (job.expanded)
            expanded(c, &job);
        else
            start(c, &job);
    }
    return n + ready;
}
