#include "smtp_client_internal.h"
#include "base_time.h"

#include <stdio.h>

_Static_assert(SMTP_CLIENT_TEXT_MAX > UINT8_MAX, "text_len counts it");
_Static_assert(SMTP_CLIENT_RCPT_WAITING == 0, "what memset makes");
_Static_assert(SMTP_ADDRESS_MAX + SMTP_ORCPT_MAX + 100 < SMTP_OUT_MIN, "room for RCPT");

void smtp_client_set_state(struct smtp_client *c, enum smtp_client_state state, bool command_due)
{
    base_assert(c->state != SMTP_CLIENT_STATE_CLOSED);
    c->state = (uint8_t)state;
    c->command_due = command_due;
}

/* Whether recipients before tell_end are open; moves tell_from to the first of them. */
static bool any_to_tell(struct smtp_client *c)
{
    while (c->tell_from < c->tell_end && c->rcpt[c->tell_from] == SMTP_CLIENT_RCPT_TOLD)
        c->tell_from++;
    return c->tell_from < c->tell_end;
}

/* From here on each open recipient before end gets c->reply as its result. */
static void tell(struct smtp_client *c, uint32_t end)
{
    c->tell_from = 0;
    c->tell_end = end;
    c->telling = c->started && any_to_tell(c);
}

static void tell_all(struct smtp_client *c)
{
    tell(c, c->job.recipient_cnt);
}

/* Those of this transaction, and with them those of earlier ones, who all have been told. */
static void tell_window(struct smtp_client *c)
{
    tell(c, c->first + c->cnt);
}

/* The server closed between two messages, which it may: that is no attempt at the second one. */
static void set_untried(struct smtp_client *c)
{
    c->untried = true;
    stats_inc(c->stats, STATS_SMTP_CLIENT_UNTRIED);
}

void smtp_client_init(struct smtp_client *c, const char *hostname, struct stats_block *stats)
{
    memset(c, 0, sizeof(*c));
    base_assert(strlen(hostname) <= SMTP_DOMAIN_MAX);
    c->hostname = hostname;
    c->stats = stats;
    stats_inc(stats, STATS_SMTP_CLIENT_SESSIONS);
}

void smtp_client_start(struct smtp_client *c, const struct smtp_client_job *job)
{
    base_assert(!c->started);
    base_assert(job->recipient_cnt <= SMTP_CLIENT_RCPT_MAX);
    c->job = *job;
    c->started = true;
    c->telling = false;
    c->first = 0;
    c->cnt = 0;
    c->answered_cnt = 0;
    c->told_cnt = 0;
    c->untried = false;
    c->checking = false;
    c->checked = false;
    c->look_whole = false;
    c->convert = false;
    c->narrow = false;
    c->unsayable = false;
    c->server_refused = false;
    c->requiretls_said = false;
    memset(c->rcpt, SMTP_CLIENT_RCPT_WAITING, sizeof(c->rcpt));
    stats_inc(c->stats, STATS_SMTP_CLIENT_JOBS);
    if (c->state == SMTP_CLIENT_STATE_CLOSED && c->reused) { /* since the last job */
        set_untried(c);
    } else if (c->state == SMTP_CLIENT_STATE_CLOSED) {
        smtp_client_set_reply(c, 0, "", "the session is closed");
        tell_all(c);
    }
}

static enum smtp_client_event tell_one(struct smtp_client *c, uint32_t recipient)
{
    base_assert(c->rcpt[recipient] != SMTP_CLIENT_RCPT_TOLD);
    c->rcpt[recipient] = SMTP_CLIENT_RCPT_TOLD;
    c->told_cnt++;
    c->result = c->reply;
    c->result.recipient = recipient;
    if (c->job.probe) /* no mail: its caller counts */
        return SMTP_CLIENT_RESULT;
    if (c->reply.code == 0)
        stats_inc(c->stats, STATS_SMTP_CLIENT_NO_REPLY);
    else if (c->reply.code < 300)
        stats_inc(c->stats, STATS_SMTP_CLIENT_DELIVERED);
    else
        stats_inc(c->stats,
                  c->reply.code < 500 ? STATS_SMTP_CLIENT_DEFERRED : STATS_SMTP_CLIENT_FAILED);
    return SMTP_CLIENT_RESULT;
}

