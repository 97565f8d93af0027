/*
 * Taking back a reduction of the window that was needless: what was sent again had not been lost,
 * only late. Two kinds of evidence, each counted for itself in bytes, because one may come without
 * the other and both may come about the same segment:
 *
 * - DSACK (RFC 2883, 3708): the peer tells that it got the segment twice;
 * - Eifel (RFC 3522): the ACK echoes a timestamp from before the segment was sent again, or comes
 *   sooner after that than any round trip.
 *
 * When either is known of all that was sent again since the reduction, windows and CUBIC's curve
 * are as they were (RFC 9438 section 4.9, RFC 4015), and a path that reorders is known as one. The
 * evidence of a peer that lies gains what it could have by acknowledging what it has not got.
 */
#include "tcp_cc.h"
#include "tcp_internal.h"

void tcp_undo_begin(const struct tcp_conn *c, struct tcp_recovery *r, bool timeout)
{
    r->undo_valid = true;
    r->undo_timeout = timeout;
    r->undo_from = c->snd_una;
    r->undo_until = c->snd_max;
    r->undo_probe = c->flags & TCP_CONN_PROBED ? c->recover : c->snd_una;
    r->undo_bytes = r->undo_dsack_left = r->undo_echo_left = 0;
    r->undo_cwnd = c->cwnd;
    r->undo_ssthresh = c->ssthresh;
    const uint32_t cubic[] = {c->cc_acked, c->cubic_w_max, c->cubic_w_est, c->cubic_epoch_ms,
                              c->cubic_k_ms};
    memcpy(r->undo_cubic, cubic, sizeof(cubic));
}

void tcp_undo_end(const struct tcp_conn *c, struct tcp_recovery *r)
{
    r->undo_until = c->snd_max;
    if (r->undo_bytes == 0)
        r->undo_valid = false;
}

void tcp_undo_acked(const struct tcp_stack *s, struct tcp_conn *c, struct tcp_recovery *r,
                    const struct rte_mbuf *m, uint32_t len, bool in_order)
{
    uint32_t age_us = s->now_us - m->hash.usr;

    if (!r->undo_valid || !(m->vlan_tci & TCP_MARK_RETRANSMITTED) || r->undo_echo_left == 0)
        return;
    bool sooner = age_us < c->min_rtt_us - c->min_rtt_us / 4;
    /* Both clocks count whole milliseconds. */
    if (sooner || (in_order && s->has_echo && s->echo_age_ms > age_us / 1000 + 1)) {
        r->undo_echo_left -= tcp_min(len, r->undo_echo_left);
        if (!r->undo_timeout)
            c->flags |= TCP_CONN_REORDERED;
    }
}

void tcp_undo_duplicate(struct tcp_recovery *r, const struct tcp_sack_block *block)
{
    if (r->undo_valid && tcp_seq_geq(block->left, r->undo_from) && block->right != r->undo_probe)
        r->undo_dsack_left -= tcp_min(block->right - block->left, r->undo_dsack_left);
}

void tcp_undo_try(struct tcp_stack *s, struct tcp_conn *c, struct tcp_recovery *r)
{
    if (!r->undo_valid || r->undo_bytes == 0 || (r->undo_dsack_left > 0 && r->undo_echo_left > 0))
        return;
    tcp_count(s, STATS_TCP_UNDONE);
    r->undo_valid = false;
    if (!r->undo_timeout)
        c->flags |= TCP_CONN_REORDERED;
    c->cwnd = tcp_max(c->cwnd, r->undo_cwnd);
    c->ssthresh = tcp_max(c->ssthresh, r->undo_ssthresh);
    c->cc_acked = r->undo_cubic[0];
    c->cubic_w_max = r->undo_cubic[1];
    c->cubic_w_est = r->undo_cubic[2];
    c->cubic_epoch_ms = r->undo_cubic[3];
    c->cubic_k_ms = r->undo_cubic[4];
    if (c->flags & (TCP_CONN_RECOVERY | TCP_CONN_LOSS)) {
        tcp_mark_lost_none(c, r);
        c->flags &= ~(uint32_t)(TCP_CONN_RECOVERY | TCP_CONN_LOSS);
        c->dup_acks = 0;
        tcp_rack_recovered(c);
    }
}
