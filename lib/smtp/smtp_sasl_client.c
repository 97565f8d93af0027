/*
 * SCRAM, the client's three messages (RFC 5802 section 5):
 *
 *   first   "n,," "n=" login ",r=" nonce                       <- server-first: nonces, salt, count
 *   final   "c=biws,r=" nonces ",p=" proof                     <- server-final: its signature
 *   empty   SMTP has no room for server-final in the 235
 *
 * AuthMessage is client-first-bare "," server-first "," client-final-without-proof. All of it is
 * known or can be made again when server-first has come, so nothing of it is kept.
 */
#include "smtp_sasl_client.h"
#include "smtp_base64.h"

#include <errno.h>
#include <stdio.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#define KEY_BYTES   32
#define NONCE_BYTES SMTP_BASE64_LEN(SMTP_SASL_NONCE_BYTES)
#define GS2_HEADER  "n,,"

enum stage { STAGE_FIRST, STAGE_SECOND, STAGE_FINAL, STAGE_PROVEN, STAGE_OVER = 255 };

static const char *const names[SMTP_SASL_CLIENT_MECHANISM_CNT] = {
    [SMTP_SASL_CLIENT_SCRAM_SHA_256] = "SCRAM-SHA-256",
    [SMTP_SASL_CLIENT_CRAM_MD5] = "CRAM-MD5",
    [SMTP_SASL_CLIENT_PLAIN] = "PLAIN",
    [SMTP_SASL_CLIENT_LOGIN] = "LOGIN",
};

const char *smtp_sasl_client_name(enum smtp_sasl_client_mechanism m)
{
    base_assert(m < SMTP_SASL_CLIENT_MECHANISM_CNT);
    return names[m];
}

enum smtp_sasl_client_mechanism smtp_sasl_client_find(struct base_span name)
{
    unsigned m = 0;

    while (m < SMTP_SASL_CLIENT_MECHANISM_CNT && !base_span_caseeq(name, base_span_str(names[m])))
        m++;
    return (enum smtp_sasl_client_mechanism)m;
}

bool smtp_sasl_client_speaks_first(enum smtp_sasl_client_mechanism m)
{
    return m == SMTP_SASL_CLIENT_SCRAM_SHA_256 || m == SMTP_SASL_CLIENT_PLAIN;
}

void smtp_sasl_client_init(struct smtp_sasl_client *s, enum smtp_sasl_client_mechanism m,
                           const uint8_t random[SMTP_SASL_NONCE_BYTES])
{
    base_assert(m < SMTP_SASL_CLIENT_MECHANISM_CNT);
    memset(s, 0, sizeof(*s));
    s->mechanism = (uint8_t)m;
    memcpy(s->random, random, sizeof(s->random));
}

void smtp_sasl_client_clear(struct smtp_sasl_client *s)
{
    OPENSSL_cleanse(s, sizeof(*s));
    s->stage = STAGE_OVER;
}

bool smtp_sasl_client_proven(const struct smtp_sasl_client *s)
{
    return s->mechanism != SMTP_SASL_CLIENT_SCRAM_SHA_256 || s->stage == STAGE_PROVEN;
}

/* ---- keys ---- */

static bool hmac(const EVP_MD *md, struct base_span key, struct base_span text, uint8_t *out,
                 unsigned bytes)
{
    unsigned len = 0;

    return HMAC(md, key.p, (int)key.len, text.p, text.len, out, &len) != NULL && len == bytes;
}

static bool hmac_sha256(const uint8_t key[KEY_BYTES], struct base_span text, uint8_t out[KEY_BYTES])
{
    return hmac(EVP_sha256(), base_span_of(key, KEY_BYTES), text, out, KEY_BYTES);
}

static bool keys_of(const uint8_t salted[KEY_BYTES], struct smtp_sasl_keys *keys)
{
    return hmac_sha256(salted, base_span_str("Client Key"), keys->client_key) &&
           hmac_sha256(salted, base_span_str("Server Key"), keys->server_key);
}

