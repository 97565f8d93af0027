/* Whose an address is, and where mail to it goes: both follow its aliases. */
#include "policy_walk.h"

static bool names_login(const struct policy_reading *r, struct base_span items,
                        const struct policy_key *login)
{
    struct policy_key key;
    struct base_span item;

    while (policy_items_next(&items, &item))
        if (policy_login_key(r, &key, item) == 0 && policy_key_eq(&key, login))
            return true;
    return false;
}

static enum policy_owner by_maps(const struct policy_tables *t, const struct policy_reading *r,
                                 struct policy_work *w, const struct policy_key *login,
                                 const struct policy_key *address, struct policy_why *why)
{
    uint32_t from = 0;

    for (;;) {
        switch (policy_find_key(t, r, w, POLICY_ROLE_OWNERS, address, &from, &why->hit)) {
        case POLICY_FOUND_NOT:
            why->hit = (struct policy_hit){0};
            return POLICY_OWNER_NOT;
        case POLICY_FOUND_ERROR:
            return POLICY_OWNER_ERROR;
        case POLICY_FOUND:
            if (names_login(r, why->hit.items, login))
                return POLICY_OWNER_MAP;
        }
    }
}

/* Follows the aliases; login NULL: to any account, or when no account is known to wherever they
 * lead. */
static enum policy_owner by_aliases(const struct policy_tables *t, const struct policy_reading *r,
                                    struct policy_work *w, const struct policy_key *login,
                                    const struct policy_key *address, struct policy_why *why)
{
    const struct policy_node *node;
    struct policy_key key, base;
    bool any = login == NULL && t->cnt[POLICY_ROLE_ACCOUNTS] == 0;

    enum policy_found first = policy_find_alias(t, r, w, address, &why->hit);
    if (first != POLICY_FOUND || any)
        return first == POLICY_FOUND_NOT ? POLICY_OWNER_NOT
               : first == POLICY_FOUND   ? POLICY_OWNER_ALIAS
                                         : POLICY_OWNER_ERROR;
    struct policy_walk *k = policy_work_walk(w);
    struct policy_hit direct = why->hit;
    policy_walk_start(k, t, r, w, address, POLICY_TARGET_MAX);
    for (;;) {
        switch (policy_walk_next(k, &key, &node)) {
        case POLICY_STEP_END:
            why->hit = (struct policy_hit){0};
            return POLICY_OWNER_NOT;
        case POLICY_STEP_ERROR:
        case POLICY_STEP_LIMIT:
            why->hit = k->hit;
            return POLICY_OWNER_ERROR;
        case POLICY_STEP_LEAF:
        case POLICY_STEP_INNER:
            break;
        }
        if (node->step == 0)
            continue;
        bool found = login == NULL ? policy_is_account(t, r, &key)
                                   : policy_key_eq(&key, login) ||
                                         (policy_key_base(&base, &key, r->extension) &&
                                          policy_key_eq(&base, login));
        if (!found)
            continue;
        why->hit = direct;
        why->step_cnt = node->step;
        return POLICY_OWNER_ALIAS;
    }
}

/* Whether address is the login's own, or an extension of it that is nobody else's. */
static bool is_own(const struct policy_tables *t, const struct policy_reading *r,
                   const struct policy_key *login, const struct policy_key *address)
{
    struct policy_key base;
    struct policy_hit hit;

    if (policy_key_eq(login, address))
        return true;
    if (!policy_key_base(&base, address, r->extension) || !policy_key_eq(&base, login))
        return false;
    for (uint32_t i = 0; i < t->cnt[POLICY_ROLE_ACCOUNTS]; i++)
        if (policy_map_find(t->map[POLICY_ROLE_ACCOUNTS][i], address, NULL, &hit) == POLICY_FOUND)
            return false;
    for (uint32_t i = 0; i < t->cnt[POLICY_ROLE_ALIASES]; i++)
        if (!policy_map_has_patterns(t->map[POLICY_ROLE_ALIASES][i]) &&
            policy_map_find(t->map[POLICY_ROLE_ALIASES][i], address, NULL, &hit) == POLICY_FOUND)
            return false;
    return true;
}

enum policy_owner policy_owns(const struct policy_tables *t, const struct policy_reading *r,
                              struct policy_work *w, const struct policy_key *login,
                              const struct policy_key *address, struct policy_why *why)
{
    struct policy_why unasked;

    if (why == NULL)
        why = &unasked;
    *why = (struct policy_why){0};
    policy_work_reset(w);
    if (is_own(t, r, login, address))
        return POLICY_OWNER_ITSELF;
    enum policy_owner owner = by_maps(t, r, w, login, address, why);
    if (owner == POLICY_OWNER_NOT)
        owner = by_aliases(t, r, w, login, address, why);
    return owner;
}

bool policy_find_owners(const struct policy_tables *t, const struct policy_reading *r,
                        struct policy_work *w, const struct policy_key *address, uint32_t *from,
                        struct policy_hit *hit)
{
    return policy_find_key(t, r, w, POLICY_ROLE_OWNERS, address, from, hit) == POLICY_FOUND;
}

enum policy_found policy_has_owner(const struct policy_tables *t, const struct policy_reading *r,
                                   struct policy_work *w, const struct policy_key *address)
{
    struct policy_why why = {0};
    uint32_t from = 0;

    policy_work_reset(w);
    if (policy_is_account(t, r, address))
        return POLICY_FOUND;
    enum policy_found found =
        policy_find_key(t, r, w, POLICY_ROLE_OWNERS, address, &from, &why.hit);
    if (found != POLICY_FOUND_NOT)
        return found;
    switch (by_aliases(t, r, w, NULL, address, &why)) {
    case POLICY_OWNER_NOT:
        return POLICY_FOUND_NOT;
    case POLICY_OWNER_ERROR:
        return POLICY_FOUND_ERROR;
    default:
        return POLICY_FOUND;
    }
}

enum policy_expansion_result policy_expand(const struct policy_tables *t,
                                           const struct policy_reading *r, struct policy_work *w,
                                           const struct policy_key *address, uint32_t max,
                                           struct policy_expansion *out)
{
    const struct policy_node *node;
    struct policy_hit hit = {0};
    struct policy_key key;

    policy_work_reset(w);
    out->cnt = 0;
    out->line = 0;
    out->map = NULL;
    if (policy_find_alias(t, r, w, address, &hit) == POLICY_FOUND_NOT)
        return POLICY_EXPANSION_SAME;
    struct policy_walk *k = policy_work_walk(w);
    policy_walk_start(k, t, r, w, address, max);
    for (;;) {
        enum policy_step step = policy_walk_next(k, &key, &node);
        if (step == POLICY_STEP_END)
            break;
        if (step == POLICY_STEP_LEAF)
            out->target[out->cnt++] = node->text;
        if (step == POLICY_STEP_ERROR || step == POLICY_STEP_LIMIT) {
            out->map = k->hit.map;
            out->line = k->hit.line;
            return step == POLICY_STEP_LIMIT ? POLICY_EXPANSION_LIMIT : POLICY_EXPANSION_ERROR;
        }
    }
    out->map = hit.map;
    out->line = hit.line;
    return out->cnt > 0 ? POLICY_EXPANSION_OTHER : POLICY_EXPANSION_LOOP;
}
