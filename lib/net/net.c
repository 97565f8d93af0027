#include "net_internal.h"

#include "net_checksum.h"

#include <errno.h>
#include <stdlib.h>

#define IPV4_TTL    64
#define IPV6_BYTES  40
#define ANNOUNCE_NS (2 * BASE_NS_S) /* ANNOUNCE_INTERVAL of RFC 5227 section 1.1 */
#define TCP_SUM_AT  16

/* ---- addresses and routes ---- */

bool net_v4_is_neighbor(const struct net *n, uint32_t addr)
{
    if (addr == n->v4_gateway)
        return addr != 0;
    for (uint32_t i = 0; i < n->v4_cnt; i++) {
        uint32_t mask = n->v4_mask[i];
        if (((addr ^ n->v4_addr[i]) & mask) != 0)
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
    for (uint32_t i = 0; i < n->v4_cnt; i++) {
        uint32_t mask = n->v4_mask[i];
        if (((addr ^ n->v4_addr[i]) & mask) == 0 && ~mask > 1 &&
            ((addr & ~mask) == 0 || (addr & ~mask) == ~mask))
            return true;
    }
    return false;
}

bool net_route(const struct net *n, const struct net_addr *dst, struct net_addr *hop)
{
    if (!net_addr_is_v4(dst))
        return false;
    uint32_t raw = base_be32(dst->b + 12);
    if (net_v4_is_neighbor(n, raw)) {
        *hop = *dst;
        return !net_v4_is_own(n, raw);
    }
    *hop = n->config.gateway;
    return net_addr_is_v4(hop) && !net_v4_is_martian(n, raw);
}

int net_source(const struct net *n, const struct net_addr *dst, struct net_addr *src)
{
    struct net_addr hop;

    if (!net_route(n, dst, &hop))
        return -EHOSTUNREACH;
    for (uint32_t i = 0; i < n->config.address_cnt; i++) {
        if (net_prefix_contains(&n->config.addresses[i], &hop)) {
            *src = n->config.addresses[i].addr;
            return 0;
        }
    }
    /* A gateway beyond every prefix, as with /32 addresses: reached all the same. */
    uint32_t raw = rte_cpu_to_be_32(n->v4_addr[0]);
    *src = net_addr_v4(&raw);
    return n->v4_cnt > 0 ? 0 : -EHOSTUNREACH;
}

uint16_t net_segment_max(const struct net *n, const struct net_addr *dst)
{
    return (uint16_t)(n->port->caps.mtu - (net_addr_is_v4(dst) ? NET_IPV4_BYTES : IPV6_BYTES));
}

/* ---- output ---- */

static int refuse(struct net *n, struct rte_mbuf *m, enum stats_id why, int rc)
{
    rte_pktmbuf_free(m);
    stats_inc(n->stats, why);
    return rc;
}

/* The TCP checksum, or what the port needs to fill it in. */
static void put_tcp_checksum(const struct net *n, struct rte_mbuf *m, const struct net_addr *src,
                             const struct net_addr *dst)
{
    uint8_t *tcp = rte_pktmbuf_mtod(m, uint8_t *);
    uint32_t sum = net_checksum_pseudo(src, dst, NET_PROTO_TCP, m->pkt_len);

    base_debug_assert(m->data_len >= NET_TCP_BYTES);
    if (n->port->caps.tx_tcp_checksum) {
        m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM;
        m->l4_len = (tcp[12] >> 4) * 4u;
        base_put_le16(tcp + TCP_SUM_AT, (uint16_t)~net_checksum_fold(sum));
        return;
    }
    memset(tcp + TCP_SUM_AT, 0, 2);
    sum = net_checksum_add(sum, net_checksum_mbuf(m, 0));
    base_put_le16(tcp + TCP_SUM_AT, net_checksum_fold(sum));
}

static void put_ipv4(const struct net *n, struct rte_mbuf *m, uint8_t *at,
                     const struct net_addr *src, const struct net_addr *dst, uint8_t protocol,
                     uint8_t ecn)
{
    /* DF is set, so the identification may be 0 (RFC 6864 section 4.1). */
    struct rte_ipv4_hdr ip = {
        .version_ihl = 0x45,
        .type_of_service = ecn & 3,
        .total_length = rte_cpu_to_be_16((uint16_t)(m->pkt_len - NET_ETHER_BYTES)),
        .fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
        .time_to_live = IPV4_TTL,
        .next_proto_id = protocol,
        .src_addr = net_addr_v4_raw(src),
        .dst_addr = net_addr_v4_raw(dst),
    };
    m->l2_len = NET_ETHER_BYTES;
    m->l3_len = NET_IPV4_BYTES;
    if (n->port->caps.tx_ip_checksum)
        m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
    else
        ip.hdr_checksum = net_checksum_fold(net_checksum_sum_scalar(&ip, NET_IPV4_BYTES));
    memcpy(at, &ip, NET_IPV4_BYTES);
}

int net_output(struct net *n, struct rte_mbuf *m, const struct net_addr *src,
               const struct net_addr *dst, uint8_t protocol, uint8_t ecn, uint64_t now_ns)
{
    struct net_addr hop;

    base_debug_assert(net_addr_is_v4(src));
    if (!net_route(n, dst, &hop))
        return refuse(n, m, STATS_NET_DROP_TX_NO_ROUTE, -EHOSTUNREACH);
    if (m->pkt_len > net_segment_max(n, dst))
        return refuse(n, m, STATS_NET_DROP_TX_GIANT, -ENOBUFS);
    if (protocol == NET_PROTO_TCP)
        put_tcp_checksum(n, m, src, dst);
    uint8_t *frame = (uint8_t *)rte_pktmbuf_prepend(m, NET_ETHER_BYTES + NET_IPV4_BYTES);
    base_assert(frame != NULL);
    memcpy(frame + 6, n->mac, 6);
    base_put_be16(frame + 12, RTE_ETHER_TYPE_IPV4);
    put_ipv4(n, m, frame + NET_ETHER_BYTES, src, dst, protocol, ecn);
    return net_neighbor_send(n, &hop, m, now_ns);
}

/* ---- timers and log ---- */

void net_run(struct net *n, uint64_t now_ns)
{
    struct base_timer *t;

    while ((t = base_wheel_pop(&n->wheel, now_ns)) != NULL) {
        if (t == &n->announce_timer)
            net_arp_announce(n);
        else
            net_neighbor_timeout(n, base_container_of(t, struct net_neighbor, timer), now_ns);
    }
}

void net_announce(struct net *n, uint64_t now_ns)
{
    net_arp_announce(n);
    base_wheel_set(&n->wheel, &n->announce_timer, now_ns + ANNOUNCE_NS);
}

uint64_t net_deadline(const struct net *n)
{
    /* A port that was full may take more at any time. */
    return n->tx_cnt > 0 ? 1 : base_wheel_next(&n->wheel);
}

void net_log_neighbor(struct net *n, const struct net_addr *addr, const char *what, uint64_t now_ns)
{
    if (n->config.log == NULL || !net_limit_pass(&n->log_limit, now_ns))
        return;
    struct stats_log_record r = {.event = STATS_LOG_NEIGHBOR};
    memcpy(r.address, addr->b, sizeof(r.address));
    stats_log_text(&r, base_span_str(what));
    stats_log_push(n->config.log, &r);
}

/* ---- life ---- */

static bool config_is_good(const struct net_config *c, uint64_t now_ns)
{
    if (now_ns == 0 || c->port == NULL || c->stats == NULL || c->ctrl_pool == NULL ||
        c->address_cnt == 0 || c->address_cnt > NET_ADDRESS_MAX ||
        c->queue >= c->port->caps.queue_cnt || c->port->caps.mtu < 576)
        return false;
    for (uint32_t i = 0; i < c->address_cnt; i++) {
        const struct net_prefix *p = &c->addresses[i];
        uint32_t v4 = base_be32(p->addr.b + 12);
        if (p->prefix_len > 128 || net_addr_is_none(&p->addr))
            return false;
        if (!net_addr_is_v4(&p->addr))
            continue;
        if (p->prefix_len < 96 || v4 >> 24 == 0 || v4 >> 24 == 127 || v4 >> 24 >= 224)
            return false;
    }
    return net_addr_is_none(&c->gateway) || net_addr_is_v4(&c->gateway);
}

static void take_addresses(struct net *n)
{
    if (!net_addr_is_none(&n->config.gateway))
        n->v4_gateway = base_be32(n->config.gateway.b + 12);
    for (uint32_t i = 0; i < n->config.address_cnt; i++) {
        const struct net_prefix *p = &n->config.addresses[i];
        if (!net_addr_is_v4(&p->addr))
            continue;
        n->v4_addr[n->v4_cnt] = base_be32(p->addr.b + 12);
        n->v4_mask[n->v4_cnt] = p->prefix_len == 96 ? 0 : UINT32_MAX << (128 - p->prefix_len);
        n->v4_cnt++;
    }
}

int net_init(struct net **out, const struct net_config *config, uint64_t now_ns)
{
    if (!config_is_good(config, now_ns))
        return -EINVAL;
    struct net *n = calloc(1, sizeof(*n));
    if (n == NULL)
        return -ENOMEM;
    n->config = *config;
    n->stats = config->stats;
    n->port = config->port;
    memcpy(n->mac, config->port->caps.mac, 6);
    take_addresses(n);
    n->ask_limit = (struct net_limit){.interval_ns = BASE_NS_S / 128, .burst = 64};
    n->echo_limit = (struct net_limit){.interval_ns = BASE_NS_S / 1000, .burst = 100};
    n->defend_limit = (struct net_limit){.interval_ns = 10 * BASE_NS_S, .burst = 1};
    n->log_limit = (struct net_limit){.interval_ns = BASE_NS_S, .burst = 5};
    base_timer_init(&n->announce_timer);
    int rc = net_neighbor_init(n, now_ns);
    if (rc != 0) {
        free(n);
        return rc;
    }
    *out = n;
    return 0;
}

void net_fini(struct net *n)
{
    net_neighbor_fini(n);
    net_tx_fini(n);
    free(n);
}