static enum smtp_client_event tell_next(struct smtp_client *c)
{
    enum smtp_client_event event = tell_one(c, c->tell_from);
    c->telling = any_to_tell(c);
    return event;
}

/* A further job of the session of which nothing is known, not even what the server says to MAIL. */
static bool is_untried(const struct smtp_client *c)
{
    return c->started && c->reused && c->told_cnt == 0 &&
           (c->state == SMTP_CLIENT_STATE_READY ||
            (c->state == SMTP_CLIENT_STATE_ENVELOPE && c->answered_cnt == 0));
}

/* The session is over; c->reply is why, for the recipients that are open. */
enum smtp_client_event smtp_client_end_session(struct smtp_client *c)
{
    bool untried = is_untried(c);

    smtp_client_set_state(c, SMTP_CLIENT_STATE_CLOSED, false);
    if (untried)
        set_untried(c);
    else
        tell_all(c);
    return SMTP_CLIENT_MORE;
}

static enum smtp_client_event bad_reply(struct smtp_client *c, const char *why)
{
    if (why != NULL)
        smtp_client_set_reply(c, 0, "", why);
    stats_inc(c->stats, STATS_SMTP_CLIENT_BAD_REPLY);
    return smtp_client_end_session(c);
}

void smtp_client_fail(struct smtp_client *c, const char *why)
{
    if (c->state == SMTP_CLIENT_STATE_CLOSED)
        return;
    stats_inc(c->stats, STATS_SMTP_CLIENT_ABANDONED);
    if (c->state == SMTP_CLIENT_STATE_END)
        stats_inc(c->stats, STATS_SMTP_CLIENT_UNHEARD);
    if (c->telling) { /* their fate is known, and stays */
        smtp_client_set_state(c, SMTP_CLIENT_STATE_CLOSED, false);
        return;
    }
    smtp_client_set_reply(c, 0, "", why);
    smtp_client_end_session(c);
}

void smtp_client_refuse(struct smtp_client *c, const char *enhanced, const char *why)
{
    char text[SMTP_CLIENT_TEXT_MAX];

    if (c->state == SMTP_CLIENT_STATE_CLOSED)
        return;
    base_assert(!c->reused && !c->telling);
    c->tls_refused = true;
    c->server_refused = true;
    snprintf(text, sizeof(text), "%s %s", enhanced, why);
    smtp_client_set_reply(c, enhanced[0] == '5' ? 550 : 0, enhanced, text);
    smtp_client_end_session(c);
}

/* The server refuses to talk to us, or to start afresh: leave politely, but wait for nothing. */
static enum smtp_client_event refused_session(struct smtp_client *c, struct base_buf *out)
{
    int failed = base_buf_puts(out, "QUIT\r\n"); /* without room the peer sees the end as well */
    (void)failed;
    return smtp_client_end_session(c);
}

static void put_format(struct base_buf *out, const char *before, struct base_span text,
                       const char *after)
{
    int failed =
        base_buf_puts(out, before) | base_buf_put_span(out, text) | base_buf_puts(out, after);
    base_assert(failed == 0);
}

/* The parameters that the server has an extension for. A converted message has a size that is not
 * known yet. */
static void put_mail(struct smtp_client *c, struct base_buf *out)
{
    struct smtp_mail_params p = c->job.mail;
    char size[32] = "";

    p.body_8bit &= c->offers_8bitmime && !c->convert;
    p.smtputf8 &= c->offers_smtputf8;
    p.requiretls &= smtp_client_passes_requiretls(c);
    c->requiretls_said = p.requiretls;
    if (!c->offers_dsn) {
        p.ret = SMTP_RET_NONE;
        p.envid = base_span_of(NULL, 0);
    }
    if (c->offers_size && !c->convert && !c->job.probe)
        snprintf(size, sizeof(size), " SIZE=%llu", (unsigned long long)p.size_bytes);
    put_format(out, "MAIL FROM:<", base_span_of(NULL, 0), "");
    smtp_client_put_mailbox(c, c->job.sender, out);
    put_format(out, ">", base_span_str(size), "");
    int failed = smtp_mail_params_write(out, &p);
    base_assert(failed == 0);
    put_format(out, "\r\n", base_span_of(NULL, 0), "");
}

