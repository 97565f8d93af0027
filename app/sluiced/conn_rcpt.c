#include "conn_rcpt.h"
#include "client_limits.h"
#include "conn_in_internal.h"
#include "conn_log.h"
#include "conn_message.h"
#include "rcpt_job.h"

#include <errno.h>
#include <stdio.h>

#include <rte_ring.h>

#define JOB_SHARE 16 /* one job for so many connections */
#define JOB_MIN   64

static struct smtp_reply const reply_ok = {250, "2.1.5", "Ok"};
static struct smtp_reply const reply_busy = {452, "4.3.2", "System is busy, try again later"};
static struct smtp_reply const reply_many = {452, "4.5.3", "Error: too many recipients"};

int conn_rcpt_init(struct lane *l)
{
    uint32_t cnt = (uint32_t)l->settings->conf->tcp.connections / JOB_SHARE;

    l->rcpt.to = topology_ring(l->topology, TOPOLOGY_LANE_VERIFY, l->number);
    l->rcpt.from = topology_ring(l->topology, TOPOLOGY_VERIFY_LANE, l->number);
    cnt = cnt < JOB_MIN                     ? JOB_MIN
          : cnt > TOPOLOGY_VERIFY_DEPTH / 2 ? TOPOLOGY_VERIFY_DEPTH / 2
                                            : cnt;
    return base_pool_init(&l->rcpt.jobs, cnt, sizeof(struct rcpt_job), 64, sizeof(struct rcpt_job));
}

void conn_rcpt_fini(struct lane *l)
{
    if (l->rcpt.jobs.object_cnt == 0)
        return;
    l->rcpt.jobs.free_cnt = l->rcpt.jobs.object_cnt; /* those that wait end with the lane */
    base_pool_fini(&l->rcpt.jobs);
}

/* ---- a job ---- */

/* Keeps what RCPT said: the session's views point there from now on. */
static struct rcpt_job *open_job(struct conn *c, enum policy_verdict verdict)
{
    struct smtp_server *s = &c->in.smtp;
    struct smtp_address *a = &s->address;
    struct rcpt_job *job = base_pool_get(&c->lane->rcpt.jobs);

    if (job == NULL)
        return NULL;
    job->conn = c;
    job->lane = (uint8_t)c->lane->number;
    job->verdict = (uint8_t)verdict;
    base_list_init(&job->place);
    job->mailbox_len = (uint16_t)a->mailbox.len;
    memcpy(job->mailbox, a->mailbox.p, a->mailbox.len);
    if (a->local.len > 0)
        a->local.p = job->mailbox + (a->local.p - a->mailbox.p);
    if (a->domain.len > 0)
        a->domain.p = job->mailbox + (a->domain.p - a->mailbox.p);
    a->mailbox.p = job->mailbox;
    job->orcpt_len = (uint16_t)s->rcpt.orcpt.len;
    if (job->orcpt_len > 0)
        memcpy(job->orcpt, s->rcpt.orcpt.p, job->orcpt_len);
    s->rcpt.orcpt.p = job->orcpt;
    c->in.rcpt = job;
    return job;
}

/* The recipient has its reply, or nobody waits for one. */
static void close_job(struct conn *c)
{
    struct rcpt_job *job = c->in.rcpt;

    c->in.rcpt = NULL;
    if (job == NULL)
        return;
    job->conn = NULL;
    if (job->away)
        return;
    base_list_remove(&job->place);
    base_pool_put(&c->lane->rcpt.jobs, job);
}

void conn_rcpt_leave(struct conn *c)
{
    if (c->in.rcpt != NULL)
        c->in.asking = false;
    close_job(c);
}

/* ---- steps ---- */

enum step {
    STEP_GO,     /* on to the next */
    STEP_WAIT,   /* for the job */
    STEP_REFUSE, /* with the reply */
};

static enum step refuse(struct smtp_reply *reply, const struct smtp_reply *with)
{
    *reply = *with;
    return STEP_REFUSE;
}

static enum step ask_lists(struct conn *c, enum policy_verdict verdict, struct smtp_reply *reply,
                           char text[POLICY_TEXT_CAP])
{
    if ((c->in.rcpt != NULL && c->in.rcpt->listed) || !client_lists_wanted(c))
        return STEP_GO;
    struct rcpt_job *job = c->in.rcpt != NULL ? c->in.rcpt : open_job(c, verdict);
    if (job == NULL)
        return refuse(reply, &reply_busy);
    switch (client_lists_judge(c, job, reply, text)) {
    case CLIENT_LISTS_PASS:
        job->listed = true;
        return STEP_GO;
    case CLIENT_LISTS_WAIT:
        return STEP_WAIT;
    case CLIENT_LISTS_REFUSED:
        break;
    }
    return STEP_REFUSE;
}

