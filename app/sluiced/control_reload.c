/*
 * Reload: everything that the new configuration needs is read and made first; then all of it is put
 * in place of the old. What fails before that leaves all as it was, and says why.
 */
#include "control.h"
#include "gateway_auth.h"
#include "gateway_https.h"
#include "settings_logins.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CHANGED_MAX 256 /* rows of the table at most */

/* What a reload is about to put in place. */
struct reload {
    struct settings *settings; /* with the configuration */
    struct policy_tables *tables;
    struct resolver_config *names;
};

static void log_reload(struct control *c, uint64_t generation, const char *what)
{
    struct stats_log_record r = {
        .wall_ns = loop_wall_ns(), .event = STATS_LOG_RELOAD, .n = generation};

    stats_log_text(&r, base_span_str(what));
    stats_log_push(&c->log, &r);
}

/* Each line but the last, which ends the answer, belongs to a list. more: further ones. */
static void refuse(struct control *c, const char *why, uint32_t more)
{
    char text[STATS_LOG_TEXT_CAP];
    int n = snprintf(text, sizeof(text), "refused: %.300s", why);

    if (more > 0)
        snprintf(text + n, sizeof(text) - (size_t)n, "; and %u more, sluicectl reload tells all",
                 more);
    log_reload(c, c->config.gateway->hub.generation, text);
}

static int open_by_opener(void *user, const char *path)
{
    return opener_open(user, path);
}

/* ---- what is read ---- */

/* NULL: it has errors, which have been told. */
static struct conf *load_conf(struct control *c, struct control_client *client)
{
    struct conf_errors *errors = calloc(1, sizeof(*errors));
    char *text = NULL;
    size_t len = 0;

    base_assert(errors != NULL);
    struct conf *conf =
        config_load(c->config.config_path, open_by_opener, c->config.opener, errors);
    FILE *out = conf == NULL ? open_memstream(&text, &len) : NULL;
    if (out != NULL) {
        conf_write_errors(out, errors);
        fclose(out);
    }
    if (conf == NULL && client != NULL)
        control_refuse(client, "the configuration has errors; the old one stays\n%s",
                       text != NULL ? text : "");
    if (conf == NULL && text != NULL) {
        text[strcspn(text, "\n")] = 0;
        refuse(c, text, errors->cnt - 1);
    }
    free(text);
    conf_errors_free(errors);
    free(errors);
    return conf;
}

/* Makes all that conf needs; takes conf. Returns false with a sentence in why: nothing is left of
 * it. Certificates come last, as nothing fails behind them: those in use are replaced here. */
static bool prepare(struct control *c, struct conf *conf, struct reload *r,
                    char why[CONTROL_WHY_CAP])
{
    base_static_assert(
        CONTROL_WHY_CAP >= GATEWAY_TLS_WHY_CAP && CONTROL_WHY_CAP >= GATEWAY_RESOLVER_WHY_CAP &&
            CONTROL_WHY_CAP >= SETTINGS_LOGINS_WHY_CAP && CONTROL_WHY_CAP >= MAPS_TEXT_CAP,
        "one sentence for all");
    *r = (struct reload){.tables = control_maps_read(c, conf, why)};
    uint64_t lookups = c->config.gateway->hub.started->conf->dns.lookups;
    if (r->tables != NULL)
        r->names = gateway_resolver_prepare(conf, lookups, open_by_opener, c->config.opener, why);
    if (r->names == NULL)
        conf_free(conf);
    else if ((r->settings = settings_make(conf)) == NULL)
        snprintf(why, CONTROL_WHY_CAP, "memory is short");
    if (r->settings != NULL &&
        settings_logins_read(r->settings, open_by_opener, c->config.opener, why) == 0 &&
        control_tls_load(c, r->settings->conf, why) == 0)
        return true;
    if (r->settings != NULL)
        settings_free(r->settings);
    policy_tables_free(r->tables);
    resolver_config_free(r->names);
    return false;
}

