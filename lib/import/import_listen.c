/* Services of master.cf that take mail: listeners. */
#include "import_internal.h"

struct listening {
    struct import_service *v;
    const struct import_items *options; /* of smtpd: the service's, or those behind postscreen */
    struct import_block *b;
    const char *address;
    unsigned port;
    bool postscreen, users, implicit;
};

static const char *value(struct import *im, const struct listening *l, const char *name)
{
    return import_value(im, l->options, name);
}

/* "main.cf:1: a = b" in front of a setting. */
static void tell(struct import *im, const struct listening *l, struct import_setting *s,
                 const char *name)
{
    import_note(&im->doc, l->b, s, "%s", import_tell(im, import_given(im, l->options, name)));
}

/* "host:port", "[::1]:port", "port". */
static void split(struct import *im, struct listening *l)
{
    const char *colon = strrchr(l->v->name, ':'), *port = l->v->name;

    l->address = NULL;
    if (colon != NULL) {
        size_t len = (size_t)(colon - l->v->name);
        const char *host = l->v->name;
        if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
            host++;
            len -= 2;
        }
        port = colon + 1;
        l->address = len > 0 ? import_copy(&im->arena, host, len) : NULL;
        if (l->address != NULL && strspn(l->address, "0.:") == len)
            l->address = NULL; /* 0.0.0.0, :: */
    }
    l->port = import_port_number(port);
}

static const char *tls_level(struct import *im, struct listening *l)
{
    const char *level = value(im, l, "smtpd_tls_security_level");

    if (import_yes(value(im, l, "smtpd_tls_wrappermode")))
        return "implicit";
    if (level[0] == 0 && import_yes(value(im, l, "smtpd_enforce_tls")))
        return "encrypt";
    if (level[0] == 0)
        return import_yes(value(im, l, "smtpd_use_tls")) ? "may" : "none";
    return import_word_in("none may encrypt", level) ? level : "encrypt";
}

static void tls(struct import *im, struct listening *l)
{
    static const char *const of_tls[] = {"smtpd_tls_wrappermode", "smtpd_tls_security_level",
                                         "smtpd_use_tls", "smtpd_enforce_tls"};
    const char *level = tls_level(im, l);
    bool certificate = false, on = strcmp(level, "none") != 0;

    for (struct import_block *b = im->doc.block; b != NULL; b = b->next)
        certificate |= strcmp(b->kind, "certificate") == 0;
    struct import_setting *s =
        import_set(&im->doc, l->b, "tls", certificate || !on ? level : "none");
    for (size_t i = 0; i < BASE_ARRAY_CNT(of_tls); i++)
        tell(im, l, s, of_tls[i]);
    if (l->implicit && strcmp(value(im, l, "smtpd_tls_security_level"), "may") == 0)
        import_note(&im->doc, l->b, s, "TLS from the first byte: \"may\" says nothing here");
    if (on && !certificate)
        import_todo(&im->doc, l->b, s,
                    "no certificate is configured: add a certificate block, then tls = %s", level);
    if (l->port == 465 && !l->implicit)
        import_todo(&im->doc, l->b, s,
                    "clients begin TLS at once on port 465; that service did not (no "
                    "smtpd_tls_wrappermode): kind = submissions, tls = implicit is meant");
    if (!on || !certificate)
        return;
    /* Protocols: ours are 1.2 and 1.3. */
    bool must = strcmp(level, "may") != 0;
    const char *name = must ? "smtpd_tls_mandatory_protocols" : "smtpd_tls_protocols";
    const char *list = value(im, l, name);
    bool new = strstr(list, ">=TLSv1.3") != NULL || strstr(list, "!TLSv1.2") != NULL ||
               strcmp(list, "TLSv1.3") == 0;
    if (import_given(im, l->options, name) == NULL)
        return;
    s = import_set(&im->doc, l->b, "tls_min", new ? "1.3" : "1.2");
    tell(im, l, s, name);
}

