/*
 * Codes of results. An item has a number of two bytes for both its codes: one below STATUS_OWN is
 * the SMTP code itself, without an enhanced one; the others name a pair, kept once for all
 * recipients that were told the same. Peers choose these pairs, so there is a bound on them; past
 * it the SMTP code has to do.
 */
#include "base_siphash.h"
#include "queue_internal.h"

#define STATUS_OWN       1000 /* codes of SMTP have three digits */
#define STATUS_CAP_FIRST 64
#define STATUS_MAX       4096

static struct queue_status *status_at(const struct queue *q, const struct queue_item *item)
{
    return item->status < STATUS_OWN ? NULL : &q->statuses[item->status - STATUS_OWN];
}

uint16_t queue_status_code(const struct queue *q, const struct queue_item *item)
{
    const struct queue_status *s = status_at(q, item);
    return s == NULL ? item->status : s->code;
}

uint32_t queue_status_enhanced(const struct queue *q, const struct queue_item *item)
{
    const struct queue_status *s = status_at(q, item);
    return s == NULL ? 0 : s->enhanced;
}

static uint16_t *chain_of(struct queue *q, uint16_t code, uint32_t enhanced)
{
    uint8_t key[6];
    base_put_le16(key, code);
    base_put_le32(key + 2, enhanced);
    return &q->status_by[base_siphash13(q->hash_key, key, sizeof(key)) % QUEUE_STATUS_CHAINS];
}

static bool grow(struct queue *q)
{
    uint32_t cap = q->status_cap == 0 ? STATUS_CAP_FIRST : q->status_cap * 2;
    if (cap > STATUS_MAX)
        return false;
    struct queue_status *s = queue_alloc(q, cap * sizeof(*s));
    if (s == NULL)
        return false;
    if (q->status_cap > 0)
        memcpy(s, q->statuses, q->status_cap * sizeof(*s));
    queue_free(q, q->statuses, q->status_cap * sizeof(*s));
    q->statuses = s;
    q->status_cap = cap;
    return true;
}

/* The number of the pair, from 1, with one more user; 0: there is no room. */
static uint16_t pair_get(struct queue *q, uint16_t code, uint32_t enhanced)
{
    uint16_t *chain = chain_of(q, code, enhanced);
    for (uint16_t n = *chain; n != 0; n = q->statuses[n - 1].next)
        if (q->statuses[n - 1].code == code && q->statuses[n - 1].enhanced == enhanced) {
            q->statuses[n - 1].user_cnt++;
            return n;
        }
    uint16_t n = q->status_free;
    if (n != 0)
        q->status_free = q->statuses[n - 1].next;
    else if (q->status_cnt < q->status_cap || grow(q))
        n = ++q->status_cnt;
    else
        return 0;
    q->statuses[n - 1] =
        (struct queue_status){.enhanced = enhanced, .user_cnt = 1, .code = code, .next = *chain};
    *chain = n;
    return n;
}

void queue_status_drop(struct queue *q, struct queue_item *item)
{
    struct queue_status *s = status_at(q, item);
    uint16_t n = (uint16_t)(item->status - STATUS_OWN + 1);
    item->status = 0;
    if (s == NULL || --s->user_cnt > 0)
        return;
    uint16_t *at = chain_of(q, s->code, s->enhanced);
    while (*at != n)
        at = &q->statuses[*at - 1].next;
    *at = s->next;
    s->next = q->status_free;
    q->status_free = n;
}

void queue_status_set(struct queue *q, struct queue_item *item, uint16_t code, uint32_t enhanced)
{
    uint16_t n = 0;
    queue_status_drop(q, item);
    if (enhanced != 0 || code >= STATUS_OWN)
        n = pair_get(q, code, enhanced);
    if (n != 0)
        item->status = (uint16_t)(n - 1 + STATUS_OWN);
    else
        item->status = code < STATUS_OWN ? code : 0;
}

void queue_status_fini(struct queue *q)
{
    queue_free(q, q->statuses, q->status_cap * sizeof(struct queue_status));
}
