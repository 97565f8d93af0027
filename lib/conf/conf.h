/*
 * The configuration: text in, one checked, immutable struct conf or a list of errors out.
 *
 * The language (GRAMMAR.md): blocks, keys, values, lists, units, include. The settings stand in one
 * table (conf_table.h), the only source of parser, --help, --check and the commented default file.
 *
 * Parsing goes on after an error, so that all errors are told at once; each is "file:line: key:
 * why".
 *
 * Threads: pure; any. Memory: a struct conf is one arena, freed whole by conf_free; every pointer
 * in it lives as long. Sans-I/O: the bytes of the main file are given, those of included files are
 * asked for by callback.
 */
#ifndef CONF_H
#define CONF_H

#include "base_assert.h"
#include "base_bytes.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CONF_ERROR_MAX      100  /* then "too many errors" */
#define CONF_INCLUDE_MAX    16   /* nesting of includes */
#define CONF_BLOCK_MAX      1024 /* instances of a named block, routes included */
#define CONF_LIST_MAX       4096 /* items of a list */
#define CONF_PORT_MAX       4
#define CONF_SPOOL_MAX      16 /* directories of the spool */
#define CONF_ROUTE_HOST_MAX 16 /* next hops of a route */
#define CONF_DNS_LIST_MAX   16 /* DNS lists: a bit each */
#define CONF_SECRET_MAX     8  /* of srs */
#define CONF_PROVIDER_MAX   128
#define CONF_RULE_MAX       32 /* of a provider */

/* Of queue: deliveries. A power of two: a ring has room for all of them. */
#define CONF_DELIVERIES_MAX 16384

enum conf_idle { CONF_IDLE_ADAPTIVE, CONF_IDLE_POLL };
enum conf_huge { CONF_HUGE_AUTO, CONF_HUGE_YES, CONF_HUGE_NO };
enum conf_kind { CONF_KIND_MX, CONF_KIND_SUBMISSION, CONF_KIND_SUBMISSIONS };
enum conf_proxy { CONF_PROXY_NONE, CONF_PROXY_REQUIRED };
enum conf_proxy_send { CONF_PROXY_SEND_NONE, CONF_PROXY_SEND_V1, CONF_PROXY_SEND_V2 };
enum conf_requiretls {
    CONF_REQUIRETLS_ENFORCE,
    CONF_REQUIRETLS_STARTTLS,
    CONF_REQUIRETLS_OPPORTUNISTIC,
    CONF_REQUIRETLS_DISABLE
};
enum conf_eightbit { CONF_EIGHTBIT_CONVERT, CONF_EIGHTBIT_BOUNCE };
enum conf_via { CONF_VIA_AUTO, CONF_VIA_MX, CONF_VIA_HOST, CONF_VIA_LMTP };
enum conf_proxy_unknown { CONF_PROXY_UNKNOWN_ACCEPT, CONF_PROXY_UNKNOWN_REFUSE };
enum conf_bare_newline { CONF_BARE_NEWLINE_REJECT, CONF_BARE_NEWLINE_NORMALIZE };
enum conf_tls_level {
    CONF_TLS_AUTO,
    CONF_TLS_NONE,
    CONF_TLS_MAY,
    CONF_TLS_ENCRYPT,
    CONF_TLS_IMPLICIT
};
/* As enum dane_level. */
enum conf_delivery_tls {
    CONF_DELIVERY_TLS_NONE,
    CONF_DELIVERY_TLS_MAY,
    CONF_DELIVERY_TLS_ENCRYPT,
    CONF_DELIVERY_TLS_DANE,
    CONF_DELIVERY_TLS_DANE_ONLY,
    CONF_DELIVERY_TLS_FINGERPRINT,
    CONF_DELIVERY_TLS_VERIFY,
    CONF_DELIVERY_TLS_SECURE
};
enum conf_route_tls { CONF_ROUTE_TLS_STARTTLS, CONF_ROUTE_TLS_IMPLICIT, CONF_ROUTE_TLS_NONE };
enum conf_tls_min { CONF_TLS_MIN_12, CONF_TLS_MIN_13 };
enum conf_key_operations { CONF_KEY_INLINE, CONF_KEY_POOL };
enum conf_tls_alpn { CONF_TLS_ALPN_STRICT, CONF_TLS_ALPN_IGNORE };
enum conf_spoof { CONF_SPOOF_AUTO, CONF_SPOOF_OFF, CONF_SPOOF_LOGIN, CONF_SPOOF_STRICT };
enum conf_repair { CONF_REPAIR_AUTO, CONF_REPAIR_YES, CONF_REPAIR_NO };
enum conf_map_form { CONF_MAP_TEXTHASH, CONF_MAP_PCRE, CONF_MAP_ACCOUNTS };
enum conf_auth_backend { CONF_AUTH_NONE, CONF_AUTH_PASSWD, CONF_AUTH_DOVECOT };
enum conf_dns_lists { CONF_DNS_LISTS_AUTO, CONF_DNS_LISTS_YES, CONF_DNS_LISTS_NO };
enum conf_verify { CONF_VERIFY_NO, CONF_VERIFY_NEXT_HOP };
enum conf_early_commands { CONF_EARLY_COUNT, CONF_EARLY_REFUSE };
enum conf_congestion { CONF_CONGESTION_CUBIC, CONF_CONGESTION_NEWRENO };
enum conf_ecn { CONF_ECN_ANSWER, CONF_ECN_ASK, CONF_ECN_OFF };
enum conf_level { CONF_LEVEL_ERROR, CONF_LEVEL_WARN, CONF_LEVEL_INFO, CONF_LEVEL_DEBUG };

