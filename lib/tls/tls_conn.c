/*
 * One connection: OpenSSL's state machine, driven by bytes.
 *
 * A step of a handshake is one call of SSL_do_handshake. It ends for want of input or of room, or
 * because its job is parked on a private-key operation (tls_lane.c); then OpenSSL is called for
 * this connection only to resume it. Everything OpenSSL reports it reports through a queue of
 * errors that belongs to the thread, so that it is emptied before each call.
 */
#include "tls_internal.h"

#include <openssl/err.h>

#define FIRST_BYTES (1 << 20)

/* ---- state ---- */

static const uint8_t allowed[TLS_STATE_CNT] = {
    [TLS_HANDSHAKE] = 1 << TLS_OPEN | 1 << TLS_FAILED,
    [TLS_OPEN] = 1 << TLS_CLOSING | 1 << TLS_CLOSED | 1 << TLS_FAILED,
    [TLS_CLOSING] = 1 << TLS_CLOSED | 1 << TLS_FAILED,
    [TLS_CLOSED] = 1 << TLS_FAILED,
};

static void change_state(struct tls_conn *c, enum tls_state state)
{
    base_assert(allowed[c->state] & 1 << state);
    c->state = (uint8_t)state;
    if (c->handshaking) {
        stats_add(c->lane->stats, STATS_TLS_HANDSHAKE_FAILED, state == TLS_FAILED);
        c->handshaking = false;
        c->lane->handshake_cnt--;
        stats_set(c->lane->stats, STATS_TLS_HANDSHAKING, c->lane->handshake_cnt);
    }
    if (state == TLS_FAILED || state == TLS_CLOSED)
        c->want = TLS_WANT_NOTHING;
}

static void fail(struct tls_conn *c, enum tls_reason reason)
{
    static const enum stats_id counters[TLS_REASON_CNT] = {
        [TLS_REASON_NONE] = STATS_TLS_FAILED_INTERNAL,
        [TLS_REASON_NOT_TLS] = STATS_TLS_FAILED_NOT_TLS,
        [TLS_REASON_PROTOCOL] = STATS_TLS_FAILED_PROTOCOL,
        [TLS_REASON_VERSION] = STATS_TLS_FAILED_VERSION,
        [TLS_REASON_CIPHER] = STATS_TLS_FAILED_CIPHER,
        [TLS_REASON_ALPN] = STATS_TLS_FAILED_ALPN,
        [TLS_REASON_CERTIFICATE] = STATS_TLS_FAILED_CERTIFICATE,
        [TLS_REASON_ALERT] = STATS_TLS_FAILED_ALERT,
        [TLS_REASON_TRUNCATED] = STATS_TLS_FAILED_TRUNCATED,
        [TLS_REASON_FLOOD] = STATS_TLS_FAILED_FLOOD,
        [TLS_REASON_KEYOP] = STATS_TLS_FAILED_KEYOP,
        [TLS_REASON_MEMORY] = STATS_TLS_FAILED_MEMORY,
        [TLS_REASON_INTERNAL] = STATS_TLS_FAILED_INTERNAL,
    };

    if (c->state == TLS_FAILED)
        return;
    c->reason = (uint8_t)reason;
    stats_inc(c->lane->stats, counters[reason]);
    change_state(c, TLS_FAILED);
    tls_lane_unqueue(c->lane, c);
}

/* ---- opening and closing ---- */

/* Clearing goes through all entries of the queue; it is empty, as a rule. */
static void clear_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}

/* Between these two OpenSSL may call the BIO and our provider. */
static void enter(struct tls_conn *c, struct base_span in, struct base_buf *out)
{
    c->in = in;
    c->out = out;
    c->lane->current = c;
    clear_errors();
}

static void leave(struct tls_conn *c)
{
    c->in = base_span_of(NULL, 0);
    c->out = NULL;
    c->lane->current = NULL;
}

/* What OpenSSL shows of each message. Alerts, key updates and new attempts at a handshake cost work
 * and carry no data. */
