/*
 * The courier's answers to control. Looks at the queue are answered at once, a piece for each call
 * of control; changes are made one request after the other, over as many passes as they need, and
 * answered when they are on stable storage; messages are read through the spooler.
 *
 * The courier's thread.
 */
#ifndef COURIER_CONTROL_H
#define COURIER_CONTROL_H

#include "courier.h"

/* Takes what lies in the ring from control and goes on with what is under way. Returns how many
 * steps were made. */
uint32_t courier_control_run(struct courier *c);

/* When it wants to go on though nothing comes; BASE_NS_NONE: no need. */
uint64_t courier_control_deadline(const struct courier *c);

/* Sends the request back to control. */
void courier_control_answer(struct courier *c, struct courier_request *r);

#endif
