/*
 * The application of an outbound connection: SMTP client above, one delivery to carry out, message
 * bytes read from the spool a buffer at a time while they are sent.
 *
 * Every recipient gets its result exactly once; whatever ends the connection early, the delivery
 * goes back to the courier with what is known, and recipients without a word count as deferred.
 *
 * After a message the connection waits a while for the next one to the same next hop (conn_cache).
 * The next hop may close it at any moment: a delivery that finds it so before MAIL was answered
 * goes on over a fresh connection, where the same would be a failure.
 */
#include "base_time.h"
#include "conn_tls_out.h"
#include "lane.h"
#include "proxy.h"
#include "settings_logins.h"

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

static bool is_open(const struct delivery_result *r)
{
    return r->code == 0 && r->text_len == 0;
}

/* A result for all recipients that have none. */
static void fill_results(struct delivery *d, const char *why)
{
    for (uint32_t i = 0; i < d->job.recipient_cnt; i++) {
        struct delivery_result *r = &d->result[i];
        if (is_open(r))
            r->text_len = (uint8_t)snprintf(r->text, sizeof(r->text), "%s", why);
    }
    d->result_cnt = d->job.recipient_cnt;
}

/* Gives the session its job: the recipients that have no result yet. */
static void begin(struct conn *c, struct delivery *d)
{
    uint32_t cnt = 0;

    base_static_assert(QUEUE_JOB_RCPT_MAX <= UINT8_MAX, "open holds positions");
    for (uint32_t i = 0; i < d->job.recipient_cnt; i++)
        if (is_open(&d->result[i]))
            d->open[cnt++] = (uint8_t)i;
    struct smtp_client_job job = {
        .sender = d->job.from,
        .recipient = recipient,
        .rcpt_params = rcpt_params,
        .user = d,
        .recipient_cnt = cnt,
        .probe = d->verify != NULL,
        .chunking = c->lane->settings->conf->smtp.client_chunking,
        .check = d->verify == NULL,
        .mail = {.size_bytes = d->job.content_bytes,
                 .envid = d->job.envid,
                 .ret = d->job.ret,
                 .body_8bit = d->job.body_8bit,
                 .smtputf8 = d->job.smtputf8,
                 .requiretls = d->job.requiretls},
    };

    c->out.delivery = d;
    c->out.job_cnt++;
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
    if (c->tcp == NULL)
        conn_resume(c);
}

/* The login that the connection needs, of this pass's settings. */
static const struct settings_login *login_of(const struct conn *c)
{
    return settings_login_find(c->lane->settings, c->out.login);
}

static void open_fresh(struct lane *l, struct delivery *d)
{
    struct net_endpoint any = {0};
    struct conn *c = l->draining ? NULL : conn_open(l, NULL, &conn_out_ops);
    const char *why = l->draining ? "gateway is going down" : "no free connection";
    int error = 0;

    if (c != NULL) {
        error = tcp_connect(l->tcp, &any, &d->host, c, &c->tcp, l->now_ns);
        why = error == 0 ? NULL : "no route to the next hop, or no port left";
    }
    if (why != NULL) {
        if (c != NULL)
            conn_discard(c);
        else
            d->unattempted = d->result_cnt == 0; /* ours is the lack: no attempt is spent on it */
        stats_inc(l->stats, STATS_CONN_OUT_FAILED);
        fill_results(d, why);
        if (d->probe)
            d->result[0].text_len =
                (uint8_t)snprintf(d->result[0].text, sizeof(d->result[0].text), "%s", why);
        d->next_host = true;
        return lane_deliver_back(l, d);
    }
    l->out_cnt++;
    stats_inc(l->stats, STATS_CONN_OPENED);
    if (l->push_layers != NULL)
        l->push_layers(c, true);
    c->remote = d->host;
    c->out.policy = d->policy;
    c->out.alone = d->tls_try == CONN_TLS_TRY_CLEAR;
    smtp_client_init(&c->out.smtp, l->settings->smtp.hostname, l->stats);
    smtp_client_want_tls(&c->out.smtp, conn_tls_out_want(d));
    c->out.login = d->login;
    if (d->login != 0)
        conn_login_random(&l->login, c->out.smtp.auth_random);
    begin(c, d);
    conn_deadline(c, l->settings->conf->smtp.client_connect_timeout_ns);
    if (d->proxy != 0)
        say_client(c, d);
    if (d->tls_begin == DELIVERY_TLS_IMPLICIT && c->tcp != NULL && d->requirement != NULL)
        conn_tls_out_start(c);
}

