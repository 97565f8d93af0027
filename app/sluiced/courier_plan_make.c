/*
 * The making of a plan: first the hosts, out of the route or of MX records, then, a few hosts at a
 * time, what is to be known of each. courier_plan_advance goes on wherever it has come to: at the
 * begin, with each answer, and when there is room for a question again.
 */
#include "courier.h"
#include "courier_plan.h"
#include "resolver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define UNSURE_TTL_S 10 /* of a plan that was made without an answer */

static void plan_text(char *out, size_t cap, const char *text)
{
    size_t len = strnlen(text, cap - 1);

    memcpy(out, text, len);
    out[len] = 0;
}

const struct settings_route *courier_plan_route(const struct courier *c,
                                                const struct courier_plan *p)
{
    return p->named != NULL ? courier_plan_named_route(p->named)
                            : settings_route_find(c->settings, base_span_str(p->domain));
}

/* The next hop that is looked at; NULL: what MX records say. */
static const struct settings_hop *hop_of(const struct courier_plan *p,
                                         const struct settings_route *route)
{
    if (p->named != NULL)
        return p->named;
    return route->hop_cnt > 0 ? &route->hops[p->source_at] : NULL;
}

enum state { STATE_HOSTS, STATE_MX, STATE_LOOK };

/* ---- questions ---- */

bool courier_plan_may_ask(const struct courier *c)
{
    const struct courier_plans *t = &c->plans;

    /* More would wait in the resolver until their time is over. */
    return t->free_query != NULL && t->query_cnt < c->hub->started->conf->dns.lookups;
}

static void answered(struct dns_query *q);

static void query_put(struct courier_plans *t, struct courier_query *q)
{
    q->plan = NULL;
    q->next = t->free_query;
    t->free_query = q;
    t->query_cnt--;
}

/* Returns false when the plan has to come again. */
static bool ask(struct courier *c, struct courier_plan *p, uint32_t host, uint8_t kind,
                const char *name, uint16_t type)
{
    struct courier_plans *t = &c->plans;
    struct courier_query *q = t->free_query;

    if (courier_plan_may_ask(c)) {
        int error = dns_query_init(&q->q, base_span_str(name), type,
                                   c->settings->conf->dns.timeout_ns, q->room, sizeof(q->room));
        base_assert(error == 0);
        t->free_query = q->next;
        t->query_cnt++;
        q->plan = p;
        q->host = host;
        q->kind = kind;
        q->q.done = answered;
        q->q.user = c;
        if (resolver_ask(c->topology, TOPOLOGY_COURIER, 0, &q->q)) {
            p->open_cnt++;
            p->ref_cnt++;
            return true;
        }
        query_put(t, q);
    }
    if (!base_list_linked(&p->node))
        base_list_push_back(&t->asking, &p->node);
    return false;
}

static struct dane_lookup lookup_of(struct courier_plan *p, const struct dns_answer *a)
{
    static const uint8_t state[DNS_STATUS_CNT] = {
        [DNS_OK] = DANE_STATE_RECORDS,        [DNS_NODATA] = DANE_STATE_NODATA,
        [DNS_NXDOMAIN] = DANE_STATE_NXDOMAIN, [DNS_BOGUS] = DANE_STATE_ERROR,
        [DNS_SERVFAIL] = DANE_STATE_ERROR,    [DNS_TIMEOUT] = DANE_STATE_ERROR,
        [DNS_FAILED] = DANE_STATE_ERROR,
    };
    struct dane_lookup l = {.state = state[a->status], .secure = a->secure};
    uint32_t ttl_s = l.state == DANE_STATE_ERROR ? UNSURE_TTL_S : a->ttl_s;

    p->ttl_s = ttl_s < p->ttl_s ? ttl_s : p->ttl_s;
    return l;
}

static void note_failure(char why[DNS_WHY_CAP], const struct dns_answer *a)
{
    if (!dns_status_is_error(a->status) || why[0] != 0)
        return;
    snprintf(why, DNS_WHY_CAP, "%s%s%.100s", dns_status_name(a->status), a->why[0] != 0 ? ": " : "",
             a->why);
}

/* ---- hosts ---- */

static struct plan_host *add_host(struct courier_plan *p, const char *name, uint16_t port)
{
    struct plan_host *h = &p->hosts[p->host_cnt];

    base_assert(p->host_cnt < p->host_cap);
    *h = (struct plan_host){.port = port};
    plan_text(h->name, sizeof(h->name), name);
    h->source = p->source_at;
    h->rank = p->host_cnt > 0 ? p->hosts[p->host_cnt - 1].rank + 1 : 0;
    p->host_cnt++;
    return h;
}

