/*
 * RACK-TLP (RFC 8985): losses by time, and a probe for the loss of a tail.
 *
 * Simplified: the reordering window grows by at most one step a recovery; the end of a probe is
 * kept in recover, as no recovery is under way then.
 */
#include "tcp_cc.h"
#include "tcp_internal.h"

#define REORDER_STEP_MAX   15
#define REORDER_PERSIST    15     /* recoveries until the window is small again */
#define PROBE_ACK_DELAY_US 200000 /* a lone segment's ACK may be delayed by so much */
#define NO_RTT_WINDOW_US   (TCP_RTO_INITIAL_US / 4) /* while nothing is known */
#define PROBE_ACK_SLACK_US 2000

static bool sent_after(uint32_t us_a, uint32_t end_a, uint32_t us_b, uint32_t end_b)
{
    return tcp_seq_gt(us_a, us_b) || (us_a == us_b && tcp_seq_gt(end_a, end_b));
}

/* Section 6.2 steps 2 and 3. */
void tcp_rack_delivered(struct tcp_stack *s, struct tcp_conn *c, struct tcp_recovery *r,
                        const struct rte_mbuf *m, uint32_t end)
{
    uint32_t rtt_us = s->now_us - m->hash.usr;

    if (tcp_seq_gt(end, r->fack)) {
        r->fack = end;
    } else if (!(m->vlan_tci & TCP_MARK_AGAIN) && !(c->flags & TCP_CONN_REORDERED)) {
        tcp_count(s, STATS_TCP_REORDERED);
        c->flags |= TCP_CONN_REORDERED;
    }
    /* Sooner than any round trip: that was the first transmission's. */
    if (m->vlan_tci & TCP_MARK_AGAIN && rtt_us < c->min_rtt_us)
        return;
    if (r->rack_valid && !sent_after(m->hash.usr, end, r->rack_us, r->rack_end))
        return;
    r->rack_valid = true;
    r->rack_us = m->hash.usr;
    r->rack_end = end;
    r->rack_rtt_us = rtt_us;
}

/* Section 6.2 step 4: how long a segment may be overtaken. */
uint32_t tcp_rack_window_us(const struct tcp_conn *c, const struct tcp_recovery *r)
{
    if (!(c->flags & TCP_CONN_REORDERED) &&
        (c->flags & (TCP_CONN_RECOVERY | TCP_CONN_LOSS) || r->sacked_cnt >= TCP_DUP_ACK_THRESHOLD))
        return 0;
    if (c->min_rtt_us == 0)
        return NO_RTT_WINDOW_US;
    return tcp_min(((c->reorder & 15U) + 1) * (c->min_rtt_us / 4), c->srtt_us);
}

/* Section 6.2 step 5: whether m is lost by now; if not, but soon, in *wait_us when. */
bool tcp_rack_lost(const struct tcp_stack *s, const struct tcp_recovery *r,
                   const struct rte_mbuf *m, uint32_t end, uint32_t window_us, uint32_t *wait_us)
{
    if (!r->rack_valid || !sent_after(r->rack_us, r->rack_end, m->hash.usr, end))
        return false;
    int32_t left = (int32_t)(m->hash.usr + r->rack_rtt_us + window_us - s->now_us);
    if (left <= 0)
        return true;
    *wait_us = tcp_max(*wait_us, (uint32_t)left);
    return false;
}

/* A retransmission was needless: more patience. Once a recovery. */
void tcp_rack_duplicate(struct tcp_conn *c)
{
    if (c->flags & TCP_CONN_DSACKED)
        return;
    c->flags |= TCP_CONN_DSACKED;
    uint32_t step = tcp_min((c->reorder & 15U) + 1, REORDER_STEP_MAX);
    c->reorder = (uint8_t)(REORDER_PERSIST << 4 | step);
}

/* A recovery is over. */
void tcp_rack_recovered(struct tcp_conn *c)
{
    c->flags &= ~(uint32_t)TCP_CONN_DSACKED;
    if (c->reorder >> 4 > 0)
        c->reorder = (uint8_t)(c->reorder - 16);
    if (c->reorder >> 4 == 0)
        c->reorder = 0;
}

/* ---- the probe: section 7 ---- */

/* Sets the retransmission timer: to the probe where one may be sent, else to the timeout. */
void tcp_timer_retransmit(struct tcp_stack *s, struct tcp_conn *c)
{
    uint32_t at_us = tcp_rto_us(s, c), flight = c->snd_max - c->snd_una;

    c->flags &= ~(uint32_t)TCP_CONN_PROBE_DUE;
    if (c->flags & TCP_CONN_SACK && !tcp_recover_is_busy(s, c) && c->snd_nxt == c->snd_max &&
        flight > 0 && !(c->flags & (TCP_CONN_RECOVERY | TCP_CONN_PROBED)) && c->backoff == 0 &&
        c->srtt_us > 0 && c->snd_len > 0 && c->snd_wnd > 0) {
        uint32_t probe_us =
            2 * c->srtt_us + (flight <= c->mss ? PROBE_ACK_DELAY_US : PROBE_ACK_SLACK_US);
        if (probe_us < at_us) {
            at_us = probe_us;
            c->flags |= TCP_CONN_PROBE_DUE;
        }
    }
    c->retransmit_ms = tcp_timer_at_us(s, at_us);
}

void tcp_rack_probe(struct tcp_stack *s, struct tcp_conn *c)
{
    uint32_t before = c->snd_max;

    tcp_count(s, STATS_TCP_TAIL_PROBES);
    c->flags &= ~(uint32_t)TCP_CONN_PROBE_AGAIN;
    /* New data says as much, and is of use whatever has happened. */
    if (!tcp_output_beyond(s, c)) {
        if (!tcp_output_last(s, c)) { /* no mbuf: the timeout comes */
            tcp_timer_retransmit(s, c);
            return;
        }
        c->flags |= TCP_CONN_PROBE_AGAIN;
    }
    base_debug_assert(tcp_seq_geq(c->snd_max, before));
    c->flags |= TCP_CONN_PROBED;
    c->recover = c->snd_max;
    c->retransmit_ms = tcp_timer_at_us(s, tcp_rto_us(s, c));
}

/* Section 7.4.2: what an ACK, not taken yet, tells about the probe. When the probe filled the only
 * hole, nothing else has told of the loss. */
void tcp_rack_probe_acked(struct tcp_stack *s, struct tcp_conn *c, const struct tcp_segment *seg,
                          bool duplicate)
{
    if (!(c->flags & TCP_CONN_PROBED) || tcp_seq_lt(seg->ack, c->recover))
        return;
    if (c->flags & TCP_CONN_PROBE_AGAIN && !tcp_sack_is_duplicate(&seg->options, seg->ack)) {
        if (seg->ack == c->recover && !duplicate)
            return; /* the first of two ACKs, perhaps */
        if (seg->ack != c->recover) {
            tcp_count(s, STATS_TCP_TAIL_LOSSES);
            s->cc->lost(s, c, c->snd_max - c->snd_una);
            c->cwnd = tcp_max(tcp_min(c->cwnd, c->ssthresh), c->mss);
        }
    }
    c->flags &= ~(uint32_t)(TCP_CONN_PROBED | TCP_CONN_PROBE_AGAIN);
}
