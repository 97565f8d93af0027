#include "smtp_params.h"
#include "base_utf8.h"

#include <errno.h>

bool smtp_notify_valid(unsigned bits)
{
    return bits == SMTP_NOTIFY_NEVER ||
           (bits != 0 && (bits & ~(unsigned)(SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE |
                                             SMTP_NOTIFY_DELAY)) == 0);
}

/* RFC 3461 section 4: upper case only. */
static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that the front of text stands for, and how much of text that takes; -1: no xtext. */
static int xtext_next(struct base_span text, size_t *used)
{
    uint8_t c = text.p[0];

    *used = 1;
    if (c < '!' || c > '~' || c == '=')
        return -1;
    if (c != '+')
        return c;
    if (text.len < 3 || hex_digit(text.p[1]) < 0 || hex_digit(text.p[2]) < 0)
        return -1;
    *used = 3;
    return hex_digit(text.p[1]) * 16 + hex_digit(text.p[2]);
}

int smtp_xtext_decode(struct base_buf *out, struct base_span text)
{
    size_t start = out->len;

    for (size_t i = 0, used; i < text.len; i += used) {
        int c = xtext_next(base_span_of(text.p + i, text.len - i), &used);
        if (c < 0 || out->len == out->cap) {
            out->len = start;
            return c < 0 ? -EINVAL : -ENOSPC;
        }
        out->p[out->len++] = (uint8_t)c;
    }
    return 0;
}

/* Xtext of printable characters, the space among them: what a DSN can show (RFC 3461 sections 4.2
 * and 4.4). An encoded CR LF would otherwise become a line of it. */
static bool printable_xtext(struct base_span text)
{
    for (size_t i = 0, used; i < text.len; i += used) {
        int c = xtext_next(base_span_of(text.p + i, text.len - i), &used);
        if (c < ' ' || c > '~')
            return false;
    }
    return text.len > 0;
}

bool smtp_envid_valid(struct base_span text)
{
    return text.len <= SMTP_ENVID_MAX && printable_xtext(text);
}

/* RFC 6533 section 3: utf-8-addr-unitext, and utf-8-addr-xtext mixed with it. */
static bool unitext(struct base_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] <= ' ' || text.p[i] == 0x7f || text.p[i] == '+' || text.p[i] == '=')
            return false;
    return text.len > 0 && smtp_utf8_valid(text);
}

bool smtp_orcpt_valid(struct base_span text, bool utf8)
{
    size_t i = 0;

    if (text.len > SMTP_ORCPT_MAX)
        return false;
    while (i < text.len && text.p[i] > ' ' && text.p[i] < 0x7f &&
           strchr("()<>@,;:\\\".[]+=", text.p[i]) == NULL)
        i++; /* an atom; without "+" and "=", so that all of the value is xtext */
    if (i == 0 || i == text.len || text.p[i] != ';')
        return false;
    struct base_span type = base_span_of(text.p, i);
    struct base_span address = base_span_of(text.p + i + 1, text.len - i - 1);
    if (printable_xtext(address))
        return true;
    return utf8 && base_span_caseeq(type, base_span_str("utf-8")) && unitext(address);
}

bool smtp_utf8_valid(struct base_span text)
{
    uint32_t c;

    for (size_t i = 0, n; i < text.len; i += n) {
        n = base_utf8_next(base_span_of(text.p + i, text.len - i), &c);
        if (n == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0))
            return false;
    }
    return true;
}

static int put_value(struct base_buf *out, const char *name, struct base_span value)
{
    if (value.len == 0)
        return 0;
    return base_buf_puts(out, name) | base_buf_put_span(out, value);
}

int smtp_mail_params_write(struct base_buf *out, const struct smtp_mail_params *p)
{
    static const char *const ret[] = {"", " RET=FULL", " RET=HDRS"};
    size_t start = out->len;
    int failed = 0;

    base_assert(p->ret < BASE_ARRAY_CNT(ret));
    if (p->body_8bit)
        failed |= base_buf_puts(out, " BODY=8BITMIME");
    if (p->smtputf8)
        failed |= base_buf_puts(out, " SMTPUTF8");
    if (p->requiretls)
        failed |= base_buf_puts(out, " REQUIRETLS");
    failed |= base_buf_puts(out, ret[p->ret]);
    failed |= put_value(out, " ENVID=", p->envid);
    if (failed != 0)
        out->len = start;
    return failed != 0 ? -ENOSPC : 0;
}

int smtp_rcpt_params_write(struct base_buf *out, const struct smtp_rcpt_params *p)
{
    static const char *const notify[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
    size_t start = out->len;
    const char *before = " NOTIFY=";
    int failed = 0;

    for (unsigned i = 0; i < BASE_ARRAY_CNT(notify); i++) {
        if ((p->notify & 1U << i) == 0)
            continue;
        failed |= base_buf_puts(out, before) | base_buf_puts(out, notify[i]);
        before = ",";
    }
    failed |= put_value(out, " ORCPT=", p->orcpt);
    if (failed != 0)
        out->len = start;
    return failed != 0 ? -ENOSPC : 0;
}
