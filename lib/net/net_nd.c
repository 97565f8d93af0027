/* Neighbor discovery (RFC 4861) on the wire. Routers are not discovered: the gateway is a setting,
 * so that nobody on the link can put himself in its place. */
#include "net_internal.h"

#include "net_checksum.h"

#define ND_BYTES       24 /* of a solicitation or advertisement, before the options */
#define ND_MAX_BYTES   1024
#define OPTION_BYTES   8
#define HOP_LIMIT      255
#define ICMPV6_AT      (NET_ETHER_BYTES + NET_IPV6_BYTES)
#define FLAG_SOLICITED 0x40
#define FLAG_OVERRIDE  0x20
#define OPTION_SOURCE  1
#define OPTION_TARGET  2

static const struct net_addr none;

/* ---- out ---- */

struct message {
    uint8_t type;
    uint8_t flags;
    bool option; /* with our link-layer address */
    const struct net_addr *src, *dst, *target;
    const uint8_t *mac; /* NULL: that of the group dst */
};

static struct net_addr solicited_node(const struct net_addr *addr)
{
    struct net_addr group = net_solicited_node;
    memcpy(group.b + 13, addr->b + 13, 3);
    return group;
}

static void send_message(struct net *n, const struct message *what)
{
    uint16_t len = (uint16_t)(ND_BYTES + (what->option ? OPTION_BYTES : 0));
    struct rte_mbuf *m = rte_pktmbuf_alloc(n->config.ctrl_pool);
    uint8_t *p = m != NULL ? (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(ICMPV6_AT + len)) : NULL;

    if (p == NULL) {
        rte_pktmbuf_free(m);
        stats_inc(n->stats, STATS_NET_NO_MBUF);
        return;
    }
    memset(p, 0, ICMPV6_AT + (size_t)len);
    if (what->mac != NULL) {
        memcpy(p, what->mac, 6);
    } else {
        p[0] = p[1] = 0x33; /* RFC 2464 section 7 */
        memcpy(p + 2, what->dst->b + 12, 4);
    }
    memcpy(p + 6, n->mac, 6);
    base_put_be16(p + 12, RTE_ETHER_TYPE_IPV6);
    uint8_t *ip = p + NET_ETHER_BYTES, *icmp = p + ICMPV6_AT;
    ip[0] = 0x60;
    base_put_be16(ip + 4, len);
    ip[6] = NET_PROTO_ICMPV6;
    ip[7] = HOP_LIMIT;
    memcpy(ip + 8, what->src->b, 16);
    memcpy(ip + 24, what->dst->b, 16);
    icmp[0] = what->type;
    icmp[4] = what->flags;
    memcpy(icmp + 8, what->target->b, 16);
    if (what->option) {
        icmp[ND_BYTES] = what->type == NET_ICMPV6_SOLICITATION ? OPTION_SOURCE : OPTION_TARGET;
        icmp[ND_BYTES + 1] = 1;
        memcpy(icmp + ND_BYTES + 2, n->mac, 6);
    }
    uint32_t sum = net_checksum_pseudo(what->src, what->dst, NET_PROTO_ICMPV6, len);
    sum = net_checksum_add(sum, net_checksum_sum_scalar(icmp, len));
    base_put_le16(icmp + 2, net_checksum_fold(sum));
    stats_inc(n->stats, what->type == NET_ICMPV6_SOLICITATION ? STATS_NET_TX_ND_SOLICITATIONS
                                                              : STATS_NET_TX_ND_ADVERTISEMENTS);
    net_tx_push(n, m);
}

void net_nd_ask(struct net *n, const struct net_addr *addr, const uint8_t *mac, uint64_t now_ns)
{
    struct net_addr source, group = solicited_node(addr);

    if (!base_limit_pass(&n->ask_limit, now_ns)) {
        stats_inc(n->stats, STATS_NET_ND_LIMITED); /* the next of its questions may pass */
        return;
    }
    if (net_source(n, addr, &source) != 0)
        return; /* our address turned out to be another's since */
    send_message(n, &(struct message){
                        .type = NET_ICMPV6_SOLICITATION,
                        .option = true,
                        .src = &source,
                        .dst = mac != NULL ? addr : &group,
                        .target = addr,
                        .mac = mac,
                    });
}

void net_nd_probe(struct net *n, const struct net_addr *addr)
{
    struct net_addr group = solicited_node(addr);

    send_message(n, &(struct message){
                        .type = NET_ICMPV6_SOLICITATION,
                        .src = &none,
                        .dst = &group,
                        .target = addr,
                    });
}

static void announce(struct net *n, const struct net_addr *addr)
{
    send_message(n, &(struct message){
                        .type = NET_ICMPV6_ADVERTISEMENT,
                        .flags = FLAG_OVERRIDE,
                        .option = true,
                        .src = addr,
                        .dst = &net_all_nodes,
                        .target = addr,
                    });
}

void net_nd_announce(struct net *n)
{
    for (uint32_t i = 0; i < n->v6_cnt; i++) {
        if (n->v6[i].state == NET_OWN_VALID)
            announce(n, &n->v6[i].prefix.addr);
    }
}

/* ---- in ---- */

/* Finds the link-layer address among the options; NULL in mac when there is none. Returns false
 * when the options are malformed (RFC 4861 section 4.6). */
static bool find_mac(const uint8_t *p, uint32_t len, uint8_t type, const uint8_t **mac)
{
    static const uint8_t zero[6];

    *mac = NULL;
    while (len > 0) {
        if (len < OPTION_BYTES || p[1] == 0 || p[1] * 8u > len)
            return false;
        if (p[0] == type) {
            if (p[1] != 1 || (p[2] & 1) != 0 || memcmp(p + 2, zero, 6) == 0)
                return false;
            *mac = p + 2;
        }
        len -= p[1] * 8u;
        p += p[1] * 8;
    }
    return true;
}

