/* Jobs, from queue_next to queue_done or queue_put_back. */
#include "queue_internal.h"

void queue_job_fill(struct queue *q, struct queue_job *out, struct queue_message *m)
{
    *out = (struct queue_job){
        .message = m,
        .id = m->id,
        .sender = queue_message_sender(m),
        .content_bytes = m->content_bytes,
        .arrival_wall_ns = m->arrival_wall_ns,
        .envid = queue_message_envid(m),
        .ret = m->ret,
        .body_8bit = m->body_8bit,
        .smtputf8 = m->smtputf8,
        .requiretls = m->requiretls,
        .tls_optional = m->tls_optional,
        .standing = QUEUE_STANDING_NONE,
        .epoch = q->clock.epoch,
    };
}

void queue_job_take(struct queue *q, struct queue_job *job, struct queue_item *item)
{
    struct queue_message *m = job->message;
    if (job->recipient_cnt == 0) {
        struct spool_envelope_recipient r = queue_recipient_params(m, item->index);
        job->domain = queue_domain(queue_recipient(m, item->index));
        job->from = r.from.len > 0 ? r.from : job->sender;
        job->expanded = r.expanded;
    }
    queue_place_none(q, item);
    queue_place_count(q, item, -1);
    item->active = 1;
    queue_place_count(q, item, 1);
    m->active_cnt++;
    job->recipients[job->recipient_cnt++] = item->index;
}

/* Whether the recipient may be in the job: it has the same sender. */
static bool fits_job(const struct queue_job *job, const struct queue_item *item)
{
    struct spool_envelope_recipient r = queue_recipient_params(job->message, item->index);

    return r.expanded == job->expanded &&
           base_span_eq(r.from.len > 0 ? r.from : job->sender, job->from);
}

bool queue_next(struct queue *q, struct queue_job *out, uint64_t now_ns)
{
    queue_clock_now(&q->clock, now_ns);
    queue_destination_advance(q);
    queue_group_advance(q);
    if (queue_alarm_job(q, out))
        return true;
    struct queue_destination *d = queue_destination_turn(q);
    if (d == NULL)
        return false;
    uint32_t handle = queue_ready_first(q, d);
    struct queue_message *m = queue_message_of(queue_item_at(q, handle));
    queue_job_fill(q, out, m);
    out->destination = d->index;
    out->standing = d->standing;
    out->group = d->group;
    d->job_cnt++;
    q->job_cnt[d->standing]++;
    queue_group_count(q, d, 1);
    uint32_t rcpt_max = queue_group_rcpt_max(q, d);
    d->cursor = m->sender_hash;
    /* The sender's next ones as long as they are of this message. */
    while (out->recipient_cnt < rcpt_max) {
        struct queue_item *item = queue_item_at(q, handle);
        uint32_t next = item->ready.next;
        queue_job_take(q, out, item);
        if (next == handle || queue_message_of(queue_item_at(q, next)) != m ||
            !fits_job(out, queue_item_at(q, next)))
            break;
        handle = next;
    }
    queue_group_take(q, d->group, out->recipient_cnt);
    queue_destination_schedule(q, d);
    return true;
}

/* The job's place is free again. */
static void job_leave(struct queue *q, const struct queue_job *job, enum queue_answer answer)
{
    struct queue_destination *d = q->destinations[job->destination];
    if (job->standing == QUEUE_STANDING_NONE)
        return;
    base_assert(d->job_cnt > 0 && q->job_cnt[job->standing] > 0);
    d->job_cnt--;
    q->job_cnt[job->standing]--;
    queue_group_count(q, d, -1);
    if (answer == QUEUE_ANSWER_YES)
        queue_destination_answered(q, d);
    else if (answer == QUEUE_ANSWER_NO)
        queue_destination_failed(q, d, job->epoch);
    queue_destination_idle(q, d);
    queue_destination_schedule(q, d);
}

void queue_answer(struct queue *q, struct queue_job *job, enum queue_answer answer)
{
    base_assert(!job->answered);
    job->answered = true;
    job_leave(q, job, answer);
}

