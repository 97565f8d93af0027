#include "ethdev_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_mbuf.h>

#define DESC_CNT_DEFAULT 1024
#define MTU_DEFAULT      1500
#define FRAME_OVERHEAD   (RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN)
#define RSS_KEY_DEFAULT  40

#define RX_OFFLOADS (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM)
/* Who cuts fills in the IP checksums of the pieces, too, whether it does so for other packets or
 * not (net_virtio, net_vmxnet3). */
#define TX_CUTS          (RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_TSO)
#define TX_WORK          (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | TX_CUTS)
#define TX_OFFLOADS      (TX_WORK | RTE_ETH_TX_OFFLOAD_MULTI_SEGS)
#define TSO_MBUF_MAX     44 /* of 1448 bytes, with the header: as long as an IP packet may be */
#define TAP_TSO_OVERHEAD (RTE_ETHER_HDR_LEN + sizeof(struct rte_vlan_hdr))

__attribute__((format(printf, 4, 5))) static int fail(char *err, size_t cap, int rc,
                                                      const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(err, cap, format, args);
    va_end(args);
    return rc;
}

/* ---- frames ---- */

static uint16_t ethdev_rx_burst(void *state, uint16_t queue, struct rte_mbuf **pkts, uint16_t cap)
{
    const struct ethdev *e = state;
    return rte_eth_rx_burst(e->port_id, queue, pkts, cap);
}

static uint16_t ethdev_tx_burst(void *state, uint16_t queue, struct rte_mbuf **pkts, uint16_t cnt)
{
    const struct ethdev *e = state;

    if (!e->tx_prepare)
        return rte_eth_tx_burst(e->port_id, queue, pkts, cnt);
    uint16_t good = rte_eth_tx_prepare(e->port_id, queue, pkts, cnt);
    uint16_t sent = rte_eth_tx_burst(e->port_id, queue, pkts, good);
    if (sent == good && good < cnt) {
        /* The driver will never take the next one; it must not stop those behind it. */
        rte_pktmbuf_free(pkts[good]);
        stats_inc(e->stats[queue], STATS_PORT_DROP_TX_REFUSED);
        sent++;
    }
    return sent;
}

static int ethdev_wait_fd(void *state, uint16_t queue)
{
    const struct ethdev *e = state;
    return e->wait_fd[queue];
}

static const struct net_port_ops ethdev_ops = {
    .name = "ethdev",
    .rx_burst = ethdev_rx_burst,
    .tx_burst = ethdev_tx_burst,
    .wait_fd = ethdev_wait_fd,
    .arm = ethdev_arm,
};

/* ---- opening ---- */

/* The MTU to use, or 0 with err set. */
static uint16_t choose_mtu(const struct ethdev_config *c, const struct rte_eth_dev_info *info,
                           char *err, size_t cap)
{
    uint32_t most = info->max_mtu;

    if (info->max_rx_pktlen > FRAME_OVERHEAD && info->max_rx_pktlen - FRAME_OVERHEAD < most)
        most = info->max_rx_pktlen - FRAME_OVERHEAD;
    uint16_t mtu = c->mtu;
    if (mtu == 0)
        mtu = (uint16_t)(most < MTU_DEFAULT ? most : MTU_DEFAULT);
    if (mtu < info->min_mtu || mtu > most || mtu < 576) {
        fail(err, cap, 0, "port %s can not have mtu %u: set it between %u and %u", c->name, mtu,
             info->min_mtu > 576 ? info->min_mtu : 576, most);
        return 0;
    }
    return mtu;
}

/* A frame may need several mbufs: then the port has to be able to chain them. */
static int choose_scatter(const struct ethdev_config *c, const struct rte_eth_dev_info *info,
                          uint16_t mtu, uint64_t *offloads, char *err, size_t cap)
{
    uint32_t need = mtu + FRAME_OVERHEAD;

    for (uint16_t q = 0; q < c->queue_cnt; q++) {
        uint32_t room = rte_pktmbuf_data_room_size(c->queue[q].rx_pool) - RTE_PKTMBUF_HEADROOM;
        if (room >= need)
            continue;
        if ((info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER) == 0)
            return fail(err, cap, -EINVAL,
                        "port %s needs buffers of %u bytes for mtu %u: lower the mtu to %u",
                        c->name, need, mtu, room - FRAME_OVERHEAD);
        *offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
    }
    return 0;
}

