/*
 * Delivery status notifications: multipart/report (RFC 6522) of RFC 3464 with the semantics of
 * RFC 3461, written in pieces. One report tells one sender about one message and any number of its
 * recipients, in three parts: plain sentences for a human, message/delivery-status for programs,
 * and the message or its header section. With utf8 set it has the form of RFC 6533
 * (message/global-delivery-status, message/global or message/global-headers).
 *
 * What remote servers said is data: one line, without control characters, bounded in length, folded
 * at blanks. The same holds for addresses and identifiers, so that no input makes a header field.
 * All that is written has lines of at most 998 octets that end in CRLF, and no NUL. The boundary is
 * random, and a quoted line that starts like it all the same gets a space in front.
 *
 * Left out: who sends the report on its way (its envelope sender is <>, its recipient the sender of
 * the original; BODY=8BITMIME when mail_dsn_is_8bit, SMTPUTF8 when utf8), mailing lists
 * (RFC 3461 section 5.2.7.1), Received-From-MTA, translations of the text.
 *
 *     if (mail_dsn_wanted(sender, notify, kind))      for each recipient
 *     mail_dsn_open(dsn, &report)
 *     while ((next = mail_dsn_write(dsn, &out, &original, original_ends)) != MAIL_DSN_DONE)
 *         make room in out, or get more of the original
 *
 * Threads: one for each struct mail_dsn; nothing is shared. Memory: the struct (under 5 KiB) is
 * all; the report and what it points to are borrowed from open to the last write. Lifecycle: no
 * close; a report may be given up at any point. Times are wall_ns; 0 leaves the field out.
 */
#ifndef MAIL_DSN_H
#define MAIL_DSN_H

#include "base_assert.h"
#include "base_bytes.h"

#define MAIL_DSN_ADDRESS_MAX 512 /* octets of an address, of ORCPT and of ENVID */
#define MAIL_DSN_NAME_MAX    255 /* of the name of a host */
#define MAIL_DSN_ID_MAX      128
#define MAIL_DSN_TEXT_MAX    800 /* of a remote server's text; the rest is cut off, "..." tells */
#define MAIL_DSN_RANDOM_LEN  16
#define MAIL_DSN_STAGE_BYTES 4096

/* What happened to a recipient. */
enum mail_dsn_kind {
    MAIL_DSN_FAILED,
    MAIL_DSN_DELAYED,   /* still being tried */
    MAIL_DSN_DELIVERED, /* in the mailbox */
    MAIL_DSN_RELAYED,   /* handed to a server without the DSN extension: no report will follow */
    MAIL_DSN_EXPANDED,  /* an alias of several: they are recipients of their own now */
    MAIL_DSN_KIND_CNT
};

/* NOTIFY of RFC 3461 section 4.1; 0 when the parameter was not given. */
enum mail_dsn_notify {
    MAIL_DSN_NOTIFY_NEVER = 1,
    MAIL_DSN_NOTIFY_SUCCESS = 2,
    MAIL_DSN_NOTIFY_FAILURE = 4,
    MAIL_DSN_NOTIFY_DELAY = 8,
};

/*
 * True when the sender of a message is to be told. Never for the null sender, which is that of
 * reports: a bounce has no bounce (RFC 5321 section 6.1). Without NOTIFY failures and delays are
 * told (RFC 3461 section 4.1), success is told only when it was asked for. notify is a set of
 * enum mail_dsn_notify.
 */
bool mail_dsn_wanted(struct base_span sender, unsigned notify, enum mail_dsn_kind kind);

/* How much of the original goes back: RET of RFC 3461 section 4.3. */
enum mail_dsn_return {
    MAIL_DSN_RETURN_NONE, /* the report has two parts */
    MAIL_DSN_RETURN_HEADERS,
    MAIL_DSN_RETURN_FULL, /* when a recipient failed and it is small enough; headers otherwise */
};

