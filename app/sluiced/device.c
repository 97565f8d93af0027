#include "device.h"

#include "device_pci.h"

#include <errno.h>
#include <linux/capability.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static bool is_kind(const struct conf_port *p, const char *kind)
{
    return strncmp(p->device, kind, strlen(kind)) == 0;
}

/* The value of iface= among the device's arguments; false when there is none that could be a name.
 */
static bool interface_of(const struct conf_port *p, char name[IF_NAMESIZE])
{
    const char *at = strstr(p->device, ",iface=");

    if (at == NULL)
        return false;
    at += strlen(",iface=");
    size_t len = strcspn(at, ",");
    if (len == 0 || len >= IF_NAMESIZE)
        return false;
    memcpy(name, at, len);
    name[len] = 0;
    return true;
}

static bool has_right(unsigned capability)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};

    return syscall(SYS_capget, &header, data) == 0 &&
           (data[capability / 32].effective & (1u << (capability % 32))) != 0;
}

static int claim(const struct conf_port *p, const char *name, char *err, size_t err_cap)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX}; /* sun_path[0] stays 0: abstract */
    int len = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "sluice/port/%s", name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&a,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) == 0)
        return 0; /* fd is the claim */
    int error = errno;
    close(fd);
    snprintf(err, err_cap,
             "port %s: device: %s is in use by another gateway: stop it, or name another one",
             p->name, name);
    return -error;
}

static int check_pci(const struct conf_port *p, const char *pci, char *err, size_t err_cap)
{
    char why[DEVICE_ERROR_CAP];
    int error = device_pci_check(DEVICE_PCI_ROOT, pci, why, sizeof(why));

    if (error == 0)
        return claim(p, pci, err, err_cap);
    snprintf(err, err_cap, "port %s: device: %s", p->name, why);
    return error;
}

static int check_port(const struct conf_port *p, char *err, size_t err_cap)
{
    char name[IF_NAMESIZE], pci[DEVICE_PCI_NAME_CAP];

    if (device_pci_name(p->device, pci))
        return check_pci(p, pci, err, err_cap);
    bool is_tap = is_kind(p, "net_tap"), is_packet = is_kind(p, "net_af_");

    if ((is_tap || is_packet) && (!has_right(CAP_NET_ADMIN) || !has_right(CAP_NET_RAW))) {
        snprintf(err, err_cap,
                 "port %s: device: no right to open %s: start as root, or with CAP_NET_ADMIN and "
                 "CAP_NET_RAW",
                 p->name, p->device);
        return -EPERM;
    }
    if (is_tap && access("/dev/net/tun", F_OK) != 0) {
        snprintf(err, err_cap,
                 "port %s: device: net_tap needs /dev/net/tun (%s): modprobe tun, or give the "
                 "container that device",
                 p->name, strerror(errno));
        return -ENODEV;
    }
    if ((!is_tap && !is_packet) || !interface_of(p, name))
        return 0;
    if (is_packet && if_nametoindex(name) == 0) {
        snprintf(err, err_cap, "port %s: device: there is no interface %s", p->name, name);
        return -ENODEV;
    }
    return claim(p, name, err, err_cap);
}

void device_name(const struct conf_port *port, char *out, size_t cap)
{
    char pci[DEVICE_PCI_NAME_CAP];
    bool is_pci = device_pci_name(port->device, pci);
    size_t n = strcspn(port->device, ",");

    snprintf(out, cap, "%.*s", is_pci ? (int)strlen(pci) : (int)n, is_pci ? pci : port->device);
}

bool device_is_uio(const struct conf_port *port)
{
    char pci[DEVICE_PCI_NAME_CAP];

    return device_pci_name(port->device, pci) && device_pci_is_uio(DEVICE_PCI_ROOT, pci);
}

void device_polls(const struct conf *conf, char *warn, size_t cap)
{
    for (uint32_t i = 0; i < conf->port_cnt && conf->gateway.idle == CONF_IDLE_ADAPTIVE; i++) {
        if (!device_is_uio(&conf->port[i]))
            continue;
        snprintf(warn, cap,
                 "port %s: device: bound to uio, which has no interrupt for each queue: idle lanes "
                 "look at it every 0.03 to 0.5 ms; with vfio-pci they can sleep",
                 conf->port[i].name);
        return;
    }
}

int device_claim(const struct conf *conf, char *err, size_t err_cap)
{
    int error = 0;

    for (uint32_t i = 0; i < conf->port_cnt && error == 0; i++)
        error = check_port(&conf->port[i], err, err_cap);
    return error;
}