/* The first iteration is over the salt and the number of the block, which is 1. */
static bool first_iteration(struct smtp_sasl_derivation *d, EVP_MAC_CTX *mac)
{
    static const uint8_t block[4] = {0, 0, 0, 1};
    size_t len = 0;

    if (EVP_MAC_update(mac, d->salt.bytes, d->salt.len) != 1 ||
        EVP_MAC_update(mac, block, sizeof(block)) != 1 ||
        EVP_MAC_final(mac, d->u, &len, KEY_BYTES) != 1)
        return false;
    memcpy(d->t, d->u, KEY_BYTES);
    d->done = 1;
    return true;
}

static bool iterate(struct smtp_sasl_derivation *d, EVP_MAC_CTX *mac, uint32_t cnt)
{
    size_t len = 0;

    for (; cnt > 0 && d->done < d->salt.iterations; cnt--, d->done++) {
        if (EVP_MAC_init(mac, NULL, 0, NULL) != 1 || EVP_MAC_update(mac, d->u, KEY_BYTES) != 1 ||
            EVP_MAC_final(mac, d->u, &len, KEY_BYTES) != 1)
            return false;
        for (size_t i = 0; i < KEY_BYTES; i++)
            d->t[i] ^= d->u[i];
    }
    return true;
}

int smtp_sasl_derivation_run(struct smtp_sasl_derivation *d, struct base_span password,
                             uint32_t cnt, struct smtp_sasl_keys *keys)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *hmac_type = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(hmac_type);
    int result = -EIO;

    base_assert(d->salt.len > 0 && d->salt.iterations > 0 && d->done <= d->salt.iterations);
    if (mac != NULL && EVP_MAC_init(mac, password.p, password.len, params) == 1 &&
        (d->done > 0 || first_iteration(d, mac)) && iterate(d, mac, cnt))
        result = d->done == d->salt.iterations;
    EVP_MAC_CTX_free(mac);
    EVP_MAC_free(hmac_type);
    if (result == 1 && !keys_of(d->t, keys))
        result = -EIO;
    return result;
}

/* ---- PLAIN, LOGIN, CRAM-MD5 ---- */

static enum smtp_sasl_client_step plain(struct smtp_sasl_client *s,
                                        const struct smtp_credentials *credentials,
                                        struct base_buf *out)
{
    s->stage = STAGE_OVER;
    int failed = base_buf_put(out, "", 1) | base_buf_put_span(out, credentials->user) |
                 base_buf_put(out, "", 1) | base_buf_put_span(out, credentials->password);
    base_assert(failed == 0);
    return SMTP_SASL_CLIENT_SEND;
}

/* Two questions, whose words nobody looks at. */
static enum smtp_sasl_client_step login(struct smtp_sasl_client *s,
                                        const struct smtp_credentials *credentials,
                                        struct base_buf *out)
{
    bool name = s->stage == STAGE_FIRST;

    s->stage = name ? STAGE_SECOND : STAGE_OVER;
    int failed = base_buf_put_span(out, name ? credentials->user : credentials->password);
    base_assert(failed == 0);
    return SMTP_SASL_CLIENT_SEND;
}

/* RFC 2195: the login, a blank and the keyed digest of the challenge in hexadecimal. */
static enum smtp_sasl_client_step cram_md5(struct smtp_sasl_client *s,
                                           const struct smtp_credentials *credentials,
                                           struct base_span challenge, struct base_buf *out)
{
    uint8_t digest[16];
    char hex[4];

    s->stage = STAGE_OVER;
    if (challenge.len == 0 ||
        !hmac(EVP_md5(), credentials->password, challenge, digest, sizeof(digest)))
        return SMTP_SASL_CLIENT_BAD;
    int failed = base_buf_put_span(out, credentials->user) | base_buf_puts(out, " ");
    for (size_t i = 0; i < sizeof(digest); i++) {
        snprintf(hex, sizeof(hex), "%02x", digest[i]);
        failed |= base_buf_puts(out, hex);
    }
    base_assert(failed == 0);
    return SMTP_SASL_CLIENT_SEND;
}

/* ---- SCRAM ---- */

