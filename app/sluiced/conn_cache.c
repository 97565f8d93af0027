#include "conn_cache.h"
#include "base_siphash.h"
#include "conn.h"

void conn_cache_init(struct conn_cache *k, uint32_t conn_cnt, const uint8_t key[16])
{
    for (uint32_t i = 0; i < CONN_CACHE_BUCKET_CNT; i++)
        base_list_init(&k->bucket[i]);
    base_list_init(&k->by_age);
    k->cnt = 0;
    k->max = conn_cnt / CONN_CACHE_SHARE;
    memcpy(k->key, key, sizeof(k->key));
}

static struct base_list *bucket_of(struct conn_cache *k, const struct net_endpoint *host,
                                   uint64_t policy)
{
    uint8_t bytes[sizeof(host->addr.b) + 2 + 8];

    memcpy(bytes, host->addr.b, sizeof(host->addr.b));
    base_put_le16(bytes + 16, host->port);
    base_put_le64(bytes + 18, policy);
    return &k->bucket[base_siphash13(k->key, bytes, sizeof(bytes)) % CONN_CACHE_BUCKET_CNT];
}

void conn_cache_put(struct conn_cache *k, struct conn *c)
{
    base_assert(!c->out.idle && k->cnt < k->max);
    c->out.idle = true;
    base_list_push_front(bucket_of(k, &c->remote, c->out.policy), &c->out.same_bucket);
    base_list_push_back(&k->by_age, &c->out.by_age);
    k->cnt++;
}

struct conn *conn_cache_take(struct conn_cache *k, const struct net_endpoint *host, uint64_t policy)
{
    struct base_list *head = bucket_of(k, host, policy);

    for (struct base_list *at = head->next; at != head; at = at->next) {
        struct conn *c = base_container_of(at, struct conn, out.same_bucket);
        if (c->remote.port == host->port && net_addr_eq(&c->remote.addr, &host->addr) &&
            c->out.policy == policy) {
            conn_cache_remove(k, c);
            return c;
        }
    }
    return NULL;
}

void conn_cache_remove(struct conn_cache *k, struct conn *c)
{
    base_assert(c->out.idle && k->cnt > 0);
    c->out.idle = false;
    base_list_remove(&c->out.same_bucket);
    base_list_remove(&c->out.by_age);
    k->cnt--;
}

struct conn *conn_cache_oldest(const struct conn_cache *k)
{
    return base_list_empty(&k->by_age) ? NULL
                                       : base_container_of(k->by_age.next, struct conn, out.by_age);
}
