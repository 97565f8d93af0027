/*
 * TLS 1.2 and 1.3 (RFC 5246, 8446) on OpenSSL, as a layer of a connection: ciphertext comes in by
 * spans, plaintext goes out into a buffer of the caller's, and the reverse. Nothing above this
 * library knows OpenSSL.
 *
 * Three things:
 *   tls_lane    what a lane has of it: limits, the queue of private-key operations, counters;
 *   tls_domain  the contexts of one lane made from one configuration: immutable, with an
 *               OSSL_LIB_CTX of its own, so that lanes share no lock; a reload makes another and
 *               the connections of the old one go on;
 *   tls_conn    one connection.
 *
 * Left out: TLS 1.0 and 1.1, 0-RTT, renegotiation, compression, session caches of servers, OCSP
 * stapling, RSA key exchange, client certificates of our own, revocation of clients'. Nothing is
 * looked at of a server's certificate during the handshake: tls_conn_chain hands it to whoever
 * judges it, also that of a session that is resumed. When TLS starts (STARTTLS, and that no byte
 * waits anywhere then), deadlines and who may connect are the caller's.
 *
 * The batch: a handshake that needs a signature is parked (OpenSSL's ASYNC jobs: a stack of its
 * own) and the operation gathered. tls_lane_run, once a pass, hands what was gathered to the driver
 * as a burst, polls it and tells which connections can go on. Parking is off where the driver does
 * not want it; then each signature is made on the spot.
 *
 * Threads: tls_lane_init and fini, tls_domain_build and free are control's, one thread; the rest
 * the lane's. Memory: OpenSSL's objects come from its allocator (tls_memory.h makes that per
 * thread); ours are taken at init. No file, no clock, no descriptor.
 */
#ifndef TLS_H
#define TLS_H

#include "base_assert.h"
#include "base_bytes.h"
#include "dane.h"
#include "stats.h"
#include "tls_kex.h"
#include "tls_keyop.h"

#include <stdbool.h>
#include <stdint.h>

struct tls_lane;
struct tls_domain;
struct tls_conn;

/* ---- a lane ---- */

struct tls_lane_settings {
    uint32_t connection_max;       /* connections with TLS, 1 or more */
    uint32_t handshake_max;        /* of these, with an unfinished handshake */
    uint32_t parked_max;           /* of these, parked; more wait for their turn */
    uint32_t session_max;          /* sessions with servers that are kept; 0: none */
    bool session_reuse;            /* those of TLS 1.3 are used again and again, which shows an
                                      observer that it is the same client: for load generators */
    uint32_t step_max;             /* handshake steps a pass, resumed ones too; more wait for their
                                      turn, so that established connections are not starved */
    struct tls_keyop_driver keyop; /* borrowed until fini */
    bool keyop_wakes;              /* a lane that sleeps is woken when there is something to poll;
                                      otherwise it is busy while operations are under way */
    struct tls_kex_driver kex;     /* likewise; ops may be NULL */
    bool openssl_records;          /* never libipsec-mb's AES-GCM: to compare the two */
    struct stats_block *stats;     /* the lane's */
};

/* A session ticket's key (RFC 5077 section 4): random bytes, made outside, the same in all lanes.
 */
struct tls_ticket_key {
    uint8_t name[16];
    uint8_t cipher[32]; /* AES-256-CBC */
    uint8_t mac[32];    /* HMAC-SHA-256 */
};

/* Returns NULL when memory is short. */
struct tls_lane *tls_lane_init(const struct tls_lane_settings *settings) BASE_WARN_UNUSED;

/* No connection, no domain is left. The lane's thread has called tls_lane_leave. */
void tls_lane_fini(struct tls_lane *lane);

/* Once a pass, after input was handled: submits, polls, and fills ready with up to cap connections
 * that can go on; the caller calls tls_conn_decode for each of them in this pass, with whatever
 * input there is (none, often). More may wait: they come with the next call. Returns the number. */
uint32_t tls_lane_run(struct tls_lane *lane, struct tls_conn **ready, uint32_t cap);

