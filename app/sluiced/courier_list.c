#include "courier_list.h"
#include "base_time.h"
#include "courier_command.h"

#include <inttypes.h>
#include <stdio.h>

#include <rte_ring.h>

/* Room that one message with its recipients may need; a longer list of recipients is cut. */
#define MESSAGE_TEXT_MAX 16384
#define RECIPIENTS_SHOWN 10
#define JSON_RECIPIENTS  6 /* a byte may take six */
#define LIST_VISIT_MAX   2048

static const char *const state_name[] = {"queued", "deferred", "delivered", "failed"};

static void print_span(struct courier_request *r, struct base_span s)
{
    for (size_t i = 0; i < s.len && r->text_len + 4 < r->text_cap; i++) {
        uint8_t b = s.p[i];
        if (b > 32 && b < 127 && b != '\\')
            r->text[r->text_len++] = (char)b;
        else
            r->text_len += (size_t)snprintf(r->text + r->text_len, 5, "\\x%02x", b);
    }
}

__attribute__((format(printf, 2, 3))) static void print(struct courier_request *r, const char *f,
                                                        ...)
{
    va_list args;

    va_start(args, f);
    int n = vsnprintf(r->text + r->text_len, r->text_cap - r->text_len, f, args);
    va_end(args);
    if (n > 0 && (size_t)n < r->text_cap - r->text_len)
        r->text_len += (size_t)n;
}

/* As a JSON string: what is not printable ASCII as \u00xx, byte for byte. */
static void print_json(struct courier_request *r, struct base_span s)
{
    print(r, "\"");
    for (size_t i = 0; i < s.len; i++) {
        uint8_t b = s.p[i];
        if (b >= 32 && b < 127 && b != '\\' && b != '"')
            print(r, "%c", b);
        else
            print(r, "\\u%04x", b);
    }
    print(r, "\"");
}

static void list_recipient_json(struct courier_request *r, const struct queue_entry *e, uint32_t i)
{
    const struct spool_outcome at = queue_entry_outcome(e, i), *o = &at;

    print(r, "%s{\"to\":", i > 0 ? "," : "");
    print_json(r, queue_recipient(e->message, i));
    print(r, ",\"state\":\"%s\",\"attempts\":%u,\"code\":%u", state_name[o->state & 3],
          o->attempt_cnt, o->code);
    if (o->state == SPOOL_OUTCOME_DEFERRED)
        print(r, ",\"next_s\":%" PRIu64, o->next_wall_ns / BASE_NS_S);
    if (e->words.len > 0 && e->words_recipient == i) {
        print(r, ",\"words\":");
        print_json(r, e->words);
    }
    print(r, "}");
}

/* One object a line. */
static void list_json(struct courier_request *r, const struct queue_entry *e, const char *id)
{
    uint32_t shown = e->recipient_cnt < JSON_RECIPIENTS ? e->recipient_cnt : JSON_RECIPIENTS;

    print(r,
          "{\"id\":\"%s\",\"arrival_s\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"held\":%s,\"sender\":",
          id, e->arrival_wall_ns / BASE_NS_S, e->content_bytes, e->held ? "true" : "false");
    print_json(r, e->sender);
    print(r, ",\"recipient_cnt\":%u,\"recipients\":[", e->recipient_cnt);
    for (uint32_t i = 0; i < shown; i++)
        list_recipient_json(r, e, i);
    print(r, "]}\n");
}

static void list_recipient(struct courier_request *r, const struct queue_entry *e, uint32_t i)
{
    const struct spool_outcome at = queue_entry_outcome(e, i), *o = &at;

    print(r, "    to=<");
    print_span(r, queue_recipient(e->message, i));
    print(r, "> %s", state_name[o->state & 3]);
    if (o->attempt_cnt > 0)
        print(r, " attempts=%u code=%u", o->attempt_cnt, o->code);
    if (o->state == SPOOL_OUTCOME_DEFERRED) {
        char next[BASE_TIME_RFC3339_CAP];
        base_time_rfc3339(next, o->next_wall_ns);
        print(r, " next=%s", next);
    }
    if (e->words.len > 0 && e->words_recipient == i) {
        print(r, " words=");
        print_json(r, e->words);
    }
    print(r, "\n");
}

