#include "net_internal.h"

#include "base_lines.h"
#include "base_siphash.h"

#include <errno.h>
#include <stdlib.h>

/* RFC 4861 section 10. */
#define REACHABLE_NS (30 * BASE_NS_S) /* times 0.5 to 1.5 */
#define DELAY_NS     (5 * BASE_NS_S)
#define RETRANS_NS   BASE_NS_S
#define ASK_MAX      3
/* How long a failed neighbor's packets are refused at once, before it is asked again. */
#define FAILED_NS (5 * BASE_NS_S)

/* The changes that may happen: a bit for each state that may follow. */
#define TO(state) (1u << NET_NEIGHBOR_##state)
static const uint8_t allowed[NET_NEIGHBOR_STATE_CNT] = {
    [NET_NEIGHBOR_INCOMPLETE] = TO(REACHABLE) | TO(STALE) | TO(FAILED),
    [NET_NEIGHBOR_REACHABLE] = TO(REACHABLE) | TO(STALE),
    [NET_NEIGHBOR_STALE] = TO(REACHABLE) | TO(STALE) | TO(DELAY),
    [NET_NEIGHBOR_DELAY] = TO(REACHABLE) | TO(STALE) | TO(PROBE),
    [NET_NEIGHBOR_PROBE] = TO(REACHABLE) | TO(STALE) | TO(FAILED),
    [NET_NEIGHBOR_FAILED] = TO(REACHABLE) | TO(STALE),
};

/* ---- the table ---- */

static uint16_t *bucket_of(const struct net *n, const struct net_addr *addr)
{
    uint64_t h = base_siphash13(n->hash_key, addr->b, sizeof(addr->b));
    return (uint16_t *)(uintptr_t)&n->bucket[h % NET_BUCKET_CNT];
}

static struct net_neighbor *find(const struct net *n, const struct net_addr *addr)
{
    for (uint16_t i = *bucket_of(n, addr); i != NET_NEIGHBOR_NONE; i = n->neighbors[i].next) {
        if (net_addr_eq(&n->neighbors[i].addr, addr))
            return &n->neighbors[i];
    }
    return NULL;
}

static void drop_held(struct net *n, struct net_neighbor *nb, enum stats_id why)
{
    rte_pktmbuf_free_bulk(nb->held, nb->held_cnt);
    if (nb->held_cnt > 0)
        stats_add(n->stats, why, nb->held_cnt);
    n->held_cnt -= nb->held_cnt;
    nb->held_cnt = 0;
}

static void forget(struct net *n, struct net_neighbor *nb)
{
    uint16_t index = (uint16_t)(nb - n->neighbors);
    uint16_t *link = bucket_of(n, &nb->addr);

    drop_held(n, nb, STATS_NET_DROP_TX_EVICTED);
    while (*link != index)
        link = &n->neighbors[*link].next;
    *link = nb->next;
    base_wheel_stop(&n->wheel, &nb->timer);
    base_list_remove(&nb->lru);
    if (n->hot == nb)
        n->hot = NULL;
    if (!nb->confirmed)
        n->unconfirmed_cnt--;
    nb->next = n->free;
    n->free = index;
    n->neighbor_cnt--;
    stats_set(n->stats, STATS_NET_NEIGHBORS, n->neighbor_cnt);
}

static void evict_first(struct net *n, struct base_list *lru)
{
    base_assert(!base_list_empty(lru));
    forget(n, base_container_of(lru->next, struct net_neighbor, lru));
    stats_inc(n->stats, STATS_NET_NEIGHBOR_EVICTED);
}

/* A new entry, not confirmed; makes room when there is none. */
static struct net_neighbor *create(struct net *n, const struct net_addr *addr,
                                   enum net_neighbor_state state)
{
    if (n->unconfirmed_cnt == NET_UNCONFIRMED_MAX)
        evict_first(n, &n->unconfirmed_lru);
    else if (n->free == NET_NEIGHBOR_NONE)
        evict_first(n,
                    base_list_empty(&n->unconfirmed_lru) ? &n->confirmed_lru : &n->unconfirmed_lru);

    uint16_t index = n->free;
    struct net_neighbor *nb = &n->neighbors[index];
    uint16_t *link = bucket_of(n, addr);
    n->free = nb->next;
    *nb = (struct net_neighbor){.addr = *addr, .state = (uint8_t)state, .next = *link};
    base_timer_init(&nb->timer);
    base_list_push_back(&n->unconfirmed_lru, &nb->lru);
    *link = index;
    n->unconfirmed_cnt++;
    n->neighbor_cnt++;
    stats_set(n->stats, STATS_NET_NEIGHBORS, n->neighbor_cnt);
    return nb;
}

static void touch(struct net *n, struct net_neighbor *nb)
{
    base_list_remove(&nb->lru);
    base_list_push_back(nb->confirmed ? &n->confirmed_lru : &n->unconfirmed_lru, &nb->lru);
}

