#include "spool_internal.h"

#include <errno.h>
#include <stdlib.h>

#define TABLE_MIN 1024

static uint32_t hash_of(const struct spool_id *id)
{
    /* Ids are made by this gateway: time, lane, counter. Nobody outside chooses them. */
    uint64_t x = base_le64(id->b) ^ base_le64(id->b + 8) * UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    return (uint32_t)(x >> 32);
}

int spool_index_init(struct spool *s)
{
    s->table = calloc(TABLE_MIN, sizeof(struct spool_message *));
    s->table_mask = TABLE_MIN - 1;
    return s->table == NULL ? -ENOMEM : 0;
}

void spool_coming_forget(struct spool_coming *c)
{
    if (c->envelope != c->near)
        free(c->envelope);
    c->envelope = NULL;
    c->envelope_cap = 0;
}

int spool_coming_keep(struct spool_coming *c, uint32_t len, const uint8_t *p, uint32_t more)
{
    if (more > c->envelope_cap - len) {
        uint32_t cap = len + more + c->envelope_cap;
        bool near = c->envelope == c->near;
        uint8_t *e = realloc(near ? NULL : c->envelope, cap);
        if (e == NULL)
            return -ENOMEM;
        if (near)
            memcpy(e, c->near, len);
        c->envelope = e;
        c->envelope_cap = cap;
    }
    if (more > 0)
        memcpy(c->envelope + len, p, more);
    return 0;
}

void spool_message_settled(struct spool_message *m)
{
    if (m->coming == NULL)
        return;
    spool_coming_forget(m->coming);
    free(m->coming->arrival);
    free(m->coming);
    m->coming = NULL;
}

static void extents_free(struct spool_message *m)
{
    if (m->extent_cnt > SPOOL_EXTENT_INLINE)
        free(m->extents.far);
    m->extent_cnt = 0;
}

static void message_free(struct spool_message *m)
{
    extents_free(m);
    spool_message_settled(m);
    free(m->outcomes);
    free(m);
}

void spool_index_fini(struct spool *s)
{
    for (uint32_t i = 0; s->table != NULL && i <= s->table_mask; i++)
        for (struct spool_message *m = s->table[i], *next; m != NULL; m = next) {
            next = m->hash_next;
            message_free(m);
        }
    free(s->table);
    s->table = NULL;
}

struct spool_message *spool_message_find(struct spool *s, const struct spool_id *id)
{
    if (s->found != NULL && spool_id_eq(&s->found->id, id))
        return s->found;
    struct spool_message *m = s->table[hash_of(id) & s->table_mask];
    while (m != NULL && !spool_id_eq(&m->id, id))
        m = m->hash_next;
    s->found = m;
    return m;
}

/* Without memory the chains only get longer. */
static void table_resize(struct spool *s, uint32_t mask)
{
    struct spool_message **table = calloc((size_t)mask + 1, sizeof(struct spool_message *));
    if (table == NULL)
        return;
    for (uint32_t i = 0; i <= s->table_mask; i++)
        for (struct spool_message *m = s->table[i], *next; m != NULL; m = next) {
            uint32_t at = hash_of(&m->id) & mask;
            next = m->hash_next;
            m->hash_next = table[at];
            table[at] = m;
        }
    free(s->table);
    s->table = table;
    s->table_mask = mask;
}

void spool_index_reserve(struct spool *s, uint64_t cnt)
{
    uint32_t mask = s->table_mask;
    while (mask < cnt && mask < UINT32_MAX / 4)
        mask = mask * 2 + 1;
    if (mask > s->table_mask)
        table_resize(s, mask);
}

void spool_message_expect(const struct spool *s, const struct spool_id *id)
{
    __builtin_prefetch(&s->table[hash_of(id) & s->table_mask]);
}

void spool_message_expect_more(const struct spool *s, const struct spool_id *id)
{
    const struct spool_message *m = s->table[hash_of(id) & s->table_mask];
    if (m != NULL)
        __builtin_prefetch(m);
}

