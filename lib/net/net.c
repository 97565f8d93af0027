#include "net_internal.h"
#include "base_lines.h"

#include <errno.h>
#include <stdlib.h>

#define IPV6_MTU_MIN 1280            /* RFC 8200 section 5 */
#define ANNOUNCE_NS  (2 * BASE_NS_S) /* ANNOUNCE_INTERVAL of RFC 5227 section 1.1 */

/* ---- timers and log ---- */

static void announce(struct net *n)
{
    net_arp_announce(n);
    net_mld_announce(n);
    net_nd_announce(n);
}

void net_run(struct net *n, uint64_t now_ns)
{
    struct base_timer *t;

    while ((t = base_wheel_pop(&n->wheel, now_ns)) != NULL) {
        if (t == &n->announce_timer)
            announce(n);
        else if (t == &n->mld_timer)
            net_mld_timeout(n);
        else if (t == &n->dad_timer)
            net_dad_timeout(n, now_ns);
        else
            net_neighbor_timeout(n, base_container_of(t, struct net_neighbor, timer), now_ns);
    }
}

void net_announce(struct net *n, uint64_t now_ns)
{
    n->speaks = true;
    announce(n);
    base_wheel_set(&n->wheel, &n->announce_timer, now_ns + ANNOUNCE_NS);
    net_dad_speak(n, now_ns);
}

bool net_is_settled(const struct net *n)
{
    return n->tentative_cnt == 0;
}

void net_hear(struct net *n, const struct net_addr *addr, const uint8_t mac[6], bool answer,
              uint64_t now_ns)
{
    static const uint8_t untold[6];

    if (net_addr_is_v4(addr)) {
        net_neighbor_hear(n, addr, mac, false, answer, now_ns);
        return;
    }
    struct net_own *own = net_v6_own(n, addr);
    if (own == NULL)
        net_neighbor_advertised(n, addr, memcmp(mac, untold, 6) != 0 ? mac : NULL, answer, true,
                                now_ns);
    else if (own->state == NET_OWN_TENTATIVE)
        net_dad_conflict(n, own, mac, false, now_ns);
}

uint64_t net_deadline(const struct net *n)
{
    /* A port that was full may take more at any time. */
    return n->tx_cnt > 0 ? 1 : base_wheel_next(&n->wheel);
}

void net_log_neighbor(struct net *n, const struct net_addr *addr, const char *what, uint64_t now_ns)
{
    if (n->config.log == NULL || !base_limit_pass(&n->log_limit, now_ns))
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
        if (!net_addr_is_v4(&p->addr)) {
            if (net_v6_is_martian(&p->addr) || c->port->caps.mtu < IPV6_MTU_MIN)
                return false;
            continue;
        }
        if (p->prefix_len < 96 || v4 >> 24 == 0 || v4 >> 24 == 127 || v4 >> 24 >= 224)
            return false;
    }
    if (!net_addr_is_none(&c->gateway6) && net_v6_is_martian(&c->gateway6))
        return false;
    if (c->other != NULL && (c->other_per_s == 0 || c->other_burst == 0))
        return false;
    return c->vlan <= NET_VLAN_MAX &&
           (net_addr_is_none(&c->gateway) || net_addr_is_v4(&c->gateway));
}

static void add_v4(struct net *n, uint32_t addr, uint32_t mask)
{
    uint32_t link = 0;

    for (uint32_t i = n->v4_cnt; i < NET_ADDRESS_MAX; i++)
        if (i == n->v4_cnt || n->v4_cnt == 0)
            n->v4_addr[i] = addr;
    n->v4_cnt++;
    while (link < n->v4_link_cnt && (n->v4_net[link] != (addr & mask) || n->v4_mask[link] != mask))
        link++;
    n->v4_net[link] = addr & mask;
    n->v4_mask[link] = mask;
    n->v4_link_cnt += link == n->v4_link_cnt;
}

static void take_addresses(struct net *n)
{
    if (!net_addr_is_none(&n->config.gateway))
        n->v4_gateway = base_be32(n->config.gateway.b + 12);
    for (uint32_t i = 0; i < n->config.address_cnt; i++) {
        const struct net_prefix *p = &n->config.addresses[i];
        if (!net_addr_is_v4(&p->addr))
            continue;
        add_v4(n, base_be32(p->addr.b + 12),
               p->prefix_len == 96 ? 0 : UINT32_MAX << (128 - p->prefix_len));
    }
}

int net_init(struct net **out, const struct net_config *config, uint64_t now_ns)
{
    if (!config_is_good(config, now_ns))
        return -EINVAL;
    struct net *n = base_lines_new(sizeof(*n));
    if (n == NULL)
        return -ENOMEM;
    n->config = *config;
    n->stats = config->stats;
    n->port = config->port;
    memcpy(n->mac, config->port->caps.mac, 6);
    take_addresses(n);
    n->ask_limit = (struct base_limit){.interval_ns = BASE_NS_S / 128, .burst = 64};
    n->echo_limit = (struct base_limit){.interval_ns = BASE_NS_S / 1000, .burst = 100};
    n->defend_limit = (struct base_limit){.interval_ns = 10 * BASE_NS_S, .burst = 1};
    n->log_limit = (struct base_limit){.interval_ns = BASE_NS_S, .burst = 5};
    net_other_init(n);
    base_timer_init(&n->announce_timer);
    base_timer_init(&n->mld_timer);
    int rc = net_neighbor_init(n, now_ns);
    if (rc != 0) {
        free(n);
        return rc;
    }
    net_dad_init(n, now_ns);
    *out = n;
    return 0;
}

void net_fini(struct net *n)
{
    net_neighbor_fini(n);
    net_tx_fini(n);
    free(n);
}
