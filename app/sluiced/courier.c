#include "courier_hosts.h"
#include "courier.h"
#include "base_assert.h"
#include "base_siphash.h"
#include "base_time.h"
#include "courier_advice.h"
#include "courier_bounce.h"
#include "courier_cat.h"
#include "courier_command.h"
#include "courier_control.h"
#include "courier_journal.h"
#include "courier_log.h"
#include "courier_probe.h"
#include "courier_report.h"
#include "courier_start.h"
#include "courier_tlsrpt.h"
#include "resolver.h"
#include "spool_status.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

#define HOST_LOG_NS    (20 * BASE_NS_MS) /* a line, and so many at once */
#define HOST_LOG_BURST 200
#define BURST          64
#define RETRY_NS       BASE_NS_S
#define LOG_WAIT_NS    (5 * BASE_NS_MS)

static size_t destination(void *user, struct base_span domain, uint8_t out[QUEUE_DESTINATION_MAX])
{
    const struct courier *c = user;

    return courier_plan_destination(c->settings, domain, out);
}

static struct queue_config queue_config_of(struct courier *c, uint64_t seed)
{
    const struct conf_queue *conf = &c->settings->conf->queue;

    return (struct queue_config){
        .backoff_min_ns = conf->backoff_min_ns,
        .backoff_max_ns = conf->backoff_max_ns,
        .lifetime_ns = conf->lifetime_ns,
        .warn_after_ns = conf->warn_after_ns,
        .destination_max = (uint32_t)conf->destination_deliveries,
        .job_max = (uint32_t)conf->deliveries,
        .seed = seed,
        .destination = destination,
        .group = courier_shape_group,
        .user = c,
    };
}

int courier_init(struct courier *c, struct topology *topology, struct settings_hub *hub,
                 const uint8_t secret[16])
{
    *c = (struct courier){.topology = topology, .hub = hub};
    c->settings = settings_current(hub);
    c->generation = c->settings->generation;
    c->stats = topology_stats(topology, TOPOLOGY_COURIER, 0);
    c->log = topology_log(topology, TOPOLOGY_COURIER, 0);
    c->log.keep = true;
    for (uint32_t i = 0; i < topology->spool_cnt; i++) {
        struct courier_spool *s = &c->spool[i];
        s->to = topology_ring(topology, TOPOLOGY_COURIER_SPOOLER, i);
        s->from = topology_ring(topology, TOPOLOGY_SPOOLER_COURIER, i);
        base_list_init(&s->outbox);
        base_list_init(&s->sent);
        base_list_init(&s->retry);
    }
    memcpy(c->secret, secret, sizeof(c->secret));
    https_init(&c->https, topology, c->stats);
    c->https.permits = courier_plan_permits;
    c->https.user = c;
    c->host_log = (struct base_limit){.interval_ns = HOST_LOG_NS, .burst = HOST_LOG_BURST};
    int error = courier_bounce_init(c);
    if (error == 0)
        error = courier_verify_init(c);
    courier_suspend_init(c);
    if (error == 0)
        error = courier_sources_init(c);
    if (error == 0)
        error = courier_sts_init(c);
    if (error == 0)
        error = courier_shape_init(c);
    if (error != 0)
        return error;
    c->changes.number = 1;
    /* Room for the most that a reload may ask for: pages that no delivery has used take none. */
    c->deliveries = calloc(CONF_DELIVERIES_MAX, sizeof(c->deliveries[0]));
    if (c->deliveries == NULL)
        return -ENOMEM;
    if (courier_plans_init(&c->plans, secret) != 0)
        return -ENOMEM;
    if (courier_lanes_init(&c->lanes, topology->lane_cnt, c->secret) != 0)
        return -ENOMEM;
    struct queue_config q = queue_config_of(c, base_siphash(c->secret, "queue", strlen("queue")));
    error = queue_init(&c->queue, &q);
    if (error == 0)
        courier_shape_configure(c);
    return error;
}

