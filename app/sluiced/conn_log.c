#include "conn_log.h"
#include "conn_message.h"
#include "mail_message_id.h"
#include "smtp_sasl.h"
#include "spool_status.h"

#define PART_MAX STATS_LOG_TEXT_CAP
#define HELO_MAX 64

void conn_log_begin(const struct conn *c, struct stats_log_record *r, enum stats_log_event event)
{
    const struct lane *l = c->lane;

    stats_log_begin(r, event, l->wall_ns);
    r->port = c->remote.port;
    r->conn = base_pool_index(&l->conns, c) * l->topology->lane_cnt + l->number + 1;
    memcpy(r->address, c->remote.addr.b, sizeof(r->address));
    if (c->in.txn.open || c->in.txn.committing)
        memcpy(r->id, c->in.txn.id.b, sizeof(r->id));
}

void conn_log_text(struct conn *c, enum stats_log_event event, uint64_t n, uint64_t m,
                   struct base_span text)
{
    struct stats_log_record r;

    conn_log_begin(c, &r, event);
    r.n = n;
    r.m = m;
    stats_log_text(&r, text);
    stats_log_push(&c->lane->log, &r);
}

void conn_log_refused(struct conn *c, const char *stage, const struct smtp_reply *reply,
                      const char *why)
{
    const struct smtp_server *s = &c->in.smtp;
    bool mail = s->asked == SMTP_SERVER_MAIL, rcpt = s->asked == SMTP_SERVER_RCPT;
    struct stats_log_record r;

    conn_log_begin(c, &r, STATS_LOG_REFUSED);
    r.n = reply->code;
    if (reply->enhanced != NULL)
        r.m = spool_status_parse(base_span_str(reply->enhanced));
    stats_log_text(&r, base_span_str(why != NULL ? why : reply->text));
    stats_log_part(&r, 1, base_span_str(stage), PART_MAX);
    if (mail || c->in.txn.open)
        stats_log_part(&r, 2, mail ? s->address.mailbox : conn_message_sender(c), PART_MAX);
    if (rcpt)
        stats_log_part(&r, 3, s->address.mailbox, PART_MAX);
    if (s->helo_len > 0)
        stats_log_part(&r, 4, base_span_of(s->helo, s->helo_len), HELO_MAX);
    stats_log_part(&r, 5, base_span_str(s->extended ? "ESMTP" : "SMTP"), PART_MAX);
    stats_log_push(&c->lane->log, &r);
}

void conn_log_message(struct conn *c)
{
    const struct conn_transaction *t = &c->in.txn;
    struct base_span id = {0};

    if (c->lane->settings->conf->log.level < CONF_LEVEL_INFO)
        return;
    for (const struct spool_buf *b = t->header; b != NULL && id.len == 0; b = b->next) {
        uint32_t from = b == t->header ? t->header_from : 0;
        id = mail_message_id_find(base_span_of(b->data + from, b->len - from), b == t->header);
    }
    if (id.len > 0)
        conn_log_text(c, STATS_LOG_MESSAGE, 0, 0, id);
}

void conn_log_accepted(struct conn *c)
{
    const struct smtp_server *s = &c->in.smtp;
    struct stats_log_record r;

    conn_log_begin(c, &r, STATS_LOG_ACCEPTED);
    r.n = s->message_bytes;
    r.m = s->recipient_cnt;
    if (c->in.login.len > 0) {
        stats_log_part(&r, 1, c->in.login, PART_MAX - 32);
        stats_log_part(&r, 2,
                       base_span_str(smtp_sasl_name((enum smtp_sasl_mechanism)s->auth_mechanism)),
                       PART_MAX);
    }
    stats_log_push_reserved(&c->lane->log, &r);
}

void conn_log_not_stored(struct conn *c, const char *why)
{
    struct stats_log_record r;

    conn_log_begin(c, &r, STATS_LOG_NOT_STORED);
    stats_log_text(&r, base_span_str(why));
    stats_log_push_reserved(&c->lane->log, &r);
}

void conn_log_end(struct conn *c)
{
    const struct smtp_server *s = &c->in.smtp;
    char commands[SMTP_TALLY_MAX];
    struct stats_log_record r;

    conn_log_begin(c, &r, STATS_LOG_DISCONNECT);
    r.n = s->message_cnt;
    stats_log_text(&r, base_span_str(c->reason != NULL ? c->reason : "closed"));
    stats_log_part(&r, 1, base_span_str(smtp_tally_last(s)), PART_MAX);
    stats_log_part(&r, 2, base_span_of(commands, smtp_tally_write(commands, s)), PART_MAX);
    stats_log_push(&c->lane->log, &r);
}
