/*
 * The delivery queue: which message is due for which recipients, to which destination, retry with
 * exponential back-off. In memory; the spool is what survives. It decides when and for whom, never
 * how.
 *
 * A destination is what the caller names for a domain (a next hop, say): domains of one name share
 * it. A job is one delivery attempt: one message, those of its due recipients that share a
 * destination, at most QUEUE_JOB_RCPT_MAX. A recipient is in at most one job. A recipient may be
 * made FAILED (5xx, or lifetime over) only when its sender has been told or need not be: the caller
 * sees to that.
 *
 * Whose turn it is: destinations with due mail and a free place go round, within a destination the
 * senders do. A destination has QUEUE_WINDOW_START places after its first answer, one more for each
 * full round of answers up to destination_max, one less for each failure to answer. After
 * QUEUE_FAILS_MAX failures in a row it is set aside: nothing goes there until its own back-off is
 * over, then one job that tries; when that is answered its mail goes out. Destinations that have
 * not answered yet have at most three quarters of job_max, those that failed last a quarter, so
 * that connections which only wait for a timeout leave room for those that carry mail.
 *
 * Age is running time, by now_ns, which no change of the wall clock touches: what the journal tells
 * of earlier runs, and downtime by the wall clock as far as that is plausible (at most half of a
 * lifetime for each start). Nothing expires but by the failure of an attempt begun after the start,
 * and after the last jump of the wall clock of over an hour; for mail that waits for a destination
 * set aside, an attempt of that destination is one. queue_time.c has the rest.
 *
 * Destinations may be of a group (a provider's, say), which has limits of its own for all of them
 * together: jobs at a time, jobs and recipients in a time, recipients of a job. A group that may
 * not have another job now leaves its turns to others; in a turn of its own each of its
 * destinations with due mail has one. A destination or a group may be suspended: nothing of it is
 * due until it is resumed, its messages grow older but do not expire by that.
 *
 * Memory: 270 bytes for a message with one recipient, 64 for each further one at addresses of 30
 * bytes, and 200 and its name for each destination. From malloc; bodies stay in the spool.
 *
 * Threads: one (a courier). While a job is out, others may read what queue_recipient,
 * queue_recipient_params and the job's views tell. Time: now_ns monotonic; wall_ns only for what is
 * journalled. Due times are kept in steps of 17 ms.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include "base_bytes.h"
#include "spool.h"

struct queue;
struct queue_entry;
struct queue_message;

#define QUEUE_JOB_RCPT_MAX 100
#define QUEUE_WORDS_MAX    120

#define QUEUE_DESTINATION_MAX 256 /* bytes of its name */
#define QUEUE_WINDOW_START    5
#define QUEUE_GROUP_MAX       256 /* number 0 is no group */
#define QUEUE_FAILS_MAX       3

struct queue_config {
    uint64_t backoff_min_ns;  /* after the first failure; doubles */
    uint64_t backoff_max_ns;  /* <= 30 d; of destinations too */
    uint64_t lifetime_ns;     /* <= 100 d; older than that the next temporary failure is final */
    uint64_t warn_after_ns;   /* so old, a delay is told to the sender; 0: never */
    uint32_t destination_max; /* jobs to one destination at a time; 0: any number */
    uint32_t job_max;         /* at a time; 0: any number */
    uint64_t seed;            /* jitter: up to 1/8 is added; and of hashes, from queue_init alone */
    /* Writes the name of the destination that mail for the domain goes to, which is compared
     * without case; returns its length. NULL: each domain is its own. */
    size_t (*destination)(void *user, struct base_span domain, uint8_t out[QUEUE_DESTINATION_MAX]);
    /* The group of a destination by its name; group: the one that it has, 0: none. Asked when one
     * is made, and for all by queue_configure. NULL: no groups but by queue_group_join. */
    uint32_t (*group)(void *user, struct base_span name, uint32_t group);
    void *user;
};