void courier_fini(struct courier *c)
{
    struct spool_done done;

    c->settings = settings_current(c->hub);
    courier_tlsrpt_fini(c);
    for (uint32_t i = 0; i < c->topology->spool_cnt; i++) {
        struct courier_spool *s = &c->spool[i];
        while (rte_ring_sc_dequeue_elem(s->from, &done, sizeof(done)) == 0)
            if (done.op == SPOOL_ARRIVED)
                spool_arrival_free(done.arrival);
        courier_journal_fini(s);
    }
    courier_cat_fini(c);
    courier_bounce_fini(c);
    courier_verify_fini(c);
    courier_sources_fini(c);
    courier_suspend_fini(c);
    courier_shape_fini(c);
    if (c->queue != NULL)
        queue_fini(c->queue);
    courier_lanes_fini(&c->lanes);
    for (uint32_t i = 0; i < c->delivery_cnt && c->deliveries != NULL; i++)
        courier_plan_put(c, &c->deliveries[i]);
    courier_sts_fini(c);
    courier_plans_fini(&c->plans);
    free(c->deliveries);
    stats_log_free(&c->log);
}

/* ---- arrivals ---- */

void courier_warn(struct courier *c, const struct spool_id *id, const char *text)
{
    struct stats_log_record r = {.wall_ns = c->wall_ns, .event = STATS_LOG_WARNING};
    memcpy(r.id, id->b, sizeof(r.id));
    stats_log_text(&r, base_span_str(text));
    stats_log_push(&c->log, &r);
}

/* Recipients that are still to be delivered. */
static uint32_t arrival_open_cnt(const struct spool_arrival *a)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < a->recipient_cnt; i++)
        n += a->outcomes[i].state != SPOOL_OUTCOME_DELIVERED &&
             a->outcomes[i].state != SPOOL_OUTCOME_FAILED;
    return n;
}

static void arrived(struct courier *c, const struct courier_spool *s, const struct spool_done *done)
{
    const struct spool_arrival *a = done->arrival;
    uint32_t open_cnt = arrival_open_cnt(a);

    /* What is asked and written of it later finds the spool by the id. */
    if (topology_spool_of(c->topology, &done->id) != (uint32_t)(s - c->spool)) {
        courier_warn(c, &done->id, "message with the number of another spool left in spool");
        spool_arrival_free(done->arrival);
        return;
    }
    if (!c->suspensions.known)
        courier_suspend_told(c, (uint32_t)(s - c->spool));
    courier_log_queued(c, &done->id, a);
    if (queue_add(c->queue, &done->id, done->arrival, c->now_ns, c->wall_ns) != 0) {
        /* The spool checked it at BEGIN: this does not happen; it stays on disk. */
        courier_warn(c, &done->id, "message with an unreadable envelope left in spool");
        return;
    }
    stats_inc(c->stats, STATS_COURIER_ARRIVED);
    stats_add(c->stats, STATS_COURIER_RECIPIENTS, open_cnt);
    if (open_cnt == 0) /* no attempt will end that could free it */
        courier_journal(c, &done->id, SPOOL_FREE, NULL, 0);
}

static void damaged(struct courier *c, const struct spool_id *id)
{
    if (queue_damaged(c->queue, id, c->now_ns) == 0)
        courier_warn(c, id, "bytes of the message are lost on disk: it is given up");
}

static uint32_t arrivals(struct courier *c, struct courier_spool *s)
{
    struct spool_done done[BURST];
    uint32_t n = rte_ring_sc_dequeue_burst_elem(s->from, done, sizeof(done[0]), BURST, NULL);

    for (uint32_t i = 0; i < n; i++) {
        bool own = topology_spool_of(c->topology, &done[i].id) == (uint32_t)(s - c->spool);
        if (courier_suspend_is(&done[i].id) && own && done[i].op != SPOOL_FREE)
            courier_suspend_done(c, &done[i]);
        else if (done[i].op == SPOOL_ARRIVED)
            arrived(c, s, &done[i]);
        else if (done[i].op == SPOOL_DAMAGED)
            damaged(c, &done[i].id);
        else if (done[i].op == SPOOL_READ && courier_cat_done(c, &done[i]))
            continue;
        else if (done[i].op == SPOOL_READ || done[i].op == SPOOL_COMMIT ||
                 done[i].op == SPOOL_RELEASE)
            courier_bounce_done(c, &done[i]);
        else
            courier_journal_done(c, s, &done[i]);
    }
    return n;
}

/* ---- deliveries ---- */

static enum dane_level level_of(const struct delivery *d)
{
    return d->requirement != NULL ? (enum dane_level)d->requirement->level : DANE_LEVEL_NONE;
}

static void count_tls(const struct courier *c, const struct delivery *d)
{
    enum stats_id id = delivery_tls_counter(level_of(d), (enum delivery_tls)d->tls);

    if (id != STATS_CNT)
        stats_inc(c->stats, id);
}

