/*
 * Sending for a connection. A data segment is a header from frame_pool, followed by indirect mbufs
 * (also from frame_pool) that refer to the send queue's bytes: neither sending again nor an ACK can
 * change what a driver still holds. Small payloads are copied behind the header instead.
 */
#include "tcp_internal.h"

#include <errno.h>

static void ack_sent(struct tcp_conn *c)
{
    c->flags &= ~(uint32_t)TCP_CONN_ACK_NOW;
    c->unacked_segments = 0;
    c->ack_ms = 0;
}

/* What every segment of a connection has (RFC 7323 section 3.2). */
static void set_options(const struct tcp_stack *s, const struct tcp_conn *c,
                        struct tcp_options *options)
{
    *options = (struct tcp_options){0};
    if (c->flags & TCP_CONN_TIMESTAMPS) {
        options->has_timestamp = true;
        options->timestamp = s->now_ms + c->ts_offset;
        options->timestamp_echo = c->ts_recent;
    }
}

/* A segment without payload; NULL when the pool is empty. SACK blocks go with bare ACKs, and with
 * data that leaves room for all that there may be. */
static struct rte_mbuf *new_segment(struct tcp_stack *s, struct tcp_conn *c, uint32_t seq,
                                    uint8_t flags, bool bare, bool blocks)
{
    uint32_t window = tcp_recv_window(s, c) >> (c->wscale & 15);
    struct tcp_options options;

    set_options(s, c, &options);
    if (c->flags & TCP_CONN_ECN_ECHO)
        flags |= TCP_FLAG_ECE;
    if (blocks)
        tcp_sack_write(s, c, &options);
    if (!bare)
        return tcp_segment_new_data(s, &c->key, seq, c->rcv_nxt, flags, window, &options);
    return tcp_segment_new(s, &c->key, seq, c->rcv_nxt, flags, window, &options);
}

/* Puts len bytes of the send queue, from offset in m on, behind the header. */
static bool attach_payload(struct tcp_stack *s, struct rte_mbuf *header, struct rte_mbuf *m,
                           uint32_t offset, uint32_t len)
{
    bool copy = len <= s->config.copy_max_bytes && len <= rte_pktmbuf_tailroom(header);
    struct rte_mbuf *last = header;

    while (len > 0) {
        if (offset == m->data_len) {
            m = m->next;
            offset = 0;
            continue;
        }
        uint32_t n = tcp_min(len, m->data_len - offset);
        if (copy) {
            memcpy(rte_pktmbuf_append(header, (uint16_t)n),
                   rte_pktmbuf_mtod_offset(m, uint8_t *, offset), n);
        } else {
            struct rte_mbuf *part = rte_pktmbuf_alloc(s->config.frame_pool);
            if (part == NULL) {
                tcp_count(s, STATS_TCP_NO_BUFFER);
                return false;
            }
            rte_pktmbuf_attach(part, m);
            part->data_off = (uint16_t)(part->data_off + offset);
            part->data_len = (uint16_t)n;
            part->pkt_len = n;
            last->next = part;
            last = part;
            header->nb_segs++;
            header->pkt_len += n;
        }
        offset += n;
        len -= n;
    }
    return true;
}

/* Builds and sends the segment at seq, whose payload is at offset in m. Returns false when a pool
 * was empty; then nothing has changed. */
static bool send_data(struct tcp_stack *s, struct tcp_conn *c, uint32_t seq, struct rte_mbuf *m,
                      uint32_t offset, uint32_t len, bool fin)
{
    uint8_t flags = TCP_FLAG_ACK;

    if (fin)
        flags |= TCP_FLAG_FIN;
    if (len > 0 && seq + len == c->snd_una + c->snd_len)
        flags |= TCP_FLAG_PSH;
    /* What is sent again is neither marked nor tells of a reduction (RFC 3168 section 6.1.5). */
    bool fresh = (c->flags & TCP_CONN_ECN) != 0 && len > 0 && tcp_seq_geq(seq, c->snd_max);
    if (fresh && c->flags & TCP_CONN_ECN_CWR)
        flags |= TCP_FLAG_CWR;
    bool blocks = c->ooo_head != NULL && len + TCP_OPTION_MAX_BYTES <= c->mss;
    struct rte_mbuf *header = new_segment(s, c, seq, flags, false, blocks);
    if (header == NULL)
        return false;
    if (!attach_payload(s, header, m, offset, len)) {
        rte_pktmbuf_free(header);
        return false;
    }
    if (len > c->mss) {
        header->tso_segsz = c->mss;
        tcp_count(s, STATS_TCP_TX_LARGE);
    }
    ack_sent(c);
    stats_add(s->stats, STATS_TCP_TX_BYTES, len);
    if (fresh)
        c->flags &= ~(uint32_t)TCP_CONN_ECN_CWR;
    (void)tcp_segment_send(s, &c->key, header,
                           fresh ? TCP_ECT_0
                                 : TCP_NOT_ECT); /* a packet lost here is a packet lost */
    return true;
}

