/* The files of docker-mailserver: its environment is read, and what it has beside is told. */
#include "import_dms.h"

#include <errno.h>

struct import_item *dms_env(struct dms *d, const char *name)
{
    struct import_item *i = import_items_find(&d->env, name);

    return i != NULL && i->value[0] != 0 ? i : NULL;
}

bool dms_env_is(struct dms *d, const char *name, const char *value)
{
    struct import_item *i = dms_env(d, name);

    return i != NULL && strcmp(i->value, value) == 0;
}

const char *dms_file_of(struct dms *d, const char *name)
{
    return import_format(&d->im->arena, "%s/%s", d->dir, name);
}

bool dms_there(struct dms *d, const char *name, struct base_span *text)
{
    int error = d->im->in->read(d->im->in->user, dms_file_of(d, name), text);

    if (error != 0)
        *text = (struct base_span){0};
    return error == 0 || error == -EISDIR;
}

/* ---- the environment ---- */

static void variable(struct dms *d, const char *name, size_t name_len, const char *value,
                     const char *where)
{
    size_t len = strlen(value);

    if (len > 1 && (value[0] == '"' || value[0] == '\'') && value[len - 1] == value[0]) {
        value++;
        len -= 2;
    }
    struct import_item *i =
        import_items_add(&d->im->arena, &d->env, import_copy(&d->im->arena, name, name_len),
                         import_copy(&d->im->arena, value, len), where);
    i->hidden = import_is_secret(i->name);
}

static void env_line(struct dms *d, const char *line, char sign, const char *where)
{
    line += strspn(line, " \t");
    if (import_begins(line, "export "))
        line += 7;
    size_t len = strcspn(line, (char[]){sign, ' ', '\t', 0});
    const char *value = line + len + strspn(line + len, " \t");
    if (len > 0 && value[0] == sign)
        variable(d, line, len, value + 1 + strspn(value + 1, " \t"), where);
    else
        import_items_add(&d->im->arena, &d->env, line, NULL, where);
}

static void env_file(struct dms *d, const char *name, struct base_span text)
{
    struct import_lines l = {.text = text, .next_line = 1, .whole = true};
    const char *line;
    uint32_t number;

    while ((line = import_line(&d->im->arena, &l, &number)) != NULL)
        env_line(d, line, '=', import_format(&d->im->arena, "%s:%u", name, number));
}

/* The lines below environment:, and the container's name; nothing else of YAML. */
static void compose_file(struct dms *d, const char *name, struct base_span text)
{
    struct import_lines l = {.text = text, .next_line = 1, .whole = true};
    const char *line, *host = NULL, *domain = "";
    uint32_t number;
    size_t in = SIZE_MAX;

    while ((line = import_line(&d->im->arena, &l, &number)) != NULL) {
        const char *where = import_format(&d->im->arena, "%s:%u", name, number);
        size_t indent = strspn(line, " ");
        const char *at = line + indent;
        bool item = import_begins(at, "- ");
        if (in != SIZE_MAX && (indent > in || (indent == in && item))) {
            at += item ? 2 : 0;
            size_t len = strlen(at);
            if (len > 1 && (at[0] == '"' || at[0] == '\'') && at[len - 1] == at[0])
                at = import_copy(&d->im->arena, at + 1, len - 2);
            env_line(d, at, item ? '=' : ':', where);
            continue;
        }
        in = strcmp(at, "environment:") == 0 ? indent : SIZE_MAX;
        if (import_begins(at, "hostname:"))
            host = at + 9 + strspn(at + 9, " \"'");
        if (import_begins(at, "domainname:"))
            domain = at + 11 + strspn(at + 11, " \"'");
    }
    if (host == NULL || dms_env(d, "OVERRIDE_HOSTNAME") != NULL)
        return;
    host = import_copy(&d->im->arena, host, strcspn(host, " \"'"));
    if (domain[0] != 0)
        host = import_format(&d->im->arena, "%s.%.*s", host, (int)strcspn(domain, " \"'"), domain);
    import_items_add(&d->im->arena, &d->im->items, "myhostname", host,
                     import_format(&d->im->arena, "%s: hostname, as", name));
}

