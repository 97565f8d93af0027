/*
 * The scoreboard: what the peer holds, what is lost and what was sent again are marks on the mbufs
 * of the send queue, so it is as bounded as the queue. Their sums are kept as marks change.
 *
 * No ACK walks the whole queue. Losses: what waits for judgement stands in the order of its last
 * transmission in two lists - the queue itself from r->judged on, for what was sent once, and the
 * list of what was sent again - and only their fronts are looked at. Blocks: those that the last
 * ACK had, too, say nothing; others are looked for from the place of the last news on, and no ACK
 * costs more than WALK_MAX steps, wherever its blocks are.
 *
 * A block counts for the mbufs that it covers whole. Where its edge is inside an mbuf - several
 * small segments were sent from it - the mbuf is divided, so that this does not matter.
 */
#include "tcp_internal.h"

#define WALK_MAX        1024
#define PIECE_MIN_BYTES 64U /* or a peer could make us hold an mbuf for each byte */

/* Bytes of m that were ever sent. */
static uint32_t sent_len(const struct tcp_conn *c, const struct rte_mbuf *m)
{
    return tcp_min(m->data_len, c->snd_max - tcp_mbuf_seq(m));
}

static bool is_unsent(const struct tcp_conn *c, const struct rte_mbuf *m)
{
    return tcp_seq_geq(tcp_mbuf_seq(m), c->snd_max);
}

/* Adds len bytes of m to the sums that its marks are for. */
static void add(struct tcp_recovery *r, const struct rte_mbuf *m, uint32_t len)
{
    if (m->vlan_tci & TCP_MARK_SACKED) {
        r->sacked_bytes += len;
    } else if (m->vlan_tci & TCP_MARK_RETRANSMITTED) {
        r->again_bytes += len;
        r->pipe += len;
    } else if (m->vlan_tci & TCP_MARK_LOST) {
        r->lost_bytes += len;
    } else {
        r->pipe += len;
    }
}

/* Takes them out: sums are modulo 2^32. */
static void subtract(struct tcp_recovery *r, const struct rte_mbuf *m, uint32_t len)
{
    add(r, m, 0U - len);
}

/* ---- the list of what was sent again, by time ---- */

static void again_push(struct tcp_recovery *r, struct rte_mbuf *m)
{
    struct tcp_note *n = tcp_mbuf_note(m);

    n->again_next = NULL;
    n->again_prev = r->again_tail;
    if (r->again_tail == NULL)
        r->again_head = m;
    else
        tcp_mbuf_note(r->again_tail)->again_next = m;
    r->again_tail = m;
}

static void again_remove(struct tcp_recovery *r, struct rte_mbuf *m)
{
    const struct tcp_note *n = tcp_mbuf_note(m);

    if (n->again_prev == NULL)
        r->again_head = n->again_next;
    else
        tcp_mbuf_note(n->again_prev)->again_next = n->again_next;
    if (n->again_next == NULL)
        r->again_tail = n->again_prev;
    else
        tcp_mbuf_note(n->again_next)->again_prev = n->again_prev;
}

/* Takes m out of what is in flight again or lost: it is neither. */
static void clear_lost(struct tcp_recovery *r, struct rte_mbuf *m)
{
    if (m->vlan_tci & TCP_MARK_RETRANSMITTED)
        again_remove(r, m);
    m->vlan_tci &= (uint16_t) ~(TCP_MARK_LOST | TCP_MARK_RETRANSMITTED);
}

/* m is lost and waits to be sent again. */
static void mark_lost(const struct tcp_conn *c, struct tcp_recovery *r, struct rte_mbuf *m)
{
    uint32_t len = sent_len(c, m);

    subtract(r, m, len);
    clear_lost(r, m);
    m->vlan_tci |= TCP_MARK_LOST;
    add(r, m, len);
    if (r->lost_next == NULL || tcp_seq_lt(tcp_mbuf_seq(m), tcp_mbuf_seq(r->lost_next)))
        r->lost_next = m;
}

/* ---- changes ---- */

