/*
 * MTA-STS in a simulated world: policies that come, change their minds, cannot be fetched, and
 * hosts that are late, broken or silent, as when the process that fetches dies; and what is kept of
 * them over a power failure. By seed; in virtual time. No next hop of that world has TLS: so while
 * a policy is enforced nothing may arrive, and everything when that is over.
 */
#ifndef SIM_STS_H
#define SIM_STS_H

#include "courier.h"
#include "https_table.h"
#include "resolver_table.h"

struct sim_sts;

struct sim_sts_counts {
    uint64_t fetched_cnt, failed_cnt, invalid_cnt, held_cnt, kept_cnt, restored_cnt;
};

/* bad: with troubles, and policies that are enforced, until sim_sts_calm. jumps: the wall clock is
 * set to other times, and nothing is to be said of what lapses when. */
struct sim_sts *sim_sts_open(uint64_t seed, bool bad, bool jumps);
void sim_sts_close(struct sim_sts *s);

/* A gateway begins, with what was kept; and ends, its courier being gone. */
void sim_sts_start(struct sim_sts *s, struct courier *c, struct resolver_table *names,
                   uint64_t wall_ns);
void sim_sts_end(struct sim_sts *s);

/* Each pass of the gateway: changes policies now and then, takes what is to be kept. Returns what
 * is wrong, or NULL. */
const char *sim_sts_pass(struct sim_sts *s, uint64_t now_ns, uint64_t wall_ns);
uint64_t sim_sts_deadline(const struct sim_sts *s);

/* From now on hosts answer, and nothing is enforced any more once it is fetched or lapses. */
void sim_sts_calm(struct sim_sts *s);

/* Adds what the gateway has counted, before it ends. */
void sim_sts_count(struct sim_sts *s, struct sim_sts_counts *counts);

#endif