static void proxy(struct import *im, struct listening *l)
{
    const char *name =
        l->postscreen ? "postscreen_upstream_proxy_protocol" : "smtpd_upstream_proxy_protocol";
    const char *time =
        l->postscreen ? "postscreen_upstream_proxy_timeout" : "smtpd_upstream_proxy_timeout";
    const struct import_items *options = l->postscreen ? &l->v->options : l->options;

    if (import_value(im, options, name)[0] == 0)
        return;
    struct import_setting *s = import_set(&im->doc, l->b, "proxy", "required");
    import_note(&im->doc, l->b, s, "%s", import_tell(im, import_given(im, options, name)));
    if (l->implicit)
        import_note(&im->doc, l->b, s, "the header comes first, then TLS");
    s = import_add(&im->doc, l->b, "proxy_from", "192.0.2.10");
    import_todo(&im->doc, l->b, s,
                "the addresses of your proxies: Postfix believes whoever connects, here others "
                "are turned away");
    struct import_item *i = import_given(im, options, time);
    if (i != NULL) {
        s = import_set(&im->doc, l->b, "proxy_timeout", import_value(im, options, time));
        import_note(&im->doc, l->b, s, "%s", import_tell(im, i));
    }
    im->proxied = true;
}

/* ---- who may send what ---- */

static bool restricts(struct import *im, const struct listening *l, const char *word)
{
    static const char *const lists[] = {"client", "helo", "sender", "relay", "recipient"};

    for (size_t i = 0; i < BASE_ARRAY_CNT(lists); i++) {
        const char *list =
                       value(im, l, import_format(&im->arena, "smtpd_%s_restrictions", lists[i])),
                   *item;
        while ((item = import_next(&im->arena, &list)) != NULL)
            if (strcmp(item, word) == 0)
                return true;
    }
    return false;
}

static void ownership(struct import *im, struct listening *l)
{
    bool owned = restricts(im, l, "reject_sender_login_mismatch") ||
                 restricts(im, l, "reject_authenticated_sender_login_mismatch") ||
                 restricts(im, l, "reject_known_sender_login_mismatch");
    bool foreign = restricts(im, l, "reject_unauthenticated_sender_login_mismatch") ||
                   restricts(im, l, "reject_sender_login_mismatch");
    struct import_setting *s;

    if (l->users) {
        s = import_set(&im->doc, l->b, "spoof_protection", owned ? "login" : "off");
        import_note(&im->doc, l->b, s,
                    owned
                        ? "reject_..sender_login_mismatch"
                        : "no reject_..sender_login_mismatch there: whoever is logged in sends as "
                          "anyone. login, the default here, is better once sender: maps and "
                          "recipient: accounts tell who owns what");
    } else if (foreign) {
        s = import_set(&im->doc, l->b, "reject_unauthenticated_sender", "yes");
        import_note(&im->doc, l->b, s, "reject_..sender_login_mismatch");
    }
    if (!l->users && import_yes(value(im, l, "smtpd_sasl_auth_enable"))) {
        tell(im, l, NULL, "smtpd_sasl_auth_enable");
        import_todo(&im->doc, l->b, NULL,
                    "AUTH is never offered to other servers, on port 25: users log in on 587 or "
                    "465, listeners of kind submission and submissions%s",
                    im->dms ? "" : "; add one where that Postfix has none");
    } else {
        tell(im, l, NULL, "smtpd_sasl_auth_enable");
    }
    if (l->users && import_given(im, l->options, "smtpd_tls_auth_only") != NULL) {
        tell(im, l, NULL, "smtpd_tls_auth_only");
        import_note(&im->doc, l->b, NULL, "    AUTH inside TLS alone: auth_cleartext is no");
    }
}

static void xclient(struct import *im, struct listening *l)
{
    struct import_item *i = import_given(im, l->options, "smtpd_authorized_xclient_hosts");

    if (i == NULL || i->value[0] == 0)
        return;
    import_networks(im, l->b, "xclient_networks", value(im, l, "smtpd_authorized_xclient_hosts"));
    struct import_setting *s = import_setting_find(l->b, "xclient_networks");
    import_note(&im->doc, l->b, s, "%s", import_tell(im, i));
}

