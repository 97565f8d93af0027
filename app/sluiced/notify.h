/*
 * The service manager (systemd's Type=notify, sd_notify(3)): one datagram of lines NAME=value to
 * the socket that its environment names. Without that every call does nothing.
 *
 * Threads: control's alone. The socket is made at the start, before the sandbox.
 */
#ifndef NOTIFY_H
#define NOTIFY_H

#include "base_assert.h"

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
    int fd; /* -1: nobody is to be told */
    struct sockaddr_un address;
    socklen_t address_len;
    uint64_t watchdog_ns; /* it wants to hear WATCHDOG=1 at least so often; 0: never */
};

/* From NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, which it takes out of the environment. */
void notify_open(struct notify *n);
void notify_close(struct notify *n);

/* Sends the lines. Nothing is told of a failure: there would be nobody to tell. */
__attribute__((format(printf, 2, 3))) void notify_send(const struct notify *n, const char *format,
                                                       ...);

#endif