/* ---- states ---- */

static void send_held(struct net *n, struct net_neighbor *nb)
{
    for (uint32_t i = 0; i < nb->held_cnt; i++) {
        memcpy(rte_pktmbuf_mtod(nb->held[i], uint8_t *), nb->mac, 6);
        net_tx_push(n, nb->held[i]);
    }
    n->held_cnt -= nb->held_cnt;
    nb->held_cnt = 0;
}

static void set_state(struct net *n, struct net_neighbor *nb, enum net_neighbor_state state,
                      uint64_t now_ns)
{
    base_assert((allowed[nb->state] & (1u << state)) != 0);
    nb->state = (uint8_t)state;
    nb->asked_cnt = 0;
    switch (state) {
    case NET_NEIGHBOR_REACHABLE: {
        uint64_t life = REACHABLE_NS / 2 + base_rand_below(&n->rand, REACHABLE_NS + 1);
        base_wheel_set(&n->wheel, &nb->timer, now_ns + life);
        if (!nb->confirmed) {
            nb->confirmed = true;
            n->unconfirmed_cnt--;
            touch(n, nb);
        }
        send_held(n, nb);
        break;
    }
    case NET_NEIGHBOR_STALE:
        base_wheel_stop(&n->wheel, &nb->timer);
        if (nb->held_cnt > 0) {
            send_held(n, nb);
            set_state(n, nb, NET_NEIGHBOR_DELAY, now_ns);
        }
        break;
    case NET_NEIGHBOR_DELAY:
        base_wheel_set(&n->wheel, &nb->timer, now_ns + DELAY_NS);
        break;
    case NET_NEIGHBOR_FAILED:
        base_wheel_set(&n->wheel, &nb->timer, now_ns + FAILED_NS);
        drop_held(n, nb, STATS_NET_DROP_TX_UNREACHABLE);
        stats_inc(n->stats, STATS_NET_NEIGHBOR_FAILED);
        net_log_neighbor(n, &nb->addr, "does not answer", now_ns);
        break;
    default:
        break;
    }
}

/* Asks and waits for the answer; after ASK_MAX questions the neighbor has failed. */
static void ask(struct net *n, struct net_neighbor *nb, uint64_t now_ns)
{
    if (nb->asked_cnt == ASK_MAX) {
        set_state(n, nb, NET_NEIGHBOR_FAILED, now_ns);
        return;
    }
    nb->asked_cnt++;
    const uint8_t *mac = nb->state == NET_NEIGHBOR_PROBE ? nb->mac : NULL;
    if (net_addr_is_v4(&nb->addr))
        net_arp_ask(n, &nb->addr, mac, now_ns);
    else
        net_nd_ask(n, &nb->addr, mac, now_ns);
    base_wheel_set(&n->wheel, &nb->timer, now_ns + RETRANS_NS);
}

void net_neighbor_timeout(struct net *n, struct net_neighbor *nb, uint64_t now_ns)
{
    switch ((enum net_neighbor_state)nb->state) {
    case NET_NEIGHBOR_INCOMPLETE:
    case NET_NEIGHBOR_PROBE:
        ask(n, nb, now_ns);
        return;
    case NET_NEIGHBOR_REACHABLE:
        set_state(n, nb, NET_NEIGHBOR_STALE, now_ns);
        return;
    case NET_NEIGHBOR_DELAY:
        set_state(n, nb, NET_NEIGHBOR_PROBE, now_ns);
        ask(n, nb, now_ns);
        return;
    case NET_NEIGHBOR_FAILED:
        forget(n, nb);
        return;
    case NET_NEIGHBOR_STALE: /* has no timer */
    case NET_NEIGHBOR_STATE_CNT:
        break;
    }
    base_assert(false);
}

/* Keeps the newest: RFC 1122 section 2.3.2.2. */
static int hold(struct net *n, struct net_neighbor *nb, struct rte_mbuf *m)
{
    if (nb->held_cnt == NET_HELD_MAX) {
        rte_pktmbuf_free(nb->held[0]);
        for (uint32_t i = 1; i < NET_HELD_MAX; i++)
            nb->held[i - 1] = nb->held[i];
        nb->held[NET_HELD_MAX - 1] = m;
        stats_inc(n->stats, STATS_NET_DROP_TX_HELD);
        return 0;
    }
    if (n->held_cnt == NET_HELD_TOTAL_MAX) {
        rte_pktmbuf_free(m);
        stats_inc(n->stats, STATS_NET_DROP_TX_HELD);
        return -ENOBUFS;
    }
    nb->held[nb->held_cnt++] = m;
    n->held_cnt++;
    return 0;
}

