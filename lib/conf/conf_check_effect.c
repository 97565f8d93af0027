/*
 * Warnings: settings that have no effect as the others are, and such as are hardly meant. None of
 * them keeps a gateway from its work; who writes a configuration should know of them all the same.
 */
#include "conf_internal.h"

#include <stdio.h>

__attribute__((format(printf, 5, 6))) static void warn(struct conf_parser *p, const char *file,
                                                       uint32_t line, const char *key,
                                                       const char *format, ...)
{
    va_list args;

    va_start(args, format);
    conf_error_addv(p->warnings, file, line, key, format, args);
    va_end(args);
}

/* Of a named block, at its first line. */
static void warn_named(struct conf_parser *p, const char *block, const void *instance,
                       const char *key, const char *why)
{
    const struct conf_named *n = instance;
    char full[CONF_KEY_CAP];

    snprintf(full, sizeof(full), "%s %.200s: %s", block, n->name, key);
    warn(p, n->file, n->line, full, "%s", why);
}

/* ---- blocks without a name ---- */

/* Of a setting that was given, where it was. */
static void idle(struct conf_parser *p, bool without, const char *block, const char *key,
                 const char *condition)
{
    const struct conf_setting *s = conf_setting_find(block, key);
    char full[CONF_KEY_CAP];

    base_assert(s != NULL);
    const struct conf_seen *seen = &p->seen[s - conf_settings];
    if (!without || seen->file == NULL || seen->bad)
        return;
    snprintf(full, sizeof(full), "%s: %s", block, key);
    warn(p, seen->file, seen->line, full, "has no effect without %s", condition);
}

/* Of all that were given of a block, but the one that it hangs on. */
static void idle_block(struct conf_parser *p, bool without, const char *block, const char *but,
                       const char *condition)
{
    for (const struct conf_setting *s = conf_settings; without && s->block != NULL; s++)
        if (strcmp(s->block, block) == 0 && strcmp(s->key, but) != 0)
            idle(p, true, block, s->key, condition);
}

static void check_auth(struct conf_parser *p)
{
    bool passwd = p->conf->auth.backend == CONF_AUTH_PASSWD,
         none = p->conf->auth.backend == CONF_AUTH_NONE;

    idle_block(p, none, "auth", "backend", "backend");
    if (none)
        return;
    idle(p, !passwd, "auth", "passwd_file", "backend = passwd");
    idle(p, !passwd, "auth", "workers", "backend = passwd");
    idle(p, !passwd, "auth", "queue", "backend = passwd");
    idle(p, passwd, "auth", "dovecot_socket", "backend = dovecot");
}

static void check_log(struct conf_parser *p)
{
    bool file = p->conf->log.target == CONF_LOG_FILE;

    idle(p, file, "log", "socket", "target = syslog or journald");
    idle(p, file, "log", "facility", "target = syslog or journald");
    idle(p, !file, "log", "file", "target = file");
}

static void check_others(struct conf_parser *p)
{
    static const char *const of_lists[] = {"dns_list_threshold", "dns_list_timeout",
                                           "dns_list_clients"};
    static const char *const of_verify[] = {"verify_timeout",         "verify_cache",
                                            "verify_positive_expire", "verify_positive_refresh",
                                            "verify_negative_expire", "verify_negative_refresh"};
    static const char *const of_sources[] = {"set_aside", "set_aside_min", "set_aside_max"};
    const struct conf *c = p->conf;

    for (size_t i = 0; i < BASE_ARRAY_CNT(of_lists); i++)
        idle(p, c->dns_list_cnt == 0, "limits", of_lists[i], "a dns_list block");
    for (size_t i = 0; i < BASE_ARRAY_CNT(of_verify); i++)
        idle(p, c->recipient.verify == CONF_VERIFY_NO, "recipient", of_verify[i],
             "verify = next_hop");
    for (size_t i = 0; i < BASE_ARRAY_CNT(of_sources); i++)
        idle(p, c->source_cnt == 0, "delivery", of_sources[i], "a source block");
    idle(p, c->tls.key_operations == CONF_KEY_INLINE, "tls", "key_threads",
         "key_operations = pool");
    idle(p, c->tls.key_operations == CONF_KEY_INLINE, "tls", "key_cpus", "key_operations = pool");
    idle(p, !c->telemetry.enabled, "telemetry", "group", "enabled = yes");
    idle(p, !c->delivery.mta_sts, "delivery", "mta_sts_timeout", "mta_sts = yes");
    idle(p, c->recipient.aliases.cnt == 0, "recipient", "extension_propagate", "aliases");
    idle(p, c->recipient.aliases.cnt == 0, "recipient", "expansion", "aliases");
    idle(p, c->srs.domain == NULL, "srs", "max_age", "domain");
    idle_block(p, !c->tlsrpt.enable, "tlsrpt", "enable", "enable = yes");
}

/* ---- listeners, ports, routes ---- */

static void check_port_number(struct conf_parser *p, const struct conf_listener *l)
{
    enum conf_tls_level level = conf_listener_tls(l);

    if (l->tcp_port == 25 && l->kind != CONF_KIND_MX)
        warn_named(p, "listener", l, "tcp_port",
                   "other servers send to port 25, without a login: kind = mx");
    if (l->tcp_port == 465 && level != CONF_TLS_IMPLICIT)
        warn_named(p, "listener", l, "tcp_port",
                   "clients begin TLS at once on port 465: kind = submissions");
    if (l->tcp_port == 587 && (l->kind == CONF_KIND_MX || level == CONF_TLS_IMPLICIT))
        warn_named(p, "listener", l, "tcp_port",
                   "users' programs use port 587, by STARTTLS: kind = submission");
}

