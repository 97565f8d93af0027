#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_tun.h>
#include <rte_mbuf.h>

#define PIECES_MAX 16

struct tap {
    int fd;
    struct rte_mempool *rx_pool;
    struct stats_block *stats;
};

/* ---- frames ---- */

static uint16_t tap_rx_burst(void *state, uint16_t queue, struct rte_mbuf **pkts, uint16_t cap)
{
    struct tap *t = state;
    uint16_t cnt = 0;

    (void)queue;
    while (cnt < cap) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(t->rx_pool);
        if (m == NULL)
            break; /* the frames wait in the kernel's queue */
        uint16_t room = rte_pktmbuf_tailroom(m);
        ssize_t n = read(t->fd, rte_pktmbuf_mtod(m, void *), room);
        if (n <= 0) {
            rte_pktmbuf_free(m);
            break;
        }
        if (n >= room) { /* cut short: somebody has raised the interface's MTU */
            rte_pktmbuf_free(m);
            stats_inc(t->stats, STATS_NET_DROP_FROM_HOST);
            continue;
        }
        m->data_len = (uint16_t)n;
        m->pkt_len = (uint32_t)n;
        pkts[cnt++] = m;
    }
    return cnt;
}

static bool put(const struct tap *t, const struct rte_mbuf *m)
{
    struct iovec piece[PIECES_MAX];
    int cnt = 0;
    uint32_t len = m->pkt_len;

    for (; m != NULL && cnt < PIECES_MAX; m = m->next)
        piece[cnt++] =
            (struct iovec){.iov_base = rte_pktmbuf_mtod(m, void *), .iov_len = m->data_len};
    return m == NULL && writev(t->fd, piece, cnt) == (ssize_t)len;
}

static uint16_t tap_tx_burst(void *state, uint16_t queue, struct rte_mbuf **pkts, uint16_t cnt)
{
    struct tap *t = state;

    (void)queue;
    for (uint16_t i = 0; i < cnt; i++) {
        if (!put(t, pkts[i]))
            stats_inc(t->stats, STATS_NET_DROP_TO_HOST_REFUSED);
        rte_pktmbuf_free(pkts[i]);
    }
    return cnt;
}

static int tap_wait_fd(void *state, uint16_t queue)
{
    (void)queue;
    return ((const struct tap *)state)->fd;
}

static const struct net_port_ops tap_ops = {
    .name = "tap",
    .rx_burst = tap_rx_burst,
    .tx_burst = tap_tx_burst,
    .wait_fd = tap_wait_fd,
};

/* ---- opening ---- */

static int set_interface(const struct tap_config *c)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", c->name);
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(request.ifr_hwaddr.sa_data, c->mac, 6);
    int error = ioctl(fd, SIOCSIFHWADDR, &request) != 0 ? -errno : 0;
    request.ifr_mtu = c->mtu;
    if (error == 0 && ioctl(fd, SIOCSIFMTU, &request) != 0)
        error = -errno;
    close(fd);
    return error;
}

static int attach(const struct tap_config *c)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", c->name);
    /* Without offloads: every frame whole, every checksum right. */
    if (ioctl(fd, TUNSETIFF, &request) == 0 && ioctl(fd, TUNSETOFFLOAD, 0) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

int tap_open(struct net_port *out, const struct tap_config *config, char *err, size_t err_cap)
{
    struct tap *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return -ENOMEM;
    *t = (struct tap){.fd = attach(config), .rx_pool = config->rx_pool, .stats = config->stats};
    int error = t->fd < 0 ? t->fd : set_interface(config);
    if (error != 0) {
        snprintf(err, err_cap, "cannot open the interface %s (%s)%s", config->name,
                 strerror(-error),
                 error == -EBUSY    ? ": another program has it"
                 : error == -EINVAL ? ": it exists and is no TAP with one queue"
                 : error == -EPERM  ? ": start as root, or with CAP_NET_ADMIN"
                 : error == -ENOENT ? ": modprobe tun, or give the container /dev/net/tun"
                                    : "");
        if (t->fd >= 0)
            close(t->fd);
        free(t);
        return error;
    }
    *out = (struct net_port){
        .ops = &tap_ops, .state = t, .caps = {.mtu = config->mtu, .queue_cnt = 1}};
    memcpy(out->caps.mac, config->mac, 6);
    out->caps.tx_multi_segs = true;
    return 0;
}

void tap_close(struct net_port *port)
{
    struct tap *t = port->state;

    close(t->fd);
    free(t);
    port->state = NULL;
}