static bool is_forwarded(void *user, struct base_span target)
{
    return !policy_is_local(user, target);
}

/* The targets of an alias take the recipient's place. */
static enum step take_targets(struct conn *c, struct policy_view *view, struct base_span mailbox,
                              struct smtp_reply *reply)
{
    const struct policy_expansion *e = &c->lane->expansion;
    uint8_t room[MAIL_SRS_OUT_CAP];
    struct base_buf from = {.p = room, .cap = sizeof(room)};
    struct base_span sender = conn_message_sender(c);
    struct conn_message_alias a = {.address = mailbox,
                                   .targets = e->target,
                                   .target_cnt = e->cnt,
                                   .forwarded = is_forwarded,
                                   .user = view};
    bool wanted = policy_srs_wanted(view, sender);
    bool rewritten = wanted && policy_srs_forward(view, sender, &from);

    if (rewritten)
        a.forward_from = base_buf_span(&from);
    switch (conn_message_expansion(c, &a)) {
    case CONN_MESSAGE_EXPANDED:
        break;
    case CONN_MESSAGE_NO_BUFFER:
        return refuse(reply, &reply_busy);
    case CONN_MESSAGE_TOO_MANY:
        stats_inc(view->stats, STATS_POLICY_RCPT_LIMIT);
        return refuse(reply, &reply_many);
    }
    stats_add(view->stats, STATS_POLICY_RCPT_TARGETS, e->cnt - a.double_cnt);
    stats_add(view->stats, STATS_POLICY_RCPT_DOUBLES, a.double_cnt);
    for (uint32_t i = 0; i < e->cnt; i++) {
        if (policy_is_local(view, e->target[i]))
            continue;
        stats_inc(view->stats, STATS_POLICY_RCPT_FORWARDED);
        if (wanted)
            stats_inc(view->stats, rewritten ? STATS_POLICY_SRS_REWRITTEN : STATS_POLICY_SRS_UNFIT);
    }
    conn_log_text(c, STATS_LOG_EXPANDED, e->cnt - a.double_cnt, e->line, mailbox);
    return STEP_GO;
}

/* A report for somebody whose mail was forwarded: it goes to the sender that the address stands
 * for, wherever that is. */
static enum step take_report(struct conn *c, const struct policy_view *view,
                             struct smtp_reply *reply)
{
    uint8_t room[MAIL_SRS_OUT_CAP];
    struct base_buf to = {.p = room, .cap = sizeof(room)};

    if (!policy_srs_reverse(view, &c->in.smtp.address,
                            &to)) /* the secrets have changed meanwhile */
        return refuse(reply, &reply_busy);
    return conn_message_recipient(c, base_buf_span(&to)) ? STEP_GO : refuse(reply, &reply_busy);
}

/* Whether the next hop's word is wanted: for recipients of relay domains that no map names. */
static bool wants_verify(const struct lane *l, const struct smtp_address *a,
                         enum policy_verdict verdict)
{
    struct policy_view view = conn_in_view(l);
    struct policy_reading reading = policy_view_reading(&view);
    struct policy_key key;

    if (l->settings->conf->recipient.verify != CONF_VERIFY_NEXT_HOP ||
        verdict != POLICY_ACCEPTED_DOMAIN || a->kind != SMTP_ADDRESS_MAILBOX)
        return false;
    if (l->tables == NULL)
        return true;
    return l->tables->cnt[POLICY_ROLE_RECIPIENTS] == 0 &&
           (policy_key_address(&key, a) != 0 || !policy_is_account(l->tables, &reading, &key));
}

static const char unverified[] = "unverified address: Address verification in progress";

