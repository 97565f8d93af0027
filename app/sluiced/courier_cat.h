/*
 * "queue cat": a message's bytes as they are stored, read by the spooler into a buffer of the
 * courier's, a piece at a time, so that a message of any size takes the same memory. Requests are
 * served in turn, one piece each.
 *
 * A message may be over before all of it was read: READ says so, and the answer ends with an error.
 * The courier's thread.
 */
#ifndef COURIER_CAT_H
#define COURIER_CAT_H

#include "courier.h"

/* Gives back its buffer; the spooler no longer runs. */
void courier_cat_fini(struct courier *c);

/* Asks the spooler for the next bytes. Returns how many requests it could make: 0 or 1. */
uint32_t courier_cat_run(struct courier *c);

/* Takes a completion of READ. False: it is of somebody else. */
bool courier_cat_done(struct courier *c, const struct spool_done *done);

#endif
