#include "settings_internal.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_rcu_qsbr.h>

int settings_compare_text(struct base_span x, struct base_span y)
{
    size_t n = x.len < y.len ? x.len : y.len;
    int c = n > 0 ? memcmp(x.p, y.p, n) : 0;

    return c != 0 ? c : (x.len > y.len) - (x.len < y.len);
}

static int compare_domains(const void *a, const void *b)
{
    return policy_domain_compare(a, b);
}

/* One that is no login equals nobody's. */
static void fill_logins(struct settings *s)
{
    const struct conf_sender *sender = &s->conf->sender;
    struct policy_reading r = {.login_domain = sender->login_domain != NULL
                                                   ? base_span_str(sender->login_domain)
                                                   : base_span_of(NULL, 0)};

    for (uint32_t i = 0; i < sender->exempt_logins.cnt; i++)
        if (policy_login_key(&r, &s->exempt_logins[i],
                             base_span_str(sender->exempt_logins.item[i])) != 0)
            s->exempt_logins[i].len = 0;
}

/* 0: there are none. */
static char extension_of(const struct conf_recipient *r)
{
    return r->extension != NULL && strcmp(r->extension, "none") != 0 ? r->extension[0] : 0;
}

static void fill_policy(struct settings *s)
{
    const struct conf_relay *relay = &s->conf->relay;
    const struct conf_sender *sender = &s->conf->sender;
    uint32_t cnt = 0;

    for (uint32_t i = 0; i < relay->domains.cnt; i++)
        s->relay_domains[i] = base_span_str(relay->domains.item[i]);
    qsort(s->relay_domains, relay->domains.cnt, sizeof(s->relay_domains[0]), compare_domains);
    for (uint32_t i = 0; i < relay->domains.cnt; i++) /* one of each */
        if (cnt == 0 || !base_span_eq(s->relay_domains[cnt - 1], s->relay_domains[i]))
            s->relay_domains[cnt++] = s->relay_domains[i];
    fill_logins(s);
    s->policy = (struct policy_settings){
        .relay_networks = s->relay_networks,
        .relay_network_cnt = relay->networks.cnt,
        .relay_domains = s->relay_domains,
        .relay_domain_cnt = cnt,
        .login_domain = sender->login_domain != NULL ? base_span_str(sender->login_domain)
                                                     : base_span_of(NULL, 0),
        .extension = extension_of(&s->conf->recipient),
        .extension_propagate = s->conf->recipient.extension_propagate,
        .expansion_max = (uint32_t)s->conf->recipient.expansion,
        .exempt_networks = s->exempt_networks,
        .exempt_network_cnt = sender->exempt_networks.cnt,
        .exempt_logins = s->exempt_logins,
        .exempt_login_cnt = sender->exempt_logins.cnt,
    };
    base_assert(policy_settings_valid(&s->policy));
}

/* Returns the networks of the list, or NULL without memory. */
static struct net_prefix *prefixes(const struct conf_list *list)
{
    struct net_prefix *p = calloc(list->cnt + 1, sizeof(p[0]));

    for (uint32_t i = 0; i < list->cnt && p != NULL; i++)
        base_assert(net_prefix_parse(&p[i], base_span_str(list->item[i])) == 0);
    return p;
}

/* "address/length": the address. */
static struct net_addr address_of(const char *text)
{
    const char *slash = strchr(text, '/');
    struct net_addr a;

    base_assert(slash != NULL);
    base_assert(net_addr_parse(&a, base_span_of(text, (size_t)(slash - text))) == 0);
    return a;
}

static enum policy_spoof spoof_of(const struct conf_listener *l)
{
    switch ((enum conf_spoof)l->spoof_protection) {
    case CONF_SPOOF_OFF:
        return POLICY_SPOOF_OFF;
    case CONF_SPOOF_LOGIN:
        return POLICY_SPOOF_LOGIN;
    case CONF_SPOOF_STRICT:
        return POLICY_SPOOF_STRICT;
    case CONF_SPOOF_AUTO:
        break;
    }
    return l->kind == CONF_KIND_MX ? POLICY_SPOOF_OFF : POLICY_SPOOF_LOGIN;
}

