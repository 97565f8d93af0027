/*
 * What the simulation of the queue (sim_queue.c) knows of each message apart from the queue, and
 * the comparison of the two.
 *
 * Clocks: run_ns is the time that queues ran in sum, true_ns that and downtime; now_ns is what the
 * queue of this run is shown; wall_ns is true_ns by a clock that is set to anything.
 */
#ifndef SIM_QUEUE_LEDGER_H
#define SIM_QUEUE_LEDGER_H

#include "base_rand.h"
#include "base_time.h"
#include "queue.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define S   BASE_NS_S
#define H   (3600 * S)
#define DAY (24 * H)

enum {
    MESSAGE_MAX = 4096,
    RECIPIENT_MAX = 130, /* of a message: more than a job has */
    DOMAIN_MAX = 1024,
    KEY_MAX = 2 * DOMAIN_MAX, /* domains; then the hops that pairs of them share */
    SENDER_MAX = 6,
    OUT_MAX = 128,
    GROUP_CNT = 4, /* number 0 is none */
    START_CNT = 16,
};

/* What is set of a group of destinations, and its last jobs (sim_queue_group.h). */
struct sim_start {
    uint64_t now_ns;
    uint32_t rcpt_cnt;
};
struct sim_group {
    struct queue_group_limits limits;
    bool suspended;
    uint64_t pause_ns; /* by now_ns */
    struct sim_start start[START_CNT];
    uint32_t start_cnt;
};

struct recipient {
    uint64_t due_ns; /* by run_ns: has to have its turn from then on */
    struct spool_outcome journal;
    uint16_t domain;
    uint8_t state;
    bool out;
};

struct message {
    struct spool_id id;
    struct recipient *to;
    uint64_t born_run_ns, born_true_ns;
    uint64_t arrival_wall_ns;
    uint64_t starts; /* of queues, then */
    uint32_t cnt;
    uint8_t sender;
    bool live, held, damaged;
    bool over; /* its FREE is on its way: nothing is to come of it */
};

struct out {
    struct queue_job job;
    uint64_t end_ns; /* run_ns */
    uint64_t epoch;
    uint32_t key;
    bool counts; /* takes a place */
};

struct sim {
    uint64_t seed;
    struct base_rand rand;
    struct queue *q;
    struct queue_config config;
    uint64_t backoff_max_ns, lifetime_max_ns; /* the largest that were set in this seed */
    uint64_t now_ns, run_ns, true_ns;
    int64_t wall_off_ns;
    uint64_t start_cnt, epoch; /* epoch: a start or a jump seen begins one */
    uint32_t message_cnt;      /* live */
    struct message messages[MESSAGE_MAX];
    struct out out[OUT_MAX];
    uint32_t out_cnt;
    uint32_t domain_cnt, dead_cnt; /* the first so many never answer */
    bool flood, calm;              /* calm: the wall clock tells the truth */
    bool pairs;                    /* destinations are hops of two domains */
    uint8_t kind[KEY_MAX];
    bool draining;
    uint64_t fair_ns;           /* turns are counted from then on */
    uint64_t since_ns[KEY_MAX]; /* answered, by run_ns */
    bool answered[KEY_MAX];     /* in this run, and its last job was */
    uint64_t tried[KEY_MAX];    /* epoch of the last attempt that failed to be answered */
    uint32_t open[KEY_MAX][SENDER_MAX], peak[KEY_MAX][SENDER_MAX];
    bool grouped, grouped_live; /* there are groups; in a flood, of those that answer, too */
    struct sim_group group[GROUP_CNT];
    uint32_t suspended_key; /* a destination by its name: key + 1; 0: none */
    char suspended_name[16];
    /* Of all seeds: */
    uint64_t added, delivered, failed, expired, deleted, jobs, jumps, audits, longest_wait_ns,
        group_jobs, group_waits, suspended_jobs;
};

#define CHECK(x, ...)                                                                              \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            printf("FAILED seed %llu at %llu s: %s: ", (unsigned long long)g->seed,                \
                   (unsigned long long)(g->run_ns / S), #x);                                       \
            printf(__VA_ARGS__);                                                                   \
            printf("\n");                                                                          \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static inline uint64_t below(struct sim *g, uint64_t n)
{
    return base_rand_below(&g->rand, n);
}
static inline uint64_t wall(const struct sim *g)
{
    return g->true_ns + (uint64_t)g->wall_off_ns;
}
static inline uint32_t key_of(const struct sim *g, uint32_t domain)
{
    return g->pairs ? DOMAIN_MAX + domain / 2 : domain;
}
static inline bool is_open(const struct recipient *r)
{
    return r->state == SPOOL_OUTCOME_QUEUED || r->state == SPOOL_OUTCOME_DEFERRED;
}
static inline uint64_t backoff_longest(const struct sim *g)
{
    return g->backoff_max_ns + g->backoff_max_ns / 8 + S;
}

/* The queue's callback: "d7", or "hop3". */
size_t ledger_destination(void *user, struct base_span domain, uint8_t out[QUEUE_DESTINATION_MAX]);

/* A message in a free slot, for the queue and the ledger; false: there is no slot. flow: what it
 * is; NULL: any. */
struct ledger_flow {
    uint8_t sender;
    uint16_t domain;
};
bool ledger_arrive(struct sim *g, const struct ledger_flow *flow);
/* What the journal tells of the message goes to the queue. */
void ledger_give(struct sim *g, struct message *m);
/* It is no more. */
void ledger_forget(struct sim *g, struct message *m);

/* The queue's numbers and lists against the ledger's. */
void ledger_audit(struct sim *g);
/* Memory of a queue without messages. */
void ledger_empty(struct sim *g);

#endif