static void check_listener(struct conf_parser *p, const struct conf_listener *l)
{
    const struct conf *c = p->conf;
    static const char *const of_proxy[] = {"proxy_timeout", "proxy_unknown"};
    static const char *const of_tls[] = {"tls_min",    "tls_ciphers", "tls_ciphersuites",
                                         "tls_groups", "tls_tickets", "tls_alpn"};
    const struct conf_block *b = conf_block_find("listener");
    struct conf_listener usual = {0};
    bool clear = conf_listener_tls(l) == CONF_TLS_NONE || (c->certificate_cnt == 0 && l->tls == 0);

    for (const struct conf_setting *s = conf_settings; s->block != NULL; s++) {
        const char *without = NULL;
        if (!conf_setting_in(s, b) || s->default_text == NULL)
            continue;
        for (size_t i = 0; i < BASE_ARRAY_CNT(of_proxy) && l->proxy == CONF_PROXY_NONE; i++)
            if (strcmp(s->key, of_proxy[i]) == 0)
                without = "has no effect without proxy = required";
        for (size_t i = 0; i < BASE_ARRAY_CNT(of_tls) && clear; i++)
            if (strcmp(s->key, of_tls[i]) == 0)
                without = "has no effect without TLS";
        conf_value_default(s, &usual, p->arena);
        if (without != NULL && !conf_value_same(s, (const char *)l, (const char *)&usual))
            warn_named(p, "listener", l, s->key, without);
    }
    if (l->greet_pause_ns > 0 && conf_listener_tls(l) == CONF_TLS_IMPLICIT)
        warn_named(p, "listener", l, "greet_pause", "has no effect with tls = implicit");
    if (l->kind != CONF_KIND_MX && c->auth.backend == CONF_AUTH_NONE && l->auth_required &&
        c->relay.networks.cnt == 0)
        warn_named(
            p, "listener", l, "kind",
            "nobody can send here: there are no users (auth: backend) and no relay: networks");
    check_port_number(p, l);
}

static void check_port(struct conf_parser *p, const struct conf_port *port)
{
    struct conf_port usual = {0};

    conf_value_default(conf_setting_find("port", "host_rate"), &usual, p->arena);
    conf_value_default(conf_setting_find("port", "host_burst"), &usual, p->arena);
    if (port->host_device == NULL && port->host_rate != usual.host_rate)
        warn_named(p, "port", port, "host_rate", "has no effect without host_device");
    if (port->host_device == NULL && port->host_burst != usual.host_burst)
        warn_named(p, "port", port, "host_burst", "has no effect without host_device");
}

static void check_route(struct conf_parser *p, const struct conf_route *r)
{
    if (r->auth_user == NULL && r->auth_cleartext)
        warn_named(p, "route", r, "auth_cleartext", "has no effect without auth_user");
    if (r->auth_user == NULL && r->auth_mechanisms.cnt > 0)
        warn_named(p, "route", r, "auth_mechanisms", "has no effect without auth_user");
}

/* ---- who may send ---- */

static void check_relay(struct conf_parser *p)
{
    const struct conf *c = p->conf;
    const struct conf_seen *networks =
        &p->seen[conf_setting_find("relay", "networks") - conf_settings];
    bool proxies = false, users = c->auth.backend != CONF_AUTH_NONE;
    struct conf_prefix prefix;

    for (uint32_t i = 0; i < c->listener_cnt; i++)
        proxies |=
            c->listener[i].proxy == CONF_PROXY_REQUIRED || c->listener[i].xclient_networks.cnt > 0;
    idle(p, !proxies, "relay", "proxied", "a listener with proxy = required or xclient_networks");
    for (uint32_t i = 0; i < c->relay.networks.cnt; i++)
        if (conf_prefix_parse(&prefix, c->relay.networks.item[i]) && prefix.len == 0)
            warn(p, networks->file, networks->line, "relay: networks",
                 "%s is everybody: an open relay", c->relay.networks.item[i]);
    if (c->listener_cnt > 0 && c->relay.networks.cnt == 0 && c->relay.domains.cnt == 0 && !users &&
        !networks->bad && !p->seen[conf_setting_find("relay", "domains") - conf_settings].bad)
        warn(p, p->file, 0, "relay",
             "no mail is taken: there are no domains, no networks and no users (auth: backend)");
}

static void check_certificates(struct conf_parser *p)
{
    bool used = false;

    for (uint32_t i = 0; i < p->conf->listener_cnt; i++)
        used |= conf_listener_tls(&p->conf->listener[i]) != CONF_TLS_NONE;
    if (p->conf->certificate_cnt > 0 && p->conf->listener_cnt > 0 && !used)
        warn_named(p, "certificate", &p->conf->certificate[0], "chain",
                   "has no effect: every listener has tls = none");
}

void conf_check_effect(struct conf_parser *p)
{
    const struct conf *c = p->conf;

    check_auth(p);
    check_log(p);
    check_others(p);
    for (uint32_t i = 0; i < c->listener_cnt; i++)
        check_listener(p, &c->listener[i]);
    for (uint32_t i = 0; i < c->port_cnt; i++)
        check_port(p, &c->port[i]);
    for (uint32_t i = 0; i < c->route_cnt; i++)
        check_route(p, &c->route[i]);
    check_relay(p);
    check_certificates(p);
}