static bool repairs(const struct conf_listener *l)
{
    return l->kind != CONF_KIND_MX && l->repair != CONF_REPAIR_NO;
}

static bool looks_up(const struct conf_listener *l)
{
    return l->dns_lists == CONF_DNS_LISTS_YES ||
           (l->dns_lists == CONF_DNS_LISTS_AUTO && l->kind == CONF_KIND_MX);
}

static bool fill_lists(struct settings *s)
{
    const struct conf *conf = s->conf;
    uint32_t cnt = 0;

    for (uint32_t i = 0; i < conf->dns_list_cnt; i++)
        cnt += conf->dns_list[i].answers.cnt;
    s->list_answers = calloc(cnt + 1, sizeof(s->list_answers[0]));
    if (s->list_answers == NULL)
        return false;
    cnt = 0;
    for (; s->list_cnt < conf->dns_list_cnt; s->list_cnt++) {
        const struct conf_dns_list *c = &conf->dns_list[s->list_cnt];
        s->lists[s->list_cnt] = (struct settings_list){.zone = c->zone,
                                                       .weight = (int32_t)c->weight,
                                                       .answers = &s->list_answers[cnt],
                                                       .answer_cnt = c->answers.cnt};
        for (uint32_t i = 0; i < c->answers.cnt; i++)
            base_assert(conf_octets_parse(&s->list_answers[cnt++], c->answers.item[i]));
    }
    return true;
}

/* RFC 5782 section 2.1: answers are in 127.0.0.0/8; others are of who has taken the zone over. Of
 * those the last are errors by custom, such as "too many questions". */
bool settings_list_match(const struct settings_list *list, const uint8_t answer[4])
{
    if (list->answer_cnt == 0)
        return answer[0] == 127 && (answer[1] != 255 || answer[2] != 255);
    for (uint32_t i = 0; i < list->answer_cnt; i++)
        if (conf_octets_match(&list->answers[i], answer))
            return true;
    return false;
}

static bool fill_listeners(struct settings *s)
{
    const struct conf *conf = s->conf;
    uint32_t cnt = 0, policy_cnt = 0;

    s->listeners = calloc(conf->listener_cnt, sizeof(s->listeners[0]));
    for (uint32_t i = 0; i < conf->port_cnt; i++)
        cnt += conf->port[i].address.cnt;
    s->own = calloc(cnt + 1, sizeof(s->own[0]));
    if (s->listeners == NULL || s->own == NULL)
        return false;
    for (uint32_t i = 0; i < conf->port_cnt; i++)
        for (uint32_t j = 0; j < conf->port[i].address.cnt; j++)
            s->own[s->own_cnt++] = address_of(conf->port[i].address.item[j]);
    for (uint32_t i = 0; i < conf->listener_cnt; i++) {
        s->listeners[i].conf = &conf->listener[i];
        s->listeners[i].number = i;
        s->listeners[i].tls = conf_listener_tls(&conf->listener[i]);
        s->listeners[i].repair = repairs(&conf->listener[i]);
        s->listeners[i].lists = looks_up(&conf->listener[i]);
        s->listeners[i].spoof = spoof_of(&conf->listener[i]);
        s->listeners[i].tls_policy = policy_cnt;
        policy_cnt += s->listeners[i].tls != CONF_TLS_NONE;
        s->listeners[i].proxy_from = prefixes(&conf->listener[i].proxy_from);
        s->listeners[i].bare_newline_networks = prefixes(&conf->listener[i].bare_newline_networks);
        s->listeners[i].xclient_networks = prefixes(&conf->listener[i].xclient_networks);
        if (s->listeners[i].xclient_networks == NULL || s->listeners[i].proxy_from == NULL ||
            s->listeners[i].bare_newline_networks == NULL)
            return false;
    }
    return true;
}