static void tell_refused(struct control *c, struct control_client *client, const char *why)
{
    const struct maps_notes *maps = &c->config.gateway->maps;
    bool of_maps = maps->error_cnt > 0 && strcmp(why, maps->error[0]) == 0;

    if (client != NULL)
        control_refuse(client, "%s; the old configuration stays\n", why);
    for (uint32_t i = 1; i < maps->error_cnt && of_maps && client != NULL; i++)
        control_print(client, "%s\n", maps->error[i]);
    refuse(c, why, of_maps ? maps->error_cnt - 1 : 0);
}

/* ---- what is told ---- */

static void append(char text[STATS_LOG_TEXT_CAP], const char *before, const struct conf_setting *s)
{
    size_t len = strlen(text);

    if (len + strlen(before) + strlen(s->block) + strlen(s->key) + 8 < STATS_LOG_TEXT_CAP)
        snprintf(text + len, STATS_LOG_TEXT_CAP - len, "%s%s.%s", before, s->block, s->key);
    else if (len < 3 || strcmp(text + len - 3, "...") != 0)
        snprintf(text + len, STATS_LOG_TEXT_CAP - len, " ...");
}

/* Which settings hold from now on, and which will after a restart. */
static void tell_changed(struct control *c, struct control_client *client,
                         const struct conf *before, const struct conf *after)
{
    const struct settings_hub *hub = &c->config.gateway->hub;
    const struct conf_setting *changed[CHANGED_MAX];
    char text[STATS_LOG_TEXT_CAP] = "published";
    uint32_t cnt = conf_changes(before, after, changed, CHANGED_MAX);

    if (client != NULL)
        control_print(client, "settings_generation %" PRIu64 "\n", hub->generation);
    const char *between = "; taken: ";
    for (uint32_t i = 0; i < cnt && i < CHANGED_MAX; i++) {
        if (!changed[i]->reloadable)
            continue;
        if (client != NULL)
            control_print(client, "taken: %s.%s\n", changed[i]->block, changed[i]->key);
        append(text, between, changed[i]);
        between = ", ";
    }
    cnt = conf_compare(hub->started->conf, after, changed, CHANGED_MAX);
    between = "; some changed keys need a restart: ";
    for (uint32_t i = 0; i < cnt && i < CHANGED_MAX; i++) {
        if (client != NULL)
            control_print(client, "needs a restart: %s.%s\n", changed[i]->block, changed[i]->key);
        append(text, between, changed[i]);
        between = ", ";
    }
    log_reload(c, hub->generation, text);
}

static void tell_warnings(struct control *c, struct control_client *client,
                          const struct conf_errors *warnings)
{
    char text[STATS_LOG_TEXT_CAP];

    for (uint32_t i = 0; i < warnings->cnt; i++) {
        const struct conf_error *w = &warnings->error[i];
        struct stats_log_record r = {.wall_ns = loop_wall_ns(), .event = STATS_LOG_WARNING};
        snprintf(text, sizeof(text), "%s:%u: %s: %s", w->file, w->line, w->key, w->why);
        stats_log_text(&r, base_span_str(text));
        stats_log_push(&c->log, &r);
        if (client != NULL)
            control_print(client, "%s:%u: %s: warning: %s\n", w->file, w->line, w->key, w->why);
    }
}

void control_reload(struct control *c, struct control_client *client)
{
    const struct conf_setting *changed[1];
    struct gateway *g = c->config.gateway;
    char why[CONTROL_WHY_CAP];
    struct reload next;

    struct conf *conf = load_conf(c, client);
    if (conf == NULL)
        return;
    if (!prepare(c, conf, &next, why))
        return tell_refused(c, client, why);
    log_writer_set_level(c->config.log, (enum stats_log_level)conf->log.level);
    (void)control_reopen_log(c); /* a rotation is the other reason for SIGHUP */
    const struct conf *before = settings_current(&g->hub)->conf;
    bool other = conf_changes(before, conf, changed, 1) > 0;
    settings_publish(&g->hub, next.settings); /* the old ones are freed by a later pass */
    control_maps_use(c, next.tables);
    gateway_resolver_use(&g->resolver, next.names);
    gateway_https_reload(&g->https);
    gateway_auth_reload(&g->auth, c->config.opener);
    tell_changed(c, client, before, conf);
    if (other)
        tell_warnings(c, client, conf->warnings);
    control_tls_loaded(c);
}
