/*
 * What the next hop of a delivery must prove: the route's word, the destination's level, and (once
 * next hops are looked up) what the DNS says. All of the decision is here.
 *
 * Threads: the courier's. Memory: a requirement that has texts is a copy of its own, freed by
 * courier_requirement_drop: settings may change while the delivery is out.
 */
#ifndef COURIER_REQUIREMENT_H
#define COURIER_REQUIREMENT_H

#include "delivery.h"
#include "settings.h"

struct courier;

/* d has its job and host. Sets requirement, what stands beside it, and d->policy. Returns NULL, or
 * why there can be no attempt now, beginning with an enhanced code of class 4: the delivery ends
 * with that. */
const char *courier_requirement_fill(struct courier *c, struct delivery *d,
                                     const struct settings_route *route) BASE_WARN_UNUSED;

/* The delivery has come back, and has told what it had to. */
void courier_requirement_drop(struct delivery *d);

/* Tells destinations apart that have the same next hop: mail is gathered by it. 0: as all others.
 */
uint64_t courier_requirement_key(const struct courier *c, const struct settings_route *route,
                                 struct base_span domain);

#endif
