#include "courier_list.h"
#include "base_time.h"

#include <inttypes.h>
#include <stdio.h>

#include <rte_ring.h>

/* Room that one message with its recipients may need; a longer list of recipients is cut. */
#define MESSAGE_TEXT_MAX 4096
#define RECIPIENTS_SHOWN 20

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

static bool list_one(void *user, const struct queue_entry *e)
{
    struct courier_request *r = user;
    char id[SPOOL_ID_TEXT_LEN + 1], arrival[BASE_TIME_RFC3339_CAP];

    if (r->text_cap - r->text_len < MESSAGE_TEXT_MAX) {
        r->more = true;
        return false;
    }
    spool_id_format(id, &e->id);
    base_time_rfc3339(arrival, e->arrival_wall_ns);
    print(r, "%s %s bytes=%" PRIu64 " from=<", id, arrival, e->content_bytes);
    print_span(r, e->sender);
    print(r, ">\n");
    for (uint32_t i = 0; i < e->recipient_cnt && i < RECIPIENTS_SHOWN; i++) {
        const struct spool_outcome *o = &e->outcomes[i];
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
        print(r, "\n");
    }
    if (e->recipient_cnt > RECIPIENTS_SHOWN)
        print(r, "    and %u more\n", e->recipient_cnt - RECIPIENTS_SHOWN);
    r->after = e->id;
    r->limit--;
    return r->limit > 0;
}

static void answer(struct courier *c, struct courier_request *r)
{
    struct queue_usage u;

    r->text_len = 0;
    r->more = false;
    switch (r->kind) {
    case COURIER_QUEUE_LIST: {
        struct spool_id after = r->after;
        uint32_t limit = r->limit;
        queue_each(c->queue, &after, limit, list_one, r);
        r->more = r->more || (limit > 0 && r->limit == 0);
        break;
    }
    case COURIER_QUEUE_STAT:
        queue_usage(c->queue, &u);
        print(r,
              "messages %" PRIu64 "\nrecipients %" PRIu64 "\ndeferred %" PRIu64 "\nactive %" PRIu64
              "\nfailed %" PRIu64 "\n",
              u.message_cnt, u.recipient_cnt, u.deferred_cnt, u.active_cnt, u.failed_cnt);
        break;
    case COURIER_QUEUE_FLUSH:
        queue_flush(c->queue, c->now_ns);
        print(r, "flushed\n");
        break;
    }
}

uint32_t courier_list_answer(struct courier *c)
{
    struct rte_ring *in = topology_ring(c->topology, TOPOLOGY_CONTROL_COURIER, 0);
    struct rte_ring *out = topology_ring(c->topology, TOPOLOGY_COURIER_CONTROL, 0);
    struct courier_request *r;
    uint32_t n = 0;

    while (!rte_ring_full(out) && rte_ring_sc_dequeue(in, (void **)&r) == 0) {
        answer(c, r);
        base_assert(rte_ring_sp_enqueue(out, r) == 0);
        doorbell_ring(&c->topology->control_bell);
        n++;
    }
    return n;
}
