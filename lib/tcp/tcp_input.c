/* Segments of a connection, checked in the order of RFC 9293 section 3.10.7, with RFC 5961. */
#include "tcp_internal.h"

/* The peer's answer to our SYN, or its own SYN (section 3.10.7.3). */
static void input_syn_sent(struct tcp_stack *s, struct tcp_conn *c, struct tcp_segment *seg)
{
    bool ack = (seg->flags & TCP_FLAG_ACK) != 0;

    if (ack && (tcp_seq_leq(seg->ack, c->snd_una) || tcp_seq_gt(seg->ack, c->snd_max))) {
        tcp_count(s, STATS_TCP_DROP_ACK);
        tcp_segment_refuse(s, seg);
        return;
    }
    if (seg->flags & TCP_FLAG_RST) {
        if (!ack) {
            tcp_count(s, STATS_TCP_DROP_RST);
            return;
        }
        tcp_count(s, STATS_TCP_RX_RESETS);
        tcp_conn_end(s, c, TCP_ERROR_REFUSED);
        return;
    }
    if (!(seg->flags & TCP_FLAG_SYN)) {
        tcp_count(s, STATS_TCP_DROP_STATE);
        return;
    }
    c->rcv_nxt = seg->seq + 1;
    c->rcv_adv = c->rcv_nxt + tcp_min(s->recv_start_bytes, 0xffff);
    c->mss = tcp_mss_effective(s, &c->key, &seg->options);
    if (tcp_timestamps_wanted(s, &seg->options)) {
        c->flags |= TCP_CONN_TIMESTAMPS;
        c->ts_recent = seg->options.timestamp;
    }
    if (seg->options.sack_permitted && !s->config.sack_off)
        c->flags |= TCP_CONN_SACK;
    /* A SYN-ACK with both is an echo of what it does not know (RFC 3168 section 6.1.1). */
    uint8_t want = ack ? TCP_FLAG_ECE : TCP_FLAG_ECE | TCP_FLAG_CWR;
    if ((seg->flags & (TCP_FLAG_ECE | TCP_FLAG_CWR)) == want && c->flags & TCP_CONN_SACK &&
        (ack ? s->config.ecn == TCP_ECN_ASK && !(c->flags & TCP_CONN_SYN_LOST)
             : s->config.ecn != TCP_ECN_OFF))
        c->flags |= TCP_CONN_ECN;
    c->wscale = 0;
    if (seg->options.has_wscale)
        c->wscale = (uint8_t)(tcp_wscale_peer(s, &seg->options) << 4 | s->recv_wscale);
    c->snd_wl1 = seg->seq;
    tcp_ack_window(s, c, seg);
    if (!ack) { /* simultaneous open: its data is not kept, the peer sends it again */
        tcp_state_change(s, c, TCP_SYN_RECEIVED);
        c->flags &= ~(uint32_t)TCP_CONN_RTT_TIMED;
        if (tcp_output_syn(s, c))
            tcp_timer_arm(s, c);
        return;
    }
    if (c->flags & TCP_CONN_RTT_TIMED)
        tcp_rtt_sample(c, s->now_us - c->rttvar_us);
    c->flags &= ~(uint32_t)TCP_CONN_RTT_TIMED;
    c->flags |= TCP_CONN_ACK_NOW;
    c->snd_una = seg->ack;
    c->recover = c->snd_una - 1;
    c->retransmit_ms = 0;
    tcp_conn_established(s, c, TCP_EVENT_CONNECTED);
    seg->seq++;
    seg->flags &= (uint8_t)~TCP_FLAG_SYN;
    if (seg->len > 0 || seg->flags & TCP_FLAG_FIN)
        tcp_conn_input(s, c, seg);
}

/* The four cases of section 3.10.7.4, but a segment without length may also sit on the right edge:
 * the ACKs of a peer whose last window of data was lost do. And a merged one may begin before the
 * window and end behind it. */
static bool acceptable(const struct tcp_conn *c, const struct tcp_segment *seg)
{
    uint32_t window = c->rcv_adv - c->rcv_nxt;
    uint32_t len =
        seg->len + ((seg->flags & TCP_FLAG_SYN) != 0) + ((seg->flags & TCP_FLAG_FIN) != 0);

    if (len == 0 || window == 0) /* a zero window still takes the ACK of a segment at rcv_nxt */
        return seg->seq - c->rcv_nxt <= window;
    return seg->seq - c->rcv_nxt < window || seg->seq + len - 1 - c->rcv_nxt < window ||
           (tcp_seq_lt(seg->seq, c->rcv_nxt) && tcp_seq_gt(seg->seq + len, c->rcv_nxt));
}