void conn_out_start(struct lane *l, struct delivery *d)
{
    struct conn *c =
        l->draining || d->probe ? NULL : conn_cache_take(&l->idle, &d->host, d->policy);

    d->result_cnt = 0;
    d->unattempted = false;
    d->dsn_passed_on = false;
    d->refused = false;
    d->next_host = false;
    d->tls = DELIVERY_TLS_NOTHING;
    d->tls_try = CONN_TLS_TRY_WHOLE;
    d->verify_answered = false;
    d->auth_trouble = SMTP_CLIENT_AUTH_FINE;
    for (uint32_t i = 0; i < d->job.recipient_cnt; i++)
        d->result[i] = (struct delivery_result){0};
    if (c == NULL)
        return open_fresh(l, d);
    stats_inc(l->stats, STATS_CONN_REUSED);
    begin(c, d);
    conn_deadline(c, smtp_client_timeout_ns(&c->out.smtp));
    conn_resume(c);
}

/* What was read of the message for the client's CHECK, or to be converted. */
static void drop_converter(struct conn *c)
{
    c->out.checking = false;
    conn_eightbit_put(&c->lane->eightbit, c->out.eightbit);
    c->out.eightbit = NULL;
}

/* The reused connection was over before the next hop said a word about the delivery. */
static void start_over(struct conn *c)
{
    struct delivery *d = c->out.delivery;

    c->out.delivery = NULL;
    drop_converter(c);
    open_fresh(c->lane, d);
}

void conn_out_again(struct conn *c, uint8_t tls_try)
{
    c->out.delivery->tls_try = tls_try;
    start_over(c);
}

static enum delivery_tls tls_of(const struct conn *c)
{
    const struct smtp_client *s = &c->out.smtp;

    return s->tls_refused ? DELIVERY_TLS_FAILED
           : s->encrypted ? (enum delivery_tls)c->out.tls
           : s->agreed    ? DELIVERY_TLS_CLEAR
                          : DELIVERY_TLS_NOTHING;
}

/* What a session without a message came to: the server's words, where it ended with some. */
static void tell_probe(const struct conn *c, struct delivery *d, const char *why)
{
    const struct smtp_client *s = &c->out.smtp;
    struct delivery_result *r = &d->result[0];
    bool good = s->state == SMTP_CLIENT_STATE_READY, said = !good && s->reply.text_len > 0;
    struct base_span words = said ? base_span_of(s->reply.text, s->reply.text_len)
                                  : base_span_str(good ? "mail would be taken" : why);

    *r = (struct delivery_result){.code = good ? 250 : said ? s->reply.code : 0};
    r->text_len = (uint8_t)(words.len < sizeof(r->text) ? words.len : sizeof(r->text));
    memcpy(r->text, words.p, r->text_len);
    if (said)
        memcpy(r->enhanced, s->reply.enhanced, sizeof(r->enhanced));
    d->tls = (uint8_t)tls_of(c);
}

static void give_back(struct conn *c, const char *why)
{
    struct delivery *d = c->out.delivery;

    if (d == NULL)
        return;
    c->out.delivery = NULL;
    drop_converter(c);
    if (d->probe)
        tell_probe(c, d, why);
    fill_results(d, why);
    lane_deliver_back(c->lane, d);
}

static void take_result(struct conn *c)
{
    const struct smtp_client_result *from = &c->out.smtp.result;
    struct delivery *d = c->out.delivery;

    if (d == NULL || from->recipient >= d->job.recipient_cnt)
        return;
    struct delivery_result *r = &d->result[d->open[from->recipient]];
    r->code = from->code;
    r->text_len = from->text_len < DELIVERY_TEXT_MAX ? from->text_len : DELIVERY_TEXT_MAX;
    memcpy(r->text, from->text, r->text_len);
    memcpy(r->enhanced, from->enhanced, sizeof(r->enhanced));
    d->dsn_passed_on = c->out.smtp.offers_dsn;
    d->auth_trouble = c->out.smtp.auth_trouble;
    d->refused = c->out.smtp.answered_cnt == 0 && from->code / 100 == 4;
    d->next_host = c->out.smtp.answered_cnt == 0 && (from->code == 0 || from->code / 100 == 4);
    d->tls = (uint8_t)tls_of(c);
    d->verify_answered = c->out.smtp.answered_cnt > 1;
    d->result_cnt++;
}

