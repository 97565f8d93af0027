/*
 * The Internet checksum (RFC 1071), vectorised where the CPU has AVX2. Pure; any thread.
 */
#ifndef NET_CHECKSUM_H
#define NET_CHECKSUM_H

#include "net_addr.h"

struct rte_mbuf;

/* The ones' complement sum of len bytes at p in memory order, not folded to its end nor inverted;
 * partial sums of pieces at even offsets may be added with net_checksum_add. */
uint32_t net_checksum_sum(const void *p, size_t len);

/* The plain reference; the tests compare the others with it. */
uint32_t net_checksum_sum_scalar(const void *p, size_t len);

static inline uint32_t net_checksum_add(uint32_t a, uint32_t b)
{
    uint64_t s = (uint64_t)a + b;
    return (uint32_t)(s + (s >> 32));
}

/* Folds and inverts: the value for the header field, in memory order. */
static inline uint16_t net_checksum_fold(uint32_t sum)
{
    sum = (sum >> 16) + (sum & 0xffff);
    sum += sum >> 16;
    return (uint16_t)~sum;
}

/* The pseudo-header's sum (RFC 9293 section 3.1; RFC 8200 section 8.1), not folded. Both addresses
 * of one family. */
uint32_t net_checksum_pseudo(const struct net_addr *src, const struct net_addr *dst,
                             uint8_t protocol, uint32_t l4_bytes);

/* The sum of a packet's bytes from offset to its end over all segments of the chain. */
uint32_t net_checksum_mbuf(const struct rte_mbuf *m, uint32_t offset);

#endif
