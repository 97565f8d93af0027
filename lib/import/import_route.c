/* Where mail goes: transports become routes, with logins. */
#include "import_internal.h"

#include <stdlib.h>

#define STORE_SOCKET "unix:/run/dovecot/lmtp"
#define HOST_MAX     CONF_ROUTE_HOST_MAX

/* "[mail.example.org]:submission" with the port as a number; NULL: it is no host. */
const char *import_host(struct import *im, const char *text)
{
    const char *close = text[0] == '[' ? strchr(text, ']') : NULL;
    const char *colon = strrchr(close != NULL ? close : text, ':');
    const char *full = text;
    struct conf_host host;

    if (import_begins(text, "[ipv6:"))
        return import_host(im, import_format(&im->arena, "[%s", text + 6));
    if (colon != NULL) {
        unsigned port = import_port_number(colon + 1);
        if (port == 0)
            return NULL;
        full = import_format(&im->arena, "%.*s:%u", (int)(colon - text), text, port);
    }
    return conf_host_parse(&host, full) && !host.lmtp ? full : NULL;
}

/* ---- logins ---- */

static const char *password_of(struct import *im, const char *hop, const char *host)
{
    const char *list = import_value(im, NULL, "smtp_sasl_password_maps"), *item;
    size_t len = strcspn(host, "]:");

    if (host[0] == '[')
        host = import_copy(&im->arena, host + 1, len - 1);
    else
        host = import_copy(&im->arena, host, len);
    while ((item = import_next(&im->arena, &list)) != NULL) {
        struct import_map m;
        const char *found = NULL;
        if (import_map_open(im, &m, item) &&
            (m.kind == IMPORT_MAP_ENTRIES || m.kind == IMPORT_MAP_STATIC)) {
            found = import_map_find(&im->arena, &m, hop);
            if (found == NULL)
                found = import_map_find(&im->arena, &m, host);
        }
        if (found != NULL)
            return found;
    }
    return NULL;
}

static void mechanisms(struct import *im, struct import_block *b)
{
    const char *list = import_value(im, NULL, "smtp_sasl_mechanism_filter"), *item;

    while ((item = import_next(&im->arena, &list)) != NULL)
        for (const char *known = "SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN "; *known != 0;) {
            size_t len = strcspn(known, " ");
            if (strlen(item) == len && strncasecmp(item, known, len) == 0)
                import_add(&im->doc, b, "auth_mechanisms", import_copy(&im->arena, known, len));
            known += len + 1;
        }
    struct import_setting *s = import_setting_find(b, "auth_mechanisms");
    if (s != NULL)
        import_note(&im->doc, b, s, "%s",
                    import_tell(im, import_given(im, NULL, "smtp_sasl_mechanism_filter")));
}

static void login(struct import *im, struct import_block *b, const struct import_items *options,
                  const char *hop, const char *host)
{
    struct import_item *enable = import_given(im, options, "smtp_sasl_auth_enable");
    struct import_item *maps = import_given(im, options, "smtp_sasl_password_maps");
    const char *found;

    if (!import_yes(import_value(im, options, "smtp_sasl_auth_enable")))
        return;
    found = password_of(im, hop, host);
    if (found == NULL)
        return;
    const char *colon = strchr(found, ':');
    if (colon == NULL) {
        import_todo(&im->doc, b, NULL,
                    "%s\n    what it has for this host is no user:password: auth_user and "
                    "auth_password_file",
                    import_tell(im, maps));
        return;
    }
    size_t len = (size_t)(colon - found);
    im->password_cnt++;
    const char *path =
        import_file_new(im, import_format(&im->arena, "password%u", im->password_cnt),
                        import_format(&im->arena, "%s\n", colon + 1), true);
    struct import_setting *s =
        import_set(&im->doc, b, "auth_user", import_copy(&im->arena, found, len));
    import_note(&im->doc, b, s, "%s", import_tell(im, enable));
    import_note(&im->doc, b, s, "%s", import_tell(im, maps));
    import_set(&im->doc, b, "auth_password_file", path);
    mechanisms(im, b);
    if (strcmp(import_value(im, options, "smtp_tls_security_level"), "none") == 0 &&
        strstr(import_value(im, options, "smtp_sasl_security_options"), "noplaintext") == NULL) {
        s = import_set(&im->doc, b, "auth_cleartext", "yes");
        import_note(&im->doc, b, s, "the password passes in clear, as it did: no TLS there");
    }
}

