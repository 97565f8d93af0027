/* What settings say about each other, when all text has been read. */
#include "conf_internal.h"

#include <stdlib.h>

#define SOCKET_PATH_MAX 107 /* sun_path less its NUL */
#define LOGIN_MAX       255 /* lib/smtp */
#define ADDRESS_MAX     16  /* of a port: NET_ADDRESS_MAX */
#define CERTIFICATE_MAX 16  /* the opener's list has room for their files */
#define IPV6_MTU_MIN    1280
#define INTERFACE_MAX   15 /* IFNAMSIZ less its NUL */
#define NAME_LETTERS    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

static struct conf_seen *seen_of(struct conf_parser *p, const char *block, const char *key)
{
    const struct conf_setting *s = conf_setting_find(block, key);

    base_assert(s != NULL);
    return &p->seen[s - conf_settings];
}

/* An error of a setting of an unnamed block, where it was given, else where the other was. */
__attribute__((format(printf, 5, 6))) static void related(struct conf_parser *p, const char *block,
                                                          const char *key, const char *other,
                                                          const char *format, ...)
{
    struct conf_seen *own = seen_of(p, block, key), *at = own;
    char full[CONF_KEY_CAP];
    va_list args;

    if (other != NULL && own->file == NULL) {
        const char *dot = strchr(other, '.');
        char other_block[32];
        snprintf(other_block, sizeof(other_block), "%.*s", (int)(dot - other), other);
        at = seen_of(p, other_block, dot + 1);
    }
    snprintf(full, sizeof(full), "%s: %s", block, key);
    va_start(args, format);
    conf_error_addv(p->errors, at->file != NULL ? at->file : p->file, at->line, full, format, args);
    va_end(args);
}

/* An error of a named block, at its first line. */
__attribute__((format(printf, 5, 6))) static void named(struct conf_parser *p, const char *block,
                                                        const void *instance, const char *key,
                                                        const char *format, ...)
{
    const struct conf_named *n = instance;
    char full[CONF_KEY_CAP];
    va_list args;

    const struct conf_block *b = conf_block_find(block);
    /* The name that was taken because none was given would not be found in the file. */
    bool bare = b->optional && strcmp(n->name, b->example) == 0;
    snprintf(full, sizeof(full), "%s%s%.200s%s%s", block, bare ? "" : " ", bare ? "" : n->name,
             key[0] ? ": " : "", key);
    va_start(args, format);
    conf_error_addv(p->errors, n->file, n->line, full, format, args);
    va_end(args);
}

static bool bad(struct conf_parser *p, const char *block, const char *key)
{
    return seen_of(p, block, key)->bad;
}

