#include "courier_list.h"
#include "base_time.h"
#include "courier_print.h"
#include "courier_shape_list.h"
#include "spool_status.h"

/* Room that one message of a list, or one recipient, may need. */
#define MESSAGE_TEXT_MAX   16384
#define RECIPIENT_TEXT_MAX 4096
#define RECIPIENTS_SHOWN   10
#define JSON_RECIPIENTS    6 /* a byte may take six */
#define LIST_VISIT_MAX     2048

static const char *const state_name[] = {"queued", "deferred", "delivered", "failed"};

/* ---- an entry ---- */

static bool has_words(const struct queue_entry *e, uint32_t i)
{
    return e->words.len > 0 && e->words_recipient == i;
}

static void recipient_json(const struct courier *c, struct courier_request *r,
                           const struct queue_entry *e, uint32_t i)
{
    const struct spool_outcome at = queue_entry_outcome(e, i), *o = &at;
    char status[SPOOL_STATUS_TEXT_CAP];

    courier_print_text(r, i > 0 ? ",{\"to\":" : "{\"to\":");
    courier_print_json(r, queue_recipient(e->message, i));
    courier_print_text(r, ",\"state\":\"");
    courier_print_text(r, state_name[o->state & 3]);
    courier_print_text(r, "\",\"attempts\":");
    courier_print_number(r, o->attempt_cnt);
    courier_print_text(r, ",\"code\":");
    courier_print_number(r, o->code);
    spool_status_format(status, o->enhanced);
    courier_print_text(r, ",\"enhanced\":\"");
    courier_print_text(r, status);
    courier_print_text(r, "\"");
    if (o->state == SPOOL_OUTCOME_DEFERRED) {
        courier_print_text(r, ",\"next_s\":");
        courier_print_number(r, o->next_wall_ns / BASE_NS_S);
    }
    if (has_words(e, i)) {
        courier_print_text(r, ",\"words\":");
        courier_print_json(r, e->words);
    }
    courier_shape_list_suspension(c, r, e, i);
    courier_print_text(r, "}");
}

static void recipient_text(const struct courier *c, struct courier_request *r,
                           const struct queue_entry *e, uint32_t i)
{
    const struct spool_outcome at = queue_entry_outcome(e, i), *o = &at;
    char status[SPOOL_STATUS_TEXT_CAP];

    courier_print_text(r, "    to=<");
    courier_print_span(r, queue_recipient(e->message, i));
    courier_print_text(r, "> ");
    courier_print_text(r, state_name[o->state & 3]);
    if (o->attempt_cnt > 0) {
        courier_print_text(r, " attempts=");
        courier_print_number(r, o->attempt_cnt);
        courier_print_text(r, " code=");
        courier_print_number(r, o->code);
    }
    spool_status_format(status, o->enhanced);
    if (status[0] != 0) {
        courier_print_text(r, " enhanced=");
        courier_print_text(r, status);
    }
    if (o->state == SPOOL_OUTCOME_DEFERRED) {
        courier_print_text(r, " next=");
        courier_print_time(r, o->next_wall_ns);
    }
    if (has_words(e, i)) {
        courier_print_text(r, " words=");
        courier_print_json(r, e->words);
    }
    courier_shape_list_suspension(c, r, e, i);
    courier_print_text(r, "\n");
}

static void head_json(struct courier_request *r, const struct queue_entry *e, const char *id)
{
    courier_print_text(r, "{\"id\":\"");
    courier_print_text(r, id);
    courier_print_text(r, "\",\"arrival_s\":");
    courier_print_number(r, e->arrival_wall_ns / BASE_NS_S);
    courier_print_text(r, ",\"bytes\":");
    courier_print_number(r, e->content_bytes);
    if (e->requiretls)
        courier_print_text(r, ",\"requiretls\":true");
    if (e->tls_optional)
        courier_print_text(r, ",\"tls_optional\":true");
    courier_print_text(r, e->held ? ",\"held\":true,\"sender\":" : ",\"held\":false,\"sender\":");
    courier_print_json(r, e->sender);
    courier_print_text(r, ",\"recipient_cnt\":");
    courier_print_number(r, e->recipient_cnt);
    courier_print_text(r, ",\"recipients\":[");
}

