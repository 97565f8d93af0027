/*
 * Loss recovery with selective acknowledgements: RFC 6675 with losses by RFC 8985 (tcp_rack.c) and
 * the window by RFC 6937 (PRR); a reduction that was needless is taken back (tcp_undo.c).
 *
 * The scoreboard is in marks on the send queue (tcp_mark.c); sums and the state of a recovery are
 * in a struct tcp_recovery, which a connection has only while there are marks and for a round trip
 * after. When the pool of these is empty, the connection does without, by RFC 6582 (tcp_ack.c).
 * While it has one, snd_nxt is snd_max: nothing is sent again but by its mark.
 */
#include "tcp_cc.h"
#include "tcp_internal.h"

/* The scoreboard, taken when there is none; NULL when that cannot be. */
static struct tcp_recovery *take(struct tcp_stack *s, struct tcp_conn *c)
{
    struct tcp_recovery *r = tcp_recovery_of(s, c);

    /* Without one, a recovery or what a timeout began is first brought to its end. */
    if (r != NULL || c->flags & TCP_CONN_RECOVERY || c->snd_nxt != c->snd_max)
        return r;
    r = base_pool_get(&s->recovery_pool);
    if (r == NULL) {
        tcp_count(s, STATS_TCP_NO_SCOREBOARD);
        return NULL;
    }
    c->recovery = base_pool_index(&s->recovery_pool, r) + 1;
    tcp_mark_begin(c, r);
    return r;
}

bool tcp_recover_is_busy(const struct tcp_stack *s, const struct tcp_conn *c)
{
    const struct tcp_recovery *r = tcp_recovery_of(s, c);

    return r != NULL && (r->sacked_bytes + r->lost_bytes + r->again_bytes > 0 ||
                         c->flags & (TCP_CONN_RECOVERY | TCP_CONN_LOSS));
}

void tcp_recover_release(struct tcp_stack *s, struct tcp_conn *c)
{
    struct tcp_recovery *r = tcp_recovery_of(s, c);

    if (r == NULL)
        return;
    c->recovery = 0;
    base_pool_put(&s->recovery_pool, r);
}

/* The first len bytes of m, which is at seq, have arrived. */
void tcp_recover_delivered(struct tcp_stack *s, struct tcp_conn *c, const struct rte_mbuf *m,
                           uint32_t seq, uint32_t len)
{
    struct tcp_recovery *r = tcp_recovery_of(s, c);

    if (m->vlan_tci & TCP_MARK_SACKED)
        return;
    s->delivered_bytes += len;
    if (r != NULL && len == m->data_len)
        tcp_rack_delivered(s, c, r, m, seq + len);
}

/* Copies the blocks that say something about the send queue. Whatever a peer writes into them, what
 * is left is inside (snd_una, snd_max]. */
static uint32_t take_blocks(struct tcp_stack *s, struct tcp_conn *c, const struct tcp_segment *seg,
                            struct tcp_sack_block *out)
{
    const struct tcp_sack_block *block = seg->options.sack;
    struct tcp_recovery *r = tcp_recovery_of(s, c);
    uint32_t n = 0;

    for (uint32_t i = 0; i < seg->options.sack_cnt; i++) {
        uint32_t left = block[i].left, right = block[i].right;
        if (tcp_seq_geq(left, right) || tcp_seq_gt(right, c->snd_max) ||
            tcp_seq_lt(left, c->snd_una - c->snd_wnd_max)) {
            tcp_count(s, STATS_TCP_BAD_SACKS);
            continue;
        }
        if (i == 0 && tcp_sack_is_duplicate(&seg->options, seg->ack)) {
            tcp_count(s, STATS_TCP_RX_DSACKS);
            tcp_rack_duplicate(c);
            if (r != NULL)
                tcp_undo_duplicate(r, &block[i]);
            continue;
        }
        if (tcp_seq_gt(left, c->snd_una))
            out[n++] = block[i];
    }
    return n;
}