#define CONF_FINGERPRINT_BYTES 32
#define CONF_SOURCE_MAX        64
#define CONF_SOURCE_NONE       "none" /* as a route's */
#define CONF_WARM_UP_MAX       366    /* days */

#define CONF_PROOF_MAX 16 /* names, or fingerprints, of a destination */

/* A list of strings, in the order of the file. */
struct conf_list {
    const char **item; /* NUL-terminated */
    uint32_t cnt;
};

struct conf_gateway {
    const char *hostname;
    const char *user; /* NULL: stay who we are */
    const char *run_dir;
    const char *state_dir;
    uint64_t idle; /* enum conf_idle */
    uint64_t lanes;
    struct conf_list lane_cpus; /* empty: 0, 1, ... */
    uint64_t huge_pages;        /* enum conf_huge */
    uint64_t memory_bytes;
    struct conf_list eal_args;
    const char *eal_prefix;
    bool sandbox;
    struct conf_list public_addresses; /* CIDR */
    uint64_t stop_timeout_ns;
};

struct conf_port {
    const char *name; /* of the block */
    uint32_t line;    /* of the block, with its file, for later errors */
    const char *file;
    const char *device; /* "net_...": a virtual device with its arguments; else a PCI address */
    struct conf_list address; /* "address/length" */
    const char *gateway;      /* of IPv4 */
    const char *gateway6;     /* of IPv6 */
    uint64_t vlan;            /* 0: none */
    uint64_t mtu;
    uint64_t rx_descriptors;
    uint64_t tx_descriptors;
    const char *host_device; /* interface of the machine's own traffic; NULL: it has none here */
    uint64_t host_rate;
    uint64_t host_burst;
};

struct conf_listener {
    const char *name;
    uint32_t line;
    const char *file;
    uint64_t kind;       /* enum conf_kind */
    const char *port;    /* name of a port block */
    const char *address; /* NULL: every address of the port */
    uint64_t tcp_port;
    uint64_t proxy; /* enum conf_proxy */
    struct conf_list proxy_from;
    uint64_t proxy_timeout_ns;
    uint64_t proxy_unknown; /* enum conf_proxy_unknown */
    uint64_t greet_pause_ns;
    uint64_t bare_newline; /* enum conf_bare_newline */
    struct conf_list bare_newline_networks;
    uint64_t tls;     /* enum conf_tls_level; see conf_listener_tls */
    uint64_t tls_min; /* enum conf_tls_min */
    bool auth_cleartext;
    bool auth_required;
    const char *tls_ciphers;
    const char *tls_ciphersuites;
    const char *tls_groups;
    uint64_t tls_tickets;
    uint64_t tls_alpn;                 /* enum conf_tls_alpn */
    const char *tls_client_ca;         /* NULL: no certificates of clients */
    struct conf_list xclient_networks; /* CIDR */
    uint64_t spoof_protection;         /* enum conf_spoof */
    bool reject_unauthenticated_sender;
    uint64_t repair;    /* enum conf_repair */
    uint64_t dns_lists; /* enum conf_dns_lists */
};

