/* What control does about maps of addresses: looks for changed files, loads them, answers who may
 * send as what and why. */
#include "control.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int open_by_opener(void *user, const char *path)
{
    return opener_open(user, path);
}

static void say(struct control *c, enum stats_log_event event, const char *text)
{
    struct stats_log_record r = {.wall_ns = loop_wall_ns(), .event = (uint16_t)event};

    stats_log_text(&r, base_span_str(text));
    stats_log_push(&c->log, &r);
}

static struct stats_block *stats_of(struct control *c)
{
    return topology_stats(&c->config.gateway->topology, TOPOLOGY_CONTROL, 0);
}

/* What an operator should know of the files in use. */
static void tell(struct control *c)
{
    const struct gateway *g = c->config.gateway;
    const struct policy_tables *t = settings_tables(&c->config.gateway->hub);
    uint64_t keys = 0, bytes = 0;

    for (uint32_t i = 0; i < g->maps.warning_cnt; i++)
        say(c, STATS_LOG_WARNING, g->maps.warning[i]);
    for (int role = 0; role < POLICY_ROLE_CNT; role++)
        for (uint32_t i = 0; t != NULL && i < t->cnt[role]; i++) {
            keys += policy_map_count(t->map[role][i]);
            bytes += policy_map_bytes(t->map[role][i]);
        }
    stats_set(stats_of(c), STATS_POLICY_MAPS_KEYS_NOW, keys);
    stats_set(stats_of(c), STATS_POLICY_MAPS_BYTES_NOW, bytes);
    if (maps_wanted(settings_current(&c->config.gateway->hub)->conf))
        stats_inc(stats_of(c), STATS_POLICY_MAPS_LOADED);
}

void control_maps_start(struct control *c)
{
    c->maps_looked = c->config.gateway->maps_seen;
    tell(c);
}

struct policy_tables *control_maps_read(struct control *c, const struct conf *conf,
                                        char why[MAPS_TEXT_CAP])
{
    struct gateway *g = c->config.gateway;

    g->maps_seen = maps_look(conf, open_by_opener, c->config.opener);
    struct policy_tables *t = maps_read(conf, open_by_opener, c->config.opener, &g->maps);
    if (t == NULL) {
        snprintf(why, MAPS_TEXT_CAP, "%s", g->maps.error[0]);
        stats_inc(stats_of(c), STATS_POLICY_MAPS_REFUSED);
    }
    return t;
}

void control_maps_use(struct control *c, struct policy_tables *tables)
{
    settings_publish_tables(&c->config.gateway->hub, tables);
    tell(c);
}

void control_maps_tend(struct control *c)
{
    struct gateway *g = c->config.gateway;
    const struct conf *conf = settings_current(&g->hub)->conf;
    char why[MAPS_TEXT_CAP], text[STATS_LOG_TEXT_CAP];

    if (!maps_wanted(conf))
        return;
    uint64_t look = maps_look(conf, open_by_opener, c->config.opener);
    bool settled = look == c->maps_looked; /* nobody is just writing it */
    c->maps_looked = look;
    if (look == g->maps_seen || !settled)
        return;
    struct policy_tables *t = control_maps_read(c, conf, why);
    if (t == NULL) {
        snprintf(text, sizeof(text), "%.160s; the old maps stay", why);
        return say(c, STATS_LOG_WARNING, text);
    }
    if (g->maps.unended[0] != 0) { /* who says reload knows the file, but nobody has */
        policy_tables_free(t);
        stats_inc(stats_of(c), STATS_POLICY_MAPS_REFUSED);
        snprintf(text, sizeof(text), "%.330s, or reload; the old maps stay", g->maps.unended);
        return say(c, STATS_LOG_WARNING, text);
    }
    control_maps_use(c, t);
    say(c, STATS_LOG_NOTE, "map files have changed: loaded");
}

/* ---- questions ---- */

/* What a question is answered by, or an error told. */
struct asked {
    struct policy_view view;
    struct policy_reading reading;
    struct policy_tables *none;
    const struct policy_tables *tables;
};