/* ---- the message's bytes ---- */

/* Asks the spooler for the next buffer of the message. Returns false when it must wait. */
static bool read_more(struct conn *c)
{
    struct conn_out *o = &c->out;

    if (o->reading)
        return true;
    struct spool_buf *b =
        lane_spool_room(c->lane, &o->delivery->job.id, 1) ? spool_buf_get(&c->lane->bufs) : NULL;
    if (b == NULL)
        return false;
    struct spool_entry e = {.id = o->delivery->job.id,
                            .op = SPOOL_READ,
                            .len = SPOOL_BUF_BYTES,
                            .buf = b,
                            .cookie = c,
                            .offset = o->offset};
    c->awaited++;
    o->reading = true;
    lane_spool_push(c->lane, &e);
    return true;
}

/* Sends what of the buffer there is room for, converted where the client wants it. */
static void send_piece(struct conn *c, struct base_buf *out)
{
    struct conn_out *o = &c->out;
    uint8_t room[MAIL_EIGHTBIT_OUT_MIN];
    size_t consumed = 0, used = 0;

    if (!o->smtp.convert) {
        smtp_client_body(&o->smtp,
                         base_span_of(o->data->data + o->data_at, o->data->len - o->data_at),
                         &consumed, out);
        o->data_at += (uint32_t)consumed;
        return;
    }
    while (o->data_at < o->data->len && out->cap - out->len >= SMTP_OUT_MIN) {
        struct base_buf piece = {.p = room, .cap = sizeof(room)};
        mail_eightbit_convert(o->eightbit,
                              base_span_of(o->data->data + o->data_at, o->data->len - o->data_at),
                              &used, &piece);
        o->data_at += (uint32_t)used;
        smtp_client_body(&o->smtp, base_buf_span(&piece), &consumed, out);
        base_assert(consumed == piece.len);
    }
}

static void end_of_message(struct conn *c)
{
    struct base_buf out = {.p = c->lane->out, .cap = conn_space(c)};
    uint8_t room[MAIL_EIGHTBIT_OUT_MIN];
    struct base_buf last = {.p = room, .cap = sizeof(room)};
    size_t consumed;

    if (c->out.smtp.convert) {
        mail_eightbit_end(c->out.eightbit, &last);
        smtp_client_body(&c->out.smtp, base_buf_span(&last), &consumed, &out);
        base_assert(consumed == last.len);
    }
    smtp_client_body_end(&c->out.smtp, &out);
    c->out.sending = false;
    conn_write(c, base_buf_span(&out));
}

/* Sends what has been read, as far as TCP takes it. */
static void send_body(struct conn *c)
{
    struct conn_out *o = &c->out;

    while (o->sending && c->tcp != NULL) {
        size_t space = conn_space(c);
        if (space < SMTP_OUT_MIN)
            return;
        if (o->offset >= o->delivery->job.content_bytes && o->data == NULL && !o->reading)
            return end_of_message(c);
        if (o->data == NULL) {
            if (!read_more(c))
                conn_stall(c);
            return;
        }
        struct base_buf out = {.p = c->lane->out, .cap = space};
        send_piece(c, &out);
        if (o->data_at == o->data->len) {
            spool_buf_put(&c->lane->bufs, o->data);
            o->data = NULL;
        }
        conn_write(c, base_buf_span(&out));
        conn_deadline(c, c->lane->settings->conf->smtp.data_timeout_ns);
    }
}

static void spooled(struct conn *c, const struct spool_done *done)
{
    struct conn_out *o = &c->out;

    base_assert(done->op == SPOOL_READ && o->reading);
    o->reading = false;
    if (c->tcp == NULL || done->status != 0 || done->len == 0) {
        spool_buf_put(&c->lane->bufs, done->buf);
        if (c->tcp != NULL) { /* never end a message that is not whole: cut the connection */
            stats_inc(c->lane->stats, STATS_CONN_READ_FAILED);
            give_back(c, "message could not be read from the spool");
            conn_drop(c, "spool read failed");
        }
        return;
    }
    done->buf->len = done->len;
    o->data = done->buf;
    o->data_at = 0;
    o->offset += done->len;
}

/* ---- the look at the content, before it is sent ---- */

