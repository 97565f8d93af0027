#include "tls_hello.h"

#define RECORD_HANDSHAKE    22
#define RECORD_MAX          16384
#define CLIENT_HELLO        1
#define RANDOM_BYTES        32
#define SESSION_ID_MAX      32
#define EXTENSION_VERSIONS  43
#define EXTENSION_KEY_SHARE 51
#define VERSION_13          0x0304
#define GROUP_X25519        0x001d

/* Takes n bytes from the front. Returns NULL when there are fewer. */
static const uint8_t *take(struct base_span *s, size_t n)
{
    const uint8_t *p = s->p;

    if (n > s->len)
        return NULL;
    s->p += n;
    s->len -= n;
    return p;
}

/* Takes a vector (RFC 8446 section 3.4) with a length of so many bytes before it. */
static bool take_vector(struct base_span *s, size_t len_bytes, struct base_span *vector)
{
    const uint8_t *p = take(s, len_bytes);
    size_t len = 0;

    for (size_t i = 0; p != NULL && i < len_bytes; i++)
        len = len << 8 | p[i];
    *vector = base_span_of(p != NULL ? take(s, len) : NULL, len);
    return vector->p != NULL;
}

/* The ClientHello that is all of the first record. */
static bool take_hello(struct base_span in, struct base_span *hello)
{
    const uint8_t *p = take(&in, 3);
    struct base_span record;

    if (p == NULL || p[0] != RECORD_HANDSHAKE || p[1] != 3 || !take_vector(&in, 2, &record) ||
        record.len > RECORD_MAX)
        return false;
    p = take(&record, 1);
    return p != NULL && p[0] == CLIENT_HELLO && take_vector(&record, 3, hello) && record.len == 0;
}

static bool take_extensions(struct base_span hello, struct base_span *extensions)
{
    struct base_span id, suites, compressions;

    return take(&hello, 2 + RANDOM_BYTES) != NULL && take_vector(&hello, 1, &id) &&
           id.len <= SESSION_ID_MAX && take_vector(&hello, 2, &suites) && suites.len >= 2 &&
           suites.len % 2 == 0 && take_vector(&hello, 1, &compressions) && compressions.len == 1 &&
           compressions.p[0] == 0 && take_vector(&hello, 2, extensions) && hello.len == 0;
}

static bool offers_13(struct base_span body)
{
    struct base_span versions;
    bool offered = false;

    if (!take_vector(&body, 1, &versions) || body.len > 0 || versions.len % 2 != 0)
        return false;
    for (size_t i = 0; i < versions.len; i += 2)
        offered = offered || base_be16(versions.p + i) == VERSION_13;
    return offered;
}

static const uint8_t *share_of(struct base_span body)
{
    struct base_span shares, share;
    const uint8_t *group, *found = NULL;

    if (!take_vector(&body, 2, &shares) || body.len > 0)
        return NULL;
    while (shares.len > 0) {
        if ((group = take(&shares, 2)) == NULL || !take_vector(&shares, 2, &share))
            return NULL;
        if (base_be16(group) != GROUP_X25519)
            continue;
        if (found != NULL || share.len != TLS_HELLO_SHARE_BYTES)
            return NULL;
        found = share.p;
    }
    return found;
}

const uint8_t *tls_hello_share(struct base_span in)
{
    struct base_span hello, extensions, body, versions = {0}, shares = {0};
    const uint8_t *type;

    if (!take_hello(in, &hello) || !take_extensions(hello, &extensions))
        return NULL;
    while (extensions.len > 0) {
        if ((type = take(&extensions, 2)) == NULL || !take_vector(&extensions, 2, &body))
            return NULL;
        struct base_span *to = base_be16(type) == EXTENSION_VERSIONS    ? &versions
                               : base_be16(type) == EXTENSION_KEY_SHARE ? &shares
                                                                        : NULL;
        if (to == NULL)
            continue;
        if (to->p != NULL)
            return NULL; /* none may come twice: section 4.2 */
        *to = body;
    }
    return versions.p != NULL && shares.p != NULL && offers_13(versions) ? share_of(shares) : NULL;
}
