#include "smtp_server.h"
#include "base_time.h"

#include <errno.h>

/* An IPv6 address has a colon, an IPv4 one never. */
static int put_literal(struct base_buf *out, const char *address)
{
    return base_buf_puts(out, strchr(address, ':') != NULL ? "[IPv6:" : "[") |
           base_buf_puts(out, address) | base_buf_puts(out, "]");
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
    failed |= base_buf_puts(out, ")\r\n\tby ");
    failed |= base_buf_puts(out, r->hostname);
    failed |= base_buf_puts(out, r->smtputf8   ? " with UTF8SMTP id "
                                 : r->extended ? " with ESMTP id "
                                               : " with SMTP id ");
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
