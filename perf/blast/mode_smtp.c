/*
 * smtp and bulk: whole messages by lib/smtp's client, pipelined where the server offers it. Their
 * bytes go from where they lie into the link (message.h); they are the same by DATA and by BDAT. A
 * message's time goes from MAIL (the first: from when its connection was due; with a rate of
 * messages: from when it was due) to the reply to its end.
 */
#include "ledger.h"
#include "message.h"
#include "mode.h"
#include "session.h"

enum step {
    STEP_OPENING, /* a job without recipients: what the server offers is known behind it */
    STEP_WAITING, /* for the next message to be due */
    STEP_MESSAGE,
};

/* ---- a message ---- */

static struct base_span recipient(void *user, uint32_t index)
{
    const struct lane *l = user;

    return base_span_str(l->recipient[index]);
}

static void begin_job(struct lane *l, struct session *s, enum step step)
{
    const struct options *o = l->options;
    struct smtp_client_job job = {
        .sender = base_span_str(o->sender),
        .recipient = recipient,
        .user = l,
        .recipient_cnt = step == STEP_OPENING ? 0 : o->recipient_cnt,
        .mail.size_bytes = l->message->bytes,
        .chunking = o->bdat,
    };

    s->step = (uint8_t)step;
    s->refused = 0;
    smtp_client_start(&s->smtp, &job);
    if (step == STEP_OPENING)
        return;
    s->message = l->message_next;
    l->message_next += o->lane_cnt;
}

static void start(struct lane *l, struct session *s)
{
    const struct options *o = l->options;

    s->body_at = UINT64_MAX; /* none is being sent */
    smtp_client_init(&s->smtp, "blast.example", &l->stats);
    if (o->user != NULL)
        s->smtp.credentials = &l->credentials;
    if (o->tls == OPTIONS_TLS_STARTTLS)
        smtp_client_want_tls(&s->smtp, SMTP_CLIENT_TLS_REQUIRED);
    begin_job(l, s, o->no_pipelining || o->message_rate > 0 ? STEP_OPENING : STEP_MESSAGE);
}

static void mark(struct lane *l, const struct session *s, uint32_t copy, enum ledger_state state)
{
    if (l->ledger != NULL)
        (void)ledger_mark(l->ledger, s->message, copy, state); /* main has checked the capacity */
}

/* From here on the server may have it, whatever becomes of the connection. */
static void mark_sent(struct lane *l, const struct session *s)
{
    const struct smtp_client *c = &s->smtp;

    for (uint32_t i = 0; l->ledger != NULL && i < c->job.recipient_cnt; i++)
        if (c->rcpt[i] == SMTP_CLIENT_RCPT_ACCEPTED)
            mark(l, s, i, LEDGER_UNKNOWN);
}

/* The last byte of a chunk is the end of the message; else that is what follows it. Returns true
 * when all of it is sent. */
static bool send_body(struct lane *l, struct session *s)
{
    uint8_t scratch[MESSAGE_HEAD_MAX], end[8];
    struct base_buf out = {.p = end, .cap = sizeof(end)};
    uint64_t bytes = l->message->bytes;

    if (session_space(l, s) < sizeof(end))
        return false;
    while (s->body_at < bytes) {
        struct base_span piece = message_piece(l->message, s->message, s->body_at, scratch);
        if (s->smtp.chunk && s->body_at + piece.len == bytes)
            mark_sent(l, s);
        size_t n = session_send_some(l, s, piece.p, piece.len);
        s->body_at += n;
        if (n < piece.len)
            return false;
    }
    if (!s->smtp.chunk && session_space(l, s) < sizeof(end))
        return false;
    s->body_at = UINT64_MAX;
    if (s->smtp.chunk)
        s->smtp.chunk_left = 0; /* they went past it */
    else
        mark_sent(l, s);
    smtp_client_body_end(&s->smtp, &out);
    if (out.len > 0)
        session_send(l, s, out.p, out.len);
    return true;
}

/* One recipient's. */
static void take_result(struct lane *l, struct session *s)
{
    const struct smtp_client_result *r = &s->smtp.result;

    if (r->code == 0)
        return; /* the session's end tells why */
    mark(l, s, r->recipient, r->code < 300 ? LEDGER_ACKED : LEDGER_REFUSED);
    if (r->code >= 300 && s->refused == 0)
        s->refused = r->code;
}

