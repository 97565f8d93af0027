#include "net_addr.h"

#include <arpa/inet.h>
#include <errno.h>

int net_addr_parse(struct net_addr *out, struct base_span text)
{
    char copy[NET_ADDR_TEXT_CAP];
    uint8_t v4[4];

    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.p, 0, text.len) != NULL)
        return -EINVAL;
    memcpy(copy, text.p, text.len);
    copy[text.len] = 0;
    if (inet_pton(AF_INET, copy, v4) == 1) {
        *out = net_addr_v4(v4);
        return 0;
    }
    return inet_pton(AF_INET6, copy, out->b) == 1 ? 0 : -EINVAL;
}

/* Reads a decimal number of at most max, the whole span; -1 when it is none. */
static long number(struct base_span text, long max)
{
    long value = 0;

    if (text.len == 0 || text.len > 5)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return -1;
        value = value * 10 + (text.p[i] - '0');
    }
    return value <= max ? value : -1;
}

/* Clears the bits from the given one to the end; tells whether one was set. */
static bool clear_host_bits(struct net_addr *a, unsigned from)
{
    bool any = false;

    for (unsigned bit = from; bit < 128; bit++) {
        uint8_t mask = (uint8_t)(0x80 >> (bit % 8));
        any |= (a->b[bit / 8] & mask) != 0;
        a->b[bit / 8] &= (uint8_t)~mask;
    }
    return any;
}

int net_prefix_parse(struct net_prefix *out, struct base_span text)
{
    const uint8_t *slash = text.len > 0 ? memchr(text.p, '/', text.len) : NULL;
    size_t addr_len = slash != NULL ? (size_t)(slash - text.p) : text.len;

    if (net_addr_parse(&out->addr, base_span_of(text.p, addr_len)) != 0)
        return -EINVAL;
    unsigned base = net_addr_is_v4(&out->addr) ? 96 : 0;
    long len = 128 - (long)base;
    if (slash != NULL)
        len = number(base_span_of(slash + 1, text.len - addr_len - 1), len);
    if (len < 0)
        return -EINVAL;
    out->prefix_len = (uint8_t)(base + (unsigned)len);
    return clear_host_bits(&out->addr, out->prefix_len) ? -EINVAL : 0;
}

int net_endpoint_parse(struct net_endpoint *out, struct base_span text)
{
    if (text.len < 3)
        return -EINVAL;
    const uint8_t *colon = memrchr(text.p, ':', text.len);
    if (colon == NULL)
        return -EINVAL;
    struct base_span host = base_span_of(text.p, (size_t)(colon - text.p));
    long port = number(base_span_of(colon + 1, text.len - host.len - 1), 65535);
    bool bracketed = host.len >= 2 && host.p[0] == '[' && host.p[host.len - 1] == ']';
    if (bracketed)
        host = base_span_of(host.p + 1, host.len - 2);
    if (port <= 0 || net_addr_parse(&out->addr, host) != 0)
        return -EINVAL;
    if (bracketed == net_addr_is_v4(&out->addr))
        return -EINVAL;
    out->port = (uint16_t)port;
    return 0;
}

static bool is_private_v4(const uint8_t b[4])
{
    static const struct {
        uint32_t net;
        unsigned len;
    } rows[] = {
        {0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},  {0xa9fe0000, 16},
        {0xac100000, 12}, {0xc0000000, 24}, {0xc0a80000, 16}, {0xc6120000, 15}, {0xe0000000, 3},
    };
    uint32_t a = base_be32(b);

    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++)
        if ((a ^ rows[i].net) >> (32 - rows[i].len) == 0)
            return true;
    return false;
}

bool net_addr_is_private(const struct net_addr *a)
{
    static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b}, zero[12];

    if (net_addr_is_v4(a) || memcmp(a->b, nat64, 12) == 0 || memcmp(a->b, zero, 12) == 0)
        return is_private_v4(a->b + 12);
    if (a->b[0] == 0x20 && a->b[1] == 0x02)
        return is_private_v4(a->b + 2);
    return (a->b[0] & 0xfe) == 0xfc || a->b[0] == 0xff ||
           (a->b[0] == 0xfe && (a->b[1] & 0x80) == 0x80);
}

bool net_prefix_contains(const struct net_prefix *p, const struct net_addr *a)
{
    unsigned whole = p->prefix_len / 8, rest = p->prefix_len % 8;

    if (memcmp(p->addr.b, a->b, whole) != 0)
        return false;
    return rest == 0 || ((p->addr.b[whole] ^ a->b[whole]) >> (8 - rest)) == 0;
}

/* Without its end: inet_ntop and printf cost as much as all else of a line of the log. */
static char *put_decimal(char *to, unsigned v)
{
    unsigned cnt = v > 9999 ? 5 : v > 999 ? 4 : v > 99 ? 3 : v > 9 ? 2 : 1;

    for (unsigned i = cnt; i-- > 0; v /= 10)
        to[i] = (char)('0' + v % 10);
    return to + cnt;
}

size_t net_addr_format(char out[NET_ADDR_TEXT_CAP], const struct net_addr *a)
{
    if (net_addr_is_v4(a)) {
        char *to = out;
        for (unsigned i = 12; i < 16; i++) {
            to = put_decimal(to, a->b[i]);
            *to++ = '.';
        }
        *--to = 0;
        return (size_t)(to - out);
    }
    const char *text = inet_ntop(AF_INET6, a->b, out, NET_ADDR_TEXT_CAP);
    base_assert(text != NULL);
    return strlen(out);
}

size_t net_endpoint_format(char out[NET_ENDPOINT_TEXT_CAP], const struct net_endpoint *e)
{
    bool v4 = net_addr_is_v4(&e->addr);
    char *to = out;

    if (!v4)
        *to++ = '[';
    to += net_addr_format(to, &e->addr);
    if (!v4)
        *to++ = ']';
    *to++ = ':';
    to = put_decimal(to, e->port);
    *to = 0;
    return (size_t)(to - out);
}

bool net_addr_is_loopback(const struct net_addr *a)
{
    static const struct net_addr v6 = {.b = {[15] = 1}};

    return net_addr_is_v4(a) ? a->b[12] == 127 : net_addr_eq(a, &v6);
}