static void head_text(struct courier_request *r, const struct queue_entry *e, const char *id)
{
    courier_print_text(r, id);
    courier_print_text(r, " ");
    courier_print_time(r, e->arrival_wall_ns);
    courier_print_text(r, " bytes=");
    courier_print_number(r, e->content_bytes);
    courier_print_text(r, " from=<");
    courier_print_span(r, e->sender);
    courier_print_text(r, e->requiretls     ? "> requiretls"
                          : e->tls_optional ? "> tls_optional"
                                            : ">");
    courier_print_text(r, e->held ? " held\n" : "\n");
}

static void head(struct courier_request *r, const struct queue_entry *e)
{
    char id[SPOOL_ID_TEXT_LEN + 1];

    spool_id_format(id, &e->id);
    if (r->filter.json)
        head_json(r, e, id);
    else
        head_text(r, e, id);
}

static void recipient(const struct courier *c, struct courier_request *r,
                      const struct queue_entry *e, uint32_t i)
{
    if (r->filter.json)
        recipient_json(c, r, e, i);
    else
        recipient_text(c, r, e, i);
}

/* ---- lists ---- */

struct list {
    struct courier *c;
    struct courier_request *r;
    uint32_t visited_cnt;
};

static void list_entry(const struct courier *c, struct courier_request *r,
                       const struct queue_entry *e)
{
    uint32_t shown = r->filter.json ? JSON_RECIPIENTS : RECIPIENTS_SHOWN;

    head(r, e);
    for (uint32_t i = 0; i < e->recipient_cnt && i < shown; i++)
        recipient(c, r, e, i);
    if (r->filter.json)
        courier_print_text(r, "]}\n");
    else if (e->recipient_cnt > shown)
        courier_print(r, "    and %u more\n", e->recipient_cnt - shown);
}

static bool list_one(void *user, const struct queue_entry *e)
{
    struct list *l = user;
    struct courier_request *r = l->r;

    if (r->text_cap - r->text_len < MESSAGE_TEXT_MAX) {
        r->more = true;
        return false;
    }
    r->more = ++l->visited_cnt == LIST_VISIT_MAX && !r->filter.by_id;
    r->after = e->id;
    if (queue_filter_match(&r->filter, e, l->c->wall_ns)) {
        r->done_cnt++;
        list_entry(l->c, r, e);
    }
    if (r->filter.limit != 0 && r->done_cnt == r->filter.limit) {
        r->more = false;
        return false;
    }
    return !r->filter.by_id;
}

void courier_list_messages(struct courier *c, struct courier_request *r)
{
    struct list l = {.c = c, .r = r};
    struct spool_id after = r->after;

    queue_each(c->queue, &after, LIST_VISIT_MAX, list_one, &l);
}

static bool show_one(void *user, const struct queue_entry *e)
{
    struct list *l = user;
    struct courier_request *r = l->r;

    if (!spool_id_eq(&e->id, &r->filter.id))
        return false;
    r->done_cnt = 1;
    if (r->recipient_at == 0)
        head(r, e);
    for (; r->recipient_at < e->recipient_cnt; r->recipient_at++) {
        r->more = r->text_cap - r->text_len < RECIPIENT_TEXT_MAX;
        if (r->more)
            return false;
        recipient(l->c, r, e, r->recipient_at);
    }
    if (r->filter.json)
        courier_print_text(r, "]}\n");
    return false;
}

void courier_list_show(struct courier *c, struct courier_request *r)
{
    struct spool_id after = r->after; /* right before the message */

    r->done_cnt = 0;
    struct list l = {.c = c, .r = r};
    queue_each(c->queue, &after, 1, show_one, &l);
    if (r->done_cnt == 0)
        r->error = r->recipient_at == 0 ? "there is no such message in the queue: sluicectl queue "
                                          "list tells those there are"
                                        : "the message has left the queue meanwhile: the list is "
                                          "not whole; the log tells where it went";
}

/* ---- counts ---- */

static struct courier_tally *tally_of(struct courier_request *r, struct base_span domain)
{
    struct courier_tally *t;

