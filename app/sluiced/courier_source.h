/*
 * By which source a delivery leaves: the address that the lane connects from, and the name that it
 * says there in EHLO.
 *
 * Which may be used is the settings' (settings_source_candidates). Of these each message has an
 * order of its own by a hash of its id, in which sources stand first in proportion to their
 * weights; so a message keeps its source over retries, and what changes of one source moves no
 * other's messages. The first in that order is taken that has an address of the next hop's family,
 * is not set aside there and is not over its limit of the day (source_ledger.h). Where there is
 * none the message waits like one that was deferred.
 *
 * A reply that refuses the source for its reputation (settings_source_refused) sets it aside at
 * that site. The recipients that it was said of are tried again at once, by the next source, where
 * one may be used, whatever the reply's class; where none may, the reply counts as it stands.
 *
 * Threads: the courier's; the ledger's text goes to control by one pointer.
 */
#ifndef COURIER_SOURCE_H
#define COURIER_SOURCE_H

#include "conf.h"
#include "courier_source_names.h"
#include "delivery.h"
#include "kept.h"
#include "source_ledger.h"

struct courier;
struct courier_request;
struct courier_plan;
struct plan_target;
struct settings_route;
struct settings_source;

struct courier_sources {
    struct source_ledger ledger;
    uint64_t generation;              /* of the settings that number is of */
    uint32_t number[CONF_SOURCE_MAX]; /* in the ledger, by the settings' order; UINT32_MAX: none */
    uint64_t told_ns;                 /* when the last text was made */
    struct kept text;                 /* to control */
    struct courier_source_names names;
};

/* Why none may be used. */
struct courier_source_refusal {
    const char *enhanced;
    char words[DELIVERY_TEXT_MAX + 1];
};

int courier_sources_init(struct courier *c) BASE_WARN_UNUSED;
void courier_sources_fini(struct courier *c);

/* What an earlier run has left; before the first pass. Returns how many lines could not be read. */
uint32_t courier_sources_load(struct courier *c, struct base_span text, uint64_t now_ns,
                              uint64_t wall_ns);
/* The newest text, NULL: there is none since the last time. For control. */
struct kept_text *courier_sources_take(struct courier *c);
/* The courier has stopped: what it has not told yet. */
struct kept_text *courier_sources_rest(struct courier *c, uint64_t now_ns, uint64_t wall_ns);

/* Each pass; and when it wants the next. */
void courier_sources_pass(struct courier *c);
uint64_t courier_sources_deadline(const struct courier *c);

/* The source for d to that next hop: fills in d's, and counts its recipients. False: none may be
 * used, and why. */
bool courier_source_choose(struct courier *c, struct delivery *d,
                           const struct settings_route *route, const struct plan_target *target,
                           struct courier_source_refusal *why);
struct courier_source_choice {
    const struct settings_source *source;
    const struct net_addr *address; /* of the next hop's family */
    bool usable;
    uint32_t percent; /* of messages that go by it, by the weights of those that are usable */
    char why[DELIVERY_TEXT_MAX + 1];
};

/* What a message of one recipient, of a sender for whom there is no source apart, may leave by to
 * that next hop, those that are usable first; site becomes whose next hop it is. Returns how many
 * there are; 0: the route takes none, or the machine's own network leads there. */
uint32_t courier_source_choices(struct courier *c, const struct courier_plan *p,
                                const struct plan_target *target, char site[SOURCE_SITE_CAP],
                                struct courier_source_choice out[CONF_SOURCE_MAX]);

/* Makes d's policy one of its source. */
void courier_source_fill(const struct courier *c, struct delivery *d);

/* d is back, or could not be sent: what was not delivered is not counted, and a refusal of the
 * source is remembered. Returns whether there was one. */
bool courier_source_back(struct courier *c, struct delivery *d);
/* Recipients of a d that is back, and was not unattempted, that are refused for its source alone go
 * back into the queue, due now. Returns true when these are all: then d is the courier's again. */
bool courier_source_again(struct courier *c, struct delivery *d);

/* Its name; "" where it has none. */
const char *courier_source_name(const struct courier *c, const struct delivery *d);

/* ---- courier_source_list.c: the operator's view ---- */

void courier_source_list(struct courier *c, struct courier_request *r);
/* A word, "NAME" or "NAME@SITE", is released; "all" is every source. */
void courier_source_release(struct courier *c, struct courier_request *r);

#endif
