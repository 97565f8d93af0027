#include "sim_sts.h"
#include "base_time.h"

#include <stdio.h>
#include <stdlib.h>

#define CHANGE_NS (1500 * BASE_NS_MS) /* between two changes, about */
#define TAKE_NS   BASE_NS_S           /* control looks each second */

enum behaviour { WELL, MISSING, CERTIFICATE, DEAD, SILENT, LATE, NONSENSE, BEHAVIOUR_CNT };

struct domain {
    const char *name;
    uint32_t id;
    enum sts_mode mode;
    bool names_host, has_record;
    enum behaviour behaviour;
    uint64_t expires_s; /* of the policy that was in force in the last pass */
};

#define DOMAIN_CNT 4

struct sim_sts {
    struct base_rand rand;
    bool bad, jumps;
    struct domain domain[DOMAIN_CNT];
    struct courier *courier;
    struct resolver_table *names;
    struct https_table *web;
    struct kept_text *kept; /* what is on disk */
    uint64_t change_ns, take_ns;
    uint64_t restored_cnt;
};

/* ---- what the domains publish ---- */

static void publish_record(const struct sim_sts *s, const struct domain *d)
{
    char name[DNS_NAME_CAP], text[64];
    uint8_t rdata[64];
    int len = snprintf(text, sizeof(text), "v=STSv1; id=n%u;", d->id);
    struct resolver_table_entry e = {
        .name = name, .type = DNS_TYPE_TXT, .status = DNS_OK, .ttl_s = 1};

    snprintf(name, sizeof(name), "_mta-sts.%s", d->name);
    rdata[0] = (uint8_t)len;
    memcpy(rdata + 1, text, (size_t)len);
    e.record[0] = base_span_of(rdata, (size_t)len + 1);
    if (!d->has_record) {
        e.status = DNS_NXDOMAIN;
        e.record[0] = base_span_of(NULL, 0);
    }
    int failed = resolver_table_put(s->names, &e);
    base_assert(failed == 0);
}

static void publish_host(const struct sim_sts *s, const char *name)
{
    static const uint8_t here[] = {10, 0, 0, 2};
    struct resolver_table_entry a = {.name = name,
                                     .type = DNS_TYPE_A,
                                     .status = DNS_OK,
                                     .ttl_s = 60,
                                     .record = {base_span_of(here, sizeof(here))}};
    int failed = resolver_table_put(s->names, &a);

    base_assert(failed == 0);
}

static void publish_policy(const struct sim_sts *s, const struct domain *d)
{
    char host[DNS_NAME_CAP], body[256];
    const char *mx = d->names_host ? "" : "elsewhere.";
    int len = snprintf(body, sizeof(body),
                       "version: STSv1\r\nmode: %s\r\nmx: %s%s\r\nmx: *.%s%s\r\nmax_age: 60\r\n",
                       sts_mode_name(d->mode), mx, d->name, mx, d->name);
    struct https_table_entry e = {.host = host,
                                  .path = COURIER_STS_PATH,
                                  .result = HTTPS_OK,
                                  .status = 200,
                                  .type = "text/plain",
                                  .body = base_span_of(body, (size_t)len),
                                  .delay_ns = 20 * BASE_NS_MS};

    snprintf(host, sizeof(host), "mta-sts.%s", d->name);
    publish_host(s, host);
    if (d->behaviour == MISSING) {
        e.result = HTTPS_STATUS;
        e.status = 404;
    } else if (d->behaviour == CERTIFICATE || d->behaviour == DEAD) {
        e.result = d->behaviour == DEAD ? HTTPS_FAILED : HTTPS_CERTIFICATE;
        e.body = base_span_of(NULL, 0);
        e.status = 0;
    } else if (d->behaviour == SILENT) {
        e.delay_ns = BASE_NS_NONE;
    } else if (d->behaviour == LATE) {
        e.delay_ns = 1800 * BASE_NS_MS;
    } else if (d->behaviour == NONSENSE) {
        e.body = base_span_of(body, 30);
    }
    int failed = https_table_put(s->web, &e);
    base_assert(failed == 0);
}

static void publish(const struct sim_sts *s, const struct domain *d)
{
    publish_record(s, d);
    publish_policy(s, d);
}

/* Another policy under another id; or the same one, or none, of a host that behaves otherwise. */
static void change(struct sim_sts *s, struct domain *d)
{
    d->behaviour = s->bad ? (enum behaviour)base_rand_below(&s->rand, BEHAVIOUR_CNT) : WELL;
    if (base_rand_below(&s->rand, 2) == 0)
        d->behaviour = WELL;
    d->has_record = base_rand_below(&s->rand, 8) != 0;
    if (base_rand_below(&s->rand, 3) == 0)
        return;
    d->id++;
    d->mode = (enum sts_mode)base_rand_below(&s->rand, s->bad ? STS_MODE_CNT : STS_MODE_ENFORCE);
    d->names_host = base_rand_below(&s->rand, 3) != 0;
}

/* ---- life ---- */

struct sim_sts *sim_sts_open(uint64_t seed, bool bad, bool jumps)
{
    static const char *const names[DOMAIN_CNT] = {"example.org", "other.example", "third.example",
                                                  "client.example"};
    struct sim_sts *s = calloc(1, sizeof(*s));