struct spool_message *spool_message_add(struct spool *s, const struct spool_id *id,
                                        uint32_t envelope_bytes)
{
    struct spool_message *m = calloc(1, sizeof(*m));
    struct spool_coming *coming = malloc(sizeof(*coming) + envelope_bytes);
    if (m == NULL || coming == NULL) {
        free(m);
        free(coming);
        return NULL;
    }
    *coming = (struct spool_coming){.envelope = coming->near, .envelope_cap = envelope_bytes};
    m->coming = coming;
    if (s->message_cnt > s->table_mask && s->table_mask < UINT32_MAX / 4)
        table_resize(s, s->table_mask * 2 + 1);
    uint32_t at = hash_of(id) & s->table_mask;
    m->id = *id;
    m->state_slot = SPOOL_SLOT_NONE;
    m->hash_next = s->table[at];
    s->table[at] = m;
    s->found = m;
    s->message_cnt++;
    s->open_cnt++;
    return m;
}

static void live_add(struct spool *s, uint64_t place, uint32_t len)
{
    uint32_t bytes = spool_record_bytes(len);
    s->segments[spool_place_slot(place)].live_bytes += bytes;
    s->live_bytes += bytes;
}

static void live_remove(struct spool *s, uint64_t place, uint32_t len)
{
    uint32_t bytes = spool_record_bytes(len);
    struct spool_segment *g = &s->segments[spool_place_slot(place)];
    base_assert(g->live_bytes >= bytes && s->live_bytes >= bytes);
    g->live_bytes -= bytes;
    s->live_bytes -= bytes;
}

static void state_release(struct spool *s, struct spool_message *m)
{
    if (m->state_slot == SPOOL_SLOT_NONE)
        return;
    base_assert(s->segments[m->state_slot].state_refs > 0);
    s->segments[m->state_slot].state_refs--;
    m->state_slot = SPOOL_SLOT_NONE;
}

void spool_message_drop(struct spool *s, struct spool_message *m)
{
    struct spool_message **at = &s->table[hash_of(&m->id) & s->table_mask];
    base_assert(m->state != SPOOL_MESSAGE_GONE);
    while (*at != m)
        at = &(*at)->hash_next;
    *at = m->hash_next;
    if (s->found == m)
        s->found = NULL;
    s->message_cnt--;
    if (m->state == SPOOL_MESSAGE_OPEN || m->state == SPOOL_MESSAGE_COMMITTING)
        s->open_cnt--;
    else
        s->queued_cnt--;
    for (uint32_t i = 0; i < m->extent_cnt; i++) {
        const struct spool_extent *e = spool_extent_of(m, i);
        if (e->offset_8 != 0)
            live_remove(s, spool_extent_place(e), e->len);
    }
    extents_free(m);
    if (m->commit_place != 0)
        live_remove(s, m->commit_place, SPOOL_COMMIT_LEN);
    m->commit_place = 0;
    state_release(s, m);
    m->state = SPOOL_MESSAGE_GONE;
    if (m->ref_cnt == 0)
        message_free(m);
}

void spool_message_unref(struct spool *s, struct spool_message *m)
{
    (void)s;
    base_assert(m->ref_cnt > 0);
    if (--m->ref_cnt == 0 && m->state == SPOOL_MESSAGE_GONE)
        message_free(m);
}

/* Few are kept exactly, many doubled. */
static uint32_t extent_cap(uint32_t cnt)
{
    uint32_t cap = 16;
    if (cnt <= SPOOL_EXTENT_INLINE)
        return SPOOL_EXTENT_INLINE;
    if (cnt <= cap)
        return (cnt + 3) & ~UINT32_C(3);
    while (cap < cnt)
        cap *= 2;
    return cap;
}

int spool_message_extents(struct spool_message *m, uint32_t sequence)
{
    uint32_t old = m->extent_cnt, cnt = sequence + 1;
    if (sequence < old)
        return 0;
    if (sequence >= SPOOL_PIECE_CNT_MAX)
        return -E2BIG;
    if (extent_cap(cnt) > extent_cap(old)) {
        struct spool_extent *far = old > SPOOL_EXTENT_INLINE ? m->extents.far : NULL;
        struct spool_extent *e = realloc(far, extent_cap(cnt) * sizeof(*e));
        if (e == NULL)
            return -ENOMEM;
        if (far == NULL)
            memcpy(e, m->extents.near, old * sizeof(*e));
        m->extents.far = e;
    }
    m->extent_cnt = cnt;
    memset(spool_extent_at(m, old), 0, (cnt - old) * sizeof(struct spool_extent));
    return 0;
}

