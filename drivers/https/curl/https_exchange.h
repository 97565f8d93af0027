/* One request as libcurl has it. Part of the process (https_process.h). */
#ifndef HTTPS_EXCHANGE_H
#define HTTPS_EXCHANGE_H

#include "https_wire.h"

#include <curl/curl.h>
#include <openssl/ossl_typ.h>

#define HTTPS_HEADERS_MAX 65536

struct https_exchange {
    CURL *curl; /* NULL: free */
    struct curl_slist *addresses, *headers;
    X509_STORE *authorities; /* borrowed; NULL: none */
    char host[DNS_NAME_CAP]; /* whose certificate it has to be */
    uint32_t id, room_cap, len;
    size_t header_bytes;
    bool too_large, too_many;
    char why[CURL_ERROR_SIZE];
    uint8_t *body; /* of the request, owned */
    uint8_t room[HTTPS_ROOM_MAX];
};

/* Sets it up for an ASK. Returns the handle, which is x->curl, or NULL: memory is short, and the
 * exchange is free again. */
CURL *https_exchange_open(struct https_exchange *x, const struct https_wire_message *m,
                          X509_STORE *authorities);
/* What came of it, after libcurl's code; spans point into x. */
void https_exchange_answer(const struct https_exchange *x, CURLcode code,
                           struct https_wire_message *out);
void https_exchange_close(struct https_exchange *x);

#endif
