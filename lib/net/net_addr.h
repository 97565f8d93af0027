/*
 * Internet addresses. One type for both families: 16 bytes, IPv6, with IPv4 as v4-mapped
 * (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2). All zero means "none" or "any". Pure; any thread.
 */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include "base_assert.h"
#include "base_bytes.h"

struct net_addr {
    uint8_t b[16];
};

struct net_endpoint {
    struct net_addr addr;
    uint16_t port; /* host order */
};

/* A network: the bits of addr beyond prefix_len are zero. prefix_len counts in IPv6 terms
 * (10.0.0.0/8 is prefix_len 104). */
struct net_prefix {
    struct net_addr addr;
    uint8_t prefix_len; /* 0..128 */
};

#define NET_ADDR_TEXT_CAP     46 /* longest text of an address, with its NUL */
#define NET_ENDPOINT_TEXT_CAP 56 /* "[address]:port" */

/* From the IPv4 address in the four bytes at p (network order). */
static inline struct net_addr net_addr_v4(const void *p)
{
    struct net_addr a = {0};
    /* One word: the compiler makes it in a register. */
    base_put_le64(a.b + 8, UINT64_C(0xffff0000) | (uint64_t)base_le32(p) << 32);
    return a;
}

static inline bool net_addr_is_v4(const struct net_addr *a)
{
    return base_le64(a->b) == 0 && base_le32(a->b + 8) == 0xffff0000;
}

/* The IPv4 address as four bytes in memory order; the address must be v4-mapped. */
static inline uint32_t net_addr_v4_raw(const struct net_addr *a)
{
    uint32_t raw;
    memcpy(&raw, a->b + 12, 4);
    return raw;
}

static inline bool net_addr_eq(const struct net_addr *a, const struct net_addr *b)
{
    return ((base_le64(a->b) ^ base_le64(b->b)) | (base_le64(a->b + 8) ^ base_le64(b->b + 8))) == 0;
}

static inline bool net_addr_is_none(const struct net_addr *a)
{
    static const struct net_addr none;
    return net_addr_eq(a, &none);
}

/* Parses dotted IPv4 or RFC 4291 IPv6 text, the whole span. Returns 0, or -EINVAL. */
int net_addr_parse(struct net_addr *out, struct base_span text) BASE_WARN_UNUSED;

/* Parses "addr/len" or a bare address (a host prefix). Bits beyond the length must be zero.
 * Returns 0, or -EINVAL. */
int net_prefix_parse(struct net_prefix *out, struct base_span text) BASE_WARN_UNUSED;

/* Parses "a.b.c.d:port", "[v6]:port"; the port 1..65535 is required. Returns 0, or -EINVAL. */
int net_endpoint_parse(struct net_endpoint *out, struct base_span text) BASE_WARN_UNUSED;

/* No address of a host on the public network: unspecified, loopback, of a link, private (RFC 1918,
 * 4193, 6598), for benchmarks, multicast, reserved; of IPv6 also those that have one of IPv4 in
 * them of which it holds (RFC 6052 well-known prefix, 6to4, IPv4-compatible). */
bool net_addr_is_private(const struct net_addr *a);

/* 127.0.0.0/8, ::1. */
bool net_addr_is_loopback(const struct net_addr *a);

bool net_prefix_contains(const struct net_prefix *p, const struct net_addr *a);

/* Text, NUL-terminated; IPv6 by RFC 5952. Return the length. */
size_t net_addr_format(char out[NET_ADDR_TEXT_CAP], const struct net_addr *a);
size_t net_endpoint_format(char out[NET_ENDPOINT_TEXT_CAP], const struct net_endpoint *e);

#endif