static int setup_queues(struct ethdev *e, const struct ethdev_config *c, char *err, size_t cap)
{
    uint16_t rx_cnt = c->rx_desc_cnt > 0 ? c->rx_desc_cnt : DESC_CNT_DEFAULT;
    uint16_t tx_cnt = c->tx_desc_cnt > 0 ? c->tx_desc_cnt : DESC_CNT_DEFAULT;
    int socket = rte_eth_dev_socket_id(e->port_id);
    int rc = rte_eth_dev_adjust_nb_rx_tx_desc(e->port_id, &rx_cnt, &tx_cnt);

    if (rc != 0 && rc != -ENOTSUP)
        return fail(err, cap, rc, "port %s takes no descriptor counts %u and %u: %s", c->name,
                    rx_cnt, tx_cnt, strerror(-rc));
    for (uint16_t q = 0; q < c->queue_cnt; q++) {
        rc = rte_eth_rx_queue_setup(e->port_id, q, rx_cnt, (unsigned)socket, NULL,
                                    c->queue[q].rx_pool);
        if (rc == 0)
            rc = rte_eth_tx_queue_setup(e->port_id, q, tx_cnt, (unsigned)socket, NULL);
        if (rc != 0)
            return fail(err, cap, rc,
                        "port %s can not set up queue %u of %u (%s): use fewer lanes or smaller "
                        "rings",
                        c->name, q, c->queue_cnt, strerror(-rc));
        e->stats[q] = c->queue[q].stats;
    }
    return 0;
}

/* What the port cuts by itself. */
static void fill_tso(struct net_port_caps *caps, const struct ethdev *e, uint64_t tx)
{
    struct rte_eth_dev_info info;
    bool tap = strcmp(e->driver, "net_tap") == 0;

    if ((tx & TX_CUTS) != TX_CUTS || !(caps->tx_multi_segs || tap) ||
        rte_eth_dev_info_get(e->port_id, &info) != 0)
        return;
    uint16_t most = info.tx_desc_lim.nb_seg_max;
    caps->tx_tso = true;
    /* net_tap (22.11) cuts IPv4 only, and holds the length with the Ethernet header, and with a
     * tag, against the MTU: what is longer it never sends, nor anything behind it. The pieces that
     * it makes of chains like ours hold a header and one mbuf's payload, so that its checksums,
     * which go wrong behind an odd piece, are right. */
    caps->tx_tso6 = !tap;
    caps->tso_mtu = (uint16_t)(tap ? caps->mtu - TAP_TSO_OVERHEAD : caps->mtu);
    caps->tso_mbuf_max = most > 0 && most < TSO_MBUF_MAX ? most : TSO_MBUF_MAX;
}

