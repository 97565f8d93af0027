/*
 * The queue of the gateway's mail, driven by a seed: arrivals with skewed senders and destinations,
 * answers of each kind, jobs put back or ended in parts, holds, releases, flushes, deletes, lost
 * bytes, reloads (limits, and what destinations are called), a wall clock that jumps by minutes to
 * years both ways, and starts of a new queue from what was journalled. After each round arrivals
 * end, and either everything answers or nothing does, until the queue is empty.
 *
 *   - A recipient is in one job at most; the queue and the ledger (sim_queue_ledger.h) have the
 *     same messages, states and counts; no more jobs are out than the limits allow.
 *   - Nothing waits longer than the longest back-off, and all of it ends: delivered when everything
 *     answers, failed for its age when nothing does, each within a time that drain() tells.
 *   - A message expires past its lifetime of running time and downtime (at most half a lifetime for
 *     each start; when the wall clock tells the truth, of true time), and by an attempt that began
 *     after the start and after the last jump of over an hour.
 *   - Each fifth seed has 1000 dead destinations full of mail, whose jobs last minutes. A due
 *     recipient of a destination that answers gets its turn within turn_bound(), whatever another
 *     sender has there.
 *   - A queue without mail has the memory of its destinations alone.
 *
 *   sim_queue [FIRST_SEED [SEED_CNT]]   one seed alone replays it
 */
#include "sim_queue_group.h"
#include "sim_queue_ledger.h"

#include <string.h>

#define LIVE_MAX_NS (3 * S)   /* a job that is answered */
#define DEAD_MAX_NS (240 * S) /* one that is not */
#define SLACK_NS    S         /* steps of time */
#define NOTE_NS     (12 * H)  /* ages are journalled so often */

enum {
    FLOOD_DEAD = 1000,
    FLOOD_LIVE = 20,
    FLOOD_FILL = 2500,
    BURST = 700,
    ACTS = 1500,
    AUDIT_EVERY = 100
};
enum kind { KIND_LIVE, KIND_GREY, KIND_FLAKY, KIND_DEAD, KIND_CNT };

/* ---- turns ---- */

/*
 * Places that only destinations which answer may have: a quarter of job_max. Between two turns of
 * one of them each other one has at most one; and each of its senders has one before the sender who
 * waits has the next.
 */
static uint64_t turn_bound(const struct sim *g, uint32_t key, uint32_t sender)
{
    uint64_t places = g->config.job_max / 4;
    if (g->grouped_live && g->group[3].limits.job_max < places)
        places = g->group[3].limits.job_max;
    uint64_t turn_ns = LIVE_MAX_NS * (2 + (FLOOD_LIVE + places - 1) / places);
    return turn_ns * SENDER_MAX * (g->peak[key][sender] + 1U) + SLACK_NS;
}

static void turn_check(struct sim *g, const struct message *m, const struct recipient *r)
{
    uint32_t key = key_of(g, r->domain);
    if (!g->flood || !g->answered[key] || m->held || m->over || m->damaged)
        return;
    uint64_t from = r->due_ns > g->since_ns[key] ? r->due_ns : g->since_ns[key];
    from = from > g->fair_ns ? from : g->fair_ns;
    uint64_t wait = g->run_ns > from ? g->run_ns - from : 0;
    CHECK(wait <= turn_bound(g, key, m->sender), "d%u due for %llu s, bound %llu s", r->domain,
          (unsigned long long)(wait / S), (unsigned long long)(turn_bound(g, key, m->sender) / S));
    g->longest_wait_ns = wait > g->longest_wait_ns ? wait : g->longest_wait_ns;
}

static void turns_check(struct sim *g)
{
    for (uint32_t i = 0; g->flood && i < MESSAGE_MAX; i++)
        for (uint32_t k = 0; g->messages[i].live && k < g->messages[i].cnt; k++)
            if (is_open(&g->messages[i].to[k]) && !g->messages[i].to[k].out)
                turn_check(g, &g->messages[i], &g->messages[i].to[k]);
}

/* ---- jobs ---- */

static bool dead_now(struct sim *g, uint32_t key)
{
    return g->kind[key] == KIND_DEAD || (g->kind[key] == KIND_FLAKY && below(g, 2) == 0);
}