static void count_result(const struct courier *c, const struct delivery *d,
                         const struct spool_outcome *outcome)
{
    static const enum stats_id counter[] = {
        [SPOOL_OUTCOME_DEFERRED] = STATS_COURIER_DEFERRED,
        [SPOOL_OUTCOME_DELIVERED] = STATS_COURIER_DELIVERED,
        [SPOOL_OUTCOME_FAILED] = STATS_COURIER_FAILED,
    };

    stats_inc(c->stats, counter[outcome->state]);
    if (outcome->state == SPOOL_OUTCOME_DELIVERED) {
        uint64_t from_ns = d->job.arrival_wall_ns; /* the clock may have been set back */
        stats_record(c->stats, STATS_HISTOGRAM_COURIER_AGE,
                     c->wall_ns > from_ns ? c->wall_ns - from_ns : 0);
    }
}

/* What a reply code means for the recipient (RFC 5321 section 4.2.1). */
static uint8_t state_of(uint16_t code)
{
    return code / 100 == 2   ? SPOOL_OUTCOME_DELIVERED
           : code / 100 == 5 ? SPOOL_OUTCOME_FAILED
                             : SPOOL_OUTCOME_DEFERRED;
}

void courier_delivery_put(struct courier *c, struct delivery *d)
{
    courier_plan_put(c, d);
    d->next = c->free;
    c->free = d;
    c->active_cnt--;
}

static uint32_t enhanced_of(const struct delivery_result *r)
{
    return spool_status_parse(base_span_of(r->enhanced, strnlen(r->enhanced, sizeof(r->enhanced))));
}

/* Ends the attempt for those of the delivery's recipients that the sender is told about, or for the
 * others, and journals what became of them; the rest stays in the delivery. */
static void settle(struct courier *c, struct delivery *d, bool reported)
{
    struct queue_result ended[QUEUE_JOB_RCPT_MAX];
    struct spool_outcome outcomes[QUEUE_JOB_RCPT_MAX];
    uint32_t at[QUEUE_JOB_RCPT_MAX], cnt = 0, kept = 0;
    struct queue_job job = d->job;

    for (uint32_t i = 0; i < d->job.recipient_cnt; i++) {
        const struct delivery_result *r = &d->result[i];
        if ((r->report != 0) == reported) {
            job.recipients[cnt] = d->job.recipients[i];
            ended[cnt] = (struct queue_result){.recipient = d->job.recipients[i],
                                               .enhanced = enhanced_of(r),
                                               .code = r->code,
                                               .state = r->state,
                                               .wait_ns = d->shape_wait_ns};
            at[cnt++] = i;
        } else if (r->report == COURIER_REPORT_DELAYED || r->report == COURIER_REPORT_CARRIER) {
            job.warn = false; /* not yet */
        }
    }
    if (cnt == 0)
        return;
    job.recipient_cnt = cnt;
    bool over = queue_done(c->queue, &job, ended, outcomes, c->now_ns, c->wall_ns);
    for (uint32_t i = 0; i < cnt; i++) {
        count_result(c, d, &outcomes[i]);
        courier_log_result(c, d, at[i], &outcomes[i]);
        if (outcomes[i].state != SPOOL_OUTCOME_DELIVERED)
            queue_note(c->queue, job.message, job.recipients[i],
                       base_span_of(d->result[at[i]].text, d->result[at[i]].text_len));
    }
    /* FREE says that nothing is left to do for any recipient: one record is enough then. */
    if (over)
        courier_journal(c, &d->job.id, SPOOL_FREE, NULL, 0);
    else
        courier_journal(c, &d->job.id, SPOOL_OUTCOME, outcomes, cnt);
    for (uint32_t i = 0; i < d->job.recipient_cnt; i++)
        if ((d->result[i].report != 0) != reported) {
            d->job.recipients[kept] = d->job.recipients[i];
            d->result[kept++] = d->result[i];
        }
    d->job.recipient_cnt = kept;
    d->result_cnt = kept;
}

void courier_reported(struct courier *c, struct delivery *d)
{
    settle(c, d, true);
    courier_delivery_put(c, d);
}

