/*
 * A resolver that answers from a table in memory: for tests and simulations, in whatever time its
 * caller tells. Each answer may be late, never come, fail a number of times first, or change.
 *
 * Threads: one. Memory: entries are copied; the table grows as they are added.
 */
#ifndef RESOLVER_TABLE_H
#define RESOLVER_TABLE_H

#include "dns_resolver.h"

#define RESOLVER_TABLE_RECORD_MAX 16

struct resolver_table_entry {
    const char *name;
    uint16_t type;
    enum dns_status status;
    bool secure;
    uint32_t ttl_s;
    const char *canonical;                              /* NULL: the name is no alias */
    struct base_span record[RESOLVER_TABLE_RECORD_MAX]; /* RDATA; up to the first that is empty */
    uint64_t delay_ns;                                  /* BASE_NS_NONE: never answered */
    uint32_t fail_cnt; /* so many times the answer is fail_status first */
    enum dns_status fail_status;
};

struct resolver_table;

/* Names that are not in it are NXDOMAIN, other types of those that are NODATA, both as secure as
 * this says and at once. Returns NULL without memory. */
struct resolver_table *resolver_table_open(bool secure) BASE_WARN_UNUSED;
/* Questions that are out are forgotten. */
void resolver_table_close(struct resolver_table *t);

/* Puts an answer in, in place of one for the same question. Returns 0, -EINVAL, -ENOMEM. */
int resolver_table_put(struct resolver_table *t,
                       const struct resolver_table_entry *e) BASE_WARN_UNUSED;

/* How many questions were asked; those that are out now. */
uint64_t resolver_table_asked(const struct resolver_table *t);
uint32_t resolver_table_open_cnt(const struct resolver_table *t);

struct dns_resolver resolver_table_driver(struct resolver_table *t);

#endif
