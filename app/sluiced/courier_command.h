/*
 * The operator's commands that change the queue. One request at a time, in pieces of bounded work,
 * one a pass; each change is journalled, and the answer waits until the journal is on stable
 * storage, so that what an operator was told holds after a crash. When the spool does not take it
 * for COURIER_COMMAND_WAIT_NS the answer says so: it is in effect, and not on disk yet.
 *
 * The courier's thread.
 */
#ifndef COURIER_COMMAND_H
#define COURIER_COMMAND_H

#include "courier.h"

#define COURIER_COMMAND_VISIT_MAX 512 /* messages a pass */
#define COURIER_COMMAND_WAIT_NS   (5 * BASE_NS_S)

/* Goes on with the changes that wait. Returns 1 when there was something to do. */
uint32_t courier_command_run(struct courier *c);

/* A journal entry of the change with this number is durable. */
void courier_command_journalled(struct courier *c, uint32_t change_no);

uint64_t courier_command_deadline(const struct courier *c);

#endif