void courier_unreported(struct courier *c, struct delivery *d)
{
    uint64_t wait_ns = c->settings->conf->queue.backoff_min_ns;

    for (uint32_t i = 0; i < d->job.recipient_cnt; i++)
        if (d->result[i].state == SPOOL_OUTCOME_DELIVERED)
            d->result[i].report = 0;
    settle(c, d, false);
    if (d->job.recipient_cnt > 0)
        queue_put_back(c->queue, &d->job, c->now_ns + wait_ns);
    courier_delivery_put(c, d);
}

/* What the attempt says about the next hop itself. */
static enum queue_answer answer_of(const struct delivery *d)
{
    bool any = false;

    for (uint32_t i = 0; i < d->result_cnt; i++)
        any |= d->result[i].code != 0;
    if (d->fatal) /* there is nobody to be asked */
        return QUEUE_ANSWER_YES;
    if (d->job.expanded || d->unasked || d->waits) /* nobody was */
        return QUEUE_ANSWER_NONE;
    return d->unattempted || (d->refused && d->shape_wait_ns > 0) /* it has its own wait */
               ? QUEUE_ANSWER_NONE
               : any && !d->refused ? QUEUE_ANSWER_YES : QUEUE_ANSWER_NO;
}

void courier_finish(struct courier *c, struct delivery *d)
{
    struct queue_result results[QUEUE_JOB_RCPT_MAX];
    uint32_t cnt = d->job.recipient_cnt;

    base_assert(d->result_cnt == cnt || d->unattempted);
    if (d->verify != NULL) {
        courier_verify_done(c, d);
        return courier_delivery_put(c, d);
    }
    if (!d->job.set_aside && !d->job.answered)
        queue_answer(c->queue, &d->job, answer_of(d));
    if (d->unattempted) {
        queue_put_back(c->queue, &d->job, c->now_ns + RETRY_NS);
        return courier_delivery_put(c, d);
    }
    courier_advice_tell(c, d);
    for (uint32_t i = 0; i < cnt; i++)
        results[i] = (struct queue_result){
            .recipient = d->job.recipients[i],
            .code = d->result[i].code,
            .state = d->fatal || d->unasked ? SPOOL_OUTCOME_FAILED : state_of(d->result[i].code)};
    queue_judge(c->queue, &d->job, results);
    courier_bounce_choose(c, d, results);
    settle(c, d, false);
    /* Those that the sender is told about stay in the job until the report is durable. */
    if (d->job.recipient_cnt > 0)
        courier_bounce_start(c, d);
    else
        courier_delivery_put(c, d);
}

/* An address has had its turn. */
static void came_back(struct courier *c, struct delivery *d)
{
    courier_lanes_put(&c->lanes, d);
    if (d->verify == NULL && !d->probe) { /* those are no attempts */
        stats_inc(c->stats, STATS_COURIER_RETURNED);
        stats_record(c->stats, STATS_HISTOGRAM_COURIER_ATTEMPT, c->now_ns - d->sent_ns);
    }
    if (d->probe)
        return courier_probe_done(c, d);
    count_tls(c, d);
    courier_tlsrpt_session(c, d);
    /* What is said of a source is no word about the pace. */
    if (!courier_source_back(c, d) && courier_shape_result(c, d))
        return;
    if (!d->unattempted && d->next_host && courier_start_next(c, d))
        return;
    courier_hosts_end(d);
    if (!courier_source_again(c, d))
        courier_finish(c, d);
}

static uint32_t finished(struct courier *c)
{
    uint32_t n = 0;

    for (uint32_t lane = 0; lane < c->topology->lane_cnt; lane++) {
        struct rte_ring *ring = topology_ring(c->topology, TOPOLOGY_LANE_COURIER, lane);
        struct delivery *d[BURST];
        uint32_t got = rte_ring_sc_dequeue_burst(ring, (void **)d, BURST, NULL);
        for (uint32_t i = 0; i < got; i++)
            came_back(c, d[i]);
        n += got;
    }
    return n;
}

