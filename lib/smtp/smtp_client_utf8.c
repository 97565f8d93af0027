/*
 * An envelope for a server without SMTPUTF8 (RFC 6531 section 3.2): what can be said in ASCII all
 * the same is - a domain has A-labels (RFC 5890), ORCPT a form in ASCII (RFC 6533 section 3) - and
 * what cannot is not sent.
 */
#include "smtp_client_internal.h"

#include <stdio.h>

static bool is_ascii(struct base_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] >= 0x80)
            return false;
    return true;
}

static int write_ascii(const struct smtp_client *c, struct base_buf *out, struct base_span mailbox)
{
    return c->job.ascii != NULL ? c->job.ascii(out, mailbox) : -1;
}

static bool is_sayable(const struct smtp_client *c, struct base_span mailbox)
{
    uint8_t text[SMTP_ADDRESS_MAX];
    struct base_buf out = {.p = text, .cap = sizeof(text)};

    return is_ascii(mailbox) || write_ascii(c, &out, mailbox) == 0;
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
    int failed = c->narrow && !is_ascii(mailbox) ? write_ascii(c, out, mailbox)
                                                 : base_buf_put_span(out, mailbox);
    base_assert(failed == 0); /* is_sayable said so, and there is room */
}

/* The character at the start of well-formed UTF-8 beyond ASCII; *len: of it. */
static uint32_t character(const uint8_t *p, size_t *len)
{
    uint32_t c = p[0] & (p[0] >= 0xf0 ? 7U : p[0] >= 0xe0 ? 15U : 31U);

    *len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    for (size_t i = 1; i < *len; i++)
        c = c << 6 | (p[i] & 63U);
    return c;
}

struct base_span smtp_client_ascii_orcpt(struct base_span orcpt, uint8_t room[SMTP_ORCPT_MAX])
{
    struct base_buf out = {.p = room, .cap = SMTP_ORCPT_MAX};

    base_assert(smtp_orcpt_valid(orcpt, true));
    for (size_t i = 0, len = 1; i < orcpt.len; i += len) {
        char text[16] = {(char)orcpt.p[i]};
        len = 1;
        if (orcpt.p[i] >= 0x80)
            snprintf(text, sizeof(text), "\\x{%X}", character(orcpt.p + i, &len));
        if (base_buf_puts(&out, text) != 0)
            return base_span_of(NULL, 0);
    }
    return base_buf_span(&out);
}
