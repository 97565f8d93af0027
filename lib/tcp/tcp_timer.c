/* Timers of a connection: its deadlines, one node in the stack's wheel at the first of them. */
#include "tcp_cc.h"
#include "tcp_internal.h"

uint32_t tcp_timer_at(const struct tcp_stack *s, uint32_t span_ms)
{
    uint32_t at = s->now_ms + span_ms + 1; /* now_ms is rounded down: never early */
    return at == 0 ? 1 : at;
}

uint32_t tcp_timer_at_us(const struct tcp_stack *s, uint32_t span_us)
{
    return tcp_timer_at(s, (span_us + 999) / 1000);
}

static bool is_due(const struct tcp_stack *s, uint32_t deadline_ms)
{
    return deadline_ms != 0 && (int32_t)(deadline_ms - s->now_ms) <= 0;
}

/* When the user timeout is, or 0: it runs while something is to be acknowledged, sent or not. Then
 * there is a retransmission timer, too; that of an open connection whose queues are empty waits for
 * a pool. */
static uint32_t user_deadline(const struct tcp_stack *s, const struct tcp_conn *c)
{
    if (c->retransmit_ms == 0 || tcp_conn_is_opening(c) ||
        (c->snd_una == c->snd_max && c->snd_len == 0 && !tcp_conn_owes_fin(c)))
        return 0;
    uint32_t at = c->progress_ms + s->user_timeout_ms + 1; /* both are rounded down */
    return at == 0 ? 1 : at;
}

void tcp_timer_arm(struct tcp_stack *s, struct tcp_conn *c)
{
    const struct tcp_recovery *r = tcp_recovery_of(s, c);
    const uint32_t deadline[] = {c->retransmit_ms, c->ack_ms, c->life_ms,
                                 r == NULL ? 0 : r->reorder_ms, user_deadline(s, c)};
    int64_t first = INT64_MAX;

    for (size_t i = 0; i < BASE_ARRAY_CNT(deadline); i++) {
        int32_t in = (int32_t)(deadline[i] - s->now_ms);
        if (deadline[i] != 0 && in < first)
            first = in;
    }
    if (first == INT64_MAX) {
        base_wheel_stop(&s->wheel, &c->timer);
        return;
    }
    int64_t at_ms = (int64_t)(s->now_ns / BASE_NS_MS) + first;
    base_wheel_set(&s->wheel, &c->timer, (uint64_t)at_ms * BASE_NS_MS);
}

/* No progress for the user timeout: the connection is given up. A window that stays closed is no
 * progress either, however often the peer answers our probes. */
static void give_up(struct tcp_stack *s, struct tcp_conn *c)
{
    tcp_count(s, STATS_TCP_USER_TIMEOUTS);
    tcp_output_rst(s, c);
    tcp_conn_end(s, c, TCP_ERROR_TIMEOUT);
}

static void back_off(struct tcp_conn *c)
{
    if (c->backoff < TCP_BACKOFF_MAX)
        c->backoff++;
}

/* RFC 6298 section 5, RFC 5681 section 3.1, RFC 6582 section 4 */
static void retransmit(struct tcp_stack *s, struct tcp_conn *c)
{
    tcp_count(s, STATS_TCP_TIMEOUTS);
    if (tcp_path_timeout(s, c))
        return;
    if (c->backoff == 0) {
        tcp_recover_save(s, c);
        s->cc->timeout(s, c, c->snd_max - c->snd_una);
    }
    back_off(c);
    c->cwnd = c->mss;
    c->recover = c->snd_max;
    c->dup_acks = 0;
    c->flags &= ~(uint32_t)(TCP_CONN_RECOVERY | TCP_CONN_RTT_TIMED | TCP_CONN_PROBED |
                            TCP_CONN_PROBE_AGAIN);
    c->retransmit_ms = tcp_timer_at_us(s, tcp_rto_us(s, c));
    if (tcp_recover_timeout(s, c)) {
        tcp_conn_ready(s, c);
        return;
    }
    uint32_t sent = tcp_output_first(s, c);
    tcp_send_rewind(c);
    if (sent == 0) { /* no mbuf: again soon, without backing off further */
        c->retransmit_ms = tcp_timer_at(s, TCP_RETRY_MS);
        return;
    }
    c->snd_nxt = c->snd_una + sent;
    uint32_t offset = tcp_min(sent, c->snd_len);
    while (c->snd_next != NULL && c->snd_next->next != NULL && offset >= c->snd_next->data_len) {
        offset -= c->snd_next->data_len;
        c->snd_next = c->snd_next->next;
    }
    c->snd_next_offset = (uint16_t)offset;
}

