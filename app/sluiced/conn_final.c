#include "conn_final.h"
#include "conn_out_internal.h"

base_static_assert(CONN_FINAL_MAX >= 2 * (SMTP_ADDRESS_MAX + 32), "two fields");
base_static_assert(CONN_FINAL_MAX < SMTP_OUT_MIN, "they go out at once");

void conn_final_look_start(struct conn *c)
{
    mail_final_init(&c->out.final);
    memset(c->out.looped, 0, sizeof(c->out.looped));
}

static void loops(struct conn *c, uint32_t recipient)
{
    c->out.looped[recipient / 64] |= UINT64_C(1) << recipient % 64;
}

static void found(void *user, uint64_t hash)
{
    struct conn *c = user;
    const struct smtp_client_job *job = &c->out.smtp.job;

    for (uint32_t i = 0; i < job->recipient_cnt; i++)
        if (mail_final_hash(job->recipient(job->user, i)) == hash)
            loops(c, i);
}

void conn_final_look(struct conn *c, struct base_span in)
{
    mail_final_look(&c->out.final, in, found, c);
}

/* So many deliveries are a circle, whoever they were for. */
void conn_final_look_end(struct conn *c)
{
    mail_final_look_end(&c->out.final, found, c);
    if (c->out.final.delivered_cnt < MAIL_FINAL_FIELD_MAX)
        return;
    for (uint32_t i = 0; i < c->out.smtp.job.recipient_cnt; i++)
        loops(c, i);
}

bool conn_final_seen(const struct conn *c)
{
    return mail_final_over(&c->out.final);
}

void conn_final_send_start(struct conn *c)
{
    const struct delivery *d = c->out.delivery;

    mail_final_init(&c->out.final);
    c->out.preface_due = d->return_path || d->delivered_to;
}

static void put_field(struct base_buf *text, const char *name, struct base_span address,
                      const char *end)
{
    int failed =
        base_buf_puts(text, name) | base_buf_put_span(text, address) | base_buf_puts(text, end);

    base_assert(failed == 0);
}

void conn_final_preface(struct conn *c, struct base_buf *out)
{
    struct conn_out *o = &c->out;
    const struct smtp_client_job *job = &o->smtp.job;
    uint8_t room[CONN_FINAL_MAX];
    struct base_buf text = {.p = room, .cap = sizeof(room)};
    size_t consumed = 0;

    o->preface_due = false;
    if (o->delivery->return_path)
        put_field(&text, "Return-Path: <", job->sender, ">\r\n");
    if (o->delivery->delivered_to) /* the transaction's only one */
        put_field(&text, "Delivered-To: ", job->recipient(job->user, o->smtp.first), "\r\n");
    smtp_client_body(&o->smtp, base_buf_span(&text), &consumed, out);
    base_assert(consumed == text.len);
}