void queue_judge(struct queue *q, struct queue_job *job, struct queue_result *results)
{
    struct queue_message *m = job->message;
    uint64_t warn_after = q->config.warn_after_ns;
    bool old = m->damaged || (queue_message_old(q, m) && job->epoch == q->clock.epoch);
    bool waits = false;
    for (uint32_t i = 0; i < job->recipient_cnt; i++) {
        results[i].expired = results[i].state == SPOOL_OUTCOME_DEFERRED && old && !m->damaged;
        if (results[i].state == SPOOL_OUTCOME_DEFERRED && old)
            results[i].state = SPOOL_OUTCOME_FAILED;
        waits |= results[i].state == SPOOL_OUTCOME_DEFERRED;
    }
    if (waits && warn_after > 0 && m->warned == QUEUE_WARNED_NOT &&
        queue_message_age(q, m) >= warn_after) {
        m->warned = QUEUE_WARNED_JOB;
        job->warn = true;
    }
}

/* ---- results ---- */

/* One recipient's result. wait_seed: the job's, so that its recipients stay together. */
static void item_end(struct queue *q, const struct queue_job *job, const struct queue_result *r,
                     uint64_t wait_seed)
{
    struct queue_message *m = job->message;
    base_assert(r->recipient < m->recipient_cnt && m->items[r->recipient].active);
    struct queue_item *item = &m->items[r->recipient];
    queue_place_count(q, item, -1);
    item->active = 0;
    m->active_cnt--;
    item->state = r->state & 3U;
    if (!job->set_aside) {
        queue_status_set(q, item, r->code, r->enhanced);
        item->attempt_cnt =
            item->attempt_cnt < UINT16_MAX ? (uint16_t)(item->attempt_cnt + 1) : UINT16_MAX;
    }
    m->open_cnt -= r->state != SPOOL_OUTCOME_DEFERRED;
    if (r->state == SPOOL_OUTCOME_DELIVERED) {
        struct queue_destination *d = queue_item_destination(q, item);
        item->destination = QUEUE_NO_DESTINATION;
        queue_place_count(q, item, 1);
        queue_destination_idle(q, d);
        return;
    }
    queue_place_count(q, item, 1);
    if (r->state == SPOOL_OUTCOME_FAILED)
        return;
    /* Set aside, the destination's back-off counts. */
    uint64_t wait = 0;
    if (!job->set_aside && (r->code != 0 || !queue_item_destination(q, item)->aside)) {
        wait = r->wait_ns > 0 ? r->wait_ns : queue_backoff(&q->config, item->attempt_cnt);
        wait += (wait / 8 * (wait_seed & 0xffff)) >> 16;
    }
    queue_place_due(q, item, r->code == 0 ? QUEUE_HEAP_DOWN : QUEUE_HEAP_OWN,
                    q->clock.now_ns + wait);
}

bool queue_done(struct queue *q, const struct queue_job *job, const struct queue_result *results,
                struct spool_outcome *outcomes, uint64_t now_ns, uint64_t wall_ns)
{
    struct queue_message *m = job->message;
    uint64_t wait_seed = base_rand_next(&q->rand);
    bool answered = false;
    queue_clock_look(&q->clock, now_ns, wall_ns);
    for (uint32_t i = 0; i < job->recipient_cnt; i++)
        answered |= results[i].code != 0;
    if (!job->answered)
        job_leave(q, job, answered ? QUEUE_ANSWER_YES : QUEUE_ANSWER_NO);
    if (job->warn)
        m->warned = QUEUE_WARNED;
    for (uint32_t i = 0; i < job->recipient_cnt; i++) {
        base_assert(results[i].state == SPOOL_OUTCOME_DELIVERED ||
                    results[i].state == SPOOL_OUTCOME_DEFERRED ||
                    results[i].state == SPOOL_OUTCOME_FAILED);
        item_end(q, job, &results[i], wait_seed);
        outcomes[i] = queue_outcome(q, m, results[i].recipient);
        if (!job->set_aside)
            outcomes[i].enhanced = results[i].enhanced; /* kept in memory or not */
    }
    queue_alarm_next(q, m);
    return m->open_cnt == 0;
}

void queue_put_back(struct queue *q, const struct queue_job *job, uint64_t not_before_ns)
{
    struct queue_message *m = job->message;
    if (!job->answered)
        job_leave(q, job, QUEUE_ANSWER_NONE);
    if (job->warn && m->warned == QUEUE_WARNED_JOB)
        m->warned = QUEUE_WARNED_NOT;
    for (uint32_t i = 0; i < job->recipient_cnt; i++) {
        struct queue_item *item = &m->items[job->recipients[i]];
        base_assert(item->active);
        queue_place_count(q, item, -1);
        item->active = 0;
        queue_place_count(q, item, 1);
        queue_place_due(q, item, QUEUE_HEAP_OWN, not_before_ns);
    }
    m->active_cnt -= job->recipient_cnt;
    queue_alarm_next(q, m);
}
