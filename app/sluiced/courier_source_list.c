/* Sources as the operator sees them: their limits, and where they are set aside. */
#include "base_time.h"
#include "courier.h"
#include "courier_print.h"

#define ENTRY_TEXT_MAX 2048 /* of one */

struct view {
    const struct settings_source *source;
    const struct source_ledger *ledger;
    const uint8_t *ptr, *leads_back; /* by family: enum courier_source_name */
    uint32_t number;                 /* UINT32_MAX: the ledger has no place for it */
    uint32_t day;
    uint32_t today_cnt, aside_cnt;
    uint32_t limit, site_limit;
};

static struct view view_of(const struct courier *c, uint32_t i)
{
    const struct source_ledger *l = &c->sources.ledger;
    struct view v = {.source = &c->settings->sources[i],
                     .ledger = l,
                     .ptr = c->sources.names.ptr[i],
                     .leads_back = c->sources.names.leads_back[i],
                     .number = c->sources.number[i],
                     .day = (uint32_t)(c->wall_ns / BASE_NS_S / 86400)};

    v.limit = settings_source_limit(v.source, v.day);
    v.site_limit = settings_source_site_limit(v.source, v.day);
    if (v.number == UINT32_MAX)
        return v;
    v.today_cnt = source_ledger_count(l, v.number, NULL, v.day);
    for (uint32_t k = 0; k < SOURCE_ASIDE_MAX; k++)
        v.aside_cnt += l->asides[k].until_ns > c->now_ns && l->asides[k].source == v.number;
    return v;
}

static void put_limit(struct courier_request *r, const char *name, uint32_t limit)
{
    bool json = r->filter.json;

    if (limit == UINT32_MAX)
        courier_print(r, json ? ",\"%s\":null" : " %s=none", name);
    else
        courier_print(r, json ? ",\"%s\":%u" : " %s=%u", name, limit);
}

static void put_address(struct courier_request *r, const char *name, const struct net_addr *a)
{
    char text[NET_ADDR_TEXT_CAP] = "";
    bool none = net_addr_is_none(a);

    if (!none)
        net_addr_format(text, a);
    courier_print(r, r->filter.json ? ",\"%s\":\"%s\"" : " %s=%s", name,
                  none && !r->filter.json ? "none" : text);
}

static void put_source(struct courier_request *r, const struct view *v)
{
    const struct conf_source *conf = v->source->conf;
    bool json = r->filter.json;

    courier_print(r, json ? "{\"source\":\"%s\"" : "source %s", conf->name);
    put_address(r, "address", &v->source->address[0]);
    put_address(r, "address6", &v->source->address[1]);
    courier_print_text(r, json ? ",\"ehlo\":\"" : " ehlo=");
    courier_print_text(r, conf->ehlo);
    courier_print(r, json ? "\",\"weight\":%u,\"today\":%u" : " weight=%u today=%u",
                  (unsigned)conf->weight, v->today_cnt);
    put_limit(r, "limit", v->limit);
    put_limit(r, "destination_limit", v->site_limit);
    if (v->source->warming && v->day >= v->source->warm_up_day)
        courier_print(r, json ? ",\"warm_up_day\":%u" : " warm_up_day=%u",
                      v->day - v->source->warm_up_day + 1);
    else if (v->source->warming)
        courier_print(r, json ? ",\"warm_up_start\":\"%s\"" : " warm_up_start=%s",
                      conf->warm_up_start);
    for (uint32_t v6 = 0; v6 < 2; v6++) {
        const char *of = v6 != 0 ? "6" : "";
        if (net_addr_is_none(&v->source->address[v6]))
            continue;
        courier_print(r,
                      json ? ",\"ptr%s\":\"%s\",\"ehlo_leads_back%s\":\"%s\""
                           : " ptr%s=%s ehlo_leads_back%s=%s",
                      of, courier_source_name_word((enum courier_source_name)v->ptr[v6]), of,
                      courier_source_name_word((enum courier_source_name)v->leads_back[v6]));
    }
    courier_print(r, json ? ",\"set_aside\":%u}\n" : " set_aside=%u\n", v->aside_cnt);
}

static void put_aside(const struct courier *c, struct courier_request *r,
                      const struct source_aside *a)
{
    const char *name = c->sources.ledger.sources[a->source].name;
    unsigned long for_s = (unsigned long)((a->until_ns - c->now_ns) / BASE_NS_S);

    if (r->filter.json) {
        courier_print(r, "{\"aside\":\"%s\",\"at\":", name);
        courier_print_json(r, base_span_str(a->site));
        courier_print(r, ",\"for_s\":%lu,\"times\":%u,\"why\":", for_s, a->step);
        courier_print_json(r, base_span_str(a->why));
        courier_print_text(r, "}\n");
        return;
    }
    courier_print(r, "aside %s at=%s for_s=%lu times=%u why=", name, a->site, for_s, a->step);
    courier_print_json(r, base_span_str(a->why));
    courier_print_text(r, "\n");
}

/* recipient_at: how far it has come, sources first. */
void courier_source_list(struct courier *c, struct courier_request *r)
{
    const struct source_ledger *l = &c->sources.ledger;
    uint32_t source_cnt = c->settings->source_cnt, end = source_cnt + SOURCE_ASIDE_MAX;

    for (; r->recipient_at < end; r->recipient_at++) {
        r->more = r->text_cap - r->text_len < ENTRY_TEXT_MAX;
        if (r->more)
            return;
        if (r->recipient_at < source_cnt) {
            struct view v = view_of(c, r->recipient_at);
            put_source(r, &v);
            continue;
        }
        const struct source_aside *a = &l->asides[r->recipient_at - source_cnt];
        if (a->until_ns > c->now_ns && l->sources[a->source].used)
            put_aside(c, r, a);
    }
}

static struct base_span name_of(struct base_span word, struct base_span *site)
{
    const uint8_t *at = memchr(word.p, '@', word.len);

    if (at == NULL)
        return word;
    *site = base_span_of(at + 1, word.len - (size_t)(at + 1 - word.p));
    return base_span_of(word.p, (size_t)(at - word.p));
}

void courier_source_release(struct courier *c, struct courier_request *r)
{
    struct source_ledger *l = &c->sources.ledger;
    struct base_span site = {0}, name = name_of(r->word, &site);
    bool all = base_span_eq(name, base_span_str("all")), found = all;
    char text[SOURCE_SITE_CAP];
    uint32_t cnt = 0;

    snprintf(text, sizeof(text), "%.*s", (int)(site.len < sizeof(text) ? site.len : 0),
             (const char *)site.p);
    for (uint32_t i = 0; i < c->settings->source_cnt; i++) {
        const char *own = c->settings->sources[i].conf->name;
        if (!all && !base_span_eq(name, base_span_str(own)))
            continue;
        found = true;
        if (c->sources.number[i] != UINT32_MAX)
            cnt += source_ledger_release(l, c->sources.number[i], site.len > 0 ? text : NULL,
                                         c->now_ns);
    }
    if (found)
        courier_print(r, "released %u\n", cnt);
    else
        r->error = "there is no such source: sluicectl sources tells those there are";
}
