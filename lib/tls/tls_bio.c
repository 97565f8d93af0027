/* The caller's buffers as OpenSSL sees them: reading takes from the span that is being decoded,
 * writing appends to the output buffer. Nothing is kept between calls, and the end of the stream is
 * never told here (tls_conn_ended). */
#include "tls_internal.h"

#include <openssl/bio.h>

static int bio_create(BIO *b)
{
    BIO_set_init(b, 1);
    return 1;
}

static int bio_read(BIO *b, char *to, size_t cap, size_t *done)
{
    struct tls_conn *c = BIO_get_data(b);
    size_t n = c->in.len < cap ? c->in.len : cap;

    BIO_clear_retry_flags(b);
    *done = n;
    if (n == 0) {
        BIO_set_retry_read(b);
        return -1;
    }
    memcpy(to, c->in.p, n);
    c->in.p += n;
    c->in.len -= n;
    return 1;
}

static int bio_write(BIO *b, const char *from, size_t len, size_t *done)
{
    struct tls_conn *c = BIO_get_data(b);
    size_t room = c->out != NULL ? c->out->cap - c->out->len : 0;
    size_t n = len < room ? len : room;

    BIO_clear_retry_flags(b);
    *done = n;
    if (n == 0) {
        BIO_set_retry_write(b);
        return -1;
    }
    memcpy(c->out->p + c->out->len, from, n);
    c->out->len += n;
    return 1;
}

static long bio_ctrl(BIO *b, int cmd, long number, void *pointer)
{
    (void)b, (void)number, (void)pointer;
    return cmd == BIO_CTRL_FLUSH; /* all others: not known, nothing pending, no end of file */
}

BIO_METHOD *tls_bio_method_new(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "sluice");

    if (m != NULL && BIO_meth_set_create(m, bio_create) && BIO_meth_set_read_ex(m, bio_read) &&
        BIO_meth_set_write_ex(m, bio_write) && BIO_meth_set_ctrl(m, bio_ctrl))
        return m;
    BIO_meth_free(m);
    return NULL;
}

BIO *tls_bio_new(BIO_METHOD *method, struct tls_conn *c)
{
    BIO *b = BIO_new(method);

    if (b != NULL)
        BIO_set_data(b, c);
    return b;
}
