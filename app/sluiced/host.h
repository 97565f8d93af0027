/*
 * The machine's own traffic over the gateway's port ("exception path"): with DPDK on the only NIC,
 * ssh, DNS, NTP and HTTPS of the host still need it. What the lanes find to be nobody's of ours is
 * written to a TAP interface of the kernel, and what the kernel sends there leaves by the port.
 *
 *   port -> lane: lib/net, TCP -> ring -> host thread -> TAP -> the kernel
 *   port <- lane 0 <- ring <- host thread <- TAP <- the kernel
 *
 * A thread of its own, because each frame of a TAP is a system call, and lanes make none. Towards
 * the kernel, what is over the rate is dropped by the lane (lib/net); the other way it waits in the
 * interface's own queue, which the kernel's TCP takes for the bottleneck it is.
 *
 * Threads: host_pass by its own. Memory: frames from the lanes go back to them to be freed; those
 * of the kernel come from the TAP's pool and are freed by lane 0, after the port has sent them.
 */
#ifndef HOST_H
#define HOST_H

#include "base_limit.h"
#include "net_port.h"
#include "topology.h"

struct host_config {
    struct topology *topology;
    struct net_port *tap; /* borrowed */
    uint32_t rate;        /* frames a second that the kernel may send, >= 1 */
    uint32_t burst;       /* at once, >= 1 */
};

struct host {
    struct topology *topology;
    struct net_port *tap;
    struct stats_block *stats;
    struct base_limit limit;
    bool waits; /* frames of the kernel's may not go now: its descriptor tells nothing */
};

void host_init(struct host *h, const struct host_config *config);

/* One round. Returns true when it did something. */
bool host_pass(struct host *h, uint64_t now_ns);

#endif
