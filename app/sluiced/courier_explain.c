#include "courier_explain.h"
#include "base_time.h"
#include "courier.h"
#include "courier_control.h"
#include "courier_link.h"
#include "courier_print.h"

#include <errno.h>

#define HOST_TEXT_MAX  8192                /* of one host, at most */
#define RECORDS_SHOWN  12                  /* TLSA, of one name */
#define POLICY_SHOWN   1024                /* bytes of patterns */
#define DATA_SHOWN     64                  /* bytes */
#define SOURCES_SHOWN  8                   /* of one address */
#define ORDER_TEXT_MAX (4 * HOST_TEXT_MAX) /* of all addresses with their sources */

struct out {
    struct courier_request *r;
    bool json;
    bool first; /* JSON: of an object or a list */
};

/* ---- "key value" in text, "key":"value" in JSON ---- */

static void key(struct out *o, const char *name)
{
    if (o->json) {
        courier_print_text(o->r, o->first ? "\"" : ",\"");
        courier_print_text(o->r, name);
        courier_print_text(o->r, "\":");
    } else {
        courier_print_text(o->r, o->first ? "" : " ");
        courier_print_text(o->r, name);
        courier_print_text(o->r, "=");
    }
    o->first = false;
}

static void put_span(struct out *o, const char *name, struct base_span value)
{
    key(o, name);
    if (o->json)
        courier_print_json(o->r, value);
    else if (value.len == 0)
        courier_print_text(o->r, "-");
    else
        courier_print_span(o->r, value);
}

static void put(struct out *o, const char *name, const char *value)
{
    put_span(o, name, base_span_str(value));
}

static void put_number(struct out *o, const char *name, uint64_t n)
{
    key(o, name);
    courier_print_number(o->r, n);
}

/* Words: in text they end the line. */
static void put_words(struct out *o, const char *name, const char *words)
{
    if (o->json)
        return put(o, name, words);
    courier_print_text(o->r, ": ");
    courier_print_text(o->r, words);
}

static void open_list(struct out *o, const char *name)
{
    if (!o->json)
        return;
    key(o, name);
    courier_print_text(o->r, "[");
    o->first = true;
}

static void close_list(struct out *o)
{
    if (o->json)
        courier_print_text(o->r, "]");
    o->first = false;
}

/* A line of its own in text, an object in JSON. */
static void open_line(struct out *o, const char *text, const char *name)
{
    if (!o->json) {
        courier_print_text(o->r, text);
        o->first = true;
        return;
    }
    if (name != NULL)
        key(o, name);
    else if (!o->first)
        courier_print_text(o->r, ",");
    courier_print_text(o->r, "{");
    o->first = true;
}

static void close_line(struct out *o)
{
    courier_print_text(o->r, o->json ? "}" : "\n");
    o->first = false;
}

/* ---- what was found ---- */

static void put_lookup(struct out *o, const char *name, struct dane_lookup l)
{
    static const char *const words[DANE_STATE_CNT][2] = {
        [DANE_STATE_UNASKED] = {"not asked", "not asked"},
        [DANE_STATE_RECORDS] = {"insecure", "secure"},
        [DANE_STATE_NODATA] = {"none, insecure", "none, secure"},
        [DANE_STATE_NXDOMAIN] = {"no such name, insecure", "no such name, secure"},
        [DANE_STATE_ERROR] = {"failed", "failed"},
    };
    const char *text = words[l.state][l.secure];

    if (o->json)
        return put(o, name, text);
    key(o, name);
    courier_print_text(o->r, text);
}

static void put_address(struct out *o, const struct plan_address *a)
{
    char text[NET_ADDR_TEXT_CAP];

    net_addr_format(text, &a->addr);
    open_line(o, "    address ", NULL);
    put(o, "ip", text);
    if (a->own)
        put(o, "left_out", "own");
    else if (a->is_private)
        put(o, "left_out", "private");
    close_line(o);
}

/* Of dane_select: those that count. */
static const char *use_of(const struct plan_tlsa *t, const struct dane_record *r)
{
    for (uint32_t i = 0; i < t->select_cnt; i++)
        if (t->records[i].data.p == r->data.p)
            return "usable";
    if (dane_record_usable(r))
        return "left out: a stronger digest counts";
    if (r->usage != DANE_USAGE_TA && r->usage != DANE_USAGE_EE)
        return "unusable: usages 2 and 3 alone mean anything for mail";
    if (r->selector > DANE_SELECTOR_KEY)
        return "unusable: unknown selector";
    if (r->matching > DANE_MATCHING_SHA512)
        return "unusable: unknown matching type";
    return "unusable: its data is malformed, or not as long as its digest";
}

