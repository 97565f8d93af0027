#include "source_ledger.h"
#include "base_assert.h"
#include "base_siphash.h"

#include <errno.h>
#include <stdlib.h>

#define WAYS 8 /* places that a site may have */

int source_ledger_init(struct source_ledger *l)
{
    *l = (struct source_ledger){0};
    l->sources = calloc(SOURCE_LEDGER_MAX, sizeof(l->sources[0]));
    l->sites = calloc(SOURCE_SITE_MAX, sizeof(l->sites[0]));
    l->asides = calloc(SOURCE_ASIDE_MAX, sizeof(l->asides[0]));
    return l->sources != NULL && l->sites != NULL && l->asides != NULL ? 0 : -ENOMEM;
}

void source_ledger_fini(struct source_ledger *l)
{
    free(l->sources);
    free(l->sites);
    free(l->asides);
    *l = (struct source_ledger){0};
}

/* ---- names ---- */

void source_ledger_unuse(struct source_ledger *l)
{
    for (uint32_t i = 0; i < l->source_cnt; i++)
        l->sources[i].used = false;
}

static void forget_asides(struct source_ledger *l, uint32_t source)
{
    for (uint32_t i = 0; i < SOURCE_ASIDE_MAX && l->aside_cnt > 0; i++)
        if (l->asides[i].until_ns > 0 && l->asides[i].source == source) {
            l->asides[i].until_ns = 0;
            l->aside_cnt--;
        }
}

uint32_t source_ledger_use(struct source_ledger *l, const char *name)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < l->source_cnt; i++)
        if (strcmp(l->sources[i].name, name) == 0) {
            l->sources[i].used = true;
            return i;
        }
    if (l->source_cnt < SOURCE_LEDGER_MAX) {
        at = l->source_cnt++;
    } else {
        while (at < SOURCE_LEDGER_MAX && l->sources[at].used)
            at++;
        if (at == SOURCE_LEDGER_MAX)
            return UINT32_MAX;
        forget_asides(l, at);
    }
    l->sources[at] = (struct source_state){.used = true};
    snprintf(l->sources[at].name, sizeof(l->sources[at].name), "%s", name);
    return at;
}

/* ---- counts ---- */

/* The same over restarts. Who chooses names of sites can make two share a count, which holds mail
 * back and never lets more through. */
static uint64_t key_of(const struct source_ledger *l, uint32_t source, const char *site)
{
    static const uint8_t key[16] = "sites of sources";
    char text[SOURCE_NAME_CAP + SOURCE_SITE_CAP];
    int n = snprintf(text, sizeof(text), "%s %s", l->sources[source].name, site);
    size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;

    return base_siphash(key, text, len) | 1; /* 0: a free place */
}

/* The day's count; 0 takes the place of the day that is farther off: of one to come, else of the
 * older one. */
uint32_t *source_count_at(struct source_count *c, uint32_t day)
{
    if (c->day[0] == day)
        return &c->cnt[0];
    if (c->day[1] == day)
        return &c->cnt[1];
    uint32_t at = c->day[0] > day ? 0 : c->day[1] > day ? 1 : c->day[0] > c->day[1];
    c->day[at] = day;
    c->cnt[at] = 0;
    return &c->cnt[at];
}

static uint32_t count_of(const struct source_count *c, uint32_t day)
{
    return c->day[0] == day ? c->cnt[0] : c->day[1] == day ? c->cnt[1] : 0;
}

static const struct source_count *find_site(const struct source_ledger *l, uint32_t source,
                                            uint64_t key)
{
    for (uint32_t i = 0; i < WAYS; i++) {
        const struct source_count *c = &l->sites[(key + i) % SOURCE_SITE_MAX];
        if (c->key == key)
            return c;
    }
    return &l->sources[source].other;
}

struct source_count *source_ledger_site(struct source_ledger *l, uint32_t source, uint64_t key,
                                        uint32_t day)
{
    struct source_count *old = NULL;

    for (uint32_t i = 0; i < WAYS; i++) {
        struct source_count *c = &l->sites[(key + i) % SOURCE_SITE_MAX];
        if (c->key == key)
            return c;
        /* One of yesterday stays, as yesterday may come again. */
        uint32_t newest = c->day[0] > c->day[1] ? c->day[0] : c->day[1];
        if (old == NULL && (c->key == 0 || newest + 1 < day))
            old = c;
    }
    if (old == NULL)
        return &l->sources[source].other;
    *old = (struct source_count){.key = key};
    return old;
}