/* What else may lie there. */
void dms_other_files(struct dms *d)
{
    static const struct {
        const char *name, *note;
    } files[] = {
        {"postfix-send-access.cf", "accounts that may not send: no access tables here; lock them "
                                   "in the accounts' file ({nologin} users cannot log in)"},
        {"postfix-receive-access.cf", "accounts that get no mail: no access tables here"},
        {"dovecot-quotas.cf", "of Dovecot, which refuses by LMTP"},
        {"dovecot-masters.cf", "of Dovecot"},
        {"dovecot.cf", "of Dovecot"},
        {"ldap-users.cf", "LDAP is not asked: auth: backend = dovecot"},
        {"ldap-groups.cf", "LDAP is not asked"},
        {"ldap-aliases.cf", "LDAP is not asked"},
        {"ldap-domains.cf", "LDAP is not asked"},
        {"opendkim", "no DKIM: sign where the mail comes from, or by a filter in front"},
        {"rspamd", "no filters here: one that speaks SMTP stands in front, or behind by a route"},
        {"amavis.cf", "no filters here"},
        {"spamassassin-rules.cf", "no filters here"},
        {"fetchmail.cf", "a program of its own: it delivers by SMTP"},
        {"getmail", "a program of its own: it delivers by SMTP"},
        {"fail2ban-jail.cf", "fail2ban's filter postfix reads log: format = postfix"},
        {"fail2ban-fail2ban.cf", "fail2ban's own"},
        {"before.dovecot.sieve", "of Dovecot"},
        {"after.dovecot.sieve", "of Dovecot"},
        {"whitelist_clients.local", "no greylisting here"},
    };
    struct base_span text;

    if (dms_there(d, "user-patches.sh", &text))
        import_todo(&d->im->doc, NULL, NULL,
                    "%s: a script that changes the container: read it, it is not run here",
                    dms_file_of(d, "user-patches.sh"));
    for (size_t i = 0; i < BASE_ARRAY_CNT(files); i++)
        if (dms_there(d, files[i].name, &text))
            import_part(&d->im->doc, IMPORT_NONE, "%s\n    %s", dms_file_of(d, files[i].name),
                        files[i].note);
}

/* What of the environment nobody has told. */
void dms_env_rest(struct dms *d)
{
    struct import *im = d->im;
    const char *empty = "";

    for (struct import_item *i = d->env.first; i != NULL; i = i->next) {
        const struct import_row *r =
            i->value != NULL ? import_row_find(import_dms_rows, i->name) : NULL;
        if (i->told)
            continue;
        if (i->value != NULL && i->value[0] == 0) {
            empty = import_format(&im->arena, "%s %s", empty, i->name);
            continue;
        }
        enum import_part part = r != NULL && r->kind == ROW_SAME  ? IMPORT_SAME
                                : r != NULL && r->kind == ROW_OWN ? IMPORT_OWN
                                                                  : IMPORT_NONE;
        bool off = i->value != NULL && strcmp(i->value, "0") == 0;
        const char *note = i->again           ? "set again, which counts"
                           : off              ? "off"
                           : i->value == NULL ? "not understood: no NAME=value"
                           : r == NULL        ? "not known to the import"
                           : r->note[0] == 0 && part == IMPORT_NONE
                               ? "nothing came of it as the others are"
                               : r->note;
        import_part(&im->doc, off ? IMPORT_OWN : part, "%s%s%s", import_tell(im, i),
                    note[0] != 0 ? "\n    " : "", note);
    }
    if (empty[0] != 0)
        import_part(&im->doc, IMPORT_OWN, "set to nothing, so as by default:%s", empty);
}

const char *dms_found(struct import *im, const char *const *below, const char *const *names)
{
    struct base_span text;

    for (; *below != NULL; below++)
        for (const char *const *n = names; *n != NULL; n++)
            if (im->in->read(im->in->user,
                             import_format(&im->arena, "%s%s/%s", im->in->dir, *below, *n),
                             &text) == 0)
                return import_format(&im->arena, "%s%s", im->in->dir, *below);
    return NULL;
}

bool dms_environment(struct dms *d)
{
    static const char *const homes[] = {"", "/..", "/../..", "/../../..", NULL};
    static const char *const composes[] = {"compose.yaml", "compose.yml", "docker-compose.yml",
                                           "docker-compose.yaml", NULL};
    static const char *const env_names[] = {"mailserver.env", NULL};
    struct import *im = d->im;
    struct base_span text;
    const char *dir = dms_found(im, homes, env_names);
    bool some = dir != NULL;

    if (dir != NULL &&
        im->in->read(im->in->user, import_format(&im->arena, "%s/mailserver.env", dir), &text) == 0)
        env_file(d, "mailserver.env", text);
    dir = dms_found(im, homes, composes);
    for (size_t i = 0; dir != NULL && composes[i] != NULL; i++)
        if (im->in->read(im->in->user, import_format(&im->arena, "%s/%s", dir, composes[i]),
                         &text) == 0) {
            compose_file(d, composes[i], text);
            break;
        }
    return some || dir != NULL;
}
