/*
 * smtp and bulk: whole messages by lib/smtp's client, pipelined where the server offers it. The
 * message is one for all, made before the start with its dots in order, and goes from there into
 * the link. A message's time goes from MAIL (the first: from when its connection was due)
 * to the reply to its end.
 */
#include "mode.h"
#include "session.h"

static struct base_span recipient(void *user, uint32_t index)
{
    const struct lane *l = user;

    (void)index;
    return base_span_str(l->options->recipient);
}

static void next_message(struct lane *l, struct session *s)
{
    struct smtp_client_job job = {
        .sender = base_span_str(l->options->sender),
        .recipient = recipient,
        .user = l,
        .recipient_cnt = 1,
        .mail.size_bytes = l->message_bytes,
    };

    smtp_client_start(&s->smtp, &job);
}

static void start(struct lane *l, struct session *s)
{
    s->body_at = UINT64_MAX; /* none is being sent */
    smtp_client_init(&s->smtp, "blast.example", &l->stats);
    next_message(l, s);
}

/* Returns true when all of it is sent. */
static bool send_body(struct lane *l, struct session *s)
{
    uint8_t end[8];
    struct base_buf out = {.p = end, .cap = sizeof(end)};

    if (s->body_at < l->message_bytes)
        s->body_at +=
            session_send_some(l, s, l->message + s->body_at, l->message_bytes - s->body_at);
    if (s->body_at < l->message_bytes || session_space(l, s) < sizeof(end))
        return false;
    s->body_at = UINT64_MAX;
    smtp_client_body_end(&s->smtp, &out);
    session_send(l, s, out.p, out.len);
    return true;
}

static void take_result(struct lane *l, struct session *s)
{
    uint16_t code = s->smtp.result.code;

    if (code == 0)
        return; /* the session's end tells why */
    if (code < 300) {
        session_unit_done(l, s);
        return;
    }
    lane_add(l, code < 500 ? LANE_REFUSED_4XX : LANE_REFUSED_5XX, 1);
    s->unit_left--;
    s->unit_ns = l->now_ns;
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
        if (s->unit_left > 0) {
            next_message(l, s);
            return true;
        }
        out.len = 0;
        smtp_client_quit(&s->smtp, &out);
        session_send(l, s, out.p, out.len);
        return true;
    case SMTP_CLIENT_LEFT: /* over the server's LIMITS: its own mistake, or --per-connection's */
        session_fail(l, s, LANE_FAIL_REPLY);
        return false;
    case SMTP_CLIENT_KEYS: /* nothing here logs in, or looks at its mail */
    case SMTP_CLIENT_CHECK:
        base_assert(false);
        return false;
    case SMTP_CLIENT_TLS:     /* is not asked for */
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
    if (s->bye || (s->body_at != UINT64_MAX && !send_body(l, s)))
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
    .start = start,
    .run = run,
};

const struct mode mode_bulk = {
    .name = "bulk",
    .unit = "messages",
    .connection_cnt = 8,
    .per_connection = 1,
    .size_bytes = 1 << 20,
    .start = start,
    .run = run,
};
