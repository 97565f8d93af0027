/* NewReno's windows: RFC 5681 with the initial window of RFC 6928. */
#include "tcp_cc.h"
#include "tcp_internal.h"

uint32_t tcp_cc_load(const struct tcp_conn *c, uint32_t in_flight)
{
    /* Limited transmit does not count (RFC 5681 section 3.2), nor what was in flight before a
     * timeout and has not been sent again. While recovering with SACK, cwnd is what the last ACK
     * let out; ssthresh is what it was reduced to. */
    if (c->flags & TCP_CONN_SACK && c->flags & (TCP_CONN_RECOVERY | TCP_CONN_LOSS))
        return tcp_min(in_flight, tcp_max(c->cwnd, c->ssthresh));
    return tcp_min(in_flight, c->cwnd);
}

/* RFC 6928 section 2; one segment when the SYN was lost (RFC 5681 section 3.1). */
static uint32_t initial_window(const struct tcp_conn *c)
{
    if (c->flags & TCP_CONN_SYN_LOST)
        return c->mss;
    return tcp_min(10U * c->mss, tcp_max(2U * c->mss, 14600));
}

static void newreno_open(const struct tcp_stack *s, struct tcp_conn *c)
{
    (void)s;
    c->cwnd = initial_window(c);
    c->ssthresh = TCP_CWND_MAX;
    c->cc_acked = 0;
}

/* Slow start by the bytes acknowledged, not by ACKs: a receiver that answers once a burst does not
 * slow us down, and one that splits its ACKs gains nothing (RFC 3465). */
static void newreno_acked(const struct tcp_stack *s, struct tcp_conn *c, uint32_t bytes)
{
    (void)s;
    if (c->cwnd >= TCP_CWND_MAX)
        return;
    if (c->cwnd < c->ssthresh) {
        c->cwnd += bytes;
        return;
    }
    c->cc_acked += bytes;
    if (c->cc_acked >= c->cwnd) {
        c->cc_acked -= c->cwnd;
        c->cwnd += c->mss;
    }
}

static void newreno_lost(const struct tcp_stack *s, struct tcp_conn *c, uint32_t in_flight)
{
    (void)s;
    c->ssthresh = tcp_max(tcp_cc_load(c, in_flight) / 2, 2U * c->mss);
    c->cc_acked = 0;
}

static void newreno_timeout(const struct tcp_stack *s, struct tcp_conn *c, uint32_t in_flight)
{
    newreno_lost(s, c, in_flight);
}

/* RFC 5681 section 4.1 */
static void newreno_idle(const struct tcp_stack *s, struct tcp_conn *c)
{
    (void)s;
    c->cwnd = tcp_min(c->cwnd, initial_window(c));
}

const struct tcp_cc_ops tcp_cc_newreno = {
    .name = "newreno",
    .open = newreno_open,
    .acked = newreno_acked,
    .lost = newreno_lost,
    .timeout = newreno_timeout,
    .idle = newreno_idle,
};
