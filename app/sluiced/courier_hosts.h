/*
 * An attempt that goes from host to host: each that did not take the message is told of in the log,
 * one line each, and what it said counts where the last one says less. A host that fails for good
 * by itself (its greeting is 5xx, it cannot be held to REQUIRETLS) fails the message only when no
 * other one of the attempt may take it later.
 *
 * Threads: the courier's.
 */
#ifndef COURIER_HOSTS_H
#define COURIER_HOSTS_H

#include "courier.h"

/* The address that d was at has had its turn, and another one follows. */
void courier_hosts_note(struct courier *c, struct delivery *d);

/* No other one follows: puts what an earlier one said in place of the last one's word. */
void courier_hosts_end(struct delivery *d);

#endif
