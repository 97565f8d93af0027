#include "gateway_tls.h"
#include "base_time.h"
#include "certificate_file.h"
#include "loop.h"
#include "small_file.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define TICKET_CHANGE_NS (1800 * BASE_NS_S) /* a ticket lives for an hour: two keys are enough */

#define CLIENT_POLICIES 2 /* the usual one, and the one with the small first message */

/* ---- files ---- */

static int open_by(void *opener, const char *path)
{
    return opener_open(opener, path);
}

static int read_pair(struct certificate_pair *p, const struct conf_certificate *c,
                     struct opener *opener, char why[GATEWAY_TLS_WHY_CAP])
{
    int which, error = certificate_pair_read(p, c, open_by, opener, &which);

    if (error != 0)
        snprintf(why, GATEWAY_TLS_WHY_CAP, "certificate %.31s: %s: cannot read %.200s (%s)",
                 c->name, which == CERTIFICATE_CHAIN ? "chain" : "key",
                 which == CERTIFICATE_CHAIN ? c->chain : c->key,
                 error == -EACCES ? "no permission, or a file that needs a restart"
                                  : small_file_why(error));
    return error;
}

/* Authorities of clients, by listener. They are files as at the start, read anew. */
static int read_authorities(struct certificate_file *ca, const struct conf *started,
                            struct opener *opener, char why[GATEWAY_TLS_WHY_CAP])
{
    int error = 0;

    for (uint32_t i = 0; i < started->listener_cnt && error == 0; i++) {
        const struct conf_listener *l = &started->listener[i];
        if (l->tls_client_ca == NULL)
            continue;
        error = certificate_file_load(&ca[i], l->tls_client_ca, open_by, opener);
        if (error != 0)
            snprintf(why, GATEWAY_TLS_WHY_CAP,
                     "listener %.31s: tls_client_ca: cannot read %.200s (%s)", l->name,
                     l->tls_client_ca, small_file_why(error));
    }
    return error;
}

static void free_authorities(struct certificate_file *ca, uint32_t cnt)
{
    for (uint32_t i = 0; i < cnt && ca != NULL; i++)
        free(ca[i].text);
    free(ca);
}

static void wipe(struct certificate_pair *pairs, uint32_t cnt)
{
    for (uint32_t i = 0; i < cnt; i++)
        certificate_pair_wipe(&pairs[i]);
    free(pairs);
}

/* What tells a file from another: its place and its last change. */
static uint64_t look(struct opener *opener, const char *path)
{
    struct stat st = {0};
    int fd = opener_open(opener, path);

    if (fd < 0)
        return (uint64_t)-fd;
    int failed = fstat(fd, &st);
    close(fd);
    if (failed != 0)
        return 1;
    uint64_t words[] = {st.st_dev,
                        st.st_ino,
                        (uint64_t)st.st_size,
                        (uint64_t)st.st_mtim.tv_sec,
                        (uint64_t)st.st_mtim.tv_nsec,
                        (uint64_t)st.st_ctim.tv_sec,
                        (uint64_t)st.st_ctim.tv_nsec};
    uint64_t h = 1469598103934665603U;
    for (size_t i = 0; i < BASE_ARRAY_CNT(words); i++)
        h = (h ^ words[i]) * 1099511628211U ^ h >> 29;
    return h;
}

static uint64_t look_at_all(const struct gateway_tls *t, const struct conf *conf,
                            struct opener *opener)
{
    const struct conf *started = t->started->conf;
    uint64_t h = conf->certificate_cnt;

    for (uint32_t i = 0; i < started->listener_cnt; i++)
        if (started->listener[i].tls_client_ca != NULL)
            h = (h ^ look(opener, started->listener[i].tls_client_ca)) * 1099511628211U;

    for (uint32_t i = 0; i < conf->certificate_cnt; i++) {
        h = (h ^ look(opener, conf->certificate[i].chain)) * 1099511628211U;
        h = (h ^ look(opener, conf->certificate[i].key)) * 1099511628211U;
    }
    if (gateway_tls_trust_wanted(conf) && conf->delivery.ca_file != NULL)
        h = (h ^ look(opener, conf->delivery.ca_file)) * 1099511628211U;
    return h;
}

bool gateway_tls_changed(struct gateway_tls *t, const struct conf *conf, struct opener *opener)
{
    if (t->lane_cnt == 0)
        return false;
    uint64_t now = look_at_all(t, conf, opener);
    return now != t->seen && now != t->failed;
}

