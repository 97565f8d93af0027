/*
 * A lane's own stack: lib/net and lib/tcp on a queue pair of the port, and the flood beside it. It
 * takes all its memory at stack_open. Between two loads it stands still: nothing is sent, and what
 * arrives waits in the port.
 *
 * Threads: the lane's while it runs (link_stack.c), else main's.
 */
#ifndef STACK_H
#define STACK_H

#include "flood.h"
#include "nap.h"
#include "tcp.h"

struct lane;

struct stack {
    struct net_port *port; /* borrowed */
    struct net *net;
    struct tcp_stack *tcp;
    uint64_t tsc_start;
    double ns_per_tick;
    struct flood flood;
    struct nap nap;
    bool news; /* something came in this pass */
    /* Main's. */
    struct rte_mempool *data_pool, *ctrl_pool, *frame_pool;
    bool announced;
    uint64_t tx_before, rx_before, retransmits_before; /* the load */
};

/* l->stack has its port. Returns 0, or a negative error. */
int stack_open(struct lane *l) BASE_WARN_UNUSED;

/* The next load of the lane. */
void stack_load(struct lane *l);

void stack_close(struct stack *s);

#endif
