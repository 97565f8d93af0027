/* Inside of drivers/port/ethdev. */
#ifndef ETHDEV_INTERNAL_H
#define ETHDEV_INTERNAL_H

#include "ethdev.h"

#include <rte_ethdev.h>

#define ETHDEV_RSS_TYPES (RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP)

/* How a sleeping lane learns of frames. */
enum ethdev_wait {
    ETHDEV_WAIT_NONE,      /* nothing to sleep on */
    ETHDEV_WAIT_SOCKET,    /* the driver's own descriptor: readable while frames wait */
    ETHDEV_WAIT_INTERRUPT, /* an eventfd, armed and disarmed */
};

struct ethdev {
    uint16_t port_id;
    uint16_t queue_cnt;
    bool tx_prepare; /* TX offloads are on: the driver may want a look before */
    bool started;
    bool interrupts;
    enum ethdev_wait wait;
    uint16_t rss_key_len;
    uint16_t rss_table_cnt;
    uint64_t rss_types;
    uint8_t rss_key[ETHDEV_RSS_KEY_CAP];
    char driver[32];
    unsigned if_index; /* of the kernel's interface behind the port; 0: none */
    int wait_fd[ETHDEV_QUEUE_MAX];
    struct stats_block *stats[ETHDEV_QUEUE_MAX];
};

/* Finds what wait_fd returns; the port is started. */
void ethdev_find_wait(struct ethdev *e);

/* Gives each queue its share of the flows, where the port can; it is started. */
void ethdev_spread(struct ethdev *e);

/* The op: arms or disarms a queue's interrupt. */
int ethdev_arm(void *state, uint16_t queue, bool on);

#endif
