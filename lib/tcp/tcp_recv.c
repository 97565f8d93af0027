/*
 * The receiving side: the queue of in-order bytes, the queue of what came too early, the window.
 *
 * Early data: single mbufs, sorted, without overlap (their fields: tcp_mbuf.h). The byte that came
 * first wins.
 */
#include "tcp_internal.h"

uint32_t tcp_recv_most(const struct tcp_stack *s, const struct tcp_conn *c)
{
    return tcp_min(s->config.recv_window_bytes, UINT32_C(0xffff) << (c->wscale & 15));
}

uint32_t tcp_recv_max(const struct tcp_stack *s, const struct tcp_conn *c)
{
    uint32_t window = c->recv_doublings == 0 ? s->recv_start_bytes : tcp_tune_window(s, c);
    uint32_t max = tcp_min(window, UINT32_C(0xffff) << (c->wscale & 15));

    return s->memory.recv_cnt < s->memory.recv_shrink ? max : tcp_memory_window(s, c, max);
}

static void hold(struct tcp_stack *s, const struct rte_mbuf *m)
{
    s->mbuf_cnt++;
    tcp_memory_hold(&s->memory, m);
}

static void release(struct tcp_stack *s, const struct rte_mbuf *m)
{
    s->mbuf_cnt--;
    tcp_memory_release(&s->memory, m);
}

/* Receiver's silly window avoidance: the edge moves on only by a full segment or half the buffer
 * (RFC 9293 section 3.8.6.2.2). */
uint32_t tcp_recv_window(struct tcp_stack *s, struct tcp_conn *c)
{
    uint32_t max = tcp_recv_max(s, c);
    uint32_t edge = c->rcv_nxt + (c->rcv_len < max ? max - c->rcv_len : 0);
    int32_t grows = (int32_t)(edge - c->rcv_adv);

    if (c->flags & TCP_CONN_PEER_FIN)
        return tcp_seq_gt(c->rcv_adv, c->rcv_nxt) ? c->rcv_adv - c->rcv_nxt : 0;
    if (grows > 0 && (uint32_t)grows >= tcp_min(max / 2, c->mss))
        c->rcv_adv = edge;
    return c->rcv_adv - c->rcv_nxt;
}

/* Adds one mbuf to the in-order queue. Bytes that fit behind the last mbuf's are copied there:
 * dribbled bytes must not hold a buffer each. */
static void append(struct tcp_stack *s, struct tcp_conn *c, struct rte_mbuf *m)
{
    struct rte_mbuf *tail = tcp_mbuf_tail(c->rcv_head);

    c->rcv_nxt += m->data_len;
    c->rcv_len += m->data_len;
    if (m->data_len == 0 || (tail != NULL && m->data_len <= TCP_JOIN_MAX_BYTES &&
                             m->data_len <= rte_pktmbuf_tailroom(tail) && RTE_MBUF_DIRECT(tail) &&
                             rte_mbuf_refcnt_read(tail) == 1)) {
        if (m->data_len > 0) {
            memcpy(rte_pktmbuf_mtod_offset(tail, uint8_t *, tail->data_len),
                   rte_pktmbuf_mtod(m, uint8_t *), m->data_len);
            tail->data_len = (uint16_t)(tail->data_len + m->data_len);
        }
        rte_pktmbuf_free_seg(m);
        return;
    }
    hold(s, m);
    tcp_mbuf_push(&c->rcv_head, m);
}

/* Whether one more of len bytes may wait out of order. */
static bool ooo_has_room(struct tcp_stack *s, const struct tcp_conn *c, uint32_t len)
{
    if (c->ooo_cnt >= TCP_OOO_CONN_MAX || s->memory.recv_cnt >= s->memory.recv_early)
        return false;
    if (s->ooo_cnt >= s->memory.early_max && !tcp_memory_evict_early(s, c))
        return false;
    if (c->ooo_cnt < TCP_OOO_SMALL_MAX)
        return true;
    for (const struct rte_mbuf *m = c->ooo_head; m != NULL; m = m->next)
        len += m->data_len;
    return len >= (c->ooo_cnt + 1U) * TCP_OOO_MEAN_BYTES;
}