/* ---- contexts ---- */

static const char *given(const char *text)
{
    return text != NULL && text[0] != 0 ? text : NULL;
}

static struct base_span span_of(const struct certificate_pair *p, int which)
{
    return base_span_of(p->file[which].text, p->file[which].len);
}

struct tls_policy_spec gateway_tls_policy(const struct conf_listener *l)
{
    return (struct tls_policy_spec){
        .label = l->name,
        .tickets = (uint8_t)l->tls_tickets,
        .alpn = l->tls_alpn == CONF_TLS_ALPN_IGNORE ? TLS_ALPN_IGNORE : TLS_ALPN_STRICT,
        .version_min = l->tls_min == CONF_TLS_MIN_13 ? TLS_VERSION_13 : TLS_VERSION_12,
        .ciphers = given(l->tls_ciphers),
        .ciphersuites = given(l->tls_ciphersuites),
        .groups = given(l->tls_groups),
    };
}

/* Contexts for one lane. NULL: why says it. */
static struct gateway_tls_domain *build(struct gateway_tls *t, uint32_t lane,
                                        const struct tls_domain_spec *spec,
                                        const struct dane_trust *trust,
                                        char why[GATEWAY_TLS_WHY_CAP])
{
    struct gateway_tls_domain *d = calloc(1, sizeof(*d));

    snprintf(why, GATEWAY_TLS_WHY_CAP, "memory is short");
    if (d == NULL)
        return NULL;
    d->lane = lane;
    if (trust != NULL && (d->trust = dane_trust_share(trust)) == NULL) {
        free(d);
        return NULL;
    }
    d->tls = tls_domain_build(t->lane[lane]->engine, spec, why, GATEWAY_TLS_WHY_CAP);
    if (d->tls != NULL)
        return d;
    dane_trust_free(d->trust);
    free(d);
    return NULL;
}

static bool build_all(struct gateway_tls *t, const struct conf *conf,
                      const struct certificate_pair *pairs, const struct certificate_file *ca,
                      const struct dane_trust *trust, struct gateway_tls_domain **out,
                      char why[GATEWAY_TLS_WHY_CAP])
{
    const struct conf *started = t->started->conf;
    struct tls_certificate_spec *c = calloc(conf->certificate_cnt + 1, sizeof(*c));
    struct tls_policy_spec *p = calloc(started->listener_cnt + CLIENT_POLICIES, sizeof(*p));
    struct tls_domain_spec spec = {.certificates = c,
                                   .certificate_cnt = conf->certificate_cnt,
                                   .policies = p,
                                   .now_s = (int64_t)(loop_wall_ns() / BASE_NS_S)};
    bool ok = c != NULL && p != NULL;

    for (uint32_t i = 0; ok && i < conf->certificate_cnt; i++)
        c[i] = (struct tls_certificate_spec){
            .label = conf->certificate[i].name,
            .chain_pem = span_of(&pairs[i], CERTIFICATE_CHAIN),
            .key_pem = span_of(&pairs[i], CERTIFICATE_KEY),
        };
    for (uint32_t i = 0; ok && i < started->listener_cnt && conf->certificate_cnt > 0; i++)
        if (t->started->listeners[i].tls != CONF_TLS_NONE) {
            p[spec.policy_cnt] = gateway_tls_policy(&started->listener[i]);
            p[spec.policy_cnt++].client_ca_pem = base_span_of(ca[i].text, ca[i].len);
        }
    t->client_policy = spec.policy_cnt;
    for (uint32_t i = 0; ok && i < CLIENT_POLICIES; i++)
        p[spec.policy_cnt++] = (struct tls_policy_spec){
            .label = "next hops", .client = true, .small = i == 1, .version_min = TLS_VERSION_12};
    for (uint32_t i = 0; ok && i < t->lane_cnt; i++)
        ok = (out[i] = build(t, i, &spec, trust, why)) != NULL;
    free(c);
    free(p);
    return ok;
}

/* ---- handing over ---- */

static struct gateway_tls_domain *find(struct gateway_tls *t, const struct tls_domain *tls)
{
    struct gateway_tls_domain *d = t->domains;

    while (d != NULL && d->tls != tls)
        d = d->next;
    return d;
}