static bool same_address(const struct conf_prefix *a, const struct conf_prefix *b)
{
    return a->max == b->max && memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static bool has_address(const struct conf_port *port, const char *address)
{
    struct conf_prefix own, wanted;

    if (!conf_prefix_parse(&wanted, address))
        return false;
    for (uint32_t i = 0; i < port->address.cnt; i++)
        if (conf_prefix_parse(&own, port->address.item[i]) && same_address(&own, &wanted))
            return true;
    return false;
}

static bool on_link(const struct conf_port *port, const char *address)
{
    struct conf_prefix own, wanted;

    if (!conf_prefix_parse(&wanted, address))
        return false;
    for (uint32_t i = 0; i < port->address.cnt; i++) {
        if (!conf_prefix_parse(&own, port->address.item[i]) || own.max != wanted.max)
            continue;
        bool same = true;
        for (unsigned bit = 0; bit < own.len && same; bit++)
            same = ((own.b[bit / 8] ^ wanted.b[bit / 8]) & 0x80 >> bit % 8) == 0;
        if (same)
            return true;
    }
    return false;
}

/* What a host may have as its own address, or as that of its gateway. */
static bool is_unicast(const struct conf_prefix *a)
{
    static const uint8_t zero[12];

    if (a->max == 32)
        return a->b[0] != 0 && a->b[0] != 127 && a->b[0] < 224;
    return a->b[0] != 0xff && memcmp(a->b, zero, 10) != 0;
}

static void check_addresses(struct conf_parser *p, const struct conf_port *port)
{
    struct conf_prefix own;

    for (uint32_t i = 0; i < port->address.cnt; i++) {
        if (!conf_prefix_parse(&own, port->address.item[i]))
            continue;
        if (!is_unicast(&own))
            named(p, "port", port, "address", "no host may have %s", port->address.item[i]);
        if (own.max == 128 && port->mtu != 0 && port->mtu < IPV6_MTU_MIN)
            named(p, "port", port, "mtu", "must be at least %d for IPv6, not %llu", IPV6_MTU_MIN,
                  (unsigned long long)port->mtu);
    }
    if (port->address.cnt > ADDRESS_MAX)
        named(p, "port", port, "address", "must be at most %d, not %u", ADDRESS_MAX,
              port->address.cnt);
}

/* bits: of the family it is for. */
static void check_next_hop(struct conf_parser *p, const struct conf_port *port, const char *key,
                           const char *gateway, unsigned bits)
{
    struct conf_prefix hop;

    if (gateway == NULL || port->address.cnt == 0 || !conf_prefix_parse(&hop, gateway))
        return;
    bool link_local = bits == 128 && hop.b[0] == 0xfe && (hop.b[1] & 0xc0) == 0x80;
    if (hop.max != bits)
        named(p, "port", port, key,
              "%s is of the other family: IPv4 has gateway, IPv6 has gateway6", gateway);
    else if (!is_unicast(&hop))
        named(p, "port", port, key, "no host may have %s", gateway);
    else if (!on_link(port, gateway) && !link_local)
        named(p, "port", port, key, "%s is on no link of this port", gateway);
    else if (has_address(port, gateway))
        named(p, "port", port, key, "%s is this port's own address", gateway);
}

/* What the kernel takes as the name of an interface, and what is one name, not a pattern. */
static void check_host_device(struct conf_parser *p, const struct conf_port *port)
{
    const char *name = port->host_device, *iface;
    size_t len;

    if (name == NULL || name[0] == 0)
        return;
    len = strlen(name);
    if (len > INTERFACE_MAX || strspn(name, NAME_LETTERS) != len || name[0] == '.')
        named(p, "port", port, "host_device",
              "must be the name of an interface: at most %d letters, digits, . - and _",
              INTERFACE_MAX);
    iface = port->device != NULL ? strstr(port->device, ",iface=") : NULL;
    if (iface != NULL && strncmp(iface + 7, name, len) == 0 &&
        (iface[7 + len] == 0 || iface[7 + len] == ','))
        named(p, "port", port, "host_device", "%s is the port's own device", name);
}

/* What stands before the arguments is its name, of which there is one. */
static bool same_device(const char *a, const char *b)
{
    size_t len = strcspn(a, ",");

    return len == strcspn(b, ",") && strncmp(a, b, len) == 0;
}

static void check_ports(struct conf_parser *p)
{
    const struct conf *c = p->conf;

    if (c->port_cnt > CONF_PORT_MAX)
        named(p, "port", &c->port[CONF_PORT_MAX], "", "more than %d ports", CONF_PORT_MAX);
    for (uint32_t i = 0; i < c->port_cnt; i++) {
        const struct conf_port *port = &c->port[i];
        check_addresses(p, port);
        check_next_hop(p, port, "gateway", port->gateway, 32);
        check_next_hop(p, port, "gateway6", port->gateway6, 128);
        check_host_device(p, port);
        for (uint32_t j = 0; j < i; j++) {
            if (port->device != NULL && c->port[j].device != NULL &&
                same_device(port->device, c->port[j].device))
                named(p, "port", port, "device", "is that of port %s, too", c->port[j].name);
            if (port->host_device != NULL && c->port[j].host_device != NULL &&
                port->host_device[0] != 0 && strcmp(port->host_device, c->port[j].host_device) == 0)
                named(p, "port", port, "host_device", "is that of port %s, too", c->port[j].name);
            else if (port->host_device != NULL && c->port[j].host_device != NULL &&
                     port->host_device[0] != 0 && c->port[j].host_device[0] != 0)
                named(p, "port", port, "host_device", "port %s has one: one port can have it",
                      c->port[j].name);
            for (uint32_t k = 0; k < port->address.cnt; k++) {
                char text[64];
                snprintf(text, sizeof(text), "%.*s", (int)strcspn(port->address.item[k], "/"),
                         port->address.item[k]);
                if (has_address(&c->port[j], text))
                    named(p, "port", port, "address", "%s is one of port %s, too", text,
                          c->port[j].name);
            }
        }
    }
}

static bool collide(const struct conf_listener *a, const struct conf_listener *b)
{
    struct conf_prefix x, y;

    if (a->port == NULL || b->port == NULL || strcmp(a->port, b->port) != 0 ||
        a->tcp_port != b->tcp_port || a->tcp_port == 0)
        return false;
    return a->address == NULL || b->address == NULL ||
           (conf_prefix_parse(&x, a->address) && conf_prefix_parse(&y, b->address) &&
            same_address(&x, &y));
}

enum conf_tls_level conf_listener_tls(const struct conf_listener *l)
{
    static const enum conf_tls_level of_kind[] = {[CONF_KIND_MX] = CONF_TLS_MAY,
                                                  [CONF_KIND_SUBMISSION] = CONF_TLS_ENCRYPT,
                                                  [CONF_KIND_SUBMISSIONS] = CONF_TLS_IMPLICIT};

    return l->tls == CONF_TLS_AUTO ? of_kind[l->kind] : (enum conf_tls_level)l->tls;
}

/* A listener for other servers takes mail in clear when there is no certificate at all, as long as
 * nothing is said about TLS; one for users, who have passwords, never does. */
static void check_tls(struct conf_parser *p, const struct conf_listener *l)
{
    enum conf_tls_level level = conf_listener_tls(l);
    bool said = l->tls != CONF_TLS_AUTO || l->kind != CONF_KIND_MX;

    if (p->conf->certificate_cnt == 0 && level != CONF_TLS_NONE && said)
        named(p, "listener", l, "tls", "needs a certificate block, or none");
}

/* One on which passwords would pass in clear says so; one for servers has no users. */
static void check_auth(struct conf_parser *p)
{
    static const char *const known[] = {"PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"};
    const struct conf_auth *a = &p->conf->auth;

    if (a->backend == CONF_AUTH_PASSWD && a->passwd_file == NULL && !bad(p, "auth", "passwd_file"))
        related(p, "auth", "passwd_file", "auth.backend", "is required for backend = passwd");
    if (a->backend == CONF_AUTH_DOVECOT && a->dovecot_socket == NULL &&
        !bad(p, "auth", "dovecot_socket"))
        related(p, "auth", "dovecot_socket", "auth.backend", "is required for backend = dovecot");
    if (a->dovecot_socket != NULL && strlen(a->dovecot_socket) > SOCKET_PATH_MAX)
        related(p, "auth", "dovecot_socket", NULL, "is longer than %d bytes", SOCKET_PATH_MAX);
    for (uint32_t i = 0; i < a->mechanisms.cnt; i++) {
        size_t k = 0;
        if (a->backend == CONF_AUTH_DOVECOT &&
            strcmp(a->mechanisms.item[i], "SCRAM-SHA-256-PLUS") == 0)
            related(p, "auth", "mechanisms", NULL,
                    "SCRAM-SHA-256-PLUS cannot be carried through to Dovecot");
        while (k < BASE_ARRAY_CNT(known) && strcmp(known[k], a->mechanisms.item[i]) != 0)
            k++;
        if (k == BASE_ARRAY_CNT(known))
            related(p, "auth", "mechanisms", NULL,
                    "%.64s is none of PLAIN LOGIN SCRAM-SHA-256 "
                    "SCRAM-SHA-256-PLUS",
                    a->mechanisms.item[i]);
    }
}

static void check_listeners(struct conf_parser *p)
{
    const struct conf *c = p->conf;
    char text[CONF_WHY_CAP];

    for (uint32_t i = 0; i < c->listener_cnt; i++) {
        const struct conf_listener *l = &c->listener[i];
        const struct conf_port *port = NULL;
        struct conf_near near = {.text = l->port};
        for (uint32_t j = 0; j < c->port_cnt && l->port != NULL; j++) {
            conf_near_try(&near, c->port[j].name);
            if (strcmp(c->port[j].name, l->port) == 0)
                port = &c->port[j];
        }
        if (l->port != NULL && port == NULL)
            named(p, "listener", l, "port", "there is no port %.64s%s", l->port,
                  conf_near_text(&near, text));
        if (port != NULL && l->address != NULL && port->address.cnt > 0 &&
            !has_address(port, l->address))
            named(p, "listener", l, "address", "%s is no address of port %s", l->address, l->port);
        if (l->proxy == CONF_PROXY_REQUIRED && l->proxy_from.cnt == 0)
            named(p, "listener", l, "proxy_from", "is required where proxy = required");
        if (l->proxy == CONF_PROXY_NONE && l->proxy_from.cnt > 0)
            named(p, "listener", l, "proxy_from", "has no effect without proxy = required");
        if (l->bare_newline == CONF_BARE_NEWLINE_NORMALIZE && l->bare_newline_networks.cnt > 0)
            named(p, "listener", l, "bare_newline_networks",
                  "has no effect with bare_newline = normalize");
        if (l->repair == CONF_REPAIR_YES && l->kind == CONF_KIND_MX)
            named(p, "listener", l, "repair", "yes is for submission: mail of other servers stays");
        check_tls(p, l);
        if (l->tls_client_ca != NULL && l->kind == CONF_KIND_MX)
            named(p, "listener", l, "tls_client_ca", "has no place where kind = mx");
        else if (l->tls_client_ca != NULL && conf_listener_tls(l) == CONF_TLS_NONE)
            named(p, "listener", l, "tls_client_ca", "has no effect without TLS");
        else if (l->tls_client_ca != NULL && c->auth.backend == CONF_AUTH_NONE)
            named(p, "listener", l, "tls_client_ca", "has no effect without auth: backend");
        if (l->auth_cleartext && l->kind == CONF_KIND_MX)
            named(p, "listener", l, "auth_cleartext", "has no place where kind = mx");
        for (uint32_t j = 0; j < i; j++)
            if (collide(l, &c->listener[j]))
                named(p, "listener", l, "tcp_port",
                      "port %llu of this address is that of listener %s",
                      (unsigned long long)l->tcp_port, c->listener[j].name);
    }
}

/* A value that was refused is 0: it stands in no relation. */
static void check_spool(struct conf_parser *p, const struct conf_spool *s)
{
    uint64_t size = s->size_bytes, segment = s->segment_bytes, batch = s->batch_bytes;

    if (segment % (1024 * 1024) != 0)
        named(p, "spool", s, "segment_size", "must be whole megabytes");
    if (size > 0 && size < 4 * segment)
        named(p, "spool", s, "size", "must be at least 4 segments");
    if (batch % 4096 != 0)
        named(p, "spool", s, "batch_size", "must be a multiple of 4k");
    if (segment > 0 && size / (1024 * 1024) >= segment)
        named(p, "spool", s, "segment_size", "must be larger: size takes too many");
    if (segment > 0 && batch > segment)
        named(p, "spool", s, "batch_size", "must not be over segment_size");
}

static void check_spools(struct conf_parser *p)
{
    const struct conf *c = p->conf;
    const struct conf_spool *small = NULL;
    uint32_t accepting_cnt = 0;

    for (uint32_t i = 0; i < c->spool_cnt; i++) {
        const struct conf_spool *s = &c->spool[i];
        uint64_t reserve = 2 * s->segment_bytes; /* two segments are kept in reserve */
        check_spool(p, s);
        accepting_cnt += s->accept;
        if (s->accept && reserve > 0 && s->size_bytes >= 2 * reserve && small == NULL &&
            c->smtp.message_bytes > s->size_bytes - reserve)
            small = s;
        for (uint32_t j = 0; j < i; j++)
            if (s->path != NULL && c->spool[j].path != NULL &&
                strcmp(s->path, c->spool[j].path) == 0)
                named(p, "spool", s, "path", "is that of spool %s, too", c->spool[j].name);
    }
    if (c->spool_cnt > CONF_SPOOL_MAX)
        named(p, "spool", &c->spool[CONF_SPOOL_MAX], "", "more than %d spools", CONF_SPOOL_MAX);
    if (c->spool_cnt > 0 && accepting_cnt == 0)
        named(p, "spool", &c->spool[0], "accept",
              "no for every spool: no mail could be taken, one has to accept");
    if (small == NULL || bad(p, "smtp", "message_size"))
        return;
    const struct conf_seen *own = seen_of(p, "smtp", "message_size");
    conf_error_add(p->errors, own->file != NULL ? own->file : small->file,
                   own->file != NULL ? own->line : small->line, "smtp: message_size",
                   "does not fit into %s spool, which is its size less 2 segments",
                   c->spool_cnt > 1 ? "every" : "the");
}

static void check_sizes(struct conf_parser *p)
{
    const struct conf *c = p->conf;

    if (c->smtp.header_bytes > c->smtp.message_bytes && !bad(p, "smtp", "header_size") &&
        !bad(p, "smtp", "message_size"))
        related(p, "smtp", "header_size", "smtp.message_size", "must not be over message_size");
    if (c->queue.backoff_max_ns < c->queue.backoff_min_ns && !bad(p, "queue", "backoff_min") &&
        !bad(p, "queue", "backoff_max"))
        related(p, "queue", "backoff_max", "queue.backoff_min", "must not be under backoff_min");
}

/* Processors of threads, one for each of them: the block's setting key, threads many. */
static void check_cpus(struct conf_parser *p, const char *block, const char *key,
                       const struct conf_list *cpus, const char *threads, uint64_t cnt)
{
    for (uint32_t i = 0; i < cpus->cnt; i++) {
        size_t len = strspn(cpus->item[i], "0123456789");
        if (len == 0 || len > 4 || cpus->item[i][len] != 0 ||
            strtoul(cpus->item[i], NULL, 10) > 1023)
            related(p, block, key, NULL, "must be numbers 0 to 1023, not %.64s", cpus->item[i]);
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(cpus->item[i], cpus->item[j]) == 0) {
                related(p, block, key, NULL, "%s stands twice", cpus->item[i]);
                break;
            }
    }
    if (cpus->cnt > 0 && cpus->cnt != cnt && !bad(p, block, threads))
        related(p, block, key, NULL, "must be as many as %s (%llu), not %u", threads,
                (unsigned long long)cnt, cpus->cnt);
}

