#include "conn_tls_out.h"
#include "base_siphash.h"
#include "base_time.h"
#include "conn_out_internal.h"
#include "conn_tls_layer.h"
#include "conn_tls_session.h"
#include "conn_trace.h"

#include <stdio.h>

static void log_handshake(struct conn *c)
{
    struct stats_log_record r = {
        .wall_ns = c->lane->wall_ns, .event = STATS_LOG_TLS_RELAY, .port = c->remote.port};
    char text[STATS_LOG_TEXT_CAP];
    struct tls_facts f;

    tls_conn_facts(c->tls, &f);
    snprintf(text, sizeof(text), "version=%s cipher=%s bits=%u group=%s key=%s", f.version,
             f.cipher, f.cipher_bits, f.group[0] != 0 ? f.group : "-",
             f.resumed             ? "resumed"
             : f.signature[0] != 0 ? f.signature
                                   : "-");
    memcpy(r.address, c->remote.addr.b, sizeof(r.address));
    CONN_TRACE(c, "tls", "%s", text);
    stats_log_text(&r, base_span_str(text));
    stats_log_push(&c->lane->log, &r);
}

/* ---- the layer ---- */

static enum conn_layer_result decode(void *state, struct base_span in, size_t *consumed,
                                     struct base_buf *out, struct base_buf *down)
{
    struct conn *c = state;

    size_t plain_len = out->len;

    c->out.tls_heard |= in.len > 0;
    enum tls_state now = conn_tls_layer_decode(c, in, consumed, out, down);
    /* A session's ticket: a server that sent it by itself sends nothing more until then. */
    if (now == TLS_OPEN && *consumed > 0 && out->len == plain_len && down->len == 0 &&
        c->link_ops->recv_acknowledge != NULL)
        c->link_ops->recv_acknowledge(c->lane, c->link);
    return conn_tls_layer_result(c, now, out);
}

static const struct conn_layer_ops layer = {
    .name = "tls",
    .decode = decode,
    .encode = conn_tls_layer_encode,
    .farewell = conn_tls_layer_farewell,
    .ended = conn_tls_layer_ended,
    .close = conn_tls_layer_close,
    .bad = "TLS failed",
    .overhead_bytes = TLS_RECORD_OVERHEAD,
};

/* ---- a handshake that comes to nothing ---- */

static bool optional(const struct delivery *d)
{
    return d->tls_begin == DELIVERY_TLS_BY_STARTTLS &&
           (d->requirement->proof == DANE_PROOF_OPTIONAL || d->tls_lenient);
}

/* The delivery leaves the connection, which only has to be ended any more. */
static void failed_as(struct conn *c, const char *enhanced, const char *why)
{
    struct delivery *d = c->out.delivery;
    char text[DELIVERY_TEXT_MAX];

    CONN_TRACE(c, "tls", "failed: %s", why);

    if (base_list_linked(&c->handshake))
        base_list_remove(&c->handshake);
    if (d == NULL)
        return;
    if (!c->connected && d->tls_begin == DELIVERY_TLS_IMPLICIT)
        return conn_out_fail(c, why);
    if (d->tls_try == CONN_TLS_TRY_WHOLE && c->tls != NULL && tls_conn_forget(c->tls)) {
        stats_inc(c->lane->stats, STATS_CONN_TLS_OUT_FRESH);
        return conn_out_again(c, CONN_TLS_TRY_FRESH);
    }
    if (d->tls_try <= CONN_TLS_TRY_FRESH && !c->out.tls_heard) {
        stats_inc(c->lane->stats, STATS_CONN_TLS_OUT_SMALL);
        return conn_out_again(c, CONN_TLS_TRY_SMALL);
    }
    conn_tls_session_failed(c, TLSRPT_VALIDATION_FAILURE, why);
    if (optional(d) && d->tls_clear_after && !d->kept) {
        stats_inc(c->lane->stats, STATS_CONN_TLS_OUT_CLEAR);
        return conn_out_again(c, CONN_TLS_TRY_CLEAR);
    }
    stats_inc(c->lane->stats, STATS_CONN_TLS_OUT_FAILED);
    snprintf(text, sizeof(text), "TLS handshake failed: %s", why);
    conn_out_refuse(c, enhanced, text);
}

