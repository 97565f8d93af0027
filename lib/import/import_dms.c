/*
 * docker-mailserver: its environment and the files of its configuration directory. What it makes of
 * them for Postfix is made here, too, and translated as a Postfix; defaults of its own are items
 * that nobody set.
 */
#include "import_dms.h"

#define BY "docker-mailserver's default"

/* A parameter of Postfix that a variable makes. */
static struct import_item *becomes(struct dms *d, struct import_item *i, const char *parameter,
                                   const char *value)
{
    const char *where = BY;

    if (i != NULL) {
        where = import_format(&d->im->arena, "%s: %s, as", i->where, i->name);
        i->told = true;
    }
    struct import_item *p = import_items_add(&d->im->arena, &d->im->items, parameter, value, where);
    p->told = i == NULL;
    return p;
}

/* ---- what docker-mailserver makes of it ---- */

static void service(struct dms *d, const char *name, bool implicit)
{
    struct import *im = d->im;
    const char *command = strcmp(name, "smtp") == 0 ? "postscreen" : "smtpd";
    struct import_service *v =
        import_services_add(&im->arena, &im->services, name, "inet", command, "docker-mailserver:");
    struct import_item *spoof = dms_env(d, "SPOOF_PROTECTION");

    if (strcmp(command, "postscreen") == 0)
        return;
    const char *option[][2] = {
        {"smtpd_sasl_auth_enable", "yes"},
        {implicit ? "smtpd_tls_wrappermode" : "smtpd_tls_security_level",
         implicit ? "yes" : "encrypt"},
        {"smtpd_client_restrictions", "permit_sasl_authenticated, reject"},
        {"smtpd_sender_restrictions", "reject_authenticated_sender_login_mismatch"},
    };
    size_t cnt = dms_env_is(d, "SPOOF_PROTECTION", "1") ? 4 : 3;
    for (size_t i = 0; i < cnt; i++)
        import_items_add(
            &im->arena, &v->options, option[i][0], option[i][1],
            i == 3 ? import_format(&im->arena, "%s: SPOOF_PROTECTION, as", spoof->where) : BY)
            ->told = i < 3;
    if (spoof != NULL)
        spoof->told = cnt == 4;
}

static void certificates(struct dms *d)
{
    struct import_item *type = dms_env(d, "SSL_TYPE");
    const char *host = import_value(d->im, NULL, "myhostname"), *chain = NULL, *key = NULL;
    struct import_item *cert = dms_env(d, "SSL_CERT_PATH"), *key_item = dms_env(d, "SSL_KEY_PATH");
    struct import_item *alt = dms_env(d, "SSL_ALT_CERT_PATH"),
                       *alt_key = dms_env(d, "SSL_ALT_KEY_PATH");

    if (type == NULL)
        return;
    if (strcmp(type->value, "manual") == 0) {
        import_part(&d->im->doc, IMPORT_SAME, "%s\n    the certificate block",
                    import_tell(d->im, type));
        if (cert != NULL)
            becomes(d, cert, "smtpd_tls_cert_file", cert->value);
        if (key_item != NULL)
            becomes(d, key_item, "smtpd_tls_key_file", key_item->value);
        if (alt != NULL)
            becomes(d, alt, "smtpd_tls_eccert_file", alt->value);
        if (alt_key != NULL)
            becomes(d, alt_key, "smtpd_tls_eckey_file", alt_key->value);
        return;
    }
    if (strcmp(type->value, "letsencrypt") == 0) {
        chain = import_format(&d->im->arena, "/etc/letsencrypt/live/%s/fullchain.pem", host);
        key = import_format(&d->im->arena, "/etc/letsencrypt/live/%s/privkey.pem", host);
    } else if (strcmp(type->value, "custom") == 0) {
        chain = key = dms_file_of(d, import_format(&d->im->arena, "ssl/%s-full.pem", host));
    } else if (strcmp(type->value, "self-signed") == 0) {
        chain = dms_file_of(d, import_format(&d->im->arena, "ssl/%s-cert.pem", host));
        key = dms_file_of(d, import_format(&d->im->arena, "ssl/%s-key.pem", host));
    } else {
        return;
    }
    becomes(d, type, "smtpd_tls_cert_file", chain);
    becomes(d, type, "smtpd_tls_key_file", key);
}

