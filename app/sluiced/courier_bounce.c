#include "courier_bounce.h"
#include "courier_report.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

#define BURST      64
#define BOUNCE_MAX 8 /* begun at a time */
/* A report holds at most one buffer while it waits for another: there are always some that are with
 * the spool, or free. */
#define BUF_CNT (4 * BOUNCE_MAX)

enum step {
    STEP_WAIT,    /* not begun */
    STEP_READ,    /* a piece of the original */
    STEP_READING, /* on its way */
    STEP_BEGIN,
    STEP_WRITE, /* makes the report, as far as there is something to quote */
    STEP_ABORT, /* what was written ends in a quote that cannot go on: once more, without */
    STEP_COMMIT,
    STEP_DURABLE /* awaited */
};

struct courier_bounce {
    struct base_list node;
    struct delivery *delivery;
    struct courier_report *report; /* NULL before it is opened */
    struct spool_buf *in;          /* a piece of the original; READING: with the spooler */
    uint32_t in_at;                /* of it, taken */
    bool header_sent;              /* of the report */
    bool unquoted;                 /* the original cannot be read */
    uint8_t step;
    uint64_t offset; /* of the original, read so far */
    struct spool_id id;
};

static const enum stats_id told_stats[MAIL_DSN_KIND_CNT] = {
    [MAIL_DSN_FAILED] = STATS_COURIER_TOLD_FAILED,
    [MAIL_DSN_DELAYED] = STATS_COURIER_TOLD_DELAYED,
    [MAIL_DSN_DELIVERED] = STATS_COURIER_TOLD_RELAYED, /* does not happen: nothing ends here */
    [MAIL_DSN_RELAYED] = STATS_COURIER_TOLD_RELAYED,
    [MAIL_DSN_EXPANDED] = STATS_COURIER_TOLD_EXPANDED,
};

int courier_bounce_init(struct courier *c)
{
    base_list_init(&c->bounce_wait);
    base_list_init(&c->bounce_todo);
    base_list_init(&c->bounce_sent);
    return spool_buf_pool_init(&c->bufs, BUF_CNT, SPOOL_TO_COURIER);
}

static void bounce_free(struct courier_bounce *b)
{
    courier_report_free(b->report);
    free(b);
}

static void move(struct courier_bounce *b, struct base_list *to)
{
    base_list_remove(&b->node);
    base_list_push_back(to, &b->node);
}

static void in_put(struct courier *c, struct courier_bounce *b)
{
    if (b->in != NULL)
        spool_buf_put(&c->bufs, b->in);
    b->in = NULL;
    b->in_at = 0;
}

static void end(struct courier *c, struct courier_bounce *b)
{
    in_put(c, b);
    base_list_remove(&b->node);
    base_assert(c->bounce_cnt > 0);
    c->bounce_cnt--;
    bounce_free(b);
}

static void unstored(struct courier *c, struct delivery *d, const char *why)
{
    stats_inc(c->stats, STATS_COURIER_BOUNCE_RETRIES);
    for (uint32_t i = 0; i < d->job.recipient_cnt; i++)
        if (d->result[i].state == SPOOL_OUTCOME_DELIVERED)
            stats_inc(c->stats, STATS_COURIER_BOUNCE_LOST);
    courier_warn(c, &d->job.id, why);
    courier_unreported(c, d);
}

static void give_up(struct courier *c, struct courier_bounce *b, const char *why)
{
    struct delivery *d = b->delivery;

    end(c, b);
    unstored(c, d, why);
}

/* The job's part in a warning whose time has come. */
static void choose_warning(const struct courier *c, struct delivery *d)
{
    struct delivery_result *carrier = NULL;

    for (uint32_t i = 0; i < d->job.recipient_cnt; i++) {
        if (d->result[i].report == COURIER_REPORT_DELAYED)
            return;
        if (d->result[i].state == SPOOL_OUTCOME_DEFERRED)
            carrier = &d->result[i];
    }
    if (carrier != NULL && courier_report_others(c, d))
        carrier->report = COURIER_REPORT_CARRIER;
}

