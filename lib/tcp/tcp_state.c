#include "tcp_internal.h"

static const char *const names[TCP_STATE_CNT] = {
    [TCP_CLOSED] = "CLOSED",           [TCP_LISTEN] = "LISTEN",
    [TCP_SYN_SENT] = "SYN-SENT",       [TCP_SYN_RECEIVED] = "SYN-RECEIVED",
    [TCP_ESTABLISHED] = "ESTABLISHED", [TCP_FIN_WAIT_1] = "FIN-WAIT-1",
    [TCP_FIN_WAIT_2] = "FIN-WAIT-2",   [TCP_CLOSE_WAIT] = "CLOSE-WAIT",
    [TCP_CLOSING] = "CLOSING",         [TCP_LAST_ACK] = "LAST-ACK",
    [TCP_TIME_WAIT] = "TIME-WAIT",
};

#define TO(state) (1U << TCP_##state)

/* RFC 9293 figure 5, with what resets and timeouts add: any state may end. A passive connection
 * starts in ESTABLISHED, because its handshake was done by a struct tcp_syn. */
static const uint16_t allowed[TCP_STATE_CNT] = {
    [TCP_CLOSED] = TO(SYN_SENT) | TO(ESTABLISHED),
    [TCP_SYN_SENT] = TO(SYN_RECEIVED) | TO(ESTABLISHED) | TO(CLOSED),
    [TCP_SYN_RECEIVED] = TO(ESTABLISHED) | TO(CLOSED),
    [TCP_ESTABLISHED] = TO(FIN_WAIT_1) | TO(CLOSE_WAIT) | TO(CLOSED),
    [TCP_FIN_WAIT_1] = TO(FIN_WAIT_2) | TO(CLOSING) | TO(TIME_WAIT) | TO(CLOSED),
    [TCP_FIN_WAIT_2] = TO(TIME_WAIT) | TO(CLOSED),
    [TCP_CLOSE_WAIT] = TO(LAST_ACK) | TO(CLOSED),
    [TCP_CLOSING] = TO(TIME_WAIT) | TO(CLOSED),
    [TCP_LAST_ACK] = TO(CLOSED),
    [TCP_TIME_WAIT] = TO(CLOSED),
};

static const enum stats_id counters[TCP_STATE_CNT] = {
    [TCP_CLOSED] = STATS_TCP_TO_CLOSED,
    [TCP_LISTEN] = STATS_TCP_TO_CLOSED, /* never entered */
    [TCP_SYN_SENT] = STATS_TCP_TO_SYN_SENT,
    [TCP_SYN_RECEIVED] = STATS_TCP_TO_SYN_RECEIVED,
    [TCP_ESTABLISHED] = STATS_TCP_TO_ESTABLISHED,
    [TCP_FIN_WAIT_1] = STATS_TCP_TO_FIN_WAIT_1,
    [TCP_FIN_WAIT_2] = STATS_TCP_TO_FIN_WAIT_2,
    [TCP_CLOSE_WAIT] = STATS_TCP_TO_CLOSE_WAIT,
    [TCP_CLOSING] = STATS_TCP_TO_CLOSING,
    [TCP_LAST_ACK] = STATS_TCP_TO_LAST_ACK,
    [TCP_TIME_WAIT] = STATS_TCP_TO_TIME_WAIT,
};

const char *tcp_state_name(enum tcp_state state)
{
    base_assert(state < TCP_STATE_CNT);
    return names[state];
}

bool tcp_state_allowed(enum tcp_state from, enum tcp_state to)
{
    base_assert(from < TCP_STATE_CNT && to < TCP_STATE_CNT);
    return (allowed[from] >> to & 1) != 0;
}

void tcp_state_change(struct tcp_stack *s, struct tcp_conn *c, enum tcp_state to)
{
    base_assert(tcp_state_allowed((enum tcp_state)c->state, to));
    tcp_watch_conn(s, c, tcp_state_name(to), tcp_state_name((enum tcp_state)c->state));
    c->state = (uint8_t)to;
    tcp_count(s, counters[to]);
}
