/*
 * The application of an inbound connection: the SMTP server's session, with policy and spool beside
 * it. The final reply to a message is sent when the spooler says durable, and not before (G1).
 */
#include "client_limits.h"
#include "conn_auth.h"
#include "conn_in_internal.h"
#include "conn_log.h"
#include "conn_message.h"
#include "conn_rcpt.h"
#include "conn_trace.h"
#include "conn_xclient.h"
#include "lane.h"
#include "policy_limit.h"

#include <errno.h>
#include <stdio.h>

enum step { STEP_AGAIN, STEP_WAIT };

static struct smtp_reply const reply_mail_ok = {250, "2.1.0", "Ok"};
static struct smtp_reply const reply_full = {452, "4.3.1", "Insufficient system storage"};
static struct smtp_reply const reply_busy = {452, "4.3.2", "System is busy, try again later"};
static struct smtp_reply const reply_failed = {451, "4.3.0", "Error: message could not be stored"};
static struct smtp_reply const reply_tls = {220, "2.0.0", "Ready to start TLS"};
static struct smtp_reply const reply_no_tls = {454, "4.7.0", "TLS not available now"};
static struct smtp_reply const reply_injected = {554, "5.5.0", "Error: bytes behind STARTTLS"};
static struct smtp_reply const reply_no_login = {530, "5.7.0", "Authentication required"};
static struct smtp_reply const reply_shutdown = {421, "4.3.2", "Service is going down"};

static void log_connect(struct conn *c)
{
    char proxy[NET_ENDPOINT_TEXT_CAP];
    size_t len = 0;

    if (c->proxy.port != 0)
        len = net_endpoint_format(proxy, &c->proxy);
    conn_log_text(c, len > 0 ? STATS_LOG_CONNECT_PROXY : STATS_LOG_CONNECT, c->lane->number, 0,
                  base_span_of(proxy, len));
}

bool conn_in_nobody(const struct conn *c)
{
    return c->unproven && memcmp(&c->remote, &c->proxy, sizeof(c->proxy)) == 0;
}

struct policy_client conn_in_client(const struct conn *c)
{
    bool trusted = !c->unproven && (c->proxy.port == 0 || c->lane->settings->conf->relay.proxied);

    return (struct policy_client){.network = trusted ? &c->remote.addr : NULL,
                                  .login = c->in.login,
                                  .submission = c->listener->conf->kind != CONF_KIND_MX,
                                  .null_sender = c->in.txn.open && conn_message_sender(c).len == 0,
                                  .spoof = c->listener->spoof,
                                  .refuse_unauthenticated =
                                      c->listener->conf->reject_unauthenticated_sender};
}

struct policy_view conn_in_view(const struct lane *l)
{
    return (struct policy_view){.settings = &l->settings->policy,
                                .tables = l->tables,
                                .work = l->policy_work,
                                .wall_ns = l->wall_ns,
                                .stats = l->stats};
}

/* ---- commands ---- */

/* May this message come in? The answer to MAIL. */
static const struct smtp_reply *answer_mail(struct conn *c, struct smtp_reply *reply,
                                            char text[POLICY_TEXT_CAP])
{
    struct lane *l = c->lane;
    struct policy_client client = conn_in_client(c);
    struct policy_view view = conn_in_view(l);
    const char *why;
    uint32_t spool;

    if (l->refusing)
        return &reply_shutdown;
    if (conn_auth_missing(c, &client)) {
        stats_inc(l->stats, STATS_AUTH_MISSING);
        conn_log_refused(c, "MAIL", &reply_no_login, NULL);
        return &reply_no_login;
    }
    why = client_limits_mail(c, reply, text);
    if (why != NULL) {
        conn_log_refused(c, "MAIL", reply, why);
        return reply;
    }
    if (!policy_verdict_accepts(policy_mail(&view, &client, &c->in.smtp.address, reply, text))) {
        conn_log_refused(c, "MAIL", reply, NULL);
        return reply;
    }
    spool = lane_choose_spool(l, &why);
    if (spool == TOPOLOGY_SPOOL_NONE) {
        stats_inc(l->stats, STATS_CONN_REFUSED_SPOOL);
        conn_log_refused(c, "MAIL", &reply_full, why);
        snprintf(text, POLICY_TEXT_CAP, "%s: %s", reply_full.text, why);
        *reply = (struct smtp_reply){reply_full.code, reply_full.enhanced, text};
        return reply;
    }
    return conn_message_begin(c, spool) ? &reply_mail_ok : &reply_busy;
}

