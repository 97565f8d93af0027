/*
 * A whole configuration looked at before anything runs: its text, and each file, user and group
 * that it names. Nothing stops at the first error, nor at one of the text.
 */
#include "auth_passwd_file.h"
#include "control.h"
#include "gateway_resolver.h"
#include "settings_logins.h"
#include "small_file.h"

#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct check {
    FILE *out;
    const struct conf *conf;
    config_open open_file;
    void *user;
    bool good;
};

/* Of a setting of a block without a name, where it was given. */
__attribute__((format(printf, 5, 6))) static void say(struct check *c, const char *block,
                                                      const char *key, const char *kind,
                                                      const char *format, ...)
{
    struct conf_place place = conf_place_of(c->conf, block, key);
    va_list args;

    if (place.file != NULL)
        fprintf(c->out, "%s:%u: ", place.file, place.line);
    fprintf(c->out, "%s: %s: %s", block, key, kind);
    va_start(args, format);
    vfprintf(c->out, format, args);
    va_end(args);
    fputc('\n', c->out);
    c->good &= kind[0] != 0;
}

/* The passwords for next hops. */
static void check_logins(struct check *c)
{
    char why[SETTINGS_LOGINS_WHY_CAP];

    for (uint32_t i = 0; i < c->conf->route_cnt; i++) {
        const struct conf_route *r = &c->conf->route[i];
        if (r->auth_user == NULL || r->auth_password_file == NULL ||
            settings_logins_check(r, c->open_file, c->user, why) == 0)
            continue;
        fprintf(c->out, "%s:%u: route %s: auth_password_file: %s\n", r->file, r->line, r->name,
                why);
        c->good = false;
    }
}

static void check_maps(struct check *c)
{
    struct maps_notes *notes = calloc(1, sizeof(*notes));

    base_assert(notes != NULL);
    struct policy_tables *tables = maps_read(c->conf, c->open_file, c->user, notes);
    for (uint32_t i = 0; i < notes->warning_cnt; i++)
        fprintf(c->out, "%s\n", notes->warning[i]);
    for (uint32_t i = 0; i < notes->error_cnt; i++)
        fprintf(c->out, "%s\n", notes->error[i]);
    c->good &= tables != NULL;
    policy_tables_free(tables);
    free(notes);
}

/* Users and their hashes. */
static void check_accounts(struct check *c)
{
    const char *path = c->conf->auth.passwd_file;
    char why[AUTH_PASSWD_WHY_CAP], odd[AUTH_PASSWD_WHY_CAP];
    uint8_t *text = NULL;
    size_t len = 0;
    struct stat st;

    if (c->conf->auth.backend != CONF_AUTH_PASSWD || path == NULL)
        return;
    int fd = c->open_file(c->user, path);
    int error = fd < 0 ? fd : small_file_read(fd, AUTH_PASSWD_BYTES_MAX, false, &text, &len);
    if (error != 0) {
        say(c, "auth", "passwd_file", "", "%s: cannot be read (%s)", path, small_file_why(error));
    } else {
        if (fstat(fd, &st) == 0 && (st.st_mode & (S_IROTH | S_IWGRP | S_IWOTH)) != 0)
            say(c, "auth", "passwd_file",
                "warning: ", "%s: too many may read or change it: at most mode 640", path);
        struct auth_passwd_table *t = auth_passwd_parse(path, base_span_of(text, len), why, odd);
        if (t == NULL)
            say(c, "auth", "passwd_file", "", "%s", why);
        else if (odd[0] != 0)
            say(c, "auth", "passwd_file", "warning: ", "%s", odd);
        auth_passwd_free(t);
    }
    if (fd >= 0)
        close(fd);
    if (text != NULL)
        explicit_bzero(text, len);
    free(text);
}

/* Questions to the DNS: trust_anchor's file. */
static void check_names(struct check *c)
{
    char why[GATEWAY_RESOLVER_WHY_CAP];
    struct resolver_config *names =
        gateway_resolver_prepare(c->conf, c->conf->dns.lookups, c->open_file, c->user, why);
    struct conf_place place = conf_place_of(c->conf, "dns", "trust_anchor");

    c->good &= names != NULL;
    if (names == NULL && place.file != NULL)
        fprintf(c->out, "%s:%u: ", place.file, place.line);
    if (names == NULL)
        fprintf(c->out, "%s\n", why);
    resolver_config_free(names);
}

static void check_group(struct check *c, const char *block, const char *group)
{
    if (group != NULL && group[0] != 0 && getgrnam(group) == NULL)
        say(c, block, "group", "",
            "there is no group %s on this machine: make it (groupadd --system %s), or name another",
            group, group);
}

static void check_users(struct check *c)
{
    const struct conf *conf = c->conf;

    if (conf->gateway.user != NULL && conf->gateway.user[0] != 0 &&
        getpwnam(conf->gateway.user) == NULL)
        say(c, "gateway", "user", "",
            "there is no user %s on this machine: adduser --system --group %s makes it; without "
            "the line the gateway stays who starts it",
            conf->gateway.user, conf->gateway.user);
    check_group(c, "control", conf->control.group);
    if (conf->telemetry.enabled)
        check_group(c, "telemetry", conf->telemetry.group);
}

bool config_check(FILE *out, const char *path, config_open open_file, void *user, int64_t now_s)
{
    struct conf_errors *errors = calloc(1, sizeof(*errors));

    base_assert(errors != NULL);
    struct conf *conf = config_load_partly(path, open_file, user, errors);
    struct check c = {.out = out,
                      .conf = conf,
                      .open_file = open_file,
                      .user = user,
                      .good = conf != NULL && errors->cnt == 0};
    conf_write_errors(out, errors);
    conf_errors_free(errors);
    free(errors);
    if (conf == NULL)
        return false;
    conf_write_warnings(out, conf);
    c.good &= config_check_certificates(out, conf, open_file, user, now_s);
    check_maps(&c);
    check_logins(&c);
    check_accounts(&c);
    check_names(&c);
    check_users(&c);
    conf_free(conf);
    return c.good;
}
