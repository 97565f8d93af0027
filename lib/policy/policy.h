/*
 * Who may send what to whom. Each verdict is a named reason with a counter.
 *
 * Relay: who is logged in at a listener for users and clients in the relay networks may send
 * anywhere, others to the relay domains only (RFC 5321 section 3.6; open relays are what this
 * refuses). Where maps of recipients are given, only to those that exist there.
 *
 * Sender ownership: who is logged in may send as what its account owns (policy_tables.h), and what
 * belongs to an account is for nobody else. The null sender is everybody's: readers of mail answer
 * by it that a message was read. `strict` holds for the From field, too.
 *
 * Limits by client are policy_limit.h, what next hops say of recipients is policy_verify.h.
 *
 * Pure; any thread with a work area of its own. Memory: settings and tables are immutable and
 * borrowed; texts are written to the caller's buffer.
 */
#ifndef POLICY_H
#define POLICY_H

#include "net_addr.h"
#include "policy_from.h"
#include "policy_tables.h"
#include "smtp_address.h"
#include "smtp_reply.h"
#include "stats.h"

#define POLICY_TEXT_CAP 448 /* of the buffer for a reply's text */

struct policy_settings {
    const struct net_prefix *relay_networks;
    uint32_t relay_network_cnt;
    uint32_t relay_domain_cnt;
    /* Lower-case names, sorted by policy_domain_compare. "example.com" matches itself alone,
     * ".example.com" all names below it. */
    const struct base_span *relay_domains;
    struct base_span login_domain; /* lower case, of logins without one; empty: none */
    char extension;                /* begins one in local parts; 0: there are none */
    bool extension_propagate;      /* it is passed on to the targets of aliases */
    uint32_t expansion_max;        /* addresses that a recipient may become; 0: POLICY_TARGET_MAX */
    /* For whom ownership does not matter. */
    const struct net_prefix *exempt_networks;
    uint32_t exempt_network_cnt;
    uint32_t exempt_login_cnt;
    const struct policy_key *exempt_logins;
};

enum policy_spoof {
    POLICY_SPOOF_OFF,
    POLICY_SPOOF_LOGIN,  /* the sender of the envelope is the login's */
    POLICY_SPOOF_STRICT, /* and all addresses of the From field */
};

/* Who asks: what is known of one connection. Borrowed for the call. */
struct policy_client {
    const struct net_addr *network; /* the address by which a network is known; NULL: in none */
    struct base_span login;         /* who has authenticated; empty: nobody */
    bool submission;                /* a listener for users, not for other servers */
    bool null_sender;               /* of the message: it is a report */
    enum policy_spoof spoof;        /* of the listener */
    bool refuse_unauthenticated;    /* addresses of accounts are for logins, here too */
};

/* By what it is judged, in one pass of one thread. */
struct policy_view {
    const struct policy_settings *settings;
    const struct policy_tables *tables; /* NULL: no map is given */
    struct policy_work *work;           /* not NULL where tables are not */
    struct stats_block *stats;
    uint64_t wall_ns; /* for the age of rewritten senders */
};

enum policy_verdict {
    POLICY_SENDER_ACCEPTED,
    POLICY_SENDER_OWNED,         /* by the login */
    POLICY_SENDER_EXEMPT,        /* the client or the login may use any */
    POLICY_ACCEPTED_LOGIN,       /* by who is logged in */
    POLICY_ACCEPTED_NETWORK,     /* the client is in a relay network */
    POLICY_ACCEPTED_DOMAIN,      /* a relay domain */
    POLICY_ACCEPTED_POSTMASTER,  /* without a domain: ours, RFC 5321 section 4.5.1 */
    POLICY_RCPT_EXPANDED,        /* an alias: its targets take its place */
    POLICY_SRS_ACCEPTED,         /* a rewritten sender of ours: policy_srs_reverse tells which */
    POLICY_FROM_ACCEPTED,        /* the From field */
    POLICY_SENDER_NOT_OWNED,     /* by the login */
    POLICY_SENDER_NOT_LOGGED_IN, /* and it is an account's */
    POLICY_SENDER_LOOKUP,        /* a map could not tell: 4xx */
    POLICY_REFUSED_DOMAIN,
    POLICY_REFUSED_LITERAL, /* an address literal from a stranger */
    POLICY_REFUSED_ROUTED,  /* user%host@, host!user@, "user@host"@: a route in disguise */
    POLICY_RCPT_UNKNOWN,    /* nobody has it */
    POLICY_RCPT_LOOKUP,     /* a map could not tell: 4xx */
    POLICY_RCPT_LOOP,       /* an alias that leads nowhere: 4xx */
    POLICY_RCPT_LIMIT,      /* an alias with too many targets: 4xx */
    POLICY_RCPT_UTF8,       /* an alias to an address beyond ASCII, of a message without SMTPUTF8 */
    POLICY_SRS_FORGED,      /* a rewritten sender that is none of ours */
    POLICY_SRS_EXPIRED,
    POLICY_SRS_NO_REPORT, /* mail with a sender to a rewritten one */
    POLICY_FROM_NOT_OWNED,
    POLICY_FROM_MISSING,
    POLICY_FROM_SEVERAL,
    POLICY_FROM_MALFORMED,
    POLICY_FROM_LOOKUP, /* a map could not tell: 4xx */
    POLICY_VERDICT_CNT
};

