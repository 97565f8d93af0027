/*
 * SCRAM (RFC 5802) with SHA-256 (7677). Three messages of the client:
 *
 *   first    gs2-header "n=" login ",r=" nonce           -> asks for the verifier, then
 * server-first final    "c=" binding ",r=" both nonces ",p=" proof  -> server-final, when the proof
 * holds empty    SMTP has no room for server-final in the 235 -> accepted
 *
 * AuthMessage, of which both sides make their proofs, is client-first-bare "," server-first ","
 * client-final-without-proof; it grows in s->auth as they come.
 */
#include "smtp_base64.h"
#include "smtp_sasl_internal.h"

#include <errno.h>
#include <stdio.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#define KEY_BYTES        32
#define CLIENT_NONCE_MAX 128

enum stage { STAGE_FIRST, STAGE_VERIFIER, STAGE_FINAL, STAGE_EMPTY, STAGE_OVER = 255 };

/* Takes the part before the next comma, or all, off the front; false: nothing is left. */
static bool take_field(struct base_span *rest, struct base_span *field)
{
    if (rest->p == NULL)
        return false;
    const uint8_t *comma = rest->len > 0 ? memchr(rest->p, ',', rest->len) : NULL;
    if (comma == NULL) {
        *field = *rest;
        *rest = base_span_of(NULL, 0);
        return true;
    }
    *field = base_span_of(rest->p, (size_t)(comma - rest->p));
    *rest = base_span_of(comma + 1, rest->len - field->len - 1);
    return true;
}

/* The value of the attribute "X=", which is what the field has to be. */
static bool take_value(struct base_span *rest, char attribute, struct base_span *value)
{
    struct base_span field;

    if (!take_field(rest, &field) || field.len < 2 || field.p[0] != (uint8_t)attribute ||
        field.p[1] != '=')
        return false;
    *value = base_span_of(field.p + 2, field.len - 2);
    return true;
}

/* saslname: "," and "=" stand as =2C and =3D. */
static bool decode_name(struct base_span text, uint8_t *out, size_t cap, size_t *len)
{
    *len = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.p[i];
        if (*len == cap)
            return false;
        if (c == '=') {
            if (i + 2 >= text.len || text.p[i + 1] < '2' || text.p[i + 1] > '3')
                return false;
            if (text.p[i + 1] == '2' && text.p[i + 2] == 'C')
                c = ',';
            else if (!(text.p[i + 1] == '3' && text.p[i + 2] == 'D'))
                return false;
            i += 2;
        }
        out[(*len)++] = c;
    }
    return true;
}

static bool is_printable(struct base_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] < 0x21 || text.p[i] > 0x7e)
            return false;
    return text.len > 0;
}

/* The channel binding that the client names must be the one that is due: RFC 5802 section 6. */
static enum smtp_sasl_step check_flag(const struct smtp_sasl *s, struct base_span flag)
{
    bool plus = s->mechanism == SMTP_SASL_SCRAM_SHA_256_PLUS;

    if (flag.len > 2 && flag.p[0] == 'p' && flag.p[1] == '=') {
        struct base_span type = base_span_of(flag.p + 2, flag.len - 2);
        return plus && s->bound && base_span_eq(type, base_span_str("tls-exporter"))
                   ? SMTP_SASL_CHALLENGE
                   : SMTP_SASL_REFUSED;
    }
    if (flag.len != 1 || (flag.p[0] != 'n' && flag.p[0] != 'y'))
        return SMTP_SASL_MALFORMED;
    /* "y": it would have bound, had we offered it. We did: somebody took it out of our offer. */
    if (plus || (flag.p[0] == 'y' && s->plus_offered))
        return SMTP_SASL_REFUSED;
    return SMTP_SASL_CHALLENGE;
}

/* "a=login" or nothing. */
static enum smtp_sasl_step check_authzid(const struct smtp_sasl *s, struct base_span authzid)
{
    uint8_t name[SMTP_SASL_LOGIN_MAX];
    size_t len;

    if (authzid.len == 0)
        return SMTP_SASL_CHALLENGE;
    if (authzid.len < 3 || authzid.p[0] != 'a' || authzid.p[1] != '=')
        return SMTP_SASL_MALFORMED;
    if (!decode_name(base_span_of(authzid.p + 2, authzid.len - 2), name, sizeof(name), &len))
        return SMTP_SASL_MALFORMED;
    return smtp_sasl_is_login(s, base_span_of(name, len)) ? SMTP_SASL_CHALLENGE : SMTP_SASL_REFUSED;
}

