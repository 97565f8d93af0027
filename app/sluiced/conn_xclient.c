#include "conn_xclient.h"
#include "client_limits.h"
#include "conn_auth.h"
#include "lane.h"
#include "proxy.h"
#include "smtp_xclient.h"

#include <stdio.h>

static const struct smtp_reply reply_login = {501, "5.5.4", "Error: nobody logs in here"};

bool conn_xclient_allowed(const struct conn *c)
{
    bool proven = !c->unproven && (c->proxy.port == 0 || c->lane->settings->conf->relay.proxied);

    for (uint32_t i = 0; proven && i < c->listener->conf->xclient_networks.cnt; i++)
        if (net_prefix_contains(&c->listener->xclient_networks[i], &c->remote.addr))
            return true;
    return false;
}

static void log_client(const struct conn *c, const struct smtp_xclient *x)
{
    struct stats_log_record r = {
        .wall_ns = c->lane->wall_ns, .event = STATS_LOG_XCLIENT, .port = c->remote.port};
    char text[STATS_LOG_TEXT_CAP], proxy[NET_ENDPOINT_TEXT_CAP];
    size_t len = net_endpoint_format(proxy, &c->proxy);
    int n = snprintf(text, sizeof(text), "proxy=%.*s name=%.60s login=%.60s", (int)len, proxy,
                     x->name[0] != 0 ? x->name : "unknown", x->login[0] != 0 ? x->login : "-");

    memcpy(r.address, c->remote.addr.b, sizeof(r.address));
    stats_log_text(&r, base_span_of(text, (size_t)n));
    stats_log_push(&c->lane->log, &r);
}

/* Who is at the other end, and what it had connected to. A port that is not told is 0. */
static void take_ends(struct conn *c, const struct smtp_xclient *x)
{
    if (c->proxy.port == 0)
        c->proxy = c->remote;
    if (smtp_xclient_is_given(x, SMTP_XCLIENT_ADDR) &&
        !smtp_xclient_is_known(x, SMTP_XCLIENT_ADDR)) {
        c->remote = c->proxy;
        c->unproven = true;
    } else if (smtp_xclient_is_given(x, SMTP_XCLIENT_ADDR)) {
        memcpy(c->remote.addr.b, x->address, sizeof(x->address));
        c->remote.port = x->port;
        c->unproven = !proxy_plausible(&c->remote.addr) ||
                      settings_is_own(c->lane->settings, &c->remote.addr);
    }
    if (smtp_xclient_is_known(x, SMTP_XCLIENT_DESTADDR))
        memcpy(c->local.addr.b, x->dest_address, sizeof(x->dest_address));
    if (smtp_xclient_is_known(x, SMTP_XCLIENT_DESTPORT))
        c->local.port = x->dest_port;
}

const struct smtp_reply *conn_xclient_answer(struct conn *c, struct smtp_reply *reply,
                                             char text[POLICY_TEXT_CAP])
{
    struct smtp_xclient x;

    base_assert(smtp_xclient_parse(&x, c->in.smtp.xclient_text) == 0); /* the session has looked */
    if (smtp_xclient_is_known(&x, SMTP_XCLIENT_LOGIN) && c->listener->conf->kind == CONF_KIND_MX)
        return &reply_login;
    client_limits_close(c);
    take_ends(c, &x);
    conn_auth_forget(c);
    c->in.certified = false; /* the certificate is the proxy's */
    if (smtp_xclient_is_known(&x, SMTP_XCLIENT_LOGIN)) {
        size_t len = strlen(x.login);
        memcpy(c->in.login_text, x.login, len);
        c->in.login = base_span_of(c->in.login_text, len);
    }
    c->in.unknown_cnt = 0;
    c->in.smtp.normalize = settings_normalizes(c->listener, c->unproven ? NULL : &c->remote.addr);
    stats_inc(c->lane->stats, STATS_CONN_XCLIENT);
    log_client(c, &x);
    if (client_limits_open(c, text) != NULL) {
        *reply = (struct smtp_reply){421, "4.7.0", text};
        return reply;
    }
    snprintf(text, POLICY_TEXT_CAP, "%s ESMTP", c->in.smtp.settings->hostname);
    *reply = (struct smtp_reply){220, NULL, text};
    return reply;
}