/* The header section is whole: the message is refused at its end when From is not the login's. */
static void check_from(struct conn *c)
{
    struct policy_client client = conn_in_client(c);
    struct policy_view view = conn_in_view(c->lane);
    struct policy_from *f = &c->lane->from;
    struct smtp_reply reply;
    char text[POLICY_TEXT_CAP];

    if (!policy_from_wanted(&view, &client))
        return;
    policy_from_init(f);
    conn_message_header(c, f);
    if (policy_verdict_accepts(policy_from_judge(&view, &client, f, &reply, text)))
        return;
    smtp_server_refuse_body(&c->in.smtp, &reply);
}

/* The command is consumed. Whatever waits behind it was sent before TLS, by whomever: none of it is
 * read, as clear text or otherwise (CVE-2011-0411). */
static enum step starttls(struct conn *c, struct base_buf *out)
{
    struct smtp_server *s = &c->in.smtp;

    if (conn_has_more(c, 0)) {
        stats_inc(c->lane->stats, STATS_CONN_STARTTLS_INJECTED);
        conn_log_refused(c, "STARTTLS", &reply_injected, NULL);
        smtp_server_answer(s, &reply_injected, out);
        return STEP_AGAIN;
    }
    if (!conn_tls_open(c)) {
        smtp_server_answer(s, &reply_no_tls, out);
        return STEP_AGAIN;
    }
    smtp_server_answer(s, &reply_tls, out);
    conn_auth_forget(c);
    conn_tls_start(c, base_buf_span(out));
    out->len = 0;
    return STEP_WAIT;
}

static enum step authenticate(struct conn *c, struct base_buf *out)
{
    const struct smtp_reply *reply = conn_auth_ask(c);

    if (reply == NULL)
        return STEP_WAIT;
    smtp_server_answer(&c->in.smtp, reply, out);
    return STEP_AGAIN;
}

static enum step handle(struct conn *c, enum smtp_server_event event, struct base_buf *out)
{
    struct smtp_server *s = &c->in.smtp;
    struct smtp_reply reply;
    char text[POLICY_TEXT_CAP];

    switch (event) {
    case SMTP_SERVER_MAIL:
        smtp_server_answer(s, answer_mail(c, &reply, text), out);
        if (c->in.txn.open)
            conn_trace_message(c, c->in.txn.id.b);
        return STEP_AGAIN;
    case SMTP_SERVER_RCPT:
        if (c->in.txn.open)
            conn_trace_message(c, c->in.txn.id.b);
        return conn_rcpt_answer(c, out) ? STEP_AGAIN : STEP_WAIT;
    case SMTP_SERVER_DATA:
        smtp_server_answer(s, conn_message_received(c) ? NULL : &reply_busy, out);
        client_limits_body_begin(c);
        return STEP_AGAIN;
    case SMTP_SERVER_BODY:
        client_limits_body_begin(c);
        return STEP_AGAIN;
    case SMTP_SERVER_MESSAGE:
        conn_log_message(c);
        CONN_TRACE(
            c, "message", "is whole: %llu bytes, %u recipients; to be made durable by spool %u",
            (unsigned long long)s->message_bytes, s->recipient_cnt, spool_id_spool(&c->in.txn.id));
        conn_message_commit(c);
        conn_time_begin(c);
        return STEP_WAIT;
    case SMTP_SERVER_REFUSED:
        reply = smtp_refusal_told(s);
        conn_log_refused(c, "END-OF-MESSAGE", &reply, NULL);
        conn_message_drop(c);
        return STEP_AGAIN;
    case SMTP_SERVER_RESET:
        conn_message_drop(c);
        return STEP_AGAIN;
    case SMTP_SERVER_CLOSE:
        conn_message_drop(c);
        conn_finish(c, s->close_reason);
        return STEP_WAIT;
    case SMTP_SERVER_STARTTLS:
        return starttls(c, out);
    case SMTP_SERVER_AUTH:
        return authenticate(c, out);
    case SMTP_SERVER_XCLIENT:
        smtp_server_answer(s, conn_xclient_answer(c, &reply, text), out);
        return STEP_AGAIN;
    case SMTP_SERVER_AUTH_END:
        conn_auth_leave(c);
        return STEP_AGAIN;
    case SMTP_SERVER_FLUSH:
        return STEP_AGAIN;
    case SMTP_SERVER_MORE:
        return STEP_WAIT;
    }
    return STEP_WAIT;
}