static void put_rcpt(struct smtp_client *c, uint32_t recipient, struct base_buf *out)
{
    struct base_span mailbox = c->job.recipient(c->job.user, recipient);

    base_assert(mailbox.len > 0 && mailbox.len <= SMTP_ADDRESS_MAX);
    put_format(out, "RCPT TO:<", base_span_of(NULL, 0), "");
    smtp_client_put_mailbox(c, mailbox, out);
    put_format(out, ">", base_span_of(NULL, 0), "");
    if (c->offers_dsn && c->job.rcpt_params != NULL) {
        struct smtp_rcpt_params p = c->job.rcpt_params(c->job.user, recipient);
        uint8_t room[SMTP_ORCPT_MAX];
        if (c->narrow && p.orcpt.len > 0)
            p.orcpt = smtp_client_ascii_orcpt(p.orcpt, room);
        int failed = smtp_rcpt_params_write(out, &p);
        base_assert(failed == 0);
    }
    put_format(out, "\r\n", base_span_of(NULL, 0), "");
}

/* Envelope command index: MAIL, one RCPT for each recipient, DATA unless BDAT is used or nothing is
 * sent. */
static void put_envelope(struct smtp_client *c, uint32_t index, struct base_buf *out)
{
    if (index == 0)
        put_mail(c, out);
    else if (index <= c->cnt)
        put_rcpt(c, c->first + index - 1, out);
    else
        put_format(out, "DATA\r\n", base_span_of(NULL, 0), "");
}

static uint32_t envelope_cnt(const struct smtp_client *c)
{
    return c->cnt + (c->chunk || c->job.probe ? 1 : 2);
}

/* All recipients have been answered: the chunk that is the message, or nothing. */
static bool send_chunk(struct smtp_client *c, struct base_buf *out)
{
    char command[48];

    if (!c->accepted_any) {
        c->abandoned = true;
        return true;
    }
    if (out->cap - out->len < SMTP_OUT_MIN)
        return false;
    c->chunk_left = c->job.mail.size_bytes;
    snprintf(command, sizeof(command), "BDAT %llu LAST\r\n", (unsigned long long)c->chunk_left);
    put_format(out, command, base_span_of(NULL, 0), "");
    smtp_client_set_state(c, SMTP_CLIENT_STATE_BODY, false);
    c->body_due = true;
    stats_inc(c->stats, STATS_SMTP_CLIENT_CHUNKED);
    return true;
}

/* Sends what of the envelope may go out now: all of it, or one command (RFC 2920). DATA waits for
 * no reply either when pipelined, but is left out once it is known that nobody would get it. */
static bool send_envelope(struct smtp_client *c, struct base_buf *out)
{
    uint32_t total = envelope_cnt(c);

    while (!c->abandoned && c->sent_cnt < total &&
           (c->offers_pipelining || c->answered_cnt == c->sent_cnt)) {
        if (c->sent_cnt == c->cnt + 1 && c->answered_cnt == c->sent_cnt && !c->accepted_any) {
            c->abandoned = true;
            break;
        }
        if (out->cap - out->len < SMTP_OUT_MIN)
            return false;
        put_envelope(c, c->sent_cnt++, out);
    }
    if (c->chunk && !c->abandoned && c->answered_cnt == total && !send_chunk(c, out))
        return false;
    bool over = c->abandoned || (c->job.probe && c->sent_cnt == total);
    if (over && c->answered_cnt == c->sent_cnt)
        smtp_client_set_state(c, SMTP_CLIENT_STATE_RSET, true);
    return true;
}

