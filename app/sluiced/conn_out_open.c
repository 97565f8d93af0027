/*
 * The beginning of a delivery: over an idle connection to its next hop or over a fresh one, and
 * anew over another when the one it had cannot carry it out.
 */
#include "conn_final.h"
#include "conn_out_internal.h"
#include "conn_tls_out.h"
#include "conn_trace.h"
#include "policy_ascii.h"
#include "proxy.h"

#include <stdio.h>

static struct base_span recipient(void *user, uint32_t index)
{
    const struct delivery *d = user;

    if (d->verify != NULL)
        return d->verify_mailbox;
    return queue_recipient(d->job.message, d->job.recipients[d->open[index]]);
}

static struct smtp_rcpt_params rcpt_params(void *user, uint32_t index)
{
    const struct delivery *d = user;
    struct spool_envelope_recipient r = {0};

    if (d->verify == NULL)
        r = queue_recipient_params(d->job.message, d->job.recipients[d->open[index]]);

    return (struct smtp_rcpt_params){.notify = r.notify, .orcpt = r.orcpt};
}

/* Final delivery over a socket of this machine, none of the hops that RFC 8689 is about. */
static bool is_store(const struct delivery *d)
{
    return d->stream != NULL && d->stream->path[0] != 0;
}

/* Gives the session its job: the recipients that have no result yet. */
static void begin(struct conn *c, struct delivery *d)
{
    uint32_t cnt = 0;

    base_static_assert(QUEUE_JOB_RCPT_MAX <= UINT8_MAX, "open holds positions");
    for (uint32_t i = 0; i < d->job.recipient_cnt; i++)
        if (conn_out_unanswered(&d->result[i]))
            d->open[cnt++] = (uint8_t)i;
    struct smtp_client_job job = {
        .sender = d->job.from,
        .recipient = recipient,
        .rcpt_params = rcpt_params,
        .ascii = policy_ascii_mailbox,
        .user = d,
        .recipient_cnt = cnt,
        .probe = d->verify != NULL,
        .requiretls_lenient = !d->kept_whole || is_store(d),
        .tls_fails = d->kept,
        .chunking = c->lane->settings->conf->smtp.client_chunking,
        .check = d->verify == NULL,
        .single = d->delivered_to,
        .mail = {.size_bytes = d->job.content_bytes +
                               (d->return_path || d->delivered_to ? CONN_FINAL_MAX : 0),
                 .envid = d->job.envid,
                 .ret = d->job.ret,
                 .body_8bit = d->job.body_8bit,
                 .smtputf8 = d->job.smtputf8,
                 .requiretls = d->keeps_offered},
    };

    c->out.delivery = d;
    c->out.job_cnt++;
    conn_group_carries(c, d);
    smtp_client_start(&c->out.smtp, &job);
}

/* The PROXY header: TCP keeps it until the connection stands. Without a buffer for it the delivery
 * is given back at once. */
static void say_client(struct conn *c, const struct delivery *d)
{
    uint8_t bytes[PROXY_WRITE_MAX];
    struct base_buf out = {.p = bytes, .cap = sizeof(bytes)};
    int failed = proxy_write(&out, d->proxy, d->proxy_client ? &d->client : NULL,
                             d->proxy_client ? &d->client_destination : NULL);

    base_assert(failed == 0);
    stats_inc(c->lane->stats, d->proxy_client ? STATS_PROXY_SENT : STATS_PROXY_SENT_LOCAL);
    conn_write_first(c, base_buf_span(&out));
    if (c->link == NULL)
        conn_resume(c);
}

const char *conn_out_hostname(const struct lane *l, const struct delivery *d)
{
    return d != NULL && d->ehlo[0] != 0 ? d->ehlo : l->settings->smtp.hostname;
}

/* All streams are in use: the idle one that nobody has needed for longest makes room for the next
 * try. */
static void relieve_streams(struct lane *l)
{
    base_list_each (node, &l->idle.by_age) {
        struct conn *c = base_container_of(node, struct conn, out.by_age);
        if (c->link_ops != &conn_link_stream)
            continue;
        conn_out_leave(c);
        conn_drop(c, "idle");
        conn_resume(c);
        return;
    }
}

/* The connection's link, to where the delivery goes. Returns NULL, or why there is none. */
static const char *open_link(struct lane *l, struct delivery *d, struct conn *c)
{
    struct net_endpoint local = {.addr = d->source};
    struct tcp_conn *tcp = NULL;

    if (d->stream == NULL) {
        c->out.delivery = d; /* whoever follows it sees the SYN */
        if (tcp_connect(l->tcp, &local, &d->host, c, &tcp, l->now_ns) != 0)
            return "no route to the next hop, or no port left";
        c->link = tcp;
        return NULL;
    }
    c->link = lane_stream_open(l, d->stream, c);
    c->link_ops = &conn_link_stream;
    if (c->link != NULL)
        return NULL;
    relieve_streams(l);
    d->unattempted = d->result_cnt == 0;
    return "too many connections to sockets of this machine";
}

