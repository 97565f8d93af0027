/* What differs between two configurations, all of it or what needs a restart. */
#include "conf_internal.h"

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_list(const struct conf_list *a, const struct conf_list *b)
{
    bool same = a->cnt == b->cnt;

    for (uint32_t i = 0; i < a->cnt && same; i++)
        same = strcmp(a->item[i], b->item[i]) == 0;
    return same;
}

bool conf_value_same(const struct conf_setting *s, const char *a, const char *b)
{
    const void *x = a + s->offset, *y = b + s->offset;

    switch (s->type) {
    case CONF_TYPE_BOOL:
        return *(const bool *)x == *(const bool *)y;
    case CONF_TYPE_NUMBER:
    case CONF_TYPE_WEIGHT:
    case CONF_TYPE_SIZE:
    case CONF_TYPE_DURATION:
    case CONF_TYPE_ENUM:
        return *(const uint64_t *)x == *(const uint64_t *)y;
    case CONF_TYPE_LIST:
    case CONF_TYPE_ADDRESSES:
    case CONF_TYPE_NETWORKS:
    case CONF_TYPE_DOMAINS:
    case CONF_TYPE_MAPS:
    case CONF_TYPE_SERVERS:
    case CONF_TYPE_STUBS:
    case CONF_TYPE_ANSWERS:
    case CONF_TYPE_PATHS:
    case CONF_TYPE_HOSTS:
    case CONF_TYPE_REPLIES:
    case CONF_TYPE_PATTERNS:
        return same_list(x, y);
    case CONF_TYPE_STRING:
    case CONF_TYPE_ADDRESS:
    case CONF_TYPE_DOMAIN:
    case CONF_TYPE_RATE:
    case CONF_TYPE_PATH:
        break;
    }
    return same_text(*(const char *const *)x, *(const char *const *)y);
}

bool conf_route_same(const struct conf_route *a, const struct conf_route *b)
{
    for (const struct conf_setting *s = conf_settings; s->block != NULL; s++)
        if (strcmp(s->block, "route") == 0 && !conf_value_same(s, (const char *)a, (const char *)b))
            return false;
    return true;
}

const char *conf_block_instances(const struct conf *c, const struct conf_block *b, uint32_t *cnt)
{
    const char *at = (const char *)c + b->offset;

    *cnt = 1;
    if (b->example == NULL)
        return at;
    *cnt = conf_block_cnt(c, b);
    return *(const char *const *)(const void *)at;
}

/* The same instances in the same order: others may know them by their place. */
static bool same_instances(const struct conf_block *b, const char *x, uint32_t x_cnt, const char *y,
                           uint32_t y_cnt)
{
    if (x_cnt != y_cnt)
        return false;
    for (uint32_t i = 0; i < x_cnt && b->example != NULL; i++)
        if (!same_text(((const struct conf_named *)(const void *)(x + i * b->item_bytes))->name,
                       ((const struct conf_named *)(const void *)(y + i * b->item_bytes))->name))
            return false;
    return true;
}

static bool same_in_all(const struct conf_setting *s, const struct conf_block *b, const char *x,
                        const char *y, uint32_t cnt)
{
    for (uint32_t i = 0; i < cnt; i++)
        if (!conf_value_same(s, x + i * b->item_bytes, y + i * b->item_bytes))
            return false;
    return true;
}

/* all: what a reload may change, too. */
static uint32_t compare(const struct conf *running, const struct conf *wanted, bool all,
                        const struct conf_setting **changed, uint32_t cap)
{
    uint32_t n = 0;

    for (const struct conf_block *b = conf_blocks; b->name != NULL; b++) {
        uint32_t x_cnt, y_cnt;
        const char *x = conf_block_instances(running, b, &x_cnt),
                   *y = conf_block_instances(wanted, b, &y_cnt);
        bool same = same_instances(b, x, x_cnt, y, y_cnt);
        if (!same && b->reloadable && !all)
            continue;
        for (const struct conf_setting *s = conf_settings; s->block != NULL; s++) {
            if (!conf_setting_in(s, b))
                continue;
            if (same && ((s->reloadable && !all) || same_in_all(s, b, x, y, x_cnt)))
                continue;
            if (n < cap)
                changed[n] = s;
            n++;
            if (!same)
                break; /* its first row stands for the blocks themselves */
        }
    }
    return n;
}

uint32_t conf_compare(const struct conf *running, const struct conf *wanted,
                      const struct conf_setting **changed, uint32_t cap)
{
    return compare(running, wanted, false, changed, cap);
}

uint32_t conf_changes(const struct conf *before, const struct conf *after,
                      const struct conf_setting **changed, uint32_t cap)
{
    return compare(before, after, true, changed, cap);
}