/* Whether the next tls_lane_run may have something to tell: the lane must not sleep. */
bool tls_lane_busy(const struct tls_lane *lane);

/* Operations that were gathered or handed over: all have come back before the lane leaves. */
uint32_t tls_lane_under_way(const struct tls_lane *lane);

/* Tickets are made by current and read by both; previous may be NULL. Keys are copied; without a
 * call there are no tickets. */
void tls_lane_set_tickets(struct tls_lane *lane, const struct tls_ticket_key *current,
                          const struct tls_ticket_key *previous);

/* The lane's thread is about to end: gives up what OpenSSL keeps for it. Nothing of the lane may be
 * used by this thread afterwards. */
void tls_lane_leave(struct tls_lane *lane);

/* ---- contexts ---- */

#define TLS_VERSION_12 0x0303
#define TLS_VERSION_13 0x0304

#define TLS_CERTIFICATE_MAX 32 /* in a domain */
#define TLS_NAME_MAX        64 /* names of one certificate that are told apart by SNI */
#define TLS_NAME_BYTES      254

/* Two may have the same name, one with an EC key and one with an RSA key: the client decides. */
struct tls_certificate_spec {
    const char *label;          /* in sentences: the file, as a rule */
    struct base_span chain_pem; /* the server's first, then intermediates */
    struct base_span key_pem;   /* not encrypted; may be the same text */
    const char *const *names;   /* "mx.example.org", "*.example.org"; NULL: those in it */
    uint32_t name_cnt;
};

enum tls_alpn {
    TLS_ALPN_STRICT, /* names that are all foreign end the handshake; "smtp" and "esmtp" are ours */
    TLS_ALPN_IGNORE  /* foreign names are as none */
};

struct tls_policy_spec {
    const char *label;    /* in sentences: the listener */
    bool client;          /* for connections that we open */
    bool small;           /* clients: the shortest first message there can be, for what stands
                             in the way of others */
    bool ask_certificate; /* servers: ask the client for one and look at nothing of it */
    struct base_span client_ca_pem; /* servers: authorities of client certificates, which are asked
                                       for then; there are no tickets. Empty: none */
    uint8_t tickets;                /* servers: 0 or 1 */
    uint8_t alpn;                   /* servers: enum tls_alpn */
    uint16_t version_min;           /* TLS_VERSION_... */
    uint16_t version_max;           /* likewise; 0: the highest there is */
    const char *ciphers;      /* of TLS 1.2, as OpenSSL spells it; NULL: forward secrecy and AEAD,
                                 then CBC */
    const char *ciphersuites; /* of TLS 1.3; NULL: AES-128-GCM, ChaCha20, AES-256-GCM */
    const char *groups;       /* NULL: "X25519:P-256:P-384" */
};

struct tls_domain_spec {
    const struct tls_certificate_spec
        *certificates; /* the first of each kind of key is the default:
                          for clients that name nobody, or a stranger */
    uint32_t certificate_cnt;
    const struct tls_policy_spec *policies; /* a connection is opened with the index of one */
    uint32_t policy_cnt;
    int64_t now_s; /* since 1970, for warnings about validity; 0: none */
};

struct tls_certificate_info {
    int64_t not_before_s, not_after_s;
    char key[16];       /* "EC P-256", "RSA 2048" */
    char warning[160];  /* a sentence, or empty */
    uint32_t chain_cnt; /* certificates in it */
    uint32_t name_cnt;
    char name[TLS_NAME_MAX][TLS_NAME_BYTES]; /* lower case */
};

/* What a domain would say of a certificate, and of a policy, without a lane: for a look at a
 * configuration. Slow. */
enum tls_check { TLS_CHECK_OK, TLS_CHECK_CHAIN, TLS_CHECK_KEY };
/* Which of the two texts is wrong (a pair that does not match: the key), with a sentence in why;
 * info is of one that is OK. */
enum tls_check tls_check_certificate(const struct tls_certificate_spec *spec, int64_t now_s,
                                     struct tls_certificate_info *info, char *why,
                                     size_t why_cap) BASE_WARN_UNUSED;
bool tls_check_policy(const struct tls_policy_spec *spec, char *why,
                      size_t why_cap) BASE_WARN_UNUSED;