void courier_bounce_choose(struct courier *c, struct delivery *d,
                           const struct queue_result *results)
{
    bool null = d->job.sender.len == 0, dropped = false;

    for (uint32_t i = 0; i < d->job.recipient_cnt; i++) {
        struct delivery_result *r = &d->result[i];
        r->state = results[i].state;
        r->expired = results[i].expired;
        r->report = courier_report_wanted(d, i);
        if (r->state != SPOOL_OUTCOME_FAILED || r->report != 0)
            continue;
        stats_inc(c->stats, null ? STATS_COURIER_BOUNCE_DOUBLE : STATS_COURIER_BOUNCE_UNWANTED);
        dropped |= null;
    }
    if (d->job.warn)
        choose_warning(c, d);
    if (dropped)
        courier_warn(c, &d->job.id, "message with the null sender failed: dropped, no report");
}

void courier_bounce_start(struct courier *c, struct delivery *d)
{
    struct courier_bounce *b = calloc(1, sizeof(*b));

    if (b == NULL)
        return unstored(c, d, "no memory for a report to the sender");
    b->delivery = d;
    base_list_push_back(&c->bounce_wait, &b->node);
}

/* ---- the text ---- */

/* The spool of the message that the report is about, unless that one takes nothing now. */
static uint32_t spool_choose(const struct courier *c, const struct spool_id *about)
{
    uint32_t spool = topology_spool_of(c->topology, about);
    const char *why;

    if (topology_spool_refusal(c->topology, spool) == NULL)
        return spool;
    return topology_choose_spool(c->topology, c->id_counter, &why);
}

/* Makes the report, with what could be read of the original, which may be nothing. */
static void open_report(struct courier *c, struct courier_bounce *b)
{
    struct delivery *d = b->delivery;
    bool nothing = b->unquoted || d->job.content_bytes == 0;

    uint32_t spool = spool_choose(c, &d->job.id);
    if (spool == TOPOLOGY_SPOOL_NONE)
        return give_up(c, b, "no spool takes a report to the sender: tried again later");
    b->id = spool_id_make(c->wall_ns, c->topology->spool[spool].number, COURIER_ID_LANE,
                          c->id_counter++);
    int rc = courier_report_open(&b->report, c, d, &b->id,
                                 nothing ? MAIL_DSN_RETURN_NONE : courier_report_content(d));
    if (rc == -EINVAL) {
        stats_inc(c->stats, STATS_COURIER_BOUNCE_IMPOSSIBLE);
        courier_warn(c, &d->job.id, "the message's sender cannot be told what became of it");
        end(c, b);
        return courier_reported(c, d);
    }
    if (rc != 0)
        return give_up(c, b, "no memory for a report to the sender");
    b->step = STEP_BEGIN;
    move(b, &c->bounce_todo);
}

static void unreadable(struct courier *c, struct courier_bounce *b)
{
    stats_inc(c->stats, STATS_COURIER_BOUNCE_UNQUOTED);
    in_put(c, b);
    b->unquoted = true;
    if (b->report == NULL)
        return open_report(c, b);
    b->step = STEP_ABORT;
    move(b, &c->bounce_todo);
}

static uint32_t header_end(const struct spool_buf *buf)
{
    for (uint32_t i = 4; i <= buf->len; i++)
        if (memcmp(buf->data + i - 4, "\r\n\r\n", 4) == 0)
            return i;
    base_assert(false); /* one step of mail_dsn, and first of all */
    return 0;
}

/* ---- to the spool ---- */

static void push(struct courier *c, struct courier_bounce *b, struct spool_entry *e)
{
    e->from = SPOOL_TO_COURIER;
    e->cookie = b;
    if (e->op != SPOOL_READ)
        e->id = b->id;
    uint32_t spool = topology_spool_of(c->topology, &e->id);
    int failed = rte_ring_sp_enqueue_elem(c->spool[spool].to, e, sizeof(*e));
    base_assert(failed == 0); /* courier_bounce_send looked */
}

