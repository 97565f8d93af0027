/*
 * Arrivals for tests of the queue, like the spool makes them: in one allocation.
 */
#ifndef QUEUE_RIG_H
#define QUEUE_RIG_H

#include "base_time.h"
#include "queue.h"

#include <stdlib.h>

/* outcomes may be NULL: nothing happened yet. With params each second recipient has NOTIFY, each
 * third ORCPT, and the message all that one may have. */
static inline struct spool_arrival *queue_rig_arrival(struct base_span sender,
                                                      const struct base_span *recipients,
                                                      uint32_t cnt, uint64_t arrival_wall_ns,
                                                      bool params,
                                                      const struct spool_outcome *outcomes)
{
    size_t cap = 96 + sender.len;
    for (uint32_t i = 0; i < cnt; i++)
        cap += 32 + recipients[i].len;
    size_t head = sizeof(struct spool_arrival) + cnt * sizeof(struct spool_outcome);
    uint8_t *p = calloc(1, head + cap);
    base_assert(p != NULL);
    struct spool_arrival *a = (struct spool_arrival *)(void *)p;
    a->outcomes = (struct spool_outcome *)(void *)(p + sizeof(*a));
    a->envelope = p + head;
    a->recipient_cnt = cnt;
    a->content_bytes = 1234;
    struct base_buf b = {.p = a->envelope, .cap = cap};
    const uint8_t ret = SPOOL_ENVELOPE_RET_HDRS, notify = SPOOL_ENVELOPE_NOTIFY_DELAY;
    uint8_t wall[8];
    base_put_le64(wall, arrival_wall_ns);
    int rc = spool_envelope_put(&b, SPOOL_ENVELOPE_SENDER, sender);
    rc |= spool_envelope_put(&b, SPOOL_ENVELOPE_ARRIVAL, base_span_of(wall, 8));
    if (params) {
        rc |= spool_envelope_put(&b, SPOOL_ENVELOPE_BODY_8BIT, base_span_of(NULL, 0));
        rc |= spool_envelope_put(&b, SPOOL_ENVELOPE_RET, base_span_of(&ret, 1));
        rc |= spool_envelope_put(&b, SPOOL_ENVELOPE_ENVID, base_span_str("Q+2B"));
        rc |= spool_envelope_put(&b, SPOOL_ENVELOPE_SMTPUTF8, base_span_of(NULL, 0));
    }
    for (uint32_t i = 0; i < cnt; i++) {
        a->outcomes[i].recipient = i;
        if (outcomes != NULL)
            a->outcomes[i] = outcomes[i];
        rc |= spool_envelope_put(&b, SPOOL_ENVELOPE_RECIPIENT, recipients[i]);
        if (params && i % 2 == 0)
            rc |= spool_envelope_put(&b, SPOOL_ENVELOPE_NOTIFY, base_span_of(&notify, 1));
        if (params && i % 3 == 0)
            rc |= spool_envelope_put(&b, SPOOL_ENVELOPE_ORCPT, base_span_str("rfc822;x"));
    }
    base_assert(rc == 0);
    a->envelope_len = (uint32_t)b.len;
    return a;
}

/* A job with one and the same result for all of its recipients (450 4.0.0). DEFERRED with code 0
 * means that the destination did not answer. Returns what queue_done does. */
static inline bool queue_rig_end(struct queue *q, struct queue_job *job, uint8_t state,
                                 uint16_t code, uint64_t now_ns, uint64_t wall_ns,
                                 struct spool_outcome outcomes[QUEUE_JOB_RCPT_MAX])
{
    struct queue_result results[QUEUE_JOB_RCPT_MAX];
    for (uint32_t i = 0; i < job->recipient_cnt; i++)
        results[i] = (struct queue_result){.recipient = job->recipients[i],
                                           .state = state,
                                           .code = code,
                                           .enhanced = code / 100 * 1000000U};
    if (!job->answered && !job->set_aside)
        queue_answer(q, job, code != 0 ? QUEUE_ANSWER_YES : QUEUE_ANSWER_NO);
    queue_judge(q, job, results);
    return queue_done(q, job, results, outcomes, now_ns, wall_ns);
}

#endif
