#include "net_internal.h"

#define ARP_BYTES (NET_ETHER_BYTES + sizeof(struct rte_arp_hdr))

base_static_assert(sizeof(struct rte_arp_hdr) == 28, "RFC 826 for Ethernet and IPv4");

static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* Writes an ARP packet from us over the frame at p. */
static void write_arp(const struct net *n, uint8_t *p, uint16_t op, const uint8_t *to_mac,
                      uint32_t sender_raw, const uint8_t *target_mac, uint32_t target_raw)
{
    struct rte_arp_hdr arp = {
        .arp_hardware = rte_cpu_to_be_16(RTE_ARP_HRD_ETHER),
        .arp_protocol = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4),
        .arp_hlen = 6,
        .arp_plen = 4,
        .arp_opcode = rte_cpu_to_be_16(op),
        .arp_data = {.arp_sip = sender_raw, .arp_tip = target_raw},
    };
    memcpy(arp.arp_data.arp_sha.addr_bytes, n->mac, 6);
    if (target_mac != NULL)
        memcpy(arp.arp_data.arp_tha.addr_bytes, target_mac, 6);
    memcpy(p, to_mac, 6);
    memcpy(p + 6, n->mac, 6);
    base_put_be16(p + 12, RTE_ETHER_TYPE_ARP);
    memcpy(p + NET_ETHER_BYTES, &arp, sizeof(arp));
}

static void send_request(struct net *n, const uint8_t *to_mac, uint32_t sender_raw,
                         uint32_t target_raw)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(n->config.ctrl_pool);
    char *p = m != NULL ? rte_pktmbuf_append(m, ARP_BYTES) : NULL;

    if (p == NULL) {
        rte_pktmbuf_free(m);
        stats_inc(n->stats, STATS_NET_NO_MBUF);
        return;
    }
    write_arp(n, (uint8_t *)p, RTE_ARP_OP_REQUEST, to_mac, sender_raw, NULL, target_raw);
    stats_inc(n->stats, STATS_NET_TX_ARP_REQUESTS);
    net_tx_push(n, m);
}

void net_arp_ask(struct net *n, const struct net_addr *addr, const uint8_t *mac, uint64_t now_ns)
{
    struct net_addr source;

    if (!base_limit_pass(&n->ask_limit, now_ns)) {
        stats_inc(n->stats, STATS_NET_ARP_LIMITED); /* the next of its questions may pass */
        return;
    }
    if (net_source(n, addr, &source) != 0)
        return; /* the route that led here has its address */
    send_request(n, mac != NULL ? mac : broadcast, net_addr_v4_raw(&source), net_addr_v4_raw(addr));
}

void net_arp_announce(struct net *n)
{
    for (uint32_t i = 0; i < n->v4_cnt; i++) {
        uint32_t raw = rte_cpu_to_be_32(n->v4_addr[i]);
        send_request(n, broadcast, raw, raw);
    }
}

/* Another host uses our address: we keep it and say so, but not in a war of announcements
 * (RFC 5227 section 2.4 (c)). */
static int defend(struct net *n, uint32_t addr, uint64_t now_ns)
{
    uint32_t raw = rte_cpu_to_be_32(addr);

    if (base_limit_pass(&n->defend_limit, now_ns)) {
        struct net_addr a = net_addr_v4(&raw);
        net_log_neighbor(n, &a, "is our address and used by another host", now_ns);
        send_request(n, broadcast, raw, raw);
    }
    return STATS_NET_DROP_ARP_CONFLICT;
}

/* Turns the request into its reply, in its own mbuf. */
static int answer(struct net *n, struct rte_mbuf *m, const struct rte_arp_hdr *arp)
{
    uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

    net_cut(m, ARP_BYTES);
    m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
    const uint8_t *asker = arp->arp_data.arp_sha.addr_bytes;
    write_arp(n, frame, RTE_ARP_OP_REPLY, asker, arp->arp_data.arp_tip, asker,
              arp->arp_data.arp_sip);
    stats_inc(n->stats, STATS_NET_TX_ARP_REPLIES);
    net_tx_push(n, m);
    return NET_INPUT_TAKEN;
}

static bool is_valid(const struct rte_arp_hdr *arp)
{
    const uint8_t *sha = arp->arp_data.arp_sha.addr_bytes;
    static const uint8_t zero[6];

    return arp->arp_hardware == rte_cpu_to_be_16(RTE_ARP_HRD_ETHER) &&
           arp->arp_protocol == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) && arp->arp_hlen == 6 &&
           arp->arp_plen == 4 &&
           (arp->arp_opcode == rte_cpu_to_be_16(RTE_ARP_OP_REQUEST) ||
            arp->arp_opcode == rte_cpu_to_be_16(RTE_ARP_OP_REPLY)) &&
           (sha[0] & 1) == 0 && memcmp(sha, zero, 6) != 0;
}

int net_arp_input(struct net *n, struct rte_mbuf *m, uint64_t now_ns)
{
    struct rte_arp_hdr arp;

    if (m->pkt_len < ARP_BYTES)
        return STATS_NET_DROP_ARP_INVALID;
    if (!net_pull(m, ARP_BYTES))
        return STATS_NET_DROP_NO_ROOM;
    memcpy(&arp, rte_pktmbuf_mtod_offset(m, const void *, NET_ETHER_BYTES), sizeof(arp));
    if (!is_valid(&arp))
        return STATS_NET_DROP_ARP_INVALID;

    uint32_t sender = rte_be_to_cpu_32(arp.arp_data.arp_sip);
    uint32_t target = rte_be_to_cpu_32(arp.arp_data.arp_tip);
    const uint8_t *mac = arp.arp_data.arp_sha.addr_bytes;
    bool request = arp.arp_opcode == rte_cpu_to_be_16(RTE_ARP_OP_REQUEST);
    bool to_us = net_v4_is_own(n, target);
    bool learn = net_v4_is_neighbor(n, sender);
    /* Sender 0 is a probe (RFC 5227 section 2.1.1); others from no link of ours may ask, as some
     * balancers do, but are not believed. */
    if (net_v4_is_own(n, sender))
        return defend(n, sender, now_ns);
    if (sender != 0 && !learn && net_v4_is_martian(n, sender))
        return STATS_NET_DROP_ARP_INVALID;

    stats_inc(n->stats, STATS_NET_RX_ARP);
    bool useful = false;
    if (learn) {
        struct net_addr addr = net_addr_v4(&arp.arp_data.arp_sip);
        useful = net_neighbor_hear(n, &addr, mac, request && to_us, !request && to_us, now_ns);
        if (n->config.heard != NULL && ((!request && to_us) || sender == target))
            n->config.heard(n->config.heard_arg, &addr, mac, !request && to_us);
    }
    if (request && to_us)
        return answer(n, m, &arp);
    return net_or_other(n, useful ? (int)NET_INPUT_DONE : (int)STATS_NET_DROP_ARP_OTHER);
}
