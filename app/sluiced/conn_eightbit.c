#include "conn_eightbit.h"
#include "conn_final.h"
#include "conn_out_internal.h"

static struct mail_eightbit *take(struct conn_eightbit *e)
{
    for (uint32_t i = 0; i < CONN_EIGHTBIT_CNT; i++)
        if (!e->taken[i]) {
            e->taken[i] = true;
            return &e->converter[i];
        }
    return NULL;
}

/* m may be NULL. */
static void put(struct conn_eightbit *e, const struct mail_eightbit *m)
{
    if (m != NULL)
        e->taken[m - e->converter] = false;
}

void conn_eightbit_drop(struct conn *c)
{
    c->out.checking = false;
    put(&c->lane->eightbit, c->out.eightbit);
    c->out.eightbit = NULL;
}

static void tell_content(struct conn *c)
{
    struct conn_out *o = &c->out;
    bool bounce = c->lane->settings->conf->delivery.eightbit == CONF_EIGHTBIT_BOUNCE;
    struct smtp_client_content content = {0};

    if (o->smtp.look_whole) {
        mail_eightbit_looked(o->eightbit);
        content = (struct smtp_client_content){
            .header = o->eightbit->header,
            .body = o->eightbit->body,
            .global = o->eightbit->global,
            .why_not = bounce ? "Message is 8-bit and the server does not offer 8BITMIME"
                              : o->eightbit->why_not,
        };
    }
    if (o->smtp.job.single) {
        conn_final_look_end(c);
        base_static_assert(sizeof(content.looped) == sizeof(o->looped), "the same bits");
        memcpy(content.looped, o->looped, sizeof(content.looped));
    }
    smtp_client_checked(&o->smtp, &content);
    o->checking = false;
    if (!content.body || content.why_not != NULL)
        conn_eightbit_drop(c);
}

void conn_eightbit_look(struct conn *c)
{
    struct conn_out *o = &c->out;

    while (o->checking && c->link != NULL) {
        bool whole = o->smtp.look_whole;
        if (whole && o->eightbit == NULL) {
            o->eightbit = take(&c->lane->eightbit);
            if (o->eightbit == NULL)
                return conn_stall(c);
            mail_eightbit_init(o->eightbit);
        }
        bool all = o->offset >= o->delivery->job.content_bytes || (!whole && conn_final_seen(c));
        if (all && o->data == NULL && !o->reading)
            return tell_content(c);
        if (o->data == NULL) {
            if (!conn_out_read(c))
                conn_stall(c);
            return;
        }
        struct base_span piece = base_span_of(o->data->data, o->data->len);
        if (whole)
            mail_eightbit_look(o->eightbit, piece);
        if (o->smtp.job.single)
            conn_final_look(c, piece);
        spool_buf_put(&c->lane->bufs, o->data);
        o->data = NULL;
        conn_out_deadline(c, smtp_client_timeout_ns(&o->smtp));
    }
}
