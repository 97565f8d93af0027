/*
 * The gateway's side of the resolver process (resolver_process.h): questions go there over a socket
 * pair, at most lookups of them at a time; the others wait here. When the process ends, what it had
 * not answered is asked of the next one; a question that has seen three processes end is answered
 * DNS_FAILED: it may be what kills them. A process that breaks the format, or leaves a deadline
 * behind by RESOLVER_HUNG_NS, is given up as if it had ended.
 *
 * Who starts processes is another one's business: resolver_unbound_wants tells that one is missing,
 * resolver_unbound_attach brings it.
 *
 * Threads: one. Memory: some 32 bytes for each lookup; an answer's bytes are copied once.
 */
#ifndef RESOLVER_UNBOUND_H
#define RESOLVER_UNBOUND_H

#include "base_time.h"
#include "dns_resolver.h"
#include "resolver_config.h"
#include "stats.h"

#define RESOLVER_LOOKUPS_MAX 4096
#define RESOLVER_HUNG_NS     (2 * BASE_NS_S)
#define RESOLVER_NEWS_CAP    192

struct resolver_unbound;

/* lookups: 1 to RESOLVER_LOOKUPS_MAX. Returns NULL when memory or descriptors are short. */
struct resolver_unbound *resolver_unbound_open(uint32_t lookups, struct stats_block *stats,
                                               uint64_t now_ns) BASE_WARN_UNUSED;
/* Questions that are out are forgotten; the process ends with its socket. */
void resolver_unbound_close(struct resolver_unbound *u);

/* Questions wait and no process is there. */
bool resolver_unbound_wants(const struct resolver_unbound *u);
/* A process is there. */
bool resolver_unbound_attached(const struct resolver_unbound *u);

/* A new process, in place of the one that is there, if any: then it is asked what that one was
 * still busy with. Takes the socket and the configuration. */
void resolver_unbound_attach(struct resolver_unbound *u, int socket, struct resolver_config *config,
                             uint64_t now_ns);

/* What happened to processes since the last call: one sentence for the log. False: nothing. */
bool resolver_unbound_news(struct resolver_unbound *u, char text[RESOLVER_NEWS_CAP]);

struct dns_resolver resolver_unbound_driver(struct resolver_unbound *u);

#endif
