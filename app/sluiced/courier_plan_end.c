/* What comes of a plan's answers: which hosts may be tried, what each must prove, in which order.
 */
#include "courier.h"
#include "courier_plan.h"
#include "dane_requiretls.h"

#include <stdarg.h>
#include <stdio.h>

/* The public route: what others' MX records say is not to be trusted. */
static bool is_public(const struct courier *c, const struct courier_plan *p)
{
    return courier_plan_route(c, p)->hop_cnt == 0;
}

/* ---- addresses ---- */

static bool is_allowed(const struct settings_route *route, const struct net_addr *a)
{
    for (uint32_t i = 0; route->conf != NULL && i < route->conf->private_networks.cnt; i++)
        if (net_prefix_contains(&route->private_networks[i], a))
            return true;
    return false;
}

bool courier_plan_permits(void *user, const struct https_request *r, const struct net_addr *a)
{
    static const char label[] = "mta-sts."; /* RFC 8461 section 3.3 */
    const struct courier *c = user;
    const char *domain = r->host;

    if (strncmp(domain, label, sizeof(label) - 1) == 0)
        domain += sizeof(label) - 1;
    return is_allowed(settings_route_find(c->settings, base_span_str(domain)), a);
}

void courier_plan_judge_addresses(struct courier *c, struct courier_plan *p, struct plan_host *h)
{
    const struct settings_route *route = courier_plan_route(c, p);
    uint32_t private_cnt = 0;

    if (!is_public(c, p) || h->refusal != PLAN_HOST_TAKEN)
        return;
    h->leads_here = strcmp(h->name, c->settings->conf->gateway.hostname) == 0;
    for (uint32_t i = 0; i < h->address_cnt; i++) {
        struct plan_address *a = &h->address[i];
        a->own = settings_leads_here(c->settings, &a->addr);
        a->is_private = net_addr_is_private(&a->addr) && !is_allowed(route, &a->addr);
        h->leads_here |= a->own;
        private_cnt += a->is_private;
    }
    if (h->leads_here)
        h->refusal = PLAN_HOST_OWN;
    else if (h->address_cnt > 0 && private_cnt == h->address_cnt)
        h->refusal = PLAN_HOST_PRIVATE;
}

/* ---- what the host must prove ---- */

/* RFC 7672 section 3.2.2: the name that the records are of; with a secure MX set, which nobody
 * could forge, the domain too, and what its alias leads to. */
static void set_reference_names(const struct courier *c, const struct courier_plan *p,
                                const struct plan_host *h, struct dane_requirement *r,
                                const char *names[PLAN_NAME_MAX], const char *base)
{
    r->sni = base;
    names[r->name_cnt++] = base;
    if (!h->facts.mx_secure || !is_public(c, p))
        return;
    if (strcmp(p->mx_name, base) != 0)
        names[r->name_cnt++] = p->mx_name;
    if (p->mx_canonical[0] != 0 && strcmp(p->mx_canonical, base) != 0)
        names[r->name_cnt++] = p->mx_canonical;
}

/* Those that the operator has listed; else the domain's own (secure), or the host's. */
static void set_names(const struct courier_plan *p, const struct plan_host *h,
                      struct dane_requirement *r, const char *names[PLAN_NAME_MAX])
{
    struct net_addr address;

    if (r->level == DANE_LEVEL_STS || r->level == DANE_LEVEL_STS_TESTING) {
        names[r->name_cnt++] = h->name; /* RFC 8461 section 4.1 */
    } else if (p->asked.name_cnt > 0) {
        r->names = p->asked.names;
        r->name_cnt = p->asked.name_cnt;
    } else if (r->level == DANE_LEVEL_SECURE) {
        names[r->name_cnt++] = p->domain;
    } else {
        names[r->name_cnt++] = h->name[0] != 0 ? h->name : h->text;
    }
    /* A server is asked for its certificate by name, never by address (RFC 6066 section 3). */
    if (net_addr_parse(&address, base_span_str(r->names[0])) != 0)
        r->sni = r->names[0];
}

/* Where the operator wants mail to flow, what the DNS can not say asks for nothing. */
static void forgive(const struct courier_plan *p, struct dane_decision *d)
{
    if (!d->next || !p->asked.lenient || d->enhanced[2] != '7')
        return;
    d->next = false;
    d->proof = DANE_PROOF_OPTIONAL;
    d->enhanced = "";
}

