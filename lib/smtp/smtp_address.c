#include "smtp_address.h"
#include "base_utf8.h"
#include "smtp_params.h"

#include <errno.h>

#define LABEL_MAX 63 /* RFC 1035 section 2.3.4 */

/*
 * The grammar below takes every byte from 0x80 on for a letter. What it took is then checked as a
 * whole: to be ASCII, or UTF-8. No character is cut by that, since each token ends at an ASCII one.
 */

static bool is_let_dig(uint8_t c)
{
    return (uint8_t)((c | 0x20) - 'a') < 26 || (uint8_t)(c - '0') < 10;
}

static bool is_letter(uint8_t c)
{
    return is_let_dig(c) || c >= 0x80;
}

static bool is_atext(uint8_t c)
{
    return is_letter(c) || (c != 0 && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* Length of the Dot-string at the start of text, 0 when there is none. A dot that no atom follows
 * is left out, so that what the caller expects next does not match. */
static size_t dot_string(struct base_span text)
{
    size_t end = 0, i = 0;

    while (i < text.len && is_atext(text.p[i])) {
        while (i < text.len && is_atext(text.p[i]))
            i++;
        end = i;
        if (i < text.len && text.p[i] == '.')
            i++;
    }
    return end;
}

/* Length of the Quoted-string at the start of text, 0 when there is none. */
static size_t quoted_string(struct base_span text)
{
    if (text.len == 0 || text.p[0] != '"')
        return 0;
    for (size_t i = 1; i < text.len; i++) {
        uint8_t c = text.p[i];
        if (c == '"')
            return i + 1;
        if (c == '\\' && ++i < text.len)
            c = text.p[i];
        if (c < 0x20 || c == 0x7f)
            return 0;
    }
    return 0;
}

/* Length of the Domain at the start of text, 0 when there is none. Underscores are let through:
 * names with them exist and deliver. */
static size_t domain_name(struct base_span text)
{
    size_t i = 0;

    for (;;) {
        size_t label = i;
        while (i < text.len && (is_letter(text.p[i]) || text.p[i] == '-' || text.p[i] == '_'))
            i++;
        if (i == label ||
            (i - label > LABEL_MAX && base_utf8_ascii(base_span_of(text.p + label, i - label))))
            return 0;
        if (text.p[label] == '-' || !is_letter(text.p[i - 1]))
            return 0;
        if (i == text.len || text.p[i] != '.')
            return i;
        i++;
    }
}

/* Length of the address-literal at the start of text, 0 when there is none. What the brackets hold
 * is checked for its characters; whether it is an address matters to none but its user. */
static size_t address_literal(struct base_span text)
{
    bool any = false;

    if (text.len < 3 || text.p[0] != '[')
        return 0;
    for (size_t i = 1; i < text.len; i++) {
        uint8_t c = text.p[i];
        if (c == ']')
            return any ? i + 1 : 0;
        if (!is_let_dig(c) && c != '.' && c != ':' && c != '-')
            return 0;
        any |= is_let_dig(c);
    }
    return 0;
}

static size_t domain_or_literal(struct base_span text)
{
    size_t len = text.len > 0 && text.p[0] == '[' ? address_literal(text) : domain_name(text);
    return len <= SMTP_DOMAIN_MAX ? len : 0;
}

/* Parses a Mailbox at the start of text, or a lone local part; returns its length, 0 when there is
 * none. */
static size_t mailbox(struct smtp_address *out, struct base_span text)
{
    size_t local = text.len > 0 && text.p[0] == '"' ? quoted_string(text) : dot_string(text);
    size_t domain = 0;

    if (local == 0 || local > SMTP_LOCAL_MAX)
        return 0;
    size_t len = local;
    if (len < text.len && text.p[len] == '@') {
        len++;
        domain = domain_or_literal(base_span_of(text.p + len, text.len - len));
        if (domain == 0)
            return 0;
    }
    *out = (struct smtp_address){
        .kind = SMTP_ADDRESS_MAILBOX,
        .mailbox = base_span_of(text.p, len + domain),
        .local = base_span_of(text.p, local),
        .domain = base_span_of(text.p + len, domain),
    };
    return len + domain;
}

/* Length of the source route with its colon at the start of text; 0 for none, and for a bad one,
 * which then is no mailbox either. */
static size_t source_route(struct base_span text)
{
    size_t i = 0;

    for (;;) {
        if (i >= text.len || text.p[i] != '@')
            return 0;
        i++;
        size_t domain = domain_or_literal(base_span_of(text.p + i, text.len - i));
        i += domain;
        if (domain == 0 || i >= text.len)
            return 0;
        if (text.p[i] == ':')
            return i + 1;
        if (text.p[i] != ',')
            return 0;
        i++;
    }
}

static int path(struct smtp_address *out, size_t *used, struct base_span text,
                enum smtp_path_use use)
{
    if (text.len < 2 || text.p[0] != '<')
        return -EINVAL;
    if (text.p[1] == '>') {
        *out = (struct smtp_address){.kind = SMTP_ADDRESS_NULL};
        *used = 2;
        return use == SMTP_PATH_REVERSE ? 0 : -EINVAL;
    }
    size_t i = 1;
    i += source_route(base_span_of(text.p + i, text.len - i));
    bool routed = i > 1;
    size_t len = mailbox(out, base_span_of(text.p + i, text.len - i));
    i += len;
    if (len == 0 || i >= text.len || text.p[i] != '>')
        return -EINVAL;
    if (out->domain.len == 0) {
        if (use != SMTP_PATH_FORWARD || routed ||
            !base_span_caseeq(out->local, base_span_str("postmaster")))
            return -EINVAL;
        out->kind = SMTP_ADDRESS_POSTMASTER;
    }
    *used = i + 1;
    return 0;
}

int smtp_path_parse(struct smtp_address *out, size_t *used, struct base_span text,
                    enum smtp_path_use use)
{
    int rc = path(out, used, text, use);
    return rc == 0 && !base_utf8_ascii(base_span_of(text.p, *used)) ? -EINVAL : rc;
}

int smtp_path_parse_utf8(struct smtp_address *out, size_t *used, struct base_span text,
                         enum smtp_path_use use)
{
    int rc = path(out, used, text, use);
    return rc == 0 && !smtp_utf8_valid(base_span_of(text.p, *used)) ? -EINVAL : rc;
}

int smtp_mailbox_parse(struct smtp_address *out, struct base_span text)
{
    size_t len = mailbox(out, text);
    return len > 0 && len == text.len && out->domain.len > 0 && base_utf8_ascii(text) ? 0 : -EINVAL;
}

int smtp_mailbox_parse_utf8(struct smtp_address *out, struct base_span text)
{
    size_t len = mailbox(out, text);
    return len > 0 && len == text.len && out->domain.len > 0 && smtp_utf8_valid(text) ? 0 : -EINVAL;
}

bool smtp_domain_valid(struct base_span text)
{
    bool any = false;

    if (text.len == 0 || text.len > SMTP_DOMAIN_MAX)
        return false;
    if (text.p[0] == '[')
        return address_literal(text) == text.len;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.p[i];
        if (!is_let_dig(c) && c != '-' && c != '.' && c != '_')
            return false;
        any |= is_let_dig(c);
    }
    return any;
}
