/*
 * Frames for tests: Ethernet, ARP, IPv4, ICMP and TCP bytes with right checksums, to be broken by
 * the test. Pure; the caller owns every buffer, which needs room for the whole frame.
 */
#ifndef FRAMES_H
#define FRAMES_H

#include <stddef.h>
#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;

#define FRAME_ETHER_BYTES 14
#define FRAME_IP_BYTES    20
#define FRAME_TCP_AT      34
#define FRAME_ICMP_AT     34

struct frame_ends {
    uint8_t src_mac[6], dst_mac[6];
    uint8_t src[4], dst[4];
};

/* A TCP segment: SYN when payload_len is 0, else ACK and PSH. Returns the frame's length. */
size_t frame_tcp(uint8_t *out, const struct frame_ends *e, uint16_t src_port, uint16_t dst_port,
                 size_t payload_len);

/* An ICMP message of the type, with data_len bytes. */
size_t frame_icmp(uint8_t *out, const struct frame_ends *e, uint8_t type, size_t data_len);

/* ARP, op 1 request or 2 reply; sender is e's source, target its destination. */
size_t frame_arp(uint8_t *out, const struct frame_ends *e, uint16_t op);

/* Fills in the IP header's checksum, and TCP's or ICMP's, again. */
void frame_fix_ip(uint8_t *frame);
void frame_fix_tcp(uint8_t *frame);
void frame_fix_icmp(uint8_t *frame);

/* The frame in mbufs of at most split bytes each (0: one). Aborts when the pool is empty. */
struct rte_mbuf *frame_mbuf(struct rte_mempool *pool, const uint8_t *frame, size_t len,
                            size_t split);

#endif