/* The job is done: goes on with the next, or to the end. Returns false when it has to wait. */
static bool next(struct lane *l, struct session *s)
{
    struct base_buf out = {.p = l->scratch, .cap = sizeof(l->scratch)};

    if (s->step == STEP_MESSAGE && s->refused == 0)
        session_unit_done(l, s);
    else if (s->step == STEP_MESSAGE)
        session_unit_refused(l, s, s->refused);
    else if (s->step == STEP_OPENING && l->options->no_pipelining)
        s->smtp.offers_pipelining = false;
    s->step = STEP_WAITING;
    if (!session_next(l, s))
        return false;
    if (s->unit_left > 0) {
        begin_job(l, s, STEP_MESSAGE);
        return true;
    }
    smtp_client_quit(&s->smtp, &out);
    session_send(l, s, out.p, out.len);
    s->step = STEP_MESSAGE;
    return true;
}

/* One push of the client. Returns false when it needs news, or the session has failed. */
static bool step(struct lane *l, struct session *s)
{
    struct base_span spans[8], in = {0};
    uint32_t space = session_space(l, s);
    struct base_buf out = {.p = l->scratch,
                           .cap = space < sizeof(l->scratch) ? space : sizeof(l->scratch)};
    uint32_t n = session_view(l, s, spans, BASE_ARRAY_CNT(spans));
    uint8_t joined[2 * SMTP_LINE_MAX];
    size_t consumed = 0;

    if (out.cap < SMTP_OUT_MIN)
        return false;
    if (n > 0)
        in = spans[0];
    enum smtp_client_event event = smtp_client_push(&s->smtp, in, &consumed, &out);
    if (event == SMTP_CLIENT_MORE && consumed == 0 && n > 1) { /* a line in two pieces */
        struct base_buf line = {.p = joined, .cap = sizeof(joined)};
        for (uint32_t i = 0; i < n; i++) {
            size_t room = line.cap - line.len;
            base_assert(
                base_buf_put(&line, spans[i].p, spans[i].len < room ? spans[i].len : room) == 0);
        }
        event = smtp_client_push(&s->smtp, base_buf_span(&line), &consumed, &out);
    }
    session_consume(l, s, (uint32_t)consumed);
    if (out.len > 0)
        session_send(l, s, out.p, out.len);
    switch (event) {
    case SMTP_CLIENT_RESULT:
        take_result(l, s);
        return true;
    case SMTP_CLIENT_BODY:
        s->body_at = 0;
        return send_body(l, s);
    case SMTP_CLIENT_DONE:
        return next(l, s);
    case SMTP_CLIENT_LEFT: /* over the server's LIMITS: its own mistake, or --per-connection's */
        session_fail(l, s, LANE_FAIL_REPLY);
        return false;
    case SMTP_CLIENT_KEYS: /* of SCRAM, which is not used; nothing here looks at its mail */
    case SMTP_CLIENT_CHECK:
        base_assert(false);
        return false;
    case SMTP_CLIENT_TLS:
        session_start_tls(l, s);
        return false;
    case SMTP_CLIENT_UNTRIED: /* CLOSE is next, and counts it */
        return true;
    case SMTP_CLIENT_CLOSE:
        if (s->unit_left > 0) {
            session_fail(l, s, LANE_FAIL_REPLY);
            return false;
        }
        s->bye = true;
        return false;
    case SMTP_CLIENT_MORE:
        return consumed > 0;
    case SMTP_CLIENT_FLUSH:
        return out.len > 0;
    }
    return false;
}

static void run(struct lane *l, struct session *s)
{
    if (s->secured && !s->smtp.encrypted)
        smtp_client_encrypted(&s->smtp, false);
    if (s->bye || (s->body_at != UINT64_MAX && !send_body(l, s)))
        return;
    if (s->step == STEP_WAITING && !next(l, s))
        return;
    while (step(l, s))
        ;
}

const struct mode mode_smtp = {
    .name = "smtp",
    .unit = "messages",
    .connection_cnt = 32,
    .per_connection = 10,
    .size_bytes = 4096,
    .sends = true,
    .paced = true,
    .start = start,
    .run = run,
};

const struct mode mode_bulk = {
    .name = "bulk",
    .unit = "messages",
    .connection_cnt = 8,
    .per_connection = 1,
    .size_bytes = 1 << 20,
    .sends = true,
    .paced = true,
    .start = start,
    .run = run,
};
