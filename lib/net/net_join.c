/* Several ports below one TCP stack: each packet leaves by the port that has its source address. */
#include "net_internal.h"

#include <errno.h>

static bool is_own(const struct net *n, const struct net_addr *addr)
{
    return net_addr_is_v4(addr) ? net_v4_is_own(n, base_be32(addr->b + 12))
                                : net_v6_own(n, addr) != NULL;
}

void net_join(struct net *const *nets, uint32_t cnt)
{
    base_assert(cnt <= NET_JOIN_MAX);
    for (uint32_t i = 0; i < cnt; i++) {
        for (uint32_t k = 0; k < cnt; k++)
            nets[i]->joined[k] = nets[k];
        nets[i]->joined_cnt = cnt > 1 ? cnt : 0;
    }
}

struct net *net_join_of(const struct net *n, const struct net_addr *src)
{
    for (uint32_t i = 0; i < n->joined_cnt; i++)
        if (is_own(n->joined[i], src))
            return n->joined[i];
    return NULL;
}

/* A host on one of its links, not one that its gateway leads to. */
static bool has_neighbor(const struct net *n, const struct net_addr *dst)
{
    return net_addr_is_v4(dst) ? net_v4_is_neighbor(n, base_be32(dst->b + 12))
                               : net_v6_is_neighbor(n, dst);
}

int net_join_source(const struct net *n, const struct net_addr *dst, struct net_addr *src)
{
    if (net_join_of(n, dst) != NULL)
        return -EHOSTUNREACH;
    for (uint32_t pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < n->joined_cnt; i++)
            if ((pass > 0 || has_neighbor(n->joined[i], dst)) &&
                net_source_here(n->joined[i], dst, src) == 0)
                return 0;
    return -EHOSTUNREACH;
}

bool net_has_address(const struct net *n, const struct net_addr *addr)
{
    return is_own(n, addr);
}

uint32_t net_addresses(const struct net *n, struct net_addr *out, uint32_t cap)
{
    uint32_t cnt = 0;

    for (uint32_t i = 0; i < n->config.address_cnt && cnt < cap; i++)
        if (net_addr_is_v4(&n->config.addresses[i].addr))
            out[cnt++] = n->config.addresses[i].addr;
    for (uint32_t i = 0; i < n->v6_cnt && cnt < cap; i++)
        out[cnt++] = n->v6[i].prefix.addr;
    return cnt;
}
