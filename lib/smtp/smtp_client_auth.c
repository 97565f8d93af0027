/*
 * AUTH (RFC 4954), the client's side. A server that does not take a mechanism after all (504, 534)
 * is asked with the next one; a login that it refuses (535) is not tried again with a weaker one,
 * which would but send the same password with less around it, and count twice as a failure there.
 */
#include "smtp_base64.h"
#include "smtp_client_internal.h"
#include "smtp_line.h"

#include <stdio.h>

#include <openssl/crypto.h>

#define COMMAND_MAX                                                                                \
    510 /* RFC 5321 section 4.5.3.1.4, without CRLF: a longer first message waits                  \
         */

_Static_assert(SMTP_BASE64_LEN(SMTP_SASL_LOGIN_MAX + SMTP_SASL_PASSWORD_MAX + 2) + 32 <
                   SMTP_OUT_MIN,
               "room for PLAIN");
_Static_assert(SMTP_BASE64_LEN(SMTP_SASL_CHALLENGE_MAX / 2 + 80) + 2 < SMTP_OUT_MIN,
               "room for SCRAM");

void smtp_client_note_auth(struct smtp_client *c, struct base_span text)
{
    c->offers_auth = true;
    while (text.len > 0) {
        const uint8_t *space = memchr(text.p, ' ', text.len);
        size_t len = space != NULL ? (size_t)(space - text.p) : text.len;
        unsigned m = smtp_sasl_client_find(base_span_of(text.p, len));
        if (m < SMTP_SASL_CLIENT_MECHANISM_CNT)
            c->auth_offered |= (uint8_t)(1U << m);
        len += space != NULL;
        text = base_span_of(text.p + len, text.len - len);
    }
}

static bool has(struct base_span text, const void *p, size_t len)
{
    return len > 0 && memmem(text.p, text.len, p, len) != NULL;
}

/* A server that repeats what it was told must not bring the password into a log. */
static bool repeats_secret(const struct smtp_client *c, struct base_span words)
{
    uint8_t message[SMTP_SASL_LOGIN_MAX + SMTP_SASL_PASSWORD_MAX + 2];
    uint8_t text[SMTP_BASE64_LEN(sizeof(message))];
    struct base_span password = c->credentials->password;
    struct base_buf plain = {message, 0, sizeof(message)}, out = {text, 0, sizeof(text)};

    int failed = base_buf_put(&plain, "", 1) | base_buf_put_span(&plain, c->credentials->user) |
                 base_buf_put(&plain, "", 1) | base_buf_put_span(&plain, password) |
                 smtp_base64_encode(&out, password);
    base_assert(failed == 0);
    /* The last group of a prefix is made of bits that may be another's: whole groups alone. */
    bool found = has(words, password.p, password.len) || has(words, text, out.len / 4 * 4) ||
                 (password.len >= 3 && has(words, text, password.len / 3 * 4));
    out.len = 0;
    failed = smtp_base64_encode(&out, base_buf_span(&plain));
    base_assert(failed == 0);
    found = found || has(words, text, plain.len / 3 * 4);
    OPENSSL_cleanse(message, sizeof(message));
    OPENSSL_cleanse(text, sizeof(text));
    return found;
}

struct trouble_row {
    const char *enhanced;
    const char *text;
    enum stats_id counter;
};

