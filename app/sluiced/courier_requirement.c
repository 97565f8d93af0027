#include "courier_requirement.h"
#include "base_siphash.h"
#include "courier.h"
#include "smtp_client.h"

#include <errno.h>
#include <stdlib.h>

static enum dane_level level_of(const struct settings_route *route,
                                const struct settings_destination *to)
{
    if (route->tls == CONF_ROUTE_TLS_NONE)
        return DANE_LEVEL_NONE;
    if (route->verify && to->level < DANE_LEVEL_DANE_ONLY)
        return DANE_LEVEL_VERIFY;
    if (to->level < DANE_LEVEL_ENCRYPT && route->tls == CONF_ROUTE_TLS_IMPLICIT)
        return DANE_LEVEL_ENCRYPT;
    return to->level;
}

static int copy_texts(struct courier_requirement *q, const struct settings_destination *to)
{
    size_t bytes = to->name_cnt * sizeof(q->names[0]) +
                   to->fingerprint_cnt * (sizeof(q->fingerprints[0]) + CONF_FINGERPRINT_BYTES);

    for (uint32_t i = 0; i < to->name_cnt; i++)
        bytes += strlen(to->names[i]) + 1;
    if (bytes == 0)
        return 0;
    q->texts = malloc(bytes);
    if (q->texts == NULL)
        return -ENOMEM;
    q->fingerprints = q->texts;
    q->names = (const char **)(void *)(q->fingerprints + to->fingerprint_cnt);
    uint8_t *at = (uint8_t *)(q->names + to->name_cnt);
    for (uint32_t i = 0; i < to->fingerprint_cnt; i++) {
        struct base_span f = to->fingerprints[i];
        memcpy(at, f.p, f.len);
        q->fingerprints[q->fingerprint_cnt++] = base_span_of(at, f.len);
        at += f.len;
    }
    for (uint32_t i = 0; i < to->name_cnt; i++) {
        size_t len = strlen(to->names[i]) + 1;
        memcpy(at, to->names[i], len);
        q->names[q->name_cnt++] = (const char *)at;
        at += len;
    }
    return 0;
}

int courier_requirement_init(struct courier_requirement *q, const struct settings *s,
                             const struct settings_route *route, struct base_span domain)
{
    const struct settings_destination *to = settings_destination_find(s, domain);

    *q = (struct courier_requirement){.level = (uint8_t)level_of(route, to),
                                      .implicit = route->tls == CONF_ROUTE_TLS_IMPLICIT,
                                      .lenient = to->lenient,
                                      .keep = (uint8_t)to->keep};
    return copy_texts(q, to);
}

void courier_requirement_fini(struct courier_requirement *q)
{
    free(q->texts);
    *q = (struct courier_requirement){0};
}

struct base_span courier_requirement_group(const struct settings *s,
                                           const struct settings_route *route,
                                           struct base_span domain, const struct policy_key *key)
{
    const struct settings_destination *to = settings_destination_find(s, domain);

    /* Each domain's own name is to be in the certificate. */
    if (level_of(route, to) == DANE_LEVEL_SECURE && to->name_cnt == 0 && key->len > 0)
        return policy_key_domain(key);
    return to->domain;
}

/* The policy becomes one of this login alone. login: NULL: none. */
static void fill_login(const struct courier *c, struct delivery *d,
                       const struct settings_login *login)
{
    d->login = login != NULL ? login->id : 0;
    d->auth_trouble = SMTP_CLIENT_AUTH_FINE;
    if (login == NULL)
        return;
    d->tls_clear_after = false; /* what is to be said is not for all ears */
    d->policy ^= base_siphash13(c->secret, &d->login, sizeof(d->login));
}

void courier_requirement_fill(const struct courier *c, struct delivery *d,
                              const struct settings_route *route)
{
    uint64_t waited_ns = c->settings->conf->queue.backoff_min_ns;
    uint8_t bytes[8 + 2];

    d->tls_begin =
        route->tls == CONF_ROUTE_TLS_IMPLICIT ? DELIVERY_TLS_IMPLICIT : DELIVERY_TLS_BY_STARTTLS;
    d->tls_lenient = !d->kept && (d->requirement->testing ||
                                  settings_destination_find(c->settings, d->job.domain)->lenient);
    d->tls_clear_after =
        c->wall_ns >= d->job.arrival_wall_ns && c->wall_ns - d->job.arrival_wall_ns >= waited_ns;
    base_put_le64(bytes, d->requirement->digest);
    bytes[8] = d->tls_begin;
    bytes[9] = d->tls_lenient;
    d->policy = base_siphash13(c->secret, bytes, sizeof(bytes));
    fill_login(c, d, route->login);
}