void tcp_output_ack(struct tcp_stack *s, struct tcp_conn *c)
{
    struct rte_mbuf *m = new_segment(s, c, c->snd_max, TCP_FLAG_ACK, true, true);

    if (m == NULL) {
        c->flags |= TCP_CONN_ACK_NOW;
        c->ack_ms = tcp_timer_at(s, TCP_RETRY_MS);
        tcp_timer_arm(s, c);
        return;
    }
    ack_sent(c);
    (void)tcp_segment_send(s, &c->key, m, TCP_NOT_ECT);
}

void tcp_output_challenge(struct tcp_stack *s, struct tcp_conn *c)
{
    uint8_t second = (uint8_t)(s->now_ms / 1000);

    if (c->challenge_epoch != second || c->challenge_left == 0) {
        if (c->challenge_epoch == second) {
            tcp_count(s, STATS_TCP_REPLY_LIMITED);
            return;
        }
        c->challenge_epoch = second;
        c->challenge_left = (uint8_t)(TCP_CHALLENGE_MIN + base_rand_below(&s->rand, 8));
    }
    c->challenge_left--;
    tcp_count(s, STATS_TCP_CHALLENGE_ACKS);
    tcp_output_ack(s, c);
}

/* A segment without data before the window: whoever gets it must answer with an ACK. Used to probe
 * a zero window and an idle peer. */
void tcp_output_probe(struct tcp_stack *s, struct tcp_conn *c)
{
    struct rte_mbuf *m = new_segment(s, c, c->snd_una - 1, TCP_FLAG_ACK, true, true);

    if (m != NULL)
        (void)tcp_segment_send(s, &c->key, m, TCP_NOT_ECT);
}

void tcp_output_rst(struct tcp_stack *s, struct tcp_conn *c)
{
    struct tcp_options options;

    set_options(s, c, &options);
    struct rte_mbuf *m = tcp_segment_new(s, &c->key, c->snd_max, c->rcv_nxt,
                                         TCP_FLAG_RST | TCP_FLAG_ACK, 0, &options);

    if (m == NULL)
        return;
    tcp_count(s, STATS_TCP_TX_RESETS);
    (void)tcp_segment_send(s, &c->key, m, TCP_NOT_ECT);
}

/* SYN, or SYN and ACK in a simultaneous open. Returns false when the connection was ended because
 * the peer cannot be reached. */
bool tcp_output_syn(struct tcp_stack *s, struct tcp_conn *c)
{
    bool both = c->state == TCP_SYN_RECEIVED;
    struct tcp_options options = {
        .has_mss = true,
        .mss = tcp_mss_ours(s, &c->key),
        .has_wscale = !both || c->wscale != 0, /* RFC 7323 section 2.2: only when both do */
        .wscale = s->recv_wscale,
        .sack_permitted = both ? (c->flags & TCP_CONN_SACK) != 0 : !s->config.sack_off,
        .has_timestamp = both ? (c->flags & TCP_CONN_TIMESTAMPS) != 0 : !s->config.timestamps_off,
        .timestamp = s->now_ms + c->ts_offset,
        .timestamp_echo = both ? c->ts_recent : 0,
    };
    uint8_t flags = both ? TCP_FLAG_SYN | TCP_FLAG_ACK : TCP_FLAG_SYN;
    if (both && c->flags & TCP_CONN_ECN)
        flags |= TCP_FLAG_ECE;
    /* Sent again without: the first may have died of it (RFC 3168 section 6.1.1.1). */
    if (!both && s->config.ecn == TCP_ECN_ASK && !(c->flags & TCP_CONN_SYN_LOST))
        flags |= TCP_FLAG_ECE | TCP_FLAG_CWR;
    uint32_t window = tcp_min(s->recv_start_bytes, 0xffff);
    struct rte_mbuf *m =
        tcp_segment_new(s, &c->key, c->snd_una, both ? c->rcv_nxt : 0, flags, window, &options);

    if (m == NULL) {
        c->retransmit_ms = tcp_timer_at(s, TCP_RETRY_MS);
        return true;
    }
    if (c->snd_max == c->snd_una) { /* the first */
        c->flags |= TCP_CONN_RTT_TIMED;
        c->rttvar_us = s->now_us;
    }
    c->snd_nxt = c->snd_max = c->snd_una + 1;
    c->retransmit_ms = tcp_timer_at_us(s, tcp_rto_us(s, c));
    if (tcp_segment_send(s, &c->key, m, TCP_NOT_ECT) == -EHOSTUNREACH) {
        tcp_conn_end(s, c, TCP_ERROR_UNREACHABLE);
        return false;
    }
    return true;
}

