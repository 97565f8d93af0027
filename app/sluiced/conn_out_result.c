/*
 * Results: every recipient gets its result exactly once, and the delivery goes back to the courier
 * with all of them.
 */
#include "conn_out_internal.h"
#include "conn_tls_session.h"

#include <stdio.h>

bool conn_out_unanswered(const struct delivery_result *r)
{
    return r->code == 0 && r->text_len == 0;
}

void conn_out_fill_results(struct delivery *d, const char *why)
{
    for (uint32_t i = 0; i < d->job.recipient_cnt; i++) {
        struct delivery_result *r = &d->result[i];
        if (conn_out_unanswered(r))
            r->text_len = (uint8_t)snprintf(r->text, sizeof(r->text), "%s", why);
    }
    d->result_cnt = d->job.recipient_cnt;
}

static enum delivery_tls tls_of(const struct conn *c)
{
    const struct smtp_client *s = &c->out.smtp;

    return s->tls_refused ? DELIVERY_TLS_FAILED
           : s->encrypted ? (enum delivery_tls)c->out.tls
           : s->agreed    ? DELIVERY_TLS_CLEAR
                          : DELIVERY_TLS_NOTHING;
}

/* What a session without a message came to: the server's words, where it ended with some. */
static void tell_probe(const struct conn *c, struct delivery *d, const char *why)
{
    const struct smtp_client *s = &c->out.smtp;
    struct delivery_result *r = &d->result[0];
    bool good = s->state == SMTP_CLIENT_STATE_READY, said = !good && s->reply.text_len > 0;
    struct base_span words = said ? base_span_of(s->reply.text, s->reply.text_len)
                                  : base_span_str(good ? "mail would be taken" : why);

    *r = (struct delivery_result){.code = good ? 250 : said ? s->reply.code : 0};
    r->text_len = (uint8_t)(words.len < sizeof(r->text) ? words.len : sizeof(r->text));
    memcpy(r->text, words.p, r->text_len);
    if (said)
        memcpy(r->enhanced, s->reply.enhanced, sizeof(r->enhanced));
    d->tls = (uint8_t)tls_of(c);
}

void conn_out_give_back(struct conn *c, const char *why)
{
    struct delivery *d = c->out.delivery;

    if (d == NULL)
        return;
    conn_tls_session_end(c, d);
    c->out.delivery = NULL;
    conn_eightbit_drop(c);
    if (d->probe)
        tell_probe(c, d, why);
    conn_out_fill_results(d, why);
    lane_deliver_back(c->lane, d);
}

/* A recipient is through: the others must not go to another host, where it would go again. */
static bool any_delivered(const struct delivery *d)
{
    for (uint32_t i = 0; i < d->job.recipient_cnt; i++)
        if (d->result[i].code / 100 == 2)
            return true;
    return false;
}

void conn_out_take_result(struct conn *c)
{
    const struct smtp_client_result *from = &c->out.smtp.result;
    struct delivery *d = c->out.delivery;

    if (d == NULL || from->recipient >= d->job.recipient_cnt)
        return;
    struct delivery_result *r = &d->result[d->open[from->recipient]];
    r->code = from->code;
    r->text_len = from->text_len < DELIVERY_TEXT_MAX ? from->text_len : DELIVERY_TEXT_MAX;
    memcpy(r->text, from->text, r->text_len);
    memcpy(r->enhanced, from->enhanced, sizeof(r->enhanced));
    d->dsn_passed_on = c->out.smtp.offers_dsn;
    d->auth_trouble = c->out.smtp.auth_trouble;
    d->refused = c->out.smtp.answered_cnt == 0 && from->code / 100 == 4;
    d->next_host = c->out.smtp.answered_cnt == 0 &&
                   (from->code == 0 || from->code / 100 == 4 || c->out.smtp.server_refused) &&
                   !any_delivered(d);
    d->requiretls_passed = c->out.smtp.requiretls_said;
    d->tls = (uint8_t)tls_of(c);
    d->verify_answered = c->out.smtp.answered_cnt > 1;
    d->result_cnt++;
}
