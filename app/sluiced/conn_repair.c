/*
 * Repair of what a user submits: the header section, which is held until the end of the message, is
 * filtered in its buffers and gets the fields that it lacks (mail_repair.h). Ours stay in front.
 */
#include "conn_message.h"
#include "lane.h"
#include "mail_repair.h"

/* Where the client's header bytes begin in one of the held buffers. */
static uint32_t header_from(const struct conn_transaction *t, const struct spool_buf *b)
{
    return b == t->header ? t->header_from : 0;
}

/* Takes the last bytes back of what stays in the buffers before that one. */
static void take_back(struct conn_transaction *t, const struct spool_buf *before, size_t bytes)
{
    while (bytes > 0) {
        struct spool_buf *b = t->header;
        base_assert(b != before);
        while (b->next != before)
            b = b->next;
        size_t has = b->len - header_from(t, b), cut = bytes < has ? bytes : has;
        b->len -= (uint32_t)cut;
        bytes -= cut;
        before = b;
    }
}

static void filter(struct conn_transaction *t, struct mail_repair *r)
{
    mail_repair_init(r);
    for (struct spool_buf *b = t->header; b != NULL; b = b->next) {
        uint32_t from = header_from(t, b);
        size_t undo, kept = mail_repair_push(r, b->data + from, b->len - from, &undo);
        b->len = from + (uint32_t)kept;
        take_back(t, b, undo);
    }
}

/* Puts the fields behind our own. Returns false without a buffer. */
static bool insert(struct conn *c, struct base_span fields)
{
    struct conn_transaction *t = &c->in.txn;
    struct spool_buf *b = t->header;
    uint32_t from = t->header_from, rest = b->len - from;

    if (fields.len == 0)
        return true;
    if (fields.len > SPOOL_BUF_BYTES - b->len) { /* what follows goes into one of its own */
        struct spool_buf *more = conn_message_hold(c, b);
        if (more == NULL)
            return false;
        memcpy(more->data, b->data + from, rest);
        more->len = rest;
        b->len = from;
        rest = 0;
    }
    base_assert(fields.len <= SPOOL_BUF_BYTES - b->len);
    memmove(b->data + from + fields.len, b->data + from, rest);
    memcpy(b->data + from, fields.p, fields.len);
    b->len += (uint32_t)fields.len;
    return true;
}

bool conn_message_repair(struct conn *c)
{
    struct conn_transaction *t = &c->in.txn;
    struct stats_block *stats = c->lane->stats;
    uint8_t room[MAIL_REPAIR_FIELDS_MAX];
    struct base_buf fields = {.p = room, .cap = sizeof(room)};
    char id[SPOOL_ID_TEXT_LEN + 1];
    struct mail_repair r;

    base_assert(t->header != NULL && t->header_end == 0);
    filter(t, &r);
    spool_id_format(id, &t->id);
    int failed = mail_repair_fields(&fields, &r, c->lane->wall_ns, base_span_str(id),
                                    base_span_str(c->lane->settings->smtp.hostname));
    base_assert(failed == 0);
    stats_add(stats, STATS_CONN_REPAIRED_BCC, r.dropped_cnt);
    stats_add(stats, STATS_CONN_REPAIRED_DATE, !r.has_date);
    stats_add(stats, STATS_CONN_REPAIRED_ID, !r.has_message_id);
    return insert(c, base_buf_span(&fields));
}