/* Sends what the state has due. Returns false when out is short of room. */
static bool send_due(struct smtp_client *c, struct base_buf *out)
{
    if (c->state == SMTP_CLIENT_STATE_ENVELOPE && !send_envelope(c, out))
        return false;
    if (!c->command_due)
        return true;
    if (out->cap - out->len < SMTP_OUT_MIN)
        return false;
    c->command_due = false;
    switch ((enum smtp_client_state)c->state) {
    case SMTP_CLIENT_STATE_EHLO:
        put_format(out, c->lmtp ? "LHLO " : "EHLO ", base_span_str(c->hostname), "\r\n");
        break;
    case SMTP_CLIENT_STATE_HELO:
        put_format(out, "HELO ", base_span_str(c->hostname), "\r\n");
        break;
    case SMTP_CLIENT_STATE_STARTTLS:
        put_format(out, "STARTTLS\r\n", base_span_of(NULL, 0), "");
        break;
    case SMTP_CLIENT_STATE_AUTH:
        smtp_client_auth_command(c, out);
        break;
    case SMTP_CLIENT_STATE_RSET:
        put_format(out, "RSET\r\n", base_span_of(NULL, 0), "");
        break;
    case SMTP_CLIENT_STATE_END: /* 354 though nobody was accepted: an empty message ends it */
        put_format(out, ".\r\n", base_span_of(NULL, 0), "");
        break;
    default:
        base_assert(false);
    }
    return true;
}

/* Starts the next transaction of the job, or refuses the job here when the server is known not to
 * take it. Returns MORE, CHECK or LEFT. */
static enum smtp_client_event begin_transaction(struct smtp_client *c)
{
    if (!smtp_client_acceptable(c)) {
        tell_all(c);
        return SMTP_CLIENT_MORE;
    }
    if (c->checking)
        return SMTP_CLIENT_CHECK;
    if (!smtp_client_open_window(c)) {
        stats_inc(c->stats, STATS_SMTP_CLIENT_LIMITED);
        c->started = false;
        return SMTP_CLIENT_LEFT;
    }
    if (smtp_client_fails_unsaid(c) || smtp_client_loops(c)) {
        tell_window(c);
        return SMTP_CLIENT_MORE;
    }
    c->sent_cnt = 0;
    c->answered_cnt = 0;
    c->abandoned = false;
    c->accepted_any = false;
    c->chunk = c->job.chunking && c->offers_chunking && !c->convert && !c->job.probe && !c->lmtp;
    smtp_client_set_state(c, SMTP_CLIENT_STATE_ENVELOPE, false);
    return SMTP_CLIENT_MORE;
}

/* RFC 5321 section 4.5.3.1.10: 552 to RCPT was once said for "too many recipients" and is then to
 * be taken as 452; with an enhanced code the server says what it means. */
static void soften_552(struct smtp_client_result *reply)
{
    if (reply->code != 552)
        return;
    if (reply->enhanced[0] == 0 || strcmp(reply->enhanced, "5.5.3") == 0) {
        reply->code = 452;
        memcpy(reply->enhanced, "4.5.3", 6);
    }
}

static enum smtp_client_event rcpt_reply(struct smtp_client *c, uint32_t recipient)
{
    bool waiting = c->rcpt[recipient] == SMTP_CLIENT_RCPT_WAITING; /* else MAIL was refused */

    if (c->reply.code / 100 == 3)
        return bad_reply(c, "the server's reply to RCPT is 3xx");
    if (!waiting)
        return SMTP_CLIENT_MORE;
    if (c->reply.code < 300 && c->job.probe)
        return tell_one(c, recipient);
    if (c->reply.code < 300) {
        c->rcpt[recipient] = SMTP_CLIENT_RCPT_ACCEPTED;
        c->accepted_any = true;
        return SMTP_CLIENT_MORE;
    }
    soften_552(&c->reply);
    return tell_one(c, recipient);
}

static enum smtp_client_event data_reply(struct smtp_client *c, bool more_input)
{
    if (c->reply.code == 354) {
        if (!c->accepted_any && c->lmtp) /* RFC 2033 section 4.2: it must not */
            return bad_reply(c, "the server wants a message for nobody");
        if (!c->accepted_any) {
            smtp_client_set_state(c, SMTP_CLIENT_STATE_END, true);
            return SMTP_CLIENT_MORE;
        }
        if (more_input)
            return bad_reply(c, "the server replies before it was asked");
        smtp_client_set_state(c, SMTP_CLIENT_STATE_BODY, false);
        c->body_scan = 0;
        return SMTP_CLIENT_BODY;
    }
    if (c->reply.code < 400)
        return bad_reply(c, "the server's reply to DATA is neither 354 nor a refusal");
    tell_window(c);
    smtp_client_set_state(c, SMTP_CLIENT_STATE_RSET, true);
    return SMTP_CLIENT_MORE;
}

