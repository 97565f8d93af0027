#include "dane.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/pem.h>

/* Returns 0, or a negative error. */
static int add(struct dane_chain *c, X509 *x)
{
    uint8_t *der = NULL;
    int len;

    if (c->cnt == DANE_CHAIN_MAX)
        return -EINVAL;
    len = i2d_X509(x, &der);
    if (len <= 0)
        return -ENOMEM;
    uint8_t *copy = malloc((size_t)len);
    if (copy != NULL) {
        memcpy(copy, der, (size_t)len);
        c->der[c->cnt++] = base_span_of(copy, (size_t)len);
    }
    OPENSSL_free(der);
    return copy != NULL ? 0 : -ENOMEM;
}

int dane_chain_read(struct dane_chain *c, struct base_span pem)
{
    BIO *b = pem.len > 0 && pem.len <= INT_MAX ? BIO_new_mem_buf(pem.p, (int)pem.len) : NULL;
    int error = b == NULL ? -EINVAL : 0;
    X509 *x;

    *c = (struct dane_chain){0};
    while (error == 0 && (x = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL) {
        error = add(c, x);
        X509_free(x);
    }
    if (error == 0 && (c->cnt == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE))
        error = -EINVAL;
    ERR_clear_error();
    BIO_free(b);
    if (error != 0)
        dane_chain_free(c);
    return error;
}

void dane_chain_free(struct dane_chain *c)
{
    for (uint32_t i = 0; i < c->cnt; i++)
        free((void *)(uintptr_t)c->der[i].p);
    *c = (struct dane_chain){0};
}
