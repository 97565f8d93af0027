/* The loops of the threads; see gateway.h. Inside of gateway*.c. */
#ifndef GATEWAY_THREADS_H
#define GATEWAY_THREADS_H

#include "gateway.h"

/* Starts lanes on their lcores, spooler and courier on threads of their own. Returns 0, or a
 * negative error. */
int gateway_threads_start(struct gateway *g) BASE_WARN_UNUSED;

/* Ends all that were started, lanes first, then the courier, then the spooler. */
void gateway_threads_join(struct gateway *g);

#endif