/* The connection was lost, or took too long: whatever is asked for, that may be well another time.
 */
static void lost(struct conn *c, const char *why)
{
    failed_as(c, "4.7.5", why);
}

/* The server will not do it. */
static void failed(struct conn *c, const char *why)
{
    failed_as(c, c->out.delivery != NULL && c->out.delivery->kept ? "5.7.10" : "4.7.5", why);
}

static const char *reason_of(const struct conn *c, char *text, size_t cap)
{
    static const char *const words[TLS_REASON_CNT] = {
        [TLS_REASON_NOT_TLS] = "what the server sent is not TLS",
        [TLS_REASON_PROTOCOL] = "the server broke the protocol",
        [TLS_REASON_VERSION] = "no version in common",
        [TLS_REASON_CIPHER] = "no cipher or group in common",
        [TLS_REASON_TRUNCATED] = "the server closed the connection",
        [TLS_REASON_MEMORY] = "memory is short",
    };
    enum tls_reason reason = tls_conn_reason(c->tls);

    if (reason == TLS_REASON_ALERT)
        snprintf(text, cap, "the server says \"%s\"", tls_conn_alert(c->tls));
    else
        snprintf(text, cap, "%s", words[reason] != NULL ? words[reason] : tls_reason_name(reason));
    return text;
}

/* ---- until the server has proved itself ---- */

static void proved(struct conn *c, enum delivery_tls tls)
{
    enum dane_proof proof = (enum dane_proof)c->out.delivery->requirement->proof;
    bool names_server = proof == DANE_PROOF_RECORDS || proof == DANE_PROOF_NAMES ||
                        proof == DANE_PROOF_FINGERPRINTS;

    c->out.tls = (uint8_t)tls;
    CONN_TRACE(c, "tls", "the server is %s", delivery_tls_name(tls));
    conn_tls_session_stands(c);
    c->app = &conn_out_ops;
    smtp_client_encrypted(&c->out.smtp, names_server && tls == DELIVERY_TLS_VERIFIED);
    conn_deadline(c, smtp_client_timeout_ns(&c->out.smtp));
}

static void run(struct conn *c)
{
    char text[DELIVERY_TEXT_MAX];
    struct base_span span;

    if (base_list_linked(&c->handshake)) /* it waits to be judged */
        return;
    (void)conn_view(c, &span, 1); /* what there is is the session's */
    if (c->link == NULL)
        return;
    switch (tls_conn_state(c->tls)) {
    case TLS_HANDSHAKE:
        return;
    case TLS_OPEN:
        break;
    default:
        failed(c, reason_of(c, text, sizeof(text)));
        return conn_finish(c, "TLS failed");
    }
    conn_time_end(c, STATS_HISTOGRAM_TLS_CONNECT);
    log_handshake(c);
    if (c->out.delivery->requirement->proof > DANE_PROOF_ENCRYPTED) {
        base_list_push_back(&c->lane->tls->unproved, &c->handshake);
        return;
    }
    proved(c, DELIVERY_TLS_UNTRUSTED);
    c->app->run(c);
}

/* Not proved: another host has its turn, unless the operator wants the mail to flow. */
static void unproved(struct conn *c, const char *why)
{
    const struct delivery *d = c->out.delivery;

    CONN_TRACE(c, "tls", "not proved: %s", why);
    (void)tls_conn_forget(c->tls);
    if (d->tls_lenient)
        return proved(c, DELIVERY_TLS_UNTRUSTED);
    stats_inc(c->lane->stats, STATS_CONN_TLS_OUT_UNPROVED);
    conn_out_refuse(c, d->kept ? "5.7.10" : "4.7.5", why);
    conn_finish(c, "not proved");
}

