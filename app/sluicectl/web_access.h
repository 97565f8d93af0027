/*
 * Which requests the web page takes at all: by the name that it was asked under, by where they come
 * from, and, where there is no password, by the user of this machine who asks.
 *
 * Threads: any. Memory: the caller's. Pure, but for web_peer_uid.
 */
#ifndef WEB_ACCESS_H
#define WEB_ACCESS_H

#include "base_assert.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#define WEB_HOST_CAP 256

/* The name or address in a Host field or an origin, without port, brackets and last dot, in small
 * letters. Returns false where it is none. *literal: an address. */
bool web_host_read(char out[WEB_HOST_CAP], const char *host, bool *literal) BASE_WARN_UNUSED;

/* Whether a page of this very server asks, or no page at all: by Sec-Fetch-Site and Origin, each
 * NULL where it was not sent; host: the Host field. */
bool web_same_origin(const char *fetch_site, const char *origin, const char *host) BASE_WARN_UNUSED;

/* Whose socket the other end of a connection inside this machine is, by a table of the kernel
 * (/proc/net/tcp, tcp6). own, other: the ends, from here. Returns false: it has none that is open.
 */
bool web_peer_find(FILE *table, const struct sockaddr_storage *own,
                   const struct sockaddr_storage *other, uint32_t *uid) BASE_WARN_UNUSED;
/* Likewise, of a connected descriptor. */
bool web_peer_uid(int fd, uint32_t *uid) BASE_WARN_UNUSED;

#endif
