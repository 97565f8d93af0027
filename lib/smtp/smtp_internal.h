/*
 * What the files of the server share: the reasons for which it refuses by itself, replies, and the
 * session's state. Private to lib/smtp.
 */
#ifndef SMTP_INTERNAL_H
#define SMTP_INTERNAL_H

#include "smtp_command.h"
#include "smtp_server.h"

/*
 * X(id, code, enhanced, text, counter). The texts are Postfix's where it has one. Replies to HELO
 * and EHLO have no enhanced code (RFC 2034 section 4).
 */
#define SMTP_REASONS(X)                                                                            \
    X(UNKNOWN, 500, "5.5.2", "Error: command not recognized", REFUSED_UNKNOWN)                     \
    X(NOT_OFFERED, 502, "5.5.1", "Error: command not implemented", REFUSED_NOT_OFFERED)            \
    X(STARTTLS_SYNTAX, 501, "5.5.4", "Syntax: STARTTLS", REFUSED_SYNTAX)                           \
    X(TLS_FIRST, 530, "5.7.0", "Must issue a STARTTLS command first", REFUSED_CLEAR)               \
    X(TLS_TWICE, 503, "5.5.1", "Error: TLS already active", REFUSED_ORDER)                         \
    X(TLS_IN_MAIL, 503, "5.5.1", "Error: MAIL transaction in progress", REFUSED_ORDER)             \
    X(NO_AUTH, 503, "5.5.1", "Error: authentication not enabled", REFUSED_NOT_OFFERED)             \
    X(NO_EHLO, 503, "5.5.1", "Error: send EHLO first", REFUSED_ORDER)                              \
    X(AUTH_CLEAR, 504, "5.5.4", "Encryption required for requested authentication mechanism",      \
      REFUSED_CLEAR)                                                                               \
    X(AUTH_IN_MAIL, 503, "5.5.1", "Error: MAIL transaction in progress", REFUSED_ORDER)            \
    X(AUTH_TWICE, 503, "5.5.1", "Error: already authenticated", REFUSED_ORDER)                     \
    X(AUTH_SYNTAX, 501, "5.5.4", "Syntax: AUTH mechanism", REFUSED_SYNTAX)                         \
    X(AUTH_UNKNOWN, 504, "5.5.4", "Error: authentication mechanism not offered",                   \
      REFUSED_AUTH_MECHANISM)                                                                      \
    X(AUTH_BASE64, 501, "5.5.2", "Error: bad base64 in authentication", REFUSED_AUTH_SYNTAX)       \
    X(AUTH_CANCELLED, 501, "5.7.0", "Authentication aborted", REFUSED_AUTH_CANCELLED)              \
    X(AUTH_LONG, 500, "5.5.6", "Error: authentication exchange line is too long",                  \
      REFUSED_LINE_LENGTH)                                                                         \
    X(XCLIENT_IN_MAIL, 503, "5.5.1", "Error: MAIL transaction in progress", REFUSED_ORDER)         \
    X(XCLIENT_SYNTAX, 501, "5.5.4", "Syntax: XCLIENT attribute=value", REFUSED_SYNTAX)             \
    X(LINE_LONG, 500, "5.5.2", "Error: line too long", REFUSED_LINE_LENGTH)                        \
    X(LINE_END, 500, "5.5.2", "Error: bare <CR> or <LF> received", REFUSED_LINE_END)               \
    X(CHARACTER, 500, "5.5.2", "Error: bad syntax", REFUSED_CHARACTER)                             \
    X(HELO_SYNTAX, 501, NULL, "Syntax: HELO hostname", REFUSED_SYNTAX)                             \
    X(EHLO_SYNTAX, 501, NULL, "Syntax: EHLO hostname", REFUSED_SYNTAX)                             \
    X(MAIL_SYNTAX, 501, "5.5.4", "Syntax: MAIL FROM:<address>", REFUSED_SYNTAX)                    \
    X(RCPT_SYNTAX, 501, "5.5.4", "Syntax: RCPT TO:<address>", REFUSED_SYNTAX)                      \
    X(DATA_SYNTAX, 501, "5.5.4", "Syntax: DATA", REFUSED_SYNTAX)                                   \
    X(RSET_SYNTAX, 501, "5.5.4", "Syntax: RSET", REFUSED_SYNTAX)                                   \
    X(QUIT_SYNTAX, 501, "5.5.4", "Syntax: QUIT", REFUSED_SYNTAX)                                   \
    X(VRFY_SYNTAX, 501, "5.5.4", "Syntax: VRFY address", REFUSED_SYNTAX)                           \
    X(SENDER, 501, "5.1.7", "Bad sender address syntax", REFUSED_ADDRESS)                          \
    X(RECIPIENT, 501, "5.1.3", "Bad recipient address syntax", REFUSED_ADDRESS)                    \
    X(NOT_ASCII, 553, "5.6.7", "Address has 8-bit characters; SMTPUTF8 is not offered",            \
      REFUSED_CHARACTER)                                                                           \
    X(NOT_UTF8, 553, "5.6.7", "Address has 8-bit characters; MAIL was without SMTPUTF8",           \
      REFUSED_CHARACTER)                                                                           \
    X(PARAM_SYNTAX, 501, "5.5.4", "Malformed parameter", REFUSED_PARAMETER)                        \
    X(PARAM_TWICE, 501, "5.5.4", "Parameter given twice", REFUSED_PARAMETER)                       \
    X(PARAM_UNKNOWN, 555, "5.5.4", "Unsupported option", REFUSED_PARAMETER)                        \
    X(SIZE_SYNTAX, 501, "5.5.4", "Bad message size syntax", REFUSED_PARAMETER)                     \
    X(BODY_UNKNOWN, 501, "5.5.4", "Unsupported BODY type", REFUSED_PARAMETER)                      \
    X(SMTPUTF8_SYNTAX, 501, "5.5.4", "SMTPUTF8 takes no value", REFUSED_PARAMETER)                 \
    X(REQUIRETLS_SYNTAX, 501, "5.5.4", "REQUIRETLS takes no value", REFUSED_PARAMETER)             \
    X(RET_SYNTAX, 501, "5.5.4", "RET is FULL or HDRS", REFUSED_PARAMETER)                          \
    X(ENVID_SYNTAX, 501, "5.5.4", "Bad ENVID syntax", REFUSED_PARAMETER)                           \
    X(NOTIFY_SYNTAX, 501, "5.5.4", "NOTIFY is NEVER, or of SUCCESS, FAILURE, DELAY",               \
      REFUSED_PARAMETER)                                                                           \
    X(ORCPT_SYNTAX, 501, "5.5.4", "Bad ORCPT syntax", REFUSED_PARAMETER)                           \
    X(BDAT_SYNTAX, 501, "5.5.4", "Syntax: BDAT count [LAST]", REFUSED_SYNTAX)                      \
    X(CHUNK_SIZE, 552, "5.3.4", "Error: message file too big", REFUSED_SIZE)                       \
    X(CHUNK_FAILED, 503, "5.5.1", "Error: message was refused at an earlier chunk", REFUSED_CHUNK) \
    X(DATA_IN_CHUNKS, 503, "5.5.1", "Error: DATA after BDAT", REFUSED_ORDER)                       \
    X(RCPT_IN_CHUNKS, 503, "5.5.1", "Error: RCPT after BDAT", REFUSED_ORDER)                       \
    X(AUTH_VALUE, 501, "5.5.4", "Bad AUTH syntax", REFUSED_PARAMETER)                              \
    X(DECLARED_SIZE, 552, "5.3.4", "Message size exceeds fixed limit", REFUSED_DECLARED_SIZE)      \
    X(NO_HELO, 503, "5.5.1", "Error: send HELO/EHLO first", REFUSED_ORDER)                         \
    X(NESTED_MAIL, 503, "5.5.1", "Error: nested MAIL command", REFUSED_ORDER)                      \
    X(NO_MAIL, 503, "5.5.1", "Error: need MAIL command", REFUSED_ORDER)                            \
    X(NO_RCPT, 503, "5.5.1", "Error: need RCPT command", REFUSED_ORDER)                            \
    X(RECIPIENTS, 452, "4.5.3", "Error: too many recipients", REFUSED_RECIPIENTS)

