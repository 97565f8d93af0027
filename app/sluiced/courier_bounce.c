#include "courier_bounce.h"
#include "base_assert.h"
#include "base_siphash.h"
#include "mail_dsn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

#define TEXT_FIRST_BYTES 8192
#define TEXT_MAX_BYTES   (UINT32_C(1) << 20) /* 100 recipients and 16 KiB of header fit well */
#define DIAGNOSTIC_MAX   (DELIVERY_TEXT_MAX + 24)
#define ENVELOPE_MAX     1100

base_static_assert(MAIL_DSN_RANDOM_LEN % 8 == 0, "made of hashes");

enum step {
    STEP_READ,
    STEP_READING,
    STEP_BEGIN,
    STEP_HEADER,
    STEP_BODY,
    STEP_COMMIT,
    STEP_DURABLE
};

struct courier_bounce {
    struct base_list node; /* todo, or under way with the spooler */
    struct delivery *delivery;
    struct spool_buf *buf; /* READ: with the spooler */
    struct spool_id id;    /* the report's */
    enum step step;
    uint32_t recipient_cnt; /* told */
    uint32_t header_len;    /* of text */
    uint32_t sent;          /* of text */
    uint32_t envelope_len;
    uint8_t envelope[ENVELOPE_MAX];
    struct base_buf text; /* from malloc */
};

/* What the report is made from. */
struct draft {
    struct mail_dsn dsn;
    struct mail_dsn_report report;
    struct mail_dsn_recipient recipients[QUEUE_JOB_RCPT_MAX];
    char diagnostic[QUEUE_JOB_RCPT_MAX][DIAGNOSTIC_MAX];
    char id[SPOOL_ID_TEXT_LEN + 1];
    char remote[NET_ADDR_TEXT_CAP];
};

static void bounce_free(struct courier_bounce *b)
{
    free(b->text.p);
    free(b);
}

static void end(struct courier_bounce *b)
{
    base_list_remove(&b->node);
    bounce_free(b);
}

/* Not now: the recipients go back into the queue. */
static void give_up(struct courier *c, struct courier_bounce *b, const char *why)
{
    struct delivery *d = b->delivery;

    stats_inc(c->stats, STATS_COURIER_BOUNCE_RETRIES);
    courier_warn(c, &d->job.id, why);
    end(b);
    courier_put_back(c, d);
}

static bool wanted(const struct delivery *d, uint32_t i)
{
    struct spool_envelope_recipient p =
        queue_recipient_params(d->job.message, d->job.recipients[i]);
    return mail_dsn_wanted(d->job.sender, p.notify, MAIL_DSN_FAILED);
}

void courier_bounce_start(struct courier *c, struct delivery *d)
{
    uint32_t cnt = 0;

    for (uint32_t i = 0; i < d->job.recipient_cnt; i++)
        cnt += wanted(d, i) ? 1 : 0;
    if (cnt == 0) {
        bool null = d->job.sender.len == 0;
        stats_add(c->stats, null ? STATS_COURIER_BOUNCE_DOUBLE : STATS_COURIER_BOUNCE_UNWANTED,
                  d->job.recipient_cnt);
        if (null)
            courier_warn(c, &d->job.id, "message with the null sender failed: dropped, no report");
        return courier_failed(c, d);
    }
    struct courier_bounce *b = calloc(1, sizeof(*b));
    if (b == NULL) {
        stats_inc(c->stats, STATS_COURIER_BOUNCE_RETRIES);
        return courier_put_back(c, d);
    }
    b->delivery = d;
    b->recipient_cnt = cnt;
    base_list_push_back(&c->bounce_todo, &b->node);
}

/* ---- the text ---- */

