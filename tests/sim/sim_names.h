/*
 * The DNS of a simulated world: where mail for its domains goes, out of a table, with whatever a
 * real DNS does to a gateway: answers late, lost, failed, pointing to a host that is not there, and
 * other ones at the next look. By seed; in virtual time.
 */
#ifndef SIM_NAMES_H
#define SIM_NAMES_H

#include "base_rand.h"
#include "resolver_table.h"

/* Fills in all domains of the world anew, whose host is 10.0.0.2. bad: with troubles, which end
 * when it is called without. */
void sim_names_fill(struct resolver_table *t, struct base_rand *rand, bool bad);

#endif