/* The input as one span, so that a line that lies across several is whole in it. */
static struct base_span gather(struct conn *c, const struct base_span *spans, uint32_t n)
{
    struct base_buf line = {.p = c->lane->line, .cap = sizeof(c->lane->line)};

    for (uint32_t i = 0; i < n; i++) {
        size_t room = line.cap - line.len;
        size_t take = spans[i].len < room ? spans[i].len : room;
        base_assert(base_buf_put(&line, spans[i].p, take) == 0);
    }
    return base_buf_span(&line);
}

static enum step command(struct conn *c, struct base_buf *out)
{
    struct base_span spans[8];
    uint32_t n = conn_view(c, spans, BASE_ARRAY_CNT(spans));
    size_t consumed = 0;
    bool secret = c->in.smtp.exchanging;

    c->in.smtp.more_behind = n > 1;
    if (n == 0 && c->in.smtp.state != SMTP_SESSION_CLOSING)
        return STEP_WAIT;
    if (n == 0) /* CLOSE comes from the next push, whatever there is to read */
        spans[0] = base_span_of(NULL, 0);
    enum smtp_server_event event = smtp_server_push(&c->in.smtp, spans[0], &consumed, out);
    if (event == SMTP_SERVER_MORE && consumed == 0 && n > 1) {
        struct base_span all = gather(c, spans, n);
        c->in.smtp.more_behind = conn_has_more(c, all.len);
        event = smtp_server_push(&c->in.smtp, all, &consumed, out);
        spans[0] = all;
    }
    if (event == SMTP_SERVER_MORE && consumed == 0 && !conn_has_more(c, spans[0].len))
        conn_starve(c);
    /* The address of an event that asks is a view into the input: answer first, then consume. But
     * what stands behind the consumed is looked at for STARTTLS. */
    if (event == SMTP_SERVER_MAIL || event == SMTP_SERVER_RCPT)
        conn_trace_address(c, c->in.smtp.address.mailbox);
    conn_trace_said(c, false, base_span_of(spans[0].p, consumed), secret);
    if (event == SMTP_SERVER_STARTTLS)
        conn_consume(c, consumed);
    enum step step = handle(c, event, out);
    if (event == SMTP_SERVER_STARTTLS)
        return step;
    conn_consume(c, consumed);
    if (event == SMTP_SERVER_MORE)
        return consumed > 0 ? STEP_AGAIN : STEP_WAIT;
    return step;
}

/* ---- body ---- */

static enum step body(struct conn *c, struct base_buf *out)
{
    struct base_span spans[8];
    enum smtp_server_event event = SMTP_SERVER_MORE;
    uint32_t n = conn_view(c, spans, BASE_ARRAY_CNT(spans) - 1);
    struct smtp_server *s = &c->in.smtp;