/* Those from *at on that lie wholly inside m go into it, so that nothing of what m has beyond them
 * is lost. Their bytes came first and win; a FIN behind them, in the middle of data, is none. True
 * when there were some. */
static bool ooo_take_over(struct tcp_stack *s, struct tcp_conn *c, struct rte_mbuf *m,
                          struct rte_mbuf **at)
{
    struct rte_mbuf *old;
    uint16_t before_cnt = c->ooo_cnt;

    while ((old = *at) != NULL && RTE_MBUF_DIRECT(m) && rte_mbuf_refcnt_read(m) == 1 &&
           tcp_seq_lt(old->hash.usr + old->data_len, m->hash.usr + m->data_len)) {
        uint32_t offset = old->hash.usr - m->hash.usr;
        tcp_sack_duplicate(s, c, old->hash.usr, old->hash.usr + old->data_len);
        memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, offset), rte_pktmbuf_mtod(old, uint8_t *),
               old->data_len);
        *at = old->next;
        release(s, old);
        rte_pktmbuf_free_seg(old);
        c->ooo_cnt--;
        s->ooo_cnt--;
    }
    return c->ooo_cnt != before_cnt;
}

/* Puts one mbuf at its place among the early ones, less what is there already. Takes m. */
static void ooo_insert(struct tcp_stack *s, struct tcp_conn *c, struct rte_mbuf *m)
{
    struct rte_mbuf **at = &c->ooo_head;
    uint32_t seq = m->hash.usr;

    while (*at != NULL && tcp_seq_leq((*at)->hash.usr, seq)) {
        uint32_t end = (*at)->hash.usr + (*at)->data_len;
        if (tcp_seq_gt(end, seq)) {
            uint32_t cut = tcp_min(end - seq, m->data_len);
            tcp_sack_duplicate(s, c, seq, seq + cut);
            if (cut == m->data_len) /* the block of what came last includes it */
                (*at)->hash.fdir.hi = ++s->ooo_stamp;
            m->data_off = (uint16_t)(m->data_off + cut);
            m->data_len = (uint16_t)(m->data_len - cut);
            seq += cut;
        }
        at = &(*at)->next;
    }
    m->hash.usr = seq;
    bool took_over = ooo_take_over(s, c, m, at);
    if (*at != NULL && tcp_seq_gt(seq + m->data_len, (*at)->hash.usr)) {
        tcp_sack_duplicate(s, c, (*at)->hash.usr, seq + m->data_len);
        m->data_len = (uint16_t)((*at)->hash.usr - seq);
        m->vlan_tci = 0; /* a FIN in the middle of data is none */
    }
    /* What stands for others needs no room; the peer has been told that we hold their bytes. */
    bool fills = seq == c->rcv_nxt;
    if (m->data_len == 0 || (!fills && !took_over && !ooo_has_room(s, c, m->data_len))) {
        tcp_count(s, m->data_len == 0 ? STATS_TCP_DROP_DUPLICATE : STATS_TCP_DROP_OUT_OF_ORDER);
        rte_pktmbuf_free_seg(m);
        return;
    }
    if (!fills && (m = tcp_memory_copy_early(s, m)) == NULL) {
        tcp_count(s, STATS_TCP_DROP_OUT_OF_ORDER);
        return;
    }
    m->hash.fdir.hi = ++s->ooo_stamp;
    m->next = *at;
    *at = m;
    c->ooo_cnt++;
    s->ooo_cnt++;
    hold(s, m);
}

