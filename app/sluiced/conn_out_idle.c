/* Between two messages: which connections stay, and which are closed for others. */
#include "conn_out_internal.h"
#include "conn_trace.h"

/* Connections that a lane has left, its own objects or TCP's, are fewer than one in so many. */
static bool few_left(const struct lane *l, uint32_t share)
{
    struct tcp_usage u;

    tcp_usage(l->tcp, &u);
    uint32_t all = l->conns.object_cnt, used = all - l->conns.free_cnt;
    uint32_t most = used > u.conn_cnt ? used : u.conn_cnt;
    return most > all - all / share;
}

void conn_out_leave(struct conn *c)
{
    struct base_buf quit = {.p = c->lane->out, .cap = conn_space(c)};

    if (c->out.idle) {
        conn_cache_remove(&c->lane->idle, c);
        stats_inc(c->lane->stats, STATS_CONN_IDLE_CLOSED);
    }
    c->out.quitting = true;
    smtp_client_quit(&c->out.smtp, &quit);
    conn_trace_said(c, true, base_buf_span(&quit), false);
    conn_write(c, base_buf_span(&quit));
    conn_deadline(c, smtp_client_timeout_ns(&c->out.smtp));
}

/* The one idle for longest makes room, without waiting for the answer to QUIT. */
static void close_oldest(struct lane *l)
{
    struct conn *c = conn_cache_oldest(&l->idle);

    conn_out_leave(c);
    conn_finish(c, "idle");
    conn_resume(c);
}

void conn_out_relieve(struct lane *l)
{
    while (l->idle.cnt > 0 && few_left(l, 2 * CONN_CACHE_SHARE))
        close_oldest(l);
    conn_group_run(l);
}

bool conn_out_last(const struct conn *c)
{
    const struct conf_smtp *conf = &c->lane->settings->conf->smtp;
    const struct conn_out *o = &c->out;

    return conf->client_idle_ns == 0 || o->job_cnt >= conf->client_reuse || c->lane->draining ||
           (o->message_max != 0 && o->job_cnt >= o->message_max) || o->alone ||
           smtp_client_exhausted(&o->smtp) || c->lane->idle.max == 0;
}

void conn_out_keep(struct conn *c)
{
    const struct conf_smtp *conf = &c->lane->settings->conf->smtp;
    struct conn_out *o = &c->out;
    struct lane *l = c->lane;

    if (o->smtp.quit_early || conn_out_last(c) || c->peer_closed || !conn_group_keeps(c) ||
        few_left(l, CONN_CACHE_SHARE))
        return conn_out_leave(c);
    base_assert(!o->sending && !o->reading && o->data == NULL);
    if (l->idle.cnt == l->idle.max)
        close_oldest(l);
    conn_cache_put(&l->idle, c);
    conn_deadline(c, conf->client_idle_ns);
}

void conn_out_lost_idle(struct conn *c)
{
    conn_cache_remove(&c->lane->idle, c);
    stats_inc(c->lane->stats, STATS_CONN_IDLE_LOST);
}
