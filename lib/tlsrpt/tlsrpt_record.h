/*
 * The TXT record at _smtp._tls of a policy domain (RFC 8460 section 3): whether it wants reports,
 * and where to. Fields that are not known are passed over (they are extensions), a record that
 * breaks the grammar counts as none. A URI is
 *
 *   https   with a host name, no address (whoever publishes it chooses where we connect to, and
 *           addresses are what is not for everybody), no user, no fragment
 *   mailto  with anything behind it
 *   other   left out
 *
 * Threads: pure. Memory: spans point into the input.
 */
#ifndef TLSRPT_RECORD_H
#define TLSRPT_RECORD_H

#include "base_assert.h"
#include "base_bytes.h"

#define TLSRPT_URI_MAX       8 /* of a record; more are left out */
#define TLSRPT_URI_BYTES_MAX 512

enum tlsrpt_scheme { TLSRPT_HTTPS, TLSRPT_MAILTO };

struct tlsrpt_uri {
    uint8_t scheme; /* enum tlsrpt_scheme */
    struct base_span text;
};

struct tlsrpt_record {
    struct tlsrpt_uri uri[TLSRPT_URI_MAX];
    uint32_t uri_cnt;
    uint32_t other_cnt; /* of other schemes, or that cannot be used */
};

/* Whether it is one at all: records of other kinds at the name are discarded. */
bool tlsrpt_record_is(struct base_span text);
/* text: the record's strings put together. Returns 0, or -EINVAL: no record of this kind, no rua,
 * or broken. */
int tlsrpt_record_parse(struct tlsrpt_record *out, struct base_span text) BASE_WARN_UNUSED;

/* The parts of an https URI that tlsrpt_record_parse has taken. */
struct tlsrpt_url {
    struct base_span host, path; /* path: from the slash on, with the query; "" stands for "/" */
    uint16_t port;
};
int tlsrpt_url_parse(struct tlsrpt_url *out, struct base_span uri) BASE_WARN_UNUSED;

#endif
