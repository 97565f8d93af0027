/*
 * A TAP interface of the kernel as a net_port with one queue: the machine's own network behind the
 * gateway's port. Unlike DPDK's net_tap it raises no signals, takes the address it is given, and
 * attaches to an interface that stands already (ip tuntap add mode tap), which then outlives the
 * process with its addresses and routes.
 *
 * Left out: offloads (the kernel fills in every checksum and cuts every packet to the MTU), several
 * queues, bringing the interface up and giving it addresses: that is the operator's.
 *
 * Each frame is a system call: a thread of its own, never a lane, is to call the bursts. They never
 * wait. A frame that the kernel does not take (the interface is down, most of all) is dropped and
 * counted; one that it cut short because it did not fit into an mbuf, too.
 *
 * Threads: one. Memory: mbufs that arrive come from rx_pool.
 */
#ifndef TAP_H
#define TAP_H

#include "base_assert.h"
#include "net_port.h"
#include "stats.h"

#include <stddef.h>

struct rte_mempool;

struct tap_config {
    const char *name; /* of the interface */
    uint8_t mac[6];
    uint16_t mtu;
    struct rte_mempool *rx_pool; /* borrowed; an mbuf holds a frame of mtu, a VLAN tag included */
    struct stats_block *stats;   /* borrowed */
};

/* Needs CAP_NET_ADMIN. Returns 0, or a negative errno with one line in err. */
int tap_open(struct net_port *out, const struct tap_config *config, char *err,
             size_t err_cap) BASE_WARN_UNUSED;

/* An interface that tap_open made is gone after it. */
void tap_close(struct net_port *port);

#endif