/* It is a part of lines that others read word by word. */
static void check_ident(struct conf_parser *p, const char *ident)
{
    size_t len = ident != NULL ? strlen(ident) : 0;

    if (len > 32 || (len > 0 && strspn(ident, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                              "0123456789-_.") != len))
        related(p, "log", "ident", NULL, "must be letters, digits, -, _ and ., 32 at most");
}

static void check_gateway(struct conf_parser *p)
{
    const struct conf *c = p->conf;

    check_cpus(p, "gateway", "lane_cpus", &c->gateway.lane_cpus, "lanes", c->gateway.lanes);
    check_cpus(p, "tls", "key_cpus", &c->tls.key_cpus, "key_threads", c->tls.key_threads);
    if (strlen(c->control.socket) > SOCKET_PATH_MAX)
        related(p, "control", "socket", NULL, "is longer than %d bytes", SOCKET_PATH_MAX);
    check_ident(p, c->log.ident);
    if (strcmp(c->log.file, "stderr") != 0 && c->log.file[0] != '/')
        related(p, "log", "file", NULL, "must be stderr or an absolute path, not %.64s",
                c->log.file);
}

static void check_maps(struct conf_parser *p, const char *block, const char *key,
                       const struct conf_list *maps, enum conf_map_form usual)
{
    enum conf_map_form form;
    bool values = strcmp(key, "aliases") == 0 || strcmp(block, "sender") == 0;

    if (maps->cnt > CONF_MAP_MAX)
        related(p, block, key, NULL, "must be at most %d files, not %u", CONF_MAP_MAX, maps->cnt);
    for (uint32_t i = 0; i < maps->cnt; i++) {
        conf_map(maps->item[i], usual, &form);
        if (form == CONF_MAP_ACCOUNTS && values)
            related(p, block, key, NULL, "%.64s: accounts have no values", maps->item[i]);
        if (form == CONF_MAP_PCRE && usual == CONF_MAP_ACCOUNTS)
            related(p, block, key, NULL, "%.64s: an account is no pattern", maps->item[i]);
    }
}

