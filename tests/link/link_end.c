#include "link_end.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>

#define SOCKET_BUFFER_BYTES (16 << 20)

static int open_tap(const char *name)
{
    struct ifreq ask = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    memcpy(ask.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
    if (ioctl(fd, TUNSETIFF, &ask) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

static int open_packet(const char *name)
{
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int on = 1, bytes = SOCKET_BUFFER_BYTES;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    at.sll_ifindex = (int)if_nametoindex(name);
    /* What we send must not come back to us; bound last, so that no frame comes before. */
    if (at.sll_ifindex != 0 &&
        setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) == 0 &&
        setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) == 0 &&
        bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

/* The descriptor of our own namespace, to come back by, after entering path; -1 for no path. */
static int enter(const char *path, int *home)
{
    *home = -1;
    if (path == NULL)
        return 0;
    int there = open(path, O_RDONLY | O_CLOEXEC);
    *home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int error = there >= 0 && *home >= 0 && setns(there, CLONE_NEWNET) == 0 ? 0 : -errno;
    if (there >= 0)
        close(there);
    return error;
}

int link_end_open(const char *spec, char *err, size_t err_cap)
{
    char text[256];
    int home, fd = -EINVAL;

    snprintf(text, sizeof(text), "%s", spec);
    char *path = strchr(text, '@');
    if (path != NULL)
        *path++ = 0;
    int error = enter(path, &home);
    if (error == 0 && strncmp(text, "tap:", 4) == 0)
        fd = open_tap(text + 4);
    else if (error == 0 && strncmp(text, "packet:", 7) == 0)
        fd = open_packet(text + 7);
    else if (error != 0)
        fd = error;
    if (home >= 0) {
        if (setns(home, CLONE_NEWNET) != 0 && fd >= 0) {
            close(fd);
            fd = -EPERM;
        }
        close(home);
    }
    if (fd < 0)
        snprintf(err, err_cap, "%s: %s", spec, strerror(-fd));
    return fd;
}
