/*
 * The queue's inside.
 *
 * A message is one block of the arena: struct queue_message, an item for each recipient, then the
 * texts. An item is in one place at a time, so its links serve all of them:
 *
 *     NONE   over (delivered, failed), in a job, or of a message that is held or deleted
 *     TIMED  in a heap of its destination until it is due: OWN when its own back-off says so, DOWN
 *            when the destination did not answer, so that it is due as soon as one answers
 *     READY  due: with its destination, by sender (queue_ready.c)
 *
 * queue_message.c knows blocks and texts, queue_index.c the order by id, queue_heap.c order by
 * time, queue_ready.c order among what is due at one destination, queue_destination.c destinations
 * and their answers, queue_turn.c whose turn it is, queue_place.c moves items from place to place,
 * queue_group.c groups, queue_time.c clocks, queue_alarm.c ages, queue_words.c what was said,
 * queue_status.c codes, queue_job.c jobs, queue_operator.c what an operator sees and does.
 */
#ifndef QUEUE_INTERNAL_H
#define QUEUE_INTERNAL_H

#include "base_list.h"
#include "base_rand.h"
#include "queue.h"
#include "queue_heap.h"
#include "queue_time.h"

enum queue_place { QUEUE_PLACE_NONE, QUEUE_PLACE_TIMED, QUEUE_PLACE_READY };
enum queue_heap_kind { QUEUE_HEAP_OWN, QUEUE_HEAP_DOWN, QUEUE_HEAP_CNT };

struct queue_ready_links {
    uint32_t next, prev;  /* round, among items of one sender */
    uint32_t left, right; /* the first of them: in the tree of senders */
};

/* One recipient. Others than the courier read text alone. */
struct queue_item {
    union {
        struct queue_node timed;
        struct queue_ready_links ready;
    };
    uint32_t destination; /* QUEUE_NO_DESTINATION: delivered */
    uint32_t text;        /* offset in the block; never changes */
    uint32_t index : 22;  /* in the envelope */
    uint32_t state : 2;   /* enum spool_outcome_state */
    uint32_t place : 2;
    uint32_t heap : 1;   /* TIMED: which one */
    uint32_t first : 1;  /* READY: of its sender */
    uint32_t active : 1; /* in a job */
    uint32_t pad : 3;
    uint16_t status;      /* its codes (queue_status.c) */
    uint16_t attempt_cnt; /* stays at its largest value */
};
base_static_assert(sizeof(struct queue_item) == 2 * QUEUE_STEP_BYTES, "two handles each");
#define QUEUE_NO_DESTINATION 0

struct queue_words;

struct queue_message {
    struct queue_node clock; /* when its age matters next */
    struct spool_id id;
    uint32_t left, right; /* a treap by id */
    uint64_t sender_hash; /* what fairness takes for the sender */
    int64_t born_ns;      /* now_ns - age */
    uint64_t arrival_wall_ns;
    uint64_t content_bytes;
    struct queue_words *words; /* NULL: none */
    uint32_t words_recipient;
    uint32_t recipient_cnt;
    uint32_t open_cnt; /* neither delivered nor failed */
    uint32_t active_cnt;
    uint32_t handle, steps; /* of the block */
    uint8_t ret : 2;        /* these never change */
    uint8_t body_8bit : 1;
    uint8_t smtputf8 : 1;
    uint8_t requiretls : 1;
    uint8_t tls_optional : 1;
    uint8_t has_envid : 1;
    uint8_t has_client : 1;
    uint8_t warned;      /* enum queue_warned; apart, so that lanes may read the bits above */
    uint8_t damaged : 1; /* bytes of it are lost */
    uint8_t held : 1;    /* by the operator: not due */
    uint8_t deleted : 1; /* its FREE is on its way */
    uint8_t alarmed : 1; /* clock is in its heap */
    _Alignas(QUEUE_STEP_BYTES) struct queue_item items[];
};
base_static_assert(sizeof(struct queue_message) % QUEUE_STEP_BYTES == 0, "items have handles");
#define QUEUE_MESSAGE_STEPS (sizeof(struct queue_message) / QUEUE_STEP_BYTES)

/* Of a delay: not yet; a job that is out is to tell; told. */
enum queue_warned { QUEUE_WARNED_NOT, QUEUE_WARNED_JOB, QUEUE_WARNED };

