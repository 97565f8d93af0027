#include "device_pci.h"

#include "base_assert.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DRIVER_CAP 32

bool device_pci_name(const char *device, char name[DEVICE_PCI_NAME_CAP])
{
    unsigned domain = 0, bus, slot, function;
    int end = 0;
    size_t len = strcspn(device, ",");

    if (sscanf(device, "%4x:%2x:%2x.%1o%n", &domain, &bus, &slot, &function, &end) != 4 ||
        (size_t)end != len) {
        domain = 0;
        if (sscanf(device, "%2x:%2x.%1o%n", &bus, &slot, &function, &end) != 3 ||
            (size_t)end != len)
            return false;
    }
    snprintf(name, DEVICE_PCI_NAME_CAP, "%04x:%02x:%02x.%o", domain, bus, slot, function);
    return true;
}

/* The driver's name; empty: none has it. */
static void read_driver(const char *root, const char *name, char driver[DRIVER_CAP])
{
    char path[PATH_MAX], target[PATH_MAX];

    driver[0] = 0;
    snprintf(path, sizeof(path), "%s/%s/driver", root, name);
    ssize_t len = readlink(path, target, sizeof(target) - 1);
    if (len <= 0)
        return;
    target[len] = 0;
    const char *last = strrchr(target, '/');
    snprintf(driver, DRIVER_CAP, "%.*s", DRIVER_CAP - 1, last != NULL ? last + 1 : target);
}

/* The kernel's interface that the card is; empty: it is none. */
static void read_interface(const char *root, const char *name, char interface[DRIVER_CAP])
{
    char path[PATH_MAX];
    const struct dirent *entry;

    interface[0] = 0;
    snprintf(path, sizeof(path), "%s/%s/net", root, name);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL && interface[0] == 0) {
        if (entry->d_name[0] != '.')
            snprintf(interface, DRIVER_CAP, "%.*s", DRIVER_CAP - 1, entry->d_name);
    }
    closedir(dir);
}

static bool is_any(const char *name, const char *const *names, size_t cnt)
{
    for (size_t i = 0; i < cnt; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

bool device_pci_is_shared(const char *driver)
{
    static const char *const shared[] = {"mlx4_core", "mlx5_core", "mana"};

    return is_any(driver, shared, BASE_ARRAY_CNT(shared));
}

int device_pci_check(const char *root, const char *name, char *err, size_t err_cap)
{
    static const char *const kernel[] = {"virtio-pci"}; /* it has the card, not the interface */
    char path[PATH_MAX], driver[DRIVER_CAP], interface[DRIVER_CAP];

    snprintf(path, sizeof(path), "%s/%s", root, name);
    if (access(path, F_OK) != 0) {
        snprintf(err, err_cap, "there is no PCI device %s: dpdk-devbind.py --status lists them",
                 name);
        return -ENODEV;
    }
    read_driver(root, name, driver);
    read_interface(root, name, interface);
    if (driver[0] == 0) {
        snprintf(err, err_cap,
                 "no driver has %s: modprobe vfio-pci, then dpdk-devbind.py --bind=vfio-pci %s "
                 "(without an IOMMU uio_pci_generic)",
                 name, name);
        return -ENODEV;
    }
    if (device_pci_is_shared(driver) ||
        (interface[0] == 0 && !is_any(driver, kernel, BASE_ARRAY_CNT(kernel))))
        return 0;
    snprintf(err, err_cap,
             "%s is the kernel's%s%s (driver %s): take its addresses away, modprobe vfio-pci, then "
             "dpdk-devbind.py --bind=vfio-pci %s (without an IOMMU uio_pci_generic)",
             name, interface[0] != 0 ? ", as " : "", interface, driver, name);
    return -EBUSY;
}

bool device_pci_is_uio(const char *root, const char *name)
{
    static const char *const uio[] = {"uio_pci_generic", "igb_uio"};
    char driver[DRIVER_CAP];

    read_driver(root, name, driver);
    return is_any(driver, uio, BASE_ARRAY_CNT(uio));
}
