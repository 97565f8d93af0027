/*
 * The server's side of SASL (RFC 4422): PLAIN (4616), LOGIN, SCRAM-SHA-256 (5802, 7677) and its
 * -PLUS with the binding tls-exporter (9266), EXTERNAL. Messages in and out are bytes, without
 * base64 and without SMTP. It knows no account: it asks, by what a push returns, and its caller
 * answers.
 *
 * Who logs in may not act for another: an authorization identity that is not the login is refused.
 * Names and passwords are prepared by SASLprep (smtp_saslprep.h), as accounts and the hashes of
 * passwords have to be. Left out: OAUTHBEARER and CRAM-MD5.
 *
 * Lifecycle: smtp_sasl_init for each exchange, nothing of an earlier one is left; then push until
 * something other than CHALLENGE or a question comes; smtp_sasl_clear at the end, since passwords
 * are in it. Threads: one. Memory: the struct. Randomness comes from the caller.
 */
#ifndef SMTP_SASL_H
#define SMTP_SASL_H

#include "base_assert.h"
#include "base_bytes.h"

enum smtp_sasl_mechanism {
    SMTP_SASL_PLAIN,
    SMTP_SASL_LOGIN,
    SMTP_SASL_SCRAM_SHA_256,
    SMTP_SASL_SCRAM_SHA_256_PLUS,
    SMTP_SASL_EXTERNAL,
    SMTP_SASL_MECHANISM_CNT
};

#define SMTP_SASL_LOGIN_MAX     255
#define SMTP_SASL_PASSWORD_MAX  255
#define SMTP_SASL_RESPONSE_MAX  1536 /* of a client, decoded; a line has no more */
#define SMTP_SASL_CHALLENGE_MAX 512
#define SMTP_SASL_BINDING_BYTES 32
#define SMTP_SASL_NONCE_BYTES   18
#define SMTP_SASL_SALT_MAX      64

/* "SCRAM-SHA-256-PLUS". */
const char *smtp_sasl_name(enum smtp_sasl_mechanism m);
/* In any case; MECHANISM_CNT: unknown. */
enum smtp_sasl_mechanism smtp_sasl_find(struct base_span name);

struct smtp_sasl_facts {
    bool plus_offered;                        /* so "y" of a client tells of a man in the middle */
    bool bound;                               /* binding holds */
    uint8_t binding[SMTP_SASL_BINDING_BYTES]; /* tls-exporter */
    uint8_t random[SMTP_SASL_NONCE_BYTES];    /* fresh for each exchange */
    struct base_span identity; /* EXTERNAL: whom the certificate names; borrowed for init */
};

enum smtp_sasl_step {
    SMTP_SASL_CHALLENGE, /* send it, push the response */
    SMTP_SASL_PASSWORD,  /* asks: is s->password that of s->login? The exchange is over with that */
    SMTP_SASL_ACCOUNT,   /* asks: is there an account s->login? Likewise */
    SMTP_SASL_VERIFIER,  /* asks: smtp_sasl_verify, for s->login */
    SMTP_SASL_ACCEPTED,
    SMTP_SASL_REFUSED,
    SMTP_SASL_MALFORMED, /* what came is no message of the mechanism */
};

/* What a server keeps of a SCRAM password (RFC 5803). */
struct smtp_sasl_verifier {
    uint32_t iterations;
    uint8_t salt_len;
    uint8_t salt[SMTP_SASL_SALT_MAX];
    uint8_t stored_key[32];
    uint8_t server_key[32];
};

struct smtp_sasl {
    uint8_t mechanism; /* enum smtp_sasl_mechanism */
    uint8_t stage;     /* of the mechanism */
    bool plus_offered, bound;
    uint8_t binding[SMTP_SASL_BINDING_BYTES];
    uint8_t random[SMTP_SASL_NONCE_BYTES];
    uint16_t login_len, password_len;
    char login[SMTP_SASL_LOGIN_MAX + 1]; /* UTF-8 without control characters; and a NUL */
    char password[SMTP_SASL_PASSWORD_MAX + 1];
    /* SCRAM */
    struct smtp_sasl_verifier verifier;
    bool known; /* the verifier is an account's */
    uint16_t gs2_len, nonce_len, auth_len;
    uint8_t gs2[320];                                                   /* header of the client */
    uint8_t nonce[160];                                                 /* the client's and ours */
    uint8_t auth[SMTP_SASL_RESPONSE_MAX * 2 + SMTP_SASL_CHALLENGE_MAX]; /* AuthMessage so far */
};

void smtp_sasl_init(struct smtp_sasl *s, enum smtp_sasl_mechanism m,
                    const struct smtp_sasl_facts *facts);
void smtp_sasl_clear(struct smtp_sasl *s);

/* The client's next message; p NULL: it sent no initial response. A challenge (which may be empty)
 * is appended to out, which has SMTP_SASL_CHALLENGE_MAX room. */
enum smtp_sasl_step smtp_sasl_push(struct smtp_sasl *s, struct base_span response,
                                   struct base_buf *out) BASE_WARN_UNUSED;

/* The answer to VERIFIER: always CHALLENGE. known false: there is no such account, or it has no
 * verifier; then v is one that looks like those of accounts and stays the same for this login, and
 * the exchange ends as with a wrong password. */
enum smtp_sasl_step smtp_sasl_verify(struct smtp_sasl *s, const struct smtp_sasl_verifier *v,
                                     bool known, struct base_buf *out) BASE_WARN_UNUSED;

/* The verifier of a password that is known, with its salt and iterations filled in (RFC 5802
 * section 3); for accounts, and to check a password that came by PLAIN. Slow by purpose. Returns 0
 * or -EIO. */
int smtp_sasl_derive(struct smtp_sasl_verifier *v, struct base_span password) BASE_WARN_UNUSED;

#endif