    if (n == 0 && !smtp_server_body_due(s))
        return STEP_WAIT;
    spans[n] = base_span_of(NULL, 0); /* what a chunk's end needs no input for */
    size_t used = 0;
    enum step step = STEP_AGAIN;
    for (uint32_t i = 0; (i < n || smtp_server_body_due(s)) && step == STEP_AGAIN;) {
        bool full;
        struct spool_buf *b = conn_message_target(c, &full);
        if (full)
            smtp_server_refuse_body(s, &reply_busy);
        if (b == NULL) {
            conn_stall(c);
            client_limits_body_begin(c);
            stats_inc(c->lane->stats, STATS_CONN_STALLED_BUFFERS);
            step = STEP_WAIT;
            break;
        }
        struct base_buf dst = {.p = b->data, .len = b->len, .cap = SPOOL_BUF_BYTES};
        size_t consumed = 0;
        enum smtp_body_state state = smtp_server_body(s, spans[i], &consumed, &dst, out, &event);
        b->len = (uint32_t)dst.len;
        used += consumed;
        spans[i].p += consumed;
        spans[i].len -= consumed;
        if (spans[i].len == 0 && i < n)
            i++;
        if (state == SMTP_BODY_HEADERS_END) {
            if ((c->listener->repair && !conn_message_repair(c)) || !conn_message_note_tls(c))
                smtp_server_refuse_body(s, &reply_busy);
            conn_message_headers_end(c);
            check_from(c);
        } else if (state == SMTP_BODY_END) {
            step = handle(c, event, out);
            break;
        } else if (state == SMTP_BODY_CHUNK || (state == SMTP_BODY_FULL && !conn_message_room(c))) {
            break;
        }
    }
    conn_consume(c, used);
    if (s->state == SMTP_SESSION_BODY)
        client_limits_body_bytes(c, used);
    else
        conn_deadline(c, client_limits_command_ns(c->lane));
    return step;
}

/* ---- the application's ops ---- */

void conn_in_greet(struct conn *c)
{
    struct lane *l = c->lane;
    struct base_buf out = {.p = l->out, .cap = sizeof(l->out)};

    c->in.smtp.settings = &l->settings->smtp;
    if (l->refusing) {
        smtp_server_shutdown(&c->in.smtp, &reply_shutdown, &out);
        conn_finish(c, "going down");
    } else {
        smtp_server_greet(&c->in.smtp, &out);
    }
    conn_write(c, base_buf_span(&out));
    conn_deadline(c, client_limits_command_ns(l));
}

void conn_in_secured(struct conn *c)
{
    conn_count_listener(c, STATS_LISTENER_TLS);
    conn_auth_secured(c);
    if (c->in.smtp.tls == SMTP_TLS_ON) { /* by STARTTLS */
        conn_deadline(c, client_limits_command_ns(c->lane));
        return;
    }
    c->in.smtp.tls = SMTP_TLS_ON;
    conn_in_greet(c);
}

/* Over a limit: 421 instead of the greeting; where TLS comes first there is nobody to hear it. */
static void turn_away(struct conn *c, const char *why, const char *enhanced, const char *text)
{
    struct base_buf out = {.p = c->lane->out, .cap = sizeof(c->lane->out)};

    const struct smtp_reply reply = {421, enhanced, text};
    conn_log_refused(c, "CONNECT", &reply, why);
    if (c->listener->tls == CONF_TLS_IMPLICIT)
        return conn_drop(c, why);
    smtp_server_shutdown(&c->in.smtp, &reply, &out);
    conn_write(c, base_buf_span(&out));
    conn_finish(c, why);
}

void conn_in_start(struct conn *c)
{
    struct lane *l = c->lane;
    char text[POLICY_TEXT_CAP];

    l->in_cnt++;
    stats_inc(l->stats, STATS_CONN_ACCEPTED);
    conn_count_listener(c, STATS_LISTENER_CONNECTIONS);
    if (l->push_layers != NULL)
        l->push_layers(c, false);
    smtp_server_init(&c->in.smtp, &l->settings->smtp, l->stats);
    c->in.smtp.normalize = settings_normalizes(c->listener, c->unproven ? NULL : &c->remote.addr);
    c->in.smtp.xclient = conn_xclient_allowed(c);
    CONN_TRACE(c, "session", "begins at listener %s, lane %u%s", c->listener->conf->name, l->number,
               c->proxy.port != 0 ? ", by a proxy" : "");
    c->in.limit_row = POLICY_LIMIT_NONE;
    /* Before the limits: a client that there is no room for has used up nothing of its rate. */
    const char *why = lane_busy_refuses(c);
    if (why != NULL) {
        c->in.turned_away = true;
        if (c->proxy.port != 0) /* which one nothing else tells */
            log_connect(c);
        return turn_away(c, why, "4.3.2", "All server ports are busy");
    }
    log_connect(c);
    lane_busy_admit(c);
    if ((why = client_limits_open(c, text)) != NULL)
        return turn_away(c, why, "4.7.0", text);
    client_lists_begin(c);
    switch (c->listener->tls) {
    case CONF_TLS_IMPLICIT:
        if (!conn_tls_open(c))
            return conn_drop(c, "no TLS now");
        return conn_tls_start(c, base_span_of(NULL, 0));
    case CONF_TLS_ENCRYPT:
        c->in.smtp.tls = SMTP_TLS_REQUIRED;
        break;
    default:
        c->in.smtp.tls = conn_tls_possible(c) ? SMTP_TLS_OFFERED : SMTP_TLS_NONE;
    }
    if (!conn_greet_pause(c))
        conn_in_greet(c);
}

