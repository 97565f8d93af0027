#include "queue_internal.h"

#include <errno.h>
#include <stdlib.h>

#define ALARMS_MAX 16 /* looked at in one call */

int queue_init(struct queue **out, const struct queue_config *config)
{
    struct queue *q = calloc(1, sizeof(*q));
    if (q == NULL)
        return -ENOMEM;
    q->bytes = sizeof(*q) + QUEUE_MALLOC_EXTRA;
    base_rand_init(&q->rand, config->seed);
    base_put_le64(q->hash_key, base_rand_next(&q->rand));
    base_put_le64(q->hash_key + 8, base_rand_next(&q->rand));
    base_list_init(&q->idle);
    for (uint32_t s = 0; s < QUEUE_STANDING_CNT; s++)
        base_list_init(&q->ring[s]);
    queue_configure(q, config);
    *out = q;
    return 0;
}

void queue_fini(struct queue *q)
{
    queue_words_fini(q);
    for (uint32_t i = 1; i < q->destination_cnt; i++)
        if (q->destinations[i] != NULL)
            queue_destination_free(q, q->destinations[i]);
    size_t bytes = q->destination_cap * sizeof(struct queue_destination *);
    queue_free(q, q->destinations, bytes);
    queue_free(q, q->heap, bytes);
    queue_free(q, q->by_name, q->by_name_cap * sizeof(struct queue_destination *));
    queue_arena_fini(&q->arena);
    base_assert(q->bytes == sizeof(*q) + QUEUE_MALLOC_EXTRA);
    free(q);
}

void queue_clock(struct queue *q, uint64_t now_ns, uint64_t wall_ns)
{
    queue_clock_look(&q->clock, now_ns, wall_ns);
}

/* ---- configuration ---- */

/* The item goes to the destination that is named now. */
static void item_rekey(struct queue *q, struct queue_message *m, uint32_t i)
{
    struct queue_item *item = &m->items[i];
    struct queue_destination *was = queue_item_destination(q, item);
    struct queue_destination *d =
        was != NULL ? queue_destination_get(q, queue_domain(queue_recipient(m, i))) : NULL;
    if (d == NULL || d == was)
        return;
    uint32_t place = item->place;
    queue_place_none(q, item);
    queue_place_count(q, item, -1);
    item->destination = d->index;
    queue_place_count(q, item, 1);
    queue_destination_idle(q, d);
    queue_destination_idle(q, was);
    if (place == QUEUE_PLACE_READY)
        queue_place_ready(q, item);
    else if (place == QUEUE_PLACE_TIMED)
        queue_place_timed(q, item, item->heap, item->timed.due);
}

void queue_configure(struct queue *q, const struct queue_config *config)
{
    static const struct spool_id zero;
    struct queue_walk w;
    struct queue_message *m;
    base_assert(config->backoff_min_ns > 0 && config->backoff_max_ns >= config->backoff_min_ns &&
                config->backoff_max_ns <= QUEUE_WAIT_MAX / 2 &&
                config->lifetime_ns <= QUEUE_AGE_MAX && config->warn_after_ns <= QUEUE_AGE_MAX);
    q->config = *config;
    queue_walk_begin(q, &w, &zero);
    while ((m = queue_walk_next(q, &w)) != NULL) {
        queue_alarm_next(q, m);
        for (uint32_t i = 0; config->destination != NULL && i < m->recipient_cnt; i++)
            item_rekey(q, m, i);
    }
    for (uint32_t i = 1; i < q->destination_cnt; i++) {
        struct queue_destination *d = q->destinations[i];
        if (d == NULL)
            continue;
        if (config->destination_max != 0 && d->window > config->destination_max)
            d->window = config->destination_max;
        queue_destination_schedule(q, d);
    }
}

/* ---- arrivals ---- */

/* The item, which is in no place, is counted no more and leaves its destination. */
static void item_over(struct queue *q, struct queue_item *item)
{
    struct queue_destination *d = queue_item_destination(q, item);
    queue_place_count(q, item, -1);
    item->destination = QUEUE_NO_DESTINATION;
    if (d != NULL)
        queue_destination_idle(q, d);
}

