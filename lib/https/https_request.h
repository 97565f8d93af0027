/*
 * A request by HTTPS and what came of it, as mail wants them: policies are fetched (RFC 8461
 * section 3.3) and reports are sent (RFC 8460 section 3). One exchange: TLS 1.2 or newer, the
 * server's certificate is by a trusted authority for the host's name, a redirect is an answer that
 * is not followed.
 *
 * Left out: cookies, authentication, proxies, caches, content codings, whatever http: means.
 *
 * Threads: pure; any. Memory: a request is one object of whoever asks, with room for the answer's
 * body; nothing is allocated. Times are CLOCK_MONOTONIC ns.
 */
#ifndef HTTPS_REQUEST_H
#define HTTPS_REQUEST_H

#include "base_list.h"
#include "dns_name.h"

#include <stdbool.h>

enum https_method { HTTPS_GET, HTTPS_POST };

enum https_result {
    HTTPS_OK,          /* 200 to 299, the whole body is there */
    HTTPS_STATUS,      /* another status, but for: */
    HTTPS_REDIRECT,    /* 300 to 399: never followed */
    HTTPS_TOO_LARGE,   /* the answer is larger than its room; none of it is there */
    HTTPS_TIMEOUT,     /* no whole answer in time */
    HTTPS_NO_NAME,     /* the host has no address: the DNS says so */
    HTTPS_DNS,         /* its addresses could not be looked up */
    HTTPS_PRIVATE,     /* it has private addresses alone */
    HTTPS_CONNECT,     /* no address takes a connection */
    HTTPS_TLS,         /* no TLS, or no version and cipher in common */
    HTTPS_CERTIFICATE, /* not by a trusted authority, not for this name, or expired */
    HTTPS_BROKEN,      /* it ended too early, or does not speak HTTP */
    HTTPS_FAILED,      /* here: no process that could ask, no authorities */
    HTTPS_RESULT_CNT
};
/* "too-large"; never NULL. */
const char *https_result_name(enum https_result result);

#define HTTPS_ADDRESS_MAX 8
#define HTTPS_PATH_CAP    1024
#define HTTPS_TYPE_CAP    128
#define HTTPS_WHY_CAP     160
#define HTTPS_ROOM_MAX    65536  /* of an answer's body */
#define HTTPS_POST_MAX    131072 /* of a request's */

struct https_request {
    /* By the one who asks, through https_request_init. */
    char host[DNS_NAME_CAP];
    char path[HTTPS_PATH_CAP]; /* with its query: "/.well-known/mta-sts.txt" */
    uint16_t port;
    uint8_t method;            /* enum https_method */
    bool any_certificate;      /* whoever the server is (RFC 8460 section 3 leaves that open) */
    bool any_address;          /* private ones, too: the operator named the host */
    char type[HTTPS_TYPE_CAP]; /* POST: the Content-Type */
    struct base_span body;     /* POST: at most HTTPS_POST_MAX bytes; stays until done */
    uint64_t timeout_ns;       /* from being asked until it is done, name look-up included */
    uint8_t *room;             /* for the answer's body */
    uint32_t room_cap;         /* at most HTTPS_ROOM_MAX */
    void (*done)(struct https_request *r); /* see app/sluiced/https.h; drivers do not call it */
    void *user;
    /* The answer. */
    uint8_t result;                   /* enum https_result */
    uint16_t status;                  /* of HTTP; 0: there was none */
    uint32_t len;                     /* in room; only where result is HTTPS_OK or HTTPS_STATUS */
    char answer_type[HTTPS_TYPE_CAP]; /* its Content-Type as it came; "": none */
    char why[HTTPS_WHY_CAP];          /* of failures: a sentence for the log, or "" */
    /* The service's, from being asked until done. */
    struct net_addr address[HTTPS_ADDRESS_MAX];
    uint32_t address_cnt;
    uint64_t deadline_ns;
    struct base_list node;
    uint8_t asked_cnt;
    uint32_t slot;
};

/* Sets the request up for GET at port 443, all else by the fields. Returns 0, or -EINVAL: no name
 * of a host, or a path with something in it that no path has. */
int https_request_init(struct https_request *r, struct base_span host, struct base_span path,
                       uint64_t timeout_ns, void *room, uint32_t room_cap) BASE_WARN_UNUSED;

/* The path begins with a slash, has no fragment, and visible ASCII alone. */
bool https_path_valid(struct base_span path);

/* "https://host[:port]/path" of others' records (RFC 8460 section 3: rua): sets host, port and path
 * of a request that is set up otherwise, for POST. Returns 0, or -EINVAL: another scheme, a
 * userinfo, an address for a host, or longer than there is room for. */
int https_request_url(struct https_request *r, struct base_span url) BASE_WARN_UNUSED;

/* The end of it without an answer. why may be NULL. */
void https_request_fail(struct https_request *r, enum https_result result, const char *why);

/* The media type of a Content-Type, without its parameters, is this one (RFC 9110 section 8.3.1).
 */
bool https_type_is(const char *content_type, const char *media);

#endif
