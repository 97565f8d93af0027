/*
 * The server's side of one SMTP session: RFC 5321 with PIPELINING (2920), SIZE (1870), 8BITMIME
 * (6152) and ENHANCEDSTATUSCODES (2034); where the settings offer them DSN (3461), SMTPUTF8
 * (6531), CHUNKING (3030), LIMITS (9422) and, inside TLS, REQUIRETLS (8689); where the caller has
 * TLS, STARTTLS (3207), where it has accounts, AUTH (4954), and for proxies Postfix's XCLIENT.
 * Bytes in; replies, events and body bytes out.
 *
 * Left out until their issues: BINARYMIME; that the header section of a
 * message without SMTPUTF8 is ASCII is not checked. The session decides nothing about who may send
 * what: it asks its caller by an event and waits for the answer.
 *
 * Use: smtp_server_greet, then loop over smtp_server_push until it says MORE or CLOSE, also after
 * an answer and after the end of a body, with whatever input is left. It handles commands,
 * consuming their lines and writing the replies to out, until one concerns the caller: that is the
 * event. Ones that ask (MAIL, RCPT, DATA, MESSAGE, STARTTLS, AUTH, XCLIENT) are followed by exactly
 * one smtp_server_answer before the next push. After BODY the caller runs smtp_server_body until it
 * ends, without input where smtp_server_body_due says so. Input may be cut anywhere: the replies do
 * not depend on it, but for what early_refused says: what has come already is all that can be seen.
 *
 * End of data is CRLF "." CRLF and nothing else. A bare CR or LF, a NUL, a line or header over its
 * limits, too many Received lines or a message over SIZE is refused after the true end of data, and
 * nothing of it may be queued: the event is then REFUSED instead of MESSAGE. A message over twice
 * its SIZE is not read to its end: CLOSE.
 *
 * Where normalize is set a bare LF ends a line as CRLF does, and is written as CRLF, but it never
 * ends the data, whatever stands beside it.
 *
 * A message comes by BDAT in chunks: the first one asks by the event DATA, like the command, but
 * there is no 354. smtp_server_body tells the end of each (CHUNK); commands may come between them.
 * A chunk that is refused is taken off the input in full before the reply; a malformed BDAT, of
 * which nobody knows what follows, or a chunk over twice the limit ends the session.
 *
 * Threads: one. Memory: the struct, which the caller owns; no allocation. Partial lines stay in the
 * caller's input until they are whole (a line over SMTP_LINE_MAX is consumed as it comes and
 * refused once). No time inside: the caller keeps deadlines and calls smtp_server_timeout.
 */
#ifndef SMTP_SERVER_H
#define SMTP_SERVER_H

#include "base_bytes.h"
#include "smtp_address.h"
#include "smtp_params.h"
#include "smtp_reply.h"
#include "smtp_sasl.h"
#include "stats.h"

#define SMTP_LINE_MAX                                                                              \
    2048                  /* a command line with its CRLF; RFC 5321 section 4.5.3.1.4 wants 512    \
                           */
#define SMTP_OUT_MIN 2048 /* room that every call with an out buffer needs: else FLUSH */

struct smtp_scan;

/* Immutable while any session uses it; borrowed. */
struct smtp_server_settings {
    const char *hostname;      /* in the greeting and EHLO */
    uint64_t message_size_max; /* bytes as received; 0: no limit, SIZE without a number */
    uint32_t recipient_max;    /* in a transaction; then 452 4.5.3 */
    uint32_t mail_max;  /* MAIL commands of a session, refused ones too, then 421 4.7.0; 0: no
                           limit */
    uint32_t error_max; /* refused commands, then 421 4.7.0; 0: no limit */
    uint32_t junk_max;  /* NOOP, RSET, VRFY, HELO, EHLO without a message between; more of
                           them count as errors; 0: no limit */
    uint32_t header_bytes_max; /* 0: no limit */
    uint32_t header_field_max; /* fields of the header section; 0: no limit */
    uint32_t line_max;         /* bytes of a line of a message, without CRLF and stuffed dot: 998 by
                                  RFC 5321 section 4.5.3.1.6; 0: no limit */
    uint32_t hop_max;          /* Received lines, then 554 5.4.6; 0: no limit */
    bool early_refused;        /* input behind a command whose answer has to come first ends the
                                  session; else it is counted */
    uint32_t extensions;       /* bits of enum smtp_extension that EHLO offers */
};