static void need_hosts(struct courier_plan *p, uint32_t cnt)
{
    uint32_t cap = p->host_cnt + cnt;

    if (cap <= p->host_cap)
        return;
    p->hosts = realloc(p->hosts, cap * sizeof(p->hosts[0]));
    base_assert(p->hosts != NULL); /* as without memory for the journal */
    p->bytes += (cap - p->host_cap) * sizeof(p->hosts[0]);
    p->host_cap = cap;
}

static void add_address(struct courier_plan *p, const struct net_endpoint *e)
{
    need_hosts(p, 1);
    struct plan_host *h = add_host(p, "", e->port);
    h->facts = (struct dane_facts){.literal = true, .mx_secure = true};
    h->address[h->address_cnt++].addr = e->addr;
    net_addr_format(h->text, &e->addr);
}

static void add_path(struct courier_plan *p, const char *path)
{
    need_hosts(p, 1);
    struct plan_host *h = add_host(p, "", 0);
    h->facts = (struct dane_facts){.literal = true, .mx_secure = true};
    plan_text(h->path, sizeof(h->path), path);
}

struct mx_row {
    uint16_t preference;
    uint32_t chance;
    char host[DNS_NAME_CAP];
};

static int compare_mx(const void *a, const void *b)
{
    const struct mx_row *x = a, *y = b;

    if (x->preference != y->preference)
        return x->preference < y->preference ? -1 : 1;
    return (x->chance > y->chance) - (x->chance < y->chance);
}

/* Reads them all. Returns how many have a host, or -EINVAL. */
static int read_mx(struct courier *c, const struct dns_answer *a, struct mx_row *rows, bool *null)
{
    struct base_span rdata;
    struct dns_mx mx;
    size_t at = 0;
    int n = 0;

    *null = false;
    while (dns_answer_next(a, &at, &rdata)) {
        if (dns_read_mx(&mx, rdata) != 0)
            return -EINVAL;
        if (mx.host[0] == 0) { /* alone it means that there is no mail here */
            *null = a->record_cnt == 1;
            continue;
        }
        rows[n].preference = mx.preference;
        rows[n].chance = (uint32_t)base_rand_next(&c->plans.rand);
        memcpy(rows[n].host, mx.host, sizeof(mx.host));
        n++;
    }
    return n;
}

static bool has_host(const struct courier_plan *p, uint32_t from, const char *name)
{
    for (uint32_t i = from; i < p->host_cnt; i++)
        if (strcmp(p->hosts[i].name, name) == 0)
            return true;
    return false;
}

static void add_mx_hosts(struct courier_plan *p, const struct mx_row *rows, uint32_t cnt,
                         uint16_t port)
{
    uint32_t from = p->host_cnt;
    struct plan_host *last = NULL;
    struct net_addr address;

    cnt = cnt < PLAN_HOST_MAX ? cnt : PLAN_HOST_MAX;
    need_hosts(p, cnt);
    for (uint32_t i = 0; i < cnt; i++) {
        if (has_host(p, from, rows[i].host))
            continue;
        struct plan_host *h = add_host(p, rows[i].host, port);
        h->preference = rows[i].preference;
        h->facts.mx_secure = p->mx.secure;
        if (last != NULL && last->preference == h->preference)
            h->rank = last->rank;
        if (net_addr_parse(&address, base_span_str(h->name)) == 0) {
            h->refusal = PLAN_HOST_IS_ADDRESS;
            h->ended = true;
        }
        last = h;
    }
}

static uint16_t mx_port(const struct settings_route *route, const struct courier_plan *p)
{
    const struct settings_hop *hop = hop_of(p, route);

    return hop == NULL ? 25 : hop->address.port;
}

static void take_mx(struct courier *c, struct courier_plan *p, const struct dns_answer *a)
{
    const struct settings_route *route = courier_plan_route(c, p);
    struct mx_row *rows = calloc(a->record_cnt + 1, sizeof(rows[0]));
    bool null = false;

    base_assert(rows != NULL); /* as without memory for the journal */
    p->mx = lookup_of(p, a);
    plan_text(p->mx_canonical, sizeof(p->mx_canonical), a->canonical);
    p->why[0] = 0;
    note_failure(p->why, a);
    int cnt = a->status == DNS_OK ? read_mx(c, a, rows, &null) : 0;
    if (cnt < 0) {
        p->mx = (struct dane_lookup){.state = DANE_STATE_ERROR};
        plan_text(p->why, sizeof(p->why), "a malformed MX record");
    }
    p->mx_verdict = (uint8_t)dane_decide_mx(p->mx, null);
    if (p->mx_verdict == DANE_MX_HOSTS) {
        qsort(rows, (size_t)cnt, sizeof(rows[0]), compare_mx);
        add_mx_hosts(p, rows, (uint32_t)cnt, mx_port(route, p));
    } else if (p->mx_verdict == DANE_MX_IMPLICIT) {
        need_hosts(p, 1);
        add_host(p, p->mx_name, mx_port(route, p))->facts.mx_secure = p->mx.secure;
    }
    free(rows);
    p->source_at++;
    p->state = STATE_HOSTS;
}