/* Gives each item its destination and its place. Returns 0 or -ENOMEM with nothing changed. */
static int items_place(struct queue *q, struct queue_message *m, const struct spool_arrival *a)
{
    for (uint32_t i = 0; i < m->recipient_cnt; i++) {
        if (m->items[i].state == SPOOL_OUTCOME_DELIVERED)
            continue;
        struct queue_destination *d = queue_destination_get(q, queue_domain(queue_recipient(m, i)));
        if (d == NULL) {
            for (; i > 0; i--)
                item_over(q, &m->items[i - 1]);
            return -ENOMEM;
        }
        m->items[i].destination = d->index;
        /* Held on to before the next one is made, which may free an idle one. */
        queue_place_count(q, &m->items[i], 1);
        queue_destination_idle(q, d);
    }
    for (uint32_t i = 0; i < m->recipient_cnt; i++) {
        struct queue_item *item = &m->items[i];
        uint64_t due = q->clock.now_ns;
        if (item->state == SPOOL_OUTCOME_DEFERRED) {
            /* A wall clock that jumped back must not hold mail for longer than back-off may. */
            uint64_t at = a->outcomes[i].next_wall_ns, longest = queue_backoff_longest(&q->config);
            uint64_t wait = at > q->clock.wall_ns ? at - q->clock.wall_ns : 0;
            due += wait < longest ? wait : longest;
        } else if (item->state != SPOOL_OUTCOME_QUEUED) {
            continue;
        }
        queue_place_due(q, item, item->code == 0 ? QUEUE_HEAP_DOWN : QUEUE_HEAP_OWN, due);
    }
    return 0;
}

int queue_add(struct queue *q, const struct spool_id *id, struct spool_arrival *arrival,
              uint64_t now_ns, uint64_t wall_ns)
{
    int cnt = spool_envelope_check(base_span_of(arrival->envelope, arrival->envelope_len));
    struct queue_message *m = NULL;
    int rc = cnt < 0 || (uint32_t)cnt != arrival->recipient_cnt ? -EINVAL : 0;
    queue_clock_look(&q->clock, now_ns, wall_ns);
    if (rc == 0 && queue_index_find(q, id) != NULL)
        rc = -EEXIST;
    if (rc == 0 && (m = queue_message_make(q, id, arrival)) == NULL)
        rc = -ENOMEM;
    if (rc == 0 && (rc = items_place(q, m, arrival)) != 0)
        queue_message_free(q, m);
    if (rc == 0) {
        if (m->arrival_wall_ns == 0)
            m->arrival_wall_ns = wall_ns;
        uint64_t age = queue_age_at_start(&q->clock, &q->config, arrival, m->arrival_wall_ns);
        m->born_ns = (int64_t)q->clock.now_ns - (int64_t)age;
        queue_index_add(q, m);
        queue_alarm_next(q, m);
    }
    spool_arrival_free(arrival);
    return rc;
}

struct base_span queue_domain(struct base_span mailbox)
{
    size_t at = mailbox.len;
    while (at > 0 && mailbox.p[at - 1] != '@')
        at--;
    /* Without an @ it is local: no domain. */
    return at == 0 ? base_span_of(mailbox.p, 0) : base_span_of(mailbox.p + at, mailbox.len - at);
}

/* ---- age ---- */

static void alarm_end(struct queue *q, struct queue_message *m)
{
    if (m->alarmed)
        queue_heap_remove(&q->arena, &q->alarm, m->handle);
    m->alarmed = false;
}

void queue_alarm_set(struct queue *q, struct queue_message *m, uint64_t due_ns)
{
    alarm_end(q, m);
    m->clock.due = queue_tick_after(due_ns);
    m->alarmed = true;
    queue_heap_push(&q->arena, &q->alarm, m->handle);
}

/* The time at which a message is so old; when it is already, that is looked at from time to time
 * (it may have come to wait for a destination set aside). */
static uint64_t age_time(const struct queue *q, const struct queue_message *m, uint64_t age_ns)
{
    uint64_t now = q->clock.now_ns;
    uint64_t age = queue_message_age(q, m);
    return age < age_ns ? now + (age_ns - age) : now + q->config.backoff_max_ns;
}

void queue_alarm_next(struct queue *q, struct queue_message *m)
{
    if (m->open_cnt == 0 || m->held || m->deleted)
        return alarm_end(q, m);
    uint64_t next = q->clock.now_ns + QUEUE_NOTE_NS;
    uint64_t over = age_time(q, m, q->config.lifetime_ns + QUEUE_TICK_NS);
    next = over < next ? over : next;
    if (q->config.warn_after_ns > 0 && m->warned == QUEUE_WARNED_NOT) {
        uint64_t warn = age_time(q, m, q->config.warn_after_ns);
        next = warn < next ? warn : next;
    }
    queue_alarm_set(q, m, next);
}

static bool message_old(const struct queue *q, const struct queue_message *m)
{
    return m->damaged || queue_message_age(q, m) > q->config.lifetime_ns;
}

/* What waits for a destination that is set aside and was tried in this epoch can grow old there; or
 * lost bytes, which no attempt brings back. */
