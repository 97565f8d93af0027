/*
 * The client's side of one SMTP session: greeting, EHLO (HELO when refused), AUTH, MAIL, RCPT...,
 * DATA, body, QUIT. Pipelines when the server offers PIPELINING (RFC 2920), declares SIZE and BODY
 * when offered, and passes on RET, ENVID, NOTIFY and ORCPT to a server that offers DSN (RFC 3461
 * section 5.2.1; what else is owed to the sender when it does not is the caller's: c->offers_dsn).
 * Replies are bounded: SMTP_LINE_MAX a line, SMTP_REPLY_LINE_CNT_MAX lines.
 *
 * A server that offers CHUNKING gets the message as one "BDAT n LAST" behind the replies to RCPT
 * (RFC 3030), without stuffed dots. It never gets it earlier, so that what UNTRIED says holds.
 *
 * LIMITS (RFC 9422) are kept: a job of more recipients than RCPTMAX is several transactions, each
 * with a body of its own; where MAILMAX or RCPTDOMAINMAX is used up, LEFT gives back what is open.
 *
 * Mail that the server is not known to be able to take - SMTPUTF8 (RFC 6531 section 3.2), 8-bit
 * content without 8BITMIME (RFC 6152 section 3) - is asked about by CHECK: the caller looks at the
 * content and says what it holds, and whether it can be converted. Without that (job.check false)
 * such a message is failed by what was declared.
 *
 * To a server without SMTPUTF8 domains are said as A-labels (job.ascii). A recipient whose local
 * part is beyond ASCII fails alone, with 5.6.7; where it is the sender's, or the header section is,
 * all do. ORCPT is written in ASCII then (RFC 6533 section 3), and parts of the types of RFC 6533
 * are made 7-bit, as its section 4.1 wants it of reports, whether there is 8BITMIME or not.
 *
 * AUTH (RFC 4954) is done where the caller has credentials, by the strongest mechanism that both
 * sides have, and never without TLS unless the credentials say so. When it fails the job is
 * deferred, whatever the server's code: the mistake is the operator's, not the sender's, and mail
 * that bounced would not come back when it is mended. c->auth_trouble says what it was.
 *
 * A message that came with REQUIRETLS goes only to a server that offers it over a connection that
 * the caller says is secure (c->secured); else it fails with 5.7.30, and nothing of it is sent. One
 * with the null sender goes on without, as it could not be told of (RFC 8689 section 5), and so do
 * those of which the caller says so (job.requiretls_lenient): to them it is said where it is
 * offered inside TLS. c->server_refused tells that a result is about the server, and that another
 * one of the same destination may well take the message.
 *
 * TLS (RFC 3207): smtp_client_want_tls says before the first push whether it is to be asked for.
 * Where the server offers STARTTLS and says 220, the event TLS comes: the caller shakes hands, then
 * calls smtp_client_encrypted, and the session goes on with another EHLO, all that was learnt in
 * clear forgotten. Bytes behind the 220 came in clear: they end the session (injection). A server
 * that does not offer it, or refuses, gets the mail in clear where TLS is OPTIONAL; where it is
 * REQUIRED, each recipient's result is code 0 with 4.7.4. Who the server is, and what the
 * connection must prove, is the caller's to judge: smtp_client_refuse ends the session with that.
 *
 * LMTP (RFC 2033), where smtp_client_speak_lmtp was called: LHLO in place of EHLO, and behind the
 * end of data a reply for each recipient that was accepted at RCPT, in their order; one whose reply
 * has come has its result, whatever becomes of the session. A server that refuses LHLO is the
 * operator's mistake, and defers. The message always goes by DATA: servers differ in how many
 * replies a refused chunk has. LMTP's way of final delivery, too, is a job's: single.
 *
 * Left out: BINARYMIME, BURL.
 *
 * Use: smtp_client_init, smtp_client_start with the first job, then smtp_client_push on each input.
 * RESULT tells the fate of one recipient, each recipient exactly once. After BODY the caller feeds
 * the message through smtp_client_body and ends it by smtp_client_body_end; with DONE it starts
 * another job, at once or later, or calls smtp_client_quit.
 *
 * A session that had a job before may be dead already when the next one starts: the server closed
 * it, or says 421 at any time. Where such a job had no reply yet, not even to MAIL (a 421 is none),
 * UNTRIED tells that nothing is known of it: no RESULT comes, and the caller carries it out on
 * another session. No message can have been sent then, since its bytes wait for 354. On the first
 * job of a session the same is a failure, so that no job goes round for ever.
 *
 * Threads: one. Memory: the struct, which the caller owns; a job's texts are borrowed until DONE or
 * CLOSE. Deadlines are the caller's (RFC 5321 section 4.5.3.2; smtp_client_timeout_ns tells the one
 * for the present state).
 */