static void on_message(int sent, int version, int type, const void *bytes, size_t len, SSL *ssl,
                       void *arg)
{
    struct tls_conn *c = arg;

    (void)version, (void)bytes, (void)len, (void)ssl;
    if (c->state == TLS_HANDSHAKE)
        stats_add(c->lane->stats, STATS_TLS_ALERTS_SENT, sent && type == SSL3_RT_ALERT);
    else if (type == SSL3_RT_ALERT || (!sent && type == SSL3_RT_HANDSHAKE))
        c->noise_cnt++;
    if (!sent && type == SSL3_RT_ALERT && len == 2 && ((const uint8_t *)bytes)[0] == 2) {
        c->alerted = true;
        c->alert = ((const uint8_t *)bytes)[1];
    }
}

static bool open_ssl(struct tls_conn *c)
{
    struct tls_lane *l = c->lane;

    c->ssl = SSL_new(c->domain->policy[c->policy].context[0]);
    c->bio = c->ssl != NULL ? tls_bio_new(c->domain->bio_method, c) : NULL;
    if (c->bio == NULL)
        return false;
    SSL_set_bio(c->ssl, c->bio, c->bio);
    if (l->parking && !c->client)
        SSL_set_mode(c->ssl, SSL_MODE_ASYNC);
    SSL_set_msg_callback(c->ssl, on_message);
    SSL_set_msg_callback_arg(c->ssl, c);
    if (c->client) {
        SSL_set_connect_state(c->ssl);
        return true;
    }
    SSL_set_accept_state(c->ssl);
    if (l->ticket_cnt > 0)
        return true;
    SSL_set_options(c->ssl, SSL_OP_NO_TICKET);
    return SSL_set_num_tickets(c->ssl, 0) == 1;
}

static struct tls_conn *open_conn(struct tls_lane *l, struct tls_domain *d, uint32_t policy,
                                  bool client, void *cookie)
{
    struct tls_conn *c;

    base_assert(policy < d->policy_cnt && d->policy[policy].client == client);
    if (l->handshake_cnt >= l->settings.handshake_max || (c = base_pool_get(&l->conns)) == NULL) {
        stats_inc(l->stats, STATS_TLS_REFUSED_FULL);
        return NULL;
    }
    tls_lane_enter(l, d);
    c->lane = l;
    c->domain = d;
    c->policy = (uint16_t)policy;
    c->client = client;
    c->cookie = cookie;
    c->want = client ? TLS_WANT_ROOM : TLS_WANT_INPUT;
    base_list_init(&c->place);
    tls_domain_hold(d);
    c->handshaking = true;
    l->handshake_cnt++;
    stats_inc(l->stats, STATS_TLS_BEGUN);
    l->conn_cnt++;
    ERR_clear_error();
    if (!open_ssl(c)) {
        stats_inc(l->stats, STATS_TLS_REFUSED_MEMORY);
        tls_conn_close(c);
        return NULL;
    }
    stats_set(l->stats, STATS_TLS_HANDSHAKING, l->handshake_cnt);
    stats_set(l->stats, STATS_TLS_CONNECTIONS, l->conn_cnt);
    return c;
}

struct tls_conn *tls_conn_accept(struct tls_lane *lane, struct tls_domain *domain, uint32_t policy,
                                 void *cookie)
{
    return open_conn(lane, domain, policy, false, cookie);
}

/* What SSL_set_tlsext_host_name does, whose cast drops a const. */
static bool name_server(SSL *ssl, const char *name)
{
    return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                    (void *)(uintptr_t)name) == 1;
}

struct tls_conn *tls_conn_connect(struct tls_lane *lane, struct tls_domain *domain, uint32_t policy,
                                  const char *name, void *cookie)
{
    struct tls_conn *c = open_conn(lane, domain, policy, true, cookie);

    if (c != NULL && name != NULL && !name_server(c->ssl, name)) {
        stats_inc(lane->stats, STATS_TLS_REFUSED_MEMORY);
        tls_conn_close(c);
        return NULL;
    }
    return c;
}

