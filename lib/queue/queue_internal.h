/* The queue's inside, shared by queue.c (jobs) and queue_index.c (order by id, order by time). */
#ifndef QUEUE_INTERNAL_H
#define QUEUE_INTERNAL_H

#include "base_rand.h"
#include "base_time.h"
#include "queue.h"

#define QUEUE_HEAP_NONE UINT32_MAX

struct queue_recipient_state {
    uint64_t due_ns; /* BASE_NS_NONE: never (delivered or failed) */
    uint32_t offset; /* of the text in the envelope */
    uint16_t len;
    bool active; /* in a job */
};

/* What was said last about the message; for lists. */
struct queue_words {
    uint32_t recipient;
    uint8_t len;
    uint8_t text[QUEUE_WORDS_MAX];
};

struct queue_message {
    struct spool_id id;
    struct queue_message *left; /* a treap by id */
    struct queue_message *right;
    uint64_t priority;
    uint64_t due_ns; /* the earliest of its idle recipients */
    uint32_t heap_at;
    uint32_t active_cnt;
    struct spool_arrival *arrival; /* owned; outcomes are kept up to date in it */
    struct base_span sender;
    uint64_t arrival_wall_ns;
    uint32_t envid_offset; /* in the envelope */
    uint8_t envid_len;
    uint8_t ret;
    bool body_8bit;
    bool damaged; /* bytes of it are lost */
    bool smtputf8;
    bool held;                 /* by the operator: not due */
    bool deleted;              /* its FREE is on its way */
    struct queue_words *words; /* owned; NULL: none */
    struct queue_recipient_state recipients[];
};

struct queue {
    struct queue_config config;
    struct base_rand rand;
    struct queue_message *root;
    struct queue_message **heap; /* messages with a due time, earliest first */
    uint32_t heap_cnt;
    uint32_t heap_cap;
    uint64_t message_cnt;
    struct queue_usage usage; /* of recipients */
};

struct queue_message *queue_index_find(const struct queue *q, const struct spool_id *id);
/* The first message after id, or NULL. */
struct queue_message *queue_index_next(const struct queue *q, const struct spool_id *id);
void queue_index_add(struct queue *q, struct queue_message *m);
void queue_index_remove(struct queue *q, struct queue_message *m);

/* Makes room for one more message. Returns 0 or -ENOMEM. */
int queue_heap_reserve(struct queue *q) BASE_WARN_UNUSED;
/* Puts the message where its due_ns belongs; out, when that is BASE_NS_NONE. */
void queue_heap_set(struct queue *q, struct queue_message *m);

#endif
