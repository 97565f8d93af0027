#include "courier_tlsrpt.h"
#include "base_time.h"
#include "courier_control.h"
#include "courier_plan.h"

#include <stdio.h>
#include <stdlib.h>

#define STRING_MAX (STS_MX_MAX + 3) /* of a policy that are told */

/* ---- what is published for a host ---- */

static const char *tlsa_name(const struct plan_host *h, uint8_t base)
{
    return base == DANE_EXPANDED && h->canonical[0] != 0 ? h->canonical : h->name;
}

/* Strings of a policy, while they are made: the text may move. */
struct strings {
    struct tlsrpt_text text;
    size_t at[STRING_MAX + 1];
    uint32_t cnt;
};

static void end_string(struct strings *s)
{
    s->at[++s->cnt] = s->text.len;
}

/* w: all but the strings. */
static void end_strings(struct strings *s, struct tlsrpt_text *out, struct tlsrpt_policy_words w)
{
    struct base_span all[STRING_MAX];

    for (uint32_t i = 0; i < s->cnt; i++)
        all[i] = base_span_of(s->text.p + s->at[i], s->at[i + 1] - s->at[i]);
    w.strings = all;
    w.string_cnt = s->cnt;
    tlsrpt_put_policy(out, &w);
    tlsrpt_text_free(&s->text);
}

/* "3 1 1 0a1b..." of each record. */
static void put_tlsa(struct tlsrpt_text *out, const struct plan_host *h, uint8_t base)
{
    const struct tlsrpt_policy_words words = {.type = TLSRPT_TLSA,
                                              .domain = base_span_str(tlsa_name(h, base))};
    struct strings s = {.cnt = 0};
    char head[24], hex[3];

    for (uint32_t i = 0; i < h->tlsa[base].cnt && s.cnt < STRING_MAX; i++) {
        const struct dane_record *r = &h->tlsa[base].all[i];
        snprintf(head, sizeof(head), "%u %u %u ", r->usage, r->selector, r->matching);
        tlsrpt_puts(&s.text, head);
        for (size_t k = 0; k < r->data.len && k < 2048; k++) {
            snprintf(hex, sizeof(hex), "%02x", r->data.p[k]);
            tlsrpt_puts(&s.text, hex);
        }
        end_string(&s);
    }
    end_strings(&s, out, words);
}

/* The policy in force, line by line; the domain alone where it could not be had. */
static void put_sts(struct tlsrpt_text *out, const struct plan_sts *sts)
{
    struct base_span mx[STS_MX_MAX];
    struct tlsrpt_policy_words words = {
        .type = TLSRPT_STS, .domain = base_span_str(sts->domain), .mx = mx};
    struct strings s = {.cnt = 0};
    const char *pattern;
    char line[DNS_NAME_CAP + 32];
    size_t at = 0;

    if (!sts->has_policy)
        return tlsrpt_put_policy(out, &words);
    tlsrpt_puts(&s.text, "version: STSv1");
    end_string(&s);
    snprintf(line, sizeof(line), "mode: %s", sts_mode_name((enum sts_mode)sts->policy.mode));
    tlsrpt_puts(&s.text, line);
    end_string(&s);
    while (words.mx_cnt < STS_MX_MAX && (pattern = sts_policy_next(&sts->policy, &at)) != NULL) {
        mx[words.mx_cnt++] = base_span_str(pattern);
        tlsrpt_puts(&s.text, "mx: ");
        tlsrpt_puts(&s.text, pattern);
        end_string(&s);
    }
    snprintf(line, sizeof(line), "max_age: %u", sts->policy.max_age_s);
    tlsrpt_puts(&s.text, line);
    end_string(&s);
    end_strings(&s, out, words);
}

/* Which of the host's names has TLSA records that counted, usable or not. Returns false where none
 * has. */
static bool tlsa_base(const struct plan_host *h, uint8_t *base)
{
    *base = h->decision.base;
    return (h->decision.why == DANE_WHY_USABLE || h->decision.why == DANE_WHY_UNUSABLE) &&
           h->tlsa[*base].cnt > 0;
}