/* Notes in the mbufs that len bytes from the place of snd_nxt on leave now, and moves the place on.
 * Returns the mbuf of the last byte; NULL when len is 0. */
static struct rte_mbuf *note_sent(const struct tcp_stack *s, struct tcp_conn *c, uint32_t len,
                                  uint16_t marks)
{
    struct tcp_recovery *r = tcp_recovery_of(s, c);
    struct rte_mbuf *last = NULL;

    if (r != NULL)
        r->prr_out += len;

    while (len > 0) {
        uint32_t n = tcp_min(len, c->snd_next->data_len - c->snd_next_offset);
        if (n > 0) {
            last = c->snd_next;
            last->hash.usr = s->now_us;
            last->vlan_tci |= marks;
            if (c->snd_next_offset == 0)
                tcp_mbuf_note(last)->first_us = s->now_us;
            if (r != NULL)
                tcp_mark_sent(r, last, n);
        }
        c->snd_next_offset = (uint16_t)(c->snd_next_offset + n);
        len -= n;
        if (c->snd_next->next == NULL || c->snd_next_offset < c->snd_next->data_len)
            break;
        c->snd_next = c->snd_next->next;
        c->snd_next_offset = 0;
    }
    base_debug_assert(len == 0);
    return last;
}

/* Book-keeping after a segment left at snd_nxt. */
static void advance(struct tcp_stack *s, struct tcp_conn *c, uint32_t len, bool fin)
{
    bool first = c->snd_nxt == c->snd_una;
    bool fresh = c->snd_nxt == c->snd_max;

    struct rte_mbuf *last = note_sent(s, c, len, fresh ? 0 : TCP_MARK_AGAIN);
    c->snd_nxt += len + fin;
    if (tcp_seq_gt(c->snd_nxt, c->snd_max)) {
        c->snd_max = c->snd_nxt;
        /* One sample a round trip, none while what was sent twice is in flight. */
        if (fresh && last != NULL && !(c->flags & TCP_CONN_RTT_TIMED) &&
            tcp_seq_geq(c->snd_una, c->recover)) {
            c->flags |= TCP_CONN_RTT_TIMED;
            last->vlan_tci |= TCP_MARK_TIMED;
        }
    } else {
        tcp_count(s, STATS_TCP_RETRANSMITS);
        tcp_watch_again(s, c, "sent again");
    }
    if (first && fresh)
        c->progress_ms = s->now_ms;
    if (first)
        tcp_timer_retransmit(s, c);
}

static uint32_t room(uint32_t window, uint32_t taken)
{
    return window > taken ? window - taken : 0;
}

/*
 * Bytes of a run of full mbufs at snd_nxt, up to most, for the port to cut where they meet; 0 when
 * it can not, or there are not two. So each mbuf remains a segment on the wire, with its own time
 * and marks, and what is lost goes out again by itself. No such runs amid a recovery, which counts
 * segments, nor for what carries CWR: it belongs on the first piece only.
 */
static uint32_t run_len(const struct tcp_stack *s, const struct tcp_conn *c, uint32_t most)
{
    uint32_t header = TCP_HEADER_BYTES, len = 0;
    uint16_t mbuf_max = 0, mbuf_cnt = 1;

    if (most < 2U * c->mss || c->snd_next_offset > 0 || tcp_recover_is_busy(s, c) ||
        c->snd_nxt != c->snd_max || c->flags & (TCP_CONN_RECOVERY | TCP_CONN_ECN_CWR))
        return 0;
    header += c->flags & TCP_CONN_TIMESTAMPS ? TCP_OPTION_TIMESTAMP_BYTES : 0;
    uint32_t max = net_large_max(s->net, &c->key.local, (uint16_t)(header + c->mss), &mbuf_max);
    for (const struct rte_mbuf *m = c->snd_next; m != NULL && m->data_len == c->mss; m = m->next) {
        if (len + c->mss > most || header + len + c->mss > max || ++mbuf_cnt > mbuf_max)
            break;
        len += c->mss;
    }
    return len > c->mss ? len : 0;
}

