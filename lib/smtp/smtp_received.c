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
    char text[192];

    if (r->tls_version == NULL)
        return 0;
    snprintf(text, sizeof(text), "\r\n\t(using %s with cipher %s (%u bits))", r->tls_version,
             r->tls_cipher, r->tls_bits);
    return base_buf_puts(out, text);
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
    failed |= base_buf_puts(out, ";\r\n\t");
    failed |= base_buf_puts(out, date);
    failed |= base_buf_puts(out, "\r\n");
    if (failed == 0)
        return 0;
    out->len = start;
    return -ENOSPC;
}