/* ---- sources ---- */

static void source(struct import *im, const struct import_items *options, const char *name,
                   struct import_block *route)
{
    struct import_item *bind = import_given(im, options, "smtp_bind_address");
    struct import_item *bind6 = import_given(im, options, "smtp_bind_address6");
    struct import_item *helo = import_given(im, options, "smtp_helo_name");
    const char *address = import_value(im, options, "smtp_bind_address");
    const char *address6 = import_value(im, options, "smtp_bind_address6");
    const char *ehlo = import_value(im, options, "smtp_helo_name");
    bool ipv6;
    struct import_setting *s;

    if (address[0] == 0 && address6[0] == 0 && helo == NULL)
        return;
    struct import_block *b = import_block(&im->doc, "source", name);
    if (b->first == NULL) {
        if (address[0] == 0 && address6[0] == 0) {
            if (im->address == NULL)
                import_port_address(im, "192.0.2.1");
            address = im->address;
        }
        if (import_is_address(address, &ipv6) && !ipv6) {
            import_port_address(im, address);
            s = import_set(&im->doc, b, "address", address);
            import_note(&im->doc, b, s, "%s", import_tell(im, bind));
        }
        if (import_is_address(address6, &ipv6) && ipv6) {
            import_port_address(im, address6);
            s = import_set(&im->doc, b, "address6", address6);
            import_note(&im->doc, b, s, "%s", import_tell(im, bind6));
        }
        s = import_set(&im->doc, b, "ehlo", import_is_domain(ehlo) ? ehlo : im->hostname);
        import_note(&im->doc, b, s, "%s", import_tell(im, helo));
    }
    if (route != NULL)
        import_add(&im->doc, route, "sources", name);
}

/* ---- one route ---- */

static bool store(struct import *im, struct import_block *b, const char *hop)
{
    struct import_setting *s;
    const char *host;

    if (import_begins(hop, "unix:")) {
        hop = import_format(&im->arena, "unix:%s", import_queue_path(im, hop + 5));
    } else {
        if (import_begins(hop, "inet:"))
            hop += 5;
        host = import_host(im, hop);
        if (host == NULL)
            return false;
        hop = host;
    }
    import_set(&im->doc, b, "via", "lmtp");
    s = import_set(&im->doc, b, "host", hop);
    if (import_begins(hop, "unix:"))
        import_note(&im->doc, b, s, "gateway: user must be able to write to it");
    if (import_begins(hop, "unix:") && im->dms)
        import_todo(&im->doc, b, s,
                    "that socket is inside of the container: share its directory with this "
                    "machine, or let Dovecot listen for LMTP on TCP: host = [address]:24");
    return true;
}

static void by_client(struct import *im, struct import_block *b, const struct import_service *v,
                      const char *hops)
{
    const struct import_items *options = v != NULL ? &v->options : NULL;
    const char *hop, *list = hops;
    unsigned cnt = 0, number = 0;

    while ((hop = import_next(&im->arena, &list)) != NULL) {
        const char *host = import_host(im, hop);
        number++;
        if (host == NULL || cnt == HOST_MAX) {
            import_todo(&im->doc, b, NULL, "host %u of it is none that can be written here",
                        number);
            continue;
        }
        import_add(&im->doc, b, "host", host);
        if (cnt++ == 0)
            login(im, b, options, hop, host);
    }
    if (cnt == 0) {
        import_set(&im->doc, b, "via", "mx");
    } else if (import_yes(import_value(im, options, "smtp_tls_wrappermode"))) {
        struct import_setting *s = import_set(&im->doc, b, "tls", "implicit");
        import_note(&im->doc, b, s, "%s",
                    import_tell(im, import_given(im, options, "smtp_tls_wrappermode")));
    }
    /* What a clone of smtp(8) has of its own, and what all have. */
    if (v != NULL && import_items_find(options, "smtp_bind_address") != NULL)
        source(im, options, v->name, b);
    else if (cnt > 0)
        source(im, NULL, "out", b);
}

