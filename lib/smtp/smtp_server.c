#include "smtp_internal.h"
#include "smtp_line.h"
#include "smtp_scan.h"

#include <stdio.h>

/* The states that may follow each. Any may be closed; CLOSING is the end. */
static const uint8_t next_states[SMTP_SESSION_STATE_CNT] = {
    [SMTP_SESSION_START] = 1 << SMTP_SESSION_START | 1 << SMTP_SESSION_GREETED,
    [SMTP_SESSION_GREETED] =
        1 << SMTP_SESSION_START | 1 << SMTP_SESSION_GREETED | 1 << SMTP_SESSION_MAIL,
    [SMTP_SESSION_MAIL] = 1 << SMTP_SESSION_GREETED | 1 << SMTP_SESSION_RCPT,
    [SMTP_SESSION_RCPT] =
        1 << SMTP_SESSION_GREETED | 1 << SMTP_SESSION_RCPT | 1 << SMTP_SESSION_BODY,
    [SMTP_SESSION_BODY] = 1 << SMTP_SESSION_GREETED | 1 << SMTP_SESSION_CHUNKS,
    [SMTP_SESSION_CHUNKS] = 1 << SMTP_SESSION_GREETED | 1 << SMTP_SESSION_BODY,
};

void smtp_server_set_state(struct smtp_server *s, enum smtp_session_state state)
{
    base_assert(state == SMTP_SESSION_CLOSING || (next_states[s->state] & 1 << state) != 0);
    s->state = (uint8_t)state;
}

void smtp_server_close(struct smtp_server *s, const char *reason)
{
    if (s->state == SMTP_SESSION_CLOSING)
        return;
    s->close_reason = reason;
    s->asked = 0;
    smtp_server_set_state(s, SMTP_SESSION_CLOSING);
}

bool smtp_server_reset(struct smtp_server *s)
{
    bool open = s->state == SMTP_SESSION_MAIL || s->state == SMTP_SESSION_RCPT ||
                s->state == SMTP_SESSION_BODY || s->state == SMTP_SESSION_CHUNKS;

    s->recipient_cnt = 0;
    s->chunked = s->chunk_failed = false;
    s->mail = (struct smtp_mail_params){0};
    if (open)
        smtp_server_set_state(s, SMTP_SESSION_GREETED);
    return open;
}

/* 421 with our name in front of the text, as RFC 5321 section 4.2.2 has it. */
static void write_421(struct smtp_server *s, const char *enhanced, const char *text,
                      struct base_buf *out)
{
    char named[SMTP_REPLY_MAX];
    struct smtp_reply reply = {.code = 421, .enhanced = enhanced, .text = named};

    snprintf(named, sizeof(named), "%s %s", s->settings->hostname, text);
    smtp_reply_write(out, &reply);
}

void smtp_server_error(struct smtp_server *s, struct base_buf *out)
{
    s->error_cnt++;
    smtp_tally_refused(s);
    if (s->settings->error_max == 0 || s->error_cnt < s->settings->error_max ||
        s->state == SMTP_SESSION_CLOSING)
        return;
    write_421(s, "4.7.0", "Error: too many errors", out);
    stats_inc(s->stats, STATS_SMTP_REFUSED_ERRORS);
    smtp_server_close(s, "too many errors");
}

bool smtp_server_count_mail(struct smtp_server *s, struct base_buf *out)
{
    if (s->settings->mail_max == 0 || s->mail_cnt++ < s->settings->mail_max)
        return true;
    write_421(s, "4.7.0", "Error: too many messages in this session", out);
    stats_inc(s->stats, STATS_SMTP_REFUSED_MAILS);
    smtp_server_close(s, "too many messages");
    return false;
}

void smtp_server_init(struct smtp_server *s, const struct smtp_server_settings *settings,
                      struct stats_block *stats)
{
    *s = (struct smtp_server){.settings = settings, .stats = stats, .scanner = smtp_scan_best()};
    base_assert(strlen(settings->hostname) <= SMTP_DOMAIN_MAX);
    base_assert(settings->recipient_max > 0);
}

void smtp_server_greet(struct smtp_server *s, struct base_buf *out)
{
    static const char esmtp[] = " ESMTP";
    char text[SMTP_DOMAIN_MAX + sizeof(esmtp)];
    size_t len = strlen(s->settings->hostname);

    memcpy(text, s->settings->hostname, len);
    memcpy(text + len, esmtp, sizeof(esmtp));
    smtp_reply_write(out, &(struct smtp_reply){.code = 220, .text = text});
    stats_inc(s->stats, STATS_SMTP_SESSIONS);
}

