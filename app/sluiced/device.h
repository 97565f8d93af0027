/*
 * What can be told of a port's device before DPDK starts, whose own words for it are many and dark:
 * the right to use it, whether it is there, and that no other gateway has it.
 *
 * A claim is an abstract Unix socket of the interface's name, or of the PCI address: it belongs to
 * the network namespace, as the interface does, and ends with the process. It is needed because a
 * second process may well open the same TAP or packet socket: both would then get some of the
 * frames.
 *
 * Threads: control, once. The claims stay until the process ends.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include "conf.h"

#include <stddef.h>

#define DEVICE_ERROR_CAP 320

/* Checks and claims the devices of all ports. Returns 0, or a negative error with a sentence in
 * err. */
int device_claim(const struct conf *conf, char *err, size_t err_cap) BASE_WARN_UNUSED;

/* DPDK's name of the port's device, without its arguments; a PCI address with its domain. */
void device_name(const struct conf_port *port, char *out, size_t cap);

/* Whether the port is a PCI card bound to uio: it needs physical addresses, so huge pages, and has
 * no interrupt for each queue. */
bool device_is_uio(const struct conf_port *port) BASE_WARN_UNUSED;

/* A warning where lanes should sleep and a port does not let them; else warn stays as it is. */
void device_polls(const struct conf *conf, char *warn, size_t cap);

#endif
