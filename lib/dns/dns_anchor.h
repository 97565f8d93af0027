/*
 * Trust anchors: the keys that validation starts from, as a file of DS or DNSKEY records, one a
 * line, in the form of zone files (RFC 1035 section 5; root.key of unbound, .ds and .key of ldns).
 *
 * Threads: pure; any. Memory: spans point into the text.
 */
#ifndef DNS_ANCHOR_H
#define DNS_ANCHOR_H

#include "dns_name.h"

#define DNS_ANCHOR_CNT_MAX  64
#define DNS_ANCHOR_BYTES    2048 /* of one line */
#define DNS_ANCHOR_FILE_MAX 65536

/* The root's keys of 2017 and 2024 (https://data.iana.org/root-anchors/): what holds without a
 * file. Ended by NULL. */
extern const char *const dns_anchor_root[];

/* Takes the next record from the front of text, comments and blanks around it cut off; *line counts
 * lines from 1 (0 before the first call). Returns 1; 0 at the end; -EINVAL: the line in *line is
 * none, why says it (static text). */
int dns_anchor_next(struct base_span *text, uint32_t *line, struct base_span *record,
                    const char **why) BASE_WARN_UNUSED;

/* Whose key it is: the record's owner in lower case, "" for the root. The record is one that
 * dns_anchor_next has returned. */
void dns_anchor_owner(char out[DNS_NAME_CAP], struct base_span record);

#endif
