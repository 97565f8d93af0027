/*
 * "probe": what "explain" tells, and then a connection to each address that an attempt would try,
 * through a lane: EHLO, STARTTLS and what the next hop must prove, no mail. Tells of each whether
 * it would be accepted.
 *
 * A probe takes the place of a delivery while it is under way. Threads: the courier's.
 */
#ifndef COURIER_PROBE_H
#define COURIER_PROBE_H

#include "courier_plan.h"
#include "courier_request.h"

/* The plan is made, and told of: the first address. Answers where there is none. */
void courier_probe_start(struct courier *c, struct courier_plan *p, struct courier_request *r);

/* One has come back: the next one, or the answer. */
void courier_probe_done(struct courier *c, struct delivery *d);

#endif