static bool item_waits_aside(const struct queue *q, const struct queue_message *m,
                             const struct queue_item *item)
{
    const struct queue_destination *d = queue_item_destination(q, item);
    return item->place != QUEUE_PLACE_NONE && d->aside &&
           (m->damaged || d->epoch == q->clock.epoch);
}

/* ---- jobs ---- */

static void job_fill(struct queue *q, struct queue_job *out, struct queue_message *m)
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
        .standing = QUEUE_STANDING_NONE,
        .epoch = q->clock.epoch,
    };
}

static void job_take(struct queue *q, struct queue_job *job, struct queue_item *item)
{
    struct queue_message *m = job->message;
    if (job->recipient_cnt == 0)
        job->domain = queue_domain(queue_recipient(m, item->index));
    queue_place_none(q, item);
    queue_place_count(q, item, -1);
    item->active = 1;
    queue_place_count(q, item, 1);
    m->active_cnt++;
    job->recipients[job->recipient_cnt++] = item->index;
}

/* A message whose time has come, and that waits for destinations set aside. */
static bool alarm_job(struct queue *q, struct queue_job *out)
{
    for (uint32_t n = 0; n < ALARMS_MAX && q->alarm != 0; n++) {
        struct queue_message *m = queue_message_at(q, q->alarm);
        if (!queue_tick_due(m->clock.due, q->clock.now_ns))
            return false;
        job_fill(q, out, m);
        for (uint32_t i = 0; i < m->recipient_cnt && out->recipient_cnt < QUEUE_JOB_RCPT_MAX; i++)
            if (item_waits_aside(q, m, &m->items[i]))
                job_take(q, out, &m->items[i]);
        /* A full job: there may be more of it. */
        if (out->recipient_cnt < QUEUE_JOB_RCPT_MAX)
            queue_alarm_next(q, m);
        out->set_aside = true;
        if (out->recipient_cnt > 0)
            return true;
    }
    return false;
}

bool queue_next(struct queue *q, struct queue_job *out, uint64_t now_ns)
{
    queue_clock_now(&q->clock, now_ns);
    queue_destination_advance(q);
    if (alarm_job(q, out))
        return true;
    struct queue_destination *d = queue_destination_turn(q);
    if (d == NULL)
        return false;
    uint32_t handle = queue_ready_first(q, d);
    struct queue_message *m = queue_message_of(queue_item_at(q, handle));
    job_fill(q, out, m);
    out->destination = d->index;
    out->standing = d->standing;
    d->job_cnt++;
    q->job_cnt[d->standing]++;
    d->cursor = m->sender_hash;
    /* The sender's next ones as long as they are of this message. */
    while (out->recipient_cnt < QUEUE_JOB_RCPT_MAX) {
        struct queue_item *item = queue_item_at(q, handle);
        uint32_t next = item->ready.next;
        job_take(q, out, item);
        if (next == handle || queue_message_of(queue_item_at(q, next)) != m)
            break;
        handle = next;
    }
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
    if (answer == QUEUE_ANSWER_YES)
        queue_destination_answered(q, d);
    else if (answer == QUEUE_ANSWER_NO)
        queue_destination_failed(q, d);
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
    bool old = m->damaged || (message_old(q, m) && job->epoch == q->clock.epoch);
    bool waits = false;
    for (uint32_t i = 0; i < job->recipient_cnt; i++) {
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
        item->code = r->code;
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
        wait = queue_backoff(&q->config, item->attempt_cnt);
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

int queue_remove(struct queue *q, const struct spool_id *id)
{
    struct queue_message *m = queue_index_find(q, id);
    if (m == NULL)
        return -ENOENT;
    if (m->active_cnt > 0)
        return -EBUSY;
    for (uint32_t i = 0; i < m->recipient_cnt; i++) {
        queue_place_none(q, &m->items[i]);
        item_over(q, &m->items[i]);
    }
    alarm_end(q, m);
    queue_index_remove(q, m);
    queue_message_free(q, m);
    return 0;
}

uint64_t queue_deadline(const struct queue *q)
{
    uint64_t first = q->heap_cnt > 0 ? q->heap[0]->due_ns : BASE_NS_NONE;
    if (queue_destination_any(q))
        return q->clock.now_ns;
    if (q->alarm != 0) {
        uint64_t alarm = queue_tick_ns(queue_message_at(q, q->alarm)->clock.due, q->clock.now_ns);
        first = alarm < first ? alarm : first;
    }
    return first;
}

void queue_usage(const struct queue *q, struct queue_usage *out)
{
    *out = q->usage;
    out->message_cnt = q->message_cnt;
    out->bytes = q->bytes + q->arena.bytes;
    out->destination_cnt = q->destination_live - q->idle_cnt;
    out->aside_cnt = q->aside_cnt;
    out->jump_cnt = q->clock.jump_cnt;
}
