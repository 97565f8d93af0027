#include "queue_internal.h"

#include <errno.h>
#include <stdlib.h>

struct base_span queue_recipient(const struct queue_message *m, uint32_t index)
{
    base_assert(index < m->arrival->recipient_cnt);
    return base_span_of(m->arrival->envelope + m->recipients[index].offset,
                        m->recipients[index].len);
}

struct spool_envelope_recipient queue_recipient_params(const struct queue_message *m,
                                                       uint32_t index)
{
    struct base_span text = queue_recipient(m, index);
    const uint8_t *end = m->arrival->envelope + m->arrival->envelope_len;

    text.p += text.len;
    return spool_envelope_recipient_read(base_span_of(text.p, (size_t)(end - text.p)));
}

int queue_init(struct queue **out, const struct queue_config *config)
{
    struct queue *q = calloc(1, sizeof(*q));
    if (q == NULL)
        return -ENOMEM;
    base_rand_init(&q->rand, config->seed);
    queue_configure(q, config);
    *out = q;
    return 0;
}

static void message_free(struct queue_message *m)
{
    spool_arrival_free(m->arrival);
    free(m->words);
    free(m);
}

void queue_fini(struct queue *q)
{
    while (q->root != NULL) {
        struct queue_message *m = q->root;
        queue_index_remove(q, m);
        message_free(m);
    }
    free(q->heap);
    free(q);
}

void queue_configure(struct queue *q, const struct queue_config *config)
{
    base_assert(config->backoff_min_ns > 0 && config->backoff_max_ns >= config->backoff_min_ns);
    q->config = *config;
}

/* Takes the recipient into the counts (+1) or out of them (-1). */
static void usage_count(struct queue *q, const struct queue_message *m, uint32_t i, int sign)
{
    uint8_t state = m->arrival->outcomes[i].state;
    uint64_t n = (uint64_t)(int64_t)sign;
    if (state != SPOOL_OUTCOME_DELIVERED)
        q->usage.recipient_cnt += n;
    if (state == SPOOL_OUTCOME_FAILED)
        q->usage.failed_cnt += n;
    if (m->recipients[i].active)
        q->usage.active_cnt += n;
    else if (state == SPOOL_OUTCOME_DEFERRED)
        q->usage.deferred_cnt += n;
}

/* The message is due when the first of its idle recipients is. */
static void message_schedule(struct queue *q, struct queue_message *m)
{
    m->due_ns = BASE_NS_NONE;
    for (uint32_t i = 0; i < m->arrival->recipient_cnt && !m->held && !m->deleted; i++)
        if (!m->recipients[i].active && m->recipients[i].due_ns < m->due_ns)
            m->due_ns = m->recipients[i].due_ns;
    queue_heap_set(q, m);
}

static struct queue_message *message_make(struct spool_arrival *a)
{
    struct base_span rest = base_span_of(a->envelope, a->envelope_len);
    struct spool_envelope_field f;
    uint32_t cnt = 0;
    size_t bytes = a->recipient_cnt * sizeof(struct queue_recipient_state);
    struct queue_message *m = calloc(1, sizeof(*m) + bytes);
    if (m == NULL)
        return NULL;
    m->arrival = a;
    m->heap_at = QUEUE_HEAP_NONE;
    while (spool_envelope_next(&rest, &f) == 1)
        switch (f.type) {
        case SPOOL_ENVELOPE_SENDER:
            m->sender = f.value;
            break;
        case SPOOL_ENVELOPE_RECIPIENT:
            m->recipients[cnt].offset = (uint32_t)(f.value.p - a->envelope);
            m->recipients[cnt++].len = (uint16_t)f.value.len;
            break;
        case SPOOL_ENVELOPE_ARRIVAL:
            m->arrival_wall_ns = base_le64(f.value.p);
            break;
        case SPOOL_ENVELOPE_BODY_8BIT:
            m->body_8bit = true;
            break;
        case SPOOL_ENVELOPE_SMTPUTF8:
            m->smtputf8 = true;
            break;
        case SPOOL_ENVELOPE_RET:
            m->ret = f.value.p[0];
            break;
        case SPOOL_ENVELOPE_ENVID:
            m->envid_offset = (uint32_t)(f.value.p - a->envelope);
            m->envid_len = (uint8_t)f.value.len;
            break;
        default:
            break;
        }
    return m;
}

static uint64_t backoff_longest(const struct queue *q)
{
    uint64_t max = q->config.backoff_max_ns;
    return max > UINT64_MAX / 4 ? max : max + max / 8;
}