static void fill_caps(struct net_port_caps *caps, const struct ethdev *e,
                      const struct rte_eth_conf *conf, uint16_t mtu)
{
    uint64_t rx = conf->rxmode.offloads, tx = conf->txmode.offloads;

    *caps = (struct net_port_caps){
        .mtu = mtu,
        .queue_cnt = e->queue_cnt,
        .rx_ip_checksum = (rx & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM) != 0,
        .rx_tcp_checksum = (rx & RTE_ETH_RX_OFFLOAD_TCP_CKSUM) != 0,
        .tx_ip_checksum = (tx & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) != 0,
        .tx_tcp_checksum = (tx & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) != 0,
        .tx_multi_segs = (tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0,
        .rss = e->rss_table_cnt > 0,
    };
    fill_tso(caps, e, tx);
    struct rte_ether_addr mac;
    if (rte_eth_macaddr_get(e->port_id, &mac) == 0)
        memcpy(caps->mac, mac.addr_bytes, 6);
    /* net_tap gives its port the address of the kernel's own end of the link: two stations with one
     * address. Ours is another; the kernel hands over every frame it sends, whatever its target. */
    if (strcmp(e->driver, "net_tap") == 0) {
        caps->mac[0] |= 2; /* locally administered */
        caps->mac[5] ^= 1;
    }
}

static int check_config(const struct ethdev_config *c, const struct rte_eth_dev_info *info,
                        char *err, size_t cap)
{
    uint16_t most =
        info->max_rx_queues < info->max_tx_queues ? info->max_rx_queues : info->max_tx_queues;

    if (c->queue_cnt == 0 || c->queue_cnt > ETHDEV_QUEUE_MAX || c->queue_cnt > most)
        return fail(err, cap, -EINVAL,
                    "port %s has %u queue pairs and %u are needed, one for each lane: set fewer "
                    "lanes or give the device more queues",
                    c->name, most, c->queue_cnt);
    return 0;
}

static int configure(struct ethdev *e, struct net_port *out, const struct ethdev_config *c,
                     char *err, size_t cap)
{
    struct rte_eth_dev_info info;
    int rc = rte_eth_dev_info_get(e->port_id, &info);

    if (rc != 0)
        return fail(err, cap, rc, "port %s does not tell its abilities: %s", c->name,
                    strerror(-rc));
    rc = check_config(c, &info, err, cap);
    uint16_t mtu = rc == 0 ? choose_mtu(c, &info, err, cap) : 0;
    if (mtu == 0)
        return rc != 0 ? rc : -EINVAL;

    struct rte_eth_conf conf = {.rxmode.mtu = mtu, .intr_conf.rxq = c->interrupts};
    /* net_tap's checksums are wrong for chains with odd pieces (22.11): it gets no chains. */
    uint64_t tx_not = c->no_offloads ? TX_WORK : 0;
    if (strcmp(info.driver_name, "net_tap") == 0)
        tx_not |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    conf.rxmode.offloads = c->no_offloads ? 0 : RX_OFFLOADS & info.rx_offload_capa;
    conf.txmode.offloads = TX_OFFLOADS & info.tx_offload_capa & ~tx_not;
    rc = choose_scatter(c, &info, mtu, &conf.rxmode.offloads, err, cap);
    if (rc != 0)
        return rc;

    snprintf(e->driver, sizeof(e->driver), "%s", info.driver_name);
    e->if_index = info.if_index;
    e->queue_cnt = c->queue_cnt;
    e->tx_prepare = (conf.txmode.offloads & TX_WORK) != 0;
    uint16_t key_len = info.hash_key_size > 0 ? info.hash_key_size : RSS_KEY_DEFAULT;
    if (c->queue_cnt > 1 && info.reta_size > 0 && key_len <= ETHDEV_RSS_KEY_CAP &&
        (info.flow_type_rss_offloads & ETHDEV_RSS_TYPES) != 0) {
        memcpy(e->rss_key, c->rss_key, sizeof(e->rss_key));
        conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf = (struct rte_eth_rss_conf){
            .rss_key = e->rss_key,
            .rss_key_len = (uint8_t)key_len,
            .rss_hf = ETHDEV_RSS_TYPES & info.flow_type_rss_offloads,
        };
        e->rss_types = conf.rx_adv_conf.rss_conf.rss_hf;
        e->rss_key_len = key_len;
        e->rss_table_cnt = info.reta_size;
    }
    rc = rte_eth_dev_configure(e->port_id, c->queue_cnt, c->queue_cnt, &conf);
    if (rc != 0 && c->interrupts) {
        /* A device has one interrupt in all under uio_pci_generic, which some drivers refuse. */
        conf.intr_conf.rxq = 0;
        rc = rte_eth_dev_configure(e->port_id, c->queue_cnt, c->queue_cnt, &conf);
    }
    e->interrupts = conf.intr_conf.rxq != 0;
    if (rc != 0)
        return fail(err, cap, rc, "port %s refuses %u queues, mtu %u (%s): see the log of EAL",
                    c->name, c->queue_cnt, mtu, strerror(-rc));
    rc = setup_queues(e, c, err, cap);
    if (rc == 0)
        fill_caps(&out->caps, e, &conf, mtu);
    return rc;
}

int ethdev_open(struct net_port *out, const struct ethdev_config *config, char *err, size_t err_cap)
{
    struct ethdev *e = calloc(1, sizeof(*e));

    if (e == NULL)
        return fail(err, err_cap, -ENOMEM, "no memory for port %s", config->name);
    memset(e->wait_fd, 0xff, sizeof(e->wait_fd));
    int rc = rte_eth_dev_get_port_by_name(config->name, &e->port_id);
    if (rc != 0)
        rc = fail(err, err_cap, rc,
                  "there is no port %s: name it among the EAL arguments (--vdev=%s,... or -a "
                  "<pci address>), and see that its driver is loaded",
                  config->name, config->name);
    else
        rc = configure(e, out, config, err, err_cap);
    if (rc != 0) {
        free(e);
        return rc;
    }
    out->ops = &ethdev_ops;
    out->state = e;
    return 0;
}

int ethdev_start(struct net_port *port, char *err, size_t err_cap)
{
    struct ethdev *e = port->state;
    int rc = rte_eth_dev_start(e->port_id);

    if (rc != 0)
        return fail(err, err_cap, rc,
                    "port %u (%s) does not start (%s): it needs CAP_NET_ADMIN and CAP_NET_RAW, "
                    "and an interface that exists",
                    e->port_id, e->driver, strerror(-rc));
    e->started = true;
    /* Frames for others are not wanted. Drivers without the call never see any. */
    (void)rte_eth_promiscuous_disable(e->port_id);
    ethdev_spread(e);
    ethdev_find_wait(e);
    return 0;
}

void ethdev_set_groups(struct net_port *port, uint8_t (*mac)[6], uint32_t cnt)
{
    struct ethdev *e = port->state;
    struct rte_ether_addr list[ETHDEV_GROUP_MAX];

    base_assert(cnt <= ETHDEV_GROUP_MAX);
    for (uint32_t i = 0; i < cnt; i++)
        memcpy(list[i].addr_bytes, mac[i], sizeof(list[i].addr_bytes));
    if (cnt > 0 && rte_eth_dev_set_mc_addr_list(e->port_id, list, cnt) != 0)
        (void)rte_eth_allmulticast_enable(e->port_id);
}

void ethdev_take_all_groups(struct net_port *port)
{
    /* Drivers without the call hand over every frame. */
    (void)rte_eth_allmulticast_enable(((const struct ethdev *)port->state)->port_id);
}

bool ethdev_count(const struct net_port *port, struct ethdev_counts *out)
{
    const struct ethdev *e = port->state;
    struct rte_eth_stats s;

    if (rte_eth_stats_get(e->port_id, &s) != 0)
        return false;
    *out = (struct ethdev_counts){.rx_missed = s.imissed,
                                  .rx_errors = s.ierrors,
                                  .rx_no_buffer = s.rx_nombuf,
                                  .tx_errors = s.oerrors};
    return true;
}

bool ethdev_link_is_up(const struct net_port *port)
{
    const struct ethdev *e = port->state;
    struct rte_eth_link link = {0};

    return rte_eth_link_get_nowait(e->port_id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

uint16_t ethdev_port_id(const struct net_port *port)
{
    return ((const struct ethdev *)port->state)->port_id;
}

uint16_t ethdev_rss_key_len(const struct net_port *port)
{
    return ((const struct ethdev *)port->state)->rss_key_len;
}

uint16_t ethdev_rss_table_cnt(const struct net_port *port)
{
    return ((const struct ethdev *)port->state)->rss_table_cnt;
}

void ethdev_stop(struct net_port *port)
{
    struct ethdev *e = port->state;

    if (!e->started)
        return;
    e->started = false;
    (void)rte_eth_dev_stop(e->port_id);
}

void ethdev_close(struct net_port *port)
{
    struct ethdev *e = port->state;

    ethdev_stop(port);
    (void)rte_eth_dev_close(e->port_id);
    free(e);
    port->state = NULL;
}
