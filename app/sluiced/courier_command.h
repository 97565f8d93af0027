/* The operator's commands that change the queue, and its counts by destination. The courier's
 * thread; one piece of bounded work for each call. */
#ifndef COURIER_COMMAND_H
#define COURIER_COMMAND_H

#include "courier.h"

#define COURIER_COMMAND_VISIT_MAX 512 /* messages a piece */

/* FLUSH, HOLD, RELEASE, DELETE. Sets more; done_cnt and busy_cnt go on. Returns false, with
 * nothing done, when a delete has to wait for the journal. */
bool courier_command_run(struct courier *c, struct courier_request *r);

/* STAT: counts a piece into tally. Sets more. */
void courier_command_tally(struct courier *c, struct courier_request *r);

#endif
