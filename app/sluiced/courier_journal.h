/*
 * What the courier has written about messages: outcomes, and that they are over. Entries of a spool
 * go to its spooler in their order; what fails is written again until it holds.
 *
 * Threads: the courier's. Memory: malloc for each entry, until it is durable; a bound of entries
 * for each spool, at which no delivery begins.
 */
#ifndef COURIER_JOURNAL_H
#define COURIER_JOURNAL_H

#include "courier.h"

/* Journals one message's outcomes, or that it is over. Without memory the process cannot keep its
 * promises: asserted. */
void courier_journal(struct courier *c, const struct spool_id *id, enum spool_op op,
                     const struct spool_outcome *outcomes, uint32_t cnt);
/* Whether the message's spool has as many as it may. */
bool courier_journal_full(struct courier *c, const struct spool_id *id);

/* Each pass: gives the spooler what there is; returns how many entries. */
uint32_t courier_journal_send(struct courier *c, struct courier_spool *s);
/* An OUTCOME or FREE is back. */
void courier_journal_done(struct courier *c, struct courier_spool *s,
                          const struct spool_done *done);
void courier_journal_fini(struct courier_spool *s);

#endif
