/* Sources: the addresses that mail leaves from, as the configuration has them. */
#include "base_siphash.h"
#include "settings_internal.h"

#include <errno.h>
#include <stdlib.h>

/* Replies by which usual receivers tell that it is the address that they do not want: of Google,
 * Microsoft and Yahoo, and what servers say that ask block lists. What they say of a message's
 * content alone is not among them. */
static const char *const usual[] = {
    "4.7.28",
    "5.7.28",
    "x.7.25",
    "4.7.650",
    "5.7.511",
    "5.7.606",
    "421 4.7.0 [TSS04",
    "550 5.7.1 not authorized to send from",
    "4xx blocked using",
    "5xx blocked using",
    "4xx spamhaus",
    "5xx spamhaus",
    "4xx block list",
    "5xx block list",
    "4xx blocklist",
    "5xx blocklist",
    "4xx blacklist",
    "5xx blacklist",
    "4xx poor reputation",
    "5xx poor reputation",
    "4xx low reputation",
    "5xx low reputation",
    "4xx reputation of the sending ip",
    "5xx reputation of the sending ip",
};

static int compare_senders(const void *a, const void *b)
{
    const struct settings_sender *x = a, *y = b;

    return settings_compare_text(x->domain, y->domain);
}

static struct net_addr address_of(const char *text)
{
    struct net_addr a = {0};

    if (text != NULL)
        base_assert(net_addr_parse(&a, base_span_str(text)) == 0);
    return a;
}

static int fill_counts(uint32_t **out, uint32_t *cnt, const struct conf_list *list)
{
    *out = calloc(list->cnt + 1, sizeof(**out));
    if (*out == NULL)
        return -ENOMEM;
    for (; *cnt < list->cnt; (*cnt)++)
        base_assert(conf_count_parse(&(*out)[*cnt], list->item[*cnt]));
    return 0;
}

static int fill(struct settings_source *s, const struct conf_source *conf)
{
    static const uint8_t key[16];

    s->conf = conf;
    s->id = base_siphash(key, conf->name, strlen(conf->name));
    s->address[0] = address_of(conf->address);
    s->address[1] = address_of(conf->address6);
    if (conf->warm_up_start != NULL)
        base_assert(conf_day_parse(&s->warm_up_day, conf->warm_up_start));
    s->warming = conf->warm_up_start != NULL;
    if (fill_counts(&s->warm_up, &s->warm_up_cnt, &conf->warm_up) != 0)
        return -ENOMEM;
    return fill_counts(&s->site_warm_up, &s->site_warm_up_cnt, &conf->warm_up_destination);
}

/* Each domain once, with all the sources that are for it. */
static int fill_senders(struct settings *s)
{
    uint32_t cnt = 0, kept = 0;

    for (uint32_t i = 0; i < s->source_cnt; i++)
        cnt += s->sources[i].conf->sender_domains.cnt;
    s->senders = calloc(cnt + 1, sizeof(s->senders[0]));
    if (s->senders == NULL)
        return -ENOMEM;
    cnt = 0;
    for (uint32_t i = 0; i < s->source_cnt; i++) {
        const struct conf_list *domains = &s->sources[i].conf->sender_domains;
        for (uint32_t k = 0; k < domains->cnt; k++)
            s->senders[cnt++] = (struct settings_sender){.domain = base_span_str(domains->item[k]),
                                                         .sources = UINT64_C(1) << i};
        s->reserved |= domains->cnt > 0 ? UINT64_C(1) << i : 0;
    }
    qsort(s->senders, cnt, sizeof(s->senders[0]), compare_senders);
    for (uint32_t i = 0; i < cnt; i++)
        if (kept > 0 && base_span_eq(s->senders[kept - 1].domain, s->senders[i].domain))
            s->senders[kept - 1].sources |= s->senders[i].sources;
        else
            s->senders[kept++] = s->senders[i];
    s->sender_cnt = kept;
    return 0;
}