bool import_route_to(struct import *im, const char *domain, const char *transport,
                     const char *comment)
{
    const char *colon = strchr(transport, ':');
    size_t len = colon != NULL ? (size_t)(colon - transport) : strlen(transport);
    const char *name = import_copy(&im->arena, transport, len);
    const char *hop = colon != NULL ? colon + 1 : "";
    struct import_service *v = import_services_find(&im->services, name, "unix");
    const char *command = v != NULL ? v->command : name;
    bool client = name[0] == 0 || strcmp(command, "smtp") == 0 || strcmp(command, "relay") == 0;
    bool lmtp = strcmp(command, "lmtp") == 0;

    if (!client && !lmtp)
        return false;
    if (client && hop[0] == 0) /* what there is without the map: relayhost */
        hop = import_value(im, NULL, "relayhost");
    if (import_block_find(&im->doc, "route", domain) != NULL)
        return true;
    struct import_block *b = import_block(&im->doc, "route", domain);
    if (b == NULL) {
        if (im->lost_route_cnt++ == 0)
            im->lost_route = domain;
        return true;
    }
    import_note(&im->doc, b, NULL, "%s", comment);
    if (lmtp && !store(im, b, hop))
        return false;
    if (client)
        by_client(im, b, v, hop);
    if (v != NULL)
        for (struct import_item *i = v->options.first; i != NULL; i = i->next)
            if (import_begins(i->name, "smtp_tls_") && !i->told)
                import_todo(&im->doc, b, NULL,
                            "%s: a destination block for the domains that go there",
                            import_tell(im, i));
    return true;
}

/* ---- all of them ---- */

/* Limits of a transport of its own: one group of the domains that go by it. */
static void pace(struct import *im, const char *transport, const char *domain)
{
    size_t len = strcspn(transport, ":");
    const char *name = import_copy(&im->arena, transport, len);
    const char *connections = import_format(&im->arena, "%s_destination_concurrency_limit", name);
    const char *delay = import_format(&im->arena, "%s_destination_rate_delay", name);
    const char *delay2 = import_format(&im->arena, "%s_transport_rate_delay", name);
    struct import_item *limit = import_given(im, NULL, connections);
    struct import_item *wait = import_given(im, NULL, delay);

    if (wait == NULL)
        wait = import_given(im, NULL, delay2);
    if (name[0] == 0 || strcmp(name, "smtp") == 0 || (limit == NULL && wait == NULL) ||
        !import_is_domain(domain))
        return;
    struct import_block *b = import_block(&im->doc, "provider", name);
    if (b == NULL)
        return;
    if (b->first == NULL && limit != NULL) {
        struct import_setting *s =
            import_set(&im->doc, b, "connections", import_value(im, NULL, connections));
        import_note(&im->doc, b, s, "%s", import_tell(im, limit));
    }
    if (wait != NULL && import_setting_find(b, "rate") == NULL) {
        unsigned long n = strtoul(wait->value, NULL, 10);
        const char *unit = wait->value + strspn(wait->value, "0123456789");
        n *= unit[0] == 'm' ? 60 : unit[0] == 'h' ? 3600 : 1;
        if (n > 0 && n <= 3600) {
            struct import_setting *s =
                import_set(&im->doc, b, "rate", import_format(&im->arena, "%lu/h", 3600 / n));
            import_note(&im->doc, b, s, "%s", import_tell(im, wait));
            import_note(&im->doc, b, s, "of all these destinations together; there it was of each");
        }
    }
    import_add(&im->doc, b, "domains", domain);
}

static void line(struct import *im, const struct import_map *m, const struct import_entry *e)
{
    const char *where = import_entry_shown(im, m, e);
    const char *key = strcmp(e->key, "*") == 0 ? "default" : e->key;

    if (strchr(key, '@') != NULL || (!import_is_domain(key) && strcmp(key, "default") != 0))
        import_todo(&im->doc, NULL, NULL,
                    "%s: routes are by domain; an alias can lead an address to a domain with a "
                    "route of its own",
                    where);
    else if (!import_route_to(im, import_lower(&im->arena, key), e->value, where))
        import_todo(&im->doc, NULL, NULL, "%s: there is no such way here", where);
    else
        pace(im, e->value, key);
    for (struct import_domain *d = im->domain; d != NULL; d = d->next)
        d->routed |= strcmp(d->name, key) == 0;
}

