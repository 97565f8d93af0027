/*
 * Reports to senders: one DSN for the recipients of one attempt whose sender is to be told: that
 * they failed for good, that they are delayed, or that they were handed to a server without DSN and
 * success was to be notified. It is a message of its own, with the null sender, which the spool
 * takes through the courier's ring, in pieces, as it is made; so is what it quotes read.
 *
 * The order is what promise G2 rests on: the recipients stay in their job, their outcome unwritten,
 * until the report's COMMIT is durable; only then is it journalled. A stop or a crash before leaves
 * them as they were: they are tried again, at worst the sender hears twice, and one whose success
 * was to be notified has the message twice. A report that the spool cannot take now puts them back
 * into the queue, but for those that were delivered: these are not told of any more.
 *
 * Threads: the courier's. Memory: malloc for each report under way: under 100 bytes for no more
 * than deliveries, and BOUNCE_MAX times the report itself (courier_report.h); a pool of buffers.
 */
#ifndef COURIER_BOUNCE_H
#define COURIER_BOUNCE_H

#include "courier.h"

/* In ids, where a lane's number stands. */
#define COURIER_ID_LANE 255

/* Returns 0 or -ENOMEM. */
int courier_bounce_init(struct courier *c) BASE_WARN_UNUSED;

/* Fills in state, report and expired of the delivery's results; counts whom nobody is told of. */
void courier_bounce_choose(struct courier *c, struct delivery *d,
                           const struct queue_result *results);

/* Takes a delivery all of whose recipients are to be reported. It ends in courier_reported or
 * courier_unreported. */
void courier_bounce_start(struct courier *c, struct delivery *d);

/* A READ or COMMIT of a report came back, or a buffer. */
void courier_bounce_done(struct courier *c, const struct spool_done *done);

/* Pushes what has room in the ring to the spooler. Returns how many entries. */
uint32_t courier_bounce_send(struct courier *c);

/* True when courier_bounce_send may have something to push. */
bool courier_bounce_due(const struct courier *c);

/* Gives up what is under way. After spool_close, which ends what the spool reads into buffers. */
void courier_bounce_fini(struct courier *c);

/* courier.c: the sender is told, or need not be: journals what became of the recipients. */
void courier_reported(struct courier *c, struct delivery *d);
/* courier.c: the report could not be stored. */
void courier_unreported(struct courier *c, struct delivery *d);
void courier_warn(struct courier *c, const struct spool_id *id, const char *text);

#endif
