/* The way through aliases, one address after the other. For this folder only. */
#ifndef POLICY_WALK_H
#define POLICY_WALK_H

#include "policy_tables.h"

#define POLICY_WALK_SLOTS (POLICY_TARGET_MAX * 2)

struct policy_node {
    struct base_span text; /* as it stands in a map, or as a pattern made it */
    uint16_t step;         /* aliases from the start */
    bool is_end;           /* an alias to itself: not asked again */
};

struct policy_walk {
    const struct policy_tables *tables;
    const struct policy_reading *reading;
    struct policy_work *work;
    const struct policy_key *start; /* borrowed */
    uint32_t max;
    uint32_t cnt, next; /* nodes in all; of the one that is looked at next */
    struct policy_hit hit;
    struct policy_node node[POLICY_TARGET_MAX];
    uint64_t seen[POLICY_WALK_SLOTS]; /* hashes; 0: free */
    uint16_t seen_node[POLICY_WALK_SLOTS];
};

/* The alias of one address, in the order that policy_tables.h tells. */
enum policy_found policy_find_alias(const struct policy_tables *t, const struct policy_reading *r,
                                    struct policy_work *w, const struct policy_key *address,
                                    struct policy_hit *hit);

/* A key of the lists of a role, in the order for owners and recipients; from map *from on, which is
 * left at the next one. */
enum policy_found policy_find_key(const struct policy_tables *t, const struct policy_reading *r,
                                  struct policy_work *w, enum policy_role role,
                                  const struct policy_key *address, uint32_t *from,
                                  struct policy_hit *hit);

enum policy_step {
    POLICY_STEP_END,   /* all has been looked at */
    POLICY_STEP_LEAF,  /* *key has no alias */
    POLICY_STEP_INNER, /* its targets wait to be looked at */
    POLICY_STEP_ERROR,
    POLICY_STEP_LIMIT,
};

void policy_walk_start(struct policy_walk *k, const struct policy_tables *t,
                       const struct policy_reading *r, struct policy_work *w,
                       const struct policy_key *start, uint32_t max);
/* Looks at the next address: *node, whose key is *key. k->hit is its alias, or where it went wrong.
 */
enum policy_step policy_walk_next(struct policy_walk *k, struct policy_key *key,
                                  const struct policy_node **node);

/* The walk that belongs to the work area. */
struct policy_walk *policy_work_walk(struct policy_work *w);
/* A copy that lives until policy_work_reset; NULL: the area is full. */
const uint8_t *policy_work_keep(struct policy_work *w, struct base_span bytes);

#endif
