/* What the files of the client share. Private to lib/smtp. */
#ifndef SMTP_CLIENT_INTERNAL_H
#define SMTP_CLIENT_INTERNAL_H

#include "smtp_client.h"

enum smtp_client_take {
    SMTP_CLIENT_TAKE_MORE,  /* the reply is not whole */
    SMTP_CLIENT_TAKE_WHOLE, /* c->reply is */
    SMTP_CLIENT_TAKE_BAD,   /* malformed or over a limit; c->reply says how, with code 0 */
};

/* Takes lines of a reply (RFC 5321 section 4.2.1) off in; sets *used. In state EHLO it notes the
 * keywords. */
enum smtp_client_take smtp_client_take_reply(struct smtp_client *c, struct base_span in,
                                             size_t *used);

/* ---- smtp_client_tls.c ---- */

enum smtp_client_hello {
    SMTP_CLIENT_HELLO_READY,    /* what was agreed on will do */
    SMTP_CLIENT_HELLO_STARTTLS, /* ask for it */
    SMTP_CLIENT_HELLO_REFUSE,   /* c->reply says why */
};

/* What comes after an EHLO or HELO that was taken. */
enum smtp_client_hello smtp_client_after_hello(struct smtp_client *c);

enum smtp_client_starttls {
    SMTP_CLIENT_STARTTLS_GO,       /* begin TLS */
    SMTP_CLIENT_STARTTLS_CLEAR,    /* refused: go on in clear */
    SMTP_CLIENT_STARTTLS_REFUSE,   /* refused, but required: c->reply says so */
    SMTP_CLIENT_STARTTLS_INJECTED, /* bytes came behind it: c->reply says so */
};

/* The reply to STARTTLS is in c->reply; more_input: something came behind it. */
enum smtp_client_starttls smtp_client_after_starttls(struct smtp_client *c, bool more_input);

/* ---- smtp_client_lmtp.c ---- */

/* LHLO was refused for good: c->reply becomes a failure for now. */
void smtp_client_lmtp_refused(struct smtp_client *c);
/* The recipient that c->reply, behind the end of data, is for; *last: no other one is waited for.
 */
uint32_t smtp_client_lmtp_answered(const struct smtp_client *c, bool *last);
/* The next transaction's recipient has had this message: c->reply says so. */
bool smtp_client_loops(struct smtp_client *c);

/* ---- smtp_client_utf8.c ---- */

/* The sender, and a recipient where there is any, can be said to a server without SMTPUTF8. */
bool smtp_client_any_sayable(const struct smtp_client *c);
/* How many recipients in a row, from this one on, are as this one: *sayable to this server. */
uint32_t smtp_client_alike_cnt(const struct smtp_client *c, uint32_t from, bool *sayable);
/* As the server can take it. out has room for SMTP_ADDRESS_MAX. */
void smtp_client_put_mailbox(const struct smtp_client *c, struct base_span mailbox,
                             struct base_buf *out);
/* A value of ORCPT, checked, in its form of ASCII, in room; empty where that is too long for a
 * command. */
struct base_span smtp_client_ascii_orcpt(struct base_span orcpt, uint8_t room[SMTP_ORCPT_MAX]);

/* ---- smtp_client.c ---- */

void smtp_client_set_state(struct smtp_client *c, enum smtp_client_state state, bool command_due);
/* Ends the session; c->reply is why, for the recipients that are open. */
enum smtp_client_event smtp_client_end_session(struct smtp_client *c);

/* ---- smtp_client_reply.c ---- */

/* Sets c->reply to one of our own. The text is cut as a server's is. */
void smtp_client_set_reply(struct smtp_client *c, uint16_t code, const char *enhanced,
                           const char *text);

/* What EHLO says of LIMITS: "RCPTMAX=100 MAILMAX=10". */
void smtp_client_note_limits(struct smtp_client *c, struct base_span text);
/* Chooses the recipients of the next transaction. False: the session may have no further one. */
bool smtp_client_open_window(struct smtp_client *c);

/* Whether the server can take the job as far as is known; when not, c->reply says why. Sets
 * checking when the content has to be looked at first. */
bool smtp_client_acceptable(struct smtp_client *c);
/* The recipients of the next transaction are not told to the server: c->reply says why. */
bool smtp_client_fails_unsaid(struct smtp_client *c);
/* The next hop can be held to TLS for this job (RFC 8689 section 4.2.1). */
bool smtp_client_keeps_tls(const struct smtp_client *c);
/* REQUIRETLS may be said to it for this job. */
bool smtp_client_passes_requiretls(const struct smtp_client *c);

/* What EHLO says of AUTH: "PLAIN LOGIN". */
void smtp_client_note_auth(struct smtp_client *c, struct base_span text);

enum smtp_client_auth {
    SMTP_CLIENT_AUTH_MORE, /* the next message is due, or another mechanism */
    SMTP_CLIENT_AUTH_KEYS,
    SMTP_CLIENT_AUTH_OVER,   /* the login is done */
    SMTP_CLIENT_AUTH_FAILED, /* c->reply says why; leave */
    SMTP_CLIENT_AUTH_NOT,    /* what comes is no challenge: take it as a reply */
};
/* Chooses a mechanism: MORE or FAILED. */
enum smtp_client_auth smtp_client_auth_begin(struct smtp_client *c);
/* The command, with the first message where it fits. out has SMTP_OUT_MIN room. */
void smtp_client_auth_command(struct smtp_client *c, struct base_buf *out);
/* Takes a challenge off in, and answers it: MORE, KEYS or NOT. Likewise. */
enum smtp_client_auth smtp_client_auth_challenge(struct smtp_client *c, struct base_span in,
                                                 size_t *used, struct base_buf *out);
/* c->reply ends the exchange: MORE, OVER or FAILED. */
enum smtp_client_auth smtp_client_auth_reply(struct smtp_client *c);

#endif