void tls_conn_close(struct tls_conn *c)
{
    struct tls_lane *l = c->lane;
    struct tls_domain *d = c->domain;

    if (c->parked) {
        /* A job that is not finished cannot be freed: it fails first. */
        tls_lane_cancel(l, c);
        enter(c, base_span_of(NULL, 0), NULL);
        (void)SSL_do_handshake(c->ssl);
        leave(c);
        base_assert(!c->parked && !SSL_waiting_for_async(c->ssl));
    }
    tls_lane_unqueue(l, c);
    tls_ahead_drop(c);
    if (c->handshaking) {
        l->handshake_cnt--;
        stats_inc(l->stats, STATS_TLS_ABANDONED);
    }
    l->conn_cnt--;
    stats_set(l->stats, STATS_TLS_HANDSHAKING, l->handshake_cnt);
    stats_set(l->stats, STATS_TLS_CONNECTIONS, l->conn_cnt);
    /* OpenSSL takes a connection without close_notify as a reason against its session. */
    if (c->client && (c->state != TLS_FAILED || c->reason == TLS_REASON_TRUNCATED))
        SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(c->ssl);
    ERR_clear_error();
    base_pool_put(&l->conns, c);
    tls_domain_drop(d);
}

/* ---- the handshake ---- */

static enum stats_id count_of_cipher(const SSL *ssl)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);

    switch (cipher != NULL ? SSL_CIPHER_get_cipher_nid(cipher) : NID_undef) {
    case NID_aes_128_gcm:
        return STATS_TLS_CIPHER_AES128;
    case NID_aes_256_gcm:
        return STATS_TLS_CIPHER_AES256;
    case NID_chacha20_poly1305:
        return STATS_TLS_CIPHER_CHACHA20;
    default:
        return STATS_TLS_CIPHER_OTHER;
    }
}

/* The server's key: EVP_PKEY_is_a, as ours are of a provider that knows no numbers. */
static enum stats_id count_of_key(const struct tls_conn *c)
{
    if (SSL_session_reused(c->ssl))
        return STATS_TLS_KEY_RESUMED;
    X509 *server = c->client ? SSL_get0_peer_certificate(c->ssl) : SSL_get_certificate(c->ssl);
    EVP_PKEY *key = server != NULL ? X509_get0_pubkey(server) : NULL;
    if (key != NULL && EVP_PKEY_is_a(key, "EC"))
        return STATS_TLS_KEY_EC;
    return key != NULL && EVP_PKEY_is_a(key, "RSA") ? STATS_TLS_KEY_RSA : STATS_TLS_KEY_OTHER;
}

static void established(struct tls_conn *c)
{
    struct stats_block *stats = c->lane->stats;

    SSL_clear_mode(c->ssl, SSL_MODE_ASYNC);
    change_state(c, TLS_OPEN);
    c->want = TLS_WANT_INPUT;
    stats_inc(stats, c->client ? STATS_TLS_CONNECTED : STATS_TLS_ACCEPTED);
    if (SSL_session_reused(c->ssl))
        stats_inc(stats, STATS_TLS_RESUMED);
    stats_inc(stats,
              SSL_version(c->ssl) == TLS1_2_VERSION ? STATS_TLS_VERSION_12 : STATS_TLS_VERSION_13);
    stats_inc(stats, count_of_cipher(c->ssl));
    stats_inc(stats, count_of_key(c));
}

static void fail_by_queue(struct tls_conn *c)
{
    enum tls_reason reason = tls_reason_take();

    if (c->sign_failed)
        reason = TLS_REASON_KEYOP;
    fail(c, reason);
}

/* Whether this call may make a step; otherwise want says what for it waits. */
static bool may_step(struct tls_conn *c)
{
    struct tls_lane *l = c->lane;

    if (c->parked && c->op != NULL && !c->op->done)
        return false;
    if (!c->granted) {
        if (base_list_linked(&c->place)) /* tls_lane_run tells */
            return false;
        if (c->want == TLS_WANT_INPUT && c->in.len == 0)
            return false;
        if (!c->peeked && tls_ahead_peek(c)) {
            tls_lane_turn(l, c);
            c->want = TLS_WANT_TURN;
            return false;
        }
        if (l->step_left == 0 || !base_list_empty(&l->turn)) {
            tls_lane_turn(l, c);
            c->want = TLS_WANT_TURN;
            stats_inc(l->stats, STATS_TLS_TURNS);
            return false;
        }
        l->step_left--;
    }
    c->granted = false;
    return true;
}