static void limits_check(struct sim *g, uint32_t key)
{
    uint32_t all = 0, there = 0;
    for (uint32_t i = 0; i < g->out_cnt; i++) {
        all += g->out[i].counts;
        there += g->out[i].counts && g->out[i].key == key;
    }
    CHECK(g->config.job_max == 0 || all <= g->config.job_max, "%u jobs", all);
    CHECK(g->config.destination_max == 0 || there <= g->config.destination_max, "%u jobs to one",
          there);
}

static void job_take(struct sim *g, const struct queue_job *job)
{
    struct message *m = &g->messages[job->content_bytes];
    struct out *o = &g->out[g->out_cnt++];
    CHECK(job->content_bytes < MESSAGE_MAX && m->live && spool_id_eq(&m->id, &job->id), "stranger");
    CHECK(!m->held && !m->over, "held %d, over %d", m->held, m->over);
    CHECK(job->recipient_cnt > 0 && job->recipient_cnt <= QUEUE_JOB_RCPT_MAX, "%u",
          job->recipient_cnt);
    *o = (struct out){.job = *job, .epoch = g->epoch, .counts = !job->set_aside};
    o->key = key_of(g, m->to[job->recipients[0]].domain);
    for (uint32_t i = 0; i < job->recipient_cnt; i++) {
        CHECK(job->recipients[i] < m->cnt, "%u", job->recipients[i]);
        struct recipient *r = &m->to[job->recipients[i]];
        CHECK(!r->out, "in two jobs");
        CHECK(is_open(r), "state %u", r->state);
        CHECK(job->set_aside || key_of(g, r->domain) == o->key, "two destinations");
        /* What waits for a destination may be given up by a failure of that destination. */
        CHECK(!job->set_aside || job->suspended || m->damaged ||
                  g->tried[key_of(g, r->domain)] == g->epoch,
              "without an attempt after the start or the jump");
        if (!job->set_aside)
            turn_check(g, m, r);
        r->out = true;
    }
    g->suspended_jobs += job->suspended;
    if (!sim_group_begins(g, o)) {
        g->group_waits++;
        for (uint32_t i = 0; i < job->recipient_cnt; i++)
            m->to[job->recipients[i]].out = false;
        queue_put_back(g->q, &o->job, g->now_ns);
        g->out_cnt--;
        return;
    }
    bool dead = g->kind[o->key] == KIND_DEAD;
    o->end_ns = g->run_ns + below(g, (dead ? DEAD_MAX_NS : LIVE_MAX_NS) + 1);
    if (!job->set_aside)
        limits_check(g, o->key);
    g->jobs++;
}

static void expired_check(struct sim *g, const struct message *m, const struct out *o)
{
    uint64_t age = g->true_ns - m->born_true_ns;
    if (!g->calm)
        age = g->run_ns - m->born_run_ns + (g->start_cnt - m->starts) * (g->lifetime_max_ns / 2);
    CHECK(age + SLACK_NS > g->config.lifetime_ns, "expired at %llu s",
          (unsigned long long)(age / S));
    CHECK(o->epoch == g->epoch, "by an attempt before the start or the jump");
    g->expired++;
}

static void result_note(struct sim *g, struct message *m, const struct out *o,
                        const struct queue_result *res, const struct spool_outcome *outcome)
{
    struct recipient *r = &m->to[res->recipient];
    CHECK(outcome->recipient == res->recipient && outcome->state == res->state, "outcome");
    r->out = false;
    r->state = res->state;
    r->journal = *outcome;
    if (res->expired)
        expired_check(g, m, o);
    g->delivered += res->state == SPOOL_OUTCOME_DELIVERED;
    g->failed += res->state == SPOOL_OUTCOME_FAILED;
    uint64_t next = outcome->next_wall_ns;
    r->due_ns = g->run_ns + (next > wall(g) ? next - wall(g) : 0);
}