static void recipient_fill(const struct courier *c, struct draft *t, const struct delivery *d,
                           uint32_t i)
{
    struct spool_envelope_recipient p =
        queue_recipient_params(d->job.message, d->job.recipients[i]);
    const struct delivery_result *r = &d->result[i];
    struct mail_dsn_recipient *to = &t->recipients[t->report.recipient_cnt];
    struct base_span words = base_span_of(r->text, r->text_len);

    *to = (struct mail_dsn_recipient){
        .kind = MAIL_DSN_FAILED,
        .address = queue_recipient(d->job.message, d->job.recipients[i]),
        .orcpt = p.orcpt,
        .status = base_span_of(r->enhanced, strnlen(r->enhanced, sizeof(r->enhanced))),
        .last_attempt_wall_ns = c->wall_ns,
    };
    if (r->code == 0) {
        to->reason = words;
    } else {
        char *text = t->diagnostic[t->report.recipient_cnt];
        int n = snprintf(text, DIAGNOSTIC_MAX, "%u %.*s%s", r->code, (int)to->status.len,
                         (const char *)to->status.p, to->status.len > 0 ? " " : "");
        base_assert(n > 0 && (size_t)n + words.len <= DIAGNOSTIC_MAX);
        if (words.len > 0)
            memcpy(text + n, words.p, words.len);
        to->diagnostic = base_span_of(text, (size_t)n + words.len);
        to->remote_mta = base_span_str(t->remote);
    }
    t->report.recipient_cnt++;
}

static void draft_fill(struct courier *c, struct draft *t, const struct courier_bounce *b,
                       struct base_span original)
{
    const struct delivery *d = b->delivery;

    spool_id_format(t->id, &b->id);
    net_addr_format(t->remote, &d->host.addr);
    t->report = (struct mail_dsn_report){
        .hostname = base_span_str(c->settings->smtp.hostname),
        .sender = d->job.sender,
        .id = base_span_str(t->id),
        .envid = d->job.envid,
        .wall_ns = c->wall_ns,
        .arrival_wall_ns = d->job.arrival_wall_ns,
        .recipients = t->recipients,
        .content = original.len > 0 ? MAIL_DSN_RETURN_HEADERS : MAIL_DSN_RETURN_NONE,
        .original_bytes = d->job.content_bytes,
        .quote_max_bytes = SPOOL_BUF_BYTES,
        .eightbit = d->job.body_8bit || d->job.smtputf8,
        .utf8 = d->job.smtputf8,
    };
    for (size_t i = 0; i < MAIL_DSN_RANDOM_LEN; i += 8, c->random_cnt++)
        base_put_le64(t->report.random + i,
                      base_siphash(c->secret, &c->random_cnt, sizeof(c->random_cnt)));
    for (uint32_t i = 0; i < d->job.recipient_cnt; i++)
        if (wanted(d, i))
            recipient_fill(c, t, d, i);
}

static bool text_grow(struct base_buf *text)
{
    size_t cap = text->cap == 0 ? TEXT_FIRST_BYTES : 2 * text->cap;
    uint8_t *p = cap <= TEXT_MAX_BYTES ? realloc(text->p, cap) : NULL;

    if (p == NULL)
        return false;
    text->p = p;
    text->cap = cap;
    return true;
}

static uint32_t header_end(struct base_span text)
{
    for (size_t i = 4; i <= text.len; i++)
        if (memcmp(text.p + i - 4, "\r\n\r\n", 4) == 0)
            return (uint32_t)i;
    return (uint32_t)text.len;
}

static void put(struct base_buf *out, enum spool_envelope_type type, const void *p, size_t len)
{
    int failed = spool_envelope_put(out, type, base_span_of(p, len));
    base_assert(failed == 0); /* a sender that mail_dsn_open took fits */
}