int net_neighbor_send(struct net *n, const struct net_addr *hop, struct rte_mbuf *m,
                      uint64_t now_ns)
{
    struct net_neighbor *nb = n->hot;

    if (nb == NULL || !net_addr_eq(&nb->addr, hop)) {
        nb = find(n, hop);
        if (nb == NULL) {
            nb = create(n, hop, NET_NEIGHBOR_INCOMPLETE);
            ask(n, nb, now_ns);
        }
        touch(n, nb);
        n->hot = nb;
    }
    switch ((enum net_neighbor_state)nb->state) {
    case NET_NEIGHBOR_INCOMPLETE:
        return hold(n, nb, m);
    case NET_NEIGHBOR_FAILED:
        rte_pktmbuf_free(m);
        stats_inc(n->stats, STATS_NET_DROP_TX_UNREACHABLE);
        return -EHOSTUNREACH;
    case NET_NEIGHBOR_STALE:
        set_state(n, nb, NET_NEIGHBOR_DELAY, now_ns);
        break;
    default:
        break;
    }
    memcpy(rte_pktmbuf_mtod(m, uint8_t *), nb->mac, 6);
    net_tx_push(n, m);
    return 0;
}

bool net_neighbor_hear(struct net *n, const struct net_addr *addr, const uint8_t *mac,
                       bool asked_us, bool answer, uint64_t now_ns)
{
    struct net_neighbor *nb = find(n, addr);

    if (nb == NULL) {
        if (!asked_us)
            return false; /* nobody fills the cache by talking */
        nb = create(n, addr, NET_NEIGHBOR_STALE);
        memcpy(nb->mac, mac, 6);
        return true;
    }
    bool asking = nb->state == NET_NEIGHBOR_INCOMPLETE || nb->state == NET_NEIGHBOR_PROBE;
    bool had_mac = nb->state != NET_NEIGHBOR_INCOMPLETE && nb->state != NET_NEIGHBOR_FAILED;
    bool changed = had_mac && memcmp(nb->mac, mac, 6) != 0;
    if (changed) {
        stats_inc(n->stats, STATS_NET_NEIGHBOR_CHANGED);
        net_log_neighbor(n, addr, "has another MAC", now_ns);
    }
    memcpy(nb->mac, mac, 6);
    if (answer && asking)
        set_state(n, nb, NET_NEIGHBOR_REACHABLE, now_ns);
    else if (changed || !had_mac)
        set_state(n, nb, NET_NEIGHBOR_STALE, now_ns);
    return true;
}

bool net_neighbor_advertised(struct net *n, const struct net_addr *addr, const uint8_t *mac,
                             bool solicited, bool override, uint64_t now_ns)
{
    struct net_neighbor *nb = find(n, addr);

    if (nb == NULL)
        return false;
    bool had_mac = nb->state != NET_NEIGHBOR_INCOMPLETE && nb->state != NET_NEIGHBOR_FAILED;
    if (mac == NULL && !had_mac)
        return false;
    if (mac != NULL && had_mac && !override && memcmp(nb->mac, mac, 6) != 0) {
        /* A proxy's, perhaps: not taken, but what we believe is to be proved. */
        if (nb->state == NET_NEIGHBOR_REACHABLE)
            set_state(n, nb, NET_NEIGHBOR_STALE, now_ns);
        return true;
    }
    uint8_t same[6];
    memcpy(same, mac != NULL ? mac : nb->mac, 6);
    return net_neighbor_hear(n, addr, same, false, solicited, now_ns);
}

int net_neighbor_state(const struct net *n, const struct net_addr *addr)
{
    const struct net_neighbor *nb = find(n, addr);
    return nb != NULL ? nb->state : -1;
}

int net_neighbor_init(struct net *n, uint64_t now_ns)
{
    base_rand_init(&n->rand, n->config.seed);
    for (unsigned i = 0; i < 2; i++)
        base_put_le64(n->hash_key + 8 * i, base_rand_next(&n->rand));
    base_list_init(&n->confirmed_lru);
    base_list_init(&n->unconfirmed_lru);
    base_wheel_init(&n->wheel, now_ns);
    memset(n->bucket, 0xff, sizeof(n->bucket));
    n->neighbors = base_lines_new(NET_NEIGHBOR_MAX * sizeof(*n->neighbors));
    if (n->neighbors == NULL)
        return -ENOMEM;
    for (uint16_t i = 0; i < NET_NEIGHBOR_MAX; i++)
        n->neighbors[i].next = i + 1 < NET_NEIGHBOR_MAX ? (uint16_t)(i + 1) : NET_NEIGHBOR_NONE;
    n->free = 0;
    return 0;
}

void net_neighbor_fini(struct net *n)
{
    while (!base_list_empty(&n->confirmed_lru))
        forget(n, base_container_of(n->confirmed_lru.next, struct net_neighbor, lru));
    while (!base_list_empty(&n->unconfirmed_lru))
        forget(n, base_container_of(n->unconfirmed_lru.next, struct net_neighbor, lru));
    free(n->neighbors);
}