struct conf_certificate {
    const char *name;
    uint32_t line;
    const char *file;
    const char *chain;
    const char *key;
};

struct conf_tls {
    uint64_t handshakes; /* for each lane */
    uint64_t handshakes_per_client;
    uint64_t client_sessions; /* for each lane */
    uint64_t key_operations;  /* enum conf_key_operations */
    uint64_t key_threads;
    struct conf_list key_cpus;
    uint64_t handshake_timeout_ns;
    uint64_t certificate_check_ns;
};

struct conf_spool {
    const char *name; /* of the block; without one: "main" */
    uint32_t line;    /* 0: there is no block, all is as by default */
    const char *file;
    const char *path;
    bool accept; /* new mail */
    uint64_t size_bytes;
    uint64_t segment_bytes;
    uint64_t commits;
    uint64_t write_timeout_ns;
    uint64_t batch_bytes;
    uint64_t memory_bytes;
    uint64_t buffers; /* of 16 KiB, for each lane; those of all spools together */
};

struct conf_smtp {
    uint64_t message_bytes;
    uint64_t recipients;
    uint64_t session_messages; /* MAIL commands; 0: no limit */
    bool received_login;
    uint64_t errors;
    uint64_t junk;
    uint64_t header_bytes;
    uint64_t header_fields;
    uint64_t line_length;
    uint64_t hops;
    uint64_t command_timeout_ns;
    uint64_t data_timeout_ns;
    uint64_t client_connect_timeout_ns;
    uint64_t client_idle_ns;
    uint64_t client_reuse;
    bool client_chunking;
};

struct conf_limits { /* rates are a minute's; 0: no limit */
    uint64_t connections_per_client;
    uint64_t connection_rate;
    uint64_t message_rate;
    uint64_t recipient_rate;
    uint64_t login_message_rate;
    uint64_t login_recipient_rate;
    uint64_t unknown_recipients; /* of a session */
    uint64_t unknown_recipient_rate;
    uint64_t client_prefix; /* bits */
    uint64_t client_prefix6;
    uint64_t clients;
    struct conf_list exempt_networks; /* CIDR */
    uint64_t early_commands;          /* enum conf_early_commands */
    uint64_t data_rate_min_bytes;     /* a second */
    uint64_t dns_list_threshold;
    uint64_t dns_list_timeout_ns;
    uint64_t dns_list_clients; /* for each lane */
    uint64_t stress;           /* per cent */
    uint64_t stress_timeout_ns;
};

struct conf_tcp {
    uint64_t connections; /* for each lane */
    uint64_t half_open;
    uint64_t time_wait;
    uint64_t receive_window_bytes;
    uint64_t send_buffer_bytes;
    uint64_t packet_buffers; /* mbufs for each lane */
    uint64_t msl_ns;
    uint64_t keepalive_ns;
    uint64_t keepalive_probes;
    uint64_t keepalive_interval_ns;
    uint64_t user_timeout_ns;
    uint64_t close_timeout_ns;
    uint64_t rto_min_ns;
    uint64_t congestion; /* enum conf_congestion */
    uint64_t ecn;        /* enum conf_ecn */
    bool timestamps;
    bool sack;
};

struct conf_relay {
    struct conf_list networks; /* CIDR */
    struct conf_list domains;  /* "example.org", ".example.org" */
    bool proxied;              /* networks hold for addresses out of PROXY headers, too */
};

struct conf_sender {
    struct conf_list maps; /* see conf_map */
    struct conf_list exempt_logins;
    struct conf_list exempt_networks; /* CIDR */
    const char *login_domain;         /* NULL: none */
};

struct conf_recipient {
    struct conf_list accounts, aliases, maps; /* see conf_map */
    const char *extension;                    /* one character; NULL: none */
    uint64_t expansion;
    bool extension_propagate;
    uint64_t verify; /* enum conf_verify */
    uint64_t verify_timeout_ns;
    uint64_t verify_cache;
    uint64_t verify_positive_expire_ns;
    uint64_t verify_positive_refresh_ns;
    uint64_t verify_negative_expire_ns;
    uint64_t verify_negative_refresh_ns;
};

