/*
 * What a port driver (drivers/port/...) offers. The ops table is the whole border between the
 * stack and NICs.
 *
 * Threads: a queue belongs to one lane; ops with a queue argument are called by that lane only, the
 * others before the lanes start and after they stop. Memory: mbufs given out by rx_burst belong to
 * the caller; those that tx_burst took belong to the driver.
 */
#ifndef NET_PORT_H
#define NET_PORT_H

#include <stdbool.h>
#include <stdint.h>

struct rte_mbuf;

#define NET_PORT_BURST_MAX 64

struct net_port_caps {
    uint8_t mac[6];
    uint16_t mtu;        /* largest IP packet, bytes */
    uint16_t queue_cnt;  /* RX/TX pairs in use */
    bool rx_ip_checksum; /* the port checks; mbuf ol_flags tell */
    bool rx_tcp_checksum;
    bool tx_ip_checksum;   /* the port fills in what RTE_MBUF_F_TX_IP_CKSUM asks */
    bool tx_tcp_checksum;  /* likewise RTE_MBUF_F_TX_TCP_CKSUM */
    bool tx_tso;           /* cuts what RTE_MBUF_F_TX_TCP_SEG asks, of IPv4; chains, too */
    bool tx_tso6;          /* likewise of IPv6 */
    uint16_t tso_mtu;      /* largest IP packet that it makes of it */
    uint16_t tso_mbuf_max; /* mbufs of such a chain */
    bool tx_multi_segs;    /* takes chained mbufs */
    bool rss;
};

struct net_port_ops {
    const char *name;
    /* Up to cap frames, each an mbuf with the Ethernet header first; 0 when there are none. */
    uint16_t (*rx_burst)(void *state, uint16_t queue, struct rte_mbuf **pkts, uint16_t cap);
    /* Takes the first n of cnt and returns n; the caller keeps the rest. */
    uint16_t (*tx_burst)(void *state, uint16_t queue, struct rte_mbuf **pkts, uint16_t cnt);
    /* A descriptor for epoll that is readable when frames may be waiting, or -1: poll only. The
     * driver owns it. */
    int (*wait_fd)(void *state, uint16_t queue);
    /* Arms (true) or disarms the queue's interrupt before and after a sleep; may be NULL. */
    int (*arm)(void *state, uint16_t queue, bool on);
};

struct net_port {
    const struct net_port_ops *ops;
    void *state; /* the driver's */
    struct net_port_caps caps;
};

#endif