#define SMTP_REASON_ENUM(id, code, enhanced, text, counter) SMTP_REASON_##id,
enum smtp_reason { SMTP_REASONS(SMTP_REASON_ENUM) SMTP_REASON_CNT };
#undef SMTP_REASON_ENUM

/* RFC 5321 section 4.5.3.1.10 wants 452 for what is over the limit, not a lost session: only beyond
 * this many of them does each count as an error. */
#define SMTP_OVERSHOOT_MAX 1000

/* Writes one reply line; the text is cut to SMTP_REPLY_MAX, characters outside printable ASCII
 * become "?". out has the room. */
void smtp_reply_write(struct base_buf *out, const struct smtp_reply *reply);

/* The server refuses by itself: reply and counters. */
void smtp_server_refuse(struct smtp_server *s, enum smtp_reason reason, struct base_buf *out);

/* Counts an error of the client; writes 421 and closes when there were too many. */
void smtp_server_error(struct smtp_server *s, struct base_buf *out);

/* Counts a command that moves no mail: more of them than the limit since the last message are
 * errors. Comes after the command's reply. */
void smtp_server_junk(struct smtp_server *s, struct base_buf *out);

/* Moves the session to another state: the one place that does. */
void smtp_server_set_state(struct smtp_server *s, enum smtp_session_state state);

