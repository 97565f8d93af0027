#include "ethdev_internal.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_packet.h>

/* Whether fd is a socket of the domain; a packet socket has to be bound to the interface too. */
static bool is_socket_of(int fd, int domain, unsigned if_index)
{
    int got;
    socklen_t len = sizeof(got);

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &got, &len) != 0 || got != domain)
        return false;
    if (domain != AF_PACKET)
        return true;
    struct sockaddr_ll name = {0};
    len = sizeof(name);
    return getsockname(fd, (struct sockaddr *)&name, &len) == 0 &&
           name.sll_ifindex == (int)if_index;
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/*
 * These drivers keep their sockets to themselves, so they are looked for among the process's
 * descriptors. They were opened in the order of the queues. Other sockets bound to the interface
 * would spoil the count; then there is nothing to sleep on.
 */
static void find_sockets(struct ethdev *e, int domain)
{
    DIR *dir = opendir("/proc/self/fd");
    int found[ETHDEV_QUEUE_MAX];
    uint32_t cnt = 0;
    struct dirent *entry;

    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || !is_socket_of(fd, domain, e->if_index))
            continue;
        if (cnt < ETHDEV_QUEUE_MAX)
            found[cnt] = fd;
        cnt++;
    }
    closedir(dir);
    if (cnt != e->queue_cnt)
        return;
    qsort(found, cnt, sizeof(found[0]), by_number);
    memcpy(e->wait_fd, found, cnt * sizeof(found[0]));
    e->wait = ETHDEV_WAIT_SOCKET;
}

/* A queue's own interrupt comes by an eventfd (VFIO). What uio_pci_generic has is the device's one
 * interrupt, whose events EAL's thread takes for the state of the link. */
static bool is_eventfd(int fd)
{
    char link[32], target[64];

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, target, sizeof(target) - 1);
    if (len < 0)
        return false;
    target[len] = 0;
    return strstr(target, "[eventfd]") != NULL;
}

static void find_interrupts(struct ethdev *e)
{
    bool events = true;

    for (uint16_t q = 0; q < e->queue_cnt; q++) {
        int fd = rte_eth_dev_rx_intr_ctl_q_get_fd(e->port_id, q);
        if (fd < 0) {
            memset(e->wait_fd, 0xff, sizeof(e->wait_fd));
            return;
        }
        e->wait_fd[q] = fd;
        events = events && is_eventfd(fd);
    }
    /* A port that has a descriptor but can not be armed has given its own, as net_tap does. */
    bool arms = rte_eth_dev_rx_intr_enable(e->port_id, 0) == 0;
    if (arms)
        rte_eth_dev_rx_intr_disable(e->port_id, 0);
    e->wait = arms ? ETHDEV_WAIT_INTERRUPT : ETHDEV_WAIT_SOCKET;
    if (arms && !events) {
        memset(e->wait_fd, 0xff, sizeof(e->wait_fd));
        e->wait = ETHDEV_WAIT_NONE;
    }
}

/* Asking these for a descriptor only makes DPDK log an error. */
static bool has_nothing_to_wait_on(const char *driver)
{
    static const char *const names[] = {"net_ring", "net_memif", "net_null", "net_pcap"};

    for (size_t i = 0; i < BASE_ARRAY_CNT(names); i++) {
        if (strcmp(driver, names[i]) == 0)
            return true;
    }
    return false;
}

void ethdev_find_wait(struct ethdev *e)
{
    memset(e->wait_fd, 0xff, sizeof(e->wait_fd));
    e->wait = ETHDEV_WAIT_NONE;
    if (strcmp(e->driver, "net_af_packet") == 0)
        find_sockets(e, AF_PACKET);
    else if (strcmp(e->driver, "net_af_xdp") == 0)
        find_sockets(e, AF_XDP);
    else if (e->interrupts && !has_nothing_to_wait_on(e->driver))
        find_interrupts(e);
}

int ethdev_arm(void *state, uint16_t queue, bool on)
{
    struct ethdev *e = state;

    if (e->wait != ETHDEV_WAIT_INTERRUPT)
        return 0;
    if (on)
        return rte_eth_dev_rx_intr_enable(e->port_id, queue);
    /* The event that woke the lane is taken out, or the descriptor stays readable. */
    struct pollfd p = {.fd = e->wait_fd[queue], .events = POLLIN};
    uint64_t cnt;
    while (poll(&p, 1, 0) == 1 && (p.revents & POLLIN) != 0) {
        if (read(p.fd, &cnt, sizeof(cnt)) <= 0)
            break;
    }
    return rte_eth_dev_rx_intr_disable(e->port_id, queue);
}
