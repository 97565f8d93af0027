/* Life of a connection object, the lists it may be in, and the checks of its invariants. */
#include "tcp_internal.h"
#include "tcp_cc.h"

void tcp_fifo_init(struct tcp_fifo *f, struct base_pool *pool, uint32_t links_offset)
{
    *f = (struct tcp_fifo){
        .pool = pool, .links_offset = links_offset, .head = TCP_NIL, .tail = TCP_NIL};
}

static struct tcp_links *links_at(const struct tcp_fifo *f, uint32_t index)
{
    return (struct tcp_links *)(void *)((char *)base_pool_at(f->pool, index) + f->links_offset);
}

void tcp_fifo_push(struct tcp_fifo *f, void *object)
{
    uint32_t index = base_pool_index(f->pool, object);

    *links_at(f, index) = (struct tcp_links){.next = TCP_NIL, .prev = f->tail};
    if (f->tail == TCP_NIL)
        f->head = index;
    else
        links_at(f, f->tail)->next = index;
    f->tail = index;
}

void tcp_fifo_remove(struct tcp_fifo *f, void *object)
{
    struct tcp_links *l = links_at(f, base_pool_index(f->pool, object));

    if (l->prev == TCP_NIL)
        f->head = l->next;
    else
        links_at(f, l->prev)->next = l->next;
    if (l->next == TCP_NIL)
        f->tail = l->prev;
    else
        links_at(f, l->next)->prev = l->prev;
}

void *tcp_fifo_first(const struct tcp_fifo *f)
{
    return f->head == TCP_NIL ? NULL : base_pool_at(f->pool, f->head);
}

struct tcp_conn *tcp_conn_new(struct tcp_stack *s, const struct tcp_key *key, uint64_t hash,
                              tcp_ref old)
{
    struct tcp_conn *c = base_pool_get(&s->conn_pool);

    if (c == NULL)
        return NULL;
    uint32_t index = base_pool_index(&s->conn_pool, c);
    c->key = *key;
    c->snd_cap = s->config.send_buffer_bytes;
    c->ts_offset = tcp_timestamp_offset(s, key);
    c->received_ms = s->now_ms;
    c->challenge_epoch = (uint8_t)(s->now_ms / 1000 - 1); /* this second's budget is whole */
    c->progress_ms = s->now_ms;
    base_timer_init(&c->timer);
    s->conn_used[index / 64] |= UINT64_C(1) << index % 64;
    if (old != 0)
        tcp_table_replace(s, old, tcp_ref_make(TCP_KIND_CONN, index), hash);
    else
        tcp_table_add(s, tcp_ref_make(TCP_KIND_CONN, index), hash);
    c->flags = TCP_CONN_IN_TABLE;
    return c;
}

/* Takes the connection out of the network's sight. */
static void detach(struct tcp_stack *s, struct tcp_conn *c)
{
    if (c->flags & TCP_CONN_IN_TABLE)
        tcp_table_remove(s, tcp_ref_make(TCP_KIND_CONN, base_pool_index(&s->conn_pool, c)));
    if (c->flags & TCP_CONN_READY)
        tcp_set_remove(&s->ready, tcp_conn_index(s, c));
    c->flags &=
        ~(uint32_t)(TCP_CONN_IN_TABLE | TCP_CONN_READY | TCP_CONN_ACK_NOW | TCP_CONN_WANT_WRITE |
                    TCP_CONN_RTT_TIMED | TCP_CONN_RECOVERY | TCP_CONN_LOSS);
    c->retransmit_ms = c->ack_ms = c->life_ms = 0;
    base_wheel_stop(&s->wheel, &c->timer);
    tcp_recover_release(s, c);
    tcp_tune_end(s, c);
    tcp_send_drop(s, c);
    tcp_recv_drop_ooo(s, c);
}

void tcp_conn_free(struct tcp_stack *s, struct tcp_conn *c)
{
    uint32_t index = base_pool_index(&s->conn_pool, c);

    detach(s, c);
    tcp_recv_drop(s, c);
    s->memory.orphan_cnt -= (c->flags & TCP_CONN_ORPHAN) != 0;
    if (c->flags & TCP_CONN_EVENT)
        tcp_set_remove(&s->events, index);
    s->conn_used[index / 64] &= ~(UINT64_C(1) << index % 64);
    base_pool_put(&s->conn_pool, c);
}

void tcp_conn_end(struct tcp_stack *s, struct tcp_conn *c, enum tcp_error why)
{
    tcp_state_change(s, c, TCP_CLOSED);
    if (c->flags & TCP_CONN_ORPHAN) {
        tcp_conn_free(s, c);
        return;
    }
    detach(s, c);
    if (why != TCP_OK) {
        c->error = (uint8_t)why;
        tcp_conn_event(s, c, TCP_EVENT_FAILED);
    }
}

void tcp_conn_ready(struct tcp_stack *s, struct tcp_conn *c)
{
    if (c->flags & TCP_CONN_READY || !(c->flags & TCP_CONN_IN_TABLE))
        return;
    tcp_set_add(&s->ready, tcp_conn_index(s, c));
    c->flags |= TCP_CONN_READY;
}