/* Where a destination stands, and a job's places are counted. */
enum queue_standing {
    QUEUE_STANDING_ANSWERS, /* its last job was answered */
    QUEUE_STANDING_NEW,     /* none has come back */
    QUEUE_STANDING_FAILING,
    QUEUE_STANDING_CNT,
    QUEUE_STANDING_NONE = QUEUE_STANDING_CNT /* of jobs that take no place */
};

/* What stands in a ring of those that have turns: a destination, or a group in place of its own. */
struct queue_turn {
    struct base_list node;
    bool is_group;
};

struct queue_destination {
    struct queue_turn turn; /* with due mail and a place, or among the idle ones */
    struct queue_destination *hash_next;
    uint64_t hash;
    uint64_t aside_until_ns; /* while aside */
    uint64_t due_ns;         /* something is to be done; BASE_NS_NONE: nothing */
    uint64_t cursor;         /* sender_hash that was served last */
    uint32_t heap_at;        /* QUEUE_HEAP_NONE: not in it */
    uint32_t index;
    uint32_t ready;                 /* the tree's root */
    uint32_t timed[QUEUE_HEAP_CNT]; /* roots */
    uint32_t item_cnt;              /* that refer to it */
    uint32_t state_cnt[4];          /* of them, by enum spool_outcome_state */
    uint32_t held_cnt;              /* of them, not failed */
    uint32_t job_cnt;               /* out */
    uint32_t window;                /* jobs that may be out */
    uint32_t credit;                /* answers since the window changed */
    uint16_t epoch;    /* of the clock, when the last that failed began; 0: none since an answer */
    uint8_t fail_cnt;  /* in a row */
    uint8_t aside_cnt; /* times set aside in a row */
    uint8_t standing;
    uint8_t ring_standing; /* whose ring it is in */
    bool idle;             /* without item or job */
    bool aside;
    bool hurry; /* it answers again: what is DOWN is due */
    bool suspended;
    uint8_t group;      /* 0: none */
    uint8_t ring_group; /* in whose ring it is; 0: in the queue's, or in none */
    uint16_t key_len;
    uint8_t key[];
};
#define QUEUE_HEAP_NONE UINT32_MAX

/* Destinations with limits of their own for all of them (queue_group.c). In the queue's ring of a
 * standing while it may have a job and has destinations of that standing in its own. */
struct queue_group {
    struct queue_turn turn[QUEUE_STANDING_CNT];
    struct base_list ring[QUEUE_STANDING_CNT]; /* destinations */
    uint32_t ring_cnt[QUEUE_STANDING_CNT];
    uint32_t left[QUEUE_STANDING_CNT]; /* of them, with a job still to come in this turn */
    struct base_list waiting;          /* in the queue's list of those that wait for open_ns */
    struct queue_group_limits limits;
    uint64_t pause_ns;                  /* no job before */
    uint64_t job_next_ns, rcpt_next_ns; /* when the next one were due at an even pace */
    uint32_t destination_cnt, job_cnt;
    bool suspended;
};

/* What a recipient was told. */
struct queue_status {
    uint32_t enhanced;
    uint32_t user_cnt; /* recipients */
    uint16_t code;
    uint16_t next;
};
#define QUEUE_STATUS_CHAINS 256

struct queue {
    struct queue_config config;
    struct base_rand rand;
    uint8_t hash_key[16];
    struct queue_clock clock;
    struct queue_arena arena;
    uint32_t root;  /* by id */
    uint32_t alarm; /* heap of messages by clock */
    uint64_t message_cnt;
    struct queue_usage usage; /* of recipients */
    uint64_t bytes;           /* beside the arena's */
    /* Destinations: by number (0 is none), by name, by due_ns. */
    struct queue_destination **destinations;
    uint32_t destination_cnt, destination_cap, destination_free; /* a hint: none below is free */
    uint32_t destination_live;
    struct queue_destination **by_name;
    uint32_t by_name_cap; /* power of two */
    struct queue_destination **heap;
    uint32_t heap_cnt;
    struct base_list ring[QUEUE_STANDING_CNT];
    uint32_t job_cnt[QUEUE_STANDING_CNT];
    struct queue_group *group[QUEUE_GROUP_MAX]; /* NULL: none */
    struct base_list group_waiting;             /* for a time */
    uint64_t group_due_ns;                      /* the first of these times, or earlier */
    struct base_list idle;                      /* destinations, the longest idle first */
    uint32_t idle_cnt;
    uint32_t turn;     /* the standing served last */
    uint32_t owed_cnt; /* turns that are those' which answer (queue_turn.c) */
    uint64_t aside_cnt;
    struct queue_words **words;
    uint32_t words_cap; /* power of two */
    uint32_t words_cnt;
    struct queue_status *statuses;
    uint32_t status_cap;
    uint16_t status_cnt;  /* that were ever used */
    uint16_t status_free; /* a chain, as those by value: numbers from 1, 0 ends it */
    uint16_t status_by[QUEUE_STATUS_CHAINS];
};