void spool_message_place(struct spool *s, struct spool_message *m, uint32_t sequence,
                         uint64_t place)
{
    base_assert(sequence < m->extent_cnt);
    struct spool_extent *e = spool_extent_at(m, sequence);
    uint64_t offset = spool_place_offset(place);
    base_assert(offset % 8 == 0 && offset < SPOOL_SEGMENT_BYTES_MAX);
    if (e->offset_8 != 0)
        live_remove(s, spool_extent_place(e), e->len);
    e->offset_8 = (uint32_t)(offset / 8);
    e->slot = spool_place_slot(place);
    live_add(s, place, e->len);
}

void spool_message_unplace(struct spool *s, struct spool_message *m, uint32_t sequence)
{
    struct spool_extent *e = spool_extent_at(m, sequence);
    live_remove(s, spool_extent_place(e), e->len);
    e->offset_8 = 0;
}

void spool_message_place_commit(struct spool *s, struct spool_message *m, uint64_t place)
{
    if (m->commit_place != 0)
        live_remove(s, m->commit_place, SPOOL_COMMIT_LEN);
    m->commit_place = place;
    live_add(s, place, SPOOL_COMMIT_LEN);
}

void spool_message_state_at(struct spool *s, struct spool_message *m, uint32_t slot, bool replace)
{
    if (m->state_slot != SPOOL_SLOT_NONE && !replace)
        return;
    state_release(s, m);
    m->state_slot = slot;
    s->segments[slot].state_refs++;
}

/* Room for outcomes of cnt recipients and, with own, that of the message, which stays the last. */
static int outcomes_grow(struct spool_message *m, uint32_t cnt, bool own)
{
    if (cnt < m->outcome_cnt)
        cnt = m->outcome_cnt;
    own |= m->has_own;
    if (cnt == m->outcome_cnt && own == m->has_own)
        return 0;
    if (cnt > SPOOL_RECIPIENT_CNT_MAX)
        return -E2BIG;
    struct spool_outcome *o = realloc(m->outcomes, (cnt + own) * sizeof(*o));
    if (o == NULL)
        return -ENOMEM;
    struct spool_outcome last = {.recipient = SPOOL_OUTCOME_MESSAGE};
    if (m->has_own)
        last = o[m->outcome_cnt];
    memset(o + m->outcome_cnt, 0, (cnt - m->outcome_cnt) * sizeof(*o));
    for (uint32_t i = m->outcome_cnt; i < cnt; i++)
        o[i].recipient = i;
    if (own)
        o[cnt] = last;
    m->outcomes = o;
    m->outcome_cnt = cnt;
    m->has_own = own;
    return 0;
}

int spool_message_outcomes(struct spool_message *m, const uint8_t *payload, uint32_t len)
{
    struct spool_outcome o;
    for (uint32_t at = 0; at + sizeof(o) <= len; at += sizeof(o)) {
        memcpy(&o, payload + at, sizeof(o));
        bool own = o.recipient == SPOOL_OUTCOME_MESSAGE;
        if (!own && o.recipient >= SPOOL_RECIPIENT_CNT_MAX)
            return -E2BIG;
        int rc = outcomes_grow(m, own ? 0 : o.recipient + 1, own);
        if (rc < 0)
            return rc;
        m->outcomes[own ? m->outcome_cnt : o.recipient] = o;
    }
    return 0;
}

struct spool_arrival *spool_arrival_make(const struct spool_message *m, const uint8_t *envelope)
{
    size_t head = (sizeof(struct spool_arrival) + 7) & ~(size_t)7;
    size_t outcomes = (size_t)m->recipient_cnt * sizeof(struct spool_outcome);
    uint8_t *p = malloc(head + outcomes + m->envelope_len);
    if (p == NULL)
        return NULL;
    struct spool_arrival *a = (struct spool_arrival *)(void *)p;
    a->content_bytes = m->content_bytes;
    a->recipient_cnt = m->recipient_cnt;
    a->envelope_len = m->envelope_len;
    a->held = spool_message_held(m);
    a->outcomes = (struct spool_outcome *)(void *)(p + head);
    a->envelope = p + head + outcomes;
    memset(a->outcomes, 0, outcomes);
    for (uint32_t i = 0; i < m->recipient_cnt; i++) {
        a->outcomes[i].recipient = i;
        if (i < m->outcome_cnt)
            a->outcomes[i] = m->outcomes[i];
    }
    if (envelope != NULL)
        memcpy(a->envelope, envelope, m->envelope_len);
    return a;
}

void spool_arrival_free(struct spool_arrival *a)
{
    free(a);
}
