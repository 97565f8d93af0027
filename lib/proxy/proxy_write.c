#include "proxy_internal.h"
#include "base_crc32c.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

/* Text of the address in the family that the line has: v4-mapped is written out for TCP6. */
static void address_text(char out[NET_ADDR_TEXT_CAP], const struct net_addr *a, bool six)
{
    const char *text = six ? inet_ntop(AF_INET6, a->b, out, NET_ADDR_TEXT_CAP)
                           : inet_ntop(AF_INET, a->b + 12, out, NET_ADDR_TEXT_CAP);
    base_assert(text != NULL);
}

static int write_v1(struct base_buf *out, const struct net_endpoint *source,
                    const struct net_endpoint *destination, bool six)
{
    char line[PROXY_V1_MAX + 1], from[NET_ADDR_TEXT_CAP], to[NET_ADDR_TEXT_CAP];
    int n;

    if (source == NULL)
        return base_buf_puts(out, "PROXY UNKNOWN\r\n") == 0 ? 0 : -ENOSPC;
    address_text(from, &source->addr, six);
    address_text(to, &destination->addr, six);
    n = snprintf(line, sizeof(line), "PROXY TCP%c %s %s %u %u\r\n", six ? '6' : '4', from, to,
                 source->port, destination->port);
    base_assert(n > 0 && n <= PROXY_V1_MAX);
    return base_buf_put(out, line, (size_t)n) == 0 ? 0 : -ENOSPC;
}

static void put(struct base_buf *b, const void *p, size_t n)
{
    int failed = base_buf_put(b, p, n);
    base_assert(failed == 0);
}

static void put_be16(struct base_buf *b, uint16_t v)
{
    uint8_t bytes[2];

    base_put_be16(bytes, v);
    put(b, bytes, sizeof(bytes));
}

static void put_addresses(struct base_buf *b, const struct net_endpoint *source,
                          const struct net_endpoint *destination, bool six)
{
    size_t skip = six ? 0 : 12; /* of v4-mapped */

    put(b, source->addr.b + skip, 16 - skip);
    put(b, destination->addr.b + skip, 16 - skip);
    put_be16(b, source->port);
    put_be16(b, destination->port);
}

static int write_v2(struct base_buf *out, const struct net_endpoint *source,
                    const struct net_endpoint *destination, bool six)
{
    enum { CRC_TLV_LEN = 7 };
    uint8_t bytes[PROXY_V2_FIXED_LEN + PROXY_V2_ADDRESS6_LEN + CRC_TLV_LEN];
    struct base_buf b = {.p = bytes, .cap = sizeof(bytes)};
    size_t len = source == NULL ? 0 : six ? PROXY_V2_ADDRESS6_LEN : PROXY_V2_ADDRESS4_LEN;
    uint8_t family = source == NULL ? PROXY_V2_UNSPEC : six ? PROXY_V2_TCP6 : PROXY_V2_TCP4;
    uint8_t crc_tlv[CRC_TLV_LEN] = {PROXY_TLV_CRC32C, 0, 4};

    put(&b, PROXY_V2_SIGNATURE, PROXY_V2_SIGNATURE_LEN);
    put(&b, source == NULL ? "\x20" : "\x21", 1);
    put(&b, &family, 1);
    put_be16(&b, (uint16_t)(len + CRC_TLV_LEN));
    if (source != NULL)
        put_addresses(&b, source, destination, six);
    put(&b, crc_tlv, sizeof(crc_tlv));
    base_put_be32(b.p + b.len - 4, base_crc32c(0, b.p, b.len));
    return base_buf_put(out, b.p, b.len) == 0 ? 0 : -ENOSPC;
}

int proxy_write(struct base_buf *out, unsigned version, const struct net_endpoint *source,
                const struct net_endpoint *destination)
{
    base_assert((version == 1 || version == 2) && (source == NULL) == (destination == NULL));
    bool six =
        source != NULL && !(net_addr_is_v4(&source->addr) && net_addr_is_v4(&destination->addr));

    return version == 1 ? write_v1(out, source, destination, six)
                        : write_v2(out, source, destination, six);
}
