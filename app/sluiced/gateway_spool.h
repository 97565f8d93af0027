/*
 * The gateway's spools: one directory, one disk driver, one spool, one spooler and its thread for
 * each spool block of the configuration, in its order.
 *
 * A spool's number stands in the ids of its messages, lies on its disk and never changes: it does
 * not matter in which order the blocks stand, what they are called or where a directory was moved.
 * A new spool gets one that no other of this start has. Two with the same number are refused: one
 * is a copy, or was made while the other was away.
 *
 * Threads: control, before the others run and after they have stopped.
 */
#ifndef GATEWAY_SPOOL_H
#define GATEWAY_SPOOL_H

#include "gateway.h"

/* Opens them all, recovering what is there. Returns 0, or a negative error with one line in err;
 * gateway_spools_close is owed in either case. */
int gateway_spools_open(struct gateway *g, const struct conf *conf, struct opener *opener,
                        char *err, size_t err_cap) BASE_WARN_UNUSED;

/* Waits for the writes under way and closes the spools; nothing of them is used afterwards but what
 * completions in rings point to. */
void gateway_spools_finish(struct gateway *g);
/* The rest, when the lanes and the courier are gone. */
void gateway_spools_close(struct gateway *g);

#endif
