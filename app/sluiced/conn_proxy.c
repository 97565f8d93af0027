/*
 * What stands before the application of an inbound connection on a listener with proxy = required:
 * reads the PROXY header, and nothing is said before it is whole (no banner, no TLS). Peers that
 * are not in proxy_from are dropped unread. What follows the header stays with TCP.
 *
 * The client that the header names is the remote of all that follows; by its address alone it gets
 * no right unless relay: proxied says so, and never when the address is implausible.
 */
#include "conn_trace.h"
#include "proxy.h"

static void refuse(struct conn *c, enum stats_id stat, const char *why)
{
    struct stats_log_record r = {
        .wall_ns = c->lane->wall_ns, .event = STATS_LOG_PROXY_REFUSED, .port = c->remote.port};

    CONN_TRACE(c, "proxy", "refused: %s", why);
    stats_inc(c->lane->stats, stat);
    memcpy(r.address, c->remote.addr.b, sizeof(r.address));
    stats_log_text(&r, base_span_str(why));
    stats_log_push(&c->lane->log, &r);
    conn_drop(c, why);
}

static enum stats_id fault_stat(enum proxy_fault fault)
{
    static const enum stats_id stat[PROXY_FAULT_CNT] = {
        [PROXY_FAULT_SIGNATURE] = STATS_PROXY_SIGNATURE,
        [PROXY_FAULT_LONG] = STATS_PROXY_LONG,
        [PROXY_FAULT_LINE] = STATS_PROXY_LINE,
        [PROXY_FAULT_ADDRESS] = STATS_PROXY_ADDRESS,
        [PROXY_FAULT_VERSION] = STATS_PROXY_VERSION,
        [PROXY_FAULT_COMMAND] = STATS_PROXY_COMMAND,
        [PROXY_FAULT_FAMILY] = STATS_PROXY_FAMILY,
        [PROXY_FAULT_SHORT] = STATS_PROXY_SHORT,
        [PROXY_FAULT_TLV] = STATS_PROXY_TLV,
        [PROXY_FAULT_CRC32C] = STATS_PROXY_CRC32C,
    };

    base_assert(fault != PROXY_FAULT_NONE && fault < PROXY_FAULT_CNT);
    return stat[fault];
}

static void trace_header(struct conn *c)
{
    char proxy[NET_ENDPOINT_TEXT_CAP], local[NET_ENDPOINT_TEXT_CAP];

    if (c->lane->tracing == 0)
        return;
    net_endpoint_format(proxy, &c->proxy);
    net_endpoint_format(local, &c->local);
    CONN_TRACE(c, "proxy", "%s says: this client, to %s%s", proxy, local,
               c->unproven ? " (implausible, gives no rights)" : "");
}

/* The header's word about the client. Without one the connection's own end is the remote. */
static void take(struct conn *c, const struct proxy_header *h)
{
    struct lane *l = c->lane;

    c->proxy = c->remote;
    if (!h->addressed) {
        stats_inc(l->stats, h->local ? STATS_PROXY_LOCAL : STATS_PROXY_UNKNOWN);
        c->unproven = true;
        return;
    }
    stats_inc(l->stats, STATS_PROXY_CLIENTS);
    c->remote = h->source;
    c->local = h->destination;
    c->unproven = h->implausible || settings_is_own(l->settings, &c->remote.addr);
    if (c->unproven)
        stats_inc(l->stats, STATS_PROXY_IMPLAUSIBLE);
    trace_header(c);
}

static void run(struct conn *c)
{
    struct base_span spans[8];
    uint8_t room[PROXY_HEADER_MAX];
    struct base_buf in = {.p = room, .cap = sizeof(room)};
    struct proxy_header header;
    enum proxy_fault fault;
    size_t consumed;
    uint32_t n = conn_view(c, spans, BASE_ARRAY_CNT(spans));

    if (n == 0)
        return;
    if (c->lane->refusing)
        return conn_drop(c, "going down");
    enum proxy_result rc = proxy_parse(&header, &consumed, &fault, spans[0]);
    if (rc == PROXY_MORE && n > 1) { /* it lies across segments */
        for (uint32_t i = 0; i < n; i++) {
            size_t left = in.cap - in.len;
            base_assert(base_buf_put(&in, spans[i].p, spans[i].len < left ? spans[i].len : left) ==
                        0);
        }
        rc = proxy_parse(&header, &consumed, &fault, base_buf_span(&in));
    }
    if (rc == PROXY_BAD)
        return refuse(c, fault_stat(fault), proxy_fault_text(fault));
    if (rc == PROXY_MORE)
        return conn_starve(c);
    if (!header.addressed && !header.local &&
        c->listener->conf->proxy_unknown == CONF_PROXY_UNKNOWN_REFUSE)
        return refuse(c, STATS_PROXY_NO_CLIENT, "PROXY header names no client");
    take(c, &header);
    conn_consume(c, consumed);
    c->lane->in_cnt--;
    c->lane->proxy_cnt--;
    c->app = &conn_in_ops;
    conn_in_start(c);
    c->app->run(c);
}

static void spooled(struct conn *c, const struct spool_done *done)
{
    (void)c;
    (void)done;
    base_assert(false); /* nothing was sent to the spool yet */
}

static void timeout(struct conn *c)
{
    refuse(c, STATS_PROXY_TIMEOUT, "no whole PROXY header in time");
}

static void ended(struct conn *c, const char *why)
{
    stats_inc(c->lane->stats, STATS_PROXY_ENDED);
    conn_finish(c, why);
}

static void app_close(struct conn *c)
{
    c->lane->in_cnt--;
    c->lane->proxy_cnt--;
}

static bool release(struct conn *c)
{
    (void)c;
    return true;
}

static const struct conn_app_ops proxy_ops = {
    .name = "proxy",
    .run = run,
    .spooled = spooled,
    .timeout = timeout,
    .ended = ended,
    .close = app_close,
    .release = release,
};

void conn_proxy_start(struct conn *c)
{
    c->app = &proxy_ops;
    c->lane->in_cnt++;
    c->lane->proxy_cnt++;
    stats_inc(c->lane->stats, STATS_PROXY_CONNECTIONS);
    if (!settings_proxy_trusted(c->listener, &c->remote.addr))
        return refuse(c, STATS_PROXY_UNTRUSTED, "not one of proxy_from");
    conn_deadline(c, c->listener->conf->proxy_timeout_ns);
}