/* So many of the job's recipients, from that one on. */
static void part_done(struct sim *g, const struct out *o, uint32_t from, uint32_t cnt, bool yes)
{
    struct queue_result results[QUEUE_JOB_RCPT_MAX];
    struct spool_outcome outcomes[QUEUE_JOB_RCPT_MAX];
    struct queue_job part = o->job;
    struct message *m = &g->messages[part.content_bytes];
    bool message_deferred = g->kind[o->key] == KIND_GREY && below(g, 2) == 0;
    part.recipient_cnt = cnt;
    memmove(part.recipients, part.recipients + from, cnt * sizeof(part.recipients[0]));
    for (uint32_t i = 0; i < cnt; i++) {
        struct queue_result *r = &results[i];
        *r =
            (struct queue_result){.recipient = part.recipients[i], .state = SPOOL_OUTCOME_DEFERRED};
        if (!yes)
            continue;
        uint64_t luck = message_deferred ? 5 : g->draining ? 20 : below(g, 40);
        r->code = luck < 2 ? 550 : luck < 6 ? 451 : 250;
        if (luck < 2 || luck >= 6)
            r->state = luck < 2 ? SPOOL_OUTCOME_FAILED : SPOOL_OUTCOME_DELIVERED;
        queue_note(g->q, part.message, r->recipient, base_span_str(luck < 2 ? "no" : "later"));
    }
    queue_judge(g->q, &part, results);
    for (uint32_t i = 0; i < cnt && part.suspended && !m->damaged; i++)
        CHECK(results[i].state == SPOOL_OUTCOME_DEFERRED, "expired while suspended");
    bool over = queue_done(g->q, &part, results, outcomes, g->now_ns, wall(g));
    bool open = false;
    for (uint32_t i = 0; i < cnt; i++)
        result_note(g, m, o, &results[i], &outcomes[i]);
    for (uint32_t i = 0; i < m->cnt; i++)
        open |= is_open(&m->to[i]);
    CHECK(over == !open, "over %d", over);
    m->over = over;
}

static void job_put_back(struct sim *g, const struct out *o)
{
    const struct message *m = &g->messages[o->job.content_bytes];
    uint64_t wait = below(g, 300 * S);
    for (uint32_t i = 0; i < o->job.recipient_cnt; i++) {
        struct recipient *r = &m->to[o->job.recipients[i]];
        r->out = false;
        r->due_ns = g->run_ns + wait;
    }
    queue_put_back(g->q, &o->job, g->now_ns + wait);
}

static void job_end(struct sim *g, uint32_t at)
{
    struct out o = g->out[at];
    uint32_t key = o.key, cnt = o.job.recipient_cnt;
    g->out[at] = g->out[--g->out_cnt];
    if (o.job.set_aside) {
        part_done(g, &o, 0, cnt, false);
        return;
    }
    if (!g->draining && below(g, 20) == 0) {
        job_put_back(g, &o);
        return;
    }
    bool yes = !dead_now(g, key);
    uint32_t first = below(g, 4) == 0 ? (uint32_t)below(g, cnt) : 0;
    if (!yes)
        g->tried[key] = o.epoch > g->tried[key] ? o.epoch : g->tried[key];
    if (yes && !g->answered[key])
        g->since_ns[key] = g->run_ns;
    g->answered[key] = yes;
    if (first > 0 || below(g, 2) == 0)
        queue_answer(g->q, &o.job, yes ? QUEUE_ANSWER_YES : QUEUE_ANSWER_NO);
    if (first > 0)
        part_done(g, &o, 0, first, yes);
    part_done(g, &o, first, cnt - first, yes);
}

/* ---- what happens ---- */

static void wall_jump(struct sim *g)
{
    static const uint64_t by[] = {50 * 60 * S, 2 * H, 12 * H, 3 * DAY, 40 * DAY, 3650 * DAY};
    uint64_t n = below(g, BASE_ARRAY_CNT(by));
    uint64_t most = by[n], least = n == 0 ? 0 : 70 * 60 * S;
    int64_t off = (int64_t)(least + below(g, most - least));
    off = below(g, 2) == 0 ? off : -off;
    int64_t sum = g->wall_off_ns + off;
    int64_t limit = (int64_t)(7300 * DAY);
    if (g->calm || sum > limit || sum < -limit)
        return;
    g->wall_off_ns = sum;
    g->epoch += n > 0;
    g->jumps += n > 0;
    queue_clock(g->q, g->now_ns, wall(g));
}

