/*
 * Whether sources are who they say they are, as the DNS tells it to receivers, many of which refuse
 * mail where it does not: each address has a PTR record, and the EHLO name leads back to it. Looked
 * up once when settings come, one question at a time beside everything; what is wrong is told in
 * the log and by "sources", and changes nothing.
 *
 * Threads: the courier's. Memory: one question.
 */
#ifndef COURIER_SOURCE_NAMES_H
#define COURIER_SOURCE_NAMES_H

#include "conf.h"
#include "dns.h"

struct courier;

enum courier_source_name {
    COURIER_SOURCE_NAME_UNASKED, /* no such address, or not asked yet */
    COURIER_SOURCE_NAME_GOOD,
    COURIER_SOURCE_NAME_WRONG,  /* there is no such record */
    COURIER_SOURCE_NAME_UNKNOWN /* it could not be looked up */
};
/* "good"; "-" where it was not asked. */
const char *courier_source_name_word(enum courier_source_name state);

struct courier_source_names {
    uint64_t generation;                    /* of the settings that are looked through */
    uint32_t next;                          /* of all questions: source, family, kind */
    bool asking;                            /* query is out */
    bool stale;                             /* and of settings that are no more */
    uint8_t ptr[CONF_SOURCE_MAX][2];        /* enum courier_source_name; IPv4, IPv6 */
    uint8_t leads_back[CONF_SOURCE_MAX][2]; /* likewise: the EHLO name's address */
    struct dns_query query;
    uint8_t room[4096];
};

/* Each pass. Returns 1 when it asked something. */
uint32_t courier_source_names_pass(struct courier *c);
/* When it wants to go on though nothing comes. */
uint64_t courier_source_names_deadline(const struct courier *c);

#endif
