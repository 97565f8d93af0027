/*
 * The delivery queue: which message is due for which recipients, retry with exponential back-off.
 * In memory; the spool is what survives. It decides when and for whom, never how.
 *
 * A job is one delivery attempt: one message, those of its due recipients that share a domain, at
 * most QUEUE_JOB_RCPT_MAX. A recipient is in at most one job. Left out until the spool issue:
 * destination limits, fairness. A recipient may be made FAILED (5xx, or lifetime over) only when
 * its sender has been told or need not be: the caller sees to that.
 *
 * Threads: one (a courier). Memory: malloc by message; bodies stay in the spool. Time: now_ns
 * monotonic for due times; wall_ns for what is journalled.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include "base_bytes.h"
#include "spool.h"

struct queue;
struct queue_message;

#define QUEUE_JOB_RCPT_MAX 100
#define QUEUE_WORDS_MAX    120

struct queue_config {
    uint64_t backoff_min_ns; /* after the first failure; doubles */
    uint64_t backoff_max_ns;
    uint64_t lifetime_ns; /* since arrival, by wall time of ARRIVAL; then the next temporary
                             failure is final; never before one attempt since the start */
    uint64_t seed;        /* jitter: up to 1/8 is added */
};

struct queue_job {
    struct queue_message *message; /* the queue's; valid until queue_done of this job */
    struct spool_id id;
    struct base_span sender; /* these views live as long as the job */
    struct base_span domain; /* of the recipients, as written by the first */
    uint64_t content_bytes;
    uint64_t arrival_wall_ns;
    struct base_span envid; /* ENVID of MAIL as written; empty: none */
    uint8_t ret;            /* enum spool_envelope_ret; 0: none */
    bool body_8bit;
    bool smtputf8;
    uint32_t recipient_cnt;
    uint32_t recipients[QUEUE_JOB_RCPT_MAX]; /* indexes in the envelope */
};

/* The text of a recipient of the job's message, by index in the envelope. */
struct base_span queue_recipient(const struct queue_message *m, uint32_t index);

/* What stands behind the last @; empty when there is none. */
struct base_span queue_domain(struct base_span mailbox);

/* NOTIFY and ORCPT of a recipient, read from the envelope; the view lives as long as the job. */
struct spool_envelope_recipient queue_recipient_params(const struct queue_message *m,
                                                       uint32_t index);

int queue_init(struct queue **out, const struct queue_config *config) BASE_WARN_UNUSED;
void queue_fini(struct queue *q);

/* Back-off and lifetime may change at any time (reload). */
void queue_configure(struct queue *q, const struct queue_config *config);

/* Takes the arrival. Recipients that are QUEUED are due at once, DEFERRED ones at their time.
 * Returns 0, -EINVAL (bad envelope), -EEXIST, -ENOMEM; in each case the arrival is the queue's, and
 * is freed on error. */
int queue_add(struct queue *q, const struct spool_id *id, struct spool_arrival *arrival,
              uint64_t now_ns, uint64_t wall_ns) BASE_WARN_UNUSED;

/* The next job that is due, oldest due first. Returns true and the job, which the caller owes a
 * queue_done. */
bool queue_next(struct queue *q, struct queue_job *out, uint64_t now_ns);

/* One recipient's result of a job. */
struct queue_result {
    uint32_t recipient;
    uint32_t enhanced; /* spool_status.h; 0: none */
    uint16_t code;     /* SMTP; 0: no reply */
    uint8_t state;     /* DELIVERED, DEFERRED or FAILED (enum spool_outcome_state) */
};

/* Before queue_done: a DEFERRED result becomes FAILED when the message is past its lifetime or
 * damaged. */
void queue_judge(const struct queue *q, const struct queue_job *job, struct queue_result *results,
                 uint64_t wall_ns);

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

/* Makes every deferred recipient due now (an operator's flush). */
void queue_flush(struct queue *q, uint64_t now_ns);

/* The same for one message, held or not (a held one stays held). Returns 0 or -ENOENT. */
int queue_flush_message(struct queue *q, const struct spool_id *id, uint64_t now_ns);

/* A held message is not due, whatever its times are, until it is released; jobs that are out end
 * as they do. The caller journals it (SPOOL_OUTCOME_MESSAGE). Returns 0 or -ENOENT. */
int queue_hold(struct queue *q, const struct spool_id *id, bool held);

/* An operator's requeue: recipients that were deferred are as if they had never been tried, so that
 * they are due now and their back-off starts afresh; a hold ends. The lifetime goes on, as it does
 * after "postsuper -r": what is past it has one more attempt. The caller journals the outcomes of
 * all that is QUEUED then, and that the message is not held. Returns 0, -ENOENT, or -EBUSY with
 * nothing changed while it is in a job. */
int queue_requeue(struct queue *q, const struct spool_id *id, uint64_t now_ns) BASE_WARN_UNUSED;

/* An operator's delete: the message is not due any more. The caller journals FREE, then calls
 * queue_remove. Returns 0, -ENOENT (also for what is over or deleted already), or -EBUSY while it
 * is in a job. */
int queue_delete(struct queue *q, const struct spool_id *id) BASE_WARN_UNUSED;

/* Keeps the first QUEUE_WORDS_MAX bytes that were said about a recipient of a job's message, the
 * last for each message; without memory nothing is kept. */
void queue_note(struct queue_message *m, uint32_t recipient, struct base_span words);

/* Bytes of the message are lost, so no attempt can succeed: its idle recipients are due now, and
 * the next temporary failure is final. Returns 0 or -ENOENT. */
int queue_damaged(struct queue *q, const struct spool_id *id, uint64_t now_ns);

uint64_t queue_deadline(const struct queue *q);

struct queue_usage {
    uint64_t message_cnt;
    uint64_t recipient_cnt; /* not yet delivered */
    uint64_t deferred_cnt;
    uint64_t active_cnt; /* in jobs */
    uint64_t failed_cnt;
};
void queue_usage(const struct queue *q, struct queue_usage *out);

/* For listings: calls each for up to cap messages after the given id (all zero: from the start), in
 * order of id; stops when it returns false. */
struct queue_entry {
    struct spool_id id;
    struct base_span sender;
    uint64_t arrival_wall_ns;
    uint64_t content_bytes;
    uint32_t recipient_cnt;
    const struct spool_outcome *outcomes; /* by recipient */
    const struct queue_message *message;
    bool held;
    bool active;            /* a job of it is out */
    struct base_span words; /* the last that were said, about words_recipient; empty: none */
    uint32_t words_recipient;
};
void queue_each(const struct queue *q, const struct spool_id *after, uint32_t cap,
                bool (*each)(void *user, const struct queue_entry *entry), void *user);

#endif
