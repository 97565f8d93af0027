/* Plans by name: found, begun, kept, given up. */
#include "courier_plan.h"
#include "base_siphash.h"
#include "base_time.h"
#include "courier.h"
#include "courier_control.h"
#include "courier_explain.h"
#include "courier_probe.h"
#include "courier_sts.h"
#include "courier_tlsrpt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define BUCKET_CNT       PLAN_MAX
#define PORT_SUBMISSIONS 465 /* RFC 8314 section 3.3: TLS from the first byte */

int courier_plans_init(struct courier_plans *p, const uint8_t secret[16])
{
    base_list_init(&p->kept);
    base_list_init(&p->asking);
    memcpy(p->key, secret, sizeof(p->key));
    base_rand_init(&p->rand, base_siphash(secret, "plan", strlen("plan")));
    p->by_name = calloc(BUCKET_CNT, sizeof(struct courier_plan *));
    p->queries = calloc(PLAN_QUERY_MAX, sizeof(p->queries[0]));
    if (p->by_name == NULL || p->queries == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < PLAN_QUERY_MAX; i++) {
        p->queries[i].next = p->free_query;
        p->free_query = &p->queries[i];
    }
    return 0;
}

static void free_plan(struct courier_plan *p)
{
    for (uint32_t i = 0; i < p->host_cnt; i++)
        for (uint32_t k = 0; k < 2; k++) {
            free(p->hosts[i].tlsa[k].data);
            free(p->hosts[i].tlsa[k].records);
        }
    base_list_remove(&p->node);
    courier_requirement_fini(&p->asked);
    courier_plan_policy_fini(p);
    free(p->hosts);
    free(p->named);
    free(p);
}

/* ---- kept ones ---- */

static struct courier_plan **place(struct courier_plans *t, uint64_t hash, struct base_span key)
{
    struct courier_plan **at = &t->by_name[hash % BUCKET_CNT];

    while (*at != NULL && ((*at)->hash != hash || (*at)->key_len != key.len ||
                           (key.len > 0 && memcmp((*at)->key, key.p, key.len) != 0)))
        at = &(*at)->hash_next;
    return at;
}

/* It is found no more; the last one who has it frees it. */
static void forget(struct courier_plans *t, struct courier_plan *p)
{
    if (!p->kept)
        return;
    struct courier_plan **at = place(t, p->hash, base_span_of(p->key, p->key_len));
    base_assert(*at == p);
    *at = p->hash_next;
    p->kept = false;
    t->kept_cnt--;
    if (p->outcome != PLAN_ASKING)
        base_list_remove(&p->node);
    if (p->ref_cnt == 0)
        free_plan(p);
}

static uint64_t resolver_no(const struct courier *c)
{
    return atomic_load_explicit(&c->topology->resolver_config_no, memory_order_acquire);
}

static bool is_old(const struct courier *c, const struct courier_plan *p)
{
    return p->generation != c->settings->generation ||
           (p->outcome != PLAN_ASKING &&
            (c->now_ns >= p->expires_ns || p->resolver_no != resolver_no(c)));
}

void courier_plan_release(struct courier *c, struct courier_plan *p)
{
    base_assert(p->ref_cnt > 0);
    if (--p->ref_cnt > 0)
        return;
    if (!p->kept)
        return free_plan(p);
    if (p->bytes > PLAN_KEEP_BYTES || is_old(c, p))
        forget(&c->plans, p);
}

/* One more has its place: the one used longest ago makes room. */
static void make_room(struct courier_plans *t)
{
    if (t->kept_cnt < PLAN_MAX || base_list_empty(&t->kept))
        return;
    forget(t, base_container_of(t->kept.next, struct courier_plan, node));
}

/* At the end: a question's hold, or none, and a request's. */
void courier_plan_abandon(struct courier_plan *p)
{
    p->open_cnt -= p->open_cnt > 0;
    if (p->open_cnt == 0 && !p->kept)
        free_plan(p);
}

