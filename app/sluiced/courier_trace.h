/* What the courier tells of messages that an operator follows (trace.h). Threads: the courier's. */
#ifndef COURIER_TRACE_H
#define COURIER_TRACE_H

#include "courier.h"

/* A job is taken up: by its destination it may be followed from now on. */
void courier_trace_job(struct courier *c, const struct queue_job *job);
/* A delivery goes to a lane: where to, and what the next hop has to prove. */
void courier_trace_send(struct courier *c, const struct delivery *d);

#endif