static void config_draw(struct sim *g)
{
    static const uint32_t jobs[] = {1, 3, 8, 24, 100, 0}, flood_jobs[] = {16, 24};
    struct queue_config *c = &g->config;
    c->backoff_min_ns = (60 + below(g, 600)) * S;
    c->backoff_max_ns = c->backoff_min_ns * (1 + below(g, 20));
    c->lifetime_ns = (2 + below(g, below(g, 2) == 0 ? 10 : 120)) * H;
    c->warn_after_ns = below(g, 2) == 0 ? 0 : H;
    c->destination_max = below(g, 3) == 0 ? 0 : (uint32_t)(1 + below(g, 20));
    if (g->flood)
        c->destination_max = (uint32_t)(1 + below(g, 4));
    c->job_max = g->flood ? flood_jobs[below(g, 2)] : jobs[below(g, BASE_ARRAY_CNT(jobs))];
    if (c->backoff_max_ns > g->backoff_max_ns)
        g->backoff_max_ns = c->backoff_max_ns;
    if (c->lifetime_ns > g->lifetime_max_ns)
        g->lifetime_max_ns = c->lifetime_ns;
}

/* What waited before has no claim on the new limits until the old jobs are back. */
static void fair_from(struct sim *g, uint64_t ns)
{
    g->fair_ns = g->run_ns + ns;
}

static void reload(struct sim *g)
{
    config_draw(g);
    if (!g->flood && below(g, 2) == 0) {
        g->pairs = !g->pairs;
        memset(g->open, 0, sizeof(g->open));
        memset(g->answered, 0, sizeof(g->answered));
        for (uint32_t i = 0; i < MESSAGE_MAX; i++)
            for (uint32_t k = 0; g->messages[i].live && k < g->messages[i].cnt; k++)
                g->open[key_of(g, g->messages[i].to[k].domain)][g->messages[i].sender]++;
    }
    fair_from(g, DEAD_MAX_NS);
    queue_configure(g->q, &g->config);
    sim_group_draw(g);
    sim_group_tell(g);
}

static void frees(struct sim *g, bool all)
{
    for (uint32_t i = 0; i < MESSAGE_MAX; i++) {
        struct message *m = &g->messages[i];
        if (!m->live || !m->over || (!all && below(g, 4) == 0))
            continue;
        int rc = queue_remove(g->q, &m->id);
        CHECK(rc == 0, "remove: %d", rc);
        ledger_forget(g, m);
    }
}

/* A new queue from what was journalled; jobs that were out are lost, and so are holds. */
static void start(struct sim *g)
{
    if (g->q != NULL)
        queue_fini(g->q);
    uint64_t down = below(g, below(g, 4) == 0 ? 3 * DAY : 600 * S);
    g->true_ns += down;
    g->now_ns = below(g, 2) == 0 ? below(g, 400 * DAY) : g->now_ns + down;
    g->out_cnt = 0;
    g->start_cnt++;
    g->epoch++;
    g->config.seed = base_rand_next(&g->rand);
    memset(g->answered, 0, sizeof(g->answered));
    int rc = queue_init(&g->q, &g->config);
    CHECK(rc == 0, "init: %d", rc);
    queue_clock(g->q, g->now_ns, wall(g));
    sim_group_tell(g);
    if (below(g, 2) == 0)
        wall_jump(g);
    for (uint32_t i = 0; i < MESSAGE_MAX; i++) {
        struct message *m = &g->messages[i];
        if (!m->live)
            continue;
        m->held = m->damaged = false;
        m->over = true;
        for (uint32_t k = 0; k < m->cnt; k++) {
            struct recipient *r = &m->to[k];
            uint64_t next = r->journal.next_wall_ns;
            uint64_t wait = next > wall(g) ? next - wall(g) : 0;
            r->out = false;
            r->state = r->journal.state;
            r->due_ns = g->run_ns + (wait < backoff_longest(g) ? wait : backoff_longest(g));
            m->over &= !is_open(r);
        }
        ledger_give(g, m);
    }
}

/* As if it had never been tried, and not held. */
static void requeued(struct sim *g, struct message *m)
{
    m->held = false;
    for (uint32_t i = 0; i < m->cnt; i++) {
        struct recipient *r = &m->to[i];
        if (!is_open(r))
            continue;
        r->state = SPOOL_OUTCOME_QUEUED;
        r->journal = (struct spool_outcome){.recipient = i, .state = SPOOL_OUTCOME_QUEUED};
        r->due_ns = g->run_ns;
    }
}