void courier_plans_fini(struct courier_plans *t)
{
    if (t->by_name == NULL || t->queries == NULL) {
        free(t->by_name);
        free(t->queries);
        return;
    }
    /* What is out does not come back, and operators are not answered any more. */
    for (uint32_t i = 0; i < PLAN_QUERY_MAX; i++)
        if (t->queries[i].plan != NULL)
            courier_plan_abandon(t->queries[i].plan);
    base_list_each (node, &t->asking)
        courier_plan_abandon(base_container_of(node, struct courier_plan, node));
    for (uint32_t i = 0; i < BUCKET_CNT; i++)
        while (t->by_name[i] != NULL) {
            struct courier_plan *p = t->by_name[i];
            t->by_name[i] = p->hash_next;
            free_plan(p);
        }
    free(t->by_name);
    free(t->queries);
}

/* ---- names ---- */

/* " to partner.example"; a digest of it where there is no room. */
static void add_group(uint8_t out[QUEUE_DESTINATION_MAX], size_t *len, struct base_span group)
{
    static const uint8_t key[16] = "destinations";
    struct base_buf text = {.p = out, .cap = QUEUE_DESTINATION_MAX, .len = *len};
    char digest[17];

    if (text.cap - text.len < group.len + 4) {
        snprintf(digest, sizeof(digest), "%016llx",
                 (unsigned long long)base_siphash(key, group.p, group.len));
        group = base_span_str(digest);
        text.len = text.len < text.cap - 20 ? text.len : text.cap - 20;
    }
    bool fits = base_buf_puts(&text, " to ") == 0 && base_buf_put_span(&text, group) == 0;
    base_assert(fits);
    *len = text.len;
}

/* The route, and the destination's name; key becomes the domain's. */
static const struct settings_route *destination_of(const struct settings *s,
                                                   struct base_span domain, struct policy_key *key,
                                                   uint8_t out[QUEUE_DESTINATION_MAX], size_t *len)
{
    const struct settings_route *route = settings_route_find_key(s, domain, key);
    struct base_span name = base_span_str(route->destination), group = base_span_of(NULL, 0);

    if (name.len > 0)
        group = courier_requirement_group(s, route, domain, key);
    else
        name = key->len > 0 ? policy_key_domain(key) : domain;
    *len = name.len < QUEUE_DESTINATION_MAX ? name.len : QUEUE_DESTINATION_MAX;
    if (*len > 0)
        memcpy(out, name.p, *len);
    if (group.len > 0)
        add_group(out, len, group);
    return route;
}

size_t courier_plan_destination(const struct settings *s, struct base_span domain,
                                uint8_t out[QUEUE_DESTINATION_MAX])
{
    struct policy_key key;
    size_t len;

    destination_of(s, domain, &key, out, &len);
    return len;
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]". */
static bool literal_of(struct net_addr *out, struct base_span domain)
{
    static const char v6[] = "[IPv6:";
    size_t from = 1;

    if (domain.len < 3 || domain.p[0] != '[' || domain.p[domain.len - 1] != ']')
        return false;
    if (domain.len > sizeof(v6) &&
        base_span_caseeq(base_span_of(domain.p, sizeof(v6) - 1), base_span_str(v6)))
        from = sizeof(v6) - 1;
    return net_addr_parse(out, base_span_of(domain.p + from, domain.len - from - 1)) == 0;
}

static struct courier_plan *begin(struct courier *c, const struct settings_route *route,
                                  struct base_span domain, const struct policy_key *key,
                                  struct base_span name, uint64_t hash)
{
    struct courier_plan *p = calloc(1, sizeof(*p) + name.len);

    if (p == NULL)
        return NULL;
    if (courier_requirement_init(&p->asked, c->settings, route, domain) != 0) {
        free(p);
        return NULL;
    }
    base_list_init(&p->node);
    p->hash = hash;
    p->generation = c->settings->generation;
    p->resolver_no = resolver_no(c);
    p->ttl_s = PLAN_TTL_MAX_S;
    p->enhanced = "";
    p->bytes = sizeof(*p) + name.len;
    p->key_len = (uint32_t)name.len;
    if (name.len > 0)
        memcpy(p->key, name.p, name.len);
    p->literal = literal_of(&p->literal_addr, domain);
    if (!p->literal && (key->len == 0 || dns_name_copy(p->domain, policy_key_domain(key)) != 0))
        p->domain[0] = 0;
    c->plans.made_cnt++;
    return p;
}