static const struct trouble_row troubles[SMTP_CLIENT_AUTH_TROUBLE_CNT] = {
    [SMTP_CLIENT_AUTH_CLEARTEXT] = {"4.7.11", "No AUTH over a connection that is not encrypted",
                                    STATS_SMTP_CLIENT_AUTH_CLEAR},
    [SMTP_CLIENT_AUTH_NOT_OFFERED] = {"4.7.0", "The server does not offer AUTH",
                                      STATS_SMTP_CLIENT_AUTH_NONE},
    [SMTP_CLIENT_AUTH_NO_MECHANISM] = {"4.7.4", "The server has no AUTH mechanism that we may use",
                                       STATS_SMTP_CLIENT_AUTH_NO_MECHANISM},
    [SMTP_CLIENT_AUTH_WANTS_TLS] = {"4.7.11", "The server wants TLS before AUTH",
                                    STATS_SMTP_CLIENT_AUTH_TLS},
    [SMTP_CLIENT_AUTH_REFUSED] = {"4.7.8", "AUTH refused", STATS_SMTP_CLIENT_AUTH_NO},
    [SMTP_CLIENT_AUTH_LATER] = {"4.7.0", "AUTH not possible now", STATS_SMTP_CLIENT_AUTH_BUSY},
    [SMTP_CLIENT_AUTH_UNPROVEN] = {"4.7.8", "The server did not prove that it knows the password",
                                   STATS_SMTP_CLIENT_AUTH_FALSE},
};

/* Makes c->reply ours: temporary, with the server's words where it said some. */
static enum smtp_client_auth fail(struct smtp_client *c, enum smtp_client_auth_trouble trouble,
                                  bool quote)
{
    const struct trouble_row *row = &troubles[trouble];
    struct base_span words = base_span_of(c->reply.text, c->reply.text_len);
    char text[2 * SMTP_CLIENT_TEXT_MAX];
    int len = snprintf(text, sizeof(text), "%s %s", row->enhanced, row->text);

    base_assert(len > 0 && (size_t)len < SMTP_CLIENT_TEXT_MAX);
    if (quote && repeats_secret(c, words))
        words = base_span_str("(its words repeat the password)");
    if (quote) /* bytes behind a NUL are cut: it is a text here */
        snprintf(text + len, sizeof(text) - (size_t)len, ": %u %.*s", c->reply.code, (int)words.len,
                 (const char *)words.p);
    smtp_client_set_reply(c, 454, row->enhanced, text);
    c->auth_trouble = (uint8_t)trouble;
    smtp_sasl_client_clear(&c->sasl);
    stats_inc(c->stats, row->counter);
    return SMTP_CLIENT_AUTH_FAILED;
}

static enum smtp_client_auth next_mechanism(struct smtp_client *c, bool quote)
{
    unsigned usable = c->auth_offered & c->credentials->mechanisms & ~(unsigned)c->auth_tried;
    unsigned m = 0;

    if (usable == 0)
        return fail(c, SMTP_CLIENT_AUTH_NO_MECHANISM, quote);
    while ((usable >> m & 1) == 0)
        m++;
    c->auth_tried |= (uint8_t)(1U << m);
    smtp_sasl_client_init(&c->sasl, (enum smtp_sasl_client_mechanism)m, c->auth_random);
    return SMTP_CLIENT_AUTH_MORE;
}

enum smtp_client_auth smtp_client_auth_begin(struct smtp_client *c)
{
    if (!c->encrypted && !c->credentials->cleartext)
        return fail(c, SMTP_CLIENT_AUTH_CLEARTEXT, false);
    if (!c->offers_auth)
        return fail(c, SMTP_CLIENT_AUTH_NOT_OFFERED, false);
    return next_mechanism(c, false);
}

void smtp_client_auth_command(struct smtp_client *c, struct base_buf *out)
{
    enum smtp_sasl_client_mechanism m = (enum smtp_sasl_client_mechanism)c->sasl.mechanism;
    uint8_t room[SMTP_SASL_RESPONSE_MAX];
    struct base_buf first = {room, 0, sizeof(room)};
    const char *name = smtp_sasl_client_name(m);
    struct smtp_sasl_client before = c->sasl;

    int failed = base_buf_puts(out, "AUTH ") | base_buf_puts(out, name);
    if (smtp_sasl_client_speaks_first(m)) {
        enum smtp_sasl_client_step step =
            smtp_sasl_client_push(&c->sasl, c->credentials, NULL, base_span_of(NULL, 0), &first);
        base_assert(step == SMTP_SASL_CLIENT_SEND);
        if (strlen("AUTH  ") + strlen(name) + SMTP_BASE64_LEN(first.len) <= COMMAND_MAX)
            failed |= base_buf_puts(out, " ") | smtp_base64_encode(out, base_buf_span(&first));
        else
            c->sasl = before; /* it goes out behind an empty challenge */
    }
    failed |= base_buf_puts(out, "\r\n");
    base_assert(failed == 0);
    OPENSSL_cleanse(room, sizeof(room));
}