static void put_record(struct out *o, const struct plan_tlsa *t, const struct dane_record *r)
{
    static const char hex[] = "0123456789abcdef";
    char data[2 * DATA_SHOWN + 1];
    size_t len = r->data.len < DATA_SHOWN ? r->data.len : DATA_SHOWN;

    for (size_t i = 0; i < len; i++) {
        data[2 * i] = hex[r->data.p[i] >> 4];
        data[2 * i + 1] = hex[r->data.p[i] & 15];
    }
    data[2 * len] = 0;
    open_line(o, "      ", NULL);
    put_number(o, "usage", r->usage);
    put_number(o, "selector", r->selector);
    put_number(o, "matching", r->matching);
    put(o, "data", data);
    put_words(o, "use", use_of(t, r));
    close_line(o);
}

static void put_tlsa(struct out *o, const struct plan_host *h, uint8_t base)
{
    const struct plan_tlsa *t = &h->tlsa[base];

    if (h->facts.tlsa[base].state == DANE_STATE_UNASKED)
        return;
    open_line(o, "    tlsa ", NULL);
    put(o, "name", base == DANE_EXPANDED ? h->canonical : h->name);
    put_lookup(o, "dnssec", h->facts.tlsa[base]);
    put_number(o, "records", t->cnt);
    put_number(o, "usable", t->select_cnt);
    if (!o->json)
        close_line(o);
    open_list(o, "record");
    for (uint32_t i = 0; i < t->cnt && i < RECORDS_SHOWN; i++)
        put_record(o, t, &t->all[i]);
    close_list(o);
    if (o->json)
        close_line(o);
}

static const char *refusal_text(const struct plan_host *h)
{
    static const char *const text[] = {
        [PLAN_HOST_TAKEN] = "",
        [PLAN_HOST_OWN] = "left out: mail would come back to this gateway",
        [PLAN_HOST_PRIVATE] = "left out: all its addresses are private",
        [PLAN_HOST_IS_ADDRESS] = "left out: an address where a name has to be",
        [PLAN_HOST_UNASKED] = "not looked at",
    };

    return text[h->refusal];
}

static void put_requirement(struct out *o, const struct plan_host *h)
{
    const struct dane_requirement *r = &h->requirement;

    open_line(o, "    ", "requirement");
    put(o, "level", dane_level_name((enum dane_level)h->facts.level));
    if (h->refusal != PLAN_HOST_TAKEN) {
        put(o, "proof", "-");
        put_words(o, "why", refusal_text(h));
    } else if (h->decision.next) {
        put(o, "proof", "-");
        put(o, "enhanced", h->decision.enhanced);
        put_words(o, "why", dane_why_text((enum dane_why)h->decision.why));
    } else {
        put(o, "proof", dane_proof_name((enum dane_proof)r->proof));
        if (r->trusted_only)
            put(o, "called", "trusted");
        put(o, "sni", r->sni != NULL ? r->sni : "");
        for (uint32_t i = 0; i < r->name_cnt && !o->json; i++)
            put(o, "name", r->names[i]);
        put_words(o, "why", dane_why_text((enum dane_why)h->decision.why));
    }
    close_line(o);
}

/* What is held to it for messages that ask by themselves, where that is something else. */
static void put_proof(struct out *o, const char *text, const char *name, const struct plan_host *h,
                      const struct plan_proof *t)
{
    const struct dane_requirement *r = &t->requirement;

    if (h->refusal != PLAN_HOST_TAKEN || (t->decision.next == h->decision.next &&
                                          (t->decision.next || r->digest == h->requirement.digest)))
        return;
    open_line(o, text, name);
    put(o, "proof", t->decision.next ? "-" : dane_proof_name((enum dane_proof)r->proof));
    if (t->decision.next)
        put(o, "enhanced", t->decision.enhanced);
    for (uint32_t i = 0; i < r->name_cnt && !o->json; i++)
        put(o, "name", r->names[i]);
    put_words(o, "why", dane_why_text((enum dane_why)t->decision.why));
    close_line(o);
}