/* ---- deliveries ---- */

static struct courier_plan *find_or_begin(struct courier *c, struct base_span domain)
{
    uint8_t text[QUEUE_DESTINATION_MAX];
    struct courier_plans *t = &c->plans;
    struct policy_key key;
    size_t len;

    const struct settings_route *route = destination_of(c->settings, domain, &key, text, &len);
    struct base_span name = base_span_of(text, len);
    uint64_t hash = base_siphash13(t->key, text, len);
    struct courier_plan *p = *place(t, hash, name);
    if (p != NULL && is_old(c, p)) {
        forget(t, p);
        p = NULL;
    }
    if (p != NULL)
        return p;
    make_room(t);
    p = begin(c, route, domain, &key, name, hash);
    base_assert(p != NULL); /* as without memory for the journal */
    p->kept = true;
    t->kept_cnt++;
    struct courier_plan **at = place(t, hash, name);
    p->hash_next = *at;
    *at = p;
    return p;
}

bool courier_plan_take(struct courier *c, struct delivery *d)
{
    struct courier_plan *p = find_or_begin(c, d->job.domain);
    bool fresh = p->ref_cnt == 0 && p->outcome == PLAN_ASKING;

    p->ref_cnt++;
    d->plan = p;
    if (fresh) { /* routes to addresses need no answer */
        stats_inc(c->stats, STATS_COURIER_PLANS);
        courier_plan_advance(c, p);
    }
    if (p->outcome == PLAN_ASKING) {
        d->next = p->waiting;
        p->waiting = d;
        return false;
    }
    if (p->kept) { /* the one used last */
        base_list_remove(&p->node);
        base_list_push_back(&c->plans.kept, &p->node);
    }
    return true;
}

void courier_plan_put(struct courier *c, struct delivery *d)
{
    struct courier_plan *p = d->plan;

    d->plan = NULL;
    d->order = NULL;
    d->requirement = NULL;
    if (p != NULL)
        courier_plan_release(c, p);
}

void courier_plan_wake(struct courier *c, struct courier_plan *p)
{
    while (p->waiting != NULL) {
        struct delivery *d = p->waiting;
        p->waiting = d->next;
        d->next = c->plans.ready;
        c->plans.ready = d;
    }
}

void courier_plan_made(struct courier *c, struct courier_plan *p)
{
    base_assert(p->outcome != PLAN_ASKING && p->open_cnt == 0);
    base_list_remove(&p->node);
    p->expires_ns = p->outcome == PLAN_READY || p->outcome == PLAN_FAIL
                        ? c->now_ns + (p->ttl_s > 0 ? p->ttl_s : 1) * BASE_NS_S
                        : c->now_ns;
    if (p->kept)
        base_list_push_back(&c->plans.kept, &p->node);
    courier_tlsrpt_plan(c, p);
    courier_plan_wake(c, p);
    if (p->request != NULL) {
        struct courier_request *r = p->request;
        p->request = NULL;
        courier_explain_print(c, p, r);
        if (r->kind == COURIER_PROBE && r->error == NULL)
            courier_probe_start(c, p, r);
        else
            courier_control_answer(c, r);
        courier_plan_release(c, p);
    }
}

/* Nothing is known of a host that the operator names but the host. */
const struct settings_route *courier_plan_named_route(const struct settings_hop *hop)
{
    static const struct settings_route starttls = {.hop_cnt = 1},
                                       implicit = {.hop_cnt = 1, .tls = CONF_ROUTE_TLS_IMPLICIT},
                                       lmtp = {.hop_cnt = 1, .lmtp = true};

    if (hop->lmtp)
        return &lmtp;
    return hop->address.port == PORT_SUBMISSIONS ? &implicit : &starttls;
}

/* "[host]", "[host]:587", "host:587" or an address; a name alone is a domain. Returns 1, 0 when the
 * word is none of these, or -ENOMEM. */
