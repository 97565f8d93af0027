/* The message's bytes: read from the spool a buffer at a time while they are sent. */
#include "conn_final.h"
#include "conn_out_internal.h"

#define FINAL_PIECE_BYTES 256

base_static_assert(SMTP_OUT_MIN >= 2 * FINAL_PIECE_BYTES &&
                       SMTP_OUT_MIN > MAIL_EIGHTBIT_OUT_MIN + 2 * FINAL_PIECE_BYTES,
                   "a piece of a header section goes on whole, converted and stuffed");

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

/* To the SMTP client, converted where it wants that, as far as there is room; short pieces go
 * whole. Returns how many bytes of in are done. */
static size_t pass_on(struct conn *c, struct base_span in, struct base_buf *out)
{
    struct conn_out *o = &c->out;
    uint8_t room[MAIL_EIGHTBIT_OUT_MIN];
    size_t consumed = 0, used = 0, done = 0;

    if (!o->smtp.convert) {
        smtp_client_body(&o->smtp, in, &consumed, out);
        return consumed;
    }
    while (done < in.len && (in.len <= FINAL_PIECE_BYTES || out->cap - out->len >= SMTP_OUT_MIN)) {
        struct base_buf piece = {.p = room, .cap = sizeof(room)};
        mail_eightbit_convert(o->eightbit, base_span_of(in.p + done, in.len - done), &used, &piece);
        done += used;
        smtp_client_body(&o->smtp, base_buf_span(&piece), &consumed, out);
        base_assert(consumed == piece.len);
    }
    return done;
}

/* Sends what of the buffer there is room for; of a header section on final delivery without what is
 * left out there. */
static void send_piece(struct conn *c, struct base_buf *out)
{
    struct conn_out *o = &c->out;
    bool strip = o->delivery->return_path;

    while (strip && !mail_final_over(&o->final) && o->data_at < o->data->len) {
        uint8_t room[FINAL_PIECE_BYTES];
        struct base_buf piece = {.p = room, .cap = sizeof(room)};
        size_t used = 0;
        if (out->cap - out->len < SMTP_OUT_MIN)
            return;
        mail_final_strip(&o->final,
                         base_span_of(o->data->data + o->data_at, o->data->len - o->data_at), &used,
                         &piece);
        o->data_at += (uint32_t)used;
        size_t done = pass_on(c, base_buf_span(&piece), out);
        base_assert(done == piece.len);
    }
    if (o->data_at < o->data->len)
        o->data_at += (uint32_t)pass_on(
            c, base_span_of(o->data->data + o->data_at, o->data->len - o->data_at), out);
}

static void end_of_message(struct conn *c)
{
    struct base_buf out = {.p = c->lane->out, .cap = conn_space(c)};
    uint8_t room[MAIL_EIGHTBIT_OUT_MIN];
    struct base_buf last = {.p = room, .cap = sizeof(room)};
    size_t consumed;

    mail_final_strip_end(&c->out.final, &last);
    size_t done = pass_on(c, base_buf_span(&last), &out);
    base_assert(done == last.len);
    last.len = 0;
    if (c->out.smtp.convert) {
        mail_eightbit_end(c->out.eightbit, &last);
        smtp_client_body(&c->out.smtp, base_buf_span(&last), &consumed, &out);
        base_assert(consumed == last.len);
    }
    smtp_client_body_end(&c->out.smtp, &out);
    if (conn_out_last(c))
        smtp_client_quit_early(&c->out.smtp, &out);
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
        if (o->preface_due) {
            struct base_buf first = {.p = c->lane->out, .cap = space};
            conn_final_preface(c, &first);
            conn_write(c, base_buf_span(&first));
            continue;
        }
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
        conn_out_deadline(c, c->lane->settings->conf->smtp.data_timeout_ns);
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
