/*
 * A TCP stack on a bench: the test is the peer, segment by segment, and the clock. Instead of
 * lib/net, net_output of this file keeps what the stack sends. For unit tests and fuzzing.
 */
#ifndef TCP_LAB_H
#define TCP_LAB_H

#include "stats.h"
#include "tcp.h"
#include "tcp_internal.h"

#define LAB_OUT_CAP    512
#define LAB_DATA_CAP   65536
#define LAB_HOLD_CAP   64
#define LAB_LOCAL_PORT 25
#define LAB_PEER_PORT  5000
#define LAB_MTU        1500 /* of IPv4 */
#define LAB_IPV4_BYTES 20
#define LAB_IPV6_BYTES 40

struct lab_segment {
    uint16_t local_port; /* of the stack; 0 takes LAB_LOCAL_PORT */
    uint16_t peer_port;  /* 0 takes LAB_PEER_PORT */
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t window;
    bool has_mss, has_wscale;
    uint16_t mss;
    uint8_t wscale;
    bool has_timestamp, sack_permitted;
    uint32_t timestamp, timestamp_echo;
    uint8_t sack_cnt;
    uint8_t ecn; /* of the IP header */
    struct tcp_sack_block sack[TCP_SACK_BLOCK_MAX];
    uint32_t len;
    const void *data; /* NULL with len > 0: zeros */

    uint32_t option_len; /* of what was sent: as on the wire */
    uint8_t option[TCP_OPTION_MAX_BYTES];
};

struct lab {
    struct tcp_stack *s;
    uint64_t now_ns;
    bool v6;              /* the two ends have IPv6 addresses; before lab_open it is IPv4 */
    uint16_t segment_max; /* what net_segment_max answers; lab_open: LAB_MTU's */
    uint16_t large_mbufs; /* the port cuts segments of so many mbufs; 0: it does not */
    struct stats_block stats;
    struct rte_mempool *data_pool, *ctrl_pool, *rx_pool, *large_pool, *frame_pool;
    int output_result; /* what net_output answers */
    bool hold;         /* keep the mbufs, as a slow driver does */
    struct rte_mbuf *held[LAB_HOLD_CAP];
    uint32_t held_cnt;
    struct lab_segment out[LAB_OUT_CAP]; /* what was sent and not taken yet */
    uint32_t out_head, out_cnt;
    uint8_t out_data[LAB_OUT_CAP][LAB_DATA_CAP]; /* last: not cleared by lab_open */
};

/* Small limits; a test may change them before lab_open. */
struct tcp_config lab_config(void);

void lab_open(struct lab *l, const struct tcp_config *config);
/* The address of our end, or of the peer's. */
struct net_addr lab_address(const struct lab *l, bool ours);
/* Asserts that all mbufs are back. */
void lab_close(struct lab *l);

/* A segment from the peer, and what the stack does about it at once (a pass without polling). */
void lab_in(struct lab *l, const struct lab_segment *seg);
/* The same with the TCP header and payload as raw bytes. */
void lab_in_raw(struct lab *l, const uint8_t *bytes, uint32_t len);
/* Takes a segment, without the flush. */
void lab_push(struct lab *l, const struct lab_segment *seg);

/* Time goes on by span_ns; timers run, then a flush. */
void lab_wait(struct lab *l, uint64_t span_ns);

/* The oldest segment sent and not taken yet, or NULL; valid until LAB_OUT_CAP more were sent. */
const struct lab_segment *lab_out(struct lab *l);

void lab_free_held(struct lab *l);

#endif
