/*
 * The application of an outbound connection: SMTP client above, one delivery to carry out. Here are
 * the session's events and its end; conn_out_internal.h tells where the rest of it is.
 *
 * Whatever ends the connection early, the delivery goes back to the courier with what is known, and
 * recipients without a word count as deferred.
 *
 * After a message the connection waits a while for the next one to the same next hop (conn_cache).
 * The next hop may close it at any moment: a delivery that finds it so before MAIL was answered
 * goes on over a fresh connection, where the same would be a failure.
 */
#include "base_time.h"
#include "conn_final.h"
#include "conn_out_internal.h"
#include "conn_tls_out.h"
#include "conn_trace.h"
#include "settings_logins.h"

/* The login that the connection needs, of this pass's settings. */
static const struct settings_login *login_of(const struct conn *c)
{
    return settings_login_find(c->lane->settings, c->out.login);
}

/* Keys for the login are made, some of them in each pass. Returns false when it has to wait. */
static bool give_keys(struct conn *c)
{
    struct conn_out *o = &c->out;
    const struct settings_login *login = login_of(c);

    base_assert(login != NULL); /* run has looked */
    switch (conn_login_derive(&c->lane->login, o->login, login->credentials.password,
                              &o->smtp.sasl.salt, &o->smtp.keys)) {
    case 1:
        return true;
    case 0:
        o->smtp.keys = NULL;
        conn_stall(c);
        return false;
    default:
        o->smtp.keys = NULL;
        conn_out_give_back(c, "the keys for the login could not be made");
        conn_drop(c, "no keys");
        return false;
    }
}

/* Settings that no longer have the login of a session that is not through with it: the delivery is
 * made anew by the new ones. Returns false then. */
static bool refresh_login(struct conn *c)
{
    struct conn_out *o = &c->out;

    o->smtp.credentials = NULL;
    if (o->login == 0 || o->smtp.state >= SMTP_CLIENT_STATE_READY)
        return true;
    const struct settings_login *login = login_of(c);
    if (login != NULL) {
        o->smtp.credentials = &login->credentials;
        return true;
    }
    if (o->delivery != NULL)
        o->delivery->unattempted = o->delivery->result_cnt == 0;
    conn_out_give_back(c, "the login for the next hop has changed");
    conn_drop(c, "login changed");
    return false;
}

/* Pushes what waits through the client; what it has to say is in out. */
static enum smtp_client_event push(struct conn *c, size_t *consumed, struct base_buf *out)
{
    struct smtp_client *s = &c->out.smtp;
    struct base_span spans[8];
    struct base_span in = {0};

    uint32_t n = conn_view(c, spans, BASE_ARRAY_CNT(spans));
    if (n > 0)
        in = spans[0];
    enum smtp_client_event event = smtp_client_push(s, in, consumed, out);
    if (event == SMTP_CLIENT_MORE && *consumed == 0 && n > 1) {
        struct base_buf line = {.p = c->lane->line, .cap = sizeof(c->lane->line)};
        for (uint32_t i = 0; i < n; i++) {
            size_t room = line.cap - line.len;
            base_assert(
                base_buf_put(&line, spans[i].p, spans[i].len < room ? spans[i].len : room) == 0);
        }
        event = smtp_client_push(s, base_buf_span(&line), consumed, out);
        in = base_buf_span(&line);
    }
    if (event == SMTP_CLIENT_MORE && *consumed == 0 && out->len == 0 && in.len > 0 &&
        !conn_has_more(c, in.len))
        conn_starve(c);
    conn_trace_said(c, false, base_span_of(in.p, *consumed), false);
    conn_consume(c, *consumed);
    return event;
}

/* One push of the client. Returns false when nothing more can be done now. */
static bool step(struct conn *c)
{
    struct conn_out *o = &c->out;
    struct base_buf out = {.p = c->lane->out, .cap = conn_space(c)};
    uint32_t replies = o->smtp.reply_cnt;
    size_t consumed = 0;

    if (out.cap < SMTP_OUT_MIN)
        return false;
    enum smtp_client_event event = push(c, &consumed, &out);
    conn_trace_said(c, true, base_buf_span(&out), false);
    conn_write(c, base_buf_span(&out));
    /* The time is a whole reply's, however slowly its lines come. */
    if (!o->idle && (o->smtp.reply_cnt != replies || out.len > 0))
        conn_out_deadline(c, smtp_client_timeout_ns(&o->smtp));
    switch (event) {
    case SMTP_CLIENT_RESULT:
        conn_out_take_result(c);
        /* Somebody waits for a probe's answer; what is left, RSET, is the connection's alone. */
        if (o->delivery != NULL && o->delivery->verify != NULL)
            conn_out_give_back(c, "no result");
        return true;
    case SMTP_CLIENT_TLS:
        if (conn_has_more(c, 0)) {
            smtp_client_injected(&o->smtp);
            return true;
        }
        conn_tls_out_start(c);
        return false;
    case SMTP_CLIENT_BODY:
        o->sending = true;
        o->offset = 0;
        if (o->smtp.convert)
            mail_eightbit_begin(o->eightbit);
        conn_final_send_start(c);
        conn_out_send(c);
        return false;
    case SMTP_CLIENT_DONE:
        o->alone |= o->delivery != NULL && o->delivery->probe;
        conn_out_give_back(c, "no result");
        if (c->link == NULL)
            return false;
        conn_out_keep(c);
        return true; /* what came behind the last reply is no news that would wake us */
    case SMTP_CLIENT_KEYS:
        return give_keys(c);
    case SMTP_CLIENT_CHECK:
        o->checking = true;
        o->offset = 0;
        conn_final_look_start(c);
        conn_eightbit_look(c);
        return !o->checking;
    case SMTP_CLIENT_LEFT:
        conn_out_go_elsewhere(c);
        return true;
    case SMTP_CLIENT_UNTRIED:
        conn_out_start_over(c);
        return true;
    case SMTP_CLIENT_CLOSE:
        if (o->idle)
            conn_out_lost_idle(c);
        conn_out_give_back(c, "session ended early");
        if (conn_group_lingers(c))
            return false;
        conn_finish(c, "done");
        return false;
    case SMTP_CLIENT_MORE:
        return consumed > 0;
    case SMTP_CLIENT_FLUSH:
        return out.len > 0;
    }
    return false;
}