static void tell_content(struct conn *c)
{
    struct conn_out *o = &c->out;
    bool bounce = c->lane->settings->conf->delivery.eightbit == CONF_EIGHTBIT_BOUNCE;

    mail_eightbit_looked(o->eightbit);
    struct smtp_client_content content = {
        .header = o->eightbit->header,
        .body = o->eightbit->body,
        .why_not = bounce ? "Message is 8-bit and the server does not offer 8BITMIME"
                          : o->eightbit->why_not,
    };
    smtp_client_checked(&o->smtp, &content);
    o->checking = false;
    if (!content.body || content.why_not != NULL)
        drop_converter(c);
}

static void look(struct conn *c)
{
    struct conn_out *o = &c->out;

    while (o->checking && c->tcp != NULL) {
        if (o->eightbit == NULL) {
            o->eightbit = conn_eightbit_take(&c->lane->eightbit);
            if (o->eightbit == NULL)
                return conn_stall(c);
            mail_eightbit_init(o->eightbit);
        }
        if (o->offset >= o->delivery->job.content_bytes && o->data == NULL && !o->reading)
            return tell_content(c);
        if (o->data == NULL) {
            if (!read_more(c))
                conn_stall(c);
            return;
        }
        mail_eightbit_look(o->eightbit, base_span_of(o->data->data, o->data->len));
        spool_buf_put(&c->lane->bufs, o->data);
        o->data = NULL;
        conn_deadline(c, smtp_client_timeout_ns(&o->smtp));
    }
}

/* ---- between two messages ---- */

/* Connections that a lane has left, its own objects or TCP's, are fewer than one in so many. */
static bool few_left(const struct lane *l, uint32_t share)
{
    struct tcp_usage u;

    tcp_usage(l->tcp, &u);
    uint32_t all = l->conns.object_cnt, used = all - l->conns.free_cnt;
    uint32_t most = used > u.conn_cnt ? used : u.conn_cnt;
    return most > all - all / share;
}

/* Says QUIT, idle or not; the answer ends the connection. */
static void leave(struct conn *c)
{
    struct base_buf quit = {.p = c->lane->out, .cap = conn_space(c)};

    if (c->out.idle) {
        conn_cache_remove(&c->lane->idle, c);
        stats_inc(c->lane->stats, STATS_CONN_IDLE_CLOSED);
    }
    c->out.quitting = true;
    smtp_client_quit(&c->out.smtp, &quit);
    conn_write(c, base_buf_span(&quit));
    conn_deadline(c, smtp_client_timeout_ns(&c->out.smtp));
}

/* The one idle for longest makes room, without waiting for the answer to QUIT. */
static void close_oldest(struct lane *l)
{
    struct conn *c = conn_cache_oldest(&l->idle);

    leave(c);
    conn_finish(c, "idle");
    conn_resume(c);
}

void conn_out_relieve(struct lane *l)
{
    while (l->idle.cnt > 0 && few_left(l, 2 * CONN_CACHE_SHARE))
        close_oldest(l);
}

/* A message is over: the connection stays for the next one, if it may. */
static void keep_or_leave(struct conn *c)
{
    const struct conf_smtp *conf = &c->lane->settings->conf->smtp;
    struct conn_out *o = &c->out;
    struct lane *l = c->lane;

    if (conf->client_idle_ns == 0 || o->job_cnt >= conf->client_reuse || l->draining ||
        c->peer_closed || o->alone || smtp_client_exhausted(&o->smtp) || l->idle.max == 0 ||
        few_left(l, CONN_CACHE_SHARE))
        return leave(c);
    base_assert(!o->sending && !o->reading && o->data == NULL);
    if (l->idle.cnt == l->idle.max)
        close_oldest(l);
    conn_cache_put(&l->idle, c);
    conn_deadline(c, conf->client_idle_ns);
}

/* The next hop ended an idle connection: nothing is lost by it. */
static void lost_idle(struct conn *c)
{
    conn_cache_remove(&c->lane->idle, c);
    stats_inc(c->lane->stats, STATS_CONN_IDLE_LOST);
}

/* ---- the session ---- */

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
        give_back(c, "the keys for the login could not be made");
        conn_drop(c, "no keys");
        return false;
    }
}