/* Where the DNS asks for nothing, dane is may; where it asks for TLS alone, encrypt; where a
 * message asks for more than the level does, it is called by what that comes to. */
static enum dane_level level_of(const struct plan_host *h, const struct dane_decision *d)
{
    if (d->policy != DANE_POLICY_NONE && d->proof == DANE_PROOF_NAMES)
        return d->policy == DANE_POLICY_ENFORCE ? DANE_LEVEL_STS : DANE_LEVEL_STS_TESTING;
    bool by_dns = h->facts.level == DANE_LEVEL_DANE || h->facts.level == DANE_LEVEL_DANE_ONLY;

    if (d->why == DANE_WHY_REQUIRETLS)
        return d->proof == DANE_PROOF_NAMES ? DANE_LEVEL_VERIFY : DANE_LEVEL_ENCRYPT;
    return by_dns && d->proof == DANE_PROOF_OPTIONAL    ? DANE_LEVEL_MAY
           : by_dns && d->proof == DANE_PROOF_ENCRYPTED ? DANE_LEVEL_ENCRYPT
                                                        : (enum dane_level)h->facts.level;
}

/* Nobody stands between a socket of this machine and us: there is nothing that TLS could prove. */
static void decide_socket(const struct courier *c, struct plan_host *h)
{
    h->facts.level = DANE_LEVEL_NONE;
    h->decision = dane_decide(&h->facts);
    h->requirement = (struct dane_requirement){
        .level = DANE_LEVEL_NONE, .proof = DANE_PROOF_CLEAR, .names = h->names};
    h->requirement.digest = dane_requirement_digest(&h->requirement, c->secret);
    h->kept.decision = h->waived.decision = h->decision;
    h->kept.requirement = h->waived.requirement = h->requirement;
}

/* The requirement that a decision comes to, with room for its names; nothing where it is next. */
static void require(const struct courier *c, const struct courier_plan *p,
                    const struct plan_host *h, struct dane_decision *d, struct dane_requirement *r,
                    const char *names[PLAN_NAME_MAX])
{
    if (d->next)
        return;
    if (p->asked.implicit && d->proof == DANE_PROOF_OPTIONAL)
        d->proof = DANE_PROOF_ENCRYPTED;
    *r = (struct dane_requirement){.level = (uint8_t)level_of(h, d),
                                   .proof = d->proof,
                                   .trusted_only = d->trusted_only,
                                   .testing = d->policy == DANE_POLICY_TESTING &&
                                              d->proof == DANE_PROOF_NAMES,
                                   .names = names};
    if (r->proof == DANE_PROOF_RECORDS) {
        set_reference_names(c, p, h, r, names, d->base == DANE_EXPANDED ? h->canonical : h->name);
        if (d->policy == DANE_POLICY_ENFORCE)
            r->policy_name = h->name;
        r->records = h->tlsa[d->base].records;
        r->record_cnt = h->tlsa[d->base].select_cnt;
    } else if (r->proof == DANE_PROOF_NAMES) {
        set_names(p, h, r, names);
    } else if (h->name[0] != 0) {
        r->sni = h->name;
    }
    if (r->proof == DANE_PROOF_FINGERPRINTS) {
        r->fingerprints = p->asked.fingerprints;
        r->fingerprint_cnt = p->asked.fingerprint_cnt;
    }
    r->digest = dane_requirement_digest(r, c->secret);
}

static void require_proof(const struct courier *c, const struct courier_plan *p,
                          const struct plan_host *h, struct plan_proof *t)
{
    require(c, p, h, &t->decision, &t->requirement, t->names);
}

void courier_plan_decide_host(struct courier *c, struct courier_plan *p, struct plan_host *h)
{
    if (h->refusal != PLAN_HOST_TAKEN)
        return;
    if (h->path[0] != 0)
        return decide_socket(c, h);
    if (h->name[0] == 0)
        net_addr_format(h->text, &h->address[0].addr);
    h->kept.decision = dane_keep(&h->facts, (enum dane_keep)p->asked.keep);
    require_proof(c, p, h, &h->kept);
    h->decision = dane_decide(&h->facts);
    forgive(p, &h->decision);
    require(c, p, h, &h->decision, &h->requirement, h->names);
    /* Elsewhere the next hop is the operator's, and so is what it has to prove. */
    h->waived.decision = is_public(c, p) ? dane_waive(&h->facts) : h->decision;
    require_proof(c, p, h, &h->waived);
}

