/*
 * Who may send what to whom. For now the relay rule alone: clients in the relay networks may send
 * anywhere, others to the relay domains only (RFC 5321 section 3.6; open relays are what this
 * refuses). Each verdict is a named reason with a counter.
 *
 * Left out until their issues: sender ownership, limits by client, recipient maps.
 *
 * Pure; any thread. Memory: settings are immutable and borrowed; texts are written to the caller's
 * buffer.
 */
#ifndef POLICY_H
#define POLICY_H

#include "net_addr.h"
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
};

/* Who asks: what is known of one connection. Borrowed for the call. */
struct policy_client {
    const struct net_addr *network; /* the address by which a network is known; NULL: in none */
    struct base_span login;         /* who has authenticated; empty: nobody */
    bool submission;                /* a listener for users, not for other servers */
};

enum policy_verdict {
    POLICY_SENDER_ACCEPTED,
    POLICY_ACCEPTED_NETWORK,    /* the client is in a relay network */
    POLICY_ACCEPTED_LOGIN,      /* who has logged in, for submission, may send anywhere */
    POLICY_ACCEPTED_DOMAIN,     /* a relay domain */
    POLICY_ACCEPTED_POSTMASTER, /* without a domain: ours, RFC 5321 section 4.5.1 */
    POLICY_REFUSED_DOMAIN,
    POLICY_REFUSED_LITERAL, /* an address literal from a stranger */
    POLICY_REFUSED_ROUTED,  /* user%host@, host!user@, "user@host"@: a route in disguise */
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
enum policy_verdict policy_mail(const struct policy_settings *settings, struct stats_block *stats,
                                const struct policy_client *client,
                                const struct smtp_address *sender, struct smtp_reply *reply,
                                char text[POLICY_TEXT_CAP]);
enum policy_verdict policy_rcpt(const struct policy_settings *settings, struct stats_block *stats,
                                const struct policy_client *client, const struct smtp_address *rcpt,
                                struct smtp_reply *reply, char text[POLICY_TEXT_CAP]);

/* Whether the client is in a relay network. */
bool policy_in_network(const struct policy_settings *settings, const struct policy_client *client);

bool policy_verdict_accepts(enum policy_verdict verdict);
const char *policy_verdict_name(enum policy_verdict verdict);

#endif
