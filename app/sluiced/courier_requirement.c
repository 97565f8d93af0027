#include "courier_requirement.h"
#include "base_siphash.h"
#include "courier.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- those that need no memory ---- */

#define PLAIN(l, p)                                                                                \
    {                                                                                              \
        .level = DANE_LEVEL_##l, .proof = DANE_PROOF_##p, .digest = 1 + DANE_LEVEL_##l             \
    }

static const struct dane_requirement plain[DANE_LEVEL_CNT] = {
    [DANE_LEVEL_NONE] = PLAIN(NONE, CLEAR),
    [DANE_LEVEL_MAY] = PLAIN(MAY, OPTIONAL),
    [DANE_LEVEL_ENCRYPT] = PLAIN(ENCRYPT, ENCRYPTED),
};

/* ---- those that do ---- */

struct texts {
    struct dane_requirement r;
    const char *name[CONF_PROOF_MAX];
    struct base_span fingerprint[CONF_PROOF_MAX];
    uint8_t bytes[];
};

static size_t bytes_of(const struct settings_destination *to, struct base_span own)
{
    size_t n = own.len + 1;

    for (uint32_t i = 0; i < to->name_cnt; i++)
        n += strlen(to->names[i]) + 1;
    for (uint32_t i = 0; i < to->fingerprint_cnt; i++)
        n += to->fingerprints[i].len;
    return n;
}

static const char *add_name(struct texts *t, uint8_t **at, struct base_span name)
{
    char *copy = (char *)*at;

    memcpy(copy, name.p, name.len);
    copy[name.len] = 0;
    *at += name.len + 1;
    t->name[t->r.name_cnt++] = copy;
    return copy;
}

/* A server is asked for its certificate by name, never by address (RFC 6066 section 3). */
static bool may_be_sni(const char *name)
{
    struct net_addr a;

    return net_addr_parse(&a, base_span_str(name)) != 0;
}

/* own: the name that is right where none are listed. Returns NULL without memory. */
static struct texts *make(const struct settings_destination *to, enum dane_level level,
                          struct base_span own, const uint8_t secret[16])
{
    struct texts *t = calloc(1, sizeof(*t) + bytes_of(to, own));

    if (t == NULL)
        return NULL;
    uint8_t *at = t->bytes;
    t->r.level = (uint8_t)level;
    t->r.proof = level == DANE_LEVEL_FINGERPRINT ? DANE_PROOF_FINGERPRINTS : DANE_PROOF_NAMES;
    t->r.names = t->name;
    t->r.fingerprints = t->fingerprint;
    for (uint32_t i = 0; i < to->name_cnt; i++)
        (void)add_name(t, &at, base_span_str(to->names[i]));
    if (to->name_cnt == 0 && level != DANE_LEVEL_FINGERPRINT)
        (void)add_name(t, &at, own);
    if (t->r.name_cnt > 0 && may_be_sni(t->name[0]))
        t->r.sni = t->name[0];
    for (uint32_t i = 0; i < to->fingerprint_cnt; i++) {
        struct base_span f = to->fingerprints[i];
        memcpy(at, f.p, f.len);
        t->fingerprint[t->r.fingerprint_cnt++] = base_span_of(at, f.len);
        at += f.len;
    }
    t->r.digest = dane_requirement_digest(&t->r, secret);
    return t;
}

/* ---- the decision ---- */

static enum dane_level level_of(const struct settings_route *route,
                                const struct settings_destination *to)
{
    enum dane_level level = to->level;

    if (route->tls == CONF_ROUTE_TLS_NONE)
        return DANE_LEVEL_NONE;
    if (route->verify && level < DANE_LEVEL_DANE_ONLY)
        return DANE_LEVEL_VERIFY;
    /* Routes name their next hops, and no record of the DNS is asked for: there is none. */
    if (level == DANE_LEVEL_DANE)
        level = DANE_LEVEL_MAY;
    if (level < DANE_LEVEL_ENCRYPT && route->tls == CONF_ROUTE_TLS_IMPLICIT)
        level = DANE_LEVEL_ENCRYPT;
    return level;
}

static bool has_texts(enum dane_level level)
{
    return level >= DANE_LEVEL_FINGERPRINT;
}

/* The destination's own name, or the next hop's. */
static struct base_span own_name(enum dane_level level, struct base_span domain,
                                 const struct net_endpoint *host, struct policy_key *key,
                                 char address[NET_ADDR_TEXT_CAP])
{
    if (level == DANE_LEVEL_SECURE)
        return policy_key_of_domain(key, domain) == 0 ? policy_key_domain(key) : domain;
    return base_span_of(address, net_addr_format(address, &host->addr));
}

static void mix_policy(const struct courier *c, struct delivery *d)
{
    uint8_t bytes[8 + 2];

    base_put_le64(bytes, d->requirement->digest);
    bytes[8] = d->tls_begin;
    bytes[9] = d->tls_lenient;
    d->policy = base_siphash13(c->secret, bytes, sizeof(bytes));
}

const char *courier_requirement_fill(struct courier *c, struct delivery *d,
                                     const struct settings_route *route)
{
    const struct settings_destination *to = settings_destination_find(c->settings, d->job.domain);
    enum dane_level level = level_of(route, to);
    uint64_t waited_ns = c->settings->conf->queue.backoff_min_ns;
    char address[NET_ADDR_TEXT_CAP];
    struct policy_key key;

    d->requirement = &plain[DANE_LEVEL_NONE];
    d->requirement_texts = NULL;
    d->tls_begin =
        route->tls == CONF_ROUTE_TLS_IMPLICIT ? DELIVERY_TLS_IMPLICIT : DELIVERY_TLS_BY_STARTTLS;
    d->tls_lenient = to->lenient;
    d->tls_clear_after =
        c->wall_ns >= d->job.arrival_wall_ns && c->wall_ns - d->job.arrival_wall_ns >= waited_ns;
    d->policy = 0;
    if (level == DANE_LEVEL_DANE_ONLY && !to->lenient)
        return "4.7.5 dane-only: no TLSA records are looked up for a next hop that a route names";
    if (level == DANE_LEVEL_DANE_ONLY)
        level = DANE_LEVEL_MAY;
    if (has_texts(level)) {
        struct texts *t =
            make(to, level, own_name(level, d->job.domain, &d->host, &key, address), c->secret);
        if (t == NULL)
            return "4.3.0 no memory for what the next hop must prove";
        d->requirement_texts = t;
        d->requirement = &t->r;
    } else {
        d->requirement = &plain[level];
    }
    mix_policy(c, d);
    return NULL;
}

void courier_requirement_drop(struct delivery *d)
{
    free(d->requirement_texts);
    d->requirement_texts = NULL;
    d->requirement = NULL;
}

uint64_t courier_requirement_key(const struct courier *c, const struct settings_route *route,
                                 struct base_span domain)
{
    const struct settings_destination *to = settings_destination_find(c->settings, domain);
    enum dane_level level = level_of(route, to);
    struct policy_key key;
    uint64_t h = 0;

    if (to != &c->settings->default_destination)
        h = base_siphash(c->secret, to->domain.p, to->domain.len) | 1;
    /* Each domain's own name is to be in the certificate. */
    if (level == DANE_LEVEL_SECURE && to->name_cnt == 0 && policy_key_of_domain(&key, domain) == 0)
        h = base_siphash(c->secret, policy_key_domain(&key).p, policy_key_domain(&key).len) | 1;
    return h;
}
