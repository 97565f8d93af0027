#include "policy_walk.h"
#include "base_siphash.h"

/* The hash stands for the address. What is hashed is what the operator's files hold, so the key may
 * be a constant. */
static uint64_t hash_of(const struct policy_key *key)
{
    static const uint8_t seed[16] = "sluice addresses";
    uint64_t h = base_siphash(seed, key->text, key->len);

    return h != 0 ? h : 1; /* 0: a free slot */
}

/* Puts the address into the set, as that of the next node. Returns false when it was there. Where
 * hashes are the same the addresses decide. */
static bool see(struct policy_walk *k, const struct policy_key *key)
{
    uint64_t h = hash_of(key);
    uint32_t i = (uint32_t)h & (POLICY_WALK_SLOTS - 1);
    struct policy_key there;

    base_static_assert((POLICY_WALK_SLOTS & (POLICY_WALK_SLOTS - 1)) == 0, "a mask");
    for (; k->seen[i] != 0; i = (i + 1) & (POLICY_WALK_SLOTS - 1)) {
        uint16_t node = k->seen_node[i];
        if (k->seen[i] != h)
            continue;
        if (node == 0
                ? policy_key_eq(k->start, key)
                : policy_key_text(&there, k->node[node].text) == 0 && policy_key_eq(&there, key))
            return false;
    }
    k->seen[i] = h;
    k->seen_node[i] = (uint16_t)k->cnt;
    return true;
}

void policy_walk_start(struct policy_walk *k, const struct policy_tables *t,
                       const struct policy_reading *r, struct policy_work *w,
                       const struct policy_key *start, uint32_t max)
{
    base_assert(max >= 1 && max <= POLICY_TARGET_MAX);
    k->tables = t;
    k->reading = r;
    k->work = w;
    k->start = start;
    k->max = max;
    k->cnt = 0;
    k->next = 0;
    k->hit = (struct policy_hit){0};
    k->node[0] = (struct policy_node){.text = policy_key_span(start)};
    memset(k->seen, 0, sizeof(k->seen));
    (void)see(k, start);
    k->cnt = 1;
}

/* "@domain" as a target: the same local part there. The text goes into the work area. */
static bool with_domain(struct policy_walk *k, const struct policy_key *of, struct base_span *item)
{
    uint8_t room[POLICY_KEY_CAP];
    struct base_buf out = {.p = room, .cap = sizeof(room)};
    bool plain = true;

    for (size_t i = 0; i < of->at; i++) {
        uint8_t c = of->text[i];
        plain = plain && ((uint8_t)((c | 0x20) - 'a') < 26 || (uint8_t)(c - '0') < 10 || c == '-' ||
                          c == '_' || c == '+' || c == '=' || c >= 0x80 ||
                          (c == '.' && i > 0 && i + 1u < of->at && of->text[i - 1] != '.'));
    }
    bool ok = plain || base_buf_put(&out, "\"", 1) == 0;
    for (size_t i = 0; i < of->at && ok; i++) {
        if (!plain && (of->text[i] == '"' || of->text[i] == '\\'))
            ok = base_buf_put(&out, "\\", 1) == 0;
        ok = ok && base_buf_put(&out, of->text + i, 1) == 0;
    }
    ok = ok && (plain || base_buf_put(&out, "\"", 1) == 0) && base_buf_put_span(&out, *item) == 0;
    const uint8_t *kept = ok ? policy_work_keep(k->work, base_buf_span(&out)) : NULL;
    *item = base_span_of(kept, out.len);
    return kept != NULL;
}

static bool is_word(struct base_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.p[i];
        if ((uint8_t)((c | 0x20) - 'a') >= 26 && (uint8_t)(c - '0') >= 10 && c < 0x80 &&
            strchr("-_+=#", c) == NULL)
            return false;
    }
    return true;
}

/* The extension of the address goes on to the target, where it can stand in a plain local part that
 * is not too long by it. The text goes into the work area. */
static bool with_extension(struct policy_walk *k, const struct policy_key *of,
                           struct base_span *item)
{
    const struct policy_reading *r = k->reading;
    uint8_t room[POLICY_KEY_CAP];
    struct base_buf out = {.p = room, .cap = sizeof(room)};
    const uint8_t *from =
        of->at > 1 && r->extension != 0 ? memchr(of->text + 1, r->extension, of->at - 1u) : NULL;
    const uint8_t *at = item->len > 0 ? memrchr(item->p, '@', item->len) : NULL;

    if (!r->propagate || !k->hit.unextended || from == NULL || at == NULL || item->p[0] == '"')
        return true;
    struct base_span extension = base_span_of(from, (size_t)(of->text + of->at - from));
    struct base_span local = base_span_of(item->p, (size_t)(at - item->p));
    if (!is_word(extension) || local.len + extension.len > SMTP_LOCAL_MAX)
        return true;
    int failed = base_buf_put_span(&out, local) | base_buf_put_span(&out, extension) |
                 base_buf_put(&out, at, item->len - local.len);
    const uint8_t *kept = failed == 0 ? policy_work_keep(k->work, base_buf_span(&out)) : NULL;
    *item = base_span_of(kept, out.len);
    return kept != NULL;
}

/* Puts the targets of an alias behind the others. */
static enum policy_step add_targets(struct policy_walk *k, const struct policy_key *of,
                                    uint16_t step)
{
    struct base_span items = k->hit.items, item;
    struct policy_key key;
    bool kept = false; /* itself, once */

    while (policy_items_next(&items, &item)) {
        bool whole_domain = item.len > 0 && item.p[0] == '@';
        if (whole_domain ? !with_domain(k, of, &item) : !with_extension(k, of, &item))
            return POLICY_STEP_ERROR;
        if (policy_key_text(&key, item) != 0 || key.at == 0 || !policy_key_has_domain(&key))
            return POLICY_STEP_ERROR;
        bool itself = policy_key_eq(&key, of) && !kept;
        if (!see(k, &key) && !itself)
            continue;
        kept = kept || itself;
        if (k->cnt == k->max)
            return POLICY_STEP_LIMIT;
        k->node[k->cnt++] =
            (struct policy_node){.text = item, .step = (uint16_t)(step + 1), .is_end = itself};
    }
    return POLICY_STEP_INNER;
}

enum policy_step policy_walk_next(struct policy_walk *k, struct policy_key *key,
                                  const struct policy_node **node)
{
    if (k->next == k->cnt)
        return POLICY_STEP_END;
    const struct policy_node *n = &k->node[k->next++];
    *node = n;
    if (n == &k->node[0])
        *key = *k->start;
    else if (policy_key_text(key, n->text) != 0)
        return POLICY_STEP_ERROR;
    if (n->is_end)
        return POLICY_STEP_LEAF;
    switch (policy_find_alias(k->tables, k->reading, k->work, key, &k->hit)) {
    case POLICY_FOUND_NOT:
        return POLICY_STEP_LEAF;
    case POLICY_FOUND:
        return add_targets(k, key, n->step);
    case POLICY_FOUND_ERROR:
        break;
    }
    return POLICY_STEP_ERROR;
}