/* The hosts that the route names. Returns false when an answer is needed first, or a question could
 * not be asked. */
static bool find_hosts(struct courier *c, struct courier_plan *p)
{
    const struct settings_route *route = courier_plan_route(c, p);

    while (p->state == STATE_HOSTS && p->source_at < (route->hop_cnt > 0 ? route->hop_cnt : 1)) {
        const struct settings_hop *hop = hop_of(p, route);
        if (hop == NULL && p->literal) {
            add_address(p, &(struct net_endpoint){.addr = p->literal_addr, .port = 25});
        } else if (hop != NULL && hop->path) {
            add_path(p, hop->name);
        } else if (hop != NULL && !net_addr_is_none(&hop->address.addr)) {
            add_address(p, &hop->address);
        } else if (hop != NULL && hop->exact) {
            need_hosts(p, 1);
            add_host(p, hop->name, hop->address.port)->facts.mx_secure = true;
        } else if (hop != NULL || p->domain[0] != 0) {
            plan_text(p->mx_name, sizeof(p->mx_name), hop != NULL ? hop->name : p->domain);
            if (!ask(c, p, 0, PLAN_ASK_MX, p->mx_name, DNS_TYPE_MX))
                return false;
            p->state = STATE_MX;
            return false;
        }
        p->source_at++;
    }
    return p->state != STATE_MX;
}

/* ---- one host ---- */

static void take_addresses(struct plan_host *h, struct dane_lookup *family, uint16_t type,
                           const struct dns_answer *a)
{
    struct base_span rdata;
    uint32_t cnt = 0;
    size_t at = 0;

    while (family->state == DANE_STATE_RECORDS && dns_answer_next(a, &at, &rdata)) {
        struct net_addr addr;
        if (dns_read_address(&addr, type, rdata) != 0) {
            *family = (struct dane_lookup){.state = DANE_STATE_ERROR};
            plan_text(h->why, sizeof(h->why), "a malformed address record");
            h->address_cnt -= cnt;
            return;
        }
        if (cnt < PLAN_HOST_ADDRESS_MAX / 2) {
            h->address[h->address_cnt++] = (struct plan_address){.addr = addr};
            cnt++;
        }
    }
    if (a->canonical[0] != 0 && family->state == DANE_STATE_RECORDS) {
        h->facts.alias = true;
        memcpy(h->canonical, a->canonical, sizeof(h->canonical));
    }
}

/* Its own copy: the answer's room goes back to the pool. What is no TLSA record at all is as
 * unusable as one of an unknown usage. */
static void take_tlsa(struct courier_plan *p, struct plan_host *h, uint8_t base,
                      const struct dns_answer *a)
{
    struct plan_tlsa *t = &h->tlsa[base];
    struct dns_answer own = *a;
    struct base_span rdata;
    struct dns_tlsa r;
    size_t at = 0;

    h->facts.tlsa[base] = lookup_of(p, a);
    note_failure(h->why, a);
    if (a->status != DNS_OK || a->record_cnt == 0)
        return;
    t->data = malloc(a->data_len);
    t->records = calloc(2 * (size_t)a->record_cnt, sizeof(t->records[0]));
    base_assert(t->data != NULL && t->records != NULL); /* as without memory for the journal */
    p->bytes += a->data_len + 2 * a->record_cnt * sizeof(t->records[0]);
    memcpy(t->data, a->data, a->data_len);
    own.data = t->data;
    struct dane_record *all = t->records + a->record_cnt;
    while (dns_answer_next(&own, &at, &rdata))
        if (dns_read_tlsa(&r, rdata) == 0)
            all[t->cnt++] = (struct dane_record){r.usage, r.selector, r.matching, r.data};
    t->all = all;
    t->select_cnt = dane_select(all, t->cnt, t->records);
    h->facts.usable[base] = t->select_cnt > 0;
}

static bool ask_tlsa(struct courier *c, struct courier_plan *p, uint32_t i, uint8_t base)
{
    struct plan_host *h = &p->hosts[i];
    char front[24], name[DNS_NAME_CAP];

    snprintf(front, sizeof(front), "_%u._tcp", h->port);
    if (dns_name_join(name, front, base == DANE_EXPANDED ? h->canonical : h->name) != 0) {
        h->facts.tlsa[base].state = DANE_STATE_NODATA; /* there is no room for such records */
        return true;
    }
    return ask(c, p, i, (uint8_t)(PLAN_ASK_EXPANDED + base), name, DNS_TYPE_TLSA);
}

