#include "courier_start.h"
#include "base_time.h"
#include "courier_link.h"
#include "courier_journal.h"
#include "courier_plan.h"
#include "courier_hosts.h"
#include "courier_proxy.h"
#include "courier_requiretls.h"
#include "courier_requirement.h"
#include "courier_source.h"
#include "courier_shape.h"
#include "courier_suspend.h"
#include "courier_trace.h"
#include "smtp_client.h"

#include <stdio.h>

#include <rte_ring.h>

#define BURST    64
#define RETRY_NS BASE_NS_S

bool courier_may_start(const struct courier *c)
{
    return !c->draining && (c->free != NULL || c->delivery_cnt < CONF_DELIVERIES_MAX) &&
           c->active_cnt < c->limit && !stats_log_waits(&c->log);
}

struct delivery *courier_delivery_get(struct courier *c, const struct queue_job *job)
{
    struct delivery *d = c->free;

    if (d != NULL)
        c->free = d->next;
    else
        d = &c->deliveries[c->delivery_cnt++];
    c->active_cnt++;
    d->job = *job;
    d->host = (struct net_endpoint){0};
    d->host_name = NULL;
    d->stream = NULL;
    d->lmtp = d->return_path = d->delivered_to = false;
    d->plan = NULL;
    d->plan_try = 0;
    d->order = NULL;
    d->earlier.any = false;
    d->unasked = false;
    d->kept = false;
    d->kept_whole = false;
    d->keeps_offered = false;
    d->waived = false;
    d->requiretls_passed = false;
    d->sent_ns = c->now_ns;
    d->requirement = NULL;
    d->tls = DELIVERY_TLS_NOTHING;
    d->waits = false;
    d->source = (struct net_addr){0};
    d->ehlo[0] = 0;
    d->source_no = 0;
    d->source_cnt = 0;
    d->tls_session = TLSRPT_NOTHING;
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
    d->group = 0;
    d->group_connections = 0;
    d->connection_messages = 0;
    d->begun_ns = c->now_ns;
    d->shape_wait_ns = 0;
    d->shape_retried = false;
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
    const struct plan_order *o = d->order;
    uint32_t i = d->plan_try;

    return &o->target[i < o->even_cnt ? (d->plan_start + i) % o->even_cnt : i];
}

/* The one whose turn it is, or the next one behind it that may have the message; NULL: none. */
static const struct plan_target *find_target(struct delivery *d)
{
    for (; d->plan_try < d->order->target_cnt; d->plan_try++) {
        const struct plan_target *target = target_of(d);
        d->requirement = courier_requiretls_of(d, target->host);
        if (d->requirement != NULL)
            return target;
    }
    return NULL;
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

/* A source for the next host, or for one behind it that a source may be used for. Otherwise it
 * ends, by what the hosts before have said, or it waits. */
static const struct plan_target *find_source(struct courier *c, struct delivery *d,
                                             const struct settings_route *route)
{
    struct courier_source_refusal why = {.enhanced = ""};
    const struct plan_target *target;

    base_assert(find_target(d) != NULL); /* looked for before */
    for (; (target = find_target(d)) != NULL; d->plan_try++)
        if (courier_source_choose(c, d, route, target, &why))
            return target;
    stats_inc(c->stats, STATS_COURIER_SOURCE_WAITS);
    d->waits = d->result_cnt == 0;
    if (d->waits) {
        end_all(c, d, why.enhanced, why.words);
        return NULL;
    }
    courier_hosts_end(d);
    if (!courier_source_again(c, d))
        courier_finish(c, d);
    return NULL;
}

static void send(struct courier *c, struct delivery *d)
{
    const struct settings_route *route = settings_route_find(c->settings, d->job.domain);
    const struct plan_target *target = find_source(c, d, route);
    if (target == NULL)
        return;

    d->host = target->endpoint;
    d->host_name = target->host->name[0] != 0 ? target->host->name : NULL;
    courier_requirement_fill(c, d, route);
    courier_link_fill(c, d, route, target);
    courier_proxy_fill(c, d, route->proxy);
    courier_source_fill(c, d);
    courier_shape_fill(d);
    courier_lanes_take(&c->lanes, d);
    d->sent_ns = c->now_ns;
    courier_trace_send(c, d);
    struct rte_ring *ring = topology_ring(c->topology, TOPOLOGY_COURIER_LANE, d->lane);
    if (rte_ring_sp_enqueue(ring, d) != 0) {
        d->unattempted = true;
        courier_lanes_put(&c->lanes, d);
        (void)courier_source_back(c, d);
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
    const char *enhanced, *words;

    courier_requiretls_choose(c, d);
    if (d->order->target_cnt > 0) {
        d->plan_start = (uint32_t)base_rand_below(&c->plans.rand, d->order->even_cnt);
        if (find_target(d) != NULL && !courier_shape_begin(c, d))
            return try_later(c, d, 0); /* due again as soon as its group may */
        if (find_target(d) != NULL)
            return send(c, d);
        d->unasked = courier_requiretls_never(d, &enhanced, &words);
        return end_all(c, d, enhanced, words);
    }
    switch ((enum plan_outcome)p->outcome) {
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
    if (d->plan == NULL || c->draining || d->plan_try + 1 >= d->order->target_cnt)
        return false;
    d->plan_try++;
    if (find_target(d) == NULL)
        return false;
    courier_hosts_note(c, d);
    stats_inc(c->stats, STATS_COURIER_NEXT_HOST);
    send(c, d);
    return true;
}

void courier_start_again(struct courier *c, struct delivery *d)
{
    send(c, d);
}

static void start(struct courier *c, const struct queue_job *job)
{
    /* Deliveries whose outcomes could not be journalled for long would all be made again after a
     * crash: there is a bound. */
    if (courier_journal_full(c, &job->id))
        return queue_put_back(c->queue, job, c->now_ns + RETRY_NS);
    courier_trace_job(c, job);
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
    if (!job->suspended)
        return end_all(c, d, "", "the next hop does not answer, and waits to be tried again");
    uint8_t name[QUEUE_DESTINATION_MAX];
    char words[DELIVERY_TEXT_MAX];
    size_t len = courier_plan_destination(c->settings, job->domain, name);
    const struct courier_suspension *s = courier_suspend_of(
        c, base_span_of(name, len), courier_shape_group(c, base_span_of(name, len), job->group));
    snprintf(words, sizeof(words), "suspended by the operator%s%.90s",
             s != NULL && s->reason[0] != 0 ? ": " : "", s != NULL ? s->reason : "");
    end_all(c, d, "", words);
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

    if (!courier_suspend_known(c))
        return ready;
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
