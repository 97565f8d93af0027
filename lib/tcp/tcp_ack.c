/* What an ACK does: RFC 9293 section 3.10.7.4 (fifth), 5681, 6582, 6298. */
#include "tcp_cc.h"
#include "tcp_internal.h"

/* RFC 6298 section 2, in microseconds; the backed-off value. */
uint32_t tcp_rto_us(const struct tcp_stack *s, const struct tcp_conn *c)
{
    uint64_t rto;

    if (c->srtt_us == 0)
        rto =
            c->flags & TCP_CONN_SYN_LOST && c->cwnd != 0 ? TCP_RTO_SYN_LOST_US : TCP_RTO_INITIAL_US;
    else
        rto = c->srtt_us + tcp_max(4 * c->rttvar_us, 1000);
    if (rto < s->rto_min_us)
        rto = s->rto_min_us;
    rto <<= c->backoff;
    return rto < TCP_RTO_MAX_US ? (uint32_t)rto : TCP_RTO_MAX_US;
}

void tcp_rtt_sample(struct tcp_conn *c, uint32_t rtt_us)
{
    if (rtt_us == 0)
        rtt_us = 1;
    if (rtt_us > TCP_RTO_MAX_US)
        rtt_us = TCP_RTO_MAX_US;
    /* A least of the last few hundred samples, about: it rises slowly, so that a path which has
     * become longer is known as such. */
    if (c->min_rtt_us == 0 || rtt_us < c->min_rtt_us)
        c->min_rtt_us = rtt_us;
    else
        c->min_rtt_us += (rtt_us - c->min_rtt_us) / 256;
    if (c->srtt_us == 0) {
        c->srtt_us = rtt_us;
        c->rttvar_us = rtt_us / 2;
        return;
    }
    uint32_t off = c->srtt_us > rtt_us ? c->srtt_us - rtt_us : rtt_us - c->srtt_us;
    c->rttvar_us += off / 4 - c->rttvar_us / 4;
    c->srtt_us = tcp_max(c->srtt_us - c->srtt_us / 8 + rtt_us / 8, 1);
}

/* A sample from what the segment echoes (RFC 7323 section 4), in whole milliseconds. The answer to
 * a duplicate echoes what was sent before it: that would count the wait for a lost ACK. Peers
 * without DSACK do not tell it from a path that has become longer, so a sample counts for no more
 * than twice what is known: the timeout does not grow by itself, but follows. */
void tcp_rtt_echo(const struct tcp_stack *s, struct tcp_conn *c, const struct tcp_segment *seg)
{
    if (!(c->flags & TCP_CONN_TIMESTAMPS) || !seg->options.has_timestamp ||
        seg->options.timestamp_echo == 0 || tcp_sack_is_duplicate(&seg->options, seg->ack))
        return;
    uint32_t rtt_ms = s->now_ms + c->ts_offset - seg->options.timestamp_echo;
    if (rtt_ms > TCP_RTO_MAX_US / 1000) /* it is none of ours */
        return;
    uint32_t rtt_us = tcp_max(rtt_ms, 1) * 1000;
    tcp_rtt_sample(c, c->srtt_us == 0 ? rtt_us : tcp_min(rtt_us, tcp_max(2 * c->srtt_us, 2000)));
}

static void take_window(struct tcp_stack *s, struct tcp_conn *c, const struct tcp_segment *seg)
{
    uint32_t window = (uint32_t)seg->window << (seg->flags & TCP_FLAG_SYN ? 0 : c->wscale >> 4);
    if (c->snd_wnd == 0 && window > 0 && c->backoff > 0 && !tcp_conn_is_opening(c)) {
        /* The window opened: probing is over. A peer that had closed it on what was in flight has
         * dropped that; it goes out again now, not after the backed-off time. */
        c->backoff = 0;
        c->retransmit_ms = 0;
        if (c->snd_una == c->snd_max || !tcp_recover_timeout(s, c))
            tcp_send_rewind(c);
    }
    c->snd_wnd = window;
    if (tcp_seq_gt(seg->seq, c->snd_wl1))
        c->snd_wl1 = seg->seq;
    c->snd_wnd_max = tcp_max(c->snd_wnd_max, window);
}