enum smtp_server_event {
    SMTP_SERVER_MORE,    /* all that is whole was handled: give more input */
    SMTP_SERVER_FLUSH,   /* out has less than SMTP_OUT_MIN left: empty it and call again */
    SMTP_SERVER_MAIL,    /* asks: s->address is the sender, s->mail its parameters */
    SMTP_SERVER_RCPT,    /* asks: s->address is the recipient, s->rcpt its parameters */
    SMTP_SERVER_DATA,    /* asks: 354 or a refusal */
    SMTP_SERVER_BODY,    /* 354 is in out: go on with smtp_server_body */
    SMTP_SERVER_MESSAGE, /* asks, from smtp_server_body: the message is whole; answer when durable
                          */
    SMTP_SERVER_REFUSED, /* the message was refused, the reply is in out; the transaction is over */
    SMTP_SERVER_RESET,   /* the transaction is over: RSET, HELO or EHLO */
    SMTP_SERVER_STARTTLS, /* asks: 220, and what follows is TLS; else a refusal. The caller alone
                             knows whether bytes wait behind the command: see below */
    SMTP_SERVER_AUTH,     /* asks: s->auth_... says what of an exchange. 235, a refusal, or
                             smtp_server_challenge */
    SMTP_SERVER_AUTH_END, /* the client has given up the exchange, or spoilt it; the reply is in out
                           */
    SMTP_SERVER_XCLIENT,  /* asks: s->xclient_text, which smtp_xclient_parse takes. 220 accepts: the
                             session starts over, as that client's */
    SMTP_SERVER_CLOSE,    /* send out, then close; s->close_reason says why */
};

/* What smtp_server_body did, apart from what it consumed and wrote. */
enum smtp_body_state {
    SMTP_BODY_MORE,        /* all input consumed */
    SMTP_BODY_FULL,        /* dst is full */
    SMTP_BODY_HEADERS_END, /* dst ends with the empty line after the header section. Comes once a
                              message before END, so for a message without an empty line just
                              before END; not for one that is being refused */
    SMTP_BODY_CHUNK,       /* a chunk is in, its reply in out: go on with smtp_server_push */
    SMTP_BODY_END,         /* the event is in *event: MESSAGE, REFUSED or CLOSE */
};

/* Why a message was refused at its end; when several hold, the first of this order that does,
 * except that CALLER goes before all. Each has a counter. */
enum smtp_refusal {
    SMTP_REFUSAL_NONE,
    SMTP_REFUSAL_BARE_NEWLINE,
    SMTP_REFUSAL_NUL,
    SMTP_REFUSAL_SIZE,
    SMTP_REFUSAL_HEADER_SIZE,
    SMTP_REFUSAL_HEADER_FIELDS,
    SMTP_REFUSAL_HOPS,
    SMTP_REFUSAL_LINE,
    SMTP_REFUSAL_CALLER, /* smtp_server_refuse_body */
    SMTP_REFUSAL_CNT
};

enum smtp_session_state { /* of RFC 5321 section 4.1.4's order of commands */
                          SMTP_SESSION_START,
                          SMTP_SESSION_GREETED, /* EHLO or HELO done */
                          SMTP_SESSION_MAIL,    /* sender accepted */
                          SMTP_SESSION_RCPT,    /* at least one recipient accepted */
                          SMTP_SESSION_BODY,    /* after 354, or in a chunk */
                          SMTP_SESSION_CHUNKS,  /* between two chunks of a message */
                          SMTP_SESSION_CLOSING,
                          SMTP_SESSION_STATE_CNT
};

enum smtp_tls {
    SMTP_TLS_NONE,     /* there is none to be had */
    SMTP_TLS_OFFERED,  /* EHLO offers it */
    SMTP_TLS_REQUIRED, /* and nothing else goes on before it: RFC 3207 section 4 */
    SMTP_TLS_ON,
};

/* Commands of a session, for its log. */
enum smtp_tally_verb {
    SMTP_TALLY_EHLO,
    SMTP_TALLY_HELO,
    SMTP_TALLY_STARTTLS,
    SMTP_TALLY_AUTH,
    SMTP_TALLY_MAIL,
    SMTP_TALLY_RCPT,
    SMTP_TALLY_BDAT,
    SMTP_TALLY_DATA,
    SMTP_TALLY_RSET,
    SMTP_TALLY_NOOP,
    SMTP_TALLY_VRFY,
    SMTP_TALLY_QUIT,
    SMTP_TALLY_XCLIENT,
    SMTP_TALLY_UNKNOWN,
    SMTP_TALLY_CNT
};
struct smtp_tally {
    uint16_t cnt, refused_cnt; /* stay at their largest values */
};

