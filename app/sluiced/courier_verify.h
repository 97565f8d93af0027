/*
 * Whether a next hop takes a recipient (recipient: verify), for the sessions of all lanes: one
 * cache (lib/policy/policy_verify.h), filled by probes, which are deliveries without a message:
 * MAIL FROM:<>, RCPT, RSET, by the same routes and connections as mail.
 *
 *   questions: lane -- struct rcpt_job * --> courier
 *   answers:   the courier -- the same pointer, answer filled in --> its lane
 *
 * Every job comes back: at once where an answer is known or no probe can be made, else with the end
 * of the probe, which the client's time-outs bound. At most half of queue: deliveries are probes.
 *
 * Threads: the courier's.
 */
#ifndef COURIER_VERIFY_H
#define COURIER_VERIFY_H

#include "policy_verify.h"
#include "topology.h"

struct courier;
struct delivery;

struct courier_verify {
    struct policy_verify cache;
    uint32_t probe_cnt; /* under way */
    uint64_t generation;
};

/* Returns 0 or -ENOMEM. */
int courier_verify_init(struct courier *c) BASE_WARN_UNUSED;
/* Jobs that wait are forgotten; they are the lanes'. */
void courier_verify_fini(struct courier *c);

/* Takes questions. Returns how many. */
uint32_t courier_verify_pass(struct courier *c);

/* A probe is over (delivery.verify). The delivery is the caller's. */
void courier_verify_done(struct courier *c, const struct delivery *d);

#endif
