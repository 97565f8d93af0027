/*
 * TLS of the gateway: each lane's engine, and the contexts that control makes of the
 * configuration's certificates and hands to the lanes.
 *
 * What a listener asks for (versions, ciphers, groups, tickets) is as the gateway started with it;
 * certificates are read anew by gateway_tls_load. A load that fails changes nothing: what is in use
 * stays. Files are read through the opener.
 *
 * Threads: control's, but for what lane_tls.h says.
 */
#ifndef GATEWAY_TLS_H
#define GATEWAY_TLS_H

#include "dane_trust.h"
#include "lane_tls.h"
#include "opener.h"
#include "settings.h"
#include "topology.h"

#define GATEWAY_TLS_WHY_CAP 384

struct keyop_inline;
struct keyop_pool;

/* Contexts that a lane has or had. */
struct gateway_tls_domain {
    struct tls_domain *tls;
    struct dane_trust *trust; /* NULL: none was asked for */
    uint32_t lane;
    bool taken; /* by its lane: freed when that has released them */
    struct gateway_tls_domain *next;
};

struct gateway_tls {
    uint32_t lane_cnt;
    uint32_t client_policy; /* of the newest domains */
    struct lane_tls *lane[TOPOLOGY_LANE_MAX];
    struct keyop_inline *driver[TOPOLOGY_LANE_MAX]; /* of the lanes, where there is no pool */
    struct keyop_pool *pool;
    struct lane_tls_update update[TOPOLOGY_LANE_MAX]; /* the lane's while posted */
    bool posted[TOPOLOGY_LANE_MAX];
    struct gateway_tls_domain *domain[TOPOLOGY_LANE_MAX]; /* the newest; NULL: none */
    struct gateway_tls_domain *domains; /* all, those too that lanes still have connections of */
    const struct settings *started;     /* whose listeners they are; borrowed */
    struct tls_ticket_key ticket[2];
    uint32_t ticket_cnt;
    uint64_t ticket_ns; /* when the newest was made */
    uint64_t seen;      /* what the files of those in use looked like when they were read */
    uint64_t failed;    /* likewise, at the last load that failed */
    struct base_buf chain[TLS_CERTIFICATE_MAX]; /* PEM of those in use, as it was read */
};

/* How many threads for keys the settings ask for: the topology has rings for them. */
uint32_t gateway_tls_key_threads(const struct settings *s);

/* Engines for the lanes, and the threads for keys, which run from now
 * on. Returns 0 or a negative error: -EAGAIN when threads do not start. */
int gateway_tls_init(struct gateway_tls *t, const struct settings *started,
                     struct topology *topology) BASE_WARN_UNUSED;
/* The lanes have stopped; what they had at the key threads has come back. */
void gateway_tls_fini(struct gateway_tls *t);

/* Reads the certificates of conf and posts contexts of them to all lanes. Returns 0, or a negative
 * error with a sentence in why; then nothing has changed. */
int gateway_tls_load(struct gateway_tls *t, const struct conf *conf, struct opener *opener,
                     char why[GATEWAY_TLS_WHY_CAP]) BASE_WARN_UNUSED;

/* Whether the files of conf look otherwise than those in use, and than at the last load that
 * failed: what is wrong is told once. */
bool gateway_tls_changed(struct gateway_tls *t, const struct conf *conf, struct opener *opener);

/* Now and then: frees what the lanes have released, and changes the ticket keys. */
void gateway_tls_tend(struct gateway_tls *t, uint64_t now_ns);

/* What a listener asks for. */
struct tls_policy_spec gateway_tls_policy(const struct conf_listener *l);

/* Of the conf's certificate i, as it is in use; NULL: none is. */
const struct tls_certificate_info *gateway_tls_certificate(const struct gateway_tls *t, uint32_t i);

/* Its chain as it was read, PEM; none: empty. Lives until the next load. */
struct base_span gateway_tls_chain(const struct gateway_tls *t, uint32_t i);

/* Whole days until it expires; 0: today or before. */
uint64_t gateway_tls_days(const struct tls_certificate_info *info, int64_t now_s);

/* Whether one of its names is the host's, or a wildcard for it. */
bool gateway_tls_names(const struct tls_certificate_info *info, const char *host);

/* ---- gateway_tls_trust.c, for the functions above ---- */

/* Whether any level needs authorities, or mail with REQUIRETLS may. */
bool gateway_tls_trust_wanted(const struct conf *conf);
/* Before anything runs: returns 0, 1 when they cannot be read but only some mail would have to do
 * without, or -EINVAL when they must be there; then why says what is wrong with delivery: ca_file.
 */
int gateway_tls_trust_check(const struct conf *conf, int (*open_file)(void *user, const char *path),
                            void *user, char why[GATEWAY_TLS_WHY_CAP]) BASE_WARN_UNUSED;
/* *out: NULL where none are wanted, or there are none and no level needs them. Returns 0, or a
 * negative error with a sentence in why. */
int gateway_tls_trust_read(struct dane_trust **out, const struct conf *conf, struct opener *opener,
                           char why[GATEWAY_TLS_WHY_CAP]) BASE_WARN_UNUSED;

/* ---- gateway_tls_lane.c, for the functions above ---- */

/* The threads for keys, over the topology's rings. Returns 0 or -EAGAIN. */
int gateway_tls_open_pool(struct gateway_tls *t, struct topology *topology) BASE_WARN_UNUSED;
void gateway_tls_close_pool(struct gateway_tls *t);
/* What lane i has of TLS, by the pool where there is one. key: random. Returns 0 or -ENOMEM. */
int gateway_tls_open_lane(struct gateway_tls *t, uint32_t i, struct topology *topology,
                          const uint8_t key[16]) BASE_WARN_UNUSED;
void gateway_tls_close_lane(struct gateway_tls *t, uint32_t i);

#endif
