#include "courier_verify.h"
#include "courier.h"
#include "courier_start.h"
#include "rcpt_job.h"

#include <rte_ring.h>

#define BURST 64

int courier_verify_init(struct courier *c)
{
    c->verify.generation = c->settings->generation;
    return policy_verify_init(&c->verify.cache, (uint32_t)c->settings->conf->recipient.verify_cache,
                              c->secret);
}

void courier_verify_fini(struct courier *c)
{
    policy_verify_fini(&c->verify.cache);
}

/* The ring has room for all jobs of the lane, whose the job is from then on. */
static void give_back(struct courier *c, struct rcpt_job *job, enum rcpt_answer answer)
{
    uint32_t lane = job->lane;

    job->answer = (uint8_t)answer;
    base_assert(rte_ring_sp_enqueue(topology_ring(c->topology, TOPOLOGY_VERIFY_LANE, lane), job) ==
                0);
    doorbell_ring(&c->topology->lane_bell[lane]);
}

static void tell(struct courier *c, struct rcpt_job *job, const struct policy_verify_said *said)
{
    static const enum rcpt_answer of_said[] = {
        [POLICY_VERIFY_NONE] = RCPT_ANSWER_BUSY,
        [POLICY_VERIFY_GOOD] = RCPT_ANSWER_DELIVERABLE,
        [POLICY_VERIFY_BAD] = RCPT_ANSWER_UNDELIVERABLE,
        [POLICY_VERIFY_UNDECIDED] = RCPT_ANSWER_UNDECIDED,
    };

    base_static_assert(sizeof(job->words) == sizeof(said->words), "the same words");
    job->code = said->code;
    job->words_len = said->words_len;
    memcpy(job->words, said->words, said->words_len);
    memcpy(job->enhanced, said->enhanced, sizeof(job->enhanced));
    give_back(c, job, of_said[said->answer]);
}

static void tell_all(struct courier *c, struct policy_verify_entry *e,
                     const struct policy_verify_said *said)
{
    struct base_list *node;

    while ((node = base_list_pop_front(&e->waiters)) != NULL) {
        base_list_init(node);
        tell(c, base_container_of(node, struct rcpt_job, place), said);
    }
}

/* ---- probes ---- */

static bool may_probe(const struct courier *c)
{
    return courier_may_start(c) && c->verify.probe_cnt < (c->limit + 1) / 2;
}

static bool is_ascii(struct base_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] >= 0x80)
            return false;
    return true;
}

/* Returns false when none can be made now. */
static bool probe(struct courier *c, struct policy_verify_entry *e)
{
    struct base_span mailbox = policy_verify_mailbox(e);
    struct queue_job job = {
        .domain = queue_domain(mailbox), .smtputf8 = !is_ascii(mailbox), .recipient_cnt = 1};

    if (!may_probe(c))
        return false;
    e->asking = true;
    c->verify.probe_cnt++;
    stats_inc(c->stats, STATS_VERIFY_PROBES);
    courier_start_verify(c, &job, e, mailbox);
    return true;
}

void courier_verify_done(struct courier *c, const struct delivery *d)
{
    const struct conf_recipient *conf = &c->settings->conf->recipient;
    const struct delivery_result *r = &d->result[0];
    struct policy_verify_entry *e = d->verify;
    struct policy_verify_times times = {
        .positive_expire_ns = conf->verify_positive_expire_ns,
        .positive_refresh_ns = conf->verify_positive_refresh_ns,
        .negative_expire_ns = conf->verify_negative_expire_ns,
        .negative_refresh_ns = conf->verify_negative_refresh_ns,
    };
    struct policy_verify_said said = {.code = r->code, .words_len = r->text_len};

    base_assert(e->asking && c->verify.probe_cnt > 0);
    e->asking = false;
    c->verify.probe_cnt--;
    memcpy(said.words, r->text, r->text_len);
    memcpy(said.enhanced, r->enhanced, sizeof(said.enhanced));
    /* A greeting or MAIL that is refused says nothing about the recipient. */
    bool of_rcpt = d->verify_answered;
    if (d->unattempted)
        said.answer = POLICY_VERIFY_NONE;
    else if (r->code / 100 == 2)
        said.answer = POLICY_VERIFY_GOOD;
    else
        said.answer = (r->code / 100 == 5 && of_rcpt) || d->fatal ? POLICY_VERIFY_BAD
                                                                  : POLICY_VERIFY_UNDECIDED;
    stats_inc(c->stats, said.answer == POLICY_VERIFY_GOOD  ? STATS_VERIFY_GOOD
                        : said.answer == POLICY_VERIFY_BAD ? STATS_VERIFY_BAD
                                                           : STATS_VERIFY_UNKNOWN);
    policy_verify_note(e, &said, &times, c->now_ns);
    tell_all(c, e, &said);
}

/* ---- questions ---- */

static void look_up(struct courier *c, struct rcpt_job *job)
{
    struct policy_verify_entry *e =
        policy_verify_get(&c->verify.cache, policy_key_span(&job->key),
                          base_span_of(job->mailbox, job->mailbox_len), c->now_ns);
    bool old = false;

    stats_inc(c->stats, STATS_VERIFY_ASKED);
    if (e == NULL)
        return give_back(c, job, RCPT_ANSWER_BUSY);
    enum policy_verify_answer known = policy_verify_known(e, c->now_ns, &old);
    if (known != POLICY_VERIFY_NONE) {
        stats_inc(c->stats, STATS_VERIFY_CACHED);
        if (old && !e->asking && probe(c, e))
            stats_inc(c->stats, STATS_VERIFY_REFRESHED);
        return tell(c, job, &e->said);
    }
    if (!e->asking && !probe(c, e))
        return give_back(c, job, RCPT_ANSWER_BUSY);
    base_list_push_back(&e->waiters, &job->place);
}

uint32_t courier_verify_pass(struct courier *c)
{
    struct courier_verify *v = &c->verify;
    uint32_t n = 0;

    if (v->generation != c->settings->generation) {
        v->generation = c->settings->generation;
        policy_verify_limit(&v->cache, (uint32_t)c->settings->conf->recipient.verify_cache);
        policy_verify_forget_refusals(&v->cache);
    }
    for (uint32_t lane = 0; lane < c->topology->lane_cnt; lane++) {
        struct rte_ring *ring = topology_ring(c->topology, TOPOLOGY_LANE_VERIFY, lane);
        struct rcpt_job *job[BURST];
        uint32_t got = rte_ring_sc_dequeue_burst(ring, (void **)job, BURST, NULL);
        for (uint32_t i = 0; i < got; i++)
            look_up(c, job[i]);
        n += got;
    }
    stats_set(c->stats, STATS_VERIFY_KEPT_NOW, v->cache.cnt);
    stats_set(c->stats, STATS_VERIFY_FORGOTTEN, v->cache.forgotten_cnt);
    return n;
}
