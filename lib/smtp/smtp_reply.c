#include "smtp_internal.h"

#include <stdio.h>

void smtp_reply_write(struct base_buf *out, const struct smtp_reply *reply)
{
    base_assert(reply->code >= 200 && reply->code <= 599);
    base_assert(out->cap - out->len >= SMTP_REPLY_MAX);
    char *line = (char *)out->p + out->len;
    int n = snprintf(line, SMTP_REPLY_MAX - 1, "%u %s%s%s", reply->code,
                     reply->enhanced != NULL ? reply->enhanced : "",
                     reply->enhanced != NULL ? " " : "", reply->text);
    base_assert(n > 0);
    size_t len = (size_t)n < SMTP_REPLY_MAX - 2 ? (size_t)n : SMTP_REPLY_MAX - 2;
    for (size_t i = 0; i < len; i++)
        if (line[i] < 0x20 || line[i] > 0x7e)
            line[i] = '?';
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