static int named_of(struct settings_hop **out, struct base_span word)
{
    struct settings_hop hop;
    char text[300];

    if (word.len == 0 || word.len >= sizeof(text))
        return 0;
    memcpy(text, word.p, word.len);
    text[word.len] = 0;
    if (strlen(text) != word.len || !settings_hop_parse(&hop, text) ||
        (net_addr_is_none(&hop.address.addr) && text[0] != '[' && strchr(text, ':') == NULL))
        return 0;
    *out = malloc(sizeof(hop));
    if (*out == NULL)
        return -ENOMEM;
    **out = hop;
    return 1;
}

static struct courier_plan *begin_named(struct courier *c, struct settings_hop *hop)
{
    struct base_span name = base_span_str(hop->name);
    struct policy_key key = {0};

    if (hop->path || !net_addr_is_none(&hop->address.addr) || policy_key_of_domain(&key, name) != 0)
        key.len = key.at = 0;
    struct courier_plan *p = begin(c, courier_plan_named_route(hop), name, &key, name, 0);
    if (p == NULL)
        free(hop);
    else
        p->named = hop;
    return p;
}

static struct courier_plan *begin_domain(struct courier *c, struct base_span domain)
{
    uint8_t text[QUEUE_DESTINATION_MAX];
    struct policy_key key;
    size_t len;
    const struct settings_route *route = destination_of(c->settings, domain, &key, text, &len);

    return begin(c, route, domain, &key, base_span_of(text, len), 0);
}

int courier_plan_explain(struct courier *c, struct courier_request *r)
{
    struct base_span domain = queue_domain(r->word);
    struct settings_hop *hop = NULL;
    struct net_addr literal;
    int named = 0;

    if (domain.len == 0 && r->word.len > 0 && r->kind == COURIER_PROBE) {
        domain = r->word;
        named = named_of(&hop, domain);
        /* It looks like one, but is none, nor an address literal. */
        if (named == 0 && memchr(domain.p, ':', domain.len) != NULL &&
            !literal_of(&literal, domain))
            return -EINVAL;
    }
    if (domain.len == 0 || named < 0)
        return domain.len == 0 ? -EINVAL : named;
    struct courier_plan *p = named > 0 ? begin_named(c, hop) : begin_domain(c, domain);
    if (p == NULL)
        return -ENOMEM;
    p->explain = true;
    p->request = r;
    p->ref_cnt = 2; /* the request's and ours */
    courier_plan_advance(c, p);
    courier_plan_release(c, p);
    return 0;
}

/* ---- each pass ---- */

uint32_t courier_plans_run(struct courier *c)
{
    struct courier_plans *t = &c->plans;
    uint32_t n = 0;

    while (!base_list_empty(&t->asking) && courier_plan_may_ask(c)) {
        uint32_t before = t->query_cnt;
        struct base_list *node = base_list_pop_front(&t->asking);
        struct courier_plan *p = base_container_of(node, struct courier_plan, node);
        p->ref_cnt++;
        courier_plan_advance(c, p);
        bool stuck = t->query_cnt == before && p->outcome == PLAN_ASKING;
        courier_plan_release(c, p);
        if (stuck)
            break; /* the ring is full */
        n++;
    }
    return n;
}

void courier_plans_flush(struct courier *c)
{
    base_list_each (node, &c->plans.asking) {
        struct courier_plan *p = base_container_of(node, struct courier_plan, node);
        courier_plan_wake(c, p);
    }
    for (uint32_t i = 0; i < PLAN_QUERY_MAX; i++)
        if (c->plans.queries[i].plan != NULL)
            courier_plan_wake(c, c->plans.queries[i].plan);
    courier_sts_flush(c);
}

uint64_t courier_plans_deadline(const struct courier *c)
{
    const struct courier_plans *t = &c->plans;

    if (t->ready != NULL)
        return c->now_ns;
    return !base_list_empty(&t->asking) && courier_plan_may_ask(c) ? c->now_ns + BASE_NS_MS
                                                                   : BASE_NS_NONE;
}
