/* Any bytes as a line of the control socket: views stay inside of it, what a command needs is
 * there, and the filter is asked about a message. */
#include "base_time.h"
#include "control_line.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One message with three recipients, one of which was deferred just now. */
static struct queue *queue_make(void)
{
    static const struct queue_config config = {.backoff_min_ns = 1, .backoff_max_ns = 1};
    struct spool_id id = spool_id_make(1, 1, 0, 1);
    struct spool_arrival *a = calloc(1, sizeof(*a) + 3 * sizeof(struct spool_outcome) + 256);
    struct queue *q;
    struct queue_job job;
    struct spool_outcome out[1];

    base_assert(a != NULL && queue_init(&q, &config) == 0);
    a->outcomes = (struct spool_outcome *)(void *)(a + 1);
    a->envelope = (uint8_t *)(a->outcomes + 3);
    a->recipient_cnt = 3;
    struct base_buf b = {.p = a->envelope, .cap = 256};
    int rc = spool_envelope_put(&b, SPOOL_ENVELOPE_SENDER, base_span_str("s@x"));
    for (uint32_t i = 0; i < 3; i++) {
        a->outcomes[i] = (struct spool_outcome){.recipient = i, .state = (uint8_t)(i * 2 % 4)};
        rc |= spool_envelope_put(&b, SPOOL_ENVELOPE_RECIPIENT, base_span_str(i == 0 ? "a@y" : "b"));
    }
    a->envelope_len = (uint32_t)b.len;
    base_assert(rc == 0 && queue_add(q, &id, a, 1, 1) == 0 && queue_next(q, &job, 1));
    queue_note(q, job.message, job.recipients[0], base_span_str("4.2.1 asleep"));
    struct queue_result r = {.recipient = job.recipients[0],
                             .code = 451,
                             .enhanced = 4002001,
                             .state = SPOOL_OUTCOME_DEFERRED};
    base_assert(!queue_done(q, &job, &r, out, 1, 1));
    return q;
}

static bool inside(struct base_span view, const uint8_t *data, size_t size)
{
    return view.len == 0 || (view.p >= data && view.p + view.len <= data + size);
}

static bool match(void *user, const struct queue_entry *e)
{
    const struct control_line *l = user;
    bool hit = queue_filter_match(&l->filter, e, 2 * BASE_NS_S);
    base_assert(hit || queue_filter_narrows(&l->filter));
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct queue *q;
    static const struct spool_id none;
    struct control_line l;
    struct base_span bad;

    if (q == NULL)
        q = queue_make();
    int rc = control_line_parse(&l, base_span_of(data, size), &bad);
    base_assert(inside(bad, data, size));
    if (rc == -ENOENT || rc == -EILSEQ) {
        base_assert(l.verb == CONTROL_VERB_CNT);
        return 0;
    }
    base_assert(l.verb < CONTROL_VERB_CNT);
    if (rc != 0)
        return 0;
    const struct queue_filter *f = &l.filter;
    base_assert(inside(f->sender, data, size) && inside(f->domain, data, size) &&
                inside(f->reason, data, size));
    base_assert(f->code_min <= f->code_max && f->enhanced_min <= f->enhanced_max);
    base_assert(inside(l.word[0], data, size) && inside(l.word[1], data, size) &&
                inside(l.reason, data, size));
    base_assert(control_rows[l.verb].words != CONTROL_WORDS_ID || f->by_id);
    base_assert(control_rows[l.verb].words != CONTROL_WORDS_NARROWS || f->all ||
                queue_filter_narrows(f));
    queue_each(q, &none, 9, match, &l);
    return 0;
}