/* Hosts of postfix-relaymap.cf: one for all is the way of all mail; several go by sender. */
static void relay_map(struct dms *d, bool has_relay)
{
    struct base_span text;
    struct import_map m = {.kind = IMPORT_MAP_ENTRIES};
    struct import_map_at at = {0};
    struct import_entry e;
    const char *one = NULL;

    if (!dms_there(d, "postfix-relaymap.cf", &text))
        return;
    m.text = text;
    while (import_map_next(&d->im->arena, &m, &at, &e)) {
        if (one == NULL && !has_relay && e.value[0] != 0) {
            one = e.value;
            struct import_item *i = becomes(d, NULL, "relayhost", one);
            i->where = import_format(&d->im->arena, "postfix-relaymap.cf:%u: as", e.line);
            i->told = false;
        }
        if (one == NULL || strcmp(one, e.value) != 0)
            import_todo(&d->im->doc, NULL, NULL,
                        "postfix-relaymap.cf:%u: routes are by recipient, not by sender", e.line);
    }
}

static void relay(struct dms *d)
{
    struct import *im = d->im;
    struct import_item *host = dms_env(d, "RELAY_HOST"), *user = dms_env(d, "RELAY_USER"),
                       *password = dms_env(d, "RELAY_PASSWORD"), *port = dms_env(d, "RELAY_PORT"),
                       *usual = dms_env(d, "DEFAULT_RELAY_HOST");
    const char *maps = "", *hop = NULL;
    struct base_span text;

    if (host != NULL) {
        hop = import_format(&im->arena, "[%s]:%s", host->value, port != NULL ? port->value : "25");
        becomes(d, host, "relayhost", hop);
        if (port != NULL && strcmp(port->value, "465") != 0)
            import_part(&im->doc, IMPORT_SAME, "%s\n    in route default", import_tell(im, port));
        if (port != NULL && strcmp(port->value, "465") == 0)
            becomes(d, port, "smtp_tls_wrappermode", "yes");
    } else if (usual != NULL) {
        becomes(d, usual, "relayhost", usual->value);
    }
    relay_map(d, host != NULL || usual != NULL);
    if (host != NULL && user != NULL && password != NULL) {
        maps =
            import_format(&im->arena, "inline:{ {%s = %s:%s} }", hop, user->value, password->value);
        import_part(&im->doc, IMPORT_SAME, "%s\n    in the file of route default",
                    import_tell(im, password));
    }
    if (dms_there(d, "postfix-sasl-password.cf", &text))
        maps = import_format(&im->arena, "texthash:%s %s",
                             dms_file_of(d, "postfix-sasl-password.cf"), maps);
    if (maps[0] == 0)
        return;
    becomes(d, NULL, "smtp_sasl_auth_enable", "yes");
    struct import_item *i = becomes(d, user, "smtp_sasl_password_maps", maps);
    i->hidden = true;
    i->told = user == NULL;
}

/* Secrets of postsrsd, each in a file of its own. */
static void srs(struct dms *d)
{
    struct import *im = d->im;
    struct import_item *on = dms_env(d, "ENABLE_SRS"), *domain = dms_env(d, "SRS_DOMAINNAME"),
                       *secret = dms_env(d, "SRS_SECRET");
    struct import_setting *s;
    const char *list = secret != NULL ? secret->value : "", *item;
    unsigned cnt = 0;

    if (!dms_env_is(d, "ENABLE_SRS", "1"))
        return;
    struct import_block *b = import_block(&im->doc, "srs", "");
    s = import_set(&im->doc, b, "domain",
                   domain != NULL ? domain->value : import_value(im, NULL, "mydomain"));
    import_note(&im->doc, b, s, "%s\n%s", import_tell(im, on), import_tell(im, domain));
    while ((item = import_next(&im->arena, &list)) != NULL && cnt < CONF_SECRET_MAX)
        if (strlen(item) >= 16)
            import_add(&im->doc, b, "secrets",
                       import_file_new(im, import_format(&im->arena, "srs%u", ++cnt),
                                       import_format(&im->arena, "%s\n", item), true));
    import_note(&im->doc, b, cnt > 0 ? import_setting_find(b, "secrets") : NULL, "%s",
                import_tell(im, secret));
    if (cnt == 0) {
        import_todo(&im->doc, b, NULL,
                    "secrets = /etc/sluice/srs.secret: a file of 16 bytes or more, mode 640");
        s->refused = "with secrets:";
    }
}

