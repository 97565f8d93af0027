/*
 * TIME-WAIT (RFC 9293 section 3.6.1). Entries in the order in which they expire, one timer for the
 * first. Within a budget: when all are taken, the oldest makes place.
 */
#include "tcp_internal.h"

static tcp_ref ref_of(const struct tcp_stack *s, const struct tcp_time_wait *w)
{
    return tcp_ref_make(TCP_KIND_TIME_WAIT, base_pool_index(&s->time_wait_pool, w));
}

static void set_timer(struct tcp_stack *s)
{
    const struct tcp_time_wait *w = tcp_fifo_first(&s->time_waits);

    if (w == NULL)
        base_wheel_stop(&s->wheel, &s->time_wait_timer);
    else
        base_wheel_set(&s->wheel, &s->time_wait_timer, w->expires_ns);
}

void tcp_time_wait_free(struct tcp_stack *s, struct tcp_time_wait *w)
{
    tcp_table_remove(s, ref_of(s, w));
    tcp_fifo_remove(&s->time_waits, w);
    base_pool_put(&s->time_wait_pool, w);
    set_timer(s);
}

/* Both FINs are through. A connection that its caller still holds stays what answers for it; one
 * that is an orphan is replaced by an entry, and c is gone. */
void tcp_time_wait_enter(struct tcp_stack *s, struct tcp_conn *c)
{
    if (c->state != TCP_TIME_WAIT)
        tcp_state_change(s, c, TCP_TIME_WAIT);
    c->retransmit_ms = c->life_ms = 0;
    if (!(c->flags & TCP_CONN_ORPHAN)) {
        tcp_timer_arm(s, c);
        return;
    }
    struct tcp_time_wait fresh = {
        .key = c->key,
        .snd_nxt = c->snd_max,
        .rcv_nxt = c->rcv_nxt,
        .ts_recent = c->flags & TCP_CONN_TIMESTAMPS ? c->ts_recent : 0,
        .expires_ns = s->now_ns + 2 * s->config.msl_ns,
    };
    if (c->flags & TCP_CONN_ACK_NOW)
        tcp_output_ack(s, c);
    struct tcp_time_wait *w = base_pool_get(&s->time_wait_pool);
    if (w == NULL) {
        tcp_count(s, STATS_TCP_TIME_WAIT_RECYCLED);
        tcp_time_wait_free(s, tcp_fifo_first(&s->time_waits));
        w = base_pool_get(&s->time_wait_pool);
    }
    *w = fresh;
    tcp_fifo_push(&s->time_waits, w);
    tcp_table_replace(s, tcp_ref_make(TCP_KIND_CONN, tcp_conn_index(s, c)), ref_of(s, w),
                      tcp_hash(s, &w->key));
    c->flags &= ~(uint32_t)TCP_CONN_IN_TABLE;
    tcp_conn_end(s, c, TCP_OK);
    set_timer(s);
}

/* RFC 6191 section 2: timestamps decide where both have them and they differ, numbers otherwise. */
static bool is_newer(const struct tcp_time_wait *w, const struct tcp_segment *seg)
{
    if (w->ts_recent != 0 && seg->options.has_timestamp && seg->options.timestamp != w->ts_recent)
        return tcp_seq_gt(seg->options.timestamp, w->ts_recent);
    return tcp_seq_gt(seg->seq, w->rcv_nxt);
}

void tcp_time_wait_input(struct tcp_stack *s, struct tcp_time_wait *w, struct tcp_segment *seg)
{
    /* A new connection on the old 4-tuple (RFC 9293 section 3.10.7.4, MAY-2): its numbers are past
     * the old ones, and ours will be too. */
    if ((seg->flags & (TCP_FLAG_SYN | TCP_FLAG_ACK | TCP_FLAG_RST)) == TCP_FLAG_SYN &&
        is_newer(w, seg) && tcp_listen_find(s, &seg->key) != NULL &&
        tcp_listen_can_follow(s, seg, w->snd_nxt)) {
        uint32_t iss_min = w->snd_nxt + 128000;
        tcp_count(s, STATS_TCP_TIME_WAIT_REUSED);
        tcp_time_wait_free(s, w);
        tcp_listen_input(s, seg, iss_min, true);
        return;
    }
    if (seg->flags & TCP_FLAG_RST) { /* RFC 1337 */
        tcp_count(s, STATS_TCP_DROP_RST);
        return;
    }
    tcp_count(s, STATS_TCP_DROP_TIME_WAIT);
    if (seg->len == 0 && !(seg->flags & (TCP_FLAG_SYN | TCP_FLAG_FIN)))
        return; /* an answer could be answered, for ever */
    if (seg->flags & TCP_FLAG_FIN && seg->seq + seg->len + 1 == w->rcv_nxt) {
        w->expires_ns = s->now_ns + 2 * s->config.msl_ns;
        tcp_fifo_remove(&s->time_waits, w);
        tcp_fifo_push(&s->time_waits, w);
        set_timer(s);
    }
    if (!tcp_segment_allowed(s))
        return;
    struct tcp_options options = {.has_timestamp = w->ts_recent != 0,
                                  .timestamp = s->now_ms + tcp_timestamp_offset(s, &w->key),
                                  .timestamp_echo = w->ts_recent};
    struct rte_mbuf *m =
        tcp_segment_new(s, &w->key, w->snd_nxt, w->rcv_nxt, TCP_FLAG_ACK, 0, &options);
    if (m != NULL)
        (void)tcp_segment_send(s, &w->key, m, TCP_NOT_ECT);
}

/* The timer fired. */
void tcp_time_wait_run(struct tcp_stack *s)
{
    struct tcp_time_wait *w;

    while ((w = tcp_fifo_first(&s->time_waits)) != NULL && w->expires_ns <= s->now_ns)
        tcp_time_wait_free(s, w);
    set_timer(s);
}
