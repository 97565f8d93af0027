/*
 * What can be told of a port's device before DPDK starts, whose own words for it are many and dark:
 * the right to use it, whether it is there, and that no other gateway has it.
 *
 * A claim is an abstract Unix socket of the interface's name: it belongs to the network namespace,
 * as the interface does, and ends with the process. It is needed because a second process may well
 * open the same TAP or packet socket: both would then get some of the frames.
 *
 * Threads: control, once. The claims stay until the process ends.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include "conf.h"

#include <stddef.h>

/* Checks and claims the devices of all ports. Returns 0, or a negative error with a sentence in
 * err. */
int device_claim(const struct conf *conf, char *err, size_t err_cap) BASE_WARN_UNUSED;

#endif