/* What kept us from the policy that the domain has published. */
static enum tlsrpt_result failure_of(const struct plan_sts *s)
{
    switch ((enum sts_failure)s->failure) {
    case STS_FAILURE_FETCH:
        return TLSRPT_STS_POLICY_FETCH_ERROR;
    case STS_FAILURE_CERTIFICATE:
        return TLSRPT_STS_WEBPKI_INVALID;
    case STS_FAILURE_POLICY:
        return TLSRPT_STS_POLICY_INVALID;
    default:
        return TLSRPT_NOTHING;
    }
}

/* The policy of MTA-STS that has a part in what holds for the host, or would have if it could be
 * had. NULL: none. */
static const struct plan_sts *sts_of(const struct courier_plan *p, const struct plan_host *h)
{
    const struct plan_sts *s = courier_plan_sts(p, h);

    if (s == NULL)
        return NULL;
    if (s->has_policy)
        return h->decision.policy != DANE_POLICY_NONE ? s : NULL;
    return failure_of(s) != TLSRPT_NOTHING && dane_wants_policy(&h->facts) ? s : NULL;
}

/* h, sts: NULL: none. */
static enum tlsrpt_policy_type put_policy(struct tlsrpt_text *out, struct base_span domain,
                                          const struct plan_host *h, const struct plan_sts *sts)
{
    uint8_t base;

    if (h != NULL && tlsa_base(h, &base)) {
        put_tlsa(out, h, base);
        return TLSRPT_TLSA;
    }
    if (sts != NULL) {
        put_sts(out, sts);
        return TLSRPT_STS;
    }
    tlsrpt_put_policy(out,
                      &(struct tlsrpt_policy_words){.type = TLSRPT_NO_POLICY, .domain = domain});
    return TLSRPT_NO_POLICY;
}

/* ---- counting ---- */

/* The domain of the recipients, or the name by which a route names its next hop; none: "". */
static struct base_span domain_of(const struct courier_plan *p, const struct plan_host *h)
{
    const char *name = p->mx_name[0] != 0 ? p->mx_name : h != NULL ? h->name : "";

    return base_span_str(p->literal ? "" : name);
}

static bool counts(const struct courier *c, const struct courier_plan *p)
{
    return c->tlsrpt != NULL && p != NULL && !p->explain && p->named == NULL;
}

static void add(struct courier *c, struct base_span domain, struct base_span policy,
                struct base_span detail, uint64_t n)
{
    uint32_t day = (uint32_t)(c->wall_ns / BASE_NS_S / TLSRPT_DAY_S);

    stats_add(c->stats, STATS_TLSRPT_SESSIONS, n);
    if (detail.len > 0)
        stats_add(c->stats, STATS_TLSRPT_FAILURES, n);
    (void)tlsrpt_counts_add(c->tlsrpt, day, domain, policy, detail, n); /* counts what is lost */
}

/* What was asked of the certificate by the operator or the sender alone is nothing to report. */
static enum tlsrpt_result result_of(const struct delivery *d, bool published)
{
    enum tlsrpt_result result = (enum tlsrpt_result)d->tls_session;

    if (!published &&
        (result == TLSRPT_CERTIFICATE_HOST_MISMATCH || result == TLSRPT_CERTIFICATE_EXPIRED ||
         result == TLSRPT_CERTIFICATE_NOT_TRUSTED))
        return TLSRPT_SUCCESS;
    return result;
}

/* What is the receiver's mistake though TLS stood: a policy that means nothing or could not be had,
 * or one being tested that leaves the host out. */
static enum tlsrpt_result good_of(enum tlsrpt_policy_type type, const struct plan_host *h,
                                  const struct plan_sts *sts, const char **why)
{
    *why = "";
    if (type == TLSRPT_TLSA && h->decision.why == DANE_WHY_UNUSABLE)
        return TLSRPT_TLSA_INVALID;
    if (type == TLSRPT_STS && !sts->has_policy) {
        *why = sts->why;
        return failure_of(sts);
    }
    if (type == TLSRPT_STS && h->decision.why == DANE_WHY_TESTING_HOST) {
        *why = dane_why_text(DANE_WHY_TESTING_HOST);
        return TLSRPT_VALIDATION_FAILURE;
    }
    return TLSRPT_SUCCESS;
}