struct conf_srs {
    const char *domain;       /* NULL: senders are not rewritten */
    struct conf_list secrets; /* files; the first one signs */
    uint64_t max_age_ns;
};

struct conf_auth {
    uint64_t backend; /* enum conf_auth_backend */
    const char *passwd_file;
    const char *dovecot_socket;
    struct conf_list mechanisms;
    uint64_t workers;
    uint64_t queue;
    uint64_t exchanges; /* for each lane */
    uint64_t timeout_ns;
    uint64_t failure_delay_ns;
    uint64_t failures_client; /* these: a period; 0: no limit */
    uint64_t failures_login;
    uint64_t failures_all;
    uint64_t failures_period_ns;
    uint64_t client_prefix; /* bits that make one client */
    uint64_t client_prefix6;
};

struct conf_queue {
    uint64_t backoff_min_ns;
    uint64_t backoff_max_ns;
    uint64_t lifetime_ns;
    uint64_t warn_after_ns; /* 0: never */
    uint64_t dsn_quote_bytes;
    uint64_t deliveries; /* connections at a time */
    uint64_t destination_deliveries;
};

struct conf_route {
    const char *name; /* of the block: a domain, ".domain" for all below it, or "default" */
    uint32_t line;
    const char *file;
    uint64_t via;          /* enum conf_via; MX: without host; AUTO: likewise, where it has none */
    struct conf_list host; /* see conf_host_parse */
    struct conf_list private_networks; /* CIDR */
    uint64_t proxy;                    /* enum conf_proxy_send */
    uint64_t tls;                      /* enum conf_route_tls */
    bool verify;
    const char *auth_user;          /* NULL: no login */
    const char *auth_password_file; /* with auth_user */
    bool auth_cleartext;
    struct conf_list auth_mechanisms; /* none: all */
    bool return_path, delivered_to;   /* by LMTP */
    struct conf_list sources;         /* names of source blocks */
};

/* An address that mail leaves from. */
struct conf_source {
    const char *name;
    uint32_t line;
    const char *file;
    const char *address; /* one of a port's; NULL: none of IPv4 */
    const char *address6;
    const char *ehlo;
    uint64_t weight;
    struct conf_list sender_domains;
    const char *warm_up_start;            /* see conf_day_parse; NULL: it is warm */
    struct conf_list warm_up;             /* recipients a day; see conf_count_parse */
    struct conf_list warm_up_destination; /* likewise, of each */
};

struct conf_delivery {
    uint64_t tls; /* enum conf_delivery_tls */
    bool defer_on_tls_error;
    const char *ca_file; /* NULL: none */
    bool mta_sts;
    uint64_t mta_sts_timeout_ns;
    uint64_t eightbit;          /* enum conf_eightbit */
    uint64_t requiretls;        /* enum conf_requiretls */
    struct conf_list set_aside; /* see conf_reply_parse */
    uint64_t set_aside_min_ns;  /* 0: never */
    uint64_t set_aside_max_ns;
};

struct conf_destination {
    const char *name; /* of the block: a domain, or .domain for all below it */
    uint32_t line;
    const char *file;
    uint64_t tls; /* enum conf_delivery_tls */
    bool defer_on_tls_error;
    uint64_t requiretls;           /* 0: as delivery's; else 1 + enum conf_requiretls */
    struct conf_list names;        /* of certificates; none: by tls */
    struct conf_list fingerprints; /* SHA-256, hexadecimal, with or without colons */
};

/* Reports of TLS (RFC 8460). */
struct conf_tlsrpt {
    bool enable;
    const char *organization; /* NULL or "": the hostname */
    const char *contact;      /* NULL or "": postmaster at the hostname */
    uint64_t spread_ns;
    uint64_t backoff_min_ns;
    bool any_certificate;
    uint64_t memory_bytes;
};

