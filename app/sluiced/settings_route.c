/* Routes: where mail for a domain goes, as the configuration has it. */
#include "settings_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define DESTINATION_MAX                                                                            \
    255 /* bytes of a destination's name: QUEUE_DESTINATION_MAX less its NUL                       \
         */

static int compare_routes(const void *a, const void *b)
{
    const struct settings_route *x = a, *y = b;

    return settings_compare_text(x->domain, y->domain);
}

static uint16_t default_port(const struct settings_hop *hop)
{
    return hop->lmtp ? CONF_HOST_PORT_LMTP : CONF_HOST_PORT;
}

bool settings_hop_parse(struct settings_hop *out, const char *text)
{
    struct conf_host host;

    if (!conf_host_parse(&host, text))
        return false;
    *out = (struct settings_hop){.exact = host.exact, .path = host.path, .lmtp = host.lmtp};
    if (host.address)
        base_assert(net_addr_parse(&out->address.addr, base_span_str(host.name)) == 0);
    if (!host.path)
        out->address.port = host.port != 0 ? host.port : default_port(out);
    snprintf(out->name, sizeof(out->name), "%s", host.name);
    return true;
}

/* conf_parse has checked the text. */
static struct settings_hop hop_of(const char *text, bool lmtp)
{
    struct settings_hop hop;
    struct conf_host host;

    base_assert(settings_hop_parse(&hop, text) && conf_host_parse(&host, text));
    hop.lmtp = lmtp;
    hop.exact |= lmtp; /* as in Postfix: a store is no mail exchanger */
    if (!hop.path && host.port == 0)
        hop.address.port = default_port(&hop);
    return hop;
}

static size_t hop_format(char *out, size_t cap, const struct settings_hop *hop)
{
    char address[NET_ENDPOINT_TEXT_CAP];
    const char *before = hop->lmtp ? "lmtp:" : "";
    int n;

    if (hop->path) {
        n = snprintf(out, cap, "%sunix:%s", before, hop->name);
    } else if (!net_addr_is_none(&hop->address.addr)) {
        net_endpoint_format(address, &hop->address);
        n = snprintf(out, cap, "%s%s", before, address);
    } else {
        n = snprintf(out, cap, "%s%s%s%s:%u", before, hop->exact ? "[" : "", hop->name,
                     hop->exact ? "]" : "", hop->address.port);
    }
    return (size_t)n;
}

/* The hops, where that is short enough; else the route's own name. */
static void name_destination(struct settings_route *r, char out[DESTINATION_MAX + 1])
{
    size_t len = 0;

    for (uint32_t i = 0; i < r->hop_cnt && len <= DESTINATION_MAX; i++) {
        if (i > 0)
            len += (size_t)snprintf(out + len, DESTINATION_MAX + 1 - len, ",");
        if (len <= DESTINATION_MAX)
            len += hop_format(out + len, DESTINATION_MAX + 1 - len, &r->hops[i]);
    }
    if (len > DESTINATION_MAX)
        snprintf(out, DESTINATION_MAX + 1, "%.200s route %.40s", r->hops[0].name, r->conf->name);
}

/* Domains whose mail goes the same way are one destination. Where hops are the same and the rest is
 * not, mail of the one must never travel in a delivery of the other. */
static int set_destination(struct settings *s, struct settings_route *r, uint32_t done_cnt,
                           const struct settings_route *other)
{
    char text[DESTINATION_MAX + 1] = "";

    if (r->hop_cnt > 0)
        name_destination(r, text);
    for (uint32_t i = 0; i <= done_cnt && r->hop_cnt > 0; i++) {
        const struct settings_route *o = i < done_cnt ? &s->routes[i] : other;
        if (o == NULL || o->destination == NULL || strcmp(o->destination, text) != 0 ||
            conf_route_same(o->conf, r->conf))
            continue;
        size_t len = strlen(text), room = DESTINATION_MAX + 1 - len;
        snprintf(len < 180 ? text + len : text + 180, len < 180 ? room : 76, " route %.60s",
                 r->conf->name);
        break;
    }
    r->destination = strdup(text);
    return r->destination != NULL ? 0 : -ENOMEM;
}