/* A session without a message ends when the gateway goes down. */
static void go_down(struct conn *c)
{
    struct base_buf out = {.p = c->lane->out, .cap = conn_space(c)};

    if (c->link == NULL || c->finishing || c->in.txn.open || c->in.txn.committing ||
        out.cap < SMTP_OUT_MIN)
        return;
    smtp_server_shutdown(&c->in.smtp, &reply_shutdown, &out);
    conn_write(c, base_buf_span(&out));
    conn_finish(c, "going down");
}

static void run(struct conn *c)
{
    struct smtp_server *s = &c->in.smtp;
    enum step step = STEP_AGAIN;

    s->settings = &c->lane->settings->smtp; /* of this pass: a reload takes effect here */
    if (c->kicked && !c->in.txn.committing)
        return conn_kick_after(c); /* whatever it has sent behind its message */
    conn_auth_offer(c);
    while (step == STEP_AGAIN && c->link != NULL && !c->finishing && !c->in.txn.committing &&
           !c->in.asking) {
        struct base_buf out = {.p = c->lane->out, .cap = conn_space(c)};
        if (out.cap < SMTP_OUT_MIN)
            return; /* the peer does not read its replies: WRITABLE goes on */
        if (!conn_message_room(c)) {
            stats_inc(c->lane->stats, STATS_CONN_STALLED_RING);
            if (s->state == SMTP_SESSION_BODY)
                client_limits_body_begin(c);
            return conn_stall(c);
        }
        if (s->state == SMTP_SESSION_BODY) {
            /* What becomes of the message can be told before it can be accepted. */
            if (!stats_log_reserve(&c->lane->log, CONN_LOG_PLACES)) {
                stats_inc(c->lane->stats, STATS_CONN_STALLED_LOG);
                client_limits_body_begin(c);
                return conn_stall(c);
            }
            step = body(c, &out);
            if (!c->in.txn.committing)
                stats_log_unreserve(&c->lane->log, CONN_LOG_PLACES);
        } else {
            step = command(c, &out);
            if (step == STEP_AGAIN && s->state != SMTP_SESSION_BODY)
                conn_deadline(c, client_limits_command_ns(c->lane));
        }
        conn_write(c, base_buf_span(&out));
    }
    if (c->lane->refusing && c->app == &conn_in_ops)
        go_down(c);
    conn_kick_after(c);
}