/* RFC 9293 section 3.10.7.4: the window of a segment that is not older than the last one taken. */
void tcp_ack_window(struct tcp_stack *s, struct tcp_conn *c, const struct tcp_segment *seg)
{
    if (tcp_seq_geq(seg->seq, c->snd_wl1))
        take_window(s, c, seg);
}

/* The third duplicate: RFC 6582 section 3.2 steps 2 to 4. */
static void duplicate(struct tcp_stack *s, struct tcp_conn *c)
{
    tcp_count(s, STATS_TCP_DUP_ACKS);
    if (c->dup_acks < UINT8_MAX)
        c->dup_acks++;
    if (c->flags & TCP_CONN_RECOVERY) {
        /* A segment has left the network; no more can have left than were in it. */
        if (c->cwnd < c->ssthresh + (c->snd_max - c->snd_una))
            c->cwnd += c->mss;
        return;
    }
    if (c->dup_acks != TCP_DUP_ACK_THRESHOLD || !tcp_seq_gt(c->snd_una, c->recover))
        return;
    tcp_count(s, STATS_TCP_FAST_RETRANSMITS);
    s->cc->lost(s, c, c->snd_max - c->snd_una);
    c->recover = c->snd_max;
    c->flags |= TCP_CONN_RECOVERY;
    c->flags &= ~(uint32_t)TCP_CONN_PARTIAL;
    c->cwnd = c->ssthresh + TCP_DUP_ACK_THRESHOLD * c->mss;
    (void)tcp_output_first(s, c);
    c->retransmit_ms = tcp_timer_at_us(s, tcp_rto_us(s, c));
}

/* RFC 3168 section 6.1.2: as for a loss, once a window, and nothing is sent again. */
static void echoed(struct tcp_stack *s, struct tcp_conn *c, const struct tcp_segment *seg)
{
    if (!(c->flags & TCP_CONN_ECN) || !(seg->flags & TCP_FLAG_ECE) ||
        c->flags & (TCP_CONN_RECOVERY | TCP_CONN_LOSS | TCP_CONN_PROBED) ||
        tcp_seq_leq(seg->ack, c->recover) || c->snd_una == c->snd_max)
        return;
    tcp_count(s, STATS_TCP_ECN_REDUCTIONS);
    s->cc->lost(s, c, c->snd_max - c->snd_una);
    c->cwnd = tcp_max(tcp_min(c->cwnd, c->ssthresh), c->mss);
    c->recover = c->snd_max;
    c->flags |= TCP_CONN_ECN_CWR | TCP_CONN_ECN_CUT;
}

/* New data was acknowledged while recovering: RFC 6582 section 3.2 step 5. */
static void recover(struct tcp_stack *s, struct tcp_conn *c, uint32_t acked)
{
    if (tcp_seq_geq(c->snd_una, c->recover)) {
        uint32_t in_flight = c->snd_max - c->snd_una;
        c->cwnd = tcp_min(c->ssthresh, tcp_max(in_flight, c->mss) + c->mss);
        c->flags &= ~(uint32_t)TCP_CONN_RECOVERY;
        c->dup_acks = 0;
        return;
    }
    (void)tcp_output_first(s, c);
    c->cwnd -= tcp_min(acked, c->cwnd - c->mss);
    if (acked >= c->mss)
        c->cwnd += c->mss;
}