static void add_result(struct courier *c, const struct delivery *d, const struct plan_host *h,
                       struct base_span policy, enum tlsrpt_result result, const char *why,
                       uint64_t n)
{
    char source[NET_ADDR_TEXT_CAP] = "", to[NET_ADDR_TEXT_CAP];
    struct base_span domain = domain_of(d->plan, h);
    struct tlsrpt_text detail = {0};

    if (n == 0)
        return;
    if (result == TLSRPT_SUCCESS)
        return add(c, domain, policy, base_span_of(NULL, 0), n);
    if (!net_addr_is_none(&d->tls_source))
        net_addr_format(source, &d->tls_source);
    net_addr_format(to, &d->host.addr);
    const struct tlsrpt_detail_words words = {.result = result,
                                              .sending_ip = base_span_str(source),
                                              .mx = base_span_str(h->name),
                                              .ip = base_span_str(to),
                                              .reason = base_span_str(why)};
    tlsrpt_put_detail(&detail, &words);
    add(c, domain, policy, tlsrpt_text_span(&detail), n);
    tlsrpt_text_free(&detail);
}

void courier_tlsrpt_session(struct courier *c, const struct delivery *d)
{
    const struct plan_host *h = NULL;
    struct tlsrpt_text policy = {0};
    const char *why;

    if (d->tls_session == TLSRPT_NOTHING || !counts(c, d->plan))
        return;
    for (uint32_t i = 0; i < d->plan->host_cnt && h == NULL; i++) {
        const struct plan_host *other = &d->plan->hosts[i];
        if (d->requirement == &other->requirement || d->requirement == &other->kept.requirement ||
            d->requirement == &other->waived.requirement)
            h = other;
    }
    if (h == NULL || domain_of(d->plan, h).len == 0)
        return;
    /* Where the sender waives what is published, none of it is applied. */
    bool waived = d->requirement == &h->waived.requirement;
    const struct plan_sts *sts = waived ? NULL : sts_of(d->plan, h);
    enum tlsrpt_policy_type type =
        put_policy(&policy, domain_of(d->plan, h), waived ? NULL : h, sts);
    enum tlsrpt_result result =
        result_of(d, type == TLSRPT_TLSA || (type == TLSRPT_STS && sts->has_policy));
    enum tlsrpt_result good = good_of(type, h, sts, &why);
    uint32_t good_cnt = d->tls_success_cnt;
    if (result == TLSRPT_SUCCESS && d->tls_session != TLSRPT_SUCCESS)
        good_cnt++;
    add_result(c, d, h, tlsrpt_text_span(&policy), good, why, good_cnt);
    if (result != TLSRPT_SUCCESS)
        add_result(c, d, h, tlsrpt_text_span(&policy), result, d->tls_reason, 1);
    tlsrpt_text_free(&policy);
}

/* ---- plans ---- */

/* The resolver's word was that the answer is forged, or that no server has a good one: not that we
 * could not ask. */
static bool is_theirs(const char *why)
{
    return strncmp(why, dns_status_name(DNS_BOGUS), strlen(dns_status_name(DNS_BOGUS))) == 0 ||
           strncmp(why, dns_status_name(DNS_SERVFAIL), strlen(dns_status_name(DNS_SERVFAIL))) == 0;
}

static enum tlsrpt_result refusal_of(const struct plan_host *h)
{
    switch ((enum dane_why)h->decision.why) {
    case DANE_WHY_TLSA_ERROR:
    case DANE_WHY_ALIAS_ERROR:
    case DANE_WHY_ADDRESS_ERROR:
        return is_theirs(h->why) ? TLSRPT_DNSSEC_INVALID : TLSRPT_NOTHING;
    case DANE_WHY_UNUSABLE:
        return TLSRPT_TLSA_INVALID;
    case DANE_WHY_UNSIGNED_ADDRESS:
    case DANE_WHY_UNSIGNED_ALIAS:
    case DANE_WHY_NO_TLSA:
    case DANE_WHY_UNSIGNED_TLSA:
    case DANE_WHY_UNSIGNED_MX:
        return TLSRPT_DANE_REQUIRED;
    case DANE_WHY_POLICY_HOST:
        return TLSRPT_VALIDATION_FAILURE;
    default:
        return TLSRPT_NOTHING;
    }
}

