/*
 * Groups of destinations in the simulation of the queue: limits that are drawn anew, pauses,
 * suspensions, and what is looked at with each job that begins:
 *
 *   - no more jobs of a group are out than its limit;
 *   - from any job on, the next ones come no faster than the pace allows, by jobs and by
 * recipients;
 *   - none has more recipients than the group allows, or is of what is suspended or pauses.
 *
 * Destinations of even keys have their group by name, those of odd ones by their first job.
 */
#ifndef SIM_QUEUE_GROUP_H
#define SIM_QUEUE_GROUP_H

#include "sim_queue_ledger.h"

/* The queue's callback. */
uint32_t sim_group_of_name(void *user, struct base_span name, uint32_t group);
uint32_t sim_group_of(const struct sim *g, uint32_t key);

/* New limits for all; also what a new queue has to be told. */
void sim_group_draw(struct sim *g);
void sim_group_tell(struct sim *g);
/* Something of a group or of a destination changes. */
void sim_group_act(struct sim *g);
/* Nothing is suspended or pauses any more. */
void sim_group_free(struct sim *g);

/* A job that has been taken (out[] has it already): false, it is to be put back. */
bool sim_group_begins(struct sim *g, struct out *o);

/* Time that limits may add to each of n jobs. */
uint64_t sim_group_slack(const struct sim *g, uint64_t n);

#endif
