#include "policy_tables.h"
#include "policy_walk.h"

#include <errno.h>
#include <stdlib.h>

struct policy_tables *policy_tables_make(void)
{
    return calloc(1, sizeof(struct policy_tables));
}

void policy_tables_free(struct policy_tables *t)
{
    if (t == NULL)
        return;
    for (int role = 0; role < POLICY_ROLE_CNT; role++)
        for (uint32_t i = 0; i < t->cnt[role]; i++)
            policy_map_free(t->map[role][i]);
    free(t->srs);
    free(t);
}

struct mail_srs *policy_tables_add_srs(struct policy_tables *t, const char *domain)
{
    size_t len = strlen(domain);

    base_assert(t->srs == NULL);
    if (len >= sizeof(t->srs_domain))
        return NULL;
    t->srs = calloc(1, sizeof(*t->srs));
    if (t->srs == NULL)
        return NULL;
    memcpy(t->srs_domain, domain, len + 1);
    t->srs->domain = base_span_of(t->srs_domain, len);
    return t->srs;
}

int policy_tables_add(struct policy_tables *t, enum policy_role role, struct policy_map *map)
{
    if (t->cnt[role] == POLICY_MAP_MAX)
        return -ENOSPC;
    t->map[role][t->cnt[role]++] = map;
    return 0;
}

int policy_login_key(const struct policy_reading *r, struct policy_key *out, struct base_span login)
{
    uint8_t full[POLICY_KEY_CAP];

    if (login.len == 0 || login.p[0] == '@')
        return -EINVAL;
    if (memchr(login.p, '@', login.len) != NULL || r->login_domain.len == 0)
        return policy_key_text(out, login);
    if (login.len + 1 + r->login_domain.len > sizeof(full))
        return -EINVAL;
    memcpy(full, login.p, login.len);
    full[login.len] = '@';
    memcpy(full + login.len + 1, r->login_domain.p, r->login_domain.len);
    return policy_key_text(out, base_span_of(full, login.len + 1 + r->login_domain.len));
}

/* ---- one lookup in one map ---- */

/* The part of the address alone, and its domain alone, as keys. */
static bool name_key(const struct policy_reading *r, const struct policy_key *address,
                     struct policy_key *out)
{
    if (r->is_local == NULL || address->at == 0 || !policy_key_has_domain(address) ||
        memchr(address->text, '@', address->at) != NULL ||
        !r->is_local(r->arg, policy_key_domain(address)))
        return false;
    memcpy(out->text, address->text, address->at);
    out->len = out->at = address->at;
    return true;
}

static bool domain_key(const struct policy_key *address, struct policy_key *out)
{
    if (!policy_key_has_domain(address))
        return false;
    out->at = 0;
    out->len = (uint16_t)(address->len - address->at);
    memcpy(out->text, address->text + address->at, out->len);
    return true;
}

static enum policy_found find_exact(const struct policy_map *m, const struct policy_reading *r,
                                    const struct policy_key *address, struct policy_hit *hit)
{
    struct policy_key other;

    if (policy_map_find(m, address, NULL, hit) == POLICY_FOUND)
        return POLICY_FOUND;
    if (policy_key_base(&other, address, r->extension) &&
        policy_map_find(m, &other, NULL, hit) == POLICY_FOUND) {
        hit->unextended = true;
        return POLICY_FOUND;
    }
    if (!name_key(r, address, &other))
        return POLICY_FOUND_NOT;
    if (policy_map_find(m, &other, NULL, hit) == POLICY_FOUND)
        return POLICY_FOUND;
    struct policy_key base;
    if (!policy_key_base(&base, &other, r->extension) ||
        policy_map_find(m, &base, NULL, hit) != POLICY_FOUND)
        return POLICY_FOUND_NOT;
    hit->unextended = true;
    return POLICY_FOUND;
}

static enum policy_found find_domain(const struct policy_map *m, const struct policy_key *address,
                                     struct policy_hit *hit)
{
    struct policy_key domain;

    if (!domain_key(address, &domain) || policy_map_find(m, &domain, NULL, hit) != POLICY_FOUND)
        return POLICY_FOUND_NOT;
    hit->unextended = true;
    return POLICY_FOUND;
}

