/* What MTA-STS has to say about the hosts of a plan. */
#include "courier.h"
#include "courier_plan.h"
#include "courier_sts.h"

#include <stdlib.h>

void courier_plan_policy_fini(struct courier_plan *p)
{
    for (uint32_t i = 0; i < p->sts_cnt; i++)
        free((void *)(uintptr_t)p->sts[i].policy.mx);
    free(p->sts);
    p->sts = NULL;
    p->sts_cnt = 0;
}

const struct plan_sts *courier_plan_sts(const struct courier_plan *p, const struct plan_host *h)
{
    return h->source < p->sts_cnt && p->sts[h->source].state == PLAN_STS_KNOWN ? &p->sts[h->source]
                                                                               : NULL;
}

/* Whose policy it is; NULL: nobody's. */
static const char *domain_of(const struct courier *c, const struct courier_plan *p, uint32_t source)
{
    const struct settings_route *route = courier_plan_route(c, p);

    if (p->named != NULL || source >= (route->hop_cnt > 0 ? route->hop_cnt : 1))
        return NULL;
    return route->hop_cnt > 0 ? route->hops[source].name : p->domain;
}

/* Returns NULL where there can be none. */
static struct plan_sts *policy_of(struct courier *c, struct courier_plan *p, uint32_t source)
{
    const struct settings_route *route = courier_plan_route(c, p);
    const char *domain = domain_of(c, p, source);
    uint32_t cnt = route->hop_cnt > 0 ? route->hop_cnt : 1;
    char record[DNS_NAME_CAP];

    if (domain == NULL || dns_name_join(record, COURIER_STS_RECORD, domain) != 0)
        return NULL;
    if (p->sts == NULL) {
        p->sts = calloc(cnt, sizeof(p->sts[0]));
        base_assert(p->sts != NULL); /* as without memory for the journal */
        p->sts_cnt = cnt;
        p->bytes += cnt * sizeof(p->sts[0]);
    }
    struct plan_sts *s = &p->sts[source];
    if (s->state == PLAN_STS_UNASKED && dns_name_copy(s->domain, base_span_str(domain)) != 0)
        return NULL;
    return s;
}

bool courier_plan_policy(struct courier *c, struct courier_plan *p, struct plan_host *h)
{
    static const uint8_t policy[STS_MODE_CNT] = {
        [STS_MODE_NONE] = DANE_POLICY_NONE,
        [STS_MODE_TESTING] = DANE_POLICY_TESTING,
        [STS_MODE_ENFORCE] = DANE_POLICY_ENFORCE,
    };

    if (!c->settings->conf->delivery.mta_sts || h->refusal != PLAN_HOST_TAKEN ||
        !dane_wants_policy(&h->facts))
        return true;
    struct plan_sts *s = policy_of(c, p, h->source);
    if (s == NULL)
        return true;
    if (s->state == PLAN_STS_UNASKED) {
        s->state = PLAN_STS_ASKING;
        courier_sts_ask(c, p, h->source);
    }
    if (s->state != PLAN_STS_KNOWN)
        return false;
    if (!s->has_policy)
        return true;
    h->facts.policy = policy[s->policy.mode];
    h->facts.policy_names_host = sts_policy_match(&s->policy, h->name);
    if (h->facts.policy == DANE_POLICY_NONE || h->facts.policy_names_host)
        return true;
    stats_inc(c->stats, h->facts.policy == DANE_POLICY_ENFORCE ? STATS_STS_HOSTS_REFUSED
                                                               : STATS_STS_HOSTS_TESTED);
    return true;
}
