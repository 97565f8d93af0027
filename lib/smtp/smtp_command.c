#include "smtp_command.h"

struct verb_row {
    const char *name;
    enum smtp_verb verb;
};

static const struct verb_row verbs[] = {
    {"EHLO", SMTP_VERB_EHLO},       {"HELO", SMTP_VERB_HELO},         {"MAIL", SMTP_VERB_MAIL},
    {"RCPT", SMTP_VERB_RCPT},       {"DATA", SMTP_VERB_DATA},         {"RSET", SMTP_VERB_RSET},
    {"NOOP", SMTP_VERB_NOOP},       {"QUIT", SMTP_VERB_QUIT},         {"VRFY", SMTP_VERB_VRFY},
    {"AUTH", SMTP_VERB_AUTH},       {"STARTTLS", SMTP_VERB_STARTTLS}, {"BDAT", SMTP_VERB_BDAT},
    {"EXPN", SMTP_VERB_OTHER},      {"HELP", SMTP_VERB_OTHER},        {"ETRN", SMTP_VERB_OTHER},
    {"ATRN", SMTP_VERB_OTHER},      {"TURN", SMTP_VERB_OTHER},        {"SEND", SMTP_VERB_OTHER},
    {"SOML", SMTP_VERB_OTHER},      {"SAML", SMTP_VERB_OTHER},        {"BURL", SMTP_VERB_OTHER},
    {"XCLIENT", SMTP_VERB_XCLIENT}, {"XFORWARD", SMTP_VERB_OTHER},    {"GET", SMTP_VERB_HTTP},
    {"POST", SMTP_VERB_HTTP},       {"HEAD", SMTP_VERB_HTTP},         {"PUT", SMTP_VERB_HTTP},
    {"DELETE", SMTP_VERB_HTTP},     {"OPTIONS", SMTP_VERB_HTTP},      {"CONNECT", SMTP_VERB_HTTP},
    {"TRACE", SMTP_VERB_HTTP},      {"PATCH", SMTP_VERB_HTTP},        {"PRI", SMTP_VERB_HTTP},
    {"PROXY", SMTP_VERB_PROXY},
};

struct smtp_command smtp_command_parse(struct base_span line)
{
    struct smtp_command command = {.verb = SMTP_VERB_UNKNOWN};

    while (line.len > 0 && (line.p[line.len - 1] == ' ' || line.p[line.len - 1] == '\t'))
        line.len--;
    if (line.len == 0)
        return command;
    const uint8_t *space = memchr(line.p, ' ', line.len);
    size_t verb_len = space != NULL ? (size_t)(space - line.p) : line.len;
    struct base_span verb = base_span_of(line.p, verb_len);
    size_t skip = verb_len;
    while (skip < line.len && line.p[skip] == ' ')
        skip++;
    command.argument = base_span_of(line.p + skip, line.len - skip);
    for (size_t i = 0; i < BASE_ARRAY_CNT(verbs); i++) {
        if (base_span_caseeq(verb, base_span_str(verbs[i].name))) {
            command.verb = verbs[i].verb;
            break;
        }
    }
    return command;
}

enum stats_id smtp_command_stat(enum smtp_verb verb)
{
    static const enum stats_id ids[] = {
        [SMTP_VERB_HELO] = STATS_SMTP_CMD_HELO,
        [SMTP_VERB_EHLO] = STATS_SMTP_CMD_EHLO,
        [SMTP_VERB_MAIL] = STATS_SMTP_CMD_MAIL,
        [SMTP_VERB_RCPT] = STATS_SMTP_CMD_RCPT,
        [SMTP_VERB_DATA] = STATS_SMTP_CMD_DATA,
        [SMTP_VERB_BDAT] = STATS_SMTP_CMD_BDAT,
        [SMTP_VERB_RSET] = STATS_SMTP_CMD_RSET,
        [SMTP_VERB_NOOP] = STATS_SMTP_CMD_NOOP,
        [SMTP_VERB_QUIT] = STATS_SMTP_CMD_QUIT,
        [SMTP_VERB_VRFY] = STATS_SMTP_CMD_VRFY,
        [SMTP_VERB_AUTH] = STATS_SMTP_CMD_AUTH,
        [SMTP_VERB_STARTTLS] = STATS_SMTP_CMD_STARTTLS,
        [SMTP_VERB_XCLIENT] = STATS_SMTP_CMD_XCLIENT,
        [SMTP_VERB_OTHER] = STATS_SMTP_CMD_OTHER,
    };
    base_assert(verb < BASE_ARRAY_CNT(ids));
    return ids[verb];
}

static bool is_alnum(uint8_t c)
{
    return (uint8_t)((c | 0x20) - 'a') < 26 || (uint8_t)(c - '0') < 10;
}

/* RFC 5321 section 4.1.2: esmtp-keyword and esmtp-value. */
static size_t keyword_len(struct base_span text)
{
    size_t i = 0;
    while (i < text.len && (is_alnum(text.p[i]) || (i > 0 && text.p[i] == '-')))
        i++;
    return i;
}

/* 8-bit bytes are let through, as RFC 6531 section 3.3 has them: each parameter checks its value.
 */
static size_t value_len(struct base_span text)
{
    size_t i = 0;
    while (i < text.len && text.p[i] > ' ' && text.p[i] != 0x7f && text.p[i] != '=')
        i++;
    return i;
}

enum smtp_param_state smtp_param_next(struct base_span *rest, struct smtp_param *param)
{
    size_t i = 0;

    if (rest->len == 0)
        return SMTP_PARAM_END;
    if (rest->p[0] != ' ')
        return SMTP_PARAM_BAD;
    while (i < rest->len && rest->p[i] == ' ')
        i++;
    *rest = base_span_of(rest->p + i, rest->len - i);
    size_t len = keyword_len(*rest);
    if (len == 0)
        return SMTP_PARAM_BAD;
    *param = (struct smtp_param){.keyword = base_span_of(rest->p, len)};
    *rest = base_span_of(rest->p + len, rest->len - len);
    if (rest->len > 0 && rest->p[0] == '=') {
        len = value_len(base_span_of(rest->p + 1, rest->len - 1));
        if (len == 0)
            return SMTP_PARAM_BAD;
        param->value = base_span_of(rest->p + 1, len);
        *rest = base_span_of(rest->p + 1 + len, rest->len - 1 - len);
    }
    return SMTP_PARAM_ONE;
}
