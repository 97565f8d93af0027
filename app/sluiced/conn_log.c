#include "conn_log.h"
#include "conn_message.h"
#include "mail_message_id.h"
#include "smtp_sasl.h"
#include "spool_status.h"

#define PART_MAX       STATS_LOG_TEXT_CAP
#define HELO_MAX       64
#define MESSAGE_ID_MAX 250
#define LOGIN_MAX      150

void conn_log_begin(const struct conn *c, struct stats_log_record *r, enum stats_log_event event)
{
    const struct lane *l = c->lane;

    stats_log_begin(r, event, l->wall_ns);
    r->port = c->remote.port;
    r->conn = lane_conn_number(c);
    memcpy(r->address, c->remote.addr.b, sizeof(r->address));
    if (c->in.txn.open || c->in.txn.committing)
        memcpy(r->id, c->in.txn.id.b, sizeof(r->id));
}

void conn_log_text(struct conn *c, enum stats_log_event event, uint64_t n, uint32_t m,
                   struct base_span text)
{
    struct stats_log_record r;

    conn_log_begin(c, &r, event);
    r.n = n;
    r.m = m;
    stats_log_text(&r, text);
    stats_log_push(&c->lane->log, &r);
}

void conn_count_listener(struct conn *c, enum stats_listener_id id)
{
    const struct topology *t = c->lane->topology;

    if (c->listener->number < t->listener_cnt)
        stats_grow(&t->listener[c->listener->number].of_lane[c->lane->number].v[id], 1);
}

void conn_log_refused(struct conn *c, const char *stage, const struct smtp_reply *reply,
                      const char *why)
{
    const struct smtp_server *s = &c->in.smtp;
    bool mail = s->asked == SMTP_SERVER_MAIL, rcpt = s->asked == SMTP_SERVER_RCPT;
    struct stats_log_record r;

    conn_count_listener(c, STATS_LISTENER_REFUSED);
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

/* The first Message-ID of the header section, which is held until COMMIT. */
static struct base_span find_message_id(const struct conn *c)
{
    const struct conn_transaction *t = &c->in.txn;
    struct base_span id = {0};

    for (const struct spool_buf *b = t->header; b != NULL && id.len == 0; b = b->next) {
        uint32_t from = b == t->header ? t->header_from : 0;
        uint32_t end = b == t->held_last && t->header_end > 0 ? t->header_end : b->len;
        id = mail_message_id_find(base_span_of(b->data + from, end - from), b == t->header);
    }
    return id;
}

void conn_log_message(struct conn *c)
{
    const struct smtp_server *s = &c->in.smtp;
    struct stats_log_record r;

    conn_log_begin(c, &r, STATS_LOG_MESSAGE);
    if (c->lane->settings->conf->log.level >= CONF_LEVEL_INFO) {
        struct base_span id = find_message_id(c);
        stats_log_text(&r, base_span_of(id.p, id.len < MESSAGE_ID_MAX ? id.len : MESSAGE_ID_MAX));
    }
    if (c->in.login.len > 0) {
        stats_log_part(&r, 1, c->in.login, LOGIN_MAX);
        stats_log_part(&r, 2,
                       base_span_str(smtp_sasl_name((enum smtp_sasl_mechanism)s->auth_mechanism)),
                       PART_MAX);
    }
    stats_log_push_reserved(&c->lane->log, &r);
}

void conn_log_accepted(struct conn *c)
{
    struct stats_log_record r;

    conn_log_begin(c, &r, STATS_LOG_ACCEPTED);
    r.n = c->in.smtp.message_bytes;
    r.m = c->in.smtp.recipient_cnt;
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
