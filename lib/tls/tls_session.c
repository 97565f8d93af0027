/*
 * Sessions of TLS that servers have given us (RFC 8446 section 4.6.1, RFC 5077), each under the
 * caller's key, so that a later connection with the same key can do without certificates and
 * signatures. One of TLS 1.3 is used once (RFC 8446 section C.4), and the server gives another; one
 * of TLS 1.2 stays until its time is over, or the server renews its ticket.
 *
 * Bounded by number, by those of one key, and by the bytes of each; the one that was kept or used
 * longest ago gives way. A session holds the certificates that its server has shown; it goes when
 * the first of them expires.
 */
#include "tls_internal.h"

#include "base_lines.h"
#include "dane_trust.h"

#include <stdlib.h>

#include <openssl/err.h>

#define KEY_MAX       32 /* of one key: connections to one server are opened side by side */
#define SESSION_BYTES (16 * 1024) /* its certificates and its ticket */
#define SESSION_S     7200        /* no longer, whatever the server says */

/* One that is kept. */
struct tls_session {
    struct base_list same_bucket, by_use;
    uint64_t key;
    SSL_SESSION *session;
    const struct tls_domain *domain; /* whose library context has made it */
    int64_t until_s;
};

bool tls_sessions_init(struct tls_sessions *t, uint32_t max)
{
    uint32_t bucket_cnt = 1;

    *t = (struct tls_sessions){.max = max};
    base_list_init(&t->by_use);
    if (max == 0)
        return true;
    while (bucket_cnt < max)
        bucket_cnt *= 2;
    t->bucket_mask = bucket_cnt - 1;
    t->bucket = base_lines_new(bucket_cnt * sizeof(t->bucket[0]));
    if (t->bucket == NULL ||
        base_pool_init(&t->pool, max, sizeof(struct tls_session), _Alignof(struct tls_session),
                       sizeof(struct tls_session)) != 0) {
        free(t->bucket);
        t->bucket = NULL;
        return false;
    }
    for (uint32_t i = 0; i < bucket_cnt; i++)
        base_list_init(&t->bucket[i]);
    return true;
}

void tls_sessions_fini(struct tls_sessions *t)
{
    base_assert(base_list_empty(&t->by_use));
    if (t->bucket == NULL)
        return;
    base_pool_fini(&t->pool);
    free(t->bucket);
    t->bucket = NULL;
}

static void drop(struct tls_lane *l, struct tls_session *s)
{
    base_list_remove(&s->same_bucket);
    base_list_remove(&s->by_use);
    SSL_SESSION_free(s->session);
    base_pool_put(&l->sessions.pool, s);
    l->sessions.cnt--;
    stats_set(l->stats, STATS_TLS_SESSIONS, l->sessions.cnt);
}

void tls_sessions_forget(struct tls_lane *l, const struct tls_domain *d)
{
    struct base_list *at = l->sessions.by_use.next;

    while (at != &l->sessions.by_use) {
        struct tls_session *s = base_container_of(at, struct tls_session, by_use);
        at = at->next;
        if (d == NULL || s->domain == d)
            drop(l, s);
    }
}

static struct base_list *bucket_of(struct tls_sessions *t, uint64_t key)
{
    return &t->bucket[key & t->bucket_mask];
}

/* The newest of a key is the first in its bucket. */
static struct tls_session *find(struct tls_lane *l, const struct tls_domain *d, uint64_t key,
                                int64_t now_s)
{
    struct base_list *bucket = bucket_of(&l->sessions, key), *at = bucket->next;

    while (at != bucket) {
        struct tls_session *s = base_container_of(at, struct tls_session, same_bucket);
        at = at->next;
        if (s->key != key || s->domain != d)
            continue;
        if (now_s < s->until_s && SSL_SESSION_is_resumable(s->session))
            return s;
        drop(l, s);
    }
    return NULL;
}

/* ---- keeping ---- */