static void say_answer(struct conn *c, const struct rcpt_job *job, struct smtp_reply *reply,
                       char text[POLICY_TEXT_CAP])
{
    bool bad = job->answer == RCPT_ANSWER_UNDELIVERABLE;
    const struct smtp_address *a = &c->in.smtp.address;
    char words[DELIVERY_TEXT_MAX + 1];

    for (uint32_t i = 0; i < job->words_len; i++)
        words[i] = (char)(job->words[i] >= 0x20 && job->words[i] < 0x7f ? job->words[i] : '?');
    words[job->words_len] = 0;
    int n =
        snprintf(text, POLICY_TEXT_CAP, "<%.*s>: Recipient address rejected: ", (int)a->mailbox.len,
                 (const char *)a->mailbox.p);
    base_assert(n > 0 && n < POLICY_TEXT_CAP);
    char *rest = text + n;
    size_t cap = POLICY_TEXT_CAP - (size_t)n;
    if (job->answer != RCPT_ANSWER_UNDELIVERABLE && job->answer != RCPT_ANSWER_UNDECIDED)
        snprintf(rest, cap, "%s", unverified);
    else if (job->code == 0)
        snprintf(rest, cap, "unverified address: %s", words);
    else
        snprintf(rest, cap, "%s address: the next hop said: %u %s",
                 bad ? "undeliverable" : "unverified", job->code, words);
    *reply =
        bad ? (struct smtp_reply){550, "5.1.1", text} : (struct smtp_reply){450, "4.1.1", text};
    stats_inc(c->lane->stats, bad ? STATS_POLICY_RCPT_UNDELIVERABLE : STATS_POLICY_RCPT_UNVERIFIED);
}

static enum step ask_next_hop(struct conn *c, enum policy_verdict verdict, struct smtp_reply *reply,
                              char text[POLICY_TEXT_CAP])
{
    struct lane *l = c->lane;
    const struct smtp_address *a = &c->in.smtp.address;

    if (!wants_verify(l, a, verdict))
        return STEP_GO;
    struct rcpt_job *job = c->in.rcpt != NULL ? c->in.rcpt : open_job(c, verdict);
    if (job == NULL)
        return refuse(reply, &reply_busy);
    switch ((enum rcpt_answer)job->answer) {
    case RCPT_ANSWER_DELIVERABLE:
        return STEP_GO;
    case RCPT_ANSWER_NONE:
        break;
    case RCPT_ANSWER_BUSY:
        stats_inc(l->stats, STATS_VERIFY_BUSY);
        say_answer(c, job, reply, text);
        return STEP_REFUSE;
    case RCPT_ANSWER_UNDELIVERABLE:
        client_limits_unknown(c);
        say_answer(c, job, reply, text);
        return STEP_REFUSE;
    case RCPT_ANSWER_UNDECIDED:
        say_answer(c, job, reply, text);
        return STEP_REFUSE;
    }
    if (policy_key_address(&job->key, a) != 0)
        return STEP_GO; /* it has no second spelling that could be told */
    job->away = true;
    base_assert(rte_ring_sp_enqueue(l->rcpt.to, job) == 0);
    l->courier_rung = true;
    conn_deadline(c, l->settings->conf->recipient.verify_timeout_ns);
    return STEP_WAIT;
}

/* Puts the recipient into the message, or what aliases make of it. */
static enum step take(struct conn *c, enum policy_verdict verdict, struct smtp_reply *reply,
                      char text[POLICY_TEXT_CAP])
{
    struct smtp_server *s = &c->in.smtp;
    struct policy_view view = conn_in_view(c->lane);
    struct policy_expansion *e = &c->lane->expansion;
    struct base_span mailbox = s->address.mailbox;
    char name[POLICY_TEXT_CAP];

    if (verdict == POLICY_SRS_ACCEPTED)
        return take_report(c, &view, reply);
    enum policy_verdict expanded =
        policy_rcpt_expand(&view, &s->address, s->mail.smtputf8, e, reply, text);
    if (!policy_verdict_accepts(expanded)) {
        if (expanded == POLICY_RCPT_UNKNOWN)
            client_limits_unknown(c);
        return STEP_REFUSE;
    }
    if (s->address.kind == SMTP_ADDRESS_POSTMASTER) { /* of this host: RFC 5321 section 4.5.1 */
        int n = snprintf(name, sizeof(name), "postmaster@%s", c->lane->settings->smtp.hostname);
        mailbox = base_span_of(name, (size_t)n);
    }
    if (e->cnt > 0)
        return take_targets(c, &view, mailbox, reply);
    enum step step = ask_next_hop(c, verdict, reply, text);
    if (step != STEP_GO)
        return step;
    if (s->address.kind == SMTP_ADDRESS_MAILBOX)
        mailbox = s->address.mailbox; /* a job's, by now */
    return conn_message_recipient(c, mailbox) ? STEP_GO : refuse(reply, &reply_busy);
}

