/*
 * HTTP/1.1 and HTTPS for what sluicectl serves (libmicrohttpd): the metrics and the web page.
 *
 * One thread of the server's own answers all clients and never waits for one of them. Slow clients
 * hold a place and no more: there are HTTP_PLACE_MAX, and nobody has one for longer than
 * HTTP_LIFE_S, nor for longer than first_s until the handler trusts him; the time that a suspended
 * request waits for us does not count, up to HTTP_WAIT_S.
 *
 * Left out: what is served, and to whom: that is the handler's.
 *
 * Threads: the server's own, which calls the handler; and the caller's, which waits in http_serve
 * for a signal. Memory: the caller's, while it serves.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "base_assert.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define HTTP_PLACE_MAX 64
#define HTTP_LIFE_S    60
#define HTTP_WAIT_S    180 /* of a request that is suspended: nobody else's fault */
#define HTTP_ADDRESS   "ADDRESS:PORT"

/* A connection that is open. The server's thread alone; http_serve's looks at what is atomic. */
struct http_peer {
    int fd; /* -1: a free place */
    _Atomic uint64_t since_ms;
    struct sockaddr_storage address; /* of the client */
    _Atomic bool trusted;            /* set by the handler; before, it has first_s */
    _Atomic bool waits;              /* set by the handler while its request is suspended */
    bool known;                      /* whose it is was looked for, and found: */
    uint32_t uid;
};

struct http_config {
    struct sockaddr_storage address; /* http_read_address */
    const char *what;                /* said when it listens: "metrics at %s/metrics" */
    const char *listen;              /* the address as it was typed */
    MHD_AccessHandlerCallback handle;
    MHD_RequestCompletedCallback completed; /* or NULL */
    void *user;                             /* of both, and of the others */
    uint32_t first_s;
    uint32_t places_of_one;  /* of an address; 0: all */
    uint32_t places_of_user; /* of a user of this machine who is not root, over loopback; 0: all */
    bool suspends;           /* the handler suspends connections */
    bool renews; /* who has read an answer may begin anew: Prometheus keeps its connection */
    /* PEM; NULL: without TLS. */
    const char *certificate, *key;
    /* Called each second by the caller's thread; true: ends http_serve, which returns
     * HTTP_SERVE_AGAIN. NULL: nothing. */
    bool (*tick)(void *user);
    /* Called before the server ends: resumes what is suspended, and suspends nothing from then on.
     */
    void (*ends)(void *user);
};

/* "127.0.0.1:9464", "[::1]:9464". *loopback: the machine's own. */
bool http_read_address(const char *text, struct sockaddr_storage *out,
                       bool *loopback) BASE_WARN_UNUSED;

#define HTTP_SERVE_AGAIN (-1)
/* Serves until SIGINT or SIGTERM. Returns the exit status (command.h), after a word on standard
 * error where it cannot listen; or HTTP_SERVE_AGAIN. */
int http_serve(const struct http_config *config) BASE_WARN_UNUSED;

/* Whether it comes over loopback from a user that can be told: uid. */
bool http_peer_find_user(struct http_peer *p) BASE_WARN_UNUSED;

/* Of the connection; never NULL inside a handler. */
struct http_peer *http_peer_of(struct MHD_Connection *c);

uint64_t http_now_ms(void);

/* Takes text, from malloc. NULL: memory is short. */
struct MHD_Response *http_response(char *text, size_t len, const char *type) BASE_WARN_UNUSED;
/* Plain text, copied. */
struct MHD_Response *http_say(const char *text) BASE_WARN_UNUSED;

#endif
