/*
 * What a resolver process is told before its first question: control gathers it, the resolver's
 * thread sends it to each process anew. Immutable once it is handed over.
 *
 * Threads: one at a time. Memory: owned by whoever holds it; resolver_config_free.
 */
#ifndef RESOLVER_CONFIG_H
#define RESOLVER_CONFIG_H

#include "dns_wire.h"

#define RESOLVER_CONFIG_MAX 128 /* settings */

struct resolver_config;

struct resolver_config *resolver_config_open(void) BASE_WARN_UNUSED;
void resolver_config_free(struct resolver_config *c); /* NULL: nothing */
/* NULL without memory. */
struct resolver_config *resolver_config_copy(const struct resolver_config *c) BASE_WARN_UNUSED;

/* Returns 0, or -EINVAL (longer than dns_wire.h allows, or not printable), -ENOSPC, -ENOMEM. */
int resolver_config_set(struct resolver_config *c, enum dns_wire_key key,
                        struct base_span text) BASE_WARN_UNUSED;

bool resolver_config_same(const struct resolver_config *a, const struct resolver_config *b);

/* Message i as it is sent; false: there are no more. */
bool resolver_config_message(const struct resolver_config *c, uint32_t i, struct base_span *out);

#endif