/* A whole line, or what will never become one. Sets *used; 0 with MORE: more input is needed. */
static enum smtp_server_event take_line(struct smtp_server *s, struct base_span in, size_t *used,
                                        struct base_buf *out)
{
    size_t len = 0;

    /* A TLS record of a handshake: there is no reply that its sender would read. */
    if (in.len >= 2 && in.p[0] == 0x16 && in.p[1] == 0x03) {
        stats_inc(s->stats, STATS_SMTP_REFUSED_PROTOCOL);
        smtp_server_close(s, "TLS without STARTTLS");
        return SMTP_SERVER_CLOSE;
    }
    switch (smtp_line_find(in, SMTP_LINE_MAX, &len)) {
    case SMTP_LINE_MORE:
        return SMTP_SERVER_MORE;
    case SMTP_LINE_BARE:
        *used = in.len;
        smtp_server_refuse(s, SMTP_REASON_LINE_END, out);
        smtp_server_close(s, "bare newline in a command");
        return SMTP_SERVER_CLOSE;
    case SMTP_LINE_LONG:
        *used = SMTP_LINE_MAX - 1; /* the last byte may be the CR of the end */
        s->discarding_line = true;
        if (s->exchanging)
            return smtp_server_auth_long(s, out);
        smtp_server_refuse(s, SMTP_REASON_LINE_LONG, out);
        return SMTP_SERVER_MORE;
    case SMTP_LINE_WHOLE:
        break;
    }
    *used = len;
    if (s->exchanging)
        return smtp_server_auth_line(s, base_span_of(in.p, len - 2), out);
    return smtp_server_command(s, base_span_of(in.p, len - 2), out);
}

/* Whether the session ends because more was sent before the answer (RFC 2920 section 3.1). Somebody
 * who does not listen is no mail server, or puts words into another's mouth. */
static bool spoken_early(struct smtp_server *s, bool more, struct base_buf *out)
{
    s->waits = false;
    if (!more || s->state == SMTP_SESSION_CLOSING)
        return false;
    stats_inc(s->stats, STATS_LIMIT_EARLY_COMMANDS);
    if (!s->settings->early_refused)
        return false;
    stats_inc(s->stats, STATS_LIMIT_EARLY_REFUSED);
    smtp_reply_write(out, &(struct smtp_reply){.code = 554,
                                               .enhanced = "5.5.0",
                                               .text = "Error: SMTP protocol synchronization"});
    smtp_server_close(s, "improper command pipelining");
    return true;
}

enum smtp_server_event smtp_server_push(struct smtp_server *s, struct base_span in,
                                        size_t *consumed, struct base_buf *out)
{
    base_assert(s->asked == 0);
    *consumed = 0;
    for (;;) {
        struct base_span rest = base_span_of(in.p + *consumed, in.len - *consumed);
        enum smtp_server_event event = SMTP_SERVER_MORE;
        size_t used = 0;

        if (s->state == SMTP_SESSION_CLOSING)
            return SMTP_SERVER_CLOSE;
        if (s->state == SMTP_SESSION_BODY)
            return SMTP_SERVER_BODY;
        if (out->cap - out->len < SMTP_OUT_MIN)
            return SMTP_SERVER_FLUSH;
        if (rest.len == 0)
            return SMTP_SERVER_MORE;
        if (s->discard_left > 0) {
            used = smtp_server_discard(s, rest, out);
        } else if (s->discarding_line) {
            bool ended;
            used = smtp_line_discard(rest, &ended);
            s->discarding_line = !ended;
        } else {
            event = take_line(s, rest, &used, out);
        }
        *consumed += used;
        if (s->waits && spoken_early(s, in.len > *consumed || s->more_behind, out))
            return SMTP_SERVER_CLOSE;
        if (event != SMTP_SERVER_MORE || used == 0)
            return event;
    }
}

/* Nothing that was said in clear counts any more, but for the limits of errors and of junk. */
static void start_tls(struct smtp_server *s)
{
    smtp_server_reset(s);
    smtp_server_set_state(s, SMTP_SESSION_START);
    s->extended = false;
    s->helo_len = 0;
    s->authenticated = false;
    s->mail_cnt = 0;
    s->tls = SMTP_TLS_ON;
}