static void input_rst(struct tcp_stack *s, struct tcp_conn *c, const struct tcp_segment *seg)
{
    bool inside = seg->seq == c->rcv_nxt || seg->seq - c->rcv_nxt < c->rcv_adv - c->rcv_nxt;

    if (!inside || c->state == TCP_TIME_WAIT) {
        tcp_count(s, STATS_TCP_DROP_RST); /* in TIME-WAIT: RFC 1337 */
        return;
    }
    if (seg->seq != c->rcv_nxt) { /* RFC 5961 section 3.2 */
        tcp_count(s, STATS_TCP_DROP_RST);
        tcp_output_challenge(s, c);
        return;
    }
    tcp_count(s, STATS_TCP_RX_RESETS);
    tcp_conn_end(s, c, c->state == TCP_SYN_RECEIVED ? TCP_ERROR_REFUSED : TCP_ERROR_RESET);
}

/* Cuts a segment to what is new and inside the window. */
static void trim(struct tcp_stack *s, struct tcp_conn *c, struct tcp_segment *seg)
{
    uint32_t window = c->rcv_adv - c->rcv_nxt;

    if (tcp_seq_lt(seg->seq, c->rcv_nxt)) {
        uint32_t old = tcp_min(c->rcv_nxt - seg->seq, seg->len);
        if (seg->len > 0) {
            tcp_count(s, STATS_TCP_DUPLICATE_SEGMENTS);
            tcp_sack_duplicate(s, c, seg->seq, seg->seq + old);
            c->flags |= TCP_CONN_ACK_NOW;
        }
        seg->mbuf = tcp_mbuf_cut_head(seg->mbuf, old);
        seg->len -= old;
        seg->seq = c->rcv_nxt;
    }
    uint32_t room = window - (seg->seq - c->rcv_nxt);
    if (seg->len + ((seg->flags & TCP_FLAG_FIN) != 0) > room) {
        tcp_count(s, STATS_TCP_BEYOND_WINDOW);
        c->flags |= TCP_CONN_ACK_NOW;
        seg->flags &= (uint8_t)~TCP_FLAG_FIN;
        if (seg->len > room) {
            tcp_mbuf_cut_tail(seg->mbuf, room);
            seg->len = room;
        }
    }
}

/* SYN-RECEIVED of a simultaneous open: the ACK of our SYN. False when the segment is done with. */
static bool input_syn_received(struct tcp_stack *s, struct tcp_conn *c, struct tcp_segment *seg)
{
    if (tcp_seq_leq(seg->ack, c->snd_una) || tcp_seq_gt(seg->ack, c->snd_max)) {
        tcp_count(s, STATS_TCP_DROP_ACK);
        tcp_segment_refuse(s, seg);
        return false;
    }
    c->snd_una++;
    c->recover = c->snd_una - 1;
    c->retransmit_ms = 0;
    c->snd_wl1 = seg->seq;
    tcp_ack_window(s, c, seg);
    tcp_conn_established(s, c, TCP_EVENT_CONNECTED);
    return true;
}

/* Text and FIN: the last steps. c may be gone after it. */
static void input_text(struct tcp_stack *s, struct tcp_conn *c, struct tcp_segment *seg)
{
    if (c->state != TCP_ESTABLISHED && c->state != TCP_FIN_WAIT_1 && c->state != TCP_FIN_WAIT_2) {
        if (seg->len > 0)
            tcp_count(s, STATS_TCP_DROP_AFTER_FIN);
        return;
    }
    if (seg->len > 0 && c->flags & TCP_CONN_ORPHAN) { /* RFC 9293 section 3.6.1: nobody reads it */
        tcp_count(s, STATS_TCP_DATA_AFTER_CLOSE);
        tcp_output_rst(s, c);
        tcp_conn_end(s, c, TCP_OK);
        return;
    }
    if (seg->len > 0) {
        tcp_recv_data(s, c, seg);
    } else if (seg->flags & TCP_FLAG_FIN) {
        if (seg->seq == c->rcv_nxt) {
            tcp_recv_fin(s, c);
        } else {
            tcp_count(s, STATS_TCP_DROP_OUT_OF_ORDER); /* nothing to hold it by; it comes again */
            tcp_output_ack(s, c);
        }
    }
}

/*
 * RFC 7323 section 5.3, R1: true for a segment from before what we have seen. One without
 * timestamps passes: there are peers that leave them away later on. After 24 days of silence the
 * clocks say nothing.
 */