/* Sends the segment at snd_nxt when the windows and the sender's silly window rules (RFC 9293
 * section 3.8.6.2.1) let it; true when it did. */
bool tcp_output_next(struct tcp_stack *s, struct tcp_conn *c, bool force)
{
    int32_t left = (int32_t)(c->snd_una + c->snd_len - c->snd_nxt);
    bool fin = tcp_conn_owes_fin(c) && left >= 0;

    if (left < 0 || (left == 0 && !fin))
        return false;
    /* RFC 3042: two duplicate ACKs let out a segment each, beyond the congestion window. */
    const struct tcp_recovery *r = tcp_recovery_of(s, c);
    bool limited = r == NULL && !(c->flags & TCP_CONN_RECOVERY);
    uint32_t extra = limited ? tcp_min(c->dup_acks, 2) * c->mss : 0;
    uint32_t in_flight = c->snd_nxt - c->snd_una, pipe = r == NULL ? in_flight : r->pipe;
    uint32_t usable = tcp_min(room(c->snd_wnd, in_flight), room(c->cwnd + extra, pipe));
    uint32_t len = run_len(s, c, tcp_min((uint32_t)left, usable));

    if (len == 0)
        len = tcp_min(tcp_min((uint32_t)left, c->mss), usable);
    fin = fin && len == (uint32_t)left && usable > len;
    if (len == 0 && !fin)
        return false;
    if (len < c->mss && len < (uint32_t)left && len < c->snd_wnd_max / 2 && !force)
        return false;
    /* Segments of a longer queue begin where mbufs do, so that what is known about an mbuf is known
     * about a segment. */
    uint32_t rest = c->snd_next == NULL ? 0 : c->snd_next->data_len - (uint32_t)c->snd_next_offset;
    if (c->snd_next_offset > 0 && rest > 0 && rest < len && (uint32_t)left >= c->mss) {
        len = rest;
        fin = false;
    }
    if (!send_data(s, c, c->snd_nxt, c->snd_next, c->snd_next_offset, len, fin)) {
        c->flags |= TCP_CONN_TRIED;
        return false;
    }
    advance(s, c, len, fin);
    return true;
}

uint32_t tcp_output_first(struct tcp_stack *s, struct tcp_conn *c)
{
    uint32_t sent = c->snd_max - c->snd_una;
    uint32_t len = tcp_min(tcp_min(c->snd_len, c->mss), sent);
    bool fin = tcp_conn_owes_fin(c) && len == c->snd_len && sent > len;

    if (len == 0 && !fin)
        return 0;
    c->flags &= ~(uint32_t)TCP_CONN_RTT_TIMED; /* Karn */
    if (!send_data(s, c, c->snd_una, c->snd_head, 0, len, fin))
        return 0;
    tcp_count(s, STATS_TCP_RETRANSMITS);
    tcp_watch_again(s, c, "sent again");
    return len + fin;
}

bool tcp_output_beyond(struct tcp_stack *s, struct tcp_conn *c)
{
    uint32_t cwnd = c->cwnd;

    c->cwnd = tcp_max(c->cwnd, c->snd_nxt - c->snd_una + c->mss);
    bool sent = tcp_output_next(s, c, false);
    c->cwnd = cwnd;
    return sent;
}

bool tcp_output_last(struct tcp_stack *s, struct tcp_conn *c)
{
    uint32_t sent = tcp_min(c->snd_max - c->snd_una, c->snd_len), offset = 0;
    struct rte_mbuf *m = c->snd_head;

    if (sent == 0)
        return false;
    for (; offset + m->data_len < sent; m = m->next)
        offset += m->data_len;
    uint32_t in = 0, len = sent - offset;
    if (len > c->mss) {
        in = len - c->mss;
        len = c->mss;
    }
    bool fin = tcp_conn_owes_fin(c) && sent == c->snd_len && c->snd_max - c->snd_una > sent;
    if (!send_data(s, c, c->snd_una + offset + in, m, in, len, fin))
        return false;
    tcp_count(s, STATS_TCP_RETRANSMITS);
    tcp_watch_again(s, c, "sent again");
    c->flags &= ~(uint32_t)TCP_CONN_RTT_TIMED; /* Karn */
    m->vlan_tci |= TCP_MARK_AGAIN;
    m->hash.usr = s->now_us;
    return true;
}

/* Sends an mbuf that is marked as lost again, whole; false when a pool was empty. A FIN that was
 * sent behind it goes with it. */