static void step(struct tls_conn *c)
{
    tls_kex_plain_fill(&c->domain->kex_plain);
    int rc = SSL_do_handshake(c->ssl), error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(c->ssl, rc);

    if (error != SSL_ERROR_WANT_ASYNC_JOB) /* then nothing was done */
        tls_ahead_drop(c);
    switch (error) {
    case SSL_ERROR_NONE:
        return established(c);
    case SSL_ERROR_WANT_READ:
        c->want = TLS_WANT_INPUT;
        return;
    case SSL_ERROR_WANT_WRITE:
        c->want = TLS_WANT_ROOM;
        return;
    case SSL_ERROR_WANT_ASYNC:
        c->want = TLS_WANT_KEYOP;
        return;
    case SSL_ERROR_WANT_ASYNC_JOB: /* as many are parked as may be */
        c->want = TLS_WANT_TURN;
        stats_inc(c->lane->stats, STATS_TLS_NO_JOB);
        return tls_lane_turn(c->lane, c);
    case SSL_ERROR_ZERO_RETURN:
        c->alerted = true;
        return fail(c, TLS_REASON_ALERT);
    default:
        return fail_by_queue(c);
    }
}

/* ---- data ---- */

static bool too_noisy(struct tls_conn *c)
{
    if (c->read_bytes - c->noise_at >= FIRST_BYTES) {
        c->noise_at = c->read_bytes;
        c->noise_cnt = 0;
    }
    return c->noise_cnt > TLS_NOISE_MAX;
}

static void read_plain(struct tls_conn *c, struct base_buf *plain)
{
    size_t n;

    while (c->state == TLS_OPEN || c->state == TLS_CLOSING) {
        if (plain->len == plain->cap) {
            bool left = c->in.len > 0 || SSL_pending(c->ssl) > 0;
            c->want = left ? TLS_WANT_ROOM : TLS_WANT_INPUT;
            return;
        }
        /* A call that finds nothing would take a record's buffer and give it back. */
        if (c->in.len == 0 && c->want != TLS_WANT_ROOM && SSL_pending(c->ssl) == 0) {
            c->want = TLS_WANT_INPUT;
            break;
        }
        int rc = SSL_read_ex(c->ssl, plain->p + plain->len, plain->cap - plain->len, &n);
        if (rc == 1) {
            plain->len += n;
            c->read_bytes += n;
            continue;
        }
        switch (SSL_get_error(c->ssl, rc)) {
        case SSL_ERROR_WANT_READ:
            c->want = TLS_WANT_INPUT;
            break;
        case SSL_ERROR_WANT_WRITE: /* an answer, to a key update */
            c->want = TLS_WANT_ROOM;
            break;
        case SSL_ERROR_ZERO_RETURN:
            stats_inc(c->lane->stats, STATS_TLS_CLOSE_NOTIFIES);
            change_state(c, TLS_CLOSED);
            return;
        default:
            fail_by_queue(c);
            return;
        }
        break;
    }
    if (too_noisy(c))
        fail(c, TLS_REASON_FLOOD);
}

enum tls_state tls_conn_decode(struct tls_conn *c, struct base_span in, size_t *consumed,
                               struct base_buf *plain, struct base_buf *out)
{
    enter(c, in, out);
    if (c->state == TLS_HANDSHAKE && may_step(c))
        step(c);
    if (c->state == TLS_OPEN || c->state == TLS_CLOSING)
        read_plain(c, plain);
    /* Behind the end nothing is looked at, and never as clear text. */
    *consumed = c->state == TLS_CLOSED || c->state == TLS_FAILED ? in.len : in.len - c->in.len;
    leave(c);
    return c->state;
}

enum tls_state tls_conn_encode(struct tls_conn *c, struct base_span plain, size_t *consumed,
                               struct base_buf *out)
{
    size_t done = 0;

