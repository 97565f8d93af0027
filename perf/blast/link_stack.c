/* A lane's connections over our own stack. Its link polls, and naps between
 * (nap.h), unless a flood is to be sent. */
#include "base_time.h"
#include "lane.h"
#include "link.h"
#include "session.h"
#include "stack.h"

#include <stdio.h>

#include <rte_cycles.h>

#define PREPARE_MAX (5 * BASE_NS_S) /* what must be known before the load */

static uint64_t clock_of(const struct lane *l)
{
    const struct stack *s = l->stack;

    return BASE_NS_S + (uint64_t)((double)(rte_rdtsc() - s->tsc_start) * s->ns_per_tick);
}

/* ---- a pass ---- */

/* Returns whether something has come. */
static bool receive(struct lane *l)
{
    struct stack *s = l->stack;
    struct rte_mbuf *pkts[LANE_BURST];
    struct net_segment segments[LANE_BURST];
    uint16_t n =
        s->port->ops->rx_burst(s->port->state, (uint16_t)l->number, pkts, NET_PORT_BURST_MAX);

    if (n == 0)
        return false;
    if (!s->flood.known)
        flood_look(&s->flood, pkts, n);
    tcp_push(s->tcp, segments, net_input(s->net, pkts, n, segments, l->now_ns), l->now_ns);
    return true;
}

static enum lane_counter reason_of(const struct tcp_conn *c)
{
    static const enum lane_counter reason[] = {
        [TCP_OK] = LANE_FAIL_CLOSED,
        [TCP_ERROR_REFUSED] = LANE_FAIL_REFUSED,
        [TCP_ERROR_RESET] = LANE_FAIL_RESET,
        [TCP_ERROR_TIMEOUT] = LANE_FAIL_TIMEOUT,
        [TCP_ERROR_UNREACHABLE] = LANE_FAIL_UNREACHABLE,
        [TCP_ERROR_NO_BUFFERS] = LANE_FAIL_NO_BUFFERS,
    };
    enum tcp_error e = tcp_error(c);

    base_assert(e < BASE_ARRAY_CNT(reason));
    return reason[e];
}

static void begin(struct lane *l, uint64_t wait_ns)
{
    struct stack *s = l->stack;
    struct tcp_event ev[LANE_BURST];

    nap_pass(&s->nap, s->news, l->now_ns, wait_ns);
    l->now_ns = clock_of(l);
    s->news = receive(l);
    tcp_run(s->tcp, l->now_ns);
    net_run(s->net, l->now_ns);
    uint32_t n = tcp_poll(s->tcp, ev, LANE_BURST);
    s->news |= n > 0;
    for (uint32_t i = 0; i < n; i++) {
        if (ev[i].flags & TCP_EVENT_FAILED)
            session_fail(l, ev[i].user, reason_of(ev[i].conn));
        else
            session_event(l, ev[i].user, (ev[i].flags & TCP_EVENT_PEER_CLOSED) != 0);
    }
}

static void end(struct lane *l)
{
    tcp_flush(l->stack->tcp, l->now_ns);
    net_flush(l->stack->net);
}

/* Our addresses are announced, for the peer may know them from another that was here before; and
 * the flood needs the next hop's MAC. */
static int prepare(struct lane *l, const _Atomic bool *stop)
{
    struct stack *s = l->stack;
    uint64_t end_ns = l->now_ns + PREPARE_MAX;

    s->news = false;
    nap_init(&s->nap, l->options->poll || s->flood.kind != FLOOD_NONE, l->now_ns);
    if (!s->announced)
        net_announce(s->net, l->now_ns);
    s->announced = true;
    while (!net_is_settled(s->net) || (s->flood.kind != FLOOD_NONE && !s->flood.known)) {
        begin(l, 0);
        end(l);
        flood_ask(l);
        if (l->now_ns > end_ns || atomic_load_explicit(stop, memory_order_relaxed)) {
            snprintf(l->error, sizeof(l->error),
                     "the next hop does not answer ARP, or our addresses are taken");
            return -1;
        }
    }
    return 0;
}

/* ---- a connection ---- */

static int open_conn(struct lane *l, struct session *s, const struct net_addr *from)
{
    struct net_endpoint local = {.addr = *from};

    return tcp_connect(l->stack->tcp, &local, &l->options->to, s, &s->tcp, l->now_ns) == 0
               ? 0
               : LANE_FAIL_NO_PORT;
}

static uint32_t view(struct lane *l, struct session *s, struct base_span *spans, uint32_t cap)
{
    (void)l;
    return tcp_recv_view(s->tcp, spans, cap);
}

static void consume(struct lane *l, struct session *s, uint32_t n)
{
    tcp_recv_consume(l->stack->tcp, s->tcp, n);
}

static uint32_t space(struct lane *l, struct session *s)
{
    (void)l;
    return tcp_send_space(s->tcp);
}

static int64_t send_bytes(struct lane *l, struct session *s, const void *p, size_t len)
{
    return tcp_send(l->stack->tcp, s->tcp, p, len);
}

static void wake(struct lane *l, struct session *s)
{
    session_event(l, s, false);
}

static void close_conn(struct lane *l, struct session *s)
{
    tcp_close(l->stack->tcp, s->tcp);
}

static void abort_conn(struct lane *l, struct session *s)
{
    tcp_abort(l->stack->tcp, s->tcp);
}

const struct link_ops link_stack = {
    .clock = clock_of,
    .prepare = prepare,
    .begin = begin,
    .end = end,
    .open = open_conn,
    .view = view,
    .consume = consume,
    .space = space,
    .send = send_bytes,
    .wake = wake,
    .close = close_conn,
    .abort = abort_conn,
};