static bool ask(struct control *c, struct control_client *client, struct asked *a)
{
    struct settings_hub *hub = &c->config.gateway->hub;

    *a = (struct asked){.view = {.settings = &settings_current(hub)->policy,
                                 .tables = settings_tables(hub),
                                 .work = policy_work_open()}};
    a->reading = policy_view_reading(&a->view);
    a->none = a->view.tables == NULL ? policy_tables_make() : NULL;
    a->tables = a->view.tables != NULL ? a->view.tables : a->none;
    if (a->view.work != NULL && a->tables != NULL)
        return true;
    control_refuse(client, CONTROL_NO_MEMORY);
    policy_work_close(a->view.work);
    policy_tables_free(a->none);
    return false;
}

static void asked_end(struct asked *a)
{
    policy_work_close(a->view.work);
    policy_tables_free(a->none);
}

#define SPAN(s) (int)(s).len, (const char *)(s).p

static void print_place(struct control_client *client, const struct policy_hit *hit)
{
    if (hit->map != NULL)
        control_print(client, " %s:%u", policy_map_name(hit->map), hit->line);
}

/* All that the files say of the address, for who wonders why not. */
static void print_owners(struct control_client *client, const struct asked *a,
                         const struct policy_key *address)
{
    struct policy_hit hit;
    struct base_span item;
    uint32_t from = 0;

    if (policy_is_account(a->tables, &a->reading, address))
        control_print(client, "it is an account\n");
    policy_work_reset(a->view.work);
    while (policy_find_owners(a->tables, &a->reading, a->view.work, address, &from, &hit)) {
        control_print(client, "its owners by");
        print_place(client, &hit);
        control_print(client, ":");
        while (policy_items_next(&hit.items, &item))
            control_print(client, " %.*s", SPAN(item));
        control_print(client, "\n");
    }
}

static void print_targets(struct control_client *client, const struct asked *a,
                          const struct policy_key *address)
{
    static const char *const words[] = {
        [POLICY_EXPANSION_ERROR] =
            "its alias cannot be followed: a pattern takes too long or makes no address;",
        [POLICY_EXPANSION_LIMIT] = "its alias has more targets than recipient: expansion;",
        [POLICY_EXPANSION_LOOP] = "its alias leads to itself alone;",
    };
    struct policy_expansion *e = calloc(1, sizeof(*e));

    if (e == NULL)
        return;
    uint32_t max = a->view.settings->expansion_max;
    enum policy_expansion_result r =
        policy_expand(a->tables, &a->reading, a->view.work, address,
                      max > 0 && max < POLICY_TARGET_MAX ? max : POLICY_TARGET_MAX, e);
    struct policy_hit hit = {.map = e->map, .line = e->line};
    if (r == POLICY_EXPANSION_SAME)
        control_print(client, "no alias: its mail goes to itself\n");
    else
        control_print(client, "%s", r == POLICY_EXPANSION_OTHER ? "alias" : words[r]);
    print_place(client, &hit);
    if (hit.map != NULL)
        control_print(client, "\n");
    for (uint32_t i = 0; i < e->cnt && r == POLICY_EXPANSION_OTHER; i++)
        control_print(client, "its mail goes to %.*s%s\n", SPAN(e->target[i]),
                      policy_is_local(&a->view, e->target[i]) ? "" : " (forwarded)");
    free(e);
}

static bool is_exempt(const struct asked *a, const struct policy_key *login)
{
    const struct policy_settings *s = a->view.settings;

    for (uint32_t i = 0; i < s->exempt_login_cnt; i++)
        if (policy_key_eq(&s->exempt_logins[i], login))
            return true;
    return false;
}

/* Where ownership is not asked for at all. */
static void print_listeners(struct control *c, struct control_client *client)
{
    static const char *const words[] = {[POLICY_SPOOF_OFF] = "off",
                                        [POLICY_SPOOF_LOGIN] = "login",
                                        [POLICY_SPOOF_STRICT] = "strict"};
    const struct settings *s = c->config.gateway->hub.started;

    for (uint32_t i = 0; i < s->conf->listener_cnt; i++)
        control_print(client, "listener %s: spoof_protection %s\n", s->conf->listener[i].name,
                      words[s->listeners[i].spoof]);
}