/* Destinations that share limits (shape.h). */
struct conf_provider {
    const char *name;
    uint32_t line;
    const char *file;
    struct conf_list mx;      /* patterns of hosts */
    struct conf_list domains; /* or names of destinations: "example.org", ".example.org" */
    uint64_t connections;     /* 0: no limit */
    uint64_t messages_per_connection;
    uint64_t recipients;
    const char *rate; /* NULL: no limit */
    const char *recipient_rate;
    struct conf_list on_reply;
    bool builtin_rules;
};

struct conf_dns_list {
    const char *name;
    uint32_t line;
    const char *file;
    const char *zone;
    int64_t weight;
    struct conf_list answers; /* see conf_octets */
};

struct conf_dns {
    struct conf_list servers; /* "address" or "address:port"; none: recursion from the root */
    struct conf_list stubs;   /* "zone=address" or "zone=address:port" */
    const char *trust_anchor; /* NULL: the root's keys that are built in */
    uint64_t timeout_ns;
    uint64_t lookups;
    uint64_t cache_bytes;
};

struct conf_control {
    const char *socket;
    const char *group;        /* may look; NULL: root only */
    const char *change_group; /* may make changes, too; likewise */
};

struct conf_telemetry {
    bool enabled;
    const char *group; /* may read DPDK's telemetry socket; NULL: root only */
};

enum conf_log_target { CONF_LOG_FILE, CONF_LOG_SYSLOG, CONF_LOG_JOURNALD };
enum conf_log_format { CONF_LOG_TEXT, CONF_LOG_JSON, CONF_LOG_POSTFIX };

struct conf_log {
    const char *file;   /* "stderr", or a path */
    uint64_t level;     /* enum conf_level */
    uint64_t target;    /* enum conf_log_target */
    uint64_t format;    /* enum conf_log_format */
    const char *ident;  /* NULL: by the format */
    const char *socket; /* NULL: by the target */
    uint64_t facility;  /* by the place of its word */
    bool mail_waits;
};

struct conf {
    struct conf_gateway gateway;
    struct conf_smtp smtp;
    struct conf_limits limits;
    struct conf_tcp tcp;
    struct conf_tls tls;
    struct conf_relay relay;
    struct conf_sender sender;
    struct conf_recipient recipient;
    struct conf_srs srs;
    struct conf_auth auth;
    struct conf_queue queue;
    struct conf_delivery delivery;
    struct conf_tlsrpt tlsrpt;
    struct conf_dns dns;
    struct conf_control control;
    struct conf_telemetry telemetry;
    struct conf_log log;
    struct conf_port *port;
    uint32_t port_cnt;
    struct conf_listener *listener;
    uint32_t listener_cnt;
    struct conf_spool *spool; /* at least one */
    uint32_t spool_cnt;
    struct conf_certificate *certificate;
    uint32_t certificate_cnt;
    struct conf_route *route;
    uint32_t route_cnt;
    struct conf_destination *destination;
    uint32_t destination_cnt;
    struct conf_source *source;
    uint32_t source_cnt;
    struct conf_provider *provider;
    uint32_t provider_cnt;
    struct conf_dns_list *dns_list;
    uint32_t dns_list_cnt;
    /* What is no error, but has no effect or looks like a mistake. */
    const struct conf_errors *warnings;
    const struct conf_place *places; /* by row of the table; conf_place_of */
};

/* Where a setting was given; file is NULL where it was not, and for settings of named blocks, which
 * know where they begin. */
struct conf_place {
    const char *file;
    uint32_t line;
};

/* ---- the table ---- */