static void check_addresses_of_mail(struct conf_parser *p)
{
    const struct conf_recipient *r = &p->conf->recipient;

    check_maps(p, "sender", "maps", &p->conf->sender.maps, CONF_MAP_TEXTHASH);
    check_maps(p, "recipient", "accounts", &r->accounts, CONF_MAP_ACCOUNTS);
    check_maps(p, "recipient", "aliases", &r->aliases, CONF_MAP_TEXTHASH);
    check_maps(p, "recipient", "maps", &r->maps, CONF_MAP_TEXTHASH);
    if (r->extension != NULL && strcmp(r->extension, "none") != 0 &&
        (strlen(r->extension) != 1 || strchr("+-_=#", r->extension[0]) == NULL))
        related(p, "recipient", "extension", NULL, "must be one of + - _ = #, or none, not %.16s",
                r->extension);
}

static void check_lists(struct conf_parser *p)
{
    const struct conf *c = p->conf;

    if (c->dns_list_cnt > CONF_DNS_LIST_MAX)
        named(p, "dns_list", &c->dns_list[CONF_DNS_LIST_MAX], "", "more than %d lists",
              CONF_DNS_LIST_MAX);
    for (uint32_t i = 0; i < c->dns_list_cnt; i++)
        for (uint32_t j = 0; j < i; j++)
            if (c->dns_list[i].zone != NULL && c->dns_list[j].zone != NULL &&
                c->dns_list[i].answers.cnt == 0 && c->dns_list[j].answers.cnt == 0 &&
                strcmp(c->dns_list[i].zone, c->dns_list[j].zone) == 0)
                named(p, "dns_list", &c->dns_list[i], "zone", "is that of dns_list %s, too",
                      c->dns_list[j].name);
}

