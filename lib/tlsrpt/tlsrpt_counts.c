#include "tlsrpt_counts.h"
#include "base_siphash.h"

#include <errno.h>
#include <stdlib.h>

int tlsrpt_counts_init(struct tlsrpt_counts *c, uint32_t bucket_cnt, size_t bytes_max,
                       const uint8_t key[16])
{
    base_assert(bucket_cnt > 0 && (bucket_cnt & (bucket_cnt - 1)) == 0);
    *c = (struct tlsrpt_counts){.bucket_cnt = bucket_cnt, .bytes_max = bytes_max};
    memcpy(c->key, key, sizeof(c->key));
    base_list_init(&c->domains);
    c->buckets = calloc(bucket_cnt, sizeof(struct tlsrpt_domain *));
    return c->buckets != NULL ? 0 : -ENOMEM;
}

/* One that is in no list. */
static void free_domain(struct tlsrpt_counts *c, struct tlsrpt_domain *d)
{
    struct tlsrpt_policy *p;
    struct tlsrpt_detail *row;

    while ((p = d->policies) != NULL) {
        while ((row = p->details) != NULL) {
            p->details = row->next;
            c->bytes -= sizeof(*row) + row->len;
            free(row);
        }
        d->policies = p->next;
        c->bytes -= sizeof(*p) + p->len;
        free(p);
    }
    c->bytes -= sizeof(*d) + d->len + 1;
    free(d);
}

void tlsrpt_counts_fini(struct tlsrpt_counts *c)
{
    struct base_list *node;

    while (c->buckets != NULL && (node = base_list_pop_front(&c->domains)) != NULL)
        free_domain(c, base_container_of(node, struct tlsrpt_domain, node));
    c->domain_cnt = 0;
    free(c->buckets);
    c->buckets = NULL;
}

static struct tlsrpt_domain **bucket_of(const struct tlsrpt_counts *c, uint32_t day,
                                        struct base_span name)
{
    uint64_t hash = base_siphash13(c->key, name.p, name.len) + day * UINT64_C(0x9e3779b97f4a7c15);

    return &c->buckets[(hash ^ hash >> 32) & (c->bucket_cnt - 1)];
}

struct tlsrpt_domain *tlsrpt_counts_find(const struct tlsrpt_counts *c, uint32_t day,
                                         struct base_span domain)
{
    struct tlsrpt_domain *d = *bucket_of(c, day, domain);

    while (d != NULL && (d->day != day || !base_span_eq(tlsrpt_domain_name(d), domain)))
        d = d->hash_next;
    return d;
}

/* NULL: no room is left. */
static void *take(struct tlsrpt_counts *c, size_t bytes)
{
    if (c->bytes_max - c->bytes < bytes)
        return NULL;
    void *p = calloc(1, bytes);
    if (p != NULL)
        c->bytes += bytes;
    return p;
}

/* Not in the table yet. */
static struct tlsrpt_domain *new_domain(struct tlsrpt_counts *c, uint32_t day,
                                        struct base_span name)
{
    struct tlsrpt_domain *d;

    if (name.len == 0 || name.len > TLSRPT_DOMAIN_MAX)
        return NULL;
    d = take(c, sizeof(*d) + name.len + 1);
    if (d == NULL)
        return NULL;
    d->day = day;
    d->len = (uint32_t)name.len;
    memcpy(d->name, name.p, name.len);
    return d;
}

static void link_domain(struct tlsrpt_counts *c, struct tlsrpt_domain *d)
{
    struct tlsrpt_domain **bucket = bucket_of(c, d->day, tlsrpt_domain_name(d));

    d->hash_next = *bucket;
    *bucket = d;
    base_list_push_back(&c->domains, &d->node);
    c->domain_cnt++;
}

static struct tlsrpt_policy *get_policy(struct tlsrpt_counts *c, struct tlsrpt_domain *d,
                                        struct base_span text)
{
    struct tlsrpt_policy **at = &d->policies;

    for (; *at != NULL; at = &(*at)->next)
        if (base_span_eq(base_span_of((*at)->text, (*at)->len), text))
            return *at;
    if (d->policy_cnt == TLSRPT_POLICIES_MAX || text.len == 0 || text.len > TLSRPT_POLICY_MAX)
        return NULL;
    struct tlsrpt_policy *p = take(c, sizeof(*p) + text.len);
    if (p == NULL)
        return NULL;
    p->len = (uint32_t)text.len;
    memcpy(p->text, text.p, text.len);
    *at = p;
    d->policy_cnt++;
    return p;
}

/* There is always one for each result, with nothing else in it, when the others are too many. */
static struct tlsrpt_detail *get_detail(struct tlsrpt_counts *c, struct tlsrpt_policy *p,
                                        struct base_span text, uint32_t max)
{
    struct tlsrpt_detail **at = &p->details;