/* malloc, counted. */
void *queue_alloc(struct queue *q, size_t bytes);
void queue_free(struct queue *q, void *p, size_t bytes);

static inline struct queue_item *queue_item_at(const struct queue *q, uint32_t handle)
{
    return queue_arena_at(&q->arena, handle);
}
static inline struct queue_message *queue_message_at(const struct queue *q, uint32_t handle)
{
    return queue_arena_at(&q->arena, handle);
}
static inline struct queue_message *queue_message_of(struct queue_item *item)
{
    return base_container_of(item - item->index, struct queue_message, items);
}
static inline uint32_t queue_item_handle(const struct queue_message *m,
                                         const struct queue_item *item)
{
    return m->handle + (uint32_t)(QUEUE_MESSAGE_STEPS + 2 * (size_t)item->index);
}
static inline struct queue_destination *queue_item_destination(const struct queue *q,
                                                               const struct queue_item *item)
{
    return item->destination == QUEUE_NO_DESTINATION ? NULL : q->destinations[item->destination];
}
static inline uint64_t queue_message_age(const struct queue *q, const struct queue_message *m)
{
    int64_t age = (int64_t)q->clock.now_ns - m->born_ns;
    return age < 0 ? 0 : (uint64_t)age;
}

/* ---- queue_message.c ---- */

/* A message of a checked arrival in a block of its own, its items in no place and without
 * destination. NULL without memory. */
struct queue_message *queue_message_make(struct queue *q, const struct spool_id *id,
                                         const struct spool_arrival *a);
void queue_message_free(struct queue *q, struct queue_message *m);
struct base_span queue_message_sender(const struct queue_message *m);
struct base_span queue_message_envid(const struct queue_message *m);

/* ---- queue_index.c ---- */

struct queue_message *queue_index_find(const struct queue *q, const struct spool_id *id);
void queue_index_add(struct queue *q, struct queue_message *m);
void queue_index_remove(struct queue *q, struct queue_message *m);
/* A walk in order of id; the tree does not change meanwhile. */
#define QUEUE_WALK_MAX 96
struct queue_walk {
    uint32_t stack[QUEUE_WALK_MAX];
    uint32_t cnt;
    bool cut; /* deeper than the stack: it begins anew from the last id */
};
void queue_walk_begin(const struct queue *q, struct queue_walk *w, const struct spool_id *after);
struct queue_message *queue_walk_next(const struct queue *q, struct queue_walk *w);

/* ---- queue_ready.c ---- */

void queue_ready_push(struct queue *q, struct queue_destination *d, uint32_t handle);
void queue_ready_remove(struct queue *q, struct queue_destination *d, uint32_t handle);
/* The first item of the sender whose turn it is; 0: there is none. */
uint32_t queue_ready_first(const struct queue *q, const struct queue_destination *d);

/* ---- queue_destination.c, queue_turn.c ---- */

/* The destination of a domain, made if need be. NULL without memory. */
struct queue_destination *queue_destination_get(struct queue *q, struct base_span domain);
/* By its name, in any case of letters; made if need be, with make. */
struct queue_destination *queue_destination_named(struct queue *q, struct base_span name,
                                                  bool make);