/* ---- which are tried ---- */

static bool is_usable(const struct plan_host *h)
{
    return h->ended && h->refusal == PLAN_HOST_TAKEN && !h->decision.next;
}

uint32_t courier_plan_usable_cnt(const struct courier_plan *p)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < p->host_cnt; i++)
        if (is_usable(&p->hosts[i]))
            n += p->hosts[i].path[0] != 0      ? 1
                 : p->hosts[i].address_cnt < 2 ? p->hosts[i].address_cnt
                                               : 2;
    return n;
}

/* Both families by turns, the first one by chance; within one in an order of chance. */
static uint32_t pick(struct courier *c, const struct plan_host *h, struct plan_address *out)
{
    struct plan_address of[2][PLAN_HOST_ADDRESS_MAX];
    uint32_t cnt[2] = {0}, n = 0;
    unsigned turn = base_rand_next(&c->plans.rand) & 1;

    for (uint32_t i = 0; i < h->address_cnt; i++) {
        unsigned v6 = !net_addr_is_v4(&h->address[i].addr);
        if (h->address[i].own || h->address[i].is_private)
            continue;
        uint32_t at = (uint32_t)base_rand_below(&c->plans.rand, cnt[v6] + 1);
        of[v6][cnt[v6]++] = of[v6][at];
        of[v6][at] = h->address[i];
    }
    while (cnt[0] + cnt[1] > 0) {
        if (cnt[turn] > 0)
            out[n++] = of[turn][--cnt[turn]];
        turn ^= 1;
    }
    return n;
}

static bool is_in(const struct plan_host *h, bool waived)
{
    return is_usable(h) ||
           (waived && h->ended && h->refusal == PLAN_HOST_TAKEN && !h->waived.decision.next);
}

/* Of one host not all, so that others get their turn. */
static void add_targets(struct courier *c, struct plan_order *o, const struct plan_host *h,
                        uint32_t most)
{
    struct plan_address address[PLAN_HOST_ADDRESS_MAX];
    uint32_t cnt = pick(c, h, address);

    if (h->path[0] != 0 && o->target_cnt < PLAN_ADDRESS_MAX) {
        struct plan_target *t = &o->target[o->target_cnt++];
        *t = (struct plan_target){.host = h, .by_kernel = true};
        memcpy(t->stream.path, h->path, sizeof(t->stream.path));
        return;
    }
    for (uint32_t i = 0; i < cnt && i < most && o->target_cnt < PLAN_ADDRESS_MAX; i++) {
        struct net_endpoint e = {.addr = address[i].addr, .port = h->port};
        o->target[o->target_cnt++] =
            (struct plan_target){.endpoint = e,
                                 .host = h,
                                 .by_kernel = net_addr_is_loopback(&e.addr),
                                 .stream = {.address = e}};
    }
}

static void set_order(struct courier *c, const struct courier_plan *p, struct plan_order *o,
                      bool waived)
{
    uint32_t usable_cnt = 0;

    for (uint32_t i = 0; i < p->host_cnt; i++)
        usable_cnt += is_in(&p->hosts[i], waived);
    uint32_t most = usable_cnt == 1 ? PLAN_ADDRESS_MAX : usable_cnt == 2 ? 3 : 2;
    for (uint32_t i = 0; i < p->host_cnt; i++)
        if (is_in(&p->hosts[i], waived))
            add_targets(c, o, &p->hosts[i], most);
    while (o->even_cnt < o->target_cnt &&
           o->target[o->even_cnt].host->rank == o->target[0].host->rank)
        o->even_cnt++;
}

/* Mail that goes to a host which is no better than us comes back. */
static bool drop_loops(struct courier_plan *p)
{
    uint32_t own = UINT32_MAX;

    for (uint32_t i = 0; i < p->host_cnt; i++)
        if (p->hosts[i].leads_here && p->hosts[i].rank < own)
            own = p->hosts[i].rank;
    for (uint32_t i = 0; i < p->host_cnt; i++)
        if (p->hosts[i].rank >= own)
            p->hosts[i].refusal = PLAN_HOST_OWN;
    return own != UINT32_MAX;
}

