/*
 * The application of an inbound connection on a listener with greet_pause, until it is greeted:
 * nothing is said, and who speaks meanwhile gets 521 instead of the greeting (RFC 5321 section
 * 3.1: the client waits for it). Nothing is read.
 */
#include "base_time.h"
#include "conn_log.h"

#define WORDS_MAX 64

static void greet(struct conn *c)
{
    c->app = &conn_in_ops;
    conn_in_greet(c);
}

/* What was said, and when. */
static void log_words(struct conn *c)
{
    struct base_span first = {0}, spans[8];
    uint32_t n = conn_view(c, spans, BASE_ARRAY_CNT(spans));
    uint64_t bytes = 0, left_ns = 0, pause_ns = c->listener->conf->greet_pause_ns;

    for (uint32_t i = 0; i < n; i++)
        bytes += spans[i].len;
    if (n > 0)
        first = base_span_of(spans[0].p, spans[0].len < WORDS_MAX ? spans[0].len : WORDS_MAX);
    if (c->timer.deadline_ns != BASE_NS_NONE && c->timer.deadline_ns > c->lane->now_ns)
        left_ns = c->timer.deadline_ns - c->lane->now_ns;
    conn_log_text(c, STATS_LOG_PREGREET, bytes,
                  (uint32_t)((pause_ns > left_ns ? pause_ns - left_ns : 0) / BASE_NS_MS), first);
}

static void run(struct conn *c)
{
    static const char text[] = "521 5.5.1 Protocol error\r\n";

    if (c->lane->refusing)
        return greet(c);
    if (!conn_has_more(c, 0))
        return;
    stats_inc(c->lane->stats, STATS_LIMIT_PREGREET);
    log_words(c);
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
    .name = "pause",
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