uint32_t conn_tls_out_pass(struct lane *l)
{
    struct base_list *node = base_list_pop_front(&l->tls->unproved);
    char why[DELIVERY_TEXT_MAX];

    if (node == NULL)
        return 0;
    struct conn *c = base_container_of(node, struct conn, handshake);
    stats_inc(l->stats, STATS_CONN_TLS_OUT_JUDGED);
    enum delivery_tls tls =
        conn_tls_judge(c, c->out.delivery->requirement, why, sizeof(why) - sizeof("4.7.5"));
    if (tls == DELIVERY_TLS_UNTRUSTED)
        unproved(c, why);
    else
        proved(c, tls);
    conn_resume(c);
    return 1;
}

static void spooled(struct conn *c, const struct spool_done *done)
{
    (void)c;
    (void)done;
    base_assert(false); /* no message is under way */
}

static void timeout(struct conn *c)
{
    stats_inc(c->lane->stats, STATS_CONN_TLS_TIMEOUTS);
    lost(c, c->connected ? "it took too long" : "timed out waiting for the next hop");
    conn_drop(c, "TLS handshake took too long");
}

static void ended(struct conn *c, const char *why)
{
    (void)tls_conn_ended(c->tls);
    lost(c, why);
    conn_finish(c, why);
}

static void app_close(struct conn *c)
{
    char text[DELIVERY_TEXT_MAX];

    if (tls_conn_state(c->tls) == TLS_FAILED)
        failed(c, reason_of(c, text, sizeof(text)));
    if (base_list_linked(&c->handshake))
        base_list_remove(&c->handshake);
    conn_out_ops.close(c);
}

static bool release(struct conn *c)
{
    return conn_out_ops.release(c);
}

static const struct conn_app_ops handshake_ops = {
    .name = "handshake",
    .run = run,
    .spooled = spooled,
    .timeout = timeout,
    .ended = ended,
    .close = app_close,
    .release = release,
};

/* ---- the beginning ---- */

enum smtp_client_tls conn_tls_out_want(const struct delivery *d)
{
    if (d->requirement == NULL || d->requirement->proof == DANE_PROOF_CLEAR ||
        d->tls_begin == DELIVERY_TLS_IMPLICIT || d->tls_try == CONN_TLS_TRY_CLEAR)
        return SMTP_CLIENT_TLS_OFF;
    return optional(d) ? SMTP_CLIENT_TLS_OPTIONAL : SMTP_CLIENT_TLS_REQUIRED;
}

/* Sessions are kept for a next hop and all that a delivery asks of it (its TLSA records are among
 * that): who asks anything else gets a whole handshake. */
static uint64_t session_key(const struct conn *c)
{
    uint8_t bytes[sizeof(c->remote.addr.b) + 2 + 8];

    memcpy(bytes, c->remote.addr.b, sizeof(c->remote.addr.b));
    base_put_le16(bytes + sizeof(c->remote.addr.b), c->remote.port);
    base_put_le64(bytes + sizeof(c->remote.addr.b) + 2, c->out.delivery->policy);
    return base_siphash13(c->lane->idle.key, bytes, sizeof(bytes));
}

void conn_tls_out_start(struct conn *c)
{
    const struct delivery *d = c->out.delivery;
    struct lane_tls *t = c->lane->tls;

    base_assert(c->tls == NULL && (c->plain == NULL || c->plain->len == c->plain_at));
    if (t != NULL && t->domain != NULL && c->layer_cnt < CONN_LAYER_MAX)
        c->tls = tls_conn_connect(t->engine, t->domain,
                                  t->client_policy + (d->tls_try == CONN_TLS_TRY_SMALL),
                                  d->requirement->sni, c);
    if (c->tls == NULL) {
        conn_out_unattempted(c, "no room for another TLS handshake");
        return conn_drop(c, "no room for another TLS handshake");
    }
    if (d->tls_try == CONN_TLS_TRY_WHOLE)
        tls_conn_offer(c->tls, session_key(c), (int64_t)(c->lane->wall_ns / BASE_NS_S));
    conn_push_layer(c, &layer, c);
    conn_time_begin(c);
    c->app = &handshake_ops;
    conn_deadline(c, c->lane->settings->conf->tls.handshake_timeout_ns);
    c->app->run(c);
}