/* But for conf. */
static void free_parts(struct settings *s)
{
    settings_route_fini(s);
    settings_source_fini(s);
    free(s->public_addresses);
    for (uint32_t i = 0; s->listeners != NULL && i < s->conf->listener_cnt; i++) {
        free(s->listeners[i].proxy_from);
        free(s->listeners[i].bare_newline_networks);
        free(s->listeners[i].xclient_networks);
    }
    free(s->listeners);
    settings_free_destinations(s);
    free(s->own);
    free(s->relay_networks);
    free(s->relay_domains);
    free(s->exempt_networks);
    free(s->limit_exempt_networks);
    free(s->exempt_logins);
    free(s->list_answers);
    if (s->logins != NULL)
        explicit_bzero(s->logins, s->login_cnt * sizeof(s->logins[0]));
    free(s->logins);
}

struct settings *settings_make(struct conf *conf)
{
    struct settings *s = calloc(1, sizeof(*s));

    if (s == NULL)
        goto fail;
    s->conf = conf;
    s->smtp = (struct smtp_server_settings){
        .hostname = conf->gateway.hostname,
        .message_size_max = conf->smtp.message_bytes,
        .recipient_max = (uint32_t)conf->smtp.recipients,
        .mail_max = (uint32_t)conf->smtp.session_messages,
        .error_max = (uint32_t)conf->smtp.errors,
        .junk_max = (uint32_t)conf->smtp.junk,
        .header_bytes_max = (uint32_t)conf->smtp.header_bytes,
        .header_field_max = (uint32_t)conf->smtp.header_fields,
        .line_max = (uint32_t)conf->smtp.line_length,
        .hop_max = (uint32_t)conf->smtp.hops,
        .early_refused = conf->limits.early_commands == CONF_EARLY_REFUSE,
        .extensions = SMTP_EXTENSION_DSN | SMTP_EXTENSION_SMTPUTF8 | SMTP_EXTENSION_CHUNKING |
                      SMTP_EXTENSION_REQUIRETLS | SMTP_EXTENSION_LIMITS,
    };
    if (conf->auth.mechanisms.cnt == 0)
        s->auth_mechanisms = 1U << SMTP_SASL_PLAIN | 1U << SMTP_SASL_LOGIN;
    for (uint32_t i = 0; i < conf->auth.mechanisms.cnt; i++)
        s->auth_mechanisms |=
            (uint8_t)(1U << smtp_sasl_find(base_span_str(conf->auth.mechanisms.item[i])));
    s->logins = calloc(conf->route_cnt + 1, sizeof(s->logins[0]));
    s->relay_networks = prefixes(&conf->relay.networks);
    s->relay_domains = calloc(conf->relay.domains.cnt + 1, sizeof(s->relay_domains[0]));
    s->exempt_networks = prefixes(&conf->sender.exempt_networks);
    s->limit_exempt_networks = prefixes(&conf->limits.exempt_networks);
    s->exempt_logins = calloc(conf->sender.exempt_logins.cnt + 1, sizeof(s->exempt_logins[0]));
    if (s->logins == NULL || s->exempt_networks == NULL || s->exempt_logins == NULL ||
        s->limit_exempt_networks == NULL)
        goto fail;
    if (s->relay_networks == NULL || s->relay_domains == NULL || !fill_listeners(s) ||
        !settings_fill_destinations(s) || !fill_lists(s))
        goto fail;
    s->public_addresses = prefixes(&conf->gateway.public_addresses);
    if (s->public_addresses == NULL || settings_source_init(s) != 0 || settings_route_init(s) != 0)
        goto fail;
    fill_policy(s);
    return s;
fail:
    if (s != NULL)
        free_parts(s);
    free(s);
    conf_free(conf);
    return NULL;
}

void settings_free(struct settings *s)
{
    free_parts(s);
    conf_free(s->conf);
    free(s);
}

int settings_hub_init(struct settings_hub *h, struct settings *first, uint32_t reader_cnt)
{
    memset(h, 0, sizeof(*h));
    h->qsbr = aligned_alloc(64, (rte_rcu_qsbr_get_memsize(reader_cnt) + 63) & ~(size_t)63);
    if (h->qsbr == NULL || rte_rcu_qsbr_init(h->qsbr, reader_cnt) != 0)
        return -ENOMEM;
    for (uint32_t i = 0; i < reader_cnt; i++)
        base_assert(rte_rcu_qsbr_thread_register(h->qsbr, i) == 0);
    first->generation = ++h->generation;
    atomic_init(&h->current, first);
    h->started = first;
    return 0;
}

