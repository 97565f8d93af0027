#include "policy_ascii.h"
#include "base_utf8.h"
#include "policy_key.h"

#include <errno.h>

int policy_ascii_mailbox(struct base_buf *out, struct base_span mailbox)
{
    const uint8_t *at = mailbox.len > 0 ? memrchr(mailbox.p, '@', mailbox.len) : NULL;
    size_t front = at == NULL ? mailbox.len : (size_t)(at - mailbox.p) + 1;
    struct base_span domain = base_span_of(mailbox.p + front, mailbox.len - front);
    struct policy_key key;

    if (!base_utf8_ascii(base_span_of(mailbox.p, front)))
        return -EINVAL;
    if (!base_utf8_ascii(domain)) {
        if (policy_key_of_domain(&key, domain) != 0)
            return -EINVAL;
        domain = policy_key_domain(&key);
        if (domain.len > SMTP_DOMAIN_MAX)
            return -EINVAL;
    }
    if (front + domain.len > out->cap - out->len)
        return -ENOSPC;
    int failed = (front > 0 ? base_buf_put(out, mailbox.p, front) : 0) |
                 (domain.len > 0 ? base_buf_put_span(out, domain) : 0);
    base_assert(failed == 0);
    return 0;
}