static void operate(struct sim *g, struct message *m)
{
    bool active = false;
    int rc = 0;
    for (uint32_t i = 0; i < m->cnt; i++)
        active |= m->to[i].out;
    switch (below(g, 10)) {
    case 0:
        rc = queue_delete(g->q, &m->id);
        CHECK(rc == (active ? -EBUSY : 0), "delete: %d", rc);
        m->over = rc == 0;
        g->deleted += rc == 0;
        return;
    case 1:
        rc = queue_damaged(g->q, &m->id, g->now_ns);
        m->damaged = true;
        break;
    case 2:
    case 3:
        rc = queue_flush_message(g->q, &m->id, g->now_ns);
        break;
    case 4:
        rc = queue_requeue(g->q, &m->id, g->now_ns);
        CHECK(rc == (active ? -EBUSY : 0), "requeue: %d", rc);
        if (rc == 0)
            requeued(g, m);
        return;
    default:
        m->held = below(g, 2) == 0;
        rc = queue_hold(g->q, &m->id, m->held);
        break;
    }
    for (uint32_t i = 0; i < m->cnt; i++) /* by its own time, or now: it does not matter here */
        if (m->to[i].due_ns < g->run_ns || m->damaged)
            m->to[i].due_ns = g->run_ns;
    CHECK(rc == 0, "operator: %d", rc);
}

/* One sender's mail to one destination that answers. */
static void burst(struct sim *g)
{
    struct ledger_flow flow = {.sender = (uint8_t)below(g, SENDER_MAX)};
    flow.domain = (uint16_t)(g->dead_cnt + below(g, g->domain_cnt - g->dead_cnt));
    for (uint32_t i = 0; i < BURST; i++)
        ledger_arrive(g, &flow);
}

static void act(struct sim *g)
{
    struct message *m = &g->messages[below(g, MESSAGE_MAX)];
    uint64_t n = below(g, 1000);
    frees(g, false);
    if (g->flood && below(g, 300) == 0)
        burst(g);
    if (n < 600)
        ledger_arrive(g, NULL);
    else if (n < 900) {
        while (!m->live && g->message_cnt > 0)
            m = m == &g->messages[MESSAGE_MAX - 1] ? g->messages : m + 1;
        if (m->live && !m->over)
            operate(g, m);
    } else if (n < 950)
        wall_jump(g);
    else if (n < 970)
        g->kind[g->dead_cnt + below(g, g->domain_cnt - g->dead_cnt)] =
            (uint8_t)below(g, g->flood ? KIND_FLAKY : KIND_CNT);
    else if (n < 980)
        reload(g);
    else if (n < 985)
        sim_group_act(g);
    else if (n < (g->flood ? 987 : 992))
        start(g);
}

/* ---- time ---- */

/* All that is to be done now; then the time at which there is more, at most until. */
static uint64_t pass(struct sim *g, uint64_t until)
{
    struct queue_job job;
    uint64_t deadline = 0;
    for (uint32_t i = 0; i < g->out_cnt;)
        if (g->out[i].end_ns <= g->run_ns)
            job_end(g, i);
        else
            i++;
    queue_clock(g->q, g->now_ns, wall(g));
    for (uint32_t n = 0; g->out_cnt < OUT_MAX && deadline <= g->now_ns; n++) {
        CHECK(n < 20000, "the deadline stays");
        if (queue_next(g->q, &job, g->now_ns))
            job_take(g, &job);
        deadline = queue_deadline(g->q);
    }
    if (g->out_cnt < OUT_MAX && deadline - g->now_ns < until - g->run_ns)
        until = g->run_ns + (deadline - g->now_ns);
    for (uint32_t i = 0; i < g->out_cnt; i++)
        until = g->out[i].end_ns < until ? g->out[i].end_ns : until;
    return until > g->run_ns ? until : g->run_ns;
}

static void sleep_until(struct sim *g, uint64_t run_ns)
{
    uint64_t by = run_ns - g->run_ns;
    g->run_ns += by;
    g->true_ns += by;
    g->now_ns += by;
}

