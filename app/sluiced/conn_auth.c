#include "conn_auth.h"
#include "conn_log.h"
#include "auth_job.h"
#include "auth_message.h"
#include "lane.h"
#include "smtp_base64.h"

#include <errno.h>
#include <stdio.h>

#include <openssl/crypto.h>
#include <rte_ring.h>

static const struct smtp_reply replies[AUTH_RESULT_CNT] = {
    [AUTH_ACCEPTED] = {235, "2.7.0", "Authentication successful"},
    [AUTH_REFUSED] = {535, "5.7.8", "Error: authentication failed"},
    [AUTH_MALFORMED] = {501, "5.5.2", "Error: malformed authentication response"},
    [AUTH_BUSY] = {454, "4.7.0", "Temporary authentication failure: too many at a time"},
    [AUTH_UNAVAILABLE] = {454, "4.7.0", "Temporary authentication failure"},
    [AUTH_LIMITED] = {421, "4.7.0", "Error: too many authentication failures"},
};

int conn_auth_init(struct lane *l)
{
    const struct conf_auth *conf = &l->settings->conf->auth;

    l->auth.to = topology_ring(l->topology, TOPOLOGY_LANE_AUTH, l->number);
    l->auth.from = topology_ring(l->topology, TOPOLOGY_AUTH_LANE, l->number);
    if (conf->backend == CONF_AUTH_NONE)
        return 0;
    return base_pool_init(&l->auth.jobs, (uint32_t)conf->exchanges, sizeof(struct auth_job), 64,
                          sizeof(struct auth_job));
}

void conn_auth_fini(struct lane *l)
{
    if (l->auth.jobs.object_cnt == 0)
        return;
    l->auth.jobs.free_cnt = l->auth.jobs.object_cnt; /* logins end with the lane */
    base_pool_fini(&l->auth.jobs);
}

static bool binds(const struct conn *c)
{
    struct tls_facts f;

    if (c->tls == NULL || c->in.smtp.tls != SMTP_TLS_ON)
        return false;
    tls_conn_facts(c->tls, &f);
    return strcmp(f.version, "TLSv1.3") == 0; /* before it, tls-exporter is not unique by itself */
}

void conn_auth_offer(struct conn *c)
{
    const struct conf_listener *listener = c->listener->conf;
    struct smtp_server *s = &c->in.smtp;

    s->auth_mechanisms = 0;
    if (listener->kind == CONF_KIND_MX || c->lane->auth.jobs.object_cnt == 0 ||
        (c->listener->tls == CONF_TLS_NONE && !listener->auth_cleartext))
        return;
    s->auth_clear = listener->auth_cleartext;
    s->auth_mechanisms = c->lane->settings->auth_mechanisms;
    if ((s->auth_mechanisms & 1U << SMTP_SASL_SCRAM_SHA_256_PLUS) != 0 && !binds(c))
        s->auth_mechanisms &= (uint8_t) ~(1U << SMTP_SASL_SCRAM_SHA_256_PLUS);
    if (c->in.certified)
        s->auth_mechanisms |= 1U << SMTP_SASL_EXTERNAL;
}

void conn_auth_secured(struct conn *c)
{
    char identity[SMTP_SASL_LOGIN_MAX + 1];

    c->in.certified = c->listener->conf->tls_client_ca != NULL &&
                      tls_conn_identity(c->tls, identity, sizeof(identity)) > 0;
    if (c->in.certified)
        stats_inc(c->lane->stats, STATS_AUTH_CERTIFICATES);
}

/* ---- the way there ---- */

/* The ring has room for all jobs. */
static void push(struct conn *c, struct auth_job *job, enum auth_job_kind kind)
{
    struct lane *l = c->lane;

    job->kind = (uint8_t)kind;
    job->away = true;
    base_assert(rte_ring_sp_enqueue(l->auth.to, job) == 0);
    l->auth.rung = true;
}

static void give_back(struct lane *l, struct auth_job *job)
{
    OPENSSL_cleanse(job->data, sizeof(job->data));
    base_pool_put(&l->auth.jobs, job);
}

static struct auth_job *open_job(struct conn *c)
{
    struct smtp_server *s = &c->in.smtp;
    struct auth_job *job = base_pool_get(&c->lane->auth.jobs);

    if (job == NULL)
        return NULL;
    job->conn = c;
    job->lane = (uint8_t)c->lane->number;
    job->mechanism = s->auth_mechanism;
    job->client = c->remote.addr;
    base_list_init(&job->place);
    if (s->tls == SMTP_TLS_ON)
        job->flags |= AUTH_MESSAGE_SECURE;
    if (s->auth_mechanisms & 1U << SMTP_SASL_SCRAM_SHA_256_PLUS)
        job->flags |= AUTH_MESSAGE_PLUS;
    if (s->auth_mechanism == SMTP_SASL_SCRAM_SHA_256_PLUS &&
        tls_conn_export(c->tls, "EXPORTER-Channel-Binding", job->binding, sizeof(job->binding)))
        job->flags |= AUTH_MESSAGE_BOUND;
    job->login_len = 0;
    if (s->auth_mechanism == SMTP_SASL_EXTERNAL)
        job->login_len = (uint16_t)tls_conn_identity(c->tls, job->login, sizeof(job->login));
    return job;
}

