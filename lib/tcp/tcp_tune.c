/*
 * The receive window follows what the path can carry (dynamic right-sizing: Fisk and Feng 2001).
 *
 * A window that the peer fills within a round trip is what limits it. A round lasts until a whole
 * window of bytes has come in order. When it took no more than two round trips, at least half of
 * the window was used in one, and the window doubles: before the peer's congestion window, which at
 * best doubles in a round trip, has caught up. When the caller is slow the offered edge moves as
 * slowly, rounds take long, and nothing grows.
 *
 * The round trip is the age of our timestamp that the segment echoes, or what the sending side has
 * measured, whichever is less: both err upwards only. With neither, the round's own time stands
 * for it, up to TUNE_BLIND_MS.
 *
 * The end of a round is kept in units of a quarter of 2^16 windows, the time in 16 bits of
 * milliseconds: a round of over a minute may be taken for a short one, and costs a doubling.
 *
 * The sum of what windows have grown by is bounded (struct tcp_memory). When it is reached,
 * connections that have been idle give back theirs.
 */
#include "tcp_internal.h"

#define TUNE_BLIND_MS    1000U
#define TUNE_TRIP_MAX_MS 4000U
#define TUNE_IDLE_MS     5000U
#define TUNE_HAND_MAX    64

static uint32_t window_at(const struct tcp_stack *s, uint32_t doublings)
{
    uint64_t window = (uint64_t)s->recv_start_bytes << doublings;

    return window < s->config.recv_window_bytes ? (uint32_t)window : s->config.recv_window_bytes;
}

uint32_t tcp_tune_window(const struct tcp_stack *s, const struct tcp_conn *c)
{
    return c->recv_doublings == 0 ? s->recv_start_bytes : window_at(s, c->recv_doublings);
}

static uint16_t place(const struct tcp_conn *c, uint32_t seq)
{
    return (uint16_t)(seq >> ((c->wscale & 15) + 2));
}

void tcp_tune_start(struct tcp_stack *s, struct tcp_conn *c)
{
    uint32_t window = tcp_min(tcp_tune_window(s, c), UINT32_C(0xffff) << (c->wscale & 15));

    c->round_end = place(c, c->rcv_nxt + window);
    c->round_ms = (uint16_t)s->now_ms;
}

void tcp_tune_end(struct tcp_stack *s, struct tcp_conn *c)
{
    s->memory.grown_bytes -= tcp_tune_window(s, c) - s->recv_start_bytes;
    c->recv_doublings = 0;
}

/* Idle connections give back what their windows have grown by; the edges that they have offered
 * stand. */
static void reclaim(struct tcp_stack *s)
{
    for (int i = 0; i < TUNE_HAND_MAX; i++) {
        struct tcp_conn *c = tcp_memory_hand(s);
        if (c != NULL && c->recv_doublings > 0 && s->now_ms - c->received_ms > TUNE_IDLE_MS)
            tcp_tune_end(s, c);
    }
}

static void grow(struct tcp_stack *s, struct tcp_conn *c)
{
    struct tcp_memory *y = &s->memory;
    uint32_t more = window_at(s, c->recv_doublings + 1U) - tcp_tune_window(s, c);

    if (y->recv_cnt >= y->recv_shrink)
        return;
    if (more > y->grown_max - y->grown_bytes)
        reclaim(s);
    if (more > y->grown_max - y->grown_bytes) {
        tcp_count(s, STATS_TCP_WINDOWS_HELD);
        return;
    }
    y->grown_bytes += more;
    c->recv_doublings++;
    tcp_count(s, STATS_TCP_WINDOWS_GROWN);
}

static uint32_t round_trip_ms(const struct tcp_stack *s, const struct tcp_conn *c,
                              const struct tcp_segment *seg, uint32_t took_ms)
{
    uint32_t ms = c->srtt_us == 0 ? UINT32_MAX : (c->srtt_us + 999) / 1000;

    if (c->flags & TCP_CONN_TIMESTAMPS && seg->options.has_timestamp) {
        uint32_t age_ms = s->now_ms + c->ts_offset - seg->options.timestamp_echo;
        ms = tcp_min(ms, age_ms);
    }
    return ms == UINT32_MAX ? tcp_min(took_ms, TUNE_BLIND_MS) : tcp_min(ms, TUNE_TRIP_MAX_MS);
}

/* In-order bytes have come. */
void tcp_tune_input(struct tcp_stack *s, struct tcp_conn *c, const struct tcp_segment *seg)
{
    if ((int16_t)(place(c, c->rcv_nxt) - c->round_end) < 0 ||
        tcp_tune_window(s, c) >= tcp_recv_most(s, c)) /* less without window scaling */
        return;
    uint32_t took_ms = (uint16_t)(s->now_ms - c->round_ms);
    if (took_ms <= 2 * (uint64_t)round_trip_ms(s, c, seg, took_ms) + 1)
        grow(s, c);
    tcp_tune_start(s, c);
}
