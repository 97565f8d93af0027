/* Multicast listener reports (MLDv2, RFC 3810): switches that snoop send the questions for our
 * addresses to those alone who report to listen. No router and no source filter is of interest, so
 * all that is kept is one timer for the answer to a query. */
#include "net_internal.h"

#include "net_checksum.h"

#define TYPE_REPORT     143
#define ALERT_BYTES     8 /* the hop-by-hop header with the router alert (RFC 2711) */
#define REPORT_BYTES    8
#define RECORD_BYTES    20
#define MODE_IS_EXCLUDE 2 /* of no source: we listen to all */
#define TO_EXCLUDE_MODE 4
#define QUERY_BYTES     24
#define DELAY_MAX_MS    10000 /* what a query asks for by default; more is not waited */
#define ICMPV6_AT       (NET_ETHER_BYTES + NET_IPV6_BYTES + ALERT_BYTES)

static const struct net_addr routers = {.b = {0xff, 2, [15] = 0x16}}; /* ff02::16 */

/* Ours to report with; :: until the link-local one is proved (RFC 3810 section 5.2.13). */
static struct net_addr source(const struct net *n)
{
    for (uint32_t i = 0; i < n->v6_cnt; i++) {
        if (n->v6[i].state == NET_OWN_VALID && net_addr_is_link_local(&n->v6[i].prefix.addr))
            return n->v6[i].prefix.addr;
    }
    return (struct net_addr){0};
}

/* The records of each group but that of all nodes; returns how many. */
static uint32_t write_records(const struct net *n, uint8_t *p, uint8_t type)
{
    uint8_t mac[NET_GROUP_MAX][6];
    uint32_t cnt = net_groups(n, mac, NET_GROUP_MAX);

    for (uint32_t i = 1; i < cnt; i++, p += RECORD_BYTES) {
        p[0] = type;
        memcpy(p + 4, net_solicited_node.b, 13);
        memcpy(p + 17, mac[i] + 3, 3);
    }
    return cnt - 1;
}

static void report(struct net *n, uint8_t type)
{
    struct net_addr src = source(n);
    const uint32_t most = ICMPV6_AT + REPORT_BYTES + NET_GROUP_MAX * RECORD_BYTES;
    struct rte_mbuf *m = rte_pktmbuf_alloc(n->config.ctrl_pool);

    if (m == NULL || rte_pktmbuf_tailroom(m) < most) {
        rte_pktmbuf_free(m);
        stats_inc(n->stats, STATS_NET_NO_MBUF);
        return;
    }
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
    memset(p, 0, most);
    uint8_t *ip = p + NET_ETHER_BYTES, *alert = ip + NET_IPV6_BYTES, *icmp = p + ICMPV6_AT;
    uint32_t cnt = write_records(n, icmp + REPORT_BYTES, type);
    uint16_t len = (uint16_t)(REPORT_BYTES + cnt * RECORD_BYTES);
    rte_pktmbuf_append(m, (uint16_t)(ICMPV6_AT + len));

    p[0] = p[1] = 0x33;
    memcpy(p + 2, routers.b + 12, 4);
    memcpy(p + 6, n->mac, 6);
    base_put_be16(p + 12, RTE_ETHER_TYPE_IPV6);
    ip[0] = 0x60;
    base_put_be16(ip + 4, (uint16_t)(ALERT_BYTES + len));
    ip[7] = 1; /* hop limit: it stays on the link */
    memcpy(ip + 8, src.b, 16);
    memcpy(ip + 24, routers.b, 16);
    memcpy(alert, (uint8_t[]){NET_PROTO_ICMPV6, 0, 5, 2, 0, 0, 1, 0}, ALERT_BYTES);
    icmp[0] = TYPE_REPORT;
    base_put_be16(icmp + 6, (uint16_t)cnt);
    uint32_t sum = net_checksum_pseudo(&src, &routers, NET_PROTO_ICMPV6, len);
    sum = net_checksum_add(sum, net_checksum_sum_scalar(icmp, len));
    base_put_le16(icmp + 2, net_checksum_fold(sum));
    stats_inc(n->stats, STATS_NET_TX_MLD_REPORTS);
    net_tx_push(n, m);
}

void net_mld_announce(struct net *n)
{
    if (n->v6_cnt > 0)
        report(n, TO_EXCLUDE_MODE);
}

void net_mld_timeout(struct net *n)
{
    n->mld_pending = false;
    report(n, MODE_IS_EXCLUDE);
}

int net_mld_input(struct net *n, const struct rte_mbuf *m, const struct net_ipv6 *ip,
                  uint64_t now_ns)
{
    uint32_t delay_ms = base_be16(rte_pktmbuf_mtod_offset(m, const uint8_t *, ip->at + 4));

    if (ip->hop_limit != 1 || !net_addr_is_link_local(&ip->src) ||
        m->pkt_len - ip->at < QUERY_BYTES)
        return STATS_NET_DROP_MLD;
    /* Whatever it asks for, one answer tells all. From 32768 on the delay is a float, and long. */
    if (!n->mld_pending) {
        delay_ms = delay_ms < DELAY_MAX_MS ? delay_ms : DELAY_MAX_MS;
        n->mld_pending = true;
        base_wheel_set(&n->wheel, &n->mld_timer,
                       now_ns + base_rand_below(&n->rand, delay_ms * BASE_NS_MS + 1));
    }
    return NET_INPUT_DONE;
}