static void envelope_write(struct courier_bounce *b, const struct mail_dsn_report *report)
{
    struct base_buf out = {.p = b->envelope, .cap = sizeof(b->envelope)};
    uint8_t arrival[8];

    base_put_le64(arrival, report->wall_ns);
    put(&out, SPOOL_ENVELOPE_SENDER, "", 0);
    put(&out, SPOOL_ENVELOPE_ARRIVAL, arrival, sizeof(arrival));
    if (mail_dsn_is_8bit(report))
        put(&out, SPOOL_ENVELOPE_BODY_8BIT, NULL, 0);
    if (report->utf8)
        put(&out, SPOOL_ENVELOPE_SMTPUTF8, NULL, 0);
    put(&out, SPOOL_ENVELOPE_RECIPIENT, report->sender.p, report->sender.len);
    b->envelope_len = (uint32_t)out.len;
}

/* Returns 0; -EINVAL when nobody can be told; -ENOMEM. */
static int compose(struct courier *c, struct courier_bounce *b, struct draft *t,
                   struct base_span original)
{
    draft_fill(c, t, b, original);
    int rc = mail_dsn_open(&t->dsn, &t->report);
    if (rc != 0)
        return rc;
    for (;;) {
        enum mail_dsn_next next = mail_dsn_write(&t->dsn, &b->text, &original, true);
        if (next == MAIL_DSN_DONE)
            break;
        if (next != MAIL_DSN_ROOM || !text_grow(&b->text))
            return -ENOMEM;
    }
    b->header_len = header_end(base_buf_span(&b->text));
    envelope_write(b, &t->report);
    return 0;
}

/* With what could be read of the original, which may be nothing. */
static void write_report(struct courier *c, struct courier_bounce *b, struct base_span original)
{
    struct delivery *d = b->delivery;
    const char *why;

    uint32_t spool = topology_choose_spool(c->topology, c->id_counter, &why);
    if (spool == TOPOLOGY_SPOOL_NONE)
        return give_up(c, b, "no spool takes a report to the sender: tried again later");
    b->id = spool_id_make(c->wall_ns, c->topology->spool[spool].number, COURIER_ID_LANE,
                          c->id_counter++);
    struct draft *t = calloc(1, sizeof(*t));
    int rc = t == NULL || !text_grow(&b->text) ? -ENOMEM : compose(c, b, t, original);
    free(t);
    if (rc == -EINVAL) {
        stats_inc(c->stats, STATS_COURIER_BOUNCE_IMPOSSIBLE);
        courier_warn(c, &d->job.id, "message failed, and its sender cannot be told");
        end(b);
        return courier_failed(c, d);
    }
    if (rc != 0)
        return give_up(c, b, "no memory for a report to the sender: tried again later");
    b->step = STEP_BEGIN;
    base_list_remove(&b->node);
    base_list_push_back(&c->bounce_todo, &b->node);
}

/* ---- to the spool ---- */

/* The next entry of this report; false when a buffer is wanted and none is free. */
static bool entry_next(struct courier *c, struct courier_bounce *b, struct spool_entry *e)
{
    *e = (struct spool_entry){.id = b->id, .from = SPOOL_TO_COURIER, .cookie = b};
    uint32_t to = b->step == STEP_HEADER ? b->header_len : (uint32_t)b->text.len;

    switch (b->step) {
    case STEP_READ:
        b->buf = spool_buf_get(&c->bufs);
        e->op = SPOOL_READ;
        e->id = b->delivery->job.id;
        e->buf = b->buf;
        e->len = SPOOL_BUF_BYTES;
        return b->buf != NULL;
    case STEP_BEGIN:
        e->op = SPOOL_BEGIN;
        e->part = SPOOL_PART_ENVELOPE;
        e->p = b->envelope;
        e->len = b->envelope_len;
        return true;
    case STEP_HEADER:
    case STEP_BODY:
        e->op = SPOOL_CHUNK;
        e->part = b->step == STEP_HEADER ? SPOOL_PART_HEADER : SPOOL_PART_BODY;
        e->p = b->text.p + b->sent;
        e->len = to - b->sent < SPOOL_BUF_BYTES ? to - b->sent : SPOOL_BUF_BYTES;
        return true;
    default:
        base_assert(b->step == STEP_COMMIT);
        e->op = SPOOL_COMMIT;
        return true;
    }
}