    base_assert(s != NULL);
    s->bad = bad;
    s->jumps = jumps;
    base_rand_init(&s->rand, seed * 7 + 3);
    for (uint32_t i = 0; i < DOMAIN_CNT; i++) {
        s->domain[i].name = names[i];
        change(s, &s->domain[i]);
    }
    return s;
}

void sim_sts_close(struct sim_sts *s)
{
    kept_text_free(s->kept);
    free(s);
}

void sim_sts_start(struct sim_sts *s, struct courier *c, struct resolver_table *names,
                   uint64_t wall_ns)
{
    s->courier = c;
    s->names = names;
    s->web = https_table_open();
    base_assert(s->web != NULL);
    https_use(&c->https, https_table_client(s->web));
    for (uint32_t i = 0; i < DOMAIN_CNT; i++) {
        s->domain[i].expires_s = 0;
        publish(s, &s->domain[i]);
    }
    if (s->kept == NULL)
        return;
    int cnt = courier_sts_load(c, base_span_of(s->kept->bytes, s->kept->len), wall_ns);
    base_assert(cnt >= 0); /* what was written is read */
    s->restored_cnt += (uint64_t)cnt;
}

void sim_sts_end(struct sim_sts *s)
{
    https_table_close(s->web);
    s->web = NULL;
}

void sim_sts_calm(struct sim_sts *s)
{
    if (!s->bad)
        return;
    s->bad = false;
    for (uint32_t i = 0; i < DOMAIN_CNT; i++) {
        struct domain *d = &s->domain[i];
        d->id++;
        d->mode = i % 2 == 0 ? STS_MODE_NONE : STS_MODE_TESTING;
        d->behaviour = WELL;
        d->has_record = d->names_host = true;
        publish(s, d);
    }
    s->change_ns = BASE_NS_NONE;
}

/* ---- each pass ---- */

/* What holds goes on to hold, whatever becomes of record and host. */
static const char *check_cache(struct sim_sts *s, uint64_t now_s)
{
    for (uint32_t i = 0; i < DOMAIN_CNT; i++) {
        struct domain *d = &s->domain[i];
        uint64_t before_s = d->expires_s;
        d->expires_s = sts_entry_expires_s(sts_cache_find(&s->courier->sts.cache, d->name), now_s);
        if (!s->jumps && before_s > now_s && d->expires_s == 0)
            return "a policy of MTA-STS was forgotten before its time";
    }
    return NULL;
}

/* Whoever goes by an enforced policy asks its hosts for a proof. */
static const char *check_plans(const struct courier *c)
{
    base_list_each (node, &c->plans.kept) {
        const struct courier_plan *p = base_container_of(node, struct courier_plan, node);
        for (uint32_t i = 0; i < p->order.target_cnt; i++) {
            const struct plan_host *h = p->order.target[i].host;
            const struct plan_sts *of = courier_plan_sts(p, h);
            if (of == NULL || !of->has_policy || of->policy.mode != STS_MODE_ENFORCE)
                continue;
            if (!sts_policy_match(&of->policy, h->name))
                return "a host is tried that an enforced policy does not name";
            if (h->requirement.proof <= DANE_PROOF_ENCRYPTED)
                return "an enforced policy asks a host for no proof";
        }
    }
    return NULL;
}

const char *sim_sts_pass(struct sim_sts *s, uint64_t now_ns, uint64_t wall_ns)
{
    const char *why = check_cache(s, wall_ns / BASE_NS_S);

    if (why == NULL)
        why = check_plans(s->courier);
    if (now_ns >= s->change_ns) {
        struct domain *d = &s->domain[base_rand_below(&s->rand, DOMAIN_CNT)];
        change(s, d);
        publish(s, d);
        s->change_ns = now_ns + CHANGE_NS / 2 + base_rand_below(&s->rand, CHANGE_NS);
    }
    if (now_ns >= s->take_ns) {
        courier_sts_image_make(s->courier); /* sooner than by itself: runs are short */
        struct kept_text *t = courier_sts_image_take(s->courier);
        if (t != NULL) {
            kept_text_free(s->kept);
            s->kept = t;
        }
        s->take_ns = now_ns + TAKE_NS;
    }
    return why;
}

uint64_t sim_sts_deadline(const struct sim_sts *s)
{
    return s->change_ns < s->take_ns ? s->change_ns : s->take_ns;
}

void sim_sts_count(struct sim_sts *s, struct sim_sts_counts *counts)
{
    const struct courier *c = s->courier;

    counts->fetched_cnt += stats_get(c->stats, STATS_STS_FETCHED);
    counts->failed_cnt += stats_get(c->stats, STATS_STS_FETCH_FAILED);
    counts->invalid_cnt += stats_get(c->stats, STATS_STS_INVALID);
    counts->held_cnt += stats_get(c->stats, STATS_STS_HOSTS_REFUSED);
    counts->kept_cnt += stats_get(c->stats, STATS_STS_KEPT);
    counts->restored_cnt += s->restored_cnt;
    s->restored_cnt = 0;
}
