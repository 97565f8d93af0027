/*
 * What the running threads read of the configuration: a finished, immutable snapshot made by
 * control and published by pointer (RCU, rte_rcu_qsbr). A thread looks the pointer up once a pass
 * and keeps nothing of it over its quiescent point.
 *
 * Threads: settings_make, settings_publish and settings_reclaim by control; settings_current and
 * settings_quiescent by a reader with its own number.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "conf.h"
#include "dane_requiretls.h"
#include "net_addr.h"
#include "policy.h"
#include "smtp_sasl_client.h"
#include "smtp_server.h"

#include <stdatomic.h>

struct rte_rcu_qsbr;

/* A login at a next hop; settings_logins.h fills in the password. */
struct settings_login {
    const struct conf_route *conf; /* of the same snapshot */
    uint64_t id;                   /* of all that is in it; 0: not read */
    struct smtp_credentials credentials;
    char user[SMTP_SASL_LOGIN_MAX + 1]; /* as SASLprep has it */
    char password[SMTP_SASL_PASSWORD_MAX + 1];
};

/* A next hop as the configuration names it. */
struct settings_hop {
    struct net_endpoint address; /* with the port; no address: it has a name */
    char name[256];              /* lower case */
    bool exact;                  /* the host itself, not its MX records */
    bool path;                   /* name is that of a unix socket */
    bool lmtp;
};

struct settings_route {
    struct base_span domain;       /* lower case, ".domain" for all below it; empty: the default */
    const struct conf_route *conf; /* NULL: nothing is said of the default route */
    struct settings_hop *hops;     /* in their order; owned */
    struct settings_login *login;  /* NULL: none */
    uint32_t hop_cnt;              /* 0: where the MX records of the recipient's domain say */
    struct net_endpoint host;      /* of the first hop, where that is an address; else all 0 */
    struct net_prefix *private_networks; /* conf->private_networks.cnt of them; owned */
    /* What the queue calls the destination: the same for routes by which mail goes the same way;
     * empty: each domain is one. Owned. */
    char *destination;
    uint64_t sources; /* bits by the source blocks' order; 0: none */
    enum conf_proxy_send proxy;
    enum conf_route_tls tls;
    bool verify;
    bool lmtp;
    bool return_path, delivered_to; /* as fields; by LMTP only */
};

/* An address that mail leaves from, or one of each family. */
struct settings_source {
    const struct conf_source *conf;
    uint64_t id;                /* of its name, the same over restarts */
    struct net_addr address[2]; /* IPv4, IPv6; none: it has none */
    bool warming;
    uint32_t warm_up_day; /* the first */
    uint32_t *warm_up;    /* recipients of each day from then on; owned */
    uint32_t warm_up_cnt;
    uint32_t *site_warm_up; /* likewise, of each destination */
    uint32_t site_warm_up_cnt;
};

/* Senders that have sources of their own. */
struct settings_sender {
    struct base_span domain; /* lower case; of .domain with the dot */
    uint64_t sources;
};

/* What the next hops of a destination must prove. */
struct settings_destination {
    struct base_span domain; /* lower case; of .domain with the dot; empty: of all others */
    enum dane_level level;
    bool lenient;             /* defer_on_tls_error = no */
    enum dane_keep keep;      /* what is done about REQUIRETLS */
    const char *const *names; /* conf's */
    uint32_t name_cnt;
    struct base_span *fingerprints; /* owned, with what they point to */
    uint32_t fingerprint_cnt;
};

/* A DNS list; without patterns every answer counts that RFC 5782 knows. */
struct settings_list {
    const char *zone;
    int32_t weight;
    const struct conf_octets *answers; /* in settings */
    uint32_t answer_cnt;
};

struct settings_listener {
    const struct conf_listener *conf;
    uint32_t number;                          /* its place in the configuration */
    struct net_prefix *proxy_from;            /* conf->proxy_from.cnt of them */
    struct net_prefix *bare_newline_networks; /* likewise */
    struct net_prefix *xclient_networks;      /* likewise */
    enum conf_tls_level tls;                  /* never auto */
    uint32_t tls_policy; /* its place among those with another level than none */
    enum policy_spoof spoof;
    bool repair; /* header sections */
    bool lists;  /* clients are looked up in DNS lists */
};

struct settings {
    struct conf *conf; /* owned */
    uint64_t generation;
    struct smtp_server_settings smtp;
    struct policy_settings policy;
    uint8_t auth_mechanisms;             /* bits by enum smtp_sasl_mechanism */
    struct settings_listener *listeners; /* in the order of conf; owned */
    struct net_addr *own;                /* addresses of all ports; owned */
    uint32_t own_cnt;
    struct net_prefix *relay_networks; /* what policy points to; owned */
    struct base_span *relay_domains;
    struct net_prefix *exempt_networks;
    struct net_prefix *limit_exempt_networks; /* conf->limits.exempt_networks.cnt of them */
    struct policy_key *exempt_logins;
    struct settings_list lists[CONF_DNS_LIST_MAX];
    uint32_t list_cnt;
    struct conf_octets *list_answers; /* of all lists; owned */
    struct settings_login *logins;    /* owned, wiped at the end */
    uint32_t login_cnt;
    struct settings_route *routes; /* sorted by domain, without the default; owned */
    uint32_t route_cnt;
    struct settings_route default_route; /* without a domain */
    struct net_prefix *public_addresses; /* conf->gateway.public_addresses.cnt of them; owned */
    struct settings_destination *destinations; /* sorted by domain; owned */
    uint32_t destination_cnt;
    struct settings_destination default_destination;
    struct settings_source *sources; /* in the order of conf; owned */
    uint32_t source_cnt;
    struct settings_sender *senders; /* sorted by domain; owned */
    uint32_t sender_cnt;
    uint64_t reserved;            /* sources that are for some senders alone */
    struct conf_reply *set_aside; /* replies that refuse a source; owned */
    uint32_t set_aside_cnt;
    struct settings *next_retired;
    uint64_t retire_token;
};