static void newlines(struct import *im, struct listening *l)
{
    struct import_item *i = import_given(im, l->options, "smtpd_forbid_bare_newline");
    struct import_item *but = import_given(im, l->options, "smtpd_forbid_bare_newline_exclusions");
    bool strict = strcmp(value(im, l, "smtpd_forbid_bare_newline"), "reject") == 0;

    if (i != NULL) {
        struct import_setting *s =
            import_set(&im->doc, l->b, "bare_newline", strict ? "reject" : "normalize");
        import_note(&im->doc, l->b, s, "%s", import_tell(im, i));
        if (strcmp(i->value, "no") == 0)
            import_note(&im->doc, l->b, s, "a bare LF never ends a message here");
    }
    if (but != NULL && strict) {
        import_networks(im, l->b, "bare_newline_networks",
                        value(im, l, "smtpd_forbid_bare_newline_exclusions"));
        import_note(&im->doc, l->b, import_setting_find(l->b, "bare_newline_networks"), "%s",
                    import_tell(im, but));
    }
}

/* ---- postscreen ---- */

static void sites(struct import *im, struct listening *l)
{
    struct import_item *i = import_given(im, NULL, "postscreen_dnsbl_sites");
    struct import_item *action = import_given(im, NULL, "postscreen_dnsbl_action");
    struct import_item *threshold = import_given(im, NULL, "postscreen_dnsbl_threshold");
    const char *list = value(im, l, "postscreen_dnsbl_sites"), *item;
    struct import_block *limits = import_block(&im->doc, "limits", "");

    if (i == NULL || list[0] == 0)
        return;
    struct import_block *first = NULL;
    while ((item = import_next(&im->arena, &list)) != NULL) {
        struct import_block *b = import_dns_list(im, item);
        if (b == NULL)
            import_todo(&im->doc, limits, NULL, "%s: one list too many, or none", item);
        else if (first == NULL)
            first = b;
    }
    if (first != NULL)
        import_note(&im->doc, first, first->first, "%s", import_tell(im, i));
    bool counts = import_word_in("enforce drop", value(im, l, "postscreen_dnsbl_action"));
    const char *most = value(im, l, "postscreen_dnsbl_threshold");
    struct import_setting *s = import_set(&im->doc, limits, "dns_list_threshold",
                                          !counts        ? "0"
                                          : most[0] != 0 ? most
                                                         : "1");
    import_note(&im->doc, limits, s, "%s", import_tell(im, threshold));
    import_note(&im->doc, limits, s, "%s", import_tell(im, action));
    if (!counts)
        import_note(&im->doc, limits, s,
                    "the lists refused nobody there (postscreen_dnsbl_action = ignore)");
}

static void postscreen(struct import *im, struct listening *l)
{
    const char *action = value(im, l, "postscreen_greet_action");
    struct import_item *wait = import_given(im, NULL, "postscreen_greet_wait");
    struct import_item *access = import_given(im, NULL, "postscreen_access_list");
    const char *time = value(im, l, "postscreen_greet_wait");

    if (import_word_in("enforce drop", action)) {
        struct import_setting *s =
            import_set(&im->doc, l->b, "greet_pause", wait != NULL ? time : "6s");
        tell(im, l, s, "postscreen_greet_action");
        import_note(&im->doc, l->b, s, "%s", import_tell(im, wait));
        import_note(&im->doc, l->b, s, "postscreen: who speaks before the greeting gets 521");
    }
    if (access != NULL) {
        import_note(&im->doc, l->b, NULL,
                    "%s\n    limits: exempt_networks and relay: networks skip "
                    "pause and lists",
                    import_tell(im, access));
        if (strchr(access->value, ':') != NULL)
            import_todo(&im->doc, l->b, NULL,
                        "tables of postscreen_access_list: refuse such clients by a firewall");
    }
    sites(im, l);
}

/* ---- all of them ---- */