    *consumed = 0;
    if (c->notified || (c->state != TLS_OPEN && c->state != TLS_CLOSED))
        return c->state;
    enter(c, base_span_of(NULL, 0), out);
    while (*consumed < plain.len && out->cap - out->len > TLS_RECORD_OVERHEAD) {
        /* No more than what fits as a whole record: OpenSSL keeps nothing back. */
        size_t n = plain.len - *consumed, room = out->cap - out->len - TLS_RECORD_OVERHEAD;
        n = n < room ? n : room;
        n = n < TLS_RECORD_MAX ? n : TLS_RECORD_MAX;
        int rc = SSL_write_ex(c->ssl, plain.p + *consumed, n, &done);
        if (rc == 1) {
            *consumed += done;
            continue;
        }
        if (SSL_get_error(c->ssl, rc) != SSL_ERROR_WANT_WRITE)
            fail_by_queue(c);
        break;
    }
    leave(c);
    return c->state;
}

void tls_conn_shutdown(struct tls_conn *c, struct base_buf *out)
{
    if (c->notified || (c->state != TLS_OPEN && c->state != TLS_CLOSED) ||
        out->cap - out->len < TLS_RECORD_OVERHEAD)
        return;
    enter(c, base_span_of(NULL, 0), out);
    (void)SSL_shutdown(c->ssl); /* 0: sent, the peer's has not come */
    leave(c);
    c->notified = true;
    if (c->state == TLS_OPEN)
        change_state(c, TLS_CLOSING);
}

enum tls_state tls_conn_ended(struct tls_conn *c)
{
    if (c->state == TLS_CLOSING)
        change_state(c, TLS_CLOSED); /* nothing was asked of it any more */
    else if (c->state == TLS_HANDSHAKE || c->state == TLS_OPEN)
        fail(c, TLS_REASON_TRUNCATED);
    return c->state;
}

/* ---- what is known of it ---- */

enum tls_state tls_conn_state(const struct tls_conn *c)
{
    return c->state;
}

enum tls_want tls_conn_wants(const struct tls_conn *c)
{
    return c->want;
}

enum tls_reason tls_conn_reason(const struct tls_conn *c)
{
    return c->reason;
}

const char *tls_conn_alert(const struct tls_conn *c)
{
    return c->alerted ? SSL_alert_desc_string_long(c->alert) : "";
}

void *tls_conn_cookie(const struct tls_conn *c)
{
    return c->cookie;
}

void tls_conn_facts(const struct tls_conn *c, struct tls_facts *f)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(c->ssl);
    int group = (int)SSL_get_negotiated_group(c->ssl);
    const char *name = SSL_get_servername(c->ssl, TLSEXT_NAMETYPE_host_name);
    X509 *shown = SSL_get0_peer_certificate(c->ssl);
    X509 *server = c->client ? shown : SSL_get_certificate(c->ssl);
    EVP_PKEY *key = server != NULL ? X509_get0_pubkey(server) : NULL;
    const unsigned char *alpn;
    unsigned alpn_len;

    memset(f, 0, sizeof(*f));
    f->version = SSL_get_version(c->ssl);
    f->cipher = cipher != NULL ? SSL_CIPHER_get_name(cipher) : "";
    f->suite = cipher != NULL ? SSL_CIPHER_standard_name(cipher) : "";
    f->cipher_bits = cipher != NULL ? (uint32_t)SSL_CIPHER_get_bits(cipher, NULL) : 0;
    f->group = group != NID_undef && group != 0 ? SSL_group_to_name(c->ssl, group) : "";
    f->group = f->group != NULL ? f->group : "";
    f->resumed = SSL_session_reused(c->ssl) == 1;
    f->signature = key == NULL || f->resumed ? "" : EVP_PKEY_is_a(key, "EC") ? "EC" : "RSA";
    f->signature_bits = key == NULL || f->resumed ? 0 : (uint32_t)EVP_PKEY_get_bits(key);
    f->server_name = name != NULL ? name : "";
    SSL_get0_alpn_selected(c->ssl, &alpn, &alpn_len);
    if (alpn_len > 0 && alpn_len < sizeof(f->alpn))
        memcpy(f->alpn, alpn, alpn_len);
    f->peer_certificate = shown != NULL;
    ERR_clear_error();
}