struct queue_job {
    struct queue_message *message; /* the queue's; valid until queue_done of this job */
    struct spool_id id;
    struct base_span sender; /* these views live as long as the job */
    struct base_span domain; /* of the recipients, as written by the first */
    struct base_span from;   /* the sender for these recipients: sender, unless it was rewritten */
    uint64_t content_bytes;
    uint64_t arrival_wall_ns;
    struct base_span envid; /* ENVID of MAIL as written; empty: none */
    uint8_t ret;            /* enum spool_envelope_ret; 0: none */
    bool body_8bit;
    bool smtputf8;
    bool requiretls;
    bool tls_optional; /* "TLS-Required: no"; never with requiretls */
    /* The recipients are aliases whose targets are others: nothing is to be delivered, their sender
     * is to be told (SPOOL_ENVELOPE_EXPANDED). */
    bool expanded;
    /* No attempt is to be made: the destination is set aside, and the message's time has come to
     * be given up, or warned of, or to have its age journalled. Each recipient's result is DEFERRED
     * without a code. */
    bool set_aside;
    bool suspended;       /* with set_aside: the destination is suspended; it does not expire */
    bool warn;            /* by queue_judge: the sender is to be told of the delay */
    bool answered;        /* queue_answer was called */
    uint8_t standing;     /* the queue's */
    uint16_t epoch;       /* the queue's */
    uint16_t group;       /* of the destination, when the job began; 0: none */
    uint32_t destination; /* the queue's */
    uint32_t recipient_cnt;
    uint32_t recipients[QUEUE_JOB_RCPT_MAX]; /* indexes in the envelope */
};

/* The text of a recipient of the job's message, by index in the envelope. */
struct base_span queue_recipient(const struct queue_message *m, uint32_t index);

/* What stands behind the last @; empty when there is none. */
struct base_span queue_domain(struct base_span mailbox);

/* What the envelope says of a recipient, read from the envelope; the view lives as long as the job.
 */
struct spool_envelope_recipient queue_recipient_params(const struct queue_message *m,
                                                       uint32_t index);

/* Who sent the message, and where that one had connected to, each as an address (IPv4 mapped) and
 * le16 port; returns how many of the two the envelope has, in that order. Without one: all zero. */
uint32_t queue_client(const struct queue_message *m, uint8_t client[18], uint8_t destination[18]);

int queue_init(struct queue **out, const struct queue_config *config) BASE_WARN_UNUSED;
void queue_fini(struct queue *q);

/* Everything but the seed may change at any time (reload). Looks at all messages, as the names of
 * destinations may have changed. */
void queue_configure(struct queue *q, const struct queue_config *config);

/* Shows the clocks; to be called before the first queue_add, and each time around. queue_add and
 * queue_done do it, too. */
void queue_clock(struct queue *q, uint64_t now_ns, uint64_t wall_ns);

/* Takes the arrival. Recipients that are QUEUED are due at once, DEFERRED ones at their time.
 * Returns 0, -EINVAL (bad envelope), -EEXIST, -ENOMEM; in each case the arrival is the queue's, and
 * is freed on error. */
int queue_add(struct queue *q, const struct spool_id *id, struct spool_arrival *arrival,
              uint64_t now_ns, uint64_t wall_ns) BASE_WARN_UNUSED;

/* The next job that is due, by turns. Returns true and the job, which the caller owes a
 * queue_answer, then queue_done or queue_put_back. */
bool queue_next(struct queue *q, struct queue_job *out, uint64_t now_ns);

/* One recipient's result of a job. */
struct queue_result {
    uint32_t recipient;
    uint32_t enhanced; /* spool_status.h; 0: none. Kept for 4096 different pairs of codes */
    uint16_t code;     /* SMTP; 0: no reply */
    uint8_t state;     /* DELIVERED, DEFERRED or FAILED (enum spool_outcome_state) */
    bool expired;      /* by queue_judge: FAILED because its lifetime is over */
    uint64_t wait_ns;  /* DEFERRED: until the next try, in place of the back-off; 0: that */
};

/* The job is back and its place is free for another one: once, before any queue_done or
 * queue_put_back. Without it queue_done goes by the codes and queue_put_back says NONE. Not for
 * jobs with set_aside. */
enum queue_answer {
    QUEUE_ANSWER_NONE, /* it was not asked */
    QUEUE_ANSWER_YES,  /* it speaks to us, whatever it said about the message */
    QUEUE_ANSWER_NO    /* no connection, no reply, or none to be had now (4xx as greeting) */
};
void queue_answer(struct queue *q, struct queue_job *job, enum queue_answer answer);

/* Before queue_done: a DEFERRED result becomes FAILED when the message is past its lifetime or
 * damaged. Sets job->warn, once for a message, when one is DEFERRED still and a warning of the
 * delay is due: the caller sees to that before queue_done, which has it journalled
 * (SPOOL_OUTCOME_WARNED); queue_put_back means that it was not given. */
