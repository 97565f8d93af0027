/*
 * An end of the link: a network device of the kernel whose frames a program reads and writes.
 *
 *     tap:NAME[@NETNS]     a TAP made here, which ends with the descriptor: for an end that is
 * Linux packet:NAME[@NETNS]  an AF_PACKET socket on a device that exists: for net_tap's kernel end,
 * and for veth
 *
 * NETNS is the path of the network namespace, such as /proc/PID/ns/net; else it is our own.
 */
#ifndef LINK_END_H
#define LINK_END_H

#include <stddef.h>

/* Returns a descriptor that does not block: one read or write a frame. Or a negative error with a
 * line in err. */
int link_end_open(const char *spec, char *err, size_t err_cap);

#endif