const struct smtp_reply *conn_auth_ask(struct conn *c)
{
    struct smtp_server *s = &c->in.smtp;
    struct base_span response = s->auth_response;

    base_assert((c->in.auth == NULL) == s->auth_begins);
    if (s->auth_begins) {
        c->in.auth = open_job(c);
        if (c->in.auth == NULL) {
            stats_inc(c->lane->stats, STATS_AUTH_NO_ROOM);
            return &replies[AUTH_BUSY];
        }
    }
    struct auth_job *job = c->in.auth;
    struct base_buf data = {job->data, 0, sizeof(job->data)};
    if (smtp_base64_decode(&data, response) != 0) { /* it is base64, so it is too long */
        conn_auth_leave(c);
        return &replies[AUTH_MALFORMED];
    }
    job->data_len = (uint16_t)data.len;
    if (s->auth_begins && response.p == NULL)
        job->flags |= AUTH_MESSAGE_NO_RESPONSE;
    c->in.asking = true;
    push(c, job, s->auth_begins ? AUTH_JOB_BEGIN : AUTH_JOB_RESPONSE);
    return NULL;
}

void conn_auth_leave(struct conn *c)
{
    struct auth_job *job = c->in.auth;

    c->in.auth = NULL;
    c->in.asking = false;
    if (job == NULL)
        return;
    job->conn = NULL;
    if (!job->away && job->id != 0)
        push(c, job, AUTH_JOB_CANCEL);
    else if (!job->away)
        give_back(c->lane, job);
}

void conn_auth_forget(struct conn *c)
{
    conn_auth_leave(c);
    c->in.login = base_span_of(NULL, 0);
}

bool conn_auth_missing(const struct conn *c, const struct policy_client *client)
{
    return client->submission && client->login.len == 0 && c->listener->conf->auth_required &&
           !policy_in_network(&c->lane->settings->policy, client);
}

/* ---- the way back ---- */

static void log_answer(struct conn *c, const struct auth_job *job)
{
    static const char *const reasons[] = {
        [AUTH_REFUSED] = "authentication failed:",
        [AUTH_MALFORMED] = "authentication failed: malformed response",
        [AUTH_LIMITED] = "authentication failed: too many failures",
    };
    bool accepted = job->result == AUTH_ACCEPTED;
    const char *reason = job->result < BASE_ARRAY_CNT(reasons) ? reasons[job->result] : NULL;
    struct stats_log_record r;

    conn_log_begin(c, &r, accepted ? STATS_LOG_AUTH : STATS_LOG_AUTH_FAILED);
    stats_log_text(&r, base_span_str(smtp_sasl_name((enum smtp_sasl_mechanism)job->mechanism)));
    if (!accepted) {
        r.port = 0;
        stats_log_part(&r, 1,
                       base_span_str(reason != NULL ? reason : "temporary authentication failure"),
                       STATS_LOG_TEXT_CAP);
    }
    if (accepted || job->result == AUTH_REFUSED)
        stats_log_part(&r, accepted ? 1 : 2, base_span_str(job->login), STATS_LOG_TEXT_CAP);
    stats_log_push(&c->lane->log, &r);
}

static void log_in(struct conn *c, const struct auth_job *job)
{
    memcpy(c->in.login_text, job->login, job->login_len);
    c->in.login = base_span_of(c->in.login_text, job->login_len);
}

static void take(struct lane *l, struct auth_job *job)
{
    struct conn *c = job->conn;

    job->away = false;
    if (c == NULL && job->id != 0) { /* it went away while it was asked */
        job->kind = AUTH_JOB_CANCEL;
        job->away = true;
        base_assert(rte_ring_sp_enqueue(l->auth.to, job) == 0);
        l->auth.rung = true;
        return;
    }
    if (c == NULL)
        return give_back(l, job);
    if (job->result == AUTH_CHALLENGE) {
        conn_in_answer(c, NULL, base_span_of(job->data, job->data_len));
        return;
    }
    c->in.auth = NULL;
    job->conn = NULL;
    log_answer(c, job);
    if (job->result == AUTH_ACCEPTED)
        log_in(c, job);
    const struct smtp_reply *reply = &replies[job->closes ? AUTH_LIMITED : job->result];
    give_back(l, job);
    conn_in_answer(c, reply, base_span_of(NULL, 0));
}

uint32_t conn_auth_pass(struct lane *l)
{
    uint32_t n = 0;
    void *job;

    while (n < LANE_BURST && rte_ring_sc_dequeue(l->auth.from, &job) == 0) {
        take(l, job);
        n++;
    }
    return n;
}
