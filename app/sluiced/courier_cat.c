#include "courier_cat.h"
#include "courier_control.h"

#include <errno.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

void courier_cat_fini(struct courier *c)
{
    if (c->cat.buf != NULL)
        spool_buf_put(&c->bufs, c->cat.buf);
    c->cat.buf = NULL;
}

static const char *error_text(const struct courier_request *r, int status)
{
    if (status == -ENOENT)
        return r->offset == 0 ? "there is no such message in the queue: sluicectl queue list tells "
                                "those there are"
                              : "the message has left the queue meanwhile: it is not whole; the "
                                "log tells where it went";
    if (status == -EBADMSG)
        return "bytes of the message are damaged on disk: it ends before them; sluicectl spool "
               "check on the stopped gateway's spool tells more";
    return "the spool's disk cannot be read: see the log, and the kernel's (dmesg)";
}

uint32_t courier_cat_run(struct courier *c)
{
    struct courier_request *r = c->cat.requests.head;
    struct spool_buf *buf;

    if (r == NULL || c->cat.buf != NULL)
        return 0;
    uint32_t spool = topology_spool_of(c->topology, &r->filter.id);
    if (spool == TOPOLOGY_SPOOL_NONE) {
        r->error = error_text(r, -ENOENT);
        courier_request_pop(&c->cat.requests);
        courier_control_answer(c, r);
        return 1;
    }
    if ((buf = spool_buf_get(&c->bufs)) == NULL)
        return 0;
    struct spool_entry e = {.id = r->filter.id,
                            .op = SPOOL_READ,
                            .from = SPOOL_TO_COURIER,
                            .len = SPOOL_BUF_BYTES,
                            .buf = buf,
                            .cookie = &c->cat,
                            .offset = r->offset};
    if (rte_ring_sp_enqueue_elem(c->spool[spool].to, &e, sizeof(e)) != 0) {
        spool_buf_put(&c->bufs, buf);
        return 0;
    }
    c->cat.buf = buf;
    doorbell_ring(&c->topology->spool[spool].bell);
    return 1;
}

bool courier_cat_done(struct courier *c, const struct spool_done *done)
{
    struct courier_request *r = c->cat.requests.head;

    if (done->cookie != &c->cat)
        return false;
    base_assert(done->buf != NULL && done->buf == c->cat.buf && r != NULL);
    r->more = done->status == 0 && done->len == SPOOL_BUF_BYTES;
    if (done->status == 0) {
        base_assert(done->len <= r->text_cap - r->text_len);
        memcpy(r->text + r->text_len, done->buf->data, done->len);
        r->text_len += done->len;
        r->offset += done->len;
    } else {
        r->error = error_text(r, done->status);
    }
    courier_cat_fini(c);
    if (r->more && r->text_cap - r->text_len >= SPOOL_BUF_BYTES)
        return true; /* another one fits into this piece */
    courier_request_pop(&c->cat.requests);
    courier_control_answer(c, r);
    return true;
}
