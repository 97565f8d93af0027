/*
 * The client's side of SASL (RFC 4422), for a next hop that wants a login: SCRAM-SHA-256 (RFC 5802,
 * 7677), CRAM-MD5 (2195), PLAIN (4616), LOGIN (draft-murchison-sasl-login). Messages in and out are
 * bytes, without base64 and without SMTP.
 *
 * SCRAM proves the server, too: an exchange that ends without the server's signature is no success
 * (smtp_sasl_client_proven). Its keys are slow to make by purpose: the exchange asks for them
 * (KEYS), and they are made by as many small steps as the caller likes (smtp_sasl_derivation_run).
 * They hold as long as user, password, salt and iterations are the same, so they may be kept.
 *
 * Left out: channel binding (-PLUS), SASLprep (the caller's credentials are prepared:
 * smtp_saslprep.h), OAUTHBEARER, an authorization identity other than the login.
 *
 * Threads: one. Memory: the structs; credentials and keys are borrowed for each call. Randomness
 * comes from the caller.
 */
#ifndef SMTP_SASL_CLIENT_H
#define SMTP_SASL_CLIENT_H

#include "smtp_sasl.h"

/* In the order in which they are preferred. */
enum smtp_sasl_client_mechanism {
    SMTP_SASL_CLIENT_SCRAM_SHA_256,
    SMTP_SASL_CLIENT_CRAM_MD5,
    SMTP_SASL_CLIENT_PLAIN,
    SMTP_SASL_CLIENT_LOGIN,
    SMTP_SASL_CLIENT_MECHANISM_CNT
};

/* RFC 7677 section 4 asks for 4096 at least: fewer help who guesses. */
#define SMTP_SASL_ITERATIONS_MIN 4096
#define SMTP_SASL_ITERATIONS_MAX 1000000

/* "CRAM-MD5". */
const char *smtp_sasl_client_name(enum smtp_sasl_client_mechanism m);
/* In any case; MECHANISM_CNT: unknown. */
enum smtp_sasl_client_mechanism smtp_sasl_client_find(struct base_span name);

struct smtp_credentials {
    struct base_span user;     /* 1..SMTP_SASL_LOGIN_MAX, no NUL */
    struct base_span password; /* 1..SMTP_SASL_PASSWORD_MAX, no NUL */
    uint8_t mechanisms;        /* bits of those that may be used */
    bool cleartext;            /* also over a connection that is not encrypted */
};

/* What keys are to be made of, beside the password. */
struct smtp_sasl_salt {
    uint32_t iterations;
    uint8_t len;
    uint8_t bytes[SMTP_SASL_SALT_MAX];
};

struct smtp_sasl_keys {
    uint8_t client_key[32];
    uint8_t server_key[32];
};

/* PBKDF2 by steps: set salt, all else 0. */
struct smtp_sasl_derivation {
    struct smtp_sasl_salt salt;
    uint32_t done; /* iterations */
    uint8_t u[32], t[32];
};

/* Makes up to cnt iterations, some 0.5 us each. Returns 1 when *keys is filled in, 0 when more is
 * to be done, -EIO. */
int smtp_sasl_derivation_run(struct smtp_sasl_derivation *d, struct base_span password,
                             uint32_t cnt, struct smtp_sasl_keys *keys) BASE_WARN_UNUSED;

struct smtp_sasl_client {
    uint8_t mechanism; /* enum smtp_sasl_client_mechanism */
    uint8_t stage;     /* of the mechanism */
    uint8_t random[SMTP_SASL_NONCE_BYTES];
    uint8_t signature[32]; /* SCRAM: the server's, as it has to be */
    struct smtp_sasl_salt salt;
};

enum smtp_sasl_client_step {
    SMTP_SASL_CLIENT_SEND, /* the message was appended to out; it may be empty */
    SMTP_SASL_CLIENT_KEYS, /* push the same again with the keys for s->salt */
    SMTP_SASL_CLIENT_BAD,  /* the server's message is none, or proves nothing: give up */
};

/* random: fresh for each exchange. */
void smtp_sasl_client_init(struct smtp_sasl_client *s, enum smtp_sasl_client_mechanism m,
                           const uint8_t random[SMTP_SASL_NONCE_BYTES]);
void smtp_sasl_client_clear(struct smtp_sasl_client *s);

/* False: the mechanism waits for a challenge before it says anything (RFC 4954 section 4). */
bool smtp_sasl_client_speaks_first(enum smtp_sasl_client_mechanism m);

/* The server's next challenge; for a mechanism that speaks first the first one is empty. out has
 * SMTP_SASL_RESPONSE_MAX room. keys may be NULL. */
enum smtp_sasl_client_step smtp_sasl_client_push(struct smtp_sasl_client *s,
                                                 const struct smtp_credentials *credentials,
                                                 const struct smtp_sasl_keys *keys,
                                                 struct base_span challenge,
                                                 struct base_buf *out) BASE_WARN_UNUSED;

/* The server says that it accepts: whether it had to prove itself before, and did. */
bool smtp_sasl_client_proven(const struct smtp_sasl_client *s);

#endif
