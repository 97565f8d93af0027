/* Senders that are rewritten, and what comes back to them (lib/mail/mail_srs.h). */
#include "policy.h"

static const struct mail_srs *srs_of(const struct policy_view *view)
{
    return view->tables != NULL ? view->tables->srs : NULL;
}

static enum mail_srs_result reverse(const struct policy_view *view, const struct smtp_address *rcpt,
                                    struct base_buf *out)
{
    const struct mail_srs *srs = srs_of(view);
    struct policy_key key;

    if (srs == NULL || rcpt->kind != SMTP_ADDRESS_MAILBOX || rcpt->local.p[0] == '"' ||
        policy_key_of_domain(&key, rcpt->domain) != 0 ||
        !base_span_eq(policy_key_domain(&key), srs->domain))
        return MAIL_SRS_NONE;
    return mail_srs_reverse(srs, rcpt->local, view->wall_ns, out);
}

enum policy_verdict policy_srs_judge(const struct policy_view *view,
                                     const struct policy_client *client,
                                     const struct smtp_address *rcpt)
{
    uint8_t room[MAIL_SRS_OUT_CAP];
    struct base_buf out = {.p = room, .cap = sizeof(room)};

    switch (reverse(view, rcpt, &out)) {
    case MAIL_SRS_NONE:
        break;
    case MAIL_SRS_OK:
        return client->null_sender ? POLICY_SRS_ACCEPTED : POLICY_SRS_NO_REPORT;
    case MAIL_SRS_FORGED:
        return POLICY_SRS_FORGED;
    case MAIL_SRS_EXPIRED:
        return POLICY_SRS_EXPIRED;
    }
    return POLICY_VERDICT_CNT;
}

bool policy_srs_reverse(const struct policy_view *view, const struct smtp_address *rcpt,
                        struct base_buf *out)
{
    return reverse(view, rcpt, out) == MAIL_SRS_OK;
}

bool policy_srs_wanted(const struct policy_view *view, struct base_span sender)
{
    return srs_of(view) != NULL && sender.len > 0 && !policy_is_local(view, sender);
}

bool policy_srs_forward(const struct policy_view *view, struct base_span sender,
                        struct base_buf *out)
{
    return mail_srs_forward(srs_of(view), sender, view->wall_ns, out) == 0;
}