/* Everything answers, or nothing: the queue is empty within the time that this computes. */
static void drain(struct sim *g)
{
    bool answers = below(g, 2) == 0;
    uint64_t open = 0, bound = 4 * backoff_longest(g) + 4 * DEAD_MAX_NS;
    g->draining = true;
    memset(g->kind, answers ? KIND_LIVE : KIND_DEAD, sizeof(g->kind));
    fair_from(g, UINT64_MAX / 2);
    sim_group_free(g);
    for (uint32_t i = 0; i < MESSAGE_MAX; i++) {
        struct message *m = &g->messages[i];
        if (m->live && !m->over && m->held && queue_hold(g->q, &m->id, false) == 0)
            m->held = false;
        open += m->live ? m->cnt : 0;
    }
    bound += answers ? open * LIVE_MAX_NS
                     : g->config.lifetime_ns + NOTE_NS + 8 * g->domain_cnt * DEAD_MAX_NS;
    bound += sim_group_slack(g, answers ? open : 8 * g->domain_cnt);
    bound += g->run_ns;
    for (uint32_t n = 0; g->message_cnt > 0; n++) {
        uint64_t at = pass(g, bound + S);
        frees(g, true);
        if (n % 1000 == 0)
            ledger_audit(g);
        CHECK(g->message_cnt == 0 || at <= bound, "%u messages, everything %s", g->message_cnt,
              answers ? "answers" : "is dead");
        if (g->message_cnt > 0)
            sleep_until(g, at);
    }
    ledger_audit(g);
    ledger_empty(g);
    g->draining = false;
}

static void simulate(struct sim *g, uint64_t seed)
{
    uint64_t longest = g->longest_wait_ns;
    memset(g, 0, offsetof(struct sim, added));
    g->seed = seed;
    g->longest_wait_ns = longest;
    base_rand_init(&g->rand, seed);
    g->flood = seed % 5 == 4;
    g->calm = seed % 3 == 0;
    g->true_ns = UINT64_C(1700000000) * S;
    g->dead_cnt = g->flood ? FLOOD_DEAD : 0;
    g->domain_cnt = g->flood ? FLOOD_DEAD + FLOOD_LIVE : 4 + (uint32_t)below(g, 40);
    g->grouped = seed % 4 != 1;
    g->grouped_live = g->flood && seed % 10 == 9;
    config_draw(g);
    sim_group_draw(g);
    g->config.destination = ledger_destination;
    g->config.group = sim_group_of_name;
    g->config.user = g;
    start(g);
    for (uint32_t round = 0; round < 2; round++) {
        if (g->flood && round > 0) /* what answered while it was drained is not known as such */
            start(g);
        g->fair_ns = g->run_ns;
        memset(g->kind, KIND_DEAD, sizeof(g->kind));
        for (uint32_t i = g->dead_cnt; i < KEY_MAX; i++)
            g->kind[i] = (uint8_t)below(g, g->flood ? KIND_FLAKY : KIND_CNT);
        for (uint32_t i = 0; g->flood && i < FLOOD_FILL; i++)
            ledger_arrive(g, NULL);
        for (uint32_t i = 0; i < ACTS; i++) {
            uint64_t gap = below(g, 40) == 0 ? 4 * H : g->flood ? 4 * S : 60 * S;
            uint64_t until = g->run_ns + below(g, gap);
            while (g->run_ns < until)
                sleep_until(g, pass(g, until));
            act(g);
            if (i % AUDIT_EVERY == 0) {
                turns_check(g);
                ledger_audit(g);
            }
        }
        drain(g);
    }
    queue_fini(g->q);
    g->q = NULL;
}

int main(int argc, char **argv)
{
    static struct sim g;
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    uint64_t cnt = argc > 2 ? strtoull(argv[2], NULL, 0) : argc > 1 ? 1 : 20;
    for (uint64_t seed = first; seed < first + cnt; seed++)
        simulate(&g, seed);
    printf("seeds %llu..%llu: %llu messages, %llu jobs; recipients: %llu delivered, %llu failed, "
           "%llu of them expired; %llu messages deleted; %llu jumps, %llu audits; the longest wait "
           "beside dead destinations: %llu s; of groups: %llu jobs, %llu put back, %llu messages "
           "looked at while suspended\n",
           (unsigned long long)first, (unsigned long long)(first + cnt - 1),
           (unsigned long long)g.added, (unsigned long long)g.jobs, (unsigned long long)g.delivered,
           (unsigned long long)g.failed, (unsigned long long)g.expired,
           (unsigned long long)g.deleted, (unsigned long long)g.jumps, (unsigned long long)g.audits,
           (unsigned long long)(g.longest_wait_ns / S), (unsigned long long)g.group_jobs,
           (unsigned long long)g.group_waits, (unsigned long long)g.suspended_jobs);
    return 0;
}
