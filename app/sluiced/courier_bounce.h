/*
 * Reports to senders: one DSN for the recipients of one attempt that failed for good. It is a
 * message of its own, with the null sender, which the spool takes through the courier's ring.
 *
 * The order is what promise G2 rests on: the recipients stay in their job, their outcome unwritten,
 * until the report's COMMIT is durable; only then are they journalled as failed. A stop or a crash
 * before leaves them as they were, and a report that the spool cannot take now puts them back into
 * the queue: they are tried again, at worst the sender hears twice.
 *
 * Threads: the courier's. Memory: malloc for each report under way (no more than deliveries).
 */
#ifndef COURIER_BOUNCE_H
#define COURIER_BOUNCE_H

#include "courier.h"

/* In ids, where a lane's number stands. */
#define COURIER_ID_LANE 255

/* Takes a delivery all of whose recipients failed for good. It ends in courier_failed, or goes back
 * into the queue. */
void courier_bounce_start(struct courier *c, struct delivery *d);

/* A READ or COMMIT of a report came back. */
void courier_bounce_done(struct courier *c, const struct spool_done *done);

/* Pushes what has room in the ring to the spooler. Returns how many entries. */
uint32_t courier_bounce_send(struct courier *c);

/* Gives up what is under way. After spool_close, which waits for what the spool reads into buffers
 * and writes from the reports. */
void courier_bounce_fini(struct courier *c);

/* courier.c: the sender is told, or need not be: journals that the recipients failed. */
void courier_failed(struct courier *c, struct delivery *d);
/* courier.c: not now; the recipients are tried again later. */
void courier_put_back(struct courier *c, struct delivery *d);
void courier_warn(struct courier *c, const struct spool_id *id, const char *text);

#endif
