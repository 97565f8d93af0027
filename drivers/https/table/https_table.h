/*
 * An HTTPS client that answers from a table in memory: for tests and simulations, in whatever time
 * its caller tells. Each answer may be late, never come, fail, or change.
 *
 * Threads: one. Memory: entries are copied; the table grows as they are added.
 */
#ifndef HTTPS_TABLE_H
#define HTTPS_TABLE_H

#include "https_client.h"

struct https_table_entry {
    const char *host, *path;
    enum https_result result;
    uint16_t status;
    const char *type; /* NULL: none */
    struct base_span body;
    uint64_t delay_ns; /* BASE_NS_NONE: never answered */
};

struct https_table;

/* What is not in it is 404, at once. Returns NULL without memory. */
struct https_table *https_table_open(void) BASE_WARN_UNUSED;
/* Requests that are out are forgotten. */
void https_table_close(struct https_table *t);

/* Puts an answer in, in place of one of the same host and path. Returns 0, -EINVAL, -ENOMEM. */
int https_table_put(struct https_table *t, const struct https_table_entry *e) BASE_WARN_UNUSED;

/* How many requests were made; those that are out now. */
uint64_t https_table_asked(const struct https_table *t);
uint32_t https_table_open_cnt(const struct https_table *t);

struct https_client https_table_client(struct https_table *t);

#endif