static void put_host(struct out *o, const struct plan_host *h)
{
    open_line(o, "  host ", NULL);
    put(o, "name", h->name);
    if (h->path[0] != 0)
        put(o, "unix", h->path);
    put_number(o, "preference", h->preference);
    put_number(o, "port", h->port);
    if (!h->facts.literal) {
        put_lookup(o, "a", h->facts.a);
        put_lookup(o, "aaaa", h->facts.aaaa);
    }
    if (h->facts.alias)
        put(o, "alias_of", h->canonical);
    if (h->facts.cname.state != DANE_STATE_UNASKED)
        put_lookup(o, "alias", h->facts.cname);
    if (h->why[0] != 0)
        put_words(o, "words", h->why);
    if (!o->json)
        close_line(o);
    open_list(o, "address");
    for (uint32_t i = 0; i < h->address_cnt; i++)
        put_address(o, &h->address[i]);
    close_list(o);
    open_list(o, "tlsa");
    put_tlsa(o, h, DANE_EXPANDED);
    put_tlsa(o, h, DANE_ORIGINAL);
    close_list(o);
    put_requirement(o, h);
    put_proof(o, "    requiretls ", "requiretls", h, &h->kept);
    put_proof(o, "    tls_optional ", "tls_optional", h, &h->waived);
    if (o->json)
        close_line(o);
}

/* ---- the whole ---- */

static void put_route(struct out *o, const struct courier *c, const struct courier_plan *p)
{
    const struct settings_route *route = courier_plan_route(c, p);
    const struct conf_route *conf = route->conf;

    open_line(o, "route ", "route");
    put(o, "name", p->named != NULL ? "-" : conf != NULL ? conf->name : "default");
    put(o, "via", route->lmtp ? "lmtp" : route->hop_cnt > 0 ? "host" : "mx");
    if (route->lmtp) {
        put(o, "return_path", route->return_path ? "yes" : "no");
        put(o, "delivered_to", route->delivered_to ? "yes" : "no");
    }
    put(o, "destination",
        p->named != NULL             ? p->named->name
        : route->destination[0] != 0 ? route->destination
                                     : p->domain);
    put_words(o, "why",
              p->named != NULL            ? "the host that is asked for, by no route"
              : conf == NULL              ? "no route block says otherwise"
              : route->domain.len == 0    ? "no route of the domain's own, nor of one above it"
              : route->domain.p[0] == '.' ? "the route of all below that domain"
                                          : "the route of the domain");
    close_line(o);
}

static void put_mx(struct out *o, const struct courier_plan *p)
{
    static const char *const verdict[] = {
        [DANE_MX_HOSTS] = "hosts",
        [DANE_MX_IMPLICIT] = "none: the domain is its own host",
        [DANE_MX_NULL] = "null: it takes no mail",
        [DANE_MX_NO_DOMAIN] = "there is no such domain",
        [DANE_MX_UNKNOWN] = "nothing is known",
    };

    if (p->mx.state == DANE_STATE_UNASKED)
        return;
    open_line(o, "mx ", "mx");
    put(o, "name", p->mx_name);
    put_lookup(o, "dnssec", p->mx);
    if (p->mx_canonical[0] != 0)
        put(o, "alias_of", p->mx_canonical);
    put_words(o, "set", verdict[p->mx_verdict]);
    if (p->why[0] != 0)
        put_words(o, "words", p->why);
    close_line(o);
}

/* Policies of MTA-STS, by next hop. */
static void put_policies(struct out *o, const struct courier *c, const struct courier_plan *p)
{
    uint64_t now_s = c->wall_ns / BASE_NS_S;
    const char *mx;

    open_list(o, "mta_sts");
    for (uint32_t i = 0; i < p->sts_cnt; i++) {
        const struct plan_sts *s = &p->sts[i];
        size_t at = 0;
        if (s->state != PLAN_STS_KNOWN)
            continue;
        open_line(o, "mta_sts ", NULL);
        put(o, "domain", s->domain);
        put(o, "record", s->record == STS_RECORD_VALID ? s->record_id : "");
        if (s->has_policy) {
            put(o, "id", s->id);
            put(o, "mode", sts_mode_name((enum sts_mode)s->policy.mode));
            put_number(o, "age_s", now_s > s->fetched_s ? now_s - s->fetched_s : 0);
            put_number(o, "expires_s", s->expires_s > now_s ? s->expires_s - now_s : 0);
        }
        while (s->has_policy && !o->json && (mx = sts_policy_next(&s->policy, &at)) != NULL &&
               at < POLICY_SHOWN)
            put(o, "mx", mx);
        put_words(o, "why",
                  s->why[0] != 0  ? s->why
                  : s->has_policy ? "the policy holds"
                                  : "the domain publishes none");
        close_line(o);
    }
    close_list(o);
}