struct smtp_server {
    const struct smtp_server_settings *settings;
    struct stats_block *stats;
    struct smtp_address address;     /* of the event that asks; a view into the pushed input, valid
                                        until the answer */
    struct smtp_mail_params mail;    /* of the transaction; its views valid until MAIL's answer */
    struct smtp_rcpt_params rcpt;    /* of the event, valid until the answer */
    uint64_t message_bytes;          /* of the body so far, as received, without the stuffed dots */
    uint64_t chunk_bytes;            /* of BDAT's last chunk */
    uint64_t chunk_left;             /* of it, not seen yet */
    uint64_t discard_left;           /* of a refused chunk: thrown away */
    const struct smtp_scan *scanner; /* the best of this machine */
    const char *close_reason;        /* static text */
    /* Of AUTH, valid until the answer: base64 that was checked, a view into the pushed input; p
     * NULL where a command has no initial response. */
    struct base_span auth_response;
    struct base_span xclient_text; /* likewise, of XCLIENT: its argument */
    uint32_t recipient_cnt;        /* accepted in this transaction */
    uint32_t error_cnt;
    uint32_t junk_cnt;
    uint32_t message_cnt;   /* accepted in this session */
    uint32_t mail_cnt;      /* MAIL commands of this session, since STARTTLS */
    uint32_t overshoot_cnt; /* recipients over the limit in this session */
    uint32_t hop_cnt;
    uint64_t header_bytes;
    uint32_t header_field_cnt;
    uint32_t line_bytes; /* of the body's present line, as far as it is written */
    uint8_t state;       /* enum smtp_session_state */
    uint8_t tls;         /* enum smtp_tls: set by the caller after init, ON by the answer 220 */
    /* Bits by enum smtp_sasl_mechanism: those that may be used here inside TLS, in clear too with
     * auth_clear. Set by the caller, at any time. */
    uint8_t auth_mechanisms;
    bool auth_clear;
    bool xclient; /* the peer may say who its client is: set by the caller after init */
    bool authenticated;
    bool exchanging;        /* the client's next line is a response, no command */
    bool auth_begins;       /* of AUTH: a command; else a further response */
    uint8_t auth_mechanism; /* enum smtp_sasl_mechanism, of the exchange */
    uint8_t asked;          /* enum smtp_server_event that waits for an answer, or 0 */
    uint8_t refusal;        /* enum smtp_refusal: NONE while the body is fine, then the first that
                               struck; with REFUSED the one that was told */
    uint16_t refusals;      /* a bit for each that has struck in this body */
    uint8_t scan;           /* the body scanner's state */
    uint8_t header_match;   /* bytes of a name that is looked for, matched in this header line */
    bool tls_required;      /* a header line begins with "TLS-Required:" (RFC 8689) */
    bool normalize;         /* bare LF ends a line of a body: set by the caller after init */
    bool bare_lf;           /* which of the two BARE_NEWLINE saw first */
    bool lf_line;           /* the last line ended in a bare LF */
    bool chunked;           /* the transaction's body comes by BDAT */
    bool chunk_last;
    bool chunk_failed;      /* the message was refused at a chunk that was not the last */
    uint8_t discard_reason; /* enum smtp_reason */
    bool extended;          /* EHLO, so ESMTP */
    bool waits;             /* the command must have been the last that was sent */
    bool more_behind;       /* input waits behind what is pushed: set by the caller before push */
    bool discarding_line;   /* an overlong line is being thrown away */
    bool in_header;
    uint8_t helo_len;
    char helo[SMTP_DOMAIN_MAX]; /* checked by smtp_domain_valid, not terminated */
    uint16_t refuse_code;       /* smtp_server_refuse_body's reply, copied; 0: none */
    char refuse_enhanced[10];
    char refuse_text[116];
    uint8_t tally_last; /* enum smtp_tally_verb of the last command, plus 1; 0: there was none */
    struct smtp_tally tally[SMTP_TALLY_CNT];
};

void smtp_server_init(struct smtp_server *s, const struct smtp_server_settings *settings,
                      struct stats_block *stats);

/* The 220 greeting. */
void smtp_server_greet(struct smtp_server *s, struct base_buf *out);

/* See the head of this file. Sets *consumed with every event, FLUSH too (lines handled before out
 * ran short are consumed). No event may be unanswered; in the body it returns BODY again. */
enum smtp_server_event smtp_server_push(struct smtp_server *s, struct base_span in,
                                        size_t *consumed, struct base_buf *out);