/* Another host claims an address that we use: we keep it and say so, not too often. */
static int defend(struct net *n, const struct net_addr *addr, uint64_t now_ns)
{
    if (base_limit_pass(&n->defend_limit, now_ns)) {
        net_log_neighbor(n, addr, "is our address and used by another host", now_ns);
        announce(n, addr);
    }
    return STATS_NET_DROP_ND_CONFLICT;
}

/* RFC 4861 sections 7.1.1 and 7.2.3, RFC 4862 section 5.4.3. */
static int input_solicitation(struct net *n, const uint8_t *frame, const struct net_ipv6 *ip,
                              uint32_t len, uint64_t now_ns)
{
    const uint8_t *p = frame + ip->at, *mac;
    bool probe = net_addr_is_none(&ip->src);
    struct net_addr target;

    memcpy(target.b, p + 8, 16);
    if (net_addr_is_multicast(&target) ||
        !find_mac(p + ND_BYTES, len - ND_BYTES, OPTION_SOURCE, &mac))
        return STATS_NET_DROP_ND_INVALID;
    if (probe && (mac != NULL || memcmp(ip->dst.b, net_solicited_node.b, 13) != 0))
        return STATS_NET_DROP_ND_INVALID;
    struct net_own *own = net_v6_own(n, &target);
    if (own == NULL)
        return net_or_other(n, STATS_NET_DROP_ND_OTHER);
    if (own->state == NET_OWN_TENTATIVE) {
        if (!probe)
            return STATS_NET_DROP_IP_TENTATIVE;
        net_dad_conflict(n, own, frame + 6, true, now_ns);
        return STATS_NET_DROP_ND_CONFLICT;
    }
    if (net_v6_own(n, &ip->src) != NULL)
        return defend(n, &ip->src, now_ns);
    if (!probe && !net_v6_is_neighbor(n, &ip->src))
        return STATS_NET_DROP_ND_INVALID;

    stats_inc(n->stats, STATS_NET_RX_ND);
    if (mac != NULL)
        net_neighbor_hear(n, &ip->src, mac, true, false, now_ns);
    send_message(n, &(struct message){
                        .type = NET_ICMPV6_ADVERTISEMENT,
                        .flags = probe ? FLAG_OVERRIDE : FLAG_OVERRIDE | FLAG_SOLICITED,
                        .option = true,
                        .src = &target,
                        .dst = probe ? &net_all_nodes : &ip->src,
                        .target = &target,
                        .mac = probe         ? NULL
                               : mac != NULL ? mac
                                             : frame + 6,
                    });
    return NET_INPUT_DONE;
}

/* RFC 4861 sections 7.1.2 and 7.2.5, RFC 4862 section 5.4.4. */
static int input_advertisement(struct net *n, const uint8_t *frame, const struct net_ipv6 *ip,
                               uint32_t len, uint64_t now_ns)
{
    const uint8_t *p = frame + ip->at, *mac;
    static const uint8_t untold[6];
    bool solicited = (p[4] & FLAG_SOLICITED) != 0;
    struct net_addr target;

    memcpy(target.b, p + 8, 16);
    if (net_addr_is_multicast(&target) || net_addr_is_none(&ip->src) ||
        (net_addr_is_multicast(&ip->dst) && solicited) ||
        !find_mac(p + ND_BYTES, len - ND_BYTES, OPTION_TARGET, &mac))
        return STATS_NET_DROP_ND_INVALID;
    struct net_own *own = net_v6_own(n, &target);
    if (own != NULL && own->state == NET_OWN_TENTATIVE) {
        net_dad_conflict(n, own, mac != NULL ? mac : frame + 6, true, now_ns);
        return STATS_NET_DROP_ND_CONFLICT;
    }
    if (own != NULL)
        return defend(n, &target, now_ns);
    if (!net_v6_is_neighbor(n, &target))
        return net_or_other(n, STATS_NET_DROP_ND_INVALID);

    stats_inc(n->stats, STATS_NET_RX_ND);
    bool override = (p[4] & FLAG_OVERRIDE) != 0;
    bool useful = net_neighbor_advertised(n, &target, mac, solicited, override, now_ns);
    if (n->config.heard != NULL && (solicited || mac != NULL))
        n->config.heard(n->config.heard_arg, &target, mac != NULL ? mac : untold, solicited);
    return net_or_other(n, useful ? (int)NET_INPUT_DONE : (int)STATS_NET_DROP_ND_OTHER);
}

int net_nd_input(struct net *n, struct rte_mbuf *m, const struct net_ipv6 *ip, uint64_t now_ns)
{
    uint32_t len = m->pkt_len - ip->at;
    const uint8_t *icmp = rte_pktmbuf_mtod_offset(m, const uint8_t *, ip->at);
    uint8_t type = icmp[0];

    if (type != NET_ICMPV6_SOLICITATION && type != NET_ICMPV6_ADVERTISEMENT)
        return net_or_other(n, STATS_NET_DROP_ND_ROUTER);
    /* 255: no router has passed it on, so it is from this link. */
    if (ip->hop_limit != HOP_LIMIT || icmp[1] != 0 || len < ND_BYTES || len > ND_MAX_BYTES)
        return STATS_NET_DROP_ND_INVALID;
    if (!net_pull(m, m->pkt_len))
        return STATS_NET_DROP_NO_ROOM;
    const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
    return type == NET_ICMPV6_SOLICITATION ? input_solicitation(n, frame, ip, len, now_ns)
                                           : input_advertisement(n, frame, ip, len, now_ns);
}
