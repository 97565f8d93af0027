/* Content-Type and Content-Transfer-Encoding: RFC 2045 sections 5.1 and 6.1, comments included. */
#include "mail_eightbit_internal.h"

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Blanks, line ends and comments, which may be in each other. */
static size_t skip_space(struct base_span text, size_t i)
{
    uint32_t depth = 0;

    for (; i < text.len; i++) {
        uint8_t c = text.p[i];
        if (c == '\\' && depth > 0)
            i++;
        else if (c == '(')
            depth++;
        else if (c == ')' && depth > 0)
            depth--;
        else if (depth == 0 && !is_space(c))
            break;
    }
    return i < text.len ? i : text.len;
}

static size_t token_end(struct base_span text, size_t i)
{
    while (i < text.len && text.p[i] > 0x20 && text.p[i] < 0x7f &&
           memchr("()<>@,;:\\\"/[]?=", text.p[i], 15) == NULL)
        i++;
    return i;
}

static struct base_span take_token(struct base_span text, size_t *i)
{
    size_t start = skip_space(text, *i);

    *i = token_end(text, start);
    return base_span_of(text.p + start, *i - start);
}

/* A token or a quoted string, without its quotes. Returns false when it does not fit. */
static bool take_value(struct base_span text, size_t *i, uint8_t *out, size_t cap, size_t *len)
{
    size_t at = skip_space(text, *i);

    *len = 0;
    if (at == text.len || text.p[at] != '"') {
        /* Many write what would have to be quoted without quotes. */
        for (; at < text.len && !is_space(text.p[at]) && text.p[at] != ';'; at++) {
            if (*len == cap)
                return false;
            out[(*len)++] = text.p[at];
        }
        *i = at;
        return *len > 0;
    }
    for (at++; at < text.len && text.p[at] != '"'; at++) {
        if (text.p[at] == '\r' || text.p[at] == '\n')
            continue;
        if (text.p[at] == '\\' && at + 1 < text.len)
            at++;
        if (*len == cap)
            return false;
        out[(*len)++] = text.p[at];
    }
    *i = at < text.len ? at + 1 : at;
    return true;
}

/* Past the next ";" that is in no quotes. */
static size_t next_parameter(struct base_span text, size_t i)
{
    bool quoted = false;

    for (; i < text.len && (quoted || text.p[i] != ';'); i++) {
        if (text.p[i] == '"')
            quoted = !quoted;
        else if (text.p[i] == '\\' && quoted)
            i++;
    }
    return i < text.len ? i + 1 : text.len;
}

/* Returns false without a boundary that can be used. */
static bool read_boundary(struct base_span text, size_t i, struct mail_eightbit_content *c)
{
    while ((i = next_parameter(text, i)) < text.len) {
        struct base_span name = take_token(text, &i);
        size_t len = 0, at = skip_space(text, i);
        if (!base_span_caseeq(name, base_span_str("boundary")) || at == text.len ||
            text.p[at] != '=')
            continue;
        at++;
        if (!take_value(text, &at, c->boundary, sizeof(c->boundary), &len))
            return false;
        while (len > 0 && is_space(c->boundary[len - 1]))
            len--;
        c->boundary_len = (uint8_t)len;
        return len > 0;
    }
    return false;
}

static enum mail_eightbit_type message_type(struct base_span subtype)
{
    static const char *const global[] = {"global", "global-headers", "global-delivery-status",
                                         "global-disposition-notification"};

    if (base_span_caseeq(subtype, base_span_str("rfc822")))
        return MAIL_EIGHTBIT_TYPE_MESSAGE;
    for (size_t i = 0; i < BASE_ARRAY_CNT(global); i++)
        if (base_span_caseeq(subtype, base_span_str(global[i])))
            return MAIL_EIGHTBIT_TYPE_GLOBAL;
    return MAIL_EIGHTBIT_TYPE_CLOSED;
}

void mail_eightbit_read_type(struct base_span value, struct mail_eightbit_content *c)
{
    size_t i = 0;
    struct base_span type = take_token(value, &i), subtype = {0};

    *c = (struct mail_eightbit_content){.type = MAIL_EIGHTBIT_TYPE_OTHER};
    i = skip_space(value, i);
    if (i < value.len && value.p[i] == '/') {
        i++;
        subtype = take_token(value, &i);
    }
    if (base_span_caseeq(type, base_span_str("text"))) {
        c->type = MAIL_EIGHTBIT_TYPE_TEXT;
    } else if (base_span_caseeq(type, base_span_str("message"))) {
        c->type = message_type(subtype);
    } else if (base_span_caseeq(type, base_span_str("multipart"))) {
        c->type = base_span_caseeq(subtype, base_span_str("signed")) ? MAIL_EIGHTBIT_TYPE_SIGNED
                  : base_span_caseeq(subtype, base_span_str("digest"))
                      ? MAIL_EIGHTBIT_TYPE_DIGEST
                      : MAIL_EIGHTBIT_TYPE_MULTIPART;
        if (!read_boundary(value, i, c))
            c->type = MAIL_EIGHTBIT_TYPE_CLOSED;
    }
}

enum mail_eightbit_encoding mail_eightbit_read_encoding(struct base_span value)
{
    size_t i = 0;
    struct base_span token = take_token(value, &i);

    return token.len == 0 || base_span_caseeq(token, base_span_str("7bit")) ||
                   base_span_caseeq(token, base_span_str("8bit")) ||
                   base_span_caseeq(token, base_span_str("binary"))
               ? MAIL_EIGHTBIT_ENCODING_NONE
               : MAIL_EIGHTBIT_ENCODING_OTHER;
}
