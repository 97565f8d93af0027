#include "smtp_client_internal.h"
#include "smtp_line.h"

#define TEXT_LEN_MAX UINT8_MAX

static void append_text(struct smtp_client_result *r, struct base_span text)
{
    size_t room = (size_t)(TEXT_LEN_MAX - r->text_len);
    size_t n = text.len < room ? text.len : room;

    if (n > 0)
        memcpy(r->text + r->text_len, text.p, n);
    r->text_len = (uint8_t)(r->text_len + n);
}

void smtp_client_set_reply(struct smtp_client *c, uint16_t code, const char *enhanced,
                           const char *text)
{
    size_t len = strlen(enhanced);

    base_assert(len < sizeof(c->reply.enhanced));
    c->reply.code = code;
    c->reply.text_len = 0;
    memcpy(c->reply.enhanced, enhanced, len + 1);
    append_text(&c->reply, base_span_str(text));
    c->reply_line_cnt = 0;
}

static enum smtp_client_take bad(struct smtp_client *c, const char *why)
{
    smtp_client_set_reply(c, 0, "", why);
    return SMTP_CLIENT_TAKE_BAD;
}

static size_t digits(struct base_span text, size_t from)
{
    size_t i = from;
    while (i < text.len && i - from < 4 && (uint8_t)(text.p[i] - '0') < 10)
        i++;
    return i - from;
}

/* RFC 3463 section 2: class "." subject "." detail, of the reply's own class. */
static void note_enhanced(struct smtp_client_result *r, struct base_span text)
{
    r->enhanced[0] = 0;
    if (text.len < 5 || text.p[0] != '0' + r->code / 100 || text.p[1] != '.')
        return;
    size_t subject = digits(text, 2);
    size_t dot = 2 + subject;
    if (subject < 1 || subject > 3 || dot >= text.len || text.p[dot] != '.')
        return;
    size_t detail = digits(text, dot + 1);
    size_t end = dot + 1 + detail;
    if (detail < 1 || detail > 3 || (end < text.len && text.p[end] != ' '))
        return;
    memcpy(r->enhanced, text.p, end);
    r->enhanced[end] = 0;
}

/* One line of a 250 to EHLO behind the first: RFC 5321 section 4.1.1.1. */
static void note_keyword(struct smtp_client *c, struct base_span text)
{
    const uint8_t *space = text.len > 0 ? memchr(text.p, ' ', text.len) : NULL;
    size_t len = space != NULL ? (size_t)(space - text.p) : text.len;
    struct base_span keyword = base_span_of(text.p, len);

    if (base_span_caseeq(keyword, base_span_str("PIPELINING")))
        c->offers_pipelining = true;
    if (base_span_caseeq(keyword, base_span_str("8BITMIME")))
        c->offers_8bitmime = true;
    if (base_span_caseeq(keyword, base_span_str("SMTPUTF8")))
        c->offers_smtputf8 = true;
    if (base_span_caseeq(keyword, base_span_str("DSN")))
        c->offers_dsn = true;
    if (base_span_caseeq(keyword, base_span_str("REQUIRETLS")))
        c->offers_requiretls = true;
    if (base_span_caseeq(keyword, base_span_str("STARTTLS")))
        c->offers_starttls = true;
    if (base_span_caseeq(keyword, base_span_str("CHUNKING")))
        c->offers_chunking = true;
    struct base_span value = base_span_of(text.p + len, text.len - len);
    while (value.len > 0 && value.p[0] == ' ')
        value = base_span_of(value.p + 1, value.len - 1);
    if (base_span_caseeq(keyword, base_span_str("AUTH")))
        smtp_client_note_auth(c, value);
    if (base_span_caseeq(keyword, base_span_str("LIMITS")))
        smtp_client_note_limits(c, value);
    if (base_span_caseeq(keyword, base_span_str("SIZE"))) {
        c->offers_size = true;
        if (!smtp_number_parse(value, &c->server_size_max))
            c->server_size_max = 0;
    }
}

/* A line without its CRLF. *last is set. Returns NULL, or what is wrong. */
static const char *take_line(struct smtp_client *c, struct base_span line, bool *last)
{
    if (digits(line, 0) < 3 || line.p[0] < '2' || line.p[0] > '5')
        return "the server's reply has no valid code";
    uint16_t code = (uint16_t)((line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + line.p[2] - '0');
    *last = line.len == 3 || line.p[3] == ' ';
    if (!*last && line.p[3] != '-')
        return "the server's reply has no valid code";
    size_t skip = line.len > 3 ? 4 : 3;
    struct base_span text = base_span_of(line.p + skip, line.len - skip);

    if (c->reply_line_cnt == 0) {
        smtp_client_set_reply(c, code, "", "");
        note_enhanced(&c->reply, text);
    } else {
        if (code != c->reply.code)
            return "the code changes inside of the server's reply";
        append_text(&c->reply, base_span_str(" "));
        if (c->state == SMTP_CLIENT_STATE_EHLO && code == 250)
            note_keyword(c, text);
    }
    append_text(&c->reply, text);
    if (++c->reply_line_cnt > SMTP_REPLY_LINE_CNT_MAX)
        return "the server's reply has too many lines";
    return NULL;
}

enum smtp_client_take smtp_client_take_reply(struct smtp_client *c, struct base_span in,
                                             size_t *used)
{
    *used = 0;
    for (;;) {
        struct base_span rest = base_span_of(in.p + *used, in.len - *used);
        size_t len = 0;
        bool last = false;

        switch (smtp_line_find(rest, SMTP_LINE_MAX, &len)) {
        case SMTP_LINE_MORE:
            return SMTP_CLIENT_TAKE_MORE;
        case SMTP_LINE_BARE:
            return bad(c, "the server's reply has a bare CR or LF");
        case SMTP_LINE_LONG:
            return bad(c, "the server's reply has too long a line");
        case SMTP_LINE_WHOLE:
            break;
        }
        *used += len;
        const char *why = take_line(c, base_span_of(rest.p, len - 2), &last);
        if (why != NULL)
            return bad(c, why);
        if (last) {
            c->reply_line_cnt = 0;
            c->reply_cnt++;
            return SMTP_CLIENT_TAKE_WHOLE;
        }
    }
}