/* Goes on until the recipient has its reply. Returns false when it waits. */
static bool go_on(struct conn *c, enum policy_verdict verdict, struct base_buf *out)
{
    struct smtp_reply reply;
    char text[POLICY_TEXT_CAP];

    enum step step = ask_lists(c, verdict, &reply, text);
    if (step == STEP_GO)
        step = take(c, verdict, &reply, text);
    if (step == STEP_WAIT) {
        c->in.asking = true;
        return false;
    }
    if (step == STEP_REFUSE)
        conn_log_refused(c, "RCPT", &reply, NULL);
    smtp_server_answer(&c->in.smtp, step == STEP_GO ? &reply_ok : &reply, out);
    close_job(c);
    return true;
}

bool conn_rcpt_answer(struct conn *c, struct base_buf *out)
{
    struct smtp_server *s = &c->in.smtp;
    struct policy_client client = conn_in_client(c);
    struct policy_view view = conn_in_view(c->lane);
    enum policy_verdict verdict = POLICY_VERDICT_CNT;
    struct smtp_reply reply;
    char text[POLICY_TEXT_CAP];
    const char *why = client_limits_rcpt(c, &reply, text);

    base_assert(c->in.rcpt == NULL);
    if (why == NULL) {
        verdict = policy_rcpt(&view, &client, &s->address, &reply, text);
        if (!policy_verdict_accepts(verdict))
            why = reply.text;
        if (verdict == POLICY_RCPT_UNKNOWN || verdict == POLICY_SRS_FORGED)
            client_limits_unknown(c);
    }
    if (why == NULL)
        return go_on(c, verdict, out);
    conn_log_refused(c, "RCPT", &reply, why == reply.text ? NULL : why);
    smtp_server_answer(s, &reply, out);
    return true;
}

/* ---- what was waited for ---- */

void conn_rcpt_wake(struct rcpt_job *job)
{
    struct conn *c = job->conn;
    struct base_buf out = {.p = c->lane->out, .cap = LANE_OUT_BYTES};

    base_assert(c->in.rcpt == job && c->in.asking);
    c->in.asking = false;
    if (c->link == NULL || c->finishing)
        return close_job(c);
    if (conn_space(c) < SMTP_OUT_MIN / 2) {
        close_job(c);
        return conn_drop(c, "the peer does not read");
    }
    c->in.smtp.settings = &c->lane->settings->smtp;
    if (!go_on(c, (enum policy_verdict)job->verdict, &out))
        return;
    conn_write(c, base_buf_span(&out));
    conn_deadline(c, client_limits_command_ns(c->lane));
    conn_resume(c);
}

bool conn_rcpt_timeout(struct conn *c)
{
    struct rcpt_job *job = c->in.rcpt, none = {0};
    struct base_buf out = {.p = c->lane->out, .cap = LANE_OUT_BYTES};
    struct smtp_reply reply;
    char text[POLICY_TEXT_CAP];

    if (job == NULL || !job->away)
        return false;
    stats_inc(c->lane->stats, STATS_VERIFY_TIMEOUTS);
    c->in.asking = false;
    if (c->link == NULL || c->finishing || conn_space(c) < SMTP_OUT_MIN / 2) {
        close_job(c);
        conn_drop(c, "the peer does not read");
        return true;
    }
    c->in.smtp.settings = &c->lane->settings->smtp;
    say_answer(c, &none, &reply, text);
    conn_log_refused(c, "RCPT", &reply, NULL);
    smtp_server_answer(&c->in.smtp, &reply, &out);
    close_job(c);
    conn_write(c, base_buf_span(&out));
    conn_deadline(c, client_limits_command_ns(c->lane));
    conn_resume(c);
    return true;
}

uint32_t conn_rcpt_pass(struct lane *l)
{
    uint32_t n = 0;
    void *entry;

    while (n < LANE_BURST && rte_ring_sc_dequeue(l->rcpt.from, &entry) == 0) {
        struct rcpt_job *job = entry;
        job->away = false;
        base_list_init(&job->place);
        n++;
        if (job->conn != NULL)
            conn_rcpt_wake(job);
        else
            base_pool_put(&l->rcpt.jobs, job);
    }
    return n;
}