    if (domain.len > sizeof(t->domain))
        domain.len = sizeof(t->domain);
    for (uint32_t i = 0; i < r->tally_cnt; i++)
        if (base_span_caseeq(base_span_of(r->tally[i].domain, r->tally[i].len), domain))
            return &r->tally[i];
    if (r->tally_cnt >= COURIER_TALLY_MAX - 1) { /* the last one is for the rest */
        t = &r->tally[COURIER_TALLY_MAX - 1];
        r->tally_cnt = COURIER_TALLY_MAX;
        domain = base_span_str("(others)");
    } else {
        t = &r->tally[r->tally_cnt++];
    }
    if (domain.len > 0)
        memcpy(t->domain, domain.p, domain.len);
    t->len = (uint32_t)domain.len;
    return t;
}

static bool tally_one(void *user, const struct queue_entry *e)
{
    struct list *l = user;

    l->visited_cnt++;
    l->r->after = e->id;
    if (!queue_filter_match(&l->r->filter, e, l->c->wall_ns))
        return !l->r->filter.by_id;
    l->r->done_cnt++;
    for (uint32_t i = 0; i < e->recipient_cnt; i++) {
        uint8_t state = queue_entry_outcome(e, i).state;
        if (state == SPOOL_OUTCOME_DELIVERED)
            continue;
        struct courier_tally *t = tally_of(l->r, queue_domain(queue_recipient(e->message, i)));
        t->cnt[state == SPOOL_OUTCOME_FAILED     ? COURIER_TALLY_FAILED
               : e->held                         ? COURIER_TALLY_HELD
               : state == SPOOL_OUTCOME_DEFERRED ? COURIER_TALLY_DEFERRED
                                                 : COURIER_TALLY_QUEUED]++;
    }
    return !l->r->filter.by_id;
}

static void stat_json(struct courier_request *r, const struct queue_usage *u)
{
    courier_print(r,
                  "{\"messages\":%" PRIu64 ",\"recipients\":%" PRIu64 ",\"deferred\":%" PRIu64
                  ",\"active\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"matched\":%" PRIu64 "}\n",
                  u->message_cnt, u->recipient_cnt, u->deferred_cnt, u->active_cnt, u->failed_cnt,
                  r->done_cnt);
    for (uint32_t i = 0; i < r->tally_cnt; i++) {
        const struct courier_tally *t = &r->tally[i];
        courier_print_text(r, "{\"domain\":");
        courier_print_json(r, base_span_of(t->domain, t->len));
        courier_print(r, ",\"queued\":%u,\"deferred\":%u,\"failed\":%u,\"held\":%u}\n",
                      t->cnt[COURIER_TALLY_QUEUED], t->cnt[COURIER_TALLY_DEFERRED],
                      t->cnt[COURIER_TALLY_FAILED], t->cnt[COURIER_TALLY_HELD]);
    }
}

static void stat_text(struct courier_request *r, const struct queue_usage *u)
{
    courier_print(r,
                  "messages %" PRIu64 "\nrecipients %" PRIu64 "\ndeferred %" PRIu64
                  "\nactive %" PRIu64 "\nfailed %" PRIu64 "\n",
                  u->message_cnt, u->recipient_cnt, u->deferred_cnt, u->active_cnt, u->failed_cnt);
    if (queue_filter_narrows(&r->filter))
        courier_print(r, "matched %" PRIu64 "\n", r->done_cnt);
    for (uint32_t i = 0; i < r->tally_cnt; i++) {
        const struct courier_tally *t = &r->tally[i];
        courier_print_text(r, "domain ");
        courier_print_span(r, base_span_of(t->domain, t->len));
        courier_print(r, " queued=%u deferred=%u failed=%u held=%u\n", t->cnt[COURIER_TALLY_QUEUED],
                      t->cnt[COURIER_TALLY_DEFERRED], t->cnt[COURIER_TALLY_FAILED],
                      t->cnt[COURIER_TALLY_HELD]);
    }
}

void courier_list_stat(struct courier *c, struct courier_request *r)
{
    struct list l = {.c = c, .r = r};
    struct spool_id after = r->after;
    struct queue_usage u;

    queue_each(c->queue, &after, LIST_VISIT_MAX, tally_one, &l);
    r->more = l.visited_cnt == LIST_VISIT_MAX;
    if (r->more)
        return;
    queue_usage(c->queue, &u);
    if (r->filter.json)
        stat_json(r, &u);
    else
        stat_text(r, &u);
}
