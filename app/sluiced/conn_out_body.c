/* The message's bytes: read from the spool a buffer at a time while they are sent. */
#include "conn_out_internal.h"

bool conn_out_read(struct conn *c)
{
    struct conn_out *o = &c->out;

    if (o->reading)
        return true;
    struct spool_buf *b =
        lane_spool_room(c->lane, &o->delivery->job.id, 1) ? spool_buf_get(&c->lane->bufs) : NULL;
    if (b == NULL)
        return false;
    struct spool_entry e = {.id = o->delivery->job.id,
                            .op = SPOOL_READ,
                            .len = SPOOL_BUF_BYTES,
                            .buf = b,
                            .cookie = c,
                            .offset = o->offset};
    c->awaited++;
    o->reading = true;
    lane_spool_push(c->lane, &e);
    return true;
}

/* Sends what of the buffer there is room for, converted where the client wants it. */
static void send_piece(struct conn *c, struct base_buf *out)
{
    struct conn_out *o = &c->out;
    uint8_t room[MAIL_EIGHTBIT_OUT_MIN];
    size_t consumed = 0, used = 0;

    if (!o->smtp.convert) {
        smtp_client_body(&o->smtp,
                         base_span_of(o->data->data + o->data_at, o->data->len - o->data_at),
                         &consumed, out);
        o->data_at += (uint32_t)consumed;
        return;
    }
    while (o->data_at < o->data->len && out->cap - out->len >= SMTP_OUT_MIN) {
        struct base_buf piece = {.p = room, .cap = sizeof(room)};
        mail_eightbit_convert(o->eightbit,
                              base_span_of(o->data->data + o->data_at, o->data->len - o->data_at),
                              &used, &piece);
        o->data_at += (uint32_t)used;
        smtp_client_body(&o->smtp, base_buf_span(&piece), &consumed, out);
        base_assert(consumed == piece.len);
    }
}

static void end_of_message(struct conn *c)
{
    struct base_buf out = {.p = c->lane->out, .cap = conn_space(c)};
    uint8_t room[MAIL_EIGHTBIT_OUT_MIN];
    struct base_buf last = {.p = room, .cap = sizeof(room)};
    size_t consumed;

    if (c->out.smtp.convert) {
        mail_eightbit_end(c->out.eightbit, &last);
        smtp_client_body(&c->out.smtp, base_buf_span(&last), &consumed, &out);
        base_assert(consumed == last.len);
    }
    smtp_client_body_end(&c->out.smtp, &out);
    c->out.sending = false;
    conn_write(c, base_buf_span(&out));
}

void conn_out_send(struct conn *c)
{
    struct conn_out *o = &c->out;

    while (o->sending && c->link != NULL) {
        size_t space = conn_space(c);
        if (space < SMTP_OUT_MIN)
            return;
        if (o->offset >= o->delivery->job.content_bytes && o->data == NULL && !o->reading)
            return end_of_message(c);
        if (o->data == NULL) {
            if (!conn_out_read(c))
                conn_stall(c);
            return;
        }
        struct base_buf out = {.p = c->lane->out, .cap = space};
        send_piece(c, &out);
        if (o->data_at == o->data->len) {
            spool_buf_put(&c->lane->bufs, o->data);
            o->data = NULL;
        }
        conn_write(c, base_buf_span(&out));
        conn_deadline(c, c->lane->settings->conf->smtp.data_timeout_ns);
    }
}

void conn_out_spooled(struct conn *c, const struct spool_done *done)
{
    struct conn_out *o = &c->out;

    base_assert(done->op == SPOOL_READ && o->reading);
    o->reading = false;
    if (c->link == NULL || done->status != 0 || done->len == 0) {
        spool_buf_put(&c->lane->bufs, done->buf);
        if (c->link != NULL) { /* never end a message that is not whole: cut the connection */
            stats_inc(c->lane->stats, STATS_CONN_READ_FAILED);
            conn_out_give_back(c, "message could not be read from the spool");
            conn_drop(c, "spool read failed");
        }
        return;
    }
    done->buf->len = done->len;
    o->data = done->buf;
    o->data_at = 0;
    o->offset += done->len;
}