/* The peer dropped what it had told to hold (RFC 2018 section 8). */
static void forget_sacked(struct tcp_stack *s, struct tcp_conn *c, struct tcp_recovery *r)
{
    tcp_count(s, STATS_TCP_SACK_RENEGED);
    tcp_mark_forget_sacked(c, r);
}

static void begin(struct tcp_stack *s, struct tcp_conn *c, struct tcp_recovery *r)
{
    tcp_count(s, STATS_TCP_FAST_RETRANSMITS);
    tcp_undo_begin(c, r, false);
    if (!(c->flags & TCP_CONN_ECN_CUT)) /* this window was reduced already */
        s->cc->lost(s, c, c->snd_max - c->snd_una);
    c->flags &= ~(uint32_t)TCP_CONN_ECN_CUT;
    c->flags |= c->flags & TCP_CONN_ECN ? TCP_CONN_ECN_CWR : 0;
    c->recover = c->snd_max;
    c->flags |= TCP_CONN_RECOVERY;
    c->flags &= ~(uint32_t)(TCP_CONN_PROBED | TCP_CONN_PROBE_AGAIN);
    r->flight_bytes = c->snd_max - c->snd_una - r->sacked_bytes + s->delivered_bytes; /* RFC 9937 */
    r->prr_delivered = r->prr_out = 0;
    r->first = true;
    c->retransmit_ms = tcp_timer_at_us(s, tcp_rto_us(s, c));
}

/* RFC 6937 section 3: the window that lets out what this ACK allows. A safe ACK advances and tells
 * of no further loss (RFC 9937). */
static void reduce(struct tcp_stack *s, struct tcp_conn *c, struct tcp_recovery *r, bool safe)
{
    uint32_t delivered = s->delivered_bytes;
    uint64_t allowed;

    r->prr_delivered += delivered;
    if (r->pipe > c->ssthresh) {
        allowed = ((uint64_t)r->prr_delivered * c->ssthresh + r->flight_bytes - 1) /
                  tcp_max(r->flight_bytes, 1);
        allowed = allowed > r->prr_out ? allowed - r->prr_out : 0;
    } else {
        uint32_t credit = r->prr_delivered > r->prr_out ? r->prr_delivered - r->prr_out : 0;
        allowed = tcp_max(credit, delivered) + (safe ? c->mss : 0U);
        allowed = tcp_min((uint32_t)allowed, c->ssthresh - r->pipe);
    }
    c->cwnd = tcp_max(r->pipe + (uint32_t)allowed, c->mss);
}

/* The marks are up to date: where that leaves the recovery. */
static void update(struct tcp_stack *s, struct tcp_conn *c, struct tcp_recovery *r, bool safe)
{
    if (c->flags & (TCP_CONN_RECOVERY | TCP_CONN_LOSS) && tcp_seq_geq(c->snd_una, c->recover)) {
        if (c->flags & TCP_CONN_RECOVERY)
            c->cwnd = tcp_max(c->ssthresh, c->mss);
        c->flags &= ~(uint32_t)(TCP_CONN_RECOVERY | TCP_CONN_LOSS);
        c->dup_acks = 0;
        tcp_rack_recovered(c);
        tcp_undo_end(c, r);
    }
    if (r->lost_bytes > 0 && !(c->flags & (TCP_CONN_RECOVERY | TCP_CONN_LOSS))) {
        begin(s, c, r);
        safe = false;
    }
    if (c->flags & TCP_CONN_RECOVERY)
        reduce(s, c, r, safe);
    if (r->undo_valid && !(c->flags & (TCP_CONN_RECOVERY | TCP_CONN_LOSS)) &&
        tcp_seq_geq(c->snd_una, r->undo_until))
        r->undo_valid = false;
    if (!r->undo_valid && !tcp_recover_is_busy(s, c))
        tcp_recover_release(s, c);
}

bool tcp_recover_input(struct tcp_stack *s, struct tcp_conn *c, const struct tcp_segment *seg,
                       enum tcp_ack_kind kind)
{
    struct tcp_sack_block block[TCP_SACK_BLOCK_MAX];
    uint32_t block_cnt = 0;

