/* The send queue: payload in mbufs of data_pool, each up to a full segment. It is only ever
 * added to at its end and cut at its front, so that segments in a driver's hands, which refer to
 * its bytes, stay what they were. */
#include "tcp_cc.h"
#include "tcp_internal.h"

#include <errno.h>

/* True while the caller may add bytes. */
static bool can_send(const struct tcp_conn *c)
{
    if (c->flags & TCP_CONN_FIN_QUEUED)
        return false;
    return tcp_conn_is_opening(c) || c->state == TCP_ESTABLISHED || c->state == TCP_CLOSE_WAIT;
}

/* Adds a fresh mbuf at the end; false when the pool is empty. */
static bool add_mbuf(struct tcp_stack *s, struct tcp_conn *c)
{
    struct rte_mbuf *m = tcp_memory_may_send(s, c) ? rte_pktmbuf_alloc(s->config.data_pool) : NULL;

    if (m == NULL) {
        tcp_count(s, STATS_TCP_NO_BUFFER);
        return false;
    }
    s->mbuf_cnt++;
    m->vlan_tci = 0;
    tcp_mbuf_note(m)->seq =
        c->snd_una + c->snd_len + tcp_conn_is_opening(c); /* our SYN is before it */
    tcp_mbuf_push(&c->snd_head, m);
    if (c->snd_next == NULL) {
        c->snd_next = m;
        c->snd_next_offset = 0;
    }
    struct tcp_recovery *r = tcp_recovery_of(s, c);
    if (r != NULL && r->judged == NULL)
        r->judged = m;
    return true;
}

int64_t tcp_send(struct tcp_stack *s, struct tcp_conn *c, const void *p, size_t len)
{
    if (!can_send(c))
        return -EPIPE;
    uint32_t want = (uint32_t)(len < tcp_send_space(c) ? len : tcp_send_space(c));
    uint32_t done = 0;

    if (c->snd_len == 0 && c->snd_una == c->snd_max && want > 0) {
        /* RFC 5681 section 4.1: nothing was in flight for longer than a timeout */
        if (c->cwnd != 0 && s->now_ms - c->progress_ms > tcp_rto_us(s, c) / 1000)
            s->cc->idle(s, c);
        c->progress_ms = s->now_ms;
    }
    while (done < want) {
        struct rte_mbuf *m = tcp_mbuf_tail(c->snd_head);
        uint32_t room = 0;
        /* What has a mark does not grow: the mark is about all of it. */
        if (m != NULL && !(m->vlan_tci & (TCP_MARK_SACKED | TCP_MARK_LOST))) {
            room = tcp_min(rte_pktmbuf_tailroom(m),
                           c->mss > m->data_len ? (uint32_t)(c->mss - m->data_len) : 0);
        }
        if (room == 0) {
            if (!add_mbuf(s, c))
                break;
            continue;
        }
        uint32_t n = tcp_min(room, want - done);
        memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, m->data_len), (const uint8_t *)p + done, n);
        m->data_len = (uint16_t)(m->data_len + n);
        m->pkt_len = m->data_len;
        c->snd_len += n;
        done += n;
    }
    if (done < len || tcp_send_space(c) < c->snd_cap / 2)
        c->flags |= TCP_CONN_WANT_WRITE;
    tcp_conn_ready(s, c); /* also when a pool was empty: tcp_output sets the timer to try again */
    return done;
}

uint32_t tcp_send_space(const struct tcp_conn *c)
{
    return can_send(c) ? c->snd_cap - c->snd_len : 0;
}

uint32_t tcp_send_pending(const struct tcp_conn *c)
{
    return c->snd_len;
}

/* Takes the first n bytes out: they were acknowledged. snd_una is moved by the caller. */
void tcp_send_acked(struct tcp_stack *s, struct tcp_conn *c, uint32_t n)
{
    struct tcp_recovery *r = tcp_recovery_of(s, c);

    base_assert(n <= c->snd_len);
    c->snd_len -= n;
    while (n > 0) {
        struct rte_mbuf *m = c->snd_head;
        uint32_t len = tcp_min(n, m->data_len);
        tcp_recover_delivered(s, c, m, tcp_mbuf_seq(m), len);
        if (r != NULL) {
            tcp_undo_acked(s, c, r, m, len, true);
            tcp_mark_acked(c, r, m, len);
        }
        if (n < m->data_len) {
            m->data_off = (uint16_t)(m->data_off + n);
            m->data_len = (uint16_t)(m->data_len - n);
            m->pkt_len = m->data_len;
            tcp_mbuf_note(m)->seq += n;
            if (c->snd_next == m)
                c->snd_next_offset =
                    (uint16_t)(c->snd_next_offset > n ? c->snd_next_offset - n : 0);
            return;
        }
        n -= m->data_len;
        if (c->snd_next == m) {
            c->snd_next = m->next;
            c->snd_next_offset = 0;
        }
        if (m->data_len >= tcp_min(c->mss, TCP_MSS_ETHERNET))
            c->flags |= TCP_CONN_FULL_ACKED;
        (void)tcp_mbuf_pop(&c->snd_head);
        if (m->vlan_tci & TCP_MARK_TIMED) {
            /* Karn's rule clears the connection's flag. */
            if (c->flags & TCP_CONN_RTT_TIMED)
                tcp_rtt_sample(c, s->now_us - m->hash.usr);
            c->flags &= ~(uint32_t)TCP_CONN_RTT_TIMED;
        }
        rte_pktmbuf_free_seg(m);
        s->mbuf_cnt--;
    }
}

void tcp_send_rewind(struct tcp_conn *c)
{
    c->snd_nxt = c->snd_una;
    c->snd_next = c->snd_head;
    c->snd_next_offset = 0;
}

void tcp_send_drop(struct tcp_stack *s, struct tcp_conn *c)
{
    while (c->snd_head != NULL) {
        struct rte_mbuf *next = c->snd_head->next;
        rte_pktmbuf_free_seg(c->snd_head);
        s->mbuf_cnt--;
        c->snd_head = next;
    }
    c->snd_next = NULL;
    c->snd_next_offset = 0;
    c->snd_len = 0;
}
