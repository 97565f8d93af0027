/* Addresses and routes: what is ours, what is on a link, what leads elsewhere. */
#include "net_internal.h"

#include <errno.h>

/* ---- IPv4 ---- */

bool net_v4_is_neighbor(const struct net *n, uint32_t addr)
{
    if (addr == n->v4_gateway)
        return addr != 0;
    for (uint32_t i = 0; i < n->v4_link_cnt; i++) {
        uint32_t mask = n->v4_mask[i];
        if ((addr & mask) != n->v4_net[i])
            continue;
        /* Links of one or two addresses have no broadcast address (RFC 3021). */
        return ~mask <= 1 || ((addr & ~mask) != 0 && (addr & ~mask) != ~mask);
    }
    return false;
}

bool net_v4_is_martian(const struct net *n, uint32_t addr)
{
    uint32_t first = addr >> 24;

    if (first == 0 || first == 127 || first >= 224)
        return true;
    for (uint32_t i = 0; i < n->v4_link_cnt; i++) {
        uint32_t mask = n->v4_mask[i];
        if ((addr & mask) == n->v4_net[i] && ~mask > 1 &&
            ((addr & ~mask) == 0 || (addr & ~mask) == ~mask))
            return true;
    }
    return false;
}

/* ---- IPv6 ---- */

struct net_own *net_v6_own(const struct net *n, const struct net_addr *addr)
{
    for (uint32_t i = 0; i < n->v6_cnt; i++) {
        if (n->v6[i].state != NET_OWN_DUPLICATE && net_addr_eq(&n->v6[i].prefix.addr, addr))
            return (struct net_own *)(uintptr_t)&n->v6[i];
    }
    return NULL;
}

bool net_v6_is_martian(const struct net_addr *addr)
{
    static const uint8_t zero[12];

    /* ::, ::1, and the old IPv4-compatible ones; and IPv4-mapped ones, which on the wire would be
     * taken for IPv4 hosts (RFC 4942 section 2.2). */
    return net_addr_is_multicast(addr) || memcmp(addr->b, zero, sizeof(zero)) == 0 ||
           net_addr_is_v4(addr);
}

bool net_v6_is_neighbor(const struct net *n, const struct net_addr *addr)
{
    if (n->v6_cnt == 0 || net_v6_is_martian(addr))
        return false;
    if (net_addr_is_link_local(addr) || net_addr_eq(addr, &n->config.gateway6))
        return true;
    for (uint32_t i = 0; i < n->v6_cnt; i++) {
        if (net_prefix_contains(&n->v6[i].prefix, addr))
            return true;
    }
    return false;
}

bool net_v6_is_group(const struct net *n, const struct net_addr *group)
{
    if (net_addr_eq(group, &net_all_nodes))
        return true;
    if (memcmp(group->b, net_solicited_node.b, 13) != 0)
        return false;
    for (uint32_t i = 0; i < n->v6_cnt; i++) {
        if (memcmp(group->b + 13, n->v6[i].prefix.addr.b + 13, 3) == 0)
            return true;
    }
    return false;
}

uint32_t net_groups(const struct net *n, uint8_t (*mac)[6], uint32_t cap)
{
    uint32_t tails[NET_GROUP_MAX] = {1}; /* of the groups: all nodes is the first */
    uint32_t cnt = n->v6_cnt > 0;

    for (uint32_t i = 0; i < n->v6_cnt; i++) {
        uint32_t tail = 0xff000000 | base_be32(n->v6[i].prefix.addr.b + 12), k = 0;
        while (k < cnt && tails[k] != tail)
            k++;
        tails[k] = tail;
        cnt += k == cnt;
    }
    for (uint32_t i = 0; i < cnt && i < cap; i++) {
        mac[i][0] = mac[i][1] = 0x33;
        base_put_be32(mac[i] + 2, tails[i]);
    }
    return cnt;
}

const struct net_addr net_all_nodes = {.b = {0xff, 2, [15] = 1}};
const struct net_addr net_solicited_node = {.b = {0xff, 2, [11] = 1, [12] = 0xff}};