    if (!(c->flags & TCP_CONN_SACK))
        return false;
    if (seg->options.sack_cnt > 0)
        block_cnt = take_blocks(s, c, seg, block);
    struct tcp_recovery *r = block_cnt > 0 ? take(s, c) : tcp_recovery_of(s, c);
    if (r == NULL)
        return false;
    uint32_t lost_before = r->lost_bytes;
    if (block_cnt > 0 && c->flags & TCP_CONN_PROBE_DUE) { /* there is better evidence to come */
        c->flags &= ~(uint32_t)TCP_CONN_PROBE_DUE;
        c->retransmit_ms = tcp_timer_at_us(s, tcp_rto_us(s, c));
    }
    bool news = tcp_mark_sacked(s, c, r, block, block_cnt);
    if (c->snd_head != NULL && c->snd_head->vlan_tci & TCP_MARK_SACKED)
        forget_sacked(s, c, r);
    if (kind != TCP_ACK_NEW && (news || kind == TCP_ACK_DUPLICATE)) {
        tcp_count(s, STATS_TCP_DUP_ACKS);
        if (c->dup_acks < UINT8_MAX)
            c->dup_acks++;
    }
    tcp_undo_try(s, c, r);
    tcp_mark_lost_due(s, c, r);
    update(s, c, r, kind == TCP_ACK_NEW && r->lost_bytes <= lost_before);
    return true;
}

void tcp_recover_timer(struct tcp_stack *s, struct tcp_conn *c)
{
    struct tcp_recovery *r = tcp_recovery_of(s, c);

    tcp_count(s, STATS_TCP_REORDER_TIMEOUTS);
    s->delivered_bytes = 0;
    tcp_mark_lost_due(s, c, r);
    update(s, c, r, false);
    tcp_conn_ready(s, c);
}

void tcp_recover_save(struct tcp_stack *s, struct tcp_conn *c)
{
    struct tcp_recovery *r = NULL;

    if (c->flags & TCP_CONN_SACK && c->snd_head != NULL)
        r = take(s, c);
    if (r == NULL)
        return;
    /* In the middle of a recovery, what it began with is what to come back to. */
    if (r->undo_valid && c->flags & (TCP_CONN_RECOVERY | TCP_CONN_LOSS))
        r->undo_timeout = true;
    else
        tcp_undo_begin(c, r, true);
}

bool tcp_recover_timeout(struct tcp_stack *s, struct tcp_conn *c)
{
    struct tcp_recovery *r = NULL;

    if (c->flags & TCP_CONN_SACK && c->snd_head != NULL)
        r = take(s, c);
    if (r == NULL) { /* a FIN alone has no mbuf to mark */
        tcp_recover_release(s, c);
        c->flags &= ~(uint32_t)TCP_CONN_LOSS;
        return false;
    }
    if (c->snd_head->vlan_tci & TCP_MARK_SACKED)
        forget_sacked(s, c, r);
    tcp_mark_lost_from(c, r, c->snd_una);
    c->flags &= ~(uint32_t)TCP_CONN_RECOVERY;
    c->flags |= TCP_CONN_LOSS;
    r->first = true;
    return true;
}

bool tcp_recover_too_big(struct tcp_stack *s, struct tcp_conn *c, uint32_t from)
{
    struct tcp_recovery *r = NULL;

    if (c->flags & TCP_CONN_SACK && c->snd_head != NULL)
        r = take(s, c);
    if (r == NULL)
        return false;
    tcp_mark_lost_from(c, r, from);
    r->undo_valid = false; /* the window is not reduced */
    c->flags &= ~(uint32_t)TCP_CONN_RECOVERY;
    c->flags |= TCP_CONN_LOSS;
    r->first = true;
    return true;
}

void tcp_recover_check(const struct tcp_stack *s, const struct tcp_conn *c)
{
    const struct tcp_recovery *r = tcp_recovery_of(s, c);

    if (r == NULL) {
        base_assert(!(c->flags & TCP_CONN_LOSS));
        return;
    }
    base_assert(c->flags & TCP_CONN_SACK && c->snd_nxt == c->snd_max);
    tcp_mark_check(c, r);
}