/* Moves what has become in-order; true when a FIN followed it. */
static bool ooo_drain(struct tcp_stack *s, struct tcp_conn *c)
{
    struct rte_mbuf *m;
    bool fin = false;

    while (!fin && (m = c->ooo_head) != NULL && m->hash.usr == c->rcv_nxt) {
        c->ooo_head = m->next;
        c->ooo_cnt--;
        s->ooo_cnt--;
        release(s, m);
        fin = m->vlan_tci != 0;
        append(s, c, m);
    }
    return fin;
}

/* Splits the packet into its mbufs, each with its own sequence number, and queues them. */
static bool ooo_input(struct tcp_stack *s, struct tcp_conn *c, struct tcp_segment *seg)
{
    struct rte_mbuf *m = seg->mbuf;
    uint32_t seq = seg->seq;
    bool fin = (seg->flags & TCP_FLAG_FIN) != 0;

    seg->mbuf = NULL;
    while (m != NULL) {
        struct rte_mbuf *next = m->next;
        uint16_t len = m->data_len;
        m->next = NULL;
        m->nb_segs = 1;
        m->hash.usr = seq;
        m->vlan_tci = fin && next == NULL;
        ooo_insert(s, c, m);
        seq += len;
        m = next;
    }
    return ooo_drain(s, c);
}

void tcp_recv_drop_ooo(struct tcp_stack *s, struct tcp_conn *c)
{
    while (c->ooo_head != NULL) {
        struct rte_mbuf *m = c->ooo_head;
        c->ooo_head = m->next;
        release(s, m);
        rte_pktmbuf_free_seg(m);
        c->ooo_cnt--;
        s->ooo_cnt--;
    }
}

void tcp_recv_drop(struct tcp_stack *s, struct tcp_conn *c)
{
    while (c->rcv_head != NULL) {
        struct rte_mbuf *m = c->rcv_head;
        c->rcv_head = m->next;
        release(s, m);
        rte_pktmbuf_free_seg(m);
    }
    c->rcv_len = 0;
}

/* What came in order since rcv_nxt was before: an ACK is due for every second full segment (RFC
 * 5681 section 4.2), and a port or its far end may have merged several to one. */
static void note_unacked(struct tcp_stack *s, struct tcp_conn *c, uint32_t before)
{
    uint32_t len = c->rcv_nxt - before, cnt = 1;

    if (len > c->mss && len > tcp_mss_ours(s, &c->key)) {
        tcp_count(s, STATS_TCP_RX_LARGE);
        cnt = 2;
    }
    c->unacked_segments = (uint8_t)tcp_min(c->unacked_segments + cnt, UINT8_MAX);
}

/* Takes a segment's payload, which is inside the window and not before rcv_nxt, with the FIN
 * after it. */
void tcp_recv_data(struct tcp_stack *s, struct tcp_conn *c, struct tcp_segment *seg)
{
    bool early = seg->seq != c->rcv_nxt;
    bool fin = (seg->flags & TCP_FLAG_FIN) != 0;
    uint32_t before = c->rcv_nxt;

    if (s->memory.recv_cnt >= s->memory.recv_full) { /* as if it had been lost on the way */
        tcp_count(s, STATS_TCP_DROP_MEMORY);
        return;
    }
    stats_add(s->stats, STATS_TCP_RX_BYTES, seg->len);
    if (early || c->ooo_head != NULL) {
        if (early)
            tcp_count(s, STATS_TCP_OUT_OF_ORDER);
        c->flags |= TCP_CONN_ACK_NOW; /* RFC 5681 section 4.2 */
        fin = ooo_input(s, c, seg);
    } else {
        struct rte_mbuf *m = seg->mbuf;
        seg->mbuf = NULL;
        while (m != NULL) {
            struct rte_mbuf *next = m->next;
            m->nb_segs = 1;
            m->next = NULL;
            append(s, c, m);
            m = next;
        }
    }
    if (c->rcv_nxt != before) {
        tcp_conn_event(s, c, TCP_EVENT_READABLE);
        tcp_tune_input(s, c, seg);
    }
    if (early && c->rcv_nxt == before) {
        tcp_output_ack(s, c); /* one for each: the peer counts duplicates */
        return;
    }
    note_unacked(s, c, before);
    tcp_conn_ready(s, c);
    if (s->has_duplicate)
        tcp_output_ack(s, c); /* while it is known */
    if (fin)
        tcp_recv_fin(s, c);
}

