/*
 * The parameters of MAIL and RCPT: each at most once, each of an extension that EHLO offered, and
 * each checked by its own RFC. One row a parameter.
 */
#include "smtp_internal.h"
#include "smtp_line.h"

struct param_row {
    const char *keyword;
    enum smtp_extension extension; /* 0: always offered */
    enum smtp_reason (*take)(struct smtp_server *s, struct base_span value);
};

bool smtp_server_offers(const struct smtp_server *s, enum smtp_extension extension)
{
    if (extension == SMTP_EXTENSION_AUTH)
        return s->extended && smtp_server_offers_auth(s);
    if (extension == SMTP_EXTENSION_REQUIRETLS && s->tls != SMTP_TLS_ON)
        return false; /* RFC 8689 section 2 */
    return s->extended && (s->settings->extensions & extension) != 0;
}

static bool value_is(struct base_span value, const char *word)
{
    return base_span_caseeq(value, base_span_str(word));
}

/* RFC 1870 section 3. */
static enum smtp_reason take_size(struct smtp_server *s, struct base_span value)
{
    uint64_t max = s->settings->message_size_max;

    if (!smtp_number_parse(value, &s->mail.size_bytes))
        return SMTP_REASON_SIZE_SYNTAX;
    return max != 0 && s->mail.size_bytes > max ? SMTP_REASON_DECLARED_SIZE : SMTP_REASON_CNT;
}

/* RFC 6152 section 2. 7BIT is what holds without it. */
static enum smtp_reason take_body(struct smtp_server *s, struct base_span value)
{
    s->mail.body_8bit = value_is(value, "8BITMIME");
    return s->mail.body_8bit || value_is(value, "7BIT") ? SMTP_REASON_CNT
                                                        : SMTP_REASON_BODY_UNKNOWN;
}

/* RFC 6531 section 3.4. */
static enum smtp_reason take_smtputf8(struct smtp_server *s, struct base_span value)
{
    s->mail.smtputf8 = true;
    return value.p == NULL ? SMTP_REASON_CNT : SMTP_REASON_SMTPUTF8_SYNTAX;
}

/* RFC 8689 section 2. */
static enum smtp_reason take_requiretls(struct smtp_server *s, struct base_span value)
{
    s->mail.requiretls = true;
    return value.p == NULL ? SMTP_REASON_CNT : SMTP_REASON_REQUIRETLS_SYNTAX;
}

/* RFC 3461 section 4.3. */
static enum smtp_reason take_ret(struct smtp_server *s, struct base_span value)
{
    s->mail.ret = value_is(value, "FULL")   ? SMTP_RET_FULL
                  : value_is(value, "HDRS") ? SMTP_RET_HDRS
                                            : SMTP_RET_NONE;
    return s->mail.ret != SMTP_RET_NONE ? SMTP_REASON_CNT : SMTP_REASON_RET_SYNTAX;
}

/* RFC 3461 section 4.4. */
static enum smtp_reason take_envid(struct smtp_server *s, struct base_span value)
{
    s->mail.envid = value;
    return smtp_envid_valid(value) ? SMTP_REASON_CNT : SMTP_REASON_ENVID_SYNTAX;
}

/* RFC 4954 section 5: who submitted it elsewhere, as others say. No server is trusted with that, so
 * it is checked, and nothing more. */
static enum smtp_reason take_auth(struct smtp_server *s, struct base_span value)
{
    uint8_t room[SMTP_LINE_MAX];
    struct base_buf mailbox = {room, 0, sizeof(room)};

    (void)s;
    return value.len > 0 && smtp_xtext_decode(&mailbox, value) == 0 ? SMTP_REASON_CNT
                                                                    : SMTP_REASON_AUTH_VALUE;
}

/* RFC 3461 section 4.1. A keyword that comes again says nothing new. */
static enum smtp_reason take_notify(struct smtp_server *s, struct base_span value)
{
    static const char *const words[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
    uint8_t bits = 0;
    size_t from = 0;

    while (from <= value.len && value.len > 0) {
        const uint8_t *comma =
            from < value.len ? memchr(value.p + from, ',', value.len - from) : NULL;
        size_t end = comma != NULL ? (size_t)(comma - value.p) : value.len;
        struct base_span word = base_span_of(value.p + from, end - from);
        unsigned i = 0;

        while (i < BASE_ARRAY_CNT(words) && !value_is(word, words[i]))
            i++;
        if (i == BASE_ARRAY_CNT(words))
            return SMTP_REASON_NOTIFY_SYNTAX;
        bits = (uint8_t)(bits | 1U << i);
        from = end + 1;
    }
    s->rcpt.notify = bits;
    return smtp_notify_valid(bits) ? SMTP_REASON_CNT : SMTP_REASON_NOTIFY_SYNTAX;
}

/* RFC 3461 section 4.2. */
static enum smtp_reason take_orcpt(struct smtp_server *s, struct base_span value)
{
    s->rcpt.orcpt = value;
    return smtp_orcpt_valid(value, s->mail.smtputf8) ? SMTP_REASON_CNT : SMTP_REASON_ORCPT_SYNTAX;
}

static const struct param_row mail_rows[] = {
    {"SIZE", 0, take_size},
    {"BODY", 0, take_body},
    {"SMTPUTF8", SMTP_EXTENSION_SMTPUTF8, take_smtputf8},
    {"REQUIRETLS", SMTP_EXTENSION_REQUIRETLS, take_requiretls},
    {"RET", SMTP_EXTENSION_DSN, take_ret},
    {"ENVID", SMTP_EXTENSION_DSN, take_envid},
    {"AUTH", SMTP_EXTENSION_AUTH, take_auth},
};

static const struct param_row rcpt_rows[] = {
    {"NOTIFY", SMTP_EXTENSION_DSN, take_notify},
    {"ORCPT", SMTP_EXTENSION_DSN, take_orcpt},
};

static enum smtp_reason params(struct smtp_server *s, struct base_span rest,
                               const struct param_row *rows, size_t row_cnt)
{
    uint32_t seen = 0;

    for (;;) {
        struct smtp_param param;
        size_t i = 0;

        switch (smtp_param_next(&rest, &param)) {
        case SMTP_PARAM_END:
            return SMTP_REASON_CNT;
        case SMTP_PARAM_BAD:
            return SMTP_REASON_PARAM_SYNTAX;
        case SMTP_PARAM_ONE:
            break;
        }
        while (i < row_cnt && !base_span_caseeq(param.keyword, base_span_str(rows[i].keyword)))
            i++;
        if (i == row_cnt || (rows[i].extension != 0 && !smtp_server_offers(s, rows[i].extension)))
            return SMTP_REASON_PARAM_UNKNOWN;
        /* CPython's smtplib says SMTPUTF8 again where its caller has said it already. */
        if (seen & 1U << i && rows[i].take != take_smtputf8)
            return SMTP_REASON_PARAM_TWICE;
        seen |= 1U << i;
        enum smtp_reason reason = rows[i].take(s, param.value);
        if (reason != SMTP_REASON_CNT)
            return reason;
    }
}

enum smtp_reason smtp_server_mail_params(struct smtp_server *s, struct base_span rest)
{
    s->mail = (struct smtp_mail_params){0};
    return params(s, rest, mail_rows, BASE_ARRAY_CNT(mail_rows));
}

enum smtp_reason smtp_server_rcpt_params(struct smtp_server *s, struct base_span rest)
{
    s->rcpt = (struct smtp_rcpt_params){0};
    return params(s, rest, rcpt_rows, BASE_ARRAY_CNT(rcpt_rows));
}
