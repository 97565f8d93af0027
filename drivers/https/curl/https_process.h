/*
 * The process that makes HTTPS requests: libcurl with OpenSSL, requests and answers over one socket
 * (https_wire.h). It parses what strangers send, so it has nothing else: no file but that of the
 * authorities, which it reads before the first request, no key, no way to the gateway but that
 * socket. It asks no DNS: addresses come with the requests.
 *
 * One exchange: a connection of its own, HTTP/1.1, no redirect followed, no content coding, TLS 1.2
 * or newer, at most 64 KiB of header fields and as many bytes of body as there is room for.
 */
#ifndef HTTPS_PROCESS_H
#define HTTPS_PROCESS_H

#include "base_assert.h"

/* Runs until the socket ends. confine is called once the authorities are there and before the first
 * request: from then on the process needs no file and no right. Returns the exit status. */
int https_process_run(int socket, void (*confine)(void)) BASE_WARN_UNUSED;

#endif