/* What an accepted answer does to the session, by the event that asked. */
static void accept_event(struct smtp_server *s, enum smtp_server_event asked)
{
    switch (asked) {
    case SMTP_SERVER_MAIL:
        s->chunk_failed = false;
        smtp_server_set_state(s, SMTP_SESSION_MAIL);
        break;
    case SMTP_SERVER_RCPT:
        s->recipient_cnt++;
        stats_inc(s->stats, STATS_SMTP_RECIPIENTS);
        smtp_server_set_state(s, SMTP_SESSION_RCPT);
        break;
    case SMTP_SERVER_MESSAGE:
        s->message_cnt++;
        s->junk_cnt = 0;
        stats_inc(s->stats, STATS_SMTP_MESSAGES);
        if (s->chunked)
            stats_inc(s->stats, STATS_SMTP_CHUNKED);
        smtp_server_reset(s);
        break;
    case SMTP_SERVER_STARTTLS:
        start_tls(s);
        break;
    case SMTP_SERVER_XCLIENT:
        smtp_server_take_xclient(s);
        break;
    case SMTP_SERVER_AUTH:
        s->authenticated = true;
        stats_inc(s->stats, STATS_SMTP_AUTHENTICATED);
        break;
    default:
        base_assert(false); /* DATA is accepted by NULL alone */
    }
}

static enum stats_id refused_stat(enum smtp_server_event asked)
{
    switch (asked) {
    case SMTP_SERVER_MAIL:
        return STATS_SMTP_REFUSED_MAIL;
    case SMTP_SERVER_RCPT:
        return STATS_SMTP_REFUSED_RCPT;
    case SMTP_SERVER_DATA:
        return STATS_SMTP_REFUSED_DATA;
    case SMTP_SERVER_STARTTLS:
        return STATS_SMTP_REFUSED_STARTTLS;
    case SMTP_SERVER_AUTH:
        return STATS_SMTP_REFUSED_AUTH;
    case SMTP_SERVER_XCLIENT:
        return STATS_SMTP_REFUSED_XCLIENT;
    default:
        base_assert(asked == SMTP_SERVER_MESSAGE);
        return STATS_SMTP_REFUSED_MESSAGE;
    }
}

/* After DATA or a first chunk. One that is refused is taken off the input before the reply. */
static void begin_body(struct smtp_server *s, const struct smtp_reply *refusal,
                       struct base_buf *out)
{
    base_assert(s->state == SMTP_SESSION_RCPT);
    if (!s->chunked)
        smtp_reply_write(
            out, &(struct smtp_reply){.code = 354, .text = "End data with <CR><LF>.<CR><LF>"});
    smtp_server_set_state(s, SMTP_SESSION_BODY);
    smtp_server_body_begin(s);
    if (refusal != NULL)
        smtp_server_refuse_body(s, refusal);
}

void smtp_server_answer(struct smtp_server *s, const struct smtp_reply *reply, struct base_buf *out)
{
    enum smtp_server_event asked = s->asked;

    base_assert(asked != 0);
    s->asked = 0;
    s->address = (struct smtp_address){.kind = SMTP_ADDRESS_NULL};
    s->mail.envid = base_span_of(NULL, 0);
    s->rcpt = (struct smtp_rcpt_params){0};
    s->auth_response = base_span_of(NULL, 0);
    s->exchanging = false;
    if (reply == NULL || (s->chunked && asked == SMTP_SERVER_DATA && reply->code != 421))
        return begin_body(s, reply, out);
    base_assert(asked != SMTP_SERVER_DATA || reply->code >= 400);
    smtp_reply_write(out, reply);
    if (reply->code < 300) {
        accept_event(s, asked);
        s->xclient_text = base_span_of(NULL, 0);
        return;
    }
    base_assert(reply->code >= 400);
    stats_inc(s->stats, refused_stat(asked));
    if (asked == SMTP_SERVER_MESSAGE)
        smtp_server_reset(s);
    if (reply->code == 421)
        smtp_server_close(s, "answered with 421");
    else if (asked == SMTP_SERVER_STARTTLS && reply->code >= 500)
        smtp_server_close(s, "bytes behind STARTTLS");
    else
        smtp_server_error(s, out);
}

void smtp_server_timeout(struct smtp_server *s, struct base_buf *out)
{
    if (s->state == SMTP_SESSION_CLOSING)
        return;
    write_421(s, "4.4.2", "Error: timeout exceeded", out);
    stats_inc(s->stats, STATS_SMTP_REFUSED_TIMEOUT);
    smtp_server_close(s, "timeout");
}

void smtp_server_shutdown(struct smtp_server *s, const struct smtp_reply *reply,
                          struct base_buf *out)
{
    if (s->state == SMTP_SESSION_CLOSING)
        return;
    base_assert(reply->code == 421);
    smtp_reply_write(out, reply);
    stats_inc(s->stats, STATS_SMTP_REFUSED_SHUTDOWN);
    smtp_server_close(s, "shutdown");
}