enum conf_type {
    CONF_TYPE_STRING,    /* const char * */
    CONF_TYPE_BOOL,      /* bool: yes no */
    CONF_TYPE_NUMBER,    /* uint64_t, plain */
    CONF_TYPE_WEIGHT,    /* int64_t, -1000 to 1000 */
    CONF_TYPE_SIZE,      /* uint64_t bytes: k M G (1024) */
    CONF_TYPE_DURATION,  /* uint64_t ns: ms s m h d w */
    CONF_TYPE_ENUM,      /* uint64_t: one of the words */
    CONF_TYPE_LIST,      /* struct conf_list */
    CONF_TYPE_ADDRESS,   /* const char *, checked */
    CONF_TYPE_ADDRESSES, /* struct conf_list of "address/length", checked */
    CONF_TYPE_NETWORKS,  /* struct conf_list of CIDR, checked: no host bits */
    CONF_TYPE_DOMAIN,    /* const char *, a host name */
    CONF_TYPE_DOMAINS,   /* struct conf_list of domains, a leading dot allowed */
    CONF_TYPE_PATH,      /* const char *, absolute */
    CONF_TYPE_MAPS,      /* struct conf_list of map files, see conf_map */
    CONF_TYPE_SERVERS,   /* struct conf_list of "address" or "address:port", checked */
    CONF_TYPE_STUBS,     /* struct conf_list of "zone=" and a server, checked */
    CONF_TYPE_ANSWERS,   /* struct conf_list of IPv4 patterns, see conf_octets */
    CONF_TYPE_PATHS,     /* struct conf_list of absolute paths */
    CONF_TYPE_HOSTS,     /* struct conf_list of next hops, see conf_host_parse */
    CONF_TYPE_REPLIES,   /* struct conf_list of replies, see conf_reply_parse */
    CONF_TYPE_RATE,      /* const char *, "20/s", "100/m", "5000/h", "0" (shape_rate_parse) */
    CONF_TYPE_PATTERNS,  /* struct conf_list of patterns of hosts (shape_host_check) */
};

struct conf_setting {
    const char *block;
    const char *key;
    enum conf_type type;
    uint32_t offset;          /* in the block's struct */
    const char *default_text; /* as written in a file; NULL: required; "": none */
    uint64_t min, max;        /* numbers, sizes, durations (ns) */
    const char *words;        /* ENUM: "adaptive poll", in order of the enum */
    bool reloadable;
    const char *help;
    const char *example; /* written into the default file instead of the default; may be NULL */
};

/* Ended by a row whose block is NULL; rows of a block stand together. */
extern const struct conf_setting conf_settings[];

/* ---- parsing ---- */

struct conf_error {
    const char *file;
    uint32_t line;
    const char *key; /* "listener mx: port", or "" */
    const char *why;
};

struct conf_errors {
    struct conf_error error[CONF_ERROR_MAX];
    uint32_t cnt;
    void *arena; /* the texts; conf_errors_free */
};
void conf_errors_free(struct conf_errors *e);

/* One line an error: "file:line: key: why", without the key where there is none, and without the
 * line where it is 0: the file could not be read. */
void conf_write_errors(FILE *out, const struct conf_errors *e);
/* The same of warnings: "file:line: key: warning: why". */
void conf_write_warnings(FILE *out, const struct conf *c);

/* Gives the bytes of an included file: 0 and the bytes (alive until the parse ends), or a negative
 * error. path is as written in the file. */
typedef int (*conf_include)(void *user, const char *path, struct base_span *out);

/*
 * Parses and checks: types, ranges, names that refer to blocks, needed blocks (at least one port
 * and listener). Returns the configuration, or NULL with at least one error; the
 * errors of a file are in the order of its lines. Domains and names of routes are in lower case.
 * errors needs no preparation; conf_errors_free after use, whatever came. name is used in messages.
 * include may be NULL: then include is an error.
 */
struct conf *conf_parse(const char *name, struct base_span text, conf_include include, void *user,
                        struct conf_errors *errors) BASE_WARN_UNUSED;
/* Likewise, but what could be read is returned where there are errors, too (NULL: no memory), for
 * looks at what it names: a value that is missing or was refused is as by default, or none; a
 * number that was refused is 0. */
struct conf *conf_parse_partly(const char *name, struct base_span text, conf_include include,
                               void *user, struct conf_errors *errors) BASE_WARN_UNUSED;
void conf_free(struct conf *c);

/* Where the setting of a block without a name was given. */
struct conf_place conf_place_of(const struct conf *c, const char *block, const char *key);

/* What auto means for this listener: never CONF_TLS_AUTO. */
enum conf_tls_level conf_listener_tls(const struct conf_listener *l);

/* Mail by the one route goes the same way as by the other: all is alike but their names. */
bool conf_route_same(const struct conf_route *a, const struct conf_route *b);

/* A next hop as it is written: a name, whose MX records say where; "[name]", that host itself; an
 * IPv4 address; "[address]" of either family; each with ":port" behind it, or 25, or 24 for LMTP;
 * or "unix:/path", a socket of this machine. "lmtp:" and "inet:" may stand before it, as in
 * Postfix: "lmtp:unix:/path", "lmtp:inet:host:24". */