enum policy_found policy_find_key(const struct policy_tables *t, const struct policy_reading *r,
                                  struct policy_work *w, enum policy_role role,
                                  const struct policy_key *address, uint32_t *from,
                                  struct policy_hit *hit)
{
    while (*from < t->cnt[role]) {
        const struct policy_map *m = t->map[role][(*from)++];
        enum policy_found found;
        if (policy_map_has_patterns(m)) {
            found = policy_map_find(m, address, w, hit);
        } else {
            found = find_exact(m, r, address, hit);
            if (found == POLICY_FOUND_NOT)
                found = find_domain(m, address, hit);
        }
        if (found != POLICY_FOUND_NOT)
            return found;
    }
    return POLICY_FOUND_NOT;
}

bool policy_is_account(const struct policy_tables *t, const struct policy_reading *r,
                       const struct policy_key *address)
{
    struct policy_key base;
    struct policy_hit hit;

    for (uint32_t i = 0; i < t->cnt[POLICY_ROLE_ACCOUNTS]; i++) {
        const struct policy_map *m = t->map[POLICY_ROLE_ACCOUNTS][i];
        if (policy_map_find(m, address, NULL, &hit) == POLICY_FOUND)
            return true;
        if (policy_key_base(&base, address, r->extension) &&
            policy_map_find(m, &base, NULL, &hit) == POLICY_FOUND)
            return true;
    }
    return false;
}

enum policy_found policy_find_alias(const struct policy_tables *t, const struct policy_reading *r,
                                    struct policy_work *w, const struct policy_key *address,
                                    struct policy_hit *hit)
{
    struct policy_map *const *maps = t->map[POLICY_ROLE_ALIASES];
    uint32_t cnt = t->cnt[POLICY_ROLE_ALIASES];

    for (uint32_t i = 0; i < cnt; i++)
        if (!policy_map_has_patterns(maps[i]) &&
            find_exact(maps[i], r, address, hit) == POLICY_FOUND)
            return POLICY_FOUND;
    for (uint32_t i = 0; i < cnt; i++) {
        if (!policy_map_has_patterns(maps[i]))
            continue;
        enum policy_found found = policy_map_find(maps[i], address, w, hit);
        if (found != POLICY_FOUND_NOT)
            return found;
    }
    if (cnt == 0 || policy_is_account(t, r, address))
        return POLICY_FOUND_NOT;
    for (uint32_t i = 0; i < cnt; i++)
        if (!policy_map_has_patterns(maps[i]) && find_domain(maps[i], address, hit) == POLICY_FOUND)
            return POLICY_FOUND;
    return POLICY_FOUND_NOT;
}

/* ---- recipients ---- */

enum policy_found policy_exists(const struct policy_tables *t, const struct policy_reading *r,
                                struct policy_work *w, const struct policy_key *address)
{
    struct policy_hit hit;
    uint32_t from = 0;

    if (policy_is_account(t, r, address))
        return POLICY_FOUND;
    enum policy_found found =
        policy_find_key(t, r, w, POLICY_ROLE_RECIPIENTS, address, &from, &hit);
    return found == POLICY_FOUND_NOT ? policy_find_alias(t, r, w, address, &hit) : found;
}

/* ---- columns ---- */

static bool has_at(struct base_span text)
{
    return memchr(text.p, '@', text.len) != NULL;
}

static bool is_account_text(const struct policy_tables *t, struct base_span text)
{
    static const struct policy_reading plain;
    struct policy_key key;

    return policy_key_text(&key, text) == 0 && policy_is_account(t, &plain, &key);
}

/* What one line looks like: 1 swapped, -1 the right way, 0 no telling. */
static int line_way(const struct policy_tables *t, struct base_span key, struct base_span items)
{
    bool accounts = t->cnt[POLICY_ROLE_ACCOUNTS] > 0, all_addresses = true;
    uint32_t logins = 0, cnt = 0;
    struct base_span item;

    while (policy_items_next(&items, &item)) {
        if (item.len > 0 && item.p[0] == '@')
            return 1; /* "@domain" is no login */
        all_addresses = all_addresses && has_at(item);
        logins += accounts && is_account_text(t, item);
        cnt++;
    }
    if (!accounts)
        return has_at(key) ? -1 : all_addresses ? 1 : 0;
    if (logins > 0)
        return logins == cnt ? -1 : 0;
    return is_account_text(t, key) ? 1 : 0;
}

bool policy_tables_swapped(const struct policy_tables *t, const struct policy_map *m,
                           uint32_t *line)
{
    uint64_t swapped = 0, right = 0;
    struct base_span key;
    struct policy_hit hit;
    size_t at = 0;

    while (policy_map_next(m, &at, &key, &hit)) {
        int way = line_way(t, key, hit.items);
        if (way > 0 && swapped++ == 0)
            *line = hit.line;
        right += way < 0;
    }
    return swapped > right;
}
