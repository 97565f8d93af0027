/*
 * The table of one stack: 4-tuple -> connection, half-open entry or TIME-WAIT entry.
 *
 * Buckets of one cache line with 16-bit tags. An entry whose bucket is full goes to the next one
 * with room; every bucket that it passed counts it, so that a look-up stops at the first bucket
 * that none has passed. At most half full; the hash is keyed, so that no peer can choose where
 * entries gather.
 */
#include "tcp_internal.h"

#include "base_siphash.h"

#include <errno.h>
#include <stdlib.h>

int tcp_table_init(struct tcp_table *t, uint32_t entry_max)
{
    uint32_t bucket_cnt = 1;

    while (bucket_cnt * (uint64_t)TCP_BUCKET_SLOTS < 2 * (uint64_t)entry_max)
        bucket_cnt *= 2;
    t->bucket = aligned_alloc(64, bucket_cnt * sizeof(*t->bucket));
    if (t->bucket == NULL)
        return -ENOMEM;
    memset(t->bucket, 0, bucket_cnt * sizeof(*t->bucket));
    t->mask = bucket_cnt - 1;
    return 0;
}

void tcp_table_fini(struct tcp_table *t)
{
    free(t->bucket);
    t->bucket = NULL;
}

uint64_t tcp_hash(const struct tcp_stack *s, const struct tcp_key *key)
{
    uint8_t in[sizeof(*key)];

    /* The two lengths apart, so that the compiler knows each. */
    if (tcp_key_pack(in, key) == TCP_KEY_V4_BYTES)
        return base_siphash13(s->config.secret, in, TCP_KEY_V4_BYTES);
    return base_siphash13(s->config.secret, in, sizeof(in));
}

static const struct tcp_key *key_of(const struct tcp_stack *s, tcp_ref ref)
{
    uint32_t index = tcp_ref_index(ref);

    switch (tcp_ref_kind(ref)) {
    case TCP_KIND_CONN:
        return &((const struct tcp_conn *)base_pool_at(&s->conn_pool, index))->key;
    case TCP_KIND_SYN:
        return &((const struct tcp_syn *)base_pool_at(&s->syn_pool, index))->key;
    default:
        return &((const struct tcp_time_wait *)base_pool_at(&s->time_wait_pool, index))->key;
    }
}

static uint16_t tag_of(uint64_t hash)
{
    return (uint16_t)(hash >> 48);
}

tcp_ref tcp_table_find(const struct tcp_stack *s, const struct tcp_key *key, uint64_t hash)
{
    const struct tcp_table *t = &s->table;
    uint16_t tag = tag_of(hash);

    for (uint32_t i = 0; i <= t->mask; i++) {
        const struct tcp_bucket *b = &t->bucket[(hash + i) & t->mask];
        for (int slot = 0; slot < TCP_BUCKET_SLOTS; slot++)
            if (b->tag[slot] == tag && b->ref[slot] != 0 &&
                memcmp(key_of(s, b->ref[slot]), key, sizeof(*key)) == 0)
                return b->ref[slot];
        if (b->passed_cnt == 0)
            break;
    }
    return 0;
}

void tcp_table_add(struct tcp_stack *s, tcp_ref ref, uint64_t hash)
{
    struct tcp_table *t = &s->table;

    for (uint32_t i = 0; i <= t->mask; i++) {
        struct tcp_bucket *b = &t->bucket[(hash + i) & t->mask];
        for (int slot = 0; slot < TCP_BUCKET_SLOTS; slot++) {
            if (b->ref[slot] != 0)
                continue;
            b->ref[slot] = ref;
            b->tag[slot] = tag_of(hash);
            return;
        }
        b->passed_cnt++;
    }
    base_assert(false && "the table has room for every object of the pools");
}

/* The slot that holds ref, whose key has the hash. When it is leaving, the buckets before it forget
 * that it passed them. */
static tcp_ref *slot_of(struct tcp_stack *s, tcp_ref ref, uint64_t hash, bool leaving)
{
    struct tcp_table *t = &s->table;

    for (uint32_t i = 0; i <= t->mask; i++) {
        struct tcp_bucket *b = &t->bucket[(hash + i) & t->mask];
        for (int slot = 0; slot < TCP_BUCKET_SLOTS; slot++)
            if (b->ref[slot] == ref)
                return &b->ref[slot];
        base_assert(b->passed_cnt > 0);
        b->passed_cnt -= leaving;
    }
    base_assert_fail("what is looked for was added", __FILE__, __LINE__);
}

void tcp_table_remove(struct tcp_stack *s, tcp_ref ref)
{
    *slot_of(s, ref, tcp_hash(s, key_of(s, ref)), true) = 0;
}

void tcp_table_replace(struct tcp_stack *s, tcp_ref from, tcp_ref to, uint64_t hash)
{
    *slot_of(s, from, hash, false) = to;
}
