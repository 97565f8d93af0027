/* Ports: the NIC's driver, IOMMU, NUMA node and what it can do: /sys alone. */
#include "device_pci.h"
#include "doctor.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_CAP 64

/* What DPDK's drivers make of NICs that servers have; the first row that fits. */
static const struct {
    const char *vendor, *device; /* "": any */
    const char *name, *can;
} nics[] = {
    {"0x1af4", "", "virtio",
     "several queues, checksums and large segments where the host gives them"},
    {"0x15b3", "", "NVIDIA/Mellanox mlx5", "many queues, checksums, TSO; keeps its kernel driver"},
    {"0x8086", "0x100e", "Intel 82540 (e1000)", "one queue, checksums: one lane"},
    {"0x8086", "0x10d3", "Intel 82574 (e1000e)", "checksums, TSO, at most two queues"},
    {"0x8086", "0x1521", "Intel I350 (igb)", "8 queues, checksums, TSO"},
    {"0x8086", "0x1533", "Intel I210 (igb)", "4 queues, checksums, TSO"},
    {"0x8086", "0x15f3", "Intel I225 (igc)", "4 queues, checksums, TSO"},
    {"0x8086", "0x10fb", "Intel 82599 (ixgbe)", "16 queues with RSS, checksums, TSO, LRO"},
    {"0x8086", "0x1563", "Intel X550 (ixgbe)", "16 queues with RSS, checksums, TSO, LRO"},
    {"0x8086", "0x1572", "Intel X710 (i40e)", "64 queues with RSS, checksums, TSO"},
    {"0x8086", "0x1583", "Intel XL710 (i40e)", "64 queues with RSS, checksums, TSO"},
    {"0x8086", "0x158b", "Intel XXV710 (i40e)", "64 queues with RSS, checksums, TSO"},
    {"0x8086", "0x1592", "Intel E810 (ice)", "64 queues with RSS, checksums, TSO"},
    {"0x8086", "0x1593", "Intel E810 (ice)", "64 queues with RSS, checksums, TSO"},
    {"0x8086", "0x1889", "Intel virtual function (iavf)", "16 queues with RSS, checksums, TSO"},
    {"0x15ad", "0x07b0", "VMware vmxnet3", "8 queues with RSS, checksums, TSO, LRO"},
    {"0x1d0f", "", "Amazon ENA", "8 queues with RSS, checksums"},
    {"0x14e4", "", "Broadcom bnxt", "many queues with RSS, checksums, TSO, LRO"},
};

static void driver_of(const struct doctor *d, const char *address, char *out, size_t cap)
{
    char path[512], target[256];

    snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/driver", d->root, address);
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    target[n > 0 ? n : 0] = 0;
    const char *slash = strrchr(target, '/');
    snprintf(out, cap, "%.60s", slash != NULL ? slash + 1 : target);
}

static void abilities(struct doctor *d, const char *check, const char *address)
{
    char vendor[16], device[16];

    (void)doctor_read(d, vendor, sizeof(vendor), "/sys/bus/pci/devices/%s/vendor", address);
    (void)doctor_read(d, device, sizeof(device), "/sys/bus/pci/devices/%s/device", address);
    for (size_t i = 0; i < BASE_ARRAY_CNT(nics); i++)
        if (strcmp(vendor, nics[i].vendor) == 0 &&
            (nics[i].device[0] == 0 || strcmp(device, nics[i].device) == 0)) {
            doctor_sayf(d, DOCTOR_OK, check, "",
                        "%s: %s. What it has not is done in software; more lanes than queues are "
                        "refused at the start",
                        nics[i].name, nics[i].can);
            return;
        }
    doctor_sayf(
        d, DOCTOR_WARN, check,
        "see https://core.dpdk.org/supported/nics/, and the package librte-meta-net for its driver",
        "%s:%s is no NIC that is known here", vendor, device);
}

