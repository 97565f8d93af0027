/*
 * What the parts of lib/tls share. tls_lane.c: the queue of operations. tls_domain.c: contexts of a
 * configuration; tls_certificate.c: keys and chains; tls_name.c: which context a name gets;
 * tls_context.c: one SSL_CTX. tls_provider.c and what it lists: our algorithms. tls_conn.c: a
 * connection; tls_ahead.c: key exchanges of several at once, for which tls_hello.c looks at what
 * came; tls_session.c: sessions with servers; tls_bio.c: the caller's buffers as OpenSSL sees them;
 * tls_reason.c: errors.
 */
#ifndef TLS_INTERNAL_H
#define TLS_INTERNAL_H

#include "tls.h"
#include "tls_x25519_ifma.h"

#include "base_list.h"
#include "base_pool.h"

#include <stdatomic.h>

#include <openssl/core_dispatch.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>

#define TLS_LANE_BURST 64   /* completions taken at once */
#define TLS_NOISE_MAX  32   /* messages without data after the handshake, for each MiB of data */
#define TLS_AHEAD_MAX  1024 /* ClientHellos that wait for others to be answered with */

struct tls_op {
    struct tls_keyop keyop;
    struct tls_conn *conn; /* NULL: the connection is gone, nobody waits for it */
    struct tls_domain *domain;
    bool done; /* polled: the driver looks at it no more */
};

/* tls_session.c: what servers have given, in a table by key. */
struct tls_sessions {
    struct base_list *bucket; /* bucket_mask + 1; the newest first */
    struct base_list by_use;  /* the one used longest ago first */
    struct base_pool pool;
    uint32_t bucket_mask;
    uint32_t cnt, max;
};

struct tls_lane {
    struct tls_lane_settings settings;
    struct stats_block *stats;
    struct base_pool conns;
    struct base_pool ops;
    struct base_pool answers; /* struct tls_kex_answer: of ClientHellos that wait */
    struct tls_op **gathered; /* room for all of ops: not submitted yet */
    uint32_t gathered_cnt;
    uint32_t submitted_cnt;
    uint32_t handshake_cnt;
    uint32_t conn_cnt;
    uint32_t step_left; /* handshake steps that this pass may still make */
    uint32_t turn_cnt;
    uint32_t parked_cnt; /* jobs that wait: no more than parked_max */
    uint32_t burst_max;  /* the largest so far */
    struct IMB_MGR *mb;  /* AES-GCM of libipsec-mb; NULL: OpenSSL's is used */
    bool parking;
    bool async;               /* ASYNC_init_thread was called by the lane's thread */
    struct tls_conn *current; /* whose OpenSSL call is being made; not to be trusted over a park */
    struct base_list turn;    /* wait for a step */
    struct base_list ready;   /* can go on */
    struct base_list domains; /* seen by this thread and not released */
    struct tls_ticket_key ticket[2];
    uint32_t ticket_cnt;
    struct tls_sessions sessions;
};

/* ---- a domain ---- */

enum tls_kind { TLS_KIND_EC, TLS_KIND_RSA, TLS_KIND_CNT };

/* A private key, behind an EVP_PKEY of our provider. */
struct tls_key {
    struct tls_domain *domain;
    void *handle; /* the driver's */
    uint8_t kind;
};

struct tls_certificate {
    struct tls_certificate_info info;
    struct tls_key key;
    EVP_PKEY *pkey;
    X509 *leaf;
    STACK_OF(X509) * chain; /* behind the leaf */
};

/* A name and the certificates that a client asking for it is offered, one of each kind. */
struct tls_name {
    char text[TLS_NAME_BYTES];
    int16_t certificate[TLS_KIND_CNT]; /* or -1 */
    uint16_t set;                      /* of the contexts */
};

struct tls_policy {
    bool client;
    uint8_t alpn;
    bool client_ca;    /* certificates of clients are verified */
    bool ahead;        /* X25519 is what a client's shares are looked at for first */
    SSL_CTX **context; /* by set; 0 is the default */
};