/* client-first-bare; the nonce is the random bytes in base64. */
static void put_first_bare(const struct smtp_sasl_client *s,
                           const struct smtp_credentials *credentials, struct base_buf *out)
{
    int failed = base_buf_puts(out, "n=");

    for (size_t i = 0; i < credentials->user.len; i++) {
        uint8_t c = credentials->user.p[i];
        failed |= c == ','   ? base_buf_puts(out, "=2C")
                  : c == '=' ? base_buf_puts(out, "=3D")
                             : base_buf_put(out, &c, 1);
    }
    failed |= base_buf_puts(out, ",r=");
    failed |= smtp_base64_encode(out, base_span_of(s->random, sizeof(s->random)));
    base_assert(failed == 0);
}

/* Takes "X=value" off the front, up to the next comma or the end. */
static bool take_value(struct base_span *rest, char attribute, struct base_span *value)
{
    if (rest->len < 3 || rest->p[0] != (uint8_t)attribute || rest->p[1] != '=')
        return false;
    const uint8_t *comma = memchr(rest->p, ',', rest->len);
    size_t len = comma != NULL ? (size_t)(comma - rest->p) : rest->len;
    *value = base_span_of(rest->p + 2, len - 2);
    *rest = comma != NULL ? base_span_of(comma + 1, rest->len - len - 1) : base_span_of(NULL, 0);
    return value->len > 0;
}

static bool take_number(struct base_span text, uint32_t *value)
{
    uint32_t n = 0;

    if (text.len == 0 || text.len > 7)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        n = n * 10 + (uint32_t)(text.p[i] - '0');
    }
    *value = n;
    return true;
}

/* The server's nonce is ours and more, of printable characters (RFC 5802 section 5.1). */
static bool nonce_holds(const struct smtp_sasl_client *s, struct base_span nonce)
{
    uint8_t own[NONCE_BYTES];
    struct base_buf out = {own, 0, sizeof(own)};

    base_assert(smtp_base64_encode(&out, base_span_of(s->random, sizeof(s->random))) == 0);
    if (nonce.len <= sizeof(own) || nonce.len > SMTP_SASL_CHALLENGE_MAX / 2 ||
        memcmp(nonce.p, own, sizeof(own)) != 0)
        return false;
    for (size_t i = 0; i < nonce.len; i++)
        if (nonce.p[i] < 0x21 || nonce.p[i] > 0x7e)
            return false;
    return true;
}

/* Reads server-first. Extensions behind the count say nothing to us; a mandatory one before the
 * nonce ("m=") cannot be met. */
static bool read_first(struct smtp_sasl_client *s, struct base_span challenge,
                       struct base_span *nonce)
{
    struct base_span rest = challenge, salt, count;
    struct base_buf bytes = {s->salt.bytes, 0, sizeof(s->salt.bytes)};

    if (challenge.len > SMTP_SASL_CHALLENGE_MAX || !take_value(&rest, 'r', nonce) ||
        !take_value(&rest, 's', &salt) || !take_value(&rest, 'i', &count) ||
        !nonce_holds(s, *nonce))
        return false;
    if (smtp_base64_decode(&bytes, salt) != 0 || bytes.len == 0)
        return false;
    s->salt.len = (uint8_t)bytes.len;
    return take_number(count, &s->salt.iterations) &&
           s->salt.iterations >= SMTP_SASL_ITERATIONS_MIN &&
           s->salt.iterations <= SMTP_SASL_ITERATIONS_MAX;
}

/* What hides the client's key, and what the server will have to show. */
static bool sign(struct smtp_sasl_client *s, const struct smtp_sasl_keys *keys,
                 struct base_span auth_message, uint8_t proof[KEY_BYTES])
{
    uint8_t stored[KEY_BYTES], signature[KEY_BYTES];

    SHA256(keys->client_key, KEY_BYTES, stored);
    if (!hmac_sha256(stored, auth_message, signature) ||
        !hmac_sha256(keys->server_key, auth_message, s->signature))
        return false;
    for (size_t i = 0; i < KEY_BYTES; i++)
        proof[i] = keys->client_key[i] ^ signature[i];
    return true;
}

