/* The machine's own traffic over the port (host.h): its interface, its buffers, its ports. */
#include "gateway.h"
#include "tap.h"

#include <errno.h>
#include <stdio.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>

#define BUFFERS       1023
#define FRAME_EXTRA   32 /* Ethernet header, VLAN tags, and a byte that tells a frame cut short */
#define RANGE_PATH    "/proc/sys/net/ipv4/ip_local_port_range"
#define PORTS_FEWEST  1024u /* for each lane */
#define DEFAULT_FIRST 32768u
#define DEFAULT_LAST  60999u

/* Those of our ephemeral ports that the kernel does not take for its own connections: the larger
 * part below or above its range. */
static int choose_ports(struct gateway *g, char *err, size_t err_cap)
{
    unsigned first = DEFAULT_FIRST, last = DEFAULT_LAST;
    FILE *f = fopen(RANGE_PATH, "re");

    if (f != NULL) {
        if (fscanf(f, "%u %u", &first, &last) != 2 || first > last || last > UINT16_MAX) {
            first = DEFAULT_FIRST;
            last = DEFAULT_LAST;
        }
        fclose(f);
    }
    unsigned below = first > LANE_PORT_MIN ? first - LANE_PORT_MIN : 0;
    unsigned from = last >= LANE_PORT_MIN ? last + 1 : LANE_PORT_MIN;
    unsigned above = LANE_PORT_MAX + 1 - from;
    g->port_min = (uint16_t)(below >= above ? LANE_PORT_MIN : from);
    g->port_max = (uint16_t)(below >= above ? LANE_PORT_MIN + below - 1 : LANE_PORT_MAX);
    if ((below >= above ? below : above) / g->topology.lane_cnt >= PORTS_FEWEST)
        return 0;
    snprintf(err, err_cap,
             "the kernel takes the ports %u to %u for its own connections and leaves too "
             "few for the gateway's: sysctl -w net.ipv4.ip_local_port_range='%u %u'",
             first, last, DEFAULT_FIRST, DEFAULT_LAST);
    return -EADDRNOTAVAIL;
}

int gateway_host_open(struct gateway *g, const struct conf *conf, char *err, size_t err_cap)
{
    char why[GATEWAY_ERROR_CAP] = "no memory: raise gateway: memory";
    uint32_t at = 0;

    while (at < conf->port_cnt && !lane_host_wanted(&conf->port[at]))
        at++;
    if (at == conf->port_cnt)
        return 0;
    const struct conf_port *port = &conf->port[at];
    const struct net_port *below = &g->port[at];
    int error = choose_ports(g, why, sizeof(why));
    /* Filled by lane 0 alone, emptied by the host's thread alone. */
    if (error == 0)
        g->host_pool = rte_pktmbuf_pool_create_by_ops(
            "host", BUFFERS, 0, 0, (uint16_t)(RTE_PKTMBUF_HEADROOM + below->caps.mtu + FRAME_EXTRA),
            SOCKET_ID_ANY, "ring_mp_sc");
    if (error == 0 && g->host_pool == NULL)
        error = -ENOMEM;
    struct tap_config tap = {
        .name = port->host_device,
        .mtu = below->caps.mtu,
        .rx_pool = g->host_pool,
        .stats = topology_stats(&g->topology, TOPOLOGY_HOST, 0),
    };
    memcpy(tap.mac, below->caps.mac, sizeof(tap.mac));
    if (error == 0)
        error = tap_open(&g->host_tap, &tap, why, sizeof(why));
    if (error != 0) {
        snprintf(err, err_cap, "port %s: host_device: %.300s", port->name, why);
        return error;
    }
    struct host_config h = {
        .topology = &g->topology,
        .tap = &g->host_tap,
        .rate = (uint32_t)port->host_rate,
        .burst = (uint32_t)port->host_burst,
    };
    host_init(&g->host, &h);
    g->host_port = below;
    return 0;
}

void gateway_host_close(struct gateway *g)
{
    if (g->host_tap.state != NULL)
        tap_close(&g->host_tap);
    rte_mempool_free(g->host_pool);
    g->host_pool = NULL;
}
