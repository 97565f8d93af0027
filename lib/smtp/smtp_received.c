#include "smtp_server.h"
#include "base_time.h"

#include <errno.h>
#include <stdio.h>

/* An IPv6 address has a colon, an IPv4 one never. */
static int put_literal(struct base_buf *out, const char *address)
{
    return base_buf_puts(out, strchr(address, ':') != NULL ? "[IPv6:" : "[") |
           base_buf_puts(out, address) | base_buf_puts(out, "]");
}

/* RFC 3848; RFC 6531 section 4.3. There is no name for HELO with TLS. */
static const char *protocol(const struct smtp_received *r)
{
    bool secure = r->tls_version != NULL;

    if (r->smtputf8 && r->authenticated)
        return secure ? "UTF8SMTPSA" : "UTF8SMTPA";
    if (r->smtputf8)
        return secure ? "UTF8SMTPS" : "UTF8SMTP";
    if (r->authenticated) /* nobody without EHLO is */
        return secure ? "ESMTPSA" : "ESMTPA";
    if (r->extended)
        return secure ? "ESMTPS" : "ESMTP";
    return "SMTP";
}

static int put_tls(struct base_buf *out, const struct smtp_received *r)
{
    bool group = r->tls_group != NULL && r->tls_group[0] != 0;
    char text[256];

    if (r->tls_version == NULL)
        return 0;
    snprintf(text, sizeof(text), "\r\n\t(using %s with cipher %s (%u bits)%s%s)", r->tls_version,
             r->tls_cipher, r->tls_bits, group ? " key-exchange " : "", group ? r->tls_group : "");
    return base_buf_puts(out, text);
}

/* RFC 8314 section 4.3: behind all other clauses. */
static int put_suite(struct base_buf *out, const struct smtp_received *r)
{
    if (r->tls_version == NULL || r->tls_suite == NULL || r->tls_suite[0] == 0)
        return 0;
    return base_buf_puts(out, "\r\n\ttls ") | base_buf_puts(out, r->tls_suite);
}

/* In a comment (RFC 5322 section 3.2.2), where parentheses and backslashes are quoted. */
static int put_login(struct base_buf *out, const struct smtp_received *r)
{
    size_t len = r->login.len < SMTP_RECEIVED_LOGIN_MAX ? r->login.len : SMTP_RECEIVED_LOGIN_MAX;
    bool utf8 = r->smtputf8 && smtp_utf8_valid(base_span_of(r->login.p, len));
    int failed;

    if (len == 0)
        return 0;
    failed = base_buf_puts(out, "\r\n\t(Authenticated sender: ");
    for (size_t i = 0; i < len; i++) {
        uint8_t c = r->login.p[i];
        if (c < ' ' || c == 0x7f || (c >= 0x80 && !utf8))
            c = '?';
        if (c == '(' || c == ')' || c == '\\')
            failed |= base_buf_put(out, "\\", 1);
        failed |= base_buf_put(out, &c, 1);
    }
    return failed | base_buf_puts(out, ")");
}

int smtp_received_write(struct base_buf *out, const struct smtp_received *r)
{
    char date[BASE_TIME_RFC5322_CAP];
    size_t start = out->len;
    int failed = 0;

    base_time_rfc5322(date, r->wall_ns);
    failed |= base_buf_puts(out, "Received: from ");
    failed |= base_buf_put_span(out, r->helo);
    failed |= base_buf_puts(out, " (");
    failed |= put_literal(out, r->client_address);
    failed |= base_buf_puts(out, ")");
    failed |= put_tls(out, r);
    failed |= put_login(out, r);
    failed |= base_buf_puts(out, "\r\n\tby ");
    failed |= base_buf_puts(out, r->hostname);
    failed |= base_buf_puts(out, " with ");
    failed |= base_buf_puts(out, protocol(r));
    failed |= base_buf_puts(out, " id ");
    failed |= base_buf_puts(out, r->id);
    if (r->recipient.len > 0) {
        failed |= base_buf_puts(out, "\r\n\tfor <");
        failed |= base_buf_put_span(out, r->recipient);
        failed |= base_buf_puts(out, ">");
    }
    failed |= put_suite(out, r);
    failed |= base_buf_puts(out, ";\r\n\t");
    failed |= base_buf_puts(out, date);
    failed |= base_buf_puts(out, "\r\n");
    if (failed == 0)
        return 0;
    out->len = start;
    return -ENOSPC;
}