static bool route_v6(const struct net *n, const struct net_addr *dst, struct net_addr *hop)
{
    if (net_v6_is_neighbor(n, dst)) {
        *hop = *dst;
        return net_v6_own(n, dst) == NULL;
    }
    *hop = n->config.gateway6;
    return !net_addr_is_none(hop) && !net_v6_is_martian(dst);
}

/* RFC 6724 section 5, as far as it matters on one port: the scope (rule 2), then the prefix of the
 * next hop (in place of rule 8). The order of the configuration decides the rest. */
static int source_v6(const struct net *n, const struct net_addr *dst, const struct net_addr *hop,
                     struct net_addr *src)
{
    bool local = net_addr_is_link_local(dst);
    const struct net_own *best = NULL;

    for (uint32_t i = 0; i < n->v6_cnt; i++) {
        const struct net_own *o = &n->v6[i];
        if (o->state != NET_OWN_VALID || net_addr_is_link_local(&o->prefix.addr) != local)
            continue;
        if (net_prefix_contains(&o->prefix, hop)) {
            *src = o->prefix.addr;
            return 0;
        }
        best = best != NULL ? best : o;
    }
    if (best == NULL)
        return -EHOSTUNREACH;
    *src = best->prefix.addr;
    return 0;
}

/* ---- both ---- */

bool net_route(const struct net *n, const struct net_addr *dst, struct net_addr *hop)
{
    if (!net_addr_is_v4(dst))
        return route_v6(n, dst, hop);
    uint32_t raw = base_be32(dst->b + 12);
    if (net_v4_is_neighbor(n, raw)) {
        *hop = *dst;
        return !net_v4_is_own(n, raw);
    }
    *hop = n->config.gateway;
    return net_addr_is_v4(hop) && !net_v4_is_martian(n, raw);
}

int net_source_here(const struct net *n, const struct net_addr *dst, struct net_addr *src)
{
    struct net_addr hop;

    if (!net_route(n, dst, &hop))
        return -EHOSTUNREACH;
    if (!net_addr_is_v4(dst))
        return source_v6(n, dst, &hop, src);
    for (uint32_t i = 0; i < n->config.address_cnt; i++) {
        const struct net_prefix *p = &n->config.addresses[i];
        if (net_addr_is_v4(&p->addr) && net_prefix_contains(p, &hop)) {
            *src = p->addr;
            return 0;
        }
    }
    /* A gateway beyond every prefix, as with /32 addresses: reached all the same. */
    uint32_t raw = rte_cpu_to_be_32(n->v4_addr[0]);
    *src = net_addr_v4(&raw);
    return n->v4_cnt > 0 ? 0 : -EHOSTUNREACH;
}

int net_source(const struct net *n, const struct net_addr *dst, struct net_addr *src)
{
    return n->joined_cnt > 0 ? net_join_source(n, dst, src) : net_source_here(n, dst, src);
}

/* Of the port that segments from src leave by. */
static const struct net_port_caps *caps_of(const struct net *n, const struct net_addr *src)
{
    const struct net *by = n->joined_cnt > 0 ? net_join_of(n, src) : n;

    return by != NULL ? &by->port->caps : &n->port->caps;
}

uint32_t net_large_max(const struct net *n, const struct net_addr *src, uint16_t segment_bytes,
                       uint16_t *mbuf_max)
{
    const struct net_port_caps *caps = caps_of(n, src);
    bool v4 = net_addr_is_v4(src);

    if (!(v4 ? caps->tx_tso : caps->tx_tso6) ||
        segment_bytes + (v4 ? NET_IPV4_BYTES : NET_IPV6_BYTES) > caps->tso_mtu)
        return 0;
    *mbuf_max = caps->tso_mbuf_max;
    return UINT16_MAX - (v4 ? NET_IPV4_BYTES : 0); /* what the length in the IP header can tell */
}

uint16_t net_segment_max(const struct net *n, const struct net_addr *src)
{
    return (uint16_t)(caps_of(n, src)->mtu -
                      (net_addr_is_v4(src) ? NET_IPV4_BYTES : NET_IPV6_BYTES));
}
