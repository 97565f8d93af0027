/*
 * CUBIC's windows: RFC 9438, in bytes and milliseconds, integers only.
 *
 * The curve is W(t) = C (t - K)^3 + W_max segments, C = 0.4, t in seconds. With t in milliseconds
 * and W in bytes, C is mss / (2.5 * 10^9). beta is 0.7; alpha of the Reno-friendly window is 3 (1 -
 * beta) / (1 + beta) = 9/17 until it has come back to where the loss was, then 1.
 */
#include "tcp_cc.h"
#include "tcp_internal.h"

#define CURVE_MAX_MS UINT32_C(100000) /* from K: 400,000 segments; no cube overflows */

/* The largest x with x^3 <= n. */
static uint32_t cube_root(uint64_t n)
{
    uint64_t x = 0;

    for (int bit = 21; bit >= 0; bit--) {
        uint64_t next = x | UINT64_C(1) << bit;
        if (next * next * next <= n)
            x = next;
    }
    return (uint32_t)x;
}

uint32_t tcp_cubic_k_ms(uint32_t w_max, uint32_t cwnd, uint32_t mss)
{
    uint64_t below = w_max > cwnd ? w_max - cwnd : 0;

    return cube_root(below * UINT64_C(2500000000) / mss);
}

/* W_cubic at t_ms after the epoch's begin. */
uint32_t tcp_cubic_window(uint32_t w_max, uint32_t k_ms, uint32_t t_ms, uint32_t mss)
{
    uint64_t off = tcp_min(t_ms > k_ms ? t_ms - k_ms : k_ms - t_ms, CURVE_MAX_MS);
    uint64_t delta = off * off * off / 2500 * mss / 1000000;

    if (t_ms < k_ms)
        return delta < w_max ? w_max - (uint32_t)delta : 0;
    return delta < TCP_CWND_MAX - w_max ? w_max + (uint32_t)delta : TCP_CWND_MAX;
}

static void open_epoch(const struct tcp_stack *s, struct tcp_conn *c)
{
    c->cubic_epoch_ms = s->now_ms | 1; /* 0 is "none" */
    c->cubic_w_max = tcp_max(c->cubic_w_max, c->cwnd);
    c->cubic_k_ms = tcp_cubic_k_ms(c->cubic_w_max, c->cwnd, c->mss);
    c->cubic_w_est = c->cwnd;
    c->cc_acked = 0;
}

/* What Reno would have (section 4.3). */
static void grow_estimate(struct tcp_conn *c, uint32_t bytes)
{
    bool back = c->cubic_w_est >= (uint64_t)c->ssthresh * 10 / 7;
    uint64_t round = back ? c->cwnd : (uint64_t)c->cwnd * 17 / 9;

    c->cc_acked += bytes;
    if (c->cc_acked >= round) {
        c->cc_acked -= (uint32_t)round;
        c->cubic_w_est = tcp_min(c->cubic_w_est + c->mss, TCP_CWND_MAX);
    }
}

static void cubic_open(const struct tcp_stack *s, struct tcp_conn *c)
{
    tcp_cc_newreno.open(s, c);
    c->cubic_w_max = 0;
    c->cubic_epoch_ms = 0;
}

static void cubic_acked(const struct tcp_stack *s, struct tcp_conn *c, uint32_t bytes)
{
    if (c->cwnd >= TCP_CWND_MAX)
        return;
    if (c->cwnd < c->ssthresh) {
        c->cwnd += bytes;
        return;
    }
    if (c->cubic_epoch_ms == 0)
        open_epoch(s, c);
    uint32_t t_ms = s->now_ms - c->cubic_epoch_ms;
    if ((int32_t)t_ms < 0)
        t_ms = 0; /* the epoch's begin was made odd */
    grow_estimate(c, bytes);
    uint32_t now = tcp_cubic_window(c->cubic_w_max, c->cubic_k_ms, t_ms, c->mss);
    if (now < c->cubic_w_est) {
        c->cwnd = tcp_max(c->cwnd, c->cubic_w_est);
        return;
    }
    uint32_t target =
        tcp_cubic_window(c->cubic_w_max, c->cubic_k_ms, t_ms + c->srtt_us / 1000, c->mss);
    target = tcp_min(target, c->cwnd + c->cwnd / 2);
    if (target > c->cwnd)
        c->cwnd += (uint32_t)((uint64_t)(target - c->cwnd) * tcp_min(bytes, c->cwnd) / c->cwnd);
}

static void cubic_lost(const struct tcp_stack *s, struct tcp_conn *c, uint32_t in_flight)
{
    (void)s;
    /* Section 4.7: a window that did not come back to the old one leaves room for others. */
    if (c->cwnd < c->cubic_w_max)
        c->cubic_w_max = (uint32_t)((uint64_t)c->cwnd * 17 / 20);
    else
        c->cubic_w_max = c->cwnd;
    c->cubic_epoch_ms = 0;
    c->ssthresh = tcp_max((uint32_t)((uint64_t)tcp_cc_load(c, in_flight) * 7 / 10), 2U * c->mss);
    c->cc_acked = 0;
}

/* Section 4.8: the epoch after it begins where slow start ends. */
static void cubic_timeout(const struct tcp_stack *s, struct tcp_conn *c, uint32_t in_flight)
{
    cubic_lost(s, c, in_flight);
    c->cubic_w_max = 0;
}

static void cubic_idle(const struct tcp_stack *s, struct tcp_conn *c)
{
    tcp_cc_newreno.idle(s, c);
    c->cubic_epoch_ms = 0;
}

const struct tcp_cc_ops tcp_cc_cubic = {
    .name = "cubic",
    .open = cubic_open,
    .acked = cubic_acked,
    .lost = cubic_lost,
    .timeout = cubic_timeout,
    .idle = cubic_idle,
};
