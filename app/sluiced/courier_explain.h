/*
 * "explain": the whole decision about a recipient's mail, without sending: its route and why, the
 * MX set, each host with its addresses, TLSA records and what it would have to prove, the state of
 * DNSSEC of each answer, and what an attempt would try, in which order. As text or JSON.
 *
 * Threads: the courier's.
 */
#ifndef COURIER_EXPLAIN_H
#define COURIER_EXPLAIN_H

#include "courier_plan.h"
#include "courier_request.h"

/* Begins: the answer comes when all is looked up. */
void courier_explain_start(struct courier *c, struct courier_request *r);

/* The plan is made: prints it. */
void courier_explain_print(struct courier *c, const struct courier_plan *p,
                           struct courier_request *r);

#endif
