/* What an operator is shown of a connection. */
#include "lane.h"

static const char *phase_in(const struct conn *c)
{
    static const char *const names[SMTP_SESSION_STATE_CNT] = {
        [SMTP_SESSION_START] = "greeted",   [SMTP_SESSION_GREETED] = "ready",
        [SMTP_SESSION_MAIL] = "mail",       [SMTP_SESSION_RCPT] = "rcpt",
        [SMTP_SESSION_BODY] = "data",       [SMTP_SESSION_CHUNKS] = "chunks",
        [SMTP_SESSION_CLOSING] = "closing",
    };

    if (c->finishing)
        return "closing";
    if (c->app != &conn_in_ops)
        return c->app->name;
    if (c->in.txn.committing)
        return "commit";
    if (c->in.smtp.exchanging || c->in.auth != NULL)
        return "auth";
    return names[c->in.smtp.state];
}

static const char *phase_out(const struct conn *c)
{
    static const char *const names[SMTP_CLIENT_STATE_CNT] = {
        [SMTP_CLIENT_STATE_GREETING] = "greeting",   [SMTP_CLIENT_STATE_EHLO] = "ehlo",
        [SMTP_CLIENT_STATE_HELO] = "helo",           [SMTP_CLIENT_STATE_STARTTLS] = "starttls",
        [SMTP_CLIENT_STATE_HANDSHAKE] = "handshake", [SMTP_CLIENT_STATE_AUTH] = "auth",
        [SMTP_CLIENT_STATE_READY] = "ready",         [SMTP_CLIENT_STATE_ENVELOPE] = "envelope",
        [SMTP_CLIENT_STATE_BODY] = "data",           [SMTP_CLIENT_STATE_END] = "end",
        [SMTP_CLIENT_STATE_RSET] = "rset",           [SMTP_CLIENT_STATE_QUIT] = "quit",
        [SMTP_CLIENT_STATE_CLOSED] = "closing",
    };

    if (c->finishing)
        return "closing";
    if (!c->connected && c->link_ops == &conn_link_tcp)
        return "connect";
    if (c->app != &conn_out_ops)
        return c->app->name;
    return c->out.idle ? "idle" : names[c->out.smtp.state];
}

static const char *tcp_state(const struct conn *c)
{
    struct tcp_facts f;

    if (c->link == NULL || c->link_ops != &conn_link_tcp)
        return "";
    tcp_facts(c->link, &f);
    return f.state;
}

void conn_known_fill(struct conn_known *known, const struct conn *c)
{
    bool inbound = c->listener != NULL;

    *known = (struct conn_known){
        .number = lane_conn_number(c),
        .serial = c->serial,
        .inbound = inbound,
        .remote = c->remote.addr,
        .proxy = c->proxy.addr,
        .tcp_state = tcp_state(c),
        .state = inbound ? phase_in(c) : phase_out(c),
        .listener = inbound ? c->listener->conf->name : "",
        .user = inbound ? c->in.login : base_span_of(NULL, 0),
        .age_ns = c->lane->now_ns - c->opened_ns,
    };
}

static void put_text(char *to, size_t cap, struct base_span text)
{
    size_t len = text.len < cap - 1 ? text.len : cap - 1;

    if (len > 0)
        memcpy(to, text.p, len);
    to[len] = 0;
}

static void fill_in(struct conn_row *row, const struct conn *c)
{
    const struct smtp_server *s = &c->in.smtp;

    row->local = c->local;
    row->message_cnt = s->message_cnt;
    put_text(row->user, sizeof(row->user), c->in.login);
    put_text(row->peer, sizeof(row->peer), base_span_of(s->helo, s->helo_len));
    if (c->in.txn.open || c->in.txn.committing)
        memcpy(row->id, c->in.txn.id.b, sizeof(row->id));
}

static void fill_out(struct conn_row *row, const struct conn *c)
{
    const struct delivery *d = c->out.delivery;

    if (c->link_ops == &conn_link_tcp)
        tcp_local(c->link, &row->local);
    row->idle = c->out.idle;
    row->message_cnt = c->out.job_cnt;
    if (d == NULL)
        return;
    if (d->stream != NULL && d->stream->path[0] != 0)
        put_text(row->peer, sizeof(row->peer), base_span_str(d->stream->path));
    else if (d->host_name != NULL)
        put_text(row->peer, sizeof(row->peer), base_span_str(d->host_name));
    if (d->verify == NULL && !d->probe)
        memcpy(row->id, d->job.id.b, sizeof(row->id));
}

void conn_row_fill(struct conn_row *row, const struct conn *c)
{
    struct conn_known known;
    struct tls_facts tls;

    conn_known_fill(&known, c);
    *row = (struct conn_row){
        .number = known.number,
        .serial = known.serial,
        .inbound = known.inbound,
        .remote = c->remote,
        .proxy = c->proxy,
        .age_ns = known.age_ns,
        .in_bytes = c->in_bytes,
        .out_bytes = c->out_bytes,
        .tcp_state = known.tcp_state,
        .state = known.state,
        .listener = known.listener,
    };
    if (c->link_ops == &conn_link_tcp) {
        struct tcp_facts f;
        tcp_facts(c->link, &f);
        row->srtt_us = f.srtt_us;
    }
    if (c->tls != NULL && tls_conn_state(c->tls) == TLS_OPEN) {
        tls_conn_facts(c->tls, &tls);
        put_text(row->tls_version, sizeof(row->tls_version), base_span_str(tls.version));
        put_text(row->tls_cipher, sizeof(row->tls_cipher), base_span_str(tls.cipher));
    }
    if (known.inbound)
        fill_in(row, c);
    else
        fill_out(row, c);
}