static enum smtp_client_event envelope_reply(struct smtp_client *c, bool more_input)
{
    uint32_t index = c->answered_cnt++;

    if (index == c->cnt + 1)
        return data_reply(c, more_input);
    if (index > 0)
        return rcpt_reply(c, c->first + index - 1);
    if (c->reply.code / 100 == 3)
        return bad_reply(c, "the server's reply to MAIL is 3xx");
    if (c->reply.code >= 400) {
        c->abandoned = true;
        tell_all(c);
    }
    return SMTP_CLIENT_MORE;
}

/* The login goes on, is done, or has failed: then no mail goes there. */
static enum smtp_client_event auth_step(struct smtp_client *c, enum smtp_client_auth step,
                                        struct base_buf *out)
{
    if (step == SMTP_CLIENT_AUTH_FAILED)
        return refused_session(c, out);
    c->agreed = step == SMTP_CLIENT_AUTH_OVER;
    smtp_client_set_state(c, c->agreed ? SMTP_CLIENT_STATE_READY : SMTP_CLIENT_STATE_AUTH,
                          step == SMTP_CLIENT_AUTH_MORE);
    return SMTP_CLIENT_MORE;
}

/* Whether TLS stands or not is settled: a login is next, where one is needed. */
static enum smtp_client_event log_in(struct smtp_client *c, struct base_buf *out)
{
    return auth_step(c, c->credentials != NULL ? smtp_client_auth_begin(c) : SMTP_CLIENT_AUTH_OVER,
                     out);
}

/* Greeting, EHLO and HELO. */
static enum smtp_client_event hello_reply(struct smtp_client *c, struct base_buf *out)
{
    unsigned class = c->reply.code / 100;

    if (class == 3)
        return bad_reply(c, "the server's greeting is 3xx");
    if (c->state == SMTP_CLIENT_STATE_EHLO && class == 5 && c->lmtp)
        smtp_client_lmtp_refused(c); /* and below: it is no 2xx */
    else if (c->state == SMTP_CLIENT_STATE_EHLO && class == 5) {
        stats_inc(c->stats, STATS_SMTP_CLIENT_HELO_FALLBACK);
        smtp_client_set_state(c, SMTP_CLIENT_STATE_HELO, true);
        return SMTP_CLIENT_MORE;
    }
    if (class != 2) {
        c->server_refused = true;
        return refused_session(c, out);
    }
    if (c->state == SMTP_CLIENT_STATE_GREETING) {
        smtp_client_set_state(c, SMTP_CLIENT_STATE_EHLO, true);
        return SMTP_CLIENT_MORE;
    }
    switch (smtp_client_after_hello(c)) {
    case SMTP_CLIENT_HELLO_STARTTLS:
        smtp_client_set_state(c, SMTP_CLIENT_STATE_STARTTLS, true);
        break;
    case SMTP_CLIENT_HELLO_REFUSE:
        return refused_session(c, out);
    case SMTP_CLIENT_HELLO_READY:
        return log_in(c, out);
    }
    return SMTP_CLIENT_MORE;
}

static enum smtp_client_event starttls_reply(struct smtp_client *c, bool more_input,
                                             struct base_buf *out)
{
    switch (smtp_client_after_starttls(c, more_input)) {
    case SMTP_CLIENT_STARTTLS_GO:
        smtp_client_set_state(c, SMTP_CLIENT_STATE_HANDSHAKE, false);
        return SMTP_CLIENT_TLS;
    case SMTP_CLIENT_STARTTLS_CLEAR:
        return log_in(c, out);
    case SMTP_CLIENT_STARTTLS_REFUSE:
        return refused_session(c, out);
    case SMTP_CLIENT_STARTTLS_INJECTED:
        break;
    }
    return bad_reply(c, NULL);
}

