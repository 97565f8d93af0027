/*
 * What the operator hears when a next hop cannot be used as the settings want it: the reason stands
 * in the line of each recipient; what to change, in a warning of its own.
 *
 * Threads: the courier's.
 */
#ifndef COURIER_ADVICE_H
#define COURIER_ADVICE_H

#include "delivery.h"

struct courier;

/* Says in the log what is to be changed, when the delivery failed for the want of a login, or of
 * TLS at a next hop that a route names. */
void courier_advice_tell(struct courier *c, const struct delivery *d);

#endif
