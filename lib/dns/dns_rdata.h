/*
 * RDATA of the types that mail asks for, read with every length checked before it is used (RFC 1035
 * section 3.3, 3596, 6698). What is malformed is refused as a whole: a record is right or there is
 * none. Spans point into the input.
 *
 * Threads: pure; any. Errors: 0 or -EINVAL.
 */
#ifndef DNS_RDATA_H
#define DNS_RDATA_H

#include "dns.h"

/* The address of an A or AAAA record: its length must be that of the type. */
int dns_read_address(struct net_addr *out, uint16_t type, struct base_span rdata) BASE_WARN_UNUSED;

/* The name in a CNAME or PTR record; the root is refused. */
int dns_read_name(char out[DNS_NAME_CAP], struct base_span rdata) BASE_WARN_UNUSED;

struct dns_mx {
    uint16_t preference;
    char host[DNS_NAME_CAP]; /* "": the root; with preference 0 alone it is a null MX (RFC 7505) */
};
int dns_read_mx(struct dns_mx *out, struct base_span rdata) BASE_WARN_UNUSED;

struct dns_tlsa {
    uint8_t usage, selector, matching; /* any values: lib/dane knows which are usable */
    struct base_span data;             /* of any length, none too */
};
int dns_read_tlsa(struct dns_tlsa *out, struct base_span rdata) BASE_WARN_UNUSED;

/* The strings of a TXT record put together, any bytes. -EINVAL when a string is longer than what is
 * left, there is none, or out is too small: then out is as before. */
int dns_read_txt(struct base_buf *out, struct base_span rdata) BASE_WARN_UNUSED;

#endif