/* tls_kex_plain.c: the default provider's functions for X25519, and key pairs made ahead. */
struct tls_kex_plain {
    OSSL_LIB_CTX *libctx;
    void *provctx;
    void *base; /* the point 9 as a public key */
    /* [0, secret_cnt): drawn ahead, each used once and wiped. Those below share_cnt have shares. */
    uint32_t secret_cnt;
    uint32_t share_cnt;
    bool batch; /* shares are computed ahead */
    uint8_t secret[TLS_X25519_IFMA_CNT][TLS_KEX_BYTES];
    uint8_t share[TLS_X25519_IFMA_CNT][TLS_KEX_BYTES];
    OSSL_FUNC_keymgmt_new_fn *key_new;
    OSSL_FUNC_keymgmt_free_fn *key_free;
    OSSL_FUNC_keymgmt_import_fn *key_import;
    OSSL_FUNC_keyexch_newctx_fn *exchange_new;
    OSSL_FUNC_keyexch_freectx_fn *exchange_free;
    OSSL_FUNC_keyexch_init_fn *exchange_init;
    OSSL_FUNC_keyexch_set_peer_fn *exchange_set_peer;
    OSSL_FUNC_keyexch_derive_fn *exchange_derive;
};

struct tls_domain {
    struct tls_lane *lane;
    OSSL_LIB_CTX *libctx;
    OSSL_LIB_CTX *backing; /* the default provider's */
    struct tls_kex_plain kex_plain;
    struct tls_kex_driver kex; /* the lane's, or the one above; ops NULL: neither */
    OSSL_PROVIDER *provider_default;
    OSSL_PROVIDER *provider_thin; /* parts of the one above, in libctx */
    OSSL_PROVIDER *provider_own;
    struct tls_certificate *certificate;
    uint32_t certificate_cnt;
    struct tls_name *name; /* sorted by text; [0, name_cnt) */
    uint32_t name_cnt;
    struct tls_name fallback;
    uint32_t set_cnt;
    struct tls_policy *policy;
    uint32_t policy_cnt;
    EVP_CIPHER *ticket_cipher;
    BIO_METHOD *bio_method;
    /* The lane's. */
    struct base_list place;
    uint32_t user_cnt; /* connections and operations under way */
    bool seen;
    bool retired;
    /* Written by the lane when it has given up everything, read by control. */
    _Atomic bool released;
};

/* ---- a connection ---- */

struct tls_conn {
    struct tls_lane *lane;
    struct tls_domain *domain;
    SSL *ssl;
    BIO *bio;
    void *cookie;
    struct base_list place;        /* in turn or ready */
    struct tls_op *op;             /* parked on it */
    struct tls_kex_answer *answer; /* to its ClientHello, to be made or made ahead; or NULL */
    struct base_span in;           /* during a call */
    struct base_buf *out;          /* during a call */
    uint64_t session_key;          /* of what its server gives; 0: nothing is kept */
    int64_t session_now_s;         /* when it was opened */
    uint64_t noise_at;             /* bytes read when the count below began */
    uint64_t read_bytes;
    uint32_t noise_cnt;
    uint16_t policy;
    uint8_t state;
    uint8_t want;
    uint8_t reason;
    uint8_t alert; /* description of the peer's fatal alert, and whether there was one */
    bool alerted;
    bool client;
    bool handshaking; /* counted in handshake_cnt */
    bool in_turn;     /* its place is there */
    bool peeked;      /* its ClientHello was looked at */
    bool granted;     /* its turn has come */
    bool parked;      /* its job waits: OpenSSL is to be called only to resume it */
    bool cancelled;   /* the job is to fail */
    bool sign_failed; /* our own key's operation failed */
    bool notified;    /* close_notify is sent */
    bool offered;     /* a session was */
};

/* tls_bio.c */
BIO_METHOD *tls_bio_method_new(void);
BIO *tls_bio_new(BIO_METHOD *method, struct tls_conn *c);

/* tls_kex_plain.c. Returns a driver without ops when the provider is not as expected. */
struct tls_kex_driver tls_kex_plain_open(struct tls_kex_plain *k, OSSL_LIB_CTX *libctx,
                                         OSSL_PROVIDER *provider);
void tls_kex_plain_close(struct tls_kex_plain *k);
/* Makes key pairs ahead, where none are left and that is worth it. On the thread's own stack: those
 * of OpenSSL's jobs have 32 KiB, which are not enough for it. */
void tls_kex_plain_fill(struct tls_kex_plain *k);

/* tls_ahead.c: key exchanges of several handshakes at once. */
/* Before the first step. Whether it waits for its turn, so that others can come along. */
bool tls_ahead_peek(struct tls_conn *c);
/* For those whose turn has come, and those that wait behind them. */
void tls_ahead_make(struct tls_lane *l, struct tls_conn *const *ready, uint32_t n);
/* What was made for the connection whose step this is, or NULL. */
const struct tls_kex_answer *tls_ahead_of(const struct tls_domain *d,
                                          const uint8_t peer[TLS_KEX_BYTES]);
