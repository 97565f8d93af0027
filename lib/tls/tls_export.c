#include "tls_internal.h"

#include <openssl/err.h>

/* RFC 8446 section 7.5; RFC 9266 wants an empty context, which is the same as none in TLS 1.3. */
bool tls_conn_export(struct tls_conn *c, const char *label, uint8_t *out, size_t len)
{
    bool made = SSL_export_keying_material(c->ssl, out, len, label, strlen(label), NULL, 0, 0) == 1;

    ERR_clear_error();
    return made;
}
