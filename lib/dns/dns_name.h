/*
 * Domain names: the text that is asked for, the wire form in RDATA, and the names under which DNS
 * lists have an address.
 *
 * Only letters, digits, hyphen, underscore and slash (RFC 2317) are taken in a label: a name with
 * other bytes is none for mail (RFC 1123 section 2.1), and refusing them keeps escapes, blanks and
 * control characters out of everything behind. Names are in A-labels already.
 *
 * Threads: pure; any. Memory: the caller's buffers of DNS_NAME_CAP bytes; text ends with NUL, has
 * no dot at its end, and is "" for the root.
 */
#ifndef DNS_NAME_H
#define DNS_NAME_H

#include "net_addr.h"

#define DNS_NAME_CAP  254 /* the longest text (RFC 1035 section 2.3.4) with its NUL */
#define DNS_LABEL_MAX 63

/* A name that may be asked for, without a dot at the end; not the root. */
bool dns_name_valid(struct base_span text);

/* Copies it in lower case. Returns 0, or -EINVAL when it is not valid; one dot at its end is taken
 * off first. */
int dns_name_copy(char out[DNS_NAME_CAP], struct base_span text) BASE_WARN_UNUSED;

/* Puts two parts together with a dot: "_25._tcp" and "mx.example.org". Returns 0, or -EINVAL. */
int dns_name_join(char out[DNS_NAME_CAP], const char *front, const char *zone) BASE_WARN_UNUSED;

/* Reads an uncompressed name (RFC 1035 section 3.1) from the front of in, which may go on behind
 * it; *used is its length. Pointers are refused: what resolvers hand on has none. Returns 0, or
 * -EINVAL. */
int dns_name_read(char out[DNS_NAME_CAP], size_t *used, struct base_span in) BASE_WARN_UNUSED;

/* The name of an address in a DNS list (RFC 5782 sections 2.1 and 2.4): the bytes (IPv4) or
 * hexadecimal digits (IPv6) in reverse, then the zone; with "in-addr.arpa" or "ip6.arpa" it is the
 * one that PTR stands at. Returns 0, or -EINVAL: the zone is none, or too long. */
int dns_reverse_name(char out[DNS_NAME_CAP], const struct net_addr *a,
                     const char *zone) BASE_WARN_UNUSED;

/* "in-addr.arpa" or "ip6.arpa", by the family. */
const char *dns_reverse_zone(const struct net_addr *a);

#endif
