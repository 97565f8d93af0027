/*
 * What sysfs tells of a PCI network card before DPDK looks at it: whether it is there, and which
 * driver of the kernel has it. DPDK drives a card itself that vfio-pci, uio_pci_generic or igb_uio
 * has; of those that keep their kernel's driver (mlx4_core, mlx5_core, mana) it is a guest.
 *
 * Threads: any; nothing is kept. Errors: 0, or a negative errno with a sentence in err.
 */
#ifndef DEVICE_PCI_H
#define DEVICE_PCI_H

#include "base_assert.h"

#include <stdbool.h>
#include <stddef.h>

#define DEVICE_PCI_NAME_CAP 16 /* "0000:00:00.0" */
#define DEVICE_PCI_ROOT     "/sys/bus/pci/devices"

/* The whole address that a port's device begins with, whose domain may be left out ("03:00.0").
 * Returns false when it begins with none. */
bool device_pci_name(const char *device, char name[DEVICE_PCI_NAME_CAP]) BASE_WARN_UNUSED;

/* Whether DPDK is that driver's guest. */
bool device_pci_is_shared(const char *driver) BASE_WARN_UNUSED;

/* Whether DPDK can take the card, by the directory of PCI devices in sysfs. */
int device_pci_check(const char *root, const char *name, char *err,
                     size_t err_cap) BASE_WARN_UNUSED;

/* Whether the card is bound to a driver that gives it physical addresses and one interrupt for all
 * its queues (uio). */
bool device_pci_is_uio(const char *root, const char *name) BASE_WARN_UNUSED;

#endif