static void check_srs(struct conf_parser *p)
{
    const struct conf_srs *s = &p->conf->srs;

    if (s->domain != NULL && s->secrets.cnt == 0 && !bad(p, "srs", "secrets"))
        related(p, "srs", "secrets", "srs.domain", "is required for domain");
    if (s->domain == NULL && s->secrets.cnt > 0 && !bad(p, "srs", "domain"))
        related(p, "srs", "domain", "srs.secrets", "is required for secrets");
    if (s->secrets.cnt > CONF_SECRET_MAX)
        related(p, "srs", "secrets", NULL, "must be at most %d files, not %u", CONF_SECRET_MAX,
                s->secrets.cnt);
}

/* A refresh that comes after the end would never come. */
static void check_verify(struct conf_parser *p)
{
    const struct conf_recipient *r = &p->conf->recipient;

    if (r->verify_positive_refresh_ns > r->verify_positive_expire_ns &&
        !bad(p, "recipient", "verify_positive_expire"))
        related(p, "recipient", "verify_positive_refresh", "recipient.verify_positive_expire",
                "must not be over verify_positive_expire");
    if (r->verify_negative_refresh_ns > r->verify_negative_expire_ns &&
        !bad(p, "recipient", "verify_negative_expire"))
        related(p, "recipient", "verify_negative_refresh", "recipient.verify_negative_expire",
                "must not be over verify_negative_expire");
}