/* ---- what is said where none is left ---- */

__attribute__((format(printf, 4, 5))) static void end(struct courier_plan *p,
                                                      enum plan_outcome outcome,
                                                      const char *enhanced, const char *format, ...)
{
    va_list args;

    p->outcome = (uint8_t)outcome;
    p->enhanced = enhanced;
    va_start(args, format);
    vsnprintf(p->words, sizeof(p->words), format, args);
    va_end(args);
}

/* The first host that may be well another time says why it is not now. Returns whether there is
 * one. */
static bool defer_by_host(struct courier_plan *p)
{
    for (uint32_t i = 0; i < p->host_cnt; i++) {
        const struct plan_host *h = &p->hosts[i];
        const char *why = h->why[0] != 0 ? h->why : "";
        if (h->refusal == PLAN_HOST_PRIVATE) {
            if (h->name[0] != 0)
                end(p, PLAN_DEFER, "4.4.4", "%.60s has private addresses alone", h->name);
            else
                end(p, PLAN_DEFER, "4.4.4", "%s is a private address", h->text);
            return true;
        }
        if (h->refusal != PLAN_HOST_TAKEN || !h->decision.next || h->decision.lasting)
            continue;
        const char *only = h->facts.level == DANE_LEVEL_DANE_ONLY ? "dane-only: " : "";
        end(p, PLAN_DEFER, h->decision.enhanced, "%s%.40s: %s%s%.40s", only,
            h->name[0] != 0 ? h->name : h->text, dane_why_text((enum dane_why)h->decision.why),
            why[0] != 0 ? ": " : "", why);
        return true;
    }
    return false;
}

/* No MX set led to a host. Returns false when there is more to be said. */
static bool end_by_mx(struct courier_plan *p)
{
    if (p->domain[0] == 0 && !p->literal) {
        end(p, PLAN_FAIL, "5.1.2", "the recipient has no domain that mail could be sent to");
        return true;
    }
    if (p->host_cnt > 0)
        return false;
    switch ((enum dane_mx)p->mx_verdict) {
    case DANE_MX_NULL:
        end(p, PLAN_FAIL, "5.1.10", "%.80s takes no mail (null MX)", p->mx_name);
        break;
    case DANE_MX_NO_DOMAIN:
        end(p, PLAN_FAIL, "5.1.2", "there is no domain %.80s", p->mx_name);
        break;
    case DANE_MX_UNKNOWN:
        end(p, PLAN_DEFER, "4.4.3", "the MX of %.40s could not be looked up: %.40s", p->mx_name,
            p->why);
        break;
    default: /* records, but none with a host's name */
        end(p, PLAN_FAIL, "5.4.4", "the MX of %.80s name no host", p->mx_name);
    }
    return true;
}

void courier_plan_conclude(struct courier *c, struct courier_plan *p)
{
    bool by_mx = is_public(c, p), loops = false;

    if (by_mx)
        loops = drop_loops(p);
    for (uint32_t i = 0; i < p->host_cnt; i++)
        if (!p->hosts[i].ended && p->hosts[i].refusal == PLAN_HOST_TAKEN)
            p->hosts[i].refusal = PLAN_HOST_UNASKED;
    set_order(c, p, &p->order, false);
    /* A password is not given to whoever answers because a message says so. */
    if (by_mx && p->asked.level == DANE_LEVEL_DANE && courier_plan_route(c, p)->login == NULL)
        set_order(c, p, &p->waived, true);
    if (p->order.target_cnt > 0) {
        p->outcome = PLAN_READY;
    } else if (!by_mx) { /* the operator named it: a mistake to be mended, no reason to fail mail
                          */
        if (!defer_by_host(p))
            end(p, PLAN_DEFER, "4.4.4", "no next hop of the route has an address");
    } else if (!end_by_mx(p) && !defer_by_host(p)) {
        if (loops)
            end(p, PLAN_FAIL, "5.4.6", "mail for %.60s loops back to this gateway",
                p->literal ? "this address" : p->domain);
        else
            end(p, PLAN_FAIL, "5.4.4", "no MX host of %.60s has an address", p->domain);
    }
}
