/* What a session's commands were, for its log. */
#include "base_decimal.h"
#include "smtp_internal.h"

/* In the order of Postfix's "disconnect from" lines. */
static const struct {
    const char *key, *name;
} names[SMTP_TALLY_CNT] = {
    [SMTP_TALLY_HELO] = {"helo", "HELO"},
    [SMTP_TALLY_EHLO] = {"ehlo", "EHLO"},
    [SMTP_TALLY_STARTTLS] = {"starttls", "STARTTLS"},
    [SMTP_TALLY_AUTH] = {"auth", "AUTH"},
    [SMTP_TALLY_MAIL] = {"mail", "MAIL"},
    [SMTP_TALLY_RCPT] = {"rcpt", "RCPT"},
    [SMTP_TALLY_DATA] = {"data", "DATA"},
    [SMTP_TALLY_BDAT] = {"bdat", "BDAT"},
    [SMTP_TALLY_RSET] = {"rset", "RSET"},
    [SMTP_TALLY_NOOP] = {"noop", "NOOP"},
    [SMTP_TALLY_VRFY] = {"vrfy", "VRFY"},
    [SMTP_TALLY_QUIT] = {"quit", "QUIT"},
    [SMTP_TALLY_XCLIENT] = {"xclient", "XCLIENT"},
    [SMTP_TALLY_UNKNOWN] = {"unknown", "UNKNOWN"},
};

void smtp_tally_command(struct smtp_server *s, enum smtp_verb verb)
{
    static const uint8_t of[] = {
        [SMTP_VERB_HELO] = SMTP_TALLY_HELO,       [SMTP_VERB_EHLO] = SMTP_TALLY_EHLO,
        [SMTP_VERB_MAIL] = SMTP_TALLY_MAIL,       [SMTP_VERB_RCPT] = SMTP_TALLY_RCPT,
        [SMTP_VERB_DATA] = SMTP_TALLY_DATA,       [SMTP_VERB_BDAT] = SMTP_TALLY_BDAT,
        [SMTP_VERB_RSET] = SMTP_TALLY_RSET,       [SMTP_VERB_NOOP] = SMTP_TALLY_NOOP,
        [SMTP_VERB_QUIT] = SMTP_TALLY_QUIT,       [SMTP_VERB_VRFY] = SMTP_TALLY_VRFY,
        [SMTP_VERB_AUTH] = SMTP_TALLY_AUTH,       [SMTP_VERB_STARTTLS] = SMTP_TALLY_STARTTLS,
        [SMTP_VERB_XCLIENT] = SMTP_TALLY_XCLIENT, [SMTP_VERB_OTHER] = SMTP_TALLY_UNKNOWN,
        [SMTP_VERB_HTTP] = SMTP_TALLY_UNKNOWN,    [SMTP_VERB_PROXY] = SMTP_TALLY_UNKNOWN,
        [SMTP_VERB_UNKNOWN] = SMTP_TALLY_UNKNOWN,
    };
    struct smtp_tally *t = &s->tally[of[verb]];

    s->tally_last = (uint8_t)(of[verb] + 1);
    if (t->cnt < UINT16_MAX)
        t->cnt++;
}

void smtp_tally_refused(struct smtp_server *s)
{
    if (s->tally_last == 0)
        return;
    struct smtp_tally *t = &s->tally[s->tally_last - 1];
    if (t->refused_cnt < t->cnt)
        t->refused_cnt++;
}

const char *smtp_tally_last(const struct smtp_server *s)
{
    return s->tally_last != 0 ? names[s->tally_last - 1].name : "CONNECT";
}

static char *put_pair(char *p, const char *key, uint32_t cnt, uint32_t refused_cnt)
{
    size_t len = strlen(key);

    memcpy(p, key, len);
    p += len;
    *p++ = '=';
    p += base_decimal(p, cnt - refused_cnt);
    if (refused_cnt > 0) {
        *p++ = '/';
        p += base_decimal(p, cnt);
    }
    return p;
}

size_t smtp_tally_write(char out[SMTP_TALLY_MAX], const struct smtp_server *s)
{
    uint32_t cnt = 0, refused_cnt = 0;
    char *p = out;

    for (uint32_t i = 0; i < SMTP_TALLY_CNT; i++) {
        const struct smtp_tally *t = &s->tally[i];
        if (t->cnt == 0)
            continue;
        p = put_pair(p, names[i].key, t->cnt, t->refused_cnt);
        *p++ = ' ';
        cnt += t->cnt;
        refused_cnt += t->refused_cnt;
    }
    p = put_pair(p, "commands", cnt, refused_cnt);
    return (size_t)(p - out);
}