/* By which addresses of ours it would go there. */
static void put_sources(struct out *o, struct courier *c, const struct courier_plan *p,
                        const struct plan_target *target)
{
    struct courier_source_choice choice[CONF_SOURCE_MAX];
    char text[NET_ADDR_TEXT_CAP], site[SOURCE_SITE_CAP];
    uint32_t cnt = courier_source_choices(c, p, target, site, choice);

    if (cnt > 0)
        put(o, "receiver", site);
    if (cnt > SOURCES_SHOWN)
        put_number(o, "sources_left_out", cnt - SOURCES_SHOWN);
    if (!o->json)
        close_line(o);
    open_list(o, "source");
    for (uint32_t i = 0; i < cnt && i < SOURCES_SHOWN; i++) {
        text[0] = 0;
        if (!net_addr_is_none(choice[i].address))
            net_addr_format(text, choice[i].address);
        open_line(o, "  source ", NULL);
        put(o, "name", choice[i].source->conf->name);
        put(o, "address", text);
        put(o, "ehlo", choice[i].source->conf->ehlo);
        put(o, "is", choice[i].usable ? "taken" : "left_out");
        if (choice[i].usable)
            put_number(o, "percent", choice[i].percent);
        put_words(o, "why", choice[i].why);
        close_line(o);
    }
    close_list(o);
    if (o->json)
        close_line(o);
}

static void put_targets(struct out *o, struct courier *c, const struct courier_plan *p)
{
    char text[COURIER_LINK_TEXT_CAP];

    open_list(o, "order");
    for (uint32_t i = 0; i < p->order.target_cnt; i++) {
        courier_link_format(text, &p->order.target[i].endpoint, &p->order.target[i].stream);
        open_line(o, "try ", NULL);
        put(o, "address", text);
        put(o, "host", p->order.target[i].host->name);
        put(o, "proof",
            dane_proof_name((enum dane_proof)p->order.target[i].host->requirement.proof));
        put_sources(o, c, p, &p->order.target[i]);
    }
    close_list(o);
}

static void put_outcome(struct out *o, const struct courier_plan *p)
{
    static const char *const name[] = {[PLAN_READY] = "ready",
                                       [PLAN_DEFER] = "deferred",
                                       [PLAN_FAIL] = "fails",
                                       [PLAN_OLD] = "changed"};

    open_line(o, "outcome ", "outcome");
    put(o, "is", name[p->outcome]);
    if (p->outcome == PLAN_DEFER || p->outcome == PLAN_FAIL) {
        put(o, "enhanced", p->enhanced);
        put_words(o, "why", p->words);
    } else if (p->outcome == PLAN_READY && p->order.even_cnt > 1) {
        put_number(o, "even", p->order.even_cnt); /* these begin by chance */
    }
    close_line(o);
}

void courier_explain_print(struct courier *c, const struct courier_plan *p,
                           struct courier_request *r)
{
    struct out o = {.r = r, .json = r->filter.json, .first = true};
    uint32_t shown = 0;

    if (p->outcome == PLAN_OLD) {
        r->error = "the configuration has changed meanwhile, try again";
        return;
    }
    if (o.json)
        courier_print_text(r, "{");
    put_span(&o, "recipient", r->word);
    if (!o.json)
        courier_print_text(r, "\n");
    put_route(&o, c, p);
    put_mx(&o, p);
    put_policies(&o, c, p);
    open_list(&o, "host");
    for (;
         shown < p->host_cnt && r->text_cap - r->text_len > (size_t)HOST_TEXT_MAX + ORDER_TEXT_MAX;
         shown++)
        put_host(&o, &p->hosts[shown]);
    close_list(&o);
    o.first = !o.json;
    if (shown < p->host_cnt) {
        put_number(&o, "hosts_left_out", p->host_cnt - shown);
        if (!o.json)
            courier_print_text(r, "\n");
    }
    put_targets(&o, c, p);
    put_outcome(&o, p);
    courier_print_text(r, o.json ? "}\n" : "");
}

void courier_explain_start(struct courier *c, struct courier_request *r)
{
    int error = courier_plan_explain(c, r);

    if (error == 0)
        return;
    r->error = error == -EINVAL ? "that is no address with a domain: give it as user@example.org"
                                : "memory is short: try again when the machine has some";
    courier_control_answer(c, r);
}