static enum smtp_sasl_client_step scram_final(struct smtp_sasl_client *s,
                                              const struct smtp_credentials *credentials,
                                              const struct smtp_sasl_keys *keys,
                                              struct base_span challenge, struct base_buf *out)
{
    uint8_t room[3 * SMTP_SASL_LOGIN_MAX + 2 * SMTP_SASL_CHALLENGE_MAX + 64], proof[KEY_BYTES];
    struct base_buf auth = {room, 0, sizeof(room)};
    struct base_span nonce;
    size_t start = out->len;

    if (!read_first(s, challenge, &nonce)) {
        s->stage = STAGE_OVER;
        return SMTP_SASL_CLIENT_BAD;
    }
    if (keys == NULL)
        return SMTP_SASL_CLIENT_KEYS;
    s->stage = STAGE_OVER;
    int failed = base_buf_puts(out, "c=");
    failed |= smtp_base64_encode(out, base_span_str(GS2_HEADER));
    failed |= base_buf_puts(out, ",r=") | base_buf_put_span(out, nonce);
    put_first_bare(s, credentials, &auth);
    failed |= base_buf_puts(&auth, ",") | base_buf_put_span(&auth, challenge) |
              base_buf_puts(&auth, ",") | base_buf_put(&auth, out->p + start, out->len - start);
    base_assert(failed == 0);
    if (!sign(s, keys, base_buf_span(&auth), proof))
        return SMTP_SASL_CLIENT_BAD;
    failed = base_buf_puts(out, ",p=");
    failed |= smtp_base64_encode(out, base_span_of(proof, sizeof(proof)));
    base_assert(failed == 0);
    s->stage = STAGE_FINAL;
    return SMTP_SASL_CLIENT_SEND;
}

static enum smtp_sasl_client_step scram_end(struct smtp_sasl_client *s, struct base_span challenge)
{
    uint8_t signature[KEY_BYTES + 4];
    struct base_buf decoded = {signature, 0, sizeof(signature)};
    struct base_span value;

    s->stage = STAGE_OVER;
    if (!take_value(&challenge, 'v', &value) || smtp_base64_decode(&decoded, value) != 0 ||
        decoded.len != KEY_BYTES || CRYPTO_memcmp(signature, s->signature, KEY_BYTES) != 0)
        return SMTP_SASL_CLIENT_BAD;
    s->stage = STAGE_PROVEN;
    return SMTP_SASL_CLIENT_SEND;
}

static enum smtp_sasl_client_step scram(struct smtp_sasl_client *s,
                                        const struct smtp_credentials *credentials,
                                        const struct smtp_sasl_keys *keys,
                                        struct base_span challenge, struct base_buf *out)
{
    switch (s->stage) {
    case STAGE_FIRST: {
        int failed = base_buf_puts(out, GS2_HEADER);
        base_assert(failed == 0);
        put_first_bare(s, credentials, out);
        s->stage = STAGE_SECOND;
        return SMTP_SASL_CLIENT_SEND;
    }
    case STAGE_SECOND:
        return scram_final(s, credentials, keys, challenge, out);
    case STAGE_FINAL:
        return scram_end(s, challenge);
    default: /* a challenge too many */
        s->stage = STAGE_OVER;
        return SMTP_SASL_CLIENT_BAD;
    }
}

enum smtp_sasl_client_step smtp_sasl_client_push(struct smtp_sasl_client *s,
                                                 const struct smtp_credentials *credentials,
                                                 const struct smtp_sasl_keys *keys,
                                                 struct base_span challenge, struct base_buf *out)
{
    base_assert(credentials->user.len > 0 && credentials->user.len <= SMTP_SASL_LOGIN_MAX);
    base_assert(credentials->password.len > 0 &&
                credentials->password.len <= SMTP_SASL_PASSWORD_MAX);
    if (s->stage == STAGE_OVER)
        return SMTP_SASL_CLIENT_BAD;
    switch ((enum smtp_sasl_client_mechanism)s->mechanism) {
    case SMTP_SASL_CLIENT_PLAIN:
        return plain(s, credentials, out);
    case SMTP_SASL_CLIENT_LOGIN:
        return login(s, credentials, out);
    case SMTP_SASL_CLIENT_CRAM_MD5:
        return cram_md5(s, credentials, challenge, out);
    default:
        return scram(s, credentials, keys, challenge, out);
    }
}