bool courier_pass(struct courier *c, uint64_t now_ns, uint64_t wall_ns)
{
    uint32_t work = 0;

    c->now_ns = now_ns;
    c->wall_ns = wall_ns;
    if (c->started_wall_ns == 0)
        c->started_wall_ns = wall_ns;
    stats_log_flush(&c->log);
    c->settings = settings_current(c->hub);
    c->limit = (uint32_t)c->settings->conf->queue.deliveries;
    if (c->settings->generation != c->generation) {
        struct queue_config q = queue_config_of(c, c->settings->generation);
        courier_shape_configure(c);
        queue_configure(c->queue, &q);
        c->generation = c->settings->generation;
    }
    queue_clock(c->queue, now_ns, wall_ns);
    courier_sources_pass(c);
    for (uint32_t i = 0; i < c->topology->spool_cnt; i++)
        work += arrivals(c, &c->spool[i]);
    work += finished(c);
    work += resolver_answers(c->topology, TOPOLOGY_COURIER, 0);
    work += courier_source_names_pass(c);
    work += https_pass(&c->https, now_ns);
    work += courier_sts_pass(c);
    work += courier_verify_pass(c);
    work += courier_shape_pass(c);
    work += courier_suspend_pass(c);
    work += courier_start_due(c);
    work += courier_control_run(c);
    for (uint32_t i = 0; i < c->topology->spool_cnt; i++)
        work += courier_journal_send(c, &c->spool[i]);
    work += courier_bounce_send(c);
    struct queue_usage u;
    queue_usage(c->queue, &u);
    courier_age_pass(c);
    stats_set(c->stats, STATS_COURIER_JOURNAL_NOW, c->write_cnt);
    stats_set(c->stats, STATS_LOG_WAITING_NOW, c->log.cnt);
    stats_set(c->stats, STATS_QUEUE_MESSAGES, u.message_cnt);
    stats_set(c->stats, STATS_QUEUE_RECIPIENTS, u.recipient_cnt);
    stats_set(c->stats, STATS_QUEUE_DEFERRED, u.deferred_cnt);
    stats_set(c->stats, STATS_QUEUE_ACTIVE, u.active_cnt);
    stats_set(c->stats, STATS_QUEUE_FAILED, u.failed_cnt);
    stats_set(c->stats, STATS_QUEUE_BYTES, u.bytes);
    stats_set(c->stats, STATS_QUEUE_DESTINATIONS, u.destination_cnt);
    stats_set(c->stats, STATS_QUEUE_ASIDE, u.aside_cnt);
    stats_set(c->stats, STATS_QUEUE_CLOCK_JUMPS, u.jump_cnt);
    return work > 0;
}

uint64_t courier_deadline(const struct courier *c)
{
    uint64_t t = BASE_NS_NONE;

    if (courier_may_start(c))
        t = queue_deadline(c->queue);
    uint64_t age = courier_age_deadline(c);
    t = age < t ? age : t;
    for (uint32_t i = 0; i < c->topology->spool_cnt; i++) {
        const struct courier_spool *s = &c->spool[i];
        if (!base_list_empty(&s->retry))
            t = s->retry_ns < t ? s->retry_ns : t;
        else if (!base_list_empty(&s->outbox) && c->now_ns + BASE_NS_MS < t)
            t = c->now_ns + BASE_NS_MS; /* the spooler's ring was full */
    }
    if (stats_log_waits(&c->log) && c->now_ns + LOG_WAIT_NS < t)
        t = c->now_ns + LOG_WAIT_NS;
    if (courier_bounce_due(c) && c->now_ns + BASE_NS_MS < t)
        t = c->now_ns + BASE_NS_MS;
    uint64_t control_ns = courier_control_deadline(c), plans_ns = courier_plans_deadline(c);
    uint64_t https_ns = https_deadline(&c->https);
    t = plans_ns < t ? plans_ns : t;
    t = https_ns < t ? https_ns : t;
    uint64_t sources_ns = courier_sources_deadline(c), names_ns = courier_source_names_deadline(c);
    t = names_ns < t ? names_ns : t;
    t = sources_ns < t ? sources_ns : t;
    uint64_t sts_ns = courier_sts_deadline(c);
    t = sts_ns < t ? sts_ns : t;
    uint64_t shape_ns = courier_shape_deadline(c), suspend_ns = courier_suspend_deadline(c);
    t = shape_ns < t ? shape_ns : t;
    t = suspend_ns < t ? suspend_ns : t;
    return control_ns < t ? control_ns : t;
}

bool courier_settled(const struct courier *c)
{
    for (uint32_t lane = 0; lane < c->topology->lane_cnt; lane++)
        if (rte_ring_count(topology_ring(c->topology, TOPOLOGY_LANE_COURIER, lane)) > 0)
            return false;
    return c->write_cnt == 0 && base_list_empty(&c->bounce_wait) &&
           base_list_empty(&c->bounce_todo) && base_list_empty(&c->bounce_sent);
}

bool courier_idle(const struct courier *c)
{
    return c->active_cnt == 0 && c->write_cnt == 0;
}