static void add_refusal(struct courier *c, const struct courier_plan *p, const struct plan_host *h,
                        enum tlsrpt_result result, const char *why)
{
    struct base_span domain = domain_of(p, h);
    struct tlsrpt_text policy = {0}, detail = {0};
    const struct tlsrpt_detail_words words = {.result = result,
                                              .mx = base_span_str(h != NULL ? h->name : ""),
                                              .reason = base_span_str(why)};

    if (result == TLSRPT_NOTHING || domain.len == 0)
        return;
    (void)put_policy(&policy, domain, h, h != NULL ? sts_of(p, h) : NULL);
    tlsrpt_put_detail(&detail, &words);
    add(c, domain, tlsrpt_text_span(&policy), tlsrpt_text_span(&detail), 1);
    tlsrpt_text_free(&policy);
    tlsrpt_text_free(&detail);
}

/* An older policy holds, and its sessions are told of as of any; that the new one can't be had is
 * told beside them. */
static void add_not_fetched(struct courier *c, const struct courier_plan *p,
                            const struct plan_sts *s)
{
    struct base_span domain = base_span_str(p->mx_name[0] != 0 ? p->mx_name : s->domain);
    struct tlsrpt_text policy = {0}, detail = {0};
    const struct tlsrpt_detail_words words = {.result = failure_of(s),
                                              .reason = base_span_str(s->why)};

    if (words.result == TLSRPT_NOTHING || p->literal)
        return;
    put_sts(&policy, s);
    tlsrpt_put_detail(&detail, &words);
    add(c, domain, tlsrpt_text_span(&policy), tlsrpt_text_span(&detail), 1);
    tlsrpt_text_free(&policy);
    tlsrpt_text_free(&detail);
}

void courier_tlsrpt_plan(struct courier *c, const struct courier_plan *p)
{
    if (!counts(c, p) || p->outcome == PLAN_OLD)
        return;
    if (p->host_cnt == 0 && p->mx_verdict == DANE_MX_UNKNOWN && is_theirs(p->why))
        return add_refusal(c, p, NULL, TLSRPT_DNSSEC_INVALID, p->why);
    for (uint32_t i = 0; i < p->host_cnt; i++) {
        const struct plan_host *h = &p->hosts[i];
        if (h->ended && h->refusal == PLAN_HOST_TAKEN && h->decision.next)
            add_refusal(c, p, h, refusal_of(h),
                        h->decision.why == DANE_WHY_POLICY_HOST
                            ? dane_why_text(DANE_WHY_POLICY_HOST)
                            : h->why);
    }
    for (uint32_t i = 0; i < p->sts_cnt; i++)
        if (p->sts[i].state == PLAN_STS_KNOWN && p->sts[i].has_policy)
            add_not_fetched(c, p, &p->sts[i]);
}

/* ---- control's requests ---- */

void courier_tlsrpt_take(struct courier *c, struct courier_request *r)
{
    struct tlsrpt_counts *full = c->tlsrpt;

    c->tlsrpt = r->tlsrpt;
    r->tlsrpt = full;
    r->wall_ns = c->wall_ns;
}

static void posted(struct https_request *h)
{
    struct courier_tlsrpt_post *p = h->user;

    courier_control_answer(p->courier, &p->request);
}

void courier_tlsrpt_post(struct courier *c, struct courier_request *r)
{
    struct courier_tlsrpt_post *p = base_container_of(r, struct courier_tlsrpt_post, request);

    p->courier = c;
    p->https.done = posted;
    p->https.user = p;
    https_ask(&c->https, &p->https);
}

void courier_tlsrpt_fini(struct courier *c)
{
    if (c->tlsrpt == NULL)
        return;
    tlsrpt_counts_fini(c->tlsrpt);
    free(c->tlsrpt);
    c->tlsrpt = NULL;
}
