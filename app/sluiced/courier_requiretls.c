#include "courier_requiretls.h"
#include "courier.h"

void courier_requiretls_choose(const struct courier *c, struct delivery *d)
{
    const struct courier_plan *p = d->plan;
    enum dane_keep keep = (enum dane_keep)p->asked.keep;

    (void)c;
    d->waived = d->job.tls_optional && p->waived.target_cnt > 0;
    d->order = d->waived ? &p->waived : &p->order;
    /* RFC 8689 section 5: a report must not be lost for want of it. */
    bool strict = d->job.requiretls && d->job.sender.len > 0;
    d->kept = strict && (keep == DANE_KEEP_ENFORCE || keep == DANE_KEEP_STARTTLS);
    d->kept_whole = strict && keep == DANE_KEEP_ENFORCE;
    d->keeps_offered = d->job.requiretls && keep != DANE_KEEP_DISABLE;
}

const struct dane_requirement *courier_requiretls_of(const struct delivery *d,
                                                     const struct plan_host *h)
{
    const struct plan_proof *proof = d->kept ? &h->kept : d->waived ? &h->waived : NULL;

    if (proof == NULL)
        return &h->requirement;
    return proof->decision.next ? NULL : &proof->requirement;
}

bool courier_requiretls_never(const struct delivery *d, const char **enhanced, const char **words)
{
    const struct dane_decision *last = NULL;

    for (uint32_t i = 0; i < d->order->target_cnt; i++) {
        last = &d->order->target[i].host->kept.decision;
        if (!last->lasting)
            break;
    }
    base_assert(last != NULL && last->next);
    *enhanced = last->enhanced;
    *words = dane_why_text((enum dane_why)last->why);
    return last->lasting;
}
