/*
 * What the courier tells the log of messages: that one is in the queue, and what became of a
 * recipient. Threads: the courier's.
 */
#ifndef COURIER_LOG_H
#define COURIER_LOG_H

#include "courier.h"

/* A message that has just come; of those that were there before the start nothing is told. */
void courier_log_queued(struct courier *c, const struct spool_id *id,
                        const struct spool_arrival *arrival);

/* The delivery's recipient at place i. */
void courier_log_result(struct courier *c, const struct delivery *d, uint32_t i,
                        const struct spool_outcome *outcome);

/* A host that another one follows: what it said. */
void courier_log_host(struct courier *c, const struct delivery *d);

#endif