/* The update is the lane's no more; it was taken or not. */
static void forget(struct gateway_tls *t, uint32_t lane, bool taken)
{
    struct lane_tls_update *u = &t->update[lane];
    struct gateway_tls_domain *d = find(t, u->domain);

    if (taken && d != NULL)
        d->taken = true;
    t->posted[lane] = false;
    explicit_bzero(u->ticket, sizeof(u->ticket));
}

/* Takes back what the lane has not taken; one that it is just taking is waited for, which is a
 * matter of some instructions of its. */
static void recall(struct gateway_tls *t, uint32_t lane)
{
    struct lane_tls_update *u = &t->update[lane];

    if (!t->posted[lane])
        return;
    bool back = atomic_exchange_explicit(&t->lane[lane]->next, NULL, memory_order_acq_rel) == u;
    while (!back && !atomic_load_explicit(&u->taken, memory_order_acquire))
        sched_yield();
    forget(t, lane, !back);
}

/* Tells the lane what is in use now. */
static void post(struct gateway_tls *t, uint32_t lane)
{
    struct lane_tls_update *u = &t->update[lane];

    recall(t, lane);
    u->domain = t->domain[lane] != NULL ? t->domain[lane]->tls : NULL;
    u->trust = t->domain[lane] != NULL ? t->domain[lane]->trust : NULL;
    u->client_policy = t->client_policy;
    u->accepts = gateway_tls_certificate(t, 0) != NULL;
    memcpy(u->ticket, t->ticket, sizeof(u->ticket));
    u->ticket_cnt = t->ticket_cnt;
    atomic_store_explicit(&u->taken, false, memory_order_relaxed);
    t->posted[lane] = true;
    atomic_store_explicit(&t->lane[lane]->next, u, memory_order_release);
}

static void free_domain(struct gateway_tls_domain *d)
{
    if (d == NULL)
        return;
    tls_domain_free(d->tls);
    dane_trust_free(d->trust);
    free(d);
}

static void reap(struct gateway_tls *t)
{
    struct gateway_tls_domain **link = &t->domains;

    for (uint32_t i = 0; i < t->lane_cnt; i++)
        if (t->posted[i] && atomic_load_explicit(&t->update[i].taken, memory_order_acquire))
            forget(t, i, true);
    while (*link != NULL) {
        struct gateway_tls_domain *d = *link;
        bool in_use = d == t->domain[d->lane] || (d->taken && !tls_domain_released(d->tls));
        if (in_use) {
            link = &d->next;
            continue;
        }
        *link = d->next;
        free_domain(d);
    }
}

static bool new_ticket_key(struct gateway_tls *t, uint64_t now_ns)
{
    struct tls_ticket_key key;

    if (getrandom(&key, sizeof(key), 0) != sizeof(key))
        return false;
    t->ticket[1] = t->ticket[0];
    t->ticket[0] = key;
    t->ticket_cnt = t->ticket_cnt < 2 ? t->ticket_cnt + 1 : 2;
    t->ticket_ns = now_ns;
    explicit_bzero(&key, sizeof(key));
    return true;
}

/* What was read before goes, as what is in use does. */
static void keep_chains(struct gateway_tls *t, struct certificate_pair *pairs, uint32_t cnt)
{
    for (uint32_t i = 0; i < TLS_CERTIFICATE_MAX; i++) {
        free(t->chain[i].p);
        t->chain[i] = (struct base_buf){0};
        if (i >= cnt)
            continue;
        struct certificate_file *chain = &pairs[i].file[CERTIFICATE_CHAIN];
        t->chain[i] = (struct base_buf){.p = chain->text, .len = chain->len};
        chain->text = NULL;
    }
}

