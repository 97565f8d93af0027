/*
 * LIMITS (RFC 9422): how many transactions a session may have, how many recipients one of them, and
 * how many domains the recipients of a session. Domains are counted anew for each transaction:
 * the same one in two of them counts twice, which ends a session early rather than late.
 */
#include "smtp_client_internal.h"
#include "smtp_line.h"

#define LIMIT_DIGITS_MAX 6

/* Section 4: six digits at most, and no leading zero; what is else says nothing. */
static void note_limit(struct base_span item, const char *name, uint32_t *limit)
{
    size_t len = strlen(name);
    uint64_t value;

    if (item.len <= len + 1 || item.len > len + 1 + LIMIT_DIGITS_MAX || item.p[len] != '=' ||
        item.p[len + 1] == '0' || !base_span_caseeq(base_span_of(item.p, len), base_span_str(name)))
        return;
    if (smtp_number_parse(base_span_of(item.p + len + 1, item.len - len - 1), &value))
        *limit = (uint32_t)value;
}

void smtp_client_note_limits(struct smtp_client *c, struct base_span text)
{
    while (text.len > 0) {
        const uint8_t *space = memchr(text.p, ' ', text.len);
        size_t len = space != NULL ? (size_t)(space - text.p) : text.len;
        struct base_span item = base_span_of(text.p, len);
        note_limit(item, "MAILMAX", &c->mail_max);
        note_limit(item, "RCPTMAX", &c->rcpt_max);
        note_limit(item, "RCPTDOMAINMAX", &c->domain_max);
        len += space != NULL;
        text = base_span_of(text.p + len, text.len - len);
    }
}

bool smtp_client_exhausted(const struct smtp_client *c)
{
    return (c->mail_max != 0 && c->mail_cnt >= c->mail_max) ||
           (c->domain_max != 0 && c->domain_cnt >= c->domain_max);
}

static struct base_span domain_of(const struct smtp_client *c, uint32_t index)
{
    struct base_span mailbox = c->job.recipient(c->job.user, index);
    const uint8_t *at = mailbox.len > 0 ? memrchr(mailbox.p, '@', mailbox.len) : NULL;

    return at == NULL ? base_span_of(NULL, 0)
                      : base_span_of(at + 1, mailbox.len - (size_t)(at - mailbox.p) - 1);
}

/* No recipient of the transaction before it has the domain of this one. */
static bool is_new_domain(const struct smtp_client *c, uint32_t index)
{
    for (uint32_t i = c->first; i < index; i++)
        if (base_span_caseeq(domain_of(c, i), domain_of(c, index)))
            return false;
    return true;
}

bool smtp_client_open_window(struct smtp_client *c)
{
    bool sayable;

    if (smtp_client_exhausted(c))
        return false;
    c->first += c->cnt;
    base_assert(c->first < c->job.recipient_cnt);
    uint32_t left = smtp_client_alike_cnt(c, c->first, &sayable);
    c->unsayable = !sayable;
    if (c->unsayable) {
        c->cnt = left;
        return true;
    }
    c->mail_cnt++;
    uint32_t most = c->job.single ? 1 : c->rcpt_max;
    c->cnt = most != 0 && most < left ? most : left;
    if (c->domain_max == 0)
        return true;
    for (uint32_t i = 0; i < c->cnt; i++) {
        if (!is_new_domain(c, c->first + i))
            continue;
        if (c->domain_cnt == c->domain_max) {
            c->cnt = i;
            break;
        }
        c->domain_cnt++;
    }
    return true;
}