static void answer_sender(struct control *c, struct control_client *client, const struct asked *a,
                          const struct policy_key *login, const struct policy_key *address)
{
    static const char *const words[] = {
        [POLICY_OWNER_NOT] = "no: nothing says that the login owns the address",
        [POLICY_OWNER_ITSELF] = "yes: it is the login's own address",
        [POLICY_OWNER_ALIAS] = "yes: mail to the address goes to the login, by",
        [POLICY_OWNER_MAP] = "yes: the owners' map says so,",
        [POLICY_OWNER_ERROR] = "no, for now: it cannot be found out, by",
    };
    struct policy_why why = {0};
    enum policy_owner owner =
        policy_owns(a->tables, &a->reading, a->view.work, login, address, &why);

    if (is_exempt(a, login))
        control_print(client, "yes: the login is one of sender: exempt_logins\n");
    control_print(client, "%s", words[owner]);
    print_place(client, &why.hit);
    if (why.step_cnt > 1)
        control_print(client, " and %u more", why.step_cnt - 1);
    control_print(client, "\nlogin %.*s address %.*s\n", SPAN(policy_key_span(login)),
                  SPAN(policy_key_span(address)));
    print_owners(client, a, address);
    print_targets(client, a, address);
    if (!policy_key_has_domain(login))
        control_print(client, "the login has no domain, and there is no sender: login_domain\n");
    print_listeners(c, client);
}

void control_maps_check_sender(struct control *c, struct control_client *client)
{
    const struct base_span *word = client->command.word;
    struct policy_key login, address;
    struct asked a;

    if (!ask(c, client, &a))
        return;
    if (policy_login_key(&a.reading, &login, word[0]) != 0)
        control_refuse(client, "'%.*s' is no login: give the name that a user logs in with\n",
                       SPAN(word[0]));
    else if (policy_key_text(&address, word[1]) != 0 || address.at == 0 ||
             !policy_key_has_domain(&address))
        control_refuse(client, "'%.*s' is no address with a domain: give it as user@example.org\n",
                       SPAN(word[1]));
    else
        answer_sender(c, client, &a, &login, &address);
    if (client->command.filter.json && !client->refused)
        control_json_lines(client, client->out[CONTROL_HEAD_CAP] == 'y' ? "\"may\":true,"
                                                                        : "\"may\":false,");
    asked_end(&a);
}

void control_maps_check_recipient(struct control *c, struct control_client *client)
{
    const struct base_span word = client->command.word[0];
    struct policy_key address;
    struct asked a;

    if (!ask(c, client, &a))
        return;
    if (policy_key_text(&address, word) != 0 || address.at == 0 ||
        !policy_key_has_domain(&address)) {
        control_refuse(client, "'%.*s' is no address with a domain: give it as user@example.org\n",
                       SPAN(word));
        return asked_end(&a);
    }
    bool local = policy_is_local(&a.view, policy_key_span(&address));
    const char *taken = "null"; /* what there is no map for is not known */
    control_print(client, "%s\n", local ? "of a relay domain" : "of no relay domain");
    policy_work_reset(a.view.work);
    if (local && a.tables->cnt[POLICY_ROLE_RECIPIENTS] > 0)
        switch (policy_exists(a.tables, &a.reading, a.view.work, &address)) {
        case POLICY_FOUND:
            taken = "true";
            control_print(client, "accepted: it is known\n");
            break;
        case POLICY_FOUND_NOT:
            taken = "false";
            control_print(client, "refused: user unknown in relay recipient table\n");
            break;
        case POLICY_FOUND_ERROR:
            taken = "false";
            control_print(client, "refused for now: a pattern takes too long\n");
        }
    print_owners(client, &a, &address);
    print_targets(client, &a, &address);
    if (client->command.filter.json) {
        char members[64];
        snprintf(members, sizeof(members), "\"relay_domain\":%s,\"known\":%s,",
                 local ? "true" : "false", taken);
        control_json_lines(client, members);
    }
    asked_end(&a);
}