static void transports(struct import *im)
{
    struct import_item *i = import_given(im, NULL, "transport_maps");
    const char *list = import_value(im, NULL, "transport_maps"), *item;

    while ((item = import_next(&im->arena, &list)) != NULL) {
        struct import_map m;
        struct import_map_at at = {0};
        struct import_entry e;
        if (!import_map_open(im, &m, item) || m.kind != IMPORT_MAP_ENTRIES) {
            import_todo(&im->doc, NULL, NULL, "transport_maps: %s: %s", item,
                        m.why != NULL ? m.why : "a route block for each domain is what there is");
            continue;
        }
        while (import_map_next(&im->arena, &m, &at, &e))
            line(im, &m, &e);
    }
    if (i != NULL)
        import_part(&im->doc, IMPORT_SAME, "%s\n    became the routes above", import_tell(im, i));
}

/* Mail boxes were there; here they are behind LMTP. */
static void boxes(struct import *im, enum import_class class, const char *name, const char *maker)
{
    struct import_item *i = import_given(im, NULL, name);
    const char *way = import_value(im, NULL, name);
    bool first = true;

    for (struct import_domain *d = im->domain; d != NULL; d = d->next) {
        if (d->class != class || d->routed || d->name[0] == '.' ||
            import_block_find(&im->doc, "route", d->name) != NULL)
            continue;
        const char *comment = first && i != NULL ? import_tell(im, i) : "";
        first = false;
        if (import_route_to(im, d->name, way, comment))
            continue;
        struct import_block *b = import_block(&im->doc, "route", d->name);
        if (b == NULL)
            return;
        import_set(&im->doc, b, "via", "lmtp");
        struct import_setting *s = import_set(&im->doc, b, "host", STORE_SOCKET);
        import_note(&im->doc, b, s, "%s", comment);
        import_todo(&im->doc, b, s,
                    "%s had its mailboxes there (%s). This gateway has none: a server with LMTP, "
                    "such as Dovecot, by its socket or as [host]:24",
                    d->name, maker);
    }
}

/* No domain of that kind is known: they are in a map that is not read. */
static void without_domains(struct import *im, const char *name)
{
    struct import_item *i = import_given(im, NULL, name);

    if (i != NULL && !i->told && i->value[0] != 0)
        import_todo(&im->doc, NULL, NULL,
                    "%s\n    route DOMAIN { via = lmtp; host = ...; } for each domain that has its "
                    "mailboxes there",
                    import_tell(im, i));
}

void import_routes(struct import *im)
{
    static const char *const names[] = {"relayhost", "default_transport", "relay_transport"};
    struct import_item *host = import_given(im, NULL, "relayhost");
    const char *mailbox = import_value(im, NULL, "mailbox_transport");
    const char *way = import_value(im, NULL, "default_transport");
    const char *relay = import_value(im, NULL, "relay_transport");

    transports(im);
    boxes(im, IMPORT_MAILBOX, "virtual_transport", "virtual(8)");
    boxes(im, IMPORT_LOCAL, mailbox[0] != 0 ? "mailbox_transport" : "local_transport", "local(8)");
    without_domains(im, "virtual_transport");
    if (strchr(relay, ':') != NULL)
        for (struct import_domain *d = im->domain; d != NULL; d = d->next)
            if (d->class == IMPORT_RELAY && !d->routed &&
                !import_route_to(im, d->name, relay,
                                 import_tell(im, import_given(im, NULL, "relay_transport"))))
                import_todo(&im->doc, NULL, NULL, "relay_transport: %s: no way here", relay);
    bool lone = host != NULL && import_value(im, NULL, "relayhost")[0] != 0;
    if (lone || strchr(way, ':') != NULL) {
        const char *comment = import_tell(im, host);
        if (import_block_find(&im->doc, "route", "default") != NULL)
            import_part(&im->doc, IMPORT_SAME, "%s\n    transport_maps has a way for all mail (*)",
                        comment[0] != 0 ? comment : "default_transport");
        else if (!import_route_to(im, "default", way, comment))
            import_todo(&im->doc, NULL, NULL,
                        "%s\n    default_transport = %s: there is no such way here", comment, way);
    }
    for (size_t i = 0; i < BASE_ARRAY_CNT(names); i++) {
        struct import_item *item = import_given(im, NULL, names[i]);
        if (item != NULL && !item->told)
            import_part(&im->doc, IMPORT_SAME, "%s\n    %s", import_tell(im, item),
                        "without a route for it mail goes where MX records say");
    }
    source(im, NULL, "out", NULL);
    if (im->lost_route_cnt > 0)
        import_todo(&im->doc, NULL, NULL, "no room for the routes of %s and %u more: at most %d",
                    im->lost_route, im->lost_route_cnt - 1, CONF_BLOCK_MAX);
}