#ifndef SMTP_CLIENT_H
#define SMTP_CLIENT_H

#include "base_bytes.h"
#include "smtp_sasl_client.h"
#include "smtp_server.h"

#define SMTP_CLIENT_RCPT_MAX    100 /* recipients of a job: RFC 5321 section 4.5.3.1.8 */
#define SMTP_REPLY_LINE_CNT_MAX 100
#define SMTP_CLIENT_TEXT_MAX    256 /* of a reply's text that is kept */

struct smtp_client_job {
    struct base_span sender;                                   /* mailbox, empty for <> */
    struct base_span (*recipient)(void *user, uint32_t index); /* mailbox of 0..recipient_cnt-1 */
    /* NOTIFY and ORCPT of a recipient, checked, views that live as long as the job; NULL: none. */
    struct smtp_rcpt_params (*rcpt_params)(void *user, uint32_t index);
    /* Appends a mailbox whose local part is ASCII with its domain as A-labels, at most
     * SMTP_ADDRESS_MAX bytes; 0 or -EINVAL: that is not possible. NULL: nobody can. */
    int (*ascii)(struct base_buf *out, struct base_span mailbox);
    void *user;
    uint32_t recipient_cnt; /* 0..SMTP_CLIENT_RCPT_MAX; 0: DONE tells that it could go, CLOSE not */
    /* No message: each recipient's result is what the server says to RCPT, then RSET. */
    bool probe;
    /* Checked; size_bytes is the message's true size, for SIZE=. */
    struct smtp_mail_params mail;
    bool requiretls_lenient; /* mail.requiretls is done without where it can not be had */
    bool tls_fails; /* want of TLS, or of what it is to prove, is no failure for now: 5.7.30 where
                       it is not offered, else 5.7.10 */
    bool chunking;  /* BDAT may be used: body brings exactly mail.size_bytes bytes */
    bool check;     /* the caller can look at the content: CHECK. The content may be 8-bit then
                       though that was not declared */
    bool single;    /* each recipient has a transaction of its own, as the message that it gets is
                       its own (Delivered-To); CHECK always comes first, and tells who has had it */
};

/* The answer to CHECK: what of the content is beyond ASCII, which is wanted where c->look_whole
 * says so, and who of a single job has had the message. */
struct smtp_client_content {
    /* single: the recipients, a bit by index, that the message has been delivered to before; they
     * get 5.4.6. */
    uint64_t looped[(SMTP_CLIENT_RCPT_MAX + 63) / 64];
    bool header;         /* header sections: of the message, and those of parts */
    bool body;           /* anything else */
    bool global;         /* some of that is in parts of RFC 6532 and 6533 (message/global) */
    const char *why_not; /* body cannot be converted, or is not to be: static text */
};

enum smtp_client_event {
    SMTP_CLIENT_MORE,    /* needs input */
    SMTP_CLIENT_FLUSH,   /* out has less than SMTP_OUT_MIN left */
    SMTP_CLIENT_TLS,     /* 220 to STARTTLS has come: begin TLS, then smtp_client_encrypted */
    SMTP_CLIENT_BODY,    /* send the body, from its beginning; converted when c->convert */
    SMTP_CLIENT_KEYS,    /* push the same input again with c->keys for c->sasl.salt */
    SMTP_CLIENT_CHECK,   /* look at the content and call smtp_client_checked; pushes before that
                            do nothing but notice the end of the session */
    SMTP_CLIENT_RESULT,  /* c->result is filled in; push again for the next */
    SMTP_CLIENT_DONE,    /* all recipients have their result; the session can take another job */
    SMTP_CLIENT_UNTRIED, /* the session ended before this job, which was not its first, had any
                            reply: the job is not this session's any more. CLOSE follows */
    SMTP_CLIENT_LEFT,    /* the server's LIMITS let this session take no more: recipients without a
                            result are not its any more; smtp_client_quit is due */
    SMTP_CLIENT_CLOSE,   /* the session is over: send out, close. Recipients without a result have
                            had theirs as RESULT events before */
};

enum smtp_client_tls {
    SMTP_CLIENT_TLS_OFF,
    SMTP_CLIENT_TLS_OPTIONAL,
    SMTP_CLIENT_TLS_REQUIRED,
};

struct smtp_client_result {
    uint32_t recipient; /* index in the job */
    uint16_t code;      /* the server's; 0: no reply (see text), to be taken as temporary */
    uint8_t text_len;   /* of text: the reply's bytes as they came, behind the code; lines are
                           joined by a space, what does not fit is cut off at the end */
    char enhanced[10];  /* "5.1.1", or "": also at the start of text */
    char text[SMTP_CLIENT_TEXT_MAX];
};

