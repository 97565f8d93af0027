/*
 * From what is due to a delivery on a lane: the job gets a delivery, the delivery a plan of its
 * destination, and the plan's addresses one after the other until one of them has heard of the
 * message (RFC 5321 section 5.1).
 *
 * Threads: the courier's.
 */
#ifndef COURIER_START_H
#define COURIER_START_H

#include "courier.h"

/* Another delivery may begin. */
bool courier_may_start(const struct courier *c);

/* Begins deliveries of what is due, and sends those whose plan is made. Returns how many. */
uint32_t courier_start_due(struct courier *c);

/* A delivery that an address did not take goes to the next one. Returns false when that was the
 * last. */
bool courier_start_next(struct courier *c, struct delivery *d);
/* It goes once more to the address where it was. */
void courier_start_again(struct courier *c, struct delivery *d);

/* A question to the next hop of the job's domain, whether it takes the mailbox; the job has no
 * message and one recipient. It ends in courier_verify_done, never before this returns. After
 * courier_may_start. */
void courier_start_verify(struct courier *c, const struct queue_job *job,
                          struct policy_verify_entry *entry, struct base_span mailbox);

/* courier.c: the attempt is over. */
void courier_finish(struct courier *c, struct delivery *d);
/* One that is free, for the job. After courier_may_start. */
struct delivery *courier_delivery_get(struct courier *c, const struct queue_job *job);

/* courier.c: the delivery is free again. */
void courier_delivery_put(struct courier *c, struct delivery *d);

#endif