static uint64_t due_later(uint64_t now_ns, uint64_t wait_ns)
{
    return wait_ns < BASE_NS_NONE - 1 - now_ns ? now_ns + wait_ns : BASE_NS_NONE - 1;
}

static void recipients_schedule(struct queue *q, struct queue_message *m, uint64_t now_ns,
                                uint64_t wall_ns)
{
    for (uint32_t i = 0; i < m->arrival->recipient_cnt; i++) {
        const struct spool_outcome *o = &m->arrival->outcomes[i];
        uint64_t due = BASE_NS_NONE;
        if (o->state == SPOOL_OUTCOME_QUEUED) {
            due = now_ns;
        } else if (o->state == SPOOL_OUTCOME_DEFERRED) {
            /* A wall clock that jumped back must not hold mail for longer than back-off may. */
            uint64_t wait = o->next_wall_ns > wall_ns ? o->next_wall_ns - wall_ns : 0;
            due = due_later(now_ns, wait < backoff_longest(q) ? wait : backoff_longest(q));
        }
        m->recipients[i].due_ns = due;
        usage_count(q, m, i, 1);
    }
}

int queue_add(struct queue *q, const struct spool_id *id, struct spool_arrival *arrival,
              uint64_t now_ns, uint64_t wall_ns)
{
    int cnt = spool_envelope_check(base_span_of(arrival->envelope, arrival->envelope_len));
    struct queue_message *m = NULL;
    int rc = cnt < 0 || (uint32_t)cnt != arrival->recipient_cnt ? -EINVAL : 0;
    if (rc == 0 && queue_index_find(q, id) != NULL)
        rc = -EEXIST;
    if (rc == 0)
        rc = queue_heap_reserve(q);
    if (rc == 0 && (m = message_make(arrival)) == NULL)
        rc = -ENOMEM;
    if (rc != 0) {
        spool_arrival_free(arrival);
        return rc;
    }
    m->id = *id;
    m->held = arrival->held;
    if (m->arrival_wall_ns == 0)
        m->arrival_wall_ns = wall_ns;
    queue_index_add(q, m);
    recipients_schedule(q, m, now_ns, wall_ns);
    message_schedule(q, m);
    return 0;
}

struct base_span queue_domain(struct base_span mailbox)
{
    size_t at = mailbox.len;
    while (at > 0 && mailbox.p[at - 1] != '@')
        at--;
    /* Without an @ it is local: no domain. */
    return at == 0 ? base_span_of(mailbox.p, 0) : base_span_of(mailbox.p + at, mailbox.len - at);
}

bool queue_next(struct queue *q, struct queue_job *out, uint64_t now_ns)
{
    if (q->heap_cnt == 0 || q->heap[0]->due_ns > now_ns)
        return false;
    struct queue_message *m = q->heap[0];
    uint32_t first = 0;
    /* The recipient that has waited longest chooses the domain. */
    while (m->recipients[first].active || m->recipients[first].due_ns != m->due_ns)
        first++;
    out->message = m;
    out->id = m->id;
    out->sender = m->sender;
    out->domain = queue_domain(queue_recipient(m, first));
    out->content_bytes = m->arrival->content_bytes;
    out->arrival_wall_ns = m->arrival_wall_ns;
    out->envid = base_span_of(m->arrival->envelope + m->envid_offset, m->envid_len);
    out->ret = m->ret;
    out->body_8bit = m->body_8bit;
    out->smtputf8 = m->smtputf8;
    out->recipient_cnt = 0;
    for (uint32_t k = 0; k < m->arrival->recipient_cnt; k++) {
        struct queue_recipient_state *r = &m->recipients[k];
        bool takes = k == first || out->recipient_cnt < QUEUE_JOB_RCPT_MAX - (k < first ? 1U : 0U);
        if (r->active || r->due_ns > now_ns || !takes ||
            !base_span_caseeq(queue_domain(queue_recipient(m, k)), out->domain))
            continue;
        usage_count(q, m, k, -1);
        r->active = true;
        usage_count(q, m, k, 1);
        out->recipients[out->recipient_cnt++] = k;
    }
    m->active_cnt += out->recipient_cnt;
    message_schedule(q, m);
    return true;
}

static uint64_t backoff(struct queue *q, uint32_t attempt_cnt)
{
    uint64_t wait = q->config.backoff_min_ns;
    for (uint32_t i = 1; i < attempt_cnt && wait < q->config.backoff_max_ns; i++)
        wait = wait > UINT64_MAX / 2 ? UINT64_MAX : wait * 2;
    if (wait > q->config.backoff_max_ns)
        wait = q->config.backoff_max_ns;
    return wait > UINT64_MAX / 4 ? wait : wait + base_rand_below(&q->rand, wait / 8 + 1);
}

