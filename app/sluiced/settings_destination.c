/* The table of what next hops must prove, by destination. */
#include "settings_internal.h"

#include <stdlib.h>

base_static_assert((int)CONF_DELIVERY_TLS_SECURE == (int)DANE_LEVEL_SECURE, "one list of levels");
base_static_assert((int)CONF_REQUIRETLS_DISABLE == (int)DANE_KEEP_DISABLE, "one list of policies");
base_static_assert((int)CONF_DELIVERY_TLS_DANE == (int)DANE_LEVEL_DANE, "one list of levels");

static int compare(const void *a, const void *b)
{
    const struct settings_destination *x = a, *y = b;

    return settings_compare_text(x->domain, y->domain);
}

/* conf_parse has checked them. */
static bool fill_fingerprints(struct settings_destination *d, const struct conf_list *list)
{
    size_t bytes = CONF_FINGERPRINT_BYTES + sizeof(d->fingerprints[0]);

    if (list->cnt == 0)
        return true;
    d->fingerprints = calloc(list->cnt, bytes);
    if (d->fingerprints == NULL)
        return false;
    uint8_t *at = (uint8_t *)(d->fingerprints + list->cnt);
    for (uint32_t i = 0; i < list->cnt; i++, at += CONF_FINGERPRINT_BYTES) {
        base_assert(conf_fingerprint_parse(at, list->item[i]));
        d->fingerprints[d->fingerprint_cnt++] = base_span_of(at, CONF_FINGERPRINT_BYTES);
    }
    return true;
}

bool settings_fill_destinations(struct settings *s)
{
    const struct conf *conf = s->conf;

    s->default_destination = (struct settings_destination){
        .level = (enum dane_level)conf->delivery.tls,
        .lenient = !conf->delivery.defer_on_tls_error,
        .keep = (enum dane_keep)conf->delivery.requiretls,
    };
    s->destinations = calloc(conf->destination_cnt + 1, sizeof(s->destinations[0]));
    if (s->destinations == NULL)
        return false;
    for (uint32_t i = 0; i < conf->destination_cnt; i++) {
        const struct conf_destination *c = &conf->destination[i];
        struct settings_destination *d = &s->destinations[s->destination_cnt++];
        *d = (struct settings_destination){
            .domain = base_span_str(c->name),
            .level = (enum dane_level)c->tls,
            .lenient = !c->defer_on_tls_error,
            .keep =
                (enum dane_keep)(c->requiretls > 0 ? c->requiretls - 1 : conf->delivery.requiretls),
            .names = c->names.item,
            .name_cnt = c->names.cnt,
        };
        if (!fill_fingerprints(d, &c->fingerprints))
            return false;
    }
    qsort(s->destinations, s->destination_cnt, sizeof(s->destinations[0]), compare);
    return true;
}

void settings_free_destinations(struct settings *s)
{
    for (uint32_t i = 0; i < s->destination_cnt; i++)
        free(s->destinations[i].fingerprints);
    free(s->destinations);
}

static const struct settings_destination *find(const struct settings *s, struct base_span domain)
{
    struct settings_destination wanted = {.domain = domain};

    return bsearch(&wanted, s->destinations, s->destination_cnt, sizeof(wanted), compare);
}

const struct settings_destination *settings_destination_find(const struct settings *s,
                                                             struct base_span domain)
{
    const struct settings_destination *d = NULL;
    struct policy_key key;

    if (s->destination_cnt == 0 || policy_key_of_domain(&key, domain) != 0)
        return &s->default_destination;
    struct base_span name = policy_key_domain(&key);
    d = find(s, name);
    for (size_t i = 0; d == NULL && i < name.len; i++)
        if (name.p[i] == '.')
            d = find(s, base_span_of(name.p + i, name.len - i));
    return d != NULL ? d : &s->default_destination;
}
