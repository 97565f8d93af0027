/*
 * Shaping by provider: which destinations share limits, what their replies mean, and how the limits
 * fall and grow (shape.h). Groups of the queue carry it out: a number is a provider of the
 * configuration, for as long as that has one of its name; or a destination of its own, from a reply
 * that a rule for everyone fits until all is as before.
 *
 * A destination belongs to the first provider that names it, else to the first with a pattern that
 * its best MX host fits, which is known when its plan is made. Its connections are counted on one
 * lane, idle ones among them (conn_group.h): so no more are open than there may be.
 *
 * Threads: the courier's. Memory: a provider's state and rules when settings come, and for a
 * destination of its own, at most QUEUE_GROUP_MAX in all.
 */
#ifndef COURIER_SHAPE_H
#define COURIER_SHAPE_H

#include "delivery.h"
#include "kept.h"
#include "queue.h"
#include "shape.h"

struct courier;
struct courier_plan;
struct courier_request;
struct conf_provider;
struct plan_target;
struct shape_stored;

#define COURIER_RULE_MAX  64
#define COURIER_CAUSE_MAX 100

struct courier_provider {
    char name[QUEUE_DESTINATION_MAX + 1];
    const struct conf_provider *conf; /* of this pass's settings; NULL: a destination of its own */
    struct shape_rule *rules;         /* owned; of conf */
    uint32_t rule_cnt;
    uint64_t rcpt_gap_ns;
    struct shape_state state;
    /* The last reply that a rule fitted: */
    char rule[SHAPE_RULE_TEXT_CAP];
    char cause[COURIER_CAUSE_MAX];
    uint64_t wall_ns;
};

struct courier_shape {
    struct courier_provider *provider[QUEUE_GROUP_MAX]; /* by group; NULL: none */
    uint32_t cnt, conf_cnt;
    struct shape_rule builtin[COURIER_RULE_MAX];
    uint32_t builtin_cnt;
    uint64_t due_ns; /* something grows; BASE_NS_NONE: nothing has fallen */
    bool changed;    /* what is worth keeping */
    uint64_t told_ns;
    struct kept text; /* to control */
};

int courier_shape_init(struct courier *c) BASE_WARN_UNUSED;
void courier_shape_fini(struct courier *c);
/* The settings are others. Before queue_configure. */
void courier_shape_configure(struct courier *c);
/* queue_config's group; user: the courier. */
uint32_t courier_shape_group(void *user, struct base_span name, uint32_t group);

/* The provider with that name, 0: none; and the name of one. */
uint32_t courier_shape_find(const struct courier *c, struct base_span name);

/* The configured provider that a next hop of the plan is of; NULL: of none. */
const char *courier_shape_receiver(const struct courier *c, const struct courier_plan *p,
                                   const struct plan_target *target);

/* Its plan is made and it is about to go: takes it into its group, with what the lane has to know.
 * Returns false when the group has no place for it now: it is to be put back. One that carries no
 * message (a probe, a verification) takes no place of the queue's; its connection counts. */
bool courier_shape_begin(struct courier *c, struct delivery *d) BASE_WARN_UNUSED;
/* Makes d's policy one of its group, where connections are counted: these are its own. */
void courier_shape_fill(struct delivery *d);
/* A lane has given it back. Returns true when it has gone out again, by a rule's "retry". */
bool courier_shape_result(struct courier *c, struct delivery *d);

/* Growth; returns whether there was any. */
uint32_t courier_shape_pass(struct courier *c);
uint64_t courier_shape_deadline(const struct courier *c);

/* ---- over a restart (courier_shape_kept.c) ---- */

/* Each pass: limits that fell, and waits, go to control some seconds after they changed. */
void courier_shape_tell(struct courier *c);
uint64_t courier_shape_tell_ns(const struct courier *c); /* when */
/* Control's: NULL, or a text that is its own. */
struct kept_text *courier_shape_take(struct courier *c);
/* The courier has stopped: what is not taken yet; NULL: nothing. */
struct kept_text *courier_shape_rest(struct courier *c, uint64_t now_ns, uint64_t wall_ns);
/* What was kept, before the courier runs. Returns how many lines were none. */
uint32_t courier_shape_load(struct courier *c, struct base_span text, uint64_t now_ns,
                            uint64_t wall_ns);
/* courier_shape.c: the group is as it was; one that the configuration no longer has is forgotten.
 */
void courier_shape_restore(struct courier *c, const struct shape_stored *s);

/* Of an operator's resume: what fell is as before. */
void courier_shape_forget(struct courier *c, uint32_t group);

#endif