static void check_mechanisms(struct conf_parser *p, const struct conf_route *r)
{
    static const char *const known[] = {"SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "LOGIN"};

    for (uint32_t i = 0; i < r->auth_mechanisms.cnt; i++) {
        size_t k = 0;
        while (k < BASE_ARRAY_CNT(known) && strcmp(known[k], r->auth_mechanisms.item[i]) != 0)
            k++;
        if (k == BASE_ARRAY_CNT(known))
            named(p, "route", r, "auth_mechanisms",
                  "%.64s is none of SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN",
                  r->auth_mechanisms.item[i]);
    }
}

static void check_login(struct conf_parser *p, const struct conf_route *r)
{
    if (r->auth_user != NULL && r->auth_password_file == NULL)
        named(p, "route", r, "auth_password_file", "is required for auth_user");
    if (r->auth_user == NULL && r->auth_password_file != NULL)
        named(p, "route", r, "auth_user", "is required for auth_password_file");
    if (r->auth_user != NULL && strlen(r->auth_user) > LOGIN_MAX)
        named(p, "route", r, "auth_user", "is longer than %d bytes", LOGIN_MAX);
    check_mechanisms(p, r);
}

/* A message has one way of being over: by each recipient's reply, or by one for all. */
static void check_lmtp(struct conf_parser *p, const struct conf_route *r)
{
    struct conf_host host;

    for (uint32_t i = 0; i < r->host.cnt && !conf_route_is_lmtp(r); i++)
        if (conf_host_parse(&host, r->host.item[i]) && host.lmtp)
            named(p, "route", r, "host", "%.64s needs via = lmtp, or lmtp: before each host",
                  r->host.item[i]);
}

static void check_routes(struct conf_parser *p)
{
    for (uint32_t i = 0; i < p->conf->route_cnt; i++) {
        const struct conf_route *r = &p->conf->route[i];
        if (r->via == CONF_VIA_HOST && r->host.cnt == 0)
            named(p, "route", r, "host", "is required where via = host");
        if (r->via == CONF_VIA_MX && r->host.cnt > 0)
            named(p, "route", r, "host", "has no effect with via = mx");
        if (r->via == CONF_VIA_LMTP && r->host.cnt == 0)
            named(p, "route", r, "host", "is required where via = lmtp");
        check_lmtp(p, r);
        if (r->host.cnt > CONF_ROUTE_HOST_MAX)
            named(p, "route", r, "host", "must be at most %d, not %u", CONF_ROUTE_HOST_MAX,
                  r->host.cnt);
        if (r->host.cnt > 0 && r->private_networks.cnt > 0)
            named(p, "route", r, "private_networks", "has no effect without via = mx");
        check_login(p, r);
    }
}

void conf_check(struct conf_parser *p, const char *file, uint32_t last_line)
{
    const struct conf *c = p->conf;

    check_gateway(p);
    check_ports(p);
    check_listeners(p);
    check_auth(p);
    check_spools(p);
    check_sizes(p);
    check_addresses_of_mail(p);
    conf_check_delivery(p);
    conf_check_sources(p);
    conf_check_provider(p);
    check_lists(p);
    check_srs(p);
    check_verify(p);
    if (c->certificate_cnt > CERTIFICATE_MAX)
        named(p, "certificate", &c->certificate[CERTIFICATE_MAX], "", "is over the limit of %d",
              CERTIFICATE_MAX);
    check_routes(p);
    if (c->port_cnt == 0)
        conf_error_add(p->errors, file, last_line, "port", "at least one is required");
    if (c->listener_cnt == 0)
        conf_error_add(p->errors, file, last_line, "listener", "at least one is required");
}