void queue_judge(struct queue *q, struct queue_job *job, struct queue_result *results);

/*
 * Ends a job, or it for some of its recipients (job: a copy with these alone): results, one for
 * each of its recipients; fills outcomes (room for job->recipient_cnt) with what is to be
 * journalled: DEFERRED ones get their next time. Returns true when every recipient of the message
 * is DELIVERED or FAILED: the caller journals FREE, then calls queue_remove.
 */
bool queue_done(struct queue *q, const struct queue_job *job, const struct queue_result *results,
                struct spool_outcome *outcomes, uint64_t now_ns, uint64_t wall_ns) BASE_WARN_UNUSED;

/* Puts a job back unattempted, due again at not_before_ns (no lane had room, say). */
void queue_put_back(struct queue *q, const struct queue_job *job, uint64_t not_before_ns);

/* Forgets a message none of whose recipients is in a job. Returns 0, -ENOENT, -EBUSY. */
int queue_remove(struct queue *q, const struct spool_id *id);

/* Makes a message's deferred recipients due now (an operator's flush), held or not (a held one
 * stays held); destinations of it that are set aside try again. Returns 0 or -ENOENT. */
int queue_flush_message(struct queue *q, const struct spool_id *id, uint64_t now_ns);
/* The same, of an entry that queue_each shows at this moment. */
int queue_flush_entry(struct queue *q, const struct queue_entry *e, uint64_t now_ns);

/* A held message is not due, whatever its times are, until it is released; jobs that are out end
 * as they do. The caller journals it (SPOOL_OUTCOME_MESSAGE). Returns 0 or -ENOENT. */
int queue_hold(struct queue *q, const struct spool_id *id, bool held);

/* An operator's requeue: recipients that were deferred are as if they had never been tried, so that
 * they are due now, also where the destination is set aside, and their back-off starts afresh; a
 * hold ends. The lifetime goes on, as it does
 * after "postsuper -r": what is past it has one more attempt. The caller journals the outcomes of
 * all that is QUEUED then, and that the message is not held. Returns 0, -ENOENT, or -EBUSY with
 * nothing changed while it is in a job. */
int queue_requeue(struct queue *q, const struct spool_id *id, uint64_t now_ns) BASE_WARN_UNUSED;

/* An operator's delete: the message is not due any more. The caller journals FREE, then calls
 * queue_remove. Returns 0, -ENOENT (also for what is over or deleted already), or -EBUSY while it
 * is in a job. */
int queue_delete(struct queue *q, const struct spool_id *id) BASE_WARN_UNUSED;

/* Keeps the first QUEUE_WORDS_MAX bytes that were said about a recipient of a job's message, the
 * last for each message. The same words cost once. Without memory nothing is kept, nor of more
 * different ones than 4096 and one for 16 messages. */
void queue_note(struct queue *q, struct queue_message *m, uint32_t recipient,
                struct base_span words);

/* Bytes of the message are lost, so no attempt can succeed: its idle recipients are due now, and
 * the next temporary failure is final. Returns 0 or -ENOENT. */
int queue_damaged(struct queue *q, const struct spool_id *id, uint64_t now_ns);

/* When queue_next may have a job if nothing else happens; BASE_NS_NONE: never. */
uint64_t queue_deadline(const struct queue *q);

struct queue_usage {
    uint64_t message_cnt;
    uint64_t recipient_cnt; /* not yet delivered */
    uint64_t deferred_cnt;
    uint64_t active_cnt; /* in jobs */
    uint64_t failed_cnt;
    uint64_t destination_cnt; /* with mail, or suspended */
    uint64_t aside_cnt;       /* set aside */
    uint64_t bytes;           /* all memory of the queue, malloc's own included */
    uint64_t jump_cnt;        /* of the wall clock, since the start */
};
void queue_usage(const struct queue *q, struct queue_usage *out);

/* Of the message, delivered ones too. */
uint32_t queue_recipient_cnt(const struct queue_message *m);

/* What would be journalled of a recipient now. */
struct spool_outcome queue_outcome(const struct queue *q, const struct queue_message *m,
                                   uint32_t index);

/* For listings: calls each for up to cap messages after the given id (all zero: from the start), in
 * order of id; stops when it returns false. */
