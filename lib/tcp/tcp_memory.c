/*
 * Memory of the lane, and what happens when it gets short.
 *
 * Received payload stays in the mbufs of the port's RX pool until the caller has consumed it: if
 * connections held them all, the port would receive nothing, ACKs and ARP included. So a stack may
 * hold recv_mbuf_max of them and does something about it long before: windows shrink, early data
 * is not kept, SYNs are dropped, and at the end payload is. Each step ends by itself when the mbufs
 * come back. The right edge of a window that was offered never moves back (RFC 9293 section
 * 3.8.6): a window shrinks by its edge standing still.
 *
 * Early data is what a peer can leave lying for ever. Small pieces are copied into small mbufs, so
 * that a byte pins no RX buffer; all early data together has a fixed share; and when that is used
 * up, a newcomer pushes out the early data of the next connection in a row. Who holds most loses
 * most.
 */
#include "tcp_internal.h"

#define SHRINK_PCT  50
#define EARLY_PCT   70
#define REFUSE_PCT  85
#define EARLY_SHARE 4    /* early data gets one part in so many */
#define GROWN_BYTES 1024 /* what an mbuf is thought to hold when windows are promised */
#define HAND_MAX    32   /* connections that one search looks at: each may be a cache miss */

static uint32_t mark(uint32_t max, uint8_t pct, uint8_t fallback_pct)
{
    if (max == 0)
        return UINT32_MAX;
    uint32_t at = (uint32_t)((uint64_t)max * (pct != 0 ? pct : fallback_pct) / 100);
    return at > 0 ? at : 1;
}

void tcp_memory_init(struct tcp_memory *y, const struct tcp_config *g)
{
    *y = (struct tcp_memory){
        .recv_shrink = mark(g->recv_mbuf_max, g->memory_shrink_pct, SHRINK_PCT),
        .recv_early = mark(g->recv_mbuf_max, g->memory_early_pct, EARLY_PCT),
        .recv_refuse = mark(g->recv_mbuf_max, g->memory_refuse_pct, REFUSE_PCT),
        .recv_full = mark(g->recv_mbuf_max, 100, 100),
        .send_shrink = mark(g->send_mbuf_max, g->memory_shrink_pct, SHRINK_PCT),
        .send_refuse = mark(g->send_mbuf_max, g->memory_refuse_pct, REFUSE_PCT),
        .send_full = mark(g->send_mbuf_max, 100, 100),
        .early_max = TCP_OOO_STACK_MAX,
        .grown_max = UINT64_MAX,
        .copy_pool = g->frame_pool != g->data_pool ? g->frame_pool : NULL,
    };
    if (g->recv_mbuf_max == 0)
        return;
    y->early_max = tcp_min(tcp_max(g->recv_mbuf_max / EARLY_SHARE, 1), TCP_OOO_STACK_MAX);
    y->grown_max = (uint64_t)g->recv_mbuf_max * GROWN_BYTES / 2;
}

uint32_t tcp_memory_window(const struct tcp_stack *s, const struct tcp_conn *c, uint32_t max)
{
    const struct tcp_memory *y = &s->memory;
    uint32_t left = y->recv_cnt < y->recv_full ? y->recv_full - y->recv_cnt : 0;
    uint64_t window =
        (uint64_t)tcp_min(max, s->recv_start_bytes) * left / (y->recv_full - y->recv_shrink + 1);

    /* Two segments at least: else a connection that holds nothing could wait for ever. */
    return tcp_min(max, tcp_max((uint32_t)window, 2U * c->mss));
}

static uint32_t send_cnt(const struct tcp_stack *s)
{
    return s->mbuf_cnt - s->memory.queue_cnt;
}

bool tcp_memory_refuses(const struct tcp_stack *s)
{
    return s->memory.recv_cnt >= s->memory.recv_refuse || send_cnt(s) >= s->memory.send_refuse;
}

bool tcp_memory_may_send(const struct tcp_stack *s, const struct tcp_conn *c)
{
    const struct tcp_memory *y = &s->memory;

    if (send_cnt(s) < y->send_shrink)
        return true;
    return send_cnt(s) < y->send_full && c->snd_len < 2U * c->mss;
}

struct rte_mbuf *tcp_memory_copy_early(struct tcp_stack *s, struct rte_mbuf *m)
{
    if (s->memory.copy_pool == NULL || m->data_len > TCP_OOO_COPY_MAX_BYTES ||
        m->pool == s->memory.copy_pool)
        return m;
    struct rte_mbuf *copy = rte_pktmbuf_alloc(s->memory.copy_pool);
    if (copy != NULL) {
        char *p = rte_pktmbuf_append(copy, m->data_len);
        base_assert(p != NULL); /* tcp_init has looked at the pool */
        memcpy(p, rte_pktmbuf_mtod(m, char *), m->data_len);
        copy->hash.usr = m->hash.usr;
        copy->vlan_tci = m->vlan_tci;
    }
    rte_pktmbuf_free_seg(m);
    return copy;
}

struct tcp_conn *tcp_memory_hand(struct tcp_stack *s)
{
    uint32_t i = s->memory.hand;

    s->memory.hand = i + 1 < s->conn_pool.object_cnt ? i + 1 : 0;
    return s->conn_used[i / 64] >> i % 64 & 1 ? base_pool_at(&s->conn_pool, i) : NULL;
}

bool tcp_memory_evict_early(struct tcp_stack *s, const struct tcp_conn *c)
{
    for (int i = 0; i < HAND_MAX; i++) {
        struct tcp_conn *other = tcp_memory_hand(s);
        if (other == NULL || other == c || other->ooo_cnt == 0)
            continue;
        stats_add(s->stats, STATS_TCP_EARLY_EVICTED, other->ooo_cnt);
        tcp_recv_drop_ooo(s, other);
        return true;
    }
    return false;
}

static uint32_t of_port(const struct tcp_stack *s, const struct rte_mbuf *m)
{
    uint32_t cnt = 0;

    for (; m != NULL; m = m->next)
        cnt += m->pool != s->memory.copy_pool;
    return cnt;
}

void tcp_memory_check(const struct tcp_stack *s)
{
    uint32_t recv_cnt = 0, queued_cnt = 0, orphan_cnt = 0;
    uint64_t grown = 0;

    for (uint32_t i = 0; i < s->conn_pool.object_cnt; i++) {
        if ((s->conn_used[i / 64] >> i % 64 & 1) == 0)
            continue;
        const struct tcp_conn *c = base_pool_at(&s->conn_pool, i);
        recv_cnt += of_port(s, c->rcv_head) + of_port(s, c->ooo_head);
        for (const struct rte_mbuf *m = c->snd_head; m != NULL; m = m->next)
            queued_cnt++;
        orphan_cnt += (c->flags & TCP_CONN_ORPHAN) != 0;
        grown += tcp_tune_window(s, c) - s->recv_start_bytes;
    }
    base_assert(recv_cnt == s->memory.recv_cnt && queued_cnt == send_cnt(s));
    base_assert(orphan_cnt == s->memory.orphan_cnt && grown == s->memory.grown_bytes);
    base_assert(grown <= s->memory.grown_max && s->ooo_cnt <= s->memory.early_max + 1U);
}