static bool is_old(const struct tcp_stack *s, const struct tcp_conn *c,
                   const struct tcp_segment *seg)
{
    return (c->flags & TCP_CONN_TIMESTAMPS) != 0 && seg->options.has_timestamp &&
           tcp_seq_lt(seg->options.timestamp, c->ts_recent) && (seg->flags & TCP_FLAG_RST) == 0 &&
           s->now_ms - c->received_ms < TCP_PAWS_IDLE_MS;
}

/* R3: TS.Recent is that of the segment that our next ACK is about, so nothing changes while an
 * ACK is owed. */
static void take_timestamp(struct tcp_conn *c, const struct tcp_segment *seg)
{
    if (c->flags & TCP_CONN_TIMESTAMPS && seg->options.has_timestamp &&
        tcp_seq_leq(seg->seq, c->rcv_nxt) && c->unacked_segments == 0 &&
        !(c->flags & TCP_CONN_ACK_NOW))
        c->ts_recent = seg->options.timestamp;
}

/* RFC 3168 section 6.1.3: the echo goes on until the peer tells that it has reduced. */
static void take_mark(struct tcp_stack *s, struct tcp_conn *c, const struct tcp_segment *seg)
{
    if (seg->flags & TCP_FLAG_CWR)
        c->flags &= ~(uint32_t)TCP_CONN_ECN_ECHO;
    if (seg->ecn == TCP_ECT_CE) {
        tcp_count(s, STATS_TCP_RX_CE);
        if (!(c->flags & TCP_CONN_ECN_ECHO))
            c->flags |= TCP_CONN_ACK_NOW;
        c->flags |= TCP_CONN_ECN_ECHO;
    }
}

/* The answer to a segment outside the window, in sequence or in time. */
static void refuse(struct tcp_stack *s, struct tcp_conn *c, const struct tcp_segment *seg)
{
    if (seg->len > 0 && !(seg->flags & TCP_FLAG_SYN)) {
        if (tcp_seq_leq(seg->seq + seg->len, c->rcv_nxt))
            tcp_sack_duplicate(s, c, seg->seq, seg->seq + seg->len);
        tcp_output_ack(s, c); /* one for each: a peer that has lost our ACK needs it */
    } else
        tcp_output_challenge(s, c); /* bounded: two confused peers must not go on for ever */
}

void tcp_conn_input(struct tcp_stack *s, struct tcp_conn *c, struct tcp_segment *seg)
{
    s->has_duplicate = false;
    if (c->state != TCP_SYN_SENT && is_old(s, c, seg)) {
        tcp_count(s, STATS_TCP_DROP_PAWS);
        refuse(s, c, seg);
        return;
    }
    c->received_ms = s->now_ms;
    c->probes = 0;
    if (c->state == TCP_SYN_SENT) {
        input_syn_sent(s, c, seg);
        return;
    }
    if (c->state == TCP_SYN_RECEIVED && (seg->flags & TCP_FLAG_SYN) && seg->seq == c->rcv_nxt - 1) {
        /* The SYN again, now perhaps with the ACK: RFC 9293 figure 8 needs it to be taken. */
        if (!(seg->flags & TCP_FLAG_ACK)) {
            c->flags |= TCP_CONN_SYN_LOST;
            if (tcp_output_syn(s, c))
                tcp_timer_arm(s, c);
            return;
        }
        seg->flags &= (uint8_t)~TCP_FLAG_SYN;
        seg->seq++;
        c->flags |= TCP_CONN_ACK_NOW;
    }
    if (seg->flags & TCP_FLAG_RST) {
        input_rst(s, c, seg);
        return;
    }
    if (!acceptable(c, seg)) {
        tcp_count(s, STATS_TCP_DROP_SEQUENCE);
        refuse(s, c, seg);
        return;
    }
    if (seg->flags & TCP_FLAG_SYN) { /* RFC 5961 section 4.2 */
        tcp_count(s, STATS_TCP_DROP_SYN);
        tcp_output_challenge(s, c);
        return;
    }
    if (!(seg->flags & TCP_FLAG_ACK)) {
        tcp_count(s, STATS_TCP_DROP_FLAGS);
        return;
    }
    take_timestamp(c, seg);
    if (c->flags & TCP_CONN_ECN && seg->len > 0)
        take_mark(s, c, seg);
    if (c->state == TCP_SYN_RECEIVED && !input_syn_received(s, c, seg))
        return;
    if (!tcp_ack_input(s, c, seg))
        return;
    trim(s, c, seg);
    if (c->flags & TCP_CONN_ACK_NOW)
        tcp_conn_ready(s, c);
    input_text(s, c, seg);
    s->has_duplicate = false; /* the next segment may be another connection's */
}