static void iommu(struct doctor *d, const char *check, const char *driver)
{
    char unsafe[8];
    bool group = doctor_exists(d, "/sys/class/iommu/dmar0") ||
                 doctor_exists(d, "/sys/class/iommu/ivhd0") ||
                 doctor_exists(d, "/sys/kernel/iommu_groups/0");

    (void)doctor_read(d, unsafe, sizeof(unsafe),
                      "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
    if (strcmp(driver, "vfio-pci") == 0 && group)
        doctor_say(d, DOCTOR_OK, check,
                   "vfio-pci behind an IOMMU: the NIC reaches the gateway's packets alone", "");
    else if (strcmp(driver, "vfio-pci") == 0 && unsafe[0] != 'Y')
        doctor_say(d, DOCTOR_FAIL, check, "vfio-pci, and the machine has no IOMMU",
                   "intel_iommu=on (or AMD's, in the firmware) and iommu=pt on the kernel's "
                   "command line; NOIOMMU=yes in /etc/sluice/nic.conf without one");
    else
        doctor_sayf(
            d, DOCTOR_WARN, check, "an IOMMU with DRIVER=vfio-pci in /etc/sluice/nic.conf",
            "%s without an IOMMU: a NIC that is wrong, or taken over, writes anywhere into memory",
            driver);
}

static bool is_ready(const char *driver)
{
    return strcmp(driver, "vfio-pci") == 0 || strcmp(driver, "uio_pci_generic") == 0 ||
           strcmp(driver, "igb_uio") == 0;
}

static void numa(struct doctor *d, const char *check, const char *address)
{
    char node[16], list[256];

    if (!doctor_read(d, node, sizeof(node), "/sys/bus/pci/devices/%s/numa_node", address) ||
        node[0] == '-' ||
        !doctor_read(d, list, sizeof(list), "/sys/devices/system/node/node%s/cpulist", node))
        return;
    for (uint32_t i = 0; i < d->conf->gateway.lanes; i++)
        if (!doctor_cpu_in(list, doctor_lane_cpu(d, i)))
            doctor_sayf(
                d, DOCTOR_WARN, check,
                "gateway: lane_cpus out of the NIC's node; huge pages there (HUGEPAGES=\"N0 N1\")",
                "the NIC is at NUMA node %s (processors %s), lane %u runs on processor %u", node,
                list, i, doctor_lane_cpu(d, i));
}

/* The kernel's interface of the card, "": none. virtio has a device in between. */
static void interface_of(const struct doctor *d, const char *address, char out[NAME_CAP])
{
    static const char *const below[] = {"net", "virtio*/net"};

    out[0] = 0;
    for (size_t i = 0; i < BASE_ARRAY_CNT(below) && out[0] == 0; i++) {
        char pattern[512];
        glob_t found;
        snprintf(pattern, sizeof(pattern), "%s/sys/bus/pci/devices/%s/%s/*", d->root, address,
                 below[i]);
        if (glob(pattern, 0, NULL, &found) == 0)
            snprintf(out, NAME_CAP, "%.*s", NAME_CAP - 1, strrchr(found.gl_pathv[0], '/') + 1);
        globfree(&found);
    }
}

static bool is_below(const struct doctor *d, const char *name)
{
    char pattern[512];
    glob_t found;

    snprintf(pattern, sizeof(pattern), "%s/sys/class/net/%s/upper_*", d->root, name);
    bool is = glob(pattern, 0, NULL, &found) == 0;
    globfree(&found);
    snprintf(pattern, sizeof(pattern), "/sys/class/net/%s/master", name);
    return is || doctor_exists(d, pattern);
}

/* Whether a table of /proc/net has the interface in its first or last column; with IPv6, beyond
 * what each link has (addresses and routes of fe80::/10 and ff00::/8). */
static bool is_listed(const struct doctor *d, const char *table, const char *name)
{
    char path[512], line[512], first[NAME_CAP];
    bool is = false;

    snprintf(path, sizeof(path), "%s/proc/net/%s", d->root, table);
    FILE *f = fopen(path, "re");
    while (f != NULL && !is && fgets(line, sizeof(line), f) != NULL) {
        line[strcspn(line, "\n")] = 0;
        const char *last = strrchr(line, ' ');
        if (sscanf(line, "%63s", first) != 1 ||
            (strlen(first) == 32 &&
             (strncmp(first, "fe8", 3) == 0 || strncmp(first, "ff", 2) == 0)))
            continue;
        is = strcmp(first, name) == 0 || (last != NULL && strcmp(last + 1, name) == 0);
    }
    if (f != NULL)
        fclose(f);
    return is;
}

static void hand_over(struct doctor *d, const char *check, const char *address, const char *driver)
{
    char name[NAME_CAP];

    interface_of(d, address, name);
    if (name[0] != 0 && (is_below(d, name) || is_listed(d, "route", name) ||
                         is_listed(d, "if_inet6", name) || is_listed(d, "ipv6_route", name)))
        doctor_sayf(
            d, DOCTOR_FAIL, check,
            "another NIC; or, where it is the only one, port: host_device (sluice(7), \"The "
            "machine's own traffic\" in README), then FORCE=yes in /etc/sluice/nic.conf: "
            "handing it over ends your ssh",
            "%s is bound to %s, and the machine itself uses it (%s)", address, driver, name);
    else
        doctor_sayf(d, DOCTOR_FAIL, check,
                    "is the machine reached by another one? Then NICS in /etc/sluice/nic.conf, and "
                    "systemctl restart sluice-prepare by hand once: boots take only NICs that it "
                    "has taken",
                    "%s is bound to %s, not handed over to DPDK", address,
                    driver[0] != 0 ? driver : "no driver");
}

static void pci_port(struct doctor *d, const struct conf_port *p, const char *check)
{
    char address[DEVICE_PCI_NAME_CAP], driver[64], path[96];

    if (!device_pci_name(p->device, address)) {
        doctor_sayf(d, DOCTOR_WARN, check, "0000:03:00.0 or net_tap0,iface=gw0 are some",
                    "%.*s is no PCI address: what DPDK makes of it is not known here",
                    (int)strcspn(p->device, ","), p->device);
        return;
    }
    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", address);
    if (!doctor_exists(d, path)) {
        doctor_sayf(d, DOCTOR_FAIL, check,
                    "dpdk-devbind.py --status lists those there are; port: device has to name one",
                    "there is no PCI device %s", address);
        return;
    }
    driver_of(d, address, driver, sizeof(driver));
    abilities(d, check, address);
    if (is_ready(driver))
        iommu(d, check, driver);
    else if (!device_pci_is_shared(driver))
        hand_over(d, check, address, driver);
    numa(d, check, address);
}

static void virtual_port(struct doctor *d, const struct conf_port *p, const char *check)
{
    const char *at = strstr(p->device, "iface=");
    char path[64];

    if (strncmp(p->device, "net_tap", 7) == 0 && !doctor_exists(d, "/dev/net/tun")) {
        doctor_say(d, DOCTOR_FAIL, check, "net_tap needs /dev/net/tun",
                   "modprobe tun, or give the container that device");
        return;
    }
    if (strncmp(p->device, "net_af_", 7) == 0 && at != NULL) {
        snprintf(path, sizeof(path), "/sys/class/net/%.*s", (int)strcspn(at + 6, ","), at + 6);
        if (!doctor_exists(d, path)) {
            doctor_sayf(d, DOCTOR_FAIL, check, "ip link tells those there are",
                        "there is no interface %.*s", (int)strcspn(at + 6, ","), at + 6);
            return;
        }
    }
    doctor_sayf(d, DOCTOR_OK, check, "",
                "%.*s: software, for trying: a NIC of its own is ten times faster",
                (int)strcspn(p->device, ","), p->device);
}

void doctor_devices(struct doctor *d)
{
    char check[96];

    for (uint32_t i = 0; i < d->conf->port_cnt; i++) {
        const struct conf_port *p = &d->conf->port[i];
        if (p->device == NULL)
            continue;
        snprintf(check, sizeof(check), "port %s", p->name);
        if (strncmp(p->device, "net_", 4) == 0)
            virtual_port(d, p, check);
        else
            pci_port(d, p, check);
    }
}
