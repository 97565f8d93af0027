/*
 * Which certificates a client gets that asks for a name (SNI, RFC 6066 section 3): for each kind of
 * key the first certificate with that name, else the first with its wildcard (one label, RFC 9525),
 * else none of that kind; for a name that no certificate has, the first of each kind. Each distinct
 * choice is a set, and has a context in each policy; set 0 is the default.
 */
#include "tls_internal.h"

#include <stdlib.h>

/* "a.b.c" by "*.b.c" */
static bool covers(const char *pattern, const char *name)
{
    const char *dot;

    if (strcmp(pattern, name) == 0)
        return true;
    dot = strchr(name, '.');
    return pattern[0] == '*' && pattern[1] == '.' && dot != NULL && dot != name && name[0] != '*' &&
           strcmp(pattern + 1, dot) == 0;
}

static bool has_name(const struct tls_certificate *c, const char *name, bool wildcard)
{
    for (uint32_t i = 0; i < c->info.name_cnt; i++)
        if (wildcard ? covers(c->info.name[i], name) : strcmp(c->info.name[i], name) == 0)
            return true;
    return false;
}

static void choose(const struct tls_domain *d, struct tls_name *n)
{
    for (uint32_t kind = 0; kind < TLS_KIND_CNT; kind++) {
        n->certificate[kind] = -1;
        for (int pass = 0; pass < 2 && n->certificate[kind] < 0; pass++)
            for (uint32_t i = 0; i < d->certificate_cnt && n->certificate[kind] < 0; i++)
                if (d->certificate[i].key.kind == kind &&
                    has_name(&d->certificate[i], n->text, pass == 1))
                    n->certificate[kind] = (int16_t)i;
    }
}

static bool same_set(const struct tls_name *a, const struct tls_name *b)
{
    return memcmp(a->certificate, b->certificate, sizeof(a->certificate)) == 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct tls_name *)a)->text, ((const struct tls_name *)b)->text);
}

static void choose_default(struct tls_domain *d)
{
    for (uint32_t kind = 0; kind < TLS_KIND_CNT; kind++) {
        d->fallback.certificate[kind] = -1;
        for (uint32_t i = d->certificate_cnt; i-- > 0;)
            if (d->certificate[i].key.kind == kind)
                d->fallback.certificate[kind] = (int16_t)i;
    }
    d->fallback.set = 0;
    d->set_cnt = 1;
}

bool tls_name_build(struct tls_domain *d)
{
    uint32_t cap = 0, kept = 0;

    choose_default(d);
    for (uint32_t i = 0; i < d->certificate_cnt; i++)
        cap += d->certificate[i].info.name_cnt;
    d->name = calloc(cap > 0 ? cap : 1, sizeof(d->name[0]));
    if (d->name == NULL)
        return false;
    for (uint32_t i = 0; i < d->certificate_cnt; i++)
        for (uint32_t j = 0; j < d->certificate[i].info.name_cnt; j++)
            memcpy(d->name[d->name_cnt++].text, d->certificate[i].info.name[j], TLS_NAME_BYTES);
    qsort(d->name, d->name_cnt, sizeof(d->name[0]), compare);
    for (uint32_t i = 0; i < d->name_cnt; i++)
        if (kept == 0 || strcmp(d->name[kept - 1].text, d->name[i].text) != 0)
            d->name[kept++] = d->name[i];
    d->name_cnt = kept;
    for (uint32_t i = 0; i < kept; i++) {
        struct tls_name *n = &d->name[i];
        choose(d, n);
        n->set = UINT16_MAX;
        if (same_set(n, &d->fallback))
            n->set = 0;
        for (uint32_t j = 0; j < i && n->set == UINT16_MAX; j++)
            if (same_set(n, &d->name[j]))
                n->set = d->name[j].set;
        if (n->set == UINT16_MAX)
            n->set = (uint16_t)d->set_cnt++;
    }
    return true;
}

static const struct tls_name *find_exact(const struct tls_domain *d, const char *text)
{
    uint32_t low = 0, high = d->name_cnt;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int order = strcmp(text, d->name[middle].text);
        if (order == 0)
            return &d->name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct tls_name *tls_name_find(const struct tls_domain *d, const char *text)
{
    char name[TLS_NAME_BYTES], wildcard[TLS_NAME_BYTES + 1];
    const struct tls_name *n;
    const char *dot;

    if (!tls_name_normalize(name, base_span_str(text)) || name[0] == '*')
        return &d->fallback;
    if ((n = find_exact(d, name)) != NULL)
        return n;
    dot = strchr(name, '.');
    if (dot == NULL || dot == name || strlen(dot) + 1 >= sizeof(wildcard))
        return &d->fallback;
    wildcard[0] = '*';
    memcpy(wildcard + 1, dot, strlen(dot) + 1);
    n = find_exact(d, wildcard);
    return n != NULL ? n : &d->fallback;
}