enum smtp_client_state {
    SMTP_CLIENT_STATE_GREETING,
    SMTP_CLIENT_STATE_EHLO,
    SMTP_CLIENT_STATE_HELO,
    SMTP_CLIENT_STATE_STARTTLS,  /* its reply is awaited */
    SMTP_CLIENT_STATE_HANDSHAKE, /* the caller's */
    SMTP_CLIENT_STATE_AUTH,
    SMTP_CLIENT_STATE_READY,    /* between jobs */
    SMTP_CLIENT_STATE_ENVELOPE, /* MAIL, RCPT and DATA replies are awaited */
    SMTP_CLIENT_STATE_BODY,     /* the caller sends the body */
    SMTP_CLIENT_STATE_END,      /* the reply to the end of data is awaited */
    SMTP_CLIENT_STATE_RSET,
    SMTP_CLIENT_STATE_QUIT,
    SMTP_CLIENT_STATE_CLOSED,
    SMTP_CLIENT_STATE_CNT
};

/* Why there is no login, so that no mail goes there. */
enum smtp_client_auth_trouble {
    SMTP_CLIENT_AUTH_FINE,
    SMTP_CLIENT_AUTH_CLEARTEXT,    /* the connection is in clear, and the credentials forbid that */
    SMTP_CLIENT_AUTH_NOT_OFFERED,  /* the server does not offer AUTH, here */
    SMTP_CLIENT_AUTH_NO_MECHANISM, /* none that both have, or the server takes none of them */
    SMTP_CLIENT_AUTH_WANTS_TLS,    /* the server wants TLS for it (530, 538) */
    SMTP_CLIENT_AUTH_REFUSED,      /* user or password is wrong (535 and other 5xx) */
    SMTP_CLIENT_AUTH_LATER,        /* 4xx */
    SMTP_CLIENT_AUTH_UNPROVEN,     /* the server did not prove that it knows the password, or what
                                      it says is no message of the mechanism */
    SMTP_CLIENT_AUTH_TROUBLE_CNT
};

/* Fate of a recipient inside a job. */
enum smtp_client_rcpt {
    SMTP_CLIENT_RCPT_WAITING,
    SMTP_CLIENT_RCPT_ACCEPTED, /* 2xx to RCPT */
    SMTP_CLIENT_RCPT_TOLD,     /* its RESULT was given out */
};

struct smtp_client {
    const char *hostname; /* for EHLO; borrowed */
    struct stats_block *stats;
    struct smtp_client_job job;
    struct smtp_client_result result;
    struct smtp_client_result reply; /* the one that is coming, or that is being told to all */
    uint64_t server_size_max;        /* SIZE of EHLO; 0: none */
    uint32_t sent_cnt;               /* envelope commands sent: MAIL, RCPT..., DATA */
    uint32_t answered_cnt;           /* and answered */
    uint32_t told_cnt;               /* results given */
    uint32_t tell_from;              /* recipients before this one are told */
    uint32_t tell_end;               /* those from here on are not being told */
    uint32_t first, cnt;             /* recipients of this transaction */
    uint32_t mail_max, rcpt_max, domain_max; /* LIMITS; 0: none */
    uint32_t mail_cnt, domain_cnt;           /* used of them */
    uint64_t chunk_left;                     /* bytes of the chunk that is being sent */
    /* Set by the caller before the first push, and looked at until the login is done; borrowed for
     * each push. NULL: none is needed. */
    const struct smtp_credentials *credentials;
    const struct smtp_sasl_keys *keys; /* the answer to KEYS; borrowed for the next push */
    struct smtp_sasl_client sasl;
    uint8_t auth_random[SMTP_SASL_NONCE_BYTES]; /* set with credentials */
    uint8_t auth_offered;                       /* bits by enum smtp_sasl_client_mechanism */
    uint8_t auth_tried;
    uint8_t auth_trouble; /* enum smtp_client_auth_trouble */
    bool offers_auth;
    uint32_t reply_cnt;      /* replies that have come, whole: what a deadline is for */
    uint16_t reply_line_cnt; /* lines of the reply that have come */
    uint8_t state;           /* enum smtp_client_state */
    uint8_t body_scan;       /* what the body ends with so far */
    bool command_due;        /* the state's command is not sent yet */
    bool offers_pipelining;
    bool offers_8bitmime;
    bool offers_size;
    bool offers_smtputf8;
    bool offers_dsn;
    bool offers_requiretls;
    bool offers_starttls;
    bool encrypted;       /* TLS stands */
    uint8_t tls;          /* enum smtp_client_tls */
    bool agreed;          /* what the session is to have stands: jobs may go */
    bool requiretls_said; /* of the job */
    bool server_refused;  /* the results are about the server, whatever the message is */
    bool tls_refused;     /* the session ended for want of TLS, or of what it was to prove */
    bool offers_chunking;
    bool secured;   /* set by the caller: TLS, and the server has proved its name (RFC 8689 section
                       4.2.1) */
    bool started;   /* a job is set */
    bool reused;    /* a job was done before it */
    bool untried;   /* UNTRIED is to be told */
    bool telling;   /* each open recipient gets reply as its result */
    bool abandoned; /* no more of the envelope is sent */
    bool accepted_any;
    bool chunk;    /* this transaction sends BDAT */
    bool body_due; /* BODY is to be told */
    bool lmtp;
    bool local;      /* set by the caller: the connection does not leave this machine */
    bool look_whole; /* CHECK wants to know header and body */
    bool checking;   /* CHECK was told */
    bool checked;    /* and answered: content holds */
    bool convert;    /* what the caller sends must be 7-bit */
    bool quit_early; /* QUIT is out, behind the end of data */
    bool narrow;     /* the job needs SMTPUTF8, or was said to, and the server has none */
    bool unsayable;  /* the recipients of this transaction need SMTPUTF8: they fail */
    struct smtp_client_content content;
    uint8_t rcpt[SMTP_CLIENT_RCPT_MAX]; /* enum smtp_client_rcpt */
};