void tcp_mark_begin(const struct tcp_conn *c, struct tcp_recovery *r)
{
    *r = (struct tcp_recovery){
        .fack = c->snd_una,
        .judged = c->snd_head,
        .pipe = tcp_min(c->snd_max - c->snd_una, c->snd_len),
    };
}

void tcp_mark_sent(struct tcp_recovery *r, struct rte_mbuf *m, uint32_t len)
{
    add(r, m, len);
    if (m->vlan_tci & TCP_MARK_RETRANSMITTED) { /* its time has changed: it is the latest */
        again_remove(r, m);
        again_push(r, m);
    }
}

void tcp_mark_again(const struct tcp_conn *c, struct tcp_recovery *r, struct rte_mbuf *m)
{
    uint32_t len = sent_len(c, m);

    subtract(r, m, len);
    m->vlan_tci |= TCP_MARK_RETRANSMITTED;
    again_push(r, m);
    add(r, m, len);
    r->undo_bytes += len;
    r->undo_dsack_left += len;
    r->undo_echo_left += len;
}

void tcp_mark_acked(const struct tcp_conn *c, struct tcp_recovery *r, struct rte_mbuf *m,
                    uint32_t len)
{
    subtract(r, m, len);
    if (len < m->data_len) {
        if (tcp_mbuf_seq(m) + len == c->snd_max) { /* the rest of it was never sent */
            clear_lost(r, m);
            r->judged = m;
        }
        return;
    }
    if (m->vlan_tci & TCP_MARK_SACKED)
        r->sacked_cnt--;
    clear_lost(r, m);
    if (r->judged == m)
        r->judged = m->next;
    if (r->lost_next == m)
        r->lost_next = m->next;
    if (r->news == m)
        r->news = NULL;
}

bool tcp_mark_divide(struct tcp_stack *s, struct tcp_conn *c, struct rte_mbuf *m, uint32_t offset)
{
    struct rte_mbuf *n = rte_pktmbuf_alloc(s->config.data_pool);
    struct tcp_recovery *r = tcp_recovery_of(s, c);
    uint32_t rest = m->data_len - offset;

    if (n == NULL || rte_pktmbuf_tailroom(n) < rest) {
        rte_pktmbuf_free(n);
        tcp_count(s, STATS_TCP_NO_BUFFER);
        return false;
    }
    s->mbuf_cnt++;
    /* Both are as old as the latest of the segments in m. */
    n->vlan_tci = m->vlan_tci & (uint16_t)~TCP_MARK_TOO_BIG;
    m->vlan_tci &= (uint16_t)~TCP_MARK_TIMED;
    n->hash.usr = m->hash.usr;
    tcp_mbuf_note(n)->first_us = tcp_mbuf_note(m)->first_us;
    tcp_mbuf_note(n)->seq = tcp_mbuf_seq(m) + offset;
    memcpy(rte_pktmbuf_append(n, (uint16_t)rest), rte_pktmbuf_mtod_offset(m, uint8_t *, offset),
           rest);
    m->data_len = (uint16_t)offset;
    m->pkt_len = offset;
    n->next = m->next;
    m->next = n;
    if (n->next == NULL)
        tcp_mbuf_set_tail(c->snd_head, n);
    if (c->snd_next == m && c->snd_next_offset >= offset) {
        c->snd_next = n;
        c->snd_next_offset = (uint16_t)(c->snd_next_offset - offset);
    }
    if (is_unsent(c, n)) { /* then all that m was divided for is in m */
        n->vlan_tci = 0;
        if (r != NULL && r->judged == n->next) /* all up to m are; else one before n is next */
            r->judged = n;
    } else if (r != NULL) {
        if (n->vlan_tci & TCP_MARK_SACKED)
            r->sacked_cnt++;
        if (n->vlan_tci & TCP_MARK_RETRANSMITTED)
            again_push(r, n);
    }
    return true;
}