void tls_ahead_drop(struct tls_conn *c);

/* tls_thin.c. From load to loaded the domain is being built, by control. */
bool tls_thin_load(struct tls_domain *d);
void tls_thin_loaded(void);
void tls_thin_unload(struct tls_domain *d);
void tls_thin_stop(struct tls_domain *d); /* OPENSSL_thread_stop_ex */

/* tls_gcm.c. Returns NULL when the processor has not what makes it faster than OpenSSL's. */
struct IMB_MGR *tls_gcm_open(void);
void tls_gcm_close(struct IMB_MGR *mb);

/* tls_lane.c: a signature, parked when it can be. Returns false when it failed. */
bool tls_lane_sign(struct tls_key *key, uint8_t algorithm, uint8_t digest, struct base_span input,
                   struct base_buf *signature);
void tls_lane_enter(struct tls_lane *l, struct tls_domain *d);
void tls_lane_cancel(struct tls_lane *l, struct tls_conn *c);
void tls_lane_turn(struct tls_lane *l, struct tls_conn *c);
void tls_lane_unqueue(struct tls_lane *l, struct tls_conn *c);

/* tls_session.c */
bool tls_sessions_init(struct tls_sessions *t, uint32_t max);
void tls_sessions_fini(struct tls_sessions *t); /* none is left */
/* Those of a domain go; d NULL: all. */
void tls_sessions_forget(struct tls_lane *l, const struct tls_domain *d);
int tls_session_given(SSL *ssl, SSL_SESSION *session);

/* tls_domain.c: by the lane. */
void tls_domain_hold(struct tls_domain *d);
void tls_domain_drop(struct tls_domain *d);

/* tls_certificate.c. Returns false, and a sentence. */
/* Parses both texts and compares them; *private is the caller's, or NULL, *wrong says what is not
 * as it should be. The private key is read in the context keys. */
enum tls_check tls_certificate_read(OSSL_LIB_CTX *libctx, OSSL_LIB_CTX *keys,
                                    struct tls_certificate *c,
                                    const struct tls_certificate_spec *spec, int64_t now_s,
                                    EVP_PKEY **private, const char **wrong);
bool tls_certificate_open(struct tls_domain *d, struct tls_certificate *c,
                          const struct tls_certificate_spec *spec, int64_t now_s, char *why,
                          size_t cap);
void tls_certificate_close(struct tls_certificate *c);

/* tls_name.c */
bool tls_name_build(struct tls_domain *d);
const struct tls_name *tls_name_find(const struct tls_domain *d, const char *text);
bool tls_name_normalize(char *to, struct base_span from);

/* tls_context.c: the context of a policy for a set of certificates. */
const char *tls_context_set_algorithms(SSL_CTX *ctx, const struct tls_policy_spec *spec);
SSL_CTX *tls_context_new(struct tls_domain *d, const struct tls_policy_spec *spec,
                         struct tls_policy *policy, const struct tls_name *set, char *why,
                         size_t cap);

/* tls_client_ca.c. Returns NULL, or what is wrong. */
const char *tls_client_ca_set(SSL_CTX *ctx, OSSL_LIB_CTX *libctx, struct base_span pem);

/* tls_provider.c. The context of our provider, which each of its functions is given. */
struct tls_provider {
    struct tls_domain *domain;
};
bool tls_provider_load(struct tls_domain *d);
extern const char tls_provider_name[];

/* tls_gcm.c, tls_key.c, tls_kdf.c, tls_mac.c, tls_x25519.c: what the provider offers. */
extern const OSSL_DISPATCH tls_cipher_gcm_128[], tls_cipher_gcm_256[], tls_keymgmt_rsa[],
    tls_keymgmt_ec[], tls_signature_rsa[], tls_signature_ec[], tls_kdf_tls13[], tls_kdf_prf[],
    tls_mac_hmac[], tls_keymgmt_x25519[], tls_keyexch_x25519[];
EVP_PKEY *tls_key_wrap(struct tls_domain *d, struct tls_key *key, EVP_PKEY *public);

/* tls_reason.c: of the errors in OpenSSL's queue, which it empties. */
enum tls_reason tls_reason_take(void);

#endif