struct queue_entry {
    const struct queue *queue;
    const struct queue_message *message;
    struct spool_id id;
    struct base_span sender;
    uint64_t arrival_wall_ns;
    uint64_t age_ns;
    uint64_t content_bytes;
    uint32_t recipient_cnt;
    bool requiretls, tls_optional;
    bool held;
    bool active;            /* a job of it is out */
    struct base_span words; /* the last that were said, about words_recipient; empty: none */
    uint32_t words_recipient;
};
void queue_each(const struct queue *q, const struct spool_id *after, uint32_t cap,
                bool (*each)(void *user, const struct queue_entry *entry), void *user);
struct spool_outcome queue_entry_outcome(const struct queue_entry *e, uint32_t index);

/* The same for destinations with mail or suspended, after a number (0: from the start). */
struct queue_destination_entry {
    uint32_t number;
    struct base_span name;
    uint32_t queued_cnt, deferred_cnt, failed_cnt; /* recipients */
    uint32_t held_cnt;                             /* of the first two */
    uint32_t job_cnt, job_max;                     /* out, and that may be now */
    bool aside;
    uint64_t aside_ns; /* for so long */
    bool suspended;    /* itself, not its group */
    uint32_t group;    /* 0: none */
};
/* ---- groups ----
 * Numbers are the caller's, 1 to QUEUE_GROUP_MAX - 1. A group without limits is none. */

struct queue_group_limits {
    uint32_t job_max;     /* at a time; 0: any number */
    uint32_t rcpt_max;    /* of a job; 0: QUEUE_JOB_RCPT_MAX */
    uint64_t job_gap_ns;  /* a job in so long, by running time, and no burst of more than what came
                             due in QUEUE_GROUP_BURST_NS; 0: as they come */
    uint64_t rcpt_gap_ns; /* a recipient likewise; a job goes as a whole, the next waits for it */
};
#define QUEUE_GROUP_BURST_NS (100 * UINT64_C(1000000))

/* Sets the limits; jobs that are out over them stay out. Returns 0 or -ENOMEM. */
int queue_group_limit(struct queue *q, uint32_t group,
                      const struct queue_group_limits *limits) BASE_WARN_UNUSED;
/* No job of the group begins before until_ns; 0: it may. */
void queue_group_pause(struct queue *q, uint32_t group, uint64_t until_ns);
/* Suspends the group (limits were set), or ends that. */
void queue_group_suspend(struct queue *q, uint32_t group, bool suspended);
/* The destination of a job that is out is of this group (0: of none) from now on, with all its
 * jobs. Returns true when this one may go on; false: the group has no place for it now, it is to be
 * put back. A group whose limits were not set is none. */
bool queue_group_join(struct queue *q, struct queue_job *job, uint32_t group) BASE_WARN_UNUSED;
/* All leave it, and it is forgotten. */
void queue_group_dissolve(struct queue *q, uint32_t group);

struct queue_group_entry {
    uint32_t destination_cnt, job_cnt;
    uint32_t recipient_cnt; /* queued or deferred */
    uint64_t wait_ns;       /* no job begins for so long: rate or pause */
    bool suspended;
};
bool queue_group_suspended(const struct queue *q, uint32_t group);
/* Its jobs that are out. */
uint32_t queue_group_job_cnt(const struct queue *q, uint32_t group);
/* False: there is no such group. */
bool queue_group_look(const struct queue *q, uint32_t group, struct queue_group_entry *out);

/* Suspends the destination of that name, with mail or without, or ends that. Returns 0 or -ENOMEM.
 */
int queue_suspend(struct queue *q, struct base_span name, bool suspended) BASE_WARN_UNUSED;
/* Whether the destination that a recipient of the message waits for is suspended, or its group: 0,
 * or QUEUE_SUSPENDED_... and in *name whose suspension it is where it is its own, in *group else.
 */
enum queue_suspension { QUEUE_SUSPENDED_NOT, QUEUE_SUSPENDED_ITSELF, QUEUE_SUSPENDED_GROUP };
enum queue_suspension queue_entry_suspension(const struct queue_entry *e, uint32_t index,
                                             struct base_span *name, uint32_t *group);

void queue_each_destination(const struct queue *q, uint32_t after, uint32_t cap,
                            bool (*each)(void *user, const struct queue_destination_entry *entry),
                            void *user);

#endif