void settings_hub_fini(struct settings_hub *h)
{
    base_assert(settings_reclaim(h) == 0);
    struct settings *current = atomic_load_explicit(&h->current, memory_order_relaxed);
    if (current != h->started)
        settings_free(h->started);
    settings_free(current);
    policy_tables_free(atomic_load_explicit(&h->tables, memory_order_relaxed));
    free(h->qsbr);
}

void settings_publish(struct settings_hub *h, struct settings *next)
{
    next->generation = ++h->generation;
    struct settings *old = atomic_exchange_explicit(&h->current, next, memory_order_acq_rel);
    old->retire_token = rte_rcu_qsbr_start(h->qsbr);
    old->next_retired = h->retired;
    h->retired = old;
}

void settings_publish_tables(struct settings_hub *h, struct policy_tables *next)
{
    struct policy_tables *old = atomic_exchange_explicit(&h->tables, next, memory_order_acq_rel);

    if (old == NULL)
        return;
    old->retire_token = rte_rcu_qsbr_start(h->qsbr);
    old->next_retired = h->retired_tables;
    h->retired_tables = old;
}

static uint32_t reclaim_tables(struct settings_hub *h)
{
    struct policy_tables **link = &h->retired_tables;
    uint32_t waiting = 0;

    while (*link != NULL) {
        struct policy_tables *t = *link;
        if (rte_rcu_qsbr_check(h->qsbr, t->retire_token, false) == 1) {
            *link = t->next_retired;
            policy_tables_free(t);
        } else {
            link = &t->next_retired;
            waiting++;
        }
    }
    return waiting;
}

uint32_t settings_reclaim(struct settings_hub *h)
{
    struct settings **link = &h->retired;
    uint32_t waiting = 0;

    while (*link != NULL) {
        struct settings *s = *link;
        if (rte_rcu_qsbr_check(h->qsbr, s->retire_token, false) == 1) {
            *link = s->next_retired;
            if (s != h->started)
                settings_free(s);
        } else {
            link = &s->next_retired;
            waiting++;
        }
    }
    return waiting + reclaim_tables(h);
}

void settings_online(struct settings_hub *h, uint32_t reader)
{
    rte_rcu_qsbr_thread_online(h->qsbr, reader);
}

void settings_offline(struct settings_hub *h, uint32_t reader)
{
    rte_rcu_qsbr_thread_offline(h->qsbr, reader);
}

void settings_quiescent(struct settings_hub *h, uint32_t reader)
{
    rte_rcu_qsbr_quiescent(h->qsbr, reader);
}

bool settings_proxy_trusted(const struct settings_listener *l, const struct net_addr *peer)
{
    for (uint32_t i = 0; i < l->conf->proxy_from.cnt; i++)
        if (net_prefix_contains(&l->proxy_from[i], peer))
            return true;
    return false;
}

bool settings_normalizes(const struct settings_listener *l, const struct net_addr *client)
{
    if (l->conf->bare_newline == CONF_BARE_NEWLINE_NORMALIZE)
        return true;
    for (uint32_t i = 0; client != NULL && i < l->conf->bare_newline_networks.cnt; i++)
        if (net_prefix_contains(&l->bare_newline_networks[i], client))
            return true;
    return false;
}

bool settings_is_own(const struct settings *s, const struct net_addr *a)
{
    for (uint32_t i = 0; i < s->own_cnt; i++)
        if (net_addr_eq(&s->own[i], a))
            return true;
    return false;
}

bool settings_has_family(const struct settings *s, bool v6)
{
    for (uint32_t i = 0; i < s->own_cnt; i++)
        if (net_addr_is_v4(&s->own[i]) != v6)
            return true;
    return false;
}

bool settings_leads_here(const struct settings *s, const struct net_addr *a)
{
    for (uint32_t i = 0; i < s->conf->gateway.public_addresses.cnt; i++)
        if (net_prefix_contains(&s->public_addresses[i], a))
            return true;
    return settings_is_own(s, a);
}