    for (; *at != NULL; at = &(*at)->next)
        if (base_span_eq(base_span_of((*at)->text, (*at)->len), text))
            return *at;
    if (p->detail_cnt >= max || text.len > TLSRPT_DETAIL_MAX + 8)
        return NULL;
    struct tlsrpt_detail *d = take(c, sizeof(*d) + text.len);
    if (d == NULL)
        return NULL;
    d->len = (uint32_t)text.len;
    memcpy(d->text, text.p, text.len);
    *at = d;
    p->detail_cnt++;
    return d;
}

static struct tlsrpt_detail *get_short_detail(struct tlsrpt_counts *c, struct tlsrpt_policy *p,
                                              struct base_span text)
{
    uint8_t bytes[64];
    struct base_buf out = {.p = bytes, .cap = sizeof(bytes)};
    struct base_span result;

    if (!tlsrpt_field(&text, &result) || base_buf_put_span(&out, result) != 0 ||
        base_buf_puts(&out, "\t\t\t\t") != 0)
        return NULL;
    return get_detail(c, p, base_buf_span(&out), TLSRPT_DETAILS_MAX + TLSRPT_RESULT_CNT);
}

int tlsrpt_counts_add(struct tlsrpt_counts *c, uint32_t day, struct base_span domain,
                      struct base_span policy, struct base_span detail, uint64_t n)
{
    struct tlsrpt_domain *known = tlsrpt_counts_find(c, day, domain);
    struct tlsrpt_domain *d = known != NULL ? known : new_domain(c, day, domain);
    struct tlsrpt_policy *p = d != NULL ? get_policy(c, d, policy) : NULL;
    struct tlsrpt_detail *row = NULL;

    if (p != NULL && detail.len > 0) {
        row = get_detail(c, p, detail, TLSRPT_DETAILS_MAX);
        if (row == NULL)
            row = get_short_detail(c, p, detail);
    }
    if (p != NULL && known == NULL)
        link_domain(c, d);
    if (p == NULL || (detail.len > 0 && row == NULL)) {
        if (p == NULL && known == NULL && d != NULL)
            free_domain(c, d);
        c->dropped_cnt += n;
        return -ENOSPC;
    }
    if (row == NULL) {
        p->success_cnt += n;
    } else {
        p->failure_cnt += n;
        row->cnt += n;
    }
    return 0;
}

static uint64_t merge_policy(struct tlsrpt_counts *c, const struct tlsrpt_domain *from,
                             const struct tlsrpt_policy *p)
{
    struct base_span name = tlsrpt_domain_name(from), policy = base_span_of(p->text, p->len);
    uint64_t lost = 0;

    if (p->success_cnt > 0 &&
        tlsrpt_counts_add(c, from->day, name, policy, base_span_of(NULL, 0), p->success_cnt) != 0)
        lost += p->success_cnt;
    for (const struct tlsrpt_detail *d = p->details; d != NULL; d = d->next)
        if (d->cnt > 0 && tlsrpt_counts_add(c, from->day, name, policy,
                                            base_span_of(d->text, d->len), d->cnt) != 0)
            lost += d->cnt;
    return lost;
}

uint64_t tlsrpt_counts_merge(struct tlsrpt_counts *c, const struct tlsrpt_counts *from,
                             uint32_t closed)
{
    uint64_t lost = 0;

    for (const struct base_list *n = from->domains.next; n != &from->domains; n = n->next) {
        const struct tlsrpt_domain *d =
            (const struct tlsrpt_domain *)((const uint8_t *)n -
                                           __builtin_offsetof(struct tlsrpt_domain, node));
        if (d->day <= closed) {
            lost += tlsrpt_domain_success(d) + tlsrpt_domain_failure(d);
            continue;
        }
        for (const struct tlsrpt_policy *p = d->policies; p != NULL; p = p->next)
            lost += merge_policy(c, d, p);
    }
    return lost;
}

void tlsrpt_counts_remove(struct tlsrpt_counts *c, struct tlsrpt_domain *d)
{
    struct tlsrpt_domain **at = bucket_of(c, d->day, tlsrpt_domain_name(d));

    while (*at != d)
        at = &(*at)->hash_next;
    *at = d->hash_next;
    base_list_remove(&d->node);
    c->domain_cnt--;
    free_domain(c, d);
}

uint64_t tlsrpt_domain_success(const struct tlsrpt_domain *d)
{
    uint64_t n = 0;

    for (const struct tlsrpt_policy *p = d->policies; p != NULL; p = p->next)
        n += p->success_cnt;
    return n;
}

uint64_t tlsrpt_domain_failure(const struct tlsrpt_domain *d)
{
    uint64_t n = 0;

    for (const struct tlsrpt_policy *p = d->policies; p != NULL; p = p->next)
        n += p->failure_cnt;
    return n;
}
