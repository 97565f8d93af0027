/* NewReno's windows: RFC 5681 with the initial window of RFC 6928. */
#include "tcp_cc.h"
#include "tcp_internal.h"

/* RFC 6928 section 2; one segment when the SYN was lost (RFC 5681 section 3.1). */
static uint32_t initial_window(const struct tcp_conn *c)
{
    if (c->flags & TCP_CONN_SYN_LOST)
        return c->mss;
    return tcp_min(10U * c->mss, tcp_max(2U * c->mss, 14600));
}

static void newreno_open(struct tcp_conn *c)
{
    c->cwnd = initial_window(c);
    c->ssthresh = UINT32_C(1) << 30;
    c->cc_acked = 0;
}

/* Slow start by the bytes acknowledged, not by ACKs: a receiver that answers once a burst does not
 * slow us down, and one that splits its ACKs gains nothing (RFC 3465). */
static void newreno_acked(struct tcp_conn *c, uint32_t bytes)
{
    if (c->cwnd >= UINT32_C(1) << 30)
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

static void newreno_lost(struct tcp_conn *c, uint32_t in_flight)
{
    c->ssthresh = tcp_max(in_flight / 2, 2U * c->mss);
    c->cc_acked = 0;
}

static void newreno_timeout(struct tcp_conn *c, uint32_t in_flight)
{
    newreno_lost(c, in_flight);
}

/* RFC 5681 section 4.1 */
static void newreno_idle(struct tcp_conn *c)
{
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