/* Makes the contexts. Returns NULL when something is wrong with the configuration (or memory), and
 * a sentence without full stop in why, terminated by NUL. Slow: some ms for each certificate. */
struct tls_domain *tls_domain_build(struct tls_lane *lane, const struct tls_domain_spec *spec,
                                    char *why, size_t why_cap) BASE_WARN_UNUSED;

/* Of certificate i; lives as long as the domain. */
const struct tls_certificate_info *tls_domain_certificate(const struct tls_domain *d, uint32_t i);

/* By the lane, which opens no connection with it any more: once its last connection is gone, it may
 * be freed. */
void tls_domain_retire(struct tls_domain *d);

/* By control: whether the lane is done with a retired domain. */
bool tls_domain_released(const struct tls_domain *d);

/* By control, the thread that built it: a released one, or one that no lane has seen. */
void tls_domain_free(struct tls_domain *d);

/* ---- a connection ---- */

/* A record that carries up to TLS_RECORD_MAX bytes is at most this much longer; so much room more
 * in out makes one encode of 16 KiB whole. */
#define TLS_RECORD_MAX      16384
#define TLS_RECORD_OVERHEAD 192

enum tls_state {
    TLS_HANDSHAKE,
    TLS_OPEN,
    TLS_CLOSING, /* we have sent close_notify; the peer may still send */
    TLS_CLOSED,  /* the peer's close_notify came: the end of its bytes is true */
    TLS_FAILED,  /* see tls_conn_reason; not a byte after it means anything */
    TLS_STATE_CNT
};

enum tls_want {
    TLS_WANT_INPUT,  /* more bytes from the peer */
    TLS_WANT_ROOM,   /* room in out, or in plain: input was left */
    TLS_WANT_KEYOP,  /* parked: tls_lane_run tells when to go on */
    TLS_WANT_TURN,   /* too many handshakes in this pass: likewise */
    TLS_WANT_NOTHING /* closed or failed */
};

/* Why it failed, or was refused. Each has a counter. */
enum tls_reason {
    TLS_REASON_NONE,
    TLS_REASON_NOT_TLS,     /* what came is no TLS record: clear text, HTTP */
    TLS_REASON_PROTOCOL,    /* impossible or unexpected messages, bad MAC */
    TLS_REASON_VERSION,     /* no version in common */
    TLS_REASON_CIPHER,      /* no cipher, group or kind of signature in common */
    TLS_REASON_ALPN,        /* the client speaks other protocols only */
    TLS_REASON_CERTIFICATE, /* the peer's certificate */
    TLS_REASON_ALERT,       /* the peer ended it by an alert: tls_conn_alert says which */
    TLS_REASON_TRUNCATED,   /* the stream ended without close_notify */
    TLS_REASON_FLOOD,       /* too many messages that carry no data */
    TLS_REASON_KEYOP,       /* our private key's operation failed */
    TLS_REASON_MEMORY,
    TLS_REASON_INTERNAL,
    TLS_REASON_CNT
};

/* What was agreed on; for logs and the Received field. Texts live as long as the connection, the
 * ones not marked by * for ever. */
struct tls_facts {
    const char *version;     /* "TLSv1.3" */
    const char *cipher;      /* "TLS_AES_128_GCM_SHA256" */
    const char *suite;       /* the cipher by its name at IANA; "" without one */
    const char *group;       /* "x25519", or "" when there was no key exchange */
    const char *signature;   /* key of the server's certificate: "EC", "RSA", or "" */
    uint32_t signature_bits; /* of that key */
    uint32_t cipher_bits;
    const char *server_name; /* *: SNI, or "" */
    char alpn[8];            /* "smtp", "esmtp" or "" */
    bool resumed;
    bool peer_certificate; /* the peer showed one: nothing is said about whose */
};

/* A connection from a client, by a server policy of the domain; cookie is the caller's. Returns
 * NULL when handshake_max or connection_max is reached or memory short: counted. */
struct tls_conn *tls_conn_accept(struct tls_lane *lane, struct tls_domain *domain, uint32_t policy,
                                 void *cookie) BASE_WARN_UNUSED;

