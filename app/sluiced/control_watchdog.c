/*
 * What the service manager hears: ready when each thread has made a round, that all is well only
 * while each of them makes rounds, and that we stop. A thread that stands still is named in the
 * log.
 */
#include "base_time.h"
#include "control.h"

#include <inttypes.h>
#include <stdio.h>

/* A thread sleeps for a second at most (loop.c). */
#define STILL_NS     (30 * BASE_NS_S)
#define STILL_MIN_NS (1500 * BASE_NS_MS)

struct slowest {
    uint64_t beat_ns; /* of the one that made its last round first; 0: it has made none */
    const char *name;
    uint32_t number;
};

static void look(struct slowest *s, const struct gateway_thread *t, const char *name)
{
    uint64_t beat_ns = atomic_load_explicit(&t->loop.beat_ns, memory_order_relaxed);

    if (!t->started || beat_ns >= s->beat_ns)
        return;
    *s = (struct slowest){.beat_ns = beat_ns, .name = name, .number = t->number};
}

static struct slowest find_slowest(const struct gateway *g)
{
    struct slowest s = {.beat_ns = UINT64_MAX};

    for (uint32_t i = 0; i < g->topology.lane_cnt; i++)
        look(&s, &g->lane_thread[i], "lane");
    for (uint32_t i = 0; i < g->topology.spool_cnt; i++)
        look(&s, &g->spool[i].thread, "spooler");
    look(&s, &g->courier_thread, "courier");
    look(&s, &g->resolver_thread, "resolver");
    look(&s, &g->stream_thread, "stream");
    look(&s, &g->host_thread, "host");
    look(&s, &g->auth_thread, "auth");
    return s;
}

static void tell(struct control *c, enum stats_log_event event, const char *text)
{
    struct stats_log_record r = {.wall_ns = loop_wall_ns(), .event = (uint16_t)event};

    stats_log_text(&r, base_span_str(text));
    stats_log_push(&c->log, &r);
}

/* So long may a thread stand still before no word of ours says that all is well: it is told of
 * before the service manager, which hears the last word at most a quarter of its time earlier, ends
 * us. */
static uint64_t patience(const struct notify *n)
{
    uint64_t ns =
        n->watchdog_ns > 0 && n->watchdog_ns / 2 < STILL_NS ? n->watchdog_ns / 2 : STILL_NS;

    return ns > STILL_MIN_NS ? ns : STILL_MIN_NS;
}

static void tell_still(struct control *c, const struct slowest *s, uint64_t still_ns)
{
    char text[STATS_LOG_TEXT_CAP];

    snprintf(text, sizeof(text), "%s %u stands still for %" PRIu64 " s%s", s->name, s->number,
             still_ns / BASE_NS_S,
             c->notify.watchdog_ns > 0 ? ": the service manager will start the gateway again" : "");
    tell(c, STATS_LOG_WARNING, text);
}

void control_watchdog_start(struct control *c)
{
    notify_open(&c->notify);
    notify_send(&c->notify, "STATUS=starting");
}

void control_watchdog_tend(struct control *c, uint64_t now_ns)
{
    struct notify *n = &c->notify;
    struct slowest s = find_slowest(c->config.gateway);

    if (!c->ready_told) {
        if (s.beat_ns == 0)
            return;
        c->ready_told = true;
        notify_send(n, "READY=1\nSTATUS=%u lanes, %u spools", c->config.gateway->topology.lane_cnt,
                    c->config.gateway->topology.spool_cnt);
    }
    uint64_t still_ns = now_ns > s.beat_ns ? now_ns - s.beat_ns : 0;
    bool still = still_ns > patience(n);
    if (still && !c->still_told)
        tell_still(c, &s, still_ns);
    if (!still && c->still_told)
        tell(c, STATS_LOG_NOTE, "every thread makes progress again");
    c->still_told = still;
    if (still || n->watchdog_ns == 0 || now_ns - c->notified_ns < n->watchdog_ns / 4)
        return;
    c->notified_ns = now_ns;
    notify_send(n, "WATCHDOG=1");
}

void control_watchdog_stop(struct control *c, uint64_t stop_ns)
{
    uint64_t usec = (stop_ns + GATEWAY_END_NS) / 1000 + 10000000;

    notify_send(&c->notify,
                "STOPPING=1\nSTATUS=letting what is under way end\nEXTEND_TIMEOUT_USEC=%" PRIu64
                "\nWATCHDOG_USEC=%" PRIu64 "\nWATCHDOG=1",
                usec, usec);
}