#define CONF_HOST_PORT      25
#define CONF_HOST_PORT_LMTP 24
#define CONF_HOST_PATH_MAX  107 /* sockaddr_un's, less its NUL */
struct conf_host {
    char name[256]; /* without brackets, in lower case; or the path */
    bool path, lmtp;
    bool address;
    bool exact;    /* the host itself; always so for an address */
    uint16_t port; /* 0: not said */
};
bool conf_host_parse(struct conf_host *out, const char *text);
/* Mail by the route goes by LMTP: it says so, or each of its hosts does. */
bool conf_route_is_lmtp(const struct conf_route *r);

/* A map file as it is written: "/path", or "form:/path". Sets *form, which is usual without one,
 * and returns the path. */
const char *conf_map(const char *item, enum conf_map_form usual, enum conf_map_form *form);
#define CONF_MAP_MAX 16 /* files of one list */

/* IPv4 addresses by a pattern as Postfix writes it: each byte is a number, or numbers and ranges in
 * brackets ("127.0.0.[2..11;14]"). A set of values for each byte. */
struct conf_octets {
    uint64_t values[4][4];
};
/* Returns false when text is no pattern. */
bool conf_octets_parse(struct conf_octets *out, const char *text) BASE_WARN_UNUSED;
bool conf_octets_match(const struct conf_octets *o, const uint8_t address[4]);

/* A pattern of replies as it is written: a code, an enhanced code, words that stand in the text, in
 * this order, any of them ("421 4.7.28", "5.7.1 blocked using", "4xx"); x is any digit of a code,
 * or any part of an enhanced one. Words without a code are at least CONF_REPLY_WORDS_MIN bytes. */
#define CONF_REPLY_ANY       (-1)
#define CONF_REPLY_WORDS_MIN 3
struct conf_reply {
    char code[4];  /* "": any */
    bool enhanced; /* part counts */
    int16_t part[3];
    const char *words; /* of the text that was parsed; "": any */
};
/* Returns false when text is none. */
bool conf_reply_parse(struct conf_reply *out, const char *text) BASE_WARN_UNUSED;
/* enhanced: "" where the reply has none. Case of words does not count. */
bool conf_reply_match(const struct conf_reply *r, uint16_t code, const char *enhanced,
                      struct base_span text);

/* "2026-01-31", from 1970 on: days since 1970-01-01. False: it is none. */
bool conf_day_parse(uint32_t *day, const char *text) BASE_WARN_UNUSED;
/* Up to nine digits. */
bool conf_count_parse(uint32_t *out, const char *text) BASE_WARN_UNUSED;

/* Settings that differ and may not be changed by a reload: writes up to cap rows and returns how
 * many there are, each once. A named block that is new, gone or in another place counts as its
 * first row. */
uint32_t conf_compare(const struct conf *running, const struct conf *wanted,
                      const struct conf_setting **changed, uint32_t cap);

/* Settings that differ, whether a reload may change them or not; else likewise. */
uint32_t conf_changes(const struct conf *before, const struct conf *after,
                      const struct conf_setting **changed, uint32_t cap);

/* The commented default file, whole; conf/sluice.conf is this text, a test compares. */
void conf_write_default(FILE *out);

/*
 * A configuration as text that parses to the same again, or as one JSON object: {"block": {"key":
 * value}}, named blocks {"block": {"name": {...}}}; sizes and durations as they are written. Only
 * changed: without what is by default.
 *
 * in_use is what a running gateway began with, or NULL: what it has of another value until a
 * restart is told as a comment behind the setting, in JSON by the list "needs_restart".
 */
struct conf_show {
    const struct conf *conf;
    const struct conf *in_use;
    bool changed;
};
void conf_write_show(FILE *out, const struct conf_show *show);
void conf_write_show_json(FILE *out, const struct conf_show *show);

/* One line a setting: "block.key  type  default  help", for --help. */
void conf_write_help(FILE *out);

/* Reads 64 hexadecimal digits, pairs of which may have colons between them. False: it is none. */
bool conf_fingerprint_parse(uint8_t out[CONF_FINGERPRINT_BYTES], const char *text);

#endif
