/*
 * The page /metrics for Prometheus, over HTTP/1.1 (libmicrohttpd).
 *
 * Each scrape shows what the gateway says then, or did within the last half second, whoever asks:
 * many clients cost the gateway no more than one. A gateway that does not answer is 503 with the
 * reason; it may come and go. Bounds on clients are the server's (http_server.h).
 *
 * Left out: TLS and passwords. Who may not see the page must not reach the address.
 *
 * Threads: the server's own, and the caller's, which waits until a signal ends it.
 */
#ifndef METRICS_HTTP_H
#define METRICS_HTTP_H

#include "base_assert.h"

#include <stdbool.h>

/* Serves at "127.0.0.1:9464" or "[::1]:9464" until SIGINT or SIGTERM. other: an address that is not
 * the machine's own alone may be taken, too. Returns the exit status
 * (command.h): no such address, or it cannot listen there. */
int metrics_http_serve(const char *socket_path, const char *listen, bool other) BASE_WARN_UNUSED;

#endif