static enum smtp_sasl_step first(struct smtp_sasl *s, struct base_span response)
{
    struct base_span rest = response, flag, authzid, name, nonce;
    uint8_t login[SMTP_SASL_LOGIN_MAX];
    size_t len;

    s->stage = STAGE_OVER;
    if (!take_field(&rest, &flag) || !take_field(&rest, &authzid) || rest.p == NULL)
        return SMTP_SASL_MALFORMED;
    struct base_span bare = rest;
    size_t gs2_len = response.len - bare.len;
    if (!take_value(&rest, 'n', &name) || !take_value(&rest, 'r', &nonce) || !is_printable(nonce) ||
        nonce.len > CLIENT_NONCE_MAX || gs2_len > sizeof(s->gs2) ||
        bare.len + SMTP_SASL_CHALLENGE_MAX > SMTP_SASL_RESPONSE_MAX ||
        !decode_name(name, login, sizeof(login), &len))
        return SMTP_SASL_MALFORMED;
    enum smtp_sasl_step step = check_flag(s, flag);
    if (step == SMTP_SASL_CHALLENGE && !smtp_sasl_set_login(s, base_span_of(login, len)))
        step = SMTP_SASL_REFUSED;
    if (step == SMTP_SASL_CHALLENGE)
        step = check_authzid(s, authzid);
    if (step != SMTP_SASL_CHALLENGE)
        return step;
    memcpy(s->gs2, response.p, gs2_len);
    s->gs2_len = (uint16_t)gs2_len;
    memcpy(s->nonce, nonce.p, nonce.len);
    struct base_buf both = {s->nonce, nonce.len, sizeof(s->nonce)};
    base_assert(smtp_base64_encode(&both, base_span_of(s->random, sizeof(s->random))) == 0);
    s->nonce_len = (uint16_t)both.len;
    memcpy(s->auth, bare.p, bare.len);
    s->auth_len = (uint16_t)bare.len;
    s->stage = STAGE_VERIFIER;
    return SMTP_SASL_VERIFIER;
}

enum smtp_sasl_step smtp_sasl_verify(struct smtp_sasl *s, const struct smtp_sasl_verifier *v,
                                     bool known, struct base_buf *out)
{
    struct base_buf auth = {s->auth, s->auth_len, sizeof(s->auth)};
    char iterations[16];
    size_t start = out->len;
    int failed = 0;

    base_assert(s->stage == STAGE_VERIFIER);
    base_assert(v->salt_len > 0 && v->salt_len <= SMTP_SASL_SALT_MAX && v->iterations > 0);
    s->verifier = *v;
    s->known = known;
    snprintf(iterations, sizeof(iterations), ",i=%u", v->iterations);
    failed |= base_buf_puts(out, "r=");
    failed |= base_buf_put(out, s->nonce, s->nonce_len);
    failed |= base_buf_puts(out, ",s=");
    failed |= smtp_base64_encode(out, base_span_of(v->salt, v->salt_len));
    failed |= base_buf_puts(out, iterations);
    failed |= base_buf_puts(&auth, ",");
    failed |= base_buf_put(&auth, out->p + start, out->len - start);
    failed |= base_buf_puts(&auth, ",");
    base_assert(failed == 0);
    s->auth_len = (uint16_t)auth.len;
    s->stage = STAGE_FINAL;
    return SMTP_SASL_CHALLENGE;
}

static bool hmac(const uint8_t key[KEY_BYTES], struct base_span text, uint8_t out[KEY_BYTES])
{
    unsigned len = 0;

    return HMAC(EVP_sha256(), key, KEY_BYTES, text.p, text.len, out, &len) != NULL &&
           len == KEY_BYTES;
}

/* "c=": the header of the first message again, and the binding where there is one. */
static bool binding_holds(const struct smtp_sasl *s, struct base_span text)
{
    uint8_t room[sizeof(s->gs2) + SMTP_SASL_BINDING_BYTES];
    struct base_buf given = {room, 0, sizeof(room)};
    bool plus = s->mechanism == SMTP_SASL_SCRAM_SHA_256_PLUS;

    if (smtp_base64_decode(&given, text) != 0)
        return false;
    if (given.len != s->gs2_len + (plus ? sizeof(s->binding) : 0u) ||
        memcmp(room, s->gs2, s->gs2_len) != 0)
        return false;
    return !plus || CRYPTO_memcmp(room + s->gs2_len, s->binding, sizeof(s->binding)) == 0;
}