/* The text of a challenge in base64, or false: it is none. */
static bool read_challenge(struct base_span line, struct base_buf *out)
{
    struct base_span text =
        line.len > 4 ? base_span_of(line.p + 4, line.len - 4) : base_span_of(NULL, 0);

    return text.len == 0 || smtp_base64_decode(out, text) == 0;
}

enum smtp_client_auth smtp_client_auth_challenge(struct smtp_client *c, struct base_span in,
                                                 size_t *used, struct base_buf *out)
{
    uint8_t challenge_room[SMTP_LINE_MAX], room[SMTP_SASL_RESPONSE_MAX];
    struct base_buf challenge = {challenge_room, 0, sizeof(challenge_room)};
    struct base_buf response = {room, 0, sizeof(room)};
    enum smtp_sasl_client_step step = SMTP_SASL_CLIENT_BAD;
    size_t len = 0;

    *used = 0;
    if (smtp_line_find(in, SMTP_LINE_MAX, &len) != SMTP_LINE_WHOLE || c->reply_line_cnt > 0)
        return SMTP_CLIENT_AUTH_NOT;
    struct base_span line = base_span_of(in.p, len - 2);
    if (line.len < 3 || memcmp(line.p, "334", 3) != 0 || (line.len > 3 && line.p[3] != ' '))
        return SMTP_CLIENT_AUTH_NOT;
    if (read_challenge(line, &challenge))
        step = smtp_sasl_client_push(&c->sasl, c->credentials, c->keys, base_buf_span(&challenge),
                                     &response);
    c->keys = NULL;
    if (step == SMTP_SASL_CLIENT_KEYS)
        return SMTP_CLIENT_AUTH_KEYS;
    *used = len;
    stats_inc(c->stats, STATS_SMTP_CLIENT_REPLY_3XX);
    if (step == SMTP_SASL_CLIENT_BAD) {
        c->auth_trouble = SMTP_CLIENT_AUTH_UNPROVEN; /* the reply to "*" ends it */
        smtp_sasl_client_clear(&c->sasl);
        response.len = 0;
    }
    int failed = step == SMTP_SASL_CLIENT_BAD ? base_buf_puts(out, "*")
                                              : smtp_base64_encode(out, base_buf_span(&response));
    failed |= base_buf_puts(out, "\r\n");
    base_assert(failed == 0);
    OPENSSL_cleanse(room, sizeof(room));
    return SMTP_CLIENT_AUTH_MORE;
}

enum smtp_client_auth smtp_client_auth_reply(struct smtp_client *c)
{
    uint16_t code = c->reply.code;

    if (c->auth_trouble == SMTP_CLIENT_AUTH_UNPROVEN || code / 100 == 3)
        return fail(c, SMTP_CLIENT_AUTH_UNPROVEN, code >= 400);
    if (code / 100 == 2 && !smtp_sasl_client_proven(&c->sasl))
        return fail(c, SMTP_CLIENT_AUTH_UNPROVEN, false);
    if (code / 100 == 2) {
        smtp_sasl_client_clear(&c->sasl);
        stats_inc(c->stats, STATS_SMTP_CLIENT_AUTH_OK);
        return SMTP_CLIENT_AUTH_OVER;
    }
    if (code / 100 == 4)
        return fail(c, SMTP_CLIENT_AUTH_LATER, true);
    if (!c->encrypted && (code == 530 || code == 538))
        return fail(c, SMTP_CLIENT_AUTH_WANTS_TLS, true);
    if (code == 504 || code == 534)
        return next_mechanism(c, true);
    return fail(c, SMTP_CLIENT_AUTH_REFUSED, true);
}
