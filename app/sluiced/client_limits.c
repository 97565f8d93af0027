#include "client_limits.h"
#include "base_time.h"
#include "conn_in_internal.h"
#include "policy_limit.h"

#include <stdio.h>

#define SHORTEN_MAX 256 /* connections looked at in a pass when stress begins */

/* The client as Postfix writes it: nobody has looked for its name. */
static void say(const struct conn *c, char text[POLICY_TEXT_CAP], const char *hostname,
                const char *what)
{
    char address[NET_ADDR_TEXT_CAP];

    net_addr_format(address, &c->remote.addr);
    snprintf(text, POLICY_TEXT_CAP, "%s%sError: %s from unknown[%s]", hostname,
             hostname[0] != 0 ? " " : "", what, address);
}

static bool is_exempt(const struct conn *c)
{
    const struct settings *s = c->lane->settings;

    for (uint32_t i = 0; i < s->conf->limits.exempt_networks.cnt && !c->unproven; i++)
        if (net_prefix_contains(&s->limit_exempt_networks[i], &c->remote.addr))
            return true;
    return false;
}

static void count_forgotten(struct lane *l, bool forgot)
{
    if (forgot)
        stats_inc(l->stats, STATS_LIMIT_FORGOTTEN);
}

const char *client_limits_open(struct conn *c, char text[POLICY_TEXT_CAP])
{
    struct lane *l = c->lane;
    const struct conf_limits *conf = &l->settings->conf->limits;
    bool forgot;

    c->in.limit_row = POLICY_LIMIT_NONE;
    c->in.limit_exempt = is_exempt(c);
    if (l->limits == NULL || c->in.limit_exempt || conn_in_nobody(c))
        return NULL;
    struct policy_limit_client client = policy_limit_client(
        &c->remote.addr, (uint32_t)conf->client_prefix, (uint32_t)conf->client_prefix6);
    enum policy_limit_result r =
        policy_limit_open(l->limits, &client, (uint32_t)conf->connections_per_client, l->now_ns,
                          &c->in.limit_row, &forgot);
    count_forgotten(l, forgot);
    switch (r) {
    case POLICY_LIMIT_OVER:
        say(c, text, l->settings->smtp.hostname, "too many connections");
        stats_inc(l->stats, STATS_LIMIT_CONNECTIONS);
        return "connection concurrency limit exceeded";
    case POLICY_LIMIT_UNCOUNTED:
        stats_inc(l->stats, STATS_LIMIT_UNCOUNTED);
        return NULL;
    case POLICY_LIMIT_FITS:
        break;
    }
    if (policy_limit_charge(l->limits, c->in.limit_row, POLICY_LIMIT_CONNECTIONS,
                            (uint32_t)conf->connection_rate, l->now_ns))
        return NULL;
    say(c, text, l->settings->smtp.hostname, "too many connections");
    client_limits_close(c);
    stats_inc(l->stats, STATS_LIMIT_CONNECTION_RATE);
    return "connection rate limit exceeded";
}

void client_limits_close(struct conn *c)
{
    if (c->lane->limits != NULL)
        policy_limit_close(c->lane->limits, c->in.limit_row);
    c->in.limit_row = POLICY_LIMIT_NONE;
}

/* ---- messages and recipients ---- */

struct rule {
    enum policy_limit_rate rate;
    uint64_t client, login; /* a minute */
    enum stats_id client_stat, login_stat;
    const char *what, *reason;
};

static const char *over(struct conn *c, const struct rule *rule, enum stats_id stat,
                        struct smtp_reply *reply, char text[POLICY_TEXT_CAP])
{
    *reply = (struct smtp_reply){450, "4.7.1", text};
    say(c, text, "", rule->what);
    stats_inc(c->lane->stats, stat);
    return rule->reason;
}

static const char *charge(struct conn *c, const struct rule *rule, struct smtp_reply *reply,
                          char text[POLICY_TEXT_CAP])
{
    struct lane *l = c->lane;

    if (l->limits == NULL || c->in.limit_exempt)
        return NULL;
    if (!policy_limit_charge(l->limits, c->in.limit_row, rule->rate, (uint32_t)rule->client,
                             l->now_ns))
        return over(c, rule, rule->client_stat, reply, text);
    if (c->in.login.len > 0 && rule->login > 0) {
        struct policy_limit_client login = policy_limit_login(l->limits, c->in.login);
        bool forgot;
        bool fits = policy_limit_charge_client(l->limits, &login, rule->rate, (uint32_t)rule->login,
                                               l->now_ns, &forgot);
        count_forgotten(l, forgot);
        if (!fits)
            return over(c, rule, rule->login_stat, reply, text);
    }
    return NULL;
}

const char *client_limits_mail(struct conn *c, struct smtp_reply *reply, char text[POLICY_TEXT_CAP])
{
    const struct conf_limits *conf = &c->lane->settings->conf->limits;

    return charge(c,
                  &(struct rule){POLICY_LIMIT_MESSAGES, conf->message_rate,
                                 conf->login_message_rate, STATS_LIMIT_MESSAGES,
                                 STATS_LIMIT_LOGIN_MESSAGES, "too much mail",
                                 "message delivery request rate limit exceeded"},
                  reply, text);
}

