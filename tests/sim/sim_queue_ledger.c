#include "sim_queue_ledger.h"

#include <string.h>

#define EMPTY_BYTES             (160 * 1024) /* two chunks of the arena, and first tables */
#define EMPTY_DESTINATION_BYTES 320          /* each that is remembered, with its part of tables */

size_t ledger_destination(void *user, struct base_span domain, uint8_t out[QUEUE_DESTINATION_MAX])
{
    const struct sim *g = user;
    uint32_t n = 0;
    for (size_t i = 1; i < domain.len; i++)
        n = n * 10 + (uint32_t)(domain.p[i] - '0');
    char text[16];
    int len = snprintf(text, sizeof(text), g->pairs ? "hop%u" : "D%u", g->pairs ? n / 2 : n);
    memcpy(out, text, (size_t)len);
    return (size_t)len;
}

static struct spool_arrival *arrival_of(const struct message *m)
{
    size_t cap = 96 + (size_t)m->cnt * 40, outcomes = m->cnt * sizeof(struct spool_outcome);
    uint8_t *p = calloc(1, sizeof(struct spool_arrival) + outcomes + cap);
    if (p == NULL)
        abort();
    struct spool_arrival *a = (struct spool_arrival *)(void *)p;
    a->outcomes = (struct spool_outcome *)(void *)(p + sizeof(*a));
    a->envelope = p + sizeof(*a) + outcomes;
    a->recipient_cnt = m->cnt;
    struct base_buf b = {.p = a->envelope, .cap = cap};
    uint8_t at[8];
    char text[40];
    base_put_le64(at, m->arrival_wall_ns);
    snprintf(text, sizeof(text), "s%u@x.example", m->sender);
    int rc = spool_envelope_put(&b, SPOOL_ENVELOPE_SENDER, base_span_str(text));
    rc |= spool_envelope_put(&b, SPOOL_ENVELOPE_ARRIVAL, base_span_of(at, 8));
    for (uint32_t i = 0; i < m->cnt; i++) {
        a->outcomes[i] = m->to[i].journal;
        snprintf(text, sizeof(text), "u%u@d%u", i, m->to[i].domain);
        rc |= spool_envelope_put(&b, SPOOL_ENVELOPE_RECIPIENT, base_span_str(text));
    }
    if (rc != 0)
        abort();
    a->envelope_len = (uint32_t)b.len;
    return a;
}

void ledger_give(struct sim *g, struct message *m)
{
    struct spool_arrival *a = arrival_of(m);
    a->content_bytes = (uint64_t)(m - g->messages);
    int rc = queue_add(g->q, &m->id, a, g->now_ns, wall(g));
    CHECK(rc == 0, "add: %d", rc);
}

/* Few domains have most of the mail; the dead ones of a flood have it in equal parts. */
static uint16_t domain_pick(struct sim *g)
{
    uint64_t alive = g->domain_cnt - g->dead_cnt;
    if (g->dead_cnt > 0 && below(g, 4) != 0)
        return (uint16_t)below(g, g->dead_cnt);
    return (uint16_t)(g->dead_cnt + below(g, below(g, alive) + 1));
}

bool ledger_arrive(struct sim *g, const struct ledger_flow *flow)
{
    uint32_t slot = 0;
    while (slot < MESSAGE_MAX && g->messages[slot].live)
        slot++;
    if (slot == MESSAGE_MAX)
        return false;
    struct message *m = &g->messages[slot];
    *m = (struct message){
        .id = spool_id_make(1 + below(g, 1U << 30), 1, 0, (uint32_t)g->added),
        .born_run_ns = g->run_ns,
        .born_true_ns = g->true_ns,
        .arrival_wall_ns = wall(g),
        .starts = g->start_cnt,
        .cnt =
            (uint32_t)(below(g, 4) != 0 ? 1 : 1 + below(g, below(g, 8) != 0 ? 5 : RECIPIENT_MAX)),
        .sender = (uint8_t)below(g, below(g, SENDER_MAX) + 1),
        .live = true,
    };
    if (flow != NULL) {
        m->cnt = 1;
        m->sender = flow->sender;
    }
    m->to = calloc(m->cnt, sizeof(*m->to));
    if (m->to == NULL)
        abort();
    bool one = below(g, 2) == 0;
    for (uint32_t i = 0; i < m->cnt; i++) {
        struct recipient *r = &m->to[i];
        r->domain = flow != NULL ? flow->domain : one && i > 0 ? m->to[0].domain : domain_pick(g);
        r->journal.recipient = i;
        r->due_ns = g->run_ns;
        uint32_t key = key_of(g, r->domain), n = ++g->open[key][m->sender];
        if (n > g->peak[key][m->sender])
            g->peak[key][m->sender] = n;
    }
    g->added++;
    g->message_cnt++;
    ledger_give(g, m);
    return true;
}

void ledger_forget(struct sim *g, struct message *m)
{
    for (uint32_t i = 0; i < m->cnt; i++)
        g->open[key_of(g, m->to[i].domain)][m->sender]--;
    free(m->to);
    m->live = false;
    g->message_cnt--;
}