/* The peer's FIN is next in order (RFC 9293 section 3.10.7.4, eighth). c may be gone after it. */
void tcp_recv_fin(struct tcp_stack *s, struct tcp_conn *c)
{
    c->rcv_nxt++;
    if (tcp_seq_lt(c->rcv_adv, c->rcv_nxt))
        c->rcv_adv = c->rcv_nxt;
    c->flags |= TCP_CONN_PEER_FIN | TCP_CONN_ACK_NOW;
    stats_add(s->stats, STATS_TCP_DROP_AFTER_FIN, c->ooo_cnt);
    tcp_recv_drop_ooo(s, c);
    tcp_conn_event(s, c, TCP_EVENT_PEER_CLOSED);
    tcp_conn_ready(s, c);
    switch (c->state) {
    case TCP_ESTABLISHED:
        tcp_state_change(s, c, TCP_CLOSE_WAIT);
        break;
    case TCP_FIN_WAIT_1: /* our FIN is not acknowledged, or it would be FIN-WAIT-2 */
        tcp_state_change(s, c, TCP_CLOSING);
        break;
    case TCP_FIN_WAIT_2:
        tcp_output_ack(s, c);
        tcp_time_wait_enter(s, c);
        break;
    default:
        base_assert(false && "text is taken in these states only");
    }
}

/* ---- the caller's side ---- */

uint32_t tcp_recv_view(const struct tcp_conn *c, struct base_span *spans, uint32_t cap)
{
    uint32_t n = 0;

    for (struct rte_mbuf *m = c->rcv_head; m != NULL && n < cap; m = m->next)
        spans[n++] = base_span_of(rte_pktmbuf_mtod(m, uint8_t *), m->data_len);
    return n;
}

uint32_t tcp_recv_len(const struct tcp_conn *c)
{
    return c->rcv_len;
}

bool tcp_recv_ended(const struct tcp_conn *c)
{
    return (c->flags & TCP_CONN_PEER_FIN) != 0 && c->rcv_len == 0;
}

void tcp_recv_consume(struct tcp_stack *s, struct tcp_conn *c, uint32_t n)
{
    base_assert(n <= c->rcv_len);
    c->rcv_len -= n;
    while (n > 0) {
        struct rte_mbuf *m = c->rcv_head;
        if (n < m->data_len) {
            m->data_off = (uint16_t)(m->data_off + n);
            m->data_len = (uint16_t)(m->data_len - n);
            break;
        }
        n -= m->data_len;
        release(s, m);
        rte_pktmbuf_free_seg(tcp_mbuf_pop(&c->rcv_head));
    }
    if (c->state != TCP_ESTABLISHED && c->state != TCP_FIN_WAIT_1 && c->state != TCP_FIN_WAIT_2)
        return;
    /* A window update is due when the edge can move by a quarter of the buffer; smaller moves wait
     * for the next ACK. */
    uint32_t max = tcp_recv_max(s, c);
    uint32_t edge = c->rcv_nxt + (c->rcv_len < max ? max - c->rcv_len : 0);
    if ((int32_t)(edge - c->rcv_adv) >= (int32_t)tcp_max(max / 4, tcp_min(max / 2, c->mss))) {
        c->flags |= TCP_CONN_ACK_NOW;
        tcp_conn_ready(s, c);
    }
}

void tcp_recv_acknowledge(struct tcp_stack *s, struct tcp_conn *c)
{
    if (c->unacked_segments == 0)
        return;
    c->flags |= TCP_CONN_ACK_NOW;
    tcp_conn_ready(s, c);
}