uint32_t source_ledger_count(const struct source_ledger *l, uint32_t source, const char *site,
                             uint32_t day)
{
    base_assert(source < l->source_cnt);
    return site == NULL ? count_of(&l->sources[source].all, day)
                        : count_of(find_site(l, source, key_of(l, source, site)), day);
}

void source_ledger_take(struct source_ledger *l, uint32_t source, const char *site, uint32_t day,
                        uint32_t cnt)
{
    struct source_count *at = source_ledger_site(l, source, key_of(l, source, site), day);

    *source_count_at(&l->sources[source].all, day) += cnt;
    *source_count_at(at, day) += cnt;
    l->changed = true;
}

void source_ledger_give(struct source_ledger *l, uint32_t source, const char *site, uint32_t day,
                        uint32_t cnt)
{
    uint64_t key = key_of(l, source, site);
    uint32_t *both[] = {source_count_at(&l->sources[source].all, day),
                        source_count_at(source_ledger_site(l, source, key, day), day)};

    /* It may have been forgotten in between. */
    for (uint32_t i = 0; i < 2; i++)
        *both[i] -= *both[i] < cnt ? *both[i] : cnt;
    l->changed = true;
}

/* ---- set aside ---- */

static struct source_aside *find(const struct source_ledger *l, uint32_t source, const char *site)
{
    for (uint32_t i = 0, left = l->aside_cnt; i < SOURCE_ASIDE_MAX && left > 0; i++) {
        struct source_aside *a = &l->asides[i];
        if (a->until_ns == 0)
            continue;
        left--;
        if (a->source == source && strcmp(a->site, site) == 0)
            return a;
    }
    return NULL;
}

const struct source_aside *source_ledger_aside(const struct source_ledger *l, uint32_t source,
                                               const char *site, uint64_t now_ns)
{
    const struct source_aside *a = l->aside_cnt > 0 ? find(l, source, site) : NULL;

    return a != NULL && a->until_ns > now_ns ? a : NULL;
}

/* A free place, or that of the one that ends first. */
struct source_aside *source_ledger_place(struct source_ledger *l)
{
    struct source_aside *first = &l->asides[0];

    for (uint32_t i = 0; i < SOURCE_ASIDE_MAX && first->until_ns > 0; i++)
        if (l->asides[i].until_ns < first->until_ns)
            first = &l->asides[i];
    l->aside_cnt += first->until_ns == 0;
    *first = (struct source_aside){0};
    return first;
}

static void put_why(struct source_aside *a, struct base_span why)
{
    size_t n = why.len < sizeof(a->why) - 1 ? why.len : sizeof(a->why) - 1;

    for (size_t i = 0; i < n; i++)
        a->why[i] = why.p[i] >= ' ' && why.p[i] < 0x7f ? (char)why.p[i] : '?';
    a->why[n] = 0;
}

uint64_t source_ledger_set_aside(struct source_ledger *l, uint32_t source, const char *site,
                                 struct base_span why, uint64_t min_ns, uint64_t max_ns,
                                 uint64_t now_ns)
{
    struct source_aside *a = find(l, source, site);
    uint64_t ns = min_ns;

    if (a != NULL && a->until_ns > now_ns)
        return a->until_ns - now_ns;
    if (a == NULL) {
        a = source_ledger_place(l);
        a->source = source;
        snprintf(a->site, sizeof(a->site), "%s", site);
    }
    for (uint32_t i = 0; i < a->step && ns < max_ns; i++)
        ns *= 2;
    ns = ns < max_ns ? ns : max_ns;
    a->step++;
    a->until_ns = now_ns + ns;
    put_why(a, why);
    l->changed = true;
    return ns;
}

void source_ledger_took(struct source_ledger *l, uint32_t source, const char *site, uint64_t now_ns)
{
    struct source_aside *a = l->aside_cnt > 0 ? find(l, source, site) : NULL;

    if (a == NULL || a->until_ns > now_ns)
        return;
    a->until_ns = 0;
    l->aside_cnt--;
    l->changed = true;
}

uint32_t source_ledger_release(struct source_ledger *l, uint32_t source, const char *site,
                               uint64_t now_ns)
{
    uint32_t cnt = 0;

    for (uint32_t i = 0; i < SOURCE_ASIDE_MAX && l->aside_cnt > 0; i++) {
        struct source_aside *a = &l->asides[i];
        if (a->until_ns == 0 || a->source != source || (site != NULL && strcmp(a->site, site) != 0))
            continue;
        cnt += a->until_ns > now_ns;
        a->until_ns = 0;
        l->aside_cnt--;
    }
    l->changed |= cnt > 0;
    return cnt;
}