const char *client_limits_rcpt(struct conn *c, struct smtp_reply *reply, char text[POLICY_TEXT_CAP])
{
    struct lane *l = c->lane;
    const struct conf_limits *conf = &l->settings->conf->limits;

    if (!c->in.limit_exempt) {
        /* Before the recipient is looked at: the answer says nothing about it. */
        bool session =
            conf->unknown_recipients > 0 && c->in.unknown_cnt >= conf->unknown_recipients;
        if (session || (l->limits != NULL &&
                        !policy_limit_allows(l->limits, c->in.limit_row, POLICY_LIMIT_UNKNOWN,
                                             (uint32_t)conf->unknown_recipient_rate, l->now_ns))) {
            stats_inc(l->stats, session ? STATS_LIMIT_UNKNOWN_SESSION : STATS_LIMIT_UNKNOWN_CLIENT);
            snprintf(text, POLICY_TEXT_CAP, "%s Error: too many errors",
                     l->settings->smtp.hostname);
            *reply = (struct smtp_reply){421, "4.7.0", text};
            return "too many unknown recipients";
        }
    }
    return charge(c,
                  &(struct rule){POLICY_LIMIT_RECIPIENTS, conf->recipient_rate,
                                 conf->login_recipient_rate, STATS_LIMIT_RECIPIENTS,
                                 STATS_LIMIT_LOGIN_RECIPIENTS, "too many recipients",
                                 "recipient address rate limit exceeded"},
                  reply, text);
}

void client_limits_unknown(struct conn *c)
{
    struct lane *l = c->lane;
    uint64_t rate = l->settings->conf->limits.unknown_recipient_rate;

    c->in.unknown_cnt++;
    if (l->limits != NULL && !policy_limit_charge(l->limits, c->in.limit_row, POLICY_LIMIT_UNKNOWN,
                                                  (uint32_t)rate, l->now_ns))
        return; /* other connections were quicker: the next recipient gets 421 */
}

/* ---- time ---- */

static uint64_t shortened(const struct lane *l, uint64_t ns)
{
    uint64_t most = l->settings->conf->limits.stress_timeout_ns;

    return l->stress && most < ns ? most : ns;
}

uint64_t client_limits_command_ns(const struct lane *l)
{
    return shortened(l, l->settings->conf->smtp.command_timeout_ns);
}

void client_limits_body_begin(struct conn *c)
{
    const struct conf *conf = c->lane->settings->conf;
    uint64_t ns = shortened(c->lane, conf->smtp.data_timeout_ns);
    uint64_t bytes = conf->limits.data_rate_min_bytes * (ns / BASE_NS_MS) / 1000;

    c->in.body_want = bytes > 0 && !c->in.limit_exempt ? bytes : 1;
    c->in.body_got = false;
    conn_deadline(c, ns);
}

void client_limits_body_bytes(struct conn *c, uint64_t bytes)
{
    if (bytes == 0)
        return;
    c->in.body_got = true;
    if (bytes >= c->in.body_want)
        client_limits_body_begin(c);
    else
        c->in.body_want -= bytes;
}

const char *client_limits_timeout(struct conn *c)
{
    stats_inc(c->lane->stats, STATS_CONN_TIMEOUTS);
    if (c->in.smtp.state == SMTP_SESSION_BODY && c->in.body_got) {
        stats_inc(c->lane->stats, STATS_LIMIT_DATA_RATE);
        return "message too slow";
    }
    if (c->lane->stress)
        stats_inc(c->lane->stats, STATS_LIMIT_STRESS_TIMEOUTS);
    return "timeout";
}

/* A time-out that runs since before the stress. */
static void shorten(struct conn *c)
{
    uint64_t most = c->lane->settings->conf->limits.stress_timeout_ns;

    if (c->app != &conn_in_ops || c->link == NULL || c->finishing || c->in.txn.committing)
        return;
    if (c->timer.deadline_ns == BASE_NS_NONE || c->timer.deadline_ns <= c->lane->now_ns + most)
        return;
    if (c->in.smtp.state == SMTP_SESSION_BODY)
        client_limits_body_begin(c);
    else
        conn_deadline(c, most);
}

void client_limits_stress(struct lane *l)
{
    const struct conf *conf = l->settings->conf;
    uint64_t used = l->in_cnt + l->out_cnt;
    uint64_t from = conf->tcp.connections * conf->limits.stress / 100;

    if (!l->stress && from > 0 && used >= from) {
        l->stress = true;
        l->shorten_cnt = l->in_cnt + l->out_cnt;
        stats_inc(l->stats, STATS_LIMIT_STRESS_BEGUN);
    } else if (l->stress && (from == 0 || used < from - from / 8)) { /* not in and out by turns */
        l->stress = false;
        l->shorten_cnt = 0;
    }
    for (uint32_t i = 0; i < SHORTEN_MAX && l->shorten_cnt > 0; i++, l->shorten_cnt--) {
        struct base_list *node = base_list_pop_front(&l->open);
        if (node == NULL)
            break;
        base_list_push_back(&l->open, node);
        shorten(base_container_of(node, struct conn, place));
    }
    stats_set(l->stats, STATS_LIMIT_STRESS, l->stress);
}