struct settings_hub {
    _Atomic(struct settings *) current; /* control stores (release), readers load (acquire) */
    struct rte_rcu_qsbr *qsbr;
    struct settings *retired; /* control's: swapped out, waiting for the readers */
    struct settings *started; /* control's: the first; what needs a restart is still as it says */
    uint64_t generation;      /* control's */
    /* Maps of addresses, a snapshot of their own: files change without the configuration. Control
     * stores (release), readers load (acquire). NULL: there are none. */
    _Atomic(struct policy_tables *) tables;
    struct policy_tables *retired_tables; /* control's */
};

/* Takes conf. Returns the snapshot, or NULL without memory (conf is freed then too). */
struct settings *settings_make(struct conf *conf) BASE_WARN_UNUSED;
void settings_free(struct settings *s);

/* reader_cnt threads, numbered 0..reader_cnt-1. Takes first. Returns 0, or -ENOMEM. */
int settings_hub_init(struct settings_hub *h, struct settings *first,
                      uint32_t reader_cnt) BASE_WARN_UNUSED;
/* All readers have stopped. */
void settings_hub_fini(struct settings_hub *h);

/* Takes next; the old one is freed by settings_reclaim when no reader can hold it. */
void settings_publish(struct settings_hub *h, struct settings *next);
/* Takes the tables, as settings_publish does. */
void settings_publish_tables(struct settings_hub *h, struct policy_tables *next);
/* Frees what can be; never waits. Returns how many snapshots still wait. */
uint32_t settings_reclaim(struct settings_hub *h);

/* A reader's side: online before the first use, offline before it sleeps or ends. */
void settings_online(struct settings_hub *h, uint32_t reader);
void settings_offline(struct settings_hub *h, uint32_t reader);
void settings_quiescent(struct settings_hub *h, uint32_t reader);
static inline const struct settings *settings_current(struct settings_hub *h)
{
    return atomic_load_explicit(&h->current, memory_order_acquire);
}

static inline const struct policy_tables *settings_tables(struct settings_hub *h)
{
    return atomic_load_explicit(&h->tables, memory_order_acquire);
}

/* A proxy that may connect there. */
bool settings_proxy_trusted(const struct settings_listener *l, const struct net_addr *peer);

/* Whether bare LF ends a line of this client's messages; NULL: nobody knows who it is. */
bool settings_normalizes(const struct settings_listener *l, const struct net_addr *client);

/* One of the gateway's own addresses. */
bool settings_is_own(const struct settings *s, const struct net_addr *a);

/* Whether an address is an answer by which the list has the client. */
bool settings_list_match(const struct settings_list *list, const uint8_t answer[4]);

/* A port has an address of IPv4, or IPv6. */
bool settings_has_family(const struct settings *s, bool v6);

/* An address under which somebody else reaches the gateway, its own or that of what is in front of
 * it: mail that is sent there comes back. */
bool settings_leads_here(const struct settings *s, const struct net_addr *a);

/* ---- routes (settings_route.c) ---- */

/* Where mail for the domain goes: the route of the domain itself, else of the nearest .domain that
 * it is below of, else the default. key (may be NULL) becomes "@domain" in its comparable form,
 * empty when it has none. */
const struct settings_route *settings_route_find(const struct settings *s, struct base_span domain);
/* A next hop as route: host has it: address, name or [name], each with :port or without. Returns
 * false when text is none; then *out is not set. */
bool settings_hop_parse(struct settings_hop *out, const char *text) BASE_WARN_UNUSED;
const struct settings_route *settings_route_find_key(const struct settings *s,
                                                     struct base_span domain,
                                                     struct policy_key *key);
/* ---- sources (settings_source.c) ---- */

/* Those that mail by the route from a sender of the domain (empty: reports) may leave by, as bits;
 * 0: by none, the address is where the next hop leads. */
uint64_t settings_source_candidates(const struct settings *s, const struct settings_route *route,
                                    struct base_span sender_domain);
/* Recipients that it may have on a day (since 1970), all together and of one destination;
 * UINT32_MAX: any number. */
uint32_t settings_source_limit(const struct settings_source *s, uint32_t day);
uint32_t settings_source_site_limit(const struct settings_source *s, uint32_t day);
/* A reply says that the next hop does not want the source (delivery: set_aside). */
bool settings_source_refused(const struct settings *s, uint16_t code, const char *enhanced,
                             struct base_span text);
/* Those of a route, NULL: there is no block; without regard to senders. */
uint64_t settings_source_mask(const struct settings *s, const struct conf_route *route);
/* By settings_make and settings_free. Returns 0 or -ENOMEM. */
int settings_source_init(struct settings *s) BASE_WARN_UNUSED;
void settings_source_fini(struct settings *s);

/* By settings_make and settings_free. Returns 0 or -ENOMEM. */
int settings_route_init(struct settings *s) BASE_WARN_UNUSED;
void settings_route_fini(struct settings *s);

/* What is asked of the next hops of the domain: by its own block, or the nearest above it that has
 * a dot before its name, or the delivery block. */
const struct settings_destination *settings_destination_find(const struct settings *s,
                                                             struct base_span domain);

#endif