/* One recipient's result becomes its outcome and its next time. */
static void recipient_end(struct queue *q, struct queue_message *m,
                          const struct queue_result *result, uint64_t now_ns, uint64_t wall_ns)
{
    uint32_t i = result->recipient;
    struct spool_outcome *o = &m->arrival->outcomes[i];
    struct queue_recipient_state *r = &m->recipients[i];
    base_assert(i < m->arrival->recipient_cnt && r->active);
    usage_count(q, m, i, -1);
    r->active = false;
    r->due_ns = BASE_NS_NONE;
    o->recipient = i;
    o->state = result->state;
    o->code = result->code;
    o->enhanced = result->enhanced;
    o->next_wall_ns = 0;
    if (o->attempt_cnt < UINT32_MAX)
        o->attempt_cnt++;
    if (result->state == SPOOL_OUTCOME_DEFERRED) {
        uint64_t wait = backoff(q, o->attempt_cnt);
        r->due_ns = due_later(now_ns, wait);
        o->next_wall_ns = due_later(wall_ns, wait);
    }
    usage_count(q, m, i, 1);
}

void queue_judge(const struct queue *q, const struct queue_job *job, struct queue_result *results,
                 uint64_t wall_ns)
{
    const struct queue_message *m = job->message;
    uint64_t age = wall_ns > m->arrival_wall_ns ? wall_ns - m->arrival_wall_ns : 0;
    if (!m->damaged && age <= q->config.lifetime_ns)
        return;
    for (uint32_t i = 0; i < job->recipient_cnt; i++)
        if (results[i].state == SPOOL_OUTCOME_DEFERRED)
            results[i].state = SPOOL_OUTCOME_FAILED;
}

/* Nothing is left to do for any recipient. */
static bool message_over(const struct queue_message *m)
{
    for (uint32_t i = 0; i < m->arrival->recipient_cnt; i++)
        if (m->arrival->outcomes[i].state != SPOOL_OUTCOME_DELIVERED &&
            m->arrival->outcomes[i].state != SPOOL_OUTCOME_FAILED)
            return false;
    return true;
}

bool queue_done(struct queue *q, const struct queue_job *job, const struct queue_result *results,
                struct spool_outcome *outcomes, uint64_t now_ns, uint64_t wall_ns)
{
    struct queue_message *m = job->message;
    for (uint32_t i = 0; i < job->recipient_cnt; i++) {
        base_assert(results[i].state == SPOOL_OUTCOME_DELIVERED ||
                    results[i].state == SPOOL_OUTCOME_DEFERRED ||
                    results[i].state == SPOOL_OUTCOME_FAILED);
        recipient_end(q, m, &results[i], now_ns, wall_ns);
        outcomes[i] = m->arrival->outcomes[results[i].recipient];
    }
    base_assert(m->active_cnt >= job->recipient_cnt);
    m->active_cnt -= job->recipient_cnt;
    message_schedule(q, m);
    return message_over(m);
}

void queue_put_back(struct queue *q, const struct queue_job *job, uint64_t not_before_ns)
{
    struct queue_message *m = job->message;
    for (uint32_t i = 0; i < job->recipient_cnt; i++) {
        uint32_t k = job->recipients[i];
        base_assert(m->recipients[k].active);
        usage_count(q, m, k, -1);
        m->recipients[k].active = false;
        m->recipients[k].due_ns = not_before_ns;
        usage_count(q, m, k, 1);
    }
    m->active_cnt -= job->recipient_cnt;
    message_schedule(q, m);
}

int queue_remove(struct queue *q, const struct spool_id *id)
{
    struct queue_message *m = queue_index_find(q, id);
    if (m == NULL)
        return -ENOENT;
    if (m->active_cnt > 0)
        return -EBUSY;
    for (uint32_t i = 0; i < m->arrival->recipient_cnt; i++)
        usage_count(q, m, i, -1);
    m->due_ns = BASE_NS_NONE;
    queue_heap_set(q, m);
    queue_index_remove(q, m);
    message_free(m);
    return 0;
}

