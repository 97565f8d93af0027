/*
 * What the operator asks of a destination's next hops: the word of the route and the level of the
 * destination, in a copy of their own, as settings may change while a delivery is out; and what a
 * delivery carries beside its requirement, which its plan makes of this and of what the DNS says
 * (courier_plan_end.c).
 *
 * Threads: the courier's. Memory: one malloc where there are texts.
 */
#ifndef COURIER_REQUIREMENT_H
#define COURIER_REQUIREMENT_H

#include "dane_requiretls.h"
#include "delivery.h"
#include "settings.h"

struct courier;

struct courier_requirement {
    uint8_t level; /* enum dane_level */
    bool implicit; /* TLS from the first byte */
    bool lenient;  /* what can not be proved is done without */
    uint8_t keep;  /* enum dane_keep */
    const char **names;
    uint32_t name_cnt;
    struct base_span *fingerprints;
    uint32_t fingerprint_cnt;
    void *texts; /* owned */
};

/* For mail to the domain by the route. Returns 0 or -ENOMEM. */
int courier_requirement_init(struct courier_requirement *q, const struct settings *s,
                             const struct settings_route *route,
                             struct base_span domain) BASE_WARN_UNUSED;
void courier_requirement_fini(struct courier_requirement *q);

/* Tells destinations apart whose mail goes the same way, but whose next hops have to prove other
 * things: the name of the destination's block, or the domain's own, which key has; empty: all the
 * others. */
struct base_span courier_requirement_group(const struct settings *s,
                                           const struct settings_route *route,
                                           struct base_span domain, const struct policy_key *key);

/* d has its job and its requirement: sets what stands beside it, the login that the next hop wants,
 * and d->policy. */
void courier_requirement_fill(const struct courier *c, struct delivery *d,
                              const struct settings_route *route);

#endif
