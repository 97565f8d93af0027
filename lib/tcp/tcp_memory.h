/*
 * What a stack holds of the lane's memory, and what it does when that gets short: tcp_memory.c,
 * tcp_tune.c, tcp_orphan.c. Not for others than lib/tcp.
 */
#ifndef TCP_MEMORY_H
#define TCP_MEMORY_H

#include "tcp_conn.h"

#include <rte_mbuf.h>

struct tcp_stack;
struct tcp_segment;
struct tcp_config;

/* Marks are counts of mbufs; UINT32_MAX without a bound. */
struct tcp_memory {
    uint32_t recv_cnt;    /* mbufs of the port's that connections hold */
    uint32_t recv_shrink; /* from here on the windows that we offer shrink */
    uint32_t recv_early;  /* no early data is kept */
    uint32_t recv_refuse; /* SYNs are dropped */
    uint32_t recv_full;   /* payload is dropped */
    uint32_t queue_cnt;   /* mbufs of all kinds that were received; the others of the stack's
                             mbuf_cnt are in send queues */
    uint32_t send_shrink; /* a connection with two segments waiting gets no more */
    uint32_t send_refuse; /* SYNs are dropped */
    uint32_t send_full;   /* nobody gets more */
    uint32_t early_max;   /* early mbufs of all connections */
    uint64_t grown_bytes; /* by which windows are larger than they began, all together */
    uint64_t grown_max;   /* and may be */
    uint32_t orphan_cnt;
    uint32_t hand; /* the connection that is looked at next when something must go */
    struct rte_mempool *copy_pool; /* borrowed: for small early data; NULL: it is not copied */
};

static inline void tcp_memory_hold(struct tcp_memory *y, const struct rte_mbuf *m)
{
    y->queue_cnt++;
    y->recv_cnt += m->pool != y->copy_pool;
}

static inline void tcp_memory_release(struct tcp_memory *y, const struct rte_mbuf *m)
{
    y->queue_cnt--;
    y->recv_cnt -= m->pool != y->copy_pool;
}

/* ---- tcp_memory.c ---- */

void tcp_memory_init(struct tcp_memory *y, const struct tcp_config *config);

/* The most that a connection may be ahead of us now that the first mark is passed. */
uint32_t tcp_memory_window(const struct tcp_stack *s, const struct tcp_conn *c, uint32_t max);

/* True while SYNs are to be dropped. */
bool tcp_memory_refuses(const struct tcp_stack *s);

/* Whether the connection may put another mbuf into its send queue. */
bool tcp_memory_may_send(const struct tcp_stack *s, const struct tcp_conn *c);

/* A small early piece leaves the port's mbuf for one of copy_pool. Takes m, returns what holds the
 * bytes now, or NULL when there is no such mbuf: dropped. */
struct rte_mbuf *tcp_memory_copy_early(struct tcp_stack *s, struct rte_mbuf *m);

/* All early mbufs are taken: some connection loses its own. False when none but c has any. */
bool tcp_memory_evict_early(struct tcp_stack *s, const struct tcp_conn *c);

/* The connection at the hand, which moves on; NULL when the slot is free. */
struct tcp_conn *tcp_memory_hand(struct tcp_stack *s);

void tcp_memory_check(const struct tcp_stack *s);

/* ---- tcp_tune.c ---- */

void tcp_tune_start(struct tcp_stack *s, struct tcp_conn *c);
void tcp_tune_input(struct tcp_stack *s, struct tcp_conn *c, const struct tcp_segment *seg);
void tcp_tune_end(struct tcp_stack *s, struct tcp_conn *c);
uint32_t tcp_tune_window(const struct tcp_stack *s, const struct tcp_conn *c);

/* ---- tcp_orphan.c ---- */

/* last is an orphan from now on and has been counted: with too many, one of the stalest gets a RST,
 * perhaps last itself. */
void tcp_orphan_limit(struct tcp_stack *s, struct tcp_conn *last);

#endif
