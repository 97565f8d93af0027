#include "tls_hmac.h"

#include <openssl/crypto.h>

#define INNER_PAD 0x36
#define OUTER_PAD 0x5c

bool tls_hash_named(const char *name, bool *wide)
{
    *wide = OPENSSL_strcasecmp(name, "SHA384") == 0 || OPENSSL_strcasecmp(name, "SHA2-384") == 0;
    return *wide || OPENSSL_strcasecmp(name, "SHA256") == 0 ||
           OPENSSL_strcasecmp(name, "SHA2-256") == 0;
}

void tls_hash_start(struct tls_hash *h, bool wide)
{
    h->wide = wide;
    if (wide)
        SHA384_Init(&h->broad);
    else
        SHA256_Init(&h->narrow);
}

void tls_hash_add(struct tls_hash *h, struct base_span bytes)
{
    if (bytes.len == 0)
        return;
    if (h->wide)
        SHA384_Update(&h->broad, bytes.p, bytes.len);
    else
        SHA256_Update(&h->narrow, bytes.p, bytes.len);
}

void tls_hash_end(struct tls_hash *h, uint8_t *out)
{
    if (h->wide)
        SHA384_Final(out, &h->broad);
    else
        SHA256_Final(out, &h->narrow);
}

void tls_hmac_start(struct tls_hmac *h, bool wide, struct base_span key)
{
    size_t block = tls_hash_block_bytes(wide);

    memset(h->block, 0, sizeof(h->block));
    if (key.len > block) {
        tls_hash_start(&h->hash, wide);
        tls_hash_add(&h->hash, key);
        tls_hash_end(&h->hash, h->block);
    } else if (key.len > 0) {
        memcpy(h->block, key.p, key.len);
    }
    for (size_t i = 0; i < block; i++)
        h->block[i] ^= INNER_PAD;
    tls_hash_start(&h->hash, wide);
    tls_hash_add(&h->hash, base_span_of(h->block, block));
    for (size_t i = 0; i < block; i++)
        h->block[i] ^= INNER_PAD ^ OUTER_PAD;
}

void tls_hmac_add(struct tls_hmac *h, struct base_span bytes)
{
    tls_hash_add(&h->hash, bytes);
}

void tls_hmac_end(struct tls_hmac *h, uint8_t *out)
{
    bool wide = h->hash.wide;
    uint8_t inner[TLS_HASH_MAX];

    tls_hash_end(&h->hash, inner);
    tls_hash_start(&h->hash, wide);
    tls_hash_add(&h->hash, base_span_of(h->block, tls_hash_block_bytes(wide)));
    tls_hash_add(&h->hash, base_span_of(inner, tls_hash_bytes(wide)));
    tls_hash_end(&h->hash, out);
    OPENSSL_cleanse(inner, sizeof(inner));
    OPENSSL_cleanse(h, sizeof(*h));
}
