/* Inside of drivers/port/wire: a frame's bytes, looked at without trust. */
#ifndef WIRE_INTERNAL_H
#define WIRE_INTERNAL_H

#include "wire.h"

struct rte_mbuf;

#define WIRE_LARGE_BYTES (WIRE_ETHER_BYTES + 65535)
#define WIRE_LARGE_MBUFS 48
#define WIRE_ETHER_BYTES 14

/* Where things are in a frame of TCP over IPv4 that is not a fragment, or over IPv6 without
 * extension headers. */
struct wire_tcp {
    bool v6;
    uint32_t ip_len; /* header bytes */
    uint32_t l4_offset;
    uint32_t l4_len;
    uint32_t payload_len;
    uint32_t seq;
    uint32_t flow;  /* symmetric hash of addresses and ports */
    uint32_t ports; /* source and destination as they stand */
    uint8_t flags;
};

/* Returns false when it is none. */
bool wire_parse_tcp(struct wire_tcp *out, const uint8_t *frame, size_t len);

/* The receiver's queue: by its rss, or, NULL, by the flow (any number: to be taken modulo). */
uint32_t wire_queue(const struct wire_tcp *t, const uint8_t *frame, const struct net_rss *rss);

/* Of either family, by its type. */
bool wire_is_ip(const uint8_t *frame, size_t len);

/* Does on the copy what the sender asked its NIC for with ol_flags. */
void wire_offload_tx(uint8_t *frame, size_t len, uint64_t ol_flags);

/* The RX ol_flags that a checking NIC would set. */
uint64_t wire_offload_rx(const uint8_t *frame, size_t len);

/* Copies a chain out; returns its length, or 0 when it is longer than cap. */
size_t wire_copy_out(uint8_t *to, size_t cap, const struct rte_mbuf *m);

/* A chain of mbufs with the frame's bytes, split_bytes in each (0: as much as fits); NULL when
 * the pool is empty. */
struct rte_mbuf *wire_copy_in(struct rte_mempool *pool, const uint8_t *frame, size_t len,
                              uint16_t split_bytes);

/* Cuts the large segment m, whose len bytes are at frame, as its TX fields ask, or makes one large
 * frame of it (whole), and gives each to fn, in piece. False when the fields do not fit it. */
bool wire_cut_large(const uint8_t *frame, size_t len, const struct rte_mbuf *m, uint8_t *piece,
                    bool whole, void (*fn)(void *arg, uint8_t *bytes, size_t len), void *arg);

#endif
