/* What control does about certificates: looks for changed files, loads them, warns in time. */
#include "base_time.h"
#include "control.h"

#include <inttypes.h>
#include <stdio.h>

static void say(struct control *c, enum stats_log_event event, const char *text)
{
    struct stats_log_record r = {.wall_ns = loop_wall_ns(), .event = (uint16_t)event};

    stats_log_text(&r, base_span_str(text));
    stats_log_push(&c->log, &r);
}

static int64_t now_s(void)
{
    return (int64_t)(loop_wall_ns() / BASE_NS_S);
}

static const struct conf *conf_of(const struct control *c)
{
    return settings_current(&c->config.gateway->hub)->conf;
}

/* The days below which it is warned of, once each. */
static unsigned urgency(uint64_t days, bool expired)
{
    return expired ? 3 : days < 7 ? 2 : days < 21 ? 1 : 0;
}

/* Warns of what has come nearer since the last time, and shows the nearest in the counters. */
static void watch_expiry(struct control *c)
{
    const struct gateway_tls *t = &c->config.gateway->tls;
    const struct conf *conf = conf_of(c);
    const struct tls_certificate_info *info;
    uint64_t least = 0;
    char text[STATS_LOG_TEXT_CAP];

    for (uint32_t i = 0; (info = gateway_tls_certificate(t, i)) != NULL; i++) {
        uint64_t days = gateway_tls_days(info, now_s());
        bool expired = info->not_after_s <= now_s();
        unsigned u = urgency(days, expired);
        least = i == 0 || days < least ? days : least;
        const char *name = i < conf->certificate_cnt ? conf->certificate[i].name : "-";
        if (u > c->tls_urgency[i]) {
            if (expired)
                snprintf(text, sizeof(text), "certificate %.31s: it has expired", name);
            else
                snprintf(text, sizeof(text), "certificate %.31s: it expires in %" PRIu64 " days",
                         name, days);
            say(c, STATS_LOG_WARNING, text);
        }
        c->tls_urgency[i] = (uint8_t)u;
    }
    stats_set(topology_stats(&c->config.gateway->topology, TOPOLOGY_CONTROL, 0),
              STATS_TLS_EXPIRY_DAYS, least);
}

/* After new certificates are in use: what an operator should know of them. */
static void tell_warnings(struct control *c)
{
    const struct gateway_tls *t = &c->config.gateway->tls;
    const struct conf *conf = conf_of(c);
    const struct tls_certificate_info *info;
    bool named = false;
    char text[STATS_LOG_TEXT_CAP];
    uint32_t i;

    for (i = 0; (info = gateway_tls_certificate(t, i)) != NULL; i++) {
        named |= gateway_tls_names(info, conf->gateway.hostname);
        c->tls_urgency[i] = 0;
        if (info->warning[0] == 0 || info->not_after_s <= now_s())
            continue; /* that it has expired is told below */
        snprintf(text, sizeof(text), "certificate %.31s: %.140s",
                 i < conf->certificate_cnt ? conf->certificate[i].name : "-", info->warning);
        say(c, STATS_LOG_WARNING, text);
    }
    if (i > 0 && !named) {
        snprintf(text, sizeof(text), "no certificate is for %.120s, our gateway: hostname",
                 conf->gateway.hostname);
        say(c, STATS_LOG_WARNING, text);
    }
    if (i == 0 && t->lane_cnt > 0)
        say(c, STATS_LOG_WARNING,
            "there is no certificate: TLS is not offered, mail comes in clear");
    watch_expiry(c);
    control_tlsa_restart(c);
}

void control_tls_start(struct control *c)
{
    c->tls_looked_ns = loop_now_ns();
    tell_warnings(c);
}

int control_tls_load(struct control *c, const struct conf *conf, char why[GATEWAY_TLS_WHY_CAP])
{
    struct gateway *g = c->config.gateway;
    int error = 0;

    if (g->tls.lane_cnt > 0)
        error = gateway_tls_load(&g->tls, conf, c->config.opener, why);
    if (error == 0) {
        for (uint32_t i = 0; i < g->topology.lane_cnt; i++)
            doorbell_wake(&g->topology.lane_bell[i]);
    }
    return error;
}

void control_tls_loaded(struct control *c)
{
    tell_warnings(c);
}

void control_tls_tend(struct control *c)
{
    struct gateway_tls *t = &c->config.gateway->tls;
    uint64_t now_ns = loop_now_ns();
    char why[GATEWAY_TLS_WHY_CAP], text[STATS_LOG_TEXT_CAP];

    gateway_tls_tend(t, now_ns);
    if (t->lane_cnt == 0 || now_ns - c->tls_looked_ns < conf_of(c)->tls.certificate_check_ns)
        return;
    c->tls_looked_ns = now_ns;
    watch_expiry(c);
    if (!gateway_tls_changed(t, conf_of(c), c->config.opener))
        return;
    if (control_tls_load(c, conf_of(c), why) != 0) {
        snprintf(text, sizeof(text), "%.150s; the old ones stay", why);
        say(c, STATS_LOG_WARNING, text);
        return;
    }
    say(c, STATS_LOG_NOTE, "certificate files have changed: loaded");
    tell_warnings(c);
}