/* A connection to a server, by a client policy; name is what SNI says (NULL: nothing). The first
 * tls_conn_decode writes the ClientHello. */
struct tls_conn *tls_conn_connect(struct tls_lane *lane, struct tls_domain *domain, uint32_t policy,
                                  const char *name, void *cookie) BASE_WARN_UNUSED;

/* Before the first tls_conn_decode of a connection to a server: offers a session that was kept
 * under key, and keeps under it what the server gives. key: of the server, and of all that it must
 * prove (who has another one gets a whole handshake); 0: nothing. now_s: since 1970. What a resumed
 * connection has proved is what tls_conn_chain shows: the certificates of the first one. */
void tls_conn_offer(struct tls_conn *c, uint64_t key, int64_t now_s);
/* The handshake came to nothing, or the server has not proved what it must: nothing that it gave is
 * kept under the key. True when this connection had offered a session. */
bool tls_conn_forget(struct tls_conn *c);

/* Takes ciphertext from the front of in (*consumed bytes of it) and appends what it means to plain;
 * what must be sent for it (handshake, alerts, answers) is appended to out. Both are the caller's;
 * while one is full, input stays behind: tls_conn_wants says what for. Bytes not consumed are given
 * again. Returns the state; with FAILED, out holds an alert to be sent, as a rule. */
enum tls_state tls_conn_decode(struct tls_conn *c, struct base_span in, size_t *consumed,
                               struct base_buf *plain, struct base_buf *out);

/* Appends records with as much of the plaintext as fits out; *consumed is how much. Takes none but
 * in OPEN and CLOSED (the peer has ended its direction only), nor after tls_conn_shutdown. Bytes
 * not consumed are given again, the same ones. Returns the state. */
enum tls_state tls_conn_encode(struct tls_conn *c, struct base_span plain, size_t *consumed,
                               struct base_buf *out);

/* Appends a close_notify, once; it wants TLS_RECORD_OVERHEAD bytes of room. Nothing during the
 * handshake. */
void tls_conn_shutdown(struct tls_conn *c, struct base_buf *out);

/* The peer's stream ended (FIN, RST). Without a close_notify before it that is FAILED with
 * TRUNCATED: what came so far may be cut short by anybody. Returns the state. */
enum tls_state tls_conn_ended(struct tls_conn *c);

/* Frees it, in any state, also a parked one. */
void tls_conn_close(struct tls_conn *c);

enum tls_state tls_conn_state(const struct tls_conn *c);
enum tls_want tls_conn_wants(const struct tls_conn *c);
enum tls_reason tls_conn_reason(const struct tls_conn *c);
const char *tls_reason_name(enum tls_reason reason); /* "cipher" */
/* The alert that was received, as text of OpenSSL's, or "". */
const char *tls_conn_alert(const struct tls_conn *c);
void *tls_conn_cookie(const struct tls_conn *c);
/* After the handshake. */
void tls_conn_facts(const struct tls_conn *c, struct tls_facts *facts);
/* The certificates that the server has shown, the first its own, after the handshake of a
 * connection of ours; to be freed by dane_chain_free. Returns 0, -EINVAL (none, or more than
 * DANE_CHAIN_MAX), or -ENOMEM. Slow: it copies. */
int tls_conn_chain(const struct tls_conn *c, struct dane_chain *out) BASE_WARN_UNUSED;
/* The mail address that a client's certificate is for: the one rfc822Name of its subjectAltName,
 * where the chain holds by the policy's client_ca_pem and is good for clients now. After the
 * handshake. Returns its length, terminated by NUL in out; 0: there is none such. Slow. */
size_t tls_conn_identity(const struct tls_conn *c, char *out, size_t cap) BASE_WARN_UNUSED;
/* Bytes that both ends can make of this connection alone, by the label of an exporter (RFC 8446
 * section 7.5), without a context. After the handshake. False: they cannot be made. */
bool tls_conn_export(struct tls_conn *c, const char *label, uint8_t *out,
                     size_t len) BASE_WARN_UNUSED;

#endif