static void one(struct import *im, struct listening *l)
{
    bool ipv6, wrapped = import_yes(value(im, l, "smtpd_tls_wrappermode"));
    bool auth = import_yes(value(im, l, "smtpd_sasl_auth_enable"));
    const char *kind = wrapped                                    ? "submissions"
                       : l->port == 25                            ? "mx"
                       : l->port == 587 || l->port == 465 || auth ? "submission"
                                                                  : "mx";
    const char *name = kind;

    for (unsigned n = 2; import_block_find(&im->doc, "listener", name) != NULL; n++)
        name = import_format(&im->arena, "%s%u", kind, n);
    l->implicit = wrapped;
    l->users = strcmp(kind, "mx") != 0;
    l->b = import_block(&im->doc, "listener", name);
    if (l->b == NULL)
        return;
    struct import_setting *s = import_set(&im->doc, l->b, "kind", kind);
    import_note(&im->doc, l->b, s, "%s %s %s %s",
                l->v->where[0] != 0 ? l->v->where : "taken for granted:", l->v->name, l->v->type,
                l->v->command);
    import_set(&im->doc, l->b, "port", "net0");
    if (l->address != NULL && import_is_address(l->address, &ipv6)) {
        import_port_address(im, l->address);
        import_set(&im->doc, l->b, "address", l->address);
    } else if (l->address != NULL) {
        import_todo(&im->doc, l->b, NULL, "address: that of %s", l->address);
    }
    import_set(&im->doc, l->b, "tcp_port", import_format(&im->arena, "%u", l->port));
    tls(im, l);
    proxy(im, l);
    ownership(im, l);
    xclient(im, l);
    newlines(im, l);
    if (l->postscreen)
        postscreen(im, l);
    l->v->told = true;
    l->v->listener = l->b;
    l->v->smtpd = l->options;
}

/* Another one has this address and port already. */
static bool taken(struct import *im, const struct listening *l)
{
    const char *port = import_format(&im->arena, "%u", l->port);

    for (struct import_block *b = im->doc.block; b != NULL; b = b->next) {
        struct import_setting *s =
            strcmp(b->kind, "listener") == 0 ? import_setting_find(b, "tcp_port") : NULL;
        if (s == NULL || strcmp(s->item[0], port) != 0)
            continue;
        s = import_setting_find(b, "address");
        if (s == NULL || l->address == NULL || strcmp(s->item[0], l->address) == 0)
            return true;
    }
    return false;
}

static void left_out(struct import *im, struct import_service *v, const char *why)
{
    import_part(&im->doc, IMPORT_NONE, "%s: service %s %s %s\n    %s", v->where, v->name, v->type,
                v->command, why);
    for (struct import_item *i = v->options.first; i != NULL; i = i->next)
        import_part(&im->doc, IMPORT_NONE, "    with %s", import_tell(im, i));
    v->told = true;
}

static void service(struct import *im, struct import_service *v)
{
    struct listening l = {.v = v, .options = &v->options};
    struct import_service *behind = import_services_find(&im->services, "smtpd", "pass");

    l.postscreen = strcmp(v->command, "postscreen") == 0;
    if (!l.postscreen && strcmp(v->command, "smtpd") != 0) {
        left_out(im, v, "it takes no mail by SMTP");
        return;
    }
    if (l.postscreen && behind != NULL)
        l.options = &behind->options;
    split(im, &l);
    if (l.address != NULL && import_is_loopback(l.address))
        left_out(im, v,
                 "it listens to this machine alone, as for a filter that gives mail back: "
                 "here mail comes in over the network");
    else if (l.port == 0)
        left_out(im, v, "which port is that? Add a listener for it");
    else if (taken(im, &l))
        left_out(im, v, "another listener has that address and port");
    else
        one(im, &l);
}

static void usual(struct import *im)
{
    struct import_block *b = import_block(&im->doc, "listener", "mx");

    import_set(&im->doc, b, "port", "net0");
    import_todo(&im->doc, b, NULL,
                "that Postfix took no mail over the network: this listener is here because a "
                "gateway has at least one; what may send through it is in relay: networks");
}

void import_listeners(struct import *im)
{
    const char *own = "";

    for (struct import_service *v = im->services.first; v != NULL; v = v->next) {
        if (strcmp(v->type, "inet") == 0)
            service(im, v);
        else if (v->options.first == NULL && v->type[0] != 0)
            own = import_format(&im->arena, "%s %s", own, v->name);
    }
    if (own[0] != 0)
        import_part(&im->doc, IMPORT_OWN, "master.cf: services that are processes there:%s", own);
    bool some = false;
    for (struct import_block *b = im->doc.block; b != NULL; b = b->next)
        some |= strcmp(b->kind, "listener") == 0;
    if (!some)
        usual(im);
}
