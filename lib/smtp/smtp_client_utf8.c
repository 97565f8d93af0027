/*
 * An envelope for a server without SMTPUTF8 (RFC 6531 section 3.2): what can be said in ASCII all
 * the same is - a domain has A-labels (RFC 5890), ORCPT a form in ASCII (RFC 6533 section 3) - and
 * what cannot is not sent.
 */
#include "base_utf8.h"
#include "smtp_client_internal.h"

#include <stdio.h>

static int write_ascii(const struct smtp_client *c, struct base_buf *out, struct base_span mailbox)
{
    return c->job.ascii != NULL ? c->job.ascii(out, mailbox) : -1;
}

static bool is_sayable(const struct smtp_client *c, struct base_span mailbox)
{
    uint8_t text[SMTP_ADDRESS_MAX];
    struct base_buf out = {.p = text, .cap = sizeof(text)};

    return base_utf8_ascii(mailbox) || write_ascii(c, &out, mailbox) == 0;
}

static bool is_sayable_recipient(const struct smtp_client *c, uint32_t index)
{
    return is_sayable(c, c->job.recipient(c->job.user, index));
}

bool smtp_client_any_sayable(const struct smtp_client *c)
{
    uint32_t i = 0;

    if (!is_sayable(c, c->job.sender))
        return false;
    while (i < c->job.recipient_cnt && !is_sayable_recipient(c, i))
        i++;
    return i < c->job.recipient_cnt || i == 0;
}

uint32_t smtp_client_alike_cnt(const struct smtp_client *c, uint32_t from, bool *sayable)
{
    uint32_t i = from + 1;

    *sayable = !c->narrow || is_sayable_recipient(c, from);
    if (!c->narrow)
        return c->job.recipient_cnt - from;
    while (i < c->job.recipient_cnt && is_sayable_recipient(c, i) == *sayable)
        i++;
    return i - from;
}

void smtp_client_put_mailbox(const struct smtp_client *c, struct base_span mailbox,
                             struct base_buf *out)
{
    int failed = c->narrow && !base_utf8_ascii(mailbox) ? write_ascii(c, out, mailbox)
                                                        : base_buf_put_span(out, mailbox);
    base_assert(failed == 0); /* is_sayable said so, and there is room */
}

struct base_span smtp_client_ascii_orcpt(struct base_span orcpt, uint8_t room[SMTP_ORCPT_MAX])
{
    struct base_buf out = {.p = room, .cap = SMTP_ORCPT_MAX};

    base_assert(smtp_orcpt_valid(orcpt, true));
    for (size_t i = 0, len = 1; i < orcpt.len; i += len) {
        uint32_t c = 0;
        len = base_utf8_next(base_span_of(orcpt.p + i, orcpt.len - i), &c);
        base_assert(len > 0); /* it is valid */
        char text[16] = {(char)c};
        if (len > 1)
            snprintf(text, sizeof(text), "\\x{%X}", c);
        if (base_buf_puts(&out, text) != 0)
            return base_span_of(NULL, 0);
    }
    return base_buf_span(&out);
}