static void run(struct conn *c)
{
    c->out.smtp.hostname = conn_out_hostname(c->lane, c->out.delivery); /* of this pass */
    if (!refresh_login(c))
        return;
    if (c->out.checking)
        conn_eightbit_look(c);
    if (c->out.sending)
        conn_out_send(c);
    while (c->link != NULL && !c->finishing && !c->out.sending && step(c))
        ;
    if (c->lane->draining && c->out.idle)
        conn_out_leave(c);
    if (c->lane->draining && c->out.quitting) /* the answer to QUIT is not worth waiting for */
        conn_finish(c, "going down");
}

/* The session is over: each open recipient hears why. */
static void tell_end(struct conn *c, const char *why)
{
    struct conn_out *o = &c->out;

    for (uint32_t i = 0; i <= SMTP_CLIENT_RCPT_MAX; i++) {
        struct base_buf out = {.p = c->lane->out, .cap = LANE_OUT_BYTES};
        size_t consumed = 0;
        enum smtp_client_event e =
            smtp_client_push(&o->smtp, base_span_of(NULL, 0), &consumed, &out);
        if (e == SMTP_CLIENT_UNTRIED)
            conn_out_start_over(c);
        if (e != SMTP_CLIENT_RESULT)
            break;
        conn_out_take_result(c);
    }
    conn_out_give_back(c, why);
}

/* Ends the session with what is known. */
void conn_out_fail(struct conn *c, const char *why)
{
    c->out.sending = false;
    c->out.checking = false;
    smtp_client_fail(&c->out.smtp, why);
    tell_end(c, why);
}

void conn_out_refuse(struct conn *c, const char *enhanced, const char *why)
{
    smtp_client_refuse(&c->out.smtp, enhanced, why);
    tell_end(c, why);
}

void conn_out_unattempted(struct conn *c, const char *why)
{
    c->out.delivery->unattempted = c->out.delivery->result_cnt == 0;
    conn_out_fail(c, why);
}

/* From here on it is the greeting that is waited for: RFC 5321 section 4.5.3.2.1. */
static void connected(struct conn *c)
{
    conn_deadline(c, smtp_client_timeout_ns(&c->out.smtp));
}

void conn_out_deadline(struct conn *c, uint64_t after_ns)
{
    const struct delivery *d = c->out.delivery;
    uint64_t now = c->lane->now_ns;

    if (d != NULL && (c->out.smtp.state != SMTP_CLIENT_STATE_END || c->out.smtp.lmtp) &&
        d->until_ns < now + after_ns)
        after_ns = d->until_ns > now ? d->until_ns - now : 0;
    conn_deadline(c, after_ns);
}

static void timeout(struct conn *c)
{
    const struct delivery *d = c->out.delivery;

    if (c->out.idle)
        return conn_out_leave(c);
    if (c->out.reading) /* we make the peer wait, not the reverse */
        return conn_deadline(c, 60 * BASE_NS_S);
    bool slow = d != NULL && d->until_ns <= c->lane->now_ns;
    stats_inc(c->lane->stats, STATS_CONN_TIMEOUTS);
    if (slow)
        stats_inc(c->lane->stats, STATS_CONN_OUT_TOO_SLOW);
    conn_out_fail(c, slow ? "the next hop was too slow for the message, though never silent"
                          : "timed out waiting for the next hop");
    conn_drop(c, "timeout");
}

static void ended(struct conn *c, const char *why)
{
    if (c->out.idle)
        conn_out_lost_idle(c);
    else
        conn_out_fail(c, why);
    conn_finish(c, why);
}

static void app_close(struct conn *c)
{
    static const enum stats_id of_ending[CONN_ENDING_CNT] = {
        [CONN_ENDING_NONE] = STATS_CONN_OUT_DROPPED,
        [CONN_ENDING_FINISHED] = STATS_CONN_OUT_FINISHED,
        [CONN_ENDING_PEER] = STATS_CONN_OUT_PEER,
        [CONN_ENDING_FAILED] = STATS_CONN_OUT_RESET,
        [CONN_ENDING_DROPPED] = STATS_CONN_OUT_DROPPED,
    };

    stats_inc(c->lane->stats, of_ending[c->ending]);
    if (c->out.idle)
        conn_cache_remove(&c->lane->idle, c);
    conn_out_give_back(c, c->reason != NULL ? c->reason : "connection closed");
    c->lane->out_cnt--;
    conn_group_closed(c);
}

static bool release(struct conn *c)
{
    if (c->out.data != NULL)
        spool_buf_put(&c->lane->bufs, c->out.data);
    c->out.data = NULL;
    return true;
}

const struct conn_app_ops conn_out_ops = {
    .name = "smtp client",
    .run = run,
    .connected = connected,
    .spooled = conn_out_spooled,
    .timeout = timeout,
    .ended = ended,
    .close = app_close,
    .release = release,
};
