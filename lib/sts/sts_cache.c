#include "sts_cache.h"
#include "base_siphash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define BUCKET_CNT 4096
#define CHAIN_MAX  256 /* that sts_cache_next goes through: four are usual, by a secret key */

int sts_cache_init(struct sts_cache *c, const uint8_t key[16])
{
    *c = (struct sts_cache){.buckets = calloc(BUCKET_CNT, sizeof(struct sts_entry *))};
    base_list_init(&c->entries);
    memcpy(c->key, key, sizeof(c->key));
    return c->buckets != NULL ? 0 : -ENOMEM;
}

static uint64_t hash_of(const struct sts_cache *c, const char *domain)
{
    return base_siphash13(c->key, domain, strlen(domain));
}

static struct sts_entry **place(const struct sts_cache *c, uint64_t hash, const char *domain)
{
    struct sts_entry **at = &c->buckets[hash % BUCKET_CNT];

    while (*at != NULL && ((*at)->hash != hash || strcmp((*at)->domain, domain) != 0))
        at = &(*at)->hash_next;
    return at;
}

static void drop_policy(struct sts_entry *e)
{
    free((void *)(uintptr_t)e->policy.mx);
    e->policy = (struct sts_policy){0};
    e->has_policy = false;
}

static void forget(struct sts_cache *c, struct sts_entry *e)
{
    struct sts_entry **at = place(c, e->hash, e->domain);

    base_assert(*at == e);
    *at = e->hash_next;
    base_list_remove(&e->node);
    c->cnt--;
    c->changed |= e->has_policy;
    drop_policy(e);
    free(e);
}

void sts_cache_fini(struct sts_cache *c)
{
    struct base_list *node;

    while (c->buckets != NULL && (node = base_list_pop_front(&c->entries)) != NULL)
        forget(c, base_container_of(node, struct sts_entry, node));
    free(c->buckets);
    c->buckets = NULL;
}

struct sts_entry *sts_cache_find(const struct sts_cache *c, const char *domain)
{
    return *place(c, hash_of(c, domain), domain);
}

struct sts_entry *sts_cache_get(struct sts_cache *c, const char *domain)
{
    struct sts_entry *e = sts_cache_find(c, domain);
    size_t len = strlen(domain);

    if (e != NULL)
        return e;
    e = calloc(1, sizeof(*e));
    if (e == NULL || len >= sizeof(e->domain)) {
        free(e);
        return NULL;
    }
    if (c->cnt == STS_CACHE_MAX)
        forget(c, base_container_of(c->entries.next, struct sts_entry, node));
    memcpy(e->domain, domain, len);
    e->hash = hash_of(c, domain);
    base_list_push_back(&c->entries, &e->node);
    struct sts_entry **at = place(c, e->hash, domain);
    *at = e;
    c->cnt++;
    return e;
}

/* at: the bucket, and behind it the place in its chain. */
struct sts_entry *sts_cache_next(const struct sts_cache *c, uint32_t *at)
{
    for (uint32_t bucket = *at / CHAIN_MAX; bucket < BUCKET_CNT; bucket++) {
        uint32_t nth = *at % CHAIN_MAX;
        struct sts_entry *e = c->buckets[bucket];
        for (uint32_t i = 0; e != NULL && i < nth; i++)
            e = e->hash_next;
        if (e != NULL && nth < CHAIN_MAX - 1) {
            *at = bucket * CHAIN_MAX + nth + 1;
            return e;
        }
        *at = (bucket + 1) * CHAIN_MAX;
    }
    return NULL;
}

void sts_cache_touch(struct sts_cache *c, struct sts_entry *e, uint64_t now_s)
{
    /* Written down now and then: a day more or less makes no difference. */
    c->changed |= e->has_policy && now_s > e->used_s + STS_REFRESH_MAX_S;
    e->used_s = now_s;
    base_list_remove(&e->node);
    base_list_push_back(&c->entries, &e->node);
}

/* ---- what holds ---- */

uint64_t sts_entry_expires_s(const struct sts_entry *e, uint64_t now_s)
{
    if (e == NULL || !e->has_policy)
        return 0;
    uint64_t from_s = e->fetched_s < now_s ? e->fetched_s : now_s;
    uint64_t end_s = from_s + e->policy.max_age_s;
    return end_s > now_s ? end_s : 0;
}

static uint64_t pause_s(const struct sts_entry *e)
{
    uint64_t s = STS_RETRY_MIN_S;

    for (uint32_t i = 1; i < e->failed_cnt && s < STS_RETRY_MAX_S; i++)
        s *= 2;
    return s < STS_RETRY_MAX_S ? s : STS_RETRY_MAX_S;
}

/* After a fetch that failed; a clock that went back holds up none. */
static bool may_fetch(const struct sts_entry *e, const char *id, uint64_t now_s)
{
    if (e->failed_cnt == 0 || now_s < e->failed_s)
        return true;
    uint64_t wait_s = strcmp(e->failed_id, id) == 0 ? pause_s(e) : STS_RETRY_OTHER_S;
    return now_s - e->failed_s >= wait_s;
}

bool sts_entry_wants(const struct sts_entry *e, enum sts_record record, const char *id,
                     uint64_t now_s)
{
    if (record != STS_RECORD_VALID)
        return false;
    if (e == NULL)
        return true;
    if (sts_entry_expires_s(e, now_s) > 0 && strcmp(e->id, id) == 0)
        return false;
    return may_fetch(e, id, now_s);
}

uint64_t sts_entry_refresh_s(const struct sts_entry *e, uint64_t now_s)
{
    if (sts_entry_expires_s(e, now_s) == 0 || now_s > e->used_s + STS_UNUSED_S)
        return UINT64_MAX;
    uint64_t after_s = e->policy.max_age_s / 2;
    after_s = after_s < STS_REFRESH_MAX_S ? after_s : STS_REFRESH_MAX_S;
    after_s = after_s > STS_REFRESH_MIN_S ? after_s : STS_REFRESH_MIN_S;
    uint64_t due_s = e->fetched_s + after_s;
    if (e->failed_cnt > 0 && due_s < e->failed_s + pause_s(e))
        due_s = e->failed_s + pause_s(e);
    return due_s;
}

/* ---- fetches ---- */

int sts_cache_store(struct sts_cache *c, struct sts_entry *e, const char *id,
                    const struct sts_policy *policy, uint64_t now_s)
{
    char *mx = malloc(policy->mx_len + 1);

    base_assert(strlen(id) < STS_ID_CAP);
    if (mx == NULL)
        return -ENOMEM;
    if (policy->mx_len > 0)
        memcpy(mx, policy->mx, policy->mx_len);
    drop_policy(e);
    e->policy = *policy;
    e->policy.mx = mx;
    e->has_policy = true;
    snprintf(e->id, sizeof(e->id), "%s", id);
    e->fetched_s = now_s;
    e->used_s = now_s > e->used_s ? now_s : e->used_s;
    e->failed_cnt = 0;
    e->failure = STS_FAILURE_NONE;
    e->why[0] = 0;
    c->changed = true;
    return 0;
}

void sts_cache_failed(struct sts_cache *c, struct sts_entry *e, const char *id,
                      enum sts_failure failure, const char *why, uint64_t now_s)
{
    (void)c;
    e->failed_cnt = strcmp(e->failed_id, id) == 0 ? e->failed_cnt + 1 : 1;
    snprintf(e->failed_id, sizeof(e->failed_id), "%.32s", id);
    snprintf(e->why, sizeof(e->why), "%.110s", why);
    e->failure = (uint8_t)failure;
    e->failed_s = now_s;
}