/* Answers the event that asked. A 2xx code accepts (for DATA: NULL means accept, 354 is written
 * unless it was BDAT); anything else refuses and is counted as an error. A refusal of BDAT ends the
 * transaction once the chunk is thrown away: by BODY and then REFUSED, which come as ever. MESSAGE
 * with 2xx ends the transaction as accepted, otherwise as refused. code 421 also closes: the next
 * push returns CLOSE.
 *
 * AUTH: 235 accepts, and holds until STARTTLS or the end of the session.
 *
 * STARTTLS: 220 accepts, and the session forgets all that the client has said (RFC 3207 section
 * 4.2). When anything was sent behind the command, before the 220, somebody else may have put it
 * there: the caller answers 5xx, which closes. 4xx: not now; the session goes on in clear. */
void smtp_server_answer(struct smtp_server *s, const struct smtp_reply *reply,
                        struct base_buf *out);

/* Answers AUTH by a challenge (of SMTP_SASL_CHALLENGE_MAX at most, without base64); the client's
 * response comes by another event. */
void smtp_server_challenge(struct smtp_server *s, struct base_span challenge, struct base_buf *out);

/*
 * Body bytes: copies in to dst (which the caller empties), without the stuffed dots, in one pass.
 * Bytes of a message that is to be refused are consumed and not written. Sets *consumed. *event is
 * set with END only. in and dst do not overlap. out needs SMTP_OUT_MIN room.
 */
enum smtp_body_state smtp_server_body(struct smtp_server *s, struct base_span in, size_t *consumed,
                                      struct base_buf *dst, struct base_buf *out,
                                      enum smtp_server_event *event);

/* Whether smtp_server_body has to be called although there may be no input: at the end of a chunk.
 */
bool smtp_server_body_due(const struct smtp_server *s);

/* From now on the body is thrown away and the given reply is sent at its end (event REFUSED), as
 * when the spool has failed or is full. */
void smtp_server_refuse_body(struct smtp_server *s, const struct smtp_reply *reply);

/* The peer was silent too long: writes 421 4.4.2; the session is over. */
void smtp_server_timeout(struct smtp_server *s, struct base_buf *out);

/* The service goes down or lacks resources: writes 421 with the text; the session is over. */
void smtp_server_shutdown(struct smtp_server *s, const struct smtp_reply *reply,
                          struct base_buf *out);

const char *smtp_refusal_name(enum smtp_refusal r);
/* What was told with the event REFUSED; its texts live until the next body. */
struct smtp_reply smtp_refusal_told(const struct smtp_server *s);

/* The session's commands as Postfix's log has them: "ehlo=1 mail=1 rcpt=1/2 commands=3/4", the
 * first number those that were not refused. Returns its length; no NUL. */
#define SMTP_TALLY_MAX 384
size_t smtp_tally_write(char out[SMTP_TALLY_MAX], const struct smtp_server *s);
/* The last command: "RCPT"; "CONNECT" before the first. */
const char *smtp_tally_last(const struct smtp_server *s);

/* ---- trace header ---- */

struct smtp_received {
    struct base_span helo;      /* checked: printable */
    const char *client_address; /* text, without brackets */
    const char *hostname;       /* ours */
    const char *id;             /* text of the message's id */
    struct base_span recipient; /* for "for <...>": the one recipient; empty when several */
    uint64_t wall_ns;
    bool extended;
    bool authenticated;
    bool smtputf8;           /* RFC 6531 section 4.3 */
    const char *tls_version; /* "TLSv1.3"; NULL: in clear */
    const char *tls_cipher;
    const char *tls_suite; /* its name at IANA; NULL or "": not told */
    const char *tls_group; /* of the key exchange; NULL or "": none */
    uint32_t tls_bits;
    struct base_span login; /* who has logged in, UTF-8; empty: nobody, or not told */
};

#define SMTP_RECEIVED_LOGIN_MAX 255 /* bytes of a login; a longer one is cut */
#define SMTP_RECEIVED_MAX       1920

/* Appends the Received field of RFC 5321 section 4.4 with RFC 3848's protocol and RFC 8314's
 * clause of TLS, folded, with its CRLF. IPv6 clients as [IPv6:...]. A login stands in a comment;
 * what is not ASCII of it is "?" where the message came without SMTPUTF8. Returns 0, or -ENOSPC
 * (never with SMTP_RECEIVED_MAX room). */
int smtp_received_write(struct base_buf *out, const struct smtp_received *r) BASE_WARN_UNUSED;

#endif