static enum smtp_client_event end_reply(struct smtp_client *c)
{
    if (c->reply.code / 100 == 3)
        return bad_reply(c, "the server's reply to the end of data is 3xx");
    if (c->lmtp) {
        bool last = true;
        uint32_t recipient = smtp_client_lmtp_answered(c, &last);
        if (last)
            smtp_client_set_state(c, SMTP_CLIENT_STATE_READY, false);
        return tell_one(c, recipient);
    }
    smtp_client_set_state(c, SMTP_CLIENT_STATE_READY, false);
    tell_window(c);
    return SMTP_CLIENT_MORE;
}

static void count_reply(struct smtp_client *c)
{
    static const enum stats_id ids[] = {
        [2] = STATS_SMTP_CLIENT_REPLY_2XX,
        [3] = STATS_SMTP_CLIENT_REPLY_3XX,
        [4] = STATS_SMTP_CLIENT_REPLY_4XX,
        [5] = STATS_SMTP_CLIENT_REPLY_5XX,
    };
    stats_inc(c->stats, ids[c->reply.code / 100]);
}

/* A whole reply, wanted or not. Returns the event for the caller, MORE for none. */
static enum smtp_client_event handle_reply(struct smtp_client *c, bool wanted, bool more_input,
                                           struct base_buf *out)
{
    count_reply(c);
    if (c->state == SMTP_CLIENT_STATE_QUIT)
        return smtp_client_end_session(c);
    if (c->reply.code == 421) {
        stats_inc(c->stats, STATS_SMTP_CLIENT_CLOSED_421);
        return smtp_client_end_session(c);
    }
    if (!wanted) {
        /* A refusal in the middle of the body is a verdict; what else it would answer is unknown.
         */
        bool verdict = c->state == SMTP_CLIENT_STATE_BODY && c->reply.code >= 400;
        return bad_reply(c, verdict ? NULL : "the server replies before it was asked");
    }
    switch ((enum smtp_client_state)c->state) {
    case SMTP_CLIENT_STATE_GREETING:
    case SMTP_CLIENT_STATE_EHLO:
    case SMTP_CLIENT_STATE_HELO:
        return hello_reply(c, out);
    case SMTP_CLIENT_STATE_STARTTLS:
        return starttls_reply(c, more_input, out);
    case SMTP_CLIENT_STATE_AUTH:
        return auth_step(c, smtp_client_auth_reply(c), out);
    case SMTP_CLIENT_STATE_ENVELOPE:
        return envelope_reply(c, more_input);
    case SMTP_CLIENT_STATE_END:
        return end_reply(c);
    case SMTP_CLIENT_STATE_RSET:
        if (c->reply.code / 100 != 2) { /* nobody knows what it still holds of the last message */
            smtp_client_set_reply(c, 0, "", "the server refuses RSET");
            return refused_session(c, out);
        }
        smtp_client_set_state(c, SMTP_CLIENT_STATE_READY, false);
        return SMTP_CLIENT_MORE;
    default:
        base_assert(false);
        return SMTP_CLIENT_CLOSE;
    }
}

static bool wants_reply(const struct smtp_client *c)
{
    switch ((enum smtp_client_state)c->state) {
    case SMTP_CLIENT_STATE_READY:
    case SMTP_CLIENT_STATE_HANDSHAKE:
    case SMTP_CLIENT_STATE_BODY:
        return false;
    case SMTP_CLIENT_STATE_ENVELOPE:
        return c->sent_cnt > c->answered_cnt;
    default:
        return !c->command_due;
    }
}

/* Takes what is a challenge; *used 0 with MORE: it is none. */
static enum smtp_client_event challenge(struct smtp_client *c, struct base_span in, size_t *used,
                                        struct base_buf *out)
{
    *used = 0;
    if (out->cap - out->len < SMTP_OUT_MIN)
        return SMTP_CLIENT_FLUSH;
    return smtp_client_auth_challenge(c, in, used, out) == SMTP_CLIENT_AUTH_KEYS ? SMTP_CLIENT_KEYS
                                                                                 : SMTP_CLIENT_MORE;
}

