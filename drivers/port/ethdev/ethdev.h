/*
 * Any port of DPDK as a net_port: N queue pairs, RSS where the port has it, the offloads that both
 * the port and lib/net know.
 *
 * Left out: VLANs (lib/net has the tags), flow rules, LRO, hot plug, bringing the link up
 * (a link that is down loses frames as a pulled cable does; ethdev_link_is_up tells).
 *
 * Known of single drivers: net_af_packet sleeps inside tx_burst while its TX ring is full, and
 * knows no checksums at all. net_tap cuts large segments of IPv4 only, and only into such as leave
 * 18 bytes of the MTU free; it raises a signal (SIGRTMIN up) for each frame: all threads but one
 * block those (blocked in all of them they pile up, and the kernel then sends SIGIO, which kills).
 * net_af_xdp takes no chains. net_memif and net_ring have nothing to sleep on; a memif client
 * offers the server buffers to send with only when it polls; when the other end goes, memif (22.11)
 * unmaps the rings under the lane that polls them, which may end the process.
 *
 * Threads: open, start, stop and close by one thread while no lane runs; the ops as net_port.h
 * says. EAL is up. Errors: 0, or a negative errno with one line in err that says what to do.
 */
#ifndef ETHDEV_H
#define ETHDEV_H

#include "base_assert.h"
#include "net_port.h"
#include "net_rss.h"
#include "stats.h"

#include <stddef.h>

struct rte_mempool;

#define ETHDEV_QUEUE_MAX   64
#define ETHDEV_GROUP_MAX   64 /* multicast MACs */
#define ETHDEV_RSS_KEY_CAP 52 /* most drivers take 40 of them */

struct ethdev_queue {
    struct rte_mempool *rx_pool; /* borrowed; mbufs that arrive come from it */
    struct stats_block *stats;   /* borrowed: the block of the lane that has the queue */
};

struct ethdev_config {
    const char *name;     /* DPDK's name of the device, such as net_tap0 or 0000:03:00.0 */
    uint16_t queue_cnt;   /* RX/TX pairs, >= 1 */
    uint16_t mtu;         /* largest IP packet; 0 takes 1500, or less where the port has less */
    uint16_t rx_desc_cnt; /* 0 takes 1024; bent to what the port can have */
    uint16_t tx_desc_cnt; /* likewise */
    bool interrupts;      /* the lanes will sleep: ask the port for RX interrupts */
    bool no_offloads;     /* software does it all, for comparison */
    /* The Toeplitz key, random, so that nobody outside can send all to one lane. */
    uint8_t rss_key[ETHDEV_RSS_KEY_CAP];
    struct ethdev_queue queue[ETHDEV_QUEUE_MAX];
};

/* Configures the port and fills in out, whose caps are final. */
int ethdev_open(struct net_port *out, const struct ethdev_config *config, char *err,
                size_t err_cap) BASE_WARN_UNUSED;

/* Frames flow from here on; finds the descriptors for wait_fd (it reads /proc/self/fd for that:
 * before any sandbox). Does not wait for the link. */
int ethdev_start(struct net_port *port, char *err, size_t err_cap) BASE_WARN_UNUSED;

/* The multicast MACs to receive from now on, besides broadcast. A port that can not choose them
 * receives all; one that can do neither does so by itself, or is of no use for IPv6. */
void ethdev_set_groups(struct net_port *port, uint8_t (*mac)[6], uint32_t cnt);

/* How the port spreads TCP segments over its queues: the key and the table as the port itself tells
 * them after the start. Returns 0, or -ENOTSUP: it does not, or does not tell. */
int ethdev_tell_rss(const struct net_port *port, struct net_rss *out) BASE_WARN_UNUSED;

/* All of them, for ever. */
void ethdev_take_all_groups(struct net_port *port);

/* What the port itself lost, ever. By any thread; false: it does not tell. */
struct ethdev_counts {
    uint64_t rx_missed, rx_errors, rx_no_buffer, tx_errors;
};
bool ethdev_count(const struct net_port *port, struct ethdev_counts *out) BASE_WARN_UNUSED;

bool ethdev_link_is_up(const struct net_port *port);

/* DPDK's number of the port, for its own calls and telemetry. */
uint16_t ethdev_port_id(const struct net_port *port);

/* Bytes of the RSS key that the port uses, and the size of its table; 0: no RSS. */
uint16_t ethdev_rss_key_len(const struct net_port *port);
uint16_t ethdev_rss_table_cnt(const struct net_port *port);

void ethdev_stop(struct net_port *port);

/* Stops it if need be, and gives the device back. The port may not be used after it. */
void ethdev_close(struct net_port *port);

#endif