static void push_chunk(struct courier *c, struct courier_bounce *b, struct spool_buf *buf)
{
    struct spool_entry e = {.op = SPOOL_CHUNK, .part = SPOOL_PART_HEADER, .p = buf->data};

    if (!b->header_sent) {
        e.len = header_end(buf);
        push(c, b, &e);
        b->header_sent = true;
    }
    struct spool_entry body = {.op = SPOOL_CHUNK,
                               .part = SPOOL_PART_BODY,
                               .p = buf->data + e.len,
                               .len = buf->len - e.len,
                               .buf = buf};
    base_assert(body.len > 0); /* the report has a body, and no header section fills a buffer */
    push(c, b, &body);
}

static void push_read(struct courier *c, struct courier_bounce *b)
{
    struct spool_entry e = {.id = b->delivery->job.id,
                            .op = SPOOL_READ,
                            .len = SPOOL_BUF_BYTES,
                            .buf = b->in,
                            .offset = b->offset};

    push(c, b, &e);
    b->step = STEP_READING;
    move(b, &c->bounce_sent);
}

static void push_begin(struct courier *c, struct courier_bounce *b, struct spool_buf *buf)
{
    struct spool_entry e = {.op = SPOOL_BEGIN,
                            .part = SPOOL_PART_ENVELOPE,
                            .p = buf->data,
                            .len = b->report->envelope_len,
                            .buf = buf};

    memcpy(buf->data, b->report->envelope, e.len);
    push(c, b, &e);
    b->step = STEP_WRITE;
}

/* Fills a buffer with the next of the report. */
static void write_more(struct courier *c, struct courier_bounce *b, struct spool_buf *buf)
{
    struct base_buf out = {.p = buf->data, .cap = SPOOL_BUF_BYTES};
    struct base_span original = {0};
    bool ends = b->unquoted || b->offset >= b->delivery->job.content_bytes;

    if (b->in != NULL)
        original = base_span_of(b->in->data + b->in_at, b->in->len - b->in_at);
    enum mail_dsn_next next = mail_dsn_write(&b->report->dsn, &out, &original, ends);
    if (b->in != NULL)
        b->in_at = b->in->len - (uint32_t)original.len;
    buf->len = (uint32_t)out.len;
    if (out.len > 0)
        push_chunk(c, b, buf);
    else
        spool_buf_put(&c->bufs, buf);
    if (next == MAIL_DSN_ROOM)
        return;
    in_put(c, b);
    b->step = next == MAIL_DSN_DONE ? STEP_COMMIT : STEP_READ;
}

static void push_abort(struct courier *c, struct courier_bounce *b)
{
    struct spool_entry e = {.op = SPOOL_ABORT};

    push(c, b, &e);
    courier_report_free(b->report);
    b->report = NULL;
    b->header_sent = false;
    open_report(c, b);
}

static void push_commit(struct courier *c, struct courier_bounce *b)
{
    struct spool_entry e = {.op = SPOOL_COMMIT};

    push(c, b, &e);
    b->step = STEP_DURABLE;
    move(b, &c->bounce_sent);
}

/* The next of this report; false when a buffer is wanted and none is free. */
static bool advance(struct courier *c, struct courier_bounce *b)
{
    struct spool_buf *buf = NULL;

    if (b->step == STEP_READ || b->step == STEP_BEGIN || b->step == STEP_WRITE) {
        buf = spool_buf_get(&c->bufs);
        if (buf == NULL)
            return false;
    }
    switch ((enum step)b->step) {
    case STEP_READ:
        b->in = buf;
        push_read(c, b);
        break;
    case STEP_BEGIN:
        push_begin(c, b, buf);
        break;
    case STEP_WRITE:
        write_more(c, b, buf);
        break;
    case STEP_ABORT:
        push_abort(c, b);
        break;
    case STEP_COMMIT:
        push_commit(c, b);
        break;
    case STEP_WAIT:
    case STEP_READING:
    case STEP_DURABLE:
        base_assert(false); /* not in this list */
    }
    return true;
}

static void begin_waiting(struct courier *c)
{
    while (c->bounce_cnt < BOUNCE_MAX && !base_list_empty(&c->bounce_wait)) {
        struct courier_bounce *b =
            base_container_of(c->bounce_wait.next, struct courier_bounce, node);
        c->bounce_cnt++;
        b->step = STEP_READ;
        move(b, &c->bounce_todo);
        if (b->delivery->job.content_bytes == 0)
            open_report(c, b);
    }
}