void queue_destination_free(struct queue *q, struct queue_destination *d);
/* Its items or jobs have become some, or none: the longest idle one may be freed. */
void queue_destination_idle(struct queue *q, struct queue_destination *d);
/* What it has or may do has changed: puts it into the ring and the heap where it belongs. */
void queue_destination_schedule(struct queue *q, struct queue_destination *d);
/* A job came back; epoch: in which it began. */
void queue_destination_answered(struct queue *q, struct queue_destination *d);
void queue_destination_failed(struct queue *q, struct queue_destination *d, uint16_t epoch);
void queue_destination_wake(struct queue *q, struct queue_destination *d);
/* Ends waiting that is over, for a bounded number of items. */
void queue_destination_advance(struct queue *q);
/* Whose turn it is; NULL: nobody's. */
struct queue_destination *queue_destination_turn(struct queue *q);
/* True when there is one. */
bool queue_destination_any(const struct queue *q);

/* ---- queue_group.c ---- */

/* A destination comes into the ring of its standing, its group's or the queue's, or leaves it. */
void queue_ring_enter(struct queue *q, struct queue_destination *d);
void queue_ring_leave(struct queue *q, struct queue_destination *d);
/* The destination whose turn it is in the group; the group's turn ends with its last. */
struct queue_destination *queue_group_turn(struct queue *q, struct queue_turn *t,
                                           uint32_t standing);
/* Its jobs have become one more, or fewer; a job of so many recipients begins. */
void queue_group_count(struct queue *q, const struct queue_destination *d, int sign);
void queue_group_take(struct queue *q, uint32_t group, uint32_t rcpt_cnt);
uint32_t queue_group_rcpt_max(const struct queue *q, const struct queue_destination *d);
/* The destination's group by the configuration, if that has another one. */
void queue_group_assign(struct queue *q, struct queue_destination *d);
/* The destination is freed. */
void queue_group_leave(struct queue *q, struct queue_destination *d);
/* Those whose time has come have turns again. */
void queue_group_advance(struct queue *q);
bool queue_destination_suspended(const struct queue *q, const struct queue_destination *d);
void queue_group_fini(struct queue *q);

/* ---- queue_place.c: the only ones that change place, state, destination and active ---- */

void queue_place_none(struct queue *q, struct queue_item *item);
void queue_place_timed(struct queue *q, struct queue_item *item, enum queue_heap_kind heap,
                       uint32_t tick);
void queue_place_ready(struct queue *q, struct queue_item *item);
/* Takes it into the counts (+1) or out of them (-1), of the queue and of its destination. */
void queue_place_count(struct queue *q, struct queue_item *item, int sign);
/* An idle open item of a message that is not held: TIMED until then, or READY. */
void queue_place_due(struct queue *q, struct queue_item *item, enum queue_heap_kind heap,
                     uint64_t due_ns);

/* ---- queue_alarm.c ---- */

/* The message is looked at then; or when its age matters next; or not any more. */
void queue_alarm_set(struct queue *q, struct queue_message *m, uint64_t due_ns);
void queue_alarm_next(struct queue *q, struct queue_message *m);
void queue_alarm_end(struct queue *q, struct queue_message *m);
/* Past its lifetime, or damaged. */
bool queue_message_old(const struct queue *q, const struct queue_message *m);
/* The job (set_aside) of a message whose time has come, and that waits for destinations set aside.
 */
bool queue_alarm_job(struct queue *q, struct queue_job *out);

/* ---- queue_job.c ---- */

/* A job of the message, without recipients; then an idle item goes into it. */
void queue_job_fill(struct queue *q, struct queue_job *out, struct queue_message *m);
void queue_job_take(struct queue *q, struct queue_job *job, struct queue_item *item);

/* ---- queue_status.c ---- */

uint16_t queue_status_code(const struct queue *q, const struct queue_item *item);
uint32_t queue_status_enhanced(const struct queue *q, const struct queue_item *item);
void queue_status_set(struct queue *q, struct queue_item *item, uint16_t code, uint32_t enhanced);
void queue_status_drop(struct queue *q, struct queue_item *item);
void queue_status_fini(struct queue *q);

/* ---- queue_words.c ---- */

struct queue_words {
    struct queue_words *next;
    uint32_t hash;
    uint32_t user_cnt;
    uint8_t len;
    uint8_t text[];
};
void queue_words_drop(struct queue *q, struct queue_message *m);
void queue_words_fini(struct queue *q);

#endif