/* The entry is in the ring. */
static void entry_sent(struct courier *c, struct courier_bounce *b, const struct spool_entry *e)
{
    if (e->op == SPOOL_CHUNK) {
        b->sent += e->len;
        if (b->sent < (b->step == STEP_HEADER ? b->header_len : b->text.len))
            return;
        b->step = b->sent < b->text.len ? STEP_BODY : STEP_COMMIT;
        return;
    }
    b->step++;
    if (b->step == STEP_READING || b->step == STEP_DURABLE) {
        base_list_remove(&b->node);
        base_list_push_back(&c->bounce_sent, &b->node);
    }
}

/* As much of one report as its spool's ring has room for. */
static uint32_t send_one(struct courier *c, struct courier_bounce *b)
{
    const struct spool_id *id = b->step == STEP_READ ? &b->delivery->job.id : &b->id;
    uint32_t spool = topology_spool_of(c->topology, id);
    struct rte_ring *ring = c->spool[spool].to;
    bool last = false;
    uint32_t n = 0;

    /* Without a buffer the report waits for one that is out: it comes home by the ring. */
    for (struct spool_entry e; !last && !rte_ring_full(ring) && entry_next(c, b, &e); n++) {
        base_assert(rte_ring_sp_enqueue_elem(ring, &e, sizeof(e)) == 0);
        entry_sent(c, b, &e);
        last = e.op == SPOOL_READ || e.op == SPOOL_COMMIT;
    }
    if (n > 0)
        doorbell_ring(&c->topology->spool[spool].bell);
    return n;
}

uint32_t courier_bounce_send(struct courier *c)
{
    uint32_t n = 0;

    for (struct base_list *node = c->bounce_todo.next, *next; node != &c->bounce_todo;
         node = next) {
        next = node->next;
        n += send_one(c, base_container_of(node, struct courier_bounce, node));
    }
    return n;
}

static void durable(struct courier *c, struct courier_bounce *b)
{
    struct delivery *d = b->delivery;
    char id[SPOOL_ID_TEXT_LEN + 1];
    struct stats_log_record r = {
        .wall_ns = c->wall_ns, .event = STATS_LOG_BOUNCED, .n = b->recipient_cnt};

    memcpy(r.id, d->job.id.b, sizeof(r.id));
    spool_id_format(id, &b->id);
    stats_log_text(&r, base_span_str(id));
    stats_log_push(&c->log, &r);
    stats_inc(c->stats, STATS_COURIER_BOUNCES);
    stats_add(c->stats, STATS_COURIER_BOUNCE_UNWANTED, d->job.recipient_cnt - b->recipient_cnt);
    end(b);
    courier_failed(c, d);
}

void courier_bounce_done(struct courier *c, const struct spool_done *done)
{
    struct courier_bounce *b = done->cookie;

    if (done->op == SPOOL_READ) {
        struct spool_buf *buf = b->buf;
        base_assert(b->step == STEP_READING && done->buf == buf);
        b->buf = NULL;
        write_report(c, b, base_span_of(buf->data, done->status == 0 ? done->len : 0));
        spool_buf_put(&c->bufs, buf);
        return;
    }
    base_assert(done->op == SPOOL_COMMIT && b->step == STEP_DURABLE);
    if (done->status == 0)
        durable(c, b);
    else
        give_up(c, b, "a report to the sender could not be stored: tried again later");
}

static void fini_list(struct courier *c, struct base_list *list)
{
    struct base_list *node;

    while ((node = base_list_pop_front(list)) != NULL) {
        struct courier_bounce *b = base_container_of(node, struct courier_bounce, node);
        if (b->buf != NULL)
            spool_buf_put(&c->bufs, b->buf);
        bounce_free(b);
    }
}

void courier_bounce_fini(struct courier *c)
{
    fini_list(c, &c->bounce_todo);
    fini_list(c, &c->bounce_sent);
    spool_buf_pool_fini(&c->bufs);
}