static void open_fresh(struct lane *l, struct delivery *d)
{
    if (conn_group_enter(l, d))
        conn_out_start_fresh(l, d);
}

void conn_out_start_fresh(struct lane *l, struct delivery *d)
{
    struct conn *c = l->draining ? NULL : conn_open(l, NULL, &conn_out_ops);
    const char *why = l->draining ? "gateway is going down" : "no free connection";

    if (c != NULL)
        why = open_link(l, d, c);
    if (why != NULL) {
        if (c != NULL)
            conn_discard(c);
        else
            d->unattempted = d->result_cnt == 0; /* ours is the lack: no attempt is spent on it */
        stats_inc(l->stats, STATS_CONN_OUT_FAILED);
        conn_out_fill_results(d, why);
        if (d->probe)
            d->result[0].text_len =
                (uint8_t)snprintf(d->result[0].text, sizeof(d->result[0].text), "%s", why);
        d->next_host = true;
        return lane_deliver_back(l, d);
    }
    l->out_cnt++;
    conn_group_opened(c, d);
    stats_inc(l->stats, STATS_CONN_OPENED);
    if (l->push_layers != NULL)
        l->push_layers(c, true);
    c->remote = d->host;
    c->out.policy = d->policy;
    c->out.alone = d->tls_try == CONN_TLS_TRY_CLEAR;
    smtp_client_init(&c->out.smtp, conn_out_hostname(l, d), l->stats);
    smtp_client_want_tls(&c->out.smtp, conn_tls_out_want(d));
    if (d->lmtp)
        smtp_client_speak_lmtp(&c->out.smtp);
    c->out.smtp.local = d->lmtp && d->stream != NULL;
    c->out.login = d->login;
    if (d->login != 0)
        conn_login_random(&l->login, c->out.smtp.auth_random);
    begin(c, d);
    CONN_TRACE(c, "session", "a connection is opened, lane %u", l->number);
    conn_deadline(c, l->settings->conf->smtp.client_connect_timeout_ns);
    if (d->proxy != 0)
        say_client(c, d);
    if (d->tls_begin == DELIVERY_TLS_IMPLICIT && c->link != NULL && d->requirement != NULL)
        conn_tls_out_start(c);
}

void conn_out_start(struct lane *l, struct delivery *d)
{
    struct conn *c =
        l->draining || d->probe ? NULL : conn_cache_take(&l->idle, &d->host, d->policy);

    d->result_cnt = 0;
    d->until_ns = l->now_ns + CONN_OUT_TIME_NS +
                  d->job.content_bytes / CONN_OUT_BYTES_S * (d->job.recipient_cnt + 1) * BASE_NS_S;
    d->unattempted = false;
    d->dsn_passed_on = false;
    d->refused = false;
    d->next_host = false;
    d->tls = DELIVERY_TLS_NOTHING;
    d->tls_session = TLSRPT_NOTHING;
    d->tls_success_cnt = 0;
    d->tls_try = CONN_TLS_TRY_WHOLE;
    d->verify_answered = false;
    d->auth_trouble = SMTP_CLIENT_AUTH_FINE;
    for (uint32_t i = 0; i < d->job.recipient_cnt; i++)
        d->result[i] = (struct delivery_result){0};
    if (c == NULL)
        return open_fresh(l, d);
    stats_inc(l->stats, STATS_CONN_REUSED);
    begin(c, d);
    CONN_TRACE(c, "session", "goes on with another message, number %u on it", c->out.job_cnt);
    conn_out_deadline(c, smtp_client_timeout_ns(&c->out.smtp));
    conn_resume(c);
}

void conn_out_start_over(struct conn *c)
{
    struct delivery *d = c->out.delivery;

    c->out.delivery = NULL;
    conn_eightbit_drop(c);
    open_fresh(c->lane, d);
}

void conn_out_again(struct conn *c, uint8_t tls_try)
{
    c->out.delivery->tls_try = tls_try;
    conn_out_start_over(c);
}

void conn_out_go_elsewhere(struct conn *c)
{
    struct delivery *d = c->out.delivery;

    c->out.delivery = NULL;
    conn_eightbit_drop(c);
    conn_out_leave(c);
    open_fresh(c->lane, d);
}