void smtp_client_init(struct smtp_client *c, const char *hostname, struct stats_block *stats);

/* After init, before the first push. */
void smtp_client_want_tls(struct smtp_client *c, enum smtp_client_tls tls);

/* After init, before the first push: the session is LMTP's. */
void smtp_client_speak_lmtp(struct smtp_client *c);

/* TLS stands, after the event TLS, or before the first push where it comes before the greeting;
 * secured: see there. */
void smtp_client_encrypted(struct smtp_client *c, bool secured);

/* Bytes of the server in clear, behind its 220, were found outside of what was pushed: the session
 * is over as if they had been in it. After the event TLS. */
void smtp_client_injected(struct smtp_client *c);

/* Sets the next job: before the first push, or after DONE. Commands go out with the next push. The
 * session may have ended since DONE (smtp_client_fail): UNTRIED then. */
void smtp_client_start(struct smtp_client *c, const struct smtp_client_job *job);

/* Handles what is whole of in, writes commands to out. Sets *consumed. An empty in is allowed (to
 * send what is due, to take the next RESULT). */
enum smtp_client_event smtp_client_push(struct smtp_client *c, struct base_span in,
                                        size_t *consumed, struct base_buf *out);

/* Copies message bytes to out with dots stuffed (RFC 5321 section 4.5.2). Sets *consumed; all of in
 * unless out is full. The message must hold no bare CR or LF: the spool's never do. */
void smtp_client_body(struct smtp_client *c, struct base_span in, size_t *consumed,
                      struct base_buf *out);

/* Ends the message: CRLF if it does not end in one, then ".CRLF". Needs 5 bytes of out. */
void smtp_client_body_end(struct smtp_client *c, struct base_buf *out);

/* After smtp_client_body_end, where the session is to take no further job: QUIT goes out at once,
 * behind the end of data, and saves its own round trip (RFC 2920 section 3.1: it may end a group).
 * Not where the server does not offer PIPELINING, or the job has another transaction: nothing is
 * written then. Takes 6 bytes of out. After DONE, smtp_client_quit is due as ever. */
void smtp_client_quit_early(struct smtp_client *c, struct base_buf *out);

/* The answer to CHECK; the next push goes on. */
void smtp_client_checked(struct smtp_client *c, const struct smtp_client_content *content);

/* After DONE: the server's LIMITS let the session take no further job. */
bool smtp_client_exhausted(const struct smtp_client *c);

/* After DONE or LEFT: writes QUIT, unless it is out already; push returns CLOSE when it is
 * answered, or at once if out had no room. */
void smtp_client_quit(struct smtp_client *c, struct base_buf *out);

/* The connection is gone or a deadline passed: pushes after it give each open recipient its RESULT
 * (code 0, the given static text), or UNTRIED; then CLOSE. */
void smtp_client_fail(struct smtp_client *c, const char *why);

/* Likewise, where the connection is not what it has to be, before any job was done over it:
 * enhanced ("4.7.5") goes into the result and before the text, which may be built by the caller.
 * One of class 5 makes it a failure for good (550). */
void smtp_client_refuse(struct smtp_client *c, const char *enhanced, const char *why);

/* RFC 5321 section 4.5.3.2: how long the present state may wait for the server. */
uint64_t smtp_client_timeout_ns(const struct smtp_client *c);

#endif