/* False when the connection was ended. */
static bool retransmit_timer(struct tcp_stack *s, struct tcp_conn *c)
{
    bool probe = (c->flags & TCP_CONN_PROBE_DUE) != 0;

    c->retransmit_ms = 0;
    c->flags &= ~(uint32_t)TCP_CONN_PROBE_DUE;
    if (tcp_conn_is_opening(c)) {
        if (c->snd_max != c->snd_una) {
            back_off(c);
            c->flags |= TCP_CONN_SYN_LOST;
            c->flags &= ~(uint32_t)TCP_CONN_RTT_TIMED;
            tcp_count(s, STATS_TCP_RETRANSMITS);
            tcp_watch_again(s, c, "SYN sent again");
        }
        return tcp_output_syn(s, c);
    }
    if (c->snd_una != c->snd_max) {
        if (probe && !tcp_recover_is_busy(s, c))
            tcp_rack_probe(s, c);
        else
            retransmit(s, c);
    } else if (c->snd_len > 0 || tcp_conn_owes_fin(c)) {
        if (!(c->flags & TCP_CONN_TRIED) && !tcp_output_next(s, c, true)) {
            tcp_count(s, STATS_TCP_ZERO_WINDOW_PROBES);
            tcp_output_probe(s, c);
            back_off(c);
        }
        tcp_conn_ready(s, c);
    } else if (c->flags & TCP_CONN_WANT_WRITE) {
        c->flags &= ~(uint32_t)TCP_CONN_WANT_WRITE;
        tcp_conn_event(s, c, TCP_EVENT_WRITABLE);
    }
    return true;
}

static void life_timer(struct tcp_stack *s, struct tcp_conn *c)
{
    c->life_ms = 0;
    if (tcp_conn_is_opening(c)) {
        tcp_count(s, STATS_TCP_CONNECT_TIMEOUTS);
        tcp_conn_end(s, c,
                     c->flags & TCP_CONN_UNREACHABLE ? TCP_ERROR_UNREACHABLE : TCP_ERROR_TIMEOUT);
        return;
    }
    if (c->flags & TCP_CONN_ORPHAN) {
        tcp_count(s, STATS_TCP_ORPHAN_TIMEOUTS);
        tcp_output_rst(s, c);
        tcp_conn_end(s, c, TCP_ERROR_TIMEOUT);
        return;
    }
    if (c->state == TCP_TIME_WAIT || s->keepalive_ms == 0)
        return;
    uint32_t idle_ms = s->now_ms - c->received_ms;
    if (idle_ms < s->keepalive_ms) {
        c->life_ms = tcp_timer_at(s, s->keepalive_ms - idle_ms);
        return;
    }
    if (c->probes >= s->config.keepalive_cnt) {
        tcp_count(s, STATS_TCP_KEEPALIVE_TIMEOUTS);
        tcp_output_rst(s, c);
        tcp_conn_end(s, c, TCP_ERROR_TIMEOUT);
        return;
    }
    c->probes++;
    tcp_count(s, STATS_TCP_KEEPALIVE_PROBES);
    tcp_output_probe(s, c);
    c->life_ms = tcp_timer_at(s, s->keepalive_interval_ms);
}

void tcp_timer_fire(struct tcp_stack *s, struct tcp_conn *c)
{
    if (is_due(s, c->ack_ms)) {
        c->ack_ms = 0;
        c->flags |= TCP_CONN_ACK_NOW;
        tcp_conn_ready(s, c);
    }
    const struct tcp_recovery *r = tcp_recovery_of(s, c);
    if (r != NULL && is_due(s, r->reorder_ms))
        tcp_recover_timer(s, c);
    if (is_due(s, user_deadline(s, c))) {
        give_up(s, c);
        return;
    }
    if (is_due(s, c->retransmit_ms) && !retransmit_timer(s, c))
        return;
    if (is_due(s, c->life_ms)) {
        bool last = tcp_conn_is_opening(c) || (c->flags & TCP_CONN_ORPHAN);
        life_timer(s, c);
        if (last || c->state == TCP_CLOSED)
            return;
    }
    tcp_timer_arm(s, c);
}
