/* Our own IPv6 addresses: which they are, and whether they are ours alone (RFC 4862 section 5.4).
 */
#include "net_internal.h"

#define RETRANS_NS BASE_NS_S /* RetransTimer of RFC 4861 section 10 */
#define DELAY_NS   BASE_NS_S /* MAX_RTR_SOLICITATION_DELAY */

#define LINK_LOCAL_PREFIX_LEN 64

/* fe80::/64 and the MAC as a modified EUI-64 (RFC 4291 appendix A): every lane, and every start,
 * comes to the same. */
static struct net_addr make_link_local(const uint8_t mac[6])
{
    struct net_addr a = {.b = {0xfe, 0x80, [11] = 0xff, [12] = 0xfe}};

    memcpy(a.b + 8, mac, 3);
    memcpy(a.b + 13, mac + 3, 3);
    a.b[8] ^= 2;
    return a;
}

static void add(struct net *n, const struct net_prefix *prefix)
{
    bool ask = n->config.dad_cnt > 0;

    n->v6[n->v6_cnt++] = (struct net_own){
        .prefix = *prefix,
        .state = ask ? NET_OWN_TENTATIVE : NET_OWN_VALID,
    };
    n->tentative_cnt += ask;
}

void net_dad_init(struct net *n, uint64_t now_ns)
{
    bool has_link_local = false;

    base_timer_init(&n->dad_timer);
    for (uint32_t i = 0; i < n->config.address_cnt; i++) {
        const struct net_prefix *p = &n->config.addresses[i];
        if (net_addr_is_v4(&p->addr))
            continue;
        has_link_local |= net_addr_is_link_local(&p->addr);
        add(n, p);
    }
    if (n->v6_cnt == 0)
        return;
    if (!has_link_local) {
        struct net_prefix p = {.addr = make_link_local(n->mac),
                               .prefix_len = LINK_LOCAL_PREFIX_LEN};
        add(n, &p);
    }
    if (n->tentative_cnt > 0)
        base_wheel_set(&n->wheel, &n->dad_timer, now_ns + DELAY_NS);
}

void net_dad_speak(struct net *n, uint64_t now_ns)
{
    /* Not at once with all that the same power cut has started (RFC 4862 section 5.4.2). */
    if (n->tentative_cnt > 0 && n->dad_asked_cnt == 0)
        base_wheel_set(&n->wheel, &n->dad_timer, now_ns + base_rand_below(&n->rand, DELAY_NS));
}

void net_dad_timeout(struct net *n, uint64_t now_ns)
{
    bool over = n->dad_asked_cnt == n->config.dad_cnt;

    for (uint32_t i = 0; i < n->v6_cnt; i++) {
        struct net_own *o = &n->v6[i];
        if (o->state != NET_OWN_TENTATIVE)
            continue;
        if (over) {
            o->state = NET_OWN_VALID;
            n->tentative_cnt--;
        } else if (n->speaks) {
            net_nd_probe(n, &o->prefix.addr);
        }
    }
    if (over) {
        if (n->speaks)
            net_nd_announce(n);
        return;
    }
    n->dad_asked_cnt++;
    base_wheel_set(&n->wheel, &n->dad_timer, now_ns + RETRANS_NS);
}

void net_dad_conflict(struct net *n, struct net_own *own, const uint8_t *mac, bool tell,
                      uint64_t now_ns)
{
    base_assert(own->state == NET_OWN_TENTATIVE);
    own->state = NET_OWN_DUPLICATE;
    n->tentative_cnt--;
    stats_inc(n->stats, STATS_NET_DAD_CONFLICTS);
    if (tell) {
        net_log_neighbor(n, &own->prefix.addr, "is not used: another host has it", now_ns);
        if (n->config.heard != NULL)
            n->config.heard(n->config.heard_arg, &own->prefix.addr, mac, false);
    }
}