static void others(struct dms *d)
{
    static const char *const as[][2] = {
        {"POSTFIX_MESSAGE_SIZE_LIMIT", "message_size_limit"},
        {"POSTFIX_INET_PROTOCOLS", "inet_protocols"},
        {"POSTSCREEN_ACTION", "postscreen_greet_action"},
        {"POSTFIX_DAGENT", "virtual_transport"},
    };
    struct import *im = d->im;
    struct import_item *i;

    for (size_t n = 0; n < BASE_ARRAY_CNT(as); n++)
        if ((i = dms_env(d, as[n][0])) != NULL)
            becomes(d, i, as[n][1], i->value);
    if ((i = dms_env(d, "TLS_LEVEL")) != NULL)
        import_part(&im->doc, IMPORT_SAME, "%s\n    TLS 1.2 and 1.3, and nothing older",
                    import_tell(im, i));
    if ((i = dms_env(d, "SPOOF_PROTECTION")) != NULL && !i->told)
        import_part(&im->doc, IMPORT_SAME, "%s\n    listener: spoof_protection = off",
                    import_tell(im, i));
    if ((i = dms_env(d, "PERMIT_DOCKER")) != NULL) {
        if (strcmp(i->value, "none") == 0)
            import_part(&im->doc, IMPORT_SAME, "%s\n    nobody by address alone",
                        import_tell(im, i));
        else
            import_todo(&im->doc, import_block(&im->doc, "relay", ""), NULL,
                        "%s: networks = { } of the containers that may send without a login",
                        import_tell(im, i));
    }
    if ((i = dms_env(d, "ACCOUNT_PROVISIONER")) != NULL) {
        if (strcmp(i->value, "FILE") == 0)
            import_part(&im->doc, IMPORT_SAME, "%s\n    auth: passwd_file", import_tell(im, i));
        else
            import_todo(&im->doc, import_block(&im->doc, "auth", ""), NULL,
                        "%s: it is not asked; backend = dovecot; dovecot_socket = /path asks "
                        "Dovecot, which asks it",
                        import_tell(im, i));
    }
    if (dms_env_is(d, "ENABLE_DNSBL", "1"))
        import_todo(&im->doc, import_block(&im->doc, "limits", ""), NULL,
                    "%s: dns_list NAME { zone = ...; } for each list whose terms you have read; "
                    "threshold 3 there: zen.spamhaus.org weighed 3, others 1 to 2",
                    import_tell(im, dms_env(d, "ENABLE_DNSBL")));
}

/* ---- files ---- */

/* service/type/parameter=value */
static void master(struct dms *d, struct base_span text)
{
    struct import_lines l = {.text = text, .next_line = 1, .whole = true};
    const char *line;
    uint32_t number;

    while ((line = import_line(&d->im->arena, &l, &number)) != NULL) {
        const char *where = import_format(&d->im->arena, "postfix-master.cf:%u:", number);
        size_t name = strcspn(line, "/"), type = 0;
        if (line[name] == '/')
            type = strcspn(line + name + 1, "/");
        const char *rest = line[name] == '/' ? line + name + 1 + type : "";
        const char *equals = strchr(rest, '=');
        const char *service_name = import_copy(&d->im->arena, line, name);
        if (strcmp(service_name, "smtps") == 0 || strcmp(service_name, "465") == 0)
            service_name = "submissions";
        struct import_service *v =
            rest[0] == '/' ? import_services_find(&d->im->services, service_name,
                                                  import_copy(&d->im->arena, line + name + 1, type))
                           : NULL;
        if (v == NULL || equals == NULL) {
            import_part(&d->im->doc, IMPORT_NONE,
                        "postfix-master.cf:%u\n    of a service that has no counterpart here",
                        number);
            continue;
        }
        size_t len = (size_t)(equals - rest - 1);
        while (len > 0 && strchr(" \t", rest[len]) != NULL)
            len--;
        import_items_add(&d->im->arena, &v->options, import_copy(&d->im->arena, rest + 1, len),
                         equals + 1 + strspn(equals + 1, " \t"),
                         import_format(&d->im->arena, "%s %s", where, service_name));
    }
}

/* Domains are those of accounts, and of the left sides of postfix-virtual.cf. */
static void domains(struct dms *d, struct base_span text, char ends, enum import_class class)
{
    struct import_lines l = {.text = text, .next_line = 1, .whole = true};
    const char *line;
    uint32_t number;

    while ((line = import_line(&d->im->arena, &l, &number)) != NULL) {
        line += strspn(line, " \t");
        size_t len = strcspn(line, (char[]){ends, ' ', '\t', 0});
        const char *at = memrchr(line, '@', len);
        if (at == NULL)
            continue;
        const char *name = import_copy(&d->im->arena, at + 1, len - (size_t)(at - line) - 1);
        if (import_is_domain(name) && name[0] != '.')
            import_domain_add(d->im, name, class);
    }
}