static void spooled(struct conn *c, const struct spool_done *done)
{
    static const char queued_as[] = "Ok: queued as ";
    struct smtp_server *s = &c->in.smtp;
    char text[sizeof(queued_as) + SPOOL_ID_TEXT_LEN];

    base_assert(done->op == SPOOL_COMMIT && c->in.txn.committing);
    CONN_TRACE(c, "spool", "%s", done->status == 0 ? "durable" : "not stored");
    if (done->status == 0) {
        stats_inc(c->lane->stats, STATS_CONN_MESSAGES);
        conn_count_listener(c, STATS_LISTENER_MESSAGES);
        conn_time_end(c, STATS_HISTOGRAM_CONN_STORE);
        conn_log_accepted(c);
    } else {
        stats_inc(c->lane->stats, STATS_CONN_NOT_STORED);
        conn_log_not_stored(c, done->status == -ENOSPC ? "no space" : "write failed");
    }
    c->lane->commit_cnt--;
    c->in.txn = (struct conn_transaction){0};
    if (c->link == NULL || c->finishing)
        return; /* the client has gone: it will send the message again (G4) */
    if (conn_space(c) < SMTP_OUT_MIN / 2) /* a layer has answered to much that carries no mail */
        return conn_drop(c, "the peer does not read");
    struct base_buf out = {.p = c->lane->out, .cap = LANE_OUT_BYTES};
    struct smtp_reply reply = done->status == 0         ? (struct smtp_reply){250, "2.0.0", text}
                              : done->status == -ENOSPC ? reply_full
                                                        : reply_failed;
    if (done->status == 0) {
        memcpy(text, queued_as, sizeof(queued_as));
        spool_id_format(text + sizeof(queued_as) - 1, &done->id);
    }
    s->settings = &c->lane->settings->smtp;
    smtp_server_answer(s, &reply, &out);
    conn_write(c, base_buf_span(&out));
    conn_deadline(c, client_limits_command_ns(c->lane));
}

void conn_in_answer(struct conn *c, const struct smtp_reply *reply, struct base_span challenge)
{
    struct smtp_server *s = &c->in.smtp;
    struct base_buf out = {.p = c->lane->out, .cap = LANE_OUT_BYTES};
    const struct conf *conf = c->lane->hub->started->conf; /* of auth all needs a restart */

    c->in.asking = false;
    if (c->link == NULL || c->finishing)
        return;
    if (conn_space(c) < SMTP_OUT_MIN / 2)
        return conn_drop(c, "the peer does not read");
    s->settings = &c->lane->settings->smtp;
    if (reply != NULL)
        smtp_server_answer(s, reply, &out);
    else
        smtp_server_challenge(s, challenge, &out);
    conn_write(c, base_buf_span(&out));
    conn_deadline(c, reply != NULL ? client_limits_command_ns(c->lane) : conf->auth.timeout_ns);
    conn_resume(c);
}

static void timeout(struct conn *c)
{
    struct base_buf out = {.p = c->lane->out, .cap = conn_space(c)};

    if (c->in.asking && conn_rcpt_timeout(c))
        return;
    if (c->in.txn.committing || c->in.asking) { /* we make it wait, not the peer */
        conn_deadline(c, client_limits_command_ns(c->lane));
        return;
    }
    const char *why = client_limits_timeout(c);
    if (out.cap < SMTP_OUT_MIN)
        return conn_drop(c, "timeout, and the peer does not read");
    c->in.smtp.settings = &c->lane->settings->smtp; /* those it had may be gone since a reload */
    smtp_server_timeout(&c->in.smtp, &out);
    conn_write(c, base_buf_span(&out));
    conn_finish(c, why);
}

static void ended(struct conn *c, const char *why)
{
    if (!c->in.txn.committing || c->link == NULL)
        conn_finish(c, why);
}

static void app_close(struct conn *c)
{
    static const enum stats_id of_ending[CONN_ENDING_CNT] = {
        [CONN_ENDING_NONE] = STATS_CONN_IN_DROPPED,
        [CONN_ENDING_FINISHED] = STATS_CONN_IN_FINISHED,
        [CONN_ENDING_PEER] = STATS_CONN_IN_PEER,
        [CONN_ENDING_FAILED] = STATS_CONN_IN_FAILED,
        [CONN_ENDING_DROPPED] = STATS_CONN_IN_DROPPED,
    };

    stats_inc(c->lane->stats, of_ending[c->ending]);
    conn_auth_leave(c);
    conn_rcpt_leave(c);
    if (!c->in.turned_away) /* that line has said all */
        conn_log_end(c);
    client_limits_close(c);
    lane_busy_settle(c, false);
    c->lane->in_cnt--;
}

static bool release(struct conn *c)
{
    if (c->in.txn.begun && !conn_message_room(c))
        return false;
    conn_message_drop(c);
    return true;
}

const struct conn_app_ops conn_in_ops = {
    .name = "smtp server",
    .run = run,
    .spooled = spooled,
    .timeout = timeout,
    .ended = ended,
    .close = app_close,
    .release = release,
};