/* Idle recipients that wait for a later time do not. */
static void message_flush(struct queue *q, struct queue_message *m, uint64_t now_ns)
{
    bool any = false;
    for (uint32_t i = 0; i < m->arrival->recipient_cnt; i++) {
        struct queue_recipient_state *r = &m->recipients[i];
        if (!r->active && r->due_ns != BASE_NS_NONE && r->due_ns > now_ns) {
            r->due_ns = now_ns;
            any = true;
        }
    }
    if (any)
        message_schedule(q, m);
}

int queue_damaged(struct queue *q, const struct spool_id *id, uint64_t now_ns)
{
    struct queue_message *m = queue_index_find(q, id);
    if (m == NULL)
        return -ENOENT;
    m->damaged = true;
    message_flush(q, m, now_ns);
    return 0;
}

void queue_flush(struct queue *q, uint64_t now_ns)
{
    struct spool_id at = {{0}};
    struct queue_message *m = queue_index_find(q, &at);
    for (m = m != NULL ? m : queue_index_next(q, &at); m != NULL; m = queue_index_next(q, &m->id))
        message_flush(q, m, now_ns);
}

int queue_flush_message(struct queue *q, const struct spool_id *id, uint64_t now_ns)
{
    struct queue_message *m = queue_index_find(q, id);
    if (m == NULL)
        return -ENOENT;
    message_flush(q, m, now_ns);
    return 0;
}

int queue_hold(struct queue *q, const struct spool_id *id, bool held)
{
    struct queue_message *m = queue_index_find(q, id);
    if (m == NULL || m->deleted)
        return -ENOENT;
    m->held = held;
    message_schedule(q, m);
    return 0;
}

int queue_requeue(struct queue *q, const struct spool_id *id, uint64_t now_ns)
{
    struct queue_message *m = queue_index_find(q, id);
    if (m == NULL || m->deleted)
        return -ENOENT;
    if (m->active_cnt > 0)
        return -EBUSY;
    for (uint32_t i = 0; i < m->arrival->recipient_cnt; i++) {
        struct spool_outcome *o = &m->arrival->outcomes[i];
        if (o->state != SPOOL_OUTCOME_DEFERRED && o->state != SPOOL_OUTCOME_QUEUED)
            continue;
        usage_count(q, m, i, -1);
        *o = (struct spool_outcome){.recipient = i, .state = SPOOL_OUTCOME_QUEUED};
        m->recipients[i].due_ns = now_ns;
        usage_count(q, m, i, 1);
    }
    m->held = false;
    message_schedule(q, m);
    return 0;
}

int queue_delete(struct queue *q, const struct spool_id *id)
{
    struct queue_message *m = queue_index_find(q, id);
    if (m == NULL || m->deleted)
        return -ENOENT;
    if (m->active_cnt > 0)
        return -EBUSY;
    if (message_over(m)) /* its FREE is on the way */
        return -ENOENT;
    m->deleted = true;
    message_schedule(q, m);
    return 0;
}

void queue_note(struct queue_message *m, uint32_t recipient, struct base_span words)
{
    if (m->words == NULL && (m->words = calloc(1, sizeof(*m->words))) == NULL)
        return;
    m->words->recipient = recipient;
    m->words->len = (uint8_t)(words.len < QUEUE_WORDS_MAX ? words.len : QUEUE_WORDS_MAX);
    if (m->words->len > 0)
        memcpy(m->words->text, words.p, m->words->len);
}

uint64_t queue_deadline(const struct queue *q)
{
    return q->heap_cnt == 0 ? BASE_NS_NONE : q->heap[0]->due_ns;
}

void queue_usage(const struct queue *q, struct queue_usage *out)
{
    *out = q->usage;
    out->message_cnt = q->message_cnt;
}

void queue_each(const struct queue *q, const struct spool_id *after, uint32_t cap,
                bool (*each)(void *user, const struct queue_entry *entry), void *user)
{
    struct spool_id at = *after;
    for (uint32_t n = 0; n < cap; n++) {
        const struct queue_message *m = queue_index_next(q, &at);
        if (m == NULL)
            return;
        struct queue_entry e = {
            .id = m->id,
            .sender = m->sender,
            .arrival_wall_ns = m->arrival_wall_ns,
            .content_bytes = m->arrival->content_bytes,
            .recipient_cnt = m->arrival->recipient_cnt,
            .outcomes = m->arrival->outcomes,
            .message = m,
            .held = m->held,
            .active = m->active_cnt > 0,
        };
        if (m->words != NULL) {
            e.words = base_span_of(m->words->text, m->words->len);
            e.words_recipient = m->words->recipient;
        }
        at = m->id;
        if (!each(user, &e))
            return;
    }
}