static void list_text(struct courier_request *r, const struct queue_entry *e, const char *id)
{
    char arrival[BASE_TIME_RFC3339_CAP];

    base_time_rfc3339(arrival, e->arrival_wall_ns);
    print(r, "%s %s bytes=%" PRIu64 " from=<", id, arrival, e->content_bytes);
    print_span(r, e->sender);
    print(r, ">%s\n", e->held ? " held" : "");
    for (uint32_t i = 0; i < e->recipient_cnt && i < RECIPIENTS_SHOWN; i++)
        list_recipient(r, e, i);
    if (e->recipient_cnt > RECIPIENTS_SHOWN)
        print(r, "    and %u more\n", e->recipient_cnt - RECIPIENTS_SHOWN);
}

struct list {
    struct courier *c;
    struct courier_request *r;
    uint32_t visited_cnt;
};

static bool list_one(void *user, const struct queue_entry *e)
{
    struct list *l = user;
    struct courier_request *r = l->r;
    char id[SPOOL_ID_TEXT_LEN + 1];

    if (r->text_cap - r->text_len < MESSAGE_TEXT_MAX) {
        r->more = true;
        return false;
    }
    r->more = ++l->visited_cnt == LIST_VISIT_MAX && !r->filter.by_id;
    r->after = e->id;
    if (queue_filter_match(&r->filter, e, l->c->wall_ns)) {
        spool_id_format(id, &e->id);
        r->done_cnt++;
        if (r->filter.json)
            list_json(r, e, id);
        else
            list_text(r, e, id);
    }
    return !r->filter.by_id;
}

static void stat_print(struct courier *c, struct courier_request *r)
{
    struct queue_usage u;

    queue_usage(c->queue, &u);
    print(r,
          "messages %" PRIu64 "\nrecipients %" PRIu64 "\ndeferred %" PRIu64 "\nactive %" PRIu64
          "\nfailed %" PRIu64 "\n",
          u.message_cnt, u.recipient_cnt, u.deferred_cnt, u.active_cnt, u.failed_cnt);
    for (uint32_t i = 0; i < r->tally_cnt; i++) {
        const struct courier_tally *t = &r->tally[i];
        print(r, "domain ");
        print_span(r, base_span_of(t->domain, t->len));
        print(r, " queued=%u deferred=%u failed=%u held=%u\n", t->cnt[COURIER_TALLY_QUEUED],
              t->cnt[COURIER_TALLY_DEFERRED], t->cnt[COURIER_TALLY_FAILED],
              t->cnt[COURIER_TALLY_HELD]);
    }
}

static void change_print(struct courier_request *r)
{
    static const char *const done[] = {[COURIER_QUEUE_FLUSH] = "flushed",
                                       [COURIER_QUEUE_HOLD] = "held",
                                       [COURIER_QUEUE_RELEASE] = "released",
                                       [COURIER_QUEUE_DELETE] = "deleted"};

    print(r, "%s %" PRIu64 "\n", done[r->kind], r->done_cnt);
    if (r->busy_cnt > 0)
        print(r, "not deleted, being delivered at this moment: %" PRIu64 "\n", r->busy_cnt);
}

/* Returns false when the request has to wait. */
static bool answer(struct courier *c, struct courier_request *r)
{
    struct list l = {.c = c, .r = r};
    struct spool_id after = r->after;

    r->text_len = 0;
    r->more = false;
    switch (r->kind) {
    case COURIER_QUEUE_LIST:
        queue_each(c->queue, &after, LIST_VISIT_MAX, list_one, &l);
        if (!r->more && r->filter.by_id && r->done_cnt == 0)
            print(r, "there is no such message in the queue\n");
        break;
    case COURIER_QUEUE_STAT:
        courier_command_tally(c, r);
        if (!r->more)
            stat_print(c, r);
        break;
    case COURIER_QUEUE_FLUSH:
    case COURIER_QUEUE_HOLD:
    case COURIER_QUEUE_RELEASE:
    case COURIER_QUEUE_DELETE:
        if (!courier_command_run(c, r))
            return false;
        if (!r->more)
            change_print(r);
        break;
    }
    return true;
}

uint32_t courier_list_answer(struct courier *c)
{
    struct rte_ring *in = topology_ring(c->topology, TOPOLOGY_CONTROL_COURIER, 0);
    struct rte_ring *out = topology_ring(c->topology, TOPOLOGY_COURIER_CONTROL, 0);
    struct courier_request *r;
    uint32_t n = 0;

    while (!rte_ring_full(out)) {
        if ((r = c->waiting) == NULL && rte_ring_sc_dequeue(in, (void **)&r) != 0)
            break;
        c->waiting = NULL;
        if (!answer(c, r)) {
            c->waiting = r;
            break;
        }
        base_assert(rte_ring_sp_enqueue(out, r) == 0);
        doorbell_ring(&c->topology->control_bell);
        n++;
    }
    return n;
}