uint32_t courier_bounce_send(struct courier *c)
{
    struct base_list later;
    uint32_t n = 0, rung = 0;

    begin_waiting(c);
    base_list_init(&later);
    while (n < BURST && !base_list_empty(&c->bounce_todo)) {
        struct courier_bounce *b =
            base_container_of(c->bounce_todo.next, struct courier_bounce, node);
        const struct spool_id *id = b->step == STEP_READ ? &b->delivery->job.id : &b->id;
        uint32_t spool = topology_spool_of(c->topology, id);
        /* The most that one step pushes: the report's header section and the first of its body. */
        if (rte_ring_free_count(c->spool[spool].to) < 2) {
            move(b, &later);
            continue;
        }
        if (!advance(c, b))
            break;
        rung |= UINT32_C(1) << spool;
        n++;
    }
    while (!base_list_empty(&later)) {
        struct base_list *node = later.prev;
        base_list_remove(node);
        base_list_push_front(&c->bounce_todo, node);
    }
    for (; rung != 0; rung &= rung - 1)
        doorbell_ring(&c->topology->spool[__builtin_ctz(rung)].bell);
    return n;
}

bool courier_bounce_due(const struct courier *c)
{
    return !base_list_empty(&c->bounce_todo) ||
           (c->bounce_cnt < BOUNCE_MAX && !base_list_empty(&c->bounce_wait));
}

/* ---- from the spool ---- */

static void durable(struct courier *c, struct courier_bounce *b)
{
    struct delivery *d = b->delivery;
    char id[SPOOL_ID_TEXT_LEN + 1];
    const struct mail_dsn_report *told = &b->report->report;
    struct stats_log_record r = {
        .wall_ns = c->wall_ns, .event = STATS_LOG_NOTIFIED, .n = told->recipient_cnt};

    for (uint32_t i = 0; i < told->recipient_cnt; i++) {
        stats_inc(c->stats, told_stats[told->recipients[i].kind]);
        if (told->recipients[i].kind == MAIL_DSN_FAILED)
            r.event = STATS_LOG_BOUNCED;
    }
    memcpy(r.id, d->job.id.b, sizeof(r.id));
    spool_id_format(id, &b->id);
    stats_log_text(&r, base_span_str(id));
    stats_log_push(&c->log, &r);
    stats_inc(c->stats, STATS_COURIER_BOUNCES);
    end(c, b);
    courier_reported(c, d);
}

static void read_done(struct courier *c, struct courier_bounce *b, const struct spool_done *done)
{
    base_assert(b->step == STEP_READING && done->buf == b->in);
    if (done->status != 0 || done->len == 0)
        return unreadable(c, b);
    b->in->len = done->len;
    b->in_at = 0;
    b->offset += done->len;
    if (b->report == NULL)
        return open_report(c, b);
    b->step = STEP_WRITE;
    move(b, &c->bounce_todo);
}

void courier_bounce_done(struct courier *c, const struct spool_done *done)
{
    struct courier_bounce *b = done->cookie;

    if (done->op == SPOOL_RELEASE) /* the report may be over */
        return spool_buf_put(&c->bufs, done->buf);
    if (done->op == SPOOL_READ)
        return read_done(c, b, done);
    base_assert(done->op == SPOOL_COMMIT && b->step == STEP_DURABLE);
    if (done->status == 0)
        durable(c, b);
    else
        give_up(c, b, "a report to the sender could not be stored: tried again later");
}

static void fini_list(struct base_list *list)
{
    struct base_list *node;

    while ((node = base_list_pop_front(list)) != NULL)
        bounce_free(base_container_of(node, struct courier_bounce, node));
}

void courier_bounce_fini(struct courier *c)
{
    fini_list(&c->bounce_wait);
    fini_list(&c->bounce_todo);
    fini_list(&c->bounce_sent);
    c->bufs.free_cnt = c->bufs.buf_cnt; /* nobody else is left */
    spool_buf_pool_fini(&c->bufs);
}
