/*
 * What a message asks of its next hops by itself, REQUIRETLS or "TLS-Required: no" (RFC 8689):
 * which of a plan's orders a delivery goes by, which of a host's requirements it is held to, and
 * what is said where no host may have it.
 *
 * Threads: the courier's.
 */
#ifndef COURIER_REQUIRETLS_H
#define COURIER_REQUIRETLS_H

#include "courier_plan.h"

/* d has its plan, which is made: sets its order, and kept, waived and the like. */
void courier_requiretls_choose(const struct courier *c, struct delivery *d);

/* What the host is held to; NULL: it must not have the message, or not now. */
const struct dane_requirement *courier_requiretls_of(const struct delivery *d,
                                                     const struct plan_host *h);

/* None of the order's hosts may have it: says why. Returns whether it will always be so. */
bool courier_requiretls_never(const struct delivery *d, const char **enhanced, const char **words);

#endif
