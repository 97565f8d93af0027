/*
 * Frames for tests: Ethernet, ARP, IPv4, IPv6, ICMP of both, neighbor discovery and TCP bytes with
 * right checksums, to be broken by the test. Pure; the caller owns every buffer, which needs room
 * for the whole frame.
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
#define FRAME6_IP_BYTES   40
#define FRAME6_AT         54 /* of what follows the IPv6 header */

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

/* ---- IPv6 ---- */

struct frame6_ends {
    uint8_t src_mac[6], dst_mac[6];
    uint8_t src[16], dst[16];
};

/* As frame_tcp. */
size_t frame6_tcp(uint8_t *out, const struct frame6_ends *e, uint16_t src_port, uint16_t dst_port,
                  size_t payload_len);

/* An ICMPv6 message with data_len bytes behind its 8, which begin with zeros but for type and code;
 * the hop limit is 255. */
size_t frame6_icmp(uint8_t *out, const struct frame6_ends *e, uint8_t type, uint8_t code,
                   size_t data_len);

/* A neighbor solicitation (flags 0) or advertisement for target; option 1 or 2: with src_mac as
 * source or target link-layer address; 0: without. */
size_t frame6_nd(uint8_t *out, const struct frame6_ends *e, uint8_t type, uint8_t flags,
                 const uint8_t target[16], uint8_t option);

/* Puts an extension header of the type, with len bytes (a multiple of 8, >= 8; the first two are
 * overwritten), behind the IPv6 header; returns the frame's new length. */
size_t frame6_extend(uint8_t *frame, size_t frame_len, uint8_t type, const uint8_t *ext,
                     size_t len);

/* Fills in the checksum of TCP or ICMPv6 again, behind options headers, too. A frame that is too
 * short for its lengths is left as it is. */
void frame6_fix(uint8_t *frame, size_t frame_len);

/* The group ff02::1:ffXX:XXXX of an address, and the MAC of a group. */
void frame6_solicited_node(uint8_t group[16], const uint8_t addr[16]);
void frame6_group_mac(uint8_t mac[6], const uint8_t group[16]);

/* The frame in mbufs of at most split bytes each (0: one). Aborts when the pool is empty. */
struct rte_mbuf *frame_mbuf(struct rte_mempool *pool, const uint8_t *frame, size_t len,
                            size_t split);

#endif
