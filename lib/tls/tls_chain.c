/* What a server has shown, for those who judge it. */
#include "tls_internal.h"

#include <errno.h>
#include <stdlib.h>

#include <openssl/err.h>

static int add(struct dane_chain *chain, X509 *x)
{
    int len = i2d_X509(x, NULL);
    uint8_t *der = len > 0 ? malloc((size_t)len) : NULL, *end = der;

    if (der == NULL)
        return -ENOMEM;
    if (i2d_X509(x, &end) != len) {
        free(der);
        return -EINVAL;
    }
    chain->der[chain->cnt++] = base_span_of(der, (size_t)len);
    return 0;
}

int tls_conn_chain(const struct tls_conn *c, struct dane_chain *out)
{
    STACK_OF(X509) *shown = SSL_get_peer_cert_chain(c->ssl);
    int cnt = shown != NULL ? sk_X509_num(shown) : 0, error = 0;

    *out = (struct dane_chain){0};
    if (!c->client || cnt == 0 || cnt > DANE_CHAIN_MAX)
        return -EINVAL;
    for (int i = 0; i < cnt && error == 0; i++)
        error = add(out, sk_X509_value(shown, i));
    ERR_clear_error();
    if (error != 0)
        dane_chain_free(out);
    return error;
}