/* The server's LIMITS end the session before the delivery is over: the rest goes over another. */
static void go_elsewhere(struct conn *c)
{
    struct delivery *d = c->out.delivery;

    c->out.delivery = NULL;
    drop_converter(c);
    leave(c);
    open_fresh(c->lane, d);
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
    give_back(c, "the login for the next hop has changed");
    conn_drop(c, "login changed");
    return false;
}

/* One push of the client. Returns false when nothing more can be done now. */
static bool step(struct conn *c)
{
    struct conn_out *o = &c->out;
    struct base_span spans[8];
    struct base_span in = {0};
    struct base_buf out = {.p = c->lane->out, .cap = conn_space(c)};
    size_t consumed = 0;

    if (out.cap < SMTP_OUT_MIN)
        return false;
    uint32_t n = conn_view(c, spans, BASE_ARRAY_CNT(spans));
    if (n > 0)
        in = spans[0];
    enum smtp_client_event event = smtp_client_push(&o->smtp, in, &consumed, &out);
    if (event == SMTP_CLIENT_MORE && consumed == 0 && n > 1) {
        struct base_buf line = {.p = c->lane->line, .cap = sizeof(c->lane->line)};
        for (uint32_t i = 0; i < n; i++) {
            size_t room = line.cap - line.len;
            base_assert(
                base_buf_put(&line, spans[i].p, spans[i].len < room ? spans[i].len : room) == 0);
        }
        event = smtp_client_push(&o->smtp, base_buf_span(&line), &consumed, &out);
        in = base_buf_span(&line);
    }
    if (event == SMTP_CLIENT_MORE && consumed == 0 && out.len == 0 && in.len > 0 &&
        !conn_has_more(c, in.len))
        conn_starve(c);
    conn_consume(c, consumed);
    conn_write(c, base_buf_span(&out));
    if (!o->idle && (consumed > 0 || out.len > 0))
        conn_deadline(c, smtp_client_timeout_ns(&o->smtp));
    switch (event) {
    case SMTP_CLIENT_RESULT:
        take_result(c);
        /* Somebody waits for a probe's answer; what is left, RSET, is the connection's alone. */
        if (o->delivery != NULL && o->delivery->verify != NULL)
            give_back(c, "no result");
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
        send_body(c);
        return false;
    case SMTP_CLIENT_DONE:
        o->alone |= o->delivery != NULL && o->delivery->probe;
        give_back(c, "no result");
        if (c->tcp == NULL)
            return false;
        keep_or_leave(c);
        return true; /* what came behind the last reply is no news that would wake us */
    case SMTP_CLIENT_KEYS:
        return give_keys(c);
    case SMTP_CLIENT_CHECK:
        o->checking = true;
        o->offset = 0;
        look(c);
        return !o->checking;
    case SMTP_CLIENT_LEFT:
        go_elsewhere(c);
        return true;
    case SMTP_CLIENT_UNTRIED:
        start_over(c);
        return true;
    case SMTP_CLIENT_CLOSE:
        if (o->idle)
            lost_idle(c);
        give_back(c, "session ended early");
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
    c->out.smtp.hostname = c->lane->settings->smtp.hostname; /* of this pass */
    if (!refresh_login(c))
        return;
    if (c->out.checking)
        look(c);
    if (c->out.sending)
        send_body(c);
    while (c->tcp != NULL && !c->finishing && !c->out.sending && step(c))
        ;
    if (c->lane->draining && c->out.idle)
        leave(c);
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
            start_over(c);
        if (e != SMTP_CLIENT_RESULT)
            break;
        take_result(c);
    }
    give_back(c, why);
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

static void timeout(struct conn *c)
{
    if (c->out.idle)
        return leave(c);
    if (c->out.reading) /* we make the peer wait, not the reverse */
        return conn_deadline(c, 60 * BASE_NS_S);
    stats_inc(c->lane->stats, STATS_CONN_TIMEOUTS);
    conn_out_fail(c, "timed out waiting for the next hop");
    conn_drop(c, "timeout");
}

static void ended(struct conn *c, const char *why)
{
    if (c->out.idle)
        lost_idle(c);
    else
        conn_out_fail(c, why);
    conn_finish(c, why);
}

static void app_close(struct conn *c)
{
    if (c->out.idle)
        conn_cache_remove(&c->lane->idle, c);
    give_back(c, c->reason != NULL ? c->reason : "connection closed");
    c->lane->out_cnt--;
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
    .spooled = spooled,
    .timeout = timeout,
    .ended = ended,
    .close = app_close,
    .release = release,
};
