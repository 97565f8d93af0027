/*
 * The courier: takes messages that the spool has made durable, asks the queue what is due, finds
 * the next hop by the route table, hands deliveries to lanes, journals their outcomes and frees
 * what is finished.
 *
 * A message leaves the spool only by FREE, and FREE is written only when every recipient was
 * delivered or has failed for good with the report to the sender durable (courier_bounce.h).
 * Outcomes are journalled soon after the remote's 250 (promise G4); a journal write that
 * fails is tried again until it holds.
 *
 * Threads: courier_pass by its own thread; control talks to it by requests through two rings.
 */
#ifndef COURIER_H
#define COURIER_H

#include "base_limit.h"
#include "base_list.h"
#include "courier_age.h"
#include "courier_lane.h"
#include "courier_plan.h"
#include "courier_request.h"
#include "courier_source.h"
#include "courier_sts.h"
#include "courier_shape.h"
#include "courier_suspend.h"
#include "courier_verify.h"
#include "delivery.h"
#include "https.h"
#include "queue.h"
#include "settings.h"
#include "tlsrpt_counts.h"
#include "topology.h"

/* The operator's changes: the first is under way (courier_command.c). */
struct courier_changes {
    struct courier_request_list requests;
    bool walked;        /* all that it means was looked at */
    uint32_t number;    /* its own; journal entries carry it */
    uint32_t write_cnt; /* of these, not durable yet */
    uint64_t end_ns;    /* it is answered then, whatever is not durable; 0: not begun */
};

/* Messages read for the operator: the first is under way (courier_cat.c). */
struct courier_cat {
    struct courier_request_list requests;
    struct spool_buf *buf; /* of bufs; NULL: nothing is with the spooler */
};

/* One spool's side: journal entries not yet in the ring, in order; with the spooler; failed, to be
 * pushed again at retry_ns. A spool that fails holds up no other. */
struct courier_spool {
    struct rte_ring *to, *from;
    struct base_list outbox, sent, retry;
    uint64_t retry_ns;
    uint32_t write_cnt; /* in all three */
};

struct courier {
    struct topology *topology;
    struct settings_hub *hub;
    const struct settings *settings; /* of this pass */
    uint64_t generation;             /* of the settings that the queue has */
    struct queue *queue;
    struct courier_spool spool[TOPOLOGY_SPOOL_MAX];
    struct stats_block *stats;
    struct stats_log log;
    struct delivery *deliveries; /* CONF_DELIVERIES_MAX, owned */
    struct delivery *free;       /* of the first delivery_cnt, which have been used */
    uint32_t delivery_cnt, active_cnt;
    uint32_t limit;             /* of active_cnt, by the settings of the last pass */
    struct base_limit host_log; /* lines about hosts that others followed */
    struct courier_lanes lanes;
    struct courier_plans plans;
    uint32_t write_cnt; /* journal entries, of all spools */
    /* Reports to senders: not begun; with something for the spooler; with the spooler. */
    struct base_list bounce_wait, bounce_todo, bounce_sent;
    uint32_t bounce_cnt;        /* begun */
    struct spool_buf_pool bufs; /* for their bytes and what they quote */
    uint8_t secret[16];         /* makes their boundaries, which nobody must guess */
    uint64_t random_cnt;
    uint32_t id_counter;
    uint64_t now_ns, wall_ns;
    uint64_t started_wall_ns; /* what is older was here before */
    struct courier_changes changes;
    struct courier_cat cat;
    struct courier_verify verify;
    struct courier_age age;
    struct courier_sts sts;
    struct https https; /* fetches policies, sends reports */
    struct courier_sources sources;
    struct courier_shape shape;
    struct courier_suspensions suspensions;
    struct tlsrpt_counts *tlsrpt; /* since control has asked last; NULL: nothing is counted */
    bool draining;                /* starts no new deliveries */
};

/* secret: from getrandom; in a simulation from its seed. Returns 0 or -ENOMEM. */
int courier_init(struct courier *c, struct topology *topology, struct settings_hub *hub,
                 const uint8_t secret[16]) BASE_WARN_UNUSED;
void courier_fini(struct courier *c);

/* Journals an operator's change: OUTCOME, or FREE of what queue_delete took. Counted in changes.
 * Only while courier_may_change, but for what one piece of work changes. */
void courier_change(struct courier *c, const struct spool_id *id, enum spool_op op,
                    const struct spool_outcome *outcomes, uint32_t cnt);
bool courier_may_change(const struct courier *c);

bool courier_pass(struct courier *c, uint64_t now_ns, uint64_t wall_ns);
uint64_t courier_deadline(const struct courier *c);

/* True when what the lanes have given back is journalled; deliveries may be out still. */
bool courier_settled(const struct courier *c);

/* True when no delivery is out and nothing waits to be journalled. */
bool courier_idle(const struct courier *c);

#endif