static int fill_replies(struct settings *s)
{
    const struct conf_list *list = &s->conf->delivery.set_aside;
    uint32_t cnt = list->cnt > 0 ? list->cnt : (uint32_t)BASE_ARRAY_CNT(usual);

    s->set_aside = calloc(cnt, sizeof(s->set_aside[0]));
    if (s->set_aside == NULL)
        return -ENOMEM;
    for (; s->set_aside_cnt < cnt; s->set_aside_cnt++) {
        uint32_t i = s->set_aside_cnt;
        base_assert(conf_reply_parse(&s->set_aside[i], list->cnt > 0 ? list->item[i] : usual[i]));
    }
    return 0;
}

int settings_source_init(struct settings *s)
{
    const struct conf *conf = s->conf;

    s->sources = calloc(conf->source_cnt + 1, sizeof(s->sources[0]));
    if (s->sources == NULL)
        return -ENOMEM;
    for (s->source_cnt = 0; s->source_cnt < conf->source_cnt; s->source_cnt++)
        if (fill(&s->sources[s->source_cnt], &conf->source[s->source_cnt]) != 0)
            return -ENOMEM;
    return fill_senders(s) == 0 && fill_replies(s) == 0 ? 0 : -ENOMEM;
}

void settings_source_fini(struct settings *s)
{
    for (uint32_t i = 0; s->sources != NULL && i < s->conf->source_cnt; i++) {
        free(s->sources[i].warm_up);
        free(s->sources[i].site_warm_up);
    }
    free(s->sources);
    free(s->senders);
    free(s->set_aside);
}

uint64_t settings_source_mask(const struct settings *s, const struct conf_route *route)
{
    uint64_t all =
        s->conf->source_cnt == 64 ? UINT64_MAX : (UINT64_C(1) << s->conf->source_cnt) - 1;
    uint64_t mask = 0;

    if (route == NULL ||
        (route->sources.cnt == 0 && (route->via == CONF_VIA_MX || route->host.cnt == 0)))
        return all;
    for (uint32_t i = 0; i < route->sources.cnt; i++)
        for (uint32_t k = 0; k < s->conf->source_cnt; k++)
            if (strcmp(route->sources.item[i], s->conf->source[k].name) == 0)
                mask |= UINT64_C(1) << k;
    return mask;
}

static const struct settings_sender *find(const struct settings *s, struct base_span domain)
{
    struct settings_sender wanted = {.domain = domain};

    return bsearch(&wanted, s->senders, s->sender_cnt, sizeof(s->senders[0]), compare_senders);
}

uint64_t settings_source_candidates(const struct settings *s, const struct settings_route *route,
                                    struct base_span sender_domain)
{
    const struct settings_sender *of = NULL;
    struct policy_key key;

    if (s->sender_cnt > 0 && policy_key_of_domain(&key, sender_domain) == 0) {
        struct base_span name = policy_key_domain(&key);
        of = find(s, name);
        for (size_t i = 0; of == NULL && i < name.len; i++)
            if (name.p[i] == '.')
                of = find(s, base_span_of(name.p + i, name.len - i));
    }
    if (of != NULL && (route->sources & of->sources) != 0)
        return route->sources & of->sources;
    return route->sources & ~s->reserved;
}

/* Of a day, by the table of a source that is warmed up. */
static uint32_t limit_of(const struct settings_source *s, const uint32_t *table, uint32_t cnt,
                         uint32_t day)
{
    if (!s->warming)
        return UINT32_MAX;
    if (day < s->warm_up_day)
        return 0;
    return day - s->warm_up_day < cnt ? table[day - s->warm_up_day] : UINT32_MAX;
}

uint32_t settings_source_limit(const struct settings_source *s, uint32_t day)
{
    return limit_of(s, s->warm_up, s->warm_up_cnt, day);
}

uint32_t settings_source_site_limit(const struct settings_source *s, uint32_t day)
{
    return limit_of(s, s->site_warm_up, s->site_warm_up_cnt, day);
}

bool settings_source_refused(const struct settings *s, uint16_t code, const char *enhanced,
                             struct base_span text)
{
    for (uint32_t i = 0; i < s->set_aside_cnt; i++)
        if (conf_reply_match(&s->set_aside[i], code, enhanced, text))
            return true;
    return false;
}
