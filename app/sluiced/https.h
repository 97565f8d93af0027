/*
 * HTTPS requests of the gateway: policies of MTA-STS are fetched (RFC 8461 section 3.3), reports of
 * TLS are sent (RFC 8460 section 3). All of it is the courier's: c->https, no other thread asks.
 *
 *   asker (courier) -- https_ask --> here: A and AAAA of the host, by our validating resolver
 *     --> driver (https_client.h) --> a process of its own that connects, over the machine's own
 *     network (https_process.h) --> r->done(r), in a later pass of the courier
 *
 * How to ask: keep a struct https_request, with room for the answer's body, where the state is that
 * waits; set it up by https_request_init (GET), or by that and https_request_url (POST: also set
 * body and type); set done and user; call https_ask. Between that and done the request, its body
 * and its room are not to be touched nor freed. There is no way to withdraw one: its timeout is the
 * bound, and every one comes back, exactly once. A POST may reach the server twice, when the
 * process ends meanwhile. done may ask again, and may free the request.
 *
 * Addresses that are private (net_addr_is_private) are not connected to, unless any_address is set
 * or permits says so: whoever has a domain could else have our own network asked.
 *
 * Without a driver (simulations that bring none) each request fails with HTTPS_FAILED.
 *
 * Bounds: HTTPS_LOOKUP_MAX hosts are looked up at a time, the others wait; how many exchanges are
 * under way is the driver's.
 *
 * Threads: the courier's. Memory: here, and of askers, which outlives the resolver's thread.
 */
#ifndef HTTPS_H
#define HTTPS_H

#include "https_client.h"
#include "topology.h"

#include "dns.h"

#define HTTPS_LOOKUP_MAX 16

struct https;

struct https_lookup {
    struct https *https;
    struct https_request *request; /* NULL: free, unless questions are out */
    struct dns_query q[2];         /* A, AAAA */
    uint8_t asked, back;           /* bits of them */
    uint8_t room[2][512];
};

struct https {
    struct topology *topology;
    struct stats_block *stats;
    struct https_client client;
    /* Whether a private address may be connected to all the same; NULL: none may. */
    bool (*permits)(void *user, const struct https_request *r, const struct net_addr *a);
    void *user;
    struct base_list todo, ended; /* not looked up; to be told */
    uint32_t open_cnt;            /* asked, not done */
    uint64_t now_ns, polled_ns, client_ns;
    struct https_lookup lookup[HTTPS_LOOKUP_MAX];
};

void https_init(struct https *h, struct topology *topology, struct stats_block *stats);

/* From now on requests are made by it; before the thread runs. */
void https_use(struct https *h, struct https_client client);

/* Takes the request until its done is called, never from inside this. */
void https_ask(struct https *h, struct https_request *r);

/* One round: resolver_answers has been called before. Returns how many requests moved on. */
uint32_t https_pass(struct https *h, uint64_t now_ns);
/* When to call it at the latest. */
uint64_t https_deadline(const struct https *h);

#endif