static int fill(struct settings_route *r, const struct conf_route *conf)
{
    *r = (struct settings_route){.conf = conf,
                                 .proxy = (enum conf_proxy_send)conf->proxy,
                                 .tls = (enum conf_route_tls)conf->tls,
                                 .verify = conf->verify,
                                 .lmtp = conf_route_is_lmtp(conf)};
    r->return_path = r->lmtp && conf->return_path;
    r->delivered_to = r->lmtp && conf->delivered_to;
    uint32_t cnt = conf->via == CONF_VIA_MX ? 0 : conf->host.cnt;

    r->hops = calloc(cnt + 1, sizeof(r->hops[0]));
    r->private_networks = calloc(conf->private_networks.cnt + 1, sizeof(r->private_networks[0]));
    if (r->hops == NULL || r->private_networks == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < cnt; i++)
        r->hops[r->hop_cnt++] = hop_of(conf->host.item[i], r->lmtp);
    for (uint32_t i = 0; i < conf->private_networks.cnt; i++)
        base_assert(net_prefix_parse(&r->private_networks[i],
                                     base_span_str(conf->private_networks.item[i])) == 0);
    if (cnt > 0)
        r->host = net_addr_is_none(&r->hops[0].address.addr) ? (struct net_endpoint){0}
                                                             : r->hops[0].address;
    return 0;
}

int settings_route_init(struct settings *s)
{
    const struct conf *conf = s->conf;
    int error = 0;

    s->default_route.sources = settings_source_mask(s, NULL);
    s->routes = calloc(conf->route_cnt + 1, sizeof(s->routes[0]));
    if (s->routes == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < conf->route_cnt && error == 0; i++) {
        const struct conf_route *c = &conf->route[i];
        bool is_default = strcmp(c->name, "default") == 0;
        struct settings_route *r = is_default ? &s->default_route : &s->routes[s->route_cnt];
        error = fill(r, c);
        r->sources = settings_source_mask(s, c);
        if (c->auth_user != NULL) {
            r->login = &s->logins[s->login_cnt++];
            r->login->conf = c;
        }
        if (!is_default) {
            r->domain = base_span_str(c->name);
            s->route_cnt++;
        }
    }
    qsort(s->routes, s->route_cnt, sizeof(s->routes[0]), compare_routes);
    if (error == 0)
        error = set_destination(s, &s->default_route, 0, NULL);
    for (uint32_t i = 0; i < s->route_cnt && error == 0; i++)
        error = set_destination(s, &s->routes[i], i, &s->default_route);
    return error;
}

static void route_free(struct settings_route *r)
{
    free(r->hops);
    free(r->private_networks);
    free(r->destination);
}

void settings_route_fini(struct settings *s)
{
    for (uint32_t i = 0; s->routes != NULL && i < s->route_cnt; i++)
        route_free(&s->routes[i]);
    free(s->routes);
    route_free(&s->default_route);
}

static const struct settings_route *find(const struct settings *s, struct base_span name)
{
    struct settings_route wanted = {.domain = name};

    return bsearch(&wanted, s->routes, s->route_cnt, sizeof(s->routes[0]), compare_routes);
}

const struct settings_route *settings_route_find_key(const struct settings *s,
                                                     struct base_span domain,
                                                     struct policy_key *key)
{
    const struct settings_route *r = NULL;
    struct policy_key own;

    if (key == NULL)
        key = &own;
    if (policy_key_of_domain(key, domain) != 0) {
        key->len = key->at = 0;
        return &s->default_route;
    }
    if (s->route_cnt == 0)
        return &s->default_route;
    struct base_span name = policy_key_domain(key);
    r = find(s, name);
    for (size_t i = 1; i < name.len && r == NULL; i++)
        if (name.p[i] == '.')
            r = find(s, base_span_of(name.p + i, name.len - i));
    return r != NULL ? r : &s->default_route;
}

const struct settings_route *settings_route_find(const struct settings *s, struct base_span domain)
{
    return settings_route_find_key(s, domain, NULL);
}