/* ---- comparison ---- */

struct tally {
    struct sim *g;
    struct spool_id last;
    uint64_t message_cnt, sum, held_cnt, destination_cnt, job_cnt;
};

static bool compare(void *user, const struct queue_entry *e)
{
    struct tally *t = user;
    struct sim *g = t->g;
    const struct message *m = &g->messages[e->content_bytes];
    bool active = false;
    CHECK(e->content_bytes < MESSAGE_MAX && m->live && spool_id_eq(&m->id, &e->id), "a stranger");
    CHECK(t->message_cnt == 0 || memcmp(&t->last, &e->id, sizeof(e->id)) != 0, "listed twice");
    CHECK(m->held == e->held && m->cnt == e->recipient_cnt, "held %d", e->held);
    for (uint32_t i = 0; i < m->cnt; i++) {
        const struct recipient *r = &m->to[i];
        struct spool_outcome o = queue_entry_outcome(e, i);
        active |= r->out;
        CHECK(o.state == r->state, "state %u, and %u in the ledger", o.state, r->state);
        if (o.state != SPOOL_OUTCOME_DEFERRED || r->out || m->over)
            continue;
        uint64_t wait = o.next_wall_ns > wall(g) ? o.next_wall_ns - wall(g) : 0;
        CHECK(wait <= backoff_longest(g), "waits %llu s", (unsigned long long)(wait / S));
    }
    CHECK(active == e->active, "active %d", e->active);
    t->last = e->id;
    t->message_cnt++;
    return true;
}

static bool sum_up(void *user, const struct queue_destination_entry *e)
{
    struct tally *t = user;
    t->sum += e->queued_cnt + e->deferred_cnt + e->failed_cnt;
    t->held_cnt += e->held_cnt;
    t->job_cnt += e->job_cnt;
    t->destination_cnt++;
    return true;
}

void ledger_audit(struct sim *g)
{
    static const struct spool_id zero;
    struct tally t = {.g = g}, sum = {.g = g};
    struct queue_usage u, w = {.message_cnt = g->message_cnt};
    static bool used[KEY_MAX];
    uint64_t held_cnt = 0, job_cnt = 0, used_cnt = 0;
    memset(used, 0, sizeof(used));
    for (uint32_t i = 0; i < MESSAGE_MAX; i++) {
        const struct message *m = &g->messages[i];
        for (uint32_t k = 0; m->live && k < m->cnt; k++) {
            const struct recipient *r = &m->to[k];
            w.recipient_cnt += r->state != SPOOL_OUTCOME_DELIVERED;
            w.failed_cnt += r->state == SPOOL_OUTCOME_FAILED;
            w.active_cnt += r->out;
            w.deferred_cnt += r->state == SPOOL_OUTCOME_DEFERRED && !r->out;
            held_cnt += m->held && is_open(r);
            used[key_of(g, r->domain)] |= r->state != SPOOL_OUTCOME_DELIVERED;
        }
    }
    for (uint32_t i = 0; i < g->out_cnt; i++) {
        job_cnt += g->out[i].counts;
        if (g->out[i].counts)
            used[g->out[i].key] = true;
    }
    if (g->suspended_key != 0) /* with mail or without */
        used[g->suspended_key - 1] = true;
    for (uint32_t i = 0; i < KEY_MAX; i++)
        used_cnt += used[i];
    queue_usage(g->q, &u);
    CHECK(u.message_cnt == w.message_cnt && u.recipient_cnt == w.recipient_cnt &&
              u.failed_cnt == w.failed_cnt && u.active_cnt == w.active_cnt &&
              u.deferred_cnt == w.deferred_cnt && u.destination_cnt == used_cnt,
          "messages %llu and %llu", (unsigned long long)u.message_cnt,
          (unsigned long long)w.message_cnt);
    queue_each(g->q, &zero, UINT32_MAX, compare, &t);
    CHECK(t.message_cnt == g->message_cnt, "listed %llu", (unsigned long long)t.message_cnt);
    queue_each_destination(g->q, 0, UINT32_MAX, sum_up, &sum);
    CHECK(sum.sum == w.recipient_cnt && sum.held_cnt == held_cnt && sum.job_cnt == job_cnt &&
              sum.destination_cnt == used_cnt,
          "destinations: %llu recipients, %llu jobs", (unsigned long long)sum.sum,
          (unsigned long long)sum.job_cnt);
    g->audits++;
}

void ledger_empty(struct sim *g)
{
    struct queue_usage u;
    queue_usage(g->q, &u);
    uint64_t names = g->domain_cnt + g->domain_cnt / 2;
    uint64_t bytes = EMPTY_BYTES + names * EMPTY_DESTINATION_BYTES;
    CHECK(u.message_cnt + u.recipient_cnt + u.active_cnt + u.deferred_cnt + u.failed_cnt == 0 &&
              u.destination_cnt == 0,
          "not empty");
    CHECK(u.bytes <= bytes, "%llu bytes without mail", (unsigned long long)u.bytes);
}