/* Divides m where the edge of a block is inside it, if the pieces are not too small. */
static bool divide_at(struct tcp_stack *s, struct tcp_conn *c, struct rte_mbuf *m, uint32_t offset)
{
    return offset >= PIECE_MIN_BYTES && m->data_len - offset >= PIECE_MIN_BYTES &&
           !(m->vlan_tci & TCP_MARK_LOST) && tcp_mark_divide(s, c, m, offset);
}

/* Marks what [left, right) covers, from m on; true when some of it is news. */
static bool mark_block(struct tcp_stack *s, struct tcp_conn *c, struct tcp_recovery *r,
                       struct rte_mbuf *m, const struct tcp_sack_block *b, uint32_t *walk)
{
    bool news = false;

    for (; m != NULL && !is_unsent(c, m) && tcp_seq_lt(tcp_mbuf_seq(m), b->right); m = m->next) {
        uint32_t seq = tcp_mbuf_seq(m), len = sent_len(c, m);
        if ((*walk)++ >= WALK_MAX)
            break;
        /* One that is not wholly sent yet would grow under its mark. */
        if (tcp_seq_leq(seq + len, b->left) || m->vlan_tci & TCP_MARK_SACKED || len < m->data_len)
            continue;
        if (tcp_seq_lt(seq, b->left)) { /* its end is covered: the next turn marks that */
            (void)divide_at(s, c, m, b->left - seq);
            continue;
        }
        if (tcp_seq_gt(seq + len, b->right)) {
            if (!divide_at(s, c, m, b->right - seq))
                break;
            if (!(m->vlan_tci & TCP_MARK_AGAIN)) /* what came left no later than that */
                m->hash.usr = tcp_mbuf_note(m)->first_us;
        }
        len = m->data_len;
        tcp_recover_delivered(s, c, m, seq, len);
        tcp_undo_acked(s, c, r, m, len, false);
        subtract(r, m, len);
        clear_lost(r, m);
        m->vlan_tci |= TCP_MARK_SACKED;
        add(r, m, len);
        r->sacked_cnt++;
        r->news = m;
        news = true;
    }
    return news;
}

static bool is_known(const struct tcp_recovery *r, const struct tcp_sack_block *b)
{
    for (uint32_t i = 0; i < r->block_cnt; i++)
        if (tcp_seq_geq(b->left, r->block[i].left) && tcp_seq_leq(b->right, r->block[i].right))
            return true;
    return false;
}

bool tcp_mark_sacked(struct tcp_stack *s, struct tcp_conn *c, struct tcp_recovery *r,
                     const struct tcp_sack_block *block, uint32_t cnt)
{
    uint32_t walk = 0;
    bool news = false;

    for (uint32_t i = 0; i < cnt; i++) {
        if (is_known(r, &block[i]))
            continue;
        struct rte_mbuf *m = r->news;
        if (m == NULL || tcp_seq_lt(block[i].left, tcp_mbuf_seq(m)))
            m = c->snd_head;
        news |= mark_block(s, c, r, m, &block[i], &walk);
    }
    if (cnt > 0 && walk < WALK_MAX) {
        memcpy(r->block, block, cnt * sizeof(*block));
        r->block_cnt = cnt;
    }
    return news;
}

void tcp_mark_forget_sacked(struct tcp_conn *c, struct tcp_recovery *r)
{
    for (struct rte_mbuf *m = c->snd_head; m != NULL; m = m->next) {
        if (!(m->vlan_tci & TCP_MARK_SACKED))
            continue;
        subtract(r, m, m->data_len);
        m->vlan_tci &= (uint16_t)~TCP_MARK_SACKED;
        add(r, m, m->data_len);
    }
    r->sacked_cnt = r->block_cnt = 0;
    r->judged = c->snd_head;
}

