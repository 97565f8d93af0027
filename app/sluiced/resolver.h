/*
 * Questions to the DNS, for every thread of the gateway: lanes (DNS lists, names of clients),
 * courier (where mail goes), control (our own TLSA records). One thread of its own has the resolver
 * and is asked by rings; no other thread waits, or makes a system call for it.
 *
 *   asks:     lane, courier, control -- struct dns_query * --> resolver; its doorbell
 *   answers:  the resolver -- the same pointer, answer filled in --> who asked; their doorbell
 *
 * How a thread asks: it keeps a struct dns_query with room for the records where it has the state
 * that waits (512 bytes do for a DNS list), sets it up by dns_query_init, sets done and user, and
 * calls resolver_ask. In each pass it calls resolver_answers, which calls done for what has come
 * back. Between the two the query is the resolver's and must not be touched, nor its memory freed:
 * there is no way to withdraw a question, its timeout is the bound, and every one comes back. What
 * asks and may end before (a connection) takes its query from a pool of the thread, and forgets it
 * by setting user to NULL when done may still read it: user is the asker's at all times.
 *
 * At the gateway's end what is still out is given up: memory of askers outlives the resolver's
 * thread.
 *
 * Threads: resolver_pass, resolver_deadline: the resolver's. resolver_ask, resolver_answers: each
 * asker its own.
 */
#ifndef RESOLVER_H
#define RESOLVER_H

#include "dns_resolver.h"
#include "topology.h"

struct resolver {
    struct topology *topology;
    struct dns_resolver driver;
    struct stats_block *stats;
    /* Answered, but their asker's ring is full; by owner: lanes, courier, control. */
    struct base_list back[TOPOLOGY_LANE_MAX + 2];
    uint32_t back_cnt;
};

void resolver_init(struct resolver *r, struct topology *topology, struct dns_resolver driver);

/* One round. Returns true when it did something. */
bool resolver_pass(struct resolver *r, uint64_t now_ns);
/* When to call it at the latest. */
uint64_t resolver_deadline(const struct resolver *r, uint64_t now_ns);

/* thread is LANE, COURIER or CONTROL, number that of the lane, else 0. */

/* Hands the question over. False: the ring is full; the query is still the caller's, who asks again
 * in its next pass. */
bool resolver_ask(struct topology *t, enum topology_thread thread, uint32_t number,
                  struct dns_query *q) BASE_WARN_UNUSED;

/* Calls done for up to 32 questions that have come back; how many. */
uint32_t resolver_answers(struct topology *t, enum topology_thread thread, uint32_t number);

#endif
