/*
 * TLS as a layer of an inbound connection, and what stands in place of its application until the
 * handshake is done: nothing is said meanwhile but by the layer.
 *
 * From its start on no byte of the connection is read as clear text again: the layer takes all, and
 * what comes behind a failure or behind the peer's close_notify is thrown away.
 */
#include "conn_log.h"
#include "conn_trace.h"
#include "conn_tls_layer.h"

#include <stdio.h>

static void log_tls(struct conn *c, enum stats_log_event event, const char *text)
{
    CONN_TRACE(c, "tls", "%s%s", event == STATS_LOG_TLS ? "" : "failed: ", text);
    conn_log_text(c, event, 0, 0, base_span_str(text));
}

static void log_failure(struct conn *c)
{
    const char *alert = tls_conn_alert(c->tls);
    char text[STATS_LOG_TEXT_CAP];

    snprintf(text, sizeof(text), "%s%s%s", tls_reason_name(tls_conn_reason(c->tls)),
             alert[0] != 0 ? " alert=" : "", alert);
    log_tls(c, STATS_LOG_TLS_FAILED, text);
}

/* The client's word, which is last in its line: of what a host name has, no more. */
static void put_server_name(char *to, size_t cap, const char *name)
{
    size_t n = 0;

    for (; name[n] != 0 && n < cap - 1; n++) {
        char ch = name[n];
        bool fine = (uint8_t)((ch | 0x20) - 'a') < 26 || (uint8_t)(ch - '0') < 10 || ch == '-' ||
                    ch == '.' || ch == '_';
        to[n] = (char)(fine ? ch : '?');
    }
    to[n] = 0;
}

static void log_handshake(struct conn *c)
{
    char text[STATS_LOG_TEXT_CAP], name[64];
    struct tls_facts f;

    tls_conn_facts(c->tls, &f);
    put_server_name(name, sizeof(name), f.server_name);
    snprintf(text, sizeof(text), "version=%s cipher=%s bits=%u group=%s key=%s resumed=%s sni=%s",
             f.version, f.cipher, f.cipher_bits, f.group[0] != 0 ? f.group : "-",
             f.signature[0] != 0 ? f.signature : "-", f.resumed ? "yes" : "no", name);
    log_tls(c, STATS_LOG_TLS, text);
}

/* ---- the layer ---- */

static enum conn_layer_result decode(void *state, struct base_span in, size_t *consumed,
                                     struct base_buf *out, struct base_buf *down)
{
    struct conn *c = state;
    bool failed = tls_conn_state(c->tls) == TLS_FAILED;
    enum tls_state now = conn_tls_layer_decode(c, in, consumed, out, down);

    if (now != TLS_HANDSHAKE)
        lane_tls_end(c);
    if (now == TLS_FAILED && !failed)
        log_failure(c);
    return conn_tls_layer_result(c, now, out);
}

static void layer_close(void *state)
{
    struct conn *c = state;

    lane_tls_end(c);
    conn_tls_layer_close(c);
}

static const struct conn_layer_ops tls_layer = {
    .name = "tls",
    .decode = decode,
    .encode = conn_tls_layer_encode,
    .farewell = conn_tls_layer_farewell,
    .ended = conn_tls_layer_ended,
    .close = layer_close,
    .bad = "TLS failed",
    .overhead_bytes = TLS_RECORD_OVERHEAD,
};

/* ---- until the handshake is done ---- */

static void run(struct conn *c)
{
    struct base_span span;

    if (c->lane->refusing)
        return conn_drop(c, "going down");
    (void)conn_view(c, &span, 1); /* it is the session's: nothing of it is consumed here */
    if (c->link == NULL || c->finishing || tls_conn_state(c->tls) == TLS_HANDSHAKE ||
        conn_space(c) < SMTP_OUT_MIN)
        return;
    if (tls_conn_state(c->tls) != TLS_FAILED)
        conn_time_end(c, STATS_HISTOGRAM_TLS_ACCEPT);
    log_handshake(c);
    c->app = &conn_in_ops;
    conn_in_secured(c);
    c->app->run(c);
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
    log_tls(c, STATS_LOG_TLS_FAILED, "timeout");
    conn_drop(c, "TLS handshake took too long");
}

/* The struct stays until the stalled have their turn: an event of this pass may still name it. */
void conn_tls_press(struct conn *c)
{
    stats_inc(c->lane->stats, STATS_CONN_TLS_PRESSED);
    log_tls(c, STATS_LOG_TLS_FAILED, "too many handshakes, this one waited longest");
    conn_drop(c, "TLS handshake gave way to others");
    conn_stall(c);
}

static void ended(struct conn *c, const char *why)
{
    (void)tls_conn_ended(c->tls);
    lane_tls_end(c);
    log_failure(c);
    conn_finish(c, why);
}

static void app_close(struct conn *c)
{
    conn_in_ops.close(c);
}

static bool release(struct conn *c)
{
    return conn_in_ops.release(c);
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

bool conn_tls_possible(const struct conn *c)
{
    return c->lane->tls != NULL && c->lane->tls->domain != NULL && c->lane->tls->accepts &&
           c->listener != NULL && c->listener->tls != CONF_TLS_NONE;
}

bool conn_tls_open(struct conn *c)
{
    struct lane_tls *t = c->lane->tls;

    base_assert(c->tls == NULL);
    if (!conn_tls_possible(c) || c->layer_cnt == CONN_LAYER_MAX)
        return false;
    if (!lane_tls_allows(c)) { /* before it costs anything */
        stats_inc(c->lane->stats, STATS_CONN_TLS_CLIENT_FULL);
        log_tls(c, STATS_LOG_TLS_FAILED, "too many handshakes of this client");
        return false;
    }
    lane_tls_make_room(c);
    enum lane_part part = lane_cycles_enter(&c->lane->cycles, LANE_PART_TLS);
    c->tls = tls_conn_accept(t->engine, t->domain, c->listener->tls_policy, c);
    lane_cycles_enter(&c->lane->cycles, part);
    if (c->tls == NULL) {
        log_tls(c, STATS_LOG_TLS_FAILED, "too many handshakes, or memory is short");
        return false;
    }
    lane_tls_begin(c);
    conn_time_begin(c);
    return true;
}

void conn_tls_start(struct conn *c, struct base_span last_clear)
{
    conn_write(c, last_clear);
    if (c->link == NULL)
        return layer_close(c);
    base_assert(c->plain == NULL || c->plain->len == c->plain_at);
    conn_push_layer(c, &tls_layer, c);
    c->app = &handshake_ops;
    conn_deadline(c, c->lane->settings->conf->tls.handshake_timeout_ns);
}