/* The order of relay_domains: by bytes, then by length. For qsort and bsearch by its users. */
int policy_domain_compare(const struct base_span *a, const struct base_span *b);

/* Returns true when the domains are lower-case, sorted and without a double. */
bool policy_settings_valid(const struct policy_settings *settings);

/*
 * Sender and recipient of a transaction. *reply is the answer to give; its text is static or stands
 * in text. The verdict is counted in stats.
 */
enum policy_verdict policy_mail(const struct policy_view *view, const struct policy_client *client,
                                const struct smtp_address *sender, struct smtp_reply *reply,
                                char text[POLICY_TEXT_CAP]);
enum policy_verdict policy_rcpt(const struct policy_view *view, const struct policy_client *client,
                                const struct smtp_address *rcpt, struct smtp_reply *reply,
                                char text[POLICY_TEXT_CAP]);

/*
 * What an accepted recipient becomes by aliases: sets *out, targets or none when it stays as it is
 * (then the verdict is POLICY_ACCEPTED_DOMAIN, which is not counted again). The targets live until
 * the next call with this view's work area.
 */
enum policy_verdict policy_rcpt_expand(const struct policy_view *view,
                                       const struct smtp_address *rcpt, bool smtputf8,
                                       struct policy_expansion *out, struct smtp_reply *reply,
                                       char text[POLICY_TEXT_CAP]);

/* Whether an expansion's target is of our own domains; mail to others is forwarded. */
bool policy_is_local(const struct policy_view *view, struct base_span mailbox);

/* ---- rewritten senders ---- */

/* What a recipient is by SRS alone; POLICY_VERDICT_CNT: nothing to do with it. Not counted. */
enum policy_verdict policy_srs_judge(const struct policy_view *view,
                                     const struct policy_client *client,
                                     const struct smtp_address *rcpt);
/* Appends the sender that a POLICY_SRS_ACCEPTED recipient stands for, to whom the report goes.
 * False: it is too old by now. out needs MAIL_SRS_OUT_CAP room. */
bool policy_srs_reverse(const struct policy_view *view, const struct smtp_address *rcpt,
                        struct base_buf *out) BASE_WARN_UNUSED;
/* Whether forwarded mail of that sender (empty: null) needs another one. */
bool policy_srs_wanted(const struct policy_view *view, struct base_span sender);
/* Appends it. False: it cannot be rewritten. As policy_srs_reverse. */
bool policy_srs_forward(const struct policy_view *view, struct base_span sender,
                        struct base_buf *out) BASE_WARN_UNUSED;

/* Whether the From field has to be looked at. */
bool policy_from_wanted(const struct policy_view *view, const struct policy_client *client);
/* f has all of the header section. */
enum policy_verdict policy_from_judge(const struct policy_view *view,
                                      const struct policy_client *client,
                                      const struct policy_from *f, struct smtp_reply *reply,
                                      char text[POLICY_TEXT_CAP]);

/* How this view reads addresses. */
struct policy_reading policy_view_reading(const struct policy_view *view);

/* Whether the client is in a relay network. */
bool policy_in_network(const struct policy_settings *settings, const struct policy_client *client);

bool policy_verdict_accepts(enum policy_verdict verdict);
const char *policy_verdict_name(enum policy_verdict verdict);

#endif