/* Notes one more MAIL command of the session. Returns false when it is over the limit: then 421 is
 * written, and the session is closed. */
bool smtp_server_count_mail(struct smtp_server *s, struct base_buf *out);

/* Closes the session: no more input is looked at. */
void smtp_server_close(struct smtp_server *s, const char *reason);

/* Ends a transaction, if there is one; tells whether there was. */
bool smtp_server_reset(struct smtp_server *s);

/* Handles one command. Returns the event for the caller, MORE for none. */
enum smtp_server_event smtp_server_command(struct smtp_server *s, struct base_span line,
                                           struct base_buf *out);

/* Parameters of MAIL and RCPT, behind the path, into s->mail and s->rcpt. Returns SMTP_REASON_CNT
 * when they are fine. */
enum smtp_reason smtp_server_mail_params(struct smtp_server *s, struct base_span rest);
enum smtp_reason smtp_server_rcpt_params(struct smtp_server *s, struct base_span rest);

/* Whether this session's EHLO offered it: enum smtp_extension. */
bool smtp_server_offers(const struct smtp_server *s, enum smtp_extension extension);

/* AUTH: the command, a line of the exchange that it began, and one that is too long. */
enum smtp_server_event smtp_server_auth(struct smtp_server *s, struct base_span argument,
                                        struct base_buf *out);
enum smtp_server_event smtp_server_auth_line(struct smtp_server *s, struct base_span line,
                                             struct base_buf *out);
enum smtp_server_event smtp_server_auth_long(struct smtp_server *s, struct base_buf *out);

/* XCLIENT: the command, and what comes of it once it is accepted. */
enum smtp_server_event smtp_server_xclient(struct smtp_server *s, struct base_span argument,
                                           struct base_buf *out);
void smtp_server_take_xclient(struct smtp_server *s);

/* Whether EHLO offers AUTH now; its line, which is to be followed by another. */
bool smtp_server_offers_auth(const struct smtp_server *s);
int smtp_server_put_auth(const struct smtp_server *s, struct base_buf *out);

/* Begins a body, after 354 or with a first chunk: sets what smtp_server_body works on. */
void smtp_server_body_begin(struct smtp_server *s);

/* The body is not going to be accepted, for this reason. */
void smtp_server_strike(struct smtp_server *s, enum smtp_refusal refusal);

/* The end of the body: MESSAGE, or the refusal's reply and REFUSED; when it is not whole, as it has
 * no end in sight, the reply and CLOSE. */
enum smtp_server_event smtp_server_finish(struct smtp_server *s, bool whole, struct base_buf *out);

/* BDAT. Returns the event for the caller, as smtp_server_command does. */
enum smtp_server_event smtp_server_bdat(struct smtp_server *s, struct base_span argument,
                                        struct base_buf *out);

/* Takes bytes of a refused chunk off in, discard_left at most; the reply comes at its end. Returns
 * how many. */
size_t smtp_server_discard(struct smtp_server *s, struct base_span in, struct base_buf *out);

/* A chunk is in that is not the last: the reply. */
void smtp_server_chunk_taken(struct smtp_server *s, struct base_buf *out);

/* ---- smtp_server_tally.c ---- */
void smtp_tally_command(struct smtp_server *s, enum smtp_verb verb);
/* The last one was. */
void smtp_tally_refused(struct smtp_server *s);

#endif
