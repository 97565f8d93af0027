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

#include "base_list.h"
#include "courier_lane.h"
#include "delivery.h"
#include "queue.h"
#include "queue_filter.h"
#include "settings.h"
#include "topology.h"

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
    struct delivery *deliveries; /* all of them, owned */
    struct delivery *free;
    uint32_t delivery_cnt, active_cnt;
    uint32_t limit; /* of active_cnt, by the settings of the last pass */
    struct courier_lanes lanes;
    uint32_t write_cnt; /* journal entries, of all spools */
    /* Reports to senders: not begun; with something for the spooler; with the spooler. */
    struct base_list bounce_wait, bounce_todo, bounce_sent;
    uint32_t bounce_cnt;        /* begun */
    struct spool_buf_pool bufs; /* for their bytes and what they quote */
    uint8_t secret[16];         /* makes their boundaries, which nobody must guess */
    uint64_t random_cnt;
    uint32_t id_counter;
    uint64_t now_ns, wall_ns;
    struct courier_request *waiting; /* a delete, for the journal to have room */
    bool draining;                   /* starts no new deliveries */
};

enum courier_request_kind {
    COURIER_QUEUE_LIST,
    COURIER_QUEUE_STAT,
    COURIER_QUEUE_FLUSH,
    COURIER_QUEUE_HOLD,
    COURIER_QUEUE_RELEASE,
    COURIER_QUEUE_DELETE
};

/* STAT: undelivered recipients of one destination. */
#define COURIER_TALLY_MAX 128 /* destinations told apart; the rest is counted together */
enum {
    COURIER_TALLY_QUEUED,
    COURIER_TALLY_DEFERRED,
    COURIER_TALLY_FAILED,
    COURIER_TALLY_HELD,
    COURIER_TALLY_CNT
};
struct courier_tally {
    uint8_t domain[64]; /* cut there */
    uint32_t len;
    uint32_t cnt[COURIER_TALLY_CNT];
};

/* From control, answered in place and sent back; control owns it at both ends. */
struct courier_request {
    enum courier_request_kind kind;
    struct queue_filter filter;  /* views of control's line */
    struct spool_id after;       /* only those behind it */
    uint32_t uid;                /* who asks */
    uint64_t done_cnt, busy_cnt; /* over all pieces */
    struct courier_tally tally[COURIER_TALLY_MAX];
    uint32_t tally_cnt;
    char *text; /* the answer, lines; room for text_cap */
    size_t text_cap, text_len;
    bool more; /* a bound of one piece ended it; after is where to go on */
};

/* secret: from getrandom; in a simulation from its seed. Returns 0 or -ENOMEM. */
int courier_init(struct courier *c, struct topology *topology, struct settings_hub *hub,
                 const uint8_t secret[16]) BASE_WARN_UNUSED;
void courier_fini(struct courier *c);

/* Journals that a message which queue_delete took is over. Only while courier_may_delete. */
void courier_delete(struct courier *c, const struct spool_id *id);
bool courier_may_delete(const struct courier *c);

bool courier_pass(struct courier *c, uint64_t now_ns, uint64_t wall_ns);
uint64_t courier_deadline(const struct courier *c);

/* True when what the lanes have given back is journalled; deliveries may be out still. */
bool courier_settled(const struct courier *c);

/* True when no delivery is out and nothing waits to be journalled. */
bool courier_idle(const struct courier *c);

#endif
