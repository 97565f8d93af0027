/*
 * The application of an inbound connection on a listener with greet_pause, until it is greeted:
 * nothing is said, and who speaks meanwhile gets 521 instead of the greeting (RFC 5321 section
 * 3.1: the client waits for it). Nothing is read.
 */
#include "lane.h"

#include <stdio.h>

static void greet(struct conn *c)
{
    c->app = &conn_in_ops;
    conn_in_greet(c);
}

static void run(struct conn *c)
{
    static const char text[] = "521 5.5.1 Protocol error\r\n";
    struct stats_log_record r = {
        .wall_ns = c->lane->wall_ns, .n = 521, .event = STATS_LOG_REFUSED, .port = c->remote.port};

    if (c->lane->refusing)
        return greet(c);
    if (!conn_has_more(c, 0))
        return;
    stats_inc(c->lane->stats, STATS_LIMIT_PREGREET);
    memcpy(r.address, c->remote.addr.b, sizeof(r.address));
    stats_log_text(&r, base_span_str("PREGREET: spoke before the greeting"));
    stats_log_push(&c->lane->log, &r);
    conn_write(c, base_span_of(text, sizeof(text) - 1));
    conn_finish(c, "spoke before the greeting");
}

static void spooled(struct conn *c, const struct spool_done *done)
{
    (void)c;
    (void)done;
    base_assert(false); /* no message is under way */
}

static void ended(struct conn *c, const char *why)
{
    stats_inc(c->lane->stats, STATS_LIMIT_PREGREET_LEFT);
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

static const struct conn_app_ops greet_ops = {
    .name = "greet pause",
    .run = run,
    .spooled = spooled,
    .timeout = greet,
    .ended = ended,
    .close = app_close,
    .release = release,
};

bool conn_greet_pause(struct conn *c)
{
    uint64_t pause_ns = c->listener->conf->greet_pause_ns;

    if (pause_ns == 0 || c->in.limit_exempt || c->lane->refusing)
        return false;
    c->app = &greet_ops;
    conn_deadline(c, pause_ns);
    return true;
}
