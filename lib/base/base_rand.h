/*
 * A seeded generator (xoshiro256**, seeded by splitmix64) for what needs to be spread, not secret:
 * simulations, back-off jitter, round robin. Secrets come from the caller, who has getrandom(2).
 * One thread for each state.
 */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include <stdint.h>

struct base_rand {
    uint64_t s[4];
};

void base_rand_init(struct base_rand *r, uint64_t seed);
uint64_t base_rand_next(struct base_rand *r);

/* Uniform in [0, bound); bound > 0. The bias is below 2^-32 for bounds under 2^32. */
uint64_t base_rand_below(struct base_rand *r, uint64_t bound);

#endif