static void advance(struct tcp_stack *s, struct tcp_conn *c, const struct tcp_segment *seg)
{
    uint32_t acked = seg->ack - c->snd_una;
    /* A window that is not used does not grow (RFC 7661's cause; RFC 9438 section 4.2). */
    bool used = 2 * (uint64_t)(c->snd_max - c->snd_una) >= c->cwnd;
    uint32_t bytes = tcp_min(acked, c->snd_len);

    if (acked > bytes)
        c->flags |= TCP_CONN_FIN_ACKED;
    /* While something may have been sent twice, only the echo tells the RTT. */
    if (tcp_seq_leq(c->snd_una, c->recover))
        tcp_rtt_echo(s, c, seg);
    tcp_send_acked(s, c, bytes);
    c->snd_una = seg->ack;
    if (tcp_seq_lt(c->snd_nxt, c->snd_una))
        c->snd_nxt = c->snd_una;
    /* recover never falls so far behind that it looks like the future. */
    if (!(c->flags & TCP_CONN_RECOVERY) && tcp_seq_gt(c->snd_una, c->recover))
        c->recover = c->snd_una - 1;
    if (tcp_seq_gt(c->snd_una, c->recover))
        c->flags &= ~(uint32_t)TCP_CONN_ECN_CUT;
    c->backoff = 0;
    c->progress_ms = s->now_ms;
    /* RFC 6582 section 4, "impatient": only the first partial ACK of a recovery restarts the timer,
     * so that after the loss of very many the timeout comes, which sends them faster. */
    bool reno = (c->flags & TCP_CONN_RECOVERY) != 0 && c->recovery == 0;
    bool restart = !reno || !(c->flags & TCP_CONN_PARTIAL);
    if (reno) {
        c->flags |= TCP_CONN_PARTIAL;
        recover(s, c, acked);
    } else {
        c->dup_acks = 0;
        /* It does not grow while the network marks. */
        if (used && !(c->flags & TCP_CONN_RECOVERY) &&
            !(c->flags & TCP_CONN_ECN && seg->flags & TCP_FLAG_ECE))
            s->cc->acked(s, c, s->delivered_bytes);
    }
    if (c->snd_una == c->snd_max)
        c->retransmit_ms = 0;
    else if (restart || c->retransmit_ms == 0)
        tcp_timer_retransmit(s, c);
    if (c->flags & TCP_CONN_ORPHAN)
        c->life_ms = tcp_timer_at(s, s->fin_timeout_ms);
    if (c->flags & TCP_CONN_WANT_WRITE && c->snd_len <= c->snd_cap / 4 * 3) {
        c->flags &= ~(uint32_t)TCP_CONN_WANT_WRITE;
        tcp_conn_event(s, c, TCP_EVENT_WRITABLE);
    }
}

/* Our FIN is acknowledged. False when the connection is done. */
static bool fin_acked(struct tcp_stack *s, struct tcp_conn *c)
{
    switch (c->state) {
    case TCP_FIN_WAIT_1:
        tcp_state_change(s, c, TCP_FIN_WAIT_2);
        return true;
    case TCP_CLOSING:
        tcp_time_wait_enter(s, c);
        return false;
    case TCP_LAST_ACK:
        tcp_conn_end(s, c, TCP_OK);
        return false;
    default:
        return true;
    }
}

bool tcp_ack_input(struct tcp_stack *s, struct tcp_conn *c, const struct tcp_segment *seg)
{
    /* RFC 5961 section 5.2 */
    if (tcp_seq_gt(seg->ack, c->snd_max) || tcp_seq_lt(seg->ack, c->snd_una - c->snd_wnd_max)) {
        tcp_count(s, STATS_TCP_DROP_ACK);
        tcp_output_challenge(s, c);
        return false;
    }
    s->delivered_bytes = 0;
    s->has_echo = c->flags & TCP_CONN_TIMESTAMPS && seg->options.has_timestamp &&
                  seg->options.timestamp_echo != 0;
    s->echo_age_ms = s->now_ms + c->ts_offset - seg->options.timestamp_echo;
    if (tcp_seq_leq(seg->ack, c->snd_una)) {
        uint32_t window = (uint32_t)seg->window << (c->wscale >> 4);
        bool same = seg->ack == c->snd_una && seg->len == 0 && window == c->snd_wnd &&
                    !(seg->flags & TCP_FLAG_FIN) && c->snd_una != c->snd_max;
        if (seg->ack == c->snd_una)
            tcp_ack_window(s, c, seg);
        tcp_rack_probe_acked(s, c, seg, same);
        if (!tcp_recover_input(s, c, seg, same ? TCP_ACK_DUPLICATE : TCP_ACK_OTHER) && same)
            duplicate(s, c);
        tcp_conn_ready(s, c);
        return true;
    }
    tcp_rack_probe_acked(s, c, seg, false);
    echoed(s, c, seg);
    advance(s, c, seg);
    (void)tcp_recover_input(s, c, seg, TCP_ACK_NEW);
    /* Newer than any, even on data sent again: with the window from before, counted from the new
     * SND.UNA, we would send beyond the edge that was offered. */
    take_window(s, c, seg);
    tcp_conn_ready(s, c);
    return (c->flags & TCP_CONN_FIN_ACKED) == 0 || fin_acked(s, c);
}