void tcp_conn_event(struct tcp_stack *s, struct tcp_conn *c, uint8_t events)
{
    if (c->flags & TCP_CONN_ORPHAN)
        return;
    c->events |= events;
    if (c->flags & TCP_CONN_EVENT)
        return;
    tcp_set_add(&s->events, tcp_conn_index(s, c));
    c->flags |= TCP_CONN_EVENT;
}

void tcp_conn_established(struct tcp_stack *s, struct tcp_conn *c, uint8_t event)
{
    tcp_state_change(s, c, TCP_ESTABLISHED);
    tcp_path_begin(s, c);
    s->cc->open(s, c);
    tcp_tune_start(s, c);
    c->backoff = 0;
    c->progress_ms = s->now_ms;
    c->life_ms = s->keepalive_ms > 0 ? tcp_timer_at(s, s->keepalive_ms) : 0;
    if (event != 0)
        tcp_conn_event(s, c, event);
    if (c->flags & TCP_CONN_FIN_QUEUED) { /* shut down while it was opening */
        tcp_state_change(s, c, TCP_FIN_WAIT_1);
        if (c->flags & TCP_CONN_ORPHAN)
            c->life_ms = tcp_timer_at(s, s->fin_timeout_ms);
    }
    tcp_conn_ready(s, c);
}

static uint32_t queue_check(const struct rte_mbuf *m, uint32_t bytes)
{
    uint32_t n = 0, len = 0;

    for (; m != NULL; m = m->next, n++)
        len += m->data_len;
    base_assert(len == bytes);
    return n;
}

void tcp_conn_check(const struct tcp_stack *s, const struct tcp_conn *c)
{
    bool fin = tcp_conn_owes_fin(c);
    bool open = c->state != TCP_CLOSED && !tcp_conn_is_opening(c);

    base_assert(c->state < TCP_STATE_CNT && c->state != TCP_LISTEN);
    base_assert(((c->flags & TCP_CONN_IN_TABLE) != 0) == (c->state != TCP_CLOSED));
    base_assert((c->flags & TCP_CONN_ORPHAN) == 0 || c->rcv_len == 0);
    base_assert(tcp_seq_leq(c->snd_una, c->snd_nxt) && tcp_seq_leq(c->snd_nxt, c->snd_max));
    queue_check(c->rcv_head, c->rcv_len);
    queue_check(c->snd_head, c->snd_len);
    base_assert(c->snd_len <= c->snd_cap);
    if (!open)
        return;
    base_assert(c->snd_max - c->snd_una <= c->snd_len + fin);
    tcp_recover_check(s, c);
    base_assert(c->cwnd >= c->mss && c->mss >= 1);
    base_assert(c->rcv_adv - c->rcv_nxt <= tcp_recv_most(s, c) || (c->flags & TCP_CONN_PEER_FIN));
    base_assert(c->rcv_len <= s->config.recv_window_bytes);
    /* Something unacknowledged or unsent always has a timer, or a place in the list. */
    base_assert(c->snd_len + fin == 0 || c->retransmit_ms != 0 || c->flags & TCP_CONN_READY);
    uint32_t ooo_cnt = 0, at = c->rcv_nxt;
    for (const struct rte_mbuf *m = c->ooo_head; m != NULL; m = m->next, ooo_cnt++) {
        base_assert(ooo_cnt == 0 ? tcp_seq_gt(m->hash.usr, at) : tcp_seq_geq(m->hash.usr, at));
        at = m->hash.usr + m->data_len;
    }
    base_assert(ooo_cnt == c->ooo_cnt && ooo_cnt <= TCP_OOO_CONN_MAX + 1U);
    if (c->snd_next != NULL && tcp_seq_leq(c->snd_nxt, c->snd_una + c->snd_len)) {
        uint32_t offset = c->snd_next_offset;
        const struct rte_mbuf *m = c->snd_head;
        for (; m != NULL && m != c->snd_next; m = m->next)
            offset += m->data_len;
        base_assert(m != NULL && offset == c->snd_nxt - c->snd_una);
    }
}

void tcp_check_invariants(const struct tcp_stack *s)
{
    uint32_t mbuf_cnt = 0, ooo_cnt = 0;

    for (uint32_t i = 0; i < s->conn_pool.object_cnt; i++) {
        if ((s->conn_used[i / 64] >> i % 64 & 1) == 0)
            continue;
        const struct tcp_conn *c = base_pool_at(&s->conn_pool, i);
        tcp_conn_check(s, c);
        mbuf_cnt += queue_check(c->rcv_head, c->rcv_len) + queue_check(c->snd_head, c->snd_len);
        ooo_cnt += c->ooo_cnt;
    }
    base_assert(mbuf_cnt + ooo_cnt == s->mbuf_cnt && ooo_cnt == s->ooo_cnt);
    tcp_memory_check(s);
}