/* What was sent again goes first in neither list: both are looked at. */
void tcp_mark_lost_due(const struct tcp_stack *s, struct tcp_conn *c, struct tcp_recovery *r)
{
    uint32_t window_us = tcp_rack_window_us(c, r), wait_us = 0;
    struct rte_mbuf *m = c->snd_head;

    /* Blocks that cover no mbuf whole still count as duplicate ACKs. */
    if (c->dup_acks >= TCP_DUP_ACK_THRESHOLD && m != NULL && !is_unsent(c, m) &&
        (c->flags & (TCP_CONN_REORDERED | TCP_CONN_LOSS)) == 0 &&
        (m->vlan_tci & (TCP_MARK_LOST | TCP_MARK_SACKED)) == 0)
        mark_lost(c, r, m);
    for (m = r->judged; m != NULL && !is_unsent(c, m); m = m->next) {
        if (m->vlan_tci & (TCP_MARK_SACKED | TCP_MARK_LOST))
            continue;
        if (!tcp_rack_lost(s, r, m, tcp_mbuf_seq(m) + sent_len(c, m), window_us, &wait_us))
            break;
        mark_lost(c, r, m);
    }
    r->judged = m;
    while ((m = r->again_head) != NULL &&
           tcp_rack_lost(s, r, m, tcp_mbuf_seq(m) + sent_len(c, m), window_us, &wait_us))
        mark_lost(c, r, m);
    r->reorder_ms = wait_us > 0 ? tcp_timer_at_us(s, wait_us) : 0;
}

void tcp_mark_lost_from(struct tcp_conn *c, struct tcp_recovery *r, uint32_t seq)
{
    for (struct rte_mbuf *m = c->snd_head; m != NULL && !is_unsent(c, m); m = m->next)
        if (!(m->vlan_tci & TCP_MARK_SACKED) &&
            (sent_len(c, m) > c->mss || tcp_seq_gt(tcp_mbuf_seq(m) + sent_len(c, m), seq)))
            mark_lost(c, r, m);
    r->reorder_ms = 0;
}

void tcp_mark_lost_none(struct tcp_conn *c, struct tcp_recovery *r)
{
    for (struct rte_mbuf *m = c->snd_head; m != NULL && !is_unsent(c, m); m = m->next) {
        if ((m->vlan_tci & (TCP_MARK_LOST | TCP_MARK_RETRANSMITTED)) != TCP_MARK_LOST)
            continue;
        uint32_t len = sent_len(c, m);
        subtract(r, m, len);
        m->vlan_tci &= (uint16_t)~TCP_MARK_LOST;
        add(r, m, len);
    }
    r->lost_next = NULL;
    r->judged = c->snd_head;
}

void tcp_mark_check(const struct tcp_conn *c, const struct tcp_recovery *r)
{
    struct tcp_recovery sum = {0};
    uint32_t seq = c->snd_una, again_cnt = 0;
    bool judged = true, passed = false;

    for (struct rte_mbuf *m = c->snd_head; m != NULL; m = m->next) {
        base_assert(tcp_mbuf_seq(m) == seq);
        seq += m->data_len;
        if (r->judged == m)
            judged = false;
        if (r->lost_next == m)
            passed = true;
        if (is_unsent(c, m)) {
            base_assert((m->vlan_tci & (TCP_MARK_SACKED | TCP_MARK_LOST)) == 0);
            continue;
        }
        add(&sum, m, sent_len(c, m));
        sum.sacked_cnt += (m->vlan_tci & TCP_MARK_SACKED) != 0;
        again_cnt += (m->vlan_tci & TCP_MARK_RETRANSMITTED) != 0;
        /* Nothing is forgotten: what is in flight is in one of the lists. */
        base_assert(!judged || m->vlan_tci & (TCP_MARK_SACKED | TCP_MARK_LOST));
        base_assert(passed ||
                    (m->vlan_tci & (TCP_MARK_LOST | TCP_MARK_RETRANSMITTED)) != TCP_MARK_LOST);
    }
    for (struct rte_mbuf *m = r->again_head; m != NULL; m = tcp_mbuf_note(m)->again_next)
        base_assert(m->vlan_tci & TCP_MARK_RETRANSMITTED && again_cnt-- > 0);
    base_assert(again_cnt == 0);
    base_assert(sum.pipe == r->pipe && sum.sacked_bytes == r->sacked_bytes &&
                sum.lost_bytes == r->lost_bytes && sum.again_bytes == r->again_bytes &&
                sum.sacked_cnt == r->sacked_cnt);
}