/* ClientKey is what the proof hides; its hash must be what is stored. */
static bool proof_holds(const struct smtp_sasl *s, const uint8_t proof[KEY_BYTES])
{
    uint8_t signature[KEY_BYTES], key[KEY_BYTES], stored[KEY_BYTES];

    if (!hmac(s->verifier.stored_key, base_span_of(s->auth, s->auth_len), signature))
        return false;
    for (size_t i = 0; i < KEY_BYTES; i++)
        key[i] = signature[i] ^ proof[i];
    SHA256(key, KEY_BYTES, stored);
    bool same = CRYPTO_memcmp(stored, s->verifier.stored_key, KEY_BYTES) == 0;
    OPENSSL_cleanse(key, sizeof(key));
    return same;
}

static enum smtp_sasl_step final(struct smtp_sasl *s, struct base_span response,
                                 struct base_buf *out)
{
    struct base_span rest = response, binding, nonce, field, proof_text = {0};
    uint8_t proof[KEY_BYTES + 4], signature[KEY_BYTES];
    struct base_buf decoded = {proof, 0, sizeof(proof)};
    struct base_buf auth = {s->auth, s->auth_len, sizeof(s->auth)};

    s->stage = STAGE_OVER;
    if (!take_value(&rest, 'c', &binding) || !take_value(&rest, 'r', &nonce))
        return SMTP_SASL_MALFORMED;
    while (take_field(&rest, &field)) /* the proof is last; extensions before it say nothing */
        proof_text = field;
    if (proof_text.len < 2 || proof_text.p[0] != 'p' || proof_text.p[1] != '=' ||
        smtp_base64_decode(&decoded, base_span_of(proof_text.p + 2, proof_text.len - 2)) != 0 ||
        decoded.len != KEY_BYTES)
        return SMTP_SASL_MALFORMED;
    size_t without_proof = (size_t)(proof_text.p - response.p) - 1;
    base_assert(base_buf_put(&auth, response.p, without_proof) == 0);
    s->auth_len = (uint16_t)auth.len;
    if (!base_span_eq(nonce, base_span_of(s->nonce, s->nonce_len)) || !binding_holds(s, binding))
        return SMTP_SASL_REFUSED;
    if (!proof_holds(s, proof) || !s->known)
        return SMTP_SASL_REFUSED;
    if (!hmac(s->verifier.server_key, base_span_of(s->auth, s->auth_len), signature))
        return SMTP_SASL_REFUSED;
    int failed = base_buf_puts(out, "v=");
    failed |= smtp_base64_encode(out, base_span_of(signature, sizeof(signature)));
    base_assert(failed == 0);
    s->stage = STAGE_EMPTY;
    return SMTP_SASL_CHALLENGE;
}

enum smtp_sasl_step smtp_sasl_scram(struct smtp_sasl *s, struct base_span response,
                                    struct base_buf *out)
{
    switch (s->stage) {
    case STAGE_FIRST:
        return response.p == NULL ? SMTP_SASL_CHALLENGE : first(s, response);
    case STAGE_FINAL:
        return final(s, response, out);
    default:
        base_assert(s->stage == STAGE_EMPTY);
        s->stage = STAGE_OVER;
        return response.len == 0 ? SMTP_SASL_ACCEPTED : SMTP_SASL_MALFORMED;
    }
}

int smtp_sasl_derive(struct smtp_sasl_verifier *v, struct base_span password)
{
    uint8_t salted[KEY_BYTES], client[KEY_BYTES];
    int error = -EIO;

    if (PKCS5_PBKDF2_HMAC((const char *)password.p, (int)password.len, v->salt, v->salt_len,
                          (int)v->iterations, EVP_sha256(), KEY_BYTES, salted) == 1 &&
        hmac(salted, base_span_str("Client Key"), client) &&
        hmac(salted, base_span_str("Server Key"), v->server_key)) {
        SHA256(client, KEY_BYTES, v->stored_key);
        error = 0;
    }
    OPENSSL_cleanse(salted, sizeof(salted));
    OPENSSL_cleanse(client, sizeof(client));
    return error;
}