static bool send_again(struct tcp_stack *s, struct tcp_conn *c, struct rte_mbuf *m, uint32_t seq)
{
    uint32_t left = tcp_min(m->data_len, c->snd_max - seq), offset = 0;

    while (offset < left) {
        uint32_t len = tcp_min(left - offset, c->mss), end = seq + offset + len;
        bool fin = tcp_conn_owes_fin(c) && end == c->snd_una + c->snd_len && end != c->snd_max;
        if (!send_data(s, c, seq + offset, m, offset, len, fin)) {
            c->flags |= TCP_CONN_TRIED;
            return false;
        }
        tcp_count(s, STATS_TCP_RETRANSMITS);
        tcp_watch_again(s, c, "sent again");
        offset += len;
    }
    c->flags &= ~(uint32_t)TCP_CONN_RTT_TIMED; /* Karn */
    m->vlan_tci |= TCP_MARK_AGAIN;
    m->hash.usr = s->now_us;
    return true;
}

/* RFC 6675 NextSeg (1): what is lost goes first. False when some of it must wait. */
static bool output_lost(struct tcp_stack *s, struct tcp_conn *c, uint32_t *sent_cnt)
{
    struct tcp_recovery *r = tcp_recovery_of(s, c);

    if (r == NULL)
        return true;
    for (; r->lost_bytes > 0; r->lost_next = r->lost_next->next) {
        struct rte_mbuf *m = r->lost_next;
        uint32_t seq = tcp_mbuf_seq(m);
        if ((m->vlan_tci & (TCP_MARK_LOST | TCP_MARK_RETRANSMITTED)) != TCP_MARK_LOST)
            continue;
        uint32_t len = tcp_min(m->data_len, c->snd_max - seq);
        bool fits = r->first || r->pipe == 0 || r->pipe + len <= c->cwnd;
        /* A window that has closed on what was sent: only the first segment probes it. */
        bool wanted = m == c->snd_head || seq + len - c->snd_una <= c->snd_wnd;
        if (!fits || !wanted || *sent_cnt >= TCP_FLUSH_MAX || !send_again(s, c, m, seq))
            return false;
        r->first = false;
        tcp_mark_again(c, r, m);
        r->prr_out += len;
        ++*sent_cnt;
    }
    r->lost_next = NULL;
    return true;
}

/* Everything that is due. */
void tcp_output(struct tcp_stack *s, struct tcp_conn *c)
{
    if (tcp_conn_is_opening(c)) {
        if (c->snd_max == c->snd_una && !tcp_output_syn(s, c))
            return;
        if (c->state == TCP_SYN_RECEIVED && (c->flags & TCP_CONN_ACK_NOW))
            tcp_output_ack(s, c);
        tcp_timer_arm(s, c);
        return;
    }
    c->flags &= ~(uint32_t)TCP_CONN_TRIED;
    if (c->flags & TCP_CONN_PATH)
        tcp_path_retry(s, c);
    uint32_t sent_cnt = 0;
    bool idle = c->snd_una == c->snd_max;
    if (output_lost(s, c, &sent_cnt)) {
        uint32_t from = c->snd_nxt;
        while (sent_cnt < TCP_FLUSH_MAX && tcp_output_next(s, c, false)) {
            sent_cnt += tcp_max((c->snd_nxt - from) / c->mss, 1);
            from = c->snd_nxt;
        }
    }
    if (sent_cnt > 0 && (idle || c->flags & TCP_CONN_PROBE_DUE))
        tcp_timer_retransmit(s, c); /* the probe is due after the last of them */
    if (sent_cnt >= TCP_FLUSH_MAX)
        tcp_conn_ready(s, c); /* the next flush goes on */
    if ((c->flags & TCP_CONN_ACK_NOW) || c->unacked_segments >= 2)
        tcp_output_ack(s, c);
    else if (c->unacked_segments > 0 && c->ack_ms == 0)
        c->ack_ms = tcp_timer_at(s, TCP_DELAYED_ACK_MS);
    /* What could not be sent and waits for no ACK waits for a probe or another try. */
    bool waits = c->snd_len > 0 || tcp_conn_owes_fin(c);
    if (c->snd_una == c->snd_max && !waits)
        c->retransmit_ms = c->flags & TCP_CONN_WANT_WRITE ? tcp_timer_at(s, TCP_RETRY_MS) : 0;
    else if ((c->snd_una == c->snd_max || c->flags & TCP_CONN_LOSS) && c->flags & TCP_CONN_TRIED)
        c->retransmit_ms = tcp_timer_at(s, TCP_RETRY_MS);
    else if (c->retransmit_ms == 0)
        tcp_timer_retransmit(s, c);
    tcp_timer_arm(s, c);
}