/* All spans may be empty but address. */
struct mail_dsn_recipient {
    enum mail_dsn_kind kind;
    struct base_span address; /* the mailbox of RCPT, without <> */
    struct base_span orcpt;   /* ORCPT's value as it came, "rfc822;" and xtext; left out if bad */
    struct base_span status;  /* "5.1.1" (RFC 3463). One that is none, or whose class does not fit
                                 the kind, is replaced by x.0.0 */
    struct base_span remote_mta; /* name or address of the server that answered */
    struct base_span diagnostic; /* its reply, from the code on; line ends count as blanks */
    struct base_span reason;     /* a sentence of ours, when there is no reply */
    uint64_t last_attempt_wall_ns;
    uint64_t retry_until_wall_ns; /* DELAYED only */
};

struct mail_dsn_report {
    struct base_span hostname; /* ours: Reporting-MTA, and MAILER-DAEMON's domain */
    struct base_span sender;   /* of the original, to whom the report goes */
    struct base_span id;       /* unique on this host: Message-ID's left side, a dot-atom */
    struct base_span envid;    /* ENVID's value as it came, xtext; or empty */
    uint64_t wall_ns;          /* now */
    uint64_t arrival_wall_ns;
    const struct mail_dsn_recipient *recipients;
    uint32_t recipient_cnt; /* > 0 */
    enum mail_dsn_return content;
    uint64_t original_bytes;  /* size of the original, as far as known */
    uint64_t quote_max_bytes; /* of what goes back; cut behind the line that passes it */
    bool eightbit;            /* the original has octets over 127; otherwise such become "?" */
    bool utf8;                /* the original came with SMTPUTF8 */
    bool tls_optional;        /* the original has "TLS-Required: No" (RFC 8689), and so has this */
    uint8_t random[MAIL_DSN_RANDOM_LEN]; /* from getrandom(2) */
};

enum mail_dsn_next {
    MAIL_DSN_ROOM,  /* out is full */
    MAIL_DSN_INPUT, /* all of *original is taken; more of it is wanted, or original_ends */
    MAIL_DSN_DONE,
};

/* The state of a report that is being written. Its fields are mail_dsn's own. */
struct mail_dsn {
    const struct mail_dsn_report *report;
    uint8_t step;
    uint8_t kind;        /* whose recipients the text tells about */
    bool full;           /* the whole original, not its header section alone */
    uint32_t index;      /* next recipient */
    uint32_t column;     /* octets in the line so far */
    uint32_t stage_len;  /* made, */
    uint32_t stage_sent; /* of which the caller has these */
    struct {
        uint64_t taken_bytes;
        uint8_t matched; /* octets at the start of the line that are held back: they are the
                            boundary's */
        bool matching;
        bool after_cr;
        bool body; /* the header section has ended */
    } quote;
    char delimiter[40]; /* "--" and the boundary */
    uint32_t delimiter_len;
    uint8_t stage[MAIL_DSN_STAGE_BYTES];
};

/*
 * Starts a report; borrows it. Returns 0, or -EINVAL: no recipient, the null sender, an address
 * that is empty or over MAIL_DSN_ADDRESS_MAX, a sender beyond ASCII without utf8 (nobody could send
 * the report), a hostname that is no name, an id that is no dot-atom or over MAIL_DSN_ID_MAX.
 */
int mail_dsn_open(struct mail_dsn *dsn, const struct mail_dsn_report *report) BASE_WARN_UNUSED;

/*
 * Appends to out as much as fits, any room being enough to go on. original is the message from its
 * first octet, in pieces of any size: what was taken is cut off its front. It is not touched before
 * the answer is INPUT for the first time, so a caller may start with an empty span; for headers it
 * is read up to the empty line only. original_ends: nothing follows *original.
 */
enum mail_dsn_next mail_dsn_write(struct mail_dsn *dsn, struct base_buf *out,
                                  struct base_span *original, bool original_ends) BASE_WARN_UNUSED;

/* True when the report may have octets over 127: it needs a way with 8BITMIME. */
bool mail_dsn_is_8bit(const struct mail_dsn_report *report);

#endif
