/*
 * Connections that their caller has closed and whose peer lets us wait (T20: FIN-WAIT, CLOSING,
 * LAST-ACK hoarded by peers that never acknowledge a FIN). Each ends after fin_timeout without
 * progress; and there are at most orphan_max. One too many costs one of the stalest its life: of
 * the orphans next in a row the one whose peer has acknowledged nothing for longest. No list is
 * kept in order: when there are too many orphans a few are soon found, and when none is, the last
 * one goes.
 */
#include "tcp_internal.h"

#define LOOK_AT_CNT 16
#define HAND_MAX    4096 /* connections looked at */

void tcp_orphan_limit(struct tcp_stack *s, struct tcp_conn *last)
{
    struct tcp_conn *stalest = NULL;
    uint32_t seen_cnt = 0;

    if (s->memory.orphan_cnt <= s->config.orphan_max)
        return;
    for (uint32_t i = 0; i < s->conn_pool.object_cnt && i < HAND_MAX && seen_cnt < LOOK_AT_CNT;
         i++) {
        struct tcp_conn *c = tcp_memory_hand(s);
        if (c == NULL || !(c->flags & TCP_CONN_ORPHAN))
            continue;
        seen_cnt++;
        if (stalest == NULL || s->now_ms - c->progress_ms > s->now_ms - stalest->progress_ms)
            stalest = c;
    }
    if (stalest == NULL)
        stalest = last;
    tcp_count(s, STATS_TCP_ORPHANS_CUT);
    if (stalest->state != TCP_SYN_SENT)
        tcp_output_rst(s, stalest);
    tcp_conn_end(s, stalest, TCP_ERROR_TIMEOUT);
}