int gateway_tls_load(struct gateway_tls *t, const struct conf *conf, struct opener *opener,
                     char why[GATEWAY_TLS_WHY_CAP])
{
    struct gateway_tls_domain *built[TOPOLOGY_LANE_MAX] = {0};
    const struct conf *started = t->started->conf;
    struct certificate_pair *pairs = calloc(conf->certificate_cnt + 1, sizeof(*pairs));
    struct certificate_file *ca = calloc(started->listener_cnt + 1, sizeof(*ca));
    struct dane_trust *trust = NULL;
    int error = pairs == NULL || ca == NULL ? -ENOMEM : 0;
    uint64_t looked = look_at_all(t, conf, opener);

    snprintf(why, GATEWAY_TLS_WHY_CAP, "memory is short");
    for (uint32_t i = 0; i < conf->certificate_cnt && error == 0; i++)
        error = read_pair(&pairs[i], &conf->certificate[i], opener, why);
    if (error == 0)
        error = gateway_tls_trust_read(&trust, conf, opener, why);
    if (error == 0)
        error = read_authorities(ca, started, opener, why);
    if (error == 0 && !build_all(t, conf, pairs, ca, trust, built, why))
        error = -EINVAL;
    dane_trust_free(trust);
    free_authorities(ca, started->listener_cnt);
    if (error == 0)
        keep_chains(t, pairs, conf->certificate_cnt);
    wipe(pairs, pairs != NULL ? conf->certificate_cnt : 0);
    if (error != 0) {
        for (uint32_t i = 0; i < TOPOLOGY_LANE_MAX; i++)
            free_domain(built[i]);
        t->failed = looked; /* maybe by a configuration that is not taken: seen is of the other */
        return error;
    }
    t->seen = looked;
    for (uint32_t i = 0; i < TOPOLOGY_LANE_MAX; i++)
        if (built[i] != NULL) {
            built[i]->next = t->domains;
            t->domains = built[i];
        }
    for (uint32_t i = 0; i < t->lane_cnt; i++) {
        t->domain[i] = built[i];
        post(t, i);
    }
    return 0;
}

void gateway_tls_tend(struct gateway_tls *t, uint64_t now_ns)
{
    reap(t);
    if (t->lane_cnt == 0 || now_ns - t->ticket_ns < TICKET_CHANGE_NS || !new_ticket_key(t, now_ns))
        return;
    for (uint32_t i = 0; i < t->lane_cnt; i++)
        post(t, i);
}

/* ---- start and end ---- */

int gateway_tls_init(struct gateway_tls *t, const struct settings *started,
                     struct topology *topology)
{
    uint8_t key[16];
    int error = 0;

    memset(t, 0, sizeof(*t));
    t->started = started;
    if (!new_ticket_key(t, loop_now_ns()) || getrandom(key, sizeof(key), 0) != sizeof(key))
        return -EIO;
    if (topology->keyop_cnt > 0)
        error = gateway_tls_open_pool(t, topology);
    while (error == 0 && t->lane_cnt < topology->lane_cnt) {
        error = gateway_tls_open_lane(t, t->lane_cnt, topology, key);
        t->lane_cnt += error == 0;
    }
    return error;
}

void gateway_tls_fini(struct gateway_tls *t)
{
    for (uint32_t i = 0; i < t->lane_cnt; i++) {
        if (t->posted[i])
            forget(t, i, atomic_load_explicit(&t->update[i].taken, memory_order_acquire));
        t->domain[i] = NULL;
    }
    while (t->domains != NULL) { /* all are released: the lanes have left */
        struct gateway_tls_domain *d = t->domains;
        t->domains = d->next;
        free_domain(d);
    }
    for (uint32_t i = 0; i < t->lane_cnt; i++)
        gateway_tls_close_lane(t, i);
    gateway_tls_close_pool(t);
    keep_chains(t, NULL, 0);
    explicit_bzero(t->ticket, sizeof(t->ticket));
    t->lane_cnt = 0;
}

/* ---- what is known of certificates ---- */

const struct tls_certificate_info *gateway_tls_certificate(const struct gateway_tls *t, uint32_t i)
{
    return t->lane_cnt > 0 && t->domain[0] != NULL ? tls_domain_certificate(t->domain[0]->tls, i)
                                                   : NULL;
}

struct base_span gateway_tls_chain(const struct gateway_tls *t, uint32_t i)
{
    return i < TLS_CERTIFICATE_MAX ? base_buf_span(&t->chain[i]) : base_span_of(NULL, 0);
}

uint64_t gateway_tls_days(const struct tls_certificate_info *info, int64_t now_s)
{
    return info->not_after_s > now_s ? (uint64_t)(info->not_after_s - now_s) / 86400 : 0;
}

bool gateway_tls_names(const struct tls_certificate_info *info, const char *host)
{
    const char *dot = strchr(host, '.');

    for (uint32_t i = 0; i < info->name_cnt; i++) {
        const char *name = info->name[i];
        if (strcasecmp(name, host) == 0)
            return true;
        if (name[0] == '*' && name[1] == '.' && dot != NULL && strcasecmp(name + 1, dot) == 0)
            return true;
    }
    return false;
}
