#include "smtp_internal.h"

/* Appends text as far as a line has room for it, its end kept free. Returns the line's length. */
static size_t add_text(uint8_t *line, size_t len, const char *text)
{
    for (; *text != 0 && len < SMTP_REPLY_MAX - 2; text++) {
        uint8_t c = (uint8_t)*text;
        line[len++] = c < 0x20 || c > 0x7e ? '?' : c;
    }
    return len;
}

void smtp_reply_write(struct base_buf *out, const struct smtp_reply *reply)
{
    base_assert(reply->code >= 200 && reply->code <= 599);
    base_assert(out->cap - out->len >= SMTP_REPLY_MAX);
    uint8_t *line = out->p + out->len;
    size_t len = 4;

    line[0] = (uint8_t)('0' + reply->code / 100);
    line[1] = (uint8_t)('0' + reply->code / 10 % 10);
    line[2] = (uint8_t)('0' + reply->code % 10);
    line[3] = ' ';
    if (reply->enhanced != NULL)
        len = add_text(line, add_text(line, len, reply->enhanced), " ");
    len = add_text(line, len, reply->text);
    memcpy(line + len, "\r\n", 2);
    out->len += len + 2;
}

struct reason_row {
    const char *enhanced;
    const char *text;
    uint16_t code;
    enum stats_id stat;
};

#define REASON_ROW(id, code, enhanced, text, counter)                                              \
    [SMTP_REASON_##id] = {enhanced, text, code, STATS_SMTP_##counter},
static const struct reason_row reasons[SMTP_REASON_CNT] = {SMTP_REASONS(REASON_ROW)};
#undef REASON_ROW

void smtp_server_refuse(struct smtp_server *s, enum smtp_reason reason, struct base_buf *out)
{
    const struct reason_row *row = &reasons[reason];
    struct smtp_reply reply = {.code = row->code, .enhanced = row->enhanced, .text = row->text};

    smtp_reply_write(out, &reply);
    stats_inc(s->stats, row->stat);
    s->mail.envid = base_span_of(NULL, 0); /* views into a command that is over */
    s->rcpt = (struct smtp_rcpt_params){0};
    if (reason == SMTP_REASON_CHUNK_FAILED)
        smtp_server_junk(s, out);
    else if (reason != SMTP_REASON_RECIPIENTS || ++s->overshoot_cnt > SMTP_OVERSHOOT_MAX)
        smtp_server_error(s, out);
}
