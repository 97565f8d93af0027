/*
 * Why a message is refused at its end, and its end.
 */
#include "smtp_internal.h"

struct refusal_row {
    const char *name;
    struct smtp_reply reply;
    enum stats_id stat;
};

static const struct refusal_row refusals[SMTP_REFUSAL_CNT] = {
    [SMTP_REFUSAL_NONE] = {.name = "none"},
    [SMTP_REFUSAL_BARE_NEWLINE] = {"bare_newline",
                                   {550, "5.5.2", "Error: bare <CR> received"},
                                   STATS_SMTP_REFUSED_BARE_NEWLINE},
    [SMTP_REFUSAL_NUL] = {"nul",
                          {550, "5.6.0", "Error: NUL byte received"},
                          STATS_SMTP_REFUSED_NUL},
    [SMTP_REFUSAL_SIZE] = {"size",
                           {552, "5.3.4", "Error: message file too big"},
                           STATS_SMTP_REFUSED_SIZE},
    [SMTP_REFUSAL_HEADER_SIZE] = {"header_size",
                                  {552, "5.3.4", "Error: message header too big"},
                                  STATS_SMTP_REFUSED_HEADER_SIZE},
    [SMTP_REFUSAL_HEADER_FIELDS] = {"header_fields",
                                    {552, "5.3.4", "Error: too many header fields"},
                                    STATS_SMTP_REFUSED_HEADER_FIELDS},
    [SMTP_REFUSAL_HOPS] = {"hops", {554, "5.4.6", "Error: too many hops"}, STATS_SMTP_REFUSED_HOPS},
    [SMTP_REFUSAL_LINE] = {"line_length",
                           {500, "5.5.2", "Error: message line too long"},
                           STATS_SMTP_REFUSED_BODY_LINE},
    [SMTP_REFUSAL_CALLER] = {"caller", {.code = 0}, STATS_SMTP_REFUSED_MESSAGE},
};

const char *smtp_refusal_name(enum smtp_refusal r)
{
    base_assert(r < SMTP_REFUSAL_CNT);
    return refusals[r].name;
}

void smtp_server_strike(struct smtp_server *s, enum smtp_refusal refusal)
{
    s->refusals |= (uint16_t)(1 << refusal);
    if (s->refusal == SMTP_REFUSAL_NONE)
        s->refusal = (uint8_t)refusal;
}

void smtp_server_refuse_body(struct smtp_server *s, const struct smtp_reply *reply)
{
    base_assert(s->state == SMTP_SESSION_BODY && s->asked == 0 && reply->code >= 400);
    struct base_buf enhanced = {(uint8_t *)s->refuse_enhanced, 0, sizeof(s->refuse_enhanced)};
    struct base_buf text = {(uint8_t *)s->refuse_text, 0, sizeof(s->refuse_text)};
    size_t text_len = strnlen(reply->text, sizeof(s->refuse_text) - 1);
    int failed = base_buf_put(&text, reply->text, text_len) | base_buf_put(&text, "", 1);

    if (reply->enhanced != NULL)
        failed |= base_buf_puts(&enhanced, reply->enhanced);
    failed |= base_buf_put(&enhanced, "", 1);
    base_assert(failed == 0);
    s->refuse_code = reply->code;
    smtp_server_strike(s, SMTP_REFUSAL_CALLER);
}

/* The reply to a message that is refused, by the reason that goes first. */
static struct smtp_reply refusal_reply(const struct smtp_server *s, enum smtp_refusal refusal)
{
    struct smtp_reply reply = refusals[refusal].reply;

    if (refusal == SMTP_REFUSAL_BARE_NEWLINE && s->bare_lf)
        reply.text = "Error: bare <LF> received";
    if (refusal == SMTP_REFUSAL_CALLER)
        reply = (struct smtp_reply){
            .code = s->refuse_code,
            .enhanced = s->refuse_enhanced[0] != 0 ? s->refuse_enhanced : NULL,
            .text = s->refuse_text,
        };
    return reply;
}

struct smtp_reply smtp_refusal_told(const struct smtp_server *s)
{
    return refusal_reply(s, (enum smtp_refusal)s->refusal);
}

enum smtp_server_event smtp_server_finish(struct smtp_server *s, bool whole, struct base_buf *out)
{
    if (s->refusals == 0) {
        base_assert(whole);
        s->asked = SMTP_SERVER_MESSAGE;
        return SMTP_SERVER_MESSAGE;
    }
    enum smtp_refusal refusal =
        s->refuse_code != 0 ? SMTP_REFUSAL_CALLER : (enum smtp_refusal)__builtin_ctz(s->refusals);
    struct smtp_reply reply = refusal_reply(s, refusal);
    bool failed_chunk = s->chunked && !s->chunk_last;

    s->refusal = (uint8_t)refusal;
    stats_inc(s->stats, refusals[refusal].stat);
    smtp_reply_write(out, &reply);
    smtp_server_reset(s);
    s->chunk_failed = failed_chunk;
    if (!whole) {
        stats_inc(s->stats, STATS_SMTP_CLOSED_SIZE);
        smtp_server_close(s, "message over twice the limit");
        return SMTP_SERVER_CLOSE;
    }
    if (reply.code == 421)
        smtp_server_close(s, "answered with 421");
    else
        smtp_server_error(s, out);
    return SMTP_SERVER_REFUSED;
}