static bool ask_addresses(struct courier *c, struct courier_plan *p, uint32_t i)
{
    static const uint16_t type[] = {[PLAN_ASK_A] = DNS_TYPE_A, [PLAN_ASK_AAAA] = DNS_TYPE_AAAA};
    struct plan_host *h = &p->hosts[i];

    for (unsigned kind = PLAN_ASK_A; kind <= PLAN_ASK_AAAA; kind++) {
        if (h->asked & 1U << kind || !settings_has_family(c->settings, kind == PLAN_ASK_AAAA))
            continue;
        if (!ask(c, p, i, (uint8_t)kind, h->name, type[kind]))
            return false;
        h->asked = (uint8_t)(h->asked | 1U << kind);
        h->open_cnt++;
    }
    return true;
}

/* Goes on with one host. Returns false when a question could not be asked. */
static bool look(struct courier *c, struct courier_plan *p, uint32_t i)
{
    struct plan_host *h = &p->hosts[i];

    if (h->ended)
        return true;
    h->facts.level = p->asked.level;
    if (h->name[0] != 0 && !ask_addresses(c, p, i))
        return false;
    while (h->open_cnt == 0 && !h->ended) {
        enum dane_question question = DANE_ASK_NOTHING;
        bool asked = true;
        courier_plan_judge_addresses(c, p, h);
        if (h->refusal == PLAN_HOST_TAKEN)
            question = dane_next_question(&h->facts);
        if (question == DANE_ASK_NOTHING) {
            if (!courier_plan_policy(c, p, h))
                return true; /* it comes again */
            courier_plan_decide_host(c, p, h);
            h->ended = true;
            break;
        }
        uint32_t open_cnt = p->open_cnt;
        if (question == DANE_ASK_CNAME)
            asked = ask(c, p, i, PLAN_ASK_CNAME, h->name, DNS_TYPE_CNAME);
        else
            asked =
                ask_tlsa(c, p, i, question == DANE_ASK_EXPANDED ? DANE_EXPANDED : DANE_ORIGINAL);
        if (!asked)
            return false;
        if (p->open_cnt > open_cnt)
            h->open_cnt++;
    }
    return true;
}

/* ---- all of them ---- */

static void answered(struct dns_query *dns)
{
    struct courier_query *q = base_container_of(dns, struct courier_query, q);
    struct courier *c = dns->user;
    struct courier_plan *p = q->plan;
    const struct dns_answer *a = &dns->answer;
    struct plan_host *h = q->kind == PLAN_ASK_MX ? NULL : &p->hosts[q->host];

    p->open_cnt--;
    if (p->generation != c->settings->generation) {
        /* It ends when all is back. */
    } else if (h == NULL) {
        take_mx(c, p, a);
    } else {
        h->open_cnt--;
        note_failure(h->why, a);
        if (q->kind == PLAN_ASK_CNAME) {
            h->facts.cname = lookup_of(p, a);
        } else if (q->kind >= PLAN_ASK_EXPANDED) {
            take_tlsa(p, h, (uint8_t)(q->kind - PLAN_ASK_EXPANDED), a);
        } else {
            bool v6 = q->kind == PLAN_ASK_AAAA;
            struct dane_lookup *family = v6 ? &h->facts.aaaa : &h->facts.a;
            *family = lookup_of(p, a);
            take_addresses(h, family, v6 ? DNS_TYPE_AAAA : DNS_TYPE_A, a);
        }
    }
    query_put(&c->plans, q);
    courier_plan_advance(c, p);
    courier_plan_release(c, p);
}

/* Returns true when enough is known of enough hosts. */
static bool look_at_hosts(struct courier *c, struct courier_plan *p)
{
    for (;;) {
        bool ended = true;
        for (uint32_t i = p->host_at; i < p->host_end; i++) {
            if (!look(c, p, i))
                return false;
            ended = ended && p->hosts[i].ended;
        }
        if (!ended)
            return false;
        p->host_at = p->host_end;
        if (p->host_at == p->host_cnt ||
            (!p->explain && courier_plan_usable_cnt(p) >= PLAN_ADDRESS_MAX))
            return true;
        p->host_end =
            p->host_cnt - p->host_at < PLAN_HOST_BATCH ? p->host_cnt : p->host_at + PLAN_HOST_BATCH;
    }
}

void courier_plan_advance(struct courier *c, struct courier_plan *p)
{
    if (p->outcome != PLAN_ASKING)
        return;
    base_list_remove(&p->node);
    if (p->generation != c->settings->generation) {
        if (p->open_cnt > 0)
            return;
        p->outcome = PLAN_OLD;
        return courier_plan_made(c, p);
    }
    if (!find_hosts(c, p) || !look_at_hosts(c, p))
        return;
    courier_plan_conclude(c, p);
    courier_plan_made(c, p);
}
