#include "policy_verify.h"
#include "base_siphash.h"

#include <errno.h>
#include <stdlib.h>

#define EVICT_MAX 16 /* looked at for one that may give way */

int policy_verify_init(struct policy_verify *v, uint32_t max, const uint8_t secret[16])
{
    *v = (struct policy_verify){.slot_cnt = 64, .max = max};
    memcpy(v->secret, secret, sizeof(v->secret));
    base_list_init(&v->used);
    while (v->slot_cnt < max && v->slot_cnt < UINT32_C(1) << 24)
        v->slot_cnt *= 2;
    v->table = calloc(v->slot_cnt, sizeof(struct policy_verify_entry *));
    return v->table != NULL ? 0 : -ENOMEM;
}

void policy_verify_fini(struct policy_verify *v)
{
    struct base_list *node;

    while (v->table != NULL && (node = base_list_pop_front(&v->used)) != NULL)
        free(base_container_of(node, struct policy_verify_entry, used));
    free(v->table);
    *v = (struct policy_verify){0};
}

void policy_verify_limit(struct policy_verify *v, uint32_t max)
{
    v->max = max;
}

static struct base_span key_of(const struct policy_verify_entry *e)
{
    return base_span_of(e->bytes, e->key_len);
}

static struct policy_verify_entry **slot_of(const struct policy_verify *v, struct base_span key)
{
    return &v->table[base_siphash13(v->secret, key.p, key.len) & (v->slot_cnt - 1)];
}

static void drop(struct policy_verify *v, struct policy_verify_entry *e)
{
    struct policy_verify_entry **link = slot_of(v, key_of(e));

    while (*link != e)
        link = &(*link)->next;
    *link = e->next;
    base_list_remove(&e->used);
    v->cnt--;
    free(e);
}

/* Returns false when none of those used longest ago may go. */
static bool make_room(struct policy_verify *v, uint64_t now_ns)
{
    for (int i = 0; i < EVICT_MAX && v->cnt >= v->max; i++) {
        struct base_list *node = base_list_pop_front(&v->used);
        if (node == NULL)
            return false;
        struct policy_verify_entry *e = base_container_of(node, struct policy_verify_entry, used);
        base_list_push_back(&v->used, node);
        if (e->asking)
            continue;
        v->forgotten_cnt += e->expires_ns > now_ns;
        drop(v, e);
    }
    return v->cnt < v->max;
}

struct policy_verify_entry *policy_verify_get(struct policy_verify *v, struct base_span key,
                                              struct base_span mailbox, uint64_t now_ns)
{
    struct policy_verify_entry **slot = slot_of(v, key), *e;

    base_assert(key.len <= UINT16_MAX && mailbox.len <= UINT16_MAX);
    for (e = *slot; e != NULL; e = e->next)
        if (base_span_eq(key_of(e), key)) {
            base_list_remove(&e->used);
            base_list_push_back(&v->used, &e->used);
            return e;
        }
    if (!make_room(v, now_ns))
        return NULL;
    e = malloc(sizeof(*e) + key.len + mailbox.len);
    if (e == NULL)
        return NULL;
    *e = (struct policy_verify_entry){
        .next = *slot, .key_len = (uint16_t)key.len, .mailbox_len = (uint16_t)mailbox.len};
    base_list_init(&e->waiters);
    if (key.len > 0)
        memcpy(e->bytes, key.p, key.len);
    if (mailbox.len > 0)
        memcpy(e->bytes + key.len, mailbox.p, mailbox.len);
    *slot = e;
    base_list_push_back(&v->used, &e->used);
    v->cnt++;
    return e;
}

enum policy_verify_answer policy_verify_known(const struct policy_verify_entry *e, uint64_t now_ns,
                                              bool *old)
{
    *old = false;
    if (e->said.answer == POLICY_VERIFY_NONE || now_ns >= e->expires_ns)
        return POLICY_VERIFY_NONE;
    *old = now_ns >= e->refresh_ns;
    return (enum policy_verify_answer)e->said.answer;
}

static uint64_t later(uint64_t now_ns, uint64_t ns)
{
    return ns < UINT64_MAX - now_ns ? now_ns + ns : UINT64_MAX;
}

void policy_verify_note(struct policy_verify_entry *e, const struct policy_verify_said *said,
                        const struct policy_verify_times *times, uint64_t now_ns)
{
    bool old;
    enum policy_verify_answer held = policy_verify_known(e, now_ns, &old);

    switch ((enum policy_verify_answer)said->answer) {
    case POLICY_VERIFY_NONE:
        return;
    case POLICY_VERIFY_UNDECIDED:
        e->refresh_ns = later(now_ns, POLICY_VERIFY_UNDECIDED_NS);
        if (held == POLICY_VERIFY_GOOD || held == POLICY_VERIFY_BAD)
            return;
        e->expires_ns = e->refresh_ns;
        break;
    case POLICY_VERIFY_GOOD:
        e->expires_ns = later(now_ns, times->positive_expire_ns);
        e->refresh_ns = later(now_ns, times->positive_refresh_ns);
        break;
    case POLICY_VERIFY_BAD:
        e->expires_ns = later(now_ns, times->negative_expire_ns);
        e->refresh_ns = later(now_ns, times->negative_refresh_ns);
        break;
    }
    e->said = *said;
}

void policy_verify_forget_refusals(struct policy_verify *v)
{
    for (struct base_list *node = v->used.next; node != &v->used; node = node->next) {
        struct policy_verify_entry *e = base_container_of(node, struct policy_verify_entry, used);
        if (e->said.answer != POLICY_VERIFY_GOOD)
            e->expires_ns = 0;
    }
}
