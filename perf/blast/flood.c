#include "flood.h"

#include "base_time.h"
#include "lane.h"
#include "stack.h"

#include <errno.h>
#include <stdio.h>

#include <rte_mbuf.h>

#define POOL_CNT   4095
#define ARP_BYTES  42
#define ASK_NS     (200 * BASE_NS_MS)
#define BURSTS_MAX 4 /* a pass, so that the lane's connections are not kept waiting */

int flood_open(struct flood *f, const struct options *o, const uint8_t mac[6], const uint8_t own[4],
               uint32_t lane)
{
    char name[32];
    const struct net_addr *hop = net_addr_is_none(&o->gateway) ? &o->to.addr : &o->gateway;

    *f = (struct flood){.kind = FLOOD_NONE};
    memcpy(f->target.src_mac, mac, 6);
    memcpy(f->target.dst, o->to.addr.b + 12, 4);
    f->target.port = o->to.port;
    memcpy(f->next_hop, hop->b + 12, 4);
    memcpy(f->own, own, 4);
    snprintf(name, sizeof(name), "flood%u", lane);
    f->pool = rte_pktmbuf_pool_create(name, POOL_CNT, 256, 0,
                                      RTE_PKTMBUF_HEADROOM + FLOOD_FRAME_MAX, SOCKET_ID_ANY);
    return f->pool != NULL ? 0 : -ENOMEM;
}

void flood_load(struct flood *f, const struct options *o, uint32_t lane)
{
    f->kind = o->flood;
    base_rand_init(&f->rand, o->seed + lane);
    f->per_ns = (double)o->flood_rate / o->lane_cnt / 1e9;
    f->max = UINT64_MAX;
    if (o->frame_max > 0)
        f->max = o->frame_max / o->lane_cnt + (lane < o->frame_max % o->lane_cnt ? 1 : 0);
    f->begin_ns = 0;
    f->tried_cnt = 0;
}

void flood_close(struct flood *f)
{
    rte_mempool_free(f->pool);
}

/* ---- the next hop's MAC ---- */

void flood_ask(struct lane *l)
{
    struct flood *f = &l->stack->flood;

    if (f->kind == FLOOD_NONE || f->known || l->now_ns < f->ask_ns)
        return;
    f->ask_ns = l->now_ns + ASK_NS;
    struct rte_mbuf *m = rte_pktmbuf_alloc(f->pool);
    uint8_t *p = m != NULL ? (uint8_t *)rte_pktmbuf_append(m, ARP_BYTES) : NULL;
    if (p == NULL)
        return;
    memset(p, 0, ARP_BYTES);
    memset(p, 0xff, 6);
    memcpy(p + 6, f->target.src_mac, 6);
    memcpy(p + 12, (const uint8_t[]){8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, 10); /* RFC 826: a request */
    memcpy(p + 22, f->target.src_mac, 6);
    memcpy(p + 28, f->own, 4);
    memcpy(p + 38, f->next_hop, 4);
    if (l->stack->port->ops->tx_burst(l->stack->port->state, (uint16_t)l->number, &m, 1) == 1)
        lane_add(l, LANE_FLOOD_ARP, 1);
    else
        rte_pktmbuf_free(m);
}

void flood_look(struct flood *f, struct rte_mbuf *const *pkts, uint32_t cnt)
{
    for (uint32_t i = 0; i < cnt && f->kind != FLOOD_NONE && !f->known; i++) {
        const uint8_t *p = rte_pktmbuf_mtod(pkts[i], const uint8_t *);
        if (pkts[i]->data_len < ARP_BYTES || base_be16(p + 12) != 0x0806 ||
            memcmp(p + 28, f->next_hop, 4) != 0)
            continue;
        memcpy(f->target.dst_mac, p + 22, 6);
        f->known = true;
    }
}

/* ---- the frames ---- */

static uint64_t due(const struct flood *f, uint64_t now_ns)
{
    uint64_t total = f->max;

    if (f->per_ns > 0) {
        double d = (double)(now_ns - f->begin_ns) * f->per_ns;
        total = d < (double)f->max ? (uint64_t)d : f->max;
    }
    return total > f->tried_cnt ? total - f->tried_cnt : 0;
}

/* Returns how many the port took. */
static uint16_t burst(struct lane *l, uint16_t cnt)
{
    struct flood *f = &l->stack->flood;
    struct rte_mbuf *pkts[NET_PORT_BURST_MAX];

    if (rte_pktmbuf_alloc_bulk(f->pool, pkts, cnt) != 0) {
        lane_add(l, LANE_FLOOD_NO_MBUF, cnt);
        return 0;
    }
    for (uint16_t i = 0; i < cnt; i++) {
        uint32_t len =
            flood_frame_write(rte_pktmbuf_mtod(pkts[i], uint8_t *), f->kind, &f->target, &f->rand);
        pkts[i]->data_len = (uint16_t)len;
        pkts[i]->pkt_len = len;
    }
    uint16_t sent =
        l->stack->port->ops->tx_burst(l->stack->port->state, (uint16_t)l->number, pkts, cnt);
    if (sent < cnt)
        rte_pktmbuf_free_bulk(pkts + sent, cnt - sent);
    lane_add(l, LANE_FLOOD_SENT, sent);
    return sent;
}

bool flood_run(struct lane *l)
{
    struct flood *f = &l->stack->flood;

    if (f->kind == FLOOD_NONE)
        return false;
    if (f->begin_ns == 0)
        f->begin_ns = l->now_ns;
    uint64_t left = due(f, l->now_ns);
    for (int i = 0; i < BURSTS_MAX && left > 0; i++) {
        uint16_t cnt = (uint16_t)(left < NET_PORT_BURST_MAX ? left : NET_PORT_BURST_MAX);
        uint16_t sent = burst(l, cnt);
        left -= cnt;
        if (f->per_ns > 0) { /* on a schedule: what was not taken is lost */
            f->tried_cnt += cnt;
            lane_add(l, LANE_FLOOD_FULL, cnt - sent);
            continue;
        }
        f->tried_cnt += sent;
        if (sent < cnt)
            break;
    }
    return f->tried_cnt < f->max;
}