enum smtp_client_event smtp_client_push(struct smtp_client *c, struct base_span in,
                                        size_t *consumed, struct base_buf *out)
{
    for (*consumed = 0;;) {
        struct base_span rest = base_span_of(in.p + *consumed, in.len - *consumed);
        /* Short of room for commands, replies are still read: both sides waiting for the other to
         * read would be a deadlock (RFC 2920 section 3.1). */
        enum smtp_client_event needed = SMTP_CLIENT_MORE;
        size_t used;

        if (c->telling)
            return tell_next(c);
        if (c->untried) {
            c->untried = false;
            c->started = false;
            return SMTP_CLIENT_UNTRIED;
        }
        if (c->state == SMTP_CLIENT_STATE_CLOSED)
            return SMTP_CLIENT_CLOSE;
        bool ready = c->state == SMTP_CLIENT_STATE_READY;
        if (ready && c->started && c->told_cnt == c->job.recipient_cnt) {
            c->started = false;
            c->reused = true;
            return SMTP_CLIENT_DONE;
        }
        /* What comes before a command is sent is no reply to it. */
        bool wanted = wants_reply(c);
        if (wanted || rest.len == 0) {
            if (ready && c->started && !c->checking) {
                enum smtp_client_event begun = begin_transaction(c);
                if (begun != SMTP_CLIENT_MORE)
                    return begun;
                continue;
            }
            needed = send_due(c, out) ? SMTP_CLIENT_MORE : SMTP_CLIENT_FLUSH;
            if (c->body_due && rest.len == 0) {
                c->body_due = false;
                return SMTP_CLIENT_BODY;
            }
        }
        if (rest.len == 0)
            return needed;
        if (c->state == SMTP_CLIENT_STATE_AUTH && wanted) {
            enum smtp_client_event event = challenge(c, rest, &used, out);
            *consumed += used;
            if (event == SMTP_CLIENT_KEYS || event == SMTP_CLIENT_FLUSH)
                return event;
            if (used > 0)
                continue;
        }
        enum smtp_client_take take = smtp_client_take_reply(c, rest, &used);
        *consumed += used;
        if (take == SMTP_CLIENT_TAKE_MORE)
            return needed;
        enum smtp_client_event event = take == SMTP_CLIENT_TAKE_BAD
                                           ? bad_reply(c, NULL)
                                           : handle_reply(c, wanted, *consumed < in.len, out);
        if (event != SMTP_CLIENT_MORE)
            return event;
    }
}

void smtp_client_checked(struct smtp_client *c, const struct smtp_client_content *content)
{
    if (!c->checking) /* the session ended meanwhile */
        return;
    c->checking = false;
    c->checked = true;
    c->content = *content;
}

void smtp_client_quit(struct smtp_client *c, struct base_buf *out)
{
    base_assert(!c->started);
    if (c->state == SMTP_CLIENT_STATE_CLOSED)
        return;
    base_assert(c->state == SMTP_CLIENT_STATE_READY);
    bool sent = c->quit_early || base_buf_puts(out, "QUIT\r\n") == 0;
    smtp_client_set_state(c, sent ? SMTP_CLIENT_STATE_QUIT : SMTP_CLIENT_STATE_CLOSED, false);
}

uint64_t smtp_client_timeout_ns(const struct smtp_client *c)
{
    static const uint16_t seconds[SMTP_CLIENT_STATE_CNT] = {
        [SMTP_CLIENT_STATE_GREETING] = 300, [SMTP_CLIENT_STATE_EHLO] = 300,
        [SMTP_CLIENT_STATE_HELO] = 300,     [SMTP_CLIENT_STATE_STARTTLS] = 300,
        [SMTP_CLIENT_STATE_HANDSHAKE] = 60, [SMTP_CLIENT_STATE_READY] = 300,
        [SMTP_CLIENT_STATE_AUTH] = 120,     [SMTP_CLIENT_STATE_ENVELOPE] = 300,
        [SMTP_CLIENT_STATE_BODY] = 180,     [SMTP_CLIENT_STATE_END] = 600,
        [SMTP_CLIENT_STATE_RSET] = 60,      [SMTP_CLIENT_STATE_QUIT] = 60,
        [SMTP_CLIENT_STATE_CLOSED] = 1,
    };
    return seconds[c->state] * BASE_NS_S;
}