/* Until when what the server has shown is good, as far as dates go; 0: not to be kept. */
static int64_t good_until(SSL *ssl, SSL_SESSION *session, int64_t now_s)
{
    STACK_OF(X509) *shown = SSL_get_peer_cert_chain(ssl);
    int cnt = shown != NULL ? sk_X509_num(shown) : 0;
    int64_t until_s = now_s + SESSION_S;
    const unsigned char *ticket;
    size_t bytes;

    SSL_SESSION_get0_ticket(session, &ticket, &bytes);
    if (cnt == 0 || bytes > SESSION_BYTES)
        return 0;
    for (int i = 0; i < cnt; i++) {
        const X509 *x = sk_X509_value(shown, i);
        int len = i2d_X509(x, NULL);
        int64_t end_s = dane_unix_time(X509_get0_notAfter(x));
        until_s = end_s < until_s ? end_s : until_s;
        bytes += len > 0 ? (size_t)len : SESSION_BYTES + 1;
    }
    return bytes <= SESSION_BYTES && until_s > now_s ? until_s : 0;
}

/* The oldest of a key that has as many as it may. */
static struct tls_session *surplus_of(struct tls_lane *l, uint64_t key)
{
    struct tls_session *oldest = NULL;
    uint32_t cnt = 0;

    base_list_each (at, bucket_of(&l->sessions, key)) {
        struct tls_session *s = base_container_of(at, struct tls_session, same_bucket);
        if (s->key != key)
            continue;
        oldest = s;
        cnt++;
    }
    return cnt >= KEY_MAX ? oldest : NULL;
}

/* OpenSSL's callback: a server has given one. Returns 1 where it is kept, with its reference. */
int tls_session_given(SSL *ssl, SSL_SESSION *session)
{
    struct tls_conn *c = BIO_get_data(SSL_get_rbio(ssl));
    struct tls_lane *l = c->lane;
    struct tls_sessions *t = &l->sessions;
    int64_t until_s;

    if (c->session_key == 0 || c->domain->retired || !SSL_SESSION_is_resumable(session) ||
        (until_s = good_until(ssl, session, c->session_now_s)) == 0)
        return 0;
    struct tls_session *old = surplus_of(l, c->session_key);
    if (old == NULL && t->cnt == t->max)
        old = base_container_of(t->by_use.next, struct tls_session, by_use);
    if (old != NULL)
        drop(l, old);
    struct tls_session *s = base_pool_get(&t->pool);
    base_assert(s != NULL); /* there are max of them */
    *s = (struct tls_session){
        .key = c->session_key, .session = session, .domain = c->domain, .until_s = until_s};
    base_list_init(&s->same_bucket);
    base_list_init(&s->by_use);
    base_list_push_front(bucket_of(t, s->key), &s->same_bucket);
    base_list_push_back(&t->by_use, &s->by_use);
    t->cnt++;
    stats_set(l->stats, STATS_TLS_SESSIONS, t->cnt);
    return 1;
}

/* ---- using ---- */

void tls_conn_offer(struct tls_conn *c, uint64_t key, int64_t now_s)
{
    struct tls_lane *l = c->lane;
    struct tls_session *s;

    base_assert(c->client && c->state == TLS_HANDSHAKE);
    if (l->sessions.max == 0 || key == 0 || c->domain->retired)
        return;
    c->session_key = key;
    c->session_now_s = now_s;
    SSL_clear_options(c->ssl, SSL_OP_NO_TICKET);
    if ((s = find(l, c->domain, key, now_s)) == NULL)
        return;
    SSL_SESSION *one = s->session;
    /* OpenSSL lets each object of TLS 1.3 be used once. */
    if (l->settings.session_reuse && (one = SSL_SESSION_dup(s->session)) == NULL)
        return;
    c->offered = SSL_set_session(c->ssl, one) == 1;
    if (one != s->session)
        SSL_SESSION_free(one);
    stats_add(l->stats, STATS_TLS_OFFERED, c->offered);
    ERR_clear_error();
    if (SSL_SESSION_get_protocol_version(s->session) >= TLS1_3_VERSION &&
        !l->settings.session_reuse)
        return drop(l, s);
    base_list_remove(&s->by_use);
    base_list_push_back(&l->sessions.by_use, &s->by_use);
}

bool tls_conn_forget(struct tls_conn *c)
{
    struct tls_session *s;

    if (c->session_key == 0)
        return false;
    while ((s = find(c->lane, c->domain, c->session_key, INT64_MIN)) != NULL)
        drop(c->lane, s);
    c->session_key = 0;
    return c->offered;
}