static void accounts(struct dms *d)
{
    struct import *im = d->im;
    struct base_span text;
    const char *path = dms_file_of(d, "postfix-accounts.cf"), *virtual_maps = "";

    if (dms_there(d, "postfix-accounts.cf", &text)) {
        struct import_block *b = import_block(&im->doc, "auth", "");
        struct import_setting *s = import_set(&im->doc, b, "backend", "passwd");
        import_note(&im->doc, b, s,
                    "postfix-accounts.cf is read in place, and again when it changes");
        import_set(&im->doc, b, "passwd_file", path);
        import_add(&im->doc, import_block(&im->doc, "recipient", ""), "accounts", path);
        domains(d, text, '|', IMPORT_MAILBOX);
    } else {
        import_todo(&im->doc, import_block(&im->doc, "auth", ""), NULL,
                    "postfix-accounts.cf was not found: backend = passwd; passwd_file = /path");
    }
    if (dms_there(d, "postfix-virtual.cf", &text)) {
        virtual_maps =
            import_format(&im->arena, "texthash:%s", dms_file_of(d, "postfix-virtual.cf"));
        domains(d, text, ' ', IMPORT_ALIAS);
    }
    if (dms_there(d, "postfix-regexp.cf", &text))
        virtual_maps = import_format(&im->arena, "%s pcre:%s", virtual_maps,
                                     dms_file_of(d, "postfix-regexp.cf"));
    becomes(d, NULL, "virtual_alias_maps", virtual_maps);
    if (dms_there(d, "postfix-aliases.cf", &text)) {
        becomes(d, NULL, "mydestination", "$myhostname");
        becomes(d, NULL, "alias_maps",
                import_format(&im->arena, "texthash:%s", dms_file_of(d, "postfix-aliases.cf")));
    } else {
        becomes(d, NULL, "mydestination", "localhost");
    }
}

struct import_result *import_dms(const struct import_input *in, const char **why)
{
    static const char *const below[] = {"", "/config", "/docker-data/dms/config", NULL};
    static const char *const known[] = {"postfix-accounts.cf", "postfix-virtual.cf",
                                        "postfix-main.cf", NULL};
    struct import im = {.in = in, .dms = true};
    struct dms d = {.im = &im};
    struct base_span text;

    im.doc.arena = &im.arena;
    d.dir = dms_found(&im, below, known);
    bool some = dms_environment(&d);
    if (d.dir == NULL && !some) {
        import_arena_free(&im.arena);
        *why = "there is no postfix-accounts.cf, mailserver.env or compose.yaml in it";
        return NULL;
    }
    if (d.dir == NULL)
        d.dir = in->dir;
    struct import_input here = *in;
    here.dir = d.dir;
    im.in = &here;
    becomes(&d, NULL, "smtpd_tls_security_level", "may");
    becomes(&d, NULL, "message_size_limit", "10240000");
    becomes(&d, NULL, "recipient_delimiter", "+");
    becomes(&d, NULL, "postscreen_greet_action", "enforce");
    becomes(&d, NULL, "smtp_sasl_security_options", "noanonymous");
    becomes(&d, NULL, "virtual_transport", "lmtp:unix:/var/run/dovecot/lmtp");
    if (dms_env(&d, "OVERRIDE_HOSTNAME") != NULL)
        becomes(&d, dms_env(&d, "OVERRIDE_HOSTNAME"), "myhostname",
                dms_env(&d, "OVERRIDE_HOSTNAME")->value);
    certificates(&d);
    relay(&d);
    service(&d, "smtp", false);
    service(&d, "submission", false);
    service(&d, "submissions", true);
    others(&d);
    accounts(&d);
    if (dms_there(&d, "postfix-main.cf", &text) && text.len <= IMPORT_TEXT_MAX)
        import_cf_read(&im.arena, &im.items, "postfix-main.cf", text);
    if (dms_there(&d, "postfix-master.cf", &text) && text.len <= IMPORT_TEXT_MAX)
        master(&d, text);
    import_head(&im, false);
    import_translate(&im);
    srs(&d);
    dms_other_files(&d);
    dms_env_rest(&d);
    return import_finish(&im);
}
