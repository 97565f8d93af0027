/*
 * Two hosts, each a network and a TCP stack of its own, at the two ends of a link in memory.
 * Everything by one seed, in virtual time. For the simulations and the unit tests of TCP.
 */
#ifndef SIM_PAIR_H
#define SIM_PAIR_H

#include "net.h"
#include "stats.h"
#include "tcp.h"
#include "wire.h"

struct rte_mempool;

struct sim_host {
    struct net *net;
    struct tcp_stack *tcp;
    struct rte_mempool *data_pool;
    struct rte_mempool *ctrl_pool;
    struct rte_mempool *rx_pool;
    struct rte_mempool *frame_pool;
    struct net_addr addr;
    struct stats_block stats;
};

struct sim_pair {
    struct wire *wire;
    struct sim_host host[2];
    uint64_t now_ns;
};

/* Starts EAL and takes the pools, once a process. */
void sim_pair_start(void);

/* Opens the link and both hosts: 10.0.0.1 and 10.0.0.2, or fd00::1 and fd00::2 (then an MTU from
 * 1280). Pools, net, stats and secrets of the
 * configs are filled in. Aborts when that fails. */
void sim_pair_open(struct sim_pair *p, struct wire_config *wire, struct tcp_config *tcp,
                   uint64_t now_ns);
void sim_pair_open_v6(struct sim_pair *p, struct wire_config *wire, struct tcp_config *tcp,
                      uint64_t now_ns);
/* Host 0 is the gateway of host 1, too: what that sends to anywhere goes over the link. */
void sim_pair_open_routed(struct sim_pair *p, struct wire_config *wire, struct tcp_config *tcp,
                          uint64_t now_ns, bool v6);
void sim_pair_close(struct sim_pair *p);

/* One pass of a host: receive, timers. The caller polls events, then calls sim_pair_flush. */
void sim_pair_receive(struct sim_pair *p, unsigned host);
void sim_pair_flush(struct sim_pair *p, unsigned host);

/* The next time at which anything happens by itself; BASE_NS_NONE when never. */
uint64_t sim_pair_next(const struct sim_pair *p);
void sim_pair_advance(struct sim_pair *p, uint64_t now_ns);

/* No connection, no mbuf, in either host: what a run must end with. */
bool sim_pair_drained(const struct sim_pair *p);

#endif
